//! One legacy client: where its frames go, and where the hub's go.

use bytes::Bytes;
use serde_json::{Value, json};
use tidings_wire::codes::CloseCode;
use tidings_wire::frame::is_numbered;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{ClientFrame, ClientMessage, Pong, client_message};

use crate::calls::Calls;
use crate::channels::Channels;
use crate::codec::{self, Call, server};
use crate::ids;
use crate::login::{AppRules, LoginRefusal};
use crate::messages::Repeats;
use crate::queue::{Delivery, Queue, Receiver};
use crate::requests::Requests;
use crate::special::News;

/// A client that has sent nothing for this long is considered gone. Source: signaling 3.2.
const SILENCE_MS: u64 = 120_000;

/// The names of the Python and the Java library. Source: signaling 4.1.
const POLLING_DEVICE: &str = "javasdk";

/// Messages that may wait for a client's first poll. The hub keeps any more, because they are not
/// confirmed to it.
const WAITING_MAX: usize = 256;

/// RFC 6455, 7.4.1.
const NORMAL: u16 = 1000;
const GOING_AWAY: u16 = 1001;
const POLICY: u16 = 1008;

/// A moment, read on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// Monotonic milliseconds: for deadlines.
    pub mono_ms: u64,
    /// Unix milliseconds: for stamps.
    pub unix_ms: u64,
}

/// What the caller of the translator must do.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Send a text frame.
    Text(String),
    /// Check this login, then call [`Translator::admit`] or [`Translator::refuse`].
    Login(LoginRequest),
    /// Give the hub a frame of this client.
    Send(ClientFrame),
    /// Tell the hub that messages up to this number have been processed.
    Processed(u64),
    /// Tell the hub that the invitation with this id is ringing.
    Rung(Bytes),
    /// Send what is waiting, then close the WebSocket.
    Close {
        /// Close code of RFC 6455.
        code: u16,
        /// The reason, for people who debug a client.
        reason: &'static str,
    },
}

/// A login that asks to be admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginRequest {
    /// The app, unchecked.
    pub app: String,
    /// The account that logs in.
    pub account: String,
    /// The token, as received.
    pub token: String,
}

/// How to end a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Text frames to send first.
    pub texts: Vec<String>,
    /// Close code of RFC 6455.
    pub code: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Not logged in.
    Fresh,
    /// The login is being checked, or waits for the hub.
    LoggingIn,
    /// The client is logged in.
    Ready,
    /// The connection has ended: everything is ignored.
    Ended,
}

/// One legacy client's connection, as a native client of a hub.
#[derive(Debug)]
pub struct Translator {
    pub(crate) now: Now,
    pub(crate) state: State,
    /// The app named in the URL; empty = none.
    path_app: String,
    pub(crate) app: String,
    pub(crate) account: String,
    pub(crate) line: String,
    pub(crate) rules: AppRules,
    /// Whether it has sent `set_flag`.
    pub(crate) is_modern: bool,
    delivery: Delivery,
    /// When its last frame arrived.
    heard_ms: u64,
    /// How many of the hub's numbered messages have arrived.
    pub(crate) sseq: u64,
    /// The highest number confirmed to the hub.
    confirmed: u64,
    pub(crate) queue: Queue,
    pub(crate) requests: Requests,
    pub(crate) channels: Channels,
    pub(crate) calls: Calls,
    pub(crate) repeats: Repeats,
    pub(crate) out: Vec<Output>,
}

impl Translator {
    /// A newly opened connection. `path_app` is the app in the URL, empty if there is none;
    /// `random` makes the line.
    pub fn new(now: Now, path_app: &str, random: u64) -> Self {
        Self {
            now,
            state: State::Fresh,
            path_app: path_app.into(),
            app: String::new(),
            account: String::new(),
            line: ids::line(random),
            rules: AppRules::default(),
            is_modern: false,
            delivery: Delivery::default(),
            heard_ms: now.mono_ms,
            sseq: 0,
            confirmed: 0,
            queue: Queue::default(),
            requests: Requests::default(),
            channels: Channels::default(),
            calls: Calls::default(),
            repeats: Repeats::default(),
            out: Vec::new(),
        }
    }

