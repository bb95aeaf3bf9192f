//! nginx with nchan: the path says which channel a connection subscribes to and publishes in,
//! frames are bodies.
//!
//! A connection has that one channel, so there are rooms but no users: `fanout`, `idle` and
//! `login`.

use tidings_wire::ws::Kind;

use super::{Driver, News, body_in};
use crate::link::Out;

pub(crate) struct Nchan {
    first: usize,
    /// Members of a room.
    members: usize,
}

impl Nchan {
    pub(crate) fn new(first: usize, members: usize) -> Self {
        let members = members.max(1);
        Self { first, members }
    }
}

impl Driver for Nchan {
    fn path(&self, link: usize) -> String {
        format!("/room/{}", (self.first + link) / self.members)
    }

    fn protocol(&self) -> &'static str {
        ""
    }

    /// Nothing distinguishes a publisher from the other subscribers.
    fn has_echo(&self) -> bool {
        true
    }

    fn is_in_when_open(&self) -> bool {
        true
    }

    fn opened(&mut self, _link: usize, _out: &mut Out<'_>) {}

    fn join(&mut self, _link: usize, _room: usize, _out: &mut Out<'_>) {}

    fn publish(&mut self, _link: usize, _room: usize, body: &[u8], out: &mut Out<'_>) -> u64 {
        out.send(Kind::Text, body);
        0
    }

    fn message(&mut self, link: usize, _to: usize, body: &[u8], out: &mut Out<'_>) -> u64 {
        self.publish(link, 0, body, out)
    }

    fn take(
        &mut self,
        _link: usize,
        _kind: Kind,
        payload: &[u8],
        _out: &mut Out<'_>,
        tell: &mut dyn FnMut(News<'_>),
    ) {
        if let Some(body) = body_in(payload) {
            tell(News::Delivery(body));
        }
    }
}
