//! When to try again: full jitter, so that a thousand clients of a restarted server do not all come
//! back at the same moment. Source: contract 4.4.

use tidings_fault::fault;
use tidings_wire::limits::{
    BACKOFF_EARLY_MAX_MS, BACKOFF_EARLY_MS, BACKOFF_FIRST_MS, BACKOFF_MAX_MS,
};

/// After a connection of this length, in milliseconds, earlier failures no longer count. Source:
/// contract 4.4.
pub(crate) const GOOD_CONNECTION_MS: u64 = 60_000;

/// Random numbers from a seed: repeatable, not for secrets.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number from 0 to `max`, both included.
    pub(crate) fn up_to(&mut self, max: u64) -> u64 {
        // SplitMix64: one addition and three mixing steps, passes the usual statistical tests.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        match max.checked_add(1) {
            Some(range) => mixed % range,
            None => mixed,
        }
    }
}

/// The wait before the next attempt.
#[derive(Debug, Clone, Default)]
pub(crate) struct Backoff {
    /// Attempts since the last good connection.
    attempts: u32,
    /// When the first of them was planned, in monotonic milliseconds.
    since_ms: u64,
}

impl Backoff {
    /// What must hold between inputs.
    pub(crate) fn assert_consistent(&self, now_ms: u64) {
        assert!(
            self.since_ms <= now_ms,
            "attempts are counted from {} ms, and it is {now_ms} ms",
            self.since_ms
        );
    }

    /// Whether nothing has failed since the last good connection.
    pub(crate) fn is_fresh(&self) -> bool {
        self.attempts == 0
    }

    /// Forgets earlier failures.
    pub(crate) fn reset(&mut self) {
        self.attempts = 0;
    }

    /// Counts an attempt without a wait.
    pub(crate) fn count(&mut self, now_ms: u64) {
        if self.attempts == 0 {
            self.since_ms = now_ms;
        }
        self.attempts = self.attempts.saturating_add(1);
    }

    /// Milliseconds until the next attempt. A server's hint, if it is not 0, replaces the random
    /// wait by one between the hint and twice it.
    ///
    /// In the first minute of an outage the bound stays low, so that clients are back soon after a
    /// restart of the server; a storm of them is spread by the server's hints.
    pub(crate) fn next_ms(&mut self, now_ms: u64, random: &mut Random, hint_ms: u64) -> u64 {
        let is_early = self.attempts == 0 || now_ms - self.since_ms < BACKOFF_EARLY_MS;
        let mut largest_ms = if is_early {
            BACKOFF_EARLY_MAX_MS
        } else {
            BACKOFF_MAX_MS
        };
        let mut growth = 1;
        if fault!(BackoffGrowsHundredfold) {
            growth = 100;
        }
        largest_ms *= growth;
        let doubled = 1_u64.checked_shl(self.attempts).unwrap_or(u64::MAX);
        let upper_ms = BACKOFF_FIRST_MS
            .saturating_mul(doubled)
            .min(largest_ms)
            .saturating_mul(growth);
        self.count(now_ms);
        let wait_ms = if hint_ms == 0 {
            random.up_to(upper_ms)
        } else {
            hint_ms + random.up_to(hint_ms)
        };
        assert!(
            wait_ms >= hint_ms,
            "{wait_ms} ms undercut the server's {hint_ms} ms"
        );
        wait_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_stay_below_the_doubling_bound_and_use_its_whole_range() {
        let bounds = [500, 1_000, 2_000, 4_000, 4_000, 4_000, 30_000, 30_000];
        // The last two are planned after a minute.
        let times_ms = [0, 500, 1_500, 3_500, 7_500, 59_999, 60_000, 90_000];
        let mut largest = [0; 8];
        for seed in 0..500 {
            let mut random = Random::new(seed);
            let mut backoff = Backoff::default();
            for ((bound, now_ms), seen) in bounds.into_iter().zip(times_ms).zip(&mut largest) {
                let wait = backoff.next_ms(now_ms, &mut random, 0);
                assert!(wait <= bound, "seed {seed}: {wait} above {bound}");
                *seen = wait.max(*seen);
            }
        }
        for (bound, seen) in bounds.into_iter().zip(largest) {
            assert!(seen > bound * 9 / 10, "{seen} of {bound}");
        }
    }

    #[test]
    fn whoever_waits_alone_for_a_restarted_server_is_back_in_5_s() {
        for down_ms in [1_000, 2_000, 5_000, 20_000, 50_000] {
            let mut waits = Vec::new();
            for seed in 0..1_000 {
                let mut random = Random::new(seed);
                let mut backoff = Backoff::default();
                let mut now_ms = 0;
                while now_ms < down_ms {
                    now_ms += backoff.next_ms(now_ms, &mut random, 0);
                }
                waits.push(now_ms - down_ms);
            }
            waits.sort_unstable();
            assert!(
                waits[900] <= 3_000,
                "p90 after {down_ms} ms: {}",
                waits[900]
            );
            assert!(
                waits[999] <= 4_000,
                "most after {down_ms} ms: {}",
                waits[999]
            );
        }
    }

    #[test]
    fn a_hint_replaces_the_bound() {
        let mut backoff = Backoff::default();
        let mut random = Random::new(1);
        for _ in 0..100 {
            let wait = backoff.next_ms(0, &mut random, 700);
            assert!((700..=1400).contains(&wait), "{wait}");
        }
    }
}
