//! API keys: who may call the server from outside, and what a key's text looks like.
//!
//! A key's text is `tdk_<id>_<secret>`. It is shown once; the server keeps the id and a hash of the
//! secret. The secret is 256 random bits, so that nobody can try them all: a single round of
//! SHA-256 hides it as well as a slow password hash would, and costs a call less than a
//! microsecond. A slow hash is for secrets that people choose.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tidings_wire::hex;
use tidings_wire::names::AppId;

use crate::keys::{PREFIX, Role, split};

/// Characters of a key's id.
const ID_CHARS: usize = 12;

/// Hexadecimal characters of a secret: 256 bits.
const SECRET_CHARS: usize = 64;

/// Most secrets of a key that are good at the same time. Bound: each rotation adds one until the
/// older ones end.
pub const SECRETS_MAX: usize = 4;

/// Longest name of a key, in characters.
pub const NAME_CHARS_MAX: usize = 100;

/// Most apps that a key can be limited to.
pub const APPS_MAX: usize = 100;

/// Most keys of a server, revoked ones not counted.
pub const KEYS_MAX: usize = 1_000;

/// The hash of a secret, and until when the secret is good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// SHA-256 of the secret's text, in hexadecimal.
    sha256: String,
    /// When it was made, in Unix milliseconds.
    made_ms: u64,
    /// When it ends, in Unix milliseconds; `None` = with the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until_ms: Option<u64>,
}

/// A key as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Letters and digits; the `customer_id` of callers that use HTTP Basic.
    pub id: String,
    /// A name for people.
    pub name: String,
    /// What it permits.
    pub role: Role,
    /// The apps that it is limited to; none = all, which a key of role `app` cannot have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub apps: Vec<AppIdText>,
    /// When it was made, in Unix milliseconds.
    pub made_ms: u64,
    /// When it ends, in Unix milliseconds; `None` = never by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<u64>,
    /// When it was revoked, in Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_ms: Option<u64>,
    /// When it was last used, in Unix milliseconds, to the minute. Kept in a record of its own.
    #[serde(skip)]
    pub used_ms: Option<u64>,
    /// The newest first.
    pub secrets: Vec<Secret>,
}

/// An app's id as text: it was checked when the key was made.
pub type AppIdText = String;

/// What is wanted of a new key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    /// A name for people; may be empty.
    pub name: String,
    /// What it permits.
    pub role: Role,
    /// The apps that it is limited to.
    pub apps: Vec<String>,
    /// When it ends, in Unix milliseconds.
    pub expires_ms: Option<u64>,
}

/// Why a key cannot be made or rotated as wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The name is too long, or would write a terminal.
    #[error(
        "a key's name has at most {NAME_CHARS_MAX} characters and no control characters; this one has {0}"
    )]
    Name(usize),
    /// A key of role `app` names no app.
    #[error("a key of role app names the apps that it is for; this one names none")]
    NoApps,
    /// A key of role `admin` names apps.
    #[error("a key of role admin is for every app, so it cannot name some")]
    AdminWithApps,
    /// Too many apps.
    #[error("a key names at most {APPS_MAX} apps; this one names {0}")]
    Apps(usize),
    /// An app's id has not the form of one.
    #[error("{0:?} is no app id: it has 32 letters or digits")]
    App(String),
    /// The end is not in the future.
    #[error("the key would expire before it can be used: expires_ms is {0}, now is {1}")]
    Expired(u64, u64),
    /// Too many keys.
    #[error("there are {KEYS_MAX} keys already")]
    Keys,
    /// Revoked or expired.
    #[error("key {0} is not in force: it was revoked, or has expired")]
    Ended(String),
    /// The older secrets have not ended.
    #[error(
        "key {0} has {SECRETS_MAX} secrets that are good; the next can be made when the oldest ends, at {1} (Unix milliseconds)"
    )]
    Secrets(String, u64),
    /// The system has no random numbers.
    #[error("the system provides no random numbers: {0}")]
    Random(String),
}

