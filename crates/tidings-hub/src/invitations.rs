//! Call invitations at the caller's hub, which has the record of each. Source: contract 3, rtm 6.
//!
//! Every transition is made here, on the record, in the order in which words arrive: whatever comes after an
//! invitation's end finds no record and changes nothing. `rings` is the callee's side.

mod record;

use std::sync::Arc;

use bytes::Bytes;
use tidings_mutant::mutant;
use tidings_wire::codes::Outcome;
use tidings_wire::frame::encode_server;
use tidings_wire::limits::{
    INVITATION_CONFIRM_WAIT_MS, INVITATION_DECISION_WAIT_MS, INVITATION_RECEIPT_WAIT_MS,
    INVITATION_RING_AGAIN_MS, INVITATION_TEXT_BYTES_MAX, INVITATIONS_OPEN_MAX,
};
use tidings_wire::names::{ChannelName, NameRule, UserId};
use tidings_wire::proto::{
    AcceptAsked, Error, IncomingInvitation, InvitationEnd, InvitationReceived, Invite,
    LocalInvitationEnded, server_message::Kind,
};

use crate::Hub;
use crate::bus_ops::{BusOp, CalleeWord, Decision, InvitationWord, Publication, RingFate, Topic};
use crate::ids::{InvitationId, UserKey};
use crate::io::{Effect, Sink};
use crate::limiter;
use crate::outbox::Source;
use crate::requests::check_type;
use crate::sessions::{Session, SessionKey, error};
use crate::timers::Timer;

/// A callee that was lost while an invitation rings on may come back for so long, in milliseconds. Source:
/// signaling-wire 8.2, of a callee that is off line.
const CALLEE_BACK_WAIT_MS: u64 = 20_000;

/// The record of an invitation that has not ended.
#[derive(Debug)]
pub(crate) struct Invitation {
    id: InvitationId,
    /// Names it between the caller's client and us.
    number: u64,
    callee: UserKey,
    /// The ring, as the callee's client is sent it.
    frame: Bytes,
    state: State,
    /// Some client of the callee has had it: the caller has been told so.
    is_received: bool,
    /// The callee was there at some time since it was sent.
    was_callee_there: bool,
    /// When it was sent, in monotonic milliseconds: every deadline counts from here (contract INV-7), but for
    /// invitations that ring on.
    sent_ms: u64,
    /// It rings until one side ends it; the callee's client, if lost, is waited for until this time, in monotonic
    /// milliseconds.
    rings_on: Option<u64>,
}

#[derive(Debug)]
enum State {
    /// It has not reached the callee's client; it is offered again at this time, in monotonic milliseconds.
    Pending { again_ms: u64 },
    /// The callee's client has it.
    Ringing,
    /// The callee accepts; the caller's client is asked until this time, in monotonic milliseconds.
    Accepting { until_ms: u64, response: String },
}

impl Invitation {
    /// When time alone changes something.
    fn due_ms(&self) -> u64 {
        match &self.state {
            State::Pending { again_ms } if mutant!(33) => *again_ms,
            State::Pending { again_ms } => (*again_ms).min(self.deadline_ms()),
            State::Ringing if mutant!(33) => u64::MAX,
            State::Ringing => self.deadline_ms(),
            State::Accepting { until_ms, .. } => *until_ms,
        }
    }

    fn deadline_ms(&self) -> u64 {
        if let Some(until_ms) = self.rings_on {
            return until_ms;
        }
        let wait_ms = match self.is_received {
            true if mutant!(31) => INVITATION_DECISION_WAIT_MS / 2,
            true => INVITATION_DECISION_WAIT_MS,
            false => INVITATION_RECEIPT_WAIT_MS,
        };
        self.sent_ms + wait_ms
    }
}

/// Finds an open invitation by its number.
fn open(session: &mut Session, number: u64) -> Option<&mut Invitation> {
    session
        .invitations
        .iter_mut()
        .find(|invitation| invitation.number == number)
}

impl Hub {
    pub(crate) fn handle_invite(
        &mut self,
        key: SessionKey,
        cseq: u64,
        call: Invite,
        out: &mut dyn Sink,
    ) {
        let callee = match check_invite(self.names_of(key), &call) {
            Ok(callee) => callee,
            Err(error) => return self.reply_error(key, cseq, error, out),
        };
        let is_repeated = self
            .sessions
            .get(key)
            .is_some_and(|session| call.number <= session.last_invitation);
        if is_repeated {
            return self.reply_done(key, cseq, out);
        }
        if !self.take_rate(key, cseq, limiter::Kind::Invite, out) {
            return;
        }
        let now_ms = self.now.mono_ms;
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        if session.invitations.len() >= INVITATIONS_OPEN_MAX {
            let text = format!(
                "{INVITATIONS_OPEN_MAX} invitations are open; cancel one or wait until one has ended"
            );
            let error = error(Outcome::TooManyInvitations, text);
            return self.reply_error(key, cseq, error, out);
        }
        let id = InvitationId::new(session.id, call.number);
        let frame = encode_server(Kind::IncomingInvitation(IncomingInvitation {
            id: Bytes::copy_from_slice(&id.0),
            caller_id: session.user.user.to_string(),
            content: call.content,
            channel: call.channel,
            r#type: call.r#type,
        }));
        session.last_invitation = call.number;
        session.invitations.push(Invitation {
            id,
            number: call.number,
            callee: UserKey {
                app: session.user.app.clone(),
                user: callee,
            },
            frame,
            state: State::Pending { again_ms: now_ms },
            is_received: false,
            was_callee_there: false,
            sent_ms: now_ms,
            rings_on: None,
        });
        self.reply_done(key, cseq, out);
        self.check_invitation(key, call.number, out);
    }

