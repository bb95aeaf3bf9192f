//! The Tidings protocol. Frames that only carry deliveries are parsed in place; everything else by
//! the real codec.

use prost::Message as _;
use tidings_wire::codes::Outcome;
use tidings_wire::frame;
use tidings_wire::proto::client_message::Kind as Ask;
use tidings_wire::proto::request::Call;
use tidings_wire::proto::server_message::Kind as Tell;
use tidings_wire::proto::{self, ClientFrame, ClientMessage, Request, reply};
use tidings_wire::ws::Kind;

use super::{Driver, News, body_in};
use crate::link::Out;

/// A frame is confirmed after this many numbered messages, as the SDKs do (contract DEL-9).
const CONFIRM_MESSAGES: u64 = 64;

pub(crate) const APP: &str = "0123456789abcdef0123456789abcdef";

/// The state of one connection.
#[derive(Default, Clone)]
struct State {
    cseq: u64,
    /// Numbered messages received.
    received: u64,
    confirmed: u64,
    /// The call that joins, whose answer is reported as such.
    joining: u64,
}

pub(crate) struct Tidings {
    states: Vec<State>,
    pub(crate) first: usize,
}

impl Tidings {
    pub(crate) fn new(first: usize) -> Self {
        Self {
            states: Vec::new(),
            first,
        }
    }

    fn state(&mut self, link: usize) -> &mut State {
        if self.states.len() <= link {
            self.states.resize(link + 1, State::default());
        }
        &mut self.states[link]
    }

    /// Makes a call; returns its number.
    pub(crate) fn call(&mut self, link: usize, call: Call, out: &mut Out<'_>) -> u64 {
        let state = self.state(link);
        state.cseq += 1;
        let cseq = state.cseq;
        let request = Request {
            cseq,
            call: Some(call),
        };
        write(Some(Ask::Request(request)), 0, out);
        cseq
    }

    /// Sends to a user who need not take part in this run; the message is stored if the user is
    /// away and that was asked for.
    pub(crate) fn send_to(
        &mut self,
        link: usize,
        peer: String,
        body: &[u8],
        offline: bool,
        out: &mut Out<'_>,
    ) -> u64 {
        let call = Call::SendToPeer(proto::SendToPeer {
            peer_id: peer,
            message: Some(text(body)),
            offline,
            history: false,
        });
        self.call(link, call, out)
    }

    fn confirm(&mut self, link: usize, out: &mut Out<'_>) {
        let state = self.state(link);
        if state.received > state.confirmed {
            state.confirmed = state.received;
            let confirm = state.confirmed;
            write(None, confirm, out);
        }
    }

