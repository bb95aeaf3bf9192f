//! What each server is told, and how its frames are read.

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

/// What a server's frame meant.
#[derive(Debug)]
pub(crate) enum News<'a> {
    /// The connection may be used.
    LoggedIn,
    /// A room was joined.
    Joined,
    /// Somebody's message, whose stamp begins here.
    Delivery(&'a [u8]),
    /// Something else that members or watchers are told: a presence, attributes.
    Event,
    /// The call of this number has succeeded.
    Answered(u64),
    /// The invitation of this number was accepted.
    Invited(u64),
    /// The login is to be tried again after so many milliseconds; the connection ends.
    ComeAgain(u32),
    /// The server has refused something, in these words.
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

    /// Whether the server tells a sender that its message has been received. If not, the receiver
    /// answers with a message of its own.
    fn has_receipts(&self) -> bool {
        false
    }

    /// Whether an open connection is logged in and in its room already, by its path.
    fn is_in_when_open(&self) -> bool {
        false
    }

    /// A connection is open: log in.
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

    /// Once a second: what a client does by its clock.
    fn tick(&mut self, _link: usize, _out: &mut Out<'_>) {}

    /// The driver of our own server, for scenarios that only it has.
    fn tidings(&mut self) -> Option<&mut tidings::Tidings> {
        None
    }
}

/// The driver of a name; `first` is the number of this process's first user, `members` those of a
/// room.
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

/// Where the stamp of a body begins; bodies are told from everything else by it.
pub(crate) const MARK: &[u8] = b"~T~";

/// The part of a frame from the stamp on, if it has one.
pub(crate) fn body_in(payload: &[u8]) -> Option<&[u8]> {
    // Made once: making it costs more than a search.
    static FINDER: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(MARK));
    let at = FINDER.find(payload)?;
    Some(&payload[at + MARK.len()..])
}
