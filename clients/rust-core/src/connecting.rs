//! The way to a connection, and what its end means.

use tidings_wire::codes::Outcome;
use tidings_wire::limits::LOGIN_TIMEOUT_MS;
use tidings_wire::proto::{Ping, client_message};

use crate::core::Core;
use crate::endings::{self, Login};
use crate::error::CallError;
use crate::event::{ClientEvent, GapCause};
use crate::states::{
    BACKOFF, CloseRule, ConnectionState, Refusal, Retry, Trigger, close_rule, outcome_of_close,
    refusal,
};
use crate::types::{Backlog, ConnectionId, Output, RivalWord};

/// Begins an attempt.
pub(crate) fn attempt(core: &mut Core) {
    assert!(
        core.identity.account().is_some(),
        "nobody wants a connection"
    );
    let connection = core.link.attempt(core.now_ms, core.login.is_some());
    core.out.push(Output::Open { connection });
}

/// A connection is open.
pub(crate) fn handle_opened(core: &mut Core, connection: ConnectionId) {
    if core.link.opened(connection) {
        if let Some(login) = &mut core.login {
            login.progress = "the server does not answer the login";
        }
        greet(core);
    }
}

/// The connection is open, or a refused resume allows a login on it.
fn greet(core: &mut Core) {
    assert!(core.link.is_greeting(), "a greeting on {:?}", core.link);
    let invitations = core.invitations.report();
    let greeting = core
        .identity
        .greeting(core.confirmation.sseq(), invitations);
    core.out.message(greeting);
}

/// A connection is closed, or could not be opened.
pub(crate) fn handle_closed(core: &mut Core, connection: ConnectionId, code: Option<u16>) {
    if core.link.connection() != Some(connection) {
        // It was given up before.
        return;
    }
    let hint_ms = core.link.take_hint();
    core.link.lose(core.now_ms, core.now_ms);
    match close_rule(code) {
        CloseRule::Resume(BACKOFF) if hint_ms > 0 => {
            retry_link(core, Retry::Hint { ms: hint_ms });
        }
        CloseRule::Resume(retry) => retry_link(core, retry),
        CloseRule::NewSession(retry) => begin_anew(core, retry),
        CloseRule::End(by) if core.login.is_some() => {
            let code = code.unwrap_or_default();
            let text = format!("the server closed the login with code {code}");
            let error = CallError::outcome(outcome_of_close(by), text);
            endings::fail_login(core, Trigger::Refused, error);
        }
        // A refusal that came without its message while reconnecting: keep trying.
        CloseRule::End(Trigger::Refused) => retry_link(core, BACKOFF),
        CloseRule::End(by) => {
            if by == Trigger::TokenExpired {
                core.out.emit(ClientEvent::TokenExpired);
            }
            endings::end_login(core, by);
        }
    }
}

/// Plans the next attempt, unless a later login of the user has taken this one's place.
fn retry_link(core: &mut Core, retry: Retry) {
    if core.is_overtaken {
        endings::give_way(core);
    } else {
        core.link.retry(core.now_ms, retry);
    }
}

/// A later login of the same user in this program is on its way, has come to nothing or succeeded.
pub(crate) fn handle_rival(core: &mut Core, word: RivalWord) {
    if core.identity.account().is_none() || core.state() == ConnectionState::Aborted {
        // The word crossed with the end of this login.
        return;
    }
    let is_live = core.link.is_live();
    match word {
        RivalWord::Hold => {
            if core.link.connection().is_some() && !is_live {
                core.hang_up();
                core.link.wait(core.now_ms);
            }
            core.link.hold();
        }
        RivalWord::Go => core.link.release(core.now_ms),
        RivalWord::Over if is_live => core.is_overtaken = true,
        RivalWord::Over => endings::give_way(core),
    }
}

/// The session cannot go on because one side misunderstands the other.
fn begin_anew(core: &mut Core, retry: Retry) {
    let may_retry = core.link.may_begin_anew();
    let goes_on = endings::end_session(core, GapCause::NodeLost) == Login::GoesOn;
    if goes_on && (may_retry || core.is_overtaken) {
        retry_link(core, retry);
    }
    // Otherwise it stays interrupted until its application logs out (contract 4.6): a client that
    // the server does not understand must not try for ever.
}

