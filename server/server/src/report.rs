//! The state of a running server, in numbers: every hub reports it at the end of a turn, on
//! request.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use tidings_cell::CellReport;
use tidings_hub::counts::AppCounts;

use tidings_store::Status;
use tidings_wire::names::AppId;

/// The state of a hub and its thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubReport {
    /// The state of the hub's cell.
    pub cell: CellReport,
    /// Number of open sockets of any kind.
    pub connections: usize,
    /// Sockets accepted since the start.
    pub connections_made: u64,
    /// Longest time between two waits of the hub's loop, in milliseconds, since the start.
    pub longest_turn_ms: u64,
}

/// The state of a whole node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeReport {
    /// The hubs that have answered, in order.
    pub hubs: Vec<HubReport>,
    /// Number of hubs that have not answered in time: they are busy, or stuck.
    pub silent_hubs: usize,
    /// The state of the store.
    pub store: Status,
}

impl NodeReport {
    /// Counts by app over all hubs: those with the most messages first, then the sum of all others.
    pub fn apps(&self) -> (Vec<(AppId, AppCounts)>, AppCounts) {
        let mut sums = BTreeMap::<AppId, AppCounts>::new();
        let mut others = AppCounts::default();
        for hub in &self.hubs {
            let tally = &hub.cell.apps;
            others = others.and(tally.others());
            for (app, of_app) in tally.apps() {
                let sum = sums.entry(app.clone()).or_default();
                *sum = sum.and(*of_app);
            }
        }
        let mut apps: Vec<_> = sums.into_iter().collect();
        apps.sort_by_key(|(_, of)| Reverse(of.peer_messages + of.channel_messages));
        (apps, others)
    }
}
