//! Durable first (contract INV-2): what has become of an invitation is written, then told.
//!
//! A decision counts at once for what is decided after it. The store answers the writes of one
//! caller in their order, so what follows from them is told in their order, too.

use tidings_fault::fault;
use tidings_wire::codes::Outcome;
use tidings_wire::frame::encode_server;
use tidings_wire::limits::INVITATION_KEEP_MS;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{AcceptAsked, InvitationEnd, InvitationReceived};

use crate::bus_ops::InvitationWord;
use crate::ids::{InvitationId, SessionKey, UserKey};
use crate::invitations::check::local_end;
use crate::invitations::state::{
    Invitation, InvitationStore, Invitations, Later, State, Told, Write,
};
use crate::io::Sink;
use crate::kernel::Kernel;
use crate::kernel::caller::Caller;
use crate::kernel::outbox::Source;
use crate::kernel::reply::error;
use crate::kernel::timers::Timer;
use crate::store_ops::events::EventKind;
use crate::store_ops::{StoreAnswer, StoreOp, StoredInvitation};

impl Invitations {
    /// Writes an invitation's record as it is now; `told` follows when that is durable.
    pub(crate) fn write_invitation(
        &mut self,
        caller: &UserKey,
        id: InvitationId,
        told: Told,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let clock = self.record_clock(kernel);
        let Some(invitation) = self.invitation(caller, id) else {
            debug_assert!(false, "an invitation is gone while it is dealt with");
            return;
        };
        if invitation.writes > 0 {
            let later = &mut invitation.later;
            match told {
                Told::Received => return later.is_received = true,
                Told::AcceptAsked => return later.is_accepting = true,
                Told::Ended(waiting) => {
                    later.is_over = true;
                    return later.waiting.extend(waiting);
                }
                Told::TakenOver {
                    is_received,
                    is_accepting,
                } => {
                    later.is_taken_over = true;
                    later.is_received |= is_received;
                    later.is_accepting |= is_accepting;
                    return;
                }
                Told::Sent(_) => debug_assert!(false, "an invitation is sent twice"),
            }
        }
        let revision = invitation.revision;
        let is_ended = matches!(told, Told::Ended(_));
        debug_assert_eq!(
            is_ended,
            invitation.has_ended(),
            "an end is written as something else"
        );
        invitation.revision += 1;
        let body = invitation.to_record(clock);
        let op = StoreOp::InvitationPut {
            caller: caller.clone(),
            id,
            revision,
            body,
        };
        if fault!(InvitationIsToldBeforeDurable) {
            kernel.store_and_forget(op, out);
            return self.tell_of_invitation(caller, id, told, kernel, out);
        }
        if let Some(invitation) = self.invitation(caller, id) {
            invitation.writes += 1;
        }
        let write = Box::new(Write {
            caller: caller.clone(),
            id,
            told,
        });
        let pending = InvitationStore::Write(write);
        self.store(kernel, op, pending, out);
    }

    pub(crate) fn finish_invitation_write(
        &mut self,
        write: Write,
        answer: StoreAnswer,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Write { caller, id, told } = write;
        if let Some(invitation) = self.invitation(&caller, id) {
            // One that was read again counts its own writes only.
            invitation.writes = invitation.writes.saturating_sub(1);
        }
        match answer {
            StoreAnswer::InvitationConflict(stored) => {
                self.yield_invitation(&caller, id, stored, told, kernel, out);
            }
            StoreAnswer::Failed { reason } => {
                self.give_invitation_up(&caller, id, told, reason, kernel, out);
            }
            _ => {
                self.tell_of_invitation(&caller, id, told, kernel, out);
                self.write_later(&caller, id, kernel, out);
            }
        }
    }

    /// Writes what has waited for the answer to another write.
    fn write_later(
        &mut self,
        caller: &UserKey,
        id: InvitationId,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(invitation) = self.invitation(caller, id) else {
            return;
        };
        if invitation.writes > 0 {
            return;
        }
        let Later {
            is_received,
            is_accepting,
            is_taken_over,
            is_over,
            waiting,
        } = std::mem::take(&mut invitation.later);
        debug_assert!(
            is_over == invitation.has_ended(),
            "an end that nobody writes, or the reverse"
        );
        if is_over {
            self.write_invitation(caller, id, Told::Ended(waiting), kernel, out);
        } else if is_taken_over || is_received || is_accepting {
            let told = Told::TakenOver {
                is_received,
                is_accepting,
            };
            self.write_invitation(caller, id, told, kernel, out);
        }
    }

