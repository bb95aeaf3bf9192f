//! How long a visit may take, and how slow it may be.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use tidings_wire::limits::{MEDIA_RATE_MIN, MEDIA_RATE_WINDOW_MS, VISIT_MS};
use tokio::time::Instant;

use crate::config::Limits;

/// The longest that one request may take, answer included, unless it moves a file for somebody with
/// a token.
const VISIT: Duration = Duration::from_millis(VISIT_MS);
/// The connection of a backend waits so long for its next call: longer than the pools of common
/// clients keep one.
const KNOWN_IDLE: Duration = Duration::from_secs(75);
/// A file moves at least [`WINDOW_BYTES`] in this time.
const WINDOW: Duration = Duration::from_millis(MEDIA_RATE_WINDOW_MS);
const WINDOW_BYTES: u64 = MEDIA_RATE_MIN as u64 * MEDIA_RATE_WINDOW_MS / 1_000;

/// What a visit may wait for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waits {
    /// A kept connection waits so long for its next request.
    idle: Duration,
    /// The head of a request is complete after this time.
    head: Duration,
}

impl Waits {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            idle: Duration::from_millis(limits.visit_idle_ms),
            head: Duration::from_millis(limits.request_head_wait_ms),
        }
    }
}

/// What is known of a visit's pace. Shared by the visit, its connection and its requests.
#[derive(Debug, Clone)]
pub(super) struct Pace(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    waits: Waits,
    stage: Stage,
    /// Requests that are being answered: more than one with HTTP/2 only.
    open: u32,
    /// Of them, those that move a file.
    transfers: u32,
    /// Requests so far.
    begun: u32,
    /// When a byte was last read or written.
    moved: Instant,
    /// Bytes read, and of them those of the requests that were complete.
    read: u64,
    taken: u64,
    /// Who waits until everything is written.
    awaits_flush: Option<Waker>,
    is_drained: bool,
    /// A backend with a key, or a user with a token, has called on it: it is no stranger's.
    is_known: bool,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    /// No request; nothing of the next one has come.
    Idle { since: Instant },
    /// The head of a request is coming.
    Head { since: Instant },
    /// A request is being answered, or its answer still being written.
    Serving { since: Instant },
    /// A file is being moved.
    Moving { since: Instant, bytes: u64 },
}

