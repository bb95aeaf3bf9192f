//! What the server sends.

use bytes::Bytes;
use tidings_fault::fault;
use tidings_wire::frame::decode_server;
use tidings_wire::proto::{self, client_message, server_message::Kind};

use crate::answer::presence;
use crate::call::{Attribute, Call};
use crate::calls::Purpose;
use crate::connecting::{handle_refused, lose};
use crate::core::Core;
use crate::encode;
use crate::error::CallError;
use crate::event::{ClientEvent, GapSource, gap_from_proto};
use crate::members::Told;
use crate::message::Message;
use crate::replies::handle_reply;
use crate::states::Trigger;
use crate::types::ConnectionId;
use crate::unknown;

/// A frame has arrived.
pub(crate) fn handle_frame(core: &mut Core, connection: ConnectionId, payload: &Bytes) {
    if core.link.connection() != Some(connection) {
        // It was given up before.
        return;
    }
    core.link.heard(core.now_ms);
    let Ok(frame) = decode_server(payload) else {
        // Not our protocol, or damaged on the way: what follows cannot be counted.
        lose(core, core.now_ms);
        return;
    };
    let is_known = frame.messages.iter().all(|message| message.kind.is_some());
    let numbered = if is_known {
        vec![]
    } else {
        unknown::numbered(payload)
    };
    let share = payload.len() / frame.messages.len().max(1);
    for (index, message) in frame.messages.into_iter().enumerate() {
        if core.link.connection() != Some(connection) {
            // A message has ended the link; what stands behind it is not for this session.
            return;
        }
        match message.kind {
            Some(kind) => handle_message(core, kind, share),
            None if numbered.get(index) == Some(&true) => count(core, share),
            // A kind of a later version, without a number: nothing depends on it.
            None => {}
        }
    }
}

/// Counts a numbered message of this size in bytes. Before the greeting's answer no message belongs
/// to our session.
fn count(core: &mut Core, bytes: usize) {
    if core.link.is_live() {
        core.confirmation.count(core.now_ms, bytes);
    }
}

fn handle_message(core: &mut Core, kind: Kind, bytes: usize) {
    let is_greeting = core.link.is_greeting();
    match kind {
        Kind::Welcome(welcome) if is_greeting && !core.identity.has_session() => {
            handle_welcome(core, welcome);
        }
        Kind::Resumed(resumed) if is_greeting && core.identity.has_session() => {
            handle_resumed(core, resumed);
        }
        // An answer to what was not asked: it is not believed, and the attempt ends in time.
        Kind::Welcome(_) | Kind::Resumed(_) => {}
        Kind::Refused(refused) => {
            let error = CallError::from_proto(refused.error.unwrap_or_default());
            if is_greeting {
                handle_refused(core, error);
            } else {
                core.link.note_hint(error.retry_after_ms());
            }
        }
        Kind::Ping(_) => {
            let pong = client_message::Kind::Pong(proto::Pong {});
            core.out.message(pong);
        }
        // It has shown that the link is alive by arriving.
        Kind::Pong(_) => {}
        // Nothing else is served before the greeting's answer.
        _ if !core.link.is_live() => {}
        Kind::Skip(skip) => {
            for gap in skip.gaps {
                handle_gap(core, gap);
            }
            core.confirmation.skip(core.now_ms, skip.count);
        }
        numbered => {
            count(core, bytes);
            handle_numbered(core, numbered);
        }
    }
}

// ------------------------------------------------------------ answers to the greeting

/// A login was accepted.
fn handle_welcome(core: &mut Core, welcome: proto::Welcome) {
    core.link.set_heartbeat(u64::from(welcome.heartbeat_ms));
    let cause = core.identity.welcomed(welcome);
    core.confirmation.begin_session();
    accept(core);
    assert!(core.login.is_none(), "an accepted login is under way");
    let Some(cause) = cause else {
        // The first session of a login: there is nothing to restore.
        return;
    };
    let mut grace_ms = core.identity.presence_grace_ms();
    if fault!(MembersGetNoTimeToReturn) {
        grace_ms = 0;
    }
    core.replica.begin_session(core.now_ms + grace_ms);
    for channel in core.replica.channels() {
        if fault!(LostSessionLeavesNoGap) {
            break;
        }
        core.out.emit(ClientEvent::Gap {
            source: GapSource::Channel(channel.clone()),
            cause,
            missed: None,
        });
    }
    core.restore.begin(&mut core.calls, &mut core.replica);
}

/// A resume was accepted.
fn handle_resumed(core: &mut Core, resumed: proto::Resumed) {
    core.identity.resumed(resumed.secret);
    core.confirmation.said();
    // What the server has not received is written again as it was.
    for (cseq, held) in core.calls.open() {
        if cseq > resumed.cseq {
            core.out.message(encode::request(cseq, &held.call));
        }
    }
    if resumed.was_gone {
        core.replica.was_out();
        // The attributes ended with the user's presence. Writes on their way count as done: they
        // come before this one.
        let open = core.calls.open().map(|(cseq, held)| (cseq, &held.call));
        if let Some(call) = core.replica.restore_attributes_after(open) {
            core.calls.add_own_first(Purpose::Own, call);
        }
    }
    for channel in core.replica.withdraw_verdicts() {
        core.calls
            .add_own(Purpose::Own, Call::GetMembers { channel });
    }
    accept(core);
}