/// The connection has not answered, or what came on it was not our protocol.
pub(crate) fn lose(core: &mut Core, since_ms: u64) {
    assert!(core.link.connection().is_some(), "no connection is lost");
    core.hang_up();
    core.link.lose(core.now_ms, since_ms);
    retry_link(core, BACKOFF);
}

/// Gives up a connection that has not answered in time.
pub(crate) fn check_link(core: &mut Core) {
    if let Some(since_ms) = core.link.silent_since_ms(core.now_ms) {
        lose(core, since_ms);
    }
}

/// Shows an interruption that lasts.
pub(crate) fn check_quiet(core: &mut Core) {
    let is_visible = |until_ms| until_ms <= core.now_ms;
    if core.quiet_until_ms().is_some_and(is_visible) {
        core.advance(Trigger::Interrupted);
        assert!(
            core.quiet_until_ms().is_none(),
            "an interruption is not shown"
        );
    }
}

/// Tries again when it is time, unless the application is behind with its events.
pub(crate) fn check_retry(core: &mut Core) {
    let is_due = core
        .link
        .retry_at_ms()
        .is_some_and(|at_ms| at_ms <= core.now_ms);
    if is_due && core.backlog == Backlog::Clear {
        attempt(core);
    }
}

/// Gives up a login that has taken too long.
pub(crate) fn check_login(core: &mut Core) {
    if let Some(login) = core.login.filter(|login| login.deadline_ms <= core.now_ms) {
        let text = format!("no login within {LOGIN_TIMEOUT_MS} ms: {}", login.progress);
        let error = CallError::outcome(Outcome::TimedOut, text);
        endings::fail_login(core, Trigger::TimedOut, error);
    }
}

/// The device has woken up: a wait is cut short, a link is checked with a ping.
pub(crate) fn handle_wake(core: &mut Core) {
    if core.link.wake(core.now_ms) {
        core.out.message(client_message::Kind::Ping(Ping {}));
    }
}

/// A login or a resume is refused.
pub(crate) fn handle_refused(core: &mut Core, error: CallError) {
    assert!(core.link.is_greeting(), "a refusal on {:?}", core.link);
    let kind = refusal(&error);
    if core.identity.has_session() && kind == Refusal::SessionOver {
        let cause = cause_of(core, &error);
        if endings::end_session(core, cause) == Login::GoesOn {
            // The same connection serves for the login.
            greet(core);
        }
        return;
    }
    // The application is told that it logs in too often; what the server cannot do just now is
    // tried again.
    let is_told = core.login.is_some() && error.is(Outcome::TooOften);
    if error.is_retryable() && !is_told {
        if let Some(login) = &mut core.login {
            login.progress = "the server takes no logins for now";
        }
        let retry = match error.retry_after_ms() {
            0 => BACKOFF,
            ms => Retry::Hint { ms },
        };
        give_up(core, retry);
        return;
    }
    if core.login.is_some() {
        endings::fail_login(core, Trigger::Refused, error);
        return;
    }
    match kind {
        Refusal::TokenExpired => refuse_token(core, error),
        Refusal::RemoteLogin => endings::end_login(core, Trigger::RemoteLogin),
        Refusal::Banned => endings::end_login(core, Trigger::Banned),
        // The session is not let in: the client stays interrupted, as without a network.
        Refusal::SessionOver | Refusal::Other => give_up(core, BACKOFF),
    }
}

/// Leaves a connection that was refused, and plans the next.
fn give_up(core: &mut Core, retry: Retry) {
    core.hang_up();
    core.link.stop();
    retry_link(core, retry);
}

/// Why a session is lost that the server does not resume.
fn cause_of(core: &Core, error: &CallError) -> GapCause {
    let window_ms = core.identity.resume_window_ms();
    let is_over = window_ms.is_some_and(|ms| core.link.is_window_over(core.now_ms, ms));
    if error.is(Outcome::WindowOver) || is_over {
        GapCause::ResumeWindow
    } else {
        GapCause::NodeLost
    }
}

/// The token of a reconnect has expired: the application is told once, attempts go on.
fn refuse_token(core: &mut Core, error: CallError) {
    if let Some(id) = core.identity.judged() {
        core.out.fail(id, error);
    }
    if core.identity.tell_expiry() {
        core.out.emit(ClientEvent::TokenExpired);
    }
    give_up(core, BACKOFF);
}
