//! What an application can ask for.

use tidings_wire::proto;

pub use tidings_wire::proto::{AttributeWrite, PresenceState};

use crate::invitation::{InvitationCall, InvitationWord};
use crate::message::Message;

/// The two sides of a history: a channel, or a pair of users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conversation {
    /// A channel that is joined.
    Channel(String),
    /// The user's own conversation with this one.
    Peer(String),
}

/// Which part of a history is read; by default the oldest 100 messages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HistoryRange {
    /// Only messages after this position.
    pub after: Option<u64>,
    /// Only messages before this position.
    pub before: Option<u64>,
    /// Only messages that the server received at this time or later, Unix milliseconds.
    pub from_ts_ms: Option<u64>,
    /// Only messages that the server received before this time, Unix milliseconds.
    pub until_ts_ms: Option<u64>,
    /// How many messages at most, 1 to 100; none = 100.
    pub count_max: Option<u32>,
    /// Starts with the newest message and goes back in time.
    pub newest_first: bool,
}

/// One attribute of a user or channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// 1 to 32 bytes.
    pub key: String,
    /// 1 to 8,192 bytes.
    pub value: String,
    /// Who wrote it last. Set by the server; empty in what a client writes.
    pub updated_by: String,
    /// When it was written last, Unix milliseconds. Set by the server; 0 in what a client writes.
    pub updated_ts_ms: u64,
}

impl Attribute {
    /// Makes an entry for a write.
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            value: value.into(),
            updated_by: String::new(),
            updated_ts_ms: 0,
        }
    }

    /// Reads an attribute as the server states it.
    pub(crate) fn from_proto(attribute: proto::Attribute) -> Self {
        Self {
            key: attribute.key,
            value: attribute.value,
            updated_by: attribute.updated_by,
            updated_ts_ms: attribute.updated_ts,
        }
    }

    /// What a client writes of it: who wrote it and when is for the server to say.
    pub(crate) fn to_proto(&self) -> proto::Attribute {
        proto::Attribute {
            key: self.key.clone(),
            value: self.value.clone(),
            ..proto::Attribute::default()
        }
    }
}

/// A call of the protocol (protocol 4), except login, logout and token renewal,
/// which are inputs of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// Sends a message to one user. Answered with [`Answer::PeerSent`](crate::Answer::PeerSent).
    SendToPeer {
        /// The receiver; may be oneself.
        peer_id: String,
        /// The content; at most 32 KB.
        message: Message,
        /// Store it for 7 days if the peer is offline.
        offline: bool,
        /// Keep a copy in the history.
        history: bool,
    },
    /// Sends a message to a joined channel.
    SendToChannel {
        /// A joined channel.
        channel: String,
        /// The content; at most 32 KB.
        message: Message,
        /// Keep a copy in the history.
        history: bool,
    },
    /// Joins a channel.
    Join {
        /// The channel's name.
        channel: String,
    },
    /// Leaves a channel.
    Leave {
        /// The channel's name.
        channel: String,
    },
    /// Lists the members of a joined channel. Answered with
    /// [`Answer::Users`](crate::Answer::Users).
    GetMembers {
        /// The channel's name.
        channel: String,
    },
    /// Counts the members of channels. Answered with
    /// [`Answer::MemberCounts`](crate::Answer::MemberCounts).
    GetMemberCounts {
        /// 1 to 32 channels.
        channels: Vec<String>,
    },
    /// Asks whether users are online. Answered with [`Answer::Presence`](crate::Answer::Presence).
    QueryPresence {
        /// 1 to 256 users.
        user_ids: Vec<String>,
    },
    /// Subscribes to users' comings and goings.
    SubscribePresence {
        /// 1 to 512 users.
        user_ids: Vec<String>,
    },
    /// Ends subscriptions to users.
    UnsubscribePresence {
        /// 1 to 512 users.
        user_ids: Vec<String>,
    },
    /// Lists the users subscribed to. Answered with [`Answer::Users`](crate::Answer::Users).
    QueryPresenceSubscriptions,
    /// Changes the user's own attributes.
    WriteUserAttributes {
        /// Set, merge, delete or clear.
        how: AttributeWrite,
        /// The entries; a deletion looks at their keys only.
        attributes: Vec<Attribute>,
    },
    /// Reads a user's attributes. Answered with [`Answer::Attributes`](crate::Answer::Attributes).
    ReadUserAttributes {
        /// The user whose attributes they are.
        user_id: String,
        /// Only these keys; empty = all.
        keys: Vec<String>,
    },
    /// Changes a channel's attributes.
    WriteChannelAttributes {
        /// The channel; need not be joined.
        channel: String,
        /// Set, merge, delete or clear.
        how: AttributeWrite,
        /// The entries; a deletion looks at their keys only.
        attributes: Vec<Attribute>,
        /// Tell the members.
        notify: bool,
    },
    /// Reads messages that were sent with `history`. Answered with
    /// [`Answer::History`](crate::Answer::History).
    ReadHistory {
        /// The channel or the user it was held with.
        conversation: Conversation,
        /// The part to read.
        range: HistoryRange,
    },
    /// Reads a channel's attributes. Answered with
    /// [`Answer::Attributes`](crate::Answer::Attributes).
    ReadChannelAttributes {
        /// The channel; need not be joined.
        channel: String,
        /// Only these keys; empty = all.
        keys: Vec<String>,
    },
    /// Does something with an invitation. Answered at once, whatever the link does.
    Invitation(InvitationCall),
    /// Tells the server of an invitation. Made by the machine.
    #[doc(hidden)]
    InvitationWord(InvitationWord),
    /// Replaces the session's token. Given to the machine as `Input::RenewToken`.
    #[doc(hidden)]
    RenewToken {
        /// The new token.
        token: String,
    },
    /// Ends the session. Given to the machine as `Input::Logout`.
    #[doc(hidden)]
    Logout,
}

