//! What a hub remembers of peer messages that are under way.

use std::collections::{BTreeMap, VecDeque};

use tidings_fault::fault;

use crate::bus_ops::{Answer, Question, Topic};
use crate::ids::{MessageId, SessionKey};
use crate::io::Sink;
use crate::kernel::Kernel;
use crate::kernel::asks::{AskRule, AskTag, Hangs};
use crate::kernel::maps::{Map, NumberMap, SeededHasher, number_map};
use crate::kernel::stores::StoreTag;
use crate::peers::slot::{LaneKey, Origin, SendToPeer};
use crate::store_ops::StoreOp;

/// Keeps one sender's messages to one receiver in order while some of them are being stored: a
/// later one must not be delivered live before they are in the inbox.
#[derive(Debug)]
pub(crate) struct Lanes {
    /// Bound: each lane belongs to an open request.
    pub(crate) lanes: Map<LaneKey, Lane>,
}

#[derive(Debug, Default)]
pub(crate) struct Lane {
    /// Messages that are being stored.
    pub(crate) appends: usize,
    /// Behind those, in order.
    pub(crate) waiting: VecDeque<SendToPeer>,
    /// Messages that other hubs were asked to deliver, with their requests, in order.
    pub(crate) asked: VecDeque<(u64, MessageId)>,
    /// Whether the first of them has been found at a session.
    pub(crate) first: First,
    /// Messages that nobody took while an earlier one may still be on its way back, by request: the
    /// receiver's hub has left the topic since. They are stored after it.
    pub(crate) held: BTreeMap<u64, SendToPeer>,
}

/// What is known of the first message that was asked for. Until a session has it, it may come back
/// and be stored: what follows would overtake it if the receiver logged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum First {
    #[default]
    Unknown,
    /// It is being looked for.
    Sought,
    Found,
}

impl Lane {
    /// Whether a message may not go yet. `is_here`: its receiver is at this hub, where nobody has
    /// to be asked; what others were asked for may still come back from them.
    pub(crate) fn must_wait(&self, is_here: bool) -> bool {
        let is_open = is_here || self.first != First::Found;
        !self.asked.is_empty() && is_open && !fault!(MessagesAreAskedForOutOfOrder)
    }

    /// Whether a further message has to wait.
    pub(crate) fn is_storing(&self) -> bool {
        self.appends > 0 || !self.waiting.is_empty() || !self.held.is_empty()
    }

    pub(crate) fn is_over(&self) -> bool {
        !self.is_storing() && self.asked.is_empty()
    }

    pub(crate) fn has_asked_before(&self, cseq: u64) -> bool {
        self.asked.front().is_some_and(|(first, _)| *first < cseq)
    }

    /// The first of the held messages that has nothing before it any more.
    pub(crate) fn release(&mut self) -> Option<SendToPeer> {
        let (cseq, _) = self.held.first_key_value()?;
        if self.has_asked_before(*cseq) {
            None
        } else {
            self.held.pop_first().map(|(_, send)| send)
        }
    }
}

/// Peer messages of this hub's senders, and to its receivers.
#[derive(Debug)]
pub(crate) struct Peers {
    pub(crate) lanes: Lanes,
    /// Questions under way, by their numbers. Bound: each belongs to an open request.
    pub(crate) asks: NumberMap<PeerAsk>,
    /// Store operations under way, by their tickets. Bound: each belongs to an open request, or to
    /// a session's inbox.
    pub(crate) stores: NumberMap<PeerStore>,
}

/// What was asked of other hubs.
#[derive(Debug)]
pub(crate) enum PeerAsk {
    Deliver(SendToPeer),
    /// Whether a session has this message, which others of the same sender wait for.
    Taken {
        lane: LaneKey,
        id: MessageId,
    },
}

impl PeerAsk {
    fn rule(&self) -> &'static AskRule {
        match self {
            Self::Deliver(_) => &DELIVER,
            Self::Taken { .. } => &TAKEN,
        }
    }
}

/// A delivery hangs on the receiver's client. A hub that has just lost the user, or given its
/// session away, does not decide, nor does it stand for the others.
pub(crate) static DELIVER: AskRule = AskRule {
    tag: AskTag::Peers,
    hangs: Hangs::OnClient,
    is_decided_by: |answer| !matches!(answer, Answer::Gone | Answer::Moved),
    takes_some: false,
};

pub(crate) static TAKEN: AskRule = AskRule {
    tag: AskTag::Peers,
    hangs: Hangs::OnHub,
    is_decided_by: |answer| *answer == Answer::Taken,
    takes_some: true,
};

/// What a store operation was for.
#[derive(Debug)]
pub(crate) enum PeerStore {
    /// The sender's hub stores a message for a user who is gone.
    Send(SendToPeer),
    /// A message is kept in the history before it is sent.
    History(SendToPeer),
    /// The receiver's hub stores a message that was not confirmed in time.
    Delivery {
        session: SessionKey,
        id: MessageId,
        from: Origin,
    },
    /// The receiver's hub stores a message that it does not hand over.
    Kept(Origin),
    /// Stored messages for a session.
    Page(SessionKey),
}

