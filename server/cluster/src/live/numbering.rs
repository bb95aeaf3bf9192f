//! Holes in what other nodes publish, and the marks that show them.

use tidings_bus::{Outlet, Router};
use tidings_fault::fault;
use tidings_hub::bus_ops::{BusInput, BusOp, Publication, Topic};
use tidings_hub::ids::HubId;

use super::Live;
use super::interest::{At, Interest, Peer};
use super::subjects::TopicKey;
use crate::envelope::{Body, Origin, Position, Word};

use std::collections::BTreeSet;
use std::sync::Arc;

/// Shortest time between two rounds of marks on request, in milliseconds: what several nodes ask
/// for in the meantime is sent once.
const ROUND_MS: u64 = 100;

impl Live {
    /// A publication of another node.
    pub(super) fn hear_publication(
        &mut self,
        key: TopicKey,
        origin: Origin,
        (topic, from, at): (Topic, HubId, Position),
        message: Arc<Publication>,
        (router, out): (&mut Router, &mut impl Outlet),
    ) {
        let Some(interest) = self.interests.get_mut(&key) else {
            self.sending.counts.dropped_unwanted += 1;
            return;
        };
        let is_whole = interest.has_heard_all_of(at.run);
        let peer = interest.peer(origin);
        let is_new = peer.at == At::Unknown && peer.hubs == 0;
        let missing = peer.arrive(at, is_whole);
        if is_new {
            self.publishers.push(self.now_ms, (key, peer.clone()));
        }
        match missing {
            Some(missing) => self.tell_hole(&topic, origin, missing, router, out),
            None if fault!(RepeatedIsDelivered) => {}
            None => {
                self.sending.counts.dropped_repeated += 1;
                return;
            }
        }
        router.route(from, BusOp::Publish { topic, message }, out);
    }

    /// A word of another node on where it has come to, and on its interest.
    pub(super) fn hear_word(
        &mut self,
        key: TopicKey,
        origin: Origin,
        word: Word,
        router: &Router,
        out: &mut impl Outlet,
    ) {
        let Some(interest) = self.interests.get_mut(&key) else {
            self.sending.counts.dropped_unwanted += 1;
            return;
        };
        let is_whole = |at: Position| interest.has_heard_all_of(at.run);
        let is_whole = word.at.is_some_and(is_whole);
        let peer = interest.peer(origin);
        let was_publisher = peer.at != At::Unknown && peer.hubs == 0;
        peer.hubs = word.hubs;
        let missing = match word.at {
            Some(at) => peer.learn(at, is_whole),
            None => {
                if peer.at == At::Unknown {
                    peer.at = At::Nothing;
                }
                0
            }
        };
        if word.hubs == 0 && !was_publisher {
            self.publishers.push(self.now_ms, (key, peer.clone()));
        }
        self.tell_hole(&word.topic, origin, missing, router, out);
    }

    /// A word of another node on where it has come to, which says nothing of its interest.
    pub(super) fn hear_position(
        &mut self,
        key: TopicKey,
        origin: Origin,
        (topic, at): (&Topic, Position),
        router: &Router,
        out: &mut impl Outlet,
    ) {
        let Some(interest) = self.interests.get_mut(&key) else {
            return;
        };
        let is_whole = interest.has_heard_all_of(at.run);
        let peer = interest.peer(origin);
        let is_new = peer.at == At::Unknown && peer.hubs == 0;
        let missing = peer.learn(at, is_whole);
        if is_new {
            self.publishers.push(self.now_ms, (key, peer.clone()));
        }
        self.tell_hole(topic, origin, missing, router, out);
    }

    /// Tells the topic's subscribers here that something is missing.
    fn tell_hole(
        &mut self,
        topic: &Topic,
        origin: Origin,
        count: u64,
        router: &Router,
        out: &mut impl Outlet,
    ) {
        if count == 0 {
            return;
        }
        self.sending.counts.holes += 1;
        self.sending.counts.missed += count;
        if fault!(HoleIsNotTold) {
            return;
        }
        for to in router.subscribers(topic) {
            let (topic, from) = (topic.clone(), origin.shard);
            router.give(to, BusInput::Missed { topic, from, count }, out);
        }
    }

