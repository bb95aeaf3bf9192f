//! What the application does: logs in and out, calls, renews its token.

use tidings_fault::fault;
use tidings_wire::codes::Outcome;
use tidings_wire::limits::{
    CALL_TIMEOUT_MS, CLIENT_QUEUE_BYTES_MAX, CLIENT_QUEUE_CALLS_MAX, LOGIN_SPACING_MS,
    LOGIN_TIMEOUT_MS,
};

use crate::call::{Answer, Call, CallError};
use crate::check;
use crate::event::{ConnectionReason, ConnectionState};
use crate::lineage::Inbox;
use crate::link::Link;
use crate::machine::{Account, CallId, Client, LoginCall, LogoutCall, Output, Renewal};
use crate::session::{Origin, Request};

/// What becomes of a call whose time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It has been written to a connection.
    Sent,
    /// It has not, and is done when the link is back.
    Kept,
    /// It has not, and never will.
    Dropped,
}

impl Client {
    pub(crate) fn handle_login(
        &mut self,
        now_ms: u64,
        id: CallId,
        account: Account,
        out: &mut Vec<Output>,
    ) {
        if let Err(error) = self.may_log_in(now_ms, &account) {
            out.push(Output::Answer {
                id,
                result: Err(error),
            });
            return;
        }
        let owner = Some((account.app_id.clone(), account.user_id.clone()));
        if self.inbox_owner != owner {
            self.inbox = Inbox::default();
            self.inbox_owner = owner;
        }
        self.account = Some(account);
        self.login = Some(LoginCall {
            id,
            deadline_ms: now_ms + LOGIN_TIMEOUT_MS,
            progress: "no connection could be opened; check the endpoint and the network",
        });
        if !fault!(ConnectedWithoutConnecting) {
            self.enter(ConnectionState::Connecting, ConnectionReason::Login, out);
        }
        self.open(now_ms, out);
    }

    /// The order of the checks decides which code an application sees. Source: observed, rtm 2.3.
    fn may_log_in(&mut self, now_ms: u64, account: &Account) -> Result<(), CallError> {
        check::login(&account.app_id, &account.user_id, &account.token)?;
        let since_ms = self
            .last_login_ms
            .map(|last_ms| now_ms.saturating_sub(last_ms));
        if let Some(since_ms) = since_ms.filter(|since_ms| *since_ms < LOGIN_SPACING_MS) {
            return Err(CallError::Refused {
                outcome: Outcome::TooOften as u32,
                text: format!("the last login was {since_ms} ms ago; wait {LOGIN_SPACING_MS} ms"),
                retry_after_ms: u32::try_from(LOGIN_SPACING_MS - since_ms).unwrap_or(u32::MAX),
            });
        }
        self.last_login_ms = Some(now_ms);
        match self.state {
            ConnectionState::Disconnected => Ok(()),
            _ => Err(CallError::AlreadyLoggedIn),
        }
    }

    pub(crate) fn handle_call(
        &mut self,
        now_ms: u64,
        id: CallId,
        call: Call,
        out: &mut Vec<Output>,
    ) {
        if let Call::Invitation(call) = call {
            return self.handle_invitation_call(id, call, out);
        }
        let result = match check::is_checked_before_login(&call) {
            true => check::call(&call).and_then(|()| self.may_call()),
            false => self.may_call().and_then(|()| check::call(&call)),
        };
        if let Err(error) = result.and_then(|()| self.has_room_for(&call)) {
            out.push(Output::Answer {
                id,
                result: Err(error),
            });
            return;
        }
        let deadline_ms = now_ms + CALL_TIMEOUT_MS;
        self.timers.insert((deadline_ms, id));
        self.waiting_bytes += call.size_bytes();
        let origin = Origin::Application { id, deadline_ms };
        self.waiting.push_back(Request { call, origin });
    }

    pub(crate) fn may_call(&self) -> Result<(), CallError> {
        let is_in = matches!(
            self.state,
            ConnectionState::Connected | ConnectionState::Reconnecting
        );
        match is_in && self.logout.is_none() {
            true => Ok(()),
            false => Err(CallError::NotLoggedIn),
        }
    }

