//! One error type per operation, since the numeric codes of the RTM 1.x API mean something only
//! together with the call that failed.

use std::time::Duration;

use tidings_client_core::CallError;
use tidings_wire::codes::{self, Outcome};

/// Code of every call that needs a login. Source: rtm 1.10.
const NOT_LOGGED_IN: u32 = 102;

macro_rules! operation_error {
    ($(#[$doc:meta])* $name:ident, $family:ident, $not_logged_in:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
        #[error("{source}")]
        pub struct $name {
            source: CallError,
        }

        impl $name {
            /// The code of the method's family in the RTM 1.x API.
            pub fn code(&self) -> u32 {
                match &self.source {
                    CallError::Refused { outcome, .. } => codes::$family::from_outcome(*outcome),
                    CallError::Unsent { .. } => {
                        codes::$family::from_outcome(Outcome::TimedOut as u32)
                    }
                    _ => $not_logged_in,
                }
            }

            /// The server's outcome; none when the client did not ask the server.
            pub fn outcome(&self) -> Option<Outcome> {
                Outcome::ALL.into_iter().find(|row| self.source.is(*row))
            }

            /// When to try again, where that is stated.
            pub fn retry_after(&self) -> Option<Duration> {
                match &self.source {
                    CallError::Refused { retry_after_ms, .. } if *retry_after_ms > 0 => {
                        Some(Duration::from_millis(u64::from(*retry_after_ms)))
                    }
                    _ => None,
                }
            }

            /// Whether the call has had no effect for certain, because it never left this client.
            pub fn is_unsent(&self) -> bool {
                self.source.is_unsent()
            }

            /// Whether the same call may succeed later.
            pub fn is_retryable(&self) -> bool {
                self.source.is_retryable()
            }

            /// What to do about it: one imperative sentence.
            pub fn hint(&self) -> &'static str {
                match self.outcome() {
                    Some(outcome) => outcome.remedy(),
                    None => "Log in first.",
                }
            }
        }

        impl From<CallError> for $name {
            fn from(source: CallError) -> Self {
                Self { source }
            }
        }
    };
}

operation_error!(
    /// Why a logout failed: the client was not logged in.
    LogoutError,
    logout_err,
    codes::logout_err::USER_NOT_LOGGED_IN
);
operation_error!(
    /// Why a token was not renewed. Codes `RENEW_TOKEN_ERR_…`.
    RenewTokenError,
    renew_token_err,
    codes::renew_token_err::USER_NOT_LOGGED_IN
);
operation_error!(
    /// Why a peer message was not sent. Codes `PEER_MESSAGE_ERR_…`.
    PeerMessageError,
    peer_message_err,
    codes::peer_message_err::USER_NOT_LOGGED_IN
);
operation_error!(
    /// Why a channel message was not sent. Codes `CHANNEL_MESSAGE_ERR_…`.
    ChannelMessageError,
    channel_message_err,
    codes::channel_message_err::USER_NOT_LOGGED_IN
);
operation_error!(
    /// Why a channel was not left. Codes `LEAVE_CHANNEL_ERR_…`.
    LeaveError,
    leave_channel_err,
    codes::leave_channel_err::USER_NOT_LOGGED_IN
);
operation_error!(
    /// Why there is no member list. Codes `GET_MEMBERS_ERR_…`.
    GetMembersError,
    get_members_err,
    codes::get_members_err::USER_NOT_LOGGED_IN
);
operation_error!(
    /// Why there is no member count. Codes `GET_CHANNEL_MEMBER_COUNT_ERR_…`.
    MemberCountError,
    get_channel_member_count_err,
    codes::get_channel_member_count_err::USER_NOT_LOGGED_IN
);
operation_error!(
    /// Why an online query failed. Codes `QUERY_PEERS_ONLINE_STATUS_ERR_…`.
    PresenceQueryError,
    query_peers_online_status_err,
    codes::query_peers_online_status_err::USER_NOT_LOGGED_IN
);
operation_error!(
    /// Why a subscription failed. Codes `PEER_SUBSCRIPTION_STATUS_ERR_…`.
    SubscriptionError,
    peer_subscription_status_err,
    codes::peer_subscription_status_err::USER_NOT_LOGGED_IN
);
operation_error!(
    /// Why there is no list of subscriptions. Codes `QUERY_PEERS_BY_SUBSCRIPTION_OPTION_ERR_…`.
    SubscriptionQueryError,
    query_peers_by_subscription_option_err,
    codes::query_peers_by_subscription_option_err::USER_NOT_LOGGED_IN
);
operation_error!(
    /// Why attributes were not written or read. Codes `ATTRIBUTE_OPERATION_ERR_…`.
    AttributeError,
    attribute_operation_err,
    codes::attribute_operation_err::USER_NOT_LOGGED_IN
);

/// Why a channel was not joined. Codes `JOIN_CHANNEL_…`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// The call has failed.
    #[error("{0}")]
    Call(CallError),
    /// The channel was left before it was joined.
    #[error("the channel was left before it was joined")]
    Left,
}

impl JoinError {
    fn call(&self) -> Option<&CallError> {
        match self {
            Self::Call(error) => Some(error),
            Self::Left => None,
        }
    }

    /// The code of the method's family in the RTM 1.x API; 201 when the channel was left meanwhile.
    pub fn code(&self) -> u32 {
        match self {
            Self::Left => codes::join_channel::ERR_ABORTED_BY_LEAVE,
            Self::Call(CallError::Refused { outcome, .. }) => {
                codes::join_channel::from_outcome(*outcome)
            }
            Self::Call(CallError::Unsent { .. }) => {
                codes::join_channel::from_outcome(Outcome::TimedOut as u32)
            }
            Self::Call(_) => codes::join_channel::ERR_USER_NOT_LOGGED_IN,
        }
    }

