//! The shards of other nodes: who lives, and whether everything that they say arrives.
//!
//! Each shard numbers its heartbeats. A receiver that misses one, or whose own connection was lost,
//! asks that shard for the marks of what it has told lately: so a tail that was lost together with
//! its mark shows too.

use std::collections::BTreeMap;

use tidings_hub::ids::HubId;

use crate::envelope::Origin;

/// Most shards that are known; what others say is heard, but a loss of their last words is not
/// noticed. 1,024 nodes of 64 hubs.
const ORIGINS_MAX: usize = 65_536;

/// How long a node's new life is not heard when nobody has said that the one before is over, in
/// milliseconds: hubs must know of a loss before they hear of what follows it, and each hears of it
/// from its own shard. The leases tell within less; whatever is missed is told as a hole.
const UNTOLD_MS: u64 = 2_000;

/// What is known of a node.
#[derive(Debug)]
struct Node {
    /// Its latest life.
    incarnation: u64,
    /// That life is over, as has been told.
    is_over: bool,
    /// A later life has been heard, from when on.
    later_ms: Option<u64>,
}

/// What is known of a shard.
#[derive(Debug)]
struct Heard {
    /// Of its last heartbeat.
    number: u64,
    /// When it sent that, by its clock.
    clock_ms: u64,
    /// From when on its marks are wanted again, by its clock.
    wanted_ms: Option<u64>,
}

/// The shards of other nodes.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    /// By their numbers. Bound: nodes.
    nodes: BTreeMap<u16, Node>,
    /// Whose heartbeats are heard. Bound: `ORIGINS_MAX`.
    shards: BTreeMap<HubId, Heard>,
}

/// What the sender of an envelope is to this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// The life that is known, or the first that is heard of.
    Known,
    /// A later one than was known, which has been told for long enough: the one before is over, and
    /// nobody has said so.
    New,
    /// One that does not count: it is over, or the one before may not be.
    Uncounted,
}

impl Origins {
    pub(crate) fn see(&mut self, origin: Origin, now_ms: u64) -> Life {
        let (number, incarnation) = (origin.shard.node, origin.incarnation);
        let Some(node) = self.nodes.get_mut(&number) else {
            let node = Node {
                incarnation,
                is_over: false,
                later_ms: None,
            };
            self.nodes.insert(number, node);
            return Life::Known;
        };
        if incarnation < node.incarnation || incarnation == node.incarnation && node.is_over {
            return Life::Uncounted;
        }
        if incarnation == node.incarnation {
            return Life::Known;
        }
        let later_ms = *node.later_ms.get_or_insert(now_ms);
        if !node.is_over && later_ms + UNTOLD_MS > now_ms {
            return Life::Uncounted;
        }
        let life = if node.is_over { Life::Known } else { Life::New };
        *node = Node {
            incarnation,
            is_over: false,
            later_ms: None,
        };
        self.shards.retain(|shard, _| shard.node != number);
        life
    }

    /// The shard lives, and this is what it has sent so far. Returns from when on its marks are
    /// wanted. `up_ms`: since when this shard hears others, by the cluster's clock.
    pub(crate) fn beat(
        &mut self,
        shard: HubId,
        (number, clock_ms): (u64, u64),
        up_ms: u64,
    ) -> Option<u64> {
        let is_full = self.shards.len() >= ORIGINS_MAX;
        let Some(heard) = self.shards.get_mut(&shard) else {
            // What it told while nobody here could hear it, nobody here has missed.
            let wanted_ms = (number > 1).then_some(up_ms);
            if !is_full {
                let heard = Heard {
                    number,
                    clock_ms,
                    wanted_ms,
                };
                self.shards.insert(shard, heard);
            }
            return wanted_ms;
        };
        if number <= heard.number {
            return None;
        }
        if number > heard.number + 1 {
            let since_ms = heard.clock_ms;
            heard.wanted_ms = Some(heard.wanted_ms.map_or(since_ms, |it| it.min(since_ms)));
        }
        heard.number = number;
        heard.clock_ms = clock_ms;
        heard.wanted_ms
    }

    /// This shard could not hear the others for a while.
    pub(crate) fn was_deaf(&mut self) {
        for heard in self.shards.values_mut() {
            let since_ms = heard.clock_ms;
            heard.wanted_ms = Some(heard.wanted_ms.map_or(since_ms, |it| it.min(since_ms)));
        }
    }

    /// The shard has sent all its marks since then. Returns whether that is later than was wanted.
    pub(crate) fn told(&mut self, shard: HubId, since_ms: u64) -> bool {
        let heard = self.shards.get_mut(&shard);
        let wanted_ms = heard.and_then(|heard| heard.wanted_ms.take());
        wanted_ms.is_some_and(|wanted_ms| since_ms > wanted_ms)
    }

    /// This life of a node is over: what it still says does not count. `false` = that was known, or
    /// a later life is.
    pub(crate) fn end(&mut self, number: u16, incarnation: u64) -> bool {
        let node = self.nodes.entry(number).or_insert(Node {
            incarnation,
            is_over: false,
            later_ms: None,
        });
        if node.incarnation > incarnation || node.incarnation == incarnation && node.is_over {
            return false;
        }
        node.incarnation = incarnation;
        node.is_over = true;
        self.shards.retain(|shard, _| shard.node != number);
        true
    }
}
