//! The simulated network: byte streams between clients and hubs.

use tidings_client_core as core;
use tidings_hub::Input;
use tidings_hub::ids::{ConnectionId, HubId};
use tidings_wire::ws;

use crate::world::{ClientId, Happening, Record, Seen, Wire, World};

impl World {
    pub(crate) fn give_client(&mut self, client: ClientId, input: core::Input) {
        self.note(format_args!("client {} < {input:?}", client.0));
        let mut outputs = Vec::new();
        let now_ms = self.client_ms(client);
        self.clients[client.0].handle(now_ms, input, &mut outputs);
        for output in outputs {
            self.note(format_args!("client {} > {output:?}", client.0));
            match output {
                core::Output::Open { connection } => {
                    let delay = self.random.between(0, self.config.network_delay_ms_max);
                    self.schedule(delay, Happening::Connect { client, connection });
                }
                core::Output::Send {
                    connection,
                    payload,
                } => {
                    self.send_from_client(client, connection, payload.to_vec());
                }
                core::Output::Close { connection } => {
                    if let Some(wire) = self.by_client.get(&(client, connection)).copied() {
                        self.by_client.remove(&(client, connection));
                        let at = self.wires.get(&wire).map_or(0, |wire| wire.to_hub_ms);
                        self.schedule_at(at.max(self.now_ms), Happening::CloseHub { wire });
                    }
                }
                core::Output::Event(event) => {
                    self.sometimes.see_event(&event);
                    self.record(client, Seen::Event(event));
                }
                core::Output::Answer { id, result } => {
                    self.record(client, Seen::Answer { id, result });
                }
            }
        }
    }

    pub(crate) fn record(&mut self, client: ClientId, what: Seen) {
        if let Seen::Event(event) = &what {
            self.check_recorded(client, event);
        }
        self.records.push(Record {
            at_ms: self.now_ms,
            client,
            incarnation: self.linked.get(&client).copied().unwrap_or_default(),
            what,
        });
    }

    pub(crate) fn wires_of(&self, client: ClientId) -> Vec<ConnectionId> {
        self.wires
            .iter()
            .filter(|(_, wire)| wire.client == client)
            .map(|(id, _)| *id)
            .collect()
    }

    pub(crate) fn connect(&mut self, client: ClientId, connection: u64) {
        if self.legacy.has(client) {
            return self.connect_legacy(client, connection);
        }
        if self.is_down || self.is_draining || self.offline[client.0] {
            let input = core::Input::Closed {
                connection,
                code: None,
            };
            return self.give_client(client, input);
        }
        self.connections += 1;
        let wire_id = ConnectionId(self.connections);
        let hub = self.hub_for(client);
        self.linked.insert(client, self.process_of(hub));
        let limits = ws::Limits {
            message_bytes_max: 1 << 20,
            fragments_max: 64,
        };
        let wire = Wire {
            client,
            connection,
            hub,
            is_half_open: false,
            to_client: ws::Decoder::new(ws::Role::Client, limits),
            to_client_ms: self.now_ms,
            to_hub_ms: self.now_ms,
        };
        self.wires.insert(wire_id, wire);
        self.by_client.insert((client, connection), wire_id);
        self.give_hub(
            hub,
            Input::Opened {
                connection: wire_id,
            },
        );
        let delay = self.random.between(0, self.config.network_delay_ms_max);
        let input = Box::new(core::Input::Opened { connection });
        if let Some(wire) = self.wires.get_mut(&wire_id) {
            wire.to_client_ms = self.now_ms + delay;
        }
        self.schedule(delay, Happening::Client { client, input });
    }

    /// Makes a client's connections reach this hub from now on.
    pub fn place(&mut self, client: ClientId, hub: u16) {
        self.places
            .insert(client, HubId::local(hub % self.config.hubs));
    }

