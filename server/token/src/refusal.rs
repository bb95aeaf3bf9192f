//! Every way in which a token can fail.
//!
//! Messages carry values (ids, times, lengths) but never a token, a signature or a certificate.

use crate::door::{Door, Format};
use crate::jwt::flaw::JwtFlaw;
use crate::jwt::key::Algorithm;

/// Why a token does not let its bearer in.
///
/// `Display` says which part is wrong, [`Refusal::hint`] how to fix it. Neither reveals a secret:
/// everything said before the signature has been checked depends only on bytes that the sender has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The bytes are not a token of an accepted format.
    #[error("the token is malformed: {0}")]
    Malformed(Flaw),
    /// The token was made for another app.
    #[error("the token is for app {token_app_id:?}, not for {app_id:?}")]
    WrongApp {
        /// The app id in the token.
        token_app_id: String,
        /// The app id of the login.
        app_id: String,
    },
    /// No active certificate of the app produces the token's signature.
    #[error(
        "the token's signature fits none of the app's {certificates} active certificate(s) \
         for this user and content"
    )]
    InvalidSignature {
        /// How many certificates were tried.
        certificates: usize,
    },
    /// The token is genuine but carries no right to log in to messaging.
    #[error("the token of format {format} carries no RTM login privilege")]
    NoRtmPrivilege {
        /// The token's format.
        format: Format,
    },
    /// The token was made for another user.
    #[error("the token is for {token_user}, not for {user_id:?}")]
    WrongUser {
        /// What the token says about its user.
        token_user: TokenUser,
        /// The user id of the login.
        user_id: String,
    },
    /// A JSON Web Token asks for a key that the app does not have, or has not loaded yet.
    #[error(
        "the token is signed with {algorithm} and {}; none of the app's {keys} key(s) is that",
        key_named(.key_id.as_ref())
    )]
    NoSuchKey {
        /// How it is signed.
        algorithm: Algorithm,
        /// The key that it names, cut to 64 characters.
        key_id: Option<String>,
        /// How many keys there are, of all algorithms.
        keys: usize,
    },
    /// A JSON Web Token that any of several keys could have signed.
    #[error(
        "the token names no key, and the app has more {algorithm} keys than one token is tried with"
    )]
    ManyKeys {
        /// How it is signed.
        algorithm: Algorithm,
    },
    /// A JSON Web Token that its key has not signed.
    #[error("the token's {algorithm} signature does not fit {}", key_named(.key_id.as_ref()))]
    InvalidJwtSignature {
        /// How it is signed.
        algorithm: Algorithm,
        /// The key that it names, cut to 64 characters.
        key_id: Option<String>,
    },
    /// A JSON Web Token for another app, of another issuer, or for another audience.
    #[error("the token's `{claim}` is {found}, not {wanted}")]
    WrongClaim {
        /// The claim's name.
        claim: String,
        /// What it says, cut to 64 characters.
        found: String,
        /// What the app demands.
        wanted: String,
    },
    /// A JSON Web Token that counts from a later time on.
    #[error(
        "the token is valid from {from_unix_s} on, {} s from now",
        from_unix_s.saturating_sub(*now_unix_s)
    )]
    NotYetValid {
        /// When it begins, Unix seconds.
        from_unix_s: u64,
        /// The time of the check, Unix seconds.
        now_unix_s: u64,
    },
    /// The token has expired.
    #[error("the token expired at {at_unix_s}, {} s ago", now_unix_s.saturating_sub(*at_unix_s))]
    Expired {
        /// The first second at which the token is no longer valid, Unix seconds.
        at_unix_s: u64,
        /// The time of the check, Unix seconds.
        now_unix_s: u64,
    },
}

