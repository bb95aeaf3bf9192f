//! The legacy signaling token: `1:<app id>:<expiry>:<MD5>`.
//!
//! `digest = hex(MD5(account ‖ app id ‖ certificate ‖ expiry))`, the expiry in the same digits that
//! stand in the token. Source: documented, the public token builders.
//!
//! MD5 can be continued past its input, and the secret is not at its end. All that stops a
//! continued digest is that its padding bytes are no digits, hence the digits-only rule. The token
//! names no user, so a wrong user cannot be distinguished from a wrong digest.

use md5::{Digest, Md5};
use subtle::ConstantTimeEq;

use crate::grant::{Granted, Policy};
use crate::keys::{AppKeys, BuildError, check_form, has_key_form};
use crate::refusal::{Flaw, Refusal};
use crate::rights::Rights;

/// Most digits of an expiry.
const EXPIRY_DIGITS_MAX: usize = 10;

/// The parts of a token of the right shape.
pub(crate) struct Parts<'a> {
    pub(crate) app_id: &'a str,
    /// As written: leading zeros are under the digest.
    expiry: &'a str,
    pub(crate) expires_at_unix_s: u64,
    pub(crate) digest: &'a str,
}

impl<'a> Parts<'a> {
    pub(crate) fn parse(token: &'a str) -> Result<Self, Flaw> {
        let mut parts = token.split(':');
        let (Some("1"), Some(app_id), Some(expiry), Some(digest), None) = (
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
        ) else {
            return Err(Flaw::SignalingParts(token.split(':').count()));
        };
        if !has_key_form(app_id.as_bytes()) {
            return Err(Flaw::AppIdForm);
        }
        if expiry.len() > EXPIRY_DIGITS_MAX || !expiry.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Flaw::SignalingExpiry);
        }
        let expires_at_unix_s = expiry.parse().map_err(|_| Flaw::SignalingExpiry)?;
        let is_lower_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if digest.len() != 32 || !digest.bytes().all(is_lower_hex) {
            return Err(Flaw::SignalingDigest);
        }
        Ok(Self {
            app_id,
            expiry,
            expires_at_unix_s,
            digest,
        })
    }
}

/// Everything but the expiry.
pub(crate) fn check(
    keys: &AppKeys<'_>,
    policy: &Policy,
    user_id: &str,
    now_unix_s: u64,
    token: &str,
) -> Result<Granted, Refusal> {
    let parts = Parts::parse(token)?;
    if parts.app_id != keys.app_id {
        return Err(Refusal::WrongApp {
            token_app_id: parts.app_id.to_owned(),
            app_id: keys.app_id.to_owned(),
        });
    }
    let fits = |certificate: &str| {
        let digest = digest(user_id, parts.app_id, certificate, parts.expiry);
        digest.as_bytes().ct_eq(parts.digest.as_bytes()).into()
    };
    let Some(certificate) = keys.certificate_that(fits) else {
        return Err(Refusal::InvalidSignature {
            certificates: keys.certificates.len(),
        });
    };
    let ends_in_s = parts.expires_at_unix_s.saturating_sub(now_unix_s);
    let max_s = policy.signaling_lifetime_max_s;
    if max_s > 0 && ends_in_s > max_s {
        return Err(Flaw::SignalingTooLong { ends_in_s, max_s }.into());
    }
    Ok(Granted {
        expires_at_unix_s: parts.expires_at_unix_s,
        issued_at_unix_s: None,
        rights: Rights::Unrestricted,
        certificate: Some(certificate),
        id: parts.digest.parse().ok(),
    })
}

/// The digest in lower-case hexadecimal.
fn digest(user_id: &str, app_id: &str, certificate: &str, expiry: &str) -> String {
    let mut md5 = Md5::new();
    for part in [user_id, app_id, certificate, expiry] {
        md5.update(part);
    }
    format!("{:032x}", u128::from_be_bytes(md5.finalize().into()))
}

/// Makes a legacy signaling token that is valid before `expires_at_unix_s`.
///
/// # Errors
/// [`BuildError::AppId`], [`BuildError::Certificate`]; [`BuildError::ExpiryDigits`] for an expiry
/// of more than ten digits, which no checker takes.
pub fn build_signaling(
    app_id: &str,
    certificate: &str,
    user_id: &str,
    expires_at_unix_s: u64,
) -> Result<String, BuildError> {
    check_form(app_id, certificate)?;
    let expiry = expires_at_unix_s.to_string();
    if expiry.len() > EXPIRY_DIGITS_MAX {
        return Err(BuildError::ExpiryDigits(expires_at_unix_s));
    }
    let digest = digest(user_id, app_id, certificate, &expiry);
    Ok(format!("1:{app_id}:{expiry}:{digest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: &str = "0123456789abcdef0123456789abcdef";
    const CERTIFICATE: &str = "fedcba9876543210fedcba9876543210";

    #[test]
    fn only_one_to_ten_digits_are_an_expiry_however_well_signed() {
        let keys = AppKeys {
            app_id: APP,
            certificates: &[CERTIFICATE],
            jwt: None,
        };
        let check_expiry = |expiry: &str| {
            let digest = digest("alice", APP, CERTIFICATE, expiry);
            let policy = Policy {
                signaling_lifetime_max_s: 0,
                ..Policy::default()
            };
            let token = format!("1:{APP}:{expiry}:{digest}");
            check(&keys, &policy, "alice", 0, &token).map(|granted| granted.expires_at_unix_s)
        };
        assert_eq!(check_expiry("0000000007"), Ok(7));
        assert_eq!(check_expiry("9999999999"), Ok(9_999_999_999));
        let refused = [
            "",
            "+170008640",
            "-1",
            " 1",
            "1 ",
            "0x10",
            "1e9",
            "１",
            "17000864000",
        ];
        for expiry in refused {
            assert_eq!(
                check_expiry(expiry),
                Err(Flaw::SignalingExpiry.into()),
                "{expiry:?}"
            );
        }
    }
}
