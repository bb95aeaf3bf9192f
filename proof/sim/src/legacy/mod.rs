//! Legacy clients in the world: the real translator stands where the server's shell has it, between the wire and
//! the hub.

mod client;

use std::collections::{BTreeMap, VecDeque};

use serde_json::Value;
use tidings_client_core as core;
use tidings_hub::credentials::Grant;
use tidings_hub::ids::{ConnectionId, HubId, InvitationId, UserKey};
use tidings_hub::{Input, Traits};
use tidings_legacy::{AppRules, LoginRefusal, LoginRequest, Now, Output, Translator};
use tidings_wire::codes::CloseCode;
use tidings_wire::frame::decode_server;
use tidings_wire::names::{AppId, NameRule, UserId};
use tidings_wire::ws::{self, Opcode, encode_frame};

use crate::world::{APP_ID, ClientId, Happening, Wire, World};

use client::{LegacyClient, Say};

/// What a legacy client can do: as the server's shell has it.
const TRAITS: Traits = Traits {
    names: NameRule::Wide,
    is_text_only: true,
    knows_library_types: true,
    processes_late: true,
    ends_with_connection: true,
    is_paced: true,
    lists_all_members: true,
    ends_messages: true,
    reaches_any_channel: false,
    rings_on: true,
};

/// What a legacy page saw.
#[derive(Debug, Clone, PartialEq)]
pub struct LegacyRecord {
    /// When, in simulated milliseconds.
    pub at_ms: u64,
    /// By whom.
    pub client: ClientId,
    /// What.
    pub what: LegacySeen,
}

/// An answer or an event of a legacy client's library.
#[derive(Debug, Clone, PartialEq)]
pub enum LegacySeen {
    /// The login counts; again after a reconnect.
    LoggedIn,
    /// It was logged out by another login.
    Kicked,
    /// A call was answered.
    Answer {
        /// The call.
        call: u64,
        /// What the server says.
        body: Value,
    },
    /// An instant message.
    Message {
        /// The sender's account.
        from: String,
        /// What it says.
        text: String,
    },
    /// A word about an invitation: `voip_invite` and its like.
    Signal {
        /// Which.
        kind: String,
        /// Channel, peer and extra.
        content: Value,
    },
    /// An event of the channel: `channel_msg` and its like.
    Channel {
        /// Which.
        kind: String,
        /// Who and what.
        content: Value,
    },
}

/// The legacy part of a world.
#[derive(Debug, Default)]
pub(crate) struct Legacy {
    clients: BTreeMap<ClientId, LegacyClient>,
    /// By the connection that each stands at.
    translators: BTreeMap<ConnectionId, Translator>,
    /// What translators want their hubs to have.
    inputs: VecDeque<(HubId, Input)>,
    is_held: bool,
    records: Vec<LegacyRecord>,
}

impl Legacy {
    /// The server's process is gone.
    pub(crate) fn crash(&mut self) {
        self.translators.clear();
        self.inputs.clear();
    }

    /// The server has closed the connection.
    pub(crate) fn forget(&mut self, wire: ConnectionId) {
        self.translators.remove(&wire);
    }

    pub(crate) fn has(&self, client: ClientId) -> bool {
        self.clients.contains_key(&client)
    }

    pub(crate) fn next_at(&self) -> Option<u64> {
        let translators = self.translators.values().filter_map(Translator::deadline);
        let clients = self.clients.values().filter_map(LegacyClient::deadline);
        translators.chain(clients).min()
    }
}

// ---------------------------------------------------------------- what a test does

impl World {
    /// Adds a legacy client that is not logged in.
    pub fn add_legacy(&mut self, account: &str) -> ClientId {
        // Faults find their clients by number: the place of this one among the native clients stays idle.
        self.clients.push(core::Client::new("idle", 0));
        self.offline.push(false);
        let id = ClientId(self.clients.len() - 1);
        self.legacy
            .clients
            .insert(id, LegacyClient::new(APP_ID, account));
        id
    }

    /// Logs a legacy client in; it comes back by itself whenever its connection is lost.
    pub fn legacy_login(&mut self, client: ClientId) {
        self.with_legacy(client, LegacyClient::log_in);
    }

    /// Logs a legacy client out.
    pub fn legacy_logout(&mut self, client: ClientId) {
        self.with_legacy(client, LegacyClient::log_out);
    }

    /// A legacy page calls a function of the server. `None`: it is not logged in.
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

    /// Gives what legacy pages saw since the last call.
    pub fn take_legacy_records(&mut self) -> Vec<LegacyRecord> {
        std::mem::take(&mut self.legacy.records)
    }
}

