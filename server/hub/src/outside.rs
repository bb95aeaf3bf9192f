//! Calls from outside: what somebody without a session asks of a hub, and what it is answered.
//!
//! Whoever gives such a call has looked at what it may do: the hub asks no token. A call that a
//! client could make is executed by the code that executes a client's; the app's quotas count, the
//! rates of its users do not.

use std::net::IpAddr;

use tidings_wire::codes::CloseCode;
use tidings_wire::names::{AppId, ChannelName, UserId};
use tidings_wire::proto::{PresenceState, reply, request};

use crate::bus_ops::Decision;
use crate::config::Traits;
use crate::ids::{ChannelKey, ConnectionId, InvitationId, MessageId, SessionId, UserKey};
use crate::traces::{Trace, TraceCall, TracedEntry, TracedMessage};

/// Entries of one answer at most, whatever a call asks for.
pub const OUTSIDE_PAGE_MAX: u16 = 1_000;

/// A call of somebody without a session.
#[derive(Debug, Clone, PartialEq)]
pub enum OutsideCall {
    /// What a client could ask as this user, who need neither be logged in nor a member of the
    /// channel that it names: messages to users and channels, histories, attributes, presence,
    /// member lists and counts, invitations.
    ///
    /// Names follow the wide rule. Order: calls of one user that one hub is given take effect in
    /// that order; give all of them to one hub. Against the same user's own session no order is
    /// promised.
    AsUser {
        /// As whom the call is made.
        from: UserKey,
        /// The call, as a client would make it. `Invite::number` is not looked at: the answer names
        /// the invitation.
        call: request::Call,
    },
    /// The same for a message whose id is drawn by whoever asks, and so is known before it is
    /// answered.
    Send {
        /// As whom the message is sent.
        from: UserKey,
        /// The call that sends it.
        call: request::Call,
        /// Drawn at random: nobody must be able to guess it, nor to draw it twice.
        id: MessageId,
    },
    /// Sessions of this hub: [`OutsideAnswer::Sessions`]. Asked of each hub. Cost: O(1) for one
    /// user; else a look at each session that lies before `after`, some nanoseconds each, and then
    /// at those that are listed.
    Sessions {
        /// Of this app.
        app: AppId,
        /// Of this user only.
        user: Option<UserId>,
        /// Where the page before ended, as it said; 0 = from the first.
        after: u64,
        /// At most so many, and at most [`OUTSIDE_PAGE_MAX`].
        limit: u16,
    },
    /// Channels with a member here: [`OutsideAnswer::Channels`], in the order of their names. Asked
    /// of each hub; a channel with members on two hubs is listed by both. Cost: a look at each
    /// channel of the hub.
    Channels {
        /// Of this app.
        app: AppId,
        /// Those whose names begin so.
        prefix: String,
        /// Those behind this name.
        after: Option<ChannelName>,
        /// At most so many channels, and at most [`OUTSIDE_PAGE_MAX`].
        limit: u16,
    },
    /// A user: [`OutsideAnswer::User`]. Asked of each hub. Cost: O(channels of the user).
    User {
        /// The user of an app.
        user: UserKey,
    },
    /// Ends the user's sessions here, or closes their connections, if the code lets clients resume:
    /// [`OutsideAnswer::Count`] of them. Asked of each hub.
    Disconnect {
        /// The user whose sessions end.
        user: UserKey,
        /// This one only.
        session: Option<SessionId>,
        /// What the client is told. `Banned`: RTM 1.x `ABORTED` with `BANNED_BY_SERVER`, legacy
        /// `onLogout` 103.
        code: CloseCode,
    },
    /// Takes a member out of a channel: the others see it leave, and so does its client.
    /// [`OutsideAnswer::Count`] of its sessions here. Asked of each hub.
    RemoveMember {
        /// The channel from which it is taken out.
        channel: ChannelKey,
        /// The member that is taken out.
        user: UserId,
    },
    /// Invitations under way that this hub writes: [`OutsideAnswer::Invitations`]. Asked of each
    /// hub. Cost: a look at each of them.
    Invitations {
        /// Of this app.
        app: AppId,
        /// Which this user has sent or is sent.
        user: Option<UserId>,
        /// At most so many, and at most [`OUTSIDE_PAGE_MAX`].
        limit: u16,
    },
    /// Decides an invitation as its callee, who need not be logged in: [`OutsideAnswer::Count`]; 0
    /// = this hub does not write it, or it is decided. Asked of each hub. A caller's client is
    /// asked before an acceptance counts.
    DecideInvitation {
        /// Who has sent it.
        caller: UserKey,
        /// As the ring or the list names it.
        id: InvitationId,
        /// Who is invited.
        callee: UserId,
        /// Yes or no, with at most 8 KiB of text.
        decision: Decision,
    },
    /// Cancels an invitation, whoever has sent it: [`OutsideAnswer::Count`] when that is durable; 0
    /// = this hub does not write it, or it has ended. Both sides are told. Asked of each hub.
    EndInvitation {
        /// Who has sent it.
        caller: UserKey,
        /// As the ring or the list names it.
        id: InvitationId,
    },
    /// Message tracing. Asked of each hub.
    Trace {
        /// Of this app.
        app: AppId,
        /// What is asked; how it is answered is said there.
        call: TraceCall,
    },
}

