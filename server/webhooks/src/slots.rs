//! How many calls there may be at once, so that no app's targets cost another app anything.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tidings_wire::limits::WEBHOOK_APP_CALLS_MAX as OF_APP;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Calls at once to targets that answered the last time.
const HEALTHY: usize = 256;
/// Calls at once to targets that failed the last time: however many hang, they take turns among
/// themselves.
const FAILING: usize = 64;
/// Questions of one app at once for the addresses of a name. Each has a thread.
const NAMES_OF_APP: usize = 2;
/// Such questions at once.
pub(crate) const NAMES: usize = 64;

/// How a target did the last time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Healthy,
    Failing,
}

/// Permits for calls.
#[derive(Debug)]
pub(crate) struct Slots {
    healthy: Arc<Semaphore>,
    failing: Arc<Semaphore>,
    names: Arc<Semaphore>,
    /// Bound: apps with subscriptions; those without a call are left out now and then.
    apps: Mutex<HashMap<String, OfApp>>,
}

#[derive(Debug, Clone)]
struct OfApp {
    calls: Arc<Semaphore>,
    names: Arc<Semaphore>,
}

/// Permission for one call.
#[derive(Debug)]
pub(crate) struct Slot {
    _app: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

/// Permission to ask for the addresses of one name.
#[derive(Debug)]
pub struct NamePermit {
    _app: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

/// Apps that are remembered before those without a call are looked for.
const REMEMBERED: usize = 1_024;

impl Slots {
    pub(crate) fn new() -> Self {
        Self {
            healthy: Arc::new(Semaphore::new(HEALTHY)),
            failing: Arc::new(Semaphore::new(FAILING)),
            names: Arc::new(Semaphore::new(NAMES)),
            apps: Mutex::new(HashMap::new()),
        }
    }

    /// Waits for a call's turn: first among its app's, so that an app waits for itself.
    pub(crate) async fn take(&self, app: &str, standing: Standing) -> Slot {
        let of_app = self.of_app(app).calls;
        let all = match standing {
            Standing::Healthy => self.healthy.clone(),
            Standing::Failing => self.failing.clone(),
        };
        Slot {
            _app: permit(of_app).await,
            _all: permit(all).await,
        }
    }

    /// Waits for a turn to ask for a name's addresses. It is held by the question's thread, so an
    /// app's slow names wait for each other, and at most [`NAMES_OF_APP`] threads are theirs.
    pub(crate) async fn name(&self, app: &str) -> NamePermit {
        NamePermit {
            _app: permit(self.of_app(app).names).await,
            _all: permit(self.names.clone()).await,
        }
    }

    fn of_app(&self, app: &str) -> OfApp {
        let mut apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        if apps.len() >= REMEMBERED {
            let idle = |of: &OfApp| {
                of.calls.available_permits() == OF_APP
                    && Arc::strong_count(&of.calls) == 1
                    && of.names.available_permits() == NAMES_OF_APP
            };
            apps.retain(|_, of| !idle(of));
        }
        let made = || OfApp {
            calls: Arc::new(Semaphore::new(OF_APP)),
            names: Arc::new(Semaphore::new(NAMES_OF_APP)),
        };
        apps.entry(app.to_owned()).or_insert_with(made).clone()
    }
}

async fn permit(of: Arc<Semaphore>) -> OwnedSemaphorePermit {
    of.acquire_owned().await.expect("nobody closes it")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn is_soon<T>(waited: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout(Duration::from_millis(20), waited)
            .await
            .ok()
    }

    #[tokio::test(start_paused = true)]
    async fn an_app_waits_for_itself_only() {
        let slots = Slots::new();
        let mut held = Vec::new();
        for _ in 0..OF_APP {
            held.push(slots.take("one", Standing::Healthy).await);
        }
        assert!(
            is_soon(slots.take("one", Standing::Failing))
                .await
                .is_none()
        );
        assert!(
            is_soon(slots.take("two", Standing::Healthy))
                .await
                .is_some()
        );
        held.pop();
        assert!(
            is_soon(slots.take("one", Standing::Healthy))
                .await
                .is_some()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn failing_targets_take_turns_among_themselves() {
        let slots = Slots::new();
        let mut held = Vec::new();
        for app in 0..FAILING {
            held.push(slots.take(&app.to_string(), Standing::Failing).await);
        }
        assert!(
            is_soon(slots.take("one", Standing::Failing))
                .await
                .is_none()
        );
        assert!(
            is_soon(slots.take("two", Standing::Healthy))
                .await
                .is_some()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn apps_without_a_call_are_forgotten() {
        let slots = Slots::new();
        let kept = slots.take("kept", Standing::Healthy).await;
        for app in 0..2 * REMEMBERED {
            drop(slots.take(&app.to_string(), Standing::Healthy).await);
        }
        let apps = slots.apps.lock().expect("the lock").len();
        assert!(apps <= REMEMBERED, "{apps}");
        for _ in 1..OF_APP {
            std::mem::forget(slots.take("kept", Standing::Healthy).await);
        }
        assert!(
            is_soon(slots.take("kept", Standing::Healthy))
                .await
                .is_none()
        );
        drop(kept);
    }
}