impl Pace {
    /// Of a connection whose first request has begun to come.
    pub(super) fn begin(waits: Waits) -> Self {
        let now = Instant::now();
        Self(Arc::new(Mutex::new(State {
            waits,
            stage: Stage::Head { since: now },
            open: 0,
            transfers: 0,
            begun: 0,
            moved: now,
            read: 0,
            taken: 0,
            awaits_flush: None,
            is_drained: false,
            is_known: false,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is the pace of the same visit.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Bytes were read.
    pub(super) fn read(&self, bytes: usize) {
        let mut state = self.state();
        state.note(bytes);
        state.read += bytes as u64;
        if let Stage::Idle { .. } = state.stage {
            state.stage = Stage::Head { since: state.moved };
        }
    }

    /// Bytes were written.
    pub(super) fn written(&self, bytes: usize) {
        self.state().note(bytes);
    }

    /// Everything that was to be written has been.
    pub(super) fn flushed(&self) {
        let mut state = self.state();
        if let Some(waker) = state.awaits_flush.take() {
            state.is_drained = true;
            waker.wake();
        }
        if state.open == 0 && matches!(state.stage, Stage::Serving { .. } | Stage::Moving { .. }) {
            let since = Instant::now();
            state.stage = Stage::Idle { since };
        }
    }

    /// A request is complete but for its body. Returns how many there were with it.
    pub(super) fn begins_request(&self) -> u32 {
        let mut state = self.state();
        state.open += 1;
        state.begun += 1;
        if state.transfers == 0 {
            let since = Instant::now();
            state.stage = Stage::Serving { since };
        }
        state.begun
    }

    /// So many bytes were those of a request of HTTP/1.
    pub(super) fn takes(&self, bytes: usize) {
        self.state().taken += bytes as u64;
    }

    /// Bytes that have been read beyond the requests that were complete, with HTTP/1.
    pub(super) fn ahead(&self) -> u64 {
        let state = self.state();
        match state.taken {
            0 => 0,
            taken => state.read.saturating_sub(taken),
        }
    }

    /// The request moves a file for somebody who may: it lasts for as long as it is fast enough.
    pub(super) fn becomes_transfer(&self) -> Transfer {
        let mut state = self.state();
        state.transfers += 1;
        let since = Instant::now();
        state.stage = Stage::Moving { since, bytes: 0 };
        Transfer(self.clone())
    }

    /// Somebody with a key calls on it.
    pub(super) fn becomes_known(&self) {
        self.state().is_known = true;
    }

    /// Whether somebody with a key has called on it.
    pub(super) fn is_known(&self) -> bool {
        self.state().is_known
    }

    /// The whole of an answer has been queued, or given up.
    pub(super) fn ends_request(&self) {
        let mut state = self.state();
        state.open = state.open.saturating_sub(1);
    }

    /// Waits until everything that was queued before is written.
    pub(super) async fn drained(&self) {
        poll_fn(|context| {
            let mut state = self.state();
            if std::mem::take(&mut state.is_drained) {
                return Poll::Ready(());
            }
            state.awaits_flush = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// The server has made the client wait.
    pub(super) fn excuse(&self, time: Duration) {
        if let Stage::Moving { since, .. } = &mut self.state().stage {
            *since += time;
        }
    }

    /// Whether nobody waits for anything.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.state().stage, Stage::Idle { .. })
    }

    /// Whether somebody with a token moves a file.
    pub(super) fn is_transfer(&self) -> bool {
        self.state().transfers > 0
    }

    /// When a byte was last moved.
    pub(super) fn moved(&self) -> Instant {
        self.state().moved
    }

    /// When the visit has to be looked at.
    pub(super) fn deadline(&self) -> Instant {
        self.state().deadline()
    }

    /// Whether the visit has taken too long, as of its deadline.
    pub(super) fn is_over(&self) -> bool {
        let now = Instant::now();
        let mut state = self.state();
        if now < state.deadline() {
            return false;
        }
        match &mut state.stage {
            Stage::Moving { since, bytes } if *bytes >= WINDOW_BYTES => {
                (*since, *bytes) = (now, 0);
                false
            }
            _ => true,
        }
    }
}

impl State {
    fn note(&mut self, count: usize) {
        self.moved = Instant::now();
        if let Stage::Moving { bytes, .. } = &mut self.stage {
            *bytes += count as u64;
        }
    }

    fn deadline(&self) -> Instant {
        match self.stage {
            Stage::Idle { since } if self.is_known => since + KNOWN_IDLE,
            Stage::Idle { since } => since + self.waits.idle,
            Stage::Head { since } => since + self.waits.head,
            // A stream of events lasts for as long as it is read.
            Stage::Serving { since } if self.is_known => since.max(self.moved) + VISIT,
            Stage::Serving { since } => since + VISIT,
            Stage::Moving { since, .. } => since + WINDOW,
        }
    }
}

/// A file that is being moved; it ends when dropped.
#[derive(Debug)]
pub(super) struct Transfer(Pace);

impl Drop for Transfer {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.transfers = state.transfers.saturating_sub(1);
        // Its body was the file, whose bytes are no requests that came early.
        if state.taken > 0 && state.transfers == 0 {
            state.taken = state.read;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn left(pace: &Pace) -> u64 {
        (pace.deadline() - Instant::now()).as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn heads_pages_and_pauses_have_each_their_time() {
        let pace = Pace::begin(Waits::new(&Limits::default()));
        assert_eq!(left(&pace), 5);
        assert_eq!(pace.begins_request(), 1);
        assert_eq!(left(&pace), 60);
        advance(Duration::from_secs(50)).await;
        pace.written(1_000_000);
        assert_eq!(left(&pace), 10, "a page has no more time for moving");
        pace.ends_request();
        assert_eq!(left(&pace), 10, "its end has yet to be written");
        pace.flushed();
        assert!(pace.is_idle());
        assert_eq!(left(&pace), 15);
        advance(Duration::from_secs(14)).await;
        pace.read(1);
        assert_eq!(left(&pace), 5, "a byte is the beginning of a head");
        advance(Duration::from_secs(3)).await;
        pace.read(1);
        assert_eq!(left(&pace), 2, "and one more buys no time");
        advance(Duration::from_secs(2)).await;
        assert!(pace.is_over());
    }

    #[tokio::test(start_paused = true)]
    async fn a_transfer_lasts_while_it_is_fast_enough() {
        let pace = Pace::begin(Waits::new(&Limits::default()));
        pace.begins_request();
        let transfer = pace.becomes_transfer();
        for _ in 0..100 {
            pace.read(usize::try_from(WINDOW_BYTES).expect("small"));
            advance(WINDOW).await;
            assert!(!pace.is_over());
        }
        // A byte now and then is not enough.
        pace.read(1);
        advance(WINDOW - Duration::from_secs(1)).await;
        pace.read(1);
        assert!(!pace.is_over());
        pace.excuse(Duration::from_secs(5));
        advance(Duration::from_secs(5)).await;
        assert!(!pace.is_over(), "the server made it wait");
        advance(Duration::from_secs(1)).await;
        assert!(pace.is_over());
        assert!(pace.is_transfer());
        drop(transfer);
        assert!(!pace.is_transfer());
    }

    #[tokio::test(start_paused = true)]
    async fn the_bytes_of_a_file_are_not_requests_that_came_early() {
        let pace = Pace::begin(Waits::new(&Limits::default()));
        pace.read(300);
        pace.takes(300);
        pace.begins_request();
        let upload = pace.becomes_transfer();
        pace.read(1_000_000);
        drop(upload);
        assert_eq!(pace.ahead(), 0);
        pace.read(5_000);
        pace.takes(300);
        assert_eq!(pace.ahead(), 4_700, "what comes behind it counts");
    }
}
