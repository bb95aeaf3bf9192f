//! The simulated world: real hubs, real routers, a real store engine and real client cores, joined
//! by a network, a bus and a disk whose delays and faults come from one seed.
//!
//! Nothing here sleeps: time jumps from event to event. Everything that happens goes into a trace.
//! Two runs of one seed must give the same trace, which proves that no state of hubs and clients
//! escapes the world's control.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;
use tidings_bus::Crossing;
use tidings_cell::{Cell, RecentLogins};
use tidings_client_core as core;
use tidings_cluster::ClusterRouter;
use tidings_hub::ids::{ConnectionId, HubId};
use tidings_hub::outside::OutsideAnswer;
use tidings_hub::store_ops::StoreOp;
use tidings_hub::used::UsedRates;
use tidings_hub::{Apps, Input, Pressure, Ticket};
use tidings_store::MemoryEngine;
use tidings_wire::ws;

use crate::disk::DiskCounts;
use crate::events::SeenEvents;
use crate::freeze::Held;
use crate::legacy::Legacy;
use crate::random::Random;
use crate::raw::Line;
use crate::recorded::RecordedInvitations;
use crate::restart::Kept;
use crate::sometimes::Sometimes;

mod clients;
mod clock;
mod effects;
mod nodes;

pub(crate) use nodes::Nodes;

/// The default app of a simulation.
pub const APP_ID: &str = "5eed5eed5eed5eed5eed5eed5eed5eed";

/// Unix time at which every simulation begins, in milliseconds.
const START_UNIX_MS: u64 = 1_700_000_000_000;

/// The parameters of a world.
#[derive(Debug, Clone)]
pub struct WorldConfig {
    /// The seed of everything that is drawn.
    pub seed: u64,
    /// Hubs of the node, 1 to 64; of all nodes, where there are several.
    pub hubs: u16,
    /// Hubs of each node; empty = one node that is alone.
    pub nodes: Vec<u16>,
    /// Longest one-way delay between client and hub, in milliseconds.
    pub network_delay_ms_max: u64,
    /// Longest delay between two hubs, in milliseconds.
    pub bus_delay_ms_max: u64,
    /// Longest time of a group commit, in milliseconds.
    pub store_delay_ms_max: u64,
    /// Shortest time of a group commit, in milliseconds.
    pub store_delay_ms_min: u64,
    /// Time over which clients are disconnected before a planned restart, in milliseconds.
    pub drain_window_ms: u64,
    /// Keep the trace as readable text; otherwise only its hash.
    pub is_traced: bool,
    /// Bytes that each hub may buffer for its clients.
    pub replay_bytes_max: usize,
    /// The tenants of the server.
    pub apps: Apps,
}

impl WorldConfig {
    /// The same with several nodes of so many hubs each.
    #[must_use]
    pub fn with_nodes(mut self, nodes: &[u16]) -> Self {
        self.hubs = nodes.iter().sum();
        self.nodes = nodes.to_vec();
        self
    }

    /// A calm world with one app that requires no token.
    pub fn new(seed: u64, hubs: u16) -> Self {
        Self {
            seed,
            hubs,
            nodes: Vec::new(),
            network_delay_ms_max: 5,
            bus_delay_ms_max: 2,
            store_delay_ms_max: 3,
            store_delay_ms_min: 0,
            drain_window_ms: 0,
            is_traced: false,
            replay_bytes_max: usize::MAX,
            apps: Apps {
                accept_any: true,
                ..Apps::default()
            },
        }
    }
}

/// A client of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(pub usize);

/// Something that a client's application saw.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// When, in simulated milliseconds.
    pub at_ms: u64,
    /// The client that saw it.
    pub client: ClientId,
    /// Which process of the server the client's latest connection was made to, from 0.
    pub incarnation: u64,
    /// What the client saw.
    pub what: Seen,
}

/// An answer or an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// A call was answered.
    Answer {
        /// The call that was answered.
        id: core::CallId,
        /// Result of the call.
        result: Result<core::Answer, core::CallError>,
    },
    /// An event was raised.
    Event(core::ClientEvent),
}

