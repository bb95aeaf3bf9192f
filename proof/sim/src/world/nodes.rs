//! Several nodes in a world: each has some of the hubs, a connection of every hub to a simulated
//! NATS, and a clock of its own. All have one store, which stands for the log.
//!
//! A world with one node is as it was before there were several: nothing here happens in it.

use tidings_cluster::simulated::{Link, Nats, Times};
use tidings_cluster::{ClusterConfig, ClusterRouter};
use tidings_hub::Input;
use tidings_hub::ids::{ConnectionId, HubId};

use super::{Happening, World};

/// How long the leases need to notice that a node is lost, in milliseconds: shortest, longest.
const LEASE_MS: (u64, u64) = (5_000, 6_500);

/// By how much the clock of each node is ahead of that of the one before, in milliseconds.
const APART_MS: u64 = 500_000;

/// The nodes of a world.
#[derive(Debug)]
pub(crate) struct Nodes {
    pub(crate) nats: Nats,
    /// Hubs of each node.
    hubs: Vec<u16>,
    /// Each hub's connection, in the order of the cells.
    links: Vec<Link>,
    is_alive: Vec<bool>,
    /// What each hub has last been told of the cluster's clock.
    ahead_ms: Vec<u64>,
    /// When a lost connection comes back.
    back_ms: Vec<Option<u64>>,
    /// (when, which node) the others are told that it is lost.
    losses: Vec<(u64, u16)>,
    servers: usize,
}

impl Nodes {
    pub(crate) fn new(hubs: &[u16], seed: u64) -> Self {
        let servers = hubs.len();
        // Within the time that nodes wait for a subscription to be known.
        let times = Times {
            way_ms: (0, 2),
            route_ms: (0, 4),
        };
        let count = hubs.iter().map(|hubs| usize::from(*hubs)).sum();
        Self {
            nats: Nats::new(servers, times, seed),
            hubs: hubs.to_vec(),
            links: Vec::new(),
            is_alive: vec![true; hubs.len()],
            ahead_ms: vec![0; count],
            back_ms: vec![None; count],
            losses: Vec::new(),
            servers,
        }
    }

    /// The hub's place among all cells.
    pub(crate) fn index(&self, hub: HubId) -> usize {
        let before = self.hubs.iter().take(usize::from(hub.node));
        before.map(|hubs| usize::from(*hubs)).sum::<usize>() + hub.index()
    }

    /// The hub at this place.
    pub(crate) fn hub(&self, index: usize) -> HubId {
        let mut first = 0;
        for (node, hubs) in (0..).zip(&self.hubs) {
            let hub = index - first;
            if hub < usize::from(*hubs) {
                let hub = u16::try_from(hub).unwrap_or(0);
                return HubId { node, hub };
            }
            first += usize::from(*hubs);
        }
        unreachable!("there are as many cells as hubs")
    }

    /// How many hubs a node has.
    pub(crate) fn hubs_of(&self, node: u16) -> u16 {
        self.hubs.get(usize::from(node)).copied().unwrap_or(0)
    }

    pub(crate) fn is_alive(&self, node: u16) -> bool {
        self.is_alive.get(usize::from(node)) == Some(&true)
    }

    /// The bus of the next hub.
    pub(crate) fn connect(&mut self, router: tidings_bus::Router) -> ClusterRouter {
        let node = router.hub().node;
        self.links
            .push(self.nats.connect(usize::from(node) % self.servers));
        let config = ClusterConfig {
            prefix: "tidings.sim".to_owned(),
            key: [5; 32],
            node,
            incarnation: u64::from(node) + 1,
            settle_ms: 7,
        };
        ClusterRouter::in_cluster(router, config)
    }

    /// By how much the node's clock is ahead of the world's.
    pub(crate) fn ahead_ms(hub: HubId) -> u64 {
        u64::from(hub.node) * APART_MS
    }

