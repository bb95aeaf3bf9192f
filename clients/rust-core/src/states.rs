//! The tables: the connection states that an application sees, what a close code means, and what a
//! refused login or resume means.

use std::fmt;

use tidings_wire::codes::{CloseCode, Outcome};

use crate::error::CallError;

/// Where a client stands. Source: documented, rtm 3.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectionState {
    /// Not logged in.
    Disconnected,
    /// A login is under way.
    Connecting,
    /// Logged in. Also during the first 4 s of an interruption.
    Connected,
    /// Logged in, without a link for more than 4 s.
    Reconnecting,
    /// Logged out by the server; only a logout leads on.
    Aborted,
}

impl ConnectionState {
    /// The name in the RTM 1.x API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Disconnected => "DISCONNECTED",
            Self::Connecting => "CONNECTING",
            Self::Connected => "CONNECTED",
            Self::Reconnecting => "RECONNECTING",
            Self::Aborted => "ABORTED",
        }
    }

    /// Whether calls are taken; while reconnecting they wait for the link.
    pub(crate) const fn takes_calls(self) -> bool {
        matches!(self, Self::Connected | Self::Reconnecting)
    }
}

impl fmt::Display for ConnectionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why the state changed. Source: documented, rtm 3.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectionReason {
    /// A login was called.
    Login,
    /// The server has accepted a login, or the link is back.
    LoginSuccess,
    /// The server has refused a login.
    LoginFailure,
    /// A login had no answer for 12 s.
    LoginTimeout,
    /// The link is lost.
    Interrupted,
    /// A logout is done.
    Logout,
    /// The user or the app is banned.
    BannedByServer,
    /// The same user has logged in elsewhere.
    RemoteLogin,
    /// The token has expired.
    TokenExpired,
}

impl ConnectionReason {
    /// The name in the RTM 1.x API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Login => "LOGIN",
            Self::LoginSuccess => "LOGIN_SUCCESS",
            Self::LoginFailure => "LOGIN_FAILURE",
            Self::LoginTimeout => "LOGIN_TIMEOUT",
            Self::Interrupted => "INTERRUPTED",
            Self::Logout => "LOGOUT",
            Self::BannedByServer => "BANNED_BY_SERVER",
            Self::RemoteLogin => "REMOTE_LOGIN",
            Self::TokenExpired => "TOKEN_EXPIRED",
        }
    }
}

impl fmt::Display for ConnectionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What moves the state that an application sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trigger {
    /// The application logs in.
    Login,
    /// The server has accepted a login or a resume.
    Accepted,
    /// The server has refused a login.
    Refused,
    /// A login had no answer in time.
    TimedOut,
    /// The link has been gone for longer than a short interruption.
    Interrupted,
    /// The application has logged out, or the server says that it has.
    Logout,
    /// The server bans the user or the app.
    Banned,
    /// The user has logged in elsewhere.
    RemoteLogin,
    /// The server has ended the session because its token expired.
    TokenExpired,
}

/// One row of [`STATES`]: from a state, by a trigger, to a state, for a reason.
type Step = (ConnectionState, Trigger, ConnectionState, ConnectionReason);

/// Every change of the visible state. A trigger without a row changes nothing: an interruption that
/// was too short to show, for instance, is accepted while `Connected`.
///
/// Source: documented, rtm 3.1; the last row of `Reconnecting` is ours (decision 0025).
const STATES: &[Step] = {
    use ConnectionReason as Why;
    use ConnectionState::{Aborted, Connected, Connecting, Disconnected, Reconnecting};
    use Trigger as By;
    &[
        (Disconnected, By::Login, Connecting, Why::Login),
        (Connecting, By::Accepted, Connected, Why::LoginSuccess),
        (Connecting, By::Refused, Disconnected, Why::LoginFailure),
        (Connecting, By::TimedOut, Disconnected, Why::LoginTimeout),
        (Connecting, By::Logout, Disconnected, Why::Logout),
        (Connected, By::Interrupted, Reconnecting, Why::Interrupted),
        (Connected, By::Logout, Disconnected, Why::Logout),
        (Connected, By::Banned, Aborted, Why::BannedByServer),
        (Connected, By::RemoteLogin, Aborted, Why::RemoteLogin),
        (Connected, By::TokenExpired, Aborted, Why::TokenExpired),
        (Reconnecting, By::Accepted, Connected, Why::LoginSuccess),
        (Reconnecting, By::Logout, Disconnected, Why::Logout),
        (Reconnecting, By::Banned, Aborted, Why::BannedByServer),
        (Reconnecting, By::RemoteLogin, Aborted, Why::RemoteLogin),
        (Reconnecting, By::TokenExpired, Aborted, Why::TokenExpired),
        (Aborted, By::Logout, Disconnected, Why::Logout),
    ]
};

/// The state that a trigger leads to, with the reason that the application is told.
pub(crate) fn step(
    from: ConnectionState,
    by: Trigger,
) -> Option<(ConnectionState, ConnectionReason)> {
    let row = STATES
        .iter()
        .find(|(state, trigger, ..)| (*state, *trigger) == (from, by))?;
    Some((row.2, row.3))
}