    /// What to do, in order.
    pub fn outputs(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.out)
    }

    /// The latest time at which [`Translator::tick`] must be called, in monotonic milliseconds.
    pub fn deadline(&self) -> Option<u64> {
        if self.state == State::Ended {
            return None;
        }
        let silence = (self.state == State::Ready).then_some(self.heard_ms + SILENCE_MS);
        [
            silence,
            self.requests.due_ms(),
            self.channels.due_ms(),
            self.calls.due_ms(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Handles the passing of time.
    pub fn tick(&mut self, now: Now) {
        self.now = now;
        if self.state == State::Ready && now.mono_ms >= self.heard_ms + SILENCE_MS {
            self.announce_end();
            let ending = self.end(CloseCode::HeartbeatLost);
            self.say_ending(ending, "silent for 120 s");
            return;
        }
        self.pump();
        self.flush_attributes();
        self.check_calls();
    }

    /// Handles a text frame.
    pub fn hear(&mut self, now: Now, text: &[u8]) {
        self.now = now;
        self.heard_ms = now.mono_ms;
        if self.state == State::Ended {
            return;
        }
        let frame = match codec::decode(text) {
            Ok(frame) => frame,
            Err(_) => {
                self.say(server::close("bad frame"));
                return self.close(POLICY, "bad frame");
            }
        };
        match (frame, self.state) {
            (codec::ClientFrame::Login(login), State::Fresh) => self.begin_login(login),
            (codec::ClientFrame::Login(_), _) => {
                self.say(server::close("logged in twice"));
                self.close(POLICY, "logged in twice");
            }
            (codec::ClientFrame::LineLogin, State::Fresh) => {
                self.say(server::login_refused("wrong line"));
                self.close(NORMAL, "wrong line");
            }
            (codec::ClientFrame::Ping(argument), _) => self.say(server::pong(&argument)),
            (codec::ClientFrame::SetFlag, State::Ready) => self.is_modern = true,
            (codec::ClientFrame::Call(call), _) => self.take_call(call),
            _ => {}
        }
    }

    fn begin_login(&mut self, login: codec::Login) {
        let app = if login.app.is_empty() {
            self.path_app.clone()
        } else {
            login.app
        };
        let Some(account) = ids::stated_account(&login.account) else {
            return self.refuse(LoginRefusal::WrongAccount);
        };
        self.state = State::LoggingIn;
        if login.device == POLLING_DEVICE {
            self.delivery = Delivery::Polled;
        }
        self.app = app.clone();
        self.account = account.clone();
        self.out.push(Output::Login(LoginRequest {
            app,
            account,
            token: login.token,
        }));
    }

    /// Admits the login. The hub is asked next, and its answer comes to [`Translator::take`].
    pub fn admit(&mut self, rules: AppRules) {
        self.rules = rules;
    }

    /// Refuses the login.
    pub fn refuse(&mut self, why: LoginRefusal) {
        self.say(server::login_refused(&why.to_string()));
        self.close(NORMAL, "login refused");
    }

    fn take_call(&mut self, call: Call) {
        let is_ours = call.args.get("line").and_then(Value::as_str) == Some(self.line.as_str());
        if self.state != State::Ready || !is_ours {
            return self.fail(&call.id, "wrong line");
        }
        match call.function.as_str() {
            "user_getmsg" => self.poll(&call),
            "user_getmsg2" => self.poll_by_id(&call),
            "user_logout" => self.log_out(&call),
            "user_sendmsg" => self.send_message(&call),
            "channel_join" => self.join(&call),
            "channel_leave" => self.leave(&call),
            "channel_sendmsg" => self.send_to_channel(&call),
            "channel_set_attr" | "channel_del_attr" | "channel_clear_attr" => {
                self.write_channel_attribute(&call);
            }
            "voip_invite" => self.invite(&call),
            "voip_invite_phone" => self.invite_phone(&call),
            "voip_invite_ack" => self.acknowledge(&call),
            "voip_invite_accept" | "voip_invite_refuse" => self.decide(&call),
            "voip_invite_bye" => self.hang_up(&call),
            "voip_invite_msg" => self.send_tones(&call),
            _ => self.query(&call),
        }
    }

    fn poll(&mut self, call: &Call) {
        let number = |name: &str| call.args.get(name).and_then(Value::as_u64);
        let clear = number("ver_clear").unwrap_or(0);
        let max = number("max").map_or(usize::MAX, |max| usize::try_from(max).unwrap_or(0));
        let receiver = Receiver {
            account: &self.account,
            is_modern: self.is_modern,
            now_ms: self.now.mono_ms,
        };
        let (body, processed) = self.queue.poll(&receiver, clear, max);
        self.out
            .push(Output::Text(server::call_ret(&call.id, &body)));
        let mut texts = Vec::new();
        self.queue.stream(&receiver, &mut texts);
        self.out.extend(texts.into_iter().map(Output::Text));
        self.out.extend(processed.map(Output::Processed));
        self.confirm();
    }

    /// The poll of clients that acknowledge by message ids. Known builds are configured not to use
    /// it, but a page may call it (5.2).
    fn poll_by_id(&mut self, call: &Call) {
        let ids = call.args.get("clear_msgs").and_then(Value::as_array);
        let ids = ids.into_iter().flatten().filter_map(Value::as_str);
        let processed = self.queue.acknowledge(&ids.collect());
        let max = call.args.get("max").and_then(Value::as_u64);
        let max = max.map_or(usize::MAX, |max| usize::try_from(max).unwrap_or(0));
        let receiver = Receiver {
            account: &self.account,
            is_modern: self.is_modern,
            now_ms: self.now.mono_ms,
        };
        let messages = self.queue.give(&receiver, max);
        self.answer(&call.id, &json!({"result": "ok", "msgs": messages}));
        self.out.extend(processed.map(Output::Processed));
        self.confirm();
    }

    /// Handles a message of the hub.
    pub fn take(&mut self, now: Now, kind: Kind) {
        self.now = now;
        if self.state == State::Ended {
            return;
        }
        self.sseq += u64::from(is_numbered(&kind));
        match kind {
            Kind::Welcome(_) => self.welcome(),
            Kind::Refused(_) => self.refuse(LoginRefusal::Busy),
            Kind::Ping(_) => self.send_kind(client_message::Kind::Pong(Pong {})),
            Kind::Reply(reply) => self.take_reply(reply),
            Kind::PeerMessage(message) => self.take_peer_message(message),
            Kind::ChannelMessage(message) => self.take_channel_message(message),
            Kind::MemberJoined(event) => {
                self.take_member(&event.channel, &event.user_id, "channel_user_join");
            }
            Kind::MemberLeft(event) => {
                self.take_member(&event.channel, &event.user_id, "channel_user_leave");
            }
            Kind::MemberCount(count) => self.take_count(&count.channel, count.count),
            Kind::ChannelAttributes(event) => self.take_attributes(event),
            Kind::InvitationReceived(event) => self.take_received(event.number),
            Kind::AcceptAsked(event) => self.confirm_accept(event.number),
            Kind::LocalInvitationEnded(event) => self.take_local_end(event),
            Kind::IncomingInvitation(event) => self.take_invitation(event),
            Kind::RemoteInvitationEnded(event) => self.take_remote_end(event),
            // A legacy client cannot renew its token, does not learn of gaps, and never resumes.
            _ => {}
        }
        self.confirm();
    }

    /// Confirms everything that has arrived to the hub. A client with messages waiting gets no
    /// more.
    fn confirm(&mut self) {
        let is_news = self.confirmed < self.sseq && self.state != State::Ended;
        if is_news && self.queue.waiting() <= WAITING_MAX {
            self.confirmed = self.sseq;
            self.out.push(Output::Send(ClientFrame {
                messages: Vec::new(),
                confirm: self.sseq,
            }));
        }
    }

    fn welcome(&mut self) {
        self.state = State::Ready;
        self.heard_ms = self.now.mono_ms;
        self.queue = Queue::new(self.now.unix_ms, self.delivery);
        let body = json!({
            "result": "ok",
            "line": self.line,
            "uid": ids::uid(&self.app, &self.account),
            "config_msg_set": 0,
            "config_inst_msg_with_msgid": 0,
        });
        self.say(server::login_ret(&body));
        self.announce(News::Online, "");
    }

    /// The connection is gone, and the hub does not know yet.
    pub fn lose(&mut self, now: Now) {
        self.now = now;
        if self.state == State::Ready {
            self.announce_end();
        }
        self.state = State::Ended;
    }

    /// The hub ends the connection. Source: signaling 4.7.
    pub fn end(&mut self, code: CloseCode) -> Ending {
        let state = std::mem::replace(&mut self.state, State::Ended);
        let is_kick = matches!(code, CloseCode::RemoteLogin | CloseCode::Banned);
        match (state, code) {
            (State::Ready, _) if is_kick => Ending {
                texts: vec![server::kick(code.name()), server::close("kick")],
                code: NORMAL,
            },
            (State::Ready, CloseCode::LoggedOut) => Ending {
                texts: Vec::new(),
                code: NORMAL,
            },
            // Not with a plain close: these builds would come back with the same token and be
            // refused unheard.
            (State::Ready, CloseCode::TokenExpired) => Ending {
                texts: vec![server::close("token expired")],
                code: NORMAL,
            },
            (State::Ready, CloseCode::ProtocolError) => Ending {
                texts: vec![server::close("bad frame")],
                code: POLICY,
            },
            // These builds reconnect on their own, but only after a plain close.
            (State::Ready, _) if self.is_modern => Ending {
                texts: vec![server::up_to(self.queue.sent())]
                    .into_iter()
                    .filter(|_| self.queue.is_unacknowledged())
                    .collect(),
                code: GOING_AWAY,
            },
            (State::Ready, _) => Ending {
                texts: vec![server::close("drain")],
                code: GOING_AWAY,
            },
            (State::LoggingIn, _) => Ending {
                texts: vec![server::login_refused(if is_kick {
                    "kick"
                } else {
                    "server busy"
                })],
                code: GOING_AWAY,
            },
            _ => Ending {
                texts: Vec::new(),
                code: GOING_AWAY,
            },
        }
    }

    fn say_ending(&mut self, ending: Ending, reason: &'static str) {
        self.out.extend(ending.texts.into_iter().map(Output::Text));
        self.out.push(Output::Close {
            code: ending.code,
            reason,
        });
    }

    // ------------------------------------------------------------ shared by all features

    pub(crate) fn say(&mut self, text: String) {
        self.out.push(Output::Text(text));
    }

    pub(crate) fn answer(&mut self, id: &Value, body: &Value) {
        self.say(server::call_ret(id, body));
    }

    pub(crate) fn answer_ok(&mut self, id: &Value) {
        self.answer(id, &json!({"result": "ok"}));
    }

    pub(crate) fn fail(&mut self, id: &Value, reason: &str) {
        self.repeats.forget(id);
        self.answer(id, &server::failed(reason));
    }

    pub(crate) fn uid_of(&self, account: &str) -> u32 {
        ids::uid(&self.app, account)
    }

    pub(crate) fn send_kind(&mut self, kind: client_message::Kind) {
        self.out.push(Output::Send(ClientFrame {
            messages: vec![ClientMessage { kind: Some(kind) }],
            confirm: 0,
        }));
    }

    fn close(&mut self, code: u16, reason: &'static str) {
        if self.state == State::Ready {
            self.announce_end();
        }
        self.state = State::Ended;
        self.out.push(Output::Close { code, reason });
    }
}
