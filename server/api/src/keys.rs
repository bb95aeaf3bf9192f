//! API keys as the API sees them. Where they are kept, and how they are made, is the registry's.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use smol_str::SmolStr;
use subtle::ConstantTimeEq as _;
use tidings_wire::names::AppId;

use crate::admin::KeyBook;

/// What every key begins with, so that scanners of published code find one.
pub const PREFIX: &str = "tdk_";

/// What a key may do. Source: rest 12.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Every call about every app, and what only operators may do.
    Admin,
    /// Every call about the apps that the key lists.
    App,
    /// What only reads (GET): about the apps that the key lists, or everything if it lists none.
    Read,
}

impl std::str::FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "admin" => Ok(Self::Admin),
            "app" => Ok(Self::App),
            "read" => Ok(Self::Read),
            other => Err(format!("{other:?} is no role: give admin, app or read")),
        }
    }
}

impl Role {
    /// The role as requests and the command line have it, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::App => "app",
            Self::Read => "read",
        }
    }
}

/// One key, as calls are judged by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyEntry {
    /// Its public part: letters and digits.
    pub id: SmolStr,
    /// What it may do.
    pub role: Role,
    /// The apps that it may do it to; `None` = all of them.
    pub apps: Option<BTreeSet<AppId>>,
}

/// The keys that are good at present.
pub trait Keys: Send + Sync + 'static {
    /// The key with this id, if it is in force and the secret is one of its own. Called for every
    /// call of the API: it may not wait for anything.
    fn admit(&self, id: &str, secret: &str) -> Option<Arc<KeyEntry>>;
}

/// Id and secret of a key as it is written: `tdk_<id>_<secret>`.
pub fn split(text: &str) -> Option<(&str, &str)> {
    let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    (!id.is_empty() && !secret.is_empty()).then_some((id, secret))
}

/// Keys that the settings give, each with the hash of its secret.
#[derive(Debug, Default)]
pub struct FixedKeys(pub Vec<(Arc<KeyEntry>, [u8; 32])>);

impl Keys for FixedKeys {
    fn admit(&self, id: &str, secret: &str) -> Option<Arc<KeyEntry>> {
        let (entry, kept) = self.0.iter().find(|(entry, _)| entry.id == id)?;
        let is_same: bool = hash_secret(secret).ct_eq(kept).into();
        is_same.then(|| entry.clone())
    }
}

/// The keys of the settings, and those of the store.
pub(crate) struct AllKeys {
    pub(crate) given: Arc<dyn Keys>,
    pub(crate) stored: Arc<KeyBook>,
}

impl Keys for AllKeys {
    fn admit(&self, id: &str, secret: &str) -> Option<Arc<KeyEntry>> {
        let given = self.given.admit(id, secret);
        given.or_else(|| Keys::admit(&*self.stored, id, secret))
    }
}

/// The hash by which a secret is kept.
pub fn hash_secret(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_its_id_and_its_secret() {
        assert_eq!(split("tdk_k1_s_1"), Some(("k1", "s_1")));
        for wrong in ["", "tdk_", "tdk_k1", "tdk_k1_", "tdk__s", "k1_s1"] {
            assert_eq!(split(wrong), None, "{wrong}");
        }
        let entry = KeyEntry {
            id: "k1".into(),
            role: Role::App,
            apps: None,
        };
        let keys = FixedKeys(vec![(Arc::new(entry), hash_secret("s1"))]);
        assert!(keys.admit("k1", "s1").is_some());
        assert!(keys.admit("k1", "s2").is_none());
        assert!(keys.admit("k2", "s1").is_none());
    }
}
