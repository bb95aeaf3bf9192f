//! Legacy and native clients of one app on two hubs, in virtual time: cells and the store are the
//! real ones, only sockets and clocks are not.

use std::slice;

use serde_json::{Value, json};
use tidings_cell::desk::{Desk, Told};
use tidings_hub::ids::ConnectionId;
use tidings_hub::store_ops::{StoreAnswer, StoreOp};
use tidings_hub::{App, Apps, Input};
use tidings_legacy::AppRules;
use tidings_store::{Engine as _, MemoryEngine};
use tidings_token::{NewAccess007, Permissions, Service, build_007};
use tidings_wire::frame::is_numbered;
use tidings_wire::names::AppId;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{
    ClientFrame, ClientMessage, Login, Pong, Request, client_message, reply, request,
};

const HUBS: u16 = 2;
/// Clients are heard of so often, as their pings would see to it.
const PING_MS: u64 = 5_000;
/// Of the app, in worlds whose logins need tokens.
const CERTIFICATE: &str = "cccccccccccccccccccccccccccccccc";

/// A client of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Who(usize);

enum Side {
    Legacy,
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

type Store = Box<dyn FnMut(&StoreOp) -> Vec<StoreAnswer>>;

pub(crate) struct World {
    desk: Desk<Store>,
    /// What the token of the next legacy login is good for.
    pub(crate) permissions: Option<Permissions>,
    /// How long it is good, in seconds.
    pub(crate) token_s: u32,
    has_tokens: bool,
    clients: Vec<Client>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::of(Apps {
            accept_any: true,
            ..Apps::default()
        })
    }

    /// One whose logins need tokens.
    pub(crate) fn with_tokens() -> Self {
        let certified = App {
            certificates: vec![CERTIFICATE.into()],
            ..App::default()
        };
        let mut apps = Apps::default();
        let id = AppId::parse(&app()).expect("an app id");
        apps.listed.insert(id, certified);
        Self {
            has_tokens: true,
            ..Self::of(apps)
        }
    }

    fn of(apps: Apps) -> Self {
        let mut engine = MemoryEngine::new();
        let store = move |op: &StoreOp| {
            let mut answers = Vec::new();
            engine.apply(slice::from_ref(op), &mut answers);
            answers
        };
        Self {
            desk: Desk::new(HUBS, apps, Box::new(store)),
            permissions: None,
            token_s: 3_600,
            has_tokens: false,
            clients: Vec::new(),
        }
    }

    /// The rules of the next legacy logins.
    pub(crate) fn set_rules(&mut self, rules: AppRules) {
        self.desk.rules = rules;
    }

    /// A token for a legacy login.
    fn token(&self, name: &str) -> String {
        if !self.has_tokens {
            return String::new();
        }
        let service = match &self.permissions {
            Some(permissions) => Service::rtm2(name, self.token_s, permissions.clone()),
            None => Service::rtm(name, self.token_s),
        };
        let issued = self.desk.now.unix_ms / 1_000;
        let (app_id, services) = (app(), [service]);
        build_007(&NewAccess007 {
            app_id: &app_id,
            certificate: CERTIFICATE,
            issued_at_unix_s: u32::try_from(issued).expect("before 2106"),
            lifetime_s: self.token_s,
            salt: 7,
            services: &services,
        })
        .expect("a token")
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
        let random = 7 + self.clients.len() as u64;
        let who = self.open(name, Side::Legacy);
        let at = hub_of(who);
        self.desk.open_legacy(at, connection(who), "", random);
        let login = json!({"vid": app(), "account": name, "token": self.token(name)});
        self.say(who, &json!(["login", login]));
        assert!(
            self.clients[who.0].frames[0].to_string().contains("line"),
            "{name} is not let in"
        );
        who
    }

    /// Logs a native client in.
    pub(crate) fn native(&mut self, name: &str) -> Who {
        let who = self.open(name, Side::Native { cseq: 0, sseq: 0 });
        let connection = connection(who);
        self.give(who, Input::Opened { connection });
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
        self.clients[who.0].is_open = false;
        self.desk.lose(connection(who));
        self.collect();
        self.wait(1);
    }

