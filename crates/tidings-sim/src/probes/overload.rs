//! More than a hub or its node can bear.

use tidings_client_core::{Call, ConnectionState, Message};

use super::Probe;

/// How long a client floods: longer than is borne.
const FLOOD_MS: u64 = 20_000;
/// Messages of a flood in ten milliseconds, of which a user may send 0.6.
const PER_STEP: usize = 6;

impl Probe {
    /// `limit.enforced`: a client that stays above five times its rate is sent away for a while, and its session goes
    /// on; another is not.
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
}
