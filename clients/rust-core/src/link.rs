//! The link: attempts, when to try again, and when a silent link is lost.

use tidings_fault::fault;
use tidings_wire::codes::Outcome;
use tidings_wire::limits::LOGIN_TIMEOUT_MS;
use tidings_wire::proto::{Login, Ping, Resume, client_message};

use crate::backoff::GOOD_CONNECTION_MS;
use crate::call::{Answer, CallError};
use crate::close::{BACKOFF, Retry, Verdict, verdict};
use crate::event::{ClientEvent, ConnectionReason, ConnectionState, GapCause};
use crate::machine::{Backlog, Client, ConnectionId, Output};

/// How long an attempt of a login may take: three fit into the 12 s. Larger: fewer tries; smaller:
/// a slow network never gets through.
const LOGIN_ATTEMPT_MS: u64 = 4_000;
/// How long an attempt to reconnect may take: nobody waits for it with a deadline.
const RECONNECT_ATTEMPT_MS: u64 = 10_000;
/// An interruption shorter than this is not shown. Source: documented, rtm 3.2.
pub(crate) const QUIET_MS: u64 = 4_000;
/// Time that the server's ping has to arrive after the heartbeat. Source: protocol 2.4.
const PING_SLACK_MS: u64 = 4_000;
/// A link that has been heard within this time needs no check after a wake-up.
const FRESH_MS: u64 = 1_000;
/// New sessions after protocol errors before giving up. Source: protocol 2.5.
const PROTOCOL_ERRORS_MAX: u32 = 3;

/// The one connection that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    /// None.
    Down,
    /// Asked for.
    Opening {
        connection: ConnectionId,
        until_ms: u64,
    },
    /// Open; `Login` or `Resume` is on its way.
    Greeting {
        connection: ConnectionId,
        until_ms: u64,
    },
    /// In service.
    Up {
        connection: ConnectionId,
        since_ms: u64,
        /// When the last bytes came.
        heard_ms: u64,
        /// When an answer to a check must have come.
        probe_until_ms: Option<u64>,
    },
}

impl Link {
    pub(crate) fn connection(self) -> Option<ConnectionId> {
        match self {
            Self::Down => None,
            Self::Opening { connection, .. }
            | Self::Greeting { connection, .. }
            | Self::Up { connection, .. } => Some(connection),
        }
    }

    /// The connection, if it is open.
    pub(crate) fn writable(self) -> Option<ConnectionId> {
        match self {
            Self::Greeting { connection, .. } | Self::Up { connection, .. } => Some(connection),
            Self::Down | Self::Opening { .. } => None,
        }
    }

    pub(crate) fn is_up(self) -> bool {
        matches!(self, Self::Up { .. })
    }

    /// When the connection is to be given up unless something comes.
    pub(crate) fn deadline_ms(self, heartbeat_ms: u64) -> Option<u64> {
        match self {
            Self::Down => None,
            Self::Opening { until_ms, .. } | Self::Greeting { until_ms, .. } => Some(until_ms),
            Self::Up {
                heard_ms,
                probe_until_ms,
                ..
            } => {
                let silent_until_ms = heard_ms + heartbeat_ms + PING_SLACK_MS;
                Some(probe_until_ms.map_or(silent_until_ms, |probe| probe.min(silent_until_ms)))
            }
        }
    }
}

impl Client {
    pub(crate) fn heartbeat_ms(&self) -> u64 {
        let default = tidings_wire::limits::HEARTBEAT_MS;
        self.session
            .as_ref()
            .map_or(default, |session| session.heartbeat_ms)
    }

    /// Begins an attempt.
    pub(crate) fn open(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        self.retry_at_ms = None;
        self.connections += 1;
        let connection = self.connections;
        let attempt_ms = match self.login {
            Some(_) => LOGIN_ATTEMPT_MS,
            None => RECONNECT_ATTEMPT_MS,
        };
        self.link = Link::Opening {
            connection,
            until_ms: now_ms + attempt_ms,
        };
        out.push(Output::Open { connection });
    }

