//! Nodes of buses without hubs, on a simulated NATS.

use std::collections::VecDeque;

use tidings_bus::contract::Wired;
use tidings_bus::{Bus as _, Crossing, Homes, Outlet, Router};
use tidings_hub::bus_ops::{BusInput, BusOp, Topic};
use tidings_hub::ids::HubId;

use super::nats::{Link, Nats, Times};
use crate::config::ClusterConfig;
use crate::counts::LiveCounts;
use crate::router::ClusterRouter;

/// What a simulated cluster is made of.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How many hubs each node has; nodes are numbered from 0.
    pub hubs: Vec<u16>,
    /// How many servers NATS has.
    pub servers: usize,
    /// How long they take.
    pub times: Times,
    /// Longest payload that they take, in bytes.
    pub payload_max: usize,
    /// How long nodes wait for a subscription to be known, in milliseconds.
    pub settle_ms: u64,
    /// Everything follows from it.
    pub seed: u64,
}

impl Plan {
    /// Nodes of so many hubs each, on one server per node that is a few milliseconds away.
    pub fn new(hubs: &[u16], seed: u64) -> Self {
        Self {
            hubs: hubs.to_vec(),
            servers: hubs.len(),
            times: Times {
                way_ms: (0, 3),
                route_ms: (0, 4),
            },
            payload_max: 1 << 20,
            settle_ms: 5,
            seed,
        }
    }

    fn config(&self, node: u16, incarnation: u64) -> ClusterConfig {
        ClusterConfig {
            prefix: "tidings.test".to_owned(),
            key: [7; 32],
            node,
            incarnation,
            settle_ms: self.settle_ms,
        }
    }
}

#[derive(Debug)]
struct Desk {
    id: HubId,
    homes: Homes,
    router: ClusterRouter,
    link: Link,
    mailbox: VecDeque<Crossing>,
    given: Vec<BusInput>,
}

/// Nodes whose hubs only note what they are given.
///
/// The clocks of the nodes are far apart; all advance alike.
#[derive(Debug)]
pub struct Cluster {
    /// The NATS that they are on.
    pub nats: Nats,
    plan: Plan,
    now_ms: u64,
    random: u64,
    desks: Vec<Desk>,
    incarnations: u64,
}

/// Takes what a bus puts out.
#[derive(Debug, Default)]
struct Collected {
    given: Vec<BusInput>,
    posts: Vec<(HubId, Crossing)>,
}

impl Outlet for Collected {
    fn deliver(&mut self, input: BusInput) {
        self.given.push(input);
    }

    fn post(&mut self, to: HubId, crossing: Crossing) {
        self.posts.push((to, crossing));
    }
}

impl Cluster {
    /// All nodes, connected.
    pub fn new(plan: Plan) -> Self {
        let nats = Nats::new(plan.servers, plan.times, plan.seed);
        let mut cluster = Self {
            nats: nats.with_payload_max(plan.payload_max),
            now_ms: 0,
            random: plan.seed.wrapping_mul(0x2545_f491_4f6c_dd1d) | 1,
            desks: Vec::new(),
            incarnations: 0,
            plan,
        };
        for node in 0..cluster.plan.hubs.len() {
            cluster.start(u16::try_from(node).expect("few nodes"));
        }
        cluster
    }

    /// Starts a node, under its number and a new incarnation.
    pub fn start(&mut self, node: u16) {
        let config = self.plan.config(node, self.incarnations + 1);
        self.incarnations += 1;
        self.start_with(config);
    }

    /// Starts a node that may be of another cluster on the same NATS.
    pub fn start_with(&mut self, config: ClusterConfig) {
        let node = config.node;
        let hubs = self.plan.hubs[usize::from(node) % self.plan.hubs.len()];
        let homes = Homes::new(hubs, (u64::from(node), 2)).on_node(node);
        for hub in 0..hubs {
            let id = HubId { node, hub };
            let link = self.nats.connect(usize::from(node) % self.plan.servers);
            let router = Router::new(id, homes);
            self.desks.push(Desk {
                id,
                homes,
                router: ClusterRouter::in_cluster(router, config.clone()),
                link,
                mailbox: VecDeque::new(),
                given: Vec::new(),
            });
        }
    }

    /// Ends a node without a word; what it has is gone.
    pub fn kill(&mut self, node: u16) {
        let links = self.desks.iter().filter(|desk| desk.id.node == node);
        for link in links.map(|desk| desk.link).collect::<Vec<_>>() {
            self.nats.cut(link);
        }
        self.desks.retain(|desk| desk.id.node != node);
    }

    /// Tells all nodes that a node is lost, in this incarnation.
    pub fn tell_lost(&mut self, node: u16, incarnation: u64) {
        for at in 0..self.desks.len() {
            self.drive(at, |router, out| router.node_lost(node, incarnation, out));
        }
    }

    /// Tells the hubs of a node whether it is cut off from the others.
    pub fn isolate(&mut self, node: u16, is_isolated: bool) {
        for at in 0..self.desks.len() {
            if self.desks[at].id.node == node {
                self.drive(at, |router, _| router.set_isolated(is_isolated));
            }
        }
    }

    /// The connection of a hub.
    ///
    /// # Panics
    /// If there is no such hub.
    pub fn link(&self, hub: HubId) -> Link {
        self.desks[self.at(hub)].link
    }

    /// What a hub's bus has counted.
    ///
    /// # Panics
    /// If there is no such hub.
    pub fn counts(&self, hub: HubId) -> LiveCounts {
        let desk = &self.desks[self.at(hub)];
        *desk.router.counts().expect("it is one of a cluster")
    }

