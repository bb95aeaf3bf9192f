//! The simplest possible protocol, spoken by the floor program and by the small servers in
//! `peers/`: a letter, a name up to a space, a body. `L<user>` logs in and is answered `l`;
//! `S<room>` joins and is answered `s`; `P<room> <body>` goes to the other members of the room,
//! `M<user> <body>` to one user, as the body alone.

use tidings_wire::ws::Kind;

use super::{Driver, News, body_in};
use crate::link::Out;

pub(crate) struct Plain {
    first: usize,
    text: Vec<u8>,
}

impl Plain {
    pub(crate) fn new(first: usize) -> Self {
        Self {
            first,
            text: Vec::new(),
        }
    }

    fn say(&mut self, letter: char, name: usize, body: &[u8], out: &mut Out<'_>) {
        self.text.clear();
        self.text
            .extend_from_slice(format!("{letter}{name}").as_bytes());
        if !body.is_empty() {
            self.text.push(b' ');
            self.text.extend_from_slice(body);
        }
        out.send(Kind::Binary, &self.text);
    }
}

impl Driver for Plain {
    fn path(&self, _link: usize) -> String {
        "/".into()
    }

    fn protocol(&self) -> &'static str {
        ""
    }

    fn has_echo(&self) -> bool {
        false
    }

    fn opened(&mut self, link: usize, out: &mut Out<'_>) {
        self.say('L', self.first + link, b"", out);
    }

    fn join(&mut self, _link: usize, room: usize, out: &mut Out<'_>) {
        self.say('S', room, b"", out);
    }

    fn publish(&mut self, _link: usize, room: usize, body: &[u8], out: &mut Out<'_>) -> u64 {
        self.say('P', room, body, out);
        0
    }

    fn message(&mut self, _link: usize, to: usize, body: &[u8], out: &mut Out<'_>) -> u64 {
        self.say('M', self.first + to, body, out);
        0
    }

    fn take(
        &mut self,
        _link: usize,
        _kind: Kind,
        payload: &[u8],
        _out: &mut Out<'_>,
        tell: &mut dyn FnMut(News<'_>),
    ) {
        match payload {
            b"l" => tell(News::LoggedIn),
            b"s" => tell(News::Joined),
            _ => match body_in(payload) {
                Some(body) => tell(News::Delivery(body)),
                None => tell(News::Refused(String::from_utf8_lossy(payload).into_owned())),
            },
        }
    }
}
