//! How a running server is, in numbers: every hub says so at the end of a turn, when it is asked.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use tidings_cell::CellReport;
use tidings_hub::counts::AppCounts;

use tidings_store::Status;
use tidings_wire::names::AppId;

/// How a hub and its thread are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubReport {
    /// The hub and what stands around it.
    pub cell: CellReport,
    /// Open sockets, whatever they are for.
    pub connections: usize,
    /// Sockets that were taken in since the start.
    pub connections_made: u64,
    /// The longest time that the hub's loop took from one wait to the next, in milliseconds, since
    /// the start.
    pub longest_turn_ms: u64,
}

/// How all of a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeReport {
    /// Of each hub that has answered, in their order.
    pub hubs: Vec<HubReport>,
    /// Hubs that have not answered in time: they are busy, or stuck.
    pub silent_hubs: usize,
    /// Of the store.
    pub store: Status,
}

impl NodeReport {
    /// What has happened by app, in all hubs: those with the most messages first; then of all other
    /// apps together.
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
