//! The end of a run: faults have stopped, and everything must recover.

use tidings_client_core::ConnectionState;

use super::{CHANNELS, Chaos};
use crate::checks::Done;
use crate::world::ClientId;

/// Settling time after the faults: long enough for the grace, the longest back-off and the inbox's
/// pages.
const SETTLE_MS: u64 = 150_000;
/// By then, a login has been answered.
const LOGIN_WAIT_MS: u64 = 13_000;

impl Chaos {
    /// Faults have stopped: everybody reconnects, everything arrives, and all agree on who is
    /// present.
    pub(super) fn settle(&mut self) {
        let pause_ms = self.world.pause_left_ms();
        self.advance(pause_ms);
        self.heal_legacy();
        self.mend();
        self.mend_routes(u64::MAX);
        if !self.swarm.has_well_disk() {
            self.legacy.excuse_handed();
        }
        let all: Vec<ClientId> = self.users.keys().copied().collect();
        for client in all {
            self.world.set_offline(client, false);
        }
        self.advance_in_steps(LOGIN_WAIT_MS);
        for client in self.clients.clone() {
            if self.world.state(client) == ConnectionState::Disconnected {
                // Repeating a failed first login is up to the application.
                let user = self.user(&client);
                let token = self.token(&user);
                let id = self.world.login(client, &user, &token);
                self.checker
                    .note_call(self.world.now_ms(), client, id, Done::Other);
            }
        }
        self.advance_in_steps(SETTLE_MS);
        self.find_the_last();
        self.check_legacy();
        for client in self.clients.clone() {
            if self.world.state(client) != ConnectionState::Connected {
                let text = format!("{client:?} is {:?} at the end", self.world.state(client));
                self.checker.violate_now("presence.no_ghost", text);
            }
        }
        for channel in CHANNELS {
            self.check_members(channel);
            self.check_counts(channel);
            self.check_attributes(channel);
            self.check_history(channel);
        }
        self.check_open_logins();
        self.advance(15_000);
        self.backend.finish(&mut self.world, &mut self.checker);
        // Order: from here on, nobody is the client that has sent, or been called.
        self.invitations.judge(self.world.is_disk_broken());
        self.check_inboxes();
        self.check_leftovers();
    }

    /// `event.one_logout`: whoever is there has one login without a logout.
    fn check_open_logins(&mut self) {
        // A node that was killed has left its logins open: its own next process would close them.
        if self.world.is_disk_broken() || !self.has_invitations {
            return;
        }
        let open = self.world.open_logins();
        for client in self.clients.clone() {
            let user = self.user(&client);
            let count = open.get(&user).copied().unwrap_or(0);
            if self.world.state(client) == ConnectionState::Connected && count != 1 {
                let text = format!("{user} is there and has {count} logins without a logout");
                self.checker.violate_now("event.one_logout", text);
            }
        }
    }

    /// `session.single_owner`: exactly one of a user's clients is served. Usually it is the one
    /// that logged in last; a restarted server does not know which one that was.
    fn find_the_last(&mut self) {
        for at in 0..self.clients.len() {
            let user = self.user(&self.clients[at]);
            let served: Vec<ClientId> = (self.users.iter())
                .filter(|(_, of)| **of == user)
                .map(|(client, _)| *client)
                .filter(|client| self.world.state(*client) == ConnectionState::Connected)
                .collect();
            match served[..] {
                [client] => self.clients[at] = client,
                [] => {}
                _ => {
                    let text = format!("{served:?} are served, all of them {user}");
                    self.checker.violate_now("session.single_owner", text);
                }
            }
        }
    }
}
