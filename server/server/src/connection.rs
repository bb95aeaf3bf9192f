//! One connection, as its hub's thread keeps it.

use std::net::IpAddr;
use std::time::SystemTime;

use tidings_hub::Wish;
use tidings_hub::ids::{ConnectionId, HubId};
use tidings_wire::limits::{FRAME_BYTES_MAX, FRAME_FRAGMENTS_MAX, LOGIN_FRAME_BYTES_MAX};
use tidings_wire::rates::Bucket;
use tidings_wire::ws::{Decoder, Limits, Role};

use crate::gate::{Full, StrangerPlace};
use crate::lanes::LaneId;
use crate::origins::StatedPage;
use crate::outgoing::Outgoing;
use crate::stream::Stream;

/// One connection. Idle, it owns the socket, a few empty queues and nothing on the heap but eight
/// places for frames.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    pub(crate) stream: Stream,
    pub(crate) outgoing: Outgoing,
    pub(crate) decoder: Decoder,
    pub(crate) stage: Stage,
    pub(crate) flags: Flags,
    /// Those that it takes turns with.
    pub(crate) lane: LaneId,
    /// What it has had of its rate of messages.
    pub(crate) work: Bucket,
    /// What few connections have at a time; none of those that are logged in and idle.
    pub(crate) extra: Option<Box<Extra>>,
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
    /// It has sent more than its rate allows: nothing is read of it until its time comes.
    pub(crate) is_throttled: bool,
    /// It speaks the legacy protocol: a translator stands between it and the hub.
    pub(crate) is_legacy: bool,
    /// Its client is part of a backend, and has no rates.
    pub(crate) is_service: bool,
    /// The loop hears of it. One that is answered with what it has said first never needs that.
    pub(crate) is_registered: bool,
    /// The last read took all that had come.
    pub(crate) is_drained: bool,
    /// What it has asked for was whole, and nothing stands behind it: it can be closed once it is
    /// answered.
    pub(crate) is_heard_out: bool,
}

/// What few connections have at a time.
#[derive(Debug, Default)]
pub(crate) struct Extra {
    /// Counts it among the strangers, as long as it is one, and while it is closing.
    pub(crate) stranger: Option<StrangerPlace>,
    /// The page that has opened it, until it has logged in; `None` = a program.
    pub(crate) page: Option<Box<StatedPage>>,
    /// The address that its proxy has stated; `None` = the socket's counts.
    pub(crate) forwarded: Option<IpAddr>,
    /// As whom it wants to log in.
    pub(crate) claimed: Option<Claimed>,
    /// Bytes that have been read and not decoded: its turn was over. Bound: what is read at once.
    pub(crate) unread: Unread,
    /// Since when, and when last, it was throttled.
    pub(crate) flood: Option<Flood>,
    /// Bytes that have arrived since it began to close.
    pub(crate) late_bytes: usize,
}

impl Extra {
    fn is_empty(&self) -> bool {
        self.stranger.is_none()
            && self.page.is_none()
            && self.unread.is_empty()
            && self.flood.is_none()
    }
}

/// What a client says of itself, until it is known to be true.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) app: String,
    pub(crate) user: String,
    /// When it began to log in, if somebody takes spans.
    pub(crate) began: Option<SystemTime>,
}

/// Bytes that wait to be decoded.
#[derive(Debug, Default)]
pub(crate) struct Unread {
    bytes: Vec<u8>,
    /// How many have been decoded.
    at: usize,
}

impl Unread {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.to_vec(),
            at: 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.at >= self.bytes.len()
    }

    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        &mut self.bytes[self.at..]
    }

    /// So many are left. Returns the whole, or nothing if none are.
    pub(crate) fn leave(mut self, left: usize) -> Self {
        debug_assert!(left <= self.bytes.len() - self.at);
        self.at = self.bytes.len() - left;
        match left {
            0 => Self::default(),
            _ => self,
        }
    }
}

/// A connection that keeps sending more than its rate allows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flood {
    /// Since when, in monotonic milliseconds.
    pub(crate) since_ms: u64,
    /// Until when it is throttled, or was, in monotonic milliseconds.
    pub(crate) until_ms: u64,
}

/// How far a connection has come.
#[derive(Debug)]
pub(crate) enum Stage {
    /// The TLS handshake or the head of the first request is arriving.
    Head(Box<Head>),
    /// A WebSocket without a session.
    Fresh(Fresh),
    /// A WebSocket with a session.
    Serving,
    /// It goes to another hub at the end of this turn; nothing is read meanwhile.
    Leaving(Box<Leaving>),
    /// The last has been queued; nothing that arrives counts.
    Closing(Closing),
}

/// What has come of a proxy's line before the first request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum ProxyLine {
    /// None so far.
    #[default]
    Awaited,
    /// It would come too late: the connection has carried another request before.
    Past,
    /// It was there, and may have said for whom it speaks.
    Taken(Option<IpAddr>),
}

