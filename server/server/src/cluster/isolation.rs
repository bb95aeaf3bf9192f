//! What a hub's thread does when its node's place in the cluster changes.

use tidings_cluster::nodes::Isolation;
use tidings_hub::ids::ConnectionId;
use tidings_wire::codes::CloseCode;

use crate::connection::Stage;
use crate::head::Refusal;
use crate::worker::Worker;

impl Worker {
    /// How far this node is from the others has changed. On a node that is closed to its cluster,
    /// clients would talk to nobody: they are sent elsewhere, and no others are let in. Their
    /// sessions stay as those of clients whose connections break. Source: cluster 4.
    pub(crate) fn note_isolation(&mut self, isolation: Isolation) {
        let is_silent = isolation != Isolation::None;
        tidings_cell::with_bus(self, |bus, _| bus.set_isolated(is_silent));
        self.door.is_isolated = isolation == Isolation::Closed;
        if !self.door.is_isolated {
            return;
        }
        self.name_elsewhere();
        for slot in self.connections.slots() {
            let Some(connection) = self.connections.get(slot) else {
                continue;
            };
            let id = connection.id;
            match connection.stage {
                Stage::Head(_) => self.refuse(slot, &Refusal::Isolated),
                Stage::Fresh(_) => tidings_cell::end(self, id, CloseCode::NodeIsolated),
                Stage::Serving => self.send_elsewhere(id),
                // The hub that it goes to sends it away.
                Stage::Leaving(_) | Stage::Closing(_) => {}
            }
        }
    }

    /// Names the next of the other nodes to whoever is sent away next.
    pub(crate) fn name_elsewhere(&mut self) {
        if let Some(membership) = &self.node.membership {
            let next = membership.elsewhere();
            self.cell.name_elsewhere(next);
        }
    }

    /// Closes a connection; its session waits for its client.
    pub(crate) fn send_elsewhere(&mut self, id: ConnectionId) {
        tidings_cell::end(self, id, CloseCode::NodeIsolated);
        // Of an end that the host decides, the hub does not know.
        tidings_cell::closed(self, id);
    }
}
