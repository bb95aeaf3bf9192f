//! Revoked tokens of an app, as written in `apps.toml`. Source: tokens 6.7.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tidings_server::{App, NameRule, UserId};
use tidings_token::jwt::LEEWAY_S_MAX;
use tidings_token::{Format, TokenId, inspect};

use crate::failure::Failure;

/// Most revoked single tokens of an app. Bound: each expires on its own, most within a day; to
/// revoke more, revoke all tokens of a user, or of everybody.
const TOKENS_MAX: usize = 10_000;

/// How long a revoked `jti` is remembered where tokens may live for any time, in seconds: ten
/// years.
const UNBOUNDED_S: u64 = 10 * 365 * 86_400;

/// Most users with a time of their own.
const USERS_MAX: usize = 10_000;

/// The revocations of an app.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Revocations {
    /// All tokens issued before this time, in Unix seconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    before: u64,
    /// The same for single users.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    users: BTreeMap<String, u64>,
    /// Single tokens, by the first bytes of their signatures, with the Unix seconds at which they
    /// expire anyway.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tokens: BTreeMap<String, u64>,
}

/// Whether a number may be left out.
#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "the form that serde calls"
)]
pub(crate) fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Revocations {
    /// Whether there are no revocations.
    pub(crate) fn is_empty(&self) -> bool {
        self.before == 0 && self.users.is_empty() && self.tokens.is_empty()
    }

    /// Revokes one token.
    pub(crate) fn add_token(
        &mut self,
        app_id: &str,
        token: &str,
        now_s: u64,
    ) -> Result<(), Failure> {
        let token = inspect(token).map_err(|flaw| Failure::of(&flaw, flaw.hint()))?;
        if token.format != Format::Jwt && token.app_id != app_id {
            return Err(Failure::new(
                format!("the token is for app {}, not for {app_id}", token.app_id),
                "name the app that the token is for",
            ));
        }
        let Some(id) = token.id else {
            return Err(Failure::new(
                "the token has no signature",
                "revoke all tokens of its user: --user",
            ));
        };
        // The leeway of the app, which is unknown here, is no longer than that.
        self.insert(
            id,
            token.expires_at_unix_s.saturating_add(LEEWAY_S_MAX),
            now_s,
        )
    }

    /// Revokes all JSON Web Tokens with a `jti`, until the longest-lived must have expired.
    pub(crate) fn add_jti(&mut self, app: &App, jti: &str, now_s: u64) -> Result<(), Failure> {
        let rules = app.jwt.as_ref().map(|jwt| &jwt.verifier().rules);
        let Some((rules, id)) = rules.zip(TokenId::of_jti(jti)) else {
            return Err(Failure::new(
                "the app takes no JSON Web Tokens",
                "revoke a token with --token, or all tokens of a user with --user",
            ));
        };
        let lifetime_s = match rules.lifetime_max_s {
            0 => UNBOUNDED_S,
            max => max,
        };
        let until = now_s.saturating_add(lifetime_s + rules.leeway_s);
        self.insert(id, until, now_s)
    }

    fn insert(&mut self, id: TokenId, until: u64, now_s: u64) -> Result<(), Failure> {
        self.tokens.retain(|_, until| *until > now_s);
        if self.tokens.len() >= TOKENS_MAX {
            return Err(Failure::new(
                format!("{TOKENS_MAX} revoked tokens have not expired yet"),
                "revoke all tokens of a user with --user, or of all users with --everybody",
            ));
        }
        self.tokens.insert(id.to_string(), until);
        Ok(())
    }

    /// Revokes all tokens issued to a user until now.
    pub(crate) fn add_user(&mut self, user: &str, now_s: u64) -> Result<(), Failure> {
        // A token issued in this very second counts as issued before.
        self.add_user_before(user, now_s + 1)
    }

    /// Revokes all tokens issued to a user before a time, in Unix seconds.
    pub(crate) fn add_user_before(&mut self, user: &str, before_s: u64) -> Result<(), Failure> {
        if self.users.len() >= USERS_MAX && !self.users.contains_key(user) {
            return Err(Failure::new(
                format!("the tokens of {USERS_MAX} users are revoked"),
                "revoke those of all users with --everybody, or ban the user with `tidings app ban`",
            ));
        }
        let before = self.users.entry(user.into()).or_default();
        *before = before_s.max(*before);
        Ok(())
    }

    /// Revokes all tokens issued to anybody until now.
    pub(crate) fn add_everybody(&mut self, now_s: u64) {
        self.add_everybody_before(now_s + 1);
    }

    /// Revokes all tokens issued to anybody before a time, in Unix seconds.
    pub(crate) fn add_everybody_before(&mut self, before_s: u64) {
        self.before = before_s.max(self.before);
        let of_all = self.before;
        self.users.retain(|_, before| *before > of_all);
    }

    /// Passes the revocations to the server's app.
    pub(crate) fn apply(&self, to: &mut App) -> Result<(), Failure> {
        to.not_before_all = self.before;
        for (user, before) in &self.users {
            let user = UserId::parse_by(NameRule::Wide, user).map_err(|error| {
                Failure::new(
                    format!("user {user:?} cannot have had a token: {error}"),
                    "fix the table revoked.users",
                )
            })?;
            to.not_before.insert(user, *before);
        }
        for (text, until) in &self.tokens {
            let id = text.parse::<TokenId>().map_err(|_| {
                Failure::new(
                    format!("{text:?} is not the beginning of a signature"),
                    "fix the table revoked.tokens",
                )
            })?;
            to.revoked.insert(id, *until);
        }
        Ok(())
    }
}

/// The time by the system's clock.
pub(crate) fn now_unix_s() -> Result<u64, Failure> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map(|now| now.as_secs()).map_err(|_| {
        Failure::new(
            "the system's clock shows a time before 1970",
            "set the clock to the present time",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_back_is_told_to_the_server() {
        let mut revocations = Revocations::default();
        assert!(revocations.is_empty());
        assert_eq!(revocations.add_user("alice", 1_000), Ok(()));
        revocations.tokens.insert("0".repeat(31) + "7", 2_000);
        let text = toml::to_string(&revocations).expect("TOML");
        let read: Revocations = toml::from_str(&text).expect("read again");
        let mut app = App::default();
        assert_eq!(read.apply(&mut app), Ok(()));
        let alice = UserId::parse("alice").expect("a user");
        assert_eq!(app.not_before.get(&alice), Some(&1_001));
        assert_eq!(app.revoked.len(), 1);
        revocations.add_everybody(5_000);
        assert!(revocations.users.is_empty(), "they are among all");
        let wrong: Revocations = toml::from_str("[tokens]\nxyz = 1\n").expect("TOML");
        assert!(wrong.apply(&mut App::default()).is_err());
    }
}