    /// A hub's bus.
    ///
    /// # Panics
    /// If there is no such hub.
    pub fn router(&self, hub: HubId) -> &ClusterRouter {
        &self.desks[self.at(hub)].router
    }

    /// The hub of the same node that is home to the topic.
    ///
    /// # Panics
    /// If there is no such hub.
    pub fn home(&self, hub: HubId, topic: &Topic) -> HubId {
        self.desks[self.at(hub)].homes.home(topic)
    }

    /// The cluster's clock as a hub knows it, in milliseconds.
    ///
    /// # Panics
    /// If there is no such hub.
    pub fn shared_clock_ms(&self, hub: HubId) -> u64 {
        let router = &self.desks[self.at(hub)].router;
        self.clock_ms(hub.node) + router.clock_ahead_ms()
    }

    /// Takes some of what a hub has been given, and leaves the rest.
    ///
    /// # Panics
    /// If there is no such hub.
    pub fn take_if(&mut self, hub: HubId, is_it: impl Fn(&BusInput) -> bool) -> Vec<BusInput> {
        let at = self.at(hub);
        let given = std::mem::take(&mut self.desks[at].given).into_iter();
        let (taken, rest) = given.partition(is_it);
        self.desks[at].given = rest;
        taken
    }

    /// The hubs that live.
    pub fn hubs(&self) -> Vec<HubId> {
        self.desks.iter().map(|desk| desk.id).collect()
    }

    /// The time, in milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// Lets so much time pass, with everything that happens in it.
    pub fn pass(&mut self, ms: u64) {
        let until_ms = self.now_ms + ms;
        loop {
            if self.handle_one() {
                continue;
            }
            match self.due() {
                Some(due_ms) if due_ms <= until_ms => self.advance(due_ms),
                _ => break,
            }
        }
        self.now_ms = until_ms;
        self.nats.advance(until_ms);
    }

    fn at(&self, hub: HubId) -> usize {
        let found = self.desks.iter().position(|desk| desk.id == hub);
        found.expect("the hub lives")
    }

    fn draw(&mut self, below: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from(self.random >> 33).expect("31 bits") % below
    }

    /// The clock of a node: they started at very different times.
    fn clock_ms(&self, node: u16) -> u64 {
        self.now_ms + 1_000 + u64::from(node) * 1_000_000
    }

    fn drive(&mut self, at: usize, act: impl FnOnce(&mut ClusterRouter, &mut Collected)) {
        let now_ms = self.clock_ms(self.desks[at].id.node);
        let desk = &mut self.desks[at];
        let mut out = Collected::default();
        desk.router.set_now(now_ms);
        act(&mut desk.router, &mut out);
        desk.given.extend(out.given);
        let (link, ops) = (desk.link, desk.router.take_ops());
        for op in ops {
            self.nats.apply(link, op);
        }
        for (to, crossing) in out.posts {
            let to = self.at(to);
            self.desks[to].mailbox.push_back(crossing);
        }
    }

    /// Handles something that has arrived; `false` = nothing has.
    fn handle_one(&mut self) -> bool {
        let is_busy = |desk: &&Desk| !desk.mailbox.is_empty();
        let busy = self.desks.iter().filter(is_busy).count();
        if busy > 0 {
            let chosen = self.draw(busy);
            let mut all = self.desks.iter_mut().enumerate();
            let mut busy = all.by_ref().filter(|(_, desk)| !desk.mailbox.is_empty());
            let (at, desk) = busy.nth(chosen).expect("it is one of them");
            let crossing = desk.mailbox.pop_front().expect("it is busy");
            self.drive(at, |router, out| router.take(crossing, out));
            return true;
        }
        for at in 0..self.desks.len() {
            let link = self.desks[at].link;
            if let Some(event) = self.nats.take(link) {
                self.drive(at, |router, out| router.hear(event, out));
                return true;
            }
        }
        false
    }

    fn due(&self) -> Option<u64> {
        let timers = self.desks.iter().filter_map(|desk| {
            let ahead_ms = self.clock_ms(desk.id.node) - self.now_ms;
            Some(desk.router.deadline()?.saturating_sub(ahead_ms))
        });
        timers.chain(self.nats.due()).min()
    }

    fn advance(&mut self, to_ms: u64) {
        self.now_ms = self.now_ms.max(to_ms);
        self.nats.advance(self.now_ms);
        for at in 0..self.desks.len() {
            let now_ms = self.clock_ms(self.desks[at].id.node);
            let due_ms = self.desks[at].router.deadline();
            if due_ms.is_some_and(|due_ms| due_ms <= now_ms) {
                self.drive(at, |router, out| router.tick(out));
            }
        }
    }
}

impl Wired for Cluster {
    fn apply(&mut self, from: HubId, op: BusOp) {
        let at = self.at(from);
        self.drive(at, |router, out| router.apply(op, out));
    }

    fn step(&mut self) -> bool {
        if self.handle_one() {
            return true;
        }
        let is_at_rest = self.desks.iter().all(|desk| desk.router.is_settled());
        match self.due() {
            Some(due_ms) if !is_at_rest || self.nats.in_flight() > 0 => {
                self.advance(due_ms);
                true
            }
            _ => false,
        }
    }

    fn take(&mut self, hub: HubId) -> Vec<BusInput> {
        let at = self.at(hub);
        std::mem::take(&mut self.desks[at].given)
    }
}
