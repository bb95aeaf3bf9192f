//! How long a visit may take.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tidings_wire::limits::MEDIA_STALL_MS;
use tokio::time::Instant;

/// The longest that one request may take, answer included. A client that reads slower than that is cut off.
const VISIT: Duration = Duration::from_secs(60);

/// The same for the transfer of a file, as long as it goes on: 32 MB at 9 KB per second.
const TRANSFER: Duration = Duration::from_secs(3_600);

/// What is known of a visit's pace. Shared by the visit, its connection and its request.
#[derive(Debug, Clone)]
pub(super) struct Pace(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    begin: Instant,
    /// Milliseconds after `begin` at which a byte was last read or written.
    moved_ms: AtomicU64,
    is_transfer: AtomicBool,
    is_unread: AtomicBool,
}

impl Pace {
    pub(super) fn begin() -> Self {
        Self(Arc::new(Shared {
            begin: Instant::now(),
            moved_ms: AtomicU64::new(0),
            is_transfer: AtomicBool::new(false),
            is_unread: AtomicBool::new(false),
        }))
    }

    /// A byte was read or written.
    pub(super) fn moved(&self) {
        let ms = self.0.begin.elapsed().as_millis();
        let ms = u64::try_from(ms).unwrap_or(u64::MAX);
        self.0.moved_ms.store(ms, Ordering::Relaxed);
    }

    /// The request moves a file: it may last for as long as it makes progress.
    pub(super) fn becomes_transfer(&self) {
        self.0.is_transfer.store(true, Ordering::Relaxed);
    }

    /// The request is answered although its body has not been read to the end.
    pub(super) fn leaves_body(&self) {
        self.0.is_unread.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_left_body(&self) -> bool {
        self.0.is_unread.load(Ordering::Relaxed)
    }

    /// When the visit is over, as things stand.
    pub(super) fn deadline(&self) -> Instant {
        let Shared {
            begin, moved_ms, ..
        } = &*self.0;
        if !self.0.is_transfer.load(Ordering::Relaxed) {
            return *begin + VISIT;
        }
        let moved = Duration::from_millis(moved_ms.load(Ordering::Relaxed));
        let stalled = moved + Duration::from_millis(MEDIA_STALL_MS);
        *begin + stalled.min(TRANSFER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_transfer_lasts_while_it_moves_but_not_for_ever() {
        let pace = Pace::begin();
        let begin = Instant::now();
        let left = |pace: &Pace| (pace.deadline() - begin).as_secs();
        assert_eq!(left(&pace), 60);
        tokio::time::advance(Duration::from_secs(50)).await;
        pace.moved();
        assert_eq!(left(&pace), 60, "a page has no more time for moving");
        pace.becomes_transfer();
        assert_eq!(left(&pace), 170);
        tokio::time::advance(Duration::from_secs(3_540)).await;
        pace.moved();
        assert_eq!(left(&pace), 3_600);
    }
}
