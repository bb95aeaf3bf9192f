//! What an application is told without having asked.

use std::fmt;

use tidings_wire::proto;
pub use tidings_wire::proto::GapCause;

use crate::call::{Attribute, CallError, PresenceState};
use crate::invitations::{InvitationId, LocalInvitationNews, RemoteInvitationNews};
use crate::message::Message;

/// Where a client stands. Source: documented, rtm 3.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectionState {
    /// Not logged in.
    Disconnected,
    /// A login is under way.
    Connecting,
    /// Logged in. Also during the first 4 s of an interruption.
    Connected,
    /// Logged in, without a link for more than 4 s.
    Reconnecting,
    /// Logged out by the server; only a logout leads on.
    Aborted,
}

impl ConnectionState {
    /// The name in the RTM 1.x API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Disconnected => "DISCONNECTED",
            Self::Connecting => "CONNECTING",
            Self::Connected => "CONNECTED",
            Self::Reconnecting => "RECONNECTING",
            Self::Aborted => "ABORTED",
        }
    }
}

impl fmt::Display for ConnectionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why the state changed. Source: documented, rtm 3.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectionReason {
    /// A login was called.
    Login,
    /// The server has accepted a login, or the link is back.
    LoginSuccess,
    /// The server has refused a login.
    LoginFailure,
    /// 12 s went by without an answer to a login.
    LoginTimeout,
    /// The link is lost.
    Interrupted,
    /// A logout is done.
    Logout,
    /// The user or the app is banned.
    BannedByServer,
    /// The same user has logged in elsewhere.
    RemoteLogin,
    /// The token is over.
    TokenExpired,
}

impl ConnectionReason {
    /// The name in the RTM 1.x API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Login => "LOGIN",
            Self::LoginSuccess => "LOGIN_SUCCESS",
            Self::LoginFailure => "LOGIN_FAILURE",
            Self::LoginTimeout => "LOGIN_TIMEOUT",
            Self::Interrupted => "INTERRUPTED",
            Self::Logout => "LOGOUT",
            Self::BannedByServer => "BANNED_BY_SERVER",
            Self::RemoteLogin => "REMOTE_LOGIN",
            Self::TokenExpired => "TOKEN_EXPIRED",
        }
    }
}

impl fmt::Display for ConnectionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whose events a gap is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GapSource {
    /// Messages and member events of this channel.
    Channel(String),
    /// Peer messages.
    Inbox,
}

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientEvent {
    /// The connection state has changed.
    StateChanged {
        /// The new state.
        state: ConnectionState,
        /// Why.
        reason: ConnectionReason,
    },
    /// A peer message. Each is raised once per client.
    PeerMessage {
        /// The sender.
        from: String,
        /// What was sent.
        message: Message,
        /// When the server received it, Unix milliseconds.
        server_ts_ms: u64,
        /// Whether the server had stored it.
        is_offline: bool,
    },
    /// A message of another member.
    ChannelMessage {
        /// The channel.
        channel: String,
        /// The sender.
        from: String,
        /// What was sent.
        message: Message,
        /// When the server received it, Unix milliseconds.
        server_ts_ms: u64,
    },
    /// A user has joined.
    MemberJoined {
        /// The channel.
        channel: String,
        /// Who.
        user_id: String,
    },
    /// A user has left, logged out or is gone.
    MemberLeft {
        /// The channel.
        channel: String,
        /// Who.
        user_id: String,
    },
    /// The number of members has changed.
    MemberCount {
        /// The channel.
        channel: String,
        /// Members, oneself included.
        count: u32,
    },
    /// A channel's attributes were changed with notification.
    ChannelAttributes {
        /// The channel.
        channel: String,
        /// All attributes after the change.
        attributes: Vec<Attribute>,
    },
    /// Users subscribed to have changed; after a subscription all of them.
    PresenceChanged {
        /// Users with their state.
        users: Vec<(String, PresenceState)>,
    },
    /// Events are missing. Stands before any later event of the source.
    Gap {
        /// Whose events.
        source: GapSource,
        /// Why.
        cause: GapCause,
        /// How many, where that is known.
        missed: Option<u64>,
    },
    /// A channel that was joined could not be joined again in a new session.
    ChannelLost {
        /// The channel.
        channel: String,
        /// What the server says.
        error: CallError,
    },
    /// The token ends soon: `RenewToken` with a new one keeps the login. Once per token of a session, 30 s before.
    TokenWillExpire {
        /// When it ends, by the server's clock, Unix milliseconds.
        expires_ts_ms: u64,
    },
    /// Something has become of an invitation that this client has sent.
    LocalInvitation {
        /// As answered to the invitation.
        number: u64,
        /// Who is invited.
        callee_id: String,
        /// What.
        news: LocalInvitationNews,
    },
    /// An invitation has come, or something has become of it.
    RemoteInvitation {
        /// Names it in `Accept` and `Refuse`.
        id: InvitationId,
        /// Who invites.
        caller_id: String,
        /// What.
        news: RemoteInvitationNews,
    },
    /// The token is over: `RenewToken` lets a reconnecting client go on, an aborted one logs out.
    TokenExpired,
}

pub(crate) fn gap_from_proto(gap: proto::Gap) -> ClientEvent {
    let cause = gap.cause();
    let source = match gap.source {
        Some(proto::gap::Source::Channel(channel)) => GapSource::Channel(channel),
        Some(proto::gap::Source::Inbox(_)) | None => GapSource::Inbox,
    };
    ClientEvent::Gap {
        source,
        cause,
        missed: (gap.missed > 0).then_some(gap.missed),
    }
}
