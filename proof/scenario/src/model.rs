//! The model of a scenario.

use serde::{Deserialize, Serialize};

/// A scenario: who does what, who must see what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    /// Clauses of the contract that it demonstrates, at least one.
    pub clauses: Vec<String>,
    /// What it demonstrates, in one sentence.
    pub sentence: String,
    /// Whether the app has a certificate, so that logins need tokens.
    pub has_certificate: bool,
    /// Every client, in the order of appearance.
    pub parties: Vec<Party>,
    /// The steps, in order.
    pub steps: Vec<Step>,
}

impl Scenario {
    /// The shortest duration of a run, in milliseconds: time that passes, and facts that must come
    /// late.
    pub fn duration_ms(&self) -> u64 {
        let step_ms = |step: &Step| match step.action {
            Action::Pass { ms } => ms,
            _ => {
                let facts = step.expectations.iter().filter(|fact| !fact.is_optional);
                let facts_ms = facts.map(|fact| fact.after_ms);
                let answer_ms = step.answer.iter().filter(|answer| !answer.is_later);
                facts_ms
                    .chain(answer_ms.map(|answer| answer.after_ms))
                    .max()
                    .unwrap_or(0)
            }
        };
        self.steps.iter().map(step_ms).sum()
    }
}

/// A client that takes part in a scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// Its name in the scenario.
    pub name: String,
    /// Whether it is logged in, as the user of its name, before the first step.
    pub is_logged_in_before: bool,
}

/// One step of a scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Line in the file, from 1.
    pub line: usize,
    /// The client that acts; none for time and the server.
    pub client: Option<String>,
    /// The action of the step.
    pub action: Action,
    /// The expected answer; none for an action without one.
    pub answer: Option<ExpectedAnswer>,
    /// The facts that must be seen.
    pub expectations: Vec<Expectation>,
}

/// An answer with its times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedAnswer {
    /// The answer that the action must get.
    pub answer: Answer,
    /// Whether the next step starts without waiting for it.
    pub is_later: bool,
    /// Earliest time after the start of the step, in milliseconds.
    pub after_ms: u64,
    /// Latest time, in milliseconds.
    pub within_ms: u64,
}

/// An event that a client sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// Line in the file, from 1.
    pub line: usize,
    /// The client that sees it.
    pub client: String,
    /// The event that must be seen.
    pub event: Event,
    /// Whether it is optional.
    pub is_optional: bool,
    /// Earliest time after the start of the step, in milliseconds.
    pub after_ms: u64,
    /// Latest time, in milliseconds.
    pub within_ms: u64,
}

/// The token of a login. The runner makes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenKind {
    /// Valid for the user, for the whole scenario.
    Valid,
    /// Valid for the user, for this many seconds from now.
    Lasting(u32),
    /// Once valid, but expired.
    Expired,
    /// Made for another user.
    Foreign,
    /// Not a token at all.
    Damaged,
    /// Login without a token.
    No,
    /// As `Valid`, but it permits only what is listed.
    Limited(Vec<Permission>),
}

/// Something that a limited token permits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permission {
    /// Whether it permits writing rather than reading.
    pub writes: bool,
    /// Whether the name is a channel's rather than a user's.
    pub is_channel: bool,
    /// The name; one that ends in `*` stands for every name with that prefix.
    pub name: String,
}

/// How attributes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Write {
    /// The entries replace all others.
    Set,
    /// The entries are added or replaced.
    Merge,
    /// The keys are removed.
    Delete,
    /// Everything is removed.
    Clear,
}

/// A message's content as a scenario states it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// A text message.
    Text(String),
    /// Bytes with a description.
    Raw {
        /// The bytes of the raw message.
        data: Vec<u8>,
        /// The description sent with it.
        description: String,
    },
    /// Names an uploaded file.
    File(File),
    /// Names an uploaded picture.
    Image {
        /// The picture's file.
        file: File,
        /// Width and height in pixels.
        size: (u32, u32),
        /// Width and height of the thumbnail, in pixels.
        thumbnail_size: (u32, u32),
    },
}

