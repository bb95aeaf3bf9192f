//! A client under a simulated clock, with a server made of what a test lets it say. Everything the
//! client does is rendered as one line, so that a test reads as a trace.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use bytes::Bytes;
use prost::Message as _;
use tidings_client_core::*;
use tidings_wire::codes::Outcome;
use tidings_wire::frame::decode_client;
use tidings_wire::proto::{self, client_message, reply, request, server_message::Kind};

pub const APP: &str = "0123456789abcdef0123456789abcdef";

pub struct World {
    pub client: Client,
    pub now: u64,
    calls: CallId,
}

impl World {
    pub fn new() -> Self {
        Self::seeded(1)
    }

    pub fn seeded(seed: u64) -> Self {
        Self {
            client: Client::new("test/1", seed),
            now: 10_000,
            calls: 0,
        }
    }

    /// A client that is logged in as alice on connection 1; its login was call 1.
    pub fn logged_in() -> Self {
        let mut world = Self::new();
        world.login();
        world.opened(1);
        let trace = world.welcome(1);
        assert_eq!(trace, ["CONNECTED LOGIN_SUCCESS", "answer 1 done"]);
        world
    }

    pub fn input(&mut self, input: Input) -> Vec<String> {
        let mut out = vec![];
        self.client.handle(self.now, input, &mut out);
        out.iter().map(render).collect()
    }

    pub fn login(&mut self) -> Vec<String> {
        self.login_as("alice", "token-1")
    }

    pub fn login_as(&mut self, user_id: &str, token: &str) -> Vec<String> {
        self.calls += 1;
        self.input(Input::Login {
            id: self.calls,
            app_id: APP.to_owned(),
            user_id: user_id.to_owned(),
            token: token.to_owned(),
        })
    }

    pub fn logout(&mut self) -> Vec<String> {
        self.calls += 1;
        self.input(Input::Logout { id: self.calls })
    }

    pub fn renew(&mut self, token: &str) -> Vec<String> {
        self.calls += 1;
        self.input(Input::RenewToken {
            id: self.calls,
            token: token.to_owned(),
        })
    }

    pub fn call(&mut self, call: Call) -> Vec<String> {
        self.calls += 1;
        self.input(Input::Call {
            id: self.calls,
            call,
        })
    }

    pub fn opened(&mut self, connection: ConnectionId) -> Vec<String> {
        self.input(Input::Opened { connection })
    }

    pub fn closed(&mut self, connection: ConnectionId, code: u16) -> Vec<String> {
        self.input(Input::Closed {
            connection,
            code: (code > 0).then_some(code),
        })
    }

    pub fn say(&mut self, connection: ConnectionId, kinds: Vec<Kind>) -> Vec<String> {
        let messages = kinds
            .into_iter()
            .map(|kind| proto::ServerMessage { kind: Some(kind) })
            .collect();
        let payload = Bytes::from(proto::ServerFrame { messages }.encode_to_vec());
        self.input(Input::Received {
            connection,
            payload,
        })
    }

    pub fn welcome(&mut self, connection: ConnectionId) -> Vec<String> {
        self.say(connection, vec![welcome()])
    }

    /// Lets time pass, with a tick at each deadline. Lines carry the time since the start of it.
    pub fn pass(&mut self, ms: u64) -> Vec<String> {
        let start = self.now;
        let end = start + ms;
        let mut trace = vec![];
        let mut turns = 0;
        while let Some(deadline) = self.client.deadline().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            for line in self.input(Input::Tick) {
                trace.push(format!("+{} {line}", self.now - start));
            }
            turns += 1;
            assert!(turns < 10_000, "the client asks for ticks without end");
        }
        self.now = end;
        trace
    }

    /// Like `pass`, without the times.
    pub fn pass_untimed(&mut self, ms: u64) -> Vec<String> {
        let lines = self.pass(ms);
        let bare = |line: &String| line.split_once(' ').map_or("", |(_, rest)| rest).to_owned();
        lines.iter().map(bare).collect()
    }

    /// Loses connection 1, gets through the back-off and returns the name of the next connection.
    pub fn reopen(&mut self, connection: ConnectionId) -> Vec<String> {
        self.closed(connection, 0);
        let trace = self.pass_untimed(500);
        assert_eq!(trace, [format!("open {}", connection + 1)]);
        self.opened(connection + 1)
    }
}

pub fn welcome() -> Kind {
    Kind::Welcome(proto::Welcome {
        session_id: Bytes::from_static(&[1; 16]),
        secret: Bytes::from_static(b"secret-1"),
        heartbeat_ms: 10_000,
        resume_window_ms: 120_000,
        presence_grace_ms: 30_000,
        server_ts: 1,
        server: "test".to_owned(),
    })
}

pub fn resumed(cseq: u64, secret: &'static str) -> Kind {
    let secret = Bytes::from_static(secret.as_bytes());
    Kind::Resumed(proto::Resumed {
        secret,
        cseq,
        server_ts: 2,
        was_gone: false,
    })
}

