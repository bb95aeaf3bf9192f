//! How hubs, the store and the supervisor reach a hub's thread.
//!
//! Each hub has one inbox. Senders collect what they have for it and post it as one batch; posting
//! is lock-free and wakes the hub's loop only if it has not been woken since it last looked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use mio::Waker;
use tidings_bus::Crossing;
use tidings_cluster::nodes::Isolation;
use tidings_hub::ids::ConnectionId;
use tidings_hub::moderation::{ModerationRules, Verdict};
use tidings_hub::outside::{OutsideAnswer, OutsideCall};
use tidings_hub::store_ops::StoreAnswer;
use tidings_hub::{Apps, Pressure, Snapshot, Ticket};
use tokio::sync::oneshot;

use crate::cluster::Resolved;
use crate::connection::{Handover, Returned};
use crate::report::HubReport;

/// When an inbox holds more envelopes than this, the hubs that fill it stop reading their clients.
///
/// Bound: what a hub can post after that comes from its own inbox and its store, which are bounded
/// by the requests in flight of its sessions. Larger: more memory when a core is slow; smaller:
/// clients are paused during bursts that a core could absorb.
pub(crate) const INBOX_DEPTH_MAX: usize = 65_536;

/// When an inbox holds more than this, calls from outside are refused: whoever makes them can wait,
/// and the clients of the other apps need not.
pub(crate) const CALLS_DEPTH_MAX: usize = INBOX_DEPTH_MAX / 8;

/// An item for a hub's thread.
#[derive(Debug)]
pub(crate) enum Envelope {
    /// A crossing from the bus of another hub.
    Bus(Crossing),
    /// A connection of the receiver's whose slot a newer stranger has taken.
    GiveUp(ConnectionId),
    /// A connection whose session is at the receiver.
    HandOver(Box<Handover>),
    /// A connection from the HTTP thread.
    Returned(Box<Returned>),
    /// Answers of the store.
    Stored { ticket: Ticket, answer: StoreAnswer },
    /// A call from outside.
    Outside(Box<Asked>),
    /// Which messages are held has changed.
    Moderation(Arc<ModerationRules>),
    /// The word about a message that the hub holds.
    Moderated {
        ticket: Ticket,
        verdict: Box<Verdict>,
    },
    /// The set of apps has changed.
    Apps(Arc<Apps>),
    /// Where the name of a NATS server leads.
    Resolved(Box<Resolved>),
    /// A measurement of the node's memory.
    Memory(Pressure),
    /// A node of the cluster has ended.
    NodeLost { node: u16, incarnation: u64 },
    /// How far this node is from the others of its cluster has changed.
    Isolation(Isolation),
    /// Disconnect all clients, and accept nothing new.
    Drain,
    /// No hub has a client any longer: complete the operations in progress.
    Settle,
    /// Sessions of the previous process.
    Restore(Box<Snapshot>),
    /// Read the invitations of the previous process; the value identifies the machine's boot.
    Load { hubs: u16, boot: u64 },
    /// Accept connections from here on.
    Open,
    /// Report the hub's state at the end of the turn.
    Report(Sender<HubReport>),
    /// Stop the thread.
    Stop,
}

/// A call from outside, and where its answer goes.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) call: OutsideCall,
    /// Closed = whoever has asked is gone.
    pub(crate) reply: oneshot::Sender<OutsideAnswer>,
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

    /// Whether the receiver is so far behind that it is given no calls from outside.
    pub(crate) fn takes_calls(&self) -> bool {
        self.depth.load(Ordering::Relaxed) <= CALLS_DEPTH_MAX
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

    /// Marks that the loop is looking. Order: before [`Inbox::take`], so that anything posted while
    /// the loop takes wakes it again.
    pub(crate) fn open(&self) {
        self.mailbox.is_notified.store(false, Ordering::SeqCst);
    }

    /// Whether the inbox is empty.
    pub(crate) fn is_empty(&self) -> bool {
        self.mailbox.depth.load(Ordering::Relaxed) == 0
    }

    /// What was posted and is not taken.
    pub(crate) fn length(&self) -> usize {
        self.mailbox.depth.load(Ordering::Relaxed)
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
