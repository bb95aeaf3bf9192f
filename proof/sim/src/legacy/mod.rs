//! Legacy clients in the world. The cells contain everything between them and the hubs.

mod client;

use std::collections::BTreeMap;

use serde_json::Value;
use tidings_client_core as core;
use tidings_hub::Input;
use tidings_hub::ids::{ConnectionId, HubId};
use tidings_wire::ws;

use crate::world::{APP_ID, ClientId, Happening, Wire, World};

use client::{LegacyClient, Say};

/// Something that a legacy page saw.
#[derive(Debug, Clone, PartialEq)]
pub struct LegacyRecord {
    /// When, in simulated milliseconds.
    pub at_ms: u64,
    /// The client that saw it.
    pub client: ClientId,
    /// What the client saw.
    pub what: LegacySeen,
}

/// An answer or an event of a legacy client's library.
#[derive(Debug, Clone, PartialEq)]
pub enum LegacySeen {
    /// The login has succeeded, or succeeded again after a reconnect.
    LoggedIn,
    /// Another login has replaced it.
    Kicked,
    /// A call was answered.
    Answer {
        /// Number of the call.
        call: u64,
        /// The server's answer.
        body: Value,
    },
    /// An instant message.
    Message {
        /// The sender's account.
        from: String,
        /// The message's text.
        text: String,
    },
    /// An event of an invitation: `voip_invite` and similar.
    Signal {
        /// Name of the event.
        kind: String,
        /// Channel, peer and extra.
        content: Value,
    },
    /// An event of the channel: `channel_msg` and similar.
    Channel {
        /// Name of the event.
        kind: String,
        /// The event's arguments.
        content: Value,
    },
}

/// The legacy part of a world.
#[derive(Debug, Default)]
pub(crate) struct Legacy {
    clients: BTreeMap<ClientId, LegacyClient>,
    records: Vec<LegacyRecord>,
}

impl Legacy {
    pub(crate) fn has(&self, client: ClientId) -> bool {
        self.clients.contains_key(&client)
    }

    pub(crate) fn next_at(&self) -> Option<u64> {
        self.clients
            .values()
            .filter_map(LegacyClient::deadline)
            .min()
    }
}

// ---------------------------------------------------------------- for tests

impl World {
    /// Adds a legacy client that is not logged in.
    pub fn add_legacy(&mut self, account: &str) -> ClientId {
        // Faults address clients by number: this one's place among the native clients stays idle.
        self.clients.push(core::Client::new("idle", 0));
        self.offline.push(false);
        let id = ClientId(self.clients.len() - 1);
        self.legacy
            .clients
            .insert(id, LegacyClient::new(APP_ID, account));
        id
    }

    /// Sets the token of a legacy client's future logins; the default is "no token is needed".
    pub fn set_legacy_token(&mut self, client: ClientId, token: String) {
        if let Some(client) = self.legacy.clients.get_mut(&client) {
            client.token = token;
        }
    }

    /// Logs a legacy client in; it reconnects on its own whenever its connection is lost.
    pub fn legacy_login(&mut self, client: ClientId) {
        self.with_legacy(client, LegacyClient::log_in);
    }

    /// Logs a legacy client out.
    pub fn legacy_logout(&mut self, client: ClientId) {
        self.with_legacy(client, LegacyClient::log_out);
    }

    /// A legacy page calls a function of the server. `None` = it is not logged in.
    pub fn legacy_call(&mut self, client: ClientId, function: &str, args: Value) -> Option<u64> {
        let mut call = None;
        self.with_legacy(client, |client, now_ms, says| {
            call = client.call(now_ms, function, args, says);
        });
        call
    }

    /// Whether a legacy client is logged in.
    pub fn is_legacy_ready(&self, client: ClientId) -> bool {
        let client = self.legacy.clients.get(&client);
        client.is_some_and(LegacyClient::is_ready)
    }

    /// Takes what legacy pages have seen since the last call.
    pub fn take_legacy_records(&mut self) -> Vec<LegacyRecord> {
        std::mem::take(&mut self.legacy.records)
    }
}

// ---------------------------------------------------------------- the client's side

