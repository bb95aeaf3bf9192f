//! Stored messages on their way to the client: pages of the inbox, in order, before anything live.

use bytes::Bytes;
use tidings_fault::fault;
use tidings_wire::frame::encode_server;
use tidings_wire::limits::INBOX_PAGE;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{Gap, GapCause, Inbox, Message, PeerMessage, gap};

use crate::bus_ops::Answer;
use crate::ids::{MessageId, SessionKey, UserKey};
use crate::io::Sink;
use crate::kernel::Kernel;
use crate::kernel::outbox::Source;
use crate::kernel::session::Session;
use crate::kernel::timers::Timer;
use crate::peers::receive::{READ_AGAIN_MS, message_kind};
use crate::peers::slot::{Delivery, READS_AWAITED};
use crate::peers::state::{PeerStore, Peers};
use crate::store_ops::{InboxLosses, StoreAnswer, StoreOp, StoredMessage};

impl Peers {
    /// Goes on reading once the client has a page.
    pub(crate) fn finish_inbox_page(
        &mut self,
        key: SessionKey,
        sseq: u64,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let session = kernel.sessions.get_mut(key);
        let page_end = session.and_then(|session| {
            let end = &mut session.peers.inbox.page_end;
            end.take_if(|end| *end <= sseq)
        });
        if page_end.is_some() {
            self.read_inbox(key, kernel, out);
        }
    }

    /// The store has more for a user of this hub.
    pub(crate) fn handle_inbox_grew(
        &mut self,
        user: &UserKey,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(key) = kernel.users.get(user).and_then(|entry| entry.session) else {
            // The user has logged out, or its login is in progress and reads the inbox when it is
            // done.
            return;
        };
        if kernel
            .sessions
            .get(key)
            .is_some_and(|session| session.is_here())
        {
            self.read_inbox(key, kernel, out);
        }
    }