    /// The server's outcome; none when the client did not ask the server, or waits no more for its answer.
    pub fn outcome(&self) -> Option<Outcome> {
        let call = self.call()?;
        Outcome::ALL.into_iter().find(|row| call.is(*row))
    }

    /// When to try again, where that is stated.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.call()? {
            CallError::Refused { retry_after_ms, .. } if *retry_after_ms > 0 => {
                Some(Duration::from_millis(u64::from(*retry_after_ms)))
            }
            _ => None,
        }
    }

    /// Whether the call has had no effect for certain, because it never left this client.
    pub fn is_unsent(&self) -> bool {
        self.call().is_some_and(CallError::is_unsent)
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        self.call().is_some_and(CallError::is_retryable)
    }

    /// What to do about it: one imperative sentence.
    pub fn hint(&self) -> &'static str {
        match (self, self.outcome()) {
            (Self::Left, _) => "Join again if the channel is wanted after all.",
            (_, Some(outcome)) => outcome.remedy(),
            (_, None) => "Log in first.",
        }
    }
}

impl From<CallError> for JoinError {
    fn from(source: CallError) -> Self {
        Self::Call(source)
    }
}

/// Why something was not done with an invitation. Codes `INVITATION_API_CALL_ERR_…`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{source}")]
pub struct InvitationError {
    source: CallError,
}

impl InvitationError {
    /// The code of the method's family in the RTM 1.x API; 102 when the client is not logged in.
    pub fn code(&self) -> u32 {
        match &self.source {
            CallError::WrongTime { code, .. } => *code,
            CallError::Refused { .. } | CallError::Unsent { .. } => {
                codes::invitation_api_call_err::INVALID_ARGUMENT
            }
            _ => NOT_LOGGED_IN,
        }
    }

    /// The outcome that a check has found; none when the invitation was not in a state for this.
    pub fn outcome(&self) -> Option<Outcome> {
        Outcome::ALL.into_iter().find(|row| self.source.is(*row))
    }

    /// What to do about it: one imperative sentence.
    pub fn hint(&self) -> &'static str {
        match (self.outcome(), &self.source) {
            (Some(outcome), _) => outcome.remedy(),
            (None, CallError::WrongTime { .. }) => "Look at the invitation's last event.",
            (None, _) => "Log in first.",
        }
    }
}

impl From<CallError> for InvitationError {
    fn from(source: CallError) -> Self {
        Self { source }
    }
}

/// Why a login failed. Codes `LOGIN_ERR_…`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{source}")]
pub struct LoginError {
    source: CallError,
}

impl LoginError {
    /// The code of the method's family in the RTM 1.x API.
    pub fn code(&self) -> u32 {
        match &self.source {
            CallError::Refused { outcome, .. } => codes::login_err::from_outcome(*outcome),
            CallError::AlreadyLoggedIn => codes::login_err::ALREADY_LOGIN,
            CallError::Unsent { .. } => codes::login_err::from_outcome(Outcome::TimedOut as u32),
            CallError::LoginCanceled | CallError::NotLoggedIn | CallError::WrongTime { .. } => {
                codes::login_err::UNKNOWN
            }
        }
    }

    /// The server's outcome; none when the client did not ask the server.
    pub fn outcome(&self) -> Option<Outcome> {
        Outcome::ALL.into_iter().find(|row| self.source.is(*row))
    }

    /// When to try again, where that is stated.
    pub fn retry_after(&self) -> Option<Duration> {
        match &self.source {
            CallError::Refused { retry_after_ms, .. } if *retry_after_ms > 0 => {
                Some(Duration::from_millis(u64::from(*retry_after_ms)))
            }
            _ => None,
        }
    }

    /// Whether the same login may succeed later.
    pub fn is_retryable(&self) -> bool {
        self.source.is_retryable()
    }

    /// What to do about it: one imperative sentence.
    pub fn hint(&self) -> &'static str {
        match (self.outcome(), &self.source) {
            (Some(outcome), _) => outcome.remedy(),
            (None, CallError::AlreadyLoggedIn) => "Log out first.",
            (None, _) => "Log in again.",
        }
    }
}

impl From<CallError> for LoginError {
    fn from(source: CallError) -> Self {
        Self { source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_family() {
        let refused = |outcome: Outcome| CallError::Refused {
            outcome: outcome as u32,
            text: String::new(),
            retry_after_ms: 700,
        };
        let join = JoinError::from(refused(Outcome::TimedOut));
        assert_eq!((join.code(), join.outcome()), (4, Some(Outcome::TimedOut)));
        assert_eq!(join.retry_after(), Some(Duration::from_millis(700)));
        assert_eq!(
            (JoinError::Left.code(), JoinError::Left.outcome()),
            (201, None)
        );
        assert_eq!(PeerMessageError::from(refused(Outcome::TimedOut)).code(), 2);
        assert_eq!(
            AttributeError::from(refused(Outcome::UserNotFound)).code(),
            6
        );
        assert_eq!(
            ChannelMessageError::from(CallError::NotLoggedIn).code(),
            102
        );
        assert_eq!(
            ChannelMessageError::from(CallError::NotLoggedIn).hint(),
            "Log in first."
        );
        assert_eq!(LoginError::from(CallError::AlreadyLoggedIn).code(), 8);
        assert_eq!(LoginError::from(CallError::LoginCanceled).code(), 1);
        assert_eq!(LoginError::from(refused(Outcome::TokenExpired)).code(), 6);
    }
}
