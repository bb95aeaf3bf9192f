//! The check: which format a token has, whether this door accepts it, and what it grants.

use std::fmt;

use crate::keys::AppKeys;
use crate::refusal::{Flaw, Refusal};
use crate::rights::Rights;
use crate::{access006, access007, jwt, signaling};

/// The expiry of a login that has none: the debugging word.
pub const NEVER: u64 = u64::MAX;

/// What legacy clients that were built without a token send. Source: documented, the old signaling
/// tutorials.
const DEBUG_WORD: &str = "_no_need_token";

/// Where a token is presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Door {
    /// The native protocol: 006, 007 and JWT.
    Rtm,
    /// The legacy signaling protocol: the same, and its own format where switched on.
    Legacy,
    /// HTTP: as the native protocol.
    Rest,
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rtm => "RTM",
            Self::Legacy => "legacy",
            Self::Rest => "REST",
        })
    }
}

/// A token format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// `1:…`, the legacy signaling token.
    Signaling,
    /// AccessToken, which begins with `006`.
    Access006,
    /// AccessToken2, which begins with `007`.
    Access007,
    /// A signed JSON Web Token.
    Jwt,
}

impl Format {
    /// Tells the format by the first characters.
    pub(crate) fn of(token: &str) -> Result<Self, Flaw> {
        match token.as_bytes() {
            [] => Err(Flaw::Empty),
            [b'1', b':', ..] => Ok(Self::Signaling),
            [b'0', b'0', b'6', ..] => Ok(Self::Access006),
            [b'0', b'0', b'7', ..] => Ok(Self::Access007),
            // A dot, which the others do not have; an app id could begin like any base64url.
            _ if token.contains('.') => Ok(Self::Jwt),
            _ if token == DEBUG_WORD => Err(Flaw::DebugWord),
            _ => Err(Flaw::UnknownFormat),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Signaling => "signaling",
            Self::Access006 => "006",
            Self::Access007 => "007",
            Self::Jwt => "JWT",
        })
    }
}

/// What the app and the place of the check decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Cap on the lifetime of a 007 token from its issue, seconds; 0 = no cap.
    pub max_lifetime_s: u64,
    /// How far in the future the issue time of a 007 token may lie, seconds. It tolerates wrong
    /// clocks and time zones; a larger value would allow tokens that evade the cap.
    pub max_issue_ahead_s: u64,
    /// How long after its expiry a token is still accepted, seconds. Tolerates backends with
    /// inaccurate clocks.
    pub leeway_s: u64,
    /// Longest token that is decoded at all, bytes.
    pub max_token_bytes: usize,
    /// Largest content of a 007 token once inflated, bytes.
    pub max_inflated_bytes: usize,
    /// Whether an empty user id in a 007 token stands for every user.
    pub allow_any_user: bool,
    /// Whether a 006 token for calls can log in, if its channel has the user's name and its uid is
    /// zero. Whoever can obtain tokens for channels of any name can then log in as anybody, see
    /// `access006`.
    pub accept_rtc_006: bool,
    /// Whether the legacy door takes tokens of the legacy format, whose MD5 is weak.
    pub legacy_signaling_tokens: bool,
    /// Longest time from now to the end of a token of the legacy format, seconds. 0 = no bound.
    pub signaling_lifetime_max_s: u64,
    /// Whether the legacy door accepts the debugging word, which lets anybody in as any user.
    pub legacy_debug_word: bool,
}

impl Policy {
    /// The default with tighter caps for tokens of strangers: 4 KiB, 8 KiB inflated.
    pub fn login() -> Self {
        Self {
            max_token_bytes: 4096,
            max_inflated_bytes: 8192,
            ..Self::default()
        }
    }
}

impl Default for Policy {
    /// A day's lifetime, a day ahead, no leeway, 8 KiB, 64 KiB inflated, every switch off.
    fn default() -> Self {
        Self {
            max_lifetime_s: 86_400,
            max_issue_ahead_s: 86_400,
            leeway_s: 0,
            max_token_bytes: 8192,
            max_inflated_bytes: 65_536,
            allow_any_user: false,
            accept_rtc_006: false,
            legacy_signaling_tokens: false,
            signaling_lifetime_max_s: 86_400,
            legacy_debug_word: false,
        }
    }
}

