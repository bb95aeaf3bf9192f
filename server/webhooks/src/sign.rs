//! The signatures of a notice (rest 10.2 and 12), and checking them.

use hmac::{Hmac, Mac as _};
use sha1::Sha1;
use sha2::Sha256;
use tidings_wire::{from_hex, hex};

/// Of the hosted service: lower-case hex HMAC-SHA1 over the body.
pub const SIGNATURE: &str = "agora-signature";
/// Of the hosted service: the same with SHA-256.
pub const SIGNATURE_V2: &str = "agora-signature-v2";
/// Ours: `t=<Unix seconds>,v1=<hex HMAC-SHA256 over "<t>.<body>">`, one `v1` per secret.
pub const SIGNATURE_TIMED: &str = "tidings-signature";
/// While a secret is being replaced: [`SIGNATURE_V2`], made with the new one.
pub const SIGNATURE_NEXT: &str = "tidings-signature-next";

/// How old a timed signature may be, and how far ahead of the receiver's clock, in seconds.
pub const TOLERANCE_S: u64 = 300;

/// The headers that sign `body` at `now_s`, in seconds since 1970. `next` is the secret that is
/// going to replace `secret`.
#[must_use]
pub fn headers(
    secret: &str,
    next: Option<&str>,
    now_s: u64,
    body: &[u8],
) -> Vec<(&'static str, String)> {
    let mut timed = format!("t={now_s},v1={}", timed_hex(secret, now_s, body));
    let mut headers = vec![
        (SIGNATURE, sha1_hex(secret, body)),
        (SIGNATURE_V2, sha256_hex(secret, &[body])),
    ];
    if let Some(next) = next {
        timed.push_str(",v1=");
        timed.push_str(&timed_hex(next, now_s, body));
        headers.push((SIGNATURE_NEXT, sha256_hex(next, &[body])));
    }
    headers.push((SIGNATURE_TIMED, timed));
    headers
}

/// Why a signature is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The header has not the form `t=…,v1=…`.
    #[error("the signature header is not t=<seconds>,v1=<hex>")]
    Form,
    /// Its time is further than the tolerance from the receiver's.
    #[error("the signature is from another time: it may be a replay")]
    Time,
    /// No signature fits body and secret.
    #[error("no signature fits the body")]
    Mismatch,
}

/// Checks a [`SIGNATURE_TIMED`] header as a receiver does; its client libraries do the same.
///
/// # Errors
/// [`Refused`]
pub fn verify(secret: &str, header: &str, body: &[u8], now_s: u64) -> Result<(), Refused> {
    let mut time = None;
    let mut found = Vec::new();
    for part in header.split(',') {
        match part.trim().split_once('=').ok_or(Refused::Form)? {
            ("t", value) => time = Some(value.parse::<u64>().map_err(|_| Refused::Form)?),
            ("v1", value) => found.push(from_hex(value).ok_or(Refused::Form)?),
            // A later kind of signature stands beside those that are known.
            _ => {}
        }
    }
    let time = time.ok_or(Refused::Form)?;
    if found.is_empty() {
        return Err(Refused::Form);
    }
    if time.abs_diff(now_s) > TOLERANCE_S {
        return Err(Refused::Time);
    }
    let fits = |signature: &Vec<u8>| {
        let stamp = format!("{time}.");
        let mac = sha256(secret, &[stamp.as_bytes(), body]);
        mac.verify_slice(signature).is_ok()
    };
    if found.iter().any(fits) {
        Ok(())
    } else {
        Err(Refused::Mismatch)
    }
}

fn timed_hex(secret: &str, now_s: u64, body: &[u8]) -> String {
    sha256_hex(secret, &[format!("{now_s}.").as_bytes(), body])
}

fn sha1_hex(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).expect("any length is a key");
    mac.update(body);
    hex(&mac.finalize().into_bytes())
}

fn sha256(secret: &str, parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length is a key");
    for part in parts {
        mac.update(part);
    }
    mac
}

fn sha256_hex(secret: &str, parts: &[&[u8]]) -> String {
    hex(&sha256(secret, parts).finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const VECTORS: &str = include_str!("../../../spec/webhook-vectors.json");

    fn value<'a>(headers: &'a [(&str, String)], name: &str) -> &'a str {
        let found = headers.iter().find(|(header, _)| *header == name);
        found.map_or("", |(_, value)| value)
    }

    #[test]
    fn the_published_vectors_are_met() {
        let vectors: serde_json::Value = serde_json::from_str(VECTORS).expect("vectors");
        let rows = vectors["signed"].as_array().expect("rows");
        assert!(rows.len() >= 4);
        for row in rows {
            let text = |name: &str| row[name].as_str().unwrap_or_default();
            let time = row["t"].as_u64().expect("a time");
            let next = row["next_secret"].as_str();
            let made = headers(text("secret"), next, time, text("body").as_bytes());
            for (header, expected) in row["headers"].as_object().expect("headers") {
                assert_eq!(value(&made, header), expected, "{header} of {row}");
            }
            assert_eq!(
                made.len(),
                row["headers"].as_object().map_or(0, |all| all.len())
            );
        }
    }

    #[test]
    fn verification_meets_its_vectors() {
        let vectors: serde_json::Value = serde_json::from_str(VECTORS).expect("vectors");
        let rows = vectors["verified"].as_array().expect("rows");
        assert!(rows.len() >= 8);
        for row in rows {
            let text = |name: &str| row[name].as_str().unwrap_or_default();
            let now = row["now"].as_u64().expect("a time");
            let verdict = verify(text("secret"), text("header"), text("body").as_bytes(), now);
            let verdict = match verdict {
                Ok(()) => "good",
                Err(Refused::Form) => "form",
                Err(Refused::Time) => "time",
                Err(Refused::Mismatch) => "mismatch",
            };
            assert_eq!(verdict, text("verdict"), "{row}");
        }
    }
}
