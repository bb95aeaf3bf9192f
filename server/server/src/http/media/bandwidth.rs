//! How fast users and apps may upload.
//!
//! One file at once goes as fast as it comes; who goes on is held to a rate, by being read more
//! slowly.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tidings_wire::limits::{MEDIA_APP_RATE_MAX, MEDIA_BYTES_MAX, MEDIA_USER_RATE_MAX};
use tidings_wire::names::{AppId, UserId};
use tokio::time::Instant;

/// Users and apps that are remembered. Beyond it, those that owe nothing are forgotten.
const REMEMBERED_MAX: usize = 10_000;

/// What users and apps have uploaded of late.
#[derive(Debug, Default)]
pub(super) struct Bandwidth {
    spent: Mutex<Spent>,
}

#[derive(Debug, Default)]
struct Spent {
    users: HashMap<(AppId, UserId), Debt>,
    apps: HashMap<AppId, Debt>,
}

/// Bytes beyond the rate, as of a time.
#[derive(Debug, Clone, Copy)]
struct Debt {
    bytes: f64,
    as_of: Instant,
}

impl Debt {
    fn at(self, now: Instant, rate: f64) -> f64 {
        let paid = rate * now.duration_since(self.as_of).as_secs_f64();
        (self.bytes - paid).max(0.0)
    }
}

impl Bandwidth {
    /// Counts bytes that have come, and says how long to wait before more is read.
    pub(super) fn spend(&self, app: &AppId, user: &UserId, bytes: usize) -> Duration {
        let now = Instant::now();
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (app.clone(), user.clone());
        // One file of the largest size is free for a user, and a few at once for an app.
        let free = MEDIA_BYTES_MAX as f64;
        let of_user = spend(&mut spent.users, key, bytes, now, MEDIA_USER_RATE_MAX, free);
        let of_app = spend(
            &mut spent.apps,
            app.clone(),
            bytes,
            now,
            MEDIA_APP_RATE_MAX,
            4.0 * free,
        );
        of_user.max(of_app)
    }
}

fn spend<K: Eq + Hash>(
    debts: &mut HashMap<K, Debt>,
    key: K,
    bytes: usize,
    now: Instant,
    rate: usize,
    free: f64,
) -> Duration {
    let rate = rate as f64;
    if debts.len() >= REMEMBERED_MAX {
        debts.retain(|_, debt| debt.at(now, rate) > 0.0);
    }
    let debt = debts.entry(key).or_insert(Debt {
        bytes: 0.0,
        as_of: now,
    });
    *debt = Debt {
        bytes: debt.at(now, rate) + bytes as f64,
        as_of: now,
    };
    Duration::from_secs_f64((debt.bytes - free).max(0.0) / rate)
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_file_is_free_and_more_go_at_the_rate() {
        let bandwidth = Bandwidth::default();
        let app = AppId::parse(&"a".repeat(32)).expect("an app id");
        let user = |name: &str| UserId::parse(name).expect("a user id");
        let spend = |name: &str, bytes| bandwidth.spend(&app, &user(name), bytes);
        assert_eq!(spend("alice", MEDIA_BYTES_MAX), Duration::ZERO);
        assert_eq!(spend("alice", MEDIA_USER_RATE_MAX), Duration::from_secs(1));
        assert_eq!(spend("bob", 1), Duration::ZERO, "nobody else waits");
        advance(Duration::from_secs(1)).await;
        assert_eq!(
            spend("alice", MEDIA_USER_RATE_MAX / 2),
            Duration::from_millis(500)
        );
        // Many users of one app are held by the app's rate.
        let mut last = Duration::ZERO;
        for number in 0..8 {
            last = spend(&format!("user-{number}"), MEDIA_BYTES_MAX);
        }
        assert!(last > Duration::from_secs(1), "{last:?}");
    }
}