impl Refusal {
    /// The reason in one word, for logs, metrics and the table of client-visible codes.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::WrongApp { .. } => "wrong_app",
            Self::InvalidSignature { .. } | Self::InvalidJwtSignature { .. } => "invalid_signature",
            Self::NoSuchKey { .. } | Self::ManyKeys { .. } => "unknown_key",
            Self::WrongClaim { .. } => "wrong_claim",
            Self::NotYetValid { .. } => "not_yet_valid",
            Self::NoRtmPrivilege { .. } => "no_rtm_privilege",
            Self::WrongUser { .. } => "wrong_user",
            Self::Expired { .. } => "expired",
        }
    }

    /// How to fix it, one imperative sentence.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Malformed(flaw) => flaw.hint(),
            Self::WrongApp { .. } => {
                "Build the token with the app id that the client is configured with."
            }
            Self::InvalidSignature { .. } => {
                "Build the token with an active certificate of the app, exactly as the console \
                 shows it, and for the very user id that logs in."
            }
            Self::NoRtmPrivilege { .. } => {
                "Build the token with an RTM token builder; a token for calls does not log in."
            }
            Self::WrongUser { .. } => {
                "Build the token for the user id that logs in, in the same letter case."
            }
            Self::NoSuchKey { .. } => {
                "Sign with a key that the app's jwt settings name, and put its id into kid."
            }
            Self::ManyKeys { .. } => "Put the id of the key that signs into the header's kid.",
            Self::InvalidJwtSignature { .. } => {
                "Sign with the very key that the app's jwt settings hold, byte for byte."
            }
            Self::WrongClaim { .. } => {
                "Issue the token for this app, or correct jwt.issuers, jwt.audiences or jwt.app_claim."
            }
            Self::NotYetValid { .. } => "Correct the clock of the host that issues tokens.",
            Self::Expired { .. } => "Fetch a fresh token from the app's backend.",
        }
    }
}

fn key_named(id: Option<&String>) -> String {
    id.map_or("no key id".into(), |id| format!("key {id:?}"))
}

impl From<JwtFlaw> for Refusal {
    fn from(flaw: JwtFlaw) -> Self {
        Self::Malformed(Flaw::Jwt(flaw))
    }
}

/// The refusal's message already contains the flaw's, so the flaw is not its source as well.
impl From<Flaw> for Refusal {
    fn from(flaw: Flaw) -> Self {
        Self::Malformed(flaw)
    }
}

/// Whom a token names as its user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenUser {
    /// The user id itself (007); bytes that are no UTF-8 are replaced.
    Named(String),
    /// Only a CRC-32 of the user id (006).
    Crc32 {
        /// The CRC in the token's channel field, which holds the RTM user.
        channel: u32,
        /// The CRC in the token's uid field, which is zero in an RTM token.
        uid: u32,
    },
    /// No user (007): the token is valid for nobody, unless the policy says otherwise.
    Empty,
    /// A JSON Web Token lacks the claim that is the user id.
    NoClaim(String),
}

impl std::fmt::Display for TokenUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Named(user) => write!(f, "user {user:?}"),
            Self::Crc32 { channel, uid: 0 } => write!(f, "a user with CRC-32 {channel:08x}"),
            Self::Crc32 { channel, uid } => {
                write!(
                    f,
                    "channel CRC-32 {channel:08x} and call uid CRC-32 {uid:08x}"
                )
            }
            Self::Empty => f.write_str("no user (its user id is empty)"),
            Self::NoClaim(name) => write!(f, "no user (it has no `{name}`)"),
        }
    }
}