impl World {
    fn with_legacy(
        &mut self,
        id: ClientId,
        act: impl FnOnce(&mut LegacyClient, u64, &mut Vec<Say>),
    ) {
        let mut says = Vec::new();
        if let Some(client) = self.legacy.clients.get_mut(&id) {
            act(client, self.now_ms, &mut says);
        }
        for say in says {
            self.note(format_args!("legacy {} > {say:?}", id.0));
            match say {
                Say::Open { connection } => {
                    let delay = self.random.between(0, self.config.network_delay_ms_max);
                    let client = id;
                    self.schedule(delay, Happening::Connect { client, connection });
                }
                Say::Text { connection, text } => {
                    self.send_from_client(id, connection, text.into_bytes());
                }
                Say::Close { connection } => {
                    if let Some(wire) = self.by_client.remove(&(id, connection)) {
                        let at = self.wires.get(&wire).map_or(0, |wire| wire.to_hub_ms);
                        self.schedule_at(at.max(self.now_ms), Happening::CloseHub { wire });
                    }
                }
                Say::Seen(what) => self.legacy.records.push(LegacyRecord {
                    at_ms: self.now_ms,
                    client: id,
                    what,
                }),
            }
        }
    }

    pub(crate) fn connect_legacy(&mut self, id: ClientId, connection: u64) {
        if self.is_down || self.is_draining || self.offline[id.0] {
            return self.with_legacy(id, |client, now_ms, says| {
                client.lose(now_ms, connection, says);
            });
        }
        self.connections += 1;
        let wire_id = ConnectionId(self.connections);
        let hub = self.hub_for(id);
        let limits = ws::Limits {
            message_bytes_max: 1 << 20,
            fragments_max: 64,
        };
        let wire = Wire {
            client: id,
            connection,
            hub,
            is_half_open: false,
            to_client: ws::Decoder::new(ws::Role::Client, limits),
            to_client_ms: self.now_ms,
            to_hub_ms: self.now_ms,
        };
        self.wires.insert(wire_id, wire);
        self.by_client.insert((id, connection), wire_id);
        let line = self.random.next_u64();
        self.drive(hub, |world| {
            tidings_cell::open_legacy(world, wire_id, APP_ID, line);
            tidings_cell::give(
                world,
                Input::Opened {
                    connection: wire_id,
                },
            );
        });
        self.with_legacy(id, |client, now_ms, says| {
            client.open(now_ms, connection, says);
        });
    }

    /// Whether a translator stands between this connection and its hub.
    pub(crate) fn is_translated(&self, hub: HubId, wire: ConnectionId) -> bool {
        let cell = self.cells.get(self.cell_index(hub));
        cell.is_some_and(|cell| cell.is_legacy(wire))
    }

    /// Delivers text frames to a legacy client. `false` = it is not one.
    pub(crate) fn take_by_legacy(&mut self, wire: ConnectionId, payloads: &[bytes::Bytes]) -> bool {
        let Some(wire) = self.wires.get(&wire) else {
            return false;
        };
        let (id, connection) = (wire.client, wire.connection);
        if !self.legacy.has(id) {
            return false;
        }
        for payload in payloads {
            self.with_legacy(id, |client, now_ms, says| {
                client.hear(now_ms, connection, payload, says);
            });
        }
        true
    }

    /// Notifies a client that its connection has ended. `false` = it is not a legacy client.
    pub(crate) fn close_legacy_client(&mut self, id: ClientId, connection: u64) -> bool {
        let is_ours = self.legacy.has(id);
        self.with_legacy(id, |client, now_ms, says| {
            client.lose(now_ms, connection, says);
        });
        is_ours
    }

    pub(crate) fn tick_legacy(&mut self) {
        let now_ms = self.now_ms;
        let is_due = |at: Option<u64>| at.is_some_and(|at| at <= now_ms);
        for at in 0..self.cells.len() {
            let hub = self.hub_id(at);
            self.drive(hub, tidings_cell::tick_translators);
        }
        let clients = self.legacy.clients.iter();
        let due: Vec<ClientId> = clients
            .filter(|(_, client)| is_due(client.deadline()))
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            self.with_legacy(id, LegacyClient::tick);
        }
    }
}