/// Shortest wait after `slow_consumer` and after `protocol_error`, in milliseconds.
/// Source: protocol 2.5.
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

/// With back-off and no other condition.
pub(crate) const BACKOFF: Retry = Retry::Backoff { at_least_ms: 0 };

/// What a client does about a closed connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CloseRule {
    /// The session can be resumed.
    Resume(Retry),
    /// The session cannot go on: a fresh login.
    NewSession(Retry),
    /// The login has ended, by this trigger.
    End(Trigger),
}

/// The rule of a close code; an unknown code, or none, is a lost link. Source:
/// docs/internals/protocol.md 2.5.
pub(crate) fn close_rule(code: Option<u16>) -> CloseRule {
    if code == Some(MESSAGE_TOO_BIG) {
        return CloseRule::NewSession(BACKOFF);
    }
    let known = CloseCode::ALL
        .into_iter()
        .find(|known| Some(*known as u16) == code);
    match known {
        Some(CloseCode::GoingAway) => CloseRule::Resume(Retry::AtOnce),
        Some(CloseCode::SlowConsumer) => CloseRule::Resume(Retry::Backoff {
            at_least_ms: SLOW_CONSUMER_WAIT_MS,
        }),
        // A newer connection of the session that is not ours: the session is in use elsewhere.
        Some(CloseCode::Superseded | CloseCode::RemoteLogin) => {
            CloseRule::End(Trigger::RemoteLogin)
        }
        Some(CloseCode::TokenExpired) => CloseRule::End(Trigger::TokenExpired),
        Some(CloseCode::Banned | CloseCode::AppDisabled) => CloseRule::End(Trigger::Banned),
        Some(CloseCode::LoginRefused) => CloseRule::End(Trigger::Refused),
        Some(CloseCode::ProtocolError) => CloseRule::NewSession(Retry::Backoff {
            at_least_ms: PROTOCOL_ERROR_WAIT_MS,
        }),
        Some(CloseCode::LoggedOut) => CloseRule::End(Trigger::Logout),
        Some(
            CloseCode::NodeIsolated
            | CloseCode::Overloaded
            | CloseCode::HeartbeatLost
            | CloseCode::RateLimited
            | CloseCode::InternalError
            | CloseCode::LoginTimeout,
        )
        | None => CloseRule::Resume(BACKOFF),
    }
}

/// The outcome that a close code stands for when it comes instead of an answer to a login.
pub(crate) fn outcome_of_close(by: Trigger) -> Outcome {
    match by {
        Trigger::Banned => Outcome::Banned,
        Trigger::TokenExpired => Outcome::TokenExpired,
        Trigger::RemoteLogin => Outcome::RemoteLogin,
        // The server gave no reason.
        Trigger::Refused | Trigger::Logout => Outcome::Unavailable,
        Trigger::Login | Trigger::Accepted | Trigger::TimedOut | Trigger::Interrupted => {
            unreachable!("no close code leads to {by:?}")
        }
    }
}

/// What a refused resume, or the refused login of a client that reconnects, means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The session has ended; a login on the same connection makes a new one.
    SessionOver,
    /// The token has expired or is not accepted.
    TokenExpired,
    /// The user or the app is not let in.
    Banned,
    /// The session is in use elsewhere.
    RemoteLogin,
    /// The server gives a reason for which no row stands.
    Other,
}

/// The meaning of a refusal's outcome.
pub(crate) fn refusal(error: &CallError) -> Refusal {
    const REFUSALS: &[(Outcome, Refusal)] = &[
        (Outcome::UnknownSession, Refusal::SessionOver),
        (Outcome::WindowOver, Refusal::SessionOver),
        (Outcome::SecretWrong, Refusal::SessionOver),
        (Outcome::TokenExpired, Refusal::TokenExpired),
        (Outcome::InvalidToken, Refusal::TokenExpired),
        (Outcome::Banned, Refusal::Banned),
        (Outcome::UnknownApp, Refusal::Banned),
        (Outcome::RemoteLogin, Refusal::RemoteLogin),
    ];
    let row = REFUSALS.iter().find(|(outcome, _)| error.is(*outcome));
    row.map_or(Refusal::Other, |(_, refusal)| *refusal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_reached_and_leads_to_another_state() {
        for (from, by, to, reason) in STATES {
            assert_ne!(from, to, "{from} by {by:?}");
            assert_eq!(step(*from, *by), Some((*to, *reason)), "{from} by {by:?}");
        }
        let accepted = step(ConnectionState::Connected, Trigger::Accepted);
        assert_eq!(accepted, None, "a short interruption is not shown");
    }

    #[test]
    fn only_a_logout_leads_out_of_an_ended_login() {
        let rows = STATES.iter();
        let out: Vec<_> = rows
            .filter(|(from, ..)| *from == ConnectionState::Aborted)
            .map(|(_, by, ..)| *by)
            .collect();
        assert_eq!(out, [Trigger::Logout]);
    }

    #[test]
    fn every_close_code_that_ends_a_login_has_an_outcome() {
        for code in CloseCode::ALL {
            if let CloseRule::End(by) = close_rule(Some(code as u16)) {
                assert_ne!(outcome_of_close(by) as u32, 0, "{code:?}");
            }
        }
    }
}
