//! How many logins a node takes: after a restart everybody comes at once (contract OVL-6).
//!
//! One of them stands before all hubs of a node, which ask it before they look at a login. It holds
//! no clock, no lock and no random source: who shares it does.

use std::collections::BTreeMap;

use tidings_wire::limits::{BACKOFF_MAX_MS, LOGIN_QUEUE, LOGIN_RATE};

/// A turn of an event loop that takes longer than this makes everybody wait, in milliseconds.
/// Source: contract OVL-6.
pub const LAG_MS: u64 = 100;

/// Turns that stay this long for this time halve the rate, in milliseconds. Source: contract OVL-6.
const LAG_BORNE_MS: u64 = 1_000;

/// Without a long turn for this time, in milliseconds, the next one is the first again.
const LAG_OVER_MS: u64 = 500;

/// What the rate rises by in a second, as a part of the full one: 1/20 is 5 %. Source: contract
/// OVL-6.
const RESTORED_PER_S: f64 = 1.0 / 20.0;

/// The rate does not fall below this part of the full one: a server that lets nobody in is of no
/// use.
const LEAST: f64 = 1.0 / 64.0;

/// A shorter wait is spread as if it were this, in milliseconds: spreading 1 ms could give 0, and a
/// client told to retry at once would hammer the server.
const WAIT_MIN_MS: u64 = 20;

/// Refused logins that are remembered, so that they are taken when they come again. Bound: about 2
/// MiB.
const REMEMBERED_MAX: usize = 65_536;

/// Nobody is remembered for longer than this after the last refusal, in milliseconds: whoever was
/// told to retry has, or has given up.
const REMEMBERED_MS: u64 = 2 * BACKOFF_MAX_MS;

/// The part of the logins at once that an app which has had its share must leave to the others.
const RESERVE: f64 = 1.0 / 4.0;

/// How long after its last login an app counts as one of those that share, in milliseconds.
const ACTIVE_MS: u64 = 10_000;

/// Apps that are looked at. Beyond it nobody has a share of its own until some have been silent.
const APPS_MAX: usize = 4_096;

/// What one app has had.
#[derive(Debug)]
struct Share {
    /// Of its part of the rate.
    tokens: f64,
    /// When that was right. Monotonic milliseconds.
    at_ms: u64,
}

/// A bucket of logins whose rate follows what the node can bear.
#[derive(Debug)]
pub struct Admission {
    /// Logins per second, at most and now.
    full: f64,
    rate: f64,
    /// Logins that may come at once, at most and now. Below 0: resumes have taken what belongs to
    /// later logins.
    queue: f64,
    tokens: f64,
    /// Refused logins that will come again: each has its place in time, so that they do not come
    /// together.
    expected: f64,
    /// Who has been told to retry, by a hash, and from when on. Bound: `REMEMBERED_MAX`.
    remembered: BTreeMap<u64, u64>,
    /// Apps that have logged in of late, by a hash. Bound: `APPS_MAX`.
    apps: BTreeMap<u64, Share>,
    /// When those were forgotten last that have not. Monotonic milliseconds.
    forgot_ms: u64,
    /// When somebody was last refused. Monotonic milliseconds.
    refused_ms: u64,
    /// When all of these were right. Monotonic milliseconds.
    at_ms: u64,
    /// Since when, and when last, there were long turns.
    slow: Option<(u64, u64)>,
}

impl Default for Admission {
    fn default() -> Self {
        Self::new(LOGIN_RATE, LOGIN_QUEUE)
    }
}

impl Admission {
    /// One with a full bucket: so many logins per second, at least 1, and so many at once.
    pub fn new(rate: usize, queue: usize) -> Self {
        let (rate, queue) = (rate.max(1) as f64, queue as f64);
        debug_assert!(rate.is_finite(), "a rate that is no number");
        Self {
            full: rate,
            rate,
            queue,
            tokens: queue,
            expected: 0.0,
            remembered: BTreeMap::new(),
            apps: BTreeMap::new(),
            forgot_ms: 0,
            refused_ms: 0,
            at_ms: 0,
            slow: None,
        }
    }

