//! A hand-written client: frames as a test provides them, which the client core would never send.

use tidings_hub::Input;
use tidings_hub::ids::{ConnectionId, HubId};
use tidings_wire::frame::{decode_server, is_numbered};
use tidings_wire::proto::{
    ClientFrame, ClientMessage, Login, Refused, Reply, Request, Resume, Resumed, Welcome,
    client_message, request, server_message::Kind,
};
use tidings_wire::ws;

use crate::world::{APP_ID, ClientId, Wire, World};

/// The number of a client that raw connections do not have: it stands for all of them.
const NOBODY: ClientId = ClientId(usize::MAX);

/// What has arrived on a raw connection.
#[derive(Debug, Default)]
pub(crate) struct Line {
    pub(crate) kinds: Vec<Kind>,
    pub(crate) is_closed: bool,
}

impl World {
    /// Opens a connection to a hub at once.
    pub(crate) fn open_raw(&mut self, hub: u16) -> ConnectionId {
        self.connections += 1;
        let id = ConnectionId(self.connections);
        let limits = ws::Limits {
            message_bytes_max: 1 << 20,
            fragments_max: 64,
        };
        let wire = Wire {
            client: NOBODY,
            connection: id.0,
            hub: HubId::local(hub % self.config.hubs),
            is_half_open: false,
            to_client: ws::Decoder::new(ws::Role::Client, limits),
            to_client_ms: self.now_ms,
            to_hub_ms: self.now_ms,
        };
        let hub = wire.hub;
        self.wires.insert(id, wire);
        self.lines.insert(id, Line::default());
        self.give_hub(hub, Input::Opened { connection: id });
        id
    }

    /// Sends a message with a confirmation; it arrives at once.
    pub(crate) fn send_raw(
        &mut self,
        line: ConnectionId,
        kind: client_message::Kind,
        confirm: u64,
    ) {
        let frame = ClientFrame {
            messages: vec![ClientMessage { kind: Some(kind) }],
            confirm,
        };
        let bytes = tidings_wire::frame::encode_client(&frame);
        self.arrive_at_hub(line, bytes.to_vec());
    }

    /// Sends a request.
    pub(crate) fn request_raw(&mut self, line: ConnectionId, cseq: u64, call: request::Call) {
        let call = Some(call);
        let request = client_message::Kind::Request(Request { cseq, call });
        self.send_raw(line, request, 0);
    }

    /// Sends a login.
    pub(crate) fn login_raw(&mut self, line: ConnectionId, user: &str, token: &str) {
        let login = Login {
            app_id: APP_ID.into(),
            user_id: user.into(),
            token: token.into(),
            client: "raw".into(),
            ..Login::default()
        };
        self.send_raw(line, client_message::Kind::Login(login), 0);
    }

    /// Sends a resume of a welcome's session.
    pub(crate) fn resume_raw(&mut self, line: ConnectionId, user: &str, welcome: &Welcome) {
        self.resume_raw_from(line, user, welcome, 0, "");
    }

    /// The same, with a confirmation number and a token.
    pub(crate) fn resume_raw_from(
        &mut self,
        line: ConnectionId,
        user: &str,
        welcome: &Welcome,
        confirm: u64,
        token: &str,
    ) {
        let resume = Resume {
            app_id: APP_ID.into(),
            user_id: user.into(),
            session_id: welcome.session_id.clone(),
            secret: welcome.secret.clone(),
            confirm,
            token: token.into(),
        };
        self.send_raw(line, client_message::Kind::Resume(resume), 0);
    }

    /// Breaks the connection; the hub notices at once.
    pub(crate) fn break_raw(&mut self, line: ConnectionId) {
        self.close_hub(line);
    }

    /// Whether the server has closed the connection.
    pub(crate) fn is_closed(&self, line: ConnectionId) -> bool {
        self.lines.get(&line).is_some_and(|line| line.is_closed)
    }

    /// All messages that have arrived.
    pub(crate) fn kinds(&self, line: ConnectionId) -> &[Kind] {
        self.lines.get(&line).map_or(&[], |line| &line.kinds)
    }

    /// The numbered messages that have arrived.
    pub(crate) fn numbered(&self, line: ConnectionId) -> Vec<&Kind> {
        let kinds = self.kinds(line).iter();
        kinds.filter(|kind| is_numbered(kind)).collect()
    }

    /// The last welcome.
    pub(crate) fn welcome(&self, line: ConnectionId) -> Option<Welcome> {
        self.kinds(line).iter().rev().find_map(|kind| match kind {
            Kind::Welcome(welcome) => Some(welcome.clone()),
            _ => None,
        })
    }

    /// The answer to a resume.
    pub(crate) fn resumed(&self, line: ConnectionId) -> Option<Resumed> {
        self.kinds(line).iter().rev().find_map(|kind| match kind {
            Kind::Resumed(resumed) => Some(resumed.clone()),
            _ => None,
        })
    }

    /// Why a login or a resume was not accepted.
    pub(crate) fn refused(&self, line: ConnectionId) -> Option<Refused> {
        self.kinds(line).iter().rev().find_map(|kind| match kind {
            Kind::Refused(refused) => Some(refused.clone()),
            _ => None,
        })
    }

    /// The replies to a request.
    pub(crate) fn replies(&self, line: ConnectionId, cseq: u64) -> Vec<&Reply> {
        let replies = self.kinds(line).iter().filter_map(|kind| match kind {
            Kind::Reply(reply) if reply.cseq == cseq => Some(reply),
            _ => None,
        });
        replies.collect()
    }

    /// Delivers the server's bytes to a raw connection. `false` = they are for a client.
    pub(crate) fn take_raw(&mut self, wire: ConnectionId, payloads: &[bytes::Bytes]) -> bool {
        let Some(line) = self.lines.get_mut(&wire) else {
            return false;
        };
        for payload in payloads {
            if let Ok(frame) = decode_server(payload) {
                let kinds = frame.messages.into_iter().filter_map(|one| one.kind);
                line.kinds.extend(kinds);
            }
        }
        true
    }

    /// The server's end of a raw connection is closed.
    pub(crate) fn close_raw(&mut self, wire: ConnectionId) {
        if let Some(line) = self.lines.get_mut(&wire) {
            line.is_closed = true;
        }
    }
}