impl KeyError {
    /// The field of the request that is wrong, where it is one.
    pub fn field(&self) -> Option<&'static str> {
        match self {
            Self::Name(_) => Some("name"),
            Self::NoApps | Self::AdminWithApps | Self::Apps(_) | Self::App(_) => Some("apps"),
            Self::Expired(..) => Some("expires_ms"),
            _ => None,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Name(_) => "give a shorter name",
            Self::NoApps => "list the ids of its apps in apps, or choose the role admin or read",
            Self::AdminWithApps => "leave apps out, or choose the role app",
            Self::Apps(_) => "make several keys, or one of role admin",
            Self::App(_) => "GET /api/v1/apps lists the apps",
            Self::Expired(..) => "give a time in the future, in Unix milliseconds, or leave it out",
            Self::Keys => {
                "revoke those that nobody uses: GET /api/v1/keys says when each was last used"
            }
            Self::Ended(_) => "make a new key",
            Self::Secrets(..) => "wait, or make a new key and revoke this one",
            Self::Random(_) => "try again",
        }
    }
}

/// A key's text. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyText(String);

impl KeyText {
    fn new(id: &str, secret: &str) -> Self {
        Self(format!("{PREFIX}{id}_{secret}"))
    }

    /// The whole text, to be shown once.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The secret alone: the `customer_secret` of callers that use HTTP Basic.
    pub fn secret(&self) -> &str {
        split(&self.0).map_or("", |(_, secret)| secret)
    }
}

impl std::fmt::Debug for KeyText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyText(hidden)")
    }
}

/// Whether a text has the form of a key's id.
pub fn is_id(text: &str) -> bool {
    text.len() == ID_CHARS && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

impl Key {
    /// Makes a key, and the text that is its only copy of the secret.
    ///
    /// # Errors
    /// [`KeyError`], which names the wrong field.
    pub fn make(wish: NewKey, now_ms: u64) -> Result<(Self, KeyText), KeyError> {
        check_name(&wish.name)?;
        let mut apps = wish.apps;
        apps.sort();
        apps.dedup();
        match (wish.role, apps.len()) {
            (Role::App, 0) => return Err(KeyError::NoApps),
            (Role::Admin, 1..) => return Err(KeyError::AdminWithApps),
            (_, count) if count > APPS_MAX => return Err(KeyError::Apps(count)),
            _ => {}
        }
        if let Some(wrong) = apps.iter().find(|app| AppId::parse(app).is_err()) {
            return Err(KeyError::App(wrong.chars().take(64).collect()));
        }
        if let Some(expires_ms) = wish.expires_ms.filter(|expires_ms| *expires_ms <= now_ms) {
            return Err(KeyError::Expired(expires_ms, now_ms));
        }
        let id = draw_id()?;
        let (text, secret) = draw_secret(&id, now_ms)?;
        let key = Self {
            id,
            name: wish.name,
            role: wish.role,
            apps,
            made_ms: now_ms,
            expires_ms: wish.expires_ms,
            revoked_ms: None,
            used_ms: None,
            secrets: vec![secret],
        };
        Ok((key, text))
    }

    /// Whether it is neither revoked nor expired.
    pub fn is_in_force(&self, now_ms: u64) -> bool {
        self.revoked_ms.is_none() && self.expires_ms.is_none_or(|expires_ms| now_ms < expires_ms)
    }

    /// Whether this is one of its secrets, and it is in force. Every secret is compared in full, in
    /// a time that does not depend on where they differ.
    pub fn admits(&self, secret: &str, now_ms: u64) -> bool {
        let given = hash(secret);
        let mut is_good = false;
        for own in &self.secrets {
            let is_equal = bool::from(own.sha256.as_bytes().ct_eq(given.as_bytes()));
            is_good |= is_equal && own.until_ms.is_none_or(|until_ms| now_ms < until_ms);
        }
        is_good && self.is_in_force(now_ms)
    }

    /// Whether it may be used for calls about an app.
    pub fn covers(&self, app: &str) -> bool {
        match self.role {
            Role::Admin => true,
            Role::App => self.apps.iter().any(|own| own == app),
            Role::Read => self.apps.is_empty() || self.apps.iter().any(|own| own == app),
        }
    }

    /// Adds a secret; those before it stay good for a time.
    ///
    /// # Errors
    /// The key is not in force, or has too many secrets already.
    pub fn rotate(&mut self, overlap_ms: u64, now_ms: u64) -> Result<KeyText, KeyError> {
        if !self.is_in_force(now_ms) {
            return Err(KeyError::Ended(self.id.clone()));
        }
        let until_ms = now_ms.saturating_add(overlap_ms);
        self.secrets
            .retain(|secret| secret.until_ms.is_none_or(|until_ms| now_ms < until_ms));
        if overlap_ms == 0 {
            self.secrets.clear();
        }
        if self.secrets.len() >= SECRETS_MAX {
            let oldest = self
                .secrets
                .iter()
                .filter_map(|secret| secret.until_ms)
                .min();
            return Err(KeyError::Secrets(
                self.id.clone(),
                oldest.unwrap_or(until_ms),
            ));
        }
        for secret in &mut self.secrets {
            secret.until_ms = Some(
                secret
                    .until_ms
                    .map_or(until_ms, |before| before.min(until_ms)),
            );
        }
        let (text, secret) = draw_secret(&self.id, now_ms)?;
        self.secrets.insert(0, secret);
        Ok(text)
    }

    /// `active`, `expired` or `revoked`: how it is shown.
    pub fn state(&self, now_ms: u64) -> &'static str {
        match (self.revoked_ms, self.is_in_force(now_ms)) {
            (Some(_), _) => "revoked",
            (None, false) => "expired",
            (None, true) => "active",
        }
    }

    /// Until when its older secrets are good, in Unix milliseconds; `None` = there are none.
    pub fn old_until_ms(&self, now_ms: u64) -> Option<u64> {
        let old = self.secrets.iter().filter_map(|secret| secret.until_ms);
        old.filter(|until_ms| now_ms < *until_ms).max()
    }
}

