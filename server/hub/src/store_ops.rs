//! What a hub asks of the store, and what the store answers: the hub owns this vocabulary.
//!
//! Contract: operations on one [`StoreKey`] are carried out and answered in the order in which they
//! were given, also when several hubs give them. An answer other than [`StoreAnswer::Failed`] to a
//! writing operation means *durable*: the record was fsynced. After `Failed` nothing of the
//! operation happened.

mod attributes;
pub mod events;
pub mod records;

use bytes::Bytes;
use tidings_wire::names::{AppId, UserId};
use tidings_wire::proto::AttributeWrite;

pub use self::attributes::{AttributeEntry, AttributeLimits, AttributeOwner, LIBRARY_KEY};
use self::events::{EventAnswer, EventOp, NewEvent};
use self::records::{RecordAnswer, RecordOp};
use crate::ids::{ChannelKey, InvitationId, MessageId, UserKey};

/// Orders operations: those on equal keys never overtake each other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum StoreKey {
    /// A user's inbox and attributes, and the invitations that it has sent.
    User(UserKey),
    /// A channel's attributes.
    Channel(ChannelKey),
    /// The messages of one history, appended and read in order.
    History(Conversation),
}

/// The parties whose messages make up one history.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Conversation {
    /// Of two users, or of one with itself.
    Users(UserPair),
    /// Of a channel.
    Channel(ChannelKey),
}

impl Conversation {
    /// The app to which the conversation belongs.
    pub fn app(&self) -> &AppId {
        match self {
            Self::Users(pair) => pair.app(),
            Self::Channel(channel) => &channel.app,
        }
    }

    /// The conversation of a user with another one of its app, whichever of them is named first.
    pub fn of_users(one: &UserKey, other: &UserId) -> Self {
        let (lesser, greater) = if one.user.as_str() <= other.as_str() {
            (one.user.clone(), other.clone())
        } else {
            (other.clone(), one.user.clone())
        };
        Self::Users(UserPair {
            app: one.app.clone(),
            lesser,
            greater,
        })
    }
}

/// Two users of one app, in no order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UserPair {
    app: AppId,
    lesser: UserId,
    greater: UserId,
}

impl UserPair {
    /// The app to which both users belong.
    pub fn app(&self) -> &AppId {
        &self.app
    }

    /// Both user ids in byte order; the same one twice if a user writes to itself.
    pub fn users(&self) -> (&UserId, &UserId) {
        (&self.lesser, &self.greater)
    }
}

/// A message of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryMessage {
    /// Its place in the conversation: rises, from 1. 0 in an append (not yet known).
    pub position: u64,
    /// The sender's user id.
    pub from: String,
    /// An encoded `tidings.v1.Message`.
    pub body: Bytes,
    /// When the server received it, in Unix milliseconds.
    pub server_ts: u64,
}

/// Bounds of one history, given with every append since they are settings of the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryLimits {
    /// Most messages; the oldest goes first.
    pub messages_max: usize,
    /// The oldest messages go that have a `server_ts` at least this much before the append's.
    /// Milliseconds.
    pub age_ms: u64,
}

/// From which end a history is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadOrder {
    /// From the beginning of the range.
    OldestFirst,
    /// From its end.
    NewestFirst,
}

/// What is read of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryRange {
    /// Messages up to and including this position are left out.
    pub after: u64,
    /// Messages from this position on are left out. `u64::MAX` = none.
    pub before: u64,
    /// Messages stamped before this are left out. Unix milliseconds.
    pub from_ts: u64,
    /// Messages stamped at this or later are left out. Unix milliseconds, `u64::MAX` = none.
    pub until_ts: u64,
    /// Most messages in the answer.
    pub count_max: usize,
    /// Most bytes of bodies in the answer; one message comes in any case.
    pub bytes_max: usize,
    /// From which end.
    pub order: ReadOrder,
}

/// A stored peer message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMessage {
    /// Its place in the receiver's inbox: from 1, without gaps, for ever. 0 in an append (not yet
    /// known).
    pub inbox: u64,
    /// The message's id in both its forms.
    pub id: MessageId,
    /// The sender's user id.
    pub from: String,
    /// An encoded `tidings.v1.Message`.
    pub body: Bytes,
    /// When the server received it, in Unix milliseconds.
    pub server_ts: u64,
    /// It has an end of its own, in Unix milliseconds; 0 = it has none, and ends by its age.
    /// Messages of the two kinds share the inbox and its order, but not its bounds.
    pub lasts_until: u64,
}

