//! Call invitations at the callee's hub: what rings at a session, and what its client says to it.
//!
//! Nothing is decided here: the record is at the caller's hub (`invitations`).

use bytes::Bytes;
use tidings_fault::fault;
use tidings_wire::codes::Outcome;
use tidings_wire::frame::encode_server;
use tidings_wire::limits::{INVITATION_DECISION_WAIT_MS, INVITATIONS_INCOMING_MAX};
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{InvitationEnd, RemoteInvitationEnded};

use crate::bus_ops::{CalleeWord, Decision, InvitationWord, RingFate};
use crate::ids::{ConnectionId, HubId, InvitationId, SessionKey, UserKey};
use crate::invitations::check::check_text;
use crate::invitations::record::end_by_record;
use crate::invitations::slot::Ringing;
use crate::invitations::state::{InvitationStore, Invitations};
use crate::io::Sink;
use crate::kernel::Kernel;
use crate::kernel::caller::Caller;
use crate::kernel::outbox::Source;
use crate::kernel::reply::error;
use crate::kernel::session::Session;
use crate::kernel::timers::Timer;
use crate::kernel::users::Stage;
use crate::store_ops::{InvitationName, StoreAnswer, StoreOp};

/// After ringing this long, in milliseconds, an invitation's record is read again: its end should
/// have arrived by now.
const RING_CHECK_MS: u64 = INVITATION_DECISION_WAIT_MS + 15_000;

/// When it is looked up after a restart, or after a look that failed, in milliseconds.
const RING_CHECK_SOON_MS: u64 = 5_000;

impl Invitations {
    /// A word about an invitation has come on a user's topic.
    pub(crate) fn handle_invitation_word(
        &mut self,
        user: &UserKey,
        from: HubId,
        word: &InvitationWord,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        match word {
            InvitationWord::Ring { id, caller, frame } => {
                Self::ring(user, (*id, from), caller, frame, kernel, out)
            }
            InvitationWord::Ended { id, end } => Self::end_ring(user, *id, *end, kernel, out),
            InvitationWord::Back { id, word } => {
                if let Some(invitation) = self.invitation(user, *id) {
                    invitation.rings_by = Some(from);
                }
                self.handle_callee_word(user, *id, word, kernel, out)
            }
            InvitationWord::CallerBack { holds } => self.end_leftovers(user, holds, kernel, out),
            InvitationWord::TakenOver { id, revision } => {
                self.drop_taken_over(user, *id, *revision, out);
            }
        }
    }

    /// Rings at the user's session, once; says that the user is there.
    fn ring(
        user: &UserKey,
        (id, from): (InvitationId, HubId),
        caller: &UserKey,
        frame: &Bytes,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(key) = kernel.users.get(user).and_then(|entry| entry.session) else {
            // The user has logged out while the word was on its way.
            return;
        };
        let Some(session) = kernel.sessions.get_mut(key).filter(|s| s.is_here()) else {
            // The user is gone; the ring is repeated until it is back or time is up.
            return;
        };
        let rings_on = session.traits.rings_on;
        let rings_already = session
            .invitations
            .rings
            .iter()
            .any(|ringing| ringing.id == id)
            && !fault!(EveryOfferRings);
        if !rings_already && session.invitations.rings.len() < INVITATIONS_INCOMING_MAX {
            let sseq = session.push(frame.clone(), Source::Call, out);
            session.invitations.rings.push(Ringing {
                id,
                caller: caller.clone(),
                by: Some(from),
                sseq,
                is_received: false,
                is_checked: false,
                decision: None,
            });
            kernel
                .timers
                .set(kernel.now.mono_ms + RING_CHECK_MS, Timer::Ring(key, id));
        }
        // What was said of it may have been lost with the caller's hub.
        let mut ringing = session
            .invitations
            .rings
            .iter_mut()
            .find(|ringing| ringing.id == id);
        if let Some(ringing) = &mut ringing {
            ringing.by = Some(from);
        }
        let known = ringing.filter(|ringing| ringing.is_received && !ringing.is_checked);
        let word = match known {
            Some(ringing) => match &ringing.decision {
                Some(decision) => CalleeWord::Decided(decision.clone()),
                None => CalleeWord::Received { rings_on },
            },
            None => CalleeWord::IsThere { rings_on },
        };
        Self::tell_caller(caller.clone(), id, word, out);
    }

