//! What a hub asks of the bus, and what the bus gives it: the hub owns this vocabulary.
//!
//! Contract of the bus:
//! - What one hub publishes to and asks of one topic reaches each subscriber in that order. Within
//!   a node there is one order per topic for all its subscribers, the publisher included.
//! - A publisher that is subscribed gets its own publications back, in their place in the topic's
//!   order.
//! - A subscription is in force for everything that the same hub does on the topic afterwards.
//! - An ask goes to every subscriber but the asker. If there is none, the asker gets `Nobody`, at
//!   once. Otherwise it gets what they answer, each answer with the number of hubs that were asked;
//!   the asker sets its own deadline.
//! - A message to be kept in the history is also given to the hub where the topic is at home,
//!   subscribed or not, as `Keep`, in the topic's order: that hub alone writes the channel's
//!   history.
//! - The stamps of a topic's messages never go back in its order, whatever clocks their hubs have
//!   (CRA-7).
//! - `Nobody` is only said when nobody was subscribed; what can be lost (between nodes) shows as
//!   silence.
//! - Answers of several nodes may state different numbers of hubs that were asked: the greatest is
//!   the one that is known best.
//! - What another node has published and this one has not had shows as `Missed`, in its place in
//!   the topic's order: before anything later of the same node.
//! - `NodeLost` comes after everything of the node's life that has ended, and before anything of
//!   a later one that has the same number.

use std::sync::Arc;

use bytes::Bytes;
use tidings_wire::frame::restamp;
use tidings_wire::names::ChannelName;
use tidings_wire::proto::{InvitationEnd, PresenceState};

use crate::ids::{ChannelKey, HubId, InvitationId, MessageId, SessionId, UserKey};
use crate::rates::Used;
use crate::store_ops::{HistoryLimits, HistoryMessage};

/// Where hubs meet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Subscribed by every hub that has a session of the user.
    User(UserKey),
    /// Subscribed by every hub that writes the record of an invitation which the user has sent.
    Calls(UserKey),
    /// Subscribed by every hub that has a member of the channel.
    Channel(ChannelKey),
    /// Subscribed by every hub that has a session which watches the user's presence.
    Presence(UserKey),
}

/// Names a question of one hub; unique per hub and life.
///
/// It travels with the question and comes back with each answer as it is, so that the asker learns
/// how many hubs were asked, whichever of them answers first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AskId {
    /// The asker's number.
    pub number: u64,
    /// How many hubs were asked: set by the bus on the way; 0 before.
    pub asked: u16,
}

impl AskId {
    /// A question that has not been asked yet.
    pub fn new(number: u64) -> Self {
        Self { number, asked: 0 }
    }
}

/// An operation on the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BusOp {
    /// Begins to get what is published to and asked of the topic.
    Subscribe(Topic),
    /// Ends what `Subscribe` has begun.
    Unsubscribe(Topic),
    /// Tells all subscribers.
    Publish {
        /// The topic whose subscribers are told.
        topic: Topic,
        /// What; shared by all receivers.
        message: Arc<Publication>,
    },
    /// Asks all subscribers but the asker.
    Ask {
        /// The topic whose subscribers are asked.
        topic: Topic,
        /// Comes back with the answer.
        ask: AskId,
        /// What; shared by all receivers.
        question: Arc<Question>,
    },
    /// Answers a question that came as `BusInput::Asked`.
    Answer {
        /// The hub that asked, and waits.
        to: HubId,
        /// As it came.
        ask: AskId,
        /// What this hub has to say to the question.
        answer: Answer,
    },
}

/// What the bus gives a hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BusInput {
    /// Something was published.
    Published {
        /// The topic on which it was published.
        topic: Topic,
        /// The hub that published it; may be this one.
        from: HubId,
        /// The publication, shared by all receivers.
        message: Arc<Publication>,
    },
    /// Something was asked.
    Asked {
        /// The topic whose subscribers were asked.
        topic: Topic,
        /// The hub that asked, to which the answer goes.
        from: HubId,
        /// To be given back with the answer.
        ask: AskId,
        /// The question, shared by all receivers.
        question: Arc<Question>,
    },
    /// A question was answered.
    Answered {
        /// The question, as the asker numbered it.
        ask: AskId,
        /// The hub that has answered.
        from: HubId,
        /// What that hub has to say.
        answer: Answer,
    },
    /// This hub must keep a message in the history of the topic's channel.
    Keep {
        /// Where it was published.
        topic: Topic,
        /// By whom: who waits for the answer.
        from: HubId,
        /// The message; its `keep` is there.
        message: Arc<Publication>,
    },
    /// Nobody is subscribed to the topic that was asked.
    Nobody {
        /// The question that nobody is going to answer.
        ask: AskId,
    },
    /// Publications of another node on a topic are lost on their way here.
    Missed {
        /// The topic, to which this hub is subscribed.
        topic: Topic,
        /// The hub of the other node that has sent on what any hub of that node has published.
        from: HubId,
        /// How many are lost; 0 = not known.
        count: u64,
    },
    /// A node is lost for good, with all that its hubs had: its lease is over, or another process
    /// has its number.
    NodeLost {
        /// Its number among the cluster's nodes, which another process may be given at once.
        node: u16,
    },
}

