//! Questions to other hubs that are on their way: a ledger of numbers and deadlines.
//!
//! It knows no feature's types. Whoever asks keeps what it asked for under the number that it is
//! given, and is told by that number what has become of the question.

use std::collections::VecDeque;

use tidings_wire::limits::PEER_TIMEOUT_MS;

use crate::bus_ops::{Answer, AskId, Located, NotGiven};
use crate::ids::HubId;
use crate::kernel::maps::{NumberMap, number_map};

/// Longest wait for an answer that a hub can give on its own. Source: contract DEL-14.
const HUB_ANSWER_MS: u64 = 2_000;

/// Longest wait for an answer that hangs on a client: the answering hub gives up a second earlier.
const CLIENT_ANSWER_MS: u64 = PEER_TIMEOUT_MS + 1_000;

/// The feature that has asked, and goes on when the question is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AskTag {
    Attributes,
    Channels,
    History,
    Logins,
    Moves,
    Peers,
    Presence,
    Resumes,
}

/// On whom an answer hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hangs {
    /// The hub that is asked answers at once.
    OnHub,
    /// It waits for a client, or for the store.
    OnClient,
}

/// How questions of one kind are settled.
#[derive(Debug)]
pub(crate) struct AskRule {
    pub(crate) tag: AskTag,
    pub(crate) hangs: Hangs,
    /// Whether this answer settles the question, whatever other hubs will say.
    pub(crate) is_decided_by: fn(&Answer) -> bool,
    /// Whether the answers of some hubs will do when the others are silent. If not, silence of one
    /// is silence of all: what hangs on the question cannot be taken back.
    pub(crate) takes_some: bool,
}

impl AskRule {
    /// The answer that counts: the decisive one, or what all of them amount to. `None`: there is
    /// none.
    pub(crate) fn best_of(&self, mut answers: Vec<(HubId, Answer)>) -> Option<(HubId, Answer)> {
        if let Some(at) = answers
            .iter()
            .position(|(_, answer)| (self.is_decided_by)(answer))
        {
            return Some(answers.swap_remove(at));
        }
        let (from, last) = answers.pop()?;
        let best = answers
            .into_iter()
            .fold(last, |best, (_, answer)| match (best, answer) {
                (Answer::Yielded(a), Answer::Yielded(b)) => Answer::Yielded(a.and(b)),
                (Answer::Count(a), Answer::Count(b)) => Answer::Count(a.max(b)),
                (Answer::Members(mut all), Answer::Members(more)) => {
                    all.extend(more);
                    Answer::Members(all)
                }
                (Answer::Progress(mut all), Answer::Progress(more)) => {
                    all.extend(more);
                    Answer::Progress(all)
                }
                // Who has it by now, and knows that it is gone, outvotes who has given it away.
                (Answer::Moved, other) => other,
                (_, elsewhere @ Answer::NotGiven(NotGiven::Elsewhere)) => elsewhere,
                (_, replaced @ Answer::Located(Located::Replaced)) => replaced,
                (
                    Answer::Located(Located::Unknown),
                    elsewhere @ Answer::Located(Located::Elsewhere),
                ) => elsewhere,
                (best, _) => best,
            });
        Some((from, best))
    }
}

/// What has become of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The answer that counts, and the hub that gave it.
    Answered {
        from: HubId,
        answer: Answer,
        /// Nobody who was asked is still silent.
        is_complete: bool,
    },
    /// Nobody was subscribed to the topic.
    Nobody,
    /// Whoever was subscribed did not answer in time.
    Silence,
}

/// A question that is settled.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) tag: AskTag,
    pub(crate) number: u64,
    pub(crate) outcome: Outcome,
}

/// A question on its way.
#[derive(Debug)]
struct Open {
    rule: &'static AskRule,
    /// The greatest number of hubs that were asked, of those that answers have stated: nodes of a
    /// cluster may know of different ones.
    asked: u16,
    /// Bound: the hubs that were asked.
    answers: Vec<(HubId, Answer)>,
}

/// The questions on their way. Each has a deadline; deadlines of one kind are in the order of
/// asking.
#[derive(Debug, Default)]
pub(crate) struct Asks {
    next: u64,
    /// Bound: each belongs to an open request, a login or a channel.
    open: NumberMap<Open>,
    /// (deadline, number), in the order of both.
    by_hub: VecDeque<(u64, u64)>,
    by_client: VecDeque<(u64, u64)>,
}

