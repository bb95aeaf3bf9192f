//! What members of one channel on two hubs see of each other, and of each other's messages.

use std::collections::BTreeSet;

use tidings_client_core::{Call, ClientEvent, Message, PresenceState};
use tidings_hub::ids::HubId;

use super::Probe;
use crate::world::{ClientId, Seen};

/// How often two senders on two hubs write at the same moment.
const ROUNDS: usize = 40;
/// Messages that may be in transit to a session when a later login ends it.
const MET_BY_THE_FIRST: usize = 3;
/// Time after a client's last sign of life: the grace, and one second (contract PRE-1).
const GONE_MS: u64 = 31_000;

impl Probe {
    pub(super) fn log_in_at(&mut self, hub: u16, user: &str) -> ClientId {
        let client = self.world.add_client();
        self.world.place(client, hub);
        self.world.login(client, user, "");
        self.advance(1_000);
        client
    }

    fn channel_texts(&self, client: ClientId) -> Vec<String> {
        let texts = self.events(client).filter_map(|event| match event {
            ClientEvent::ChannelMessage {
                message: Message::Text(text),
                ..
            } => Some(text.clone()),
            _ => None,
        });
        texts.collect()
    }

    /// `order.total_channel`: two senders on two hubs write at once; a reader on each hub sees the
    /// same order.
    pub(super) fn two_writers(&mut self) {
        let senders = [self.log_in_at(0, "alice"), self.log_in_at(1, "bob")];
        let readers = [self.log_in_at(0, "carl"), self.log_in_at(1, "dora")];
        for client in senders.into_iter().chain(readers) {
            self.join(client);
        }
        for n in 0..ROUNDS {
            for (sender, name) in senders.into_iter().zip(["a", "b"]) {
                self.send(sender, format!("{name}{n}"));
            }
            self.advance(20);
        }
        self.advance(2_000);
        let [first, second] = readers.map(|reader| self.channel_texts(reader));
        if first.len() != 2 * ROUNDS || first != second {
            let at = first.iter().zip(&second).position(|(a, b)| a != b);
            let text = format!(
                "of {} messages two readers have {} and {}; they differ at {at:?}",
                2 * ROUNDS,
                first.len(),
                second.len()
            );
            self.violate("order.total_channel", text);
        }
    }

    /// `presence.snapshot_equals_events`: a change of members is lost between two hubs. The next
    /// one reveals that; members reported by the other hub then count as news here.
    pub(super) fn lost_change(&mut self) {
        let watcher = self.log_in_at(0, "alice");
        self.join(watcher);
        let others: Vec<ClientId> = (["bob", "carl", "dora"].into_iter())
            .map(|user| self.log_in_at(1, user))
            .collect();
        self.join(others[0]);
        self.world.lose_member_change(HubId::local(0));
        self.join(others[1]);
        self.join(others[2]);
        self.advance(5_000);
        self.expect_told(watcher, &["bob", "carl", "dora"]);
        self.world.lose_member_change(HubId::local(0));
        self.leave(others[0]);
        self.leave(others[1]);
        self.advance(5_000);
        self.expect_told(watcher, &["dora"]);
    }

    /// Whom a member has seen in the channel: joined and not left, each reported once.
    fn expect_told(&mut self, watcher: ClientId, users: &[&str]) {
        let mut told = BTreeSet::new();
        let mut strange = Vec::new();
        for event in self.events(watcher) {
            let is_news = match event {
                ClientEvent::MemberJoined { user_id, .. } => told.insert(user_id.clone()),
                ClientEvent::MemberLeft { user_id, .. } => told.remove(user_id),
                _ => true,
            };
            if !is_news {
                strange.push(format!("{event:?}"));
            }
        }
        if !strange.is_empty() {
            let text = format!("alice was told again: {strange:?}");
            self.violate("presence.alternates", text);
        }
        if !told.iter().map(String::as_str).eq(users.iter().copied()) {
            let text = format!("{users:?} are there beside alice, she was told of {told:?}");
            self.violate("presence.snapshot_equals_events", text);
        }
    }

    /// `limit.enforced`: however fast members join, a channel sends its count at most once a second
    /// (contract PRE-10).
    pub(super) fn hasty_members(&mut self) {
        let watcher = self.log_in_at(0, "alice");
        self.join(watcher);
        let others: Vec<ClientId> = (0..10)
            .map(|n| self.log_in_at(n % 2, &format!("u{n}")))
            .collect();
        self.advance(2_000);
        let before = self.counts(watcher).len();
        for client in &others {
            let channel = "room".into();
            self.world.call(*client, Call::Join { channel });
            self.advance(100);
        }
        self.advance(3_000);
        let counts = self.counts(watcher).split_off(before);
        if counts.len() > 4 || counts.last() != Some(&11) {
            let text = format!("ten members came within a second, the counts told are {counts:?}");
            self.violate("limit.enforced", text);
        }
    }