pub fn resumed_after_gone(cseq: u64) -> Kind {
    let secret = Bytes::from_static(b"secret-2");
    Kind::Resumed(proto::Resumed {
        secret,
        cseq,
        server_ts: 2,
        was_gone: true,
    })
}

pub fn refused(outcome: Outcome, retry_after_ms: u32) -> Kind {
    let error = proto::Error {
        outcome: outcome as u32,
        text: outcome.name().to_owned(),
        retry_after_ms,
    };
    Kind::Refused(proto::Refused { error: Some(error) })
}

pub fn reply(cseq: u64, result: reply::Result) -> Kind {
    Kind::Reply(proto::Reply {
        cseq,
        result: Some(result),
    })
}

pub fn done(cseq: u64) -> Kind {
    reply(cseq, reply::Result::Done(proto::Done {}))
}

pub fn fail(cseq: u64, outcome: Outcome, retry_after_ms: u32) -> Kind {
    let text = outcome.name().to_owned();
    reply(
        cseq,
        reply::Result::Error(proto::Error {
            outcome: outcome as u32,
            text,
            retry_after_ms,
        }),
    )
}

pub fn users(cseq: u64, list: &str) -> Kind {
    let user_ids = list.split_whitespace().map(str::to_owned).collect();
    reply(cseq, reply::Result::Users(proto::UserList { user_ids }))
}

fn text(text: &str) -> Option<proto::Message> {
    let text = Bytes::copy_from_slice(text.as_bytes());
    Some(proto::Message {
        body: Some(proto::message::Body::Text(text)),
        ..Default::default()
    })
}

pub fn peer_message(from: &str, body: &str, inbox: u64, id: u8) -> Kind {
    Kind::PeerMessage(proto::PeerMessage {
        from: from.to_owned(),
        message: text(body),
        server_ts: 5,
        inbox,
        id: Bytes::copy_from_slice(&[id; 16]),
    })
}

pub fn channel_message(channel: &str, from: &str, body: &str) -> Kind {
    Kind::ChannelMessage(proto::ChannelMessage {
        channel: channel.to_owned(),
        from: from.to_owned(),
        message: text(body),
        server_ts: 5,
    })
}

pub fn joined(channel: &str, user_id: &str) -> Kind {
    let (channel, user_id) = (channel.to_owned(), user_id.to_owned());
    Kind::MemberJoined(proto::MemberJoined { channel, user_id })
}

pub fn left(channel: &str, user_id: &str) -> Kind {
    let (channel, user_id) = (channel.to_owned(), user_id.to_owned());
    Kind::MemberLeft(proto::MemberLeft { channel, user_id })
}

pub fn count(channel: &str, count: u32) -> Kind {
    Kind::MemberCount(proto::MemberCount {
        channel: channel.to_owned(),
        count,
    })
}

pub fn presence(list: &[(&str, PresenceState)]) -> Kind {
    let one = |(user, state): &(&str, PresenceState)| proto::Presence {
        user_id: (*user).to_owned(),
        state: *state as i32,
    };
    Kind::PresenceChanged(proto::PresenceChanged {
        users: list.iter().map(one).collect(),
    })
}

fn gap(channel: &str) -> proto::Gap {
    proto::Gap {
        cause: GapCause::SlowConsumer as i32,
        missed: 3,
        source: Some(proto::gap::Source::Channel(channel.to_owned())),
    }
}

pub fn channel_gap(channel: &str) -> Kind {
    Kind::Gap(gap(channel))
}

pub fn skip(count: u64, channel: &str) -> Kind {
    Kind::Skip(proto::Skip {
        count,
        gaps: vec![gap(channel)],
    })
}

pub fn to_peer(peer: &str, text: &str) -> Call {
    Call::SendToPeer {
        peer_id: peer.to_owned(),
        message: text.into(),
        offline: false,
        history: false,
    }
}

pub fn to_channel(channel: &str, text: &str) -> Call {
    Call::SendToChannel {
        channel: channel.to_owned(),
        message: text.into(),
        history: false,
    }
}

pub fn join(channel: &str) -> Call {
    Call::Join {
        channel: channel.to_owned(),
    }
}

pub fn leave(channel: &str) -> Call {
    Call::Leave {
        channel: channel.to_owned(),
    }
}

pub fn members(channel: &str) -> Call {
    Call::GetMembers {
        channel: channel.to_owned(),
    }
}

pub fn subscribe(list: &str) -> Call {
    let user_ids = list.split_whitespace().map(str::to_owned).collect();
    Call::SubscribePresence { user_ids }
}

pub fn merge(key: &str, value: &str) -> Call {
    let attributes = vec![Attribute::new(key, value)];
    Call::WriteUserAttributes {
        how: AttributeWrite::Merge,
        attributes,
    }
}

