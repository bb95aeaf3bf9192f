//! The bus of one hub, alone or in a cluster.

use tidings_bus::{Bus, Crossing, Outlet, Router};
use tidings_hub::bus_ops::BusOp;
use tidings_hub::counts::Tally;

use crate::config::ClusterConfig;
use crate::counts::LiveCounts;
use crate::link::{LinkEvent, LinkOp};
use crate::live::Live;

/// The bus of one hub.
///
/// On a node that is alone each call is one branch more than [`Router`]'s.
#[derive(Debug)]
pub struct ClusterRouter {
    router: Router,
    live: Option<Box<Live>>,
}

impl ClusterRouter {
    /// The bus of a hub whose node is alone.
    pub fn alone(router: Router) -> Self {
        Self { router, live: None }
    }

    /// The bus of a hub of a cluster. `router` belongs to a hub of the node that `config` names.
    pub fn in_cluster(router: Router, config: ClusterConfig) -> Self {
        let live = Some(Box::new(Live::new(config)));
        Self { router, live }
    }

    /// Whether the node is one of a cluster.
    pub fn is_in_cluster(&self) -> bool {
        self.live.is_some()
    }

    /// Sets the time, in monotonic milliseconds of the node; once per turn, before anything else.
    pub fn set_now(&mut self, now_ms: u64) {
        if let Some(live) = &mut self.live {
            live.now_ms = now_ms;
        }
    }

    /// Takes what the connection to NATS tells.
    pub fn hear(&mut self, event: LinkEvent, out: &mut impl Outlet) {
        let _ = (event, out);
    }

    /// Another node is lost, in this life of its number or an earlier one.
    pub fn node_lost(&mut self, node: u16, incarnation: u64, out: &mut impl Outlet) {
        let _ = (node, incarnation, out);
    }

    /// Does what is due.
    pub fn tick(&mut self, out: &mut impl Outlet) {
        let _ = out;
    }

    /// The latest time at which [`ClusterRouter::tick`] must be called, in monotonic milliseconds.
    pub fn deadline(&self) -> Option<u64> {
        None
    }

    /// How far the cluster's clock is ahead of the node's own, in milliseconds; never less than
    /// before.
    pub fn clock_ahead_ms(&self) -> u64 {
        0
    }

    /// What the connection to NATS is to do, in order. Empty on a node that is alone.
    pub fn take_ops(&mut self) -> Vec<LinkOp> {
        match &mut self.live {
            Some(live) => std::mem::take(&mut live.ops),
            None => Vec::new(),
        }
    }

    /// What was counted; `None` on a node that is alone.
    pub fn counts(&self) -> Option<&LiveCounts> {
        self.live.as_ref().map(|live| &live.counts)
    }
}

impl Bus for ClusterRouter {
    fn apply(&mut self, op: BusOp, out: &mut impl Outlet) {
        self.router.apply(op, out);
    }

    fn take(&mut self, crossing: Crossing, out: &mut impl Outlet) {
        self.router.take(crossing, out);
    }

    fn topics(&self) -> usize {
        self.router.topics()
    }

    fn channels(&self) -> &Tally<u64> {
        self.router.channels()
    }
}
