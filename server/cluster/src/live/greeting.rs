//! From the first subscriber of a topic to the moment when it is known who else is there.
//!
//! SUB, then the server's PONG, then the time that other servers need to learn of it: then hello is
//! said, as a request. Either nobody is there (NATS says so), or those who are there answer with
//! where their publications have come to and whom they know. Only then questions are asked on the
//! topic. So whoever joins a channel or logs in has its answer when everything that is said
//! afterwards reaches it, or shows as a hole.
//!
//! Hello is repeated: until it is answered, for two that begin in the same moment, and in a channel
//! 1 s and 5 s later once more. A user's topics repeat it once, so that a million logins cost a
//! million hellos more and not three.

use std::collections::VecDeque;

use tidings_bus::{Outlet, Router};
use tidings_fault::fault;
use tidings_hub::bus_ops::{BusInput, Topic};

use super::Live;
use super::asks::{ASKS_MAX, Asking, Open};
use super::interest::{At, Interest, Peer, Stage, TopicMap};
use super::queue::Queue;
use super::subjects::TopicKey;
use crate::envelope::{Body, Origin, Word};
use crate::link::LinkOp;

/// Times from each hello to the next, in milliseconds. Source: `spec/cluster.md` 3.4.
const HELLOS_MS: [u64; 3] = [250, 750, 4_000];

/// Subscriptions that are made again at once after an interruption: the next ones follow when the
/// server has confirmed these.
const AGAIN_MAX: usize = 4_096;

/// The server's own subscriptions: answers, and what is for all nodes.
const OWN_SID: u64 = 1;
const ALL_NODES_SID: u64 = 2;

/// A topic on its way to being settled.
#[derive(Debug, Default)]
struct Greeting {
    /// Questions that wait for that. Bound: what hubs have open.
    held: Vec<Asking>,
    /// Nodes that are said to be there, without an answer of theirs so far.
    owed: Vec<u16>,
    answered: Vec<u16>,
    /// It was settled before the connection broke: what was believed of others may be old.
    is_again: bool,
}

/// The topics on their way, and the connection's part in it.
#[derive(Debug)]
pub(crate) struct Greetings {
    settle_ms: u64,
    /// There is one server: it knows at once what it has confirmed.
    is_one_server: bool,
    last_sid: u64,
    /// Subscriptions have been made since the last ping.
    is_ping_due: bool,
    /// The last subscription that preceded each ping.
    pings: VecDeque<u64>,
    /// (when it is known everywhere, up to which subscription).
    settling: VecDeque<(u64, u64)>,
    /// Subscriptions that have not settled, in the order of their numbers.
    subscribed: VecDeque<(u64, TopicKey, Topic)>,
    /// Topics that wait for their subscription after an interruption.
    again: VecDeque<Topic>,
    /// Bound: topics of which no more is known than that this node is interested.
    open: TopicMap<Greeting>,
    /// Hellos that may have to be repeated, by how often they were said.
    hellos: [Queue<(TopicKey, u64, Topic)>; HELLOS_MS.len()],
    /// Questions that wait until there is a connection. Bound: `ASKS_MAX`.
    waiting: VecDeque<Asking>,
}

impl Greetings {
    pub(crate) fn new(settle_ms: u64) -> Self {
        Self {
            settle_ms,
            is_one_server: false,
            last_sid: ALL_NODES_SID,
            is_ping_due: false,
            pings: VecDeque::new(),
            settling: VecDeque::new(),
            subscribed: VecDeque::new(),
            again: VecDeque::new(),
            open: TopicMap::default(),
            hellos: HELLOS_MS.map(Queue::new),
            waiting: VecDeque::new(),
        }
    }

    /// Keeps a question until its topic is settled.
    ///
    /// # Errors
    /// The question, if it need not wait for that.
    pub(crate) fn hold(
        &mut self,
        key: TopicKey,
        asking: Asking,
        now_ms: u64,
    ) -> Result<(), Asking> {
        match self.open.get_mut(&key) {
            Some(greeting) => {
                greeting.held.retain(|held| held.is_waited_for(now_ms));
                greeting.held.push(asking);
                Ok(())
            }
            None => Err(asking),
        }
    }

