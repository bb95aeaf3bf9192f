//! Questions to other hubs that are on their way, and what happens when they are answered or not.

use std::collections::VecDeque;
use std::sync::Arc;

use tidings_wire::limits::PEER_TIMEOUT_MS;
use tidings_wire::proto::PresenceState;

use crate::Hub;
use crate::attributes::AttributeAsk;
use crate::bus_ops::{Answer, AskId, BusOp, Inherited, Located, Question, Topic};
use crate::counts::CountAsk;
use crate::ids::{ChannelKey, HubId, MessageId, UserKey};
use crate::io::{Effect, Sink};
use crate::login::{Claim, ClaimAsk};
use crate::maps::{Map, SeededHasher};
use crate::peers::SendToPeer;
use crate::presence::PresenceAsk;
use crate::resume::LocateAsk;
use crate::session::SessionKey;

/// Longest wait for an answer that a hub can give by itself. Source: contract DEL-14.
const HUB_ANSWER_MS: u64 = 2_000;
/// Longest wait for an answer that hangs on a client: the answering hub gives up a second earlier.
const CLIENT_ANSWER_MS: u64 = PEER_TIMEOUT_MS + 1_000;

/// A question and what it was asked for.
#[derive(Debug)]
pub(crate) enum PendingAsk {
    Claim(ClaimAsk),
    Deliver(SendToPeer),
    /// Whether a session has this message, which others of the same sender wait for.
    Taken {
        lane: (SessionKey, UserKey),
        id: MessageId,
    },
    Presence(PresenceAsk),
    Locate(LocateAsk),
    Members(ChannelKey),
    /// A member list of a channel without members here.
    Look {
        session: SessionKey,
        cseq: u64,
    },
    Count(CountAsk),
    Attributes(AttributeAsk),
    /// The copy of a channel message, kept by another hub before its sender is answered.
    Keep {
        session: SessionKey,
        cseq: u64,
    },
}

impl PendingAsk {
    /// Whether this answer settles the question, whatever other hubs will say.
    fn is_decided_by(&self, answer: &Answer) -> bool {
        match self {
            PendingAsk::Claim(_) => *answer == Answer::Superseded,
            PendingAsk::Deliver(_) => *answer != Answer::Gone,
            PendingAsk::Taken { .. } => *answer == Answer::Taken,
            PendingAsk::Presence(_) | PendingAsk::Attributes(_) => {
                matches!(answer, Answer::Presence { state, .. } if *state != PresenceState::Offline)
            }
            PendingAsk::Locate(_) => *answer == Answer::Located(Located::Here),
            PendingAsk::Keep { .. } => true,
            PendingAsk::Members(_) | PendingAsk::Look { .. } | PendingAsk::Count(_) => false,
        }
    }

    /// Whether silence of a single hub leaves the question open: what hangs on it cannot be taken back.
    fn needs_every_answer(&self) -> bool {
        matches!(
            self,
            PendingAsk::Attributes(AttributeAsk::Sweep { .. })
                | PendingAsk::Count(CountAsk::Sweep { .. })
        )
    }

    /// The answer that counts: the decisive one, or what all of them amount to.
    fn best_of(&self, mut answers: Vec<(HubId, Answer)>) -> Option<(HubId, Answer)> {
        if let Some(at) = answers
            .iter()
            .position(|(_, answer)| self.is_decided_by(answer))
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
                (_, replaced @ Answer::Located(Located::Replaced)) => replaced,
                (best, _) => best,
            });
        Some((from, best))
    }
}

/// The questions on their way. Each has a deadline; deadlines of one kind are in the order of asking.
#[derive(Debug)]
pub(crate) struct Asks {
    next: u64,
    /// Bound: each belongs to an open request, a login or a channel.
    pending: Map<u64, (PendingAsk, Vec<(HubId, Answer)>)>,
    by_hub: VecDeque<(u64, u64)>,
    by_client: VecDeque<(u64, u64)>,
}

