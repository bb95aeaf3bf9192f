//! Who has called: what a call is answered to.

use crate::ids::SessionKey;
use crate::io::Ticket;

/// Who waits for the outcome of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// A session's client, by its request `cseq`: answered with a reply to that request.
    Request {
        session: SessionKey,
        cseq: u64,
        /// When it came, by the hub's own clock. Monotonic milliseconds.
        asked_ms: u64,
    },
    /// Whoever stands outside and has no session: answered by [`crate::Effect::Answer`].
    Outside(Ticket),
}

impl Caller {
    /// The number of the session's request; 0 for whoever is outside.
    pub(crate) fn cseq(self) -> u64 {
        match self {
            Self::Request { cseq, .. } => cseq,
            Self::Outside(_) => 0,
        }
    }

    /// The session whose client has called; `None` for whoever is outside.
    pub(crate) fn session(self) -> Option<SessionKey> {
        match self {
            Self::Request { session, .. } => Some(session),
            Self::Outside(_) => None,
        }
    }
}