    /// Takes a fresh login. `app` and `who`: hashes of its app and its user, with a key that nobody
    /// else knows. Where several apps log in, one that has had its share leaves a quarter of the
    /// bucket to the others. Who was refused before and comes when told to goes before all others,
    /// up to as many as may come at once: nobody is sent away twice for those who came later.
    ///
    /// # Errors
    /// There are too many; the time, in milliseconds, after which it is expected to be taken.
    pub fn take_login(&mut self, now_ms: u64, app: u64, who: u64) -> Result<(), u64> {
        if self.take_if_room(now_ms, app, who) {
            return Ok(());
        }
        let due_ms = self.remembered.get(&who).copied();
        self.refused_ms = now_ms;
        if let Some(early_ms) = due_ms.map(|due_ms| due_ms.saturating_sub(now_ms))
            && early_ms > 0
        {
            // Its place is kept for it; another one would be taken from others.
            return Err(2 * early_ms);
        }
        self.expected += 1.0;
        let behind = self.expected - self.tokens.min(0.0);
        let wait_ms = (behind / self.rate * 1_000.0).ceil() as u64;
        let wait_ms = wait_ms.clamp(1, BACKOFF_MAX_MS);
        debug_assert!(behind > 0.0, "nobody is before whoever is refused");
        if self.remembered.len() < REMEMBERED_MAX || due_ms.is_some() {
            self.remembered.insert(who, now_ms + earliest(wait_ms));
        }
        Err(wait_ms)
    }

    /// Takes a fresh login as [`Admission::take_login`] does, or says that there is no room;
    /// nothing is remembered of one that finds none.
    pub fn take_if_room(&mut self, now_ms: u64, app: u64, who: u64) -> bool {
        self.advance(now_ms);
        let has_room = self.tokens >= self.least(now_ms, app, who);
        if has_room {
            self.tokens -= 1.0;
            self.charge_share(now_ms, app);
            self.remembered.remove(&who);
        }
        has_room
    }

    /// What the bucket must have for this one.
    fn least(&self, now_ms: u64, app: u64, who: u64) -> f64 {
        let reserve = match self.apps.get(&app) {
            Some(share) if self.apps.len() > 1 && self.share_at(share, now_ms) < 1.0 => {
                self.queue * RESERVE
            }
            _ => 0.0,
        };
        match self.remembered.get(&who) {
            Some(due_ms) if *due_ms <= now_ms && reserve == 0.0 => 1.0 - self.queue,
            _ => 1.0 + reserve,
        }
    }

    /// What is left of an app's part: as much of the rate, and of the logins at once, as of all
    /// apps that log in.
    fn share_at(&self, share: &Share, now_ms: u64) -> f64 {
        let part = 1.0 / self.apps.len().max(1) as f64;
        let s = now_ms.saturating_sub(share.at_ms) as f64 / 1_000.0;
        (share.tokens + s * self.rate * part).min(self.queue * part)
    }

    fn charge_share(&mut self, now_ms: u64, app: u64) {
        if now_ms.saturating_sub(self.forgot_ms) > ACTIVE_MS / 2 {
            self.forgot_ms = now_ms;
            self.apps
                .retain(|_, share| now_ms.saturating_sub(share.at_ms) < ACTIVE_MS);
        }
        let before = self.apps.get(&app);
        if before.is_none() && self.apps.len() >= APPS_MAX {
            return;
        }
        let tokens = before.map_or(self.queue, |share| self.share_at(share, now_ms));
        let share = Share {
            tokens: (tokens - 1.0).max(-self.queue),
            at_ms: now_ms,
        };
        self.apps.insert(app, share);
    }

    /// Gives back what was taken for a login that was none: its credentials were wrong, or its
    /// client has gone.
    pub fn give_back(&mut self) {
        self.tokens = (self.tokens + 1.0).min(self.queue);
    }

    /// Takes a resume, which goes before fresh logins: it is cheaper for all, and somebody may be
    /// missing its user.
    pub fn take_resume(&mut self, now_ms: u64) {
        self.advance(now_ms);
        self.tokens = (self.tokens - 1.0).max(-self.queue);
    }

    /// A turn of an event loop has taken this long.
    pub fn note_lag(&mut self, lag_ms: u64, now_ms: u64) {
        if lag_ms <= LAG_MS {
            return;
        }
        self.advance(now_ms);
        let began_ms = now_ms.saturating_sub(lag_ms);
        let since_ms = match self.slow {
            Some((since_ms, last_ms)) if began_ms <= last_ms + LAG_OVER_MS => since_ms,
            _ => began_ms,
        };
        self.slow = Some((since_ms, now_ms));
        if now_ms - since_ms >= LAG_BORNE_MS {
            self.rate = (self.rate / 2.0).max(self.full * LEAST);
            self.tokens = self.tokens.min(self.rate);
            self.slow = Some((now_ms, now_ms));
        }
    }