impl Asks {
    pub(crate) fn new(hasher: SeededHasher) -> Self {
        Self {
            next: 0,
            pending: hasher.map(),
            by_hub: VecDeque::new(),
            by_client: VecDeque::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    /// Names a question and waits for its answer.
    pub(crate) fn add(&mut self, now_ms: u64, pending: PendingAsk) -> AskId {
        self.next += 1;
        let ask = self.next;
        if matches!(pending, PendingAsk::Deliver(_) | PendingAsk::Keep { .. }) {
            self.by_client.push_back((now_ms + CLIENT_ANSWER_MS, ask));
        } else {
            self.by_hub.push_back((now_ms + HUB_ANSWER_MS, ask));
        }
        self.pending.insert(ask, (pending, Vec::new()));
        AskId::new(ask)
    }

    fn take(&mut self, ask: u64) -> Option<(PendingAsk, Vec<(HubId, Answer)>)> {
        let taken = self.pending.remove(&ask);
        for queue in [&mut self.by_hub, &mut self.by_client] {
            while queue
                .front()
                .is_some_and(|(_, ask)| !self.pending.contains_key(ask))
            {
                queue.pop_front();
            }
        }
        taken
    }

    pub(crate) fn next_due(&self) -> Option<u64> {
        [self.by_hub.front(), self.by_client.front()]
            .into_iter()
            .flatten()
            .map(|(due, _)| *due)
            .min()
    }

    /// A question whose time is over, with what was answered.
    pub(crate) fn pop_due(&mut self, now_ms: u64) -> Option<(PendingAsk, Vec<(HubId, Answer)>)> {
        let due = [self.by_hub.front(), self.by_client.front()]
            .into_iter()
            .flatten()
            .find(|(due, _)| *due <= now_ms)
            .map(|(_, ask)| *ask)?;
        self.take(due)
    }
}

impl Hub {
    /// Asks a topic; the answer comes back to what `pending` says.
    pub(crate) fn ask(
        &mut self,
        topic: Topic,
        question: Question,
        pending: PendingAsk,
        out: &mut dyn Sink,
    ) {
        let ask = self.kernel.asks.add(self.kernel.now.mono_ms, pending);
        out.emit(Effect::Bus(BusOp::Ask {
            topic,
            ask,
            question: Arc::new(question),
        }));
    }

    pub(crate) fn handle_answer(
        &mut self,
        ask: AskId,
        from: HubId,
        answer: Answer,
        out: &mut dyn Sink,
    ) {
        let Some((pending, answers)) = self.kernel.asks.pending.get_mut(&ask.number) else {
            return;
        };
        let is_decisive = pending.is_decided_by(&answer);
        answers.push((from, answer));
        if !is_decisive && answers.len() < usize::from(ask.asked) {
            // Another hub may know better: one that has just lost what was asked for answers, too.
            return;
        }
        if let Some((pending, answers)) = self.kernel.asks.take(ask.number) {
            self.settle(pending, answers, out);
        }
    }

    /// What was asked is known, as far as it will be.
    fn settle(&mut self, pending: PendingAsk, answers: Vec<(HubId, Answer)>, out: &mut dyn Sink) {
        let Some((from, answer)) = pending.best_of(answers) else {
            return;
        };
        match (pending, answer) {
            (PendingAsk::Claim(ask), answer) => {
                let claim = match answer {
                    Answer::Superseded => Claim::Lost,
                    Answer::Yielded(inherited) => Claim::Won(inherited),
                    _ => Claim::Won(Inherited::default()),
                };
                self.finish_claim(ask, claim, out);
            }
            (PendingAsk::Deliver(send), answer) => self.finish_asked(send, answer, out),
            (PendingAsk::Taken { lane, id }, answer) => {
                self.finish_taken(&lane, id, answer == Answer::Taken, out);
            }
            (PendingAsk::Presence(ask), answer) => self.finish_presence(ask, Some(answer), out),
            (PendingAsk::Locate(ask), answer) => {
                let located = match answer {
                    Answer::Located(located) => located,
                    _ => Located::Unknown,
                };
                self.finish_locate(ask, located, from, out);
            }
            (PendingAsk::Members(channel), Answer::Members(known)) => {
                self.finish_sync(&channel, known, out);
            }
            (PendingAsk::Members(channel), _) => self.finish_sync(&channel, Vec::new(), out),
            (PendingAsk::Look { session, cseq }, Answer::Members(known)) => {
                self.finish_look((session, cseq), known, out);
            }
            (PendingAsk::Look { session, cseq }, _) => {
                self.finish_look((session, cseq), Vec::new(), out);
            }
            (PendingAsk::Count(ask), Answer::Count(count)) => self.finish_count(ask, count, out),
            (PendingAsk::Count(ask), _) => self.finish_count(ask, 0, out),
            (PendingAsk::Keep { session, cseq }, answer) => {
                self.finish_keep(session, cseq, answer, out);
            }
            (PendingAsk::Attributes(ask), answer) => {
                self.finish_attribute_ask(ask, Some(answer), out);
            }
        }
    }

    pub(crate) fn handle_nobody(&mut self, ask: AskId, out: &mut dyn Sink) {
        if let Some((pending, _)) = self.kernel.asks.take(ask.number) {
            self.settle_unknown(pending, Answer::Gone, out);
        }
    }

    /// Silence: whoever was subscribed has not answered in time.
    pub(crate) fn handle_unanswered(
        &mut self,
        (pending, answers): (PendingAsk, Vec<(HubId, Answer)>),
        out: &mut dyn Sink,
    ) {
        if pending.needs_every_answer() {
            // The next sweep asks again.
            return;
        }
        if !answers.is_empty() && !matches!(pending, PendingAsk::Deliver(_)) {
            return self.settle(pending, answers, out);
        }
        self.settle_unknown(pending, Answer::Unconfirmed, out);
    }

    /// No hub has said anything; `delivery` is what that means for a message.
    fn settle_unknown(&mut self, pending: PendingAsk, delivery: Answer, out: &mut dyn Sink) {
        let own = self.kernel.config.id;
        match pending {
            PendingAsk::Deliver(send) => self.finish_asked(send, delivery, out),
            PendingAsk::Claim(ask) => {
                // A hub that is silent cannot hold the user: the later login wins.
                self.finish_claim(ask, Claim::Won(Inherited::default()), out);
            }
            PendingAsk::Taken { lane, id } => self.finish_taken(&lane, id, false, out),
            PendingAsk::Presence(ask) => self.finish_presence(ask, None, out),
            PendingAsk::Locate(ask) => self.finish_locate(ask, Located::Unknown, own, out),
            PendingAsk::Members(channel) => self.finish_sync(&channel, Vec::new(), out),
            PendingAsk::Look { session, cseq } => {
                self.finish_look((session, cseq), Vec::new(), out);
            }
            PendingAsk::Count(ask) => self.finish_count(ask, 0, out),
            PendingAsk::Attributes(ask) => self.finish_attribute_ask(ask, None, out),
            PendingAsk::Keep { session, cseq } => self.finish_keep(session, cseq, delivery, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus_ops::MemberSnapshot;
    use tidings_wire::names::{AppId, ChannelName};

    fn members() -> PendingAsk {
        PendingAsk::Members(ChannelKey {
            app: AppId::parse(&"a".repeat(32)).expect("app id"),
            channel: ChannelName::parse("x").expect("name"),
        })
    }

    #[test]
    fn a_hub_that_knows_is_not_outvoted_by_one_that_has_just_left() {
        let claim = PendingAsk::Claim(ClaimAsk::for_test("alice"));
        let yielded = |was_here| {
            Answer::Yielded(Inherited {
                was_here,
                ..Inherited::default()
            })
        };
        assert!(!claim.is_decided_by(&yielded(true)));
        let answers = vec![(HubId(1), Answer::Superseded), (HubId(2), yielded(false))];
        assert_eq!(claim.best_of(answers), Some((HubId(1), Answer::Superseded)));
        let answers = vec![(HubId(1), yielded(true)), (HubId(2), yielded(false))];
        assert_eq!(claim.best_of(answers), Some((HubId(2), yielded(true))));
    }

    #[test]
    fn member_lists_of_all_hubs_are_put_together() {
        let one = |hub| MemberSnapshot {
            origin: HubId(hub),
            epoch: 1,
            seq: 1,
            members: Vec::new(),
        };
        let answers = vec![
            (HubId(1), Answer::Members(vec![one(1)])),
            (HubId(2), Answer::Members(Vec::new())),
        ];
        let best = members().best_of(answers);
        assert_eq!(best, Some((HubId(2), Answer::Members(vec![one(1)]))));
    }
}
