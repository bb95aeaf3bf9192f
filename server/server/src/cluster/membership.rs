//! What the rest of the server knows of its cluster.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tidings_cluster::nodes::{Isolation, Lease};

/// A living node of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeReport {
    /// Its number, 0 to 1,023.
    pub node: u16,
    /// Its name, which others may have too.
    pub name: String,
    /// Its incarnation: a later one is greater.
    pub incarnation: u64,
    /// Where clients reach it.
    pub advertise: String,
    /// The program's version.
    pub version: String,
    /// Whether it sends its clients away.
    pub draining: bool,
    /// How many hubs it has.
    pub hubs: u16,
    /// When it started, in Unix seconds by its own clock.
    pub started_s: u64,
}

impl NodeReport {
    pub(super) fn new(node: u16, incarnation: u64, lease: &Lease) -> Self {
        Self {
            node,
            name: lease.name.clone(),
            incarnation,
            advertise: lease.advertise.clone(),
            version: lease.version.clone(),
            draining: lease.draining,
            hubs: lease.hubs,
            started_s: lease.started_s,
        }
    }
}

/// What the rest of the server knows of its cluster. Written by the thread that holds the lease.
#[derive(Debug)]
pub(crate) struct Membership {
    advertise: String,
    /// Why this node has no number yet; `None` = it has one.
    waiting: Mutex<Option<String>>,
    /// The other living nodes, by number. Bound: nodes of a cluster.
    others: Mutex<Vec<NodeReport>>,
    isolation: AtomicU8,
    /// The node's incarnation has ended: it must start anew.
    is_over: AtomicBool,
    is_draining: AtomicBool,
    renewals_failed: AtomicU64,
    nodes_lost: AtomicU64,
    /// Counts the clients that were told of another node.
    turn: AtomicUsize,
}

impl Membership {
    /// Of a node that has no number yet.
    pub(crate) fn new(advertise: &str) -> Self {
        Self {
            advertise: advertise.to_owned(),
            waiting: Mutex::new(Some("it has not asked for a number yet".into())),
            others: Mutex::default(),
            isolation: AtomicU8::new(Isolation::None as u8),
            is_over: AtomicBool::new(false),
            is_draining: AtomicBool::new(false),
            renewals_failed: AtomicU64::new(0),
            nodes_lost: AtomicU64::new(0),
            turn: AtomicUsize::new(0),
        }
    }

    /// Why the node should get no traffic; `None` = it is one of its cluster.
    pub(crate) fn trouble(&self) -> Option<String> {
        if let Some(why) = &*lock(&self.waiting) {
            return Some(format!("the node has no place in its cluster yet: {why}"));
        }
        if self.is_over() {
            return Some("the node's lease has ended: it starts again".into());
        }
        match self.isolation() {
            Isolation::None => None,
            Isolation::Silent => Some("the node could not renew its lease at NATS for 5 s".into()),
            Isolation::Closed => Some(
                "the node could not renew its lease at NATS for 10 s: its clients were sent \
                 elsewhere"
                    .into(),
            ),
        }
    }

    /// Where clients reach nodes that live and do not drain: this one first.
    pub(crate) fn addresses(&self) -> Vec<String> {
        let is_well = self.trouble().is_none() && !self.is_draining.load(Ordering::Relaxed);
        let own = is_well.then(|| self.advertise.clone());
        let others = lock(&self.others);
        let others = others.iter().filter(|node| !node.draining);
        let others = others.map(|node| node.advertise.clone());
        own.into_iter().chain(others).collect()
    }

    /// Where clients reach another node that lives and does not drain, each time the next one;
    /// `None` = nowhere but where they reach this one.
    pub(crate) fn elsewhere(&self) -> Option<String> {
        let others = lock(&self.others);
        let others = others.iter().filter(|node| !node.draining);
        let others = others.map(|node| &node.advertise);
        let others: Vec<_> = others
            .filter(|address| **address != self.advertise)
            .collect();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let next = turn.checked_rem(others.len())?;
        others.get(next).map(|address| (*address).clone())
    }

    /// How many nodes live, this one included.
    pub(crate) fn living(&self) -> usize {
        let own = usize::from(lock(&self.waiting).is_none() && !self.is_over());
        lock(&self.others).len() + own
    }

    pub(crate) fn isolation(&self) -> Isolation {
        match self.isolation.load(Ordering::Relaxed) {
            0 => Isolation::None,
            1 => Isolation::Silent,
            _ => Isolation::Closed,
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Renewals that were not answered, and ends of other nodes that were seen.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let failed = self.renewals_failed.load(Ordering::Relaxed);
        (failed, self.nodes_lost.load(Ordering::Relaxed))
    }

    /// Sets why the node has no number yet. Returns whether that is news.
    pub(super) fn note_waiting(&self, why: Option<String>) -> bool {
        let mut waiting = lock(&self.waiting);
        let is_news = *waiting != why;
        *waiting = why;
        is_news
    }

    pub(super) fn note_others(&self, others: Vec<NodeReport>) {
        *lock(&self.others) = others;
    }

    pub(super) fn note_isolation(&self, isolation: Isolation) {
        self.isolation.store(isolation as u8, Ordering::Relaxed);
    }

    pub(super) fn note_over(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    pub(super) fn note_draining(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }

    pub(super) fn count_failed_renewal(&self) {
        self.renewals_failed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_lost_node(&self) {
        self.nodes_lost.fetch_add(1, Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: u16, draining: bool) -> NodeReport {
        let lease = Lease {
            advertise: format!("wss://{number}.example"),
            draining,
            ..Lease::default()
        };
        NodeReport::new(number, 1, &lease)
    }

    #[test]
    fn addresses_are_those_of_nodes_that_live_and_do_not_drain() {
        let membership = Membership::new("wss://own.example");
        assert_eq!(membership.addresses(), [""; 0]);
        assert!(membership.trouble().is_some_and(|why| why.contains("yet")));
        assert!(membership.note_waiting(None));
        membership.note_others(vec![node(1, false), node(2, true)]);
        assert_eq!(
            membership.addresses(),
            ["wss://own.example", "wss://1.example"]
        );
        assert_eq!(membership.living(), 3);
        membership.note_draining();
        assert_eq!(membership.addresses(), ["wss://1.example"]);
        membership.note_others(vec![node(1, false), node(2, true), node(3, false)]);
        let told: Vec<_> = (0..3).filter_map(|_| membership.elsewhere()).collect();
        assert_eq!(
            told,
            ["wss://1.example", "wss://3.example", "wss://1.example"]
        );
        // All nodes behind one name: there is no other to name.
        let behind = Membership::new("wss://1.example");
        behind.note_others(vec![node(1, false)]);
        assert_eq!(behind.elsewhere(), None);
    }

    #[test]
    fn an_isolated_node_is_in_trouble() {
        let membership = Membership::new("wss://own.example");
        membership.note_waiting(None);
        assert_eq!(membership.trouble(), None);
        for (isolation, word) in [(Isolation::Silent, "5 s"), (Isolation::Closed, "10 s")] {
            membership.note_isolation(isolation);
            assert_eq!(membership.isolation(), isolation);
            assert!(membership.trouble().is_some_and(|why| why.contains(word)));
            assert_eq!(membership.addresses(), [""; 0]);
        }
        membership.note_isolation(Isolation::None);
        assert_eq!(membership.trouble(), None);
        membership.note_over();
        assert!(membership.trouble().is_some());
    }
}
