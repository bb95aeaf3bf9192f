//! The clocks: one of the world, a wall clock of the server, one of each client.

use super::{ClientId, START_UNIX_MS, World};

impl World {
    /// The wall clock, Unix milliseconds.
    pub fn unix_ms(&self) -> u64 {
        let drift_ms = self.now_ms as i64 * self.wall_ppm / 1_000_000;
        (START_UNIX_MS + self.now_ms).saturating_add_signed(self.wall_ahead_ms + drift_ms)
    }

    /// Gives a client's monotonic clock an earlier origin, and makes it run fast by some parts in a
    /// million.
    pub fn set_client_clock(&mut self, client: ClientId, offset_ms: u64, ppm: i64) {
        self.client_clocks.insert(client, (offset_ms, ppm));
    }

    /// Makes the wall clock run fast by some parts in a million.
    pub fn set_wall_drift(&mut self, ppm: i64) {
        self.wall_ppm = ppm;
    }

    /// Corrects the wall clock.
    pub fn set_clock_right(&mut self) {
        self.wall_ahead_ms = 0;
    }

    /// The time on a client's clock.
    pub(crate) fn client_ms(&self, client: ClientId) -> u64 {
        match self.client_clocks.get(&client) {
            Some((offset_ms, ppm)) => {
                let drift_ms = self.now_ms as i64 * ppm / 1_000_000;
                (self.now_ms + offset_ms).saturating_add_signed(drift_ms)
            }
            None => self.now_ms,
        }
    }

    /// When a client's clock will first show a time.
    pub(super) fn client_due_ms(&self, at: usize, local_ms: u64) -> u64 {
        match self.client_clocks.get(&ClientId(at)) {
            Some((offset_ms, ppm)) => {
                let local_ms = local_ms.saturating_sub(*offset_ms);
                let due_ms = local_ms as i128 * 1_000_000 / (1_000_000 + i128::from(*ppm));
                u64::try_from(due_ms + 2).unwrap_or(u64::MAX)
            }
            None => local_ms,
        }
    }

    /// Makes the server's wall clock jump, and no other clock.
    pub fn jump_clock(&mut self, by_ms: i64) {
        self.note(format_args!("the wall clock jumps by {by_ms} ms"));
        self.wall_ahead_ms += by_ms;
    }
}
