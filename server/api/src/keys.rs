//! API keys as the API sees them. Where they are kept, and how they are made, is the registry's.

use std::collections::BTreeSet;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use smol_str::SmolStr;
use subtle::ConstantTimeEq as _;
use tidings_wire::names::AppId;

/// What every key begins with, so that scanners of published code find one.
pub const PREFIX: &str = "tdk_";

/// What a key may do. Source: rest 12.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    Admin,
    /// Every call about the listed apps.
    App,
    /// Reads about the listed apps.
    Read,
}

impl Role {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::App => "app",
            Self::Read => "read",
        }
    }
}

/// One key. Its secret is not known: only the hash is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyEntry {
    /// Its public part: letters and digits.
    pub id: SmolStr,
    /// SHA-256 of the secret, which is random and so needs no slow hash.
    pub secret_sha256: [u8; 32],
    /// What it may do.
    pub role: Role,
    /// The apps that it may do it to; `None` = all of them.
    pub apps: Option<BTreeSet<AppId>>,
}

/// The keys that are good at present.
pub trait Keys: Send + Sync + 'static {
    /// The key with this id. Called for every call of the API: it may not wait for anything.
    fn find(&self, id: &str) -> Option<Arc<KeyEntry>>;
}

/// The hash by which a secret is kept.
pub fn hash_secret(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// Id and secret of a key as it is written: `tdk_<id>_<secret>`.
pub fn split(text: &str) -> Option<(&str, &str)> {
    let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    (!id.is_empty() && !secret.is_empty()).then_some((id, secret))
}

/// The key, if there is one with this id and the secret is its own. An unknown id takes as long.
pub(crate) fn check(keys: &dyn Keys, id: &str, secret: &str) -> Option<Arc<KeyEntry>> {
    let given = hash_secret(secret);
    let entry = keys.find(id);
    let kept = entry.as_ref().map_or([0; 32], |entry| entry.secret_sha256);
    let is_same: bool = given.ct_eq(&kept).into();
    entry.filter(|_| is_same)
}

/// A fixed set of keys: for tests.
#[derive(Debug, Default)]
pub struct FixedKeys(pub Vec<Arc<KeyEntry>>);

impl Keys for FixedKeys {
    fn find(&self, id: &str) -> Option<Arc<KeyEntry>> {
        self.0.iter().find(|entry| entry.id == id).cloned()
    }
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
        let keys = FixedKeys(vec![Arc::new(KeyEntry {
            id: "k1".into(),
            secret_sha256: hash_secret("s1"),
            role: Role::App,
            apps: None,
        })]);
        assert!(check(&keys, "k1", "s1").is_some());
        assert!(check(&keys, "k1", "s2").is_none());
        assert!(check(&keys, "k2", "s1").is_none());
    }
}
