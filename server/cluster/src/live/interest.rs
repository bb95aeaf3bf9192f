//! The topics in which this node is interested, and who else is.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};

use thin_vec::ThinVec;
use tidings_fault::fault;

use super::subjects::TopicKey;
use crate::envelope::{Origin, Position};

/// A map by topics: their keys are hashes already, under a key that nobody knows.
pub(crate) type TopicMap<V> = HashMap<TopicKey, V, KeptHash>;

/// How much later than an interest a run must have begun for its receiver to be sure that it has
/// heard all of it, in milliseconds: clocks of two nodes differ by a heartbeat and its way.
const RUN_SLACK_MS: u64 = 1_000;

/// Takes a key's own bits.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct KeptHash;

impl BuildHasher for KeptHash {
    type Hasher = Kept;

    fn build_hasher(&self) -> Kept {
        Kept(0)
    }
}

/// The last eight bytes that were written.
#[derive(Debug)]
pub(crate) struct Kept(u64);

impl Hasher for Kept {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks_exact(8) {
            self.0 = u64::from_le_bytes(chunk.try_into().expect("eight bytes"));
        }
    }

    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// How far a topic has come at NATS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Not subscribed yet: there is no connection, or others come first.
    Waiting,
    /// Subscribed; some servers may not know yet.
    Subscribed,
    /// Hello was said and not answered yet.
    Greeting,
    /// It is known who else is interested: questions may be asked.
    Settled,
}

/// A topic that hubs of this node are subscribed to.
///
/// There is one for each user who is logged in: 48 bytes with its key, which a map keeps in at most
/// 112.
#[derive(Debug)]
pub(crate) struct Interest {
    /// The subscription at NATS; 0 before the first.
    pub(crate) sid: u64,
    /// When the interest began, by the cluster's clock.
    pub(crate) since_ms: u64,
    /// What is known of other nodes: those that are interested, and those that publish.
    /// Bound: nodes.
    peers: ThinVec<Peer>,
    pub(crate) stage: Stage,
    /// It was settled before the last hello: who answers that was out of reach.
    pub(crate) was_settled: bool,
}

/// What is known of another node on one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) origin: Origin,
    /// How many of its hubs are interested.
    pub(crate) hubs: u16,
    pub(crate) at: At,
}

/// Where a peer's publications have come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    /// Nothing is known of them.
    Unknown,
    /// It counts nothing: its next publication is the first of a run.
    Nothing,
    /// The last one that arrived, or that it said it had published.
    Position(Position),
}

impl Interest {
    pub(crate) fn new(since_ms: u64) -> Self {
        Self {
            sid: 0,
            since_ms,
            peers: ThinVec::new(),
            stage: Stage::Waiting,
            was_settled: false,
        }
    }

    pub(crate) fn peers(&self) -> &[Peer] {
        &self.peers
    }

    /// The peer of this origin's node, in this life of it; what is known of an earlier life counts
    /// no more.
    pub(crate) fn peer(&mut self, origin: Origin) -> &mut Peer {
        let is_it = |peer: &Peer| peer.origin.shard.node == origin.shard.node;
        let at = self.peers.iter().position(is_it);
        let at = at.unwrap_or_else(|| {
            self.peers.reserve_exact(1);
            self.peers.push(Peer::unknown(origin));
            self.peers.len() - 1
        });
        let peer = &mut self.peers[at];
        if peer.origin != origin {
            *peer = Peer::unknown(origin);
        }
        peer
    }

    /// Whether hubs of this node are known to be interested.
    pub(crate) fn shares_with(&self, node: u16) -> bool {
        self.peers
            .iter()
            .any(|peer| peer.origin.shard.node == node && peer.hubs > 0)
    }

    /// How many hubs of other nodes are interested.
    pub(crate) fn elsewhere(&self) -> usize {
        self.peers.iter().map(|peer| usize::from(peer.hubs)).sum()
    }

    /// Forgets this node, in this life of it and earlier ones.
    pub(crate) fn forget(&mut self, node: u16, incarnation: u64) {
        self.peers
            .retain(|peer| peer.origin.shard.node != node || peer.origin.incarnation > incarnation);
        if self.peers.is_empty() {
            self.peers = ThinVec::new();
        }
    }

    /// Forgets a peer that is not interested, unless it has gone on: then it is returned.
    pub(crate) fn forget_publisher(&mut self, before: &Peer) -> Option<Peer> {
        let is_it = |peer: &Peer| peer.origin == before.origin && peer.hubs == 0;
        let at = self.peers.iter().position(is_it)?;
        if self.peers[at].at != before.at {
            return Some(self.peers[at].clone());
        }
        self.peers.swap_remove(at);
        if self.peers.is_empty() {
            self.peers = ThinVec::new();
        }
        None
    }

    /// Whether all of a run must have been heard that the peer's first word is of.
    pub(crate) fn has_heard_all_of(&self, run: u64) -> bool {
        run > self.since_ms + RUN_SLACK_MS
    }
}

impl Peer {
    fn unknown(origin: Origin) -> Self {
        let (hubs, at) = (0, At::Unknown);
        Self { origin, hubs, at }
    }

    /// A publication arrives: how many before it have not; `None` = it has arrived before.
    /// `is_whole`: all of its run must have been heard.
    pub(crate) fn arrive(&mut self, to: Position, is_whole: bool) -> Option<u64> {
        match self.advance(to, is_whole) {
            News::Nothing => None,
            News::Beginning => Some(0),
            News::Publications(news) => Some(news - 1),
        }
    }

    /// The peer says where it has come to: how many publications up to there have not arrived.
    pub(crate) fn learn(&mut self, to: Position, is_whole: bool) -> u64 {
        match self.advance(to, is_whole) {
            News::Nothing | News::Beginning => 0,
            News::Publications(news) => news,
        }
    }

    fn advance(&mut self, to: Position, is_whole: bool) -> News {
        let news = match self.at {
            At::Unknown if !is_whole => {
                // The first word tells where to begin.
                self.at = At::Position(to);
                return News::Beginning;
            }
            At::Unknown | At::Nothing => to.number,
            At::Position(at) if at.run == to.run => to.number.saturating_sub(at.number),
            At::Position(at) if at.run < to.run && fault!(RunIsForgotten) => 1,
            At::Position(at) if at.run < to.run => to.number,
            At::Position(_) => 0,
        };
        if news == 0 {
            return News::Nothing;
        }
        self.at = At::Position(to);
        News::Publications(news)
    }
}

/// What a position tells.
enum News {
    /// It was known.
    Nothing,
    /// Where to begin.
    Beginning,
    /// So many publications more than were known; at least one.
    Publications(u64),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_who_is_logged_in_costs_less_than_two_hundred_bytes() {
        // Each has one topic, which nobody else is interested in and nothing was published to. A
        // map is at least seven sixteenths full when it has grown, and has a byte more per place.
        let place = size_of::<(TopicKey, Interest)>() + 1;
        assert_eq!(place, 49);
        assert!(place * 16 / 7 <= 200);
        assert_eq!(size_of::<Peer>(), 48);
    }
}
