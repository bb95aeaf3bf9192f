//! How far a transfer is: for its listener, and for the time after which it counts as stalled.

use std::sync::{Arc, Mutex, PoisonError};

use tidings_wire::limits::{MEDIA_PROGRESS_MS, MEDIA_STALL_MS};
use tokio::time::{Duration, Instant};

use super::{Listener, Progress};

/// Shared by a transfer and its body. Touched once per piece.
#[derive(Clone)]
pub(super) struct Meter(Arc<Mutex<State>>);

struct State {
    total: u64,
    current: u64,
    moved_at: Instant,
    told: Option<(Instant, u64)>,
    listener: Option<Listener>,
}

impl Meter {
    pub(super) fn begin(total: u64, listener: Option<Listener>) -> Self {
        Self(Arc::new(Mutex::new(State {
            total,
            current: 0,
            moved_at: Instant::now(),
            told: None,
            listener,
        })))
    }

    pub(super) fn set_total(&self, total: u64) {
        self.lock().total = total;
    }

    /// Some bytes more. Tells the listener if it is time.
    pub(super) fn moved(&self, bytes: usize) {
        let mut state = self.lock();
        let now = Instant::now();
        state.current += bytes as u64;
        state.moved_at = now;
        let (current, total) = (state.current, state.total);
        let is_due = state.told.is_none_or(|(at, told)| {
            let is_late = now - at >= Duration::from_millis(MEDIA_PROGRESS_MS);
            told != current && (is_late || current == total)
        });
        if is_due {
            state.told = Some((now, current));
            if let Some(listener) = &mut state.listener {
                listener(Progress { current, total });
            }
        }
    }

    /// When the transfer counts as stalled, as things stand.
    pub(super) fn deadline(&self) -> Instant {
        self.lock().moved_at + Duration::from_millis(MEDIA_STALL_MS)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn progress_is_told_once_a_second_and_at_the_end() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let its_seen = seen.clone();
        let listener = move |progress: Progress| {
            its_seen
                .lock()
                .expect("not poisoned")
                .push(progress.current);
        };
        let meter = Meter::begin(100, Some(Box::new(listener)));
        for _ in 0..10 {
            meter.moved(10);
            tokio::time::advance(Duration::from_millis(300)).await;
        }
        meter.moved(0);
        assert_eq!(*seen.lock().expect("not poisoned"), [10, 50, 90, 100]);
        let left = meter.deadline() - Instant::now();
        assert_eq!(left, Duration::from_millis(MEDIA_STALL_MS));
    }
}