    pub(crate) fn handle_opened(&mut self, opened: ConnectionId) {
        let Link::Opening {
            connection,
            until_ms,
        } = self.link
        else {
            return;
        };
        if connection != opened {
            return;
        }
        self.link = Link::Greeting {
            connection,
            until_ms,
        };
        if let Some(login) = &mut self.login {
            login.progress = "the server does not answer the login";
        }
        self.greet();
    }

    /// Says who we are: resumes the session if there is one, else logs in.
    pub(crate) fn greet(&mut self) {
        let Some(account) = &self.account else { return };
        let greeting = match &self.session {
            Some(session) => client_message::Kind::Resume(Resume {
                app_id: account.app_id.clone(),
                user_id: account.user_id.clone(),
                session_id: session.id.clone(),
                secret: session.secret.0.clone(),
                confirm: session.processed(),
                token: match self.renewal {
                    Some(_) => account.token.clone(),
                    None => String::new(),
                },
            }),
            None => client_message::Kind::Login(Login {
                app_id: account.app_id.clone(),
                user_id: account.user_id.clone(),
                token: account.token.clone(),
                client: self.client_name.clone(),
                invitations: self.invitations.to_report(),
            }),
        };
        self.unwritten.push(greeting);
    }

    pub(crate) fn handle_closed(
        &mut self,
        now_ms: u64,
        connection: ConnectionId,
        code: Option<u16>,
        out: &mut Vec<Output>,
    ) {
        if self.link.connection() != Some(connection) {
            return;
        }
        let hint_ms = std::mem::take(&mut self.hint_ms);
        self.lose(now_ms, now_ms);
        match verdict(code) {
            Verdict::Resume(BACKOFF) if hint_ms > 0 => {
                self.retry(now_ms, Retry::Hint { ms: hint_ms });
            }
            Verdict::Resume(retry) => self.retry(now_ms, retry),
            Verdict::Anew(retry) => self.begin_anew(now_ms, retry, out),
            Verdict::End(state, reason) if self.login.is_some() => {
                self.end_refused_login(state, reason, code, out);
            }
            // A refusal that came without its message while reconnecting: keep trying.
            Verdict::End(_, ConnectionReason::LoginFailure) => self.retry(now_ms, BACKOFF),
            Verdict::End(state, reason) => {
                if reason == ConnectionReason::TokenExpired {
                    out.push(Output::Event(ClientEvent::TokenExpired));
                }
                self.end(state, reason, out);
            }
        }
    }

    /// Whether the link was gone for so long that the server has let the session go. It counts from the client's last
    /// word, which may be a heartbeat older than the loss.
    fn is_window_over(&self, now_ms: u64) -> bool {
        let (Some(session), Some(since_ms)) = (&self.session, self.lost_since_ms) else {
            return false;
        };
        !fault!(LongAbsenceIsServerLoss)
            && now_ms + session.heartbeat_ms >= since_ms + session.resume_window_ms
    }

    fn begin_anew(&mut self, now_ms: u64, retry: Retry, out: &mut Vec<Output>) {
        self.protocol_errors += 1;
        self.lose_session(now_ms, GapCause::NodeLost, out);
        // Beyond it, it stays interrupted until its application logs out (contract 4.6): a client that the server does
        // not understand must not try for ever.
        if self.protocol_errors <= PROTOCOL_ERRORS_MAX {
            self.retry(now_ms, retry);
        }
    }

    /// The server closed the connection of a login without saying why in a message.
    fn end_refused_login(
        &mut self,
        state: ConnectionState,
        reason: ConnectionReason,
        code: Option<u16>,
        out: &mut Vec<Output>,
    ) {
        let outcome = match (state, reason) {
            (_, ConnectionReason::BannedByServer) => Outcome::Banned,
            (_, ConnectionReason::TokenExpired) => Outcome::TokenExpired,
            (_, ConnectionReason::RemoteLogin) => Outcome::RemoteLogin,
            _ => Outcome::Unavailable,
        };
        let code = code.unwrap_or_default();
        let error = CallError::outcome(
            outcome,
            format!("the server closed the login with code {code}"),
        );
        self.fail_login(ConnectionReason::LoginFailure, error, out);
    }

    /// Ends a login that has not succeeded, or a reconnect that never will.
    pub(crate) fn fail_login(
        &mut self,
        reason: ConnectionReason,
        error: CallError,
        out: &mut Vec<Output>,
    ) {
        let login = self.login.take();
        self.end(ConnectionState::Disconnected, reason, out);
        if let Some(login) = login {
            out.push(Output::Answer {
                id: login.id,
                result: Err(error),
            });
        }
    }

