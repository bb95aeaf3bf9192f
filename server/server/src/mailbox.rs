//! How hubs, the store and the supervisor reach a hub's thread.
//!
//! Each hub has one inbox. Senders collect what they have for it and post it as one batch; posting is lock-free
//! and wakes the hub's loop only if it has not been woken since it last looked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use mio::Waker;
use tidings_bus::Crossing;
use tidings_hub::ids::ConnectionId;
use tidings_hub::store_ops::StoreAnswer;
use tidings_hub::{Apps, Pressure, Snapshot, Ticket};

use crate::connection::{Handover, Returned};
use crate::report::HubReport;

/// Envelopes in one inbox above which the hubs that fill it stop reading their clients.
///
/// Bound: what a hub can post after that comes from its own inbox and its store, which are bounded by the
/// requests in flight of its sessions. Larger: more memory when a core is slow; smaller: clients are paused in
/// bursts that a core would take in its stride.
pub(crate) const INBOX_DEPTH_MAX: usize = 65_536;

/// What a hub's thread may be given.
#[derive(Debug)]
pub(crate) enum Envelope {
    /// What the bus of another hub has posted to the receiver's.
    Bus(Crossing),
    /// A connection of the receiver's whose place a newer stranger has taken.
    GiveUp(ConnectionId),
    /// A connection whose session is at the receiver.
    HandOver(Box<Handover>),
    /// A connection that the HTTP thread had.
    Returned(Box<Returned>),
    /// The store has answered.
    Stored { ticket: Ticket, answer: StoreAnswer },
    /// The tenants are others now.
    Apps(Arc<Apps>),
    /// The node's memory was measured.
    Memory(Pressure),
    /// Clients are to be sent away; nothing new is accepted.
    Drain,
    /// No hub has a client any more: what is under way comes to an end.
    Settle,
    /// Sessions that the process before has left.
    Restore(Box<Snapshot>),
    /// Invitations that the process before has left are to be read; the starts of the machine are told apart by this.
    Load { hubs: u16, boot: u64 },
    /// Connections are accepted from here on.
    Open,
    /// To be answered at the end of the turn: how the hub is.
    Report(Sender<HubReport>),
    /// The thread is to end.
    Stop,
}

/// The sending side of an inbox.
#[derive(Debug)]
pub(crate) struct Mailbox {
    batches: Sender<Vec<Envelope>>,
    /// Envelopes posted and not yet taken.
    depth: AtomicUsize,
    /// Whether the loop has been woken since it last looked.
    is_notified: AtomicBool,
    waker: Waker,
}

impl Mailbox {
    /// Posts a batch. Order: one sender's batches are taken in the order in which it posted them.
    pub(crate) fn post(&self, batch: Vec<Envelope>) {
        self.depth.fetch_add(batch.len(), Ordering::Relaxed);
        if self.batches.send(batch).is_err() {
            // The receiver has ended: the node is stopping and nobody needs the batch.
            return;
        }
        if !self.is_notified.swap(true, Ordering::SeqCst)
            && let Err(error) = self.waker.wake()
        {
            // The loop looks into its inbox at least every second.
            tracing::warn!(%error, "a hub could not be woken");
            self.is_notified.store(false, Ordering::SeqCst);
        }
    }

    /// Whether the receiver is behind by more than [`INBOX_DEPTH_MAX`].
    pub(crate) fn is_full(&self) -> bool {
        self.depth.load(Ordering::Relaxed) > INBOX_DEPTH_MAX
    }
}

/// The receiving side.
#[derive(Debug)]
pub(crate) struct Inbox {
    batches: Receiver<Vec<Envelope>>,
    mailbox: Arc<Mailbox>,
}

impl Inbox {
    /// An inbox whose posts wake the loop of `waker`.
    pub(crate) fn new(waker: Waker) -> Self {
        let (sender, batches) = channel();
        let mailbox = Mailbox {
            batches: sender,
            depth: AtomicUsize::new(0),
            is_notified: AtomicBool::new(false),
            waker,
        };
        Self {
            batches,
            mailbox: Arc::new(mailbox),
        }
    }

    pub(crate) fn mailbox(&self) -> Arc<Mailbox> {
        self.mailbox.clone()
    }

    /// Says that the loop is looking. Order: before [`Inbox::take`], so that whatever is posted while the loop
    /// takes wakes it again.
    pub(crate) fn open(&self) {
        self.mailbox.is_notified.store(false, Ordering::SeqCst);
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.mailbox.depth.load(Ordering::Relaxed) == 0
    }

    /// Takes the next batch.
    pub(crate) fn take(&self) -> Option<Vec<Envelope>> {
        let batch = self.batches.try_recv().ok()?;
        self.mailbox.depth.fetch_sub(batch.len(), Ordering::Relaxed);
        Some(batch)
    }
}

#[cfg(test)]
mod tests {
    use mio::{Events, Poll, Token};

    use super::*;

    fn inbox() -> (Poll, Inbox) {
        let poll = Poll::new().expect("a loop");
        let waker = Waker::new(poll.registry(), Token(0)).expect("a waker");
        (poll, Inbox::new(waker))
    }

    fn wakes(poll: &mut Poll) -> bool {
        let mut events = Events::with_capacity(4);
        poll.poll(&mut events, Some(std::time::Duration::ZERO))
            .expect("a wait");
        !events.is_empty()
    }

    #[test]
    fn a_loop_is_woken_once_per_look() {
        let (mut poll, inbox) = inbox();
        let mailbox = inbox.mailbox();
        mailbox.post(vec![Envelope::Drain]);
        mailbox.post(vec![Envelope::Stop]);
        assert!(wakes(&mut poll));
        assert!(!wakes(&mut poll), "the second post found it woken");
        inbox.open();
        assert!(matches!(inbox.take().as_deref(), Some([Envelope::Drain])));
        mailbox.post(vec![Envelope::Drain]);
        assert!(
            wakes(&mut poll),
            "what is posted while it takes wakes it again"
        );
        assert!(matches!(inbox.take().as_deref(), Some([Envelope::Stop])));
        assert!(matches!(inbox.take().as_deref(), Some([Envelope::Drain])));
        assert!(inbox.take().is_none() && inbox.is_empty());
    }

    #[test]
    fn an_inbox_says_when_it_is_full() {
        let (_poll, inbox) = inbox();
        let mailbox = inbox.mailbox();
        for _ in 0..=INBOX_DEPTH_MAX / 1_000 {
            mailbox.post((0..1_000).map(|_| Envelope::Drain).collect());
        }
        assert!(mailbox.is_full());
        inbox.take().expect("a batch");
        assert!(!mailbox.is_full());
    }

    #[test]
    fn a_post_to_a_hub_that_has_ended_is_dropped() {
        let (poll, inbox) = inbox();
        let mailbox = inbox.mailbox();
        drop((poll, inbox));
        mailbox.post(vec![Envelope::Drain]);
    }
}