/// What is wrong with a token's bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// The token is empty.
    #[error("it is empty")]
    Empty,
    /// More bytes than the policy allows; nothing was decoded.
    #[error("it has {bytes} bytes, more than {bytes_max}")]
    TooLong {
        /// Bytes of the token.
        bytes: usize,
        /// The policy's bound.
        bytes_max: usize,
    },
    /// The text is no token at all.
    #[error("it begins with none of `1:`, `006`, `007` and is no JWT")]
    UnknownFormat,
    /// The app id was sent instead of a token; some clients do that when they have none.
    #[error("it is the app id itself, and this app has a certificate")]
    AppIdInstead,
    /// The legacy debugging word, where it is not enabled.
    #[error("the debugging word is not accepted here")]
    DebugWord,
    /// A format that this door or app does not accept.
    #[error("tokens of format {format} are not accepted at the {door} door of this app")]
    FormatRefused {
        /// The token's format.
        format: Format,
        /// Where it was presented.
        door: Door,
    },
    /// A JSON Web Token of another form.
    #[error("{0}")]
    Jwt(JwtFlaw),
    /// A token of the legacy format that is valid for longer than the app allows; it states no time
    /// of issue, so its lifetime can only be counted from now.
    #[error("it ends {ends_in_s} s from now; a token of the legacy format ends within {max_s} s")]
    SignalingTooLong {
        /// Seconds until its end.
        ends_in_s: u64,
        /// The policy's bound.
        max_s: u64,
    },
    /// The base64 part contains a space.
    #[error("base64 character {at} is a space: a `+` was probably decoded as in a form on its way")]
    SpaceForPlus {
        /// Position in the base64 part, from 0.
        at: usize,
    },
    /// The base64 part contains a character of the URL-safe alphabet.
    #[error("base64 character {at} belongs to the URL-safe alphabet")]
    UrlSafeBase64 {
        /// Position in the base64 part, from 0.
        at: usize,
    },
    /// A character that base64 does not have.
    #[error("base64 character {at} is not in the alphabet")]
    Base64Character {
        /// Position in the base64 part, from 0.
        at: usize,
    },
    /// The base64 is cut off or unpadded.
    #[error("its base64 part is cut or has wrong padding")]
    Base64Padding,
    /// The unused bits of the last character are not zero.
    #[error("its base64 part is not canonical: unused bits of the last character are set")]
    Base64NotCanonical,
    /// Not a zlib stream, or one with a preset dictionary, damaged data or a wrong checksum.
    #[error("its zlib data is damaged or no zlib stream")]
    ZlibDamaged,
    /// The zlib stream has no end.
    #[error("its zlib data ends too early")]
    ZlibCut,
    /// Something follows the zlib stream.
    #[error("{count} byte(s) follow its zlib data")]
    BytesAfterZlib {
        /// How many there are.
        count: usize,
    },
    /// The zlib stream holds more than the policy allows.
    #[error("it inflates to more than {bytes_max} bytes")]
    InflatedTooLarge {
        /// The policy's bound.
        bytes_max: usize,
    },
    /// A field is longer than what remains.
    #[error("{part} needs {need} byte(s), {left} are left")]
    Cut {
        /// Name of the field.
        part: &'static str,
        /// Bytes that the field needs.
        need: usize,
        /// Bytes that are left.
        left: usize,
    },
    /// Bytes that no signature covers follow the last field.
    #[error("{count} byte(s) follow {part}")]
    BytesAfter {
        /// The last field.
        part: &'static str,
        /// How many there are.
        count: usize,
    },
    /// Signatures have 32 bytes.
    #[error("its signature has {0} bytes, not 32")]
    SignatureLength(u16),
    /// The app id in the token has another form.
    #[error("its app id is not 32 hexadecimal characters")]
    AppIdForm,
    /// A signaling token has four parts.
    #[error("it has {0} part(s) between colons, not 4")]
    SignalingParts(usize),
    /// Only digits, else MD5 could be continued over other bytes.
    #[error("its expiry is not 1 to 10 digits")]
    SignalingExpiry,
    /// The digest of a signaling token.
    #[error("its digest is not 32 lower-case hexadecimal characters")]
    SignalingDigest,
    /// One privilege occurs twice in one service; known builders disagree on which copy counts.
    #[error("privilege {privilege} occurs twice in one service")]
    RepeatedPrivilege {
        /// The privilege's number.
        privilege: u16,
    },
    /// 006: only a message with this one privilege is unambiguous, see `access006`.
    #[error("privilege 1000 stands together with {others} other(s)")]
    LoginNotAlone {
        /// How many other privileges there are.
        others: usize,
    },
    /// 007: a far issue time would get round the cap on lifetimes.
    #[error("it was issued at {issued_at_unix_s}, more than {ahead_s_max} s after {now_unix_s}")]
    IssuedAhead {
        /// The token's issue time, Unix seconds.
        issued_at_unix_s: u64,
        /// The time of the check, Unix seconds.
        now_unix_s: u64,
        /// The policy's bound.
        ahead_s_max: u64,
    },
}

impl Flaw {
    /// How to fix it, one imperative sentence.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Empty | Self::AppIdInstead | Self::DebugWord => {
                "Fetch a token from the app's backend and pass it to login."
            }
            Self::Jwt(flaw) => flaw.hint(),
            Self::FormatRefused {
                format: Format::Jwt,
                ..
            } => {
                "Give the app a key for JWT with `tidings app set`, or build a token of format 007."
            }
            Self::FormatRefused { .. } => {
                "Build a token of format 007, or switch legacy signaling tokens on for this app."
            }
            Self::SignalingTooLong { .. } => {
                "Make tokens that end sooner, or raise legacy_token_max_s of the app."
            }
            Self::SpaceForPlus { .. } | Self::UrlSafeBase64 { .. } => {
                "Percent-encode the token wherever it travels in a URL or form."
            }
            Self::IssuedAhead { .. } => "Correct the clock of the host that builds tokens.",
            Self::LoginNotAlone { .. } => {
                "Build the token with an RTM token builder and no further privilege."
            }
            Self::InflatedTooLarge { .. } => {
                "List fewer names in the token, or raise the limit in the app's settings."
            }
            _ => "Pass the token exactly as the builder returned it.",
        }
    }
}
