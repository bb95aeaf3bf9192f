//! Legacy and native clients of one app on two hubs, in virtual time: the translator, the hub, the router and the
//! store are the real ones, only sockets and clocks are not.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::{Value, json};
use tidings_bus::{Homes, Shard};
use tidings_hub::bus_ops::BusOp;
use tidings_hub::credentials::Grant;
use tidings_hub::ids::{ConnectionId, HubId, InvitationId, UserKey};
use tidings_hub::store_ops::StoreOp;
use tidings_hub::{Apps, Effect, Hub, HubConfig, Input, Ticket, Time, Traits};
use tidings_legacy::{AppRules, Now, Output, Translator};
use tidings_store::{Engine as _, MemoryEngine};
use tidings_wire::frame::decode_server;
use tidings_wire::names::{AppId, NameRule, UserId};
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{
    ClientFrame, ClientMessage, Login, Pong, Request, client_message, reply, request,
};

const HUBS: u16 = 2;
/// Clients are heard of so often, as their pings would see to it.
const PING_MS: u64 = 5_000;

/// What a legacy client can do; as the server has it.
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

/// A client of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Who(usize);

enum Side {
    Legacy(Box<Translator>),
    /// Its last request, and the numbered messages that it has had.
    Native {
        cseq: u64,
        sseq: u64,
    },
}

struct Client {
    name: String,
    side: Side,
    is_open: bool,
    calls: u64,
    /// Text frames, for a legacy client.
    frames: Vec<Value>,
    /// Messages, for a native one.
    kinds: Vec<Kind>,
}

pub(crate) struct World {
    hubs: Vec<Hub>,
    shards: Vec<Shard>,
    homes: Homes,
    store: MemoryEngine,
    pub(crate) now: Time,
    pub(crate) rules: AppRules,
    /// What the token of the next legacy login gives.
    pub(crate) grant: Grant,
    clients: Vec<Client>,
    queue: VecDeque<(u16, Step)>,
}

enum Step {
    Input(Input),
    Bus(BusOp),
    Store(Ticket, StoreOp),
}

impl World {
    pub(crate) fn new() -> Self {
        let homes = Homes::new(HUBS, (1, 2));
        let hub = |at: u16| {
            Hub::new(HubConfig {
                id: HubId(at),
                drain_window_ms: 0,
                seed: [at as u8 + 1; 32],
                apps: Arc::new(Apps {
                    accept_any: true,
                    ..Apps::default()
                }),
                server: "test".into(),
            })
        };
        Self {
            hubs: (0..HUBS).map(hub).collect(),
            shards: (0..HUBS).map(|at| Shard::new(HubId(at), homes)).collect(),
            homes,
            store: MemoryEngine::new(),
            now: Time {
                mono_ms: 1_000,
                unix_ms: 1_700_000_000_000,
            },
            rules: AppRules::default(),
            grant: Grant::default(),
            clients: Vec::new(),
            queue: VecDeque::new(),
        }
    }

    // ------------------------------------------------------------ clients

    fn open(&mut self, name: &str, side: Side) -> Who {
        // Logins of one millisecond are at the same time: either may win.
        self.wait(1);
        let who = Who(self.clients.len());
        self.clients.push(Client {
            name: name.into(),
            side,
            is_open: true,
            calls: 0,
            frames: Vec::new(),
            kinds: Vec::new(),
        });
        let connection = connection(who);
        self.give(who, Input::Opened { connection });
        who
    }

    /// Logs a legacy client in; it has polled once.
    pub(crate) fn legacy(&mut self, name: &str) -> Who {
        self.legacy_with_answer(name).0
    }

    /// The same, and the answer to its poll.
    pub(crate) fn legacy_with_answer(&mut self, name: &str) -> (Who, Value) {
        let who = self.legacy_unpolled(name);
        let answer = self.call(who, "user_getmsg", json!({"ver_clear": 0, "max": 30}));
        (who, answer)
    }

    /// Logs a legacy client in.
    pub(crate) fn legacy_unpolled(&mut self, name: &str) -> Who {
        let translator = Translator::new(self.now(), "", 7 + self.clients.len() as u64);
        let who = self.open(name, Side::Legacy(Box::new(translator)));
        self.say(
            who,
            &json!(["login", {"vid": app(), "account": name, "token": ""}]),
        );
        assert!(
            self.clients[who.0].frames[0].to_string().contains("line"),
            "{name} is not let in"
        );
        who
    }

