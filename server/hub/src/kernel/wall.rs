//! The wall clock: what it says, and whether it is believed.

use tidings_fault::fault;

use crate::time::Time;

/// Further apart than this, wall and monotonic clock do not agree. Milliseconds. Source: contract
/// CRA-7.
pub(crate) const APART_MS: u64 = 60_000;

/// They have to agree for this long before anything is deleted for its age. Milliseconds. Source:
/// contract CRA-7.
pub(crate) const AGREED_MS: u64 = 600_000;

/// The hub's clocks beside the time of the input: the wall clock, and how the hub's own monotonic
/// clock differs from the node's.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    pub(crate) wall: Wall,
    /// How long the hub's own clock has stood still, in milliseconds.
    pub(crate) paused_ms: u64,
    /// How far the cluster's clock is ahead of the node's, in milliseconds.
    pub(crate) ahead_ms: u64,
    /// When this life of the hub began, in Unix milliseconds.
    pub(crate) started_ts: u64,
    /// Nothing ends by time before, in monotonic milliseconds: other hubs might not hear of it.
    pub(crate) heard_from_ms: u64,
}

/// What a hub knows of the wall clock. [`Time::unix_ms`] of the hub never goes back, for stamps;
/// this is the clock itself.
#[derive(Debug, Default)]
pub(crate) struct Wall {
    pub(crate) now: Time,
    /// The last time at which both clocks agreed.
    pub(crate) agreed: Time,
    /// Since when they do, on the monotonic clock. None: since the start.
    pub(crate) since_ms: Option<u64>,
    /// How often they did not: the clock was set.
    pub(crate) jumps: u64,
}

impl Wall {
    /// Looks at both clocks, as the system gives them. Order: with every input.
    pub(crate) fn look(&mut self, now: Time) {
        debug_assert!(
            now.mono_ms >= self.now.mono_ms,
            "the monotonic clock goes back"
        );
        if self.now == Time::default() {
            self.agreed = now;
        }
        let passed_ms = now.mono_ms.saturating_sub(self.agreed.mono_ms);
        let expected_ms = self.agreed.unix_ms.saturating_add(passed_ms);
        if now.unix_ms.abs_diff(expected_ms) > APART_MS {
            // Both a jump and its correction restart the wait.
            self.since_ms = Some(now.mono_ms);
            self.agreed = now;
            self.jumps += 1;
        } else if passed_ms > AGREED_MS {
            // Drift is no jump.
            self.agreed = now;
        }
        self.now = now;
    }

    /// Unix seconds, as tokens count: they follow the clock, also when it is set back.
    pub(crate) fn unix_s(&self) -> u64 {
        self.now.unix_s()
    }

    /// Unix milliseconds of the clock.
    pub(crate) fn unix_ms(&self) -> u64 {
        self.now.unix_ms
    }

    /// For how long the clocks have agreed since they did not, while the clock is not believed for
    /// that. Milliseconds.
    pub(crate) fn agreed_ms(&self) -> Option<u64> {
        let agreed_ms = self.now.mono_ms.saturating_sub(self.since_ms?);
        Some(agreed_ms).filter(|agreed_ms| *agreed_ms < AGREED_MS)
    }

    /// Restores the previous process's distrust: the clocks had agreed for `agreed_ms`.
    pub(crate) fn doubt(&mut self, agreed_ms: u64) {
        self.since_ms = Some(self.now.mono_ms.saturating_sub(agreed_ms));
    }

    /// Whether what is too old by the clock may be deleted.
    pub(crate) fn is_believed(&self, stamp_ms: u64) -> bool {
        let agree = |since_ms: u64| self.now.mono_ms.saturating_sub(since_ms) >= AGREED_MS;
        // Stamps that are far ahead of the clock make everything before them look old.
        let is_stamped_right = stamp_ms.saturating_sub(self.now.unix_ms) <= APART_MS;
        self.since_ms.is_none_or(agree) && is_stamped_right || fault!(JumpedClockExpiresMessages)
    }
}

impl Clock {
    /// Asserts what holds between two inputs.
    pub(crate) fn assert_consistent(&self, now: Time) {
        self.wall.assert_consistent();
        assert!(
            self.started_ts <= now.unix_ms,
            "stamps go back before the start"
        );
        assert!(
            self.wall.unix_ms() <= now.unix_ms,
            "a stamp is behind the wall clock"
        );
    }
}

impl Wall {
    fn assert_consistent(&self) {
        assert!(
            self.agreed.mono_ms <= self.now.mono_ms,
            "the clocks agreed in the future"
        );
        let since_ms = self.since_ms.unwrap_or(0);
        assert!(
            since_ms <= self.now.mono_ms,
            "the clocks agree since the future"
        );
        let agreed_ms = self.agreed_ms().unwrap_or(0);
        assert!(agreed_ms < AGREED_MS, "a clock that is believed is doubted");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(mono_s: u64, unix_s: u64) -> Time {
        Time {
            mono_ms: mono_s * 1_000,
            unix_ms: unix_s * 1_000,
        }
    }

    #[test]
    fn a_clock_that_has_jumped_is_believed_after_ten_minutes() {
        let mut wall = Wall::default();
        let is_believed = |wall: &Wall| wall.is_believed(wall.unix_ms());
        wall.look(at(5, 1_000));
        wall.look(at(6, 1_001));
        assert!(is_believed(&wall));
        wall.look(at(7, 9_000));
        assert!(!is_believed(&wall));
        wall.look(at(606, 9_599));
        assert!(!is_believed(&wall));
        wall.look(at(607, 9_600));
        assert!(is_believed(&wall));
        wall.look(at(608, 1_603));
        assert!(!is_believed(&wall), "the correction is a jump, too");
        assert_eq!(wall.unix_s(), 1_603);
    }

    #[test]
    fn slow_drift_is_believed_and_stamps_far_ahead_are_not() {
        let mut wall = Wall::default();
        for minute in 0..10_000 {
            // 500 parts in a million.
            let unix_ms = 1_000_000 + minute * 60_030;
            wall.look(Time {
                mono_ms: 1 + minute * 60_000,
                unix_ms,
            });
            assert!(wall.is_believed(unix_ms));
        }
        let now_ms = wall.unix_ms();
        assert!(wall.is_believed(now_ms + APART_MS));
        assert!(!wall.is_believed(now_ms + APART_MS + 1));
    }
}
