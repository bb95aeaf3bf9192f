//! The path between nodes: what one hub does at NATS for the topics whose home it is.
//!
//! **Reading order.** This file (what the router calls), `greeting` (from the first subscriber to
//! the moment when it is known who else is there), `hearing` (what arrives), `numbering` (holes and
//! marks), `asking`; below them `interest`, `runs`, `origins`, `asks` and `sending`, which hold the
//! state, `subjects` and `queue`.

mod asking;
mod asks;
mod greeting;
mod hearing;
mod interest;
mod numbering;
mod origins;
mod queue;
mod runs;
mod sending;
mod subjects;

use std::sync::Arc;

use tidings_bus::{Outlet, Router, SharedClock};
use tidings_hub::bus_ops::{Answer, AskId, BusInput, Publication, Topic};
use tidings_hub::ids::HubId;

use crate::config::ClusterConfig;
use crate::counts::LiveCounts;
use crate::envelope::{Body, Word};
use crate::link::{LinkEvent, LinkOp};

use asks::Asks;
use greeting::Greetings;
use interest::{Interest, Stage, TopicMap};
use origins::Origins;
use queue::Queue;
use runs::Runs;
use sending::{Parts, Sending};
use subjects::TopicKey;

/// Time between two heartbeats of a shard. Source: `spec/cluster.md` 4.5.
const HEARTBEAT_MS: u64 = 250;

/// How long another node's position is remembered that publishes to a topic without being
/// interested in it: longer than it counts on itself, which is twice a minute at most.
const PUBLISHER_MS: u64 = 180_000;

/// One hub's share of the path between nodes.
#[derive(Debug)]
pub(crate) struct Live {
    shard: HubId,
    incarnation: u64,
    now_ms: u64,
    clock: SharedClock,
    sending: Sending,
    /// Bound: the topics of the hub's shard of the router.
    interests: TopicMap<Interest>,
    greetings: Greetings,
    runs: Runs,
    asks: Asks,
    /// The node could not renew its lease: what NATS says about others may be wrong.
    is_isolated: bool,
    origins: Origins,
    parts: Parts,
    heartbeat: u64,
    heartbeat_due_ms: u64,
    /// Since when the connection is there, by the cluster's clock.
    up_ms: u64,
    /// Marks are wanted again, since when, and from when on they may be sent.
    marks_wanted: Option<(u64, u64)>,
    /// Publishers that may be forgotten, with what was known of them.
    publishers: Queue<(TopicKey, interest::Peer)>,
}

impl Live {
    pub(crate) fn new(config: ClusterConfig, shard: HubId) -> Self {
        assert_eq!(config.node, shard.node, "a hub of another node");
        Self {
            shard,
            incarnation: config.incarnation,
            now_ms: 0,
            clock: SharedClock::default(),
            sending: sending::sending(&config, shard.hub),
            interests: TopicMap::default(),
            greetings: Greetings::new(config.settle_ms),
            runs: Runs::new(),
            asks: Asks::new(config.incarnation),
            is_isolated: false,
            origins: Origins::default(),
            parts: Parts::default(),
            heartbeat: 0,
            heartbeat_due_ms: 0,
            up_ms: 0,
            marks_wanted: None,
            publishers: Queue::new(PUBLISHER_MS),
        }
    }

    pub(crate) fn set_now(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
    }

    pub(crate) fn counts(&self) -> &LiveCounts {
        &self.sending.counts
    }

    pub(crate) fn clock_ahead_ms(&self) -> u64 {
        self.clock.at(0)
    }

    fn clock_ms(&self) -> u64 {
        self.clock.at(self.now_ms)
    }

    // ------------------------------------------------------------ what the node does

    /// The topic has another subscriber on this node: now `hubs`.
    pub(crate) fn subscribed(&mut self, topic: Topic, hubs: usize, router: &Router) {
        let key = self.sending.subjects.key(&topic);
        if hubs == 1 {
            self.interests.insert(key, Interest::new(self.clock_ms()));
            self.sending.counts.subscriptions += 1;
            return self.begin(key, topic);
        }
        self.tell_change(key, topic, router);
    }

    /// The topic has one subscriber less on this node: now `hubs`.
    pub(crate) fn unsubscribed(
        &mut self,
        topic: Topic,
        hubs: usize,
        router: &mut Router,
        out: &mut impl Outlet,
    ) {
        let key = self.sending.subjects.key(&topic);
        if hubs > 0 {
            return self.tell_change(key, topic, router);
        }
        let Some(interest) = self.interests.remove(&key) else {
            return;
        };
        self.sending.counts.subscriptions -= 1;
        self.end(key, topic, &interest, router, out);
    }

    /// Others who are interested count this node's hubs.
    fn tell_change(&mut self, key: TopicKey, topic: Topic, router: &Router) {
        let is_told = |interest: &&Interest| {
            let has_greeted = matches!(interest.stage, Stage::Greeting | Stage::Settled);
            has_greeted && interest.elsewhere() > 0
        };
        if self.interests.get(&key).filter(is_told).is_none() || !self.sending.is_up() {
            // Its hello will say so.
            return;
        }
        let word = self.word(key, topic.clone(), router);
        self.send_to_topic(key, Body::Mark(word));
        self.runs.told(topic, self.clock_ms());
    }

