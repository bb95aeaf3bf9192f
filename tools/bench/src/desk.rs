//! One cell, and the state of its clients.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tidings_bus::{Crossing, Homes, Router};
use tidings_cell::{Cell, Closing, Host, RecentLogins};
use tidings_hub::ids::{ConnectionId, HubId, UserKey};
use tidings_hub::store_ops::{InboxLosses, StoreAnswer, StoreOp};
use tidings_hub::used::Word;
use tidings_hub::{App, AppSettings, Apps, Hub, HubConfig, Input, Ticket, Time, Wish};
use tidings_wire::frame::{decode_client, encode_client, payload};
use tidings_wire::limits::CLIENT_CONFIRM_FRAMES;
use tidings_wire::names::AppId;
use tidings_wire::proto::client_message::Kind;
use tidings_wire::proto::request::Call;
use tidings_wire::proto::{ClientFrame, ClientMessage, Request};

/// A client confirms after this many numbered frames, as the SDKs do.
pub const CONFIRM_FRAMES: u64 = CLIENT_CONFIRM_FRAMES as u64;

/// The app of every user on the bench.
pub(crate) const APP: &str = "0123456789abcdef0123456789abcdef";

/// An input for the hub.
#[derive(Debug, Clone)]
pub enum Step {
    /// A client's connection is opened.
    Open(usize),
    /// A client has sent these bytes: one encoded `ClientFrame`.
    Bytes(usize, Bytes),
    /// Time passes, in milliseconds; the hub is woken whenever it has asked for that.
    Wait(u64),
}

/// The state of one client.
#[derive(Debug, Clone, Copy, Default)]
struct Client {
    cseq: u64,
    /// Numbered frames sent to it.
    received: u64,
    confirmed: u64,
}

/// A hub and its clients, whose connections are numbered from 0.
#[derive(Debug)]
pub struct Desk {
    cell: Cell,
    now_ms: u64,
    clients: Vec<Client>,
    /// The store's answers.
    answers: VecDeque<Input>,
    /// Frames sent to clients.
    sent: u64,
    /// Connections that the hub has closed.
    closed: u64,
}

impl Desk {
    /// A hub without sessions, and room for this many clients.
    pub fn new(clients: usize) -> Self {
        let mut apps = Apps::default();
        let app = App {
            settings: AppSettings {
                rate_limits: false,
                ..AppSettings::default()
            },
            ..App::default()
        };
        let id = AppId::parse(APP).expect("the constant is an app id");
        apps.listed.insert(id, app);
        let hub = HubId::local(0);
        let config = HubConfig {
            id: hub,
            seed: [7; 32],
            apps: Arc::new(apps),
            server: "bench".into(),
            drain_window_ms: 0,
            epoch_base: None,
        };
        let mut desk = Self {
            cell: Cell::new(Hub::new(config), Router::new(hub, Homes::new(1, (1, 2)))),
            now_ms: 1_000_000,
            clients: Vec::with_capacity(clients),
            answers: VecDeque::new(),
            sent: 0,
            closed: 0,
        };
        desk.give(Input::Tick);
        desk
    }

    /// Frames that clients have been sent so far.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Connections that the hub has closed so far.
    pub fn closed(&self) -> u64 {
        self.closed
    }

    /// Sessions of the hub.
    pub fn sessions(&self) -> usize {
        self.cell.hub().stats().sessions
    }

    /// The bytes of a message that is not a request.
    pub fn message(&self, kind: Kind) -> Bytes {
        encode(Some(kind), 0)
    }

    /// The bytes of a client's next request.
    pub fn request(&mut self, client: usize, call: Call) -> Bytes {
        let client = &mut self.clients[client];
        client.cseq += 1;
        let request = Request {
            cseq: client.cseq,
            call: Some(call),
        };
        encode(Some(Kind::Request(request)), 0)
    }

    /// The bytes with which a client confirms everything sent to it, and this many further frames.
    pub fn confirm(&mut self, client: usize, more: u64) -> Bytes {
        let client = &mut self.clients[client];
        client.confirmed = client.received + more;
        encode(None, client.confirmed)
    }

    /// Makes every client confirm that has something to confirm.
    pub fn confirm_all(&mut self) {
        for client in 0..self.clients.len() {
            let state = self.clients[client];
            if state.received > state.confirmed {
                let bytes = self.confirm(client, 0);
                self.step(&Step::Bytes(client, bytes));
            }
        }
    }

    /// A new client; returns its number.
    pub fn add_client(&mut self) -> usize {
        self.clients.push(Client::default());
        self.clients.len() - 1
    }

