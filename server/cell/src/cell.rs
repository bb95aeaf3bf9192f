//! One hub with its part of the bus and its translators.

use std::collections::VecDeque;
use std::sync::Arc;

use tidings_bus::{Bus, Crossing, Outlet, Router};
use tidings_hub::bus_ops::BusInput;
use tidings_hub::counts::{AppTally, HubCounts, Tally};
use tidings_hub::ids::{ConnectionId, HubId};
use tidings_hub::{Apps, Effect, Hub, HubStats, Snapshot};

use crate::counts::Counts;
use crate::translators::Translators;

/// A hub with its part of the bus and its legacy translators. Driven by the functions of this
/// crate.
#[derive(Debug)]
pub struct Cell<B = Router> {
    pub(crate) hub: Hub,
    bus: B,
    pub(crate) translators: Translators,
    pub(crate) counts: Counts,
    /// Effects of the input being handled. Empty between two inputs; kept for its memory.
    pub(crate) effects: Vec<Effect>,
    /// What the bus has delivered to this hub, in order. Empty between two turns.
    /// Bound: what one input makes this hub tell itself.
    pub(crate) local: VecDeque<BusInput>,
    /// Crossings for other cells. Empty between two effects; kept for its memory.
    pub(crate) posts: Vec<(HubId, Crossing)>,
}

impl<B: Bus> Cell<B> {
    /// A cell without connections, whose bus belongs to the same hub.
    pub fn new(hub: Hub, bus: B) -> Self {
        Self {
            hub,
            bus,
            translators: Translators::default(),
            counts: Counts::default(),
            effects: Vec::new(),
            local: VecDeque::new(),
            posts: Vec::new(),
        }
    }

    /// The hub, for inspection.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// The bus, for inspection.
    pub fn bus(&self) -> &B {
        &self.bus
    }

    /// The apps that are served.
    pub fn apps(&self) -> &Arc<Apps> {
        &self.hub.config().apps
    }

    /// The latest time at which [`tick_hub`] must be called, in monotonic milliseconds.
    pub fn hub_deadline(&self) -> Option<u64> {
        self.hub.deadline()
    }

    /// The latest time at which [`crate::tick_translators`] must be called, in monotonic
    /// milliseconds.
    pub fn translators_deadline(&self) -> Option<u64> {
        self.translators.deadline()
    }

    /// Whether a translator stands between this connection and the hub.
    pub fn is_legacy(&self, connection: ConnectionId) -> bool {
        self.translators.has(connection)
    }

    /// What the next process needs to continue this hub's sessions.
    pub fn snapshot(&self) -> Snapshot {
        self.hub.snapshot()
    }

    /// A report on the cell. O(apps that it has seen).
    pub fn report(&self) -> CellReport {
        CellReport {
            hub: self.hub.config().id,
            sizes: self.hub.stats(),
            topics: self.bus().topics(),
            channels: self.bus().channels().clone(),
            legacy_clients: self.translators.len(),
            is_settled: self.hub.is_settled(),
            counts: self.counts.clone(),
            hub_counts: self.hub.counts().clone(),
            apps: self.hub.app_counts().clone(),
        }
    }

    pub(crate) fn with_bus(&mut self, act: impl FnOnce(&mut B, &mut Out<'_>)) {
        let mut out = Out {
            local: &mut self.local,
            posts: &mut self.posts,
        };
        act(&mut self.bus, &mut out);
    }
}

/// The state of a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellReport {
    /// Which hub it has.
    pub hub: HubId,
    /// The hub's current sizes.
    pub sizes: HubStats,
    /// Topics with a subscriber whose home is this hub.
    pub topics: usize,
    /// Channels with a member anywhere whose home is this hub, by app.
    pub channels: Tally<u64>,
    /// Connections of legacy clients.
    pub legacy_clients: usize,
    /// Whether nothing is in progress.
    pub is_settled: bool,
    /// Counts since the cell was created.
    pub counts: Counts,
    /// What the hub has counted, whichever app it was in.
    pub hub_counts: HubCounts,
    /// Counts by app.
    pub apps: AppTally,
}

/// Receives the output of a cell's bus, for the cell.
#[derive(Debug)]
pub struct Out<'a> {
    local: &'a mut VecDeque<BusInput>,
    posts: &'a mut Vec<(HubId, Crossing)>,
}

impl Outlet for Out<'_> {
    fn deliver(&mut self, input: BusInput) {
        self.local.push_back(input);
    }

    fn post(&mut self, to: HubId, crossing: Crossing) {
        self.posts.push((to, crossing));
    }
}