    /// Hub `from` publishes.
    pub(crate) fn publish(&mut self, from: HubId, topic: &Topic, message: &Arc<Publication>) {
        let key = self.sending.subjects.key(topic);
        let at = self.runs.next(key, topic, self.now_ms, self.clock_ms());
        if !self.sending.takes(self.now_ms) {
            // It has its number: others will find it missing.
            self.sending.counts.unsent += 1;
            return;
        }
        let body = Body::Publication {
            topic: topic.clone(),
            from,
            at,
            message: without_keep(message),
        };
        self.send_to_topic(key, body);
    }

    /// A hub of this node answers a question of another node.
    pub(crate) fn answer(&mut self, from: HubId, to: HubId, ask: AskId, answer: Answer) {
        if !self.sending.takes(self.now_ms) {
            self.sending.counts.unsent += 1;
            return;
        }
        let subject = self.sending.subjects.of_shard(to, ask.number);
        let body = Body::Answer {
            to,
            from,
            ask,
            answer,
        };
        self.sending
            .send(subject, None, self.clock.at(self.now_ms), body);
    }

    fn send_to_topic(&mut self, key: TopicKey, body: Body) {
        let subject = self.sending.subjects.topic(key);
        self.sending
            .send(subject, None, self.clock.at(self.now_ms), body);
    }

    /// What this shard has to say of a topic.
    fn word(&self, key: TopicKey, topic: Topic, router: &Router) -> Word {
        let hubs = router.subscribers(&topic).count();
        Word {
            hubs: u16::try_from(hubs).unwrap_or(u16::MAX),
            at: self.runs.at(key),
            topic,
        }
    }

    // ------------------------------------------------------------ what happens to it

    pub(crate) fn hear(&mut self, event: LinkEvent, router: &mut Router, out: &mut impl Outlet) {
        match event {
            LinkEvent::Up {
                max_payload,
                servers,
            } => self.came_up(max_payload, servers, router),
            LinkEvent::Down => self.went_down(),
            LinkEvent::Full => self.sending.is_full = true,
            LinkEvent::Room => self.sending.is_full = false,
            LinkEvent::Message {
                subject, payload, ..
            } => self.hear_message(&subject, &payload, router, out),
            LinkEvent::NoResponders { subject } => {
                if let Some(number) = self.sending.subjects.ask_of(&subject) {
                    self.hear_nobody(number, router, out);
                }
            }
            LinkEvent::Pong => self.hear_pong(router),
        }
    }

    /// Whether the node is cut off from the others, as far as its lease tells.
    pub(crate) fn set_isolated(&mut self, is_isolated: bool) {
        self.is_isolated = is_isolated;
    }

    /// A node is lost, in this life of it or an earlier one.
    pub(crate) fn node_lost(&mut self, node: u16, incarnation: u64, out: &mut impl Outlet) {
        if self.origins.end(node, incarnation) {
            self.forget(node, incarnation);
            out.deliver(BusInput::NodeLost { node });
        }
    }

    fn forget(&mut self, node: u16, incarnation: u64) {
        self.parts.forget(node, incarnation);
        if tidings_fault::fault!(LostNodesInterestIsKept) {
            return;
        }
        for interest in self.interests.values_mut() {
            interest.forget(node, incarnation);
        }
    }

    pub(crate) fn tick(&mut self, router: &mut Router, out: &mut impl Outlet) {
        self.beat();
        self.tick_greetings(router, out);
        self.tick_marks(router);
        self.tick_asks();
        while let Some((key, peer)) = self.publishers.pop(self.now_ms) {
            let interest = self.interests.get_mut(&key);
            if let Some(peer) = interest.and_then(|it| it.forget_publisher(&peer)) {
                self.publishers.push(self.now_ms, (key, peer));
            }
        }
    }

    /// Tells all nodes that this shard lives, and what time it is.
    fn beat(&mut self) {
        if self.heartbeat_due_ms > self.now_ms {
            return;
        }
        self.heartbeat_due_ms = self.now_ms + HEARTBEAT_MS;
        // Counted without a connection, too: others must see that they have missed something.
        self.heartbeat += 1;
        if self.sending.is_up() && !self.sending.is_full {
            let number = self.heartbeat;
            let subject = self.sending.subjects.all_nodes();
            let body = Body::Heartbeat { number };
            self.sending
                .send(subject, None, self.clock.at(self.now_ms), body);
        }
    }

    /// When [`Live::tick`] has something to do.
    pub(crate) fn deadline(&self) -> Option<u64> {
        let marks = self.marks_wanted.map(|(_, from_ms)| from_ms);
        let all = [
            Some(self.heartbeat_due_ms),
            self.greetings.due(),
            self.runs.due(),
            marks,
            self.asks.due(),
            self.publishers.due(),
        ];
        all.into_iter().flatten().min()
    }

    /// Whether it is known of every topic who is interested in it, and no question looks for them.
    pub(crate) fn is_settled(&self) -> bool {
        self.sending.is_up() && self.greetings.is_settled() && self.asks.is_settled()
    }

    pub(crate) fn take_ops(&mut self) -> Vec<LinkOp> {
        if self.sending.is_up() {
            self.greetings.ping(&mut self.sending.ops);
        }
        std::mem::take(&mut self.sending.ops)
    }
}

/// What other nodes get of a publication: a copy for the history is its own node's affair.
fn without_keep(message: &Arc<Publication>) -> Arc<Publication> {
    let Publication::Message { keep: Some(_), .. } = &**message else {
        return message.clone();
    };
    let mut copy = Publication::clone(message);
    if let Publication::Message { keep, .. } = &mut copy {
        *keep = None;
    }
    Arc::new(copy)
}
