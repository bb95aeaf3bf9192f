//! Asks again until something has happened, with a limit: for what another process does and tells
//! nobody of, such as that it has looked at its disk. Whatever tells of itself is waited for
//! instead.

use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

/// Tries of one thing.
#[derive(Debug)]
pub struct Tries {
    what: String,
    ticks: Interval,
    until: Instant,
}

impl Tries {
    /// Tries at this pace, at most for so long. `what`: what is waited for, for the error's text.
    ///
    /// # Panics
    /// When `every` is 0.
    pub fn new(what: impl Into<String>, every: Duration, limit: Duration) -> Self {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick comes at once, and so does the first try, which is the caller's.
        ticks.reset();
        Self {
            what: what.into(),
            ticks,
            until: Instant::now() + limit,
        }
    }

    /// Returns when it is time to try again.
    ///
    /// # Panics
    /// When the limit is reached.
    pub async fn again(&mut self) {
        self.ticks.tick().await;
        assert!(Instant::now() < self.until, "not in time: {}", self.what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn tries_keep_their_pace_and_end_at_the_limit() {
        let every = Duration::from_millis(100);
        let mut tries = Tries::new("nothing", every, Duration::from_secs(1));
        let began = Instant::now();
        for number in 1..10 {
            tries.again().await;
            assert_eq!(began.elapsed(), every * number);
        }
        let last = tokio::spawn(async move { tries.again().await });
        assert!(last.await.is_err(), "the limit holds");
    }
}
