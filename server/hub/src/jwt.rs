//! How an app checks JSON Web Tokens: keys from its settings, and those of a key set that somebody
//! outside loads.
//!
//! A hub fetches nothing. It is given new keys with [`crate::Input::Apps`], and says by [`Wanted`]
//! that a token named a key which it does not have.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tidings_token::jwt::{Key, Rules, Verifier};

/// An app's keys and rules for JSON Web Tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JwtLogins {
    /// The app's own keys, then those of its key set.
    verifier: Verifier,
    /// How many are its own.
    own: usize,
    /// Where its key set is; `None` = it has none.
    source: Option<KeySource>,
    /// What the hubs say to whoever loads the key set.
    wanted: Wanted,
}

/// Where a key set is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// In a file of this machine.
    File(PathBuf),
    /// At an address.
    Url {
        /// `https://…`, or `http://…` where the operator allows it.
        url: String,
        /// PEM file of the authorities that may have signed the place's certificate; `None` = the
        /// public ones.
        authorities: Option<PathBuf>,
    },
}

impl JwtLogins {
    /// Keys of the app's settings, what it demands of a token, and where more keys are.
    pub fn new(keys: Vec<Key>, rules: Rules, source: Option<KeySource>) -> Self {
        Self {
            own: keys.len(),
            verifier: Verifier { keys, rules },
            source,
            wanted: Wanted::default(),
        }
    }

    /// What tokens are checked by.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// Where its key set is.
    pub fn source(&self) -> Option<&KeySource> {
        self.source.as_ref()
    }

    /// The keys of the set.
    pub fn loaded(&self) -> &[Key] {
        debug_assert!(self.own <= self.verifier.keys.len(), "an own key is gone");
        &self.verifier.keys[self.own..]
    }

    /// Replaces the keys of the set.
    pub fn load(&mut self, keys: Vec<Key>) {
        debug_assert!(
            self.source.is_some() || keys.is_empty(),
            "keys of a set that is nowhere"
        );
        self.verifier.keys.truncate(self.own);
        self.verifier.keys.extend(keys);
    }

    /// What the hubs say to whoever loads the key set.
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// Goes on with the set that was loaded before, if it is the same one. A file that was just
    /// read keeps what was read.
    pub(crate) fn going_on(&mut self, before: &Self) {
        if self.source.is_none() || self.source != before.source {
            return;
        }
        self.wanted = before.wanted.clone();
        if self.loaded().is_empty() {
            self.load(before.loaded().to_vec());
        }
    }

    /// A token named a key that is not there. Says whether it may be there soon: its bearer should
    /// try again.
    pub(crate) fn misses_key(&self) -> bool {
        match self.source {
            Some(KeySource::Url { .. }) => self.wanted.ask(),
            _ => false,
        }
    }
}

/// Whether a key set should be loaded before its time: shared by all hubs and whoever loads it.
///
/// It is one number, so that nobody waits for anybody. Strangers can name keys as they like; while
/// the set is fresh, that has no effect.
#[derive(Debug, Clone, Default)]
pub struct Wanted(Arc<AtomicU8>);

/// It was loaded some time ago, or never.
const STALE: u8 = 0;
/// A hub asks for it.
const ASKED: u8 = 1;
/// It was loaded a moment ago, or in vain.
const FRESH: u8 = 2;

impl PartialEq for Wanted {
    /// What is asked for makes no difference between two apps.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Wanted {}

impl Wanted {
    /// Asks, unless the set is fresh. Returns whether it was asked for.
    fn ask(&self) -> bool {
        let asked = self
            .0
            .compare_exchange(STALE, ASKED, Ordering::AcqRel, Ordering::Acquire);
        asked.unwrap_or_else(|now| now) != FRESH
    }

