//! What an application is told without having asked.

use tidings_wire::proto;
pub use tidings_wire::proto::GapCause;

use crate::call::{Attribute, PresenceState};
use crate::error::CallError;
use crate::invitation::{InvitationId, LocalInvitationNews, RemoteInvitationNews};
use crate::message::Message;
use crate::states::{ConnectionReason, ConnectionState};

/// The stream in which events are missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GapSource {
    /// Messages and member events of this channel.
    Channel(String),
    /// Messages from user to user.
    Inbox,
}

/// What the application is told without having asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientEvent {
    /// The connection state has changed.
    StateChanged {
        /// The new state.
        state: ConnectionState,
        /// What caused the change.
        reason: ConnectionReason,
    },
    /// A peer message. Each is raised once per client.
    PeerMessage {
        /// The user who sent it.
        from: String,
        /// What was sent.
        message: Message,
        /// When the server received it, Unix milliseconds.
        server_ts_ms: u64,
        /// Whether it comes from the server's store rather than straight from the sender.
        is_offline: bool,
    },
    /// A message of another member.
    ChannelMessage {
        /// The channel it happened in.
        channel: String,
        /// The user who sent it.
        from: String,
        /// What was sent.
        message: Message,
        /// When the server received it, Unix milliseconds.
        server_ts_ms: u64,
    },
    /// A user has joined.
    MemberJoined {
        /// The channel it happened in.
        channel: String,
        /// The user who came or went.
        user_id: String,
    },
    /// A user has left the channel, has logged out, or has been offline for 30 s.
    MemberLeft {
        /// The channel it happened in.
        channel: String,
        /// The user who came or went.
        user_id: String,
    },
    /// The number of members has changed.
    MemberCount {
        /// The channel it happened in.
        channel: String,
        /// The number of members, oneself included.
        count: u32,
    },
    /// A channel's attributes were changed with notification.
    ChannelAttributes {
        /// The channel it happened in.
        channel: String,
        /// All attributes after the change.
        attributes: Vec<Attribute>,
    },
    /// The presence of watched users has changed; after a subscription all of them are listed.
    PresenceChanged {
        /// Users with their state.
        users: Vec<(String, PresenceState)>,
    },
    /// Events are missing. Comes before any later event of the source.
    Gap {
        /// The stream they are missing from.
        source: GapSource,
        /// What lost them.
        cause: GapCause,
        /// How many, if that is known.
        missed: Option<u64>,
    },
    /// A channel that was joined could not be joined again in a new session.
    ChannelLost {
        /// The channel it happened in.
        channel: String,
        /// The server's refusal.
        error: CallError,
    },
    /// The token expires in 30 s: `RenewToken` with a new one keeps the login. Told once for each
    /// token of a session.
    TokenWillExpire {
        /// When it expires, by the server's clock, Unix milliseconds.
        expires_ts_ms: u64,
    },
    /// There is news of an invitation that this client has sent.
    LocalInvitation {
        /// As answered to `Invite`.
        number: u64,
        /// The user who is invited.
        callee_id: String,
        /// What has become of it.
        news: LocalInvitationNews,
    },
    /// An invitation has arrived, or something has become of it.
    RemoteInvitation {
        /// Names it in `Accept` and `Refuse`.
        id: InvitationId,
        /// The user who invites.
        caller_id: String,
        /// What has become of it.
        news: RemoteInvitationNews,
    },
    /// The token has expired: a reconnecting client goes on after `RenewToken`; an aborted one has
    /// to log out.
    TokenExpired,
}

/// Reads the server's word that events are missing.
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
