//! A hub alone on the bench: a test gives it inputs by hand and looks at everything that comes out.

use std::sync::Arc;

use tidings_wire::frame::decode_server;
use tidings_wire::names::{AppId, ChannelName, UserId};
use tidings_wire::proto::{
    ClientFrame, ClientMessage, Login, Request, client_message, reply, request, server_message,
};

use crate::bus_ops::{BusInput, BusOp, Publication, Question, Topic};
use crate::config::{Apps, HubConfig, Traits};
use crate::credentials::Grant;
use crate::hub::Hub;
use crate::ids::{ChannelKey, ConnectionId, HubId, UserKey};
use crate::io::{Effect, Input, Ticket};
use crate::outside::OutsideAnswer;
use crate::store_ops::{InboxLosses, StoreAnswer, StoreOp};
use crate::time::Time;

/// The app of every user on the bench.
pub(crate) fn app() -> AppId {
    AppId::parse(&"a".repeat(32)).expect("app id")
}

/// A channel of that app.
pub(crate) fn channel(name: &str) -> ChannelKey {
    ChannelKey {
        app: app(),
        channel: ChannelName::parse(name).expect("channel name"),
    }
}

/// A user of that app.
pub(crate) fn user(name: &str) -> UserKey {
    UserKey {
        app: app(),
        user: UserId::parse(name).expect("user id"),
    }
}

/// The hub, and what it has done since the test last looked.
pub(crate) struct Rig {
    pub(crate) hub: Hub,
    pub(crate) now_ms: u64,
    pub(crate) bus: Vec<BusOp>,
    pub(crate) store: Vec<(Ticket, StoreOp)>,
    /// What was answered to calls from outside.
    pub(crate) answers: Vec<(Ticket, OutsideAnswer)>,
    sent: Vec<(u64, server_message::Kind)>,
    cseqs: Vec<u64>,
}

impl Rig {
    /// Hub 0 with logged-in clients, on the connections 0, 1, and so on.
    pub(crate) fn with_users(names: &[&str]) -> Self {
        let hub = Hub::new(HubConfig {
            id: HubId::local(0),
            seed: [7; 32],
            apps: Arc::new(Apps {
                accept_any: true,
                ..Apps::default()
            }),
            server: "test".into(),
            drain_window_ms: 0,
            epoch_base: None,
        });
        let mut rig = Self {
            hub,
            now_ms: 1_000_000,
            bus: Vec::new(),
            store: Vec::new(),
            answers: Vec::new(),
            sent: Vec::new(),
            cseqs: Vec::new(),
        };
        rig.give(Input::Tick);
        for name in names {
            rig.login(name);
        }
        rig
    }

    /// Logs a client in on the next connection; nobody else has the user, and its inbox is empty.
    pub(crate) fn login(&mut self, name: &str) {
        self.begin_login(name);
        self.nobody();
        for (ticket, op) in std::mem::take(&mut self.store) {
            if let StoreOp::InboxRead { .. } = op {
                let answer = StoreAnswer::InboxPage {
                    messages: Vec::new(),
                    has_more: false,
                    losses: InboxLosses::default(),
                };
                self.give(Input::Store { ticket, answer });
            }
        }
        self.bus.clear();
        self.sent.clear();
    }

    /// A client asks to log in on the next connection; the other hubs have not been heard yet.
    pub(crate) fn begin_login(&mut self, name: &str) {
        self.begin_login_with(Login {
            app_id: app().to_string(),
            user_id: name.into(),
            ..Login::default()
        });
    }

    /// The same, with everything that a login can say.
    pub(crate) fn begin_login_with(&mut self, login: Login) {
        let connection = ConnectionId(self.cseqs.len() as u64);
        self.cseqs.push(0);
        self.give(Input::Opened { connection });
        self.frame(connection.0, client_message::Kind::Login(login));
    }

    /// Admits a session with these traits on the next connection, as another door does; nobody else
    /// has the user.
    pub(crate) fn admit(&mut self, name: &str, traits: Traits) -> u64 {
        let connection = ConnectionId(self.cseqs.len() as u64);
        self.cseqs.push(0);
        self.give(Input::Opened { connection });
        self.give(Input::Admitted {
            connection,
            user: user(name),
            traits,
            grant: Grant::default(),
        });
        self.nobody();
        self.bus.clear();
        connection.0
    }

    /// Gives one input.
    pub(crate) fn give(&mut self, input: Input) {
        let now = Time {
            mono_ms: self.now_ms,
            unix_ms: self.now_ms,
        };
        let mut effects = Vec::new();
        self.hub.handle(now, input, &mut effects);
        for effect in effects {
            match effect {
                Effect::Bus(op) => self.bus.push(op),
                Effect::Store { ticket, op } => self.store.push((ticket, op)),
                Effect::Send { connection, frame } => self.see(connection, &frame),
                Effect::SendAll { connections, frame } => {
                    for connection in connections {
                        self.see(connection, &frame);
                    }
                }
                Effect::Answer { ticket, answer } => self.answers.push((ticket, answer)),
                Effect::Moderate { .. } => {}
                Effect::Close { .. } | Effect::HandOver { .. } | Effect::Used { .. } => {}
            }
        }
    }

