//! What is counted for each app: calls, calls at once, and answers that are given again.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use tidings_wire::names::ChannelName;
use tidings_wire::rates::{Bucket, Rate};

use crate::idempotency::Replays;
use crate::problem::Fault;

/// Apps that are remembered: with `--dev` every id is an app.
const DESKS_MAX: usize = 10_000;

/// Calls of one app that are answered at once: more than its rate lets begin within the longest
/// wait for a receiver.
pub(crate) const CALLS_AT_ONCE_MAX: usize = 4_096;

/// Streams of events of one app at once, and long polls with them.
pub(crate) const STREAMS_MAX: usize = 64;

/// Channels of one app whose 2.x rate is remembered.
const CHANNELS_MAX: usize = 10_000;

/// How often an app's callers may ask. Source: rest 9, 11.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// All calls about an app together.
    pub calls: Rate,
    /// Readings of the hosted service's queues of events, each kind.
    pub events: Rate,
    /// History of 1.x.
    pub history: Rate,
    /// 2.x messages to one channel.
    pub channel: Rate,
    /// Rules of bans at the hosted service's path, by one key. Source: rest 6.
    pub rules: Rate,
    /// Who is there, by one app's callers. Source: rest 7.
    pub presence: Rate,
    /// Projects, by one key. Source: rest 8.
    pub projects: Rate,
}

const fn per_second(calls: u32) -> Rate {
    let window_ms = 1_000;
    Rate { calls, window_ms }
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            calls: per_second(500),
            events: per_second(10),
            history: per_second(100),
            channel: per_second(60),
            rules: per_second(10),
            presence: per_second(20),
            projects: per_second(10),
        }
    }
}

impl Rates {
    /// With so many calls of an app. Without a limit there, the rates of the hosted service's
    /// operators' calls are none either.
    pub fn with_calls(calls: Rate) -> Self {
        let rates = Self {
            calls,
            ..Self::default()
        };
        if calls.calls > 0 {
            return rates;
        }
        Self {
            rules: calls,
            presence: calls,
            projects: calls,
            ..rates
        }
    }

    /// The rate of a path besides that of the app's calls, with what it counts; `None` = it has
    /// none that holds before its handler is asked.
    pub(crate) fn of_path(&self, path: &str) -> Option<(Kind, Rate, &'static str)> {
        let rest = path.strip_prefix("/dev/v1/")?;
        let area = rest.split('/').next().unwrap_or_default();
        match area {
            "kicking-rule" => Some((Kind::Rules, self.rules, "calls about rules")),
            "channel" => Some((Kind::Presence, self.presence, "questions about channels")),
            "project" | "projects" | "project_status" | "signkey" | "reset_signkey" => {
                Some((Kind::Projects, self.projects, "calls about projects"))
            }
            _ => None,
        }
    }
}

/// A rate of an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Calls,
    UserEvents,
    ChannelEvents,
    History,
    Rules,
    Presence,
    Projects,
}

/// What is counted for one app.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    /// States of buckets, by [`Kind`]: changed without a lock.
    buckets: [AtomicU64; 7],
    calls: AtomicUsize,
    streams: AtomicUsize,
    /// Rates by channel. At [`CHANNELS_MAX`], those that are full again are dropped first.
    channels: Mutex<HashMap<ChannelName, Bucket>>,
    pub(crate) replays: Replays,
}

/// What is left of a rate, told in the headers of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Left {
    rate: Rate,
    /// Calls that may come at once.
    calls: u64,
    /// When all of them may come again, in milliseconds.
    full_in_ms: u64,
}

impl Left {
    fn of(bucket: Bucket, rate: Rate, now_ms: u64) -> Self {
        let used = bucket.used(rate, now_ms);
        let taken = used.div_ceil(u64::from(rate.window_ms.max(1)));
        Self {
            rate,
            calls: u64::from(rate.calls).saturating_sub(taken),
            full_in_ms: used.div_ceil(u64::from(rate.calls.max(1))),
        }
    }

