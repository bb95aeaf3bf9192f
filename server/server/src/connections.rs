//! All connections of one hub's thread, by slot and by name.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use slab::Slab;
use tidings_hub::ids::{ConnectionId, ConnectionIdHasher};

use crate::connection::Connection;
use crate::lanes::{LaneId, Lanes, Rota};

/// All connections of one hub's thread, with the lists of those that have something to be done.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    slots: Slab<Connection>,
    /// Names are made by this node, so that an unkeyed hash is safe.
    by_id: HashMap<ConnectionId, usize, BuildHasherDefault<ConnectionIdHasher>>,
    /// Slots with something to be written; each at most once. A slot may have been vacated since.
    dirty: Rota,
    /// Slots with something to be read; as `dirty`.
    readable: Rota,
    pub(crate) lanes: Lanes,
}

impl Connections {
    pub(crate) fn insert(&mut self, connection: Connection) -> usize {
        let id = connection.id;
        let slot = self.slots.insert(connection);
        self.by_id.insert(id, slot);
        slot
    }

    pub(crate) fn remove(&mut self, slot: usize) -> Option<Connection> {
        let connection = self.slots.try_remove(slot)?;
        self.by_id.remove(&connection.id);
        self.lanes.leave(connection.lane);
        Some(connection)
    }

    pub(crate) fn get(&mut self, slot: usize) -> Option<&mut Connection> {
        self.slots.get_mut(slot)
    }

    pub(crate) fn slot(&self, id: ConnectionId) -> Option<usize> {
        self.by_id.get(&id).copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn slots(&self) -> Vec<usize> {
        self.slots.iter().map(|(slot, _)| slot).collect()
    }

    /// Has the connection written at the end of the turn.
    pub(crate) fn mark_dirty(&mut self, slot: usize) {
        if let Some(connection) = self.slots.get_mut(slot)
            && !connection.flags.is_dirty
        {
            connection.flags.is_dirty = true;
            self.dirty.push(connection.lane, slot);
        }
    }

    /// Has the connection read.
    pub(crate) fn mark_readable(&mut self, slot: usize) {
        if let Some(connection) = self.slots.get_mut(slot)
            && !connection.flags.is_readable
        {
            connection.flags.is_readable = true;
            self.readable.push(connection.lane, slot);
        }
    }

    /// The next connection to be written, no longer marked.
    pub(crate) fn next_dirty(&mut self) -> Option<usize> {
        loop {
            let slot = self.dirty.pop()?;
            if let Some(connection) = self.slots.get_mut(slot)
                && std::mem::take(&mut connection.flags.is_dirty)
            {
                return Some(slot);
            }
        }
    }

    /// The next connection to be read, no longer marked; one that is no stranger's if strangers
    /// wait.
    pub(crate) fn next_readable(&mut self, strangers_wait: bool) -> Option<usize> {
        loop {
            let slot = if strangers_wait {
                self.readable.pop_known()?
            } else {
                self.readable.pop()?
            };
            if let Some(connection) = self.slots.get_mut(slot)
                && std::mem::take(&mut connection.flags.is_readable)
            {
                return Some(slot);
            }
        }
    }

    /// Notes what reading a connection of this lane has cost, in messages.
    pub(crate) fn charge(&mut self, lane: LaneId, work: usize) {
        self.readable.charge(lane, work);
    }

    /// Connections to be written, more or less: vacated slots count too.
    pub(crate) fn dirty(&self) -> usize {
        self.dirty.len()
    }

    /// Connections to be read, more or less: vacated slots count too.
    pub(crate) fn readable(&self) -> usize {
        self.readable.len()
    }
}
