//! Call invitations at the hub that writes their records, which is the caller's. Source: contract
//! 3, rtm 6.
//!
//! Every transition is made here, on the record, in the order in which words arrive: whatever comes
//! after an invitation's end finds it ended and changes nothing. What is decided is written first
//! and told when it is durable (`durable`); what a restart or a lost session leaves behind goes on
//! with the caller's next login (`reports`). `rings` is the callee's side.

pub(crate) mod check;
pub(crate) mod durable;
pub(crate) mod nodes;
pub(crate) mod outside;
pub(crate) mod record;
pub(crate) mod reports;
pub(crate) mod rings;
pub(crate) mod slot;
pub(crate) mod state;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use tidings_fault::fault;
use tidings_token::Access;
use tidings_wire::codes::Outcome;
use tidings_wire::limits::{
    INVITATION_CONFIRM_WAIT_MS, INVITATION_RING_AGAIN_MS, INVITATIONS_OPEN_MAX,
};
use tidings_wire::proto::{InvitationEnd, Invite};

use crate::bus_ops::{BusOp, CalleeWord, Decision, InvitationWord, Publication, RingFate, Topic};
use crate::ids::{InvitationId, SessionKey, UserKey};
use crate::invitations::check::check_invite;
use crate::invitations::state::{
    CALLEE_BACK_WAIT_MS, Invitation, InvitationStore, Invitations, State, Told,
};
use crate::io::{Effect, Sink, Ticket};
use crate::kernel::Kernel;
use crate::kernel::caller::Caller;
use crate::kernel::reply::error;
use crate::kernel::timers::Timer;
use crate::rates;
use crate::store_ops::StoreAnswer;

impl Invitations {
    /// A store operation of ours is answered.
    pub(crate) fn finish_invitation_store(
        &mut self,
        ticket: Ticket,
        answer: StoreAnswer,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(pending) = self.stores.remove(&ticket.0) else {
            debug_assert!(false, "a store operation that nobody waits for");
            return;
        };
        match pending {
            InvitationStore::Write(write) => {
                self.finish_invitation_write(*write, answer, kernel, out)
            }
            InvitationStore::Left { hubs } => self.apply_loaded(hubs, answer, kernel, out),
            InvitationStore::Report { session, id } => {
                self.finish_report(session, id, answer, kernel, out);
            }
            InvitationStore::Ring {
                session,
                caller,
                id,
            } => Self::finish_ring_check(session, (caller, id), answer, kernel, out),
        }
    }