    /// When something happens that no cell's timer knows of.
    pub(crate) fn next_at(&self) -> Option<u64> {
        let back = self.back_ms.iter().flatten().copied();
        let losses = self.losses.iter().map(|(at_ms, _)| *at_ms);
        back.chain(losses).chain(self.nats.due()).min()
    }
}

impl World {
    /// The hub of the cell at this place.
    pub(crate) fn hub_id(&self, index: usize) -> HubId {
        match &self.nodes {
            Some(nodes) => nodes.hub(index),
            None => HubId::local(u16::try_from(index).unwrap_or(0)),
        }
    }

    /// The place of the hub's cell.
    pub(crate) fn cell_index(&self, hub: HubId) -> usize {
        match &self.nodes {
            Some(nodes) => nodes.index(hub),
            None => hub.index(),
        }
    }

    /// Whether the process that has this hub runs.
    pub(crate) fn has_process(&self, hub: HubId) -> bool {
        let is_alive = |nodes: &Nodes| nodes.is_alive(hub.node);
        !self.is_down && self.nodes.as_ref().is_none_or(is_alive)
    }

    /// The monotonic clock of the hub's node.
    pub(crate) fn mono_ms(&self, hub: HubId) -> u64 {
        self.now_ms + Nodes::ahead_ms(hub)
    }

    /// Whether there are several nodes.
    pub fn has_nodes(&self) -> bool {
        self.nodes.is_some()
    }

    /// Nodes that run.
    pub fn living_nodes(&self) -> Vec<u16> {
        let Some(nodes) = &self.nodes else {
            return vec![0];
        };
        let all = 0..u16::try_from(nodes.hubs.len()).unwrap_or(0);
        all.filter(|node| nodes.is_alive(*node)).collect()
    }

    /// The hubs whose nodes run.
    pub(crate) fn living_hubs(&self) -> Vec<HubId> {
        let hubs = (0..self.cells.len()).map(|index| self.hub_id(index));
        hubs.filter(|hub| self.has_process(*hub)).collect()
    }

    /// Which process has this hub: counted up where one follows another.
    pub(crate) fn process_of(&self, hub: HubId) -> u64 {
        (u64::from(hub.node) << 32) + self.incarnation
    }

    /// Kills a node for good: its clients go elsewhere, and the others are told a while later.
    pub fn kill_node(&mut self, node: u16) {
        self.note(format_args!("node {node} is killed"));
        let delay_ms = self.random.between(LEASE_MS.0, LEASE_MS.1);
        let at_ms = self.now_ms + delay_ms;
        let Some(nodes) = &mut self.nodes else {
            return;
        };
        nodes.losses.push((at_ms, node));
        if let Some(is_alive) = nodes.is_alive.get_mut(usize::from(node)) {
            *is_alive = false;
        }
        for index in 0..nodes.links.len() {
            if nodes.hub(index).node == node {
                nodes.nats.cut(nodes.links[index]);
                nodes.back_ms[index] = None;
            }
        }
        // What has not reached the log is gone with it.
        self.store_queue.retain(|(hub, _, _)| hub.node != node);
        let of_node = |id: &ConnectionId| self.wires.get(id).is_some_and(|it| it.hub.node == node);
        let wires: Vec<ConnectionId> = self.wires.keys().copied().filter(of_node).collect();
        for wire in wires {
            let delay = self.random.between(0, self.config.network_delay_ms_max);
            self.schedule(delay, Happening::CloseClient { wire, code: None });
        }
    }

    /// Cuts a hub's connection to NATS for so long.
    pub fn cut_link(&mut self, index: usize, for_ms: u64) {
        let back_ms = self.now_ms + for_ms;
        if let Some(nodes) = &mut self.nodes
            && nodes.is_alive(nodes.hub(index).node)
        {
            nodes.nats.cut(nodes.links[index]);
            nodes.back_ms[index] = Some(back_ms);
        }
        self.note(format_args!("the connection of hub {index} to NATS is cut"));
    }

