//! An invitation in a snapshot: its deadlines are kept as spans, since the clock of the next process is another.

use super::{Invitation, State};
use crate::ids::InvitationId;
use crate::snapshot::record::InvitationRecord;
use crate::snapshot::{from_user, to_user};

impl Invitation {
    pub(crate) fn to_record(&self, now_ms: u64) -> InvitationRecord {
        let (state, until_ms, response) = match &self.state {
            State::Pending { again_ms } => (0, *again_ms, String::new()),
            State::Ringing => (1, now_ms, String::new()),
            State::Accepting { until_ms, response } => (2, *until_ms, response.clone()),
        };
        InvitationRecord {
            id: self.id.0.to_vec(),
            number: self.number,
            callee: Some(to_user(&self.callee)),
            frame: self.frame.clone(),
            is_received: self.is_received,
            was_callee_there: self.was_callee_there,
            age_ms: now_ms.saturating_sub(self.sent_ms),
            state,
            left_ms: until_ms.saturating_sub(now_ms),
            response,
            rings_on_ms: (self.rings_on).map(|until_ms| until_ms.saturating_sub(now_ms)),
        }
    }

    /// With the time at which something is due. `None`: a record that this version has not written.
    pub(crate) fn from_record(record: InvitationRecord, now_ms: u64) -> Option<(Self, u64)> {
        let until_ms = now_ms.saturating_add(record.left_ms);
        let invitation = Self {
            id: InvitationId(<[u8; 16]>::try_from(&record.id[..]).ok()?),
            number: record.number,
            callee: from_user(record.callee?)?,
            frame: record.frame,
            state: match record.state {
                0 => State::Pending { again_ms: until_ms },
                1 => State::Ringing,
                2 => State::Accepting {
                    until_ms,
                    response: record.response,
                },
                _ => return None,
            },
            is_received: record.is_received,
            was_callee_there: record.was_callee_there,
            sent_ms: now_ms.saturating_sub(record.age_ms),
            rings_on: record
                .rings_on_ms
                .map(|left_ms| now_ms.saturating_add(left_ms)),
        };
        let due_ms = invitation.due_ms();
        Some((invitation, due_ms))
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }
}
