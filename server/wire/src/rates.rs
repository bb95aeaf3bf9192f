//! Rate limits as data, and the bucket that enforces one.

/// A rate limit: a bucket of `calls` that refills evenly over `window_ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Capacity of the bucket. 0 = unlimited.
    pub calls: u32,
    /// Time in which an empty bucket fills, in milliseconds. At least 1.
    pub window_ms: u32,
}

/// The state of one rate limit for one user, in 8 bytes (the generic cell rate algorithm).
///
/// A burst of up to `Rate::calls` passes; after that, one call every `window_ms / calls`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bucket {
    /// The time at which the bucket is full again, in units of 1/`calls` ms. 0 = always full so
    /// far.
    full_at: u64,
}

impl Bucket {
    /// A bucket with this state.
    pub fn from_state(state: u64) -> Self {
        Self { full_at: state }
    }

    /// Its state as one number; 0 = always full so far.
    pub fn state(self) -> u64 {
        self.full_at
    }

    /// Takes one call at `now_ms`, or returns after how many milliseconds one will be free.
    ///
    /// # Errors
    /// The wait in milliseconds (at least 1) when the bucket is empty; nothing is taken in that
    /// case.
    pub fn take(&mut self, rate: Rate, now_ms: u64) -> Result<(), u64> {
        if rate.calls == 0 {
            return Ok(());
        }
        let calls = u64::from(rate.calls);
        let window = u64::from(rate.window_ms);
        let now = now_ms.saturating_mul(calls);
        let full_at = self.full_at.max(now).saturating_add(window);
        let latest = now + window * calls;
        if full_at > latest {
            return Err((full_at - latest).div_ceil(calls));
        }
        self.full_at = full_at;
        Ok(())
    }

    /// Takes this many calls whether or not they are free, and returns after how many milliseconds
    /// the bucket is out of debt; 0 = it has none. For work whose amount is known only afterwards;
    /// [`Bucket::wait`] says whether the next piece may start.
    pub fn charge(&mut self, rate: Rate, calls: u64, now_ms: u64) -> u64 {
        if rate.calls == 0 {
            return 0;
        }
        let per_ms = u64::from(rate.calls);
        let window = u64::from(rate.window_ms);
        let now = now_ms.saturating_mul(per_ms);
        let cost = window.saturating_mul(calls);
        self.full_at = self.full_at.max(now).saturating_add(cost);
        let latest = now + window * per_ms;
        self.full_at.saturating_sub(latest).div_ceil(per_ms)
    }

    /// After how many milliseconds one call will be free; `None` = now.
    pub fn wait(&self, rate: Rate, now_ms: u64) -> Option<u64> {
        { *self }.take(rate, now_ms).err()
    }

    /// Returns one call that was taken and should not count after all.
    pub fn give_back(&mut self, rate: Rate) {
        self.full_at = self.full_at.saturating_sub(u64::from(rate.window_ms));
    }

    /// What was taken and still counts at `now_ms`, in units of 1/`calls` ms; 0 = nothing. It falls
    /// by `calls` each millisecond.
    pub fn used(&self, rate: Rate, now_ms: u64) -> u64 {
        let now = now_ms.saturating_mul(u64::from(rate.calls));
        self.full_at.saturating_sub(now)
    }

    /// Raises what was taken to at least this much, as [`Bucket::used`] returned it by another
    /// clock.
    pub fn raise(&mut self, rate: Rate, used: u64, now_ms: u64) {
        let now = now_ms.saturating_mul(u64::from(rate.calls));
        if used > 0 {
            self.full_at = self.full_at.max(now.saturating_add(used));
        }
    }

    /// Whether nothing that was taken still counts at `now_ms`.
    pub fn is_full(&self, rate: Rate, now_ms: u64) -> bool {
        self.full_at <= now_ms.saturating_mul(u64::from(rate.calls))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        calls: 180,
        window_ms: 3000,
    };