fn check_name(name: &str) -> Result<(), KeyError> {
    let chars = name.chars().count();
    if chars > NAME_CHARS_MAX || name.chars().any(char::is_control) {
        return Err(KeyError::Name(chars));
    }
    Ok(())
}

fn hash(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

fn draw_secret(id: &str, now_ms: u64) -> Result<(KeyText, Secret), KeyError> {
    let mut bytes = [0; SECRET_CHARS / 2];
    fill(&mut bytes)?;
    let secret = hex(&bytes);
    let kept = Secret {
        sha256: hash(&secret),
        made_ms: now_ms,
        until_ms: None,
    };
    Ok((KeyText::new(id, &secret), kept))
}

/// Ids are no secrets: 60 bits are enough for none to be drawn twice.
fn draw_id() -> Result<String, KeyError> {
    const DIGITS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = [0; ID_CHARS];
    fill(&mut bytes)?;
    let digit = |byte: &u8| char::from(DIGITS[usize::from(byte % 32)]);
    Ok(bytes.iter().map(digit).collect())
}

fn fill(bytes: &mut [u8]) -> Result<(), KeyError> {
    getrandom::fill(bytes).map_err(|error| KeyError::Random(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: &str = "0123456789abcdef0123456789abcdef";

    fn wish(role: Role, apps: &[&str]) -> NewKey {
        NewKey {
            name: "backend".into(),
            role,
            apps: apps.iter().map(|app| (*app).to_owned()).collect(),
            expires_ms: None,
        }
    }

    fn made(role: Role, apps: &[&str]) -> (Key, KeyText) {
        Key::make(wish(role, apps), 1_000).expect("a key")
    }

    #[test]
    fn the_text_admits_and_nothing_else_does() {
        let (key, text) = made(Role::Admin, &[]);
        let (id, secret) = split(text.reveal()).expect("a key's text");
        assert_eq!(id, key.id);
        assert!(is_id(id));
        assert_eq!(secret, text.secret());
        assert!(key.admits(secret, 2_000));
        let (other, other_text) = made(Role::Admin, &[]);
        assert_ne!(key.id, other.id);
        assert!(!key.admits(other_text.secret(), 2_000));
        let upper = secret.to_uppercase();
        for wrong in ["", "x", &secret[1..], &upper] {
            assert!(!key.admits(wrong, 2_000), "{wrong}");
        }
        let kept = serde_json::to_string(&key).expect("JSON");
        assert!(
            !kept.contains(secret),
            "what is kept does not tell the secret"
        );
        assert!(!format!("{text:?} {key:?}").contains(secret));
    }

    #[test]
    fn a_key_ends_by_revocation_and_by_time() {
        let (mut key, text) = made(Role::Admin, &[]);
        key.expires_ms = Some(5_000);
        assert!(key.admits(text.secret(), 4_999));
        assert!(!key.admits(text.secret(), 5_000));
        key.revoked_ms = Some(3_000);
        assert!(!key.admits(text.secret(), 4_000));
        assert!(matches!(key.rotate(1_000, 4_000), Err(KeyError::Ended(_))));
    }

    #[test]
    fn both_secrets_are_good_while_a_rotation_lasts() {
        let (mut key, old) = made(Role::Admin, &[]);
        let new = key.rotate(1_000, 10_000).expect("rotated");
        assert_eq!(key.old_until_ms(10_000), Some(11_000));
        assert!(key.admits(old.secret(), 10_999) && key.admits(new.secret(), 10_999));
        assert!(!key.admits(old.secret(), 11_000) && key.admits(new.secret(), 11_000));
        // A caller that lost the answer rotates again: the one that is in use stays good.
        let (mut key, old) = made(Role::Admin, &[]);
        for _ in 1..SECRETS_MAX {
            key.rotate(1_000, 10_000).expect("rotated");
        }
        assert!(key.admits(old.secret(), 10_500));
        assert_eq!(
            key.rotate(1_000, 10_500),
            Err(KeyError::Secrets(key.id.clone(), 11_000))
        );
        // One that has leaked ends at once.
        let last = key.rotate(0, 10_600).expect("all others end");
        assert!(!key.admits(old.secret(), 10_600) && key.admits(last.secret(), 10_600));
        assert_eq!(key.old_until_ms(10_600), None);
    }

    #[test]
    fn a_key_covers_its_apps() {
        let other = APP.replace('0', "f");
        assert!(made(Role::Admin, &[]).0.covers(APP));
        assert!(made(Role::Read, &[]).0.covers(APP));
        for role in [Role::App, Role::Read] {
            let (key, _) = made(role, &[APP, APP]);
            assert_eq!(key.apps, [APP]);
            assert!(key.covers(APP) && !key.covers(&other));
        }
    }

    #[test]
    fn wishes_that_make_no_sense_are_refused() {
        let refused = |wish| Key::make(wish, 1_000).expect_err("refused");
        assert_eq!(refused(wish(Role::App, &[])), KeyError::NoApps);
        assert_eq!(refused(wish(Role::Admin, &[APP])), KeyError::AdminWithApps);
        assert_eq!(refused(wish(Role::App, &["x"])), KeyError::App("x".into()));
        let long = NewKey {
            name: "n".repeat(101),
            ..wish(Role::Admin, &[])
        };
        assert_eq!(refused(long).field(), Some("name"));
        let bell = NewKey {
            name: "\u{7}".into(),
            ..wish(Role::Admin, &[])
        };
        assert_eq!(refused(bell), KeyError::Name(1));
        let past = NewKey {
            expires_ms: Some(1_000),
            ..wish(Role::Admin, &[])
        };
        assert_eq!(refused(past), KeyError::Expired(1_000, 1_000));
    }
}