    pub(super) fn tick_marks(&mut self, router: &Router) {
        while let Some(topic) = self.runs.mark(self.now_ms) {
            let key = self.sending.subjects.key(&topic);
            if !self.sending.is_up() || self.sending.is_full {
                self.runs.mark_later(key, self.now_ms);
            } else {
                let word = self.word(key, topic.clone(), router);
                self.send_to_topic(key, Body::Mark(word));
                self.runs.told(topic, self.clock_ms());
            }
        }
        let interests = &self.interests;
        self.runs
            .sweep(self.now_ms, |key| interests.contains_key(&key));
        match self.marks_wanted {
            Some((since_ms, from_ms)) if from_ms <= self.now_ms => {
                self.marks_wanted = None;
                self.mark_again(since_ms, router);
            }
            _ => {}
        }
    }

    /// Another node may have missed what this shard has told since then.
    pub(super) fn hear_wanted(&mut self, since_ms: u64) {
        let before = self
            .marks_wanted
            .unwrap_or((since_ms, self.now_ms + ROUND_MS));
        self.marks_wanted = Some((before.0.min(since_ms), before.1));
    }

    fn mark_again(&mut self, since_ms: u64, router: &Router) {
        let (since_ms, topics) = self.runs.told_since(since_ms);
        let mut told = BTreeSet::new();
        for topic in topics {
            let key = self.sending.subjects.key(&topic);
            if told.insert(key) {
                let word = self.word(key, topic, router);
                self.send_to_topic(key, Body::Mark(word));
            }
        }
        let subject = self.sending.subjects.all_nodes();
        let clock_ms = self.clock_ms();
        self.sending
            .send(subject, None, clock_ms, Body::Told { since_ms });
    }

    /// The shard lives, and says how much it has said.
    pub(super) fn hear_heartbeat(&mut self, origin: Origin, number: u64, clock_ms: u64) {
        let shard = origin.shard;
        if fault!(LostHeartbeatIsIgnored) {
            return;
        }
        if let Some(since_ms) = self.origins.beat(shard, (number, clock_ms), self.up_ms) {
            // Asked with each heartbeat until it is done.
            let subject = self.sending.subjects.of_shard(shard, 0);
            let body = Body::Wanted { since_ms };
            self.sending
                .send(subject, None, self.clock.at(self.now_ms), body);
        }
    }

    /// The shard has repeated its marks.
    pub(super) fn hear_told(
        &mut self,
        origin: Origin,
        since_ms: u64,
        router: &Router,
        out: &mut impl Outlet,
    ) {
        if self.origins.told(origin.shard, since_ms) {
            self.doubt_all(origin, router, out);
        }
    }

    /// A shard does not know any more what it has told while it was not heard. Those who are
    /// interested in the same topics are asked; of the others something may be missing anywhere.
    fn doubt_all(&mut self, origin: Origin, router: &Router, out: &mut impl Outlet) {
        let topics: Vec<Topic> = router.subscribed().cloned().collect();
        for topic in topics {
            let key = self.sending.subjects.key(&topic);
            let Some(interest) = self.interests.get(&key) else {
                continue;
            };
            let node = origin.shard.node;
            let is_its = |peer: &&Peer| peer.origin.shard.node == node && peer.hubs > 0;
            match interest.peers().iter().find(is_its) {
                Some(peer) if peer.origin == origin => self.greet_one(key, topic, node, router),
                Some(_) => {}
                None => self.tell_hole(&topic, origin, 1, router, out),
            }
        }
    }

    /// Says hello so that this node answers.
    fn greet_one(&mut self, key: TopicKey, topic: Topic, node: u16, router: &Router) {
        let peers = self.interests.get(&key).map_or(&[][..], Interest::peers);
        let nodes = peers.iter().map(|peer| peer.origin.shard.node);
        let known = nodes.filter(|known| *known != node).collect();
        let body = Body::Hello {
            word: self.word(key, topic, router),
            wants_answer: true,
            known,
            ask: 0,
        };
        self.send_to_topic(key, body);
    }
}
