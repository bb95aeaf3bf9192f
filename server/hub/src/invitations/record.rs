//! An invitation as it is written down. Its times are kept as spans, since the clock of the next
//! process may be another; what has passed between two processes is measured by a clock that the
//! machine keeps (contract CRA-7).

use bytes::Bytes;
use prost::Message as _;
use tidings_wire::frame::decode_server;
use tidings_wire::limits::INVITATION_CONFIRM_WAIT_MS;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{IncomingInvitation, InvitationEnd};

use crate::ids::{HubId, InvitationId, SessionId, UserKey};
use crate::invitations::state::{CALLEE_BACK_WAIT_MS, Invitation, Invitations, Later, State};
use crate::kernel::Kernel;
use crate::snapshot::record::UserRecord;
use crate::snapshot::{from_session_id, from_user, to_user};
use crate::store_ops::StoredInvitation;

/// What a record says of its invitation, for those who judge from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// What the caller says to the callee: tells invitations of a test apart.
    pub content: String,
    /// Names it between the caller's client and the server.
    pub number: u64,
    /// The callee's client has had it.
    pub is_received: bool,
    /// How it has ended, if it has.
    pub end: Option<InvitationEnd>,
    /// It rings until somebody ends it.
    pub rings_on: bool,
}

impl Recorded {
    /// Reads a record. `None`: this version has not written it.
    pub fn read(body: &Bytes) -> Option<Self> {
        let record = InvitationRecord::decode(body.clone()).ok()?;
        let ring = ring_of(&record.frame)?;
        Some(Self {
            content: ring.content,
            number: record.number,
            is_received: record.is_received,
            end: match record.state {
                ENDED => InvitationEnd::try_from(record.end).ok(),
                _ => None,
            },
            rings_on: record.rings_on_ms.is_some(),
        })
    }
}

/// What an invitation says, from the WebSocket frame that the callee's client is sent.
pub(crate) fn ring_of(frame: &Bytes) -> Option<IncomingInvitation> {
    // Such a frame begins with two bytes, or four when it is long.
    let header = if frame.get(1)? & 127 == 126 { 4 } else { 2 };
    let mut messages = decode_server(frame.get(header..)?).ok()?.messages;
    match messages.pop()?.kind? {
        Kind::IncomingInvitation(ring) => Some(ring),
        _ => None,
    }
}

const PENDING: u32 = 0;

const RINGING: u32 = 1;

const ACCEPTING: u32 = 2;

const ENDED: u32 = 3;

/// Later versions read what earlier ones have written: a field is added, never changed.
#[derive(Clone, PartialEq, prost::Message)]
struct InvitationRecord {
    #[prost(bytes = "vec", tag = "1")]
    id: Vec<u8>,
    #[prost(uint64, tag = "2")]
    number: u64,
    #[prost(message, optional, tag = "3")]
    callee: Option<UserRecord>,
    #[prost(bytes = "bytes", tag = "4")]
    frame: Bytes,
    #[prost(bool, tag = "5")]
    is_received: bool,
    #[prost(bool, tag = "6")]
    was_callee_there: bool,
    /// Since it was sent, when this was written.
    #[prost(uint64, tag = "7")]
    age_ms: u64,
    #[prost(uint32, tag = "8")]
    state: u32,
    /// Of an acceptance, or of the end.
    #[prost(string, tag = "9")]
    response: String,
    #[prost(int32, tag = "10")]
    end: i32,
    /// Until its callee is waited for no longer, if it rings on.
    #[prost(uint64, optional, tag = "11")]
    rings_on_ms: Option<u64>,
    /// The login that has sent it, or has taken it over.
    #[prost(bytes = "vec", tag = "12")]
    session: Vec<u8>,
    /// The hub that has written this.
    #[prost(uint32, tag = "13")]
    hub: u32,
    /// When this was written, on both clocks, and which start of the machine the monotonic one
    /// counts from.
    #[prost(uint64, tag = "14")]
    written_ts: u64,
    #[prost(uint64, tag = "15")]
    written_ms: u64,
    #[prost(uint64, tag = "16")]
    boot: u64,
    #[prost(bool, tag = "17")]
    is_from_outside: bool,
}

/// What the clocks say where a record is written or read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordClock {
    hub: HubId,
    /// The hub's own clock.
    now_ms: u64,
    /// The node's monotonic clock.
    node_ms: u64,
    /// Unix milliseconds.
    unix_ms: u64,
    /// 0 = the monotonic clock begins with the process.
    boot: u64,
}