impl Asks {
    pub(crate) fn new() -> Self {
        Self {
            next: 0,
            open: number_map(),
            by_hub: VecDeque::new(),
            by_client: VecDeque::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// Names a question and waits for its answer.
    pub(crate) fn add(&mut self, now_ms: u64, rule: &'static AskRule) -> AskId {
        self.next += 1;
        let number = self.next;
        match rule.hangs {
            Hangs::OnClient => self
                .by_client
                .push_back((now_ms + CLIENT_ANSWER_MS, number)),
            Hangs::OnHub => self.by_hub.push_back((now_ms + HUB_ANSWER_MS, number)),
        }
        let answers = Vec::new();
        let open = Open {
            rule,
            asked: 0,
            answers,
        };
        let before = self.open.insert(number, open);
        debug_assert!(before.is_none(), "a number is given twice");
        AskId::new(number)
    }

    fn take(&mut self, number: u64) -> Option<Open> {
        let taken = self.open.remove(&number);
        for queue in [&mut self.by_hub, &mut self.by_client] {
            while queue
                .front()
                .is_some_and(|(_, number)| !self.open.contains_key(number))
            {
                queue.pop_front();
            }
        }
        taken
    }

    /// A hub has answered. `None`: the question is still open, or was settled before, since answers
    /// may come late.
    pub(crate) fn answer(&mut self, ask: AskId, from: HubId, answer: Answer) -> Option<Settled> {
        let open = self.open.get_mut(&ask.number)?;
        let is_decisive = (open.rule.is_decided_by)(&answer);
        debug_assert!(ask.asked > 0, "the bus has not said how many were asked");
        debug_assert!(
            open.answers.iter().all(|(answered, _)| *answered != from),
            "a hub answers twice"
        );
        open.asked = open.asked.max(ask.asked);
        open.answers.push((from, answer));
        if !is_decisive && open.answers.len() < usize::from(open.asked) {
            // Another hub may know better: one that has just lost what was asked for answers, too.
            return None;
        }
        let Open { rule, answers, .. } = self.take(ask.number)?;
        let (from, answer) = rule.best_of(answers)?;
        Some(Settled {
            tag: rule.tag,
            number: ask.number,
            outcome: Outcome::Answered {
                from,
                answer,
                is_complete: true,
            },
        })
    }

    /// The bus says that nobody was subscribed. `None`: the question is not open.
    pub(crate) fn nobody(&mut self, ask: AskId) -> Option<Settled> {
        let Open { rule, .. } = self.take(ask.number)?;
        Some(Settled {
            tag: rule.tag,
            number: ask.number,
            outcome: Outcome::Nobody,
        })
    }

    pub(crate) fn next_due(&self) -> Option<u64> {
        [self.by_hub.front(), self.by_client.front()]
            .into_iter()
            .flatten()
            .map(|(due, _)| *due)
            .min()
    }

    /// A question whose time is over, settled by what was answered until now.
    pub(crate) fn pop_due(&mut self, now_ms: u64) -> Option<Settled> {
        let number = [self.by_hub.front(), self.by_client.front()]
            .into_iter()
            .flatten()
            .find(|(due, _)| *due <= now_ms)
            .map(|(_, number)| *number)?;
        let Open { rule, answers, .. } = self.take(number)?;
        let best = if rule.takes_some {
            rule.best_of(answers)
        } else {
            None
        };
        let outcome = match best {
            Some((from, answer)) => Outcome::Answered {
                from,
                answer,
                is_complete: false,
            },
            None => Outcome::Silence,
        };
        Some(Settled {
            tag: rule.tag,
            number,
            outcome,
        })
    }
}

impl Asks {
    /// Asserts what holds between two inputs. Cost: O(questions).
    pub(crate) fn assert_consistent(&self, now_ms: u64) {
        for queue in [&self.by_hub, &self.by_client] {
            assert!(
                queue.iter().is_sorted(),
                "deadlines are in the order of asking"
            );
            let front = queue.front();
            assert!(
                front.is_none_or(|(_, number)| self.open.contains_key(number)),
                "the next deadline is of an open question"
            );
            assert!(
                front.is_none_or(|(due_ms, _)| *due_ms > now_ms),
                "a deadline has passed"
            );
        }
        for (number, open) in &self.open {
            assert!(*number <= self.next, "a question that was not asked");
            let is_decided = open
                .answers
                .iter()
                .any(|(_, answer)| (open.rule.is_decided_by)(answer));
            assert!(!is_decided, "a decided question is open");
            assert!(
                open.answers.is_empty() || open.answers.len() < usize::from(open.asked),
                "a question is open that all have answered"
            );
        }
        let queued = self.by_hub.len() + self.by_client.len();
        assert!(
            queued >= self.open.len(),
            "every open question has a deadline"
        );
    }

    /// How many questions of a feature are open. Cost: O(questions).
    pub(crate) fn count_of(&self, tag: AskTag) -> usize {
        self.open
            .values()
            .filter(|open| open.rule.tag == tag)
            .count()
    }
}