    /// Whether a hub has asked.
    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::Acquire) == ASKED
    }

    /// From now on, nobody may ask; to be called after the keys were handed to the hubs.
    pub fn set_fresh(&self) {
        self.0.store(FRESH, Ordering::Release);
    }

    /// From now on, hubs may ask again.
    pub fn set_stale(&self) {
        let _ = self
            .0
            .compare_exchange(FRESH, STALE, Ordering::AcqRel, Ordering::Acquire);
    }
}

#[cfg(test)]
mod tests {
    use tidings_wire::codes::Outcome;
    use tidings_wire::names::AppId;

    use super::*;
    use crate::config::{App, Apps};
    use crate::credentials;

    fn logins(source: Option<KeySource>) -> JwtLogins {
        JwtLogins::new(vec![key(1)], Rules::default(), source)
    }

    fn key(byte: u8) -> Key {
        Key::secret(&[byte; 32]).expect("a key")
    }

    fn url(url: &str) -> Option<KeySource> {
        let (url, authorities) = (url.into(), None);
        Some(KeySource::Url { url, authorities })
    }

    #[test]
    fn a_missing_key_is_asked_for_where_a_set_can_be_fetched_and_is_not_fresh() {
        let here = logins(url("https://a.example"));
        assert!(!here.wanted().is_asked());
        assert!(here.misses_key() && here.misses_key() && here.wanted().is_asked());
        here.wanted().set_fresh();
        assert!(!here.misses_key() && !here.wanted().is_asked());
        here.wanted().set_stale();
        assert!(here.misses_key());
        assert!(!logins(None).misses_key());
        assert!(!logins(Some(KeySource::File("keys".into()))).misses_key());
    }

    #[test]
    fn a_token_of_a_key_that_may_come_is_put_off_and_else_refused() {
        // {"alg":"RS256","kid":"k1"} and {"sub":"alice"}
        const TOKEN: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsxIn0.eyJzdWIiOiJhbGljZSJ9.AAAA";
        const APP: &str = "0123456789abcdef0123456789abcdef";
        let app = AppId::parse(APP).expect("an app id");
        let mut apps = Apps::default();
        let check = |apps: &Apps, token| {
            let checked = credentials::check(apps, 1_000, (APP, "alice", token));
            checked.map(drop).map_err(|refused| refused.outcome)
        };
        let mut with = |logins: JwtLogins| {
            let jwt = Some(Box::new(logins));
            let listed = App {
                jwt,
                ..App::default()
            };
            apps.listed.insert(app.clone(), listed);
            apps.clone()
        };
        let fetched = with(logins(url("https://a.example")));
        let wanted = fetched.listed[&app]
            .jwt
            .as_ref()
            .expect("set")
            .wanted()
            .clone();
        assert_eq!(check(&fetched, TOKEN), Err(Outcome::Unavailable));
        assert!(wanted.is_asked());
        wanted.set_fresh();
        assert_eq!(check(&fetched, TOKEN), Err(Outcome::InvalidToken));
        assert_eq!(
            check(&with(logins(None)), TOKEN),
            Err(Outcome::InvalidToken)
        );
        // Without a key in force, an app with a set is no open app.
        let empty = with(JwtLogins::new(
            vec![],
            Rules::default(),
            url("https://a.example"),
        ));
        assert_eq!(check(&empty, ""), Err(Outcome::InvalidToken));
    }

    #[test]
    fn a_set_outlives_a_change_of_the_apps_unless_it_is_another() {
        let mut before = logins(url("https://a.example"));
        before.load(vec![key(2), key(3)]);
        before.load(vec![key(4)]);
        assert_eq!(before.verifier().keys, [key(1), key(4)]);
        let mut after = logins(url("https://a.example"));
        after.going_on(&before);
        assert_eq!(after.loaded(), [key(4)]);
        assert!(before.misses_key() && after.wanted().is_asked());
        let mut other = logins(url("https://b.example"));
        other.going_on(&before);
        assert!(other.loaded().is_empty() && !other.wanted().is_asked());
    }
}
