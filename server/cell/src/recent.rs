//! Recent legacy logins and their tokens.

use std::collections::BTreeMap;

use tidings_legacy::LATE_LOGIN_S;
use tidings_wire::names::AppId;

/// How long after the end of a login its expired token is still accepted, in milliseconds. Source:
/// signaling 4.8.
const RECENT_MS: u64 = LATE_LOGIN_S * 1_000;

/// Most logins remembered; beyond it, those that no longer count are forgotten, and new ones are
/// not recorded.
const RECENT_MAX: usize = 65_536;

/// An app, and an account in it as the client wrote it.
pub(crate) type Key = (AppId, String);

/// Current and recent legacy logins: all cells of a node share one list.
///
/// It contains no clock and no lock: its owner supplies them. Used when logins start and end, and
/// never by a message.
#[derive(Debug, Default)]
pub struct RecentLogins {
    /// Bound: at most `RECENT_MAX` entries.
    logins: BTreeMap<Key, Login>,
}

#[derive(Debug)]
struct Login {
    token: String,
    /// When it ended, in monotonic milliseconds of the node; `None` = it is current.
    ended_ms: Option<u64>,
}

impl Login {
    fn counts_at(&self, now_ms: u64) -> bool {
        self.ended_ms
            .is_none_or(|ended_ms| ended_ms + RECENT_MS > now_ms)
    }
}

impl RecentLogins {
    /// Whether the account is logged in with this token, or was within the last ten minutes.
    pub(crate) fn has(&self, key: &Key, token: &str, now_ms: u64) -> bool {
        self.logins
            .get(key)
            .is_some_and(|login| login.token == token && login.counts_at(now_ms))
    }

    /// A login with this token has started.
    pub(crate) fn begin(&mut self, key: Key, token: String, now_ms: u64) {
        if self.logins.len() >= RECENT_MAX {
            self.logins.retain(|_, login| login.counts_at(now_ms));
        }
        if self.logins.len() < RECENT_MAX || self.logins.contains_key(&key) {
            let ended_ms = None;
            self.logins.insert(key, Login { token, ended_ms });
        }
    }

    /// A login has ended.
    pub(crate) fn end(&mut self, key: &Key, now_ms: u64) {
        if let Some(login) = self.logins.get_mut(key) {
            login.ended_ms = Some(now_ms);
        }
    }

    /// A login's token is valid for no further login: its time is up.
    pub(crate) fn forget(&mut self, key: &Key) {
        self.logins.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(account: &str) -> Key {
        let app = AppId::parse(&"a".repeat(32)).expect("an app id");
        (app, account.into())
    }

    #[test]
    fn a_login_counts_while_it_is_there_and_ten_minutes_longer() {
        let mut recent = RecentLogins::default();
        recent.begin(key("ann"), "t".into(), 1_000);
        assert!(recent.has(&key("ann"), "t", u64::MAX / 2), "it is there");
        recent.end(&key("ann"), 5_000);
        assert!(recent.has(&key("ann"), "t", 5_000 + RECENT_MS - 1));
        assert!(!recent.has(&key("ann"), "t", 5_000 + RECENT_MS));
        assert!(!recent.has(&key("ann"), "other", 5_000));
        assert!(!recent.has(&key("bob"), "t", 5_000));
    }

    #[test]
    fn a_forgotten_login_does_not_count_and_its_end_is_nothing() {
        let mut recent = RecentLogins::default();
        recent.begin(key("ann"), "t".into(), 1_000);
        recent.forget(&key("ann"));
        recent.end(&key("ann"), 2_000);
        assert!(!recent.has(&key("ann"), "t", 2_000));
    }

    #[test]
    fn a_full_memory_forgets_those_that_no_longer_count_and_notes_no_more_otherwise() {
        let mut recent = RecentLogins::default();
        for n in 0..RECENT_MAX {
            recent.begin(key(&format!("a{n}")), "t".into(), 0);
        }
        recent.begin(key("late"), "t".into(), 1);
        assert!(!recent.has(&key("late"), "t", 1), "all of them count");
        recent.end(&key("a0"), 1);
        recent.begin(key("late"), "t".into(), 2 + RECENT_MS);
        assert!(recent.has(&key("late"), "t", 2 + RECENT_MS));
        assert!(!recent.has(&key("a0"), "t", 2 + RECENT_MS));
    }
}
