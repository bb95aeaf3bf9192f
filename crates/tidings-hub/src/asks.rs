//! Questions to other hubs that are on their way, and what happens when they are answered or not.

use std::collections::VecDeque;
use std::sync::Arc;

use tidings_wire::limits::PEER_TIMEOUT_MS;

use crate::Hub;
use crate::attributes::AttributeAsk;
use crate::bus_ops::{Answer, AskId, BusOp, Located, Question, Topic};
use crate::counts::CountAsk;
use crate::ids::{ChannelKey, ConnectionId, HubId, UserKey};
use crate::io::{Effect, Sink};
use crate::login::{Claim, LocateAsk};
use crate::maps::{Map, SeededHasher};
use crate::peers::SendToPeer;
use crate::presence::PresenceAsk;

/// Longest wait for an answer that a hub can give by itself. Source: contract DEL-14.
const HUB_ANSWER_MS: u64 = 2_000;
/// Longest wait for an answer that hangs on a client: the answering hub gives up a second earlier.
const CLIENT_ANSWER_MS: u64 = PEER_TIMEOUT_MS + 1_000;

/// A question and what it was asked for.
#[derive(Debug)]
pub(crate) enum PendingAsk {
    Claim {
        user: UserKey,
        connection: ConnectionId,
    },
    Deliver(SendToPeer),
    Presence(PresenceAsk),
    Locate(LocateAsk),
    Members(ChannelKey),
    Count(CountAsk),
    Attributes(AttributeAsk),
}

/// The questions on their way. Each has a deadline; deadlines of one kind are in the order of asking.
#[derive(Debug)]
pub(crate) struct Asks {
    next: u64,
    /// Bound: each belongs to an open request, a login or a channel.
    pending: Map<AskId, PendingAsk>,
    by_hub: VecDeque<(u64, AskId)>,
    by_client: VecDeque<(u64, AskId)>,
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

    fn add(&mut self, now_ms: u64, pending: PendingAsk) -> AskId {
        self.next += 1;
        let ask = AskId(self.next);
        if matches!(pending, PendingAsk::Deliver(_)) {
            self.by_client.push_back((now_ms + CLIENT_ANSWER_MS, ask));
        } else {
            self.by_hub.push_back((now_ms + HUB_ANSWER_MS, ask));
        }
        self.pending.insert(ask, pending);
        ask
    }

    fn take(&mut self, ask: AskId) -> Option<PendingAsk> {
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

    pub(crate) fn pop_due(&mut self, now_ms: u64) -> Option<PendingAsk> {
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
        let ask = self.asks.add(self.now.mono_ms, pending);
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
        // A question that several hubs could answer is settled by the first that knows.
        let Some(pending) = self.asks.take(ask) else {
            return;
        };
        match (pending, answer) {
            (PendingAsk::Claim { user, connection }, answer) => {
                let claim = match answer {
                    Answer::Superseded => Claim::Lost,
                    _ => Claim::Won,
                };
                self.finish_claim(&user, connection, claim, out);
            }
            (PendingAsk::Deliver(send), answer) => self.finish_send(send, answer, out),
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
            (PendingAsk::Count(ask), Answer::Count(count)) => self.finish_count(ask, count, out),
            (PendingAsk::Count(ask), _) => self.finish_count(ask, 0, out),
            (PendingAsk::Attributes(ask), answer) => {
                self.finish_attribute_ask(ask, Some(answer), out);
            }
        }
    }

    pub(crate) fn handle_nobody(&mut self, ask: AskId, out: &mut dyn Sink) {
        let own = self.config.id;
        let Some(pending) = self.asks.take(ask) else {
            return;
        };
        match pending {
            PendingAsk::Claim { user, connection } => {
                self.finish_claim(&user, connection, Claim::Won, out);
            }
            PendingAsk::Deliver(send) => self.finish_send(send, Answer::Gone, out),
            PendingAsk::Presence(ask) => self.finish_presence(ask, None, out),
            PendingAsk::Locate(ask) => self.finish_locate(ask, Located::Unknown, own, out),
            PendingAsk::Members(channel) => self.finish_sync(&channel, Vec::new(), out),
            PendingAsk::Count(ask) => self.finish_count(ask, 0, out),
            PendingAsk::Attributes(ask) => self.finish_attribute_ask(ask, None, out),
        }
    }

    /// Silence: whoever was subscribed has not answered in time.
    pub(crate) fn handle_unanswered(&mut self, pending: PendingAsk, out: &mut dyn Sink) {
        let own = self.config.id;
        match pending {
            PendingAsk::Deliver(send) => self.finish_send(send, Answer::Unconfirmed, out),
            PendingAsk::Claim { user, connection } => {
                // A hub that is silent cannot hold the user: the later login wins.
                self.finish_claim(&user, connection, Claim::Won, out);
            }
            PendingAsk::Presence(ask) => self.finish_presence(ask, None, out),
            PendingAsk::Locate(ask) => self.finish_locate(ask, Located::Unknown, own, out),
            PendingAsk::Members(channel) => self.finish_sync(&channel, Vec::new(), out),
            PendingAsk::Count(ask) => self.finish_count(ask, 0, out),
            PendingAsk::Attributes(ask) => self.finish_attribute_ask(ask, None, out),
        }
    }
}