    /// Tells what is durable now.
    fn tell_of_invitation(
        &mut self,
        caller: &UserKey,
        id: InvitationId,
        told: Told,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let now_ms = kernel.now.mono_ms;
        match told {
            Told::Sent(waiting) => {
                kernel.reply_invited(waiting, id, out);
                self.tell_event_of(caller, id, EventKind::InvitationSent, kernel, out);
                let Some(invitation) = self.invitation(caller, id) else {
                    // Another hub has taken it over while it was being written.
                    return;
                };
                if let State::Pending { again_ms } = &mut invitation.state {
                    *again_ms = now_ms;
                    self.check_invitation(caller, id, kernel, out);
                }
            }
            Told::Received => self.tell_received(caller, id, kernel, out),
            Told::AcceptAsked => self.tell_accept_asked(caller, id, kernel, out),
            Told::TakenOver {
                is_received,
                is_accepting,
            } => {
                if is_received {
                    self.tell_received(caller, id, kernel, out);
                }
                if is_accepting {
                    self.tell_accept_asked(caller, id, kernel, out);
                }
            }
            Told::Ended(mut waiting) => {
                if let Some(mut invitation) = self.remove_invitation(caller, id, out) {
                    waiting.append(&mut invitation.later.waiting);
                    // Whoever cancels its own has told its application; somebody outside has told
                    // nobody.
                    let is_outside = |caller: &Caller| matches!(caller, Caller::Outside(_));
                    let is_ended_outside = waiting.iter().any(is_outside);
                    Self::tell_end(caller, invitation, is_ended_outside, kernel, out);
                    let timer = Timer::InvitationOver(Box::new(caller.clone()), id);
                    kernel.timers.set(now_ms + INVITATION_KEEP_MS, timer);
                }
                for waiting in waiting {
                    kernel.reply_one(waiting, out);
                }
            }
        }
    }

    /// An app's backend hears of a state that is durable.
    fn tell_event_of(
        &mut self,
        caller: &UserKey,
        id: InvitationId,
        kind: EventKind,
        kernel: &Kernel,
        out: &mut dyn Sink,
    ) {
        if let Some(invitation) = self.invitation(caller, id) {
            kernel.tell_invitation((caller, &invitation.callee.user), id, Ok(kind), out);
        }
    }

    fn tell_received(
        &mut self,
        caller: &UserKey,
        id: InvitationId,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        self.tell_event_of(caller, id, EventKind::InvitationReceived, kernel, out);
        if let Some(invitation) = self.invitation(caller, id) {
            let (owner, number) = (invitation.owner, invitation.number);
            let word = Kind::InvitationReceived(InvitationReceived { number });
            Self::tell_caller_client(owner, word, kernel, out);
        }
    }

    fn tell_accept_asked(
        &mut self,
        caller: &UserKey,
        id: InvitationId,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        // It may have been cancelled in the meantime.
        if let Some(invitation) = self.invitation(caller, id)
            && let State::Accepting { response, .. } = &invitation.state
        {
            let (number, response) = (invitation.number, response.clone());
            let owner = invitation.owner;
            let word = Kind::AcceptAsked(AcceptAsked { number, response });
            Self::tell_caller_client(owner, word, kernel, out);
        }
    }

    /// Tells both sides the end.
    fn tell_end(
        caller: &UserKey,
        invitation: Invitation,
        is_ended_outside: bool,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        debug_assert!(
            invitation.has_ended(),
            "an end is told of what has not ended"
        );
        let State::Ended { end, response } = invitation.state else {
            debug_assert!(false, "an invitation is gone while it is dealt with");
            return;
        };
        let sides = (caller, &invitation.callee.user);
        kernel.tell_invitation(sides, invitation.id, Err(end), out);
        if end != InvitationEnd::Canceled || is_ended_outside {
            let ended = local_end(invitation.number, end, response);
            Self::tell_caller_client(invitation.owner, ended, kernel, out);
        }
        if end == InvitationEnd::Canceled && fault!(CancellationIsNotSent) {
            return;
        }
        let id = invitation.id;
        Self::tell_user(invitation.callee, InvitationWord::Ended { id, end }, out);
    }

    pub(crate) fn tell_caller_client(
        owner: Option<SessionKey>,
        word: Kind,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        if let Some(session) = owner.and_then(|key| kernel.sessions.get_mut(key)) {
            session.push(encode_server(word), Source::Call, out);
        }
    }

    /// The time that ended records are kept for is over.
    pub(crate) fn drop_invitation(
        caller: UserKey,
        id: InvitationId,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let op = StoreOp::InvitationDrop { caller, id };
        kernel.store_and_forget(op, out);
    }

