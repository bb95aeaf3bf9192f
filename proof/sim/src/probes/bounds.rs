//! Bounds, rates and tenants.

use tidings_client_core::{
    Answer, Attribute, AttributeWrite, Call, ClientEvent, ConnectionState, GapSource, Message,
    PresenceState,
};

use super::{OTHER_APP_ID, Probe};
use crate::world::{ClientId, Seen};

/// More messages than an outbox holds.
const FLOOD: usize = 1_300;
/// Messages that an outbox holds.
const OUTBOX_MAX: u64 = 1_024;
/// Calls that a client without a link holds.
const WAITING_MAX: usize = 1_000;
/// Clients that reconnect at once.
const CROWD: usize = 60;
/// When after a restart the return of clients is checked, in milliseconds, and how many may be
/// missing: all but a hundredth are back after 20 s (contract OVL-7), and all after the longest
/// back-off (OVL-5).
const BACK: [(u64, usize); 2] = [(20_000, CROWD.div_ceil(100)), (31_000, 0)];
/// More messages than an inbox holds, and how many it holds.
const STORED: usize = 230;
const INBOX_MAX: usize = 200;

impl Probe {
    /// `gap.explicit`: what exceeds the outbox of an absent client is reported as missed.
    pub(super) fn full_outbox(&mut self) {
        let (sender, away) = (self.log_in("alice"), self.log_in("bob"));
        self.join(sender);
        self.join(away);
        self.world.unplug(away);
        for n in 0..FLOOD {
            self.send(sender, format!("m{n}"));
            if n % 100 == 0 {
                self.advance(50);
            }
        }
        self.advance(2_000);
        self.world.set_offline(away, false);
        self.world.wake(away);
        self.advance(20_000);
        let (mut received, mut missed, mut is_late) = (0, 0, false);
        for event in self.events(away) {
            match event {
                ClientEvent::ChannelMessage { .. } => received += 1,
                ClientEvent::Gap {
                    source: GapSource::Channel(_),
                    missed: count,
                    ..
                } => {
                    is_late |= received > 0;
                    missed += count.unwrap_or(0);
                }
                _ => {}
            }
        }
        if is_late {
            let text = "a gap came after a message that was sent after what is missing".to_owned();
            self.violate("gap.explicit", text);
        }
        if received > OUTBOX_MAX {
            let text = format!("{received} messages were kept for a client that was away");
            self.violate("queue.bounded", text);
        }
        // The gap counts the channel's other events too.
        let told = received + missed;
        if !(FLOOD as u64..FLOOD as u64 + 20).contains(&told) {
            let text =
                format!("{FLOOD} messages were sent, {received} received, {missed} told as missed");
            self.violate("gap.explicit", text);
        }
    }

    /// `gap.explicit`: what an inbox drops is reported, with its count, before the first stored
    /// message.
    pub(super) fn full_inbox(&mut self) {
        let sender = self.log_in("alice");
        for n in 0..STORED {
            let call = Call::SendToPeer {
                peer_id: "bob".into(),
                message: Message::Text(format!("m{n}")),
                offline: true,
                history: false,
            };
            self.world.call(sender, call);
            self.advance(20);
        }
        self.advance(2_000);
        let receiver = self.log_in("bob");
        self.advance(10_000);
        let mut received = 0;
        let mut missed = None;
        for event in self.events(receiver) {
            match event {
                ClientEvent::PeerMessage { .. } => received += 1,
                ClientEvent::Gap {
                    source: GapSource::Inbox,
                    missed: count,
                    ..
                } if received == 0 => {
                    missed = *count;
                }
                _ => {}
            }
        }
        let dropped = STORED - INBOX_MAX;
        if received != INBOX_MAX || missed != Some(dropped as u64) {
            let text = format!(
                "{STORED} were stored, {received} came, {missed:?} told as missed; {INBOX_MAX} and {dropped} are due"
            );
            self.violate("gap.explicit", text);
        }
        // Once reported and confirmed, it is not reported again.
        let again = self.log_in("bob");
        self.advance(5_000);
        let is_gap = |event: &ClientEvent| matches!(event, ClientEvent::Gap { .. });
        if self.events(again).any(is_gap) {
            let text = "what an inbox has dropped was told twice".to_owned();
            self.violate("gap.no_false_alarm", text);
        }
    }

