//! What the application asks for: logins, logouts, calls, new tokens.

use tidings_fault::fault;
use tidings_wire::codes::Outcome;
use tidings_wire::limits::{CALL_TIMEOUT_MS, LOGIN_SPACING_MS, LOGIN_TIMEOUT_MS};

use crate::answer::Answer;
use crate::call::Call;
use crate::calls::Fate;
use crate::check;
use crate::connecting::attempt;
use crate::core::{Core, PendingLogin, PendingLogout};
use crate::endings;
use crate::error::CallError;
use crate::identity::Account;
use crate::invitation::InvitationCall;
use crate::states::{ConnectionState, Trigger};
use crate::types::CallId;

/// The application logs in.
pub(crate) fn handle_login(core: &mut Core, id: CallId, account: Account) {
    if let Err(error) = may_log_in(core, &account) {
        core.out.fail(id, error);
        return;
    }
    assert!(
        core.link.is_down(),
        "a login beside a connection: {:?}",
        core.link
    );
    core.seen.serve(&account.app_id, &account.user_id);
    core.identity.begin_login(account);
    core.login = Some(PendingLogin {
        id,
        deadline_ms: core.now_ms + LOGIN_TIMEOUT_MS,
        progress: "no connection could be opened; check the endpoint and the network",
    });
    if fault!(ConnectedWithoutConnecting) {
        core.advance_unseen(Trigger::Login);
    }
    core.advance(Trigger::Login);
    attempt(core);
}

/// The order decides which code the application sees. Source: documented, rtm 2.3.
fn may_log_in(core: &mut Core, account: &Account) -> Result<(), CallError> {
    check::login(&account.app_id, &account.user_id, &account.token)?;
    if let Err(since_ms) = core.identity.space_logins(core.now_ms) {
        return Err(CallError::Refused {
            outcome: Outcome::TooOften as u32,
            text: format!("the last login was {since_ms} ms ago; wait {LOGIN_SPACING_MS} ms"),
            retry_after_ms: u32::try_from(LOGIN_SPACING_MS - since_ms).unwrap_or(u32::MAX),
        });
    }
    if core.state() == ConnectionState::Disconnected {
        Ok(())
    } else {
        Err(CallError::AlreadyLoggedIn)
    }
}

/// The application calls.
pub(crate) fn handle_call(core: &mut Core, id: CallId, call: Call) {
    if let Call::Invitation(call) = call {
        handle_invitation_call(core, id, call);
        return;
    }
    let is_possible = if check::is_checked_before_login(&call) {
        check::call(&call).and_then(|()| core.may_call())
    } else {
        core.may_call().and_then(|()| check::call(&call))
    };
    if let (Ok(()), Call::Leave { channel }) = (&is_possible, &call)
        && overtake_joins(core, channel)
    {
        core.out.done(id);
        return;
    }
    let result = is_possible.and_then(|()| core.calls.add(core.now_ms, id, call));
    if let Err(error) = result {
        core.out.fail(id, error);
    }
}

/// A leave ends the joins of its channel that are under way (code 201). True if nothing
/// else has to be done, because the server has not heard of the channel.
fn overtake_joins(core: &mut Core, channel: &str) -> bool {
    let overtaken = core.calls.overtake_joins(channel);
    for (id, was_sent) in &overtaken {
        let was_sent = *was_sent;
        core.out.fail(*id, CallError::Left { was_sent });
    }
    let is_known = core.replica.has_joined(channel) || core.calls.is_joining(channel);
    !overtaken.is_empty() && !is_known
}

/// The application does something with an invitation: answered at once.
fn handle_invitation_call(core: &mut Core, id: CallId, call: InvitationCall) {
    let (invitations, calls) = (&mut core.invitations, &mut core.calls);
    let done = |event| (Answer::Done, event);
    let result = match call {
        InvitationCall::Invite {
            callee_id,
            content,
            channel,
        } => {
            let is_possible =
                check::invitation(&callee_id, &content, &channel).and_then(|()| core.may_call());
            is_possible.map(|()| {
                let answer = core
                    .invitations
                    .invite(callee_id, content, channel, &mut core.calls);
                (answer, None)
            })
        }
        InvitationCall::Cancel { number } => invitations.cancel(number, calls).map(done),
        InvitationCall::Accept { id, response } => {
            let result = invitations.accept(id, response, calls);
            result.map(|()| done(None))
        }
        InvitationCall::Refuse { id, response } => {
            invitations.refuse(id, response, calls).map(done)
        }
    };
    match result {
        Ok((answer, event)) => {
            core.out.settle(id, Ok(answer));
            core.out.emit_all(event);
        }
        Err(error) => core.out.fail(id, error),
    }
}

