//! Socket.IO over its WebSocket transport, with the small server in `peers/socketio.mjs`.

use tidings_wire::ws::Kind;

use super::{Driver, News, body_in};
use crate::link::Out;

pub(crate) struct SocketIo {
    first: usize,
}

impl SocketIo {
    pub(crate) fn new(first: usize) -> Self {
        Self { first }
    }
}

fn emit(event: &str, name: usize, body: &[u8], out: &mut Out<'_>) {
    let body = String::from_utf8_lossy(body);
    out.send(
        Kind::Text,
        format!("42[\"{event}\",\"{name}\",\"{body}\"]").as_bytes(),
    );
}

impl Driver for SocketIo {
    fn path(&self, _link: usize) -> String {
        "/socket.io/?EIO=4&transport=websocket".into()
    }

    fn protocol(&self) -> &'static str {
        ""
    }

    fn has_echo(&self) -> bool {
        false
    }

    fn opened(&mut self, _link: usize, out: &mut Out<'_>) {
        out.send(Kind::Text, b"40");
    }

    fn join(&mut self, _link: usize, room: usize, out: &mut Out<'_>) {
        emit("join", room, b"", out);
    }

    fn publish(&mut self, _link: usize, room: usize, body: &[u8], out: &mut Out<'_>) -> u64 {
        emit("pub", room, body, out);
        0
    }

    fn message(&mut self, _link: usize, to: usize, body: &[u8], out: &mut Out<'_>) -> u64 {
        emit("msg", self.first + to, body, out);
        0
    }

    fn take(
        &mut self,
        link: usize,
        _kind: Kind,
        payload: &[u8],
        out: &mut Out<'_>,
        tell: &mut dyn FnMut(News<'_>),
    ) {
        match payload {
            [b'2', ..] => out.send(Kind::Text, b"3"),
            [b'4', b'0', ..] => emit("login", self.first + link, b"", out),
            b"42[\"in\"]" => tell(News::LoggedIn),
            b"42[\"joined\"]" => tell(News::Joined),
            [b'4', b'4', ..] => tell(News::Refused(String::from_utf8_lossy(payload).into_owned())),
            _ => {
                if let Some(body) = body_in(payload) {
                    tell(News::Delivery(body));
                }
            }
        }
    }
}