/// What a connection needs until its first request is complete.
#[derive(Debug)]
pub(crate) struct Head {
    /// What has arrived. Bound: one read above `request_head_bytes_max`.
    pub(crate) bytes: Vec<u8>,
    /// For whom a proxy says that it forwards it, in a line before the request; believed of a
    /// trusted one only.
    pub(crate) proxy_line: ProxyLine,
    /// Why it is turned away, unless it asks for the server's health.
    pub(crate) turned_away: Option<Full>,
    /// When the connection is dropped, in monotonic milliseconds.
    pub(crate) due_ms: u64,
    /// Whether the TLS handshake is under way: the head gets time of its own after it.
    pub(crate) is_handshaking: bool,
}

/// What a connection has done without a session.
#[derive(Debug, Default)]
pub(crate) struct Fresh {
    /// Control frames so far: the login needs none, so few are borne.
    pub(crate) control_frames: u8,
    /// Messages so far: the login needs one, a resume that fails another.
    pub(crate) messages: u8,
    /// Resumes so far. They count as failures when neither a session nor a login follows.
    pub(crate) resumes: u8,
    /// A login of the node's was taken for it.
    pub(crate) is_charged: bool,
}

/// Where a connection goes.
#[derive(Debug)]
pub(crate) struct Leaving {
    pub(crate) to: HubId,
    pub(crate) wish: Wish,
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
    /// The end of what the client sends. Ending TCP earlier would make the client lose what it has
    /// not read.
    StreamEnd,
    /// Nothing: both sides have sent their close frames.
    Nothing,
}

/// A connection on its way to another hub.
#[derive(Debug)]
pub(crate) struct Handover {
    pub(crate) connection: Connection,
    pub(crate) wish: Wish,
    /// To be passed on.
    pub(crate) opened_ms: u64,
    /// Bytes that have been read and not decoded.
    pub(crate) rest: Vec<u8>,
}

/// A connection that has served pages, and wants something else now.
#[derive(Debug)]
pub(crate) struct Returned {
    pub(crate) tcp: std::net::TcpStream,
    pub(crate) tls: Option<Box<rustls::ServerConnection>>,
    /// The request, and what was read after it.
    pub(crate) bytes: Vec<u8>,
    pub(crate) stranger: StrangerPlace,
}

/// Control frames of a connection without a session. Source: contract 6.2.
pub(crate) const FRESH_CONTROL_FRAMES_MAX: u8 = 4;

impl Connection {
    pub(crate) fn new(
        id: ConnectionId,
        stream: Stream,
        head: Head,
        stranger: Option<StrangerPlace>,
    ) -> Self {
        let extra = Extra {
            stranger,
            ..Extra::default()
        };
        Self {
            id,
            stream,
            outgoing: Outgoing::default(),
            decoder: decoder(LOGIN_FRAME_BYTES_MAX),
            stage: Stage::Head(Box::new(head)),
            flags: Flags::default(),
            lane: LaneId::STRANGERS,
            work: Bucket::default(),
            extra: Some(Box::new(extra)),
        }
    }

    /// Whether the hub counts on it.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Fresh(_) | Stage::Serving)
    }

    /// The connection has logged in: it may send larger messages and no longer counts as a
    /// stranger.
    pub(crate) fn begin_serving(&mut self) {
        self.stage = Stage::Serving;
        self.decoder.set_limits(limits(FRAME_BYTES_MAX));
        if let Some(extra) = &mut self.extra {
            extra.stranger = None;
            extra.page = None;
            self.tidy();
        }
    }

    /// Where its client is, if the socket still knows.
    pub(crate) fn source(&self) -> Option<IpAddr> {
        let stated = self.extra.as_ref().and_then(|extra| extra.forwarded);
        let counted = self.stranger().map(StrangerPlace::address);
        stated.or(counted).or_else(|| self.stream.peer_address())
    }

    /// Whether it is a stranger: it has no session, and goes nowhere where it may have one.
    pub(crate) fn is_stranger(&self) -> bool {
        self.stranger().is_some()
    }

    /// Notes as whom its client wants to log in.
    pub(crate) fn claim(&mut self, app: &str, user: &str) {
        self.extra().claimed = Some(Claimed {
            app: app.to_owned(),
            user: user.to_owned(),
            began: tidings_spans::is_on().then(SystemTime::now),
        });
    }

    pub(crate) fn stranger(&self) -> Option<&StrangerPlace> {
        self.extra.as_ref()?.stranger.as_ref()
    }

    pub(crate) fn stranger_mut(&mut self) -> Option<&mut StrangerPlace> {
        self.extra.as_mut()?.stranger.as_mut()
    }

    /// What few connections have, made if it is not there.
    pub(crate) fn extra(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    /// Gives up the memory of what it has no longer.
    pub(crate) fn tidy(&mut self) {
        if self.extra.as_ref().is_some_and(|extra| extra.is_empty()) {
            self.extra = None;
        }
    }

    /// Takes what has been read and not decoded.
    pub(crate) fn take_unread(&mut self) -> Option<Unread> {
        let extra = self.extra.as_mut()?;
        (!extra.unread.is_empty()).then(|| std::mem::take(&mut extra.unread))
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