/// A future event.
#[derive(Debug)]
pub(crate) enum Happening {
    /// A hub gets an input. The incarnation identifies inputs for a hub that has died.
    Hub {
        hub: HubId,
        incarnation: u64,
        input: Box<Input>,
    },
    /// A cell gets a crossing from another cell, or from itself.
    Post {
        to: HubId,
        incarnation: u64,
        crossing: Box<Crossing>,
    },
    /// The disk has finished a group commit.
    Commit {
        incarnation: u64,
        ops: Vec<(HubId, Ticket, StoreOp)>,
    },
    /// A client gets an input.
    Client {
        client: ClientId,
        input: Box<core::Input>,
    },
    /// A client's bytes reach a hub.
    FromClient { wire: ConnectionId, bytes: Vec<u8> },
    /// A hub's bytes reach a client.
    ToClient { wire: ConnectionId, bytes: Vec<u8> },
    /// A client's connection reaches the listener.
    Connect { client: ClientId, connection: u64 },
    /// A connection's end has reached the client.
    CloseClient {
        wire: ConnectionId,
        code: Option<u16>,
    },
    /// A connection's end has reached the hub.
    CloseHub { wire: ConnectionId },
}

impl Happening {
    /// Whether it requires a running server process.
    fn needs_server(&self) -> bool {
        match self {
            Happening::Hub { .. }
            | Happening::Post { .. }
            | Happening::Commit { .. }
            | Happening::FromClient { .. }
            | Happening::Connect { .. }
            | Happening::CloseHub { .. } => true,
            Happening::Client { .. }
            | Happening::ToClient { .. }
            | Happening::CloseClient { .. } => false,
        }
    }
}

/// One connection, seen from outside.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) client: ClientId,
    pub(crate) connection: u64,
    pub(crate) hub: HubId,
    /// Neither side is notified: bytes vanish.
    pub(crate) is_half_open: bool,
    pub(crate) to_client: ws::Decoder,
    pub(crate) to_client_ms: u64,
    pub(crate) to_hub_ms: u64,
}

/// A simulated world.
pub struct World {
    pub(crate) config: WorldConfig,
    pub(crate) random: Random,
    pub(crate) now_ms: u64,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    pub(crate) happenings: BTreeMap<u64, Happening>,
    count: u64,
    pub(crate) cells: Vec<Cell<ClusterRouter>>,
    /// Where there are several nodes.
    pub(crate) nodes: Option<Nodes>,
    /// The cell that is being driven.
    pub(crate) at: HubId,
    /// Whether the input being handled contains a resume.
    pub(crate) is_resume: bool,
    /// The rates that users have used, for all hubs.
    pub(crate) used: UsedRates,
    /// Which accounts used the legacy protocol a moment ago, for all hubs.
    pub(crate) recent: RecentLogins,
    /// Incremented with each restart of the server.
    pub(crate) incarnation: u64,
    pub(crate) is_down: bool,
    pub(crate) down_since_ms: u64,
    /// The server is draining: nobody is admitted.
    pub(crate) is_draining: bool,
    /// When the last client has been disconnected.
    pub(crate) drained_ms: u64,
    /// Sessions on disk between two processes.
    pub(crate) kept: Option<Kept>,
    /// The process is suspended until this time.
    pub(crate) paused_until_ms: u64,
    /// What the kernel holds for the process in the meantime; it precedes everything that arrives
    /// later.
    held_back: VecDeque<Happening>,
    /// Last arrival per ordered pair of hubs: links of the bus keep their order.
    pub(crate) links: BTreeMap<(HubId, HubId), u64>,
    pub(crate) engine: MemoryEngine,
    pub(crate) store_queue: Vec<(HubId, Ticket, StoreOp)>,
    pub(crate) is_committing: bool,
    /// The hub that misses the next change of a channel's members.
    pub(crate) deaf: Option<HubId>,
    pub(crate) disk: DiskCounts,
    pub(crate) recorded: RecordedInvitations,
    pub(crate) events: SeenEvents,
    pub(crate) is_disk_full: bool,
    /// Suspended clients, and what waits for them.
    pub(crate) frozen: BTreeMap<ClientId, Held>,
    /// By how many milliseconds a client's clock is ahead, and by how many parts in a million it is
    /// fast.
    client_clocks: BTreeMap<ClientId, (u64, i64)>,
    /// By how many parts in a million the wall clock is fast.
    wall_ppm: i64,
    pub(crate) sometimes: Sometimes,
    /// By how many milliseconds the wall clock is ahead of the world's time.
    pub(crate) wall_ahead_ms: i64,
    pub(crate) clients: Vec<core::Client>,
    /// Clients without a network.
    pub(crate) offline: Vec<bool>,
    /// Per client, the process of the server that its latest connection was made to.
    pub(crate) linked: BTreeMap<ClientId, u64>,
    pub(crate) wires: BTreeMap<ConnectionId, Wire>,
    pub(crate) by_client: BTreeMap<(ClientId, u64), ConnectionId>,
    pub(crate) connections: u64,
    /// What has arrived on connections without a client.
    pub(crate) lines: BTreeMap<ConnectionId, Line>,
    pub(crate) legacy: Legacy,
    /// The hub of each client for which it is not random.
    pub(crate) places: BTreeMap<ClientId, HubId>,
    calls: u64,
    pub(crate) records: Vec<Record>,
    /// Answers to calls from outside, with their times.
    pub(crate) outside_answers: Vec<(u64, core::CallId, OutsideAnswer)>,
    hash: SipHasher13,
    trace: Vec<String>,
}

