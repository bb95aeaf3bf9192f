//! Questions that are on their way to other nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidings_hub::bus_ops::{Question, Topic};
use tidings_hub::ids::HubId;
use tidings_wire::limits::PEER_TIMEOUT_MS;

use super::queue::Queue;
use super::subjects::TopicKey;

/// How long answers are passed on: longer than any hub waits for one.
const ASK_MS: u64 = PEER_TIMEOUT_MS + 2_000;

/// Most questions that are open; further ones stay without an answer.
pub(crate) const ASKS_MAX: usize = 65_536;

/// After which times a question that has found a node without subscribers looks again whether
/// somebody is there, in milliseconds: NATS forgets a subscription within a few.
const PROBES_MS: [u64; 4] = [5, 20, 80, 320];

/// After which time a question that nobody has answered looks for the first time, in milliseconds:
/// it may have gone to a server whose last subscriber had just left.
const SILENT_MS: u64 = 100;

/// How many of the times of `PROBES_MS` such a question leaves out.
const SILENT_PROBES: usize = 2;

/// A question of a hub of this node.
#[derive(Debug, Clone)]
pub(crate) struct Asking {
    pub(crate) asker: HubId,
    /// The asker's own number.
    pub(crate) number: u64,
    pub(crate) topic: Topic,
    pub(crate) question: Arc<Question>,
    pub(crate) asked_ms: u64,
    /// Whether the asker is subscribed to the topic.
    pub(crate) listens: bool,
    /// How many hubs of this node have been asked; `None` = not asked yet.
    pub(crate) here: Option<usize>,
}

impl Asking {
    /// Whether a hub still waits for an answer.
    pub(crate) fn is_waited_for(&self, now_ms: u64) -> bool {
        self.asked_ms + ASK_MS > now_ms
    }
}

/// A question that other nodes have been asked.
#[derive(Debug)]
pub(crate) enum Open {
    Ask {
        asker: HubId,
        number: u64,
        topic: Topic,
        /// Nobody on this node has been asked, and nobody has answered.
        is_alone: bool,
        /// Who is known to be interested counts, also where NATS does not reach them.
        doubts: bool,
        probes: usize,
    },
    /// A hello, by its subscription.
    Hello { key: TopicKey, sid: u64 },
}

/// Questions that other nodes have been asked.
#[derive(Debug)]
pub(crate) struct Asks {
    next: u64,
    /// Bound: `ASKS_MAX`, and hellos of the last seconds.
    open: BTreeMap<u64, Open>,
    ends: Queue<u64>,
    /// (when, which question) looks again.
    probes: BTreeSet<(u64, u64)>,
}

impl Asks {
    /// `incarnation`: an answer to another life's question has another number.
    pub(crate) fn new(incarnation: u64) -> Self {
        Self {
            next: incarnation << 32,
            open: BTreeMap::new(),
            ends: Queue::new(ASK_MS),
            probes: BTreeSet::new(),
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.open.len() >= ASKS_MAX
    }

    pub(crate) fn add(&mut self, now_ms: u64, open: Open) -> u64 {
        self.next += 1;
        if let Open::Ask {
            is_alone: true,
            probes: SILENT_PROBES,
            ..
        } = &open
        {
            self.probes.insert((now_ms + SILENT_MS, self.next));
        }
        self.open.insert(self.next, open);
        self.ends.push(now_ms, self.next);
        self.next
    }

    pub(crate) fn get(&mut self, number: u64) -> Option<&mut Open> {
        self.open.get_mut(&number)
    }

    /// Whether a question is safe to be taken for one to nobody when NATS says later that nobody is
    /// there: then it has changed nothing that anybody knows of.
    pub(crate) fn looks(question: &Question) -> bool {
        !matches!(
            question,
            Question::Deliver(_) | Question::HasTaken(_) | Question::Give { .. }
        )
    }

    /// Whether a question goes to those who are known to be interested, not to whoever is within
    /// reach: members do not leave because NATS has lost the way to their node.
    pub(crate) fn doubts(question: &Question) -> bool {
        matches!(question, Question::Progress)
    }

    /// How a new question begins to look whether somebody is there.
    pub(crate) fn first_probe(question: &Question) -> usize {
        if Self::looks(question) {
            SILENT_PROBES
        } else {
            0
        }
    }

    pub(crate) fn end(&mut self, number: u64) {
        self.open.remove(&number);
    }

    /// The question has met a node without subscribers: it looks again later.
    pub(crate) fn probe_later(&mut self, number: u64, now_ms: u64) {
        if let Some(Open::Ask { probes, .. }) = self.open.get_mut(&number)
            && let Some(after_ms) = PROBES_MS.get(*probes)
        {
            *probes += 1;
            self.probes.insert((now_ms + after_ms, number));
        }
    }

    /// A question that looks again now, with its topic.
    pub(crate) fn probe(&mut self, now_ms: u64) -> Option<(u64, Topic)> {
        while let Some(&(due_ms, number)) = self.probes.first()
            && due_ms <= now_ms
        {
            self.probes.pop_first();
            if let Some(Open::Ask {
                topic,
                is_alone: true,
                ..
            }) = self.open.get(&number)
            {
                let topic = topic.clone();
                // If this one's answer is lost, too.
                self.probe_later(number, now_ms);
                return Some((number, topic));
            }
        }
        None
    }

    pub(crate) fn sweep(&mut self, now_ms: u64) {
        while let Some(number) = self.ends.pop(now_ms) {
            self.open.remove(&number);
        }
    }

    /// Whether no question looks again for somebody who has left.
    pub(crate) fn is_settled(&self) -> bool {
        let looks = |(_, number): &(u64, u64)| {
            matches!(
                self.open.get(number),
                Some(Open::Ask { is_alone: true, .. })
            )
        };
        !self.probes.iter().any(looks)
    }

    pub(crate) fn due(&self) -> Option<u64> {
        let probe = self.probes.first().map(|(due_ms, _)| *due_ms);
        probe.into_iter().chain(self.ends.due()).min()
    }
}
