//! The state of a running server, in numbers: every hub reports it at the end of a turn, on
//! request.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use tidings_cell::CellReport;
use tidings_cluster::LiveCounts;
use tidings_hub::counts::{AppCounts, ByName, Histogram, Tally};

use tidings_store::Status;
use tidings_wire::names::AppId;

use crate::cluster::LinkReport;

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
    /// How long all turns took.
    pub turns: Histogram,
    /// From a client's request to its answer, which is written.
    pub requests: Histogram,
    /// From a channel message's arrival until its members here are written to.
    pub messages: Histogram,
    /// What other threads have posted and the hub has not taken.
    pub inbox_length: usize,
    /// Calls from outside that the hub has not answered.
    pub open_calls: usize,
    /// Who was not let in.
    pub doors: DoorCounts,
    /// How its connection to NATS is; `None` = the node is in no cluster.
    pub link: Option<LinkReport>,
    /// What its share of the path between nodes has counted; `None` = the node is in no cluster.
    pub live: Option<LiveCounts>,
}

/// Who was not let in, at one hub's doors.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DoorCounts {
    /// Logins and resumes that were refused, by outcome; those for apps that are not served count
    /// as those of no app.
    pub login_refusals: Tally<ByName>,
    /// Connections without a login that were given up for newer ones.
    pub given_up: u64,
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
            others.add(tally.others());
            for (app, of_app) in tally.apps() {
                sums.entry(app.clone()).or_default().add(of_app);
            }
        }
        let mut apps: Vec<_> = sums.into_iter().collect();
        apps.sort_by_key(|(_, of)| Reverse(of.peer.messages + of.channel.messages));
        (apps, others)
    }
}
