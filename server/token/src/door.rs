//! Where a token is presented, and of which format it is.

use std::fmt;

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
