//! One real cell with a store in memory, driven frame by frame without an SDK: how a client that
//! checks nothing itself is answered, at times that the test chooses.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::collections::BTreeMap;
use std::slice;
use std::sync::Arc;

use tidings_cell::desk::{Desk, Told};
use tidings_hub::ids::ConnectionId;
use tidings_hub::store_ops::{StoreAnswer, StoreOp};
use tidings_hub::{App, AppSettings, Apps, Input};
use tidings_store::{Engine as _, MemoryEngine};
use tidings_wire::codes::CloseCode;
use tidings_wire::frame::is_numbered;
use tidings_wire::names::AppId;
pub use tidings_wire::proto::request::Call;
pub use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{
    ClientFrame, ClientMessage, Error, Login, Logout, Message, Raw, Request, client_message,
    message, reply,
};

pub const APP: &str = "5eed5eed5eed5eed5eed5eed5eed5eed";
/// A client without an SDK.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Client(pub u64);

#[derive(Default)]
struct Held {
    cseq: u64,
    got: Vec<Kind>,
    /// Numbered messages received.
    sseq: u64,
    closed: Option<CloseCode>,
}

type Store = Box<dyn FnMut(&StoreOp) -> Vec<StoreAnswer>>;

pub struct Server {
    desk: Desk<Store>,
    clients: BTreeMap<u64, Held>,
}

impl Server {
    pub fn new(settings: AppSettings) -> Self {
        Self::with(App {
            settings,
            ..App::default()
        })
    }

    pub fn with(app: App) -> Self {
        let id = AppId::parse(APP).expect("an app id");
        let apps = Apps {
            accept_any: false,
            listed: BTreeMap::from([(id, app)]),
        };
        let mut engine = MemoryEngine::new();
        let store = move |op: &StoreOp| {
            let mut answers = Vec::new();
            engine.apply(slice::from_ref(op), &mut answers);
            answers
        };
        Self {
            desk: Desk::new(1, apps, Box::new(store)),
            clients: BTreeMap::new(),
        }
    }

    pub fn unix_ms(&self) -> u64 {
        self.desk.now.unix_ms
    }

    /// Advances time without running timers.
    pub fn leap(&mut self, ms: u64) {
        let to_ms = self.desk.now.mono_ms + ms;
        self.desk.advance_to(to_ms);
    }

    /// Delivers an input, and everything that follows from it, at once.
    fn give(&mut self, input: Input) {
        self.desk.give(0, input);
        self.collect();
    }

    fn collect(&mut self) {
        for (connection, told) in self.desk.take_told() {
            let held = self.clients.entry(connection.0).or_default();
            if let Told::Closed { cause, .. } = told {
                held.closed = cause;
                continue;
            }
            for kind in told.kinds() {
                held.sseq += u64::from(is_numbered(&kind));
                held.got.push(kind);
            }
        }
    }

    /// Logs in as a user, on a connection of its own.
    pub fn log_in(&mut self, user_id: &str) -> Client {
        let client = self.try_log_in(user_id, "");
        let got = self.take(client);
        assert!(
            matches!(got[..], [Kind::Welcome(_), ..]),
            "{user_id}: {got:?}"
        );
        client
    }

    /// The same; what arrived with the welcome can still be taken.
    pub fn log_in_and_keep(&mut self, user_id: &str) -> Client {
        self.try_log_in(user_id, "")
    }

    /// Tries to log in.
    pub fn try_log_in(&mut self, user_id: &str, token: &str) -> Client {
        self.try_log_in_to(APP, user_id, token)
    }

    pub fn try_log_in_to(&mut self, app_id: &str, user_id: &str, token: &str) -> Client {
        let client = Client(self.clients.len() as u64 + 1);
        self.clients.entry(client.0).or_default();
        let connection = ConnectionId(client.0);
        self.give(Input::Opened { connection });
        let login = Login {
            app_id: app_id.into(),
            user_id: user_id.into(),
            token: token.into(),
            ..Login::default()
        };
        self.send(client, vec![client_message::Kind::Login(login)]);
        client
    }

    /// Replaces the app's settings.
    pub fn change(&mut self, app: App) {
        let id = AppId::parse(APP).expect("an app id");
        let listed = BTreeMap::from([(id, app)]);
        let accept_any = false;
        self.give(Input::Apps(Arc::new(Apps { accept_any, listed })));
    }