    pub(crate) fn handle_invite(
        &mut self,
        caller: Caller,
        call: Invite,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(key) = caller.session() else {
            return self.invite_from_outside(caller, call, kernel, out);
        };
        let callee = match check_invite(kernel.names_of(key), &call) {
            Ok(callee) => callee,
            Err(error) => return kernel.reply_error(caller, error, out),
        };
        if !kernel.permit_with(caller, Access::Write, &callee, out) {
            return;
        }
        let last = (kernel.sessions.get(key)).map_or(0, |it| it.invitations.last_number);
        if call.number <= last {
            return kernel.reply_done(caller, out);
        }
        if !kernel.take_rate(caller, rates::Kind::Invite, out) {
            return;
        }
        let now_ms = kernel.now.mono_ms;
        let open = self.open_of(key, kernel).count();
        let Some(session) = kernel.sessions.get_mut(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        if open + session.invitations.reported.len() >= INVITATIONS_OPEN_MAX {
            let text = format!(
                "{INVITATIONS_OPEN_MAX} invitations are open; cancel one or wait until one has ended"
            );
            let error = error(Outcome::TooManyInvitations, text);
            return kernel.reply_error(caller, error, out);
        }
        let id = InvitationId::new(session.id, call.number);
        let user = session.user.clone();
        session.invitations.last_number = call.number;
        let from = (&user, session.id, Some(key));
        let invitation = Invitation::new(id, from, callee, call, now_ms);
        self.insert_invitation(&user, invitation, out);
        self.write_invitation(&user, id, Told::Sent(caller), kernel, out);
    }

    /// The caller's client has cancelled; it has told its application already.
    pub(crate) fn handle_cancel_invitation(
        &mut self,
        caller: Caller,
        number: u64,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(key) = kernel.session_of(caller, out) else {
            // It is answered.
            return;
        };
        let Some(session) = kernel.sessions.get_mut(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        let waiting = Some(caller);
        if let Some(report) = session
            .invitations
            .reported
            .iter_mut()
            .find(|r| r.number == number)
        {
            // Its record is still being read.
            report.canceled = waiting;
            return;
        }
        let user = session.user.clone();
        let sent = self.sent_by(key, kernel).find(|sent| sent.number == number);
        let Some((id, has_ended)) = sent.map(|sent| (sent.id, sent.has_ended())) else {
            return kernel.reply_done(caller, out);
        };
        if has_ended {
            // Its end is being written. An answer before that would let a restart forget both.
            let waiting = waiting.into_iter().collect();
            return self.write_invitation(&user, id, Told::Ended(waiting), kernel, out);
        }
        let end = (InvitationEnd::Canceled, String::new());
        self.end_invitation(&user, id, end, waiting, kernel, out);
    }

    /// The invitation was still open when the caller's client was asked: the acceptance is
    /// recorded.
    pub(crate) fn handle_confirm_accept(
        &mut self,
        caller: Caller,
        number: u64,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(key) = kernel.session_of(caller, out) else {
            // It is answered.
            return;
        };
        let accepted = self
            .open_of(key, kernel)
            .find_map(|invitation| match &invitation.state {
                State::Accepting { response, .. } if invitation.number == number => {
                    Some((invitation.id, response.clone()))
                }
                _ => None,
            });
        let user = kernel.sessions.get(key).map(|session| session.user.clone());
        let (Some((id, response)), Some(user)) = (accepted, user) else {
            return kernel.reply_done(caller, out);
        };
        let waiting = Some(caller);
        let end = (InvitationEnd::Accepted, response);
        self.end_invitation(&user, id, end, waiting, kernel, out);
    }

    /// Does what time asks of an invitation, and sets its next timer.
    pub(crate) fn check_invitation(
        &mut self,
        caller: &UserKey,
        id: InvitationId,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let now_ms = kernel.now.mono_ms;
        let Some(invitation) = self.invitation(caller, id) else {
            // A timer of an invitation that is over.
            return;
        };
        // A timer of an earlier state.
        if invitation.due_ms() > now_ms {
            return;
        }
        if let State::Accepting { .. } = invitation.state {
            let owner = invitation.owner.and_then(|key| kernel.sessions.get(key));
            let end = if owner.is_some_and(|session| session.is_here()) {
                InvitationEnd::AcceptFailed
            } else {
                InvitationEnd::CallerGone
            };
            return self.end_invitation(caller, id, (end, String::new()), None, kernel, out);
        }
        if invitation.deadline_ms() <= now_ms && !fault!(InvitationNeverExpires) {
            let end = match (invitation.is_received, invitation.was_callee_there) {
                _ if invitation.rings_on.is_some() => InvitationEnd::CalleeGone,
                (true, _) => InvitationEnd::Expired,
                (false, true) => InvitationEnd::NoResponse,
                (false, false) => InvitationEnd::PeerOffline,
            };
            return self.end_invitation(caller, id, (end, String::new()), None, kernel, out);
        }
        let again_ms = now_ms + INVITATION_RING_AGAIN_MS;
        invitation.state = State::Pending { again_ms };
        Self::offer(caller, invitation, out);
        self.set_invitation_timer(caller, id, kernel);
    }

    /// Reminds of the next thing that time alone does to an invitation.
    fn set_invitation_timer(&mut self, caller: &UserKey, id: InvitationId, kernel: &mut Kernel) {
        let due_ms = self
            .invitation(caller, id)
            .map(|invitation| invitation.due_ms());
        if let Some(due_ms) = due_ms.filter(|due_ms| *due_ms < u64::MAX) {
            let timer = Timer::Invitation(Box::new(caller.clone()), id);
            kernel.timers.set(due_ms, timer);
        }
    }

    /// The callee's hub has a word for the caller.
    pub(crate) fn handle_callee_word(
        &mut self,
        caller: &UserKey,
        id: InvitationId,
        word: &CalleeWord,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let now_ms = kernel.now.mono_ms;
        let Some(invitation) = self.invitation(caller, id) else {
            // It is over, or written by another hub by now.
            return;
        };
        if invitation.has_ended() {
            return;
        }
        match word {
            CalleeWord::IsThere { rings_on } => {
                invitation.was_callee_there = true;
                if *rings_on && invitation.is_received && invitation.rings_on.is_some() {
                    // The callee is back: its client has not forgotten what rings.
                    invitation.rings_on = Some(u64::MAX);
                    self.apply_received(caller, id, kernel, out);
                }
            }
            CalleeWord::Received { rings_on } => {
                let owner = invitation.owner;
                let is_on = invitation.rings_on.is_some();
                let both = *rings_on && owner.map_or(is_on, |key| kernel.traits_of(key).rings_on);
                if let Some(invitation) = self.invitation(caller, id) {
                    invitation.rings_on = both.then_some(u64::MAX);
                }
                self.apply_received(caller, id, kernel, out);
            }
            CalleeWord::Decided(Decision::Refuse(response)) => {
                let end = (InvitationEnd::Refused, response.clone());
                self.end_invitation(caller, id, end, None, kernel, out);
            }
            CalleeWord::Decided(Decision::Accept(response)) => {
                // Order: the receipt, which may still be unconfirmed, before what follows from it.
                self.apply_received(caller, id, kernel, out);
                self.apply_accept(caller, id, response, kernel, out);
            }
            CalleeWord::SessionOver(fate) => match (*fate, &invitation.state) {
                // It has not been heard there: it is being offered again anyway.
                (_, State::Pending { .. }) => {}
                (RingFate::GoesOn, State::Ringing) => {
                    let until_ms = now_ms + CALLEE_BACK_WAIT_MS;
                    invitation.rings_on = invitation.rings_on.map(|_| until_ms);
                    invitation.state = State::Pending { again_ms: now_ms };
                    self.set_invitation_timer(caller, id, kernel);
                }
                _ => {
                    let end = (InvitationEnd::CalleeGone, String::new());
                    self.end_invitation(caller, id, end, None, kernel, out);
                }
            },
        }
    }

    fn apply_received(
        &mut self,
        caller: &UserKey,
        id: InvitationId,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(invitation) = self.invitation(caller, id) else {
            debug_assert!(false, "an invitation is gone while it is dealt with");
            return;
        };
        if !matches!(invitation.state, State::Pending { .. }) {
            return;
        }
        invitation.state = State::Ringing;
        let is_news = !std::mem::replace(&mut invitation.is_received, true);
        self.set_invitation_timer(caller, id, kernel);
        if is_news {
            self.write_invitation(caller, id, Told::Received, kernel, out);
        }
    }

    /// The callee accepts: the caller's client is asked whether the invitation is still open there.
    fn apply_accept(
        &mut self,
        caller: &UserKey,
        id: InvitationId,
        response: &str,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let until_ms = kernel.now.mono_ms + INVITATION_CONFIRM_WAIT_MS;
        let Some(invitation) = self.invitation(caller, id) else {
            debug_assert!(false, "an invitation is gone while it is dealt with");
            return;
        };
        if !matches!(invitation.state, State::Ringing) {
            return;
        }
        let (response, is_from_outside) = (response.to_owned(), invitation.is_from_outside);
        invitation.state = State::Accepting {
            until_ms,
            response: response.clone(),
        };
        self.set_invitation_timer(caller, id, kernel);
        // Nobody is there to be asked who could have cancelled it without our knowing.
        if is_from_outside || fault!(AcceptanceIsNotAgreed) {
            let end = (InvitationEnd::Accepted, response);
            return self.end_invitation(caller, id, end, None, kernel, out);
        }
        self.write_invitation(caller, id, Told::AcceptAsked, kernel, out);
    }

    /// Ends an invitation, unless it has ended. Both sides are told when that is durable, and so is
    /// the request that waits for it.
    pub(crate) fn end_invitation(
        &mut self,
        caller: &UserKey,
        id: InvitationId,
        (end, response): (InvitationEnd, String),
        waiting: Option<Caller>,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(invitation) = self.invitation(caller, id).filter(|i| !i.has_ended()) else {
            // Whoever came first has ended it.
            return;
        };
        debug_assert!(
            !response.is_empty() || end != InvitationEnd::Unspecified,
            "an invitation ends without an end"
        );
        invitation.state = State::Ended { end, response };
        let waiting = waiting.into_iter().collect();
        self.write_invitation(caller, id, Told::Ended(waiting), kernel, out);
    }

    /// The session ends, and with it what it has sent.
    pub(crate) fn end_own_invitations(
        &mut self,
        key: SessionKey,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(caller) = kernel.sessions.get(key).map(|session| session.user.clone()) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        let ids: Vec<_> = self
            .open_of(key, kernel)
            .map(|invitation| invitation.id)
            .collect();
        for id in ids {
            let end = (InvitationEnd::CallerGone, String::new());
            self.end_invitation(&caller, id, end, None, kernel, out);
        }
    }

    // ------------------------------------------------------------ where they are kept

    pub(crate) fn invitation(
        &mut self,
        caller: &UserKey,
        id: InvitationId,
    ) -> Option<&mut Invitation> {
        let all = self.sent.get_mut(caller)?;
        all.iter_mut().find(|invitation| invitation.id == id)
    }

    /// What a session has sent and has not ended.
    fn open_of(&self, key: SessionKey, kernel: &Kernel) -> impl Iterator<Item = &Invitation> {
        self.sent_by(key, kernel)
            .filter(|invitation| !invitation.has_ended())
    }

    /// What a session has sent, until its end is durable.
    fn sent_by(&self, key: SessionKey, kernel: &Kernel) -> impl Iterator<Item = &Invitation> {
        let caller = kernel.sessions.get(key).map(|session| &session.user);
        let all = caller.and_then(|caller| self.sent.get(caller));
        let is_its = move |invitation: &&Invitation| invitation.owner == Some(key);
        all.into_iter().flatten().filter(is_its)
    }

    pub(crate) fn insert_invitation(
        &mut self,
        caller: &UserKey,
        invitation: Invitation,
        out: &mut dyn Sink,
    ) {
        if !self.sent.contains_key(caller) {
            let topic = Topic::Calls(caller.clone());
            out.emit(Effect::Bus(BusOp::Subscribe(topic)));
        }
        let all = self.sent.entry(caller.clone()).or_default();
        let is_new = all.iter().all(|other| other.id != invitation.id);
        debug_assert!(is_new, "an invitation is kept twice");
        debug_assert_eq!(invitation.callee.app, caller.app, "a callee of another app");
        all.push(invitation);
    }

    fn remove_invitation(
        &mut self,
        caller: &UserKey,
        id: InvitationId,
        out: &mut dyn Sink,
    ) -> Option<Invitation> {
        let all = self.sent.get_mut(caller)?;
        let index = all.iter().position(|invitation| invitation.id == id)?;
        let invitation = all.remove(index);
        if all.is_empty() {
            self.sent.remove(caller);
            let topic = Topic::Calls(caller.clone());
            out.emit(Effect::Bus(BusOp::Unsubscribe(topic)));
        }
        Some(invitation)
    }

    /// Publishes a word on a user's topic; this hub gets it back if the user is here.
    pub(crate) fn tell_user(user: UserKey, word: InvitationWord, out: &mut dyn Sink) {
        out.emit(Effect::Bus(BusOp::Publish {
            topic: Topic::User(user),
            message: Arc::new(Publication::Invitation(word)),
        }));
    }

    /// Publishes a word for whoever writes the records of what this user has sent.
    pub(crate) fn tell_writer(caller: UserKey, word: InvitationWord, out: &mut dyn Sink) {
        out.emit(Effect::Bus(BusOp::Publish {
            topic: Topic::Calls(caller),
            message: Arc::new(Publication::Invitation(word)),
        }));
    }
}
