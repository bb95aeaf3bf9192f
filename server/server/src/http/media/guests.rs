//! How many transfers go on at once.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tidings_wire::codes::Outcome;
use tidings_wire::limits::MEDIA_TRANSFERS_MAX;
use tidings_wire::names::{AppId, UserId};

use super::answer::Problem;
use crate::http::pace::{Pace, Transfer};

/// Transfers of the node at once. Each has a connection and up to 256 KB of buffers.
const TRANSFERS_MAX: usize = 256;

/// Of one app, where there are others.
const APP_TRANSFERS_MAX: usize = TRANSFERS_MAX / 2;

/// A client counts its own transfers. Of one user the server takes twice as many: the end of a
/// transfer that a client has given up is noticed here a little later.
const USER_TRANSFERS_MAX: usize = 2 * MEDIA_TRANSFERS_MAX;

/// What a client waits before it tries again. Milliseconds.
const RETRY_MS: u32 = 2_000;

/// Counts transfers by app and user.
#[derive(Debug, Default)]
pub(crate) struct Guests {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    /// Bound: `TRANSFERS_MAX` entries.
    by_user: HashMap<(AppId, UserId), usize>,
    by_app: HashMap<AppId, usize>,
}

impl Guests {
    /// Counts a transfer until its seat is dropped.
    pub(super) fn seat(
        self: &Arc<Self>,
        (app, user): (&AppId, &UserId),
        others: Others,
        pace: &Pace,
    ) -> Result<Seat, Problem> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = |outcome, text: String| Problem::new(outcome, text).retry_after(RETRY_MS);
        let key = (app.clone(), user.clone());
        let of_user = counts.by_user.get(&key).copied().unwrap_or(0);
        if of_user >= USER_TRANSFERS_MAX {
            let text = format!("user {user} has {of_user} uploads and downloads going on");
            return Err(refused(Outcome::TooManyTransfers, text));
        }
        let of_app = counts.by_app.get(app).copied().unwrap_or(0);
        if others == Others::Exist && of_app >= APP_TRANSFERS_MAX {
            let text = format!("app {app} has {of_app} uploads and downloads going on");
            return Err(refused(Outcome::Overloaded, text));
        }
        if counts.total >= TRANSFERS_MAX {
            // How many there are of others is nobody's business.
            let text = "the server is busy with other uploads and downloads".to_owned();
            return Err(refused(Outcome::Overloaded, text));
        }
        counts.total += 1;
        counts.by_user.insert(key.clone(), of_user + 1);
        counts.by_app.insert(app.clone(), of_app + 1);
        Ok(Seat {
            guests: self.clone(),
            key,
            _transfer: pace.becomes_transfer(),
        })
    }
}

/// Whether an app has the server for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    Exist,
    None,
}

/// A counted transfer.
#[derive(Debug)]
pub(super) struct Seat {
    guests: Arc<Guests>,
    key: (AppId, UserId),
    _transfer: Transfer,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let counts = &self.guests.counts;
        let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.total -= 1;
        take_one(&mut counts.by_user, &self.key);
        take_one(&mut counts.by_app, &self.key.0);
    }
}

fn take_one<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Limits;
    use crate::http::pace::Waits;

    fn pace() -> Pace {
        Pace::begin(Waits::new(&Limits::default()))
    }

    fn app(letter: &str) -> AppId {
        AppId::parse(&letter.repeat(32)).expect("an app id")
    }

    fn user(number: usize) -> UserId {
        UserId::parse(&format!("u{number}")).expect("a user id")
    }

    #[test]
    fn a_user_an_app_and_the_node_have_bounds_and_seats_come_back() {
        let guests = Arc::new(Guests::default());
        let pace = pace();
        let seat = |letter: &str, number, others| {
            let user = user(number);
            guests.seat((&app(letter), &user), others, &pace)
        };
        let refused = |letter, number, others| {
            let refused = seat(letter, number, others).expect_err("no seat");
            refused.outcome()
        };
        let mut seats: Vec<_> = (0..USER_TRANSFERS_MAX)
            .map(|_| seat("a", 0, Others::Exist).expect("a seat"))
            .collect();
        assert_eq!(refused("a", 0, Others::Exist), Outcome::TooManyTransfers);
        for number in seats.len()..APP_TRANSFERS_MAX {
            seats.push(seat("a", number, Others::Exist).expect("a seat"));
        }
        assert_eq!(refused("a", 999, Others::Exist), Outcome::Overloaded);
        for number in seats.len()..TRANSFERS_MAX {
            seats.push(seat("b", number, Others::Exist).expect("a seat of another app"));
        }
        assert_eq!(refused("c", 999, Others::Exist), Outcome::Overloaded);
        drop(seats);
        let alone: Vec<_> = (0..TRANSFERS_MAX)
            .map(|number| seat("a", number, Others::None).expect("a seat"))
            .collect();
        drop(alone);
        assert!(!pace.is_transfer());
        assert!(
            guests
                .counts
                .lock()
                .expect("nobody panicked")
                .by_app
                .is_empty()
        );
    }
}
