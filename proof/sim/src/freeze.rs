//! Suspended clients: a frozen tab, a suspended machine, an application that does not read.

use std::mem;

use tidings_hub::Input;

use crate::world::{ClientId, Happening, World};

/// Bytes that the server's shell and the kernels buffer for a connection before the hub notices.
/// Source: contract 4.1, outbound per session.
const STALLED_BYTES: usize = 1 << 20;

/// What is waiting for a suspended client.
#[derive(Debug, Default)]
pub(crate) struct Held {
    happenings: Vec<Happening>,
    bytes: usize,
    is_stall_told: bool,
}

impl World {
    /// Suspends a client: it reads nothing, and its timers do not fire. What it has sent still
    /// arrives.
    pub fn freeze(&mut self, client: ClientId) {
        self.note(format_args!("client {} stands still", client.0));
        self.frozen.entry(client).or_default();
    }

    /// Resumes a client where it stopped, and delivers everything that has arrived since.
    pub fn thaw(&mut self, client: ClientId) {
        let Some(held) = self.frozen.remove(&client) else {
            return;
        };
        self.note(format_args!("client {} goes on", client.0));
        for happening in held.happenings {
            self.happen(happening);
        }
    }

    /// Whether a client is suspended.
    pub fn is_frozen(&self, client: ClientId) -> bool {
        self.frozen.contains_key(&client)
    }

    /// Holds what is meant for a suspended client; returns anything else.
    pub(crate) fn hold(&mut self, happening: Happening) -> Option<Happening> {
        let (client, wire, size) = match &happening {
            Happening::Client { client, .. } | Happening::Connect { client, .. } => {
                (*client, None, 0)
            }
            Happening::ToClient { wire, bytes } => {
                let owner = self.wires.get(wire).map(|wire| wire.client);
                let Some(client) = owner else {
                    return Some(happening);
                };
                (client, Some(*wire), bytes.len())
            }
            Happening::CloseClient { wire, .. } => {
                let owner = self.by_client.iter().find(|(_, of)| *of == wire);
                let Some(((client, _), _)) = owner else {
                    return Some(happening);
                };
                (*client, None, 0)
            }
            _ => return Some(happening),
        };
        let Some(held) = self.frozen.get_mut(&client) else {
            return Some(happening);
        };
        held.happenings.push(happening);
        held.bytes += size;
        let is_stalled = held.bytes > STALLED_BYTES && !mem::replace(&mut held.is_stall_told, true);
        let hub = wire.and_then(|wire| Some((wire, self.wires.get(&wire)?.hub)));
        if let Some((connection, hub)) = hub.filter(|_| is_stalled) {
            self.give_hub(hub, Input::Stalled { connection });
        }
        None
    }
}
