//! What a reply changes in the client's own picture, and what its caller is told.

use tidings_fault::fault;
use tidings_wire::codes::Outcome;
use tidings_wire::proto;

use crate::answer::Answer;
use crate::call::Call;
use crate::calls::{PendingCall, Purpose};
use crate::core::Core;
use crate::endings;
use crate::error::CallError;
use crate::event::ClientEvent;
use crate::invitation::InvitationWord;
use crate::states::Trigger;

/// Takes the reply to a call, of the application or of the machine.
pub(crate) fn handle_reply(core: &mut Core, reply: proto::Reply) {
    let cseq = reply.cseq;
    let Some(held) = core.calls.answered(cseq) else {
        // The server has answered it before, or makes it up: either way nobody waits.
        return;
    };
    assert!(core.link.is_live(), "a reply before the greeting's answer");
    let result = Answer::from_proto(reply.result);
    match held.purpose {
        Purpose::Application { .. } => {
            let result = learn(core, cseq, &held, result);
            core.answer(held.purpose, result);
        }
        Purpose::Kept => {
            // Nobody waits for it, but what it has changed counts.
            let _ = learn(core, cseq, &held, result);
        }
        // The leave behind it says how it stands.
        Purpose::Overtaken => {}
        Purpose::Restore | Purpose::Own => handle_own_reply(core, held, result),
    }
}

/// Takes in what a reply says about the user's standing. Returns what the application is told.
fn learn(
    core: &mut Core,
    cseq: u64,
    held: &PendingCall,
    result: Result<Answer, CallError>,
) -> Result<Answer, CallError> {
    let is_heard = held.purpose != Purpose::Kept;
    let replica = &mut core.replica;
    match (&held.call, &result) {
        (Call::Join { channel }, Ok(_)) => replica.joined(channel, is_heard),
        (Call::Join { channel }, Err(error)) if error.is(Outcome::AlreadyJoined) => {
            // Joined by a call that, as the application was told, had timed out. The refusal of a
            // second join, though, may come before the consent to the first.
            let is_claim = is_heard && !is_joining(core, channel, cseq);
            if core.replica.claim(channel, is_claim) {
                return Ok(Answer::Done);
            }
        }
        (Call::Leave { channel }, Ok(_)) => {
            replica.left(channel);
        }
        (Call::Leave { channel }, Err(error)) if error.is(Outcome::NotInChannel) => {
            replica.left(channel);
        }
        (Call::GetMembers { channel }, Ok(Answer::Users(users))) if is_heard => {
            replica.listed_for_application(channel, users, core.identity.user_id());
        }
        (Call::WriteUserAttributes { how, attributes }, Ok(_)) => {
            replica.wrote_attributes(cseq, *how, attributes);
        }
        (Call::SubscribePresence { user_ids }, Ok(_)) => replica.watched(user_ids),
        (Call::UnsubscribePresence { user_ids }, Ok(_)) => replica.unwatched(user_ids),
        (Call::RenewToken { token }, Ok(_)) => core.identity.set_token(token.clone()),
        // Other calls do not concern the user's standing; a failed one has not changed it.
        _ => {}
    }
    result
}

/// Whether an earlier join of the channel, for which the application waits, has no reply yet.
fn is_joining(core: &Core, channel: &str, cseq: u64) -> bool {
    let mut earlier = core.calls.open().take_while(|(sent, _)| *sent < cseq);
    earlier.any(|(_, held)| {
        matches!(&held.call, Call::Join { channel: joined } if joined == channel)
            && matches!(held.purpose, Purpose::Application { .. })
    })
}

/// Takes the reply to a call of the machine itself.
fn handle_own_reply(core: &mut Core, held: PendingCall, result: Result<Answer, CallError>) {
    match &held.call {
        Call::Logout => endings::end_login(core, Trigger::Logout),
        Call::InvitationWord(_) => handle_answered_word(core, held, result),
        _ => match result {
            Ok(answer) => handle_own_success(core, &held.call, answer),
            Err(error) => handle_own_failure(core, held, error),
        },
    }
}

fn handle_answered_word(core: &mut Core, held: PendingCall, result: Result<Answer, CallError>) {
    let Call::InvitationWord(word) = &held.call else {
        unreachable!("{:?} is no word about an invitation", held.call);
    };
    match (word, result) {
        (_, Ok(_)) => core.invitations.answered(word),
        (InvitationWord::Invite(invite), Err(_)) => {
            let event = core.invitations.refused(invite.number);
            core.out.emit_all(event);
        }
        (_, Err(error)) => repeat_later(core, held, &error),
    }
}

fn handle_own_success(core: &mut Core, call: &Call, answer: Answer) {
    match (call, answer) {
        (Call::Join { channel }, _) => fetch_members(core, channel),
        (Call::GetMembers { channel }, Answer::Users(users)) => {
            if fault!(ArrivalsInAHoleAreNotTold) {
                return;
            }
            let own_id = core.identity.user_id();
            let joined = core
                .replica
                .listed_after_gap(core.now_ms, channel, &users, own_id);
            for user_id in joined {
                let channel = channel.clone();
                core.out
                    .emit(ClientEvent::MemberJoined { channel, user_id });
            }
        }
        // Attributes and watched users are restored as the client knows them.
        _ => {}
    }
}

fn handle_own_failure(core: &mut Core, held: PendingCall, error: CallError) {
    if error.is_retryable() {
        repeat_later(core, held, &error);
        return;
    }
    if let Call::Join { channel } = held.call {
        if error.is(Outcome::AlreadyJoined) {
            fetch_members(core, &channel);
        } else {
            core.replica.left(&channel);
            core.out.emit(ClientEvent::ChannelLost { channel, error });
        }
    }
}

/// A call that may succeed later is made again; of any other, the failure is final.
fn repeat_later(core: &mut Core, held: PendingCall, error: &CallError) {
    if error.is_retryable() {
        core.restore
            .again(core.now_ms, error.retry_after_ms(), held);
    }
}

/// A channel has been joined again: what was missed of its members is told by a list.
fn fetch_members(core: &mut Core, channel: &str) {
    if fault!(MembersAreNotAskedAgain) {
        return;
    }
    assert!(core.link.is_live(), "members are asked for without a link");
    if core.replica.wants_members(channel) {
        let channel = channel.to_owned();
        core.calls
            .add_own(Purpose::Own, Call::GetMembers { channel });
    }
}