    fn counts(&self, client: ClientId) -> Vec<u32> {
        let counts = self.events(client).filter_map(|event| match event {
            ClientEvent::MemberCount { count, .. } => Some(*count),
            _ => None,
        });
        counts.collect()
    }

    /// `presence.snapshot_equals_events`: a user who went offline while the watcher had no session
    /// is reported.
    pub(super) fn news_of_the_absence(&mut self) {
        let watcher = self.log_in_at(0, "alice");
        let watched = self.log_in_at(1, "bob");
        let user_ids = vec!["bob".to_owned()];
        self.world
            .call(watcher, Call::SubscribePresence { user_ids });
        self.advance(1_000);
        self.world.unplug(watcher);
        self.advance(10_000);
        self.world.logout(watched);
        self.advance(130_000);
        self.world.set_offline(watcher, false);
        self.world.wake(watcher);
        self.advance(10_000);
        let told = self.events(watcher).filter_map(|event| match event {
            ClientEvent::PresenceChanged { users } => users.last().cloned(),
            _ => None,
        });
        let told = told.last();
        if told != Some(("bob".to_owned(), PresenceState::Offline)) {
            let text = format!("bob has gone off line, his watcher was told last {told:?}");
            self.violate("presence.snapshot_equals_events", text);
        }
    }

    /// `call.always_answered`: messages that arrive during a login are delivered by it.
    pub(super) fn during_login(&mut self) {
        self.world.config.bus_delay_ms_max = 60;
        let sender = self.log_in_at(0, "alice");
        self.log_in_at(1, "bob");
        let second = self.world.add_client();
        self.world.place(second, 0);
        self.world.login(second, "bob", "");
        let mut calls = Vec::new();
        for n in 0..60 {
            let call = Call::SendToPeer {
                peer_id: "bob".into(),
                message: Message::Text(format!("m{n}")),
                offline: n % 2 == 0,
                history: false,
            };
            calls.push(self.world.call(sender, call));
            self.advance(5);
        }
        self.advance(13_000);
        let failed = calls
            .iter()
            .filter(|id| !matches!(self.answer_to(**id), Some(Ok(_))));
        let failed = failed.count();
        if failed > MET_BY_THE_FIRST {
            let text = format!("{failed} of 60 messages met a login and were never answered");
            self.violate("call.always_answered", text);
        }
    }

    /// `order.per_sender`: a user logs in while somebody is writing to it. What found nobody and is
    /// being stored arrives before what finds the new session.
    pub(super) fn burst_at_a_login(&mut self) {
        self.world.config.bus_delay_ms_max = 60;
        let sender = self.log_in_at(0, "alice");
        let receiver = self.world.add_client();
        self.world.place(receiver, 1);
        for n in 0..60 {
            if n == 10 {
                self.world.login(receiver, "bob", "");
            }
            self.send_stored(sender, "bob", format!("{n:02}"));
            self.advance(5);
        }
        self.advance(10_000);
        let texts = self.peer_texts(receiver);
        if texts.len() != 60 || !texts.is_sorted() {
            let text = format!("60 messages met a login and came as {texts:?}");
            self.violate("order.per_sender", text);
        }
    }

    /// `presence.no_ghost`: a client falls silent while its connection stays open. It is gone 30 s
    /// after its last sign of life, not after the server noticed (contract PRE-2).
    pub(super) fn silent_peer(&mut self) {
        let watcher = self.log_in_at(0, "alice");
        let silent = self.log_in_at(1, "bob");
        self.join(watcher);
        self.join(silent);
        let user_ids = vec!["bob".to_owned()];
        self.world
            .call(watcher, Call::SubscribePresence { user_ids });
        self.advance(500);
        self.world.half_open(silent);
        self.world.freeze(silent);
        let silent_ms = self.world.now_ms();
        self.advance(60_000);
        let gone = |seen: &Seen| match seen {
            Seen::Event(ClientEvent::MemberLeft { user_id, .. }) => user_id == "bob",
            _ => false,
        };
        let off = |seen: &Seen| match seen {
            Seen::Event(ClientEvent::PresenceChanged { users }) => {
                users.contains(&("bob".to_owned(), PresenceState::Offline))
            }
            _ => false,
        };
        for (is_told, what) in [
            (&gone as &dyn Fn(&Seen) -> bool, "left"),
            (&off, "off line"),
        ] {
            let records = self.records.iter();
            let mut own = records.filter(|record| record.client == watcher);
            let told_ms = own.find(|record| is_told(&record.what)).map(|at| at.at_ms);
            if told_ms.is_none_or(|at_ms| at_ms > silent_ms + GONE_MS) {
                let text = format!("bob was silent from {silent_ms} ms and {what} at {told_ms:?}");
                self.violate("presence.no_ghost", text);
            }
        }
    }
}