/// Orders the logins of one user over all hubs: the greatest wins.
///
/// By the opening of their connections, not by the arrival of what they say: a client that has
/// given a connection up and logged in over another one must not be thrown out when the network
/// delivers its first login after all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LoginStamp {
    /// When its connection was opened, in monotonic milliseconds of the node, or of the cluster
    /// ([`crate::Input::ClusterClock`]): the wall clock may go back.
    pub mono_ms: u64,
    /// By which hub.
    pub hub: HubId,
    /// Tells apart logins of one hub in one millisecond.
    pub count: u64,
}

/// What is told to a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Publication {
    /// User topic: the inbox has grown; a hub with a session of the user delivers it.
    InboxGrew,
    /// User topic: attributes of the user were written from outside; they end with its login.
    AttributesWritten,
    /// User topic: somebody watches the user's presence, so it must be known soon.
    Watched,
    /// User topic: something about an invitation that the user is sent. Calls topic: about one that
    /// it has sent.
    Invitation(InvitationWord),
    /// Presence topic: the user's state has changed.
    Presence {
        /// The new state.
        state: PresenceState,
        /// The login that the state belongs to: an older login's word does not count.
        stamp: LoginStamp,
    },
    /// Channel topic: a session has become a member.
    Joined {
        /// The sending hub's numbering of its changes to this channel, from 1 per `epoch`.
        seq: u64,
        /// Starts over each time the hub subscribes to the channel; rises.
        epoch: u64,
        /// The user who has become a member.
        user: UserKey,
        /// The session by which the user is a member.
        session: SessionId,
    },
    /// Channel topic: a session is no member any more.
    Left {
        /// As in `Joined`.
        seq: u64,
        /// As in `Joined`.
        epoch: u64,
        /// The former member.
        user: UserKey,
        /// The session by which the user was a member.
        session: SessionId,
    },
    /// Channel topic: a message for all members but its sender.
    Message {
        /// The sender's session, which gets no copy.
        sender: SessionId,
        /// The sender's request, answered when its own hub sees this message in the topic's order.
        cseq: u64,
        /// Unix milliseconds by the sender's hub, as `frame` and `keep` have it. The topic's home
        /// raises it where an earlier message of the topic has a later one (contract CRA-7).
        server_ts: u64,
        /// The whole WebSocket frame that every member is sent.
        frame: Bytes,
        /// The copy for the history, if the sender wants one.
        keep: Option<Box<Keep>>,
    },
    /// Channel topic: attributes have changed and members must be told.
    Attributes {
        /// Of the state that `frame` tells: a hub that has told a greater one drops this
        /// publication.
        revision: u64,
        /// The whole WebSocket frame that every member is sent, but for what follows.
        frame: Bytes,
        /// What members are sent whose clients do not know what libraries note.
        others: ForOthers,
    },
    /// Channel topic: the sender lacks changes of `origin` and asks it to publish a `Snapshot`.
    Resync {
        /// Whose changes are missing.
        origin: HubId,
    },
    /// Channel topic: the members that the sending hub has.
    Snapshot(Box<MemberSnapshot>),
}

impl Publication {
    /// The stamp of a message, in Unix milliseconds; `None` for everything else.
    pub fn server_ts(&self) -> Option<u64> {
        match self {
            Self::Message { server_ts, .. } => Some(*server_ts),
            _ => None,
        }
    }

    /// The same message with a later stamp, also in its copy for the history. What is no message
    /// stays as it is.
    pub fn raised(mut self, to_ts: u64) -> Self {
        if let Self::Message {
            server_ts,
            frame,
            keep,
            ..
        } = &mut self
        {
            *server_ts = to_ts;
            if let Some(raised) = restamp(frame, to_ts) {
                *frame = raised;
            }
            if let Some(keep) = keep {
                keep.message.server_ts = to_ts;
            }
        }
        self
    }
}

/// What members are sent whose clients do not know what libraries note of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForOthers {
    /// The same as everybody: nothing is noted.
    Same,
    /// Another whole WebSocket frame.
    Frame(Bytes),
    /// Nothing: only such notes have changed.
    Nothing,
}

/// A copy of a message for the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keep {
    /// Answered with `Stored` or `StoreFailed` when the copy is durable or cannot be stored.
    pub ask: AskId,
    /// The copy; the store assigns its `position`.
    pub message: HistoryMessage,
    /// Bounds of the history.
    pub limits: HistoryLimits,
}

