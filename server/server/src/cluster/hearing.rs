//! How a hub's turn goes on with NATS: what its bus hears, and what it sends.

use tidings_hub::Input;

use super::resolved::Resolved;
use crate::worker::Worker;

impl Worker {
    /// Reads what NATS has, and does what is due towards it.
    pub(crate) fn hear_link(&mut self) {
        let is_paused = self.is_paused();
        let Some(link) = &mut self.mail.link else {
            return;
        };
        let now_ms = self.now.mono_ms;
        link.turn(
            now_ms,
            self.poll.registry(),
            &mut self.reading.buffer,
            is_paused,
        );
        tidings_cell::with_bus(self, |bus, _| bus.set_now(now_ms));
        self.hear_events();
        self.pass_clock();
        self.open_with_clock();
        let due_ms = self.cell.bus().deadline();
        if due_ms.is_some_and(|due_ms| due_ms <= now_ms) {
            tidings_cell::with_bus(self, |bus, out| bus.tick(out));
        }
    }

    /// Hands the link what the bus wants sent, and writes.
    pub(crate) fn send_link(&mut self) {
        if self.mail.link.is_none() {
            return;
        }
        let now_ms = self.now.mono_ms;
        loop {
            let mut ops = Vec::new();
            tidings_cell::with_bus(self, |bus, _| ops = bus.take_ops());
            let Some(link) = &mut self.mail.link else {
                return;
            };
            let is_idle = ops.is_empty();
            link.send(now_ms, ops);
            link.write(now_ms, self.poll.registry());
            // That too much waits, or that there is room again, makes the bus say more.
            let is_told = self.hear_events();
            if is_idle && !is_told {
                return;
            }
        }
    }

    /// Whether anything was heard.
    fn hear_events(&mut self) -> bool {
        let mut is_told = false;
        while let Some(event) = self.mail.link.as_mut().and_then(|link| link.next_event()) {
            is_told = true;
            tidings_cell::with_bus(self, |bus, out| bus.hear(event, out));
        }
        is_told
    }

    /// The cluster's clock orders logins: the hub hears how far it is ahead.
    fn pass_clock(&mut self) {
        let ahead_ms = self.cell.bus().clock_ahead_ms();
        if let Some(link) = &mut self.mail.link
            && link.note_clock(ahead_ms)
        {
            self.give(Input::ClusterClock { ahead_ms });
        }
    }

    /// Connections may be accepted: at once on a node that is alone, in a cluster when its clock
    /// is known.
    pub(crate) fn open_door(&mut self) {
        self.door.is_to_open = true;
        self.open_with_clock();
    }

    fn open_with_clock(&mut self) {
        let link = self.mail.link.as_deref();
        if self.door.is_to_open && link.is_none_or(|link| link.has_clock(self.now.mono_ms)) {
            self.door.is_open = true;
        }
    }

    pub(crate) fn has_link_work(&self) -> bool {
        self.mail.link.as_ref().is_some_and(|link| link.has_work())
    }

    /// When there is something to do towards other nodes, in monotonic milliseconds.
    pub(crate) fn link_deadline(&self) -> Option<u64> {
        let link = self.mail.link.as_ref()?;
        let due = [link.deadline(), self.cell.bus().deadline()];
        due.into_iter().flatten().min()
    }

    pub(crate) fn take_resolved(&mut self, resolved: Resolved) {
        if let Some(link) = &mut self.mail.link {
            link.resolved(self.now.mono_ms, self.poll.registry(), resolved);
        }
    }

    /// A node of the cluster has ended, in this life of its number.
    pub(crate) fn lose_node(&mut self, node: u16, incarnation: u64) {
        tidings_cell::with_bus(self, |bus, out| bus.node_lost(node, incarnation, out));
    }
}