    fn has_room_for(&self, call: &Call) -> Result<(), CallError> {
        let bytes = self.waiting_bytes + call.size_bytes();
        let has_room =
            self.waiting.len() < CLIENT_QUEUE_CALLS_MAX && bytes <= CLIENT_QUEUE_BYTES_MAX;
        if has_room || fault!(WaitingCallsHaveNoBound) {
            return Ok(());
        }
        let text = format!(
            "not sent: {} calls of {} bytes wait for the link; at most {CLIENT_QUEUE_CALLS_MAX} calls of \
             {CLIENT_QUEUE_BYTES_MAX} bytes may",
            self.waiting.len(),
            self.waiting_bytes
        );
        Err(CallError::Unsent { text })
    }

    pub(crate) fn handle_logout(&mut self, now_ms: u64, id: CallId, out: &mut Vec<Output>) {
        match self.state {
            ConnectionState::Disconnected => {
                out.push(Output::Answer {
                    id,
                    result: Err(CallError::NotLoggedIn),
                });
            }
            ConnectionState::Connecting => {
                let login = self.login.take();
                self.end(ConnectionState::Disconnected, ConnectionReason::Logout, out);
                if let Some(login) = login {
                    let result = Err(CallError::LoginCanceled);
                    out.push(Output::Answer {
                        id: login.id,
                        result,
                    });
                }
                out.push(Output::Answer {
                    id,
                    result: Ok(Answer::Done),
                });
            }
            ConnectionState::Aborted | ConnectionState::Reconnecting => {
                self.end(ConnectionState::Disconnected, ConnectionReason::Logout, out);
                out.push(Output::Answer {
                    id,
                    result: Ok(Answer::Done),
                });
            }
            ConnectionState::Connected => match &mut self.logout {
                Some(logout) => logout.ids.push(id),
                None => {
                    let deadline_ms = now_ms + CALL_TIMEOUT_MS;
                    self.logout = Some(LogoutCall {
                        ids: vec![id],
                        deadline_ms,
                    });
                    // Behind what the application has called before.
                    self.waiting.push_back(Request {
                        call: Call::Logout,
                        origin: Origin::Own,
                    });
                }
            },
        }
    }

    /// A logout that the server cannot be told of is done without it.
    pub(crate) fn check_logout(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        let Some(logout) = &self.logout else { return };
        let is_down_for_long = self
            .quiet_until_ms()
            .is_some_and(|until_ms| until_ms <= now_ms);
        if logout.deadline_ms <= now_ms || is_down_for_long {
            self.end(ConnectionState::Disconnected, ConnectionReason::Logout, out);
        }
    }

    pub(crate) fn handle_renew_token(
        &mut self,
        now_ms: u64,
        id: CallId,
        token: String,
        out: &mut Vec<Output>,
    ) {
        if self.link.is_up() && self.state == ConnectionState::Connected {
            self.handle_call(now_ms, id, Call::RenewToken { token }, out);
            return;
        }
        if let Err(error) = check::token(&token).and_then(|()| self.may_call()) {
            out.push(Output::Answer {
                id,
                result: Err(error),
            });
            return;
        }
        if let Some(account) = &mut self.account {
            account.token = token;
        }
        let earlier = self.renewal.replace(Renewal {
            waiting: Some((id, now_ms + CALL_TIMEOUT_MS)),
        });
        if let Some((earlier, _)) = earlier.and_then(|renewal| renewal.waiting) {
            let text = "not sent: a newer token was given before this one was tried".to_owned();
            let result = Err(CallError::Unsent { text });
            out.push(Output::Answer {
                id: earlier,
                result,
            });
        }
        // An attempt under way states the old token; a wait has lost its reason.
        if self.link != Link::Down || self.retry_at_ms.is_some() {
            self.drop_link(out);
            self.retry_at_ms = Some(now_ms);
        }
    }