    /// Somebody else has written the record: a newer login that has taken it over, or what was left
    /// of an older one.
    fn yield_invitation(
        &mut self,
        caller: &UserKey,
        id: InvitationId,
        stored: Option<StoredInvitation>,
        told: Told,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let (now_ms, clock) = (kernel.now.mono_ms, self.record_clock(kernel));
        let Some(mut ours) = self.remove_invitation(caller, id, out) else {
            return Self::finish_canceled(told, kernel, out);
        };
        if let Told::Sent(waiting) = told {
            // It is written down, whoever goes on with it.
            kernel.reply_invited(waiting, id, out);
        }
        let told = ours.later.take_over(told);
        let stored = stored.and_then(|stored| Invitation::from_record(&stored, clock));
        let Some((mut invitation, _)) = stored else {
            let end = local_end(ours.number, InvitationEnd::NotRecorded, String::new());
            Self::tell_caller_client(ours.owner, end, kernel, out);
            return Self::finish_canceled(told, kernel, out);
        };
        let owner = ours.owner.filter(|key| kernel.sessions.contains_key(*key));
        let Some(owner) = owner else {
            // Who has taken it over writes it.
            return Self::finish_canceled(told, kernel, out);
        };
        if let State::Ended { end, response } = invitation.state {
            let word = local_end(ours.number, end, response);
            Self::tell_caller_client(Some(owner), word, kernel, out);
            return Self::finish_canceled(told, kernel, out);
        }
        invitation.owner = Some(owner);
        invitation.number = ours.number;
        invitation.session = ours.session;
        let told = match (ours.state, told) {
            // What was decided here stands, on the newer record.
            (state @ State::Ended { .. }, told) => {
                invitation.state = state;
                match told {
                    Told::Ended(waiting) => Told::Ended(waiting),
                    _ => Told::Ended(Vec::new()),
                }
            }
            _ => Told::taken_over(&invitation),
        };
        if let State::Pending { again_ms } = &mut invitation.state {
            *again_ms = now_ms;
        }
        self.insert_invitation(caller, invitation, out);
        self.set_invitation_timer(caller, id, kernel);
        self.write_invitation(caller, id, told, kernel, out);
    }

    /// The store does not take the record: an invitation that is not taken yet is refused, any
    /// other one ends without a call. Nothing of it can be durable, so both sides are told so.
    fn give_invitation_up(
        &mut self,
        caller: &UserKey,
        id: InvitationId,
        told: Told,
        reason: String,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(mut invitation) = self.remove_invitation(caller, id, out) else {
            return Self::finish_waiting(told, reason, kernel, out);
        };
        let is_refused = matches!(told, Told::Sent(_));
        Self::finish_waiting(told, reason, kernel, out);
        for waiting in std::mem::take(&mut invitation.later.waiting) {
            kernel.reply_one(waiting, out);
        }
        if is_refused {
            return;
        }
        match &invitation.state {
            State::Ended { end, .. } if *end != InvitationEnd::Accepted => {}
            _ => {
                invitation.state = State::Ended {
                    end: InvitationEnd::Unspecified,
                    response: String::new(),
                }
            }
        }
        Self::tell_end(caller, invitation, false, kernel, out);
        Self::drop_invitation(caller.clone(), id, kernel, out);
    }

    /// What is not there any more needs no cancelling.
    fn finish_canceled(told: Told, kernel: &mut Kernel, out: &mut dyn Sink) {
        if let Told::Ended(waiting) = told {
            for waiting in waiting {
                kernel.reply_one(waiting, out);
            }
        }
    }

    fn finish_waiting(told: Told, reason: String, kernel: &mut Kernel, out: &mut dyn Sink) {
        match told {
            Told::Sent(caller) => {
                let text = format!("the invitation cannot be recorded: {reason}");
                kernel.reply_error(caller, error(Outcome::Unavailable, text), out);
            }
            Told::Ended(waiting) => {
                for caller in waiting {
                    kernel.reply_one(caller, out);
                }
            }
            _ => {}
        }
    }
}

impl Later {
    /// What is told of a write that has met somebody else's record, with those who wait for an end
    /// that was not written.
    fn take_over(&mut self, told: Told) -> Told {
        let waiting = std::mem::take(&mut self.waiting);
        match told {
            Told::Ended(mut awaited) => {
                awaited.extend(waiting);
                Told::Ended(awaited)
            }
            told if waiting.is_empty() => told,
            _ => Told::Ended(waiting),
        }
    }
}
