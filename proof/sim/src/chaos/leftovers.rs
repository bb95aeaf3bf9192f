//! At the very end: nothing that was received comes again, and nothing remains of users who have
//! gone.

use super::*;

/// By then, a login has received its first page of stored messages.
const PAGE_MS: u64 = 10_000;
/// By then, a logout is complete everywhere, and every question has been answered or has timed out.
const LOGOUT_MS: u64 = 20_000;

impl Chaos {
    /// `inbox.dedup`, `ack.truthful`: every user has received everything, so a new client gets
    /// nothing. Otherwise it would now get a stored form whose live form was confirmed (contract
    /// OFF-6), or something stored while its receiver was connected.
    pub(super) fn check_inboxes(&mut self) {
        for at in 0..self.clients.len() {
            let user = self.user(&self.clients[at]);
            self.clients[at] = self.log_in(user);
        }
        self.advance_in_steps(PAGE_MS);
        for client in self.clients.clone() {
            self.checker.check_rest(client);
        }
    }

    /// `queue.bounded`: when everybody has logged out, the hubs hold nothing for anybody.
    pub(super) fn check_leftovers(&mut self) {
        for client in self.clients.clone() {
            let id = self.world.logout(client);
            let now_ms = self.world.now_ms();
            self.checker.note_call(now_ms, client, id, Done::Other);
        }
        self.log_out_legacy();
        self.advance_in_steps(LOGOUT_MS);
        // A sweep may be in progress.
        let until_ms = self.world.now_ms() + LOGOUT_MS;
        self.world
            .run_while(until_ms, |world| world.held().open > 0);
        let held = self.world.held();
        if held != crate::inside::Held::default() {
            let text = format!("everybody has logged out; the hubs hold {held:?}");
            self.checker.violate_now("queue.bounded", text);
        }
    }
}
