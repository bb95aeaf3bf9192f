//! What went wrong: a message says what happened, a hint what to do.

use std::time::Duration;

use serde::Deserialize;

/// Why a call has failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server has answered, and refuses.
    #[error(transparent)]
    Api(Box<ApiError>),
    /// No answer came; whether the call had an effect is unknown.
    #[error("{detail}")]
    NoAnswer {
        /// How it failed: no connection, no answer in time, or one that makes no sense.
        kind: NoAnswer,
        /// The same in words, with values.
        detail: String,
    },
    /// A setting or an argument cannot be right; nothing was sent.
    #[error("{detail}")]
    Invalid {
        /// A stable word.
        code: &'static str,
        /// What is wrong, with values.
        detail: String,
        /// What to do about it.
        hint: &'static str,
    },
}

/// How an answer failed to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoAnswer {
    /// No connection, or it broke.
    Unreachable,
    /// Not in time.
    TimedOut,
    /// What answered is no Tidings server.
    BadAnswer,
}

/// What the server says when it refuses: `application/problem+json`.
#[derive(Debug, Clone, Default, PartialEq, thiserror::Error)]
#[error("{status} {code}: {detail}")]
pub struct ApiError {
    /// The HTTP status.
    pub status: u16,
    /// A stable word to act on.
    pub code: String,
    /// The status in words.
    pub title: String,
    /// What happened, with values.
    pub detail: String,
    /// What to do about it: a sentence. Empty when there is nothing to say.
    pub hint: String,
    /// The field of the request that is wrong.
    pub field: Option<String>,
    /// The call's id in the server's log, to be told to whoever runs the server.
    pub request_id: Option<String>,
    /// When the same call may succeed.
    pub retry_after: Option<Duration>,
}

impl Error {
    /// A stable word to act on: the server's, or `unreachable`, `timed_out`, `bad_answer`, or that
    /// of a wrong argument.
    pub fn code(&self) -> &str {
        match self {
            Self::Api(error) => &error.code,
            Self::NoAnswer { kind, .. } => match kind {
                NoAnswer::Unreachable => "unreachable",
                NoAnswer::TimedOut => "timed_out",
                NoAnswer::BadAnswer => "bad_answer",
            },
            Self::Invalid { code, .. } => code,
        }
    }

    /// What to do about it: a sentence. Empty when there is nothing to say.
    pub fn hint(&self) -> &str {
        match self {
            Self::Api(error) => &error.hint,
            Self::NoAnswer { kind, .. } => match kind {
                NoAnswer::Unreachable => {
                    "Check the endpoint, and that the server runs and can be reached from here."
                }
                NoAnswer::TimedOut => "Look at the load of the server, or give the call more time.",
                NoAnswer::BadAnswer => "Check that the endpoint is a Tidings server.",
            },
            Self::Invalid { hint, .. } => hint,
        }
    }

    /// The HTTP status, if the server has answered.
    pub fn status(&self) -> Option<u16> {
        self.api().map(|error| error.status)
    }

    /// The call's id in the server's log.
    pub fn request_id(&self) -> Option<&str> {
        self.api()?.request_id.as_deref()
    }

    /// When the same call may succeed, where that is stated.
    pub fn retry_after(&self) -> Option<Duration> {
        self.api()?.retry_after
    }

    fn api(&self) -> Option<&ApiError> {
        match self {
            Self::Api(error) => Some(error),
            _ => None,
        }
    }

    /// Whether the server may answer later what it does not answer now.
    pub(super) fn is_outage(&self) -> bool {
        match self {
            Self::Api(error) => error.status == 429 || error.status >= 500,
            Self::NoAnswer { kind, .. } => *kind != NoAnswer::BadAnswer,
            Self::Invalid { .. } => false,
        }
    }

    pub(super) fn invalid(
        code: &'static str,
        detail: impl Into<String>,
        hint: &'static str,
    ) -> Self {
        let detail = detail.into();
        Self::Invalid { code, detail, hint }
    }

    pub(super) fn bad_answer(detail: impl Into<String>) -> Self {
        Self::NoAnswer {
            kind: NoAnswer::BadAnswer,
            detail: detail.into(),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    code: String,
    title: String,
    detail: String,
    reason: String,
    message: String,
    hint: String,
    field: Option<String>,
    request_id: Option<String>,
}

/// Characters of a body that is no problem, such as a proxy's page, that are shown.
const SHOWN_MAX: usize = 200;

/// Reads a refusal, also one that something between here and the server has made.
pub(super) fn api_error(
    status: u16,
    request_id: Option<&str>,
    body: &[u8],
    retry_after: Option<Duration>,
) -> ApiError {
    let told: Problem = serde_json::from_slice(body).unwrap_or_default();
    let or = |text: String, other: String| if text.is_empty() { other } else { text };
    let mut detail = or(told.detail, or(told.reason, told.message));
    if detail.is_empty() && told.title.is_empty() {
        let text = String::from_utf8_lossy(body);
        detail = text.chars().take(SHOWN_MAX).collect();
    }
    ApiError {
        status,
        code: or(told.code, format!("http_{status}")),
        title: or(told.title, format!("HTTP {status}")),
        detail,
        hint: told.hint,
        field: told.field,
        request_id: told.request_id.or_else(|| request_id.map(str::to_owned)),
        retry_after,
    }
}
