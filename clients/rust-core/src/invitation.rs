//! Call invitations as an application sees them. Source: contract 3, rtm 6.

use std::fmt;

use bytes::Bytes;
use tidings_wire::proto;

/// Names an incoming invitation; the server makes it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InvitationId(pub(crate) Bytes);

impl InvitationId {
    /// The 16 bytes that the server chose.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for InvitationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("i")?;
        self.0
            .iter()
            .take(4)
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What an application does with an invitation. Answered at once; what becomes of it is told by
/// events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvitationCall {
    /// Invites a user. Answered with [`Answer::Invited`](crate::Answer::Invited).
    Invite {
        /// Who is invited; may be oneself.
        callee_id: String,
        /// For the callee's application; at most 8 KiB.
        content: String,
        /// A channel for the call, or empty.
        channel: String,
    },
    /// Cancels an invitation that was sent.
    Cancel {
        /// As answered to `Invite`.
        number: u64,
    },
    /// Accepts; the event `Accepted` follows once the caller's client has confirmed.
    Accept {
        /// As told by [`RemoteInvitationNews::Received`].
        id: InvitationId,
        /// For the caller's application; at most 8 KiB.
        response: String,
    },
    /// Refuses; this is final.
    Refuse {
        /// As told by [`RemoteInvitationNews::Received`].
        id: InvitationId,
        /// For the caller's application; at most 8 KiB.
        response: String,
    },
}

/// What has become of an invitation that this client has sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalInvitationNews {
    /// The callee's client has it.
    Received,
    /// The callee has accepted; this is its response.
    Accepted(String),
    /// The callee has refused; this is its response.
    Refused(String),
    /// This client has cancelled it.
    Canceled,
    /// It has ended without a decision.
    Failed(LocalInvitationFailure),
}

/// Why a sent invitation has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LocalInvitationFailure {
    /// The server refused it, or this client did not confirm an acceptance in time.
    Unknown,
    /// The callee is online, but its client has not confirmed the invitation within 30 s.
    PeerNoResponse,
    /// No decision within 60 s.
    InvitationExpire,
    /// The callee was offline for 30 s, or went offline after its client had the invitation.
    PeerOffline,
    /// The session that sent it has ended.
    NotLoggedIn,
}

impl LocalInvitationFailure {
    /// The name in the RTM 1.x API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::PeerNoResponse => "PEER_NO_RESPONSE",
            Self::InvitationExpire => "INVITATION_EXPIRE",
            Self::PeerOffline => "PEER_OFFLINE",
            Self::NotLoggedIn => "NOT_LOGGEDIN",
        }
    }
}

/// What has become of an invitation that this client was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemoteInvitationNews {
    /// It has arrived.
    Received {
        /// The caller's text.
        content: String,
        /// The channel that the caller names; empty = none.
        channel: String,
    },
    /// The acceptance is confirmed by the caller's client.
    Accepted,
    /// This client has refused it.
    Refused,
    /// The caller has cancelled.
    Canceled,
    /// It has ended without a decision.
    Failed(RemoteInvitationFailure),
}

/// Why a received invitation has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RemoteInvitationFailure {
    /// The session that received it has ended.
    Unknown,
    /// The caller's client has not confirmed the acceptance within 5 s.
    AcceptFailure,
    /// The caller is offline.
    PeerOffline,
    /// No decision within 60 s.
    InvitationExpire,
}

impl RemoteInvitationFailure {
    /// The name in the RTM 1.x API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::AcceptFailure => "ACCEPT_FAILURE",
            Self::PeerOffline => "PEER_OFFLINE",
            Self::InvitationExpire => "INVITATION_EXPIRE",
        }
    }
}

/// What the machine tells the server about invitations.
#[doc(hidden)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvitationWord {
    Invite(proto::Invite),
    Cancel(proto::CancelInvitation),
    Confirm(proto::ConfirmAccept),
    Accept(proto::AcceptInvitation),
    Refuse(proto::RefuseInvitation),
}
