//! One connection, as its hub's thread keeps it.

use tidings_hub::ids::{ConnectionId, HubId};
use tidings_wire::limits::{FRAME_BYTES_MAX, FRAME_FRAGMENTS_MAX, LOGIN_FRAME_BYTES_MAX};
use tidings_wire::proto::Resume;
use tidings_wire::ws::{Decoder, Limits, Role};

use crate::gate::Admission;
use crate::legacy::Legacy;
use crate::outgoing::Outgoing;
use crate::stream::Stream;

/// One connection. Idle, it owns the socket, a few empty queues and nothing on the heap but eight places for
/// frames.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    pub(crate) stream: Stream,
    pub(crate) outgoing: Outgoing,
    pub(crate) decoder: Decoder,
    pub(crate) stage: Stage,
    pub(crate) flags: Flags,
    /// Its translator, if it speaks the legacy protocol.
    pub(crate) legacy: Option<Box<Legacy>>,
}

/// What the loop remembers of a connection between two looks at it.
#[derive(Debug, Default)]
pub(crate) struct Flags {
    /// It is in the list of those to be written.
    pub(crate) is_dirty: bool,
    /// The socket takes no more until it says so.
    pub(crate) is_blocked: bool,
    /// It is in the list of those to be read.
    pub(crate) is_readable: bool,
    /// The client has announced its end, which stands behind what can still be read.
    pub(crate) is_read_closed: bool,
}

/// How far a connection has come.
#[derive(Debug)]
pub(crate) enum Stage {
    /// The TLS handshake or the head of the first request is arriving.
    Head(Box<Head>),
    /// A WebSocket without a session.
    Fresh(Box<Fresh>),
    /// A WebSocket with a session.
    Serving,
    /// It goes to another hub at the end of this turn; nothing is read meanwhile.
    Leaving(Box<Leaving>),
    /// The last has been queued; nothing that arrives counts.
    Closing(Closing),
}

/// What a connection needs until its first request is complete.
#[derive(Debug)]
pub(crate) struct Head {
    /// What has arrived. Bound: one read above `request_head_bytes_max`.
    pub(crate) bytes: Vec<u8>,
    pub(crate) admission: Admission,
    /// When the connection is dropped, in monotonic milliseconds.
    pub(crate) due_ms: u64,
    /// Whether the TLS handshake is under way: the head gets time of its own after it.
    pub(crate) is_handshaking: bool,
}

/// What a connection needs until it has a session.
#[derive(Debug)]
pub(crate) struct Fresh {
    /// Dropped when the connection has logged in or ended; told when a login has failed.
    pub(crate) admission: Admission,
    /// Control frames so far: the login needs none, so few are borne.
    pub(crate) control_frames: u8,
}

/// Where a connection goes.
#[derive(Debug)]
pub(crate) struct Leaving {
    pub(crate) to: HubId,
    pub(crate) resume: Resume,
    /// To be passed on.
    pub(crate) opened_ms: u64,
    /// What it was before, and is again.
    pub(crate) stage: Stage,
    /// Bytes that were read after the one that sent it away.
    pub(crate) rest: Vec<u8>,
}

/// What a closing connection waits for, once everything is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closing {
    /// The client's close frame.
    ClientClose,
    /// The end of what the client sends. Ending TCP earlier would make the client lose what it has not read.
    StreamEnd,
    /// Nothing: both sides have sent their close frames.
    Nothing,
}

/// A connection on its way to another hub.
#[derive(Debug)]
pub(crate) struct Handover {
    pub(crate) connection: Connection,
    pub(crate) resume: Resume,
    /// To be passed on.
    pub(crate) opened_ms: u64,
    /// Bytes that have been read and not decoded.
    pub(crate) rest: Vec<u8>,
}

/// Control frames of a connection without a session. Source: contract 6.2.
pub(crate) const FRESH_CONTROL_FRAMES_MAX: u8 = 4;

impl Connection {
    pub(crate) fn new(id: ConnectionId, stream: Stream, head: Head) -> Self {
        Self {
            id,
            stream,
            outgoing: Outgoing::default(),
            decoder: decoder(LOGIN_FRAME_BYTES_MAX),
            stage: Stage::Head(Box::new(head)),
            flags: Flags::default(),
            legacy: None,
        }
    }

    /// Whether the hub counts on it.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Fresh(_) | Stage::Serving)
    }

    /// The connection has logged in: it may send larger messages and no longer counts as a stranger.
    pub(crate) fn begin_serving(&mut self) {
        self.stage = Stage::Serving;
        self.decoder.set_limits(limits(FRAME_BYTES_MAX));
    }
}

/// A decoder for a client that may send messages of so many bytes.
pub(crate) fn decoder(message_bytes_max: usize) -> Decoder {
    Decoder::new(Role::Server, limits(message_bytes_max))
}

/// Limits of a decoder for messages of so many bytes.
pub(crate) fn limits(message_bytes_max: usize) -> Limits {
    Limits {
        message_bytes_max: u32::try_from(message_bytes_max).expect("limits.toml keeps it small"),
        fragments_max: u16::try_from(FRAME_FRAGMENTS_MAX).expect("limits.toml keeps it small"),
    }
}
