//! What a cell counts, for whoever runs the server.

use tidings_bus::Bus;
use tidings_hub::counts::AppTally;
use tidings_hub::ids::HubId;
use tidings_hub::{Effect, HubStats, Input};

use crate::cell::Cell;

/// What has happened in a cell since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames of clients that the hub was given.
    pub frames_received: u64,
    /// Frames that the hub has sent, once for each receiver.
    pub frames_sent: u64,
    /// Connections that the hub has ended.
    pub connections_ended: u64,
}

impl Counts {
    pub(crate) fn see_input(&mut self, input: &Input) {
        self.frames_received += u64::from(matches!(input, Input::Frame { .. }));
    }

    pub(crate) fn see_effect(&mut self, effect: &Effect) {
        match effect {
            Effect::Send { .. } => self.frames_sent += 1,
            Effect::SendAll { connections, .. } => self.frames_sent += connections.len() as u64,
            Effect::Close { .. } => self.connections_ended += 1,
            _ => {}
        }
    }
}

/// How a cell is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellReport {
    /// Its hub.
    pub hub: HubId,
    /// How large that is now.
    pub sizes: HubStats,
    /// Topics with a subscriber that its share of the bus looks after.
    pub topics: usize,
    /// Connections of legacy clients.
    pub legacy_clients: usize,
    /// Whether nothing is under way in it.
    pub is_settled: bool,
    /// What has happened in it.
    pub counts: Counts,
    /// What has happened in it, by app.
    pub apps: AppTally,
}

impl<B: Bus> Cell<B> {
    /// How the cell is. O(apps that were heard of).
    pub fn report(&self) -> CellReport {
        CellReport {
            hub: self.hub.config().id,
            sizes: self.hub.stats(),
            topics: self.bus().topics(),
            legacy_clients: self.translators.len(),
            is_settled: self.hub.is_settled(),
            counts: self.counts,
            apps: self.hub.app_counts().clone(),
        }
    }
}
