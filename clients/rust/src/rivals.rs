//! The logins of one user in one program: the later one wins.
//!
//! The server lets the newest of a user's connections win; which of two that are opened in the same moment it sees
//! first is the network's affair. So a login holds back the earlier ones of its user that are not connected, until it
//! has succeeded, which ends them, or come to nothing, which lets them go on. The JavaScript package does the same
//! (decision 0020).

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// What a login is told for the sake of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// Connect as you like.
    Go,
    /// Open no connection for now.
    Hold,
    /// A later login has succeeded.
    Over,
}

/// Server, app and user.
pub(crate) type Key = (String, String, String);

#[derive(Debug)]
struct Rival {
    number: u64,
    /// It has not succeeded yet.
    is_pending: bool,
    tell: watch::Sender<Word>,
}

/// Logins that are not over, in their order. Bound: the clients of the program that are logged in or logging in.
#[derive(Debug, Default)]
struct Table {
    logins: HashMap<Key, Vec<Rival>>,
    drawn: u64,
}

/// Touched when a login begins, succeeds and ends.
static TABLE: Mutex<Option<Table>> = Mutex::new(None);

/// The place of one login among those of its user; given up when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    key: Key,
    number: u64,
    word: watch::Receiver<Word>,
}

impl Place {
    /// Takes the last place. Says also whether there are others.
    pub(crate) fn take(key: Key) -> (Self, bool) {
        let (tell, word) = watch::channel(Word::Go);
        let mut guard = lock();
        let table = guard.get_or_insert_default();
        table.drawn += 1;
        let number = table.drawn;
        let all = table.logins.entry(key.clone()).or_default();
        let has_others = !all.is_empty();
        all.push(Rival {
            number,
            is_pending: true,
            tell,
        });
        tell_all(all);
        drop(guard);
        (Self { key, number, word }, has_others)
    }

    /// The last word.
    pub(crate) fn word(&self) -> Word {
        *self.word.borrow()
    }

    /// Waits for another word. Cancel-safe.
    pub(crate) async fn changed(&mut self) {
        if self.word.changed().await.is_err() {
            // After the last word.
            std::future::pending::<()>().await;
        }
    }

    /// The login has succeeded: earlier ones are over.
    pub(crate) fn succeeded(&self) {
        self.change(|all, at| {
            all[at].is_pending = false;
            for earlier in all.drain(..at) {
                earlier.tell.send_replace(Word::Over);
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Rival>, usize)) {
        let mut guard = lock();
        let table = guard.get_or_insert_default();
        let Some(all) = table.logins.get_mut(&self.key) else {
            return;
        };
        if let Some(at) = all.iter().position(|rival| rival.number == self.number) {
            change(all, at);
            tell_all(all);
        }
        if all.is_empty() {
            table.logins.remove(&self.key);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.change(|all, at| {
            all.remove(at);
        });
    }
}

/// Tells each what follows from the later ones.
fn tell_all(all: &[Rival]) {
    let mut word = Word::Go;
    for rival in all.iter().rev() {
        rival.tell.send_if_modified(|told| {
            let is_new = *told != word;
            *told = word;
            is_new
        });
        if rival.is_pending {
            word = Word::Hold;
        }
    }
}

fn lock() -> MutexGuard<'static, Option<Table>> {
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(user: &str) -> Place {
        Place::take(("ws://test".into(), "app".into(), user.into())).0
    }

    #[test]
    fn a_later_login_holds_the_earlier_ones_back_until_it_has_come_to_nothing() {
        let (first, other) = (take("a"), take("other"));
        let (second, third) = (take("a"), take("a"));
        let words = [&first, &second, &third, &other].map(Place::word);
        assert_eq!(words, [Word::Hold, Word::Hold, Word::Go, Word::Go]);
        drop(third);
        assert_eq!([&first, &second].map(Place::word), [Word::Hold, Word::Go]);
        drop(second);
        assert_eq!(first.word(), Word::Go);
    }

    #[test]
    fn a_login_that_succeeds_ends_the_earlier_ones_and_is_held_by_later_ones_alone() {
        let (first, second, third) = (take("b"), take("b"), take("b"));
        second.succeeded();
        let words = [&first, &second, &third].map(Place::word);
        assert_eq!(words, [Word::Over, Word::Hold, Word::Go]);
        drop(third);
        assert_eq!(second.word(), Word::Go);
        drop(first);
        let fourth = take("b");
        assert_eq!([&second, &fourth].map(Place::word), [Word::Hold, Word::Go]);
        fourth.succeeded();
        assert_eq!([&second, &fourth].map(Place::word), [Word::Over, Word::Go]);
    }

    #[test]
    fn nothing_is_left_when_all_are_over() {
        let places = [take("c"), take("c")];
        places[1].succeeded();
        drop(places);
        let guard = lock();
        let table = guard.as_ref().expect("a table");
        assert!(table.logins.keys().all(|(_, _, user)| user != "c"));
    }
}