impl Peers {
    pub(crate) fn new(hasher: SeededHasher) -> Self {
        Self {
            lanes: Lanes::new(hasher),
            asks: number_map(),
            stores: number_map(),
        }
    }

    pub(crate) fn ask(
        &mut self,
        kernel: &mut Kernel,
        (topic, question): (Topic, Question),
        ask: PeerAsk,
        out: &mut dyn Sink,
    ) {
        let number = kernel.ask(topic, question, ask.rule(), out);
        self.asks.insert(number, ask);
    }

    pub(crate) fn store(
        &mut self,
        kernel: &mut Kernel,
        op: StoreOp,
        pending: PeerStore,
        out: &mut dyn Sink,
    ) {
        let event = kernel.event_of_append(&op);
        let append = match &op {
            StoreOp::InboxAppend { user, message, .. } if kernel.traces.is_on => {
                Some((user.clone(), message.clone()))
            }
            _ => None,
        };
        let ticket = kernel.store(op, StoreTag::Peers, out);
        kernel.note_append(ticket, event);
        if kernel.traces.is_on {
            match (&pending, append) {
                (_, Some((to, message))) => kernel.trace_append(ticket, &to, &message),
                (PeerStore::History(send), None) => {
                    let app = &send.to.app;
                    kernel.trace_storing(ticket, app, send.parcel.id, "in the history");
                }
                _ => {}
            }
        }
        self.stores.insert(ticket.0, pending);
    }
}

impl Lanes {
    pub(crate) fn new(hasher: SeededHasher) -> Self {
        Self {
            lanes: hasher.map(),
        }
    }

    /// The lane in which a message goes. Mostly there is none of anybody, and nothing is hashed.
    pub(crate) fn of(&mut self, send: &SendToPeer) -> Option<&mut Lane> {
        if self.lanes.is_empty() {
            return None;
        }
        self.lanes.get_mut(&send.lane())
    }
}

impl Peers {
    /// Asserts what holds between two inputs. Cost: O(messages under way).
    pub(crate) fn assert_consistent(&self, kernel: &Kernel) {
        let asks = kernel.asks.count_of(AskTag::Peers);
        assert_eq!(
            self.asks.len(),
            asks,
            "questions without a reason, or the reverse"
        );
        let stores = kernel.stores.count_of(StoreTag::Peers);
        assert_eq!(
            self.stores.len(),
            stores,
            "operations without a reason, or the reverse"
        );
        for ask in self.asks.values() {
            match ask {
                PeerAsk::Deliver(send) => send.assert_consistent(),
                PeerAsk::Taken { .. } => {}
            }
        }
        for pending in self.stores.values() {
            match pending {
                PeerStore::Send(send) => {
                    send.assert_consistent();
                    assert!(
                        send.history.is_none(),
                        "a message is stored before it is kept"
                    );
                }
                PeerStore::History(send) => {
                    send.assert_consistent();
                    assert!(send.history.is_none(), "a copy is kept twice");
                }
                PeerStore::Delivery { .. } | PeerStore::Kept(_) | PeerStore::Page(_) => {}
            }
        }
        let (mut asked, mut appends) = (0, 0);
        for lane in self.lanes.lanes.values() {
            lane.assert_consistent();
            asked += lane.asked.len();
            appends += lane.appends;
        }
        let delivers = self
            .asks
            .values()
            .filter(|ask| matches!(ask, PeerAsk::Deliver(_)));
        assert_eq!(
            asked,
            delivers.count(),
            "messages that other hubs were asked to deliver"
        );
        let is_append = |of: &&PeerStore| matches!(of, PeerStore::Send(_) | PeerStore::History(_));
        let storing = self.stores.values().filter(is_append).count();
        assert_eq!(appends, storing, "messages that are being stored");
    }
}

impl Lane {
    fn assert_consistent(&self) {
        assert!(!self.is_over(), "a lane that nothing goes along");
        for send in &self.waiting {
            send.assert_consistent();
            assert!(
                !self.held.contains_key(&send.number),
                "a message waits twice"
            );
        }
        for (number, send) in &self.held {
            assert_eq!(
                *number, send.number,
                "a message is held under another number"
            );
            assert!(
                send.parcel.offline.is_some(),
                "a message is held that is not stored"
            );
        }
        let is_sorted = self.asked.iter().is_sorted_by(|a, b| a.0 < b.0);
        assert!(is_sorted, "messages are asked for in their order");
        let is_blocked = self.appends > 0 || !self.held.is_empty() || !self.asked.is_empty();
        assert!(
            self.waiting.is_empty() || is_blocked,
            "messages wait for nothing"
        );
        let is_behind = |number: &u64| self.asked.front().is_some_and(|(first, _)| first < number);
        assert!(
            self.held.keys().all(is_behind),
            "a message is held behind nothing"
        );
        assert!(
            self.first == First::Unknown || !self.asked.is_empty(),
            "the first of none is looked for"
        );
    }
}
