//! What a connection tells its host.

use bytes::Bytes;

use crate::decode::{Message, ProtocolError};
use crate::info::Info;
use crate::options::HANDSHAKE_WAIT_MS;
use crate::outbox::Full;
use crate::refusal::Refusal;
use crate::subject::SubjectError;

/// What comes of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The host is to begin TLS on the socket, and to call [`crate::Connection::secured`] when it is
    /// done.
    StartTls,
    /// Everything may be sent. Subscriptions are to be made (again).
    Up(Box<Up>),
    /// The server tells of other addresses of its cluster than before.
    Servers(Vec<String>),
    /// A message for a subscription.
    Message(Message),
    /// Nobody has subscribed to what was published with this subject for its answer.
    NoResponders {
        /// Where the answer was wanted.
        subject: Bytes,
    },
    /// The answer to a [`crate::Connection::ping`].
    Pong,
    /// A message was larger than is taken, and was passed over.
    TooLarge {
        /// Which subscription it was for.
        sid: u64,
        /// Its length in bytes.
        bytes: usize,
    },
    /// The server has not done something, such as a subscription that it does not allow.
    Complaint(String),
    /// The server will not have us; the connection is over.
    Refused(Refusal),
    /// The connection is over.
    Gone(Gone),
}

/// A connection that works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Up {
    /// The largest payload that may be published, in bytes.
    pub payload_max: usize,
    /// Publications that had waited for a connection and were left out: too large for this server,
    /// or requests that were too old.
    pub dropped: usize,
    /// What the server says of itself.
    pub info: Info,
}

impl Up {
    /// How many servers its cluster has, as far as it tells: 1 = it is alone.
    pub fn servers(&self) -> usize {
        // A server of a cluster may keep the others' addresses to itself.
        let least = if self.info.cluster.is_some() { 2 } else { 1 };
        self.info.connect_urls.len().max(least)
    }
}

/// Why a connection is over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Gone {
    /// The server did not complete the handshake.
    #[error("it did not {0} within {HANDSHAKE_WAIT_MS} ms")]
    Handshake(&'static str),
    /// The server has said nothing while a PONG was due.
    #[error("it said nothing for {0} ms, and did not answer a PING")]
    Silent(u64),
    /// The server sent what is not the protocol.
    #[error("it does not speak the NATS protocol: {0}")]
    Protocol(#[from] ProtocolError),
    /// Something came in clear after the INFO of a server that is to speak TLS.
    #[error("it sent something in clear where TLS must begin")]
    ClearText,
    /// The server sent something else than INFO first, or a message before anybody has subscribed.
    #[error("it sent {0} before the handshake was done")]
    Early(&'static str),
    /// The server ended it, with these words.
    #[error("it ended the connection: {0}")]
    Server(String),
}

/// Why something is not published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The server would close the connection.
    #[error("a payload of {bytes} bytes is larger than the {max} bytes that the NATS server takes")]
    TooLarge {
        /// The payload's length.
        bytes: usize,
        /// The server's maximum, or ours while there is no server.
        max: usize,
    },
    /// Too much waits to be written.
    #[error(transparent)]
    Full(#[from] Full),
    /// A subject is none.
    #[error(transparent)]
    Subject(#[from] SubjectError),
}
