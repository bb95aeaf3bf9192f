//! What webhooks have done since the start, and how they are now, by app.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::Webhooks;
use crate::delivery::Verdict;

/// The webhooks of one app. Counts begin with 0 when the server starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Subscriptions that are on.
    pub on: u64,
    /// Those of them whose target fails.
    pub failing: u64,
    /// Subscriptions that are off.
    pub off: u64,
    /// Dead letters that are kept.
    pub dead_letters: u64,
    /// Calls that targets have taken.
    pub delivered: u64,
    /// Calls that targets have not taken.
    pub failed: u64,
    /// Notices that became dead letters.
    pub gave_up: u64,
}

/// Counts of calls. Bound: the apps that have had webhooks.
#[derive(Debug, Default)]
pub(crate) struct CallCounts(Mutex<BTreeMap<String, Figures>>);

impl CallCounts {
    pub(crate) fn note_call(&self, app: &str, verdict: Verdict) {
        self.count(app, |figures| match verdict {
            Verdict::Delivered => figures.delivered += 1,
            Verdict::Failed | Verdict::Gone => figures.failed += 1,
        });
    }

    pub(crate) fn note_dead(&self, app: &str) {
        self.count(app, |figures| figures.gave_up += 1);
    }

    fn count(&self, app: &str, count: impl FnOnce(&mut Figures)) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.get_mut(app) {
            Some(figures) => count(figures),
            None => count(counts.entry(app.to_owned()).or_default()),
        }
    }

    fn all(&self) -> BTreeMap<String, Figures> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.clone()
    }
}

impl Webhooks {
    /// The figures of every app that has webhooks, or has had some. O(subscriptions).
    pub fn figures(&self) -> BTreeMap<String, Figures> {
        let mut all = self.shared.counts.all();
        for (hook, _) in self.running().values() {
            let of_app = all.entry(hook.app.clone()).or_default();
            let is_on = hook.config().is_enabled;
            let state = hook.state();
            of_app.on += u64::from(is_on);
            of_app.off += u64::from(!is_on);
            of_app.failing += u64::from(is_on && state.progress.failing.is_some());
            of_app.dead_letters += state.dead_letters() as u64;
        }
        all
    }
}
