//! What the API itself counts: its answers.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use tidings_hub::Apps;
use tidings_hub::counts::{Histogram, Tally};
use tidings_wire::names::AppId;

use super::{Metric, Reading};

/// Under which limit it is counted that an app's callers were told to come again later.
const LIMIT: &str = "http_api";

/// Counts of calls. Held for moments, once per call.
#[derive(Debug, Default)]
pub(crate) struct Calls(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// By the status of the answer. Bound: the statuses that there are.
    answers: BTreeMap<u16, u64>,
    took: Histogram,
    /// Answers with status 429, by app.
    too_often: Tally<u64>,
}

impl Calls {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an answer. `took`: how long the caller waited, unless it wanted to.
    pub(crate) fn note(&self, status: StatusCode, took: Option<Duration>) {
        let mut counts = self.counts();
        *counts.answers.entry(status.as_u16()).or_default() += 1;
        if let Some(took) = took {
            let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            counts.took.note(took_us, 1);
        }
    }

    /// Counts that the callers of an app ask too often.
    pub(crate) fn note_too_often(&self, app: &AppId, apps: &Apps) {
        let is_listed = || apps.listed.contains_key(app);
        *self.counts().too_often.of(app, is_listed) += 1;
    }

    /// Tells what was counted; `name`: under which name an app is counted.
    pub(crate) fn read(&self, mut name: impl FnMut(Option<&AppId>) -> String, to: &mut Reading) {
        let counts = self.counts();
        for (status, count) in &counts.answers {
            to.add(Metric::ApiRequests, &[&status.to_string()], *count);
        }
        to.add(Metric::ApiRequestSeconds, &[], counts.took);
        let mut refused = BTreeMap::<String, u64>::new();
        for (app, count) in counts.too_often.apps() {
            *refused.entry(name(Some(app))).or_default() += count;
        }
        let others = *counts.too_often.others();
        if others > 0 {
            *refused.entry(name(None)).or_default() += others;
        }
        for (name, count) in refused {
            to.add(Metric::Refused, &[&name, LIMIT], count);
        }
    }
}

/// Whether callers of a path wait for something to happen.
pub(crate) fn is_wait(path: &str) -> bool {
    path.ends_with("/events") || path.ends_with("/events/stream")
}
