//! Peer messages at the receiver's hub: live delivery with confirmation (this file), and the stored
//! inbox (`stored`).

use bytes::Bytes;
use tidings_fault::fault;
use tidings_wire::limits::{
    INBOX_BYTES_MAX, INBOX_LASTING_BYTES_MAX, INBOX_LASTING_MESSAGES_MAX, PEER_ACK_WAIT_MS,
    PEER_TIMEOUT_MS,
};
use tidings_wire::proto::{Message, message};

use crate::bus_ops::{Answer, Asker, MessageKind, Parcel};
use crate::config::Traits;
use crate::ids::{ConnectionId, MessageId, SessionKey, UserKey};
use crate::io::Sink;
use crate::kernel::Kernel;
use crate::kernel::check::LIBRARY_TYPE;
use crate::kernel::outbox::Source;
use crate::kernel::timers::Timer;
use crate::kernel::users::{HELD_PARCELS_MAX, Stage};
use crate::peers::slot::{BEHIND_MAX, DELIVERIES_MAX, Delivery, Origin, Waiting};
use crate::peers::state::{PeerStore, Peers};
use crate::store_ops::{InboxLimits, StoreAnswer, StoreOp, StoredMessage};

/// Pause before a failed read is repeated, in milliseconds: while live messages wait for it, and
/// later.
pub(crate) const READ_AGAIN_MS: [u64; 2] = [1_000, 10_000];

impl Peers {
    /// Another hub asks for a delivery to a user of this hub.
    pub(crate) fn handle_deliver(
        &mut self,
        user: &UserKey,
        asker: Asker,
        parcel: &Parcel,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        debug_assert!(!parcel.frame.is_empty(), "a message without a frame");
        match kernel.users.get(user).and_then(|entry| entry.session) {
            Some(key) => self.deliver(key, Origin::Hub(asker), parcel.clone(), kernel, out),
            None => self.hold_parcel(user, Origin::Hub(asker), parcel.clone(), kernel, out),
        }
    }

    /// Hands a message to a session of this hub, behind its stored messages.
    pub(crate) fn accept_parcel(
        &mut self,
        key: SessionKey,
        from: Origin,
        parcel: Parcel,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(session) = kernel.sessions.get_mut(key) else {
            return self.answer_delivery(from, Answer::Gone, kernel, out);
        };
        if !session.is_here() {
            let user = session.user.clone();
            return self.keep_or_answer(&user, from, parcel, Answer::Gone, kernel, out);
        }
        if kernel.moves.has_arrived(&session.user, parcel.id) {
            return self.accept_once_more(key, from, parcel, kernel, out);
        }
        if !session.traits.takes(parcel.kind) {
            // The user may have another client that takes it: kept for it if the sender wants that.
            let user = session.user.clone();
            return self.keep_or_answer(&user, from, parcel, Answer::Gone, kernel, out);
        }
        if kernel.is_settling {
            // No client is there to confirm it, and everything under way must come to an end.
            let user = session.user.clone();
            return self.keep_or_answer(&user, from, parcel, Answer::Unconfirmed, kernel, out);
        }
        if session.peers.inbox.is_draining() && !fault!(LiveOvertakesStored) {
            let is_on = kernel.traces.is_on;
            let traced = is_on.then(|| Box::new((session.user.clone(), parcel.clone())));
            let is_full = session.peers.inbox.behind.len() >= BEHIND_MAX;
            let since_ms = kernel.now.mono_ms;
            let due_ms = since_ms + ack_wait_ms(&parcel);
            let waiting = Waiting {
                from,
                parcel,
                since_ms,
            };
            session.peers.inbox.behind.push_back(waiting);
            if let Some(traced) = traced {
                kernel.trace_waiting(&traced.0, &traced.1, "for stored messages before it");
            }
            if is_full {
                return self.spill(key, kernel, out);
            }
            return Self::check_deliveries_at(key, due_ms, kernel);
        }
        if session.peers.deliveries.len() >= DELIVERIES_MAX {
            return self.keep_for_later(key, from, parcel, kernel, out);
        }
        self.hand_over(key, from, parcel, kernel, out);
    }