    /// The kernel distributes connections over the hubs' listeners.
    pub(crate) fn hub_for(&mut self, client: ClientId) -> HubId {
        let drawn = self.random.between(0, u64::from(self.config.hubs) - 1);
        let placed = self.places.get(&client).copied();
        if !self.has_nodes() {
            return placed.unwrap_or(HubId::local(drawn as u16));
        }
        let living = self.living_hubs();
        // Whoever has a list of addresses goes on to the next that answers.
        let drawn = usize::try_from(drawn).unwrap_or(0) % living.len();
        placed
            .filter(|hub| living.contains(hub))
            .unwrap_or(living[drawn])
    }

    pub(crate) fn send_from_client(&mut self, client: ClientId, connection: u64, bytes: Vec<u8>) {
        let Some(wire_id) = self.by_client.get(&(client, connection)).copied() else {
            return;
        };
        let delay = self.random.between(0, self.config.network_delay_ms_max);
        let now_ms = self.now_ms;
        let Some(wire) = self.wires.get_mut(&wire_id) else {
            return;
        };
        if wire.is_half_open {
            return;
        }
        wire.to_hub_ms = wire.to_hub_ms.max(now_ms + delay);
        let at = wire.to_hub_ms;
        self.schedule_at(
            at,
            Happening::FromClient {
                wire: wire_id,
                bytes,
            },
        );
    }

    pub(crate) fn arrive_at_hub(&mut self, wire_id: ConnectionId, bytes: Vec<u8>) {
        let Some(wire) = self.wires.get(&wire_id).filter(|wire| !wire.is_half_open) else {
            return;
        };
        let hub = wire.hub;
        if self.is_translated(hub, wire_id) {
            return self.drive(hub, |world| tidings_cell::hear(world, wire_id, &bytes));
        }
        let input = match tidings_wire::frame::decode_client(&bytes) {
            Ok(frame) => Input::Frame {
                connection: wire_id,
                frame,
            },
            Err(_) => Input::Malformed {
                connection: wire_id,
            },
        };
        self.give_hub(hub, input);
    }

    pub(crate) fn arrive_at_client(&mut self, wire_id: ConnectionId, mut bytes: Vec<u8>) {
        let Some(wire) = self
            .wires
            .get_mut(&wire_id)
            .filter(|wire| !wire.is_half_open)
        else {
            return;
        };
        let (client, connection) = (wire.client, wire.connection);
        let mut payloads = Vec::new();
        let mut events = wire.to_client.decode(&mut bytes);
        while let Ok(Some(event)) = events.next_event() {
            if let ws::Event::Message { payload, .. } = event {
                payloads.push(bytes::Bytes::copy_from_slice(payload));
            }
        }
        if self.take_raw(wire_id, &payloads)
            || self.by_client.get(&(client, connection)) != Some(&wire_id)
            || self.take_by_legacy(wire_id, &payloads)
        {
            return;
        }
        for payload in payloads {
            self.give_client(
                client,
                core::Input::Received {
                    connection,
                    payload,
                },
            );
        }
    }

    pub(crate) fn close_hub(&mut self, wire_id: ConnectionId) {
        let Some(wire) = self.wires.remove(&wire_id) else {
            return;
        };
        self.drive(wire.hub, |world| tidings_cell::closed(world, wire_id));
    }

    pub(crate) fn close_client(&mut self, wire_id: ConnectionId, code: Option<u16>) {
        self.close_raw(wire_id);
        let ours = self
            .by_client
            .iter()
            .find(|(_, wire)| **wire == wire_id)
            .map(|(key, _)| *key);
        if code.is_some()
            && let Some(wire) = self.wires.remove(&wire_id)
        {
            self.drive(wire.hub, |world| tidings_cell::forget(world, wire_id));
        }
        if let Some((client, connection)) = ours {
            self.by_client.remove(&(client, connection));
            if !self.close_legacy_client(client, connection) {
                self.give_client(client, core::Input::Closed { connection, code });
            }
        }
    }
}
