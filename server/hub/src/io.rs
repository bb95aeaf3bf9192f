//! Everything that goes into a hub and everything that comes out.

use std::sync::Arc;

use bytes::Bytes;
use tidings_wire::codes::CloseCode;
use tidings_wire::proto::{ClientFrame, Login, Resume};

use crate::bus_ops::{BusInput, BusOp};
use crate::config::{Apps, Traits};
use crate::grant::Grant;
use crate::ids::{ConnectionId, HubId, InvitationId, UserKey};
use crate::moderation::words::{HeldMessage, ModerationRules, Verdict};
use crate::outside::{OutsideAnswer, OutsideCall};
use crate::rates::{Used, Word};
use crate::store_ops::{StoreAnswer, StoreOp};

/// Names a store operation of one hub, or a call from outside to it; unique per hub and life among
/// its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

impl Ticket {
    /// Of a store operation for whose answer nobody waits. A hub is told only that it has failed.
    pub const NOBODY: Self = Self(u64::MAX);
}

/// What the client of a connection that changes its hub has asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Wish {
    /// To go on with a session.
    Resume(Resume),
    /// To begin one. What is checked of a login is checked again.
    Login(Box<Login>),
}

/// What a hub is given: one thing that has happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A WebSocket was opened.
    Opened {
        /// A name for it that this node has never used.
        connection: ConnectionId,
    },
    /// Logs in a client whose credentials the caller has checked by its own rules (decision 0009).
    Admitted {
        /// Its connection, without a login.
        connection: ConnectionId,
        /// Who it is.
        user: UserKey,
        /// What it can do.
        traits: Traits,
        /// What its token gives.
        grant: Grant,
    },
    /// What is known of what a user has used of its rates; given right before its login or resume,
    /// if anything is.
    Recalled {
        /// The connection on which it comes.
        connection: ConnectionId,
        /// Who it says that it is.
        user: UserKey,
        /// As it was told by [`Effect::Used`], of whichever hub.
        used: Box<Used>,
    },
    /// A client that processes late has processed messages up to a number that it has confirmed.
    Processed {
        /// The connection of the client that has processed them.
        connection: ConnectionId,
        /// A server sequence.
        sseq: u64,
    },
    /// A client that processes late lets an invitation ring: only now its caller is told that it
    /// has it.
    Rung {
        /// The connection of the client that lets it ring.
        connection: ConnectionId,
        /// As the invitation came.
        id: InvitationId,
    },
    /// A client sent a frame.
    Frame {
        /// The connection on which the frame came.
        connection: ConnectionId,
        /// What it sent.
        frame: ClientFrame,
    },
    /// Bytes arrived that are no frame yet, or a WebSocket control frame: the client is alive.
    Heard {
        /// The connection on which something was heard.
        connection: ConnectionId,
    },
    /// A client sent something that is no frame. Its connection is closed, nothing else happens.
    Malformed {
        /// The connection that is to be closed.
        connection: ConnectionId,
    },
    /// More than a session's bound is waiting to be written: the client does not read.
    Stalled {
        /// The connection that does not take what is written.
        connection: ConnectionId,
    },
    /// Whoever writes the connections tells of those that [`crate::Hub::traced_connections`] has
    /// named: for message tracing only.
    Written {
        /// Everything that was queued for these is with the system. In rising order.
        written: Vec<ConnectionId>,
        /// These are gone. In rising order.
        gone: Vec<ConnectionId>,
    },
    /// A client has exceeded what any client may send for long enough to be sent away for a while
    /// (contract OVL-3).
    Flooded {
        /// The connection on which too much came.
        connection: ConnectionId,
    },
    /// A connection is gone, in whatever way, unless the hub closed or handed it over itself.
    Closed {
        /// The connection that is gone; its name is not used again.
        connection: ConnectionId,
    },
    /// Another hub of this node hands over a connection whose client resumes a session of this hub,
    /// or logs in as a service that has its sessions here.
    HandedOver {
        /// Its name, unchanged.
        connection: ConnectionId,
        /// What its client asked for.
        wish: Wish,
        /// When it was opened, by the clock that all hubs of the node share. Monotonic
        /// milliseconds.
        opened_ms: u64,
    },
    /// Somebody without a session calls. Whoever gives this has checked that it may be; rights and
    /// rates of the user that it speaks for do not apply, the app's quotas do. Answered by
    /// [`Effect::Answer`], in any case and once.
    Outside {
        /// Comes back with the answer; unique among the calls from outside of one hub and life.
        ticket: Ticket,
        /// What is asked or wanted, with the app that it is about.
        call: OutsideCall,
    },
    /// Which messages are held for the word of their app's backend; replaces what was before.
    Moderation(Arc<ModerationRules>),
    /// The word about a message that was held: [`Effect::Moderate`].
    Moderated {
        /// As it came with the question.
        ticket: Ticket,
        /// What is to become of the message.
        verdict: Box<Verdict>,
    },
    /// The bus has something.
    Bus(BusInput),
    /// The store has answered.
    Store {
        /// The ticket of the operation, as [`Effect::Store`] had it.
        ticket: Ticket,
        /// What has come of the operation.
        answer: StoreAnswer,
    },
    /// Read what the process before has left of invitations; once, after [`Input::Restore`].
    Load {
        /// Hubs of this node: each takes a share.
        hubs: u16,
        /// Tells the starts of the machine apart from which [`crate::Time::mono_ms`] counts; 0 = it
        /// counts from the start of the process.
        boot: u64,
    },
    /// The tenants are others now: settings and bans take effect at once, certificates with the
    /// next token.
    Apps(Arc<Apps>),
    /// The node's memory was measured. Given when it is short, again and again, and once when it is
    /// no longer.
    Memory(Pressure),
    /// The clock that orders the logins of a cluster is this much ahead of this node's, in
    /// milliseconds. Given when it has changed; it only rises.
    ClusterClock {
        /// To be added to [`crate::Time::mono_ms`] for the cluster's time.
        ahead_ms: u64,
    },
    /// Time has passed; given at the latest when `Hub::deadline` is reached.
    Tick,
    /// The process is about to end: nothing new is accepted, clients are sent away, spread over
    /// `HubConfig::drain_window_ms`.
    Drain,
    /// After `Drain`, when no hub has a connection left: senders that still wait get their answers,
    /// as far as there are any. When `Hub::is_settled` on all hubs, `Hub::snapshot` is complete.
    Settle,
    /// The first input of all: sessions that the process before has left.
    Restore(Box<crate::snapshot::Snapshot>),
}

