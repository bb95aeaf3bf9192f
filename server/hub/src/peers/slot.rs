//! Peer messages in a session's hands.

use std::collections::VecDeque;

use bytes::Bytes;
use thin_vec::ThinVec;
use tidings_wire::frame::restamp;

use crate::bus_ops::{Asker, Parcel};
use crate::ids::{MessageId, SessionKey, UserKey};
use crate::kernel::caller::Caller;
use crate::kernel::outbox::Outbox;
use crate::store_ops::{HistoryMessage, InboxLosses};

/// Live messages wait behind so many failed reads of the inbox; if the store fails for longer, they
/// go on without it (contract CRA-5).
pub(crate) const READS_AWAITED: u32 = 5;

/// To whom the outcome of a delivery is told.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// Another hub has asked.
    Hub(Asker),
    /// The sender is a session of this hub.
    Local(Box<SendToPeer>),
    /// The sender knows.
    Nobody,
}

/// A peer message that the client has been handed and has not confirmed.
#[derive(Debug)]
pub(crate) struct Delivery {
    /// Its number in the outbox.
    pub(crate) sseq: u64,
    pub(crate) parcel: Parcel,
    pub(crate) from: Origin,
    /// When it was handed over, in monotonic milliseconds.
    pub(crate) since_ms: u64,
    /// The store has been asked to keep it.
    pub(crate) is_storing: bool,
    /// Its sender knows.
    pub(crate) is_answered: bool,
    /// It was written to a connection, so the client may have it without our knowing.
    pub(crate) is_written: bool,
}

/// A live message that waits until the stored ones before it are delivered.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) from: Origin,
    pub(crate) parcel: Parcel,
    /// Since when, in monotonic milliseconds.
    pub(crate) since_ms: u64,
}

/// How far a session has come with its stored messages.
#[derive(Debug, Default)]
pub(crate) struct InboxState {
    /// Highest inbox number handed to the client in this session.
    pub(crate) seen: u64,
    pub(crate) is_reading: bool,
    /// Reads that have failed one after the other.
    pub(crate) failures: u32,
    /// When it is read once more, in monotonic milliseconds.
    pub(crate) again_ms: Option<u64>,
    /// The inbox has grown since it was read.
    pub(crate) has_grown: bool,
    /// The next page is read when this number is confirmed.
    pub(crate) page_end: Option<u64>,
    /// (number in the outbox, number in the inbox) of stored messages that are not confirmed.
    pub(crate) delivered: ThinVec<(u64, u64)>,
    /// Losses whose gap is on the way: told once that number is confirmed.
    pub(crate) losses: Option<Box<(u64, InboxLosses)>>,
    /// Messages whose live form was confirmed while the store was still keeping them.
    pub(crate) confirmed_early: ThinVec<MessageId>,
    /// The latest stamp that the session was handed, in Unix milliseconds (contract CRA-7).
    pub(crate) latest_ts: u64,
    /// Bound: `BEHIND_MAX`.
    pub(crate) behind: VecDeque<Waiting>,
}

impl InboxState {
    /// The next message as it is handed: with its own stamp, or with the latest before it, which
    /// its sender's hub may not have reached.
    pub(crate) fn stamped(&mut self, frame: &Bytes, server_ts: u64) -> Bytes {
        self.latest_ts = self.latest_ts.max(server_ts);
        let later = (self.latest_ts > server_ts).then(|| restamp(frame, self.latest_ts));
        later.flatten().unwrap_or_else(|| frame.clone())
    }

    pub(crate) fn is_draining(&self) -> bool {
        let is_retrying = (1..READS_AWAITED).contains(&self.failures);
        self.is_reading || self.page_end.is_some() || is_retrying
    }
}

/// A peer message whose sender waits for its outcome.
#[derive(Debug, Clone)]
pub(crate) struct SendToPeer {
    pub(crate) caller: Caller,
    /// Its place among the messages of its sender: rises, with gaps.
    pub(crate) number: u64,
    pub(crate) to: UserKey,
    pub(crate) parcel: Parcel,
    /// How often it has met a hub whose session of the receiver had moved.
    pub(crate) moves: u8,
    /// To be kept in the history before it is sent.
    pub(crate) history: Option<Box<HistoryMessage>>,
}

