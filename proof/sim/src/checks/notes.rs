//! What a run tells its checks of the world: what is in order, and what has happened.

use super::Checker;
use crate::world::ClientId;

impl Checker {
    /// Sessions end with their tokens, unknown to their clients.
    pub fn note_tokens(&mut self) {
        self.has_tokens = true;
    }

    /// There are several nodes.
    pub fn note_nodes(&mut self) {
        self.has_nodes = true;
    }

    /// The server's process has ended without handing over its sessions.
    pub fn note_crash(&mut self, at_ms: u64) {
        self.crashes_ms.push(at_ms);
    }

    /// A client has died.
    pub fn note_dead(&mut self, client: ClientId) {
        self.dead.insert(client);
    }

    /// A client is suspended for this long.
    pub fn note_pause(&mut self, client: ClientId, ms: u64) {
        *self.paused_ms.entry(client).or_default() += ms;
    }
}
