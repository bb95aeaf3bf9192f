//! How logins, logouts and sessions end.

use std::collections::BTreeSet;

use tidings_fault::fault;
use tidings_wire::codes::Outcome;

use crate::answer::Answer;
use crate::call::Call;
use crate::calls::{PendingCall, Purpose};
use crate::core::Core;
use crate::error::CallError;
use crate::event::GapCause;
use crate::invitation::LocalInvitationFailure;
use crate::states::{ConnectionState, Trigger};

/// Whether the login goes on after its session is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Login {
    GoesOn,
    Ended,
}

/// Ends the login: nothing of it is left but the memory of received peer messages.
pub(crate) fn end_login(core: &mut Core, by: Trigger) {
    core.hang_up();
    core.link.reset();
    core.is_overtaken = false;
    core.confirmation.begin_session();
    core.replica.clear();
    core.restore.stop();
    core.advance(by);
    let failure = if by == Trigger::RemoteLogin {
        LocalInvitationFailure::Unknown
    } else {
        LocalInvitationFailure::NotLoggedIn
    };
    let events = core.invitations.clear(failure);
    core.out.emit_all(events);
    let waiting = core.calls.clear();
    for id in waiting.into_iter().chain(core.identity.judged()) {
        core.out.fail(id, CallError::NotLoggedIn);
    }
    let is_aborted = core.state() == ConnectionState::Aborted;
    assert!(
        is_aborted || core.state() == ConnectionState::Disconnected,
        "a login ends in {}, by {by:?}",
        core.state()
    );
    core.identity.end_login(is_aborted);
    assert!(!core.identity.has_session(), "a session outlives its login");
    assert!(
        core.login.is_none(),
        "a login under way has ended unanswered"
    );
    if let Some(logout) = core.logout.take() {
        for id in logout.ids {
            core.out.done(id);
        }
    }
}

/// Ends a login that has not succeeded.
pub(crate) fn fail_login(core: &mut Core, by: Trigger, error: CallError) {
    let login = core.login.take();
    let login = login.expect("only a login under way can fail");
    end_login(core, by);
    assert_eq!(
        core.state(),
        ConnectionState::Disconnected,
        "a failed login leads elsewhere"
    );
    core.out.fail(login.id, error);
}

/// A later login of the user in this program has succeeded: this one must not throw it out.
pub(crate) fn give_way(core: &mut Core) {
    if core.login.is_some() {
        let text = "a later login of the user in this program has succeeded".to_owned();
        let error = CallError::outcome(Outcome::RemoteLogin, text);
        fail_login(core, Trigger::Refused, error);
    } else if core.logout.is_some() {
        end_login(core, Trigger::Logout);
    } else {
        end_login(core, Trigger::RemoteLogin);
    }
}

/// The session cannot be resumed: what is open is prepared for the next one.
///
/// A message that was written to any connection may have been executed, so its call ends with
/// `timed_out`; what may be repeated waits for the new session.
pub(crate) fn end_session(core: &mut Core, cause: GapCause) -> Login {
    let Some(session) = core.identity.end_session(cause) else {
        // The attempt was one to log in.
        return Login::GoesOn;
    };
    core.confirmation.begin_session();
    if core.logout.is_some() {
        // What it was to end has ended.
        end_login(core, Trigger::Logout);
        return Login::Ended;
    }
    core.link.lost_session(core.now_ms);
    let events = core.invitations.session_over(&session, &mut core.calls);
    core.out.emit_all(events);
    core.restore.drop_later();
    core.replica.session_over();
    let mut again = vec![];
    let open = core.calls.take_open();
    let overtaken = overtaken_channels(core, &open);
    for held in open {
        if keeps(core, &held, &overtaken) {
            again.push(held);
        }
    }
    core.calls.requeue(again);
    assert_eq!(
        core.calls.open().count(),
        0,
        "calls are open without a session"
    );
    assert!(!core.identity.has_session(), "a lost session is kept");
    Login::GoesOn
}

/// The channels whose joins were overtaken by a leave. Such a join is not made again, so its leave
/// is done too: a new session is in no channel. Answers the leaves that wait to be sent.
fn overtaken_channels(core: &mut Core, open: &[PendingCall]) -> BTreeSet<String> {
    let mut channels = BTreeSet::new();
    for held in open {
        if let (Call::Join { channel }, Purpose::Overtaken) = (&held.call, held.purpose) {
            channels.insert(channel.clone());
        }
    }
    for channel in &channels {
        for leave in core.calls.take_leaves(channel) {
            core.answer(leave.purpose, Ok(Answer::Done));
        }
    }
    channels
}

/// Whether an unanswered call of an ended session is made again; if not, it is answered.
fn keeps(core: &mut Core, held: &PendingCall, overtaken: &BTreeSet<String>) -> bool {
    if !matches!(held.purpose, Purpose::Application { .. }) {
        // The machine's own calls are made again from what they restore, and nobody waits for a
        // call whose time was up.
        return false;
    }
    if let Call::Leave { channel } = &held.call
        && (core.replica.left(channel) || overtaken.contains(channel))
    {
        // The membership has ended with the session.
        core.answer(held.purpose, Ok(Answer::Done));
        return false;
    }
    let mut is_repeatable = held.call.is_repeatable();
    if fault!(UnansweredIsSentAgain) {
        is_repeatable = true;
    }
    if !is_repeatable {
        let text = "the session was lost before the server's answer; the message may have \
                    been delivered";
        let error = CallError::outcome(Outcome::TimedOut, text.to_owned());
        core.answer(held.purpose, Err(error));
    }
    is_repeatable
}
