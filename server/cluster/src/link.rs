//! What a hub's connection to NATS tells, and what it is told.

use bytes::Bytes;

/// What a hub's connection to NATS tells.
///
/// Order: as it happened on the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkEvent {
    /// The connection is there, or there again. It has no subscriptions.
    Up {
        /// Longest payload that the server takes, in bytes.
        max_payload: usize,
        /// How many servers its cluster has, as far as this one knows; at least 1.
        servers: usize,
    },
    /// The connection is lost. What it was told to publish waits; its subscriptions are over.
    Down,
    /// So much waits to be sent that publications are not taken for now.
    Full,
    /// There is room again after `Full`.
    Room,
    /// A message for one of the connection's subscriptions.
    Message {
        /// The subscription, as it was numbered.
        sid: u64,
        /// The message's subject.
        subject: Bytes,
        /// Where an answer goes.
        reply: Option<Bytes>,
        /// What it says.
        payload: Bytes,
    },
    /// Nobody is subscribed to the subject of a request.
    NoResponders {
        /// Where the answer to the request would have gone.
        subject: Bytes,
    },
    /// The server has done everything that preceded the earliest unanswered `Ping`.
    Pong,
}

/// What a hub's connection to NATS is to do.
///
/// Order: as it was said. Without a connection a `Publish` waits, and everything else is left out;
/// what waits is sent after what is said when `Up` is heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkOp {
    /// Begins a subscription.
    Subscribe {
        /// Numbers it; never used again on the connection.
        sid: u64,
        /// What it is for; the last token may be `*`.
        subject: String,
    },
    /// Ends a subscription.
    Unsubscribe {
        /// As it was numbered.
        sid: u64,
    },
    /// Publishes a message.
    Publish {
        /// To whom: one subject, without `*`.
        subject: String,
        /// Where answers go, and the word that nobody is there.
        reply: Option<String>,
        /// What it says.
        payload: Vec<u8>,
    },
    /// Asks for a `Pong`.
    Ping,
}