/// The application logs out.
pub(crate) fn handle_logout(core: &mut Core, id: CallId) {
    match core.state() {
        ConnectionState::Disconnected => core.out.fail(id, CallError::NotLoggedIn),
        ConnectionState::Connecting => {
            endings::fail_login(core, Trigger::Logout, CallError::LoginCanceled);
            core.out.done(id);
        }
        ConnectionState::Aborted | ConnectionState::Reconnecting => {
            endings::end_login(core, Trigger::Logout);
            core.out.done(id);
        }
        ConnectionState::Connected => {
            if let Some(logout) = &mut core.logout {
                logout.ids.push(id);
                return;
            }
            core.logout = Some(PendingLogout {
                ids: vec![id],
                deadline_ms: core.now_ms + CALL_TIMEOUT_MS,
            });
            assert!(core.login.is_none(), "a login is under way while connected");
            // Behind what the application has called before.
            core.calls.add_logout();
        }
    }
}

/// A logout that the server cannot be told of is done without it.
pub(crate) fn check_logout(core: &mut Core) {
    let Some(logout) = &core.logout else {
        // Nobody logs out.
        return;
    };
    let is_down_for_long = core
        .quiet_until_ms()
        .is_some_and(|until_ms| until_ms <= core.now_ms);
    if logout.deadline_ms <= core.now_ms || is_down_for_long {
        endings::end_login(core, Trigger::Logout);
    }
}

/// The application has a new token. Without a link it serves at the next attempt.
pub(crate) fn handle_renew_token(core: &mut Core, id: CallId, token: String) {
    if core.link.is_live() && core.state() == ConnectionState::Connected {
        handle_call(core, id, Call::RenewToken { token });
        return;
    }
    if let Err(error) = check::token(&token).and_then(|()| core.may_call()) {
        core.out.fail(id, error);
        return;
    }
    if let Some(earlier) = core.identity.hand(core.now_ms, id, token) {
        let text = "not sent: a newer token was given before this one was tried".to_owned();
        core.out.fail(earlier, CallError::Unsent { text });
    }
    // An attempt under way states the old token; a wait has lost its reason.
    if !core.link.is_down() {
        assert!(!core.link.is_live(), "a live link is given up for a token");
        core.hang_up();
        core.link.wait(core.now_ms);
    }
}

/// Gives up calls whose time is up. Those written keep their place in the session.
pub(crate) fn check_calls(core: &mut Core) {
    let is_live = core.link.is_live();
    while let Some((id, fate)) = core.calls.expire(core.now_ms, is_live) {
        if fault!(CallNeverTimesOut) {
            continue;
        }
        core.out.fail(id, timed_out(fate, is_live));
    }
    if let Some(id) = core.identity.expire_handed(core.now_ms) {
        let text = format!(
            "not sent: the link was not back within {CALL_TIMEOUT_MS} ms; the token is kept for the \
             next attempt"
        );
        core.out.fail(id, CallError::Unsent { text });
    }
}

/// What an application is told of a call whose time is up.
fn timed_out(fate: Fate, is_live: bool) -> CallError {
    let what = if is_live {
        format!("the server has not answered within {CALL_TIMEOUT_MS} ms")
    } else {
        format!("the link was not back within {CALL_TIMEOUT_MS} ms")
    };
    match fate {
        Fate::Sent => {
            let text = format!("{what}; the call may have been done anyway");
            CallError::outcome(Outcome::TimedOut, text)
        }
        Fate::Kept => CallError::Unsent {
            text: format!("not sent: {what}; it is done when the link is back"),
        },
        Fate::Dropped => CallError::Unsent {
            text: format!("not sent: {what}"),
        },
    }
}