impl World {
    /// Makes an empty world.
    pub fn new(config: WorldConfig) -> Self {
        let mut world = Self {
            random: Random::new(config.seed),
            now_ms: 1,
            queue: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            count: 0,
            cells: Vec::new(),
            nodes: None,
            at: HubId::local(0),
            is_resume: false,
            used: UsedRates::new((0, 0)),
            recent: RecentLogins::default(),
            incarnation: 0,
            is_down: true,
            down_since_ms: 1,
            is_draining: false,
            drained_ms: 0,
            kept: None,
            paused_until_ms: 0,
            held_back: VecDeque::new(),
            links: BTreeMap::new(),
            engine: MemoryEngine::new(),
            store_queue: Vec::new(),
            is_committing: false,
            deaf: None,
            disk: DiskCounts::default(),
            recorded: RecordedInvitations::default(),
            events: SeenEvents::default(),
            is_disk_full: false,
            frozen: BTreeMap::new(),
            client_clocks: BTreeMap::new(),
            wall_ppm: 0,
            sometimes: Sometimes::default(),
            wall_ahead_ms: 0,
            clients: Vec::new(),
            offline: Vec::new(),
            linked: BTreeMap::new(),
            wires: BTreeMap::new(),
            by_client: BTreeMap::new(),
            connections: 0,
            lines: BTreeMap::new(),
            legacy: Legacy::default(),
            places: BTreeMap::new(),
            calls: 0,
            records: Vec::new(),
            outside_answers: Vec::new(),
            hash: SipHasher13::new(),
            trace: Vec::new(),
            config,
        };
        world.start_server();
        world
    }

    /// Simulated milliseconds since the start.
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// Number of the clients' calls so far; for drawing.
    pub fn random(&mut self) -> &mut Random {
        &mut self.random
    }

    /// A hash of everything that has happened.
    pub fn trace_hash(&self) -> u64 {
        self.hash.finish()
    }

    /// The trace as text, if it was kept.
    pub fn trace(&self) -> &[String] {
        &self.trace
    }