    /// The caller's client has cancelled; it has told its application already.
    pub(crate) fn handle_cancel_invitation(
        &mut self,
        key: SessionKey,
        cseq: u64,
        number: u64,
        out: &mut dyn Sink,
    ) {
        self.end_invitation(key, number, InvitationEnd::Canceled, String::new(), out);
        self.reply_done(key, cseq, out);
    }

    /// The invitation was still open when the caller's client was asked: the acceptance is recorded.
    pub(crate) fn handle_confirm_accept(
        &mut self,
        key: SessionKey,
        cseq: u64,
        number: u64,
        out: &mut dyn Sink,
    ) {
        let accepted = self.sessions.get_mut(key).and_then(|session| {
            match &mut open(session, number)?.state {
                State::Accepting { response, .. } => Some(std::mem::take(response)),
                _ => None,
            }
        });
        if let Some(response) = accepted {
            self.end_invitation(key, number, InvitationEnd::Accepted, response, out);
        }
        self.reply_done(key, cseq, out);
    }

    /// Does what time asks of an invitation, and sets its next timer.
    pub(crate) fn check_invitation(&mut self, key: SessionKey, number: u64, out: &mut dyn Sink) {
        let now_ms = self.now.mono_ms;
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let (caller, is_here) = (session.user.clone(), session.is_here());
        let Some(invitation) = open(session, number) else {
            return;
        };
        // A timer of an earlier state.
        if invitation.due_ms() > now_ms {
            return;
        }
        if let State::Accepting { .. } = invitation.state {
            let end = match is_here {
                true => InvitationEnd::AcceptFailed,
                false => InvitationEnd::CallerGone,
            };
            return self.end_invitation(key, number, end, String::new(), out);
        }
        if invitation.deadline_ms() <= now_ms && !mutant!(33) {
            let end = match (invitation.is_received, invitation.was_callee_there) {
                _ if invitation.rings_on.is_some() => InvitationEnd::CalleeGone,
                (true, _) => InvitationEnd::Expired,
                (false, true) => InvitationEnd::NoResponse,
                (false, false) => InvitationEnd::PeerOffline,
            };
            return self.end_invitation(key, number, end, String::new(), out);
        }
        let again_ms = now_ms + INVITATION_RING_AGAIN_MS;
        invitation.state = State::Pending { again_ms };
        let word = InvitationWord::Ring {
            id: invitation.id,
            caller,
            frame: invitation.frame.clone(),
        };
        let (due_ms, callee) = (invitation.due_ms(), invitation.callee.clone());
        self.timers.set(due_ms, Timer::Invitation(key, number));
        self.tell_user(callee, word, out);
    }

    /// The callee's hub has a word for the caller.
    pub(crate) fn handle_callee_word(
        &mut self,
        caller: &UserKey,
        id: InvitationId,
        word: &CalleeWord,
        out: &mut dyn Sink,
    ) {
        let now_ms = self.now.mono_ms;
        let Some(key) = self.users.get(caller).and_then(|entry| entry.session) else {
            return;
        };
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let is_it = |invitation: &&mut Invitation| invitation.id == id;
        let Some(invitation) = session.invitations.iter_mut().find(is_it) else {
            return;
        };
        let number = invitation.number;
        match word {
            CalleeWord::IsThere { rings_on } => {
                invitation.was_callee_there = true;
                if *rings_on && invitation.is_received && invitation.rings_on.is_some() {
                    // The callee is back: its client has not forgotten what rings.
                    invitation.rings_on = Some(u64::MAX);
                    self.apply_received(key, number, out);
                }
            }
            CalleeWord::Received { rings_on } => {
                let both_ring_on = *rings_on && session.traits.rings_on;
                invitation.rings_on = both_ring_on.then_some(u64::MAX);
                self.apply_received(key, number, out);
            }
            CalleeWord::Decided(Decision::Refuse(response)) => {
                let response = response.clone();
                self.end_invitation(key, number, InvitationEnd::Refused, response, out);
            }
            CalleeWord::Decided(Decision::Accept(response)) => {
                // Order: the receipt, which may still be unconfirmed, before what follows from it.
                self.apply_received(key, number, out);
                self.apply_accept(key, number, response, out);
            }
            CalleeWord::SessionOver(fate) => match (*fate, &invitation.state) {
                // It has not been heard there: it is being offered again anyway.
                (_, State::Pending { .. }) => {}
                (RingFate::GoesOn, State::Ringing) => {
                    let until_ms = now_ms + CALLEE_BACK_WAIT_MS;
                    invitation.rings_on = invitation.rings_on.map(|_| until_ms);
                    invitation.state = State::Pending { again_ms: now_ms };
                    self.timers.set(now_ms, Timer::Invitation(key, number));
                }
                _ => {
                    let end = InvitationEnd::CalleeGone;
                    self.end_invitation(key, number, end, String::new(), out);
                }
            },
        }
    }

