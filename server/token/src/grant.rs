//! What the check of a token is told, and what a good one grants.

use std::fmt;

use crate::rights::Rights;

/// The expiry of a login that has none: the debugging word.
pub const NEVER: u64 = u64::MAX;

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
