//! A cell with a store in memory, which takes frames and returns what each connection is sent.

use std::slice;

use tidings_cell::desk::{self, Desk};
use tidings_hub::ids::ConnectionId;
use tidings_hub::store_ops::{StoreAnswer, StoreOp};
use tidings_hub::{App, AppSettings, Apps, Input, Snapshot};
use tidings_store::{Engine as _, MemoryEngine};
use tidings_wire::codes::CloseCode;
use tidings_wire::frame::{decode_server, payload};
use tidings_wire::names::AppId;
use tidings_wire::proto::server_message::Kind;

/// Two apps without certificates and without rates.
pub(crate) const APPS: [&str; 2] = [
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
];

/// What a connection is sent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Told {
    Message(Box<Kind>),
    Text(String),
    Closed(Option<CloseCode>),
}

type Store = Box<dyn FnMut(&StoreOp) -> Vec<StoreAnswer>>;

pub(crate) struct Node {
    pub(crate) desk: Desk<Store>,
    /// Some frames do not come from the hub.
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
        let mut engine = MemoryEngine::new();
        let store = move |op: &StoreOp| {
            let mut answers = Vec::new();
            engine.apply(slice::from_ref(op), &mut answers);
            answers
        };
        Self {
            desk: Desk::new(1, apps, Box::new(store)),
            has_foreign_frames: false,
        }
    }

    /// Delivers an input, and everything that follows from it, at once.
    pub(crate) fn give(&mut self, input: Input) {
        self.desk.give(0, input);
    }

    /// The state that the hub would leave for the next process.
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.desk.cell_at(0).snapshot()
    }

    /// Advances time, running every timer when it is due.
    pub(crate) fn pass(&mut self, ms: u64) {
        self.desk.pass(ms);
    }

    /// What was sent since the last call.
    pub(crate) fn take_told(&mut self) -> Vec<(ConnectionId, Told)> {
        let mut all = Vec::new();
        for (connection, told) in self.desk.take_told() {
            match told {
                desk::Told::Frame(frame) => {
                    let kinds = self.kinds(&frame).into_iter();
                    let told = kinds.map(|kind| Told::Message(Box::new(kind)));
                    all.extend(told.map(|told| (connection, told)));
                }
                desk::Told::Text(text) => all.push((connection, Told::Text(text))),
                desk::Told::Closed { cause, .. } => all.push((connection, Told::Closed(cause))),
            }
        }
        all
    }

    fn kinds(&self, frame: &[u8]) -> Vec<Kind> {
        match decode_server(payload(frame)) {
            Ok(frame) => frame
                .messages
                .into_iter()
                .filter_map(|it| it.kind)
                .collect(),
            // The hub forwards what it received.
            Err(_) if self.has_foreign_frames => Vec::new(),
            Err(error) => panic!("a frame of the server: {error:?}"),
        }
    }
}
