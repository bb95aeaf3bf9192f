//! How many events of an app are delivered per second, over all of its subscriptions.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Spaces deliveries. Nothing is dropped: what is above the rate waits in the app's stream.
#[derive(Debug)]
pub(crate) struct Throttle {
    /// Events per second; 0 = no bound.
    per_s: u32,
    /// When each app's next delivery is due, in Unix microseconds. Bound: apps that delivered in
    /// the last seconds; the others are left out now and then.
    next: Mutex<HashMap<String, u64>>,
}

/// Deliveries may be made in a row that stood still before, for this long.
const BURST_US: u64 = 1_000_000;
const REMEMBERED: usize = 1_024;

impl Throttle {
    pub(crate) fn new(per_s: u32) -> Self {
        Self {
            per_s,
            next: Mutex::default(),
        }
    }

    /// When a delivery of `app` may be made, in Unix milliseconds: `now_ms` or later.
    pub(crate) fn reserve(&self, app: &str, now_ms: u64) -> u64 {
        if self.per_s == 0 {
            return now_ms;
        }
        let now = now_ms.saturating_mul(1_000);
        let step = 1_000_000 / u64::from(self.per_s).min(1_000_000);
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if next.len() >= REMEMBERED {
            next.retain(|_, due| *due + BURST_US > now);
        }
        let due = next.entry(app.to_owned()).or_default();
        // A clock that was set back does not stop an app for as long.
        let furthest = now + 10 * BURST_US;
        let at = (*due).min(furthest).max(now.saturating_sub(BURST_US));
        *due = at + step;
        at.div_ceil(1_000).max(now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_may_be_made_up_for_and_the_rest_is_spaced() {
        let throttle = Throttle::new(10);
        let now = 1_700_000_000_000;
        let at: Vec<u64> = (0..13).map(|_| throttle.reserve("a", now) - now).collect();
        assert_eq!(at, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100, 200]);
        assert_eq!(throttle.reserve("b", now), now, "another app");
        assert_eq!(throttle.reserve("a", now + 60_000), now + 60_000);
    }

    #[test]
    fn no_bound_and_a_clock_that_was_set_back() {
        let throttle = Throttle::new(0);
        assert!((0..10_000).all(|_| throttle.reserve("a", 5) == 5));
        let throttle = Throttle::new(1);
        throttle.reserve("a", 1_700_000_000_000);
        assert!(throttle.reserve("a", 1_600_000_000_000) <= 1_600_000_010_000);
    }
}