    /// A legacy client says something.
    pub(crate) fn say(&mut self, who: Who, frame: &Value) {
        let text = frame.to_string();
        self.desk.hear(connection(who), text.as_bytes());
        self.collect();
    }

    /// A legacy client calls, and is answered.
    pub(crate) fn call(&mut self, who: Who, function: &str, args: Value) -> Value {
        let id = self.start(who, function, args);
        self.answer(who, id)
            .unwrap_or_else(|| panic!("{function} was not answered"))
    }

    /// A legacy client calls.
    pub(crate) fn start(&mut self, who: Who, function: &str, args: Value) -> u64 {
        let (id, frame) = self.frame_of(who, function, args);
        self.say(who, &frame);
        id
    }

    /// A legacy client calls several times before it has an answer.
    pub(crate) fn start_together(&mut self, who: Who, calls: &[(&str, Value)]) {
        let mut texts = Vec::new();
        for (function, args) in calls {
            let (_, frame) = self.frame_of(who, function, args.clone());
            texts.push(frame.to_string().into_bytes());
        }
        self.desk.hear_together(connection(who), &texts);
        self.collect();
    }

    fn frame_of(&mut self, who: Who, function: &str, mut args: Value) -> (u64, Value) {
        let client = &mut self.clients[who.0];
        client.calls += 1;
        let id = client.calls;
        args["line"] = json!((1_000_000_000 + 7 + who.0 as u64).to_string());
        (id, json!(["call2", [function, id, args]]))
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

    /// What a legacy client was told since: (type, content) of queue messages and channel events. A
    /// content that is JSON comes as that.
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
        self.desk.advance_to(self.desk.now.mono_ms + ms);
        self.wait(1);
    }

    /// Lets time pass: whatever is due happens when it is due.
    pub(crate) fn wait(&mut self, ms: u64) {
        let until_ms = self.desk.now.mono_ms + ms;
        while self.desk.now.mono_ms < until_ms {
            let now_ms = self.desk.now.mono_ms;
            let next_ms = self.desk.deadline().unwrap_or(u64::MAX).max(now_ms + 1);
            let ping_ms = (now_ms / PING_MS + 1) * PING_MS;
            self.desk.advance_to(next_ms.min(ping_ms).min(until_ms));
            self.desk.tick();
            self.collect();
            if self.desk.now.mono_ms == ping_ms {
                self.ping_all();
            }
        }
    }

    fn ping_all(&mut self) {
        for at in 0..self.clients.len() {
            let who = Who(at);
            match (self.clients[at].is_open, &self.clients[at].side) {
                (false, _) => {}
                (true, Side::Legacy) => self.desk.hear(connection(who), br#"["ping",1]"#),
                (true, Side::Native { .. }) => {
                    let connection = connection(who);
                    self.desk.give(hub_of(who), Input::Heard { connection });
                }
            }
            self.collect();
        }
    }

    // ------------------------------------------------------------ the server

    fn give(&mut self, who: Who, input: Input) {
        self.desk.give(hub_of(who), input);
        self.collect();
    }

    /// Brings clients what they are told; native ones confirm it.
    fn collect(&mut self) {
        loop {
            let told = self.desk.take_told();
            if told.is_empty() {
                return;
            }
            for (connection, told) in told {
                let who = Who(usize::try_from(connection.0).expect("few clients"));
                match &told {
                    Told::Text(text) => self.clients[who.0].frames.push(json(text)),
                    Told::Closed { .. } => {
                        self.clients[who.0].is_open = false;
                        self.desk.forget(connection);
                    }
                    Told::Frame(_) => {
                        for kind in told.kinds() {
                            self.take_native(who, kind);
                        }
                    }
                }
            }
        }
    }

    fn take_native(&mut self, who: Who, kind: Kind) {
        let client = &mut self.clients[who.0];
        let Side::Native { sseq, .. } = &mut client.side else {
            panic!("a native message for a legacy client: {kind:?}");
        };
        *sseq += u64::from(is_numbered(&kind));
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
        self.desk
            .give(hub_of(who), Input::Frame { connection, frame });
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
fn hub_of(who: Who) -> usize {
    who.0 % usize::from(HUBS)
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