    /// Gives up calls whose time is over. Those written keep their place in the session.
    pub(crate) fn check_calls(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        while let Some((_, id)) = self
            .timers
            .first()
            .copied()
            .filter(|(at_ms, _)| *at_ms <= now_ms)
        {
            self.timers.pop_first();
            let fate = self.abandon(id);
            if fault!(CallNeverTimesOut) {
                continue;
            }
            let what = match self.link.is_up() {
                true => format!("the server has not answered within {CALL_TIMEOUT_MS} ms"),
                false => format!("the link was not back within {CALL_TIMEOUT_MS} ms"),
            };
            let result = Err(match fate {
                Fate::Sent => {
                    let text = format!("{what}; the call may have been done all the same");
                    CallError::outcome(Outcome::TimedOut, text)
                }
                Fate::Kept => CallError::Unsent {
                    text: format!("not sent: {what}; it is done when the link is back"),
                },
                Fate::Dropped => CallError::Unsent {
                    text: format!("not sent: {what}"),
                },
            });
            out.push(Output::Answer { id, result });
        }
        if let Some((id, deadline_ms)) = self.renewal.and_then(|renewal| renewal.waiting)
            && deadline_ms <= now_ms
        {
            // The token is still stated in the next attempt.
            self.renewal = Some(Renewal { waiting: None });
            let text = format!(
                "not sent: the link was not back within {CALL_TIMEOUT_MS} ms; the token is kept for the next attempt"
            );
            let result = Err(CallError::Unsent { text });
            out.push(Output::Answer { id, result });
        }
        if self.link.is_up() {
            let (due, later) = std::mem::take(&mut self.later)
                .into_iter()
                .partition(|(at_ms, _)| *at_ms <= now_ms);
            self.later = later;
            let due: Vec<(u64, Request)> = due;
            self.first
                .extend(due.into_iter().map(|(_, request)| request));
        }
    }

    fn abandon(&mut self, call: CallId) -> Fate {
        if self
            .session
            .as_mut()
            .is_some_and(|session| session.expire(call))
        {
            return Fate::Sent;
        }
        let is_it = |request: &Request| matches!(request.origin, Origin::Application { id, .. } if id == call);
        self.first.retain(|request| !is_it(request));
        let Some(index) = self.waiting.iter().position(is_it) else {
            return Fate::Dropped;
        };
        if !self.link.is_up() && self.waiting[index].call.is_own_standing() {
            self.keep(index);
            return Fate::Kept;
        }
        if let Some(request) = self.waiting.remove(index) {
            self.waiting_bytes -= request.call.size_bytes();
        }
        Fate::Dropped
    }

    /// Keeps a call that nobody waits for any more, for the time when the link is back. A write of all attributes
    /// leaves nothing of earlier ones.
    fn keep(&mut self, index: usize) {
        self.waiting[index].origin = Origin::Expired;
        if !self.waiting[index].call.replaces_attributes() {
            return;
        }
        let mut at = 0;
        self.waiting.retain(|request| {
            let is_earlier = at < index;
            at += 1;
            let is_write = matches!(request.call, Call::WriteUserAttributes { .. });
            let is_over = is_earlier && is_write && request.origin == Origin::Expired;
            if is_over {
                self.waiting_bytes -= request.call.size_bytes();
            }
            !is_over
        });
    }

    /// Answers a call of the application that was given a deadline.
    pub(crate) fn answer(
        &mut self,
        origin: Origin,
        result: Result<Answer, CallError>,
        out: &mut Vec<Output>,
    ) {
        if let Origin::Application { id, deadline_ms } = origin {
            self.timers.remove(&(deadline_ms, id));
            out.push(Output::Answer { id, result });
        }
    }

    /// The login is over: whoever still waits is told.
    pub(crate) fn refuse_open_calls(&mut self, out: &mut Vec<Output>) {
        self.waiting.clear();
        self.waiting_bytes = 0;
        let renewal = self.renewal.take().and_then(|renewal| renewal.waiting);
        let open = std::mem::take(&mut self.timers)
            .into_iter()
            .map(|(_, id)| id);
        for id in open.chain(renewal.map(|(id, _)| id)) {
            out.push(Output::Answer {
                id,
                result: Err(CallError::NotLoggedIn),
            });
        }
    }

    /// Writes waiting requests while the server takes them: at most 256 may be unanswered.
    pub(crate) fn pump(&mut self) {
        if !self.link.is_up() {
            return;
        }
        let Some(session) = &mut self.session else {
            return;
        };
        if self.is_restoring {
            let restores = |request: &Request| request.origin == Origin::Restore;
            self.is_restoring = session.is_restoring()
                || self.first.iter().any(restores)
                || self.later.iter().any(|(_, request)| restores(request));
        }
        while session.has_room() {
            let request = match self.first.pop_front() {
                Some(request) => request,
                None if self.is_restoring => break,
                None => {
                    let Some(request) = self.waiting.pop_front() else {
                        break;
                    };
                    self.waiting_bytes -= request.call.size_bytes();
                    request
                }
            };
            self.unwritten.push(session.send(request));
        }
    }
}