    /// `tenant.isolated`: two apps use the same names, and nothing crosses.
    pub(super) fn two_apps(&mut self) {
        let ours = [self.log_in("alice"), self.log_in("bob")];
        let theirs = ["alice", "bob"].map(|user| {
            let client = self.world.add_client();
            self.world.login_to(client, OTHER_APP_ID, user, "");
            self.advance(1_000);
            client
        });
        for (sender, receiver) in [(ours, theirs), (theirs, ours)] {
            sender.into_iter().for_each(|client| self.join(client));
            receiver.into_iter().for_each(|client| self.join(client));
        }
        self.send(ours[0], "ours".into());
        self.send(theirs[0], "theirs".into());
        self.advance(2_000);
        for (clients, own) in [(ours, "ours"), (theirs, "theirs")] {
            let seen: Vec<String> = (self.events(clients[1]))
                .filter_map(|event| match event {
                    ClientEvent::ChannelMessage {
                        message: Message::Text(text),
                        ..
                    } => Some(text.clone()),
                    _ => None,
                })
                .collect();
            if seen != [own] {
                let text = format!("bob of the app with {own:?} received {seen:?}");
                self.violate("tenant.isolated", text);
            }
        }
    }

    /// `presence.no_flap_on_resume`: a second login takes over the user; nobody sees it go.
    pub(super) fn second_login(&mut self) {
        let watcher = self.log_in("bob");
        let first = self.log_in("alice");
        let attributes = vec![Attribute::new("k", "v")];
        let how = AttributeWrite::Set;
        self.world
            .call(first, Call::WriteUserAttributes { how, attributes });
        let user_ids = vec!["alice".to_owned()];
        self.world
            .call(watcher, Call::SubscribePresence { user_ids });
        self.advance(2_000);
        let second = self.log_in("alice");
        self.advance(2_000);
        let is_gone = |event: &ClientEvent| {
            matches!(event, ClientEvent::PresenceChanged { users }
                if users.iter().any(|(_, state)| *state == PresenceState::Offline))
        };
        if self.events(watcher).any(is_gone) {
            let text = "alice was told to be off line by her second login".to_owned();
            self.violate("presence.no_flap_on_resume", text);
        }
        let (user_id, keys) = ("alice".to_owned(), Vec::new());
        let id = self
            .world
            .call(watcher, Call::ReadUserAttributes { user_id, keys });
        self.advance(2_000);
        let has_them = self.records.iter().any(|record| {
            matches!(&record.what, Seen::Answer { id: of, result: Ok(Answer::Attributes(all)) }
                if *of == id && all.len() == 1)
        });
        if !has_them {
            let text = "the attributes of alice are gone after her second login".to_owned();
            self.violate("attr.no_lost_update", text);
        }
        self.world.logout(second);
        self.advance(2_000);
        self.log_in("alice");
        let (user_id, keys) = ("alice".to_owned(), Vec::new());
        let id = self
            .world
            .call(watcher, Call::ReadUserAttributes { user_id, keys });
        self.advance(2_000);
        if self.answer_to(id) != Some(&Ok(Answer::Attributes(Vec::new()))) {
            let text = format!(
                "alice's attributes did not end with her logout: {:?}",
                self.answer_to(id)
            );
            self.violate("attr.no_lost_update", text);
        }
    }

    /// `limit.enforced`: of 300 simultaneous messages, 180 are accepted (rtm 2.1).
    pub(super) fn rates(&mut self) {
        let sender = self.log_in("alice");
        let calls: Vec<_> = (0..300)
            .map(|n| {
                let call = Call::SendToPeer {
                    peer_id: "nobody".into(),
                    message: Message::Text(format!("m{n}")),
                    offline: false,
                    history: false,
                };
                self.world.call(sender, call)
            })
            .collect();
        self.advance(1_000);
        let sent = self.records.iter().filter(|record| match &record.what {
            Seen::Answer { id, result } => {
                calls.contains(id) && matches!(result, Ok(Answer::PeerSent { .. }))
            }
            Seen::Event(_) => false,
        });
        let sent = sent.count();
        if !(180..=250).contains(&sent) {
            self.violate(
                "limit.enforced",
                format!("{sent} of 300 messages were sent in one second"),
            );
        }
    }

