//! What one app may use of a node, over all hubs. Source: contract 6.4.
//!
//! The counters are shared by the hubs of a node and exact, not dealt out to them: an app whose
//! users all happen to be on one hub has its whole quota there (decision 0013). They are plain
//! numbers that are added to; no hub waits for another. With one app there is nobody to be
//! protected, so that quotas are off unless the app sets them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tidings_wire::codes::Outcome;
use tidings_wire::limits as l;
use tidings_wire::names::AppId;
use tidings_wire::proto::Error;
use tidings_wire::rates::{Bucket, Rate};

/// What an app may use; `None` = the default, 0 = as much as it likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quotas {
    /// Logins at once, those that are away and may come back too.
    pub max_connections: Option<u64>,
    /// Messages to users and channels in a second, of all users together.
    pub max_messages_per_s: Option<u64>,
    /// Copies of channel messages in a second: a message counts once for each member.
    pub max_fanout_per_s: Option<u64>,
    /// Bytes of stored messages, histories and attributes.
    pub max_bytes: Option<u64>,
    /// Bytes of files.
    pub max_media_bytes: Option<u64>,
}

impl Quotas {
    /// The defaults where a node has more than one app.
    pub const SHARED: Self = Self {
        max_connections: Some(l::APP_CONNECTIONS_MAX as u64),
        max_messages_per_s: Some(l::APP_MESSAGES_PER_S_MAX as u64),
        max_fanout_per_s: Some(l::APP_FANOUT_PER_S_MAX as u64),
        max_bytes: Some(l::APP_BYTES_MAX as u64),
        max_media_bytes: Some(l::APP_MEDIA_BYTES_MAX as u64),
    };

    pub(crate) fn or(self, weaker: Self) -> Self {
        Self {
            max_connections: self.max_connections.or(weaker.max_connections),
            max_messages_per_s: self.max_messages_per_s.or(weaker.max_messages_per_s),
            max_fanout_per_s: self.max_fanout_per_s.or(weaker.max_fanout_per_s),
            max_bytes: self.max_bytes.or(weaker.max_bytes),
            max_media_bytes: self.max_media_bytes.or(weaker.max_media_bytes),
        }
    }

    /// A bound; `None` = there is none.
    pub(crate) fn bound(quota: Option<u64>) -> Option<u64> {
        quota.filter(|max| *max > 0)
    }
}

/// What an app uses of a node now, counted by all hubs.
#[derive(Debug, Clone, Default)]
pub struct Usage(Arc<Counters>);

/// Cost: a few atomic operations per login, and one or two per message where there are quotas.
#[derive(Debug, Default)]
struct Counters {
    connections: AtomicU64,
    messages: AtomicU64,
    fan_out: AtomicU64,
}

impl PartialEq for Usage {
    /// How much is used makes no difference between two apps.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Usage {}

impl Usage {
    /// Logins at once.
    pub fn connections(&self) -> u64 {
        self.0.connections.load(Ordering::Relaxed)
    }

    /// Takes a place for a login, if there is one.
    pub(crate) fn enter(&self, max: Option<u64>) -> Option<Place> {
        let max = max.unwrap_or(u64::MAX);
        let count = |have: u64| (have < max).then_some(have + 1);
        let all = &self.0.connections;
        all.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count)
            .ok()
            .map(|_| Place(self.clone()))
    }

    /// Counts a message of which so many copies are made; `None` copies: it goes to a user.
    ///
    /// # Errors
    /// `too_often`, with the name of the quota that the app's users have reached together, and the
    /// wait.
    pub(crate) fn take_message(
        &self,
        app: &AppId,
        quotas: Quotas,
        copies: Option<usize>,
        now_ms: u64,
    ) -> Result<(), (&'static str, Error)> {
        debug_assert!(!app.as_str().is_empty(), "a message of no app");
        let parts = [
            (
                "max_messages_per_s",
                quotas.max_messages_per_s,
                &self.0.messages,
                1,
            ),
            (
                "max_fanout_per_s",
                quotas.max_fanout_per_s.filter(|_| copies.is_some()),
                &self.0.fan_out,
                copies.unwrap_or_default() as u64,
            ),
        ];
        for (name, quota, bucket, amount) in parts {
            let Some(max) = Quotas::bound(quota) else {
                // The app has no such quota.
                continue;
            };
            if let Err(wait_ms) = take(bucket, max, amount, now_ms) {
                let mut error = exceeded(Outcome::TooOften, app, name, max);
                error.retry_after_ms = u32::try_from(wait_ms).unwrap_or(u32::MAX);
                return Err((name, error));
            }
        }
        Ok(())
    }
}