/// Bounds of one inbox, given with every append since they are settings of the app. They are those
/// of messages of the appended one's kind (`lasts_until`), and push out none of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InboxLimits {
    /// Most messages; the oldest goes first.
    pub messages_max: usize,
    /// Most bytes of bodies; the oldest goes first.
    pub bytes_max: usize,
    /// Messages without an end of their own are expired that have a `server_ts` at least this much
    /// before the append's. Milliseconds. `u64::MAX`: nothing goes for its time, and nothing with
    /// an end of its own for that.
    pub age_ms: u64,
}

/// The record of an invitation as the store keeps it. What its body says is the hubs' affair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredInvitation {
    /// Counts the writes of the record, from 1: each write states which one it replaces.
    pub revision: u64,
    /// The encoded record, which the store does not look into.
    pub body: Bytes,
}

/// Names a stored invitation: who has sent it, and its id.
pub type InvitationName = (UserKey, InvitationId);

/// What a hub asks the store to do. Each says how it is answered, unless by `Failed`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreOp {
    /// Appends a message to a user's inbox. Answer: `InboxAppended`.
    InboxAppend {
        /// The user whose inbox gets the message.
        user: UserKey,
        /// The message; its `inbox` is assigned by the store.
        message: StoredMessage,
        /// Bounds; what must go to keep them is deleted in the same step and counted.
        limits: InboxLimits,
    },
    /// Reads messages after an inbox number, oldest first. Answer: `InboxPage`.
    InboxRead {
        /// The user whose inbox is read.
        user: UserKey,
        /// Messages up to and including this one are left out. 0 = from the start.
        after: u64,
        /// Most messages in the answer.
        count_max: usize,
        /// Messages stamped before this are expired: deleted and counted. Unix milliseconds.
        not_before_ts: u64,
    },
    /// Deletes what the receiver has confirmed: all up to and including `up_to`. Answer: `Done`.
    InboxConfirm {
        /// The user whose inbox loses the confirmed messages.
        user: UserKey,
        /// Highest confirmed inbox number.
        up_to: u64,
        /// Losses counted so far have been told to the receiver: forget that many of each kind.
        told: InboxLosses,
    },
    /// Deletes one message by id, whose live form has been confirmed. Answer: `Done`, also if it is
    /// not there.
    InboxRemove {
        /// The user from whose inbox the message is deleted.
        user: UserKey,
        /// The message's id, as it was when the message was appended.
        id: MessageId,
    },
    /// Changes attributes in one atomic step. Answer: `AttributesWritten`, or `Overflow`.
    AttributesWrite {
        /// The user or channel whose attributes are changed.
        owner: AttributeOwner,
        /// How the entries are meant.
        how: AttributeWrite,
        /// The entries; for a deletion only their keys count.
        entries: Vec<AttributeEntry>,
        /// Bounds on the result.
        limits: AttributeLimits,
        /// Stamp of the write, also kept as the owner's `touched_ts`. Unix milliseconds.
        now_ts: u64,
    },
    /// Reads attributes, sorted by key. Answer: `Attributes`.
    AttributesRead {
        /// The user or channel whose attributes are read.
        owner: AttributeOwner,
    },
    /// Notes that the owner was in use at `now_ts`, if it has attributes. Answer: `Done`.
    AttributesTouch {
        /// The user or channel that was in use.
        owner: AttributeOwner,
        /// When the owner was in use, in Unix milliseconds.
        now_ts: u64,
    },
    /// Deletes all attributes of an owner unless it was touched after `unless_touched_after`.
    /// Answer: `Done`.
    AttributesDrop {
        /// The user or channel that loses all its attributes.
        owner: AttributeOwner,
        /// `u64::MAX` = in any case. Unix milliseconds.
        unless_touched_after: u64,
    },
    /// Lists owners of attributes last touched before a time, at most `count_max`, users first,
    /// then in key order. Answer: `AttributeOwners`. Not ordered with other operations.
    AttributeOwners {
        /// Owners last touched at this time or later are left out. Unix milliseconds.
        touched_before: u64,
        /// Most owners in the answer.
        count_max: usize,
        /// Continue after this owner.
        after: Option<AttributeOwner>,
    },
    /// Appends a message to a history. Answer: `HistoryAppended`.
    HistoryAppend {
        /// The history that grows by the message.
        conversation: Conversation,
        /// The message; its `position` is assigned by the store.
        message: HistoryMessage,
        /// Bounds; what must go to keep them is deleted in the same step.
        limits: HistoryLimits,
    },
    /// Lists histories whose oldest message is stamped before a time. Looks at a bounded number of
    /// histories. Answer: `Histories`. Not ordered with other operations.
    HistoryList {
        /// Histories that begin at this time or later are left out. Unix milliseconds.
        first_before_ts: u64,
        /// Continue after this one.
        after: Option<Conversation>,
    },
    /// Deletes the oldest messages of a history that are stamped before a time, a bounded number of
    /// them. Answer: `HistoryTrimmed`.
    HistoryTrim {
        /// The history that loses its oldest messages.
        conversation: Conversation,
        /// Messages stamped before this are deleted. Unix milliseconds.
        not_before_ts: u64,
    },
    /// Empties the messages of one sender in a history, a bounded number of messages at a time;
    /// their places stay, and are left out of pages. Answer: `HistoryErased`.
    HistoryErase {
        /// The history in which the sender's messages are emptied.
        conversation: Conversation,
        /// The user whose messages are emptied.
        from: UserId,
        /// Look at messages after this position.
        after: u64,
    },
    /// Reads a history. Answer: `HistoryPage`.
    HistoryRead {
        /// The history to read from.
        conversation: Conversation,
        /// What of it.
        range: HistoryRange,
    },
    /// Writes an invitation's record in the place of the one with this revision, by
    /// compare-and-set. Answer: `Done`, the record then has the next revision; or
    /// `InvitationConflict`.
    InvitationPut {
        /// Who has sent it.
        caller: UserKey,
        /// The invitation's id; with `caller` it names the record.
        id: InvitationId,
        /// Of the record that is replaced; 0 = there is none.
        revision: u64,
        /// The new record.
        body: Bytes,
    },
    /// Reads an invitation's record. Answer: `Invitation`.
    InvitationRead {
        /// Who has sent it.
        caller: UserKey,
        /// The invitation's id; with `caller` it names the record.
        id: InvitationId,
    },
    /// Deletes an invitation's record. Answer: `Done`, also if there is none.
    InvitationDrop {
        /// Who has sent it.
        caller: UserKey,
        /// The invitation's id; with `caller` it names the record.
        id: InvitationId,
    },
    /// Lists the records of invitations, at most `count_max`, in key order. Answer: `Invitations`.
    /// Not ordered with other operations.
    InvitationList {
        /// Continue after this one.
        after: Option<InvitationName>,
        /// Most records in the answer.
        count_max: usize,
    },
    /// Appends an event to its app's stream, if it is news. Answer: `Events`.
    EventAppend(Box<NewEvent>),
    /// Reads streams of events, or sets them right. Answer: `Events`.
    Events(Box<EventOp>),
    /// Reads or writes small tables. Answer: `Record`.
    Record(Box<RecordOp>),
}