    /// `queue.bounded`: a client without a link keeps a thousand calls; further ones fail at once.
    pub(super) fn full_client(&mut self) {
        let client = self.log_in("alice");
        self.world.unplug(client);
        self.advance(100);
        for n in 0..WAITING_MAX + 50 {
            self.send_stored(client, "bob", format!("m{n}"));
        }
        self.records.extend(self.world.take_records());
        let refused = (self.records.iter())
            .filter(|record| matches!(record.what, Seen::Answer { result: Err(_), .. }))
            .count();
        if refused < 50 {
            let text = format!(
                "{refused} of {} calls were refused at once",
                WAITING_MAX + 50
            );
            self.violate("queue.bounded", text);
        }
    }

    /// `slow.isolated`: one member reads nothing; the others get every message, in time.
    pub(super) fn silent_reader(&mut self) {
        let (sender, other) = (self.log_in("alice"), self.log_in("bob"));
        let silent = self.log_in("carl");
        for client in [silent, sender, other] {
            self.join(client);
        }
        self.world.freeze(silent);
        for n in 0..FLOOD {
            self.send(sender, format!("m{n} {}", "x".repeat(1_000)));
            if n % 50 == 0 {
                self.advance(50);
            }
        }
        self.advance(1_000);
        let is_message = |event: &&ClientEvent| matches!(event, ClientEvent::ChannelMessage { .. });
        let received = self.events(other).filter(is_message).count();
        if received != FLOOD {
            let text = format!("{FLOOD} messages were sent, a fast reader has {received}");
            self.violate("slow.isolated", text);
        }
    }

    /// `limit.fair`: one user sends far too much; another one is not refused.
    pub(super) fn fair_rates(&mut self) {
        let (greedy, modest) = (self.log_in("alice"), self.log_in("bob"));
        let call = |n: usize| Call::SendToPeer {
            peer_id: "nobody".into(),
            message: Message::Text(format!("m{n}")),
            offline: false,
            history: false,
        };
        for n in 0..250 {
            self.world.call(greedy, call(n));
        }
        self.advance(50);
        let calls: Vec<_> = (0..20).map(|n| self.world.call(modest, call(n))).collect();
        self.advance(1_000);
        let is_sent = |id: &u64| matches!(self.answer_to(*id), Some(Ok(_)));
        let sent = calls.iter().filter(|id| is_sent(id)).count();
        if sent != calls.len() {
            let text = format!("{sent} of 20 messages of a modest user were taken");
            self.violate("limit.fair", text);
        }
    }

    /// `storm.recovers`: the server is killed and restarted; everybody is back soon, and nobody was
    /// seen to leave.
    pub(super) fn storm(&mut self) {
        let clients: Vec<_> = (0..CROWD).map(|n| self.log_in(&format!("u{n}"))).collect();
        for client in &clients {
            self.join(*client);
        }
        self.world.kill_server();
        self.advance(2_000);
        self.world.start_server();
        let restarted_ms = self.world.now_ms();
        for (within_ms, most_missing) in BACK {
            self.advance(restarted_ms + within_ms - self.world.now_ms());
            let is_back =
                |client: &&ClientId| self.world.state(**client) == ConnectionState::Connected;
            let back = clients.iter().filter(is_back).count();
            if back + most_missing < CROWD {
                let text = format!("{back} of {CROWD} clients are back after {within_ms} ms");
                self.violate("storm.recovers", text);
            }
        }
        let is_leave = |event: &&ClientEvent| matches!(event, ClientEvent::MemberLeft { .. });
        let left: usize = (clients.iter())
            .map(|client| self.events(*client).filter(is_leave).count())
            .sum();
        if left > 0 {
            let text = format!("{left} times a member was told to have left by a restart");
            self.violate("presence.no_flap_on_resume", text);
        }
    }
}
