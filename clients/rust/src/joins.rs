//! Joins that are under way, so that a `leave` overtakes them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// Of one client, by channel. Bound: the calls that the application waits for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Joins(Arc<Mutex<HashMap<String, watch::Sender<bool>>>>);

/// A join that somebody waits for.
#[derive(Debug)]
pub(crate) struct Join {
    left: watch::Receiver<bool>,
}

impl Joins {
    /// Notes that a channel is being joined.
    pub(crate) fn begin(&self, channel: &str) -> Join {
        let mut joins = self.lock();
        let left = joins.entry(channel.to_owned()).or_default().subscribe();
        Join { left }
    }

    /// Overtakes the joins of a channel. Says whether there were any.
    pub(crate) fn leave(&self, channel: &str) -> bool {
        let mut joins = self.lock();
        let overtaken = joins.remove(channel).filter(|left| !left.is_closed());
        // Others have ended by themselves.
        joins.retain(|_, left| !left.is_closed());
        match overtaken {
            Some(left) => left.send(true).is_ok(),
            None => false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, watch::Sender<bool>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Join {
    /// Resolves when a `leave` has overtaken it. Cancel-safe.
    pub(crate) async fn left(&mut self) {
        let overtaken = self.left.wait_for(|left| *left).await.is_ok();
        if !overtaken {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_leave_overtakes_the_joins_of_its_channel_that_are_waited_for() {
        let joins = Joins::default();
        let (mut first, mut second) = (joins.begin("a"), joins.begin("a"));
        let mut other = joins.begin("b");
        assert!(joins.leave("a"));
        first.left().await;
        second.left().await;
        let wait = Duration::from_secs(1);
        assert!(timeout(wait, other.left()).await.is_err());
        // One that begins afterwards is another one.
        let mut later = joins.begin("a");
        assert!(timeout(wait, later.left()).await.is_err());
        drop(later);
        assert!(!joins.leave("a"), "nobody waits for it");
        assert!(!joins.leave("c"));
        drop(other);
        assert!(!joins.leave("a"));
        assert!(
            joins.lock().is_empty(),
            "nothing is left of joins that have ended"
        );
    }
}
