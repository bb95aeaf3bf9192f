//! The server's phase, and the state of its store, for `/readyz`.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};

use tidings_store::Access;

/// The phase of the server's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Starting,
    Ready,
    Draining,
}

/// The phase, and what the store accepts, shared by all threads.
#[derive(Debug, Default)]
pub(crate) struct Readiness {
    phase: AtomicU8,
    store: Mutex<Access>,
}

/// The contents of the answer to a health check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) is_good: bool,
    pub(crate) text: &'static str,
}

impl Report {
    /// Any answer shows that the process is alive.
    pub(crate) fn lives() -> Self {
        Self {
            is_good: true,
            text: "ok\n",
        }
    }
}

impl Readiness {
    /// Whether clients are served, for `/readyz`.
    pub(crate) fn report(&self) -> Report {
        let (is_good, text) = match self.phase() {
            Phase::Ready => match self.store() {
                Access::Full => (true, "ready\n"),
                // Live messages, reads and deletions still work: no reason to disconnect everybody.
                Access::NoSpace { .. } => (
                    true,
                    "ready\nstore: the disk is nearly full, nothing new is stored\n",
                ),
                Access::ReadOnly { .. } => (
                    false,
                    "the store is read-only since a write failed: see the log, and the disk\n",
                ),
            },
            Phase::Starting => (false, "starting\n"),
            Phase::Draining => (false, "draining: clients are being disconnected\n"),
        };
        Report { is_good, text }
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Starting,
            1 => Phase::Ready,
            _ => Phase::Draining,
        }
    }

    /// Advances to a later phase, never back.
    pub(crate) fn advance(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::Relaxed);
    }

    /// What the store accepts at present.
    pub(crate) fn store(&self) -> Access {
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        store.clone()
    }

    /// Sets what the store accepts from now on, and logs the change.
    pub(crate) fn note_store(&self, access: &Access) {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*store, access) {
            (Access::Full, Access::Full) => {}
            (_, Access::Full) => tracing::info!("the store accepts everything again"),
            (
                _,
                Access::NoSpace {
                    free_bytes,
                    reserve_bytes,
                },
            ) => tracing::warn!(
                free_bytes,
                reserve_bytes,
                "the disk is nearly full: nothing new is stored until there is space, deletions are carried out"
            ),
            (_, Access::ReadOnly { reason }) => tracing::error!(reason, "nothing is stored"),
        }
        *store = access.clone();
    }
}
