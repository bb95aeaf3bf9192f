//! The numbering of what this shard publishes.

use std::collections::{BTreeSet, VecDeque};

use tidings_fault::fault;
use tidings_hub::bus_ops::Topic;

use super::interest::TopicMap;
use super::queue::Queue;
use super::subjects::TopicKey;
use crate::envelope::Position;

/// How long after a publication its number is repeated. Source: `spec/cluster.md` 3.3.
const MARK_MS: u64 = 1_000;

/// How long a topic is counted on that nothing is published to and nobody here is interested in.
const IDLE_MS: u64 = 60_000;

/// Most topics that are counted on; the one that waits longest gives way. A later run of it begins
/// at 1, which its receivers know.
const RUNS_MAX: usize = 262_144;

/// Most words that can be repeated on request; of older ones receivers must think that they have
/// missed something.
const RECENT_MAX: usize = 16_384;

/// What this shard publishes to one topic.
#[derive(Debug)]
struct Run {
    topic: Topic,
    at: Position,
    last_ms: u64,
    is_marked: bool,
}

/// What this shard publishes.
#[derive(Debug)]
pub(crate) struct Runs {
    /// By topic. Bound: `RUNS_MAX`.
    runs: TopicMap<Run>,
    last_run: u64,
    /// When a mark may be due: one entry for each run that has published since its last one.
    marks: BTreeSet<(u64, TopicKey)>,
    /// One entry for each run.
    idle: Queue<TopicKey>,
    /// Of which topics something was told lately that is not repeated by itself: (when by the
    /// cluster's clock, which). Bound: `RECENT_MAX`.
    recent: VecDeque<(u64, Topic)>,
    /// The earliest time from which `recent` has everything.
    recent_since_ms: u64,
}

impl Runs {
    pub(crate) fn new() -> Self {
        Self {
            runs: TopicMap::default(),
            last_run: 0,
            marks: BTreeSet::new(),
            idle: Queue::new(IDLE_MS),
            recent: VecDeque::new(),
            recent_since_ms: 0,
        }
    }

    pub(crate) fn at(&self, key: TopicKey) -> Option<Position> {
        self.runs.get(&key).map(|run| run.at)
    }

    /// Numbers a publication.
    pub(crate) fn next(
        &mut self,
        key: TopicKey,
        topic: &Topic,
        now_ms: u64,
        clock_ms: u64,
    ) -> Position {
        if let Some(run) = self.runs.get_mut(&key) {
            run.at.number += 1;
            run.last_ms = now_ms;
            if run.is_marked {
                run.is_marked = false;
                self.marks.insert((now_ms + MARK_MS, key));
            }
            return run.at;
        }
        if self.runs.len() >= RUNS_MAX {
            while let Some(oldest) = self.idle.pop_oldest() {
                if self.runs.remove(&oldest).is_some() {
                    break;
                }
            }
        }
        self.last_run = clock_ms.max(self.last_run + 1);
        let at = Position {
            run: self.last_run,
            number: 1,
        };
        let run = Run {
            topic: topic.clone(),
            at,
            last_ms: now_ms,
            is_marked: false,
        };
        self.runs.insert(key, run);
        self.marks.insert((now_ms + MARK_MS, key));
        self.idle.push(now_ms, key);
        at
    }

    /// A topic whose last number is to be repeated now.
    pub(crate) fn mark(&mut self, now_ms: u64) -> Option<Topic> {
        while let Some(&(due_ms, key)) = self.marks.first()
            && due_ms <= now_ms
        {
            self.marks.pop_first();
            let Some(run) = self.runs.get_mut(&key) else {
                continue;
            };
            if run.last_ms + MARK_MS > now_ms {
                // It has gone on.
                self.marks.insert((run.last_ms + MARK_MS, key));
                continue;
            }
            run.is_marked = true;
            if !fault!(MarkIsForgotten) {
                return Some(run.topic.clone());
            }
        }
        None
    }

    /// The mark of this topic could not be sent: it is due again later.
    pub(crate) fn mark_later(&mut self, key: TopicKey, now_ms: u64) {
        if let Some(run) = self.runs.get_mut(&key) {
            run.is_marked = false;
            self.marks.insert((now_ms + MARK_MS, key));
        }
    }

    /// Forgets topics that nothing is published to, but those for which `is_needed` speaks.
    pub(crate) fn sweep(&mut self, now_ms: u64, is_needed: impl Fn(TopicKey) -> bool) {
        while let Some(key) = self.idle.pop(now_ms) {
            let Some(run) = self.runs.get(&key) else {
                continue;
            };
            if run.last_ms + IDLE_MS > now_ms || is_needed(key) {
                self.idle.push(now_ms, key);
            } else {
                self.runs.remove(&key);
            }
        }
    }

    /// Something of this topic was told that is not repeated by itself.
    pub(crate) fn told(&mut self, topic: Topic, clock_ms: u64) {
        self.recent.push_back((clock_ms, topic));
        if self.recent.len() > RECENT_MAX {
            let oldest = self.recent.pop_front();
            self.recent_since_ms = oldest.map_or(clock_ms, |(at_ms, _)| at_ms + 1);
        }
    }

    /// The topics of which something was told since then, and since when they are all of them.
    pub(crate) fn told_since(&self, since_ms: u64) -> (u64, Vec<Topic>) {
        let from = self.recent.partition_point(|(at_ms, _)| *at_ms < since_ms);
        let topics = self.recent.range(from..).map(|(_, topic)| topic.clone());
        (self.recent_since_ms.max(since_ms), topics.collect())
    }

    /// When [`Runs::mark`] or [`Runs::sweep`] has something to do.
    pub(crate) fn due(&self) -> Option<u64> {
        let mark = self.marks.first().map(|(due_ms, _)| *due_ms);
        mark.into_iter().chain(self.idle.due()).min()
    }
}