    /// The client has processed everything up to `sseq`, rings too.
    pub(crate) fn confirm_rings(
        key: SessionKey,
        sseq: u64,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(session) = kernel.sessions.get_mut(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        let rings_on = session.traits.rings_on;
        let mut received = Vec::new();
        for ringing in &mut session.invitations.rings {
            if !ringing.is_received && ringing.sseq <= sseq {
                ringing.is_received = true;
                received.push((ringing.caller.clone(), ringing.id));
            }
        }
        for (caller, id) in received {
            Self::tell_caller(caller, id, CalleeWord::Received { rings_on }, out);
        }
    }

    /// A client that processes late lets an invitation ring.
    pub(crate) fn handle_rung(
        connection: ConnectionId,
        id: InvitationId,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(Stage::Serving(key)) = kernel.connections.get(&connection) else {
            // The connection was closed while the word was on its way.
            return;
        };
        let Some(session) = kernel.sessions.get_mut(*key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        let rings_on = session.traits.rings_on;
        let ringing = session
            .invitations
            .rings
            .iter_mut()
            .find(|ringing| ringing.id == id);
        if let Some(ringing) = ringing.filter(|ringing| !ringing.is_received) {
            ringing.is_received = true;
            let caller = ringing.caller.clone();
            Self::tell_caller(caller, id, CalleeWord::Received { rings_on }, out);
        }
    }

    /// The callee accepts or refuses. If it has ended in the meantime, its client has been told
    /// already.
    pub(crate) fn handle_decision(
        caller: Caller,
        id: &[u8],
        decision: Decision,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(key) = kernel.session_of(caller, out) else {
            // It is answered.
            return;
        };
        let (Decision::Accept(response) | Decision::Refuse(response)) = &decision;
        if let Err(error) = check_text("response", response) {
            return kernel.reply_error(caller, error, out);
        }
        let Ok(id) = <[u8; 16]>::try_from(id).map(InvitationId) else {
            let text = format!("an invitation's id has {} bytes; 16 are needed", id.len());
            return kernel.reply_error(caller, error(Outcome::InvalidArgument, text), out);
        };
        let mut holder = key;
        if fault!(AnyoneMayAccept) {
            let holds = |session: &crate::kernel::session::Session| {
                session
                    .invitations
                    .rings
                    .iter()
                    .any(|ringing| ringing.id == id)
            };
            let other = kernel.sessions.iter().find(|(_, session)| holds(session));
            holder = other.map_or(key, |(other, _)| other);
        }
        let Some(session) = kernel.sessions.get_mut(holder) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        let ringing = session
            .invitations
            .rings
            .iter_mut()
            .find(|ringing| ringing.id == id);
        if let Some(ringing) = ringing {
            // Who decides has heard it, confirmed or not.
            ringing.is_received = true;
            ringing.decision = Some(decision.clone());
            let (caller, is_checked) = (ringing.caller.clone(), ringing.is_checked);
            // It follows when it is known that there is such an invitation.
            if !is_checked {
                Self::tell_caller(caller, id, CalleeWord::Decided(decision), out);
            }
        }
        kernel.reply_done(caller, out);
    }

    pub(crate) fn end_ring(
        user: &UserKey,
        id: InvitationId,
        end: InvitationEnd,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let session = kernel.find_session(user, |session| {
            let mut rings = session.invitations.rings.iter();
            rings.any(|ringing| ringing.id == id)
        });
        let Some(session) = session.and_then(|key| kernel.sessions.get_mut(key)) else {
            // It does not ring here, or the user has logged out while the word was on its way.
            return;
        };
        if let Some(index) = session
            .invitations
            .rings
            .iter()
            .position(|ringing| ringing.id == id)
        {
            Self::end_ring_at(session, index, end, out);
        }
    }

    fn end_ring_at(session: &mut Session, index: usize, end: InvitationEnd, out: &mut dyn Sink) {
        debug_assert!(index < session.invitations.rings.len(), "it does not ring");
        let ringing = session.invitations.rings.remove(index);
        // A ring that is still on its way must not be heard after the end. The end is told anyway:
        // the client may have had the ring without our knowing.
        session.outbox.withdraw(ringing.sseq);
        let frame = encode_server(Kind::RemoteInvitationEnded(RemoteInvitationEnded {
            id: Bytes::copy_from_slice(&ringing.id.0),
            end: end.into(),
        }));
        session.push(frame, Source::Call, out);
    }

    // ------------------------------------------------------------ does it ring still?

    /// The word of an end can be lost with the hub that would have told it, or come before a
    /// session is back after a restart: what rings for long is looked up in its record.
    pub(crate) fn check_ring(
        &mut self,
        key: SessionKey,
        id: InvitationId,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(session) = kernel.sessions.get_mut(key) else {
            // A timer of a session that has ended.
            return;
        };
        let ringing = session
            .invitations
            .rings
            .iter_mut()
            .find(|ringing| ringing.id == id);
        if let Some(ringing) = ringing {
            ringing.is_checked = true;
            let caller = ringing.caller.clone();
            self.look_up_ring(key, caller, id, kernel, out);
        }
    }

    /// What rings at a restored session: its end may have been told before the session was there.
    pub(crate) fn check_restored_rings(key: SessionKey, kernel: &mut Kernel) {
        let Some(session) = kernel.sessions.get(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        let due_ms = kernel.now.mono_ms + RING_CHECK_SOON_MS;
        for ringing in &session.invitations.rings {
            kernel.timers.set(due_ms, Timer::Ring(key, ringing.id));
        }
    }

    /// A new session's client holds these open: whether they ring still is looked up.
    pub(crate) fn take_reported_rings(
        &mut self,
        key: SessionKey,
        reported: Vec<InvitationName>,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        for (caller, id) in reported {
            if let Some(session) = kernel.sessions.get_mut(key) {
                session
                    .invitations
                    .rings
                    .push(Ringing::reported(id, caller.clone()));
            }
            self.look_up_ring(key, caller, id, kernel, out);
        }
    }

    fn look_up_ring(
        &mut self,
        session: SessionKey,
        caller: UserKey,
        id: InvitationId,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let pending = InvitationStore::Ring {
            session,
            caller: caller.clone(),
            id,
        };
        let op = StoreOp::InvitationRead { caller, id };
        self.store(kernel, op, pending, out);
    }

    /// The record of what rings at a session is read.
    pub(crate) fn finish_ring_check(
        key: SessionKey,
        (caller, id): InvitationName,
        answer: StoreAnswer,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(session) = kernel.sessions.get_mut(key) else {
            // The session has ended since the record was asked for.
            return;
        };
        let is_it = |ringing: &Ringing| ringing.is_checked && ringing.id == id;
        let Some(index) = session.invitations.rings.iter().position(is_it) else {
            // Its end has arrived in the meantime.
            return;
        };
        let (end, again_ms) = match &answer {
            StoreAnswer::Invitation(stored) => {
                let stored = stored.as_ref();
                let state = stored.and_then(|stored| end_by_record(stored, &session.user));
                (
                    state.unwrap_or(Some(InvitationEnd::NotRecorded)),
                    RING_CHECK_MS,
                )
            }
            // The store cannot say.
            _ => (None, RING_CHECK_SOON_MS),
        };
        if let Some(end) = end {
            return Self::end_ring_at(session, index, end, out);
        }
        let rings_on = session.traits.rings_on;
        let ringing = &mut session.invitations.rings[index];
        ringing.is_checked = false;
        let received = ringing
            .is_received
            .then_some(CalleeWord::Received { rings_on });
        let decided = ringing.decision.clone().map(CalleeWord::Decided);
        let timer = Timer::Ring(key, id);
        kernel.timers.set(kernel.now.mono_ms + again_ms, timer);
        for word in received.into_iter().chain(decided) {
            Self::tell_caller(caller.clone(), id, word, out);
        }
    }

    /// The session ends: the callers' hubs are told.
    pub(crate) fn end_rings(
        key: SessionKey,
        fate: RingFate,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(session) = kernel.sessions.get_mut(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        for ringing in std::mem::take(&mut session.invitations.rings) {
            let word = CalleeWord::SessionOver(fate);
            Self::tell_caller(ringing.caller, ringing.id, word, out);
        }
    }

    fn tell_caller(caller: UserKey, id: InvitationId, word: CalleeWord, out: &mut dyn Sink) {
        Self::tell_writer(caller, InvitationWord::Back { id, word }, out);
    }
}
