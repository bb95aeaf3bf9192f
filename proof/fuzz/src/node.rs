//! A hub with its shard and a store in memory, which takes frames and gives what each connection is sent.

use std::collections::VecDeque;
use std::sync::Arc;

use tidings_bus::{Homes, Shard};
use tidings_hub::bus_ops::{BusInput, BusOp};
use tidings_hub::ids::{ConnectionId, HubId};
use tidings_hub::{App, AppSettings, Apps, Effect, Hub, HubConfig, Input, Snapshot, Time};
use tidings_store::{Engine as _, MemoryEngine};
use tidings_wire::codes::CloseCode;
use tidings_wire::frame::decode_server;
use tidings_wire::names::AppId;
use tidings_wire::proto::server_message::Kind;

/// Two apps without certificates and without rates.
pub(crate) const APPS: [&str; 2] = [
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
];
const START_UNIX_MS: u64 = 1_700_000_000_000;

/// What a connection is told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Told {
    Message(Box<Kind>),
    Closed(CloseCode),
}

pub(crate) struct Node {
    hub: Hub,
    shard: Shard,
    engine: MemoryEngine,
    pub(crate) now_ms: u64,
    /// What was told since the last look.
    pub(crate) told: Vec<(ConnectionId, Told)>,
    /// Some frames were not made by the hub.
    pub(crate) has_foreign_frames: bool,
}

impl Node {
    pub(crate) fn new() -> Self {
        let settings = AppSettings {
            rate_limits: false,
            ..AppSettings::default()
        };
        let app = || App {
            settings,
            ..App::default()
        };
        let id = |id: &str| AppId::parse(id).expect("an app id");
        let apps = Apps {
            accept_any: false,
            listed: APPS.iter().map(|name| (id(name), app())).collect(),
        };
        let hub = Hub::new(HubConfig {
            id: HubId(0),
            seed: [9; 32],
            apps: Arc::new(apps),
            server: "fuzz".into(),
            drain_window_ms: 0,
        });
        let mut node = Self {
            hub,
            shard: Shard::new(HubId(0), Homes::new(1, (1, 2))),
            engine: MemoryEngine::new(),
            now_ms: 1_000,
            told: vec![],
            has_foreign_frames: false,
        };
        node.give(Input::Tick);
        node
    }

    pub(crate) fn now(&self) -> Time {
        Time {
            mono_ms: self.now_ms,
            unix_ms: START_UNIX_MS + self.now_ms,
        }
    }

    /// Gives an input and everything that follows from it at once.
    pub(crate) fn give(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut effects: Vec<Effect> = Vec::new();
            self.hub.handle(self.now(), input, &mut effects);
            for effect in effects {
                self.perform(effect, &mut inputs);
            }
        }
    }

    fn perform(&mut self, effect: Effect, inputs: &mut VecDeque<Input>) {
        match effect {
            Effect::Send { connection, frame } => self.deliver(connection, &frame),
            Effect::SendAll { connections, frame } => {
                for connection in connections {
                    self.deliver(connection, &frame);
                }
            }
            Effect::Close { connection, code } => self.told.push((connection, Told::Closed(code))),
            Effect::Used { .. } | Effect::Answer { .. } => {}
            Effect::Bus(BusOp::Answer { ask, answer, .. }) => {
                let from = HubId(0);
                inputs.push_back(Input::Bus(BusInput::Answered { ask, from, answer }));
            }
            Effect::Bus(op) => {
                let mut deliver = |_, input| inputs.push_back(Input::Bus(input));
                self.shard.route(HubId(0), op, &mut deliver);
            }
            Effect::Store { ticket, op } => {
                let mut answers = Vec::new();
                self.engine.apply(&[op], &mut answers);
                let answers = answers.into_iter();
                inputs.extend(answers.map(|answer| Input::Store { ticket, answer }));
            }
            Effect::HandOver { .. } => panic!("there is one hub"),
        }
    }

    /// What the hub would leave for the next process.
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.hub.snapshot()
    }

    /// Takes a WebSocket frame apart, whose payload is one `ServerFrame`.
    fn deliver(&mut self, connection: ConnectionId, frame: &[u8]) {
        let head = match frame.get(1) {
            Some(126) => 4,
            Some(127) => 10,
            _ => 2,
        };
        let payload = frame.get(head..).unwrap_or_default();
        let frame = match decode_server(payload) {
            Ok(frame) => frame,
            // The hub passes on what it was given.
            Err(_) if self.has_foreign_frames => return,
            Err(error) => panic!("a frame of the server: {error:?}"),
        };
        let kinds = frame
            .messages
            .into_iter()
            .filter_map(|message| message.kind);
        for kind in kinds {
            self.told.push((connection, Told::Message(Box::new(kind))));
        }
    }

    /// Lets time pass, with every timer at its time.
    pub(crate) fn pass(&mut self, ms: u64) {
        let until = self.now_ms + ms;
        while let Some(due) = self.hub.deadline().filter(|due| *due <= until) {
            self.now_ms = self.now_ms.max(due);
            self.give(Input::Tick);
        }
        self.now_ms = until;
    }
}
