//! What a hub gives up when memory is short: buffers of clients that are away, then slow clients
//! (contract OVL-4, DEL-12).
//!
//! The hub does not know how much memory there is: its shell measures, and says how much to free.

use tidings_fault::fault;
use tidings_wire::codes::CloseCode;
use tidings_wire::limits::OVERLOADED_WAIT_MS;

use crate::Pressure;
use crate::hub::Hub;
use crate::ids::{ConnectionId, SessionKey};
use crate::io::Sink;
use crate::kernel::session::End;

/// A client for which less than this is waiting is not sent away for want of memory: nothing would
/// be gained.
const SLOW_BYTES_MIN: usize = 4 * 1024;

/// When the buffers of all sessions are over their bound, they are brought down to this part of it,
/// in percent, so that not every frame has them looked through.
const BOUND_REACHED: usize = 90;

impl Hub {
    /// Sets the bound on the frames that are kept for clients, in bytes; a frame for many counts
    /// once. Without it there is none but that of each session.
    #[must_use]
    pub fn with_replay_bytes_max(mut self, bytes: usize) -> Self {
        self.memory.replay_bytes_max = bytes;
        self
    }

    /// The shell has measured.
    pub(crate) fn handle_pressure(&mut self, pressure: Pressure, out: &mut dyn Sink) {
        self.memory.pressure = pressure;
        let (excess_bytes, sends_away) = match pressure {
            Pressure::None => return,
            Pressure::High { excess_bytes } => (excess_bytes, false),
            Pressure::Critical { excess_bytes } => (excess_bytes, true),
        };
        if fault!(HubKeepsItsMemory) {
            return;
        }
        let target = self.kernel.replay_bytes.get().saturating_sub(excess_bytes);
        self.drop_detached(target);
        if sends_away {
            self.send_slow_away(target, out);
            self.end_detached(target, out);
        }
    }

    /// All sessions together have more than their bound.
    pub(crate) fn bound_replay(&mut self, out: &mut dyn Sink) {
        if fault!(SessionsHaveNoCommonBound) {
            return;
        }
        let target = self.memory.replay_bytes_max / 100 * BOUND_REACHED;
        self.drop_detached(target);
        self.send_slow_away(target, out);
        self.end_detached(target, out);
    }

    /// Whether nobody is let in for want of memory; answers the login.
    pub(crate) fn refuse_for_memory(
        &mut self,
        connection: ConnectionId,
        out: &mut dyn Sink,
    ) -> bool {
        if self.memory.pressure == Pressure::None || fault!(LoginsIgnoreShortMemory) {
            return false;
        }
        let wait_ms = self.kernel.rng.spread(OVERLOADED_WAIT_MS);
        self.refuse_overloaded(connection, wait_ms, out);
        true
    }

    /// Sessions without a connection for which something is kept, those of the longest away first.
    fn detached(&self) -> Vec<SessionKey> {
        let away =
            self.kernel.sessions.iter().filter(|(_, session)| {
                session.connection.is_none() && session.outbox.bytes_kept() > 0
            });
        let mut away: Vec<_> = away
            .map(|(key, session)| (session.link.heard_ms, key))
            .collect();
        away.sort_by_key(|(heard_ms, _)| {
            if fault!(LatestAbsenceIsDroppedFirst) {
                u64::MAX - heard_ms
            } else {
                *heard_ms
            }
        });
        away.into_iter().map(|(_, key)| key).collect()
    }

    /// Drops what sessions without a connection may miss: a gap when they are back.
    fn drop_detached(&mut self, target: usize) {
        debug_assert!(
            target <= self.memory.replay_bytes_max,
            "more is left than the bound"
        );
        if self.kernel.replay_bytes.get() <= target {
            return;
        }
        for key in self.detached() {
            if let Some(session) = self.kernel.sessions.get_mut(key) {
                session.outbox.drop_replay();
            }
            if self.kernel.replay_bytes.get() <= target {
                return;
            }
        }
    }

    /// Sends the clients away for which most is waiting.
    fn send_slow_away(&mut self, target: usize, out: &mut dyn Sink) {
        if self.kernel.replay_bytes.get() <= target {
            return;
        }
        let mut slow: Vec<_> = self
            .kernel
            .sessions
            .iter()
            .filter(|(_, session)| session.connection.is_some())
            .map(|(key, session)| (session.outbox.bytes_kept(), key))
            .filter(|(bytes, _)| *bytes >= SLOW_BYTES_MIN)
            .collect();
        slow.sort_by_key(|(bytes, _)| usize::MAX - bytes);
        debug_assert!(slow.is_sorted_by(|a, b| a.0 >= b.0), "the largest go first");
        // The shell holds copies of small frames for each of them, which go with the connection.
        let mut copies = 0;
        for (bytes, key) in slow {
            self.kernel.detach(key, Some(CloseCode::SlowConsumer), out);
            if let Some(session) = self.kernel.sessions.get_mut(key) {
                session.outbox.drop_replay();
            }
            copies += bytes;
            if self.kernel.replay_bytes.get() <= target.saturating_add(copies) {
                return;
            }
        }
    }

    /// The last resort: what may not be dropped goes with its session. Peer messages that ask to be
    /// stored are stored.
    fn end_detached(&mut self, target: usize, out: &mut dyn Sink) {
        if self.kernel.replay_bytes.get() <= target {
            return;
        }
        for key in self.detached() {
            self.end_session(key, End::WindowOver, out);
            if self.kernel.replay_bytes.get() <= target {
                return;
            }
        }
    }
}