    /// Logs a native client in.
    pub(crate) fn native(&mut self, name: &str) -> Who {
        let who = self.open(name, Side::Native { cseq: 0, sseq: 0 });
        let login = Login {
            app_id: app(),
            user_id: name.into(),
            ..Login::default()
        };
        self.send(who, client_message::Kind::Login(login));
        self.kinds(who);
        who
    }

    /// Its connection is gone.
    pub(crate) fn lose(&mut self, who: Who) {
        let now = self.now();
        if let Side::Legacy(translator) = &mut self.clients[who.0].side {
            translator.lose(now);
        }
        self.obey(who);
        self.clients[who.0].is_open = false;
        let connection = connection(who);
        self.give(who, Input::Closed { connection });
        self.wait(1);
    }

    /// A legacy client says something.
    pub(crate) fn say(&mut self, who: Who, frame: &Value) {
        let now = self.now();
        if let Side::Legacy(translator) = &mut self.clients[who.0].side {
            translator.hear(now, frame.to_string().as_bytes());
        }
        self.obey(who);
    }

    /// A legacy client calls, and is answered.
    pub(crate) fn call(&mut self, who: Who, function: &str, args: Value) -> Value {
        let id = self.start(who, function, args);
        self.answer(who, id)
            .unwrap_or_else(|| panic!("{function} was not answered"))
    }

    /// A legacy client calls.
    pub(crate) fn start(&mut self, who: Who, function: &str, mut args: Value) -> u64 {
        let client = &mut self.clients[who.0];
        client.calls += 1;
        let id = client.calls;
        args["line"] = json!((1_000_000_000 + 7 + who.0 as u64).to_string());
        self.say(who, &json!(["call2", [function, id, args]]));
        id
    }

    /// The answer to a call, if there is one.
    pub(crate) fn answer(&mut self, who: Who, id: u64) -> Option<Value> {
        let frames = &mut self.clients[who.0].frames;
        let at = frames
            .iter()
            .position(|frame| frame[0] == "call2-ret" && frame[1][0] == id)?;
        Some(body(&frames.remove(at)[1][2]))
    }

    /// The text frames of a legacy client since, without answers.
    pub(crate) fn frames(&mut self, who: Who) -> Vec<Value> {
        std::mem::take(&mut self.clients[who.0].frames)
    }

    /// What a legacy client was told since: (type, content) of queue messages and channel events. A content that is
    /// JSON comes as that.
    pub(crate) fn heard(&mut self, who: Who) -> Vec<(String, Value)> {
        let frames = std::mem::take(&mut self.clients[who.0].frames);
        frames.iter().filter_map(notified).collect()
    }

    /// The same, as text.
    pub(crate) fn told(&mut self, who: Who) -> Vec<String> {
        let heard = self.heard(who).into_iter();
        heard
            .map(|(kind, content)| format!("{kind} {content}"))
            .collect()
    }

    /// A native client asks, and is answered; it confirms what has come.
    pub(crate) fn request(&mut self, who: Who, call: request::Call) -> reply::Result {
        let Side::Native { cseq, .. } = &mut self.clients[who.0].side else {
            panic!("a legacy client has no requests");
        };
        *cseq += 1;
        let request = Request {
            cseq: *cseq,
            call: Some(call),
        };
        self.send(who, client_message::Kind::Request(request));
        let kinds = &mut self.clients[who.0].kinds;
        let at = kinds.iter().position(|kind| matches!(kind, Kind::Reply(_)));
        match kinds.remove(at.expect("an answer")) {
            Kind::Reply(reply) => reply.result.expect("a result"),
            other => panic!("{other:?}"),
        }
    }

    /// What a native client was sent since, without replies and pings.
    pub(crate) fn kinds(&mut self, who: Who) -> Vec<Kind> {
        let mut kinds = std::mem::take(&mut self.clients[who.0].kinds);
        kinds.retain(|kind| !matches!(kind, Kind::Welcome(_) | Kind::MemberCount(_)));
        kinds
    }

    fn send(&mut self, who: Who, kind: client_message::Kind) {
        let frame = ClientFrame {
            messages: vec![ClientMessage { kind: Some(kind) }],
            confirm: 0,
        };
        let connection = connection(who);
        self.give(who, Input::Frame { connection, frame });
    }

