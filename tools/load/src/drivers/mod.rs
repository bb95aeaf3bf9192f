//! What is sent to each kind of server, and how its frames are read.

mod centrifugo;
mod mqtt;
mod nats;
mod nchan;
mod plain;
mod socketio;
pub(crate) mod sockudo;
pub(crate) mod tidings;

use std::sync::LazyLock;

use anyhow::{Result, bail};
use memchr::memmem;
use tidings_wire::ws::Kind;

use crate::link::Out;
use centrifugo::{Centrifugo, Version};

/// The meaning of a server's frame.
#[derive(Debug)]
pub(crate) enum News<'a> {
    /// The connection is ready.
    LoggedIn,
    /// A room was joined.
    Joined,
    /// A message, whose stamp starts here.
    Delivery(&'a [u8]),
    /// Another event for members or watchers: presence or attributes.
    Event,
    /// The call of this number has succeeded.
    Answered(u64),
    /// The invitation of this number was accepted.
    Invited(u64),
    /// The login must be retried after this many milliseconds; the connection ends.
    ComeAgain(u32),
    /// The server has refused something, with this text.
    Refused(String),
}

/// One server's protocol, for all connections of this process.
pub(crate) trait Driver {
    /// Path of a connection's WebSocket.
    fn path(&self, link: usize) -> String;

    /// Sub-protocol; empty = none.
    fn protocol(&self) -> &'static str;

    /// Whether a sender of a room gets its own message.
    fn has_echo(&self) -> bool;

    /// Whether the server confirms to a sender that its message was received. If not, the receiver
    /// answers with a message of its own.
    fn has_receipts(&self) -> bool {
        false
    }

    /// Whether the path alone logs an open connection in and joins its room.
    fn is_in_when_open(&self) -> bool {
        false
    }

    /// Logs in on an open connection.
    fn opened(&mut self, link: usize, out: &mut Out<'_>);

    /// Joins a room.
    fn join(&mut self, link: usize, room: usize, out: &mut Out<'_>);

    /// Sends to all members of a room. Returns the call's number, if it gets an answer.
    fn publish(&mut self, link: usize, room: usize, body: &[u8], out: &mut Out<'_>) -> u64;

    /// Sends to the user of a connection. Returns the call's number, if it gets an answer.
    fn message(&mut self, link: usize, to: usize, body: &[u8], out: &mut Out<'_>) -> u64;

    /// Reads a frame.
    fn take(
        &mut self,
        link: usize,
        kind: Kind,
        payload: &[u8],
        out: &mut Out<'_>,
        tell: &mut dyn FnMut(News<'_>),
    );

    /// Once a second: what a client does on a timer.
    fn tick(&mut self, _link: usize, _out: &mut Out<'_>) {}

    /// The driver for Tidings, for scenarios that only it supports.
    fn tidings(&mut self) -> Option<&mut tidings::Tidings> {
        None
    }
}

/// The driver with this name; `first` is the number of this process's first user, `members` the
/// size of a room.
pub(crate) fn of_name(name: &str, first: usize, members: usize) -> Result<Box<dyn Driver>> {
    Ok(match name {
        "tidings" => Box::new(tidings::Tidings::new(first)),
        "plain" | "floor" | "uws" | "ws" => Box::new(plain::Plain::new(first)),
        "nats" => Box::new(nats::Nats::new(first)),
        "mosquitto" => Box::new(mqtt::Mqtt::new(first)),
        "socketio" => Box::new(socketio::SocketIo::new(first)),
        "sockudo" => Box::new(sockudo::Sockudo::new(first)),
        "nchan" => Box::new(nchan::Nchan::new(first, members)),
        "centrifuge" => Box::new(Centrifugo::new(first, Version::V1)),
        "centrifugo" => Box::new(Centrifugo::new(first, Version::V2)),
        other => bail!(
            "there is no driver {other:?}; there are tidings, floor, uws, ws, socketio, nats, mosquitto, sockudo, \
             nchan, centrifuge, centrifugo"
        ),
    })
}

/// Where the stamp of a body starts; it distinguishes bodies from everything else.
pub(crate) const MARK: &[u8] = b"~T~";

/// The part of a frame from the stamp on, if there is one.
pub(crate) fn body_in(payload: &[u8]) -> Option<&[u8]> {
    // Built once, because building it costs more than a search.
    static FINDER: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(MARK));
    let at = FINDER.find(payload)?;
    Some(&payload[at + MARK.len()..])
}