    fn apply_received(&mut self, key: SessionKey, number: u64, out: &mut dyn Sink) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let Some(invitation) = open(session, number) else {
            return;
        };
        if !matches!(invitation.state, State::Pending { .. }) {
            return;
        }
        invitation.state = State::Ringing;
        let is_news = !std::mem::replace(&mut invitation.is_received, true);
        let due_ms = invitation.due_ms();
        if due_ms < u64::MAX {
            self.timers.set(due_ms, Timer::Invitation(key, number));
        }
        if is_news {
            let frame = encode_server(Kind::InvitationReceived(InvitationReceived { number }));
            Self::push(session, frame, Source::Call, out);
        }
    }

    /// The callee accepts: the caller's client is asked whether the invitation is still open there.
    fn apply_accept(&mut self, key: SessionKey, number: u64, response: &str, out: &mut dyn Sink) {
        let until_ms = self.now.mono_ms + INVITATION_CONFIRM_WAIT_MS;
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let Some(invitation) = open(session, number) else {
            return;
        };
        if !matches!(invitation.state, State::Ringing) {
            return;
        }
        let response = response.to_owned();
        invitation.state = State::Accepting {
            until_ms,
            response: response.clone(),
        };
        self.timers.set(until_ms, Timer::Invitation(key, number));
        if mutant!(28) {
            return self.end_invitation(key, number, InvitationEnd::Accepted, response, out);
        }
        let frame = encode_server(Kind::AcceptAsked(AcceptAsked { number, response }));
        Self::push(session, frame, Source::Call, out);
    }

    /// Ends an invitation, if it is open, and tells both sides.
    fn end_invitation(
        &mut self,
        key: SessionKey,
        number: u64,
        end: InvitationEnd,
        response: String,
        out: &mut dyn Sink,
    ) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let is_it = |invitation: &Invitation| invitation.number == number;
        let Some(index) = session.invitations.iter().position(is_it) else {
            return;
        };
        let invitation = session.invitations.remove(index);
        if end != InvitationEnd::Canceled {
            let frame = encode_server(Kind::LocalInvitationEnded(LocalInvitationEnded {
                number,
                end: end.into(),
                response,
            }));
            Self::push(session, frame, Source::Call, out);
        }
        let id = invitation.id;
        if end == InvitationEnd::Canceled && mutant!(29) {
            return;
        }
        self.tell_user(invitation.callee, InvitationWord::Ended { id, end }, out);
    }

    /// The session ends, and with it what it has sent.
    pub(crate) fn end_own_invitations(&mut self, key: SessionKey, out: &mut dyn Sink) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        for invitation in std::mem::take(&mut session.invitations) {
            let (id, end) = (invitation.id, InvitationEnd::CallerGone);
            self.tell_user(invitation.callee, InvitationWord::Ended { id, end }, out);
        }
    }

    /// Publishes a word on a user's topic; this hub gets it back if the user is here.
    pub(crate) fn tell_user(&mut self, user: UserKey, word: InvitationWord, out: &mut dyn Sink) {
        out.emit(Effect::Bus(BusOp::Publish {
            topic: Topic::User(user),
            message: Arc::new(Publication::Invitation(word)),
        }));
    }
}

/// Checks everything that an invitation says of itself; returns the callee.
fn check_invite(names: NameRule, call: &Invite) -> Result<UserId, Error> {
    let invalid = |text: String| error(Outcome::InvalidArgument, text);
    let callee = UserId::parse_by(names, &call.callee_id)
        .map_err(|name| invalid(format!("callee id {:?}: {name}", call.callee_id)))?;
    if call.number == 0 {
        return Err(invalid("the invitation's number is 0; count from 1".into()));
    }
    if !call.channel.is_empty() {
        ChannelName::parse_by(names, &call.channel)
            .map_err(|name| invalid(format!("channel {:?}: {name}", call.channel)))?;
    }
    check_text("content", &call.content)?;
    check_type(&call.r#type)?;
    Ok(callee)
}

/// Checks the length of an invitation's content or response.
pub(crate) fn check_text(what: &str, text: &str) -> Result<(), Error> {
    let bytes = text.len();
    if bytes <= INVITATION_TEXT_BYTES_MAX {
        return Ok(());
    }
    let text =
        format!("the {what} has {bytes} bytes; at most {INVITATION_TEXT_BYTES_MAX} are allowed");
    Err(error(Outcome::InvalidArgument, text))
}

#[cfg(test)]
mod tests;
