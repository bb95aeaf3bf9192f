//! What a logout, a login or another hub does not reset (contract 6.4).

use tidings_client_core::{Call, CallId, ConnectionState, Message};
use tidings_hub::ids::HubId;

use super::Probe;
use crate::world::ClientId;

/// Messages that a user may send in one burst.
const BURST: usize = 180;

impl Probe {
    /// `limit.enforced`: a used-up rate stays used up, even after a logout and a login on another
    /// hub.
    pub(super) fn rates_of_logins(&mut self) {
        let mut sent = Vec::new();
        let mut client = self.log_in_at(0, "alice");
        for hub in [1, 0] {
            sent.extend(self.burst(client));
            self.advance(200);
            self.world.logout(client);
            self.advance(200);
            client = self.log_in_at(hub, "alice");
        }
        // One login replaces another.
        sent.extend(self.burst(client));
        self.advance(200);
        client = self.log_in_at(1, "alice");
        sent.extend(self.burst(client));
        self.advance(1_000);
        let taken = sent
            .iter()
            .filter(|id| matches!(self.answer_to(**id), Some(Ok(_))))
            .count();
        // 60 a second on top of the burst, over at most 5 s.
        if taken > BURST + 5 * 60 {
            let text = format!("{taken} messages of one user were taken in 5 s over 4 logins");
            self.violate("limit.enforced", text);
        }
        if taken < BURST {
            let text = format!("only {taken} messages of one user were taken");
            self.violate("limit.enforced", text);
        }
    }

    /// `limit.enforced`: a user disconnected for its rates stays out for the stated time, whatever
    /// its client does.
    pub(super) fn hasty_flooder(&mut self) {
        let greedy = self.log_in_at(0, "alice");
        let mut since_ms = None;
        for _ in 0..2_000 {
            for _ in 0..6 {
                self.message(greedy);
            }
            self.advance(10);
            if self.world.state(greedy) != ConnectionState::Connected {
                since_ms = Some(self.world.now_ms());
                break;
            }
        }
        let Some(since_ms) = since_ms else {
            let text = "a client flooded for 20 s and was not sent away".to_owned();
            return self.violate("limit.enforced", text);
        };
        let second = self.world.add_client();
        self.world.places.insert(second, HubId::local(1));
        // The client notices a lost link 4 s later; it was told to stay away for 5.
        while self.world.now_ms() < since_ms + 700 {
            if self.world.state(second) == ConnectionState::Disconnected {
                self.world.login(second, "alice", "");
            }
            self.advance(100);
            if self.world.state(second) == ConnectionState::Connected {
                let ms = self.world.now_ms() - since_ms;
                let text = format!("a user that was sent away for 5 s was let in after {ms} ms");
                return self.violate("limit.enforced", text);
            }
        }
        self.advance(10_000);
        let third = self.log_in_at(1, "alice");
        if self.world.state(third) != ConnectionState::Connected {
            let text = "a user is not let in 10 s after its flood".to_owned();
            self.violate("storm.recovers", text);
        }
    }

    fn burst(&mut self, client: ClientId) -> Vec<CallId> {
        (0..BURST).map(|_| self.message(client)).collect()
    }

    fn message(&mut self, client: ClientId) -> CallId {
        let call = Call::SendToPeer {
            peer_id: "nobody".into(),
            message: Message::Text("x".into()),
            offline: false,
            history: false,
        };
        self.world.call(client, call)
    }
}