    /// Keeps a question until there is a connection.
    pub(crate) fn wait(&mut self, asking: Asking, now_ms: u64) {
        let is_over = |first: &Asking| !first.is_waited_for(now_ms);
        while self.waiting.front().is_some_and(is_over) || self.waiting.len() >= ASKS_MAX {
            self.waiting.pop_front();
        }
        self.waiting.push_back(asking);
    }

    /// Whether nothing is on its way.
    pub(crate) fn is_settled(&self) -> bool {
        self.open.is_empty() && self.waiting.is_empty()
    }

    /// Asks for the confirmation of subscriptions that were made.
    pub(crate) fn ping(&mut self, ops: &mut Vec<LinkOp>) {
        if std::mem::take(&mut self.is_ping_due) {
            self.pings.push_back(self.last_sid);
            ops.push(LinkOp::Ping);
        }
    }

    pub(crate) fn due(&self) -> Option<u64> {
        let settling = self.settling.front().map(|(due_ms, _)| *due_ms);
        let hellos = self.hellos.iter().filter_map(Queue::due);
        settling.into_iter().chain(hellos).min()
    }
}

impl Live {
    /// The topic has its first subscriber.
    pub(super) fn begin(&mut self, key: TopicKey, topic: Topic) {
        self.greetings.open.insert(key, Greeting::default());
        if !self.sending.is_up() {
            // All topics are subscribed to when the connection is there.
        } else if self.greetings.again.is_empty() {
            self.subscribe(key, topic);
        } else {
            self.greetings.again.push_back(topic);
        }
    }

    fn subscribe(&mut self, key: TopicKey, topic: Topic) {
        let Some(interest) = self.interests.get_mut(&key) else {
            return;
        };
        self.greetings.last_sid += 1;
        let sid = self.greetings.last_sid;
        interest.sid = sid;
        interest.stage = Stage::Subscribed;
        let subject = self.sending.subjects.topic(key);
        self.sending.ops.push(LinkOp::Subscribe { sid, subject });
        self.greetings.is_ping_due = true;
        if fault!(SettledTooEarly) {
            interest.stage = Stage::Settled;
            self.greetings.open.remove(&key);
        }
        self.greetings.subscribed.push_back((sid, key, topic));
    }

    /// The topic has lost its last subscriber.
    pub(super) fn end(
        &mut self,
        key: TopicKey,
        topic: Topic,
        interest: &Interest,
        router: &mut Router,
        out: &mut impl Outlet,
    ) {
        if interest.elsewhere() > 0 {
            if self.sending.is_up() {
                let word = self.word(key, topic.clone(), router);
                self.send_to_topic(key, Body::Mark(word));
            }
            // Without a connection it is said when others ask what they have missed.
            self.runs.told(topic, self.clock_ms());
        }
        if interest.stage != Stage::Waiting && self.sending.is_up() {
            self.sending
                .ops
                .push(LinkOp::Unsubscribe { sid: interest.sid });
        }
        let greeting = self.greetings.open.remove(&key);
        for asking in greeting.into_iter().flat_map(|greeting| greeting.held) {
            self.ask(asking, router, out);
        }
    }

    pub(super) fn hear_pong(&mut self, router: &Router) {
        let Some(sid) = self.greetings.pings.pop_front() else {
            return;
        };
        let settle_ms = if self.greetings.is_one_server {
            0
        } else {
            self.greetings.settle_ms
        };
        self.greetings
            .settling
            .push_back((self.now_ms + settle_ms, sid));
        self.greet_settled(router);
        self.subscribe_again();
    }

    /// Says hello on the topics whose subscription is known everywhere by now.
    fn greet_settled(&mut self, router: &Router) {
        while let Some(&(due_ms, last)) = self.greetings.settling.front()
            && due_ms <= self.now_ms
        {
            self.greetings.settling.pop_front();
            while let Some((sid, _, _)) = self.greetings.subscribed.front()
                && *sid <= last
            {
                let first = self.greetings.subscribed.pop_front();
                let (sid, key, topic) = first.expect("there is one");
                let is_it = |interest: &&mut Interest| interest.sid == sid;
                if let Some(interest) = self.interests.get_mut(&key).filter(is_it) {
                    if interest.stage == Stage::Subscribed {
                        interest.stage = Stage::Greeting;
                    }
                    self.greet(key, sid, topic.clone(), router);
                    self.greetings.hellos[0].push(self.now_ms, (key, sid, topic));
                }
            }
        }
    }