    /// Notes that the link is gone. `since_ms` is when it went, which may be known late.
    pub(crate) fn lose(&mut self, now_ms: u64, since_ms: u64) {
        if let Link::Up {
            since_ms: up_since_ms,
            ..
        } = self.link
        {
            self.lost_since_ms = Some(since_ms);
            if now_ms.saturating_sub(up_since_ms) >= GOOD_CONNECTION_MS {
                self.backoff.reset();
                self.protocol_errors = 0;
            }
        }
        self.link = Link::Down;
    }

    /// Plans the next attempt.
    pub(crate) fn retry(&mut self, now_ms: u64, retry: Retry) {
        if self.account.is_none() {
            return;
        }
        let wait_ms = match retry {
            Retry::AtOnce if self.backoff.is_fresh() => {
                self.backoff.count(now_ms);
                0
            }
            Retry::AtOnce => self.backoff.next_ms(now_ms, &mut self.random, 0),
            Retry::Backoff { at_least_ms } => {
                let wait_ms = self.backoff.next_ms(now_ms, &mut self.random, 0);
                wait_ms.max(at_least_ms)
            }
            Retry::Hint { ms } => self.backoff.next_ms(now_ms, &mut self.random, ms),
        };
        // What wakes the client up does not bring it back before the time that the server has asked for.
        self.not_before_ms = now_ms
            + match retry {
                Retry::Hint { ms } => ms,
                Retry::Backoff { at_least_ms } => at_least_ms,
                Retry::AtOnce => 0,
            };
        self.retry_at_ms = Some(now_ms + wait_ms);
    }

    /// Closes the connection, whatever its state.
    pub(crate) fn drop_link(&mut self, out: &mut Vec<Output>) {
        if let Some(connection) = self.link.connection() {
            // Nothing is written to a connection that is given up.
            self.unwritten.clear();
            out.push(Output::Close { connection });
        }
        self.link = Link::Down;
    }

    /// Gives up a connection that has not answered in time.
    pub(crate) fn check_link(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        let heartbeat_ms = self.heartbeat_ms();
        if self
            .link
            .deadline_ms(heartbeat_ms)
            .is_none_or(|deadline_ms| deadline_ms > now_ms)
        {
            return;
        }
        let since_ms = match self.link {
            Link::Up {
                heard_ms,
                probe_until_ms,
                ..
            } => {
                // The ping was due after the heartbeat; an answer to a check at once.
                let silent_ms = heard_ms + heartbeat_ms;
                probe_until_ms.map_or(silent_ms, |until| silent_ms.min(until - QUIET_MS))
            }
            _ => now_ms,
        };
        if let Some(connection) = self.link.connection() {
            self.unwritten.clear();
            out.push(Output::Close { connection });
        }
        self.lose(now_ms, since_ms);
        self.retry(now_ms, BACKOFF);
    }

    /// When an interruption becomes visible.
    pub(crate) fn quiet_until_ms(&self) -> Option<u64> {
        match self.state {
            ConnectionState::Connected => self.lost_since_ms.map(|since_ms| since_ms + QUIET_MS),
            _ => None,
        }
    }

    pub(crate) fn check_quiet(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        if self
            .quiet_until_ms()
            .is_some_and(|until_ms| until_ms <= now_ms)
        {
            self.enter(
                ConnectionState::Reconnecting,
                ConnectionReason::Interrupted,
                out,
            );
        }
    }

    pub(crate) fn check_retry(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        let is_due = self.retry_at_ms.is_some_and(|at_ms| at_ms <= now_ms);
        if is_due && self.backlog == Backlog::Clear && self.link == Link::Down {
            self.open(now_ms, out);
        }
    }

    pub(crate) fn check_login(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        let Some(login) = self.login.filter(|login| login.deadline_ms <= now_ms) else {
            return;
        };
        let text = format!("no login within {LOGIN_TIMEOUT_MS} ms: {}", login.progress);
        let error = CallError::outcome(Outcome::TimedOut, text);
        self.fail_login(ConnectionReason::LoginTimeout, error, out);
    }

