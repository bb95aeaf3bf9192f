//! Why a transfer failed.

use std::time::Duration;

use tidings_wire::codes::{self, Outcome};

/// What has happened, whichever way the transfer goes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Cause {
    #[error("the client is not logged in")]
    NotLoggedIn,
    #[error("the login has ended meanwhile")]
    Interrupted,
    /// By the server, or by a check of ours with the same outcome.
    #[error("{text}")]
    Refused {
        outcome: u32,
        text: String,
        retry_after_ms: u32,
    },
    #[error("the transfer was broken off: {0}")]
    Broken(String),
}

impl Cause {
    pub(crate) fn refused(outcome: Outcome, text: String) -> Self {
        Self::Refused {
            outcome: outcome as u32,
            text,
            retry_after_ms: 0,
        }
    }

    fn outcome(&self) -> Option<Outcome> {
        let Self::Refused { outcome, .. } = self else {
            return None;
        };
        Outcome::ALL.into_iter().find(|row| *row as u32 == *outcome)
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after_ms, .. } if *retry_after_ms > 0 => {
                Some(Duration::from_millis(u64::from(*retry_after_ms)))
            }
            _ => None,
        }
    }

    fn is_retryable(&self) -> bool {
        match self {
            Self::Broken(_) => true,
            _ => self.outcome().is_some_and(Outcome::is_retryable),
        }
    }

    fn hint(&self) -> &'static str {
        match (self.outcome(), self) {
            (Some(outcome), _) => outcome.remedy(),
            (None, Self::Broken(_)) => "Try again; check the way to the server if it lasts.",
            (None, Self::Refused { .. }) => "Use client and server of one version.",
            (None, _) => "Log in first.",
        }
    }
}

macro_rules! transfer_error {
    ($(#[$doc:meta])* $name:ident, $family:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
        #[error("{source}")]
        pub struct $name {
            source: Cause,
        }

        impl $name {
            /// The code of the method's family in the RTM 1.x API.
            pub fn code(&self) -> u32 {
                match &self.source {
                    Cause::NotLoggedIn => codes::$family::NOT_LOGGED_IN,
                    Cause::Interrupted => codes::$family::INTERRUPTED,
                    Cause::Refused { outcome, .. } => codes::$family::from_outcome(*outcome),
                    Cause::Broken(_) => codes::$family::FAILURE,
                }
            }

            /// The server's outcome, or that of a check here; none when the network or the login
            /// has ended it.
            pub fn outcome(&self) -> Option<Outcome> {
                self.source.outcome()
            }

            /// When to try again, where that is stated.
            pub fn retry_after(&self) -> Option<Duration> {
                self.source.retry_after()
            }

            /// Whether the same call may succeed later.
            pub fn is_retryable(&self) -> bool {
                self.source.is_retryable()
            }

            /// What to do about it: one imperative sentence.
            pub fn hint(&self) -> &'static str {
                self.source.hint()
            }
        }

        impl From<Cause> for $name {
            fn from(source: Cause) -> Self {
                Self { source }
            }
        }
    };
}

transfer_error!(
    /// Why a file was not uploaded. Codes `UPLOAD_MEDIA_ERR_…`.
    UploadMediaError,
    upload_media_err
);
transfer_error!(
    /// Why a file was not downloaded. Codes `DOWNLOAD_MEDIA_ERR_…`.
    DownloadMediaError,
    download_media_err
);