    /// Nothing arrives over a hub's connection to NATS for so long.
    pub fn slow_link(&mut self, index: usize, for_ms: u64) {
        self.note(format_args!(
            "the connection of hub {index} to NATS is slow"
        ));
        if let Some(nodes) = &mut self.nodes {
            nodes.nats.slow(nodes.links[index], for_ms);
        }
    }

    /// Cuts the route between two servers of NATS, or makes it again.
    pub fn set_route(&mut self, a: usize, b: usize, is_there: bool) {
        self.note(format_args!("the route between {a} and {b}: {is_there}"));
        if let Some(nodes) = &mut self.nodes {
            let servers = nodes.servers;
            nodes.nats.set_route(a % servers, b % servers, is_there);
        }
    }

    /// What NATS brings, and what the buses' timers do.
    pub(super) fn tick_nodes(&mut self) {
        let now_ms = self.now_ms;
        let Some(nodes) = &mut self.nodes else {
            return;
        };
        nodes.nats.advance(now_ms);
        for index in 0..nodes.links.len() {
            if nodes.back_ms[index].is_some_and(|back_ms| back_ms <= now_ms) {
                nodes.back_ms[index] = None;
                let server = usize::from(nodes.hub(index).node) % nodes.servers;
                nodes.nats.reconnect(nodes.links[index], server);
            }
        }
        let due = |(at_ms, _): &(u64, u16)| *at_ms <= now_ms;
        let lost: Vec<u16> = (nodes.losses.iter().filter(|it| due(it)))
            .map(|(_, node)| *node)
            .collect();
        nodes.losses.retain(|it| !due(it));
        for index in 0..self.cells.len() {
            let hub = self.hub_id(index);
            for node in &lost {
                let incarnation = u64::from(*node) + 1;
                self.drive_bus(hub, |bus, out| bus.node_lost(*node, incarnation, out));
            }
            while let Some(event) = self.next_of_nats(index) {
                self.drive_bus(hub, |bus, out| bus.hear(event, out));
            }
            let is_due = |due_ms: u64| due_ms <= self.mono_ms(hub);
            if self.cells[index].bus().deadline().is_some_and(is_due) {
                self.drive_bus(hub, |bus, out| bus.tick(out));
            }
        }
    }

    fn next_of_nats(&mut self, index: usize) -> Option<tidings_cluster::LinkEvent> {
        let nodes = self.nodes.as_mut()?;
        nodes.nats.take(nodes.links[index])
    }

    fn drive_bus(
        &mut self,
        hub: HubId,
        act: impl FnOnce(&mut ClusterRouter, &mut tidings_cell::Out<'_>),
    ) {
        self.drive(hub, |world| tidings_cell::with_bus(world, act));
    }

    /// Before a cell is driven: its bus learns the time.
    pub(super) fn begin_turn(&mut self, hub: HubId) {
        if self.nodes.is_some() {
            let now_ms = self.mono_ms(hub);
            tidings_cell::with_bus(self, |bus, _| bus.set_now(now_ms));
        }
    }

    /// After a cell was driven: what its bus says to NATS, and what time it is by the others.
    pub(super) fn end_turn(&mut self, hub: HubId) {
        let index = self.cell_index(hub);
        if self.nodes.is_none() {
            return;
        }
        let (mut ops, mut ahead_ms) = (Vec::new(), 0);
        tidings_cell::with_bus(self, |bus, _| {
            ops = bus.take_ops();
            ahead_ms = bus.clock_ahead_ms();
        });
        let Some(nodes) = &mut self.nodes else {
            return;
        };
        for op in ops {
            nodes.nats.apply(nodes.links[index], op);
        }
        if std::mem::replace(&mut nodes.ahead_ms[index], ahead_ms) != ahead_ms {
            self.give_hub(hub, Input::ClusterClock { ahead_ms });
        }
    }
}