/// A login's place among those of its app; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place(Usage);

impl Drop for Place {
    fn drop(&mut self) {
        let before = self.0.0.connections.fetch_sub(1, Ordering::Relaxed);
        debug_assert!(before > 0, "a place is given back twice");
    }
}

/// Takes so much of a bucket that all hubs share, or says after how many milliseconds the next may.
pub(crate) fn take(bucket: &AtomicU64, per_s: u64, amount: u64, now_ms: u64) -> Result<(), u64> {
    let rate = Rate {
        calls: u32::try_from(per_s).unwrap_or(u32::MAX),
        window_ms: 1_000,
    };
    let mut wait_ms = 0;
    let taken = bucket.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |state| {
        let mut bucket = Bucket::from_state(state);
        match bucket.wait(rate, now_ms) {
            Some(wait) => {
                wait_ms = wait;
                None
            }
            None => {
                bucket.charge(rate, amount, now_ms);
                Some(bucket.state())
            }
        }
    });
    taken.map(|_| ()).map_err(|_| wait_ms)
}

/// The refusal for want of a quota, which names it and how it is set.
pub(crate) fn exceeded(outcome: Outcome, app: &AppId, name: &str, max: u64) -> Error {
    let text = format!(
        "app {app} has reached its quota {name} = {max}; the operator sets it with `tidings app set {app} {name}=…`"
    );
    Error {
        outcome: outcome as u32,
        text,
        retry_after_ms: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{App, Apps};

    fn id(n: u32) -> AppId {
        AppId::parse(&format!("{n:032}")).expect("an app id")
    }

    fn apps(count: u32) -> Apps {
        let mut apps = Apps::default();
        for n in 0..count {
            apps.listed.insert(id(n), App::default());
        }
        apps
    }

    #[test]
    fn one_app_alone_has_no_quotas_and_two_have_the_defaults() {
        assert_eq!(apps(1).quotas(&id(0)), Quotas::default());
        assert!(!apps(1).has_message_quotas());
        let mut two = apps(2);
        assert_eq!(two.quotas(&id(0)), Quotas::SHARED);
        assert!(two.has_message_quotas());
        for app in two.listed.values_mut() {
            app.quotas = Quotas {
                max_messages_per_s: Some(0),
                max_fanout_per_s: Some(0),
                ..Quotas::default()
            };
        }
        assert!(!two.has_message_quotas(), "0 is no quota");
        let mut one = apps(1);
        let quotas = Quotas {
            max_connections: Some(5),
            ..Quotas::default()
        };
        one.listed.values_mut().for_each(|app| app.quotas = quotas);
        assert_eq!(one.quotas(&id(0)), quotas);
    }

    #[test]
    fn places_are_given_back_and_counted_on_over_a_reload() {
        let before = apps(1);
        let usage = before.listed[&id(0)].usage.clone();
        let places: Vec<Option<Place>> = (0..4).map(|_| usage.enter(Some(3))).collect();
        assert_eq!(places.iter().flatten().count(), 3);
        let after = apps(2).counting_on(&before);
        assert_eq!(after.listed[&id(0)].usage.connections(), 3);
        assert_eq!(after.listed[&id(1)].usage.connections(), 0);
        drop(places);
        assert_eq!(after.listed[&id(0)].usage.connections(), 0);
    }

    #[test]
    fn a_bucket_of_all_hubs_holds_for_all_of_them_together() {
        let bucket = AtomicU64::new(0);
        let taken: usize = std::thread::scope(|scope| {
            let hub = || {
                (0..1_000)
                    .filter(|_| take(&bucket, 100, 1, 5_000).is_ok())
                    .count()
            };
            let hubs: Vec<_> = (0..4).map(|_| scope.spawn(hub)).collect();
            hubs.into_iter()
                .map(|hub| hub.join().expect("counts"))
                .sum()
        });
        assert_eq!(taken, 100);
        assert_eq!(take(&bucket, 100, 1, 5_000), Err(10));
        assert_eq!(take(&bucket, 100, 500, 5_010), Ok(()), "one goes over");
        assert_eq!(take(&bucket, 100, 1, 5_010), Err(5_000));
    }
}