impl RecordClock {
    /// What has passed since a record was written, in milliseconds. The wall clock is asked only
    /// when the machine was restarted: nothing else has run since.
    fn passed_ms(self, record: &InvitationRecord) -> u64 {
        if record.boot != 0 && record.boot == self.boot {
            self.node_ms.saturating_sub(record.written_ms)
        } else {
            self.unix_ms.saturating_sub(record.written_ts)
        }
    }
}

/// What a record says beside the invitation itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    /// The hub that has written it.
    pub(crate) hub: HubId,
    /// Since it was written, in milliseconds.
    pub(crate) passed_ms: u64,
}

/// How a record says that what rings at this callee has ended; `Some(None)` = it has not. `None`:
/// no such record.
pub(crate) fn end_by_record(
    stored: &StoredInvitation,
    callee: &UserKey,
) -> Option<Option<InvitationEnd>> {
    let record = InvitationRecord::decode(stored.body.clone()).ok()?;
    let is_its = from_user(record.callee?)? == *callee;
    is_its.then(|| match record.state {
        ENDED => InvitationEnd::try_from(record.end).ok(),
        _ => None,
    })
}

impl Invitations {
    pub(crate) fn record_clock(&self, kernel: &Kernel) -> RecordClock {
        RecordClock {
            hub: kernel.config.id,
            now_ms: kernel.now.mono_ms,
            node_ms: kernel.node_ms(),
            unix_ms: kernel.clock.wall.unix_ms(),
            boot: self.boot,
        }
    }
}

impl Invitation {
    pub(crate) fn to_record(&self, clock: RecordClock) -> Bytes {
        let now_ms = clock.now_ms;
        let (state, response, end) = match &self.state {
            State::Pending { .. } => (PENDING, String::new(), InvitationEnd::Unspecified),
            State::Ringing => (RINGING, String::new(), InvitationEnd::Unspecified),
            State::Accepting { response, .. } => {
                (ACCEPTING, response.clone(), InvitationEnd::Unspecified)
            }
            State::Ended { end, response } => (ENDED, response.clone(), *end),
        };
        let record = InvitationRecord {
            id: self.id.0.to_vec(),
            number: self.number,
            callee: Some(to_user(&self.callee)),
            frame: self.frame.clone(),
            is_received: self.is_received,
            was_callee_there: self.was_callee_there,
            age_ms: now_ms.saturating_sub(self.sent_ms),
            state,
            response,
            end: end.into(),
            rings_on_ms: (self.rings_on).map(|until_ms| until_ms.saturating_sub(now_ms)),
            session: self.session.0.to_vec(),
            hub: clock.hub.number(),
            written_ts: clock.unix_ms,
            written_ms: clock.node_ms,
            boot: clock.boot,
            is_from_outside: self.is_from_outside,
        };
        Bytes::from(record.encode_to_vec())
    }

    /// An invitation that nobody owns, with what its record says beside. `None`: this version has
    /// not written it.
    ///
    /// The callee's client must be found again, and a caller's client that was being asked is asked
    /// again: their sessions are another now.
    pub(crate) fn from_record(
        stored: &StoredInvitation,
        clock: RecordClock,
    ) -> Option<(Self, Origin)> {
        let record = InvitationRecord::decode(stored.body.clone()).ok()?;
        let (now_ms, passed_ms) = (clock.now_ms, clock.passed_ms(&record));
        let origin = Origin {
            hub: HubId::from_number(record.hub),
            passed_ms,
        };
        let invitation = Self {
            id: InvitationId(<[u8; 16]>::try_from(&record.id[..]).ok()?),
            number: record.number,
            session: from_session_id(&record.session).unwrap_or(SessionId([0; 16])),
            owner: None,
            revision: stored.revision,
            callee: from_user(record.callee?)?,
            frame: record.frame,
            state: match record.state {
                PENDING | RINGING => State::Pending { again_ms: now_ms },
                ACCEPTING => State::Accepting {
                    until_ms: now_ms + INVITATION_CONFIRM_WAIT_MS,
                    response: record.response,
                },
                ENDED => State::Ended {
                    end: InvitationEnd::try_from(record.end).ok()?,
                    response: record.response,
                },
                _ => return None,
            },
            rings_by: None,
            is_received: record.is_received,
            was_callee_there: record.was_callee_there,
            sent_ms: now_ms.saturating_sub(record.age_ms.saturating_add(passed_ms)),
            is_from_outside: record.is_from_outside,
            rings_on: (record.rings_on_ms).map(|_| now_ms + CALLEE_BACK_WAIT_MS),
            writes: 0,
            later: Later::default(),
        };
        Some((invitation, origin))
    }
}