impl Call {
    /// Whether it states what the application wants for its own user, not for others: it is carried
    /// out however late the link comes back.
    pub(crate) fn is_own_standing(&self) -> bool {
        matches!(
            self,
            Self::Leave { .. }
                | Self::WriteUserAttributes { .. }
                | Self::SubscribePresence { .. }
                | Self::UnsubscribePresence { .. }
        )
    }

    /// Whether it leaves none of the user's earlier attributes in place.
    pub(crate) fn replaces_attributes(&self) -> bool {
        let is_total = |how| matches!(how, AttributeWrite::Set | AttributeWrite::Clear);
        matches!(self, Self::WriteUserAttributes { how, .. } if is_total(*how))
    }

    /// Whether the call may be executed twice without harm, so that it may be sent again in a new
    /// session when nobody knows whether the old one executed it. Messages may not.
    pub(crate) fn is_repeatable(&self) -> bool {
        !matches!(
            self,
            Self::SendToPeer { .. } | Self::SendToChannel { .. } | Self::Logout
        )
    }

    /// Bytes of user data, for the bound of the queue.
    pub(crate) fn size_bytes(&self) -> usize {
        let texts = |list: &[String]| list.iter().map(String::len).sum::<usize>();
        let entries = |list: &[Attribute]| -> usize {
            list.iter()
                .map(|entry| entry.key.len() + entry.value.len())
                .sum()
        };
        match self {
            Self::SendToPeer {
                peer_id, message, ..
            } => peer_id.len() + message.payload_bytes(),
            Self::SendToChannel {
                channel, message, ..
            } => channel.len() + message.payload_bytes(),
            Self::Join { channel } | Self::Leave { channel } | Self::GetMembers { channel } => {
                channel.len()
            }
            Self::GetMemberCounts { channels } => texts(channels),
            Self::QueryPresence { user_ids }
            | Self::SubscribePresence { user_ids }
            | Self::UnsubscribePresence { user_ids } => texts(user_ids),
            Self::WriteUserAttributes { attributes, .. } => entries(attributes),
            Self::ReadUserAttributes { user_id, keys } => user_id.len() + texts(keys),
            Self::WriteChannelAttributes {
                channel,
                attributes,
                ..
            } => channel.len() + entries(attributes),
            Self::ReadChannelAttributes { channel, keys } => channel.len() + texts(keys),
            Self::ReadHistory {
                conversation: Conversation::Channel(name) | Conversation::Peer(name),
                ..
            } => name.len(),
            Self::RenewToken { token } => token.len(),
            // These do not wait in the application's queue.
            Self::Invitation(_) | Self::InvitationWord(_) => 0,
            Self::QueryPresenceSubscriptions | Self::Logout => 0,
        }
    }
}
