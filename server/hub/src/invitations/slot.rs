//! Invitations in a session's hands.

use thin_vec::ThinVec;
use tidings_wire::limits::{
    INVITATIONS_INCOMING_MAX, INVITATIONS_OPEN_MAX, INVITATIONS_REPORTED_MAX,
};
use tidings_wire::names::{NameRule, UserId};
use tidings_wire::proto::Login;

use crate::bus_ops::Decision;
use crate::ids::{HubId, InvitationId, SessionId, UserKey};
use crate::kernel::caller::Caller;
use crate::kernel::outbox::Outbox;
use crate::snapshot::record::RingRecord;
use crate::snapshot::{from_user, to_user};
use crate::store_ops::InvitationName;

/// An invitation that a new session's client holds open, whose record is being read.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    pub(crate) number: u64,
    pub(crate) id: InvitationId,
    /// Its client has cancelled it since, and waits for that to be durable.
    pub(crate) canceled: Option<Caller>,
}

/// What a client holds open when it logs in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reports {
    /// Sent by it. Bound: `INVITATIONS_OPEN_MAX`.
    pub(crate) sent: Vec<Report>,
    /// Ringing at it, with who has sent them. Bound: `INVITATIONS_REPORTED_MAX`.
    pub(crate) ringing: Vec<InvitationName>,
}

impl Reports {
    /// What is not well formed is left out: no record could be meant.
    pub(crate) fn of(login: &Login, user: &UserKey) -> Self {
        let listed = || login.invitations.iter().take(INVITATIONS_REPORTED_MAX);
        let sent = listed()
            .filter(|open| open.id.is_empty())
            .filter_map(|sent| {
                let session = SessionId(<[u8; 16]>::try_from(&sent.session_id[..]).ok()?);
                Some(Report {
                    number: sent.number,
                    id: InvitationId::new(session, sent.number),
                    canceled: None,
                })
            });
        let ringing = listed().filter_map(|ringing| {
            let caller = UserKey {
                app: user.app.clone(),
                user: UserId::parse_by(NameRule::Wide, &ringing.caller_id).ok()?,
            };
            let id = <[u8; 16]>::try_from(&ringing.id[..]).ok()?;
            Some((caller, InvitationId(id)))
        });
        Self {
            sent: sent.take(INVITATIONS_OPEN_MAX).collect(),
            ringing: ringing.collect(),
        }
    }

    /// All of them.
    pub(crate) fn ids(&self) -> Vec<InvitationId> {
        let sent = self.sent.iter().map(|report| report.id);
        sent.chain(self.ringing.iter().map(|(_, id)| *id)).collect()
    }

    /// The highest number of what it has sent.
    pub(crate) fn last_number(&self) -> u64 {
        self.sent
            .iter()
            .map(|report| report.number)
            .max()
            .unwrap_or(0)
    }
}

/// An invitation that rings at a session.
#[derive(Debug)]
pub(crate) struct Ringing {
    pub(crate) id: InvitationId,
    pub(crate) caller: UserKey,
    /// The hub that has offered it last; one of a node that was lost is stood for by something
    /// else. Not known of what was taken over from a session before.
    pub(crate) by: Option<HubId>,
    /// The ring's number in the outbox; 0 = an earlier session's.
    pub(crate) sseq: u64,
    /// The client has confirmed it.
    pub(crate) is_received: bool,
    /// Whether it still rings is being looked up; what is decided until then is told afterwards.
    pub(crate) is_checked: bool,
    /// What the callee has decided: told again with the next ring, as the caller's hub may not have
    /// had it.
    pub(crate) decision: Option<Decision>,
}

impl Ringing {
    /// What a client held open when it logged in.
    pub(crate) fn reported(id: InvitationId, caller: UserKey) -> Self {
        Self {
            id,
            caller,
            by: None,
            sseq: 0,
            is_received: true,
            is_checked: true,
            decision: None,
        }
    }

    pub(crate) fn to_record(&self) -> RingRecord {
        RingRecord {
            id: self.id.0.to_vec(),
            caller: Some(to_user(&self.caller)),
            sseq: self.sseq,
            is_received: self.is_received,
        }
    }

    pub(crate) fn from_record(record: RingRecord) -> Option<Self> {
        Some(Self {
            id: InvitationId(<[u8; 16]>::try_from(&record.id[..]).ok()?),
            caller: from_user(record.caller?)?,
            by: None,
            sseq: record.sseq,
            is_received: record.is_received,
            is_checked: false,
            decision: None,
        })
    }
}

/// Invitations that a session's client has sent or is sent.
#[derive(Debug, Default)]
pub(crate) struct InvitationSlot {
    /// Those that its client held open when it logged in, whose records are being read. Bound:
    /// `INVITATIONS_OPEN_MAX`.
    pub(crate) reported: ThinVec<Report>,
    /// Highest number that it has given an invitation.
    pub(crate) last_number: u64,
    /// Those that ring at its client. Bound: `INVITATIONS_INCOMING_MAX`.
    pub(crate) rings: ThinVec<Ringing>,
}

impl InvitationSlot {
    /// Asserts what holds between two inputs.
    pub(crate) fn assert_consistent(&self, outbox: &Outbox) {
        assert!(
            self.reported.len() <= INVITATIONS_OPEN_MAX,
            "too many reports"
        );
        let rings_max = INVITATIONS_INCOMING_MAX + INVITATIONS_REPORTED_MAX;
        assert!(self.rings.len() <= rings_max, "too many invitations ring");
        for (at, ringing) in self.rings.iter().enumerate() {
            let again = self.rings[at + 1..]
                .iter()
                .any(|other| other.id == ringing.id);
            assert!(!again, "an invitation rings twice");
            assert!(ringing.sseq <= outbox.sent(), "a ring without a frame");
        }
        let has_number = |report: &Report| report.number <= self.last_number;
        assert!(
            self.reported.iter().all(has_number),
            "a report above the last number"
        );
    }
}
