//! A login under way. The browser keeps what has to be remembered, sealed, so that strangers who
//! begin logins and never end them cost the server nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::Pending;
use super::cookies::LOGIN_S;

/// Longest sealed text that is looked at, in bytes; ours have some 400.
const SEALED_BYTES_MAX: usize = 2_048;

/// Seals and opens.
#[derive(Clone)]
pub(super) struct Sealer(Hmac<Sha256>);

#[derive(Serialize, Deserialize)]
struct Sealed {
    pending: Pending,
    /// On the clock of the process.
    until_ms: u64,
}

impl Sealer {
    pub(super) fn new(seed: &[u8; 32]) -> Self {
        let mut mac = Hmac::new_from_slice(seed).expect("any length is a key");
        // The seed authenticates other texts as well.
        mac.update(b"login under way\0");
        Self(mac)
    }

    pub(super) fn seal(&self, pending: Pending, now_ms: u64) -> String {
        let until_ms = now_ms + LOGIN_S * 1_000;
        let text = serde_json::to_vec(&Sealed { pending, until_ms }).unwrap_or_default();
        let mut mac = self.0.clone();
        mac.update(&text);
        let tag = mac.finalize().into_bytes();
        format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(text),
            URL_SAFE_NO_PAD.encode(tag)
        )
    }

    /// What was sealed here, for this long at most.
    pub(super) fn open(&self, sealed: &str, now_ms: u64) -> Option<Pending> {
        if sealed.len() > SEALED_BYTES_MAX {
            return None;
        }
        let (text, tag) = sealed.split_once('.')?;
        let text = URL_SAFE_NO_PAD.decode(text).ok()?;
        let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
        let mut mac = self.0.clone();
        mac.update(&text);
        mac.verify_slice(&tag).ok()?;
        let sealed: Sealed = serde_json::from_slice(&text).ok()?;
        (sealed.until_ms > now_ms).then_some(sealed.pending)
    }
}
