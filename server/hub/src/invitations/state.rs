//! What a hub remembers of invitations that its users have sent.

use bytes::Bytes;
use tidings_fault::fault;
use tidings_wire::frame::encode_server;
use tidings_wire::limits::{INVITATION_DECISION_WAIT_MS, INVITATION_RECEIPT_WAIT_MS};
use tidings_wire::names::UserId;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{IncomingInvitation, InvitationEnd, Invite};

use crate::ids::{HubId, InvitationId, SessionId, SessionKey, UserKey};
use crate::io::Sink;
use crate::kernel::Kernel;
use crate::kernel::caller::Caller;
use crate::kernel::maps::{Map, NumberMap, SeededHasher, number_map};
use crate::kernel::stores::StoreTag;
use crate::store_ops::StoreOp;

/// How long a callee that was lost while an invitation rings on may take to come back, in
/// milliseconds. Source: signaling 8.2, of a callee that is offline.
pub(crate) const CALLEE_BACK_WAIT_MS: u64 = 20_000;

/// An invitation until both sides are told its end.
#[derive(Debug)]
pub(crate) struct Invitation {
    pub(crate) id: InvitationId,
    /// Names it between the caller's client and us.
    pub(crate) number: u64,
    /// The login that has sent it, or has taken it over.
    pub(crate) session: SessionId,
    /// Its caller's session here; `None` = the session is lost, and its client may take the
    /// invitation over.
    pub(crate) owner: Option<SessionKey>,
    /// Of its record, as of the last write that the store was given.
    pub(crate) revision: u64,
    pub(crate) callee: UserKey,
    /// The ring, as the callee's client is sent it.
    pub(crate) frame: Bytes,
    pub(crate) state: State,
    /// The hub that has spoken for the callee last; one of a node that was lost is stood for by
    /// something else. `None` before any has.
    pub(crate) rings_by: Option<HubId>,
    /// Some client of the callee has had it: the caller has been told so.
    pub(crate) is_received: bool,
    /// The callee was there at some time since it was sent.
    pub(crate) was_callee_there: bool,
    /// When it was sent, in monotonic milliseconds: every deadline counts from here (contract
    /// INV-7), but for invitations that ring on.
    pub(crate) sent_ms: u64,
    /// It was sent from outside: nobody owns it, and whoever is invited need only accept.
    pub(crate) is_from_outside: bool,
    /// It rings until one side ends it; the callee's client, if lost, is waited for until this
    /// time, in monotonic milliseconds.
    pub(crate) rings_on: Option<u64>,
    /// Writes of its record that the store has not answered.
    pub(crate) writes: u16,
    /// What is written, and told, once it has.
    pub(crate) later: Later,
}

/// What has become of an invitation while its record was being written. It waits for the answer:
/// if the record is somebody else's by now, a write that counted on ours would replace theirs.
#[derive(Debug, Default)]
pub(crate) struct Later {
    pub(crate) is_received: bool,
    pub(crate) is_accepting: bool,
    /// Another session has taken it over.
    pub(crate) is_taken_over: bool,
    /// It has ended, which is not written yet.
    pub(crate) is_over: bool,
    /// Who is answered when its end is durable. Bound: open requests.
    pub(crate) waiting: Vec<Caller>,
}

/// Invitations that users of this hub have sent.
#[derive(Debug)]
pub(crate) struct Invitations {
    /// By who has sent them. Bound: `INVITATIONS_OPEN_MAX` per session, and what a restart has
    /// left.
    pub(crate) sent: Map<UserKey, Vec<Invitation>>,
    /// As in [`crate::Input::Load`].
    pub(crate) boot: u64,
    /// Until then, in monotonic milliseconds, there may be invitations that nobody owns.
    pub(crate) leftovers_until_ms: u64,
    /// Store operations under way, by their tickets. Bound: each belongs to an invitation, or to
    /// the start.
    pub(crate) stores: NumberMap<InvitationStore>,
}

/// What a store operation was for.
#[derive(Debug)]
pub(crate) enum InvitationStore {
    /// An invitation's record is written before what it says is told.
    Write(Box<Write>),
    /// What the process before has left; of so many hubs.
    Left { hubs: u16 },
    /// A new session's client holds open what it has sent.
    Report {
        session: SessionKey,
        id: InvitationId,
    },
    /// At a session rings what this caller has sent: does it still?
    Ring {
        session: SessionKey,
        caller: UserKey,
        id: InvitationId,
    },
}

impl Invitations {
    pub(crate) fn new(hasher: SeededHasher) -> Self {
        Self {
            sent: hasher.map(),
            boot: 0,
            leftovers_until_ms: 0,
            stores: number_map(),
        }
    }

    pub(crate) fn store(
        &mut self,
        kernel: &mut Kernel,
        op: StoreOp,
        pending: InvitationStore,
        out: &mut dyn Sink,
    ) {
        let ticket = kernel.store(op, StoreTag::Invitations, out);
        self.stores.insert(ticket.0, pending);
    }
}

#[derive(Debug)]
pub(crate) enum State {
    /// It has not reached the callee's client; it is offered again at this time, in monotonic
    /// milliseconds.
    Pending { again_ms: u64 },
    /// The callee's client has it.
    Ringing,
    /// The callee accepts; the caller's client is asked until this time, in monotonic milliseconds.
    Accepting { until_ms: u64, response: String },
    /// It has ended; both sides are told when that is durable.
    Ended {
        end: InvitationEnd,
        response: String,
    },
}