    /// Says hello, and asks for answers of those of whom nothing is known.
    fn greet(&mut self, key: TopicKey, sid: u64, topic: Topic, router: &Router) {
        let is_first = self
            .interests
            .get(&key)
            .is_some_and(|it| it.stage == Stage::Greeting);
        let known = match (is_first, self.greetings.open.get(&key)) {
            (true, Some(greeting)) => greeting.answered.clone(),
            _ => self.known(key),
        };
        let word = self.word(key, topic.clone(), router);
        let number = self.asks.add(self.now_ms, Open::Hello { key, sid });
        let body = Body::Hello {
            word,
            wants_answer: true,
            known,
            ask: number,
        };
        self.runs.told(topic, self.clock_ms());
        if fault!(HelloIsForgotten) {
            return;
        }
        let subject = self.sending.subjects.topic(key);
        let reply = self.sending.subjects.own(number);
        self.sending
            .send(subject, Some(reply), self.clock.at(self.now_ms), body);
    }

    /// Other nodes whose interest is known.
    fn known(&self, key: TopicKey) -> Vec<u16> {
        let peers = self.interests.get(&key).map_or(&[][..], Interest::peers);
        let is_known = |peer: &&Peer| peer.hubs > 0 && peer.at != At::Unknown;
        let interested = peers.iter().filter(is_known);
        interested.map(|peer| peer.origin.shard.node).collect()
    }

    /// Another node has said hello, or has answered one.
    pub(super) fn hear_hello(
        &mut self,
        key: TopicKey,
        origin: Origin,
        word: Word,
        (wants_answer, known, ask): (bool, Vec<u16>, u64),
        router: &mut Router,
        out: &mut impl Outlet,
    ) {
        let topic = word.topic.clone();
        let was_settled = self.interests.get(&key).is_some_and(|it| it.was_settled);
        if !wants_answer && word.hubs > 0 && was_settled {
            self.find_again(key, origin, &topic, router, out);
        }
        self.hear_word(key, origin, word, router, out);
        let Some(interest) = self.interests.get(&key) else {
            return;
        };
        if wants_answer && !known.contains(&self.shard.node) && !fault!(HelloIsNotAnswered) {
            let body = Body::Hello {
                word: self.word(key, topic, router),
                wants_answer: false,
                known: self.known(key),
                ask,
            };
            let subject = self.sending.subjects.of_shard(origin.shard, ask);
            self.sending
                .send(subject, None, self.clock.at(self.now_ms), body);
            return;
        }
        if wants_answer || interest.stage != Stage::Greeting {
            return;
        }
        let (own, node) = (self.shard.node, origin.shard.node);
        let Some(greeting) = self.greetings.open.get_mut(&key) else {
            return;
        };
        greeting.answered.push(node);
        greeting.owed.extend(known);
        let answered = &greeting.answered;
        greeting
            .owed
            .retain(|owed| *owed != own && !answered.contains(owed));
        if greeting.owed.is_empty() {
            self.settle(key, false, router, out);
        }
    }

    /// Another node repeats what it has said lately. If it is interested in a topic that was settled
    /// without it, its hello was lost.
    pub(super) fn hear_mark(
        &mut self,
        key: TopicKey,
        origin: Origin,
        word: Word,
        router: &Router,
        out: &mut impl Outlet,
    ) {
        let is_settled = |it: &Interest| it.was_settled || it.stage == Stage::Settled;
        if word.hubs > 0 && self.interests.get(&key).is_some_and(is_settled) {
            self.find_again(key, origin, &word.topic, router, out);
        }
        self.hear_word(key, origin, word, router, out);
    }

    /// A node is interested in a topic that was settled without it: neither could reach the other
    /// when it began. What a user's hub must know of that it has to look up.
    fn find_again(
        &mut self,
        key: TopicKey,
        origin: Origin,
        topic: &Topic,
        router: &Router,
        out: &mut impl Outlet,
    ) {
        let node = origin.shard.node;
        let greeting = self.greetings.open.get(&key);
        let is_again = greeting.is_some_and(|greeting| greeting.is_again);
        let is_news = |interest: &Interest| is_again || !interest.shares_with(node);
        let is_user = matches!(topic, Topic::User(_));
        if !is_user || !self.interests.get(&key).is_some_and(is_news) {
            return;
        }
        for to in router.subscribers(topic) {
            let (topic, from, count) = (topic.clone(), origin.shard, 0);
            router.give(to, BusInput::Missed { topic, from, count }, out);
        }
    }

