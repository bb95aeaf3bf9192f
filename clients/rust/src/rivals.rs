//! The logins of one user in one program, in the order in which the application called them.
//!
//! The server lets the newest of a user's connections win; which of two that are opened in the same
//! moment it sees first depends on the network. So a login holds back the earlier ones of its user
//! that are not connected until it has succeeded, which ends them, or has failed, which lets them
//! continue. Source: decision 0020.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tidings_client_core::RivalWord;
use tokio::sync::watch;

/// Endpoint, app id and user id.
type Key = (String, String, String);

/// One login that has not ended.
#[derive(Debug)]
struct Entry {
    /// Names the login; a later one has a higher number.
    number: u64,
    /// Names the client: it is no rival of itself.
    client: u64,
    /// It has neither succeeded nor failed.
    is_pending: bool,
    words: watch::Sender<RivalWord>,
}

/// All logins of this program that have not ended, by user, in their order.
#[derive(Debug)]
struct Rivals {
    last_number: u64,
    logins: BTreeMap<Key, Vec<Entry>>,
}

static RIVALS: Mutex<Rivals> = Mutex::new(Rivals {
    last_number: 0,
    logins: BTreeMap::new(),
});

fn rivals() -> MutexGuard<'static, Rivals> {
    // No statement that changes the table can panic half-way, so it is whole in any case.
    RIVALS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Rivals {
    /// Tells each login of a user what follows from the others; forgets a user without any.
    fn tell(&mut self, key: &Key) {
        let Some(entries) = self.logins.get(key) else {
            // The last one has gone.
            return;
        };
        if entries.is_empty() {
            self.logins.remove(key);
            return;
        }
        for (at, entry) in entries.iter().enumerate() {
            let mut later = entries[at + 1..].iter();
            let is_held = later.any(|other| other.is_pending && other.client != entry.client);
            let word = if is_held {
                RivalWord::Hold
            } else {
                RivalWord::Go
            };
            entry.words.send_if_modified(|told| {
                let is_news = *told != word;
                *told = word;
                is_news
            });
        }
    }
}

/// A name for a client, never used twice in this program.
pub(crate) fn name_client() -> u64 {
    let mut rivals = rivals();
    rivals.last_number += 1;
    rivals.last_number
}

/// The place of one login among those of its user. Dropped when the login has ended.
#[derive(Debug)]
pub(crate) struct Place {
    key: Key,
    number: u64,
    /// None once nobody can say anything any more.
    words: Option<watch::Receiver<RivalWord>>,
    has_earlier: bool,
}

impl Place {
    /// Takes the last place: earlier logins of the user that are not connected hold back.
    pub(crate) fn take(endpoint: &str, app_id: &str, user_id: &str, client: u64) -> Self {
        let key = (endpoint.to_owned(), app_id.to_owned(), user_id.to_owned());
        let (sender, words) = watch::channel(RivalWord::Go);
        let mut rivals = rivals();
        rivals.last_number += 1;
        let number = rivals.last_number;
        let entries = rivals.logins.entry(key.clone()).or_default();
        let has_earlier = entries.iter().any(|entry| entry.client != client);
        entries.push(Entry {
            number,
            client,
            is_pending: true,
            words: sender,
        });
        rivals.tell(&key);
        Self {
            key,
            number,
            words: Some(words),
            has_earlier,
        }
    }

    /// Whether another client of the user had logged in before.
    pub(crate) fn has_earlier(&self) -> bool {
        self.has_earlier
    }

    /// The login has succeeded: it holds nobody back, and earlier ones have ended.
    pub(crate) fn succeeded(&self) {
        let mut rivals = rivals();
        let Some(entries) = rivals.logins.get_mut(&self.key) else {
            // A later login has succeeded first, and ended this one.
            return;
        };
        let Some(at) = entries.iter().position(|entry| entry.number == self.number) else {
            // As above; the later one is still there.
            return;
        };
        entries[at].is_pending = false;
        let client = entries[at].client;
        for earlier in entries.drain(..at) {
            if earlier.client != client {
                earlier.words.send_replace(RivalWord::Over);
            }
        }
        rivals.tell(&self.key);
    }

