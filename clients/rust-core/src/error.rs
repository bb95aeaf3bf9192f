//! Why calls fail.

use tidings_wire::codes::Outcome;
use tidings_wire::proto;

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The call needs a login.
    #[error("the client is not logged in")]
    NotLoggedIn,
    /// The client is logged in, or is logging in or out.
    #[error("the client is logged in already, or its last login has not been logged out")]
    AlreadyLoggedIn,
    /// The invitation is in a state in which this cannot be done.
    #[error("{text}")]
    WrongTime {
        /// A code `INVITATION_API_CALL_ERR_…` of the RTM 1.x API.
        code: u32,
        /// What is wrong, in words.
        text: String,
    },
    /// The application logged out before the login was complete.
    #[error("the login was given up by a logout")]
    LoginCanceled,
    /// A join was overtaken by a leave of the same channel: the user is not in it.
    #[error("the channel was left before the join was done")]
    Left {
        /// Whether the join was handed to a connection; if not, it has had no effect.
        was_sent: bool,
    },
    /// The call waited for the link in vain: it was never sent and has had no effect, so it is safe
    /// to make it again.
    #[error("{text}")]
    Unsent {
        /// What happened, with values.
        text: String,
    },
    /// The server refused, or a local check found what the server would refuse.
    #[error("{text}")]
    Refused {
        /// The number of a row of `proto/errors.toml`.
        outcome: u32,
        /// What happened, with values.
        text: String,
        /// When to try again, in milliseconds; 0 = not stated.
        retry_after_ms: u32,
    },
}

impl CallError {
    /// A failure found here that the server would have reported as this outcome.
    pub(crate) fn outcome(outcome: Outcome, text: String) -> Self {
        Self::Refused {
            outcome: outcome as u32,
            text,
            retry_after_ms: 0,
        }
    }

    /// Reads the server's error.
    pub(crate) fn from_proto(error: proto::Error) -> Self {
        Self::Refused {
            outcome: error.outcome,
            text: error.text,
            retry_after_ms: error.retry_after_ms,
        }
    }

    /// Whether this is the given outcome.
    pub fn is(&self, wanted: Outcome) -> bool {
        match self {
            Self::Refused { outcome, .. } => *outcome == wanted as u32,
            Self::Unsent { .. } => wanted == Outcome::TimedOut,
            Self::NotLoggedIn
            | Self::AlreadyLoggedIn
            | Self::WrongTime { .. }
            | Self::Left { .. }
            | Self::LoginCanceled => false,
        }
    }

    /// Whether the call has had no effect for certain, because it never left this client.
    pub fn is_unsent(&self) -> bool {
        matches!(
            self,
            Self::Unsent { .. }
                | Self::AlreadyLoggedIn
                | Self::WrongTime { .. }
                | Self::Left { was_sent: false }
        )
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        Outcome::ALL
            .into_iter()
            .any(|row| self.is(row) && row.is_retryable())
    }

    /// When the server says to try again, in milliseconds; 0 = it does not say.
    pub(crate) fn retry_after_ms(&self) -> u64 {
        if let Self::Refused { retry_after_ms, .. } = self {
            u64::from(*retry_after_ms)
        } else {
            0
        }
    }
}