fn render(output: &Output) -> String {
    match output {
        Output::Open { connection } => format!("open {connection}"),
        Output::Close { connection } => format!("close {connection}"),
        Output::Send {
            connection,
            payload,
        } => {
            assert!(
                payload.len() <= 65_536,
                "a frame of {} bytes",
                payload.len()
            );
            format!("send {connection} {}", render_frame(payload))
        }
        Output::Event(event) => render_event(event),
        Output::Answer { id, result } => format!("answer {id} {}", render_result(result)),
    }
}

fn render_frame(payload: &[u8]) -> String {
    let frame = decode_client(payload).expect("the client encodes well");
    let mut parts = vec![];
    for message in frame.messages {
        parts.push(match message.kind.expect("a kind") {
            client_message::Kind::Login(login) => {
                format!("login {}/{}", login.user_id, login.token)
            }
            client_message::Kind::Resume(resume) => format!(
                "resume {} from {}{}{}",
                String::from_utf8_lossy(&resume.secret),
                resume.confirm,
                if resume.token.is_empty() { "" } else { " " },
                resume.token
            ),
            client_message::Kind::Ping(_) => "ping".to_owned(),
            client_message::Kind::Pong(_) => "pong".to_owned(),
            client_message::Kind::Request(request) => {
                format!(
                    "{}:{}",
                    request.cseq,
                    render_call(request.call.expect("a call"))
                )
            }
        });
    }
    if frame.confirm > 0 {
        parts.push(format!("confirm {}", frame.confirm));
    }
    parts.join(", ")
}

fn render_call(call: request::Call) -> String {
    use request::Call as C;
    let text = |message: Option<proto::Message>| match message.and_then(|message| message.body) {
        Some(proto::message::Body::Text(text)) => String::from_utf8_lossy(&text).into_owned(),
        other => format!("{other:?}"),
    };
    match call {
        C::SendToPeer(call) => format!("peer {} {}", call.peer_id, text(call.message)),
        C::SendToChannel(call) => format!("channel {} {}", call.channel, text(call.message)),
        C::Join(call) => format!("join {}", call.channel),
        C::Leave(call) => format!("leave {}", call.channel),
        C::GetMembers(call) => format!("members {}", call.channel),
        C::SubscribePresence(call) => format!("subscribe {}", call.user_ids.join(" ")),
        C::UnsubscribePresence(call) => format!("unsubscribe {}", call.user_ids.join(" ")),
        C::QueryPresenceSubscriptions(_) => "subscriptions".to_owned(),
        C::WriteUserAttributes(call) => {
            let pairs: Vec<_> = call
                .attributes
                .iter()
                .map(|a| format!("{}={}", a.key, a.value))
                .collect();
            format!("attributes {:?} {}", call.how(), pairs.join(" "))
        }
        C::RenewToken(call) => format!("renew {}", call.token),
        C::Logout(_) => "logout".to_owned(),
        other => format!("{other:?}"),
    }
}

fn render_event(event: &ClientEvent) -> String {
    let body = |message: &Message| match message {
        Message::Text(text) => text.clone(),
        Message::Raw { data, description } => format!("{data:?} {description}"),
        Message::File(file) | Message::Image { file, .. } => format!("file {}", file.media_id),
    };
    match event {
        ClientEvent::StateChanged { state, reason } => format!("{state} {reason}"),
        ClientEvent::PeerMessage {
            from,
            message,
            is_offline,
            ..
        } => {
            let stored = if *is_offline { " stored" } else { "" };
            format!("peer {from}: {}{stored}", body(message))
        }
        ClientEvent::ChannelMessage {
            channel,
            from,
            message,
            ..
        } => {
            format!("{channel} {from}: {}", body(message))
        }
        ClientEvent::MemberJoined { channel, user_id } => format!("{channel} joined {user_id}"),
        ClientEvent::MemberLeft { channel, user_id } => format!("{channel} left {user_id}"),
        ClientEvent::MemberCount { channel, count } => format!("{channel} count {count}"),
        ClientEvent::PresenceChanged { users } => format!("presence {users:?}"),
        ClientEvent::Gap {
            source,
            cause,
            missed,
        } => format!("gap {source:?} {cause:?} {missed:?}"),
        ClientEvent::TokenExpired => "token expired".to_owned(),
        other => format!("{other:?}"),
    }
}

fn render_result(result: &Result<Answer, CallError>) -> String {
    match result {
        Ok(Answer::Done) => "done".to_owned(),
        Ok(answer) => format!("{answer:?}"),
        Err(CallError::Refused { outcome, .. }) => {
            let row = Outcome::ALL.into_iter().find(|row| *row as u32 == *outcome);
            format!("error {}", row.map_or("?", Outcome::name))
        }
        Err(error @ CallError::Unsent { .. }) => {
            assert!(error.is(Outcome::TimedOut) && error.is_unsent());
            "error timed_out, not sent".to_owned()
        }
        Err(error @ CallError::Left { was_sent }) => {
            assert_eq!(error.is_unsent(), !was_sent);
            format!("left {}", if *was_sent { "sent" } else { "unsent" })
        }
        Err(error) => format!("error {error:?}"),
    }
}