    /// Reads the next page of its user's stored messages, unless one is on its way to the client.
    pub(crate) fn read_inbox(&mut self, key: SessionKey, kernel: &mut Kernel, out: &mut dyn Sink) {
        // One session of a service reads for all.
        let key = kernel.first_of(key);
        let Some(session) = kernel.sessions.get_mut(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        if session.peers.inbox.is_reading || session.peers.inbox.page_end.is_some() {
            session.peers.inbox.has_grown = true;
            return;
        }
        debug_assert!(
            session.peers.inbox.page_end.is_none(),
            "a page is still at the client"
        );
        session.peers.inbox.is_reading = true;
        session.peers.inbox.has_grown = false;
        let age_ms = session.settings.inbox_age_ms;
        let age_ms = kernel.deletion_age_ms(age_ms);
        let Some(session) = kernel.sessions.get(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        let mut after = session.peers.inbox.seen;
        if fault!(StoredPageBeginsLate) && after > 0 {
            after += 1;
        }
        let op = StoreOp::InboxRead {
            user: session.user.clone(),
            after,
            count_max: INBOX_PAGE,
            not_before_ts: kernel.now.unix_ms.saturating_sub(age_ms),
        };
        let pending = PeerStore::Page(key);
        self.store(kernel, op, pending, out);
    }

    pub(crate) fn apply_inbox_page(
        &mut self,
        key: SessionKey,
        answer: StoreAnswer,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(session) = kernel.sessions.get_mut(key) else {
            // The session has ended since the page was asked for.
            return;
        };
        debug_assert!(
            session.peers.inbox.is_reading,
            "a page that was not asked for"
        );
        session.peers.inbox.is_reading = false;
        let StoreAnswer::InboxPage {
            messages,
            has_more,
            losses,
        } = answer
        else {
            return self.note_failed_read(key, kernel, out);
        };
        session.peers.inbox.failures = 0;
        if Self::tell_losses(session, losses, out) {
            let gaps = &mut kernel.counts.gaps;
            gaps.add("inbox_overflow", losses.overflowed);
            gaps.add("inbox_expired", losses.expired);
            gaps.add("storage_damage", losses.damaged);
        }
        for message in messages {
            self.hand_stored(key, message, kernel, out);
        }
        let Some(session) = kernel.sessions.get_mut(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        if fault!(StoredIsDeletedUnconfirmed) {
            let (user, up_to) = (session.user.clone(), session.peers.inbox.seen);
            let told = InboxLosses::default();
            let op = StoreOp::InboxConfirm { user, up_to, told };
            return kernel.store_and_forget(op, out);
        }
        let last = session.peers.inbox.delivered.last().map(|(sseq, _)| *sseq);
        // Also without more of them: what grows one by one is no less than a page.
        let is_full = has_more || session.peers.inbox.delivered.len() >= INBOX_PAGE;
        if is_full && last.is_some_and(|last| last > session.outbox.confirmed()) {
            session.peers.inbox.page_end = last;
            return;
        }
        if has_more || session.peers.inbox.has_grown {
            return self.read_inbox(key, kernel, out);
        }
        self.release_behind(key, kernel, out);
    }

    /// Nothing stored is left before them: live messages go on.
    fn release_behind(&mut self, key: SessionKey, kernel: &mut Kernel, out: &mut dyn Sink) {
        let Some(session) = kernel.sessions.get_mut(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        let behind = std::mem::take(&mut session.peers.inbox.behind);
        for waiting in behind {
            self.accept_parcel(key, waiting.from, waiting.parcel, kernel, out);
        }
    }

    fn note_failed_read(&mut self, key: SessionKey, kernel: &mut Kernel, out: &mut dyn Sink) {
        let Some(session) = kernel.sessions.get_mut(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        session.peers.inbox.failures = session.peers.inbox.failures.saturating_add(1);
        let is_awaited = session.peers.inbox.failures < READS_AWAITED;
        let again_ms = kernel.now.mono_ms + READ_AGAIN_MS[usize::from(!is_awaited)];
        if session.peers.inbox.again_ms.is_none_or(|at| at > again_ms) {
            session.peers.inbox.again_ms = Some(again_ms);
            kernel.timers.set(again_ms, Timer::Inbox(key));
        }
        if !is_awaited {
            self.release_behind(key, kernel, out);
        }
    }

    /// Reads the inbox once more, unless that was done since it failed.
    pub(crate) fn retry_inbox(&mut self, key: SessionKey, kernel: &mut Kernel, out: &mut dyn Sink) {
        let Some(session) = kernel.sessions.get_mut(key) else {
            // A timer of a session that has ended.
            return;
        };
        let is_due = |at: &mut u64| *at <= kernel.now.mono_ms;
        if session.peers.inbox.again_ms.take_if(is_due).is_some()
            && session.peers.inbox.failures > 0
        {
            self.read_inbox(key, kernel, out);
        }
    }

    /// Tells a client what its inbox has lost. Returns whether it was news.
    fn tell_losses(session: &mut Session, losses: InboxLosses, out: &mut dyn Sink) -> bool {
        if losses == InboxLosses::default() || session.peers.inbox.losses.is_some() {
            return false;
        }
        let mut last = 0;
        for frame in gap_frames(losses) {
            last = session.push(frame, Source::Call, out);
        }
        session.peers.inbox.losses = Some(Box::new((last, losses)));
        true
    }

    /// Hands one stored message to the client.
    fn hand_stored(
        &mut self,
        key: SessionKey,
        message: StoredMessage,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        debug_assert!(message.inbox > 0, "inboxes are counted from 1");
        self.release_before(key, message.id, kernel, out);
        let content = <Message as prost::Message>::decode(message.body.clone()).unwrap_or_default();
        let is_over = |end_ts: u64| end_ts > 0 && kernel.is_over(end_ts);
        let (is_kept_no_more, is_late) =
            (is_over(message.lasts_until), is_over(content.expires_ts));
        let Some(session) = kernel.sessions.get_mut(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        session.peers.inbox.seen = session.peers.inbox.seen.max(message.inbox);
        let is_handed = |delivery: &Delivery| delivery.parcel.id == message.id;
        if session.peers.deliveries.iter().any(is_handed) {
            return; // Its live form is on the way; confirming that deletes this one.
        }
        if is_kept_no_more {
            let (user, id) = (session.user.clone(), message.id);
            let op = StoreOp::InboxRemove { user, id };
            return kernel.store_and_forget(op, out);
        }
        if is_late || !session.traits.takes(message_kind(&content)) {
            return;
        }
        let inbox = message.inbox;
        let server_ts = message.server_ts;
        let traced = (kernel.traces.is_on).then(|| (message.id, message.from.clone()));
        let frame = session
            .peers
            .inbox
            .stamped(&stored_frame(message), server_ts);
        let counts = kernel.tally.at(session.rates.counted);
        counts.peer.given(frame.len(), 1);
        let sseq = session.push(frame, Source::Call, out);
        session.peers.inbox.delivered.push((sseq, inbox));
        if let Some((id, from)) = traced {
            kernel.trace_stored_handed(key, (id, &from, server_ts), sseq);
        }
    }

    /// A message was given to this hub and to the one whose session it replaces, which has stored
    /// it. What its sender had sent before it goes first; its live form goes no more.
    fn release_before(
        &mut self,
        key: SessionKey,
        id: MessageId,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(session) = kernel.sessions.get_mut(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        let behind = &mut session.peers.inbox.behind;
        let Some(at) = behind.iter().position(|waiting| waiting.parcel.id == id) else {
            // It was not given to this hub.
            return;
        };
        let Some(stored) = behind.remove(at) else {
            debug_assert!(false, "a position that was just found");
            return;
        };
        let mut earlier = Vec::new();
        let mut index = 0;
        while index < behind.len() && index < at - earlier.len() {
            if behind[index].parcel.from == stored.parcel.from {
                earlier.extend(behind.remove(index));
            } else {
                index += 1;
            }
        }
        self.answer_delivery(stored.from, Answer::Stored, kernel, out);
        for waiting in earlier {
            self.hand_over(key, waiting.from, waiting.parcel, kernel, out);
        }
    }
}

fn stored_frame(stored: StoredMessage) -> Bytes {
    debug_assert!(stored.inbox > 0, "inboxes are counted from 1");
    // A stored body that does not decode would have failed its checksum; an empty message is still
    // told.
    let message = <Message as prost::Message>::decode(stored.body).unwrap_or_default();
    encode_server(Kind::PeerMessage(PeerMessage {
        from: stored.from,
        message: Some(message),
        server_ts: stored.server_ts,
        inbox: stored.inbox,
        id: Bytes::copy_from_slice(&stored.id.0),
    }))
}

fn gap_frames(losses: InboxLosses) -> impl Iterator<Item = Bytes> {
    [
        (GapCause::InboxOverflow, losses.overflowed),
        (GapCause::InboxExpired, losses.expired),
        (GapCause::StorageDamage, losses.damaged),
    ]
    .into_iter()
    .filter(|(_, missed)| *missed > 0)
    .map(|(cause, missed)| {
        encode_server(Kind::Gap(Gap {
            cause: cause.into(),
            missed,
            source: Some(gap::Source::Inbox(Inbox {})),
        }))
    })
}