    fn take_message(
        &mut self,
        link: usize,
        message: &[u8],
        out: &mut Out<'_>,
        tell: &mut dyn FnMut(News<'_>),
    ) {
        let field = message.first().map_or(0, |tag| {
            let second = message.get(1).copied().unwrap_or_default();
            match tag & 0x80 {
                0 => u32::from(tag >> 3),
                _ => (u32::from(tag & 0x7f) | u32::from(second) << 7) >> 3,
            }
        });
        if field >= 16 {
            self.state(link).received += 1;
        }
        match field {
            CHANNEL_MESSAGE => tell_body(message, tell),
            PEER_MESSAGE => {
                tell_body(message, tell);
                // Its sender is waiting for this.
                self.confirm(link, out);
            }
            MEMBER_JOINED | MEMBER_LEFT | MEMBER_COUNT => {}
            CHANNEL_ATTRIBUTES | PRESENCE_CHANGED => tell(News::Event),
            _ => self.take_rare(link, message, out, tell),
        }
    }

    fn take_rare(
        &mut self,
        link: usize,
        message: &[u8],
        out: &mut Out<'_>,
        tell: &mut dyn FnMut(News<'_>),
    ) {
        let Ok(message) = proto::ServerMessage::decode(message) else {
            tell(News::Refused("a message that cannot be read".into()));
            return;
        };
        match message.kind {
            Some(Tell::Welcome(_)) => tell(News::LoggedIn),
            Some(Tell::Refused(refused)) => {
                let error = refused.error.unwrap_or_default();
                // A retry after 0 ms is valid as well.
                tell(if error.outcome == Outcome::Overloaded as u32 {
                    News::ComeAgain(error.retry_after_ms)
                } else {
                    News::Refused(error.text)
                });
            }
            Some(Tell::Ping(_)) => write(Some(Ask::Pong(proto::Pong {})), 0, out),
            Some(Tell::Skip(skip)) => {
                self.state(link).received += skip.count;
                tell(News::Refused(format!(
                    "{} messages were skipped",
                    skip.count
                )));
            }
            Some(Tell::Reply(answer)) => match answer.result {
                Some(reply::Result::Error(error)) => tell(News::Refused(error.text)),
                _ if answer.cseq == self.state(link).joining => tell(News::Joined),
                _ => tell(News::Answered(answer.cseq)),
            },
            // Every call is accepted, and every acceptance is confirmed.
            Some(Tell::IncomingInvitation(invitation)) => {
                let accept = proto::AcceptInvitation {
                    id: invitation.id,
                    response: String::new(),
                };
                self.call(link, Call::AcceptInvitation(accept), out);
            }
            Some(Tell::AcceptAsked(asked)) => {
                let number = asked.number;
                self.call(
                    link,
                    Call::ConfirmAccept(proto::ConfirmAccept { number }),
                    out,
                );
            }
            Some(Tell::LocalInvitationEnded(ended)) => tell(News::Invited(ended.number)),
            _ => {}
        }
    }
}

const PEER_MESSAGE: u32 = 17;
const CHANNEL_MESSAGE: u32 = 18;
const MEMBER_JOINED: u32 = 19;
const MEMBER_LEFT: u32 = 20;
const MEMBER_COUNT: u32 = 21;
const CHANNEL_ATTRIBUTES: u32 = 22;
const PRESENCE_CHANGED: u32 = 23;

fn tell_body(message: &[u8], tell: &mut dyn FnMut(News<'_>)) {
    if let Some(body) = body_in(message) {
        tell(News::Delivery(body));
    }
}

fn text(body: &[u8]) -> proto::Message {
    proto::Message {
        body: Some(proto::message::Body::Text(body.to_vec().into())),
        ..Default::default()
    }
}

fn write(message: Option<Ask>, confirm: u64, out: &mut Out<'_>) {
    let frame = ClientFrame {
        messages: message
            .map(|kind| ClientMessage { kind: Some(kind) })
            .into_iter()
            .collect(),
        confirm,
    };
    out.send(Kind::Binary, &frame::encode_client(&frame));
}

impl Driver for Tidings {
    fn path(&self, _link: usize) -> String {
        "/rtm".into()
    }

    fn protocol(&self) -> &'static str {
        "tidings.v1"
    }

    fn has_echo(&self) -> bool {
        false
    }

    fn has_receipts(&self) -> bool {
        true
    }

    fn opened(&mut self, link: usize, out: &mut Out<'_>) {
        // A session starts: counts of an earlier one no longer apply.
        *self.state(link) = State::default();
        let login = proto::Login {
            app_id: APP.into(),
            user_id: user(self.first + link),
            token: String::new(),
            client: "tidings-load".into(),
            ..proto::Login::default()
        };
        write(Some(Ask::Login(login)), 0, out);
    }

    fn join(&mut self, link: usize, room: usize, out: &mut Out<'_>) {
        let call = Call::Join(proto::Join {
            channel: format!("room{room}"),
        });
        let cseq = self.call(link, call, out);
        self.state(link).joining = cseq;
    }

    fn publish(&mut self, link: usize, room: usize, body: &[u8], out: &mut Out<'_>) -> u64 {
        let call = Call::SendToChannel(proto::SendToChannel {
            channel: format!("room{room}"),
            message: Some(text(body)),
            history: false,
        });
        self.call(link, call, out)
    }

    fn message(&mut self, link: usize, to: usize, body: &[u8], out: &mut Out<'_>) -> u64 {
        let peer = user(self.first + to);
        self.send_to(link, peer, body, false, out)
    }

    fn take(
        &mut self,
        link: usize,
        _kind: Kind,
        payload: &[u8],
        out: &mut Out<'_>,
        tell: &mut dyn FnMut(News<'_>),
    ) {
        // ServerFrame.messages is field 1: a tag, a length and a message, repeated.
        let mut rest = payload;
        while let [0x0a, after @ ..] = rest {
            let mut after = after;
            let Ok(len) = prost::decode_length_delimiter(&mut after) else {
                return;
            };
            if len > after.len() {
                return;
            }
            self.take_message(link, &after[..len], out, tell);
            rest = &after[len..];
        }
        let state = self.state(link);
        if state.received - state.confirmed >= CONFIRM_MESSAGES {
            self.confirm(link, out);
        }
    }

    fn tick(&mut self, link: usize, out: &mut Out<'_>) {
        self.confirm(link, out);
    }

    fn tidings(&mut self) -> Option<&mut Tidings> {
        Some(self)
    }
}

/// The id of a user.
pub(crate) fn user(number: usize) -> String {
    format!("user{number}")
}
