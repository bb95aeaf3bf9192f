//! Questions of this node to others, and of others to this node.
//!
//! Silence is never "nobody": that is said when NATS has said that nobody is subscribed, or when
//! nobody was and the question went nowhere else.

use std::sync::Arc;

use tidings_bus::{Outlet, Router};
use tidings_fault::fault;
use tidings_hub::bus_ops::{Answer, AskId, BusInput, Question, Topic};
use tidings_hub::ids::HubId;

use super::Live;
use super::asks::{Asking, Asks, Open};
use super::interest::{Interest, Stage};
use super::subjects::TopicKey;
use crate::envelope::{Body, Origin, Position};

impl Live {
    /// A hub of this node asks.
    pub(crate) fn ask_first(
        &mut self,
        (asker, number): (HubId, u64),
        topic: Topic,
        question: Arc<Question>,
        router: &mut Router,
        out: &mut impl Outlet,
    ) {
        let listens = router.subscribers(&topic).any(|hub| hub == asker);
        let asking = Asking {
            listens,
            asker,
            number,
            topic,
            question,
            asked_ms: self.now_ms,
            here: None,
        };
        let key = self.sending.subjects.key(&asking.topic);
        let is_settled = |interest: &Interest| interest.stage == Stage::Settled;
        if self.interests.get(&key).is_some_and(|it| !is_settled(it)) {
            match self.greetings.hold(key, asking, self.now_ms) {
                Ok(()) => {}
                Err(asking) => self.ask(asking, router, out),
            }
        } else {
            self.ask(asking, router, out);
        }
    }

    /// Asks whoever is there.
    pub(super) fn ask(&mut self, mut asking: Asking, router: &mut Router, out: &mut impl Outlet) {
        if !asking.is_waited_for(self.now_ms) {
            return;
        }
        let key = self.sending.subjects.key(&asking.topic);
        let elsewhere = self.interests.get(&key).map_or(0, Interest::elsewhere);
        self.ask_subscribers(&mut asking, elsewhere, router, out);
        if self.sending.is_up() && !self.is_isolated {
            self.sending.counts.asked += 1;
            self.request(key, asking);
        } else if fault!(SilenceIsNobody) && asking.here == Some(0) {
            self.tell_nobody(asking.asker, asking.number, router, out);
        } else {
            self.greetings.wait(asking, self.now_ms);
        }
    }

    /// Asks whoever is there of this node, where nobody else is.
    pub(super) fn ask_here(
        &mut self,
        mut asking: Asking,
        router: &mut Router,
        out: &mut impl Outlet,
    ) {
        self.ask_subscribers(&mut asking, 0, router, out);
        if asking.here == Some(0) {
            self.tell_nobody(asking.asker, asking.number, router, out);
        }
    }

    fn ask_subscribers(
        &self,
        asking: &mut Asking,
        elsewhere: usize,
        router: &Router,
        out: &mut impl Outlet,
    ) {
        if asking.here.is_some() {
            return;
        }
        let asked = (AskId::new(asking.number), &asking.question);
        asking.here = Some(router.ask(asking.asker, &asking.topic, asked, elsewhere, out));
    }

    fn tell_nobody(&mut self, asker: HubId, number: u64, router: &Router, out: &mut impl Outlet) {
        self.sending.counts.nobody += 1;
        let ask = AskId::new(number);
        router.give(asker, BusInput::Nobody { ask }, out);
    }

    /// Asks other nodes.
    pub(super) fn request(&mut self, key: TopicKey, asking: Asking) {
        if self.asks.is_full() {
            self.sending.counts.asks_refused += 1;
            return;
        }
        let Asking {
            asker,
            number,
            topic,
            question,
            listens,
            here,
            ..
        } = asking;
        let open = Open::Ask {
            asker,
            number,
            topic: topic.clone(),
            is_alone: here == Some(0),
            doubts: Asks::doubts(&question),
            probes: Asks::first_probe(&question),
        };
        let number = self.asks.add(self.now_ms, open);
        let body = Body::Ask {
            topic,
            ask: AskId::new(number),
            question,
            listens,
            at: self.runs.at(key),
        };
        let subject = self.sending.subjects.topic(key);
        let reply = self.sending.subjects.own(number);
        self.sending
            .send(subject, Some(reply), self.clock.at(self.now_ms), body);
    }