    /// The next word about this login. Cancel-safe.
    async fn word(&mut self) -> RivalWord {
        if let Some(words) = &mut self.words
            && words.changed().await.is_ok()
        {
            return *words.borrow_and_update();
        }
        // This login has been told that it has ended: nothing follows.
        self.words = None;
        std::future::pending().await
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut rivals = rivals();
        if let Some(entries) = rivals.logins.get_mut(&self.key) {
            entries.retain(|entry| entry.number != self.number);
        }
        rivals.tell(&self.key);
    }
}

/// The next word about a login; none comes without one. Cancel-safe.
pub(crate) async fn next_word(place: &mut Option<Place>) -> RivalWord {
    match place {
        Some(place) => place.word().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(test: &str, client: u64) -> Place {
        Place::take("ws://rivals", test, "alice", client)
    }

    fn word(place: &Place) -> RivalWord {
        *place.words.as_ref().expect("words may follow").borrow()
    }

    fn is_known(test: &str) -> bool {
        rivals().logins.keys().any(|(_, app, _)| app == test)
    }

    #[test]
    fn a_later_login_holds_the_earlier_ones_until_it_has_succeeded_or_gone() {
        let first = take("holds", 1);
        let second = take("holds", 2);
        assert!(!first.has_earlier() && second.has_earlier());
        assert_eq!(
            (word(&first), word(&second)),
            (RivalWord::Hold, RivalWord::Go)
        );
        let third = take("holds", 3);
        assert_eq!(
            (word(&first), word(&second)),
            (RivalWord::Hold, RivalWord::Hold)
        );
        drop(third);
        assert_eq!(
            (word(&first), word(&second)),
            (RivalWord::Hold, RivalWord::Go)
        );
        second.succeeded();
        assert_eq!(
            (word(&first), word(&second)),
            (RivalWord::Over, RivalWord::Go)
        );
        // What it was told stays, whatever happens behind it.
        let fourth = take("holds", 4);
        assert_eq!(
            (word(&first), word(&second)),
            (RivalWord::Over, RivalWord::Hold)
        );
        drop((first, second, fourth));
        assert!(!is_known("holds"), "an entry is left");
    }

    #[test]
    fn an_earlier_login_that_was_quicker_is_not_ended_by_its_own_success() {
        let first = take("quicker", 1);
        let second = take("quicker", 2);
        first.succeeded();
        assert_eq!(
            (word(&first), word(&second)),
            (RivalWord::Hold, RivalWord::Go)
        );
        second.succeeded();
        assert_eq!(word(&first), RivalWord::Over);
        first.succeeded();
        assert_eq!(word(&second), RivalWord::Go);
    }

    #[test]
    fn other_users_and_the_client_itself_are_no_rivals() {
        let first = take("others", 1);
        let again = take("others", 1);
        let bob = Place::take("ws://rivals", "others", "bob", 2);
        assert!(!again.has_earlier() && !bob.has_earlier());
        assert_eq!(word(&first), RivalWord::Go);
        again.succeeded();
        assert_eq!(word(&first), RivalWord::Go);
    }

    #[tokio::test]
    async fn a_word_comes_once_and_nothing_follows_the_last() {
        let mut first = take("once", 1);
        let second = take("once", 2);
        assert_eq!(first.word().await, RivalWord::Hold);
        second.succeeded();
        let mut place = Some(first);
        assert_eq!(next_word(&mut place).await, RivalWord::Over);
        for mut place in [place, None] {
            let next = tokio::select! {
                biased;
                word = next_word(&mut place) => Some(word),
                () = tokio::task::yield_now() => None,
            };
            assert_eq!(next, None);
        }
    }
}
