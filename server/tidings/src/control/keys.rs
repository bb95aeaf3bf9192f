//! What commands ask of the keys of the API, and what they are answered.

use serde::{Deserialize, Serialize};
use tidings_server::Role;
use tidings_server::admin::keys::Key;

/// What is asked of the keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub(crate) enum KeyRequest {
    /// Makes a key; the answer has its text, this one time.
    Create {
        name: String,
        role: Role,
        apps: Vec<String>,
        /// How long the key is good from now on, in milliseconds; `None` = until it is revoked.
        lifetime_ms: Option<u64>,
    },
    /// Lists all keys, without their secrets, but those that ended long ago.
    List,
    /// Revokes the key with this id.
    Revoke { id: String },
    /// Gives one a new secret beside the old.
    Rotate { id: String, overlap_ms: u64 },
}

impl KeyRequest {
    /// Its name, for the security log.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::List => "list",
            Self::Revoke { .. } => "revoke",
            Self::Rotate { .. } => "rotate",
        }
    }
}

/// What has come of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyAnswer {
    /// The key, or all of them.
    pub(crate) keys: Vec<KeyLine>,
    /// The text of a new key or secret; nobody can ask for it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
}

/// A key, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyLine {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) apps: Vec<String>,
    /// `active`, `revoked` or `expired`.
    pub(crate) state: String,
    pub(crate) made_ms: u64,
    pub(crate) expires_ms: Option<u64>,
    pub(crate) used_ms: Option<u64>,
    pub(crate) old_secrets_until_ms: Option<u64>,
}

impl KeyLine {
    pub(crate) fn of(key: Key, now_ms: u64) -> Self {
        Self {
            state: key.state(now_ms).into(),
            old_secrets_until_ms: key.old_until_ms(now_ms),
            id: key.id,
            name: key.name,
            role: key.role,
            apps: key.apps,
            made_ms: key.made_ms,
            expires_ms: key.expires_ms,
            used_ms: key.used_ms,
        }
    }
}