    // proves: rtm-2.1-bucket
    #[test]
    fn a_full_burst_passes_and_the_next_call_waits() {
        let mut bucket = Bucket::default();
        for _ in 0..180 {
            assert_eq!(bucket.take(RATE, 1_000), Ok(()));
        }
        let wait = bucket.take(RATE, 1_000).expect_err("the 181st call waits");
        assert_eq!(wait, 17);
        assert_eq!(bucket.take(RATE, 1_000 + wait), Ok(()));
        assert!(bucket.take(RATE, 1_000 + wait).is_err());
    }

    #[test]
    fn what_is_charged_at_once_is_waited_for_afterwards() {
        let mut bucket = Bucket::default();
        assert_eq!(bucket.wait(RATE, 1_000), None);
        bucket.charge(RATE, 179, 1_000);
        assert_eq!(bucket.wait(RATE, 1_000), None);
        bucket.charge(RATE, 361, 1_000);
        // 540 at 60 a second, of which 180 may be owed.
        assert_eq!(bucket.wait(RATE, 1_000), Some(6_017));
        assert_eq!(bucket.wait(RATE, 7_017), None);
        bucket.charge(RATE, u64::MAX, 1_000);
        assert!(bucket.wait(RATE, 1_000).is_some());
    }

    #[test]
    fn what_is_given_back_can_be_taken_again_once() {
        let mut bucket = Bucket::default();
        for _ in 0..180 {
            assert_eq!(bucket.take(RATE, 1_000), Ok(()));
        }
        bucket.give_back(RATE);
        assert_eq!(bucket.take(RATE, 1_000), Ok(()));
        assert!(bucket.take(RATE, 1_000).is_err());
    }

    #[test]
    fn what_is_charged_counts_beyond_the_burst_and_is_waited_for() {
        let mut bucket = Bucket::default();
        assert_eq!(bucket.charge(RATE, 180, 1_000), 0);
        // 60 a second: six more take a tenth of a second.
        assert_eq!(bucket.charge(RATE, 6, 1_000), 100);
        assert!(bucket.take(RATE, 1_100).is_err());
        assert_eq!(bucket.charge(RATE, 1, 1_117), 0);
        let unlimited = Rate {
            calls: 0,
            window_ms: 1,
        };
        assert_eq!(bucket.charge(unlimited, u64::MAX, 0), 0);
    }

    #[test]
    fn what_was_used_by_one_clock_counts_by_another() {
        let mut bucket = Bucket::default();
        assert_eq!(bucket.charge(RATE, 180, 1_000), 0);
        let used = bucket.used(RATE, 1_000);
        let mut other = Bucket::default();
        other.raise(RATE, used - 1_000 * u64::from(RATE.calls), 50_000);
        assert_eq!(other.charge(RATE, 60, 50_000), 0, "a second has passed");
        assert!(other.take(RATE, 50_000).is_err());
        other.raise(RATE, 0, 60_000);
        assert_eq!(other.used(RATE, 60_000), 0);
    }

    #[test]
    fn a_refused_call_takes_nothing_and_a_window_refills() {
        let mut bucket = Bucket::default();
        for now in [0_u64, 0, 0] {
            let _ = bucket.take(
                Rate {
                    calls: 2,
                    window_ms: 5000,
                },
                now,
            );
        }
        assert!(
            bucket
                .take(
                    Rate {
                        calls: 2,
                        window_ms: 5000
                    },
                    2_499
                )
                .is_err()
        );
        assert_eq!(
            bucket.take(
                Rate {
                    calls: 2,
                    window_ms: 5000
                },
                2_500
            ),
            Ok(())
        );
    }

    // proves: rtm-2.1-bucket
    #[test]
    fn zero_calls_means_unlimited() {
        let mut bucket = Bucket::default();
        assert!((0..10_000).all(|_| {
            bucket
                .take(
                    Rate {
                        calls: 0,
                        window_ms: 1,
                    },
                    5,
                )
                .is_ok()
        }));
    }
}