    /// Sends a message live and waits for its confirmation.
    pub(crate) fn hand_over(
        &mut self,
        key: SessionKey,
        from: Origin,
        parcel: Parcel,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(session) = kernel.sessions.get_mut(key) else {
            return self.answer_delivery(from, Answer::Gone, kernel, out);
        };
        let wait_ms = ack_wait_ms(&parcel);
        let is_written = session.connection.is_some();
        let traced = (kernel.traces.is_on).then(|| Box::new(parcel.clone()));
        let frame = session.peers.inbox.stamped(&parcel.frame, parcel.server_ts);
        let counts = kernel.tally.at(session.rates.counted);
        counts.peer.given(frame.len(), 1);
        let sseq = session.push(frame, Source::Inbox, out);
        if fault!(WrittenCountsAsReceived) {
            return self.answer_delivery(from, Answer::Confirmed, kernel, out);
        }
        let last = session.peers.deliveries.back().map_or(0, |last| last.sseq);
        debug_assert!(sseq > last, "deliveries are in the outbox's order");
        session.peers.deliveries.push_back(Delivery {
            sseq,
            parcel,
            from,
            since_ms: kernel.now.mono_ms,
            is_storing: false,
            is_answered: false,
            is_written,
        });
        if let Some(parcel) = traced {
            kernel.trace_handed(key, &parcel, sseq);
        }
        Self::check_deliveries_at(key, kernel.now.mono_ms + wait_ms, kernel);
    }