    /// Takes what was seen since the last call.
    pub fn take_records(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.records)
    }

    /// Bytes that the hubs buffer for clients.
    pub fn replay_bytes(&self) -> usize {
        let hubs = self.cells.iter().map(|cell| cell.hub().stats());
        hubs.map(|stats| stats.replay_bytes).sum()
    }

    /// Reports a measurement of the server's memory.
    pub fn press(&mut self, pressure: Pressure) {
        for at in 0..self.cells.len() {
            self.give_hub(self.hub_id(at), Input::Memory(pressure));
        }
    }

    /// Rare situations so far.
    pub fn sometimes(&self) -> &Sometimes {
        &self.sometimes
    }

    /// Advances the world to a given time.
    pub fn run_until(&mut self, until_ms: u64) {
        while let Some(at) = self.next_at().filter(|at| *at <= until_ms) {
            self.now_ms = self.now_ms.max(at);
            self.step();
        }
        self.now_ms = self.now_ms.max(until_ms);
    }

    /// Advances the world until the condition holds or the time is reached. Returns whether it
    /// holds.
    pub fn run_while(&mut self, until_ms: u64, mut goes_on: impl FnMut(&mut Self) -> bool) -> bool {
        while goes_on(self) {
            match self.next_at().filter(|at| *at <= until_ms) {
                Some(at) => {
                    self.now_ms = self.now_ms.max(at);
                    self.step();
                }
                None => {
                    self.now_ms = self.now_ms.max(until_ms);
                    return !goes_on(self);
                }
            }
        }
        true
    }

    // ------------------------------------------------------------ the event loop

    fn next_at(&self) -> Option<u64> {
        let queued = self.queue.peek().map(|Reverse((at, _))| *at);
        let hubs = (self.cells.iter().enumerate())
            .filter_map(|(at, cell)| self.cell_due_ms(at, cell))
            .min()
            .map(|due_ms| due_ms.max(self.paused_until_ms));
        let clients = (self.clients.iter().enumerate())
            .filter(|(at, _)| !self.is_frozen(ClientId(*at)))
            .filter_map(|(at, client)| Some(self.client_due_ms(at, client.deadline()?)))
            .min();
        let kept = (!self.held_back.is_empty()).then_some(self.paused_until_ms);
        let translators = self
            .cells
            .iter()
            .filter_map(Cell::translators_deadline)
            .min();
        let legacy = self.legacy.next_at();
        let nodes = self.nodes.as_ref().and_then(Nodes::next_at);
        [queued, hubs, clients, kept, translators, legacy, nodes]
            .into_iter()
            .flatten()
            .min()
    }

    /// When a cell has something to do: its hub, or its part of the bus.
    fn cell_due_ms(&self, at: usize, cell: &Cell<ClusterRouter>) -> Option<u64> {
        let hub = self.hub_id(at);
        if !self.has_process(hub) {
            return None;
        }
        let due_ms = (cell.hub_deadline().into_iter())
            .chain(cell.bus().deadline())
            .min()?;
        Some(due_ms.saturating_sub(Nodes::ahead_ms(hub)))
    }

    fn step(&mut self) {
        let is_paused = self.now_ms < self.paused_until_ms;
        for at in 0..self.cells.len() {
            if is_paused {
                break;
            }
            self.drive(self.hub_id(at), tidings_cell::tick_hub);
        }
        self.tick_nodes();
        for at in 0..self.clients.len() {
            let due = self.clients[at].deadline();
            let due = due.map(|due| self.client_due_ms(at, due));
            if due.is_some_and(|due| due <= self.now_ms) && !self.is_frozen(ClientId(at)) {
                self.give_client(ClientId(at), core::Input::Tick);
            }
        }
        self.tick_legacy();
        if !is_paused && let Some(happening) = self.held_back.pop_front() {
            return self.happen(happening);
        }
        let due = self
            .queue
            .peek()
            .is_some_and(|Reverse((at, _))| *at <= self.now_ms);
        if due
            && let Some(Reverse((_, number))) = self.queue.pop()
            && let Some(happening) = self.happenings.remove(&number)
        {
            self.happen(happening);
        }
    }

    pub(crate) fn schedule(&mut self, delay_ms: u64, happening: Happening) {
        self.schedule_at(self.now_ms + delay_ms, happening);
    }

    pub(crate) fn schedule_at(&mut self, at_ms: u64, happening: Happening) {
        self.count += 1;
        self.queue.push(Reverse((at_ms, self.count)));
        self.happenings.insert(self.count, happening);
    }

    pub(crate) fn happen(&mut self, happening: Happening) {
        if self.now_ms < self.paused_until_ms && happening.needs_server() {
            return self.held_back.push_back(happening);
        }
        let Some(happening) = self.hold(happening) else {
            return;
        };
        match happening {
            Happening::Hub {
                hub,
                incarnation,
                input,
            } if incarnation == self.incarnation => {
                let handed = match &*input {
                    Input::HandedOver { connection, .. } => Some(*connection),
                    _ => None,
                };
                self.give_hub(hub, *input);
                if let Some(connection) = handed.filter(|id| !self.wires.contains_key(id)) {
                    // It was closed on its way from hub to hub: its new owner will notice.
                    self.give_hub(hub, Input::Closed { connection });
                }
            }
            Happening::Post {
                to,
                incarnation,
                crossing,
            } if incarnation == self.incarnation => {
                self.drive(to, |world| tidings_cell::take(world, *crossing));
            }
            Happening::Commit { incarnation, ops } if incarnation == self.incarnation => {
                self.commit(ops);
            }
            // A dead process receives nothing.
            Happening::Hub { .. } | Happening::Post { .. } | Happening::Commit { .. } => {}
            Happening::Client { client, input } => self.give_client(client, *input),
            Happening::Connect { client, connection } => self.connect(client, connection),
            Happening::FromClient { wire, bytes } => self.arrive_at_hub(wire, bytes),
            Happening::ToClient { wire, bytes } => self.arrive_at_client(wire, bytes),
            Happening::CloseHub { wire } => self.close_hub(wire),
            Happening::CloseClient { wire, code } => self.close_client(wire, code),
        }
    }

    pub(crate) fn note(&mut self, what: impl std::fmt::Display) {
        let line = format!("{:>8} {what}", self.now_ms);
        self.hash.write(line.as_bytes());
        if self.config.is_traced {
            self.trace.push(line);
        }
    }
}
