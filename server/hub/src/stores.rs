//! Store operations that are on their way, and what they were for.

use crate::Hub;
use crate::attributes::AttributeStore;
use crate::ids::{InvitationId, MessageId, UserKey};
use crate::inbox::{Asker, Origin, outcome_of};
use crate::invitations::Write;
use crate::io::{Effect, Sink, Ticket};
use crate::maps::{Map, SeededHasher};
use crate::peers::SendToPeer;
use crate::session::SessionKey;
use crate::store_ops::{Conversation, StoreAnswer, StoreOp};

/// What an operation was for.
#[derive(Debug)]
pub(crate) enum PendingStore {
    /// Nobody waits for it: a deletion that a later one makes good if it fails.
    Forgotten,
    /// The sender's hub stores a message for a user who is gone.
    Send(SendToPeer),
    /// The receiver's hub stores a message that was not confirmed in time.
    Delivery {
        session: SessionKey,
        id: MessageId,
        from: Origin,
    },
    /// The receiver's hub stores a message that it does not hand over.
    Kept(Origin),
    /// Stored messages for a session.
    InboxPage(SessionKey),
    /// Attributes.
    Attributes(AttributeStore),
    /// A channel message has its place and is to be in the history before its sender is answered, by that hub.
    ChannelHistory(Asker),
    /// A peer message is to be in the history before it is sent.
    PeerHistory(SendToPeer),
    /// Histories with messages that may be too old.
    Histories { first_before_ts: u64 },
    /// Old messages of a history are being deleted.
    HistoryTrim(Conversation),
    /// An invitation's record is written before what it says is told.
    Invitation(Box<Write>),
    /// What the process before has left; of so many hubs.
    Invitations { hubs: u16 },
    /// A new session's client holds open what it has sent.
    InvitationReport {
        session: SessionKey,
        id: InvitationId,
    },
    /// At a session rings what this caller has sent: does it still?
    Ring {
        session: SessionKey,
        caller: UserKey,
        id: InvitationId,
    },
    /// A page of a history.
    HistoryPage { session: SessionKey, cseq: u64 },
}

#[derive(Debug)]
pub(crate) struct Stores {
    next: u64,
    /// Bound: each belongs to an open request or a session's inbox, or is a deletion; the store's queue is bounded.
    pending: Map<Ticket, PendingStore>,
}

impl Stores {
    pub(crate) fn new(hasher: SeededHasher) -> Self {
        Self {
            next: 0,
            pending: hasher.map(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }
}

impl Hub {
    /// Gives the store an operation; the answer comes back to what `pending` says.
    pub(crate) fn store(&mut self, op: StoreOp, pending: PendingStore, out: &mut dyn Sink) {
        self.kernel.stores.next += 1;
        let ticket = Ticket(self.kernel.stores.next);
        self.kernel.stores.pending.insert(ticket, pending);
        out.emit(Effect::Store { ticket, op });
    }

    pub(crate) fn handle_store_answer(
        &mut self,
        ticket: Ticket,
        answer: StoreAnswer,
        out: &mut dyn Sink,
    ) {
        let Some(pending) = self.kernel.stores.pending.remove(&ticket) else {
            return;
        };
        match pending {
            PendingStore::Forgotten => {}
            PendingStore::Send(send) => self.finish_append(send, answer, out),
            PendingStore::Delivery { session, id, from } => {
                self.apply_delivery_stored(session, id, from, answer, out);
            }
            PendingStore::Kept(from) => self.answer_delivery(from, outcome_of(answer), out),
            PendingStore::InboxPage(session) => self.apply_inbox_page(session, answer, out),
            PendingStore::Histories { first_before_ts } => {
                self.trim_histories(first_before_ts, answer, out);
            }
            PendingStore::HistoryTrim(conversation) => {
                self.go_on_trimming(conversation, &answer, out);
            }
            PendingStore::ChannelHistory(asker) => self.answer_kept(asker, answer, out),
            PendingStore::PeerHistory(send) => self.finish_peer_history(send, answer, out),
            PendingStore::HistoryPage { session, cseq } => {
                self.finish_read_history(session, cseq, answer, out);
            }
            PendingStore::Invitation(write) => self.finish_invitation_write(*write, answer, out),
            PendingStore::Invitations { hubs } => self.apply_loaded(hubs, answer, out),
            PendingStore::InvitationReport { session, id } => {
                self.finish_report(session, id, answer, out);
            }
            PendingStore::Ring {
                session,
                caller,
                id,
            } => self.finish_ring_check(session, (caller, id), answer, out),
            PendingStore::Attributes(pending) => self.apply_attributes(pending, answer, out),
        }
    }
}