    /// NATS says that nobody else is there.
    pub(super) fn greeted_nobody(
        &mut self,
        key: TopicKey,
        sid: u64,
        router: &mut Router,
        out: &mut impl Outlet,
    ) {
        let interest = self.interests.get(&key);
        if interest.is_some_and(|it| it.sid == sid && it.stage == Stage::Greeting) {
            self.settle(key, true, router, out);
        }
    }

    /// It is known who is there: questions are asked from now on. `is_alone`: NATS has just said
    /// that it is nobody.
    fn settle(
        &mut self,
        key: TopicKey,
        is_alone: bool,
        router: &mut Router,
        out: &mut impl Outlet,
    ) {
        if let Some(interest) = self.interests.get_mut(&key) {
            interest.stage = Stage::Settled;
        }
        let greeting = self.greetings.open.remove(&key);
        for asking in greeting.into_iter().flat_map(|greeting| greeting.held) {
            if is_alone {
                self.ask_here(asking, router, out);
            } else {
                self.ask(asking, router, out);
            }
        }
    }

    pub(super) fn tick_greetings(&mut self, router: &mut Router, out: &mut impl Outlet) {
        self.greet_settled(router);
        for said in 0..HELLOS_MS.len() {
            while let Some((key, sid, topic)) = self.greetings.hellos[said].pop(self.now_ms) {
                let is_it = |interest: &&mut Interest| interest.sid == sid;
                let Some(interest) = self.interests.get_mut(&key).filter(is_it) else {
                    continue;
                };
                interest.was_settled |= interest.stage == Stage::Settled;
                let is_open = interest.stage == Stage::Greeting;
                if is_open && said > 0 {
                    // Who does not answer hellos does not answer questions either: those tell.
                    self.settle(key, false, router, out);
                }
                let is_channel = matches!(topic, Topic::Channel(_));
                if is_open || is_channel || said == 1 {
                    self.greet(key, sid, topic.clone(), router);
                }
                if let Some(next) = self.greetings.hellos.get_mut(said + 1)
                    && (is_open || is_channel || said == 0)
                {
                    next.push(self.now_ms, (key, sid, topic));
                }
            }
        }
    }

    pub(super) fn went_down(&mut self) {
        self.sending.down_since_ms.get_or_insert(self.now_ms);
    }

    /// The connection is there: it has no subscriptions yet.
    pub(super) fn came_up(&mut self, payload_max: usize, servers: usize, router: &Router) {
        self.sending.down_since_ms = None;
        self.sending.is_full = false;
        self.sending.payload_max = payload_max;
        self.up_ms = self.clock_ms();
        self.origins.was_deaf();
        let greetings = &mut self.greetings;
        greetings.is_one_server = servers <= 1;
        greetings.pings.clear();
        greetings.settling.clear();
        greetings.subscribed.clear();
        greetings.hellos.iter_mut().for_each(Queue::clear);
        greetings.again = router.subscribed().cloned().collect();
        for (sid, subject) in [
            (OWN_SID, self.sending.subjects.all_own()),
            (ALL_NODES_SID, self.sending.subjects.all_nodes()),
        ] {
            self.sending.ops.push(LinkOp::Subscribe { sid, subject });
        }
        for (key, interest) in &mut self.interests {
            interest.was_settled |= interest.stage == Stage::Settled;
            interest.stage = Stage::Waiting;
            greetings.open.entry(*key).or_default().is_again |= interest.was_settled;
        }
        for asking in std::mem::take(&mut greetings.waiting) {
            let key = self.sending.subjects.key(&asking.topic);
            if let Err(asking) = self.greetings.hold(key, asking, self.now_ms) {
                self.sending.counts.asked += 1;
                self.request(key, asking);
            }
        }
        self.subscribe_again();
    }

    /// Makes the next subscriptions of those that an interruption has ended.
    fn subscribe_again(&mut self) {
        for _ in 0..AGAIN_MAX {
            let Some(topic) = self.greetings.again.pop_front() else {
                return;
            };
            let key = self.sending.subjects.key(&topic);
            let waits = |interest: &Interest| interest.stage == Stage::Waiting;
            if self.interests.get(&key).is_some_and(waits) {
                self.subscribe(key, topic);
            }
        }
    }
}
