//! One hub with its part of the bus and its translators.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use tidings_bus::{Bus, Crossing, Outlet, Router};
use tidings_hub::bus_ops::BusInput;
use tidings_hub::counts::{AppTally, HubCounts, Tally};
use tidings_hub::ids::{ConnectionId, HubId};
use tidings_hub::{Apps, Effect, Hub, HubStats, Snapshot};
use tidings_wire::codes::CloseCode;

use crate::counts::Counts;
use crate::translators::Translators;

/// Longest text of a close frame, in bytes. Source: RFC 6455 5.5.
const REASON_BYTES_MAX: usize = 123;

/// A hub with its part of the bus and its legacy translators. Driven by the functions of this
/// crate.
#[derive(Debug)]
pub struct Cell<B = Router> {
    pub(crate) hub: Hub,
    bus: B,
    pub(crate) translators: Translators,
    pub(crate) counts: Counts,
    /// Where clients that are sent away may go; `None` = they have to know.
    elsewhere: Option<String>,
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
            elsewhere: None,
            effects: Vec::new(),
            local: VecDeque::new(),
            posts: Vec::new(),
        }
    }

    /// Names the address of another node, for clients that are sent away from this one; `None` =
    /// none is known. One that does not fit into a close frame is not named.
    pub fn name_elsewhere(&mut self, address: Option<String>) {
        self.elsewhere = address;
    }

    /// The text of the close frame that a native client is sent.
    pub(crate) fn reason(&self, code: CloseCode) -> Cow<'static, str> {
        let name = code.name();
        let is_sent_away = matches!(code, CloseCode::GoingAway | CloseCode::NodeIsolated);
        match &self.elsewhere {
            Some(address) if is_sent_away && name.len() + 1 + address.len() <= REASON_BYTES_MAX => {
                Cow::Owned(format!("{name} {address}"))
            }
            _ => Cow::Borrowed(name),
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

#[cfg(test)]
mod tests {
    use tidings_bus::Homes;
    use tidings_hub::HubConfig;

    use super::*;

    #[test]
    fn clients_that_are_sent_away_are_told_where_to_go_and_no_others() {
        let id = HubId::local(0);
        let config = HubConfig {
            id,
            seed: [1; 32],
            apps: Arc::default(),
            server: "test".into(),
            drain_window_ms: 0,
            epoch_base: None,
        };
        let router = Router::new(id, Homes::new(1, (1, 2)));
        let mut cell = Cell::new(Hub::new(config), router);
        assert_eq!(cell.reason(CloseCode::GoingAway), "going_away");
        cell.name_elsewhere(Some("https://chat-2.example.org".into()));
        let told = "going_away https://chat-2.example.org";
        assert_eq!(cell.reason(CloseCode::GoingAway), told);
        assert_eq!(cell.reason(CloseCode::RemoteLogin), "remote_login");
        let long = format!("https://{}.example.org", "a".repeat(REASON_BYTES_MAX));
        cell.name_elsewhere(Some(long));
        assert_eq!(cell.reason(CloseCode::NodeIsolated), "node_isolated");
    }
}
