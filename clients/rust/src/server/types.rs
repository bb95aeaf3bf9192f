//! What is sent and what comes back, spelled as in the HTTP API.
//!
//! Answers may have more fields than are named here: `more` keeps them.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Text is sent as a text message, bytes as a raw one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// A text message.
    Text(String),
    /// A raw message.
    Raw(Bytes),
}

impl From<&str> for Payload {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Payload {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&[u8]> for Payload {
    fn from(bytes: &[u8]) -> Self {
        Self::Raw(Bytes::copy_from_slice(bytes))
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self::Raw(bytes)
    }
}

/// How a message is sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SendOptions {
    pub(super) store: bool,
    pub(super) offline: bool,
    pub(super) wait: bool,
    pub(super) idempotency_key: Option<String>,
}

impl SendOptions {
    /// Neither kept nor waited for.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps it in the history.
    #[must_use]
    pub fn store(mut self) -> Self {
        self.store = true;
        self
    }

    /// Keeps it for a receiver that is offline.
    #[must_use]
    pub fn offline(mut self) -> Self {
        self.offline = true;
        self
    }

    /// Answers when the receiver has it, not when the server has it.
    #[must_use]
    pub fn wait(mut self) -> Self {
        self.wait = true;
        self
    }

    /// A key in place of one that is made for this call, at most 64 bytes.
    #[must_use]
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum To {
    Channel(String),
    Users(Vec<String>),
}

/// A message to a channel or to users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    to: To,
    sender: String,
    payload: Payload,
    pub(super) options: SendOptions,
}

impl Message {
    /// To a channel. The sender need be neither logged in nor a member.
    pub fn to_channel(
        channel: impl Into<String>,
        payload: impl Into<Payload>,
        sender: impl Into<String>,
        options: SendOptions,
    ) -> Self {
        let to = To::Channel(channel.into());
        let (sender, payload) = (sender.into(), payload.into());
        Self {
            to,
            sender,
            payload,
            options,
        }
    }

    /// To one or more users.
    pub fn to_users<I: IntoIterator<Item: Into<String>>>(
        users: I,
        payload: impl Into<Payload>,
        sender: impl Into<String>,
        options: SendOptions,
    ) -> Self {
        let to = To::Users(users.into_iter().map(Into::into).collect());
        let (sender, payload) = (sender.into(), payload.into());
        Self {
            to,
            sender,
            payload,
            options,
        }
    }

    /// As the API takes it.
    pub(super) fn body(&self) -> Value {
        let mut body = match &self.payload {
            Payload::Text(text) => json!({ "type": "text", "payload": text }),
            Payload::Raw(bytes) => {
                json!({ "type": "raw", "payload_base64": BASE64_STANDARD.encode(bytes) })
            }
        };
        body["from"] = json!(self.sender);
        match &self.to {
            To::Channel(channel) => body["channel"] = json!(channel),
            To::Users(users) => body["users"] = json!(users),
        }
        let SendOptions {
            store,
            offline,
            wait,
            ..
        } = self.options;
        for (name, flag) in [("store", store), ("offline", offline), ("wait", wait)] {
            if flag {
                body[name] = json!(true);
            }
        }
        body
    }
}

/// What has become of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The server has it.
    Sent,
    /// The receiver has it.
    Delivered,
    /// It is kept.
    Stored,
    /// Nobody is there, and it is not kept.
    Offline,
    /// See the receipt's error.
    Failed,
    /// One that this version does not know.
    #[serde(other)]
    Other,
}

/// Why a message did not reach a receiver.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Refusal {
    /// A stable word.
    pub code: String,
    /// What happened, with values.
    pub detail: String,
    /// What to do about it.
    pub hint: String,
}

/// What has become of a message for one receiver.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Receipt {
    /// The channel that it was for.
    pub channel: Option<String>,
    /// The user that it was for.
    pub user: Option<String>,
    /// What has become of it.
    pub outcome: Outcome,
    /// Its id, where it was kept or handed on.
    pub message_id: Option<String>,
    /// When the server had it, Unix milliseconds.
    pub at_ms: Option<u64>,
    /// Why it has failed.
    pub error: Option<Refusal>,
}

/// The receipts of one message.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Published {
    /// The call's id in the server's log.
    pub request_id: String,
    /// One for each receiver.
    pub results: Vec<Receipt>,
}

/// The receipts of one message of a batch.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Receipts {
    /// One for each receiver.
    pub results: Vec<Receipt>,
}

