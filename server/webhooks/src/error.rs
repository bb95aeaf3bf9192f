//! What can go wrong: refusals of a request, and faults of the world.

/// The field of a request that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// `channels`: patterns of the channels whose messages are held.
    Channels,
    /// `enabled`: whether notices are sent.
    Enabled,
    /// `events`: the kinds of events that are told.
    Events,
    /// `filter`: the channels and users whose events are told.
    Filter,
    /// `secret`: what requests to the target are signed with.
    Secret,
    /// `timeout_ms`: how long a message is held at most.
    TimeoutMs,
    /// `url`: the target to which requests go.
    Url,
}

impl Field {
    /// Its name in the body.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Channels => "channels",
            Self::Enabled => "enabled",
            Self::Events => "events",
            Self::Filter => "filter",
            Self::Secret => "secret",
            Self::TimeoutMs => "timeout_ms",
            Self::Url => "url",
        }
    }
}

/// The kind of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// A field is wrong.
    Field(Field),
    /// There is no such subscription or delivery.
    NotFound,
    /// What is asked for does not fit the present state.
    Conflict,
    /// A bound is reached.
    Full,
    /// The store does not answer.
    Unavailable,
}

/// Why a request was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    /// Tells programs what to do; the status of the API's answer follows from it.
    pub kind: RefusalKind,
    /// What is wrong, with the values.
    pub detail: String,
    /// What to do about it.
    pub hint: &'static str,
}

impl Refusal {
    pub(crate) fn new(kind: RefusalKind, detail: String, hint: &'static str) -> Self {
        Self { kind, detail, hint }
    }

    pub(crate) fn field(field: Field, detail: String, hint: &'static str) -> Self {
        Self::new(RefusalKind::Field(field), detail, hint)
    }
}

/// The store or the stream of events did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the store did not answer: {0}")]
pub struct Fault(
    /// What it said.
    pub String,
);

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::new(
            RefusalKind::Unavailable,
            fault.to_string(),
            "try again in a moment",
        )
    }
}
