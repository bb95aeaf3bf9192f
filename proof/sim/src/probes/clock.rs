//! A wall clock that jumps.

use tidings_client_core::{
    Answer, Attribute, AttributeWrite, Call, ClientEvent, Conversation, HistoryRange, Message,
};

use super::sessions::token;
use super::{CERTIFICATE, Probe};

const HOUR_MS: i64 = 3_600_000;
const YEAR_MS: i64 = 365 * 24 * HOUR_MS;

impl Probe {
    /// `clock.monotone_ts`: the stamps of a channel and of its attributes never go backwards.
    pub(super) fn clock_goes_back(&mut self) {
        let (sender, reader) = (self.log_in("alice"), self.log_in("bob"));
        self.join(sender);
        self.join(reader);
        for jump_ms in [0, -HOUR_MS, 2 * HOUR_MS, -3 * HOUR_MS] {
            self.world.jump_clock(jump_ms);
            for n in 0..3 {
                self.send(sender, format!("m{n}"));
                self.advance(100);
            }
            let write = Call::WriteChannelAttributes {
                channel: "room".into(),
                how: AttributeWrite::Merge,
                attributes: vec![Attribute::new("word", "more")],
                notify: true,
            };
            self.world.call(sender, write);
            self.advance(1_000);
        }
        let stamps: Vec<u64> = (self.events(reader))
            .filter_map(|event| match event {
                ClientEvent::ChannelMessage { server_ts_ms, .. } => Some(*server_ts_ms),
                _ => None,
            })
            .collect();
        if stamps.len() != 12 || !stamps.is_sorted() {
            let text = format!("12 messages were sent, their stamps are {stamps:?}");
            self.violate("clock.monotone_ts", text);
        }
        let stamps: Vec<u64> = (self.events(reader))
            .filter_map(|event| match event {
                ClientEvent::ChannelAttributes { attributes, .. } => Some(attributes),
                _ => None,
            })
            .flat_map(|attributes| attributes.iter().map(|attribute| attribute.updated_ts_ms))
            .collect();
        if stamps.len() != 4 || !stamps.is_sorted() {
            let text = format!("an attribute was written 4 times, its stamps are {stamps:?}");
            self.violate("clock.monotone_ts", text);
        }
    }

    /// `clock.monotone_ts`: one hub has seen the clock jump ahead for a moment, the other has not.
    /// Stamps in one channel, and for one receiver, do not go backwards.
    pub(super) fn two_clocks(&mut self) {
        let names = ["alice", "bob", "carl"];
        let clients = names.map(|user| {
            let client = self.world.add_client();
            self.world.place(client, u16::from(user == "bob"));
            self.world.login(client, user, "");
            self.advance(1_000);
            self.join(client);
            client
        });
        self.world.jump_clock(HOUR_MS);
        self.send_stored(clients[0], "carl", "ahead".into());
        self.send(clients[0], "ahead".into());
        self.advance(1);
        self.world.jump_clock(-HOUR_MS);
        for _ in 0..3 {
            for sender in [clients[1], clients[0]] {
                self.send_stored(sender, "carl", "after".into());
                self.send(sender, "after".into());
                self.advance(500);
            }
        }
        self.advance(2_000);
        for is_channel in [true, false] {
            let stamps = self.events(clients[2]).filter_map(|event| match event {
                ClientEvent::ChannelMessage { server_ts_ms, .. } if is_channel => {
                    Some(*server_ts_ms)
                }
                ClientEvent::PeerMessage { server_ts_ms, .. } if !is_channel => Some(*server_ts_ms),
                _ => None,
            });
            let stamps: Vec<u64> = stamps.collect();
            if stamps.len() != 7 || !stamps.is_sorted() {
                let text =
                    format!("7 messages were sent from two hubs, with the stamps {stamps:?}");
                self.violate("clock.monotone_ts", text);
            }
        }
    }

    /// `clock.no_mass_expiry`: a clock that is years ahead for some minutes deletes nothing.
    pub(super) fn clock_goes_ahead(&mut self) {
        let (sender, member) = (self.log_in("alice"), self.log_in("carl"));
        self.join(sender);
        self.join(member);
        let kept = Call::SendToChannel {
            channel: "room".into(),
            message: Message::Text("kept".into()),
            history: true,
        };
        self.world.call(sender, kept);
        let first = self.send_stored(sender, "bob", "before".into());
        self.advance(2_000);
        self.world.jump_clock(10 * YEAR_MS);
        let second = self.send_stored(sender, "bob", "ahead".into());
        self.advance(300_000);
        self.world.jump_clock(-10 * YEAR_MS);
        let third = self.send_stored(sender, "bob", "after".into());
        self.advance(2_000);
        let receiver = self.log_in("bob");
        self.advance(5_000);
        let texts = self.peer_texts(receiver);
        let stored = [first, second, third]
            .into_iter()
            .filter(|call| self.is_stored(*call));
        if stored.count() != 3 || texts != ["before", "ahead", "after"] {
            let text = format!("3 messages were stored while the clock jumped, {texts:?} came");
            self.violate("clock.no_mass_expiry", text);
        }
        let read = Call::ReadHistory {
            conversation: Conversation::Channel("room".into()),
            range: HistoryRange::default(),
        };
        let id = self.world.call(member, read);
        self.advance(2_000);
        let is_there = matches!(self.answer_to(id), Some(Ok(Answer::History(page))) if page.messages.len() == 1);
        if !is_there {
            let text = format!("the history was lost: {:?}", self.answer_to(id));
            self.violate("clock.no_mass_expiry", text);
        }
    }

    /// `auth.vectors`: tokens follow the clock, even when it is corrected.
    pub(super) fn tokens_by_the_clock(&mut self) {
        for jump_ms in [0, 10 * YEAR_MS, -10 * YEAR_MS] {
            self.world.jump_clock(jump_ms);
            self.advance(1_000);
            let now_s = self.world.unix_ms() / 1_000;
            let line = self.world.open_raw(0);
            let token = token("alice", CERTIFICATE, now_s, 600);
            self.world.login_raw(line, "alice", &token);
            self.advance(1_500);
            if self.world.welcome(line).is_none() {
                let text = format!("a good token was refused after a jump by {jump_ms} ms");
                self.violate("auth.vectors", text);
            }
        }
    }
}
