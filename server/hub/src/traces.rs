//! Message tracing, in the words of whoever asks for it: what is followed, and what was seen.
//!
//! Each hub notes what it does itself with a message; whoever asks all hubs has its whole way. The
//! state and the rules are in `kernel::traces`.

use tidings_wire::names::{ChannelName, UserId};

use crate::ids::{MessageId, UserKey};

/// Names a trace: given by whoever begins it, the same at every hub.
pub type TraceId = [u8; 8];

/// Messages of an app that are followed until a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// Names it in calls of the API.
    pub id: TraceId,
    /// Only what this user sends, peer messages to this user, and what this user is given of
    /// channels. The last is followed from the channel's order on, at the user's hub.
    pub user: Option<UserId>,
    /// Only messages to this channel.
    pub channel: Option<ChannelName>,
    /// Messages stamped before this are followed. Unix milliseconds.
    pub until_ms: u64,
}

/// What is asked of tracing, about one app. Asked of each hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TraceCall {
    /// Begins to follow messages: `Count(1)`, or `Count(0)` where as many traces are on as may be.
    Begin(Trace),
    /// The traces that are on: `Traces`.
    List,
    /// Ends a trace; what was noted stays: `Count` of what has ended here.
    End(TraceId),
    /// The newest messages of which something was noted: `TracedMessages`.
    Messages {
        /// Only those from or to this user.
        user: Option<UserId>,
        /// Only those to this channel.
        channel: Option<ChannelName>,
        /// At most so many.
        limit: u16,
    },
    /// What was noted of one message: `Traced`.
    Message(MessageId),
}

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TracedTo {
    /// To a user.
    User(UserId),
    /// To the members of a channel.
    Channel(ChannelName),
}

/// A message of which something was noted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracedEntry {
    /// Names the message.
    pub id: MessageId,
    /// When this hub saw it first, in Unix milliseconds.
    pub at_ms: u64,
    /// Who has sent it.
    pub from: UserId,
    /// Where it goes.
    pub to: TracedTo,
}

/// What one hub has noted of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracedMessage {
    /// Which message it is about.
    pub entry: TracedEntry,
    /// In the order in which they happened here.
    pub steps: Vec<TraceStep>,
    /// Clients or store operations are waited for here, of which a further step will tell.
    pub is_waiting: bool,
    /// Its sender has been answered by this hub.
    pub is_answered: bool,
}

/// Something that has happened to a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceStep {
    /// When, in Unix milliseconds.
    pub at_ms: u64,
    /// What was done with the message.
    pub kind: StepKind,
    /// By or for whom, if it is one user.
    pub user: Option<UserId>,
    /// To how many, where it is about several.
    pub members: Option<u32>,
    /// The rest in words; may be empty. Never a payload.
    pub detail: String,
}

/// What can happen to a message. The order is that of a way without detours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StepKind {
    /// It passed every check of its sender's hub.
    Accepted,
    /// It was given its time.
    Stamped,
    /// It was refused: nothing has become of it.
    Refused,
    /// It waits: for the word of the app's backend, or for stored messages before it.
    Waiting,
    /// It has its place in its channel's order.
    Ordered,
    /// It is durable: in an inbox or a history.
    Stored,
    /// It came out of the receiver's inbox.
    DeliveredFromInbox,
    /// It was put into the outboxes of sessions.
    Given,
    /// It was queued for the connections of sessions, in the turn that is about to be written.
    Queued,
    /// The sockets of these connections have taken it, and all that was queued before it.
    Written,
    /// A client has confirmed it.
    Confirmed,
    /// A client was told of a gap in its place.
    Gap,
    /// It will not reach somebody, who is not told.
    Dropped,
    /// Its sender was answered.
    Answered,
}

impl StepKind {
    /// As the API names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Stamped => "stamped",
            Self::Refused => "refused",
            Self::Waiting => "waiting",
            Self::Ordered => "ordered",
            Self::Stored => "stored",
            Self::DeliveredFromInbox => "delivered_from_inbox",
            Self::Given => "given",
            Self::Queued => "queued",
            Self::Written => "written",
            Self::Confirmed => "confirmed",
            Self::Gap => "gap",
            Self::Dropped => "dropped",
            Self::Answered => "answered",
        }
    }
}

impl Trace {
    /// Whether it follows a message with this stamp.
    pub(crate) fn follows(&self, from: &UserId, to: &TracedTo, stamp_ms: u64) -> bool {
        let is_user = |user: &UserId| {
            from == user || matches!(to, TracedTo::User(receiver) if receiver == user)
        };
        let is_channel =
            |channel: &ChannelName| matches!(to, TracedTo::Channel(name) if name == channel);
        stamp_ms < self.until_ms
            && self.user.as_ref().is_none_or(is_user)
            && self.channel.as_ref().is_none_or(is_channel)
    }

    /// The user whose messages out of this channel it follows, whoever has sent them.
    pub(crate) fn receiver(&self, channel: &ChannelName, stamp_ms: u64) -> Option<&UserId> {
        let is_meant =
            stamp_ms < self.until_ms && self.channel.as_ref().is_none_or(|name| name == channel);
        self.user.as_ref().filter(|_| is_meant)
    }
}

impl TracedEntry {
    /// Whether a list by these filters has it.
    pub(crate) fn fits(&self, user: Option<&UserId>, channel: Option<&ChannelName>) -> bool {
        let trace = Trace {
            id: TraceId::default(),
            user: user.cloned(),
            channel: channel.cloned(),
            until_ms: u64::MAX,
        };
        trace.follows(&self.from, &self.to, 0)
    }
}

/// A peer message's receiver, as tracing names it.
pub(crate) fn to_user(user: &UserKey) -> TracedTo {
    TracedTo::User(user.user.clone())
}