impl OutsideCall {
    /// The app that it is about.
    pub fn app(&self) -> &AppId {
        match self {
            Self::AsUser { from, .. } | Self::Send { from, .. } => &from.app,
            Self::Sessions { app, .. }
            | Self::Channels { app, .. }
            | Self::Trace { app, .. }
            | Self::Invitations { app, .. } => app,
            Self::User { user } | Self::Disconnect { user, .. } => &user.app,
            Self::RemoveMember { channel, .. } => &channel.app,
            Self::EndInvitation { caller, .. } | Self::DecideInvitation { caller, .. } => {
                &caller.app
            }
        }
    }
}

/// What has come of a call from outside.
#[derive(Debug, Clone, PartialEq)]
pub enum OutsideAnswer {
    /// A peer message was taken. What the outcomes mean: contract 1.1.
    Sent {
        /// What has become of it.
        outcome: PeerOutcome,
        /// As the receiver is told it.
        id: MessageId,
        /// When the server has received it, in Unix milliseconds, as the receiver is told it; a
        /// receiver that has had a later stamp is told that one instead.
        server_ts: u64,
    },
    /// A channel message has its place in the channel's order; with `history`, its copy is durable.
    SentToChannel {
        /// Names it for whoever has sent it; receivers are not told it.
        id: MessageId,
        /// When the server has received it, in Unix milliseconds.
        server_ts: u64,
    },
    /// An invitation is durable, and offered to the callee from now on.
    Invited(InvitationId),
    /// Of every other call as a user, and of any call that was refused: as a client would be
    /// answered. An error has its code and its text.
    Call(reply::Result),
    /// Sessions, in no order that means anything.
    Sessions {
        /// The sessions of this page.
        sessions: Vec<SessionEntry>,
        /// Where the next page begins: its `after`. `None` = these were the last.
        next: Option<u64>,
    },
    /// Channels, in the order of their names.
    Channels {
        /// The channels of this page.
        channels: Vec<ChannelEntry>,
        /// There are more behind them.
        has_more: bool,
    },
    /// What this hub has of the user; `None` = nothing.
    User(Option<Box<UserEntry>>),
    /// Invitations, the oldest of each caller first.
    Invitations {
        /// The invitations of this page.
        invitations: Vec<InvitationEntry>,
        /// There are more of them.
        has_more: bool,
    },
    /// The traces that are on.
    Traces(Vec<Trace>),
    /// Messages of which something was noted, the newest first.
    TracedMessages(Vec<TracedEntry>),
    /// What was noted of a message; `None` = nothing.
    Traced(Option<Box<TracedMessage>>),
    /// Upon how many it has taken effect here.
    Count(u32),
}

/// What has become of a peer message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerOutcome {
    /// The receiver's client has confirmed it.
    Received,
    /// The receiver was away, or has not confirmed it in time; it is stored for the next login.
    Stored,
    /// The receiver was away, and it was not to be stored.
    Missed,
}

/// A session, as a list shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionEntry {
    /// The user who has logged in.
    pub user: UserKey,
    /// The name of the login, which stays over its connections.
    pub session: SessionId,
    /// What its client can do, by which protocols can be told apart.
    pub traits: Traits,
    /// Name and version of its client library, as that has stated them; empty = it has not.
    pub client: String,
    /// Its connection; `None` = it may be resumed.
    pub connection: Option<ConnectionId>,
    /// Where it comes from. A hub knows no addresses: who knows the connection fills it in.
    pub address: Option<IpAddr>,
    /// As others see the user.
    pub state: PresenceState,
    /// When it logged in, in Unix milliseconds; if the server was restarted since, when that was.
    pub since_ms: u64,
    /// When its client was heard last, in Unix milliseconds.
    pub heard_ms: u64,
    /// Channels that it is in.
    pub channels: u32,
    /// Frames that its client has not confirmed, and their bytes.
    pub queue_frames: u64,
    /// Bytes of the frames that its client has not confirmed.
    pub queue_bytes: u64,
    /// When its token ends, in Unix seconds; `None` = never.
    pub token_ends_s: Option<u64>,
}

impl SessionEntry {
    /// Whether its client speaks the legacy protocol: it cannot resume.
    pub fn is_legacy(&self) -> bool {
        self.traits.ends_with_connection
    }
}

/// A channel, as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelEntry {
    /// The name, which is unique in its app.
    pub channel: ChannelName,
    /// Members on all hubs, as this hub knows them.
    pub members: u32,
}

/// A user, as one hub knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct UserEntry {
    /// As others see it.
    pub state: PresenceState,
    /// Its session here.
    pub sessions: Vec<SessionEntry>,
    /// Channels that it is in.
    pub channels: Vec<ChannelName>,
}

/// An invitation under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvitationEntry {
    /// As the callee's client is told it.
    pub id: InvitationId,
    /// Who has sent it.
    pub caller: UserKey,
    /// Who is invited.
    pub callee: UserId,
    /// How far it has come.
    pub stage: InvitationStage,
    /// What the caller says to the callee.
    pub content: String,
    /// The channel that it names; empty = none.
    pub channel: String,
    /// When it was sent, in Unix milliseconds.
    pub sent_ms: u64,
}

/// How far an invitation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvitationStage {
    /// It has not reached the callee's client.
    Pending,
    /// The callee's client has it, and nobody has decided.
    Ringing,
    /// The callee accepts, and the caller's client is asked.
    Accepting,
    /// It has ended, and its end is being written.
    Ended,
}
