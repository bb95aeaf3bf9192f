//! What only tests of single mechanisms need: losses between hubs, what hubs hold, saved cursors.

use tidings_bus::Bus as _;
use tidings_hub::bus_ops::{BusInput, Publication};
use tidings_hub::ids::HubId;

use crate::world::{APP_ID, ClientId, World};

/// The sum over all hubs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Held {
    pub(crate) connections: usize,
    pub(crate) sessions: usize,
    pub(crate) channels: usize,
    /// Unanswered questions and store operations.
    pub(crate) open: usize,
    /// Topics with a subscriber.
    pub(crate) topics: usize,
}

impl World {
    /// Makes a hub miss the next change of a channel's members, as if the link to it had lost it.
    pub(crate) fn lose_member_change(&mut self, hub: HubId) {
        self.deaf = Some(hub);
    }

    /// Whether this is the crossing to lose.
    pub(crate) fn is_missed(&mut self, to: HubId, input: &BusInput) -> bool {
        let BusInput::Published { message, from, .. } = input else {
            return false;
        };
        let is_change = matches!(
            **message,
            Publication::Joined { .. } | Publication::Left { .. }
        );
        let is_missed = is_change && *from != to;
        is_missed && self.deaf.take_if(|deaf| *deaf == to).is_some()
    }

    /// What the hubs hold at present.
    pub(crate) fn held(&self) -> Held {
        let living = (self.cells.iter().enumerate())
            .filter(|(at, _)| self.has_process(self.hub_id(*at)))
            .map(|(_, cell)| cell);
        living.fold(Held::default(), |sum, cell| {
            let stats = cell.hub().stats();
            Held {
                connections: sum.connections + stats.connections,
                sessions: sum.sessions + stats.sessions,
                channels: sum.channels + stats.channels,
                open: sum.open + stats.asks + stats.store_operations,
                topics: sum.topics + cell.bus().topics(),
            }
        })
    }

    /// What an application saves of a client for its next start.
    pub(crate) fn inbox_cursor(&self, client: ClientId) -> u64 {
        self.clients[client.0].inbox_cursor()
    }

    /// Starts a client with what was saved for its user.
    pub(crate) fn keep_inbox_cursor(&mut self, client: ClientId, user: &str, cursor: u64) {
        self.clients[client.0].keep_inbox_cursor(APP_ID, user, cursor);
    }
}
