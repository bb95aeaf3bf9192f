//! A wall clock that jumps.

use tidings_client_core::ClientEvent;

use super::Probe;

const HOUR_MS: i64 = 3_600_000;

impl Probe {
    /// `clock.monotone_ts`: the stamps of a channel never go back.
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
    }
}