/// The link is in service.
fn accept(core: &mut Core) {
    assert!(core.identity.has_session(), "no session is accepted");
    core.link.accept(core.now_ms);
    core.identity.accepted();
    core.advance(Trigger::Accepted);
    let login = core.login.take().map(|login| login.id);
    for id in core.identity.judged().into_iter().chain(login) {
        core.out.done(id);
    }
}

// ------------------------------------------------------------ numbered messages

fn handle_numbered(core: &mut Core, kind: Kind) {
    assert!(core.link.is_live(), "an event before the greeting's answer");
    match kind {
        Kind::Reply(reply) => handle_reply(core, reply),
        Kind::PeerMessage(message) => handle_peer_message(core, message),
        Kind::ChannelMessage(message) => core.out.emit(ClientEvent::ChannelMessage {
            channel: message.channel,
            from: message.from,
            message: Message::from_proto(message.message),
            server_ts_ms: message.server_ts,
        }),
        Kind::MemberJoined(proto::MemberJoined { channel, user_id }) => {
            if core.replica.member_joined(&channel, &user_id) == Told::News {
                core.out
                    .emit(ClientEvent::MemberJoined { channel, user_id });
            }
        }
        Kind::MemberLeft(left) => handle_member_left(core, left),
        Kind::MemberCount(proto::MemberCount { channel, count }) => {
            core.replica.member_count(&channel, count);
            core.out.emit(ClientEvent::MemberCount { channel, count });
        }
        Kind::ChannelAttributes(change) => {
            let attributes = change.attributes.into_iter();
            core.out.emit(ClientEvent::ChannelAttributes {
                channel: change.channel,
                attributes: attributes.map(Attribute::from_proto).collect(),
            });
        }
        Kind::PresenceChanged(change) => {
            let users = core.replica.presence_changed(presence(change.users));
            if !users.is_empty() {
                core.out.emit(ClientEvent::PresenceChanged { users });
            }
        }
        Kind::Gap(gap) => handle_gap(core, gap),
        Kind::TokenWillExpire(proto::TokenWillExpire { expires_ts }) => {
            core.out.emit(ClientEvent::TokenWillExpire {
                expires_ts_ms: expires_ts,
            });
        }
        Kind::InvitationReceived(_)
        | Kind::AcceptAsked(_)
        | Kind::LocalInvitationEnded(_)
        | Kind::IncomingInvitation(_)
        | Kind::RemoteInvitationEnded(_) => handle_invitation(core, kind),
        Kind::Welcome(_)
        | Kind::Resumed(_)
        | Kind::Refused(_)
        | Kind::Ping(_)
        | Kind::Pong(_)
        | Kind::Skip(_) => unreachable!("{kind:?} has no number"),
    }
}

fn handle_peer_message(core: &mut Core, message: proto::PeerMessage) {
    // Its sender waits for the confirmation, a repeat's too.
    core.confirmation.confirm_by(core.now_ms);
    let mut is_new = core.seen.admit(message.inbox, &message.id);
    if fault!(ClientTakesRepeats) {
        is_new = true;
    }
    if is_new {
        core.out.emit(ClientEvent::PeerMessage {
            from: message.from,
            message: Message::from_proto(message.message),
            server_ts_ms: message.server_ts,
            is_offline: message.inbox > 0,
        });
    }
}

fn handle_member_left(core: &mut Core, left: proto::MemberLeft) {
    let proto::MemberLeft { channel, user_id } = left;
    if user_id == core.identity.user_id() {
        // The user's token no longer permits the channel: a later session does not join it again.
        core.replica.left(&channel);
    } else if core.replica.member_left(&channel, &user_id) != Told::News {
        return;
    }
    core.out.emit(ClientEvent::MemberLeft { channel, user_id });
}

/// Events of a channel are missing, perhaps of members too: a list of them tells.
fn handle_gap(core: &mut Core, gap: proto::Gap) {
    let event = gap_from_proto(gap);
    if let ClientEvent::Gap {
        source: GapSource::Channel(channel),
        ..
    } = &event
        && core.replica.gap(channel)
    {
        let channel = channel.clone();
        core.calls
            .add_own(Purpose::Own, Call::GetMembers { channel });
    }
    core.out.emit(event);
}

fn handle_invitation(core: &mut Core, kind: Kind) {
    let (invitations, calls) = (&mut core.invitations, &mut core.calls);
    let event = match kind {
        Kind::InvitationReceived(received) => invitations.received(received.number),
        Kind::AcceptAsked(asked) => {
            invitations.accept_asked(asked.number, calls);
            None
        }
        Kind::LocalInvitationEnded(ended) => invitations.local_ended(ended),
        Kind::IncomingInvitation(incoming) => {
            // Its caller waits for the confirmation.
            core.confirmation.confirm_by(core.now_ms);
            invitations.incoming(incoming, calls)
        }
        Kind::RemoteInvitationEnded(ended) => invitations.remote_ended(ended),
        other => unreachable!("{other:?} is not about an invitation"),
    };
    core.out.emit_all(event);
}

// ------------------------------------------------------------ time

/// Members who have not come back in time have left. Without a link nobody can tell.
pub(crate) fn check_members(core: &mut Core) {
    if core.link.is_live() {
        for (channel, user_id) in core.replica.take_left(core.now_ms) {
            core.out.emit(ClientEvent::MemberLeft { channel, user_id });
        }
    }
}
