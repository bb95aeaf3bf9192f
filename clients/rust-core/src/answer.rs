//! What calls are answered.

use tidings_wire::codes::Outcome;
use tidings_wire::proto::{self, reply};

use crate::call::{Attribute, PresenceState};
use crate::error::CallError;
use crate::message::Message;

/// The answer to a call that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Done; there is nothing to tell.
    Done,
    /// What became of a peer message.
    PeerSent {
        /// The peer's client has it. False: the peer was gone, and the message is stored if that
        /// was asked for, otherwise dropped.
        received: bool,
    },
    /// The number of an invitation, under which its events come.
    Invited {
        /// Counted from 1 for each client.
        number: u64,
    },
    /// Users, in no particular order.
    Users(Vec<String>),
    /// Channels with their number of members.
    MemberCounts(Vec<(String, u32)>),
    /// Users with their state.
    Presence(Vec<(String, PresenceState)>),
    /// The attributes asked for.
    Attributes(Vec<Attribute>),
    /// A part of a history.
    History(HistoryPage),
}

impl Answer {
    /// Reads a reply's result.
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

/// Reads users with their states.
pub(crate) fn presence(users: Vec<proto::Presence>) -> Vec<(String, PresenceState)> {
    users
        .into_iter()
        .map(|user| (user.user_id.clone(), user.state()))
        .collect()
}

/// A message of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryMessage {
    /// Its place in the conversation; rises from 1.
    pub position: u64,
    /// The user who sent it.
    pub from: String,
    /// What was sent.
    pub message: Message,
    /// When the server received it, Unix milliseconds.
    pub server_ts_ms: u64,
    /// Identifies the message to operators and in events of the API: 32 hexadecimal digits.
    /// `None` = it was kept by a server before 0.2.
    pub message_id: Option<String>,
}

/// A message's id in digits, if it is one.
fn message_id(id: &[u8]) -> Option<String> {
    let digits = (id.len() == 16).then(|| tidings_wire::hex(id))?;
    debug_assert_eq!(digits.len(), 32, "two digits stand for a byte");
    Some(digits)
}

/// A part of a history.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HistoryPage {
    /// In the order asked for. There may be fewer than asked for, or none, although more follow.
    pub messages: Vec<HistoryMessage>,
    /// Where to go on: the next range's `after`, or its `before` when the newest come first.
    /// None = this is the end.
    pub next: Option<u64>,
}

impl HistoryPage {
    fn from_proto(page: proto::HistoryPage) -> Self {
        let message = |kept: proto::HistoryMessage| HistoryMessage {
            position: kept.position,
            from: kept.from,
            message: Message::from_proto(kept.message),
            server_ts_ms: kept.server_ts,
            message_id: message_id(&kept.id),
        };
        Self {
            messages: page.messages.into_iter().map(message).collect(),
            next: (page.next > 0).then_some(page.next),
        }
    }
}
