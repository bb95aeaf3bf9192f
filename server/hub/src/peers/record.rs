//! Deliveries and the inbox's state in a snapshot.

use bytes::Bytes;

use crate::bus_ops::{AskId, MessageKind, Parcel};
use crate::ids::{HubId, MessageId, UserKey};
use crate::peers::slot::{BEHIND_MAX, DELIVERIES_MAX, Delivery, InboxState, Origin, PeerSlot};
use crate::snapshot::record::{DeliveryRecord, InboxRecord, LossesRecord, PairRecord};
use crate::store_ops::InboxLosses;

impl Delivery {
    /// Its sender has been answered before a snapshot is taken.
    pub(crate) fn to_record(&self) -> DeliveryRecord {
        DeliveryRecord {
            sseq: self.sseq,
            id: self.parcel.id.0.to_vec(),
            is_stored: self.is_storing,
            kind: match self.parcel.kind {
                MessageKind::Text => 0,
                MessageKind::Media => 1,
                MessageKind::Library => 2,
            },
        }
    }

    fn from_record(record: &DeliveryRecord, user: &UserKey) -> Option<Self> {
        let parcel = Parcel {
            id: MessageId(<[u8; 16]>::try_from(&record.id[..]).ok()?),
            from: user.clone(),
            server_ts: 0,
            frame: Bytes::new(),
            offline: None,
            lasts_until: 0,
            kind: match record.kind {
                0 => MessageKind::Text,
                1 => MessageKind::Media,
                2 => MessageKind::Library,
                _ => return None,
            },
        };
        Some(Self {
            sseq: record.sseq,
            parcel,
            // Nobody: it is answered.
            from: Origin::Hub((HubId::local(0), AskId::new(0))),
            since_ms: 0,
            is_storing: record.is_stored,
            is_answered: true,
            is_written: true,
        })
    }
}

impl PeerSlot {
    /// `None`: numbers that contradict each other or the last frame that was sent, or more than a
    /// session may hold.
    pub(crate) fn from_records(
        deliveries: &[DeliveryRecord],
        inbox: InboxRecord,
        (sent, user): (u64, &UserKey),
    ) -> Option<Self> {
        let is_sound = deliveries.is_sorted_by(|a, b| a.sseq < b.sseq)
            && deliveries.last().is_none_or(|last| last.sseq <= sent)
            && deliveries.len() <= DELIVERIES_MAX + BEHIND_MAX;
        if !is_sound {
            return None;
        }
        let deliveries = deliveries.iter();
        Some(Self {
            deliveries: deliveries
                .map(|delivery| Delivery::from_record(delivery, user))
                .collect::<Option<_>>()?,
            check_ms: None,
            inbox: InboxState::from_record(inbox, sent)?,
        })
    }
}

impl InboxState {
    pub(crate) fn to_record(&self) -> InboxRecord {
        let pair = |(sseq, inbox): &(u64, u64)| PairRecord {
            sseq: *sseq,
            inbox: *inbox,
        };
        InboxRecord {
            seen: self.seen,
            page_end: self.page_end,
            delivered: self.delivered.iter().map(pair).collect(),
            losses: self.losses.as_deref().map(|(sseq, losses)| LossesRecord {
                sseq: *sseq,
                overflowed: losses.overflowed,
                expired: losses.expired,
                damaged: losses.damaged,
            }),
            latest_ts: self.latest_ts,
        }
    }

    /// `None`: numbers that contradict each other, or the last frame that was sent.
    fn from_record(record: InboxRecord, sent: u64) -> Option<Self> {
        let delivered = &record.delivered;
        let told = record.losses.as_ref().map_or(0, |losses| losses.sseq);
        let is_sound = delivered.is_sorted_by(|a, b| a.sseq < b.sseq)
            && delivered.iter().all(|pair| pair.inbox <= record.seen)
            && delivered.last().is_none_or(|pair| pair.sseq <= sent)
            && record.page_end.unwrap_or(0).max(told) <= sent;
        if !is_sound {
            return None;
        }
        let pair = |pair: PairRecord| (pair.sseq, pair.inbox);
        let losses = record.losses.map(|losses| {
            let counts = InboxLosses {
                overflowed: losses.overflowed,
                expired: losses.expired,
                damaged: losses.damaged,
            };
            Box::new((losses.sseq, counts))
        });
        Some(Self {
            seen: record.seen,
            page_end: record.page_end,
            delivered: record.delivered.into_iter().map(pair).collect(),
            losses,
            latest_ts: record.latest_ts,
            ..Self::default()
        })
    }
}