/// What a hub wants done; carried out in the order in which effects are emitted.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Send these bytes: a whole WebSocket frame, shared by all its receivers.
    Send {
        /// The connection to write to.
        connection: ConnectionId,
        /// The frame as it goes over the wire.
        frame: Bytes,
    },
    /// Send the same bytes to many, in this order: one effect for a whole fan-out.
    SendAll {
        /// The connections to write to.
        connections: Vec<ConnectionId>,
        /// The frame as it goes over the wire.
        frame: Bytes,
    },
    /// Send what is waiting, then close the WebSocket. The connection's name is not used again.
    Close {
        /// The connection to close.
        connection: ConnectionId,
        /// The reason, which the client reads from the close frame.
        code: CloseCode,
    },
    /// Give the connection to another hub of this node, as `Input::HandedOver`.
    HandOver {
        /// The connection that changes its hub.
        connection: ConnectionId,
        /// The hub that has the session, on the same node.
        to: HubId,
        /// To be passed on.
        wish: Wish,
        /// To be passed on.
        opened_ms: u64,
    },
    /// Remember what a user has used of its rates, for all hubs of the node.
    Used {
        /// The user whose rates they are.
        user: UserKey,
        /// A login, a resume, or what a session that has ended had used.
        word: Word,
    },
    /// Answers what was asked from outside: [`Input::Outside`].
    Answer {
        /// As it came.
        ticket: Ticket,
        /// What has come of it.
        answer: OutsideAnswer,
    },
    /// Ask the app's backend about a message, which is held until then; answered by
    /// [`Input::Moderated`], and after the time of the app's rule not waited for.
    Moderate {
        /// Comes back with the word; unique among the questions of one hub and life.
        ticket: Ticket,
        /// What is asked.
        question: Box<HeldMessage>,
    },
    /// Do something on the bus.
    Bus(BusOp),
    /// Do something in the store.
    Store {
        /// Comes back with the answer.
        ticket: Ticket,
        /// The operation to carry out.
        op: StoreOp,
    },
}

/// Takes effects, in order.
pub trait Sink {
    /// Takes one effect.
    fn emit(&mut self, effect: Effect);
}

impl Sink for Vec<Effect> {
    fn emit(&mut self, effect: Effect) {
        self.push(effect);
    }
}

/// How short the node's memory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pressure {
    /// Not at all.
    #[default]
    None,
    /// Nobody else is let in, and buffers of sessions without a connection go, those of the longest
    /// away first.
    High {
        /// How many bytes this hub should free; it frees less if it holds less.
        excess_bytes: usize,
    },
    /// The clients for which most is waiting are sent away too, and what waits for them is dropped.
    Critical {
        /// How many bytes this hub should free, as in `High`.
        excess_bytes: usize,
    },
}