/// The receipts of a batch.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct PublishedBatch {
    /// The call's id in the server's log.
    pub request_id: String,
    /// One for each message, in their order.
    pub results: Vec<Receipts>,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next one begins; `None` at the end.
    pub next: Option<String>,
}

/// One login of a user, as lists of sessions show it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Session {
    /// Names it in [`end_session`](super::Tidings::end_session).
    pub id: String,
    /// Whose it is; not repeated in the list of one user.
    pub user: Option<String>,
    /// All other fields.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// Which logins are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionFilter {
    /// Those of this user.
    pub user: Option<String>,
    /// Those in this channel.
    pub channel: Option<String>,
    /// Those of this protocol.
    pub protocol: Option<String>,
}

/// A user, as the server sees it now.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct User {
    /// The user id.
    pub user: String,
    /// Whether there is a login.
    pub online: bool,
    /// The user's logins; empty while it is offline.
    #[serde(default)]
    pub sessions: Vec<Session>,
    /// The channels that it is in.
    #[serde(default)]
    pub channels: Vec<String>,
    /// All other fields.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A channel that has members.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Channel {
    /// The channel's name, unique in the app.
    pub name: String,
    /// How many they are.
    pub members: u64,
    /// All other fields.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A member of a channel.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Member {
    /// The user id.
    pub user: String,
    /// All other fields.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// Which part of a history.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistoryRange {
    pub(super) channel: Option<String>,
    pub(super) users: Option<[String; 2]>,
    /// The first millisecond, Unix time.
    pub from_ms: Option<u64>,
    /// The millisecond after the last.
    pub to_ms: Option<u64>,
    /// Messages on a page.
    pub limit: Option<u16>,
    /// `next` of the page before.
    pub cursor: Option<String>,
}

impl HistoryRange {
    /// Of a channel.
    pub fn of_channel(channel: impl Into<String>) -> Self {
        let channel = Some(channel.into());
        Self {
            channel,
            ..Self::default()
        }
    }

    /// Of two users' messages to each other.
    pub fn of_users(one: &str, other: &str) -> Self {
        let users = Some([one.to_owned(), other.to_owned()]);
        Self {
            users,
            ..Self::default()
        }
    }
}

/// A message that was kept.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct HistoryMessage {
    /// The id that the server has given the message.
    pub message_id: String,
    /// When the server had it, Unix milliseconds.
    pub at_ms: u64,
    /// Who sent it.
    #[serde(rename = "from")]
    pub sender: String,
    /// The text of a text message.
    pub payload: Option<String>,
    /// The bytes of a raw message, in Base64.
    pub payload_base64: Option<String>,
    /// All other fields.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// Who is banned from what: a user everywhere, an address, a channel as a whole, or a user from a
/// channel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct NewBan {
    /// The user id to ban; `None` for a ban of an address or of a whole channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// From this channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// An address or a prefix such as `203.0.113.0/24`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// How long; for ever if not stated. 0 puts out once, and bans nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// The same as a time, Unix milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
    /// For whoever reads the list later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What is refused; everything that applies if empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub privileges: Vec<String>,
}

/// A ban, as the list of bans shows it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Ban {
    /// Names it in [`unban`](super::Tidings::unban). `None` for a ban of the file of apps, which
    /// `tidings app unban` ends.
    pub id: Option<u64>,
    /// The user id that is banned; everybody whom the rest fits if `None`.
    pub user_id: Option<String>,
    /// Where; everywhere if `None`.
    pub channel: Option<String>,
    /// The address or prefix that is banned; everywhere if `None`.
    pub address: Option<String>,
    /// When it ends, Unix milliseconds; never if `None`.
    pub until_ms: Option<u64>,
    /// All other fields.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// What happened in the app.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Event {
    /// Where this event stands; reading goes on behind it.
    pub cursor: String,
    /// Such as `user.login`, `user.logout`, `channel.join`; `gap`: events before this one were
    /// dropped.
    #[serde(rename = "type")]
    pub kind: String,
    /// When, Unix milliseconds.
    pub at_ms: u64,
    /// Whom it is about.
    pub user: Option<String>,
    /// The name of the channel in which it happened.
    pub channel: Option<String>,
    /// Counts the events of this user or channel.
    pub order: Option<u64>,
    /// All other fields.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// Attributes of a user or a channel.
pub(super) type Attributes = BTreeMap<String, String>;