    // ------------------------------------------------------------ time

    /// Lets a long time pass, in which nobody is there.
    pub(crate) fn leap(&mut self, ms: u64) {
        self.now.mono_ms += ms;
        self.now.unix_ms += ms;
        self.wait(1);
    }

    /// Lets time pass: whatever is due happens when it is due.
    pub(crate) fn wait(&mut self, ms: u64) {
        let until = self.now.mono_ms + ms;
        while self.now.mono_ms < until {
            let next = self
                .next_due()
                .unwrap_or(u64::MAX)
                .max(self.now.mono_ms + 1);
            let ping = (self.now.mono_ms / PING_MS + 1) * PING_MS;
            let step = next.min(ping).min(until) - self.now.mono_ms;
            self.now.mono_ms += step;
            self.now.unix_ms += step;
            for at in 0..HUBS {
                self.queue.push_back((at, Step::Input(Input::Tick)));
            }
            for at in 0..self.clients.len() {
                self.pass(Who(at));
            }
            self.settle();
        }
    }

    fn next_due(&self) -> Option<u64> {
        let hubs = self.hubs.iter().filter_map(Hub::deadline);
        let legacy = self.clients.iter().filter_map(|client| match &client.side {
            Side::Legacy(translator) if client.is_open => translator.deadline(),
            _ => None,
        });
        hubs.chain(legacy).min()
    }

