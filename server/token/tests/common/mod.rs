//! The vectors and the keys that most of them use.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use serde::Deserialize;
use tidings_token::{AppKeys, Door, Granted, Policy, Refusal, check};

pub(crate) const APP: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const CERTIFICATE: &str = "fedcba9876543210fedcba9876543210";
pub(crate) const NOW: u64 = 1_700_000_000;

#[derive(Deserialize)]
struct File {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
pub(crate) struct Vector {
    pub(crate) name: String,
    pub(crate) format: String,
    pub(crate) app_id: String,
    pub(crate) app_certificate: String,
    pub(crate) user_id: String,
    pub(crate) now: u64,
    pub(crate) token: String,
    pub(crate) expect: String,
    pub(crate) privilege_expire_at: Option<u64>,
}

pub(crate) fn vectors() -> Vec<Vector> {
    let file: File = serde_json::from_str(include_str!("../vectors.json")).expect("valid JSON");
    file.vectors
}

pub(crate) fn vector(name: &str) -> Vector {
    let mut all = vectors().into_iter();
    all.find(|vector| vector.name == name)
        .unwrap_or_else(|| panic!("no vector {name}"))
}

impl Vector {
    /// Checks the vector's token at the door of its format.
    pub(crate) fn check(&self, policy: &Policy) -> Result<Granted, Refusal> {
        self.check_with(policy, &[&self.app_certificate])
    }

    pub(crate) fn check_with(
        &self,
        policy: &Policy,
        certificates: &[&str],
    ) -> Result<Granted, Refusal> {
        let door = if self.format == "signaling" {
            Door::Legacy
        } else {
            Door::Rtm
        };
        let keys = AppKeys {
            app_id: &self.app_id,
            certificates,
            jwt: None,
        };
        check(door, &keys, policy, &self.user_id, self.now, &self.token)
    }
}

/// The default policy with the legacy format on, as the vectors presume.
pub(crate) fn vector_policy() -> Policy {
    Policy {
        legacy_signaling_tokens: true,
        ..Policy::default()
    }
}

/// Checks a token of the usual app for `user`.
pub(crate) fn check_for(policy: &Policy, user: &str, token: &str) -> Result<Granted, Refusal> {
    let keys = AppKeys {
        app_id: APP,
        certificates: &[CERTIFICATE],
        jwt: None,
    };
    check(Door::Rtm, &keys, policy, user, NOW, token)
}

/// The reason in the words of the vectors.
pub(crate) fn reason(result: &Result<Granted, Refusal>) -> &'static str {
    result.as_ref().map_or_else(Refusal::reason, |_| "ok")
}
