//! The domain: sessions, channels, presence, attributes and delivery; inputs in, effects out.
//!
//! A [`Hub`] is a single-threaded state machine that owns sessions. It does no I/O, reads no clock and draws
//! no random number: [`Hub::handle`] takes one [`Input`] with the time and gives [`Effect`]s to a [`Sink`].
//! A shell that owns sockets, a bus and a store carries the effects out; a simulator does the same with
//! simulated ones.

pub mod bus_ops;
pub mod config;
pub mod ids;
pub mod io;
pub mod store_ops;
pub mod time;

pub use config::{App, AppSettings, Apps, HubConfig};
pub use io::{Effect, Input, Sink, Ticket};
pub use time::Time;

/// A hub.
pub struct Hub {
    config: HubConfig,
}

impl Hub {
    /// Makes a hub without sessions.
    pub fn new(config: HubConfig) -> Self {
        Self { config }
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Time, input: Input, out: &mut dyn Sink) {
        let _ = (now, input, out, &self.config);
    }

    /// When the hub wants `Input::Tick` at the latest, in monotonic milliseconds; `None` = never.
    pub fn deadline(&self) -> Option<u64> {
        None
    }
}