    fn see(&mut self, connection: ConnectionId, frame: &[u8]) {
        let head = match frame[1] {
            127 => 10,
            126 => 4,
            _ => 2,
        };
        let frame = decode_server(&frame[head..]).expect("a frame of the server");
        let kinds = frame.messages.into_iter().filter_map(|m| m.kind);
        self.sent.extend(kinds.map(|kind| (connection.0, kind)));
    }

    fn frame(&mut self, connection: u64, kind: client_message::Kind) {
        let frame = ClientFrame {
            messages: vec![ClientMessage { kind: Some(kind) }],
            confirm: 0,
        };
        let connection = ConnectionId(connection);
        self.give(Input::Frame { connection, frame });
    }

    /// Sends a request; returns its number.
    pub(crate) fn request(&mut self, connection: u64, call: request::Call) -> u64 {
        let cseq = &mut self.cseqs[usize::try_from(connection).expect("few clients")];
        *cseq += 1;
        let cseq = *cseq;
        let request = Request {
            cseq,
            call: Some(call),
        };
        self.frame(connection, client_message::Kind::Request(request));
        cseq
    }

    /// Answers every question with "nobody is subscribed", what follows from that too.
    pub(crate) fn nobody(&mut self) {
        loop {
            let asks: Vec<_> = self.take_asks();
            if asks.is_empty() {
                return;
            }
            for ask in asks {
                self.give(Input::Bus(BusInput::Nobody { ask }));
            }
        }
    }

    /// The questions on their way.
    pub(crate) fn take_asks(&mut self) -> Vec<crate::bus_ops::AskId> {
        let mut asks = Vec::new();
        self.bus.retain(|op| match op {
            BusOp::Ask { ask, .. } => {
                asks.push(*ask);
                false
            }
            _ => true,
        });
        asks
    }

    /// Gives the hub its own publications back, in order, and what follows from that.
    pub(crate) fn echo(&mut self) {
        loop {
            let mut own = Vec::new();
            self.bus.retain(|op| match op {
                BusOp::Publish { topic, message } => {
                    own.push((topic.clone(), message.clone()));
                    false
                }
                _ => true,
            });
            if own.is_empty() {
                return;
            }
            for (topic, message) in own {
                let from = self.hub.kernel.config.id;
                self.give(Input::Bus(BusInput::Published {
                    topic,
                    from,
                    message,
                }));
            }
        }
    }

    /// Another hub publishes to a channel.
    pub(crate) fn publish_from(&mut self, from: u16, name: &str, message: Publication) {
        self.give(Input::Bus(BusInput::Published {
            topic: Topic::Channel(channel(name)),
            from: HubId::local(from),
            message: Arc::new(message),
        }));
    }

    /// Joins a channel of which nobody else knows.
    pub(crate) fn join(&mut self, connection: u64, name: &str) {
        let channel = name.to_owned();
        let call = request::Call::Join(tidings_wire::proto::Join { channel });
        self.request(connection, call);
        self.nobody();
        self.echo();
    }

    /// Lets time pass and wakes the hub.
    pub(crate) fn wait(&mut self, ms: u64) {
        let until_ms = self.now_ms + ms;
        while let Some(due) = self.hub.deadline().filter(|due| *due <= until_ms) {
            self.now_ms = due.max(self.now_ms);
            self.give(Input::Tick);
        }
        self.now_ms = until_ms;
        self.give(Input::Tick);
    }

    /// What a client has been sent since the last call.
    pub(crate) fn take_sent(&mut self, connection: u64) -> Vec<server_message::Kind> {
        let mut taken = Vec::new();
        self.sent.retain(|(to, kind)| {
            if *to == connection {
                taken.push(kind.clone());
            }
            *to != connection
        });
        taken
    }

    /// The reply to a request, if it has come.
    pub(crate) fn reply_to(&mut self, connection: u64, cseq: u64) -> Option<reply::Result> {
        self.take_sent(connection)
            .into_iter()
            .find_map(|kind| match kind {
                server_message::Kind::Reply(reply) if reply.cseq == cseq => reply.result,
                _ => None,
            })
    }

    /// Whether a question of this kind is among what the hub has put on the bus.
    pub(crate) fn has_asked(&self, wanted: impl Fn(&Topic, &Question) -> bool) -> bool {
        self.bus.iter().any(|op| match op {
            BusOp::Ask {
                topic, question, ..
            } => wanted(topic, question),
            _ => false,
        })
    }
}
