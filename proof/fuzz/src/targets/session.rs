//! Sequences of frames of several clients against a real hub, written as a script of bytes.

use std::collections::BTreeMap;

use prost::Message as _;
use tidings_hub::bus_ops::Decision;
use tidings_hub::ids::{ChannelKey, ConnectionId, InvitationId, UserKey};
use tidings_hub::outside::{OutsideAnswer, OutsideCall};
use tidings_hub::traces::{Trace, TraceCall};
use tidings_hub::{Input, Ticket};
use tidings_wire::codes::CloseCode;
use tidings_wire::frame::decode_client;
use tidings_wire::names::{AppId, ChannelName, UserId};
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{
    ClientFrame, ClientMessage, Join, Login, Pong, Reply, Request, Resume, SendToChannel,
    SendToPeer, client_message, request,
};

use super::{Script, put_piece, vectors};
use crate::node::{APPS, Node, Told};
use crate::target::{Answer, Target};

/// Frames of four users of two apps.
pub(super) const NATIVE_SESSION: Target = Target {
    name: "native_session",
    run: native_session,
    seeds,
    bytes_max: 16_384,
    memory_max: None,
};

/// Steps of one script. More only makes inputs slow.
const STEPS_MAX: usize = 200;
/// Clients of one script.
const SLOTS: u8 = 4;
/// How far a step lets time pass, by its byte.
const PASSES_MS: [u64; 6] = [1, 100, 1_000, 6_000, 31_000, 121_000];

/// What the driver knows of a client, to make frames that get through.
#[derive(Debug, Default, Clone)]
struct Client {
    /// None = no connection.
    connection: Option<ConnectionId>,
    cseq: u64,
    sseq: u64,
    session: Option<(Vec<u8>, Vec<u8>)>,
}

/// Runs scripts of frames against a hub.
pub(super) struct Driver {
    pub(super) node: Node,
    clients: BTreeMap<(usize, u8), Client>,
    connections: u64,
    /// What each client was told, by app and slot.
    pub(super) told: BTreeMap<(usize, u8), Vec<Told>>,
    /// Apps that have called from outside and are not answered, by the numbers of their calls.
    asked: BTreeMap<u64, usize>,
    calls: u64,
}

impl Driver {
    pub(super) fn new() -> Self {
        Self {
            node: Node::new(),
            clients: BTreeMap::new(),
            connections: 0,
            told: BTreeMap::new(),
            asked: BTreeMap::new(),
            calls: 0,
        }
    }

    /// Takes one step of a script for the clients of an app. Time passes only if `may_pass`.
    pub(super) fn step(&mut self, app: usize, script: &mut Script<'_>, may_pass: bool) {
        let op = script.byte();
        let slot = (op >> 4) % SLOTS;
        match op & 0x0f {
            0 => self.open(app, slot),
            1..=7 if op & 0x40 != 0 => self.outside(app, slot, script),
            1..=7 => {
                let piece = script.piece();
                self.frame(app, slot, piece, op & 0x80 != 0);
            }
            8 => self.close(app, slot),
            9 => {
                let ms = PASSES_MS[usize::from(script.byte()) % PASSES_MS.len()];
                if may_pass {
                    self.node.pass(ms);
                }
            }
            10 => self.with(app, slot, |connection| Input::Heard { connection }),
            11 => self.with(app, slot, |connection| Input::Stalled { connection }),
            12 => self.say(app, slot, vec![]),
            13 => {
                let pong = client_message::Kind::Pong(Pong {});
                self.say(app, slot, vec![ClientMessage { kind: Some(pong) }]);
            }
            14 => self.resume(app, slot),
            _ => {
                self.open(app, slot);
                self.log_in(app, slot);
            }
        }
        self.collect();
    }

    fn open(&mut self, app: usize, slot: u8) {
        self.close(app, slot);
        self.connections += 1;
        let connection = ConnectionId(self.connections);
        self.clients.entry((app, slot)).or_default().connection = Some(connection);
        self.node.give(Input::Opened { connection });
    }

    fn close(&mut self, app: usize, slot: u8) {
        let client = self.clients.entry((app, slot)).or_default();
        if let Some(connection) = client.connection.take() {
            self.node.give(Input::Closed { connection });
        }
    }

