//! More load than a hub or its node can take.

use tidings_client_core::{Call, ClientEvent, ConnectionState, GapSource, Message};
use tidings_hub::Pressure;
use tidings_hub::ids::HubId;

use super::{LITTLE_BYTES, Probe};
use crate::world::ClientId;

/// How long a client floods: longer than is tolerated.
const FLOOD_MS: u64 = 20_000;
/// Messages of a flood per ten milliseconds, in which a user may send 0.6.
const PER_STEP: usize = 6;
/// Messages that arrive while a client is away, and their size.
const MISSED: usize = 200;
const MESSAGE_BYTES: usize = 1_000;

impl Probe {
    /// `limit.enforced`: a client that stays above five times its rate is disconnected for some
    /// time, and its session survives; another client is not affected.
    pub(super) fn flood(&mut self) {
        let (greedy, modest) = (self.log_in("alice"), self.log_in("bob"));
        let mut was_away = false;
        for _ in 0..FLOOD_MS / 10 {
            for _ in 0..PER_STEP {
                let call = Call::SendToPeer {
                    peer_id: "nobody".into(),
                    message: Message::Text("x".into()),
                    offline: false,
                    history: false,
                };
                if !was_away {
                    self.world.call(greedy, call);
                }
            }
            self.advance(10);
            was_away |= self.world.state(greedy) != ConnectionState::Connected;
        }
        if !was_away {
            let text = format!("a client flooded for {FLOOD_MS} ms and was not sent away");
            self.violate("limit.enforced", text);
        }
        self.advance(20_000);
        for client in [greedy, modest] {
            if self.world.state(client) != ConnectionState::Connected {
                let text = "a client is not connected 20 s after a flood".to_owned();
                self.violate("storm.recovers", text);
            }
        }
    }

    /// A member of the channel with a session on the first hub.
    fn member(&mut self, user: &str) -> ClientId {
        let client = self.world.add_client();
        self.world.places.insert(client, HubId::local(0));
        self.world.login(client, user, "");
        self.advance(1_000);
        self.join(client);
        client
    }

    fn write_to_channel(&mut self, sender: ClientId) {
        for n in 0..MISSED {
            self.send(sender, "x".repeat(MESSAGE_BYTES));
            if n % 20 == 0 {
                self.advance(50);
            }
        }
        self.advance(1_500);
    }

    fn come_back(&mut self, client: ClientId) {
        self.world.set_offline(client, false);
        self.world.wake(client);
        self.advance(3_000);
    }

    fn has_gap(&self, client: ClientId) -> bool {
        let is_gap = |event: &ClientEvent| {
            matches!(
                event,
                ClientEvent::Gap {
                    source: GapSource::Channel(_),
                    ..
                }
            )
        };
        self.events(client).any(is_gap)
    }

    /// `memory.bounded`: a hub that must free memory drops the buffers of those who have been away
    /// longest, who are notified; nobody is admitted in the meantime.
    pub(super) fn short_memory(&mut self) {
        let [sender, first, second] = ["alice", "bob", "carl"].map(|user| self.member(user));
        self.world.unplug(first);
        self.write_to_channel(sender);
        self.world.unplug(second);
        self.advance(100);
        let before = self.world.replay_bytes();
        self.write_to_channel(sender);
        // What only the first one misses.
        let excess_bytes = MISSED * MESSAGE_BYTES / 2;
        self.world.press(Pressure::High { excess_bytes });
        let after = self.world.replay_bytes();
        if before + MISSED * MESSAGE_BYTES < after + excess_bytes {
            let text = format!(
                "{excess_bytes} bytes were to be freed of {before} and more, {after} are left"
            );
            self.violate("memory.bounded", text);
        }
        let late = self.world.add_client();
        self.world.login(late, "dave", "");
        self.advance(1_000);
        if self.world.state(late) == ConnectionState::Connected {
            let text = "a client logged in while memory was short".to_owned();
            self.violate("memory.bounded", text);
        }
        self.come_back(second);
        if self.has_gap(second) {
            let text = "who was away for the shorter time has lost its messages first".to_owned();
            self.violate("queue.bounded", text);
        }
        self.come_back(first);
        let received = self.events(first);
        let is_message = |event: &&ClientEvent| matches!(event, ClientEvent::ChannelMessage { .. });
        if received.filter(is_message).count() < 2 * MISSED && !self.has_gap(first) {
            let text = "messages were dropped for want of memory, and nobody was told".to_owned();
            self.violate("gap.explicit", text);
        }
        self.world.press(Pressure::None);
        self.advance(6_000);
        if self.world.state(late) == ConnectionState::Disconnected {
            // Its first login was given up; repeating it is up to the application.
            self.world.login(late, "dave", "");
        }
        self.advance(11_000);
        if self.world.state(late) != ConnectionState::Connected {
            let text = "a client is not let in when there is memory again".to_owned();
            self.violate("storm.recovers", text);
        }
    }

    /// `queue.bounded`: all sessions of a hub together stay within their bound; connected ones lose
    /// nothing.
    pub(super) fn little_memory(&mut self) {
        let [sender, away] = ["alice", "bob"].map(|user| self.member(user));
        self.world.unplug(away);
        for _ in 0..3 {
            self.write_to_channel(sender);
            let kept = self.world.replay_bytes();
            let bound = 2 * LITTLE_BYTES;
            if kept > bound {
                let text = format!("{kept} bytes are kept for clients, of {bound}");
                self.violate("queue.bounded", text);
            }
        }
        self.come_back(away);
        if !self.has_gap(away) {
            let text = "what was dropped for want of room was not told".to_owned();
            self.violate("gap.explicit", text);
        }
        if self.world.state(sender) != ConnectionState::Connected {
            let text = "a client that reads was sent away for want of room".to_owned();
            self.violate("slow.isolated", text);
        }
    }
}