impl Invitation {
    /// An invitation that is sent now, to be offered when its record is durable. `from`: its
    /// caller, its session or what stands for one, and who owns it.
    pub(crate) fn new(
        id: InvitationId,
        (user, session, owner): (&UserKey, SessionId, Option<SessionKey>),
        callee: UserId,
        call: Invite,
        now_ms: u64,
    ) -> Self {
        let frame = encode_server(Kind::IncomingInvitation(IncomingInvitation {
            id: Bytes::copy_from_slice(&id.0),
            caller_id: user.user.to_string(),
            content: call.content,
            channel: call.channel,
            r#type: call.r#type,
        }));
        Self {
            id,
            number: call.number,
            session,
            owner,
            revision: 0,
            callee: UserKey {
                app: user.app.clone(),
                user: callee,
            },
            frame,
            state: State::Pending { again_ms: u64::MAX },
            rings_by: None,
            is_received: false,
            was_callee_there: false,
            sent_ms: now_ms,
            is_from_outside: owner.is_none(),
            rings_on: None,
            writes: 0,
            later: Later::default(),
        }
    }

    /// When time alone changes something.
    pub(crate) fn due_ms(&self) -> u64 {
        match &self.state {
            State::Pending { again_ms } if fault!(InvitationNeverExpires) => *again_ms,
            State::Pending { again_ms } => (*again_ms).min(self.deadline_ms()),
            State::Ringing if fault!(InvitationNeverExpires) => u64::MAX,
            State::Ringing => self.deadline_ms(),
            State::Accepting { until_ms, .. } => *until_ms,
            State::Ended { .. } => u64::MAX,
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended { .. })
    }

    pub(crate) fn deadline_ms(&self) -> u64 {
        if let Some(until_ms) = self.rings_on {
            return until_ms;
        }
        let wait_ms = match self.is_received {
            true if fault!(InvitationExpiresEarly) => INVITATION_DECISION_WAIT_MS / 2,
            true => INVITATION_DECISION_WAIT_MS,
            false => INVITATION_RECEIPT_WAIT_MS,
        };
        self.sent_ms + wait_ms
    }
}

/// What is told once a write is durable.
#[derive(Debug)]
pub(crate) enum Told {
    /// The invitation is taken, and offered from now on.
    Sent(Caller),
    /// The callee's client has it.
    Received,
    /// The callee accepts: is it still open at the caller's client?
    AcceptAsked,
    /// The caller's new session has taken it over: it is told where it stood when that was written.
    /// What comes later is told with its own write.
    TakenOver {
        is_received: bool,
        is_accepting: bool,
    },
    /// It has ended. Who is answered then.
    Ended(Vec<Caller>),
}

impl Told {
    pub(crate) fn taken_over(invitation: &Invitation) -> Self {
        Self::TakenOver {
            is_received: invitation.is_received,
            is_accepting: matches!(invitation.state, State::Accepting { .. }),
        }
    }
}

/// A write of an invitation's record.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) caller: UserKey,
    pub(crate) id: InvitationId,
    pub(crate) told: Told,
}

impl Invitations {
    /// Asserts what holds between two inputs. Cost: O(invitations).
    pub(crate) fn assert_consistent(&self, kernel: &Kernel) {
        let stores = kernel.stores.count_of(StoreTag::Invitations);
        assert_eq!(
            self.stores.len(),
            stores,
            "operations without a reason, or the reverse"
        );
        let writes = self
            .stores
            .values()
            .filter(|of| matches!(of, InvitationStore::Write(_)));
        let writes = writes.count();
        let mut ended = 0;
        for (caller, all) in &self.sent {
            assert!(!all.is_empty(), "a caller without an invitation");
            for (at, invitation) in all.iter().enumerate() {
                let again = all[at + 1..].iter().any(|other| other.id == invitation.id);
                assert!(!again, "an invitation is kept twice");
                assert_eq!(invitation.callee.app, caller.app, "a callee of another app");
                invitation.assert_consistent(kernel.now.mono_ms);
                if invitation.has_ended() {
                    ended += 1;
                    continue;
                }
                let owner = invitation.owner.map(|key| kernel.sessions.get(key));
                if let Some(owner) = owner {
                    let user = owner.map(|session| &session.user);
                    assert_eq!(
                        user,
                        Some(caller),
                        "an open invitation of a session that is over"
                    );
                }
                let is_known =
                    invitation.is_received || !matches!(invitation.state, State::Ringing);
                assert!(is_known, "it rings at a client that has not had it");
            }
        }
        assert!(ended <= writes, "an end that nobody writes");
    }
}

impl Invitation {
    fn assert_consistent(&self, now_ms: u64) {
        assert!(self.number > 0, "invitations are counted from 1");
        assert!(!self.frame.is_empty(), "a ring without a frame");
        assert!(
            !self.is_from_outside || self.owner.is_none(),
            "an invitation from outside has a session"
        );
        assert!(self.sent_ms <= now_ms, "sent in the future");
        assert!(self.revision > 0, "an invitation that was never written");
        let later = &self.later;
        let is_blank =
            !(later.is_received || later.is_accepting || later.is_over || later.is_taken_over);
        assert!(
            is_blank || self.writes > 0,
            "what is decided waits for nothing"
        );
        assert!(
            later.waiting.is_empty() || self.has_ended(),
            "an end is awaited that is not decided"
        );
        match &self.state {
            State::Pending { again_ms } => assert!(*again_ms > 0, "offered at no time"),
            State::Ringing => assert!(self.is_received, "it rings at nobody"),
            State::Accepting { until_ms, .. } => assert!(*until_ms > 0, "asked for no time"),
            State::Ended { .. } => {}
        }
    }
}