// ---------------------------------------------------------------- at the client

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
        let translator = Translator::new(self.legacy_now(), APP_ID, line);
        self.legacy.translators.insert(wire_id, translator);
        let connection_id = wire_id;
        self.give_hub(
            hub,
            Input::Opened {
                connection: connection_id,
            },
        );
        self.with_legacy(id, |client, now_ms, says| {
            client.open(now_ms, connection, says);
        });
    }

    /// Text frames for a legacy client. False if it is none.
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

    /// The end of its connection has reached a client. False if it is no legacy one.
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
        let translators = self.legacy.translators.iter();
        let due: Vec<ConnectionId> = translators
            .filter(|(_, translator)| is_due(translator.deadline()))
            .map(|(id, _)| *id)
            .collect();
        for wire in due {
            self.with_translator(wire, Translator::tick);
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

// ---------------------------------------------------------------- at the server

impl World {
    fn legacy_now(&self) -> Now {
        Now {
            mono_ms: self.now_ms,
            unix_ms: self.unix_ms(),
        }
    }

    /// Lets a translator do something, and does what it wants.
    fn with_translator(&mut self, wire: ConnectionId, act: impl FnOnce(&mut Translator, Now)) {
        let now = self.legacy_now();
        let Some(translator) = self.legacy.translators.get_mut(&wire) else {
            return;
        };
        act(translator, now);
        let outputs = translator.outputs();
        for output in outputs {
            self.obey_translator(wire, output);
        }
        if self.hold_legacy() {
            self.settle_legacy();
        }
    }

    fn obey_translator(&mut self, wire: ConnectionId, output: Output) {
        let Some(hub) = self.wires.get(&wire).map(|wire| wire.hub) else {
            return;
        };
        let connection = wire;
        let input = match output {
            Output::Text(text) => return self.send_text(wire, &text),
            Output::Login(request) => return self.check_legacy_login(hub, wire, &request),
            Output::Send(frame) => Input::Frame { connection, frame },
            Output::Processed(sseq) => Input::Processed { connection, sseq },
            Output::Rung(id) => match <[u8; 16]>::try_from(&id[..]) {
                Ok(id) => Input::Rung {
                    connection,
                    id: InvitationId(id),
                },
                Err(_) => return,
            },
            Output::Close { code, .. } => {
                self.close_by_server(wire, code);
                Input::Closed { connection }
            }
        };
        self.legacy.inputs.push_back((hub, input));
    }

    fn check_legacy_login(&mut self, hub: HubId, wire: ConnectionId, request: &LoginRequest) {
        let app = AppId::parse(&request.app).ok();
        let app = app.filter(|app| self.config.apps.has(app));
        let user = UserId::parse_by(NameRule::Wide, &request.account).ok();
        let Some((app, user)) = app.zip(user) else {
            return self.with_translator(wire, |translator, _| {
                translator.refuse(LoginRefusal::WrongAccount);
            });
        };
        if let Some(translator) = self.legacy.translators.get_mut(&wire) {
            translator.admit(AppRules::default());
        }
        let input = Input::Admitted {
            connection: wire,
            user: UserKey { app, user },
            traits: TRAITS,
            grant: Grant::default(),
        };
        self.legacy.inputs.push_back((hub, input));
    }

    /// Keeps what translators have for hubs, until [`World::settle_legacy`]. False if that is so already: somebody
    /// else will settle it.
    pub(crate) fn hold_legacy(&mut self) -> bool {
        !std::mem::replace(&mut self.legacy.is_held, true)
    }

    /// Gives hubs what translators have for them, one after the other: an input while another's effects are being
    /// carried out would overtake them.
    pub(crate) fn settle_legacy(&mut self) {
        while let Some((hub, input)) = self.legacy.inputs.pop_front() {
            self.legacy.is_held = true;
            self.give_hub(hub, input);
        }
        self.legacy.is_held = false;
    }

    fn send_text(&mut self, wire: ConnectionId, text: &str) {
        let mut frame = Vec::with_capacity(text.len() + 10);
        encode_frame(&mut frame, Opcode::Text, text.as_bytes(), None);
        self.put_on_wire(wire, &frame);
    }

    fn close_by_server(&mut self, wire: ConnectionId, code: u16) {
        let Some(at) = self.wires.get(&wire).filter(|wire| !wire.is_half_open) else {
            return;
        };
        let at = at.to_client_ms.max(self.now_ms);
        let code = Some(code);
        self.schedule_at(at, Happening::CloseClient { wire, code });
    }

    /// A legacy client's text has come. False if nobody translates this connection.
    pub(crate) fn hear_legacy(&mut self, wire: ConnectionId, text: &[u8]) -> bool {
        let is_ours = self.legacy.translators.contains_key(&wire);
        self.with_translator(wire, |translator, now| translator.hear(now, text));
        is_ours
    }

    /// A hub's frame for a legacy client. False if nobody translates this connection.
    pub(crate) fn translate(&mut self, wire: ConnectionId, frame: &[u8]) -> bool {
        if !self.legacy.translators.contains_key(&wire) {
            return false;
        }
        let limits = ws::Limits {
            message_bytes_max: 1 << 20,
            fragments_max: 1,
        };
        let mut bytes = frame.to_vec();
        let mut kinds = Vec::new();
        let mut decoder = ws::Decoder::new(ws::Role::Client, limits);
        let mut events = decoder.decode(&mut bytes);
        while let Ok(Some(event)) = events.next_event() {
            if let ws::Event::Message { payload, .. } = event
                && let Ok(frame) = decode_server(payload)
            {
                kinds.extend(frame.messages.into_iter().filter_map(|one| one.kind));
            }
        }
        for kind in kinds {
            self.with_translator(wire, |translator, now| translator.take(now, kind));
        }
        true
    }

    /// A hub ends a legacy client's connection. False if nobody translates it.
    pub(crate) fn end_legacy(&mut self, wire: ConnectionId, code: CloseCode) -> bool {
        let Some(translator) = self.legacy.translators.get_mut(&wire) else {
            return false;
        };
        let ending = translator.end(code);
        for text in ending.texts {
            self.send_text(wire, &text);
        }
        self.close_by_server(wire, ending.code);
        true
    }

    /// A legacy client's connection is gone: the hub gets the last words before it hears of that.
    pub(crate) fn lose_legacy(&mut self, wire: ConnectionId, hub: HubId) {
        let now = self.legacy_now();
        let Some(mut translator) = self.legacy.translators.remove(&wire) else {
            return;
        };
        translator.lose(now);
        for output in translator.outputs() {
            if let Output::Send(frame) = output {
                let connection = wire;
                self.give_hub(hub, Input::Frame { connection, frame });
            }
        }
    }
}