    /// Logins per second, for now.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    fn advance(&mut self, now_ms: u64) {
        if cfg!(debug_assertions) && self.apps.len() < 16 {
            self.assert_consistent();
        }
        let s = now_ms.saturating_sub(self.at_ms) as f64 / 1_000.0;
        self.at_ms = self.at_ms.max(now_ms);
        self.tokens = (self.tokens + s * self.rate).min(self.queue);
        self.expected = (self.expected - s * self.rate).max(0.0);
        self.rate = (self.rate + s * self.full * RESTORED_PER_S).min(self.full);
        if now_ms.saturating_sub(self.refused_ms) > REMEMBERED_MS {
            self.remembered.clear();
        }
    }
}

/// The shortest time that `spread` makes of a wait.
fn earliest(wait_ms: u64) -> u64 {
    wait_ms.max(WAIT_MIN_MS) / 2
}

/// A wait spread by half of it either way by a random number, so that those who are told it do not
/// come together. Milliseconds, at least half of `WAIT_MIN_MS`.
pub fn spread(wait_ms: u64, random: u64) -> u64 {
    earliest(wait_ms) + random % (wait_ms.max(WAIT_MIN_MS) + 1)
}

impl Admission {
    /// Asserts what holds between two calls, for whoever looks for bugs.
    ///
    /// # Panics
    /// Something that must hold does not: a bug.
    pub fn assert_consistent(&self) {
        assert!(self.full >= 1.0, "a node that lets nobody in");
        assert!(self.rate <= self.full, "more logins than the node can bear");
        assert!(
            self.rate >= self.full * LEAST,
            "fewer logins than the least"
        );
        assert!(self.tokens <= self.queue, "more at once than the queue");
        assert!(
            self.tokens >= -2.0 * self.queue - 1.0,
            "more was taken than was there"
        );
        assert!(self.expected >= 0.0, "fewer than nobody are expected");
        assert!(
            self.remembered.len() <= REMEMBERED_MAX,
            "too many are remembered"
        );
        assert!(self.apps.len() <= APPS_MAX, "too many apps have a share");
        let (since_ms, last_ms) = self.slow.unwrap_or_default();
        assert!(since_ms <= last_ms, "a lag ends before it begins");
        for share in self.apps.values() {
            assert!(
                share.tokens >= -self.queue,
                "an app owes more than its share"
            );
            assert!(share.tokens <= self.queue, "an app has more than there is");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: f64 = 1_000.0;

    fn full() -> Admission {
        Admission::new(1_000, LOGIN_QUEUE)
    }

    /// One whose burst is used up.
    fn empty(now_ms: u64) -> Admission {
        let mut admission = full();
        while admission.take_login(now_ms, 0, 0).is_ok() {}
        admission
    }

    /// Logins that are taken of so many in each millisecond of a second.
    fn taken(admission: &mut Admission, from_ms: u64, per_ms: usize) -> usize {
        (from_ms..from_ms + 1_000)
            .flat_map(|now_ms| {
                (0..per_ms).map(move |at| (now_ms, 1_000_000 + now_ms * 1_000 + at as u64))
            })
            .filter(|(now_ms, who)| admission.take_login(*now_ms, 0, *who).is_ok())
            .count()
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let mut admission = full();
        let burst = (0..5_000).filter(|who| admission.take_login(1, 0, *who).is_ok());
        assert_eq!(burst.count(), LOGIN_QUEUE);
        assert!((990..=1_010).contains(&taken(&mut admission, 2, 10)));
    }

    #[test]
    fn each_refused_login_is_told_its_own_time() {
        let mut admission = empty(1);
        let waits: Vec<u64> = (1..=1_000)
            .map(|who| admission.take_login(1, 0, who).expect_err("empty"))
            .collect();
        assert!(waits.is_sorted() && waits[0] <= 3, "{}", waits[0]);
        assert!((900..=1_100).contains(&waits[999]), "{}", waits[999]);
        // Those who come when they were told to are let in.
        assert!((990..=1_010).contains(&taken(&mut admission, 2, 1)));
    }

    #[test]
    fn who_comes_when_told_to_goes_before_those_who_come_later() {
        let mut admission = empty(1);
        let waits: Vec<u64> = (1..=1_000)
            .map(|who| admission.take_login(1, 0, who).expect_err("empty"))
            .collect();
        let mut due: Vec<(u64, u64)> = (1..=1_000)
            .zip(waits)
            .map(|(who, wait_ms)| (1 + spread(wait_ms, who * 7_919), who))
            .collect();
        due.sort_unstable();
        let mut again = due.into_iter().peekable();
        for now_ms in 2..1_600 {
            while let Some((_, who)) = again.next_if(|(due_ms, _)| *due_ms <= now_ms) {
                assert_eq!(
                    admission.take_login(now_ms, 0, who),
                    Ok(()),
                    "{who} at {now_ms}"
                );
            }
            // Three newcomers a millisecond, three times the rate, take whatever they can get.
            for number in 0..3 {
                let _ = admission.take_login(now_ms, 0, now_ms * 10_000 + number);
            }
        }
        assert_eq!(again.next(), None);
    }

    #[test]
    fn who_comes_again_before_the_time_gains_nothing() {
        let mut admission = empty(1);
        let wait_ms = admission.take_login(1, 0, 7).expect_err("empty");
        for who in 1_000..1_500 {
            let _ = admission.take_login(1, 0, who);
        }
        let left_ms = admission.take_login(1, 0, 7).expect_err("too early");
        assert!(
            left_ms <= wait_ms.max(WAIT_MIN_MS),
            "{left_ms} of {wait_ms}"
        );
        while admission.take_login(12, 0, 8).is_ok() {}
        assert_eq!(admission.take_login(12, 0, 7), Ok(()));
        assert!(admission.take_login(12, 0, 7).is_err(), "once");
    }

    #[test]
    fn those_who_are_remembered_are_bounded_and_forgotten() {
        let mut admission = empty(1);
        for who in 1..=2 * REMEMBERED_MAX as u64 {
            assert!(admission.take_login(1, 0, who).is_err());
        }
        assert_eq!(admission.remembered.len(), REMEMBERED_MAX);
        let _ = admission.take_login(2 + REMEMBERED_MS, 0, 0);
        assert!(admission.remembered.is_empty());
    }

    #[test]
    fn resumes_are_always_let_in_and_go_before_logins() {
        let mut admission = empty(1);
        for _ in 0..500 {
            admission.take_resume(1);
        }
        assert!(admission.take_login(400, 0, 1).is_err());
        assert!(admission.take_login(600, 0, 2).is_ok());
    }

    #[test]
    fn a_loop_that_lags_halves_the_rate_which_comes_back_by_5_percent_a_second() {
        let mut admission = empty(1);
        for turn in 1..=4 {
            admission.note_lag(150, 10_000 + turn * 150);
        }
        assert!(admission.rate() >= RATE, "not for a second yet");
        for turn in 5..=7 {
            admission.note_lag(150, 10_000 + turn * 150);
        }
        assert!(
            (490.0..520.0).contains(&admission.rate()),
            "{}",
            admission.rate()
        );
        let _ = admission.take_login(16_050, 0, 1);
        assert!(
            (740.0..780.0).contains(&admission.rate()),
            "{}",
            admission.rate()
        );
        let _ = admission.take_login(30_000, 0, 2);
        assert!(admission.rate() >= RATE);
    }

    #[test]
    fn an_app_whose_users_all_come_at_once_leaves_room_for_others() {
        let mut admission = full();
        let (storm, other) = (1, 2);
        admission.take_login(1, other, 0).expect("a full bucket");
        let mut who = 10;
        let mut late = 0;
        // Ten times as many of one app as the node takes, and one of another app each 20 ms.
        for now_ms in 2..5_002 {
            for _ in 0..10 {
                who += 1;
                let _ = admission.take_login(now_ms, storm, who);
            }
            if now_ms % 20 == 0 {
                who += 1;
                late += usize::from(admission.take_login(now_ms, other, who).is_err());
            }
        }
        assert_eq!(late, 0);
    }

    #[test]
    fn an_app_alone_has_all_logins_of_the_node() {
        let mut admission = full();
        let taken = (0..2 * LOGIN_QUEUE as u64)
            .filter(|who| admission.take_login(1, 1, *who).is_ok())
            .count();
        assert_eq!(taken, LOGIN_QUEUE);
    }

    #[test]
    fn single_long_turns_halve_nothing_and_one_of_a_second_does() {
        let mut admission = full();
        for turn in 1..20 {
            admission.note_lag(200, turn * 2_000);
        }
        assert!(admission.rate() >= RATE);
        admission.note_lag(1_200, 60_000);
        assert!(admission.rate() < 600.0);
    }

    #[test]
    fn waits_are_spread_by_half_either_way() {
        let spreads: Vec<u64> = (0..1_000).map(|n| spread(100, n * 7)).collect();
        assert_eq!(spreads.iter().min(), Some(&50));
        assert_eq!(spreads.iter().max(), Some(&150));
    }

    #[test]
    fn nobody_is_told_to_come_again_at_once() {
        for wait_ms in 0..=WAIT_MIN_MS {
            let spreads: Vec<u64> = (0..1_000).map(|n| spread(wait_ms, n)).collect();
            assert_eq!(spreads.iter().min(), Some(&10), "{wait_ms} ms");
            assert_eq!(spreads.iter().max(), Some(&30), "{wait_ms} ms");
        }
    }
}