    fn pass(&mut self, who: Who) {
        let (now, connection) = (self.now(), connection(who));
        let client = &mut self.clients[who.0];
        if !client.is_open {
            return;
        }
        let is_heard = now.mono_ms.is_multiple_of(PING_MS);
        if let Side::Legacy(translator) = &mut client.side {
            if is_heard {
                translator.hear(now, br#"["ping",1]"#);
            }
            translator.tick(now);
            return self.obey(who);
        }
        if is_heard {
            let input = Input::Heard { connection };
            self.queue.push_back((hub_of(who), Step::Input(input)));
        }
    }

    fn now(&self) -> Now {
        Now {
            mono_ms: self.now.mono_ms,
            unix_ms: self.now.unix_ms,
        }
    }

    // ------------------------------------------------------------ the server

    fn give(&mut self, who: Who, input: Input) {
        self.queue.push_back((hub_of(who), Step::Input(input)));
        self.settle();
    }

    fn settle(&mut self) {
        while let Some((at, step)) = self.queue.pop_front() {
            match step {
                Step::Input(input) => {
                    let mut effects = Vec::new();
                    self.hubs[usize::from(at)].handle(self.now, input, &mut effects);
                    for effect in effects {
                        self.carry_out(at, effect);
                    }
                }
                Step::Bus(op) => {
                    let home = usize::from(self.homes.destination(&op).0);
                    let queue = &mut self.queue;
                    self.shards[home].route(HubId(at), op, &mut |to: HubId, input| {
                        queue.push_back((to.0, Step::Input(Input::Bus(input))));
                    });
                }
                Step::Store(ticket, op) => {
                    let mut answers = Vec::new();
                    self.store.apply(&[op], &mut answers);
                    let answer = answers.pop().expect("an answer");
                    let input = Input::Store { ticket, answer };
                    self.queue.push_back((at, Step::Input(input)));
                }
            }
        }
    }

    fn carry_out(&mut self, at: u16, effect: Effect) {
        match effect {
            Effect::Send { connection, frame } => self.see(connection, &frame),
            Effect::SendAll { connections, frame } => {
                for connection in connections {
                    self.see(connection, &frame);
                }
            }
            Effect::Close { connection, code } => {
                let client = &mut self.clients[connection.0 as usize];
                client.is_open = false;
                if let Side::Legacy(translator) = &mut client.side {
                    let texts = translator.end(code).texts;
                    client.frames.extend(texts.iter().map(|text| json(text)));
                }
            }
            Effect::Used { .. } => {}
            Effect::Answer { .. } => panic!("nothing is asked from outside"),
            Effect::HandOver { .. } => panic!("nobody resumes here"),
            Effect::Bus(op) => self.queue.push_back((at, Step::Bus(op))),
            Effect::Store { ticket, op } => self.queue.push_back((at, Step::Store(ticket, op))),
        }
    }

    fn see(&mut self, connection: ConnectionId, frame: &[u8]) {
        let who = Who(connection.0 as usize);
        let head = match frame[1] & 0x7f {
            126 => 4,
            127 => 10,
            _ => 2,
        };
        let frame = decode_server(&frame[head..]).expect("a frame of the server");
        let now = self.now();
        for kind in frame.messages.into_iter().filter_map(|m| m.kind) {
            if let Side::Legacy(translator) = &mut self.clients[who.0].side {
                translator.take(now, kind);
                self.obey_later(who);
                continue;
            }
            self.take_native(who, kind);
        }
    }

    fn take_native(&mut self, who: Who, kind: Kind) {
        let client = &mut self.clients[who.0];
        let Side::Native { sseq, .. } = &mut client.side else {
            return;
        };
        let is_numbered = !matches!(kind, Kind::Welcome(_) | Kind::Ping(_) | Kind::Pong(_));
        *sseq += u64::from(is_numbered);
        let confirm = *sseq;
        let mut messages = Vec::new();
        match kind {
            Kind::Ping(_) => messages.push(ClientMessage {
                kind: Some(client_message::Kind::Pong(Pong {})),
            }),
            kind => client.kinds.push(kind),
        }
        let frame = ClientFrame { messages, confirm };
        let connection = connection(who);
        let input = Input::Frame { connection, frame };
        self.queue.push_back((hub_of(who), Step::Input(input)));
    }

    /// Does what a translator wants, and what follows from it.
    fn obey(&mut self, who: Who) {
        self.obey_later(who);
        self.settle();
    }

    fn obey_later(&mut self, who: Who) {
        let connection = connection(who);
        let client = &mut self.clients[who.0];
        let Side::Legacy(translator) = &mut client.side else {
            return;
        };
        for output in translator.outputs() {
            let input = match output {
                Output::Text(text) => {
                    client.frames.push(json(&text));
                    continue;
                }
                Output::Login(request) => {
                    let rules = self.rules.clone();
                    let traits = Traits {
                        reaches_any_channel: rules.allows_force || rules.allows_special_channels,
                        ..TRAITS
                    };
                    translator.admit(rules);
                    let user = UserId::parse_by(NameRule::Wide, &request.account);
                    Input::Admitted {
                        connection,
                        user: UserKey {
                            app: AppId::parse(&app()).expect("an app"),
                            user: user.expect("a user id"),
                        },
                        traits,
                        grant: self.grant.clone(),
                    }
                }
                Output::Send(frame) => Input::Frame { connection, frame },
                Output::Processed(sseq) => Input::Processed { connection, sseq },
                Output::Rung(id) => Input::Rung {
                    connection,
                    id: InvitationId(id[..].try_into().expect("16 bytes")),
                },
                Output::Close { .. } => {
                    client.is_open = false;
                    Input::Closed { connection }
                }
            };
            self.queue.push_back((hub_of(who), Step::Input(input)));
        }
    }

    /// The user's name.
    pub(crate) fn name(&self, who: Who) -> &str {
        &self.clients[who.0].name
    }
}

/// The app of everybody.
pub(crate) fn app() -> String {
    "a".repeat(32)
}

fn connection(who: Who) -> ConnectionId {
    ConnectionId(who.0 as u64)
}

/// Clients take turns.
fn hub_of(who: Who) -> u16 {
    who.0 as u16 % HUBS
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// JSON text as JSON.
pub(crate) fn body(text: &Value) -> Value {
    json(text.as_str().expect("a text"))
}

/// The type and the content of a message or an event.
fn notified(frame: &Value) -> Option<(String, Value)> {
    if frame[0] != "notify" {
        return None;
    }
    let line = match &frame[1] {
        Value::String(text) => {
            let item = json(text.strip_prefix("notify recvmsg ")?);
            item[1].as_str()?.to_owned()
        }
        Value::Array(parts) if parts[0] == "channel2" => parts[3].as_str()?.to_owned(),
        _ => return None,
    };
    let fields = line
        .strip_prefix("msg-v3 ")
        .map(|rest| rest.split_once(' ').expect("an id").1);
    let fields = fields.or_else(|| line.strip_prefix("msg-v2 "))?;
    let fields: Vec<&str> = fields.splitn(6, ' ').collect();
    let content = serde_json::from_str(fields[5]).unwrap_or_else(|_| fields[5].into());
    Some((fields[3].to_owned(), content))
}
