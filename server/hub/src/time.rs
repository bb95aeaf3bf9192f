//! Time as the hub knows it: two numbers, never mixed.

/// A moment, as told by the caller with every input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Time {
    /// Monotonic milliseconds since an arbitrary start: for timers.
    pub mono_ms: u64,
    /// Unix milliseconds: for stamps and tokens.
    pub unix_ms: u64,
}

impl Time {
    /// Unix seconds, as tokens count.
    pub fn unix_s(self) -> u64 {
        self.unix_ms / 1000
    }
}