/// What a valid token grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// The first second at which the token is no longer valid, Unix seconds, without the policy's
    /// leeway; [`NEVER`] for the debugging word.
    pub expires_at_unix_s: u64,
    /// When the token was issued, Unix seconds, where the format shows it: the issue time of 007, a
    /// day before the end of 006, `None` otherwise.
    pub issued_at_unix_s: Option<u64>,
    /// What the login may do.
    pub rights: Rights,
    /// Which of [`AppKeys::certificates`] signed it, from 0; none for the debugging word and JWT.
    pub certificate: Option<usize>,
    /// Identifies this token in a list of revoked ones; none for the debugging word.
    pub id: Option<TokenId>,
}

/// Identifies a token: the first bytes of its signature, which stay the same however its holder
/// repacks the rest; of a JSON Web Token, of a hash of its `jti` or else of what is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(pub [u8; 16]);

impl TokenId {
    pub(crate) fn of(signature: &[u8]) -> Option<Self> {
        signature.first_chunk().copied().map(Self)
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl std::str::FromStr for TokenId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u128::from_str_radix(text, 16).map(|number| Self(number.to_be_bytes()))
    }
}

/// Checks whether `token` lets `user_id` log in to the app at `now_unix_s`.
///
/// The order of the checks is fixed (malformed, app, then by format), expiry comes last: a client
/// answers `expired` with a fresh token, and a token that is wrong in another way too would send it
/// round in circles. Comparisons of digests take constant time and every certificate is tried.
///
/// # Errors
/// The first reason that applies.
///
/// Cost: at most one bounded inflate of `max_inflated_bytes` and one HMAC-SHA256 chain per
/// certificate; for a JSON Web Token, at most four signatures.
pub fn check(
    door: Door,
    keys: &AppKeys<'_>,
    policy: &Policy,
    user_id: &str,
    now_unix_s: u64,
    token: &str,
) -> Result<Granted, Refusal> {
    let (bytes, bytes_max) = (token.len(), policy.max_token_bytes);
    if bytes > bytes_max {
        return Err(Flaw::TooLong { bytes, bytes_max }.into());
    }
    let granted = match format_at(door, keys, policy, token) {
        Ok(Format::Signaling) => signaling::check(keys, policy, user_id, now_unix_s, token)?,
        Ok(Format::Access006) => access006::check(keys, policy, user_id, token)?,
        Ok(Format::Access007) => access007::check(keys, policy, user_id, now_unix_s, token)?,
        Ok(Format::Jwt) => {
            // `format_at` has let it pass, so there is one.
            let verifier = keys.jwt.ok_or(Flaw::UnknownFormat)?;
            jwt::check(verifier, (keys.app_id, user_id), now_unix_s, token)?
        }
        Err(Flaw::DebugWord) if door == Door::Legacy && policy.legacy_debug_word => Granted {
            expires_at_unix_s: NEVER,
            issued_at_unix_s: None,
            rights: Rights::Unrestricted,
            certificate: None,
            id: None,
        },
        Err(_) if token == keys.app_id => return Err(Flaw::AppIdInstead.into()),
        Err(flaw) => return Err(flaw.into()),
    };
    let at_unix_s = granted.expires_at_unix_s;
    if now_unix_s >= at_unix_s.saturating_add(policy.leeway_s) {
        return Err(Refusal::Expired {
            at_unix_s,
            now_unix_s,
        });
    }
    Ok(granted)
}

/// The token's format, if the door accepts it.
fn format_at(door: Door, keys: &AppKeys<'_>, policy: &Policy, token: &str) -> Result<Format, Flaw> {
    let format = Format::of(token)?;
    let taken = match format {
        Format::Signaling => door == Door::Legacy && policy.legacy_signaling_tokens,
        Format::Access006 | Format::Access007 => true,
        Format::Jwt => keys.jwt.is_some(),
    };
    if taken {
        Ok(format)
    } else {
        Err(Flaw::FormatRefused { format, door })
    }
}