impl StoreOp {
    /// The key that orders the operation; `None` for one that is not ordered. Events and records of
    /// tables are carried out in the order in which they reach the store.
    pub fn key(&self) -> Option<StoreKey> {
        match self {
            StoreOp::InboxAppend { user, .. }
            | StoreOp::InboxRead { user, .. }
            | StoreOp::InboxConfirm { user, .. }
            | StoreOp::InboxRemove { user, .. } => Some(StoreKey::User(user.clone())),
            StoreOp::AttributesWrite { owner, .. }
            | StoreOp::AttributesRead { owner }
            | StoreOp::AttributesTouch { owner, .. }
            | StoreOp::AttributesDrop { owner, .. } => Some(match owner {
                AttributeOwner::User(user) => StoreKey::User(user.clone()),
                AttributeOwner::Channel(channel) => StoreKey::Channel(channel.clone()),
            }),
            StoreOp::HistoryAppend { conversation, .. }
            | StoreOp::HistoryTrim { conversation, .. }
            | StoreOp::HistoryErase { conversation, .. }
            | StoreOp::HistoryRead { conversation, .. } => {
                Some(StoreKey::History(conversation.clone()))
            }
            StoreOp::InvitationPut { caller, .. }
            | StoreOp::InvitationRead { caller, .. }
            | StoreOp::InvitationDrop { caller, .. } => Some(StoreKey::User(caller.clone())),
            StoreOp::AttributeOwners { .. }
            | StoreOp::HistoryList { .. }
            | StoreOp::InvitationList { .. }
            | StoreOp::EventAppend(_)
            | StoreOp::Events(_)
            | StoreOp::Record(_) => None,
        }
    }
}

