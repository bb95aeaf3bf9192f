//! What an application can ask for, and what it is answered.

use tidings_wire::codes::Outcome;
use tidings_wire::proto::{self, reply, request};

pub use tidings_wire::proto::{AttributeWrite, PresenceState};

use crate::invitations::{InvitationCall, InvitationWord};
use crate::message::Message;

/// Whose history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conversation {
    /// A channel that is joined.
    Channel(String),
    /// The user's own conversation with this one.
    Peer(String),
}

/// What of a history is read; as it is by default, the oldest 100 messages.
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
    /// At most so many, 1 to 100; none = 100.
    pub count_max: Option<u32>,
    /// Begins at the newest and goes back.
    pub newest_first: bool,
}

/// A message of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryMessage {
    /// Its place in the conversation; rises from 1.
    pub position: u64,
    /// The sender.
    pub from: String,
    /// What was sent.
    pub message: Message,
    /// When the server received it, Unix milliseconds.
    pub server_ts_ms: u64,
}

/// A part of a history.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HistoryPage {
    /// In the order asked for. May be fewer than asked for, even none, although more follow.
    pub messages: Vec<HistoryMessage>,
    /// Where to go on: the next range's `after`, or its `before` when the newest come first. None = at the end.
    pub next: Option<u64>,
}

