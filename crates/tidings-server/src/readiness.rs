//! Where the server is in its life, and how its store is, for `/readyz`.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};

use tidings_store::Access;

/// Where the server is in its life.
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

impl Readiness {
    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Starting,
            1 => Phase::Ready,
            _ => Phase::Draining,
        }
    }

    /// Goes on to a later phase, never back.
    pub(crate) fn advance(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::Relaxed);
    }

    /// What the store accepts.
    pub(crate) fn store(&self) -> Access {
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        store.clone()
    }

    /// Keeps what the store accepts from now on, and tells it to the log.
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