    fn with(&mut self, app: usize, slot: u8, input: impl Fn(ConnectionId) -> Input) {
        let client = self.clients.entry((app, slot)).or_default();
        if let Some(connection) = client.connection {
            self.node.give(input(connection));
        }
    }

    fn log_in(&mut self, app: usize, slot: u8) {
        let login = Login {
            app_id: APPS[app].into(),
            user_id: format!("u{slot}"),
            ..Login::default()
        };
        let login = client_message::Kind::Login(login);
        self.say(app, slot, vec![ClientMessage { kind: Some(login) }]);
    }

    fn resume(&mut self, app: usize, slot: u8) {
        self.open(app, slot);
        let client = self.clients.entry((app, slot)).or_default();
        let (session_id, secret) = client.session.clone().unwrap_or_default();
        let resume = Resume {
            app_id: APPS[app].into(),
            user_id: format!("u{slot}"),
            session_id: session_id.into(),
            secret: secret.into(),
            confirm: client.sseq,
            token: String::new(),
        };
        let resume = client_message::Kind::Resume(resume);
        self.say(app, slot, vec![ClientMessage { kind: Some(resume) }]);
    }

    /// A frame of messages; everything received so far is confirmed.
    fn say(&mut self, app: usize, slot: u8, messages: Vec<ClientMessage>) {
        let client = self.clients.entry((app, slot)).or_default();
        let confirm = client.sseq;
        let frame = ClientFrame { messages, confirm };
        self.with(app, slot, |connection| Input::Frame {
            connection,
            frame: frame.clone(),
        });
    }

    /// A frame of the script; unless it is `raw`, its numbers and names are such that it gets
    /// further.
    fn frame(&mut self, app: usize, slot: u8, piece: &[u8], raw: bool) {
        let Ok(mut frame) = decode_client(piece) else {
            self.with(app, slot, |connection| Input::Malformed { connection });
            return;
        };
        // An app's clients name no other app: what they would see of it is not the other's fault.
        for message in &mut frame.messages {
            match &mut message.kind {
                Some(client_message::Kind::Login(login)) => login.app_id = APPS[app].into(),
                Some(client_message::Kind::Resume(resume)) => resume.app_id = APPS[app].into(),
                _ => {}
            }
        }
        if !raw {
            let client = self.clients.entry((app, slot)).or_default();
            frame.confirm = client.sseq;
            for message in &mut frame.messages {
                if let Some(client_message::Kind::Request(request)) = &mut message.kind {
                    client.cseq += 1;
                    request.cseq = client.cseq;
                }
            }
        }
        self.with(app, slot, |connection| Input::Frame {
            connection,
            frame: frame.clone(),
        });
    }

    /// A call from outside: the first request of the piece as this user, else one that no client
    /// can make.
    fn outside(&mut self, app: usize, slot: u8, script: &mut Script<'_>) {
        let (piece, which) = (script.piece(), script.byte());
        let id = AppId::parse(APPS[app]).expect("an app id");
        let user = UserKey {
            app: id.clone(),
            user: UserId::parse(&format!("u{slot}")).expect("a user id"),
        };
        let name = || UserId::parse(&format!("u{}", which % SLOTS)).expect("a user id");
        let channel = ChannelName::parse("room").expect("a channel name");
        let mut invitation = [0; 16];
        invitation[..piece.len().min(16)].copy_from_slice(&piece[..piece.len().min(16)]);
        let frame = decode_client(piece).unwrap_or_default();
        let mut requests = frame.messages.into_iter().filter_map(|it| match it.kind {
            Some(client_message::Kind::Request(request)) => request.call,
            _ => None,
        });
        let limit = u16::from(which % 5);
        let call = match (requests.next(), which % 8) {
            (Some(call), _) => OutsideCall::AsUser { from: user, call },
            (None, 0) => OutsideCall::Sessions {
                app: id,
                user: None,
                // Places are shared by all apps of a hub: pages differ where all sessions do not.
                after: 0,
                limit: 100,
            },
            (None, 1) => OutsideCall::Channels {
                app: id,
                prefix: String::from_utf8_lossy(piece).into_owned(),
                after: Some(channel).filter(|_| which > 128),
                limit,
            },
            (None, 2) => OutsideCall::User { user },
            (None, 3) => OutsideCall::Disconnect {
                user,
                session: None,
                code: CloseCode::ALL[usize::from(which) % CloseCode::ALL.len()],
            },
            (None, 4) => OutsideCall::RemoveMember {
                channel: ChannelKey { app: id, channel },
                user: name(),
            },
            (None, 5) => OutsideCall::Invitations {
                app: id,
                user: None,
                limit,
            },
            (None, 6) => OutsideCall::EndInvitation {
                caller: user,
                id: InvitationId(invitation),
            },
            (None, _) if which > 127 => OutsideCall::Trace {
                app: id,
                call: trace(which, name(), channel),
            },
            (None, _) => OutsideCall::DecideInvitation {
                caller: user,
                id: InvitationId(invitation),
                callee: name(),
                decision: Decision::Accept(String::from_utf8_lossy(piece).into_owned()),
            },
        };
        self.calls += 1;
        self.asked.insert(self.calls, app);
        let ticket = Ticket(self.calls);
        self.node.give(Input::Outside { ticket, call });
    }