impl SendToPeer {
    pub(crate) fn lane(&self) -> LaneKey {
        let from = match self.caller {
            Caller::Request { session, .. } => LaneSender::Session(session),
            Caller::Outside(_) => LaneSender::Outside(self.parcel.from.clone()),
        };
        (from, self.to.clone())
    }
}

/// Whose messages to one receiver keep their order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum LaneSender {
    Session(SessionKey),
    /// Those that are sent as this user from outside.
    Outside(UserKey),
}

/// A sender and its receiver.
pub(crate) type LaneKey = (LaneSender, UserKey);

/// Live messages that may wait behind the stored ones of one receiver.
pub(crate) const BEHIND_MAX: usize = 1_024;

/// Peer messages handed to one client and not confirmed. They are never dropped from the outbox, so
/// this is their bound there.
pub(crate) const DELIVERIES_MAX: usize = 1_024;

/// Peer messages on their way to a session's client.
#[derive(Debug, Default)]
pub(crate) struct PeerSlot {
    /// Handed to the client and not confirmed, in outbox order.
    pub(crate) deliveries: VecDeque<Delivery>,
    /// When `deliveries` is looked at next, in monotonic milliseconds.
    pub(crate) check_ms: Option<u64>,
    pub(crate) inbox: InboxState,
}

impl PeerSlot {
    /// Asserts what holds between two inputs. Cost: O(messages in the client's hands).
    pub(crate) fn assert_consistent(&self, outbox: &Outbox) {
        self.inbox.assert_consistent(outbox);
        let numbers = || self.deliveries.iter().map(|delivery| delivery.sseq);
        assert!(
            numbers().is_sorted_by(|a, b| a < b),
            "deliveries are in the outbox's order"
        );
        assert!(
            numbers().all(|sseq| sseq <= outbox.sent()),
            "a delivery without a frame"
        );
        assert!(
            self.deliveries.len() <= DELIVERIES_MAX + BEHIND_MAX,
            "too many deliveries"
        );
        for delivery in &self.deliveries {
            let has_body = delivery.parcel.offline.is_some();
            assert!(
                !(delivery.is_storing && has_body),
                "what is being stored keeps no body"
            );
        }
        assert!(
            self.inbox.behind.len() <= BEHIND_MAX,
            "too many messages wait behind the inbox"
        );
        let delivered = &self.inbox.delivered;
        assert!(
            delivered.iter().is_sorted_by(|a, b| a.0 < b.0),
            "stored messages are in order"
        );
        let seen = delivered.iter().all(|(_, inbox)| *inbox <= self.inbox.seen);
        assert!(seen, "a stored message was handed over and not seen");
        let last = delivered.last().map_or(0, |(sseq, _)| *sseq);
        assert!(last <= outbox.sent(), "a stored message without a frame");
        assert!(
            !(self.inbox.is_reading && self.inbox.page_end.is_some()),
            "two pages at once"
        );
        let is_waiting = self.inbox.behind.is_empty() || self.inbox.is_draining();
        assert!(
            is_waiting,
            "messages wait behind an inbox that nobody reads"
        );
        assert!(
            self.inbox.behind.is_empty() || self.check_ms.is_some(),
            "nobody looks at the messages behind the inbox"
        );
    }
}

impl SendToPeer {
    /// Asserts what holds while it is under way.
    pub(crate) fn assert_consistent(&self) {
        assert!(self.number > 0, "messages are counted from 1");
        assert_eq!(
            self.to.app, self.parcel.from.app,
            "a message from one app to another"
        );
        let is_session = self.caller.session().is_some();
        assert!(
            !is_session || self.caller.cseq() == self.number,
            "a message of another request"
        );
    }
}

impl InboxState {
    fn assert_consistent(&self, outbox: &Outbox) {
        let told = self.losses.as_deref().map_or(0, |(sseq, _)| *sseq);
        assert!(told <= outbox.sent(), "losses were told without a frame");
        let page_end = self.page_end.unwrap_or(0);
        assert!(
            page_end <= outbox.sent(),
            "a page ends at a frame that was not sent"
        );
    }
}
