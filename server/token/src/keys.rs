//! An app's identity and secrets, and what the builders refuse.

use std::fmt;

use crate::jwt::verifier::Verifier;

/// Length of an app id and of a certificate, in characters.
pub(crate) const KEY_CHARS: usize = 32;

/// The app that a token is checked for.
///
/// Both parts are used as text, byte for byte as the owner wrote them: never decoded from
/// hexadecimal, never lower-cased. `Debug` hides the certificates.
#[derive(Clone, Copy)]
pub struct AppKeys<'a> {
    /// 32 hexadecimal characters.
    pub app_id: &'a str,
    /// The active certificates, one or two, primary first. With none, every token is refused.
    pub certificates: &'a [&'a str],
    /// Keys and rules for JSON Web Tokens; `None` = the app takes none.
    pub jwt: Option<&'a Verifier>,
}

impl AppKeys<'_> {
    /// The number of the first certificate that `fits`.
    ///
    /// Order: every certificate is tried even after one has fitted, so that the time taken does
    /// not tell which.
    pub(crate) fn certificate_that(&self, fits: impl Fn(&str) -> bool) -> Option<usize> {
        let mut found = None;
        for (index, certificate) in self.certificates.iter().enumerate() {
            if fits(certificate) && found.is_none() {
                found = Some(index);
            }
        }
        found
    }
}

impl fmt::Debug for AppKeys<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppKeys")
            .field("app_id", &self.app_id)
            .field(
                "certificates",
                &format_args!("{} hidden", self.certificates.len()),
            )
            .finish()
    }
}

/// Whether a text has the form of an app id or certificate: 32 hexadecimal characters.
pub(crate) fn has_key_form(text: &[u8]) -> bool {
    text.len() == KEY_CHARS && text.iter().all(u8::is_ascii_hexdigit)
}

/// A token cannot be made from these inputs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The app id is not 32 hexadecimal characters.
    #[error("app id {0:?} is not 32 hexadecimal characters")]
    AppId(String),
    /// The certificate is not 32 hexadecimal characters. It is a secret and not repeated.
    #[error("the app certificate is not 32 hexadecimal characters (it has {chars} characters)")]
    Certificate {
        /// Length of the refused text, in characters.
        chars: usize,
    },
    /// A signaling token's expiry has more than ten digits.
    #[error("expiry {0} has more than ten digits; it is an absolute time in Unix seconds")]
    ExpiryDigits(u64),
    /// A 007 token without services grants nothing.
    #[error("the token has no service")]
    NoService,
    /// A list or text does not fit into its 16-bit length field.
    #[error("{part} has length {len}, more than 65535")]
    TooLong {
        /// Which part is wrong.
        part: &'static str,
        /// Its length, in bytes or entries.
        len: usize,
    },
    /// Such a token would be refused when read: checkers disagree on which copy counts.
    #[error("privilege {privilege} occurs twice in one service")]
    RepeatedPrivilege {
        /// The privilege's number.
        privilege: u16,
    },
}

/// Checks the form of the inputs that every format signs with.
pub(crate) fn check_form(app_id: &str, certificate: &str) -> Result<(), BuildError> {
    if !has_key_form(app_id.as_bytes()) {
        return Err(BuildError::AppId(app_id.to_owned()));
    }
    if !has_key_form(certificate.as_bytes()) {
        return Err(BuildError::Certificate {
            chars: certificate.chars().count(),
        });
    }
    Ok(())
}

/// Appends a length as the formats write it, 16 bits, little-endian.
pub(crate) fn put_len(out: &mut Vec<u8>, part: &'static str, len: usize) -> Result<(), BuildError> {
    let short = u16::try_from(len).map_err(|_| BuildError::TooLong { part, len })?;
    out.extend_from_slice(&short.to_le_bytes());
    Ok(())
}

/// Appends a length and the bytes.
pub(crate) fn put_bytes(
    out: &mut Vec<u8>,
    part: &'static str,
    bytes: &[u8],
) -> Result<(), BuildError> {
    put_len(out, part, bytes.len())?;
    out.extend_from_slice(bytes);
    Ok(())
}