impl HistoryPage {
    fn from_proto(page: proto::HistoryPage) -> Self {
        let message = |kept: proto::HistoryMessage| HistoryMessage {
            position: kept.position,
            from: kept.from,
            message: Message::from_proto(kept.message),
            server_ts_ms: kept.server_ts,
        };
        Self {
            messages: page.messages.into_iter().map(message).collect(),
            next: (page.next > 0).then_some(page.next),
        }
    }
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
    /// Makes an entry to be written.
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            value: value.into(),
            updated_by: String::new(),
            updated_ts_ms: 0,
        }
    }

    pub(crate) fn from_proto(attribute: proto::Attribute) -> Self {
        Self {
            key: attribute.key,
            value: attribute.value,
            updated_by: attribute.updated_by,
            updated_ts_ms: attribute.updated_ts,
        }
    }

    fn to_proto(&self) -> proto::Attribute {
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
    /// Sends a message to one user. Answered with [`Answer::PeerSent`].
    SendToPeer {
        /// The receiver; may be oneself.
        peer_id: String,
        /// What to send.
        message: Message,
        /// Store it when the peer is gone.
        offline: bool,
        /// Keep a copy in the history.
        history: bool,
    },
    /// Sends a message to a joined channel.
    SendToChannel {
        /// The channel.
        channel: String,
        /// What to send.
        message: Message,
        /// Keep a copy in the history.
        history: bool,
    },
    /// Joins a channel.
    Join {
        /// The channel.
        channel: String,
    },
    /// Leaves a channel.
    Leave {
        /// The channel.
        channel: String,
    },
    /// Lists the members of a joined channel. Answered with [`Answer::Users`].
    GetMembers {
        /// The channel.
        channel: String,
    },
    /// Counts the members of channels. Answered with [`Answer::MemberCounts`].
    GetMemberCounts {
        /// 1 to 32 channels.
        channels: Vec<String>,
    },
    /// Asks whether users are on line. Answered with [`Answer::Presence`].
    QueryPresence {
        /// 1 to 256 users.
        user_ids: Vec<String>,
    },
    /// Subscribes to users' comings and goings.
    SubscribePresence {
        /// 1 to 512 users.
        user_ids: Vec<String>,
    },
    /// Ends subscriptions.
    UnsubscribePresence {
        /// 1 to 512 users.
        user_ids: Vec<String>,
    },
    /// Lists the users subscribed to. Answered with [`Answer::Users`].
    QueryPresenceSubscriptions,
    /// Changes the user's own attributes.
    WriteUserAttributes {
        /// Set, merge, delete or clear.
        how: AttributeWrite,
        /// The entries; of a deletion only the keys count.
        attributes: Vec<Attribute>,
    },
    /// Reads a user's attributes. Answered with [`Answer::Attributes`].
    ReadUserAttributes {
        /// Whose.
        user_id: String,
        /// Which; empty = all.
        keys: Vec<String>,
    },
    /// Changes a channel's attributes.
    WriteChannelAttributes {
        /// The channel; need not be joined.
        channel: String,
        /// Set, merge, delete or clear.
        how: AttributeWrite,
        /// The entries; of a deletion only the keys count.
        attributes: Vec<Attribute>,
        /// Tell the members.
        notify: bool,
    },
    /// Reads messages that were sent with `history`. Answered with [`Answer::History`].
    ReadHistory {
        /// Whose.
        conversation: Conversation,
        /// What of it.
        range: HistoryRange,
    },
    /// Reads a channel's attributes. Answered with [`Answer::Attributes`].
    ReadChannelAttributes {
        /// The channel; need not be joined.
        channel: String,
        /// Which; empty = all.
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
    /// Whether it states what the application wants of its own user, and not of others: done even when it is late.
    pub(crate) fn is_own_standing(&self) -> bool {
        matches!(
            self,
            Self::Leave { .. }
                | Self::WriteUserAttributes { .. }
                | Self::SubscribePresence { .. }
                | Self::UnsubscribePresence { .. }
        )
    }

    /// Whether nothing of the user's earlier attributes is left after it.
    pub(crate) fn replaces_attributes(&self) -> bool {
        matches!(self, Self::WriteUserAttributes { how, .. } if matches!(how, AttributeWrite::Set | AttributeWrite::Clear))
    }

    /// Whether the call may be executed twice without harm, so that it may be sent again in a new
    /// session when its fate in the old one is unknown. Messages may not.
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
            // These do not wait in the queue of calls.
            Self::Invitation(_) | Self::InvitationWord(_) => 0,
            Self::QueryPresenceSubscriptions | Self::Logout => 0,
        }
    }

    pub(crate) fn to_proto(&self) -> request::Call {
        use request::Call as To;
        let entries = |list: &[Attribute]| list.iter().map(Attribute::to_proto).collect::<Vec<_>>();
        match self.clone() {
            Self::SendToPeer {
                peer_id,
                message,
                offline,
                history,
            } => {
                let message = Some(message.to_proto());
                To::SendToPeer(proto::SendToPeer {
                    peer_id,
                    message,
                    offline,
                    history,
                })
            }
            Self::SendToChannel {
                channel,
                message,
                history,
            } => {
                let message = Some(message.to_proto());
                To::SendToChannel(proto::SendToChannel {
                    channel,
                    message,
                    history,
                })
            }
            Self::Join { channel } => To::Join(proto::Join { channel }),
            Self::Leave { channel } => To::Leave(proto::Leave { channel }),
            Self::GetMembers { channel } => To::GetMembers(proto::GetMembers { channel }),
            Self::GetMemberCounts { channels } => {
                To::GetMemberCounts(proto::GetMemberCounts { channels })
            }
            Self::QueryPresence { user_ids } => {
                To::QueryPresence(proto::QueryPresence { user_ids })
            }
            Self::SubscribePresence { user_ids } => {
                To::SubscribePresence(proto::SubscribePresence { user_ids })
            }
            Self::UnsubscribePresence { user_ids } => {
                To::UnsubscribePresence(proto::UnsubscribePresence { user_ids })
            }
            Self::QueryPresenceSubscriptions => {
                To::QueryPresenceSubscriptions(proto::QueryPresenceSubscriptions {})
            }
            Self::WriteUserAttributes { how, attributes } => {
                let attributes = entries(&attributes);
                To::WriteUserAttributes(proto::WriteUserAttributes {
                    how: how.into(),
                    attributes,
                })
            }
            Self::ReadUserAttributes { user_id, keys } => {
                To::ReadUserAttributes(proto::ReadUserAttributes { user_id, keys })
            }
            Self::WriteChannelAttributes {
                channel,
                how,
                attributes,
                notify,
            } => To::WriteChannelAttributes(proto::WriteChannelAttributes {
                channel,
                how: how.into(),
                attributes: entries(&attributes),
                notify,
            }),
            Self::ReadChannelAttributes { channel, keys } => {
                To::ReadChannelAttributes(proto::ReadChannelAttributes { channel, keys })
            }
            Self::ReadHistory {
                conversation,
                range,
            } => To::ReadHistory(proto::ReadHistory {
                conversation: Some(match conversation {
                    Conversation::Channel(name) => proto::read_history::Conversation::Channel(name),
                    Conversation::Peer(id) => proto::read_history::Conversation::PeerId(id),
                }),
                after: range.after.unwrap_or(0),
                before: range.before.unwrap_or(0),
                from_ts: range.from_ts_ms.unwrap_or(0),
                until_ts: range.until_ts_ms.unwrap_or(0),
                count_max: range.count_max.unwrap_or(0),
                newest_first: range.newest_first,
            }),
            Self::RenewToken { token } => To::RenewToken(proto::RenewToken { token }),
            Self::InvitationWord(word) => word.to_proto(),
            Self::Invitation(call) => unreachable!("{call:?} is done by the machine itself"),
            Self::Logout => To::Logout(proto::Logout {}),
        }
    }
}