    /// Makes sure that unconfirmed messages are looked at then, or earlier: one that may be stored
    /// waits less than one that is not.
    pub(crate) fn check_deliveries_at(key: SessionKey, due_ms: u64, kernel: &mut Kernel) {
        let Some(session) = kernel.sessions.get_mut(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        if session.peers.check_ms.is_none_or(|at| at > due_ms) {
            session.peers.check_ms = Some(due_ms);
            kernel.timers.set(due_ms, Timer::Deliveries(key));
        }
    }

    /// Tells a sender what became of its message.
    pub(crate) fn answer_delivery(
        &mut self,
        from: Origin,
        answer: Answer,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        match from {
            Origin::Hub(asker) => kernel.answer(asker, answer, out),
            Origin::Local(send) => self.finish_send(*send, answer, kernel, out),
            Origin::Nobody => {}
        }
    }

    /// A client that processes late has processed everything up to `sseq`.
    pub(crate) fn handle_processed(
        &mut self,
        connection: ConnectionId,
        sseq: u64,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        if let Some(Stage::Serving(key)) = kernel.connections.get(&connection) {
            self.apply_processed(*key, sseq, kernel, out);
        }
    }

    /// The client has the messages, but has not processed them: their senders know, and what was to
    /// be stored stays to be stored.
    pub(crate) fn apply_received_deliveries(
        &mut self,
        key: SessionKey,
        sseq: u64,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(session) = kernel.sessions.get_mut(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        let mut received = Vec::new();
        for delivery in session.peers.deliveries.iter_mut() {
            if delivery.sseq <= sseq && !std::mem::replace(&mut delivery.is_answered, true) {
                received.push(std::mem::replace(&mut delivery.from, Origin::Nobody));
            }
        }
        for from in received {
            self.answer_delivery(from, Answer::Confirmed, kernel, out);
        }
    }

    pub(crate) fn apply_processed(
        &mut self,
        key: SessionKey,
        sseq: u64,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        while let Some(session) = kernel.sessions.get_mut(key) {
            let Some(delivery) = session
                .peers
                .deliveries
                .pop_front_if(|next| next.sseq <= sseq)
            else {
                break;
            };
            self.apply_confirmed(key, delivery, kernel, out);
        }
        Self::confirm_stored(key, sseq, kernel, out);
    }

    fn apply_confirmed(
        &mut self,
        key: SessionKey,
        delivery: Delivery,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let id = delivery.parcel.id;
        let Some(session) = kernel.sessions.get_mut(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        let user = session.user.clone();
        if !delivery.is_answered {
            if delivery.is_storing {
                session.peers.inbox.confirmed_early.push(id);
            }
            self.answer_delivery(delivery.from, Answer::Confirmed, kernel, out);
        } else if delivery.is_storing && !fault!(LiveConfirmationLeavesStored) {
            // Confirmation of either form deletes the stored one (contract OFF-6).
            kernel.store_and_forget(StoreOp::InboxRemove { user, id }, out);
        }
    }

    /// Deletes stored messages whose delivery was confirmed, and goes on reading.
    fn confirm_stored(key: SessionKey, sseq: u64, kernel: &mut Kernel, out: &mut dyn Sink) {
        let Some(session) = kernel.sessions.get_mut(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        let inbox = &mut session.peers.inbox;
        let confirmed = inbox.delivered.partition_point(|(at, _)| *at <= sseq);
        let last = inbox.delivered.drain(..confirmed).next_back();
        let up_to = last.map_or(0, |(_, number)| number);
        debug_assert!(up_to <= inbox.seen, "confirmed before it was read");
        debug_assert!(
            inbox.delivered.iter().all(|(at, _)| *at > sseq),
            "a confirmed delivery is still waited for"
        );
        let told = inbox
            .losses
            .take_if(|told| told.0 <= sseq)
            .map(|told| told.1);
        if up_to > 0 || told.is_some() {
            let user = session.user.clone();
            let told = told.unwrap_or_default();
            let up_to = if fault!(LastConfirmedStoredStays) {
                up_to.saturating_sub(1)
            } else {
                up_to
            };
            let op = StoreOp::InboxConfirm { user, up_to, told };
            kernel.store_and_forget(op, out);
        }
    }

    /// Looks at deliveries that the client has not confirmed: stores those that ask for it, gives
    /// up the rest.
    pub(crate) fn check_deliveries(
        &mut self,
        key: SessionKey,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let now_ms = kernel.now.mono_ms;
        let Some(session) = kernel.sessions.get_mut(key) else {
            // A timer of a session that has ended.
            return;
        };
        session.peers.check_ms = None;
        let mut to_store = Vec::new();
        let mut given_up = Vec::new();
        let mut next_due = None;
        let processes_late = session.traits.processes_late;
        for delivery in session.peers.deliveries.iter_mut() {
            let is_settled =
                delivery.is_answered && !(processes_late && delivery.parcel.offline.is_some());
            if is_settled || delivery.is_storing {
                continue;
            }
            let due = delivery.since_ms + ack_wait_ms(&delivery.parcel);
            if due > now_ms && !kernel.is_settling {
                next_due = Some(next_due.map_or(due, |next: u64| next.min(due)));
            } else if let Some(body) = delivery.parcel.offline.take() {
                delivery.is_storing = true;
                to_store.push((delivery.parcel.clone(), body, delivery.from.clone()));
            } else {
                delivery.is_answered = true;
                given_up.push(delivery.from.clone());
            }
            if delivery.is_storing || delivery.is_answered {
                // The outbox has the frame; what waits for a confirmation only keeps its id.
                delivery.parcel.frame = Bytes::new();
            }
        }
        let user = session.user.clone();
        for from in given_up {
            self.answer_delivery(from, Answer::Unconfirmed, kernel, out);
        }
        for (parcel, body, from) in to_store {
            self.store_delivery(key, &user, (parcel, body), from, kernel, out);
        }
        let waiting_due = self.check_behind(key, kernel, out);
        if let Some(due_ms) = next_due.into_iter().chain(waiting_due).min() {
            Self::check_deliveries_at(key, due_ms, kernel);
        }
    }

    /// Stores a message that the client has been handed and has not confirmed.
    pub(crate) fn store_delivery(
        &mut self,
        session: SessionKey,
        user: &UserKey,
        (parcel, body): (Parcel, Bytes),
        from: Origin,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        debug_assert_eq!(user.app, parcel.from.app, "a message from another app");
        let pending = PeerStore::Delivery {
            session,
            id: parcel.id,
            from,
        };
        let op = Self::append_op(user.clone(), &parcel, body, kernel);
        self.store(kernel, op, pending, out);
    }

    pub(crate) fn apply_delivery_stored(
        &mut self,
        key: SessionKey,
        id: MessageId,
        from: Origin,
        answer: StoreAnswer,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let session = kernel.sessions.get_mut(key);
        let Some(session) = session else {
            return self.answer_delivery(from, outcome_of(answer), kernel, out);
        };
        if let Some(at) = session
            .peers
            .inbox
            .confirmed_early
            .iter()
            .position(|early| *early == id)
        {
            session.peers.inbox.confirmed_early.swap_remove(at);
            let user = session.user.clone();
            if fault!(ConfirmedWhileStoringIsKept) {
                return;
            }
            return kernel.store_and_forget(StoreOp::InboxRemove { user, id }, out);
        }
        if let Some(delivery) = session
            .peers
            .deliveries
            .iter_mut()
            .find(|d| d.parcel.id == id)
        {
            delivery.is_answered = true;
            delivery.is_storing = !matches!(answer, StoreAnswer::Failed { .. });
        }
        self.answer_delivery(from, outcome_of(answer), kernel, out);
    }

    pub(crate) fn append_op(
        user: UserKey,
        parcel: &Parcel,
        body: Bytes,
        kernel: &Kernel,
    ) -> StoreOp {
        debug_assert_eq!(user.app, parcel.from.app, "a message from another app");
        let settings = kernel.config.apps.settings(&user.app);
        let age_ms = kernel.deletion_age_before(settings.inbox_age_ms, parcel.server_ts);
        let aging = InboxLimits {
            messages_max: settings.inbox_messages_max,
            bytes_max: INBOX_BYTES_MAX,
            age_ms,
        };
        let lasting = InboxLimits {
            messages_max: INBOX_LASTING_MESSAGES_MAX,
            bytes_max: INBOX_LASTING_BYTES_MAX,
            age_ms,
        };
        StoreOp::InboxAppend {
            user,
            message: StoredMessage {
                inbox: 0,
                id: parcel.id,
                from: parcel.from.user.to_string(),
                body,
                server_ts: parcel.server_ts,
                lasts_until: parcel.lasts_until,
            },
            limits: if parcel.lasts_until > 0 {
                lasting
            } else {
                aging
            },
        }
    }
}

impl Traits {
    pub(crate) fn takes(&self, kind: MessageKind) -> bool {
        match kind {
            MessageKind::Text => true,
            MessageKind::Media => !self.is_text_only,
            MessageKind::Library => self.knows_library_types,
        }
    }
}

/// Which clients can take a message.
pub(crate) fn message_kind(message: &Message) -> MessageKind {
    match &message.body {
        _ if message.r#type.starts_with(LIBRARY_TYPE) => MessageKind::Library,
        Some(message::Body::Text(_)) | None => MessageKind::Text,
        Some(_) => MessageKind::Media,
    }
}

pub(crate) fn ack_wait_ms(parcel: &Parcel) -> u64 {
    if parcel.offline.is_some() {
        PEER_ACK_WAIT_MS
    } else {
        PEER_TIMEOUT_MS
    }
}

pub(crate) fn outcome_of(answer: StoreAnswer) -> Answer {
    match answer {
        StoreAnswer::Failed { reason } => Answer::StoreFailed { reason },
        _ => Answer::Stored,
    }
}

impl Peers {
    /// Keeps a message that arrived for a login in progress.
    pub(crate) fn hold_parcel(
        &mut self,
        user: &UserKey,
        origin: Origin,
        parcel: Parcel,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        debug_assert_eq!(user.app, parcel.from.app, "a message from another app");
        if kernel.moves.is_arriving(user) {
            return self.hold_for_arrival(user, origin, parcel, kernel, out);
        }
        let claim = kernel
            .users
            .get_mut(user)
            .and_then(|entry| entry.claim.as_mut());
        let Some(login) = claim else {
            let answer = kernel.moves.answer_for(user);
            return self.answer_delivery(origin, answer, kernel, out);
        };
        if login.held.len() < HELD_PARCELS_MAX {
            let traced = (kernel.traces.is_on).then(|| Box::new(parcel.clone()));
            login.held.push((origin, parcel));
            if let Some(parcel) = traced {
                kernel.trace_waiting(user, &parcel, "for a login that is under way");
            }
            return;
        }
        // Order: all of them go to the store, so that none overtakes another.
        for (origin, parcel) in std::mem::take(&mut login.held) {
            self.keep_or_answer(user, origin, parcel, Answer::Unconfirmed, kernel, out);
        }
        self.keep_or_answer(user, origin, parcel, Answer::Unconfirmed, kernel, out);
    }
}
