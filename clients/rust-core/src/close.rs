//! What the server's close codes mean. Source: protocol 2.5.

use tidings_wire::codes::CloseCode;

use crate::event::{ConnectionReason, ConnectionState};

/// Shortest wait after `slow_consumer` and after `protocol_error`. Source: protocol 2.5.
const SLOW_CONSUMER_WAIT_MS: u64 = 1_000;
const PROTOCOL_ERROR_WAIT_MS: u64 = 5_000;
/// WebSocket close code "message too big".
const MESSAGE_TOO_BIG: u16 = 1009;

/// When to try again after a link is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// Without a wait the first time, then with back-off.
    AtOnce,
    /// With back-off, but not before this many milliseconds.
    Backoff { at_least_ms: u64 },
    /// With back-off between a server's hint and twice it.
    Hint { ms: u64 },
}

/// What a close means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The session can be resumed.
    Resume(Retry),
    /// The session is over; a new one begins.
    Anew(Retry),
    /// The login is over.
    End(ConnectionState, ConnectionReason),
}

pub(crate) const BACKOFF: Retry = Retry::Backoff { at_least_ms: 0 };

/// The table of protocol 2.5.
pub(crate) fn verdict(code: Option<u16>) -> Verdict {
    use ConnectionReason as Reason;
    use ConnectionState::{Aborted, Disconnected};
    if code == Some(MESSAGE_TOO_BIG) {
        return Verdict::Anew(BACKOFF);
    }
    let known = CloseCode::ALL
        .into_iter()
        .find(|known| Some(*known as u16) == code);
    match known {
        Some(CloseCode::GoingAway | CloseCode::NodeIsolated) => Verdict::Resume(Retry::AtOnce),
        Some(CloseCode::SlowConsumer) => Verdict::Resume(Retry::Backoff {
            at_least_ms: SLOW_CONSUMER_WAIT_MS,
        }),
        // A newer connection of the session that is not ours: the session lives elsewhere.
        Some(CloseCode::Superseded | CloseCode::RemoteLogin) => {
            Verdict::End(Aborted, Reason::RemoteLogin)
        }
        Some(CloseCode::TokenExpired) => Verdict::End(Aborted, Reason::TokenExpired),
        Some(CloseCode::Banned | CloseCode::AppDisabled) => {
            Verdict::End(Aborted, Reason::BannedByServer)
        }
        Some(CloseCode::LoginRefused) => Verdict::End(Disconnected, Reason::LoginFailure),
        Some(CloseCode::ProtocolError) => Verdict::Anew(Retry::Backoff {
            at_least_ms: PROTOCOL_ERROR_WAIT_MS,
        }),
        Some(CloseCode::LoggedOut) => Verdict::End(Disconnected, Reason::Logout),
        Some(
            CloseCode::Overloaded
            | CloseCode::HeartbeatLost
            | CloseCode::RateLimited
            | CloseCode::InternalError
            | CloseCode::LoginTimeout,
        )
        | None => Verdict::Resume(BACKOFF),
    }
}