/// What a message says about an uploaded file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// The id of the file.
    pub media_id: String,
    /// The file's size in bytes, as stated.
    pub size: u64,
    /// The file's name.
    pub file_name: String,
    /// A description for the receiver.
    pub description: String,
    /// The bytes of a thumbnail.
    pub thumbnail: Vec<u8>,
}

/// Which history is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conversation {
    /// The history of a channel.
    Channel(String),
    /// The client's own history with this user.
    Peer(String),
}

/// An action of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
#[allow(missing_docs, reason = "the fields are those of the protocol's calls")]
pub enum Action {
    /// The client logs in.
    LogIn { user_id: String, token: TokenKind },
    /// The client logs out.
    LogOut,
    /// The client gives a new token.
    RenewToken { token: TokenKind },
    /// The client joins a channel.
    Join { channel: String },
    /// The client leaves a channel.
    Leave { channel: String },
    /// The client sends to a channel.
    SendToChannel {
        channel: String,
        message: Message,
        history: bool,
    },
    /// The client sends to a user.
    SendToPeer {
        peer_id: String,
        message: Message,
        offline: bool,
        history: bool,
    },
    /// The client reads a history.
    ReadHistory {
        of: Conversation,
        newest_first: bool,
        count_max: Option<u32>,
    },
    /// The client asks for a channel's members.
    GetMembers { channel: String },
    /// The client asks for the number of members of channels.
    GetMemberCounts { channels: Vec<String> },
    /// The client asks who is online.
    QueryPresence { user_ids: Vec<String> },
    /// The client subscribes to users.
    SubscribePresence { user_ids: Vec<String> },
    /// The client ends subscriptions.
    UnsubscribePresence { user_ids: Vec<String> },
    /// The client asks for its subscriptions.
    QueryPresenceSubscriptions,
    /// The client writes its own attributes.
    WriteUserAttributes {
        how: Write,
        attributes: Vec<(String, String)>,
    },
    /// The client reads a user's attributes.
    ReadUserAttributes { user_id: String, keys: Vec<String> },
    /// The client writes a channel's attributes.
    WriteChannelAttributes {
        channel: String,
        how: Write,
        attributes: Vec<(String, String)>,
        notify: bool,
    },
    /// The client reads a channel's attributes.
    ReadChannelAttributes { channel: String, keys: Vec<String> },
    /// The client invites a user; an empty channel is none.
    Invite {
        callee_id: String,
        content: String,
        channel: String,
    },
    /// The client cancels its latest invitation to this user.
    CancelInvitation { callee_id: String },
    /// The client accepts the latest invitation from this user.
    AcceptInvitation { caller_id: String, response: String },
    /// The client refuses the latest invitation from this user.
    RefuseInvitation { caller_id: String, response: String },
    /// The client's link breaks and stays down.
    Cut,
    /// The client's link may be opened again.
    ComeBack,
    /// The client dies without notice, for good.
    Drop,
    /// Time passes without anybody acting.
    Pass { ms: u64 },
    /// The server is killed and restarted with its data.
    RestartServer,
}

impl Action {
    /// Whether the action is a call with an answer.
    pub fn has_answer(&self) -> bool {
        !matches!(
            self,
            Self::Cut | Self::ComeBack | Self::Drop | Self::Pass { .. } | Self::RestartServer
        )
    }
}

/// The answer to a call. Lists have no order, except for messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The call succeeded without a value.
    Done,
    /// A peer message was received by the peer's client.
    Received,
    /// A peer message did not reach the peer.
    NotReceived,
    /// A list of users.
    Users(Vec<String>),
    /// Channels with their number of members.
    MemberCounts(Vec<(String, u32)>),
    /// Users with their state.
    Presence(Vec<(String, PresenceState)>),
    /// Keys and values.
    Attributes(Vec<(String, String)>),
    /// Messages with their senders, in order.
    History(Vec<(String, Message)>),
    /// The call failed, with this code of the method's family in the RTM 1.x API.
    Error(u32),
}