/// Stored messages that were deleted without having been delivered, not yet told to the receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InboxLosses {
    /// Pushed out by newer ones.
    pub overflowed: u64,
    /// Past their own end, or older than the inbox keeps messages.
    pub expired: u64,
    /// Found damaged when they were read, so that their content is lost.
    pub damaged: u64,
}

/// What the store answers to a [`StoreOp`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreAnswer {
    /// Carried out (and durable, if it wrote).
    Done,
    /// The message is durable.
    InboxAppended {
        /// The number that the message has got in the inbox, from 1.
        inbox: u64,
    },
    /// Messages, oldest first.
    InboxPage {
        /// At most as many as asked for.
        messages: Vec<StoredMessage>,
        /// Whether more follow.
        has_more: bool,
        /// Losses that the receiver has not been told of.
        losses: InboxLosses,
    },
    /// All attributes of the owner, sorted by key.
    Attributes(Vec<AttributeEntry>),
    /// The attributes have been changed.
    AttributesWritten {
        /// Rises with every change of the owner that the store carries out in one life, over
        /// deletions too: of two answers, the one with the greater revision is the later state,
        /// whoever gets it first.
        revision: u64,
        /// All of them after the change, sorted by key.
        entries: Vec<AttributeEntry>,
    },
    /// The result would have broken the bounds; nothing was changed.
    Overflow {
        /// Entries that there would have been.
        entries: usize,
        /// Bytes that there would have been.
        bytes: usize,
    },
    /// Owners of attributes, with whether more follow.
    AttributeOwners {
        /// In key order.
        owners: Vec<AttributeOwner>,
        /// Whether more follow.
        has_more: bool,
    },
    /// The message is durable.
    HistoryAppended {
        /// The position that the message has got in the history, from 1.
        position: u64,
    },
    /// Messages of a history, in the order asked for.
    HistoryPage {
        /// At most as many as asked for; may be none although more follow.
        messages: Vec<HistoryMessage>,
        /// Where to go on: as `after`, or as `before` when the newest come first. 0 = nothing is
        /// left.
        next: u64,
    },
    /// Histories in key order.
    Histories {
        /// Those asked for.
        conversations: Vec<Conversation>,
        /// Where to go on; `None` = all have been looked at.
        next: Option<Conversation>,
    },
    /// Messages of one sender are empty.
    HistoryErased {
        /// How many messages this operation has emptied.
        count: u64,
        /// Continue after this position; 0 = all have been looked at.
        next: u64,
    },
    /// The messages are gone.
    HistoryTrimmed {
        /// Whether there are more to be deleted.
        has_more: bool,
    },
    /// The record has another revision than the write has stated; nothing was changed.
    InvitationConflict(Option<StoredInvitation>),
    /// The record, if there is one.
    Invitation(Option<StoredInvitation>),
    /// Records of invitations.
    Invitations {
        /// In key order. Those that cannot be read are left out.
        found: Vec<(InvitationName, StoredInvitation)>,
        /// Whether more follow.
        has_more: bool,
    },
    /// What has come of an operation on streams of events.
    Events(Box<EventAnswer>),
    /// What has come of an operation on tables.
    Record(Box<RecordAnswer>),
    /// Not carried out: the disk is full, failing or the store is shutting down.
    Failed {
        /// What happened, for the operator's log and the client's text.
        reason: String,
    },
}