    /// Adds the headers: those that many libraries read, and those of the draft standard.
    pub(crate) fn tell(&self, headers: &mut HeaderMap) {
        if self.rate.calls == 0 {
            return;
        }
        let full_in_s = self.full_in_ms.div_ceil(1_000);
        let numbers = [
            ("x-ratelimit-limit", u64::from(self.rate.calls)),
            ("x-ratelimit-remaining", self.calls),
            ("x-ratelimit-reset", full_in_s),
        ];
        for (name, value) in numbers {
            headers.insert(HeaderName::from_static(name), HeaderValue::from(value));
        }
        let left = format!("\"calls\";r={};t={full_in_s}", self.calls);
        let window_s = self.rate.window_ms.div_ceil(1_000);
        let policy = format!("\"calls\";q={};w={window_s}", self.rate.calls);
        for (name, text) in [("ratelimit", left), ("ratelimit-policy", policy)] {
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
    }
}

/// The answer to a caller over a rate.
pub(crate) fn over(who: &str, rate: Rate, what: &str, wait_ms: u64) -> Fault {
    let (calls, window_ms) = (rate.calls, rate.window_ms);
    let detail = format!("{who} has more than {calls} {what} in {window_ms} ms");
    Fault::too_often(detail, wait_ms)
}

impl Desk {
    /// Takes one call.
    ///
    /// # Errors
    /// The wait in milliseconds.
    pub(crate) fn take(&self, kind: Kind, rate: Rate, now_ms: u64) -> (Left, Result<(), u64>) {
        let state = &self.buckets[kind as usize];
        let mut before = state.load(Ordering::Relaxed);
        loop {
            let mut bucket = Bucket::from_state(before);
            let taken = bucket.take(rate, now_ms);
            let swapped = state.compare_exchange_weak(
                before,
                bucket.state(),
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            match swapped {
                Ok(_) => return (Left::of(bucket, rate, now_ms), taken),
                Err(other) => before = other,
            }
        }
    }

    /// Takes one 2.x message to a channel.
    ///
    /// # Errors
    /// The wait in milliseconds.
    pub(crate) fn take_channel(
        &self,
        channel: &ChannelName,
        rate: Rate,
        now_ms: u64,
    ) -> Result<(), u64> {
        let channels = self.channels.lock();
        let mut channels = channels.unwrap_or_else(PoisonError::into_inner);
        if channels.len() >= CHANNELS_MAX {
            channels.retain(|_, bucket| !bucket.is_full(rate, now_ms));
        }
        channels
            .entry(channel.clone())
            .or_default()
            .take(rate, now_ms)
    }

    /// A call begins, until the value is dropped.
    ///
    /// # Errors
    /// The app has too many at once.
    pub(crate) fn begin(self: &Arc<Self>) -> Result<Begun, Fault> {
        self.enter(|desk| &desk.calls, CALLS_AT_ONCE_MAX, "calls at once")
    }

    /// A stream of events begins, until the value is dropped.
    ///
    /// # Errors
    /// The app has too many at once.
    pub(crate) fn begin_stream(self: &Arc<Self>) -> Result<Begun, Fault> {
        self.enter(
            |desk| &desk.streams,
            STREAMS_MAX,
            "readers of events at once",
        )
    }

    fn enter(
        self: &Arc<Self>,
        of: fn(&Self) -> &AtomicUsize,
        most: usize,
        what: &str,
    ) -> Result<Begun, Fault> {
        // Made first: dropped, it gives back what is counted here.
        let begun = Begun {
            desk: self.clone(),
            of,
        };
        if of(self).fetch_add(1, Ordering::Relaxed) >= most {
            let detail = format!("the app has {most} {what}, which is the most that it may have");
            return Err(Fault::too_often(detail, 1_000));
        }
        Ok(begun)
    }
}

/// A call that is being answered.
#[derive(Debug)]
pub(crate) struct Begun {
    desk: Arc<Desk>,
    of: fn(&Desk) -> &AtomicUsize,
}

impl Drop for Begun {
    fn drop(&mut self) {
        (self.of)(&self.desk).fetch_sub(1, Ordering::Relaxed);
    }
}

/// The desks of all apps, or of all keys.
#[derive(Debug)]
pub(crate) struct Desks<K>(RwLock<HashMap<K, Arc<Desk>>>);

impl<K> Default for Desks<K> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<K: Clone + Eq + Hash> Desks<K> {
    /// The desk of an app or a key, which the caller has found to exist.
    pub(crate) fn of<Q>(&self, app: &Q) -> Arc<Desk>
    where
        K: Borrow<Q>,
        Q: ToOwned<Owned = K> + Eq + Hash + ?Sized,
    {
        {
            let desks = self.0.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(desk) = desks.get(app) {
                return desk.clone();
            }
        }
        let mut desks = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if desks.len() >= DESKS_MAX {
            // One that nobody holds forgets its rates of this second, and its answers.
            desks.retain(|_, desk| Arc::strong_count(desk) > 1);
        }
        desks.entry(app.to_owned()).or_default().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_counts_and_tells_what_is_left() {
        let desk = Arc::new(Desk::default());
        let rate = per_second(2);
        let (left, taken) = desk.take(Kind::Calls, rate, 1_000);
        assert_eq!((left.calls, left.full_in_ms, taken), (1, 500, Ok(())));
        desk.take(Kind::Calls, rate, 1_000).1.expect("the second");
        let (left, taken) = desk.take(Kind::Calls, rate, 1_000);
        assert_eq!((left.calls, left.full_in_ms, taken), (0, 1_000, Err(500)));
        let mut headers = HeaderMap::new();
        left.tell(&mut headers);
        assert_eq!(headers["x-ratelimit-limit"], "2");
        assert_eq!(headers["ratelimit"], "\"calls\";r=0;t=1");
        assert!(
            desk.take(Kind::History, rate, 1_000).1.is_ok(),
            "each its own"
        );
    }

    #[test]
    fn the_hosted_operators_calls_have_rates_of_their_own() {
        let rates = Rates::default();
        let of = |path: &str| rates.of_path(path).map(|(_, rate, _)| rate.calls);
        assert_eq!(of("/dev/v1/kicking-rule"), Some(10));
        assert_eq!(of("/dev/v1/kicking-rule/"), Some(10));
        assert_eq!(of("/dev/v1/channel/user/a/b"), Some(20));
        assert_eq!(of("/dev/v1/projects"), Some(10));
        assert_eq!(of("/dev/v2/project/a/rtm/users/b/peer_messages"), None);
        let none = Rates::with_calls(Rate {
            calls: 0,
            ..per_second(1)
        });
        assert_eq!((none.rules.calls, none.events.calls), (0, 10));
        assert_eq!(Rates::with_calls(per_second(5)).rules.calls, 10);
    }

    #[test]
    fn calls_at_once_are_bounded_and_end() {
        let desk = Arc::new(Desk::default());
        let begun: Vec<_> = (0..STREAMS_MAX)
            .map(|_| desk.begin_stream().expect("a place"))
            .collect();
        assert!(desk.begin_stream().is_err());
        drop(begun);
        assert!(desk.begin_stream().is_ok());
    }
}
