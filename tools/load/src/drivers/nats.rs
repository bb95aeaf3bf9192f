//! NATS over WebSocket: its text protocol in binary frames. Rooms and users are subjects.

use tidings_wire::ws::Kind;

use super::{Driver, MARK, News};
use crate::link::Out;

pub(crate) struct Nats {
    first: usize,
    /// The rest of a frame that ended within a message, by connection.
    rests: Vec<Vec<u8>>,
    logged_in: Vec<bool>,
}

impl Nats {
    pub(crate) fn new(first: usize) -> Self {
        Self {
            first,
            rests: Vec::new(),
            logged_in: Vec::new(),
        }
    }

    fn publish_to(subject: &str, body: &[u8], out: &mut Out<'_>) {
        let mut text = format!("PUB {subject} {}\r\n", body.len()).into_bytes();
        text.extend_from_slice(body);
        text.extend_from_slice(b"\r\n");
        out.send(Kind::Binary, &text);
    }
}

impl Driver for Nats {
    fn path(&self, _link: usize) -> String {
        "/".into()
    }

    fn protocol(&self) -> &'static str {
        ""
    }

    /// `echo: false` is requested when connecting.
    fn has_echo(&self) -> bool {
        false
    }

    fn opened(&mut self, link: usize, out: &mut Out<'_>) {
        if self.rests.len() <= link {
            self.rests.resize(link + 1, Vec::new());
            self.logged_in.resize(link + 1, false);
        }
        let user = self.first + link;
        let text = format!(
            "CONNECT {{\"verbose\":false,\"pedantic\":false,\"echo\":false,\"lang\":\"load\",\"version\":\"1\",\
             \"protocol\":1}}\r\nSUB user.{user} 1\r\nPING\r\n"
        );
        out.send(Kind::Binary, text.as_bytes());
    }

    fn join(&mut self, _link: usize, room: usize, out: &mut Out<'_>) {
        out.send(
            Kind::Binary,
            format!("SUB room.{room} 2\r\nPING\r\n").as_bytes(),
        );
    }

    fn publish(&mut self, _link: usize, room: usize, body: &[u8], out: &mut Out<'_>) -> u64 {
        Self::publish_to(&format!("room.{room}"), body, out);
        0
    }

    fn message(&mut self, _link: usize, to: usize, body: &[u8], out: &mut Out<'_>) -> u64 {
        Self::publish_to(&format!("user.{}", self.first + to), body, out);
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
        if self.rests.len() <= link {
            // INFO arrives before we send anything.
            self.rests.resize(link + 1, Vec::new());
            self.logged_in.resize(link + 1, false);
        }
        let mut held = std::mem::take(&mut self.rests[link]);
        let bytes = if held.is_empty() {
            payload
        } else {
            held.extend_from_slice(payload);
            &held
        };
        let mut at = 0;
        while let Some(end) = memchr::memmem::find(&bytes[at..], b"\r\n") {
            let line = &bytes[at..at + end];
            let after = at + end + 2;
            if line.starts_with(b"MSG ") {
                let Some(len) = length(line) else {
                    tell(News::Refused("a MSG without a length".into()));
                    return;
                };
                if bytes.len() < after + len + 2 {
                    break;
                }
                let body = &bytes[after..after + len];
                tell(News::Delivery(body.strip_prefix(MARK).unwrap_or(body)));
                at = after + len + 2;
                continue;
            }
            at = after;
            match line {
                b"PING" => out.send(Kind::Binary, b"PONG\r\n"),
                b"PONG" if self.logged_in[link] => tell(News::Joined),
                b"PONG" => {
                    self.logged_in[link] = true;
                    tell(News::LoggedIn);
                }
                line if line.starts_with(b"-ERR") => {
                    tell(News::Refused(String::from_utf8_lossy(line).into_owned()));
                }
                _ => {}
            }
        }
        self.rests[link] = bytes[at..].to_vec();
    }
}

fn length(line: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(line).ok()?;
    text.rsplit(' ').next()?.parse().ok()
}
