//! The clock of a node: read once per turn, given to the hub as a number.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tidings_hub::Time;

/// One monotonic base for all hubs of the node, so that their numbers may be compared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    pub(crate) fn now(&self) -> Time {
        // A wall clock before 1970 is told as 1970: the hub only ever goes forward from there.
        let unix = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Time {
            mono_ms: millis(self.start.elapsed()),
            unix_ms: millis(unix),
        }
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
