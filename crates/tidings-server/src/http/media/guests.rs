//! How many transfers go on at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tidings_wire::codes::Outcome;
use tidings_wire::limits::MEDIA_TRANSFERS_MAX;
use tidings_wire::names::{AppId, UserId};

use super::answer::Problem;

/// Transfers of the node at once. Each has a connection and up to 256 KB of buffers.
const TRANSFERS_MAX: usize = 256;

/// A client counts its own transfers. Of one user the server takes twice as many: the end of a transfer that a client
/// has given up is noticed here a little later.
const USER_TRANSFERS_MAX: usize = 2 * MEDIA_TRANSFERS_MAX;

/// What a client waits before it tries again. Milliseconds.
const RETRY_MS: u32 = 2_000;

/// Counts transfers.
#[derive(Debug, Default)]
pub(crate) struct Guests {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    /// Bound: `TRANSFERS_MAX` entries.
    by_user: HashMap<(AppId, UserId), usize>,
}

impl Guests {
    /// Counts a transfer until its seat is dropped.
    pub(super) fn seat(self: &Arc<Self>, app: &AppId, user: &UserId) -> Result<Seat, Problem> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.total >= TRANSFERS_MAX {
            let text = format!("the server has {TRANSFERS_MAX} uploads and downloads going on");
            return Err(Problem::new(Outcome::Overloaded, text).retry_after(RETRY_MS));
        }
        let key = (app.clone(), user.clone());
        let of_user = counts.by_user.entry(key.clone()).or_default();
        if *of_user >= USER_TRANSFERS_MAX {
            let text = format!("user {user} has {of_user} uploads and downloads going on");
            return Err(Problem::new(Outcome::TooManyTransfers, text).retry_after(RETRY_MS));
        }
        *of_user += 1;
        counts.total += 1;
        let guests = self.clone();
        Ok(Seat { guests, key })
    }
}

/// A counted transfer.
#[derive(Debug)]
pub(super) struct Seat {
    guests: Arc<Guests>,
    key: (AppId, UserId),
}

impl Drop for Seat {
    fn drop(&mut self) {
        let counts = &self.guests.counts;
        let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.total -= 1;
        if let Some(of_user) = counts.by_user.get_mut(&self.key) {
            *of_user -= 1;
            if *of_user == 0 {
                counts.by_user.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_and_the_node_have_bounds_and_seats_come_back() {
        let guests = Arc::new(Guests::default());
        let app = AppId::parse(&"a".repeat(32)).expect("an app id");
        let user = |name: &str| UserId::parse(name).expect("a user id");
        let mut seats: Vec<_> = (0..USER_TRANSFERS_MAX)
            .map(|_| guests.seat(&app, &user("alice")).expect("a seat"))
            .collect();
        let full = guests.seat(&app, &user("alice")).expect_err("no seat");
        assert_eq!(full.outcome(), Outcome::TooManyTransfers);
        for number in seats.len()..TRANSFERS_MAX {
            seats.push(
                guests
                    .seat(&app, &user(&format!("u{number}")))
                    .expect("a seat"),
            );
        }
        let full = guests.seat(&app, &user("bob")).expect_err("no seat");
        assert_eq!(full.outcome(), Outcome::Overloaded);
        drop(seats);
        guests.seat(&app, &user("alice")).expect("a seat again");
    }
}