    /// Brings answers to calls from outside to their apps: each call has one.
    fn collect_answers(&mut self) {
        for (ticket, answer) in std::mem::take(&mut self.node.desk.answers) {
            let app = self.asked.remove(&ticket.0);
            let app = app.unwrap_or_else(|| panic!("answered once more: {answer:?}"));
            let told = match answer {
                OutsideAnswer::Call(result) => Told::Message(Box::new(Kind::Reply(Reply {
                    cseq: 0,
                    result: Some(result),
                }))),
                // Names are drawn; places of sessions are the hub's own business.
                OutsideAnswer::Sent { outcome, .. } => Told::Text(format!("{outcome:?}")),
                OutsideAnswer::SentToChannel { server_ts, .. } => Told::Text(server_ts.to_string()),
                OutsideAnswer::Invited(_) => Told::Text("invited".into()),
                OutsideAnswer::Sessions { sessions, .. } => {
                    let users = sessions.iter().map(|it| it.user.user.to_string());
                    let mut users: Vec<_> = users.collect();
                    users.sort();
                    Told::Text(format!("{users:?}"))
                }
                OutsideAnswer::Channels { channels, .. } => Told::Text(format!("{channels:?}")),
                OutsideAnswer::User(user) => {
                    Told::Text(format!("{:?}", user.map(|it| it.channels)))
                }
                OutsideAnswer::Invitations { invitations, .. } => {
                    Told::Text(invitations.len().to_string())
                }
                OutsideAnswer::Traces(traces) => Told::Text(traces.len().to_string()),
                OutsideAnswer::TracedMessages(messages) => Told::Text(messages.len().to_string()),
                OutsideAnswer::Traced(_) => Told::Text("traced".into()),
                OutsideAnswer::Count(count) => Told::Text(count.to_string()),
            };
            self.told.entry((app, SLOTS)).or_default().push(told);
        }
    }

    /// Brings what was told to whom it was told.
    fn collect(&mut self) {
        self.collect_answers();
        for (connection, told) in self.node.take_told() {
            let owner = self.clients.iter_mut();
            let owner = owner
                .into_iter()
                .find(|(_, client)| client.connection == Some(connection));
            let Some((who, client)) = owner else {
                continue;
            };
            let Told::Message(message) = &told else {
                client.connection = None;
                self.told.entry(*who).or_default().push(told);
                continue;
            };
            match &**message {
                Kind::Welcome(welcome) => {
                    client.session = Some((welcome.session_id.to_vec(), welcome.secret.to_vec()));
                    (client.cseq, client.sseq) = (0, 0);
                }
                Kind::Resumed(resumed) => {
                    if let Some((_, secret)) = &mut client.session {
                        *secret = resumed.secret.to_vec();
                    }
                    client.cseq = resumed.cseq;
                }
                Kind::Refused(_) | Kind::Ping(_) | Kind::Pong(_) => {}
                Kind::Skip(skip) => client.sseq += skip.count,
                _ => client.sseq += 1,
            }
            self.told.entry(*who).or_default().push(told);
        }
    }
}