    /// The device has woken up: a wait is cut short, a link is checked with a ping.
    pub(crate) fn handle_wake(&mut self, now_ms: u64) {
        if self.retry_at_ms.is_some() {
            self.retry_at_ms = Some(now_ms.max(self.not_before_ms));
        }
        if let Link::Up {
            heard_ms,
            probe_until_ms,
            ..
        } = &mut self.link
            && probe_until_ms.is_none()
            && now_ms.saturating_sub(*heard_ms) > FRESH_MS
        {
            *probe_until_ms = Some(now_ms + PING_SLACK_MS);
            self.unwritten.push(client_message::Kind::Ping(Ping {}));
        }
    }

    /// A login or a resume is accepted: the link is in service.
    pub(crate) fn link_up(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        if let Some(connection) = self.link.connection() {
            self.link = Link::Up {
                connection,
                since_ms: now_ms,
                heard_ms: now_ms,
                probe_until_ms: None,
            };
        }
        self.lost_since_ms = None;
        self.hint_ms = 0;
        self.is_token_end_told = false;
        self.enter(
            ConnectionState::Connected,
            ConnectionReason::LoginSuccess,
            out,
        );
        if let Some((id, _)) = self.renewal.take().and_then(|renewal| renewal.waiting) {
            out.push(Output::Answer {
                id,
                result: Ok(Answer::Done),
            });
        }
        if let Some(login) = self.login.take() {
            out.push(Output::Answer {
                id: login.id,
                result: Ok(Answer::Done),
            });
        }
    }

    /// A login or a resume is refused.
    pub(crate) fn handle_refused(&mut self, now_ms: u64, error: CallError, out: &mut Vec<Output>) {
        let is = |outcome| error.is(outcome);
        let anew = [
            Outcome::UnknownSession,
            Outcome::WindowOver,
            Outcome::SecretWrong,
        ];
        if self.session.is_some() && anew.into_iter().any(is) {
            let cause = match error.is(Outcome::WindowOver) || self.is_window_over(now_ms) {
                true => GapCause::ResumeWindow,
                false => GapCause::NodeLost,
            };
            self.lose_session(now_ms, cause, out);
            // The same connection serves for the login.
            self.greet();
            return;
        }
        // An application is told that it logs in too often; only what the server cannot do for now is tried again.
        let is_told = self.login.is_some() && error.is(Outcome::TooOften);
        if error.is_retryable() && !is_told {
            if let Some(login) = &mut self.login {
                login.progress = "the server takes no logins for now";
            }
            self.drop_link(out);
            let retry = match error.retry_after_ms() {
                0 => BACKOFF,
                ms => Retry::Hint { ms },
            };
            self.retry(now_ms, retry);
        } else if self.login.is_some() {
            self.fail_login(ConnectionReason::LoginFailure, error, out);
        } else if is(Outcome::TokenExpired) || is(Outcome::InvalidToken) {
            self.token_refused(now_ms, error, out);
        } else if is(Outcome::RemoteLogin) {
            self.end(ConnectionState::Aborted, ConnectionReason::RemoteLogin, out);
        } else if is(Outcome::Banned) || is(Outcome::UnknownApp) {
            self.end(
                ConnectionState::Aborted,
                ConnectionReason::BannedByServer,
                out,
            );
        } else {
            // The session is not let in: the client stays interrupted, as with no network.
            self.drop_link(out);
            self.retry(now_ms, BACKOFF);
        }
    }

    /// The server says, before it closes a connection that is served, when to come back.
    pub(crate) fn note_hint(&mut self, error: &CallError) {
        self.hint_ms = error.retry_after_ms();
    }

    /// The token of a reconnect is over: the application is told once, attempts go on.
    fn token_refused(&mut self, now_ms: u64, error: CallError, out: &mut Vec<Output>) {
        if let Some((id, _)) = self.renewal.take().and_then(|renewal| renewal.waiting) {
            out.push(Output::Answer {
                id,
                result: Err(error),
            });
        }
        if !self.is_token_end_told {
            self.is_token_end_told = true;
            out.push(Output::Event(ClientEvent::TokenExpired));
        }
        self.drop_link(out);
        self.retry(now_ms, BACKOFF);
    }
}