/// What the hubs of caller and callee tell each other of an invitation.
///
/// The record is the caller's hub's; the callee's hub keeps what it needs to ring and to pass on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvitationWord {
    /// To the callee: ring, unless it rings already.
    Ring {
        /// The invitation that is to ring.
        id: InvitationId,
        /// Who invites; words back go to the topic of this user's calls.
        caller: UserKey,
        /// The whole WebSocket frame that the callee's client is sent.
        frame: Bytes,
    },
    /// To the callee: it has ended.
    Ended {
        /// The invitation that has ended.
        id: InvitationId,
        /// How it has ended, as clients are told.
        end: InvitationEnd,
    },
    /// To the caller.
    Back {
        /// The invitation that the callee's side speaks of.
        id: InvitationId,
        /// What the callee's side has to say.
        word: CalleeWord,
    },
    /// To whoever has what a process or a session before has left: the caller has logged in.
    CallerBack {
        /// What its client holds open; the rest ends.
        holds: Vec<InvitationId>,
    },
    /// To whoever has what a process before has left: another hub writes it from now on.
    TakenOver {
        /// The invitation whose record has another writer now.
        id: InvitationId,
        /// Its record's, where it was taken over.
        revision: u64,
    },
}

/// What the callee's hub has to say of an invitation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CalleeWord {
    /// The callee is there.
    IsThere {
        /// As in `Received`.
        rings_on: bool,
    },
    /// The callee's client has confirmed the ring.
    Received {
        /// It lets invitations ring until somebody ends them, if the caller's does so too.
        rings_on: bool,
    },
    /// The callee has decided.
    Decided(Decision),
    /// The session at which it rang is over.
    SessionOver(RingFate),
}

/// What a callee decides, with its response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Accepts; with the callee's response for the caller.
    Accept(String),
    /// Refuses; with the callee's response for the caller.
    Refuse(String),
}

/// What becomes of an invitation whose ringing session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RingFate {
    /// Nobody is left who could decide.
    Lost,
    /// The same user has logged in again, or is expected to: it rings there.
    GoesOn,
}

/// The members that one hub has in one channel, at one point of its numbering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberSnapshot {
    /// The hub that has these members.
    pub origin: HubId,
    /// As in `Joined`.
    pub epoch: u64,
    /// The last change that is in here.
    pub seq: u64,
    /// The members with their sessions.
    pub members: Vec<(UserKey, SessionId)>,
}

/// What is asked of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// User topic: a session of this user begins elsewhere; end yours if its stamp is older.
    Claim {
        /// The new login.
        stamp: LoginStamp,
        /// Invitations that its client holds open, sent by it or ringing at it: they go on.
        holds: Vec<InvitationId>,
    },
    /// User topic: deliver this message to the user's session and answer when its client has
    /// confirmed.
    Deliver(Parcel),
    /// User topic: has this message been handed to the user's session, or does it wait for that?
    HasTaken(MessageId),
    /// User topic: is the user online?
    Presence,
    /// User topic: do you have this session?
    Locate {
        /// The session to be resumed.
        session: SessionId,
        /// What its client states: nobody else is told anything of the user.
        secret: Bytes,
    },
    /// User topic: to which channels does this session belong? Asked by a hub of another node to
    /// which its client has come, before it asks for the session itself.
    Topics {
        /// The session that is to move.
        session: SessionId,
        /// What its client states to resume.
        secret: Bytes,
    },
    /// User topic: give this session to the hub that asks. What is given is forgotten in the same
    /// step, but for a copy with which a repeat of this question is answered.
    Give {
        /// The session that moves.
        session: SessionId,
        /// What its client states to resume.
        secret: Bytes,
        /// The hub that takes it: no other is answered with the copy.
        taker: HubId,
    },
    /// Channel topic: who are the members? Asked by a hub that becomes interested. A hub answers
    /// to another node for its own node only.
    Members,
    /// Channel topic: how far have the answering hub's own changes come? Asked by a hub that may
    /// have missed some of another node.
    Progress,
    /// Channel topic: how many members are there?
    Count,
}

/// What a hub knows of a session that is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Located {
    /// It is here.
    Here,
    /// It was the client's indeed, but a later login has taken its place.
    Replaced,
    /// Nothing is known of it here, or the secret does not fit.
    Unknown,
    /// It is on its way between two hubs: its client finds it when it tries again.
    Elsewhere,
}

/// A session that a later login has replaced: whoever proves that it was theirs is told so.
#[derive(Clone, PartialEq, Eq)]
pub struct Forerunner {
    /// The id of the session that was replaced.
    pub id: SessionId,
    /// Digests of what its client states to resume.
    pub secrets: Vec<[u8; 32]>,
}