    /// NATS says that nobody has got what was sent with this number.
    pub(super) fn hear_nobody(&mut self, number: u64, router: &mut Router, out: &mut impl Outlet) {
        match self.asks.get(number) {
            Some(&mut Open::Ask {
                asker,
                number: asked,
                ref topic,
                is_alone,
                doubts,
                ..
            }) => {
                let interest = self.interests.get(&self.sending.subjects.key(topic));
                let is_doubted = doubts && interest.is_some_and(|it| it.elsewhere() > 0);
                self.asks.end(number);
                if is_alone && !self.is_isolated && !is_doubted {
                    self.tell_nobody(asker, asked, router, out);
                }
            }
            Some(&mut Open::Hello { key, sid }) => {
                self.asks.end(number);
                self.greeted_nobody(key, sid, router, out);
            }
            None => {}
        }
    }

    /// A hub of another node has answered.
    pub(super) fn hear_answer(
        &mut self,
        from: HubId,
        ask: AskId,
        answer: Answer,
        router: &Router,
        out: &mut impl Outlet,
    ) {
        if let Some(Open::Ask {
            asker,
            number,
            is_alone,
            ..
        }) = self.asks.get(ask.number)
        {
            *is_alone = false;
            let (asker, number) = (*asker, *number);
            let asked = if fault!(AnswerSumIsIgnored) {
                1
            } else {
                ask.asked
            };
            let ask = AskId { number, asked };
            router.give(asker, BusInput::Answered { ask, from, answer }, out);
        }
    }

    /// The question has come to a node that has no subscriber any more.
    pub(super) fn hear_absent(&mut self, number: u64) {
        if let Some(Open::Ask {
            is_alone: true,
            probes,
            ..
        }) = self.asks.get(number)
        {
            *probes = 0;
            self.asks.probe_later(number, self.now_ms);
        }
    }

    /// A hub of another node asks.
    pub(super) fn hear_ask(
        &mut self,
        key: TopicKey,
        origin: Origin,
        (topic, ask, question): (Topic, AskId, Arc<Question>),
        (listens, at): (bool, Option<Position>),
        router: &Router,
        out: &mut impl Outlet,
    ) {
        if let Some(at) = at {
            // Order: what was published before the question, and is lost, is told before it.
            self.hear_position(key, origin, (&topic, at), router, out);
        }
        let mut elsewhere = 0;
        if let Some(interest) = self.interests.get_mut(&key) {
            if listens {
                let peer = interest.peer(origin);
                peer.hubs = peer.hubs.max(1);
            }
            // The asker waits for no answer of its own.
            elsewhere = interest.elsewhere() - usize::from(listens);
        }
        let here = router.ask(origin.shard, &topic, (ask, &question), elsewhere, out);
        if here == 0 {
            let subject = self.sending.subjects.of_shard(origin.shard, ask.number);
            let body = Body::Absent { ask: ask.number };
            self.sending
                .send(subject, None, self.clock.at(self.now_ms), body);
        }
    }

    pub(super) fn tick_asks(&mut self) {
        while let Some((number, topic)) = self.asks.probe(self.now_ms) {
            if !self.sending.is_up() {
                continue;
            }
            let key = self.sending.subjects.key(&topic);
            let subject = self.sending.subjects.topic(key);
            let reply = self.sending.subjects.own(number);
            let body = Body::Probe { topic };
            self.sending
                .send(subject, Some(reply), self.clock.at(self.now_ms), body);
        }
        self.asks.sweep(self.now_ms);
    }
}
