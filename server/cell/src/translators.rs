//! The translators between legacy clients and the hub, and when each needs a tick.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::BuildHasherDefault;

use tidings_hub::Input;
use tidings_hub::ids::{ConnectionId, ConnectionIdHasher};
use tidings_legacy::Translator;

use crate::recent::Key;

/// The translators of one cell, and their pending input for its hub.
#[derive(Debug, Default)]
pub(crate) struct Translators {
    /// Bound: the host's, on connections. The node makes their names, so an unkeyed hash is safe.
    clients: HashMap<ConnectionId, Box<Client>, BuildHasherDefault<ConnectionIdHasher>>,
    /// When translators need a tick, in monotonic milliseconds. Bound: one entry per client.
    due: BTreeSet<(u64, ConnectionId)>,
    /// Pending input of translators for the hub, in order. Empty between two turns.
    inputs: VecDeque<Input>,
}

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) translator: Translator,
    /// Its entry in `due`.
    due_ms: Option<u64>,
    /// Under which token its login is remembered.
    pub(crate) recent: Option<Key>,
}

impl Translators {
    pub(crate) fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.clients.len()
    }

    pub(crate) fn has(&self, connection: ConnectionId) -> bool {
        !self.clients.is_empty() && self.clients.contains_key(&connection)
    }

    pub(crate) fn deadline(&self) -> Option<u64> {
        self.due.first().map(|(due_ms, _)| *due_ms)
    }

    pub(crate) fn insert(&mut self, connection: ConnectionId, translator: Translator) {
        let client = Client {
            translator,
            due_ms: None,
            recent: None,
        };
        self.clients.insert(connection, Box::new(client));
    }

    pub(crate) fn queue(&mut self, input: Input) {
        self.inputs.push_back(input);
    }

    pub(crate) fn next_input(&mut self) -> Option<Input> {
        self.inputs.pop_front()
    }

    pub(crate) fn get(&mut self, connection: ConnectionId) -> Option<&mut Client> {
        if self.clients.is_empty() {
            return None;
        }
        self.clients
            .get_mut(&connection)
            .map(|client| &mut **client)
    }

    pub(crate) fn remove(&mut self, connection: ConnectionId) -> Option<Box<Client>> {
        let client = self.clients.remove(&connection)?;
        if let Some(due_ms) = client.due_ms {
            self.due.remove(&(due_ms, connection));
        }
        Some(client)
    }

    /// Notes when a translator needs a tick. A time later than the noted one is only discovered at
    /// that tick, because it moves with every frame of the client.
    pub(crate) fn note_due(&mut self, connection: ConnectionId) {
        let Some(client) = self.clients.get_mut(&connection) else {
            return;
        };
        let Some(due_ms) = client.translator.deadline() else {
            return;
        };
        if client.due_ms.is_none_or(|at_ms| at_ms > due_ms) {
            if let Some(at_ms) = client.due_ms.replace(due_ms) {
                self.due.remove(&(at_ms, connection));
            }
            self.due.insert((due_ms, connection));
        }
    }

    /// The next translator that is due.
    pub(crate) fn pop_due(&mut self, now_ms: u64) -> Option<ConnectionId> {
        while let Some((due_ms, connection)) = self.due.first().copied() {
            if due_ms > now_ms {
                return None;
            }
            self.due.pop_first();
            let Some(client) = self.clients.get_mut(&connection) else {
                debug_assert!(false, "a client that is gone is due");
                continue;
            };
            client.due_ms = None;
            match client.translator.deadline() {
                Some(due_ms) if due_ms <= now_ms => return Some(connection),
                _ => self.note_due(connection),
            }
        }
        None
    }
}