impl std::fmt::Debug for Forerunner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without its secrets.
        self.id.fmt(f)
    }
}

/// What a login takes over from the one that it has replaced.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inherited {
    /// Others have seen the user online, and have not been told otherwise.
    pub was_here: bool,
    /// The user has written attributes, which end with its last session.
    pub has_attributes: bool,
    /// The sessions that were replaced last, newest last. Bound: `FORERUNNERS_MAX`.
    pub forerunners: Vec<Forerunner>,
    /// What the user has used of its rates.
    pub used: Option<Box<Used>>,
}

/// Replaced sessions that a user's newest one remembers.
const FORERUNNERS_MAX: usize = 4;

impl Inherited {
    /// What either says, with the forerunners of `other` as the newer ones.
    pub fn and(mut self, other: Self) -> Self {
        self.was_here |= other.was_here;
        self.has_attributes |= other.has_attributes;
        self.forerunners.extend(other.forerunners);
        let too_many = self.forerunners.len().saturating_sub(FORERUNNERS_MAX);
        self.forerunners.drain(..too_many);
        debug_assert!(
            self.forerunners.len() <= FORERUNNERS_MAX,
            "too many forerunners"
        );
        self.used = self.used.or(other.used);
        self
    }
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To `Claim`: the older session or login, if there was one, has been ended.
    Yielded(Inherited),
    /// To `Claim`: a newer login holds the user.
    Superseded,
    /// To `Deliver`: the client has confirmed it.
    Confirmed,
    /// To `Deliver`: the user is gone here (its session may still be resumed).
    Gone,
    /// To `Deliver`: the user's session has moved to another hub; ask again.
    Moved,
    /// To `Topics`: the session is here, and can move.
    Topics {
        /// The channels that the session has joined.
        channels: Vec<ChannelName>,
        /// Its user counts as there: connected, or within the grace.
        is_here: bool,
    },
    /// To `Give`: the session, in the hub's own form.
    Given(Bytes),
    /// To `Topics` and `Give`: no.
    NotGiven(NotGiven),
    /// To `Deliver`: not confirmed in time, but now durable in the inbox.
    Stored,
    /// To `Deliver`: not confirmed in time and not stored.
    Unconfirmed,
    /// To `Deliver`: the store refused it.
    StoreFailed {
        /// What the store says.
        reason: String,
    },
    /// To `HasTaken`: yes. No is `Gone`.
    Taken,
    /// To `Presence`: the user's state here, with its login.
    Presence {
        /// The user's state as the answering hub sees it.
        state: PresenceState,
        /// The login that the state belongs to.
        stamp: LoginStamp,
    },
    /// To `Locate`: what the answering hub knows of the session.
    Located(Located),
    /// To `Members`: everything that the answering hub knows of the channel.
    Members(Vec<MemberSnapshot>),
    /// To `Count`: members in all, as the answering hub knows.
    Count(u32),
    /// To `Progress`: the last change of the answering hub; nothing, if it has no interest in the
    /// channel any more.
    Progress(Vec<Progress>),
}

/// Why a session is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotGiven {
    /// It is not known here, or the secret does not fit.
    Unknown,
    /// It cannot move: its client must go where it is.
    Stays,
    /// It was given to another hub a moment ago: its client finds it there when it tries again.
    Elsewhere,
}

/// How far the changes of one hub's members in a channel have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The hub that has these members.
    pub origin: HubId,
    /// As in [`Publication::Joined`].
    pub epoch: u64,
    /// The last change that it has published.
    pub seq: u64,
}

impl Answer {
    /// Whether a hub has the user there: connected, or within the grace.
    pub(crate) fn is_of_somebody_there(&self) -> bool {
        matches!(self, Self::Presence { state, .. } if *state != PresenceState::Offline)
    }
}

/// A peer message on its way to its receiver's hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    /// The message's id in all its forms.
    pub id: MessageId,
    /// The sender, for the stored form.
    pub from: UserKey,
    /// When the server received it, in Unix milliseconds.
    pub server_ts: u64,
    /// The whole WebSocket frame of the live form.
    pub frame: Bytes,
    /// Encoded `tidings.v1.Message`, to be stored when it is not confirmed in time; `None` when the
    /// sender has not asked for that.
    pub offline: Option<Bytes>,
    /// Who can take it.
    pub kind: MessageKind,
    /// The end that the sender gave it, in Unix milliseconds, if it may; else 0.
    pub lasts_until: u64,
}

/// Which clients can take a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    /// All clients, whatever they can do.
    Text,
    /// Those that take more than text.
    Media,
    /// Those that know types of client libraries.
    Library,
}

/// Who asked, and which question.
pub(crate) type Asker = (HubId, AskId);