    /// Carries out one step.
    pub fn step(&mut self, step: &Step) {
        match step {
            Step::Open(client) => self.give(Input::Opened {
                connection: connection(*client),
            }),
            Step::Bytes(client, bytes) => {
                let frame = decode_client(bytes).expect("the bench encodes valid frames");
                self.give(Input::Frame {
                    connection: connection(*client),
                    frame,
                });
            }
            Step::Wait(ms) => self.wait(*ms),
        }
    }

    fn wait(&mut self, ms: u64) {
        let until_ms = self.now_ms + ms;
        while let Some(due_ms) = self
            .cell
            .hub_deadline()
            .filter(|due_ms| *due_ms <= until_ms)
        {
            self.now_ms = due_ms.max(self.now_ms);
            self.give(Input::Tick);
        }
        self.now_ms = until_ms;
        self.give(Input::Tick);
    }

    fn give(&mut self, input: Input) {
        tidings_cell::give(self, input);
        while let Some(answer) = self.answers.pop_front() {
            tidings_cell::give(self, answer);
        }
    }
}

impl Host for Desk {
    type Bus = Router;

    fn cell(&mut self) -> &mut Cell {
        &mut self.cell
    }

    fn now(&self) -> Time {
        Time {
            mono_ms: self.now_ms,
            unix_ms: self.now_ms,
        }
    }

    fn send(&mut self, connection: ConnectionId, frame: &Bytes) {
        self.sent += 1;
        self.clients[index(connection)].received += u64::from(is_numbered(frame));
    }

    fn send_all(&mut self, connections: &[ConnectionId], _frame: &Bytes) {
        self.sent += connections.len() as u64;
        for connection in connections {
            self.clients[index(*connection)].received += 1;
        }
    }

    fn send_text(&mut self, _connection: ConnectionId, _text: &str) {
        unreachable!("no legacy client is on the bench");
    }

    fn close(&mut self, _connection: ConnectionId, _closing: Closing<'_>) {
        self.closed += 1;
    }

    fn hand_over(&mut self, _: ConnectionId, _: HubId, _: Wish, _: u64) {
        unreachable!("there is no other hub");
    }

    fn post(&mut self, _to: HubId, _crossing: Crossing) {
        unreachable!("there is no other hub");
    }

    fn store(&mut self, ticket: Ticket, op: StoreOp) {
        let answer = answer(&op);
        self.answers.push_back(Input::Store { ticket, answer });
    }

    fn note_used(&mut self, _user: UserKey, _word: Word) {}

    fn recall(&mut self, _input: &Input) -> Option<Input> {
        None
    }

    fn recent_logins<R>(&mut self, act: impl FnOnce(&mut RecentLogins) -> R) -> R {
        act(&mut RecentLogins::default())
    }
}

/// The answer of an empty store. Nothing on the bench writes to it.
fn answer(op: &StoreOp) -> StoreAnswer {
    match op {
        StoreOp::InboxRead { .. } => StoreAnswer::InboxPage {
            messages: Vec::new(),
            has_more: false,
            losses: InboxLosses::default(),
        },
        StoreOp::AttributesRead { .. } => StoreAnswer::Attributes(Vec::new()),
        StoreOp::AttributeOwners { .. } => StoreAnswer::AttributeOwners {
            owners: Vec::new(),
            has_more: false,
        },
        StoreOp::HistoryList { .. } => StoreAnswer::Histories {
            conversations: Vec::new(),
            next: None,
        },
        _ => StoreAnswer::Done,
    }
}

fn connection(client: usize) -> ConnectionId {
    ConnectionId(client as u64)
}

fn index(connection: ConnectionId) -> usize {
    usize::try_from(connection.0).expect("connections are made from numbers of clients")
}

fn encode(kind: Option<Kind>, confirm: u64) -> Bytes {
    encode_client(&ClientFrame {
        messages: kind
            .map(|kind| ClientMessage { kind: Some(kind) })
            .into_iter()
            .collect(),
        confirm,
    })
}

/// Whether a frame of the server counts: the field number of its only message decides (protocol
/// 2.2).
fn is_numbered(frame: &[u8]) -> bool {
    // Field 1 of ServerFrame: a tag of one byte, a length, then the message, which starts with the
    // tag of its kind.
    let mut rest = &payload(frame)[1..];
    prost::decode_length_delimiter(&mut rest).is_ok_and(|_| {
        let tag = prost::encoding::decode_varint(&mut rest).unwrap_or_default();
        tag >> 3 >= 16
    })
}
