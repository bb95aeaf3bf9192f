//! Is a webhook's request from the server, unchanged and fresh?

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, Mac as _};
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::Sha256;
use tidings_wire::from_hex;

/// How old a request may be, and how far ahead of this machine's clock, in seconds.
const TOLERANCE_S: u64 = 300;

/// Why a webhook's request must not be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// None of the headers that sign is there.
    #[error("the request has no header Tidings-Signature")]
    NoSignature,
    /// The header has another form.
    #[error("the header Tidings-Signature is not t=<seconds>,v1=<hex>")]
    MalformedSignature,
    /// It may be a recorded request; or this machine's clock is wrong.
    #[error("the request was made at another time")]
    TooOld,
    /// The secret is another one, or the body is not what came, byte for byte.
    #[error("no signature fits the body")]
    BadSignature,
    /// It is signed, but no event.
    #[error("the body is signed, but no event")]
    BadBody,
}

impl WebhookError {
    /// A stable word.
    pub fn code(self) -> &'static str {
        match self {
            Self::NoSignature => "no_signature",
            Self::MalformedSignature => "malformed_signature",
            Self::TooOld => "too_old",
            Self::BadSignature => "bad_signature",
            Self::BadBody => "bad_body",
        }
    }

    /// What to do about it.
    pub fn hint(self) -> &'static str {
        match self {
            Self::NoSignature => "Answer 401. If a proxy is in front, let it pass the header on.",
            Self::MalformedSignature | Self::BadSignature => {
                "Answer 401. If it is a request of your own server, check the secret, and that the \
                 body is what came, byte for byte."
            }
            Self::TooOld => {
                "Answer 401: it may be a recorded request. If all requests fail so, set the clock \
                 of this machine."
            }
            Self::BadBody => "Give the body of a webhook of Tidings.",
        }
    }
}

/// What a webhook's request says.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WebhookEvent {
    /// Equal in repeats of one event: remember it, and act once.
    pub notice_id: Option<String>,
    /// Such as `user.login`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// When this attempt was made, Unix milliseconds.
    pub notify_ms: Option<i64>,
    /// What happened, in fields that depend on `kind`.
    #[serde(default)]
    pub payload: Map<String, Value>,
    /// All other fields.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// The secrets of a webhook: one, or two while it is rotated, in any order.
#[derive(Clone)]
pub struct WebhookKeys {
    secrets: Vec<String>,
    tolerance_s: u64,
}

impl std::fmt::Debug for WebhookKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the secrets.
        write!(f, "{} webhook keys", self.secrets.len())
    }
}

impl WebhookKeys {
    /// An empty secret fits nothing.
    pub fn new<I: IntoIterator<Item: Into<String>>>(secrets: I) -> Self {
        let secrets = secrets.into_iter().map(Into::into);
        Self {
            secrets: secrets
                .filter(|secret: &String| !secret.is_empty())
                .collect(),
            tolerance_s: TOLERANCE_S,
        }
    }

    /// How old a request may be, in seconds; 300 if not stated, 0 takes any age.
    #[must_use]
    pub fn tolerance_s(mut self, seconds: u64) -> Self {
        self.tolerance_s = seconds;
        self
    }

    /// The event of a genuine request. `body` is what came, byte for byte; `header` gives the
    /// value of a header whose name is in lower case.
    ///
    /// # Errors
    /// [`WebhookError`]
    pub fn verify<'h>(
        &self,
        body: &[u8],
        header: impl Fn(&str) -> Option<&'h str>,
    ) -> Result<WebhookEvent, WebhookError> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        self.check(body, header, now.as_secs())?;
        serde_json::from_slice(body).map_err(|_| WebhookError::BadBody)
    }

    /// The same at a given time, Unix seconds, without reading the body.
    ///
    /// # Errors
    /// [`WebhookError`]
    pub fn check<'h>(
        &self,
        body: &[u8],
        header: impl Fn(&str) -> Option<&'h str>,
        now_s: u64,
    ) -> Result<(), WebhookError> {
        if let Some(timed) = header("tidings-signature") {
            return self.check_timed(body, timed, now_s);
        }
        // Receivers behind a proxy that passes on only the headers of the hosted service. Which of
        // them has the old secret's signature and which the new one's, nobody need know.
        let plain = ["agora-signature-v2", "tidings-signature-next"];
        let plain: Vec<&str> = plain.into_iter().filter_map(header).collect();
        if plain.is_empty() {
            return Err(WebhookError::NoSignature);
        }
        let plain: Vec<Vec<u8>> = plain.into_iter().filter_map(from_hex).collect();
        self.check_fits(b"", body, &plain)?;
        let made: Option<WebhookEvent> = serde_json::from_slice(body).ok();
        let made_ms = made.and_then(|event| event.notify_ms);
        let made_s = made_ms.and_then(|ms| u64::try_from(ms / 1000).ok());
        match made_s {
            Some(made_s) => self.check_age(made_s, now_s),
            None if self.tolerance_s == 0 => Ok(()),
            None => Err(WebhookError::TooOld),
        }
    }

    /// `t=<Unix seconds>,v1=<hex>`: a `v1` for each secret that is in use.
    fn check_timed(&self, body: &[u8], header: &str, now_s: u64) -> Result<(), WebhookError> {
        let malformed = WebhookError::MalformedSignature;
        let mut made = None;
        let mut signatures = Vec::new();
        for field in header.split(',') {
            match field.trim().split_once('=').ok_or(malformed)? {
                ("t", value) => made = Some(value),
                ("v1", value) => signatures.push(from_hex(value).ok_or(malformed)?),
                // A later kind of signature.
                _ => {}
            }
        }
        let is_time = |text: &&str| {
            (1..=15).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        let made = made.filter(is_time).ok_or(malformed)?;
        if signatures.is_empty() {
            return Err(malformed);
        }
        self.check_age(made.parse().map_err(|_| malformed)?, now_s)?;
        self.check_fits(format!("{made}.").as_bytes(), body, &signatures)
    }

    /// Compares every signature with every secret's, in a time that tells nothing of them.
    fn check_fits(
        &self,
        stamp: &[u8],
        body: &[u8],
        signatures: &[Vec<u8>],
    ) -> Result<(), WebhookError> {
        let mut is_good = false;
        for secret in &self.secrets {
            for signature in signatures {
                let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes());
                let mut mac = mac.expect("HMAC takes keys of any length");
                mac.update(stamp);
                mac.update(body);
                is_good |= mac.verify_slice(signature).is_ok();
            }
        }
        if is_good {
            Ok(())
        } else {
            Err(WebhookError::BadSignature)
        }
    }

    fn check_age(&self, made_s: u64, now_s: u64) -> Result<(), WebhookError> {
        if self.tolerance_s == 0 || made_s.abs_diff(now_s) <= self.tolerance_s {
            Ok(())
        } else {
            Err(WebhookError::TooOld)
        }
    }
}