/// What a call was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Done; nothing to tell.
    Done,
    /// The fate of a peer message.
    PeerSent {
        /// The peer's client has it. False: the peer was gone; the message is stored if that was
        /// asked for, else dropped.
        received: bool,
    },
    /// The number of an invitation, under which its events come.
    Invited {
        /// From 1, per client.
        number: u64,
    },
    /// Users, in no order.
    Users(Vec<String>),
    /// Channels with their number of members.
    MemberCounts(Vec<(String, u32)>),
    /// Users with their state.
    Presence(Vec<(String, PresenceState)>),
    /// Attributes.
    Attributes(Vec<Attribute>),
    /// Messages of a history.
    History(HistoryPage),
}

impl Answer {
    pub(crate) fn from_proto(result: Option<reply::Result>) -> Result<Self, CallError> {
        match result {
            Some(reply::Result::Error(error)) => Err(CallError::from_proto(error)),
            Some(reply::Result::Done(_)) => Ok(Self::Done),
            Some(reply::Result::PeerSent(sent)) => Ok(Self::PeerSent {
                received: sent.received,
            }),
            Some(reply::Result::Users(users)) => Ok(Self::Users(users.user_ids)),
            Some(reply::Result::MemberCounts(list)) => Ok(Self::MemberCounts(
                list.counts
                    .into_iter()
                    .map(|entry| (entry.channel, entry.count))
                    .collect(),
            )),
            Some(reply::Result::Presence(list)) => Ok(Self::Presence(presence(list.users))),
            Some(reply::Result::Attributes(list)) => Ok(Self::Attributes(
                list.attributes
                    .into_iter()
                    .map(Attribute::from_proto)
                    .collect(),
            )),
            Some(reply::Result::History(page)) => Ok(Self::History(HistoryPage::from_proto(page))),
            None => Err(CallError::outcome(
                Outcome::Unsupported,
                "the server's reply is of a kind that this client does not know".to_owned(),
            )),
        }
    }
}

pub(crate) fn presence(users: Vec<proto::Presence>) -> Vec<(String, PresenceState)> {
    users
        .into_iter()
        .map(|user| (user.user_id.clone(), user.state()))
        .collect()
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The call needs a login.
    #[error("the client is not logged in")]
    NotLoggedIn,
    /// The client is logged in, or is logging in or out.
    #[error("the client is logged in already, or its last login has not been logged out")]
    AlreadyLoggedIn,
    /// An invitation is not in a state for this.
    #[error("{text}")]
    WrongTime {
        /// A code `INVITATION_API_CALL_ERR_…` of the RTM 1.x API.
        code: u32,
        /// What is the matter.
        text: String,
    },
    /// A logout came before the login was complete.
    #[error("the login was given up by a logout")]
    LoginCanceled,
    /// The call has waited for the link in vain: it has not been sent and has had no effect, so it may be made again.
    #[error("{text}")]
    Unsent {
        /// What happened, with values.
        text: String,
    },
    /// The server refused, or a local check found what the server would refuse.
    #[error("{text}")]
    Refused {
        /// A row of `proto/errors.toml`.
        outcome: u32,
        /// What happened, with values.
        text: String,
        /// When to try again, in milliseconds; 0 = not stated.
        retry_after_ms: u32,
    },
}

impl CallError {
    pub(crate) fn outcome(outcome: Outcome, text: String) -> Self {
        Self::Refused {
            outcome: outcome as u32,
            text,
            retry_after_ms: 0,
        }
    }

    pub(crate) fn from_proto(error: proto::Error) -> Self {
        Self::Refused {
            outcome: error.outcome,
            text: error.text,
            retry_after_ms: error.retry_after_ms,
        }
    }

    /// Whether this is the given outcome.
    pub fn is(&self, wanted: Outcome) -> bool {
        match self {
            Self::Refused { outcome, .. } => *outcome == wanted as u32,
            Self::Unsent { .. } => wanted == Outcome::TimedOut,
            _ => false,
        }
    }

    /// Whether the call has had no effect for certain, because it never left this client.
    pub fn is_unsent(&self) -> bool {
        matches!(
            self,
            Self::Unsent { .. } | Self::AlreadyLoggedIn | Self::WrongTime { .. }
        )
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        Outcome::ALL
            .into_iter()
            .any(|row| self.is(row) && row.is_retryable())
    }

    pub(crate) fn retry_after_ms(&self) -> u64 {
        match self {
            Self::Refused { retry_after_ms, .. } => u64::from(*retry_after_ms),
            _ => 0,
        }
    }
}
