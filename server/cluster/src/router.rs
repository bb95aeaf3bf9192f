//! The bus of one hub, alone or in a cluster.

use tidings_bus::{Bus, Crossing, Outlet, Router};
use tidings_hub::bus_ops::BusOp;
use tidings_hub::counts::Tally;
use tidings_hub::ids::HubId;

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

    /// The bus of a hub of a cluster.
    ///
    /// # Panics
    /// If `router` belongs to a hub of another node than `config` names.
    pub fn in_cluster(router: Router, config: ClusterConfig) -> Self {
        let live = Live::new(config, router.hub());
        let live = Some(Box::new(live));
        Self { router, live }
    }

    /// Whether the node is one of a cluster.
    pub fn is_in_cluster(&self) -> bool {
        self.live.is_some()
    }

    /// Sets the time, in monotonic milliseconds of the node; once per turn, before anything else.
    pub fn set_now(&mut self, now_ms: u64) {
        if let Some(live) = &mut self.live {
            live.set_now(now_ms);
        }
    }

    /// Takes what the connection to NATS tells.
    pub fn hear(&mut self, event: LinkEvent, out: &mut impl Outlet) {
        if let Some(live) = &mut self.live {
            live.hear(event, &mut self.router, out);
        }
    }

    /// Another node is lost, in this life of its number or an earlier one.
    pub fn node_lost(&mut self, node: u16, incarnation: u64, out: &mut impl Outlet) {
        if let Some(live) = &mut self.live {
            live.node_lost(node, incarnation, out);
        }
    }

    /// Does what is due.
    pub fn tick(&mut self, out: &mut impl Outlet) {
        if let Some(live) = &mut self.live {
            live.tick(&mut self.router, out);
        }
    }

    /// The latest time at which [`ClusterRouter::tick`] must be called, in monotonic milliseconds.
    pub fn deadline(&self) -> Option<u64> {
        self.live.as_ref().and_then(|live| live.deadline())
    }

    /// How far the cluster's clock is ahead of the node's own, in milliseconds; never less than
    /// before.
    pub fn clock_ahead_ms(&self) -> u64 {
        self.live.as_ref().map_or(0, |live| live.clock_ahead_ms())
    }

    /// What the connection to NATS is to do, in order. Empty on a node that is alone.
    pub fn take_ops(&mut self) -> Vec<LinkOp> {
        match &mut self.live {
            Some(live) => live.take_ops(),
            None => Vec::new(),
        }
    }

    /// Whether there is a connection and every topic of this node is known to the others; `true` on
    /// a node that is alone.
    pub fn is_settled(&self) -> bool {
        self.live.as_ref().is_none_or(|live| live.is_settled())
    }

    /// What was counted; `None` on a node that is alone.
    pub fn counts(&self) -> Option<&LiveCounts> {
        self.live.as_ref().map(|live| live.counts())
    }

    /// An operation of a hub of this node on a topic that this hub is home to.
    fn meet(router: &mut Router, live: &mut Live, from: HubId, op: BusOp, out: &mut impl Outlet) {
        match op {
            BusOp::Subscribe(topic) => {
                let before = router.subscribers(&topic).count();
                router.route(from, BusOp::Subscribe(topic.clone()), out);
                let hubs = router.subscribers(&topic).count();
                if hubs != before {
                    live.subscribed(topic, hubs, router);
                }
            }
            BusOp::Unsubscribe(topic) => {
                let before = router.subscribers(&topic).count();
                router.route(from, BusOp::Unsubscribe(topic.clone()), out);
                let hubs = router.subscribers(&topic).count();
                if hubs != before {
                    live.unsubscribed(topic, hubs, router, out);
                }
            }
            BusOp::Publish { topic, message } => {
                let message = router.in_order(message);
                live.publish(from, &topic, &message);
                router.route(from, BusOp::Publish { topic, message }, out);
            }
            BusOp::Ask {
                topic,
                ask,
                question,
            } => live.ask_first((from, ask.number), topic, question, router, out),
            BusOp::Answer { .. } => router.route(from, op, out),
        }
    }
}

impl Bus for ClusterRouter {
    fn apply(&mut self, op: BusOp, out: &mut impl Outlet) {
        let Some(live) = &mut self.live else {
            return self.router.apply(op, out);
        };
        let hub = self.router.hub();
        match op {
            BusOp::Answer { to, ask, answer } if to.node != hub.node => {
                live.answer(hub, to, ask, answer);
            }
            BusOp::Answer { .. } => self.router.apply(op, out),
            op => match self.router.posted_to(&op) {
                Some(home) => out.post(home, Crossing::Route { from: hub, op }),
                None => Self::meet(&mut self.router, live, hub, op, out),
            },
        }
    }

    fn take(&mut self, crossing: Crossing, out: &mut impl Outlet) {
        match (&mut self.live, crossing) {
            (Some(live), Crossing::Route { from, op }) => {
                Self::meet(&mut self.router, live, from, op, out);
            }
            (_, crossing) => self.router.take(crossing, out),
        }
    }

    fn topics(&self) -> usize {
        self.router.topics()
    }

    fn channels(&self) -> &Tally<u64> {
        self.router.channels()
    }
}