fn native_session(input: &[u8]) -> Answer {
    let mut driver = Driver::new();
    let mut script = Script::new(input);
    for step in 0..STEPS_MAX {
        if script.is_over() {
            break;
        }
        driver.step(step % 2, &mut script, true);
    }
    // Everybody who is there can still be served after it.
    driver.node.pass(200_000);
    driver.collect();
    let asked = &driver.asked;
    assert!(asked.is_empty(), "calls were never answered: {asked:?}");
    for app in 0..APPS.len() {
        let before = driver.told.get(&(app, 3)).map_or(0, Vec::len);
        driver.open(app, 3);
        driver.log_in(app, 3);
        driver.collect();
        let told = driver
            .told
            .get(&(app, 3))
            .map_or(&[][..], |told| &told[before..]);
        let is_in = told
            .iter()
            .any(|told| matches!(told, Told::Message(kind) if matches!(**kind, Kind::Welcome(_))));
        assert!(is_in, "nobody can log in afterwards: {told:?}");
    }
    let last = driver
        .told
        .values()
        .flat_map(|told| told.iter().rev().take(3));
    Answer::of(last.map(kind).collect::<Vec<_>>())
}

/// Tells answers apart by kind.
pub(super) fn kind(told: &Told) -> Answer {
    match told {
        Told::Message(kind) => match &**kind {
            Kind::Reply(reply) => Answer::of(reply.result.as_ref().map(std::mem::discriminant)),
            kind => Answer::named(kind),
        },
        Told::Text(_) => Answer::of("text"),
        Told::Closed(code) => Answer::named(code),
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let frames = vectors("ClientFrame");
    // Both apps take turns: a step for each.
    let begin = [0x0f, 0x0f, 0x1f, 0x1f];
    let mut seeds: Vec<Vec<u8>> = frames
        .iter()
        .filter(|frame| frame.len() < 2_000)
        .map(|frame| {
            let mut script = begin.to_vec();
            for op in [0x01, 0x01, 0x11, 0x11] {
                script.push(op);
                put_piece(&mut script, frame);
            }
            script.extend([0x0c, 0x1c, 0x08, 0x09, 2, 0x0e, 0x0e]);
            script
        })
        .collect();
    let mut talk = begin.to_vec();
    for (op, call) in talk_of_two() {
        talk.push(op);
        put_piece(&mut talk, &encode(call));
        talk.push(op);
        put_piece(&mut talk, &[]);
    }
    // The same from outside, and each of the calls that no client can make.
    for (op, call) in talk_of_two() {
        talk.push(op | 0x40);
        put_piece(&mut talk, &encode(call));
        talk.push(0);
        talk.extend([0x0c, 0x0c]);
    }
    for which in 0..8 {
        talk.push(0x41);
        put_piece(&mut talk, b"r");
        talk.push(which);
    }
    talk.extend([0x08, 0x09, 3, 0x0e, 0x0c, 0x0b, 0x09, 5]);
    seeds.push(talk);
    seeds
}

fn talk_of_two() -> Vec<(u8, request::Call)> {
    let channel = || "room".to_owned();
    let text = tidings_wire::proto::Message {
        body: Some(tidings_wire::proto::message::Body::Text("hi".into())),
        ..Default::default()
    };
    let to_channel = SendToChannel {
        channel: channel(),
        message: Some(text.clone()),
        ..SendToChannel::default()
    };
    let to_peer = SendToPeer {
        peer_id: "u1".into(),
        message: Some(text),
        offline: true,
        ..SendToPeer::default()
    };
    vec![
        (0x01, request::Call::Join(Join { channel: channel() })),
        (0x11, request::Call::Join(Join { channel: channel() })),
        (0x01, request::Call::SendToChannel(to_channel)),
        (0x01, request::Call::SendToPeer(to_peer)),
    ]
}

fn encode(call: request::Call) -> Vec<u8> {
    let request = Request {
        cseq: 0,
        call: Some(call),
    };
    let kind = Some(client_message::Kind::Request(request));
    let messages = vec![ClientMessage { kind }];
    ClientFrame {
        messages,
        confirm: 0,
    }
    .encode_to_vec()
}

/// A call about traces.
fn trace(which: u8, user: UserId, channel: ChannelName) -> TraceCall {
    match which % 3 {
        0 => TraceCall::Begin(Trace {
            id: [which; 8],
            user: Some(user).filter(|_| which > 200),
            channel: Some(channel).filter(|_| which < 180),
            until_ms: u64::MAX,
        }),
        1 => TraceCall::End([which - 1; 8]),
        _ => TraceCall::Messages {
            user: None,
            channel: None,
            limit: u16::from(which % 5),
        },
    }
}
