//! Looks at stored messages: who has read what people wrote to each other. Each is in the audit
//! log; looks at the same place that follow soon are one.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::Answer;
use crate::auth::{Caller, Principal};

/// Looks of one key at one place within this time are one entry, in milliseconds: whoever pages
/// through a history looks once. Longer, and the log tells less; shorter, and a backend that reads
/// often pushes out what others have done.
const ONE_LOOK_MS: u64 = 60_000;

/// Bound: looks that are remembered. With more of them, some are in the log twice.
const REMEMBERED_MAX: usize = 10_000;

/// What a handler tells of a look, carried in the extensions of its answer: whose messages.
#[derive(Debug, Clone)]
pub(crate) struct Looked(pub(super) Value);

/// Marks an answer as a look. A user who reads its own messages with its token looks at nobody
/// else's.
pub(crate) fn looked(answer: Answer, caller: &Caller, at: Value) -> Answer {
    answer.map(|mut response| {
        if matches!(caller.principal, Principal::Key(_)) {
            response.extensions_mut().insert(Looked(at));
        }
        response
    })
}

/// Looks of late.
#[derive(Debug, Default)]
pub(super) struct Looks {
    /// When each began, in milliseconds, by its hash.
    since: Mutex<HashMap<u64, u64>>,
    /// Nobody can make two looks that are one here.
    hashes: RandomState,
}

impl Looks {
    /// Whether this look is a new one.
    pub(super) fn is_new(&self, by: &str, app: Option<&str>, at: &Value, now_ms: u64) -> bool {
        let look = self.hashes.hash_one((by, app, at.to_string()));
        let mut looks = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        if looks.len() >= REMEMBERED_MAX {
            looks.retain(|_, since_ms| now_ms.saturating_sub(*since_ms) < ONE_LOOK_MS);
        }
        if looks.len() >= REMEMBERED_MAX {
            looks.clear();
        }
        let since_ms = looks.get(&look);
        let is_new =
            since_ms.is_none_or(|since_ms| now_ms.saturating_sub(*since_ms) >= ONE_LOOK_MS);
        if is_new {
            looks.insert(look, now_ms);
        }
        is_new
    }

    /// Forgets a look that could not be written down.
    pub(super) fn forget(&self) {
        let looks = self.since.lock();
        looks.unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn looks_at_one_place_that_follow_soon_are_one() {
        let looks = Looks::default();
        let at = json!({ "channel": "a" });
        assert!(looks.is_new("k1", Some("x"), &at, 1_000));
        assert!(!looks.is_new("k1", Some("x"), &at, 60_999));
        assert!(looks.is_new("k1", Some("x"), &at, 61_000));
        assert!(looks.is_new("k2", Some("x"), &at, 61_001));
        assert!(looks.is_new("k1", Some("y"), &at, 61_001));
        assert!(looks.is_new("k1", Some("x"), &json!({ "channel": "b" }), 61_001));
        looks.forget();
        assert!(looks.is_new("k2", Some("x"), &at, 61_002));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let looks = Looks::default();
        for number in 0..=REMEMBERED_MAX {
            assert!(looks.is_new("k1", None, &json!(number), 1));
        }
        assert!(looks.since.lock().expect("no panic").len() <= REMEMBERED_MAX);
    }
}