/// A user's presence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PresenceState {
    /// The user is online.
    Online,
    /// The user has been silent for more than 6 s.
    Unreachable,
    /// The user is offline.
    Offline,
}

/// An event of a client. Lists have no order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[allow(missing_docs, reason = "the fields are those of the protocol's events")]
pub enum Event {
    /// The connection state has changed; names as in the RTM 1.x API.
    State { state: String, reason: String },
    /// A peer message.
    PeerMessage {
        from: String,
        message: Message,
        is_offline: bool,
    },
    /// A channel message.
    ChannelMessage {
        channel: String,
        from: String,
        message: Message,
    },
    /// A member has joined.
    MemberJoined { channel: String, user_id: String },
    /// A member has left.
    MemberLeft { channel: String, user_id: String },
    /// The number of members has changed.
    MemberCount { channel: String, count: u32 },
    /// The attributes of a channel, all of them.
    ChannelAttributes {
        channel: String,
        attributes: Vec<(String, String)>,
    },
    /// The states of users subscribed to.
    PresenceChanged { users: Vec<(String, PresenceState)> },
    /// Events are missing, in this channel or among peer messages.
    Gap { channel: Option<String> },
    /// The token expires soon.
    TokenWillExpire,
    /// An invitation has arrived; an empty channel means none.
    Invited {
        caller_id: String,
        content: String,
        channel: String,
    },
    /// The state of a sent invitation has changed.
    LocalInvitation {
        callee_id: String,
        news: InvitationNews,
    },
    /// The state of a received invitation has changed.
    RemoteInvitation {
        caller_id: String,
        news: InvitationNews,
    },
    /// The token has expired.
    TokenExpired,
}

/// The state of an invitation. Only a caller sees a response; a callee's is empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InvitationNews {
    /// The callee's client has received it.
    Received,
    /// Accepted, with this response.
    Accepted(String),
    /// Refused, with this response.
    Refused(String),
    /// Cancelled by the caller.
    Canceled,
    /// Ended without a decision; the reason is as in the RTM 1.x API.
    Failed(String),
}

/// The source of events, within which they are ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source<'a> {
    Channel(&'a str),
    Count(&'a str),
    /// Everything stored or sent by this user; none for the inbox itself.
    Peer(Option<&'a str>),
    Presence,
    State,
    /// Invitations sent to, or received from, this user.
    Sent(&'a str),
    Come(&'a str),
}

impl Event {
    pub(crate) fn source(&self) -> Source<'_> {
        match self {
            Self::State { .. } | Self::TokenWillExpire | Self::TokenExpired => Source::State,
            Self::PeerMessage { from, .. } => Source::Peer(Some(from)),
            Self::Gap { channel: None } => Source::Peer(None),
            Self::MemberCount { channel, .. } => Source::Count(channel),
            Self::ChannelMessage { channel, .. }
            | Self::MemberJoined { channel, .. }
            | Self::MemberLeft { channel, .. }
            | Self::ChannelAttributes { channel, .. }
            | Self::Gap {
                channel: Some(channel),
            } => Source::Channel(channel),
            Self::PresenceChanged { .. } => Source::Presence,
            Self::LocalInvitation { callee_id, .. } => Source::Sent(callee_id),
            Self::Invited { caller_id, .. } | Self::RemoteInvitation { caller_id, .. } => {
                Source::Come(caller_id)
            }
        }
    }

    /// The same event with its lists sorted.
    pub(crate) fn sorted(mut self) -> Self {
        match &mut self {
            Self::ChannelAttributes { attributes, .. } => attributes.sort(),
            Self::PresenceChanged { users } => users.sort(),
            _ => {}
        }
        self
    }
}

impl Answer {
    /// The same answer with its lists sorted.
    pub(crate) fn sorted(mut self) -> Self {
        match &mut self {
            Self::Users(list) => list.sort(),
            Self::MemberCounts(list) => list.sort(),
            Self::Presence(list) => list.sort(),
            Self::Attributes(list) => list.sort(),
            Self::Done | Self::Received | Self::NotReceived | Self::History(_) | Self::Error(_) => {
            }
        }
        self
    }
}