    pub fn log_out(&mut self, client: Client) {
        self.calls(client, vec![Call::Logout(Logout {})]);
    }

    /// Ends the connection.
    pub fn cut(&mut self, client: Client) {
        let connection = ConnectionId(client.0);
        self.give(Input::Closed { connection });
    }

    fn send(&mut self, client: Client, kinds: Vec<client_message::Kind>) {
        let messages = kinds
            .into_iter()
            .map(|kind| ClientMessage { kind: Some(kind) });
        let messages = messages.collect();
        let confirm = self.clients.get(&client.0).map_or(0, |held| held.sseq);
        let frame = ClientFrame { messages, confirm };
        let connection = ConnectionId(client.0);
        self.give(Input::Frame { connection, frame });
    }

    /// Confirms everything received so far.
    pub fn confirm(&mut self, client: Client) {
        self.send(client, vec![]);
    }

    /// Makes calls in one frame, all at the same time.
    pub fn calls(&mut self, client: Client, calls: Vec<Call>) {
        let held = self.clients.get_mut(&client.0).expect("a client");
        let requests = calls.into_iter().map(|call| {
            held.cseq += 1;
            client_message::Kind::Request(Request {
                cseq: held.cseq,
                call: Some(call),
            })
        });
        let requests = requests.collect();
        self.send(client, requests);
    }

    /// Makes a call that is answered at once.
    pub fn call(&mut self, client: Client, call: Call) -> Result<reply::Result, Error> {
        self.calls(client, vec![call]);
        let mut replies = self.take_replies(client);
        assert_eq!(replies.len(), 1, "one reply at once");
        replies.remove(0)
    }

    /// The outcome of a call, 0 for success.
    pub fn outcome(&mut self, client: Client, call: Call) -> u32 {
        self.call(client, call)
            .err()
            .map_or(0, |error| error.outcome)
    }

    /// What a client was sent since the last call.
    pub fn take(&mut self, client: Client) -> Vec<Kind> {
        let held = self.clients.get_mut(&client.0).expect("a client");
        std::mem::take(&mut held.got)
    }

    /// The replies among it; everything else stays.
    pub fn take_replies(&mut self, client: Client) -> Vec<Result<reply::Result, Error>> {
        let (replies, others) = self
            .take(client)
            .into_iter()
            .partition(|kind| matches!(kind, Kind::Reply(_)));
        self.clients.get_mut(&client.0).expect("a client").got = others;
        let replies: Vec<Kind> = replies;
        let results = replies.into_iter().filter_map(|kind| match kind {
            Kind::Reply(reply) => reply.result,
            _ => None,
        });
        let results = results.map(|result| match result {
            reply::Result::Error(error) => Err(error),
            result => Ok(result),
        });
        results.collect()
    }

    pub fn closed(&self, client: Client) -> Option<CloseCode> {
        self.clients.get(&client.0).and_then(|held| held.closed)
    }

    /// Advances time. Everybody who is connected answers pings and confirms.
    pub fn pass(&mut self, ms: u64) {
        let until = self.desk.now.mono_ms + ms;
        while let Some(due) = self.desk.deadline().filter(|due| *due <= until) {
            self.desk.advance_to(due);
            self.desk.tick();
            self.collect();
            let pinged: Vec<u64> = (self.clients.iter())
                .filter(|(_, held)| held.got.iter().any(|kind| matches!(kind, Kind::Ping(_))))
                .map(|(id, _)| *id)
                .collect();
            for id in pinged {
                let held = self.clients.get_mut(&id).expect("a client");
                held.got.retain(|kind| !matches!(kind, Kind::Ping(_)));
                self.send(
                    Client(id),
                    vec![client_message::Kind::Pong(tidings_wire::proto::Pong {})],
                );
            }
        }
        self.desk.advance_to(until);
    }
}

pub fn text(bytes: usize) -> Option<Message> {
    Some(Message {
        body: Some(message::Body::Text("x".repeat(bytes).into())),
        ..Default::default()
    })
}

pub fn raw(data: usize, description: usize) -> Option<Message> {
    Some(Message {
        body: Some(message::Body::Raw(Raw {
            data: vec![0; data].into(),
            description: "d".repeat(description).into(),
        })),
        ..Default::default()
    })
}
