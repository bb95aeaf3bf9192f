//! Rates: what is counted together, how much of it is allowed, and what a user has used of it.

use tidings_wire::limits as l;
use tidings_wire::limits::{RATE_LOGIN, RATE_RESUME};
use tidings_wire::names::ChannelName;
use tidings_wire::rates::{Bucket, Rate};

/// What is counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Messages to users and channels.
    Message,
    /// Joins of whatever channels.
    Join,
    /// Member lists.
    GetMembers,
    /// Member counts.
    GetMemberCounts,
    /// Token renewals.
    RenewToken,
    /// Presence queries.
    QueryPresence,
    /// Presence subscriptions.
    SubscribePresence,
    /// Presence unsubscriptions.
    UnsubscribePresence,
    /// Queries of one's own presence subscriptions.
    QuerySubscriptions,
    /// Changes of one's own attributes.
    WriteUserAttributes,
    /// Reads of a user's attributes.
    ReadUserAttributes,
    /// Changes of a channel's attributes.
    WriteChannelAttributes,
    /// Reads of a channel's attributes.
    ReadChannelAttributes,
    /// Reads of a history.
    ReadHistory,
    /// Call invitations.
    Invite,
    /// Joins of one channel.
    JoinSameChannel,
    /// Logins of one user.
    Login,
    /// KiB of channel messages, times their members.
    FanOut,
    /// KiB of answers.
    Answer,
    /// Users in member lists.
    ListedMembers,
    /// Calls without a rate of their own.
    OtherCall,
    /// Calls that were refused.
    FailedCall,
}

pub(crate) const KINDS: usize = 22;

/// Kinds, their names in settings, what errors call them, and their default rates, in the order of
/// [`Kind`].
pub(crate) const RATES: [(Kind, &str, &str, Rate); KINDS] = [
    (Kind::Message, "message", "messages", l::RATE_MESSAGE),
    (Kind::Join, "join", "joins", l::RATE_JOIN),
    (
        Kind::GetMembers,
        "get_members",
        "member list calls",
        l::RATE_GET_MEMBERS,
    ),
    (
        Kind::GetMemberCounts,
        "get_member_counts",
        "member count calls",
        l::RATE_GET_MEMBER_COUNTS,
    ),
    (
        Kind::RenewToken,
        "renew_token",
        "token renewals",
        l::RATE_RENEW_TOKEN,
    ),
    (
        Kind::QueryPresence,
        "query_presence",
        "presence queries",
        l::RATE_QUERY_PRESENCE,
    ),
    (
        Kind::SubscribePresence,
        "subscribe_presence",
        "presence subscriptions",
        l::RATE_SUBSCRIBE_PRESENCE,
    ),
    (
        Kind::UnsubscribePresence,
        "unsubscribe_presence",
        "presence unsubscriptions",
        l::RATE_UNSUBSCRIBE_PRESENCE,
    ),
    (
        Kind::QuerySubscriptions,
        "query_subscriptions",
        "subscription queries",
        l::RATE_QUERY_SUBSCRIPTIONS,
    ),
    (
        Kind::WriteUserAttributes,
        "write_user_attributes",
        "user attribute changes",
        l::RATE_WRITE_USER_ATTRIBUTES,
    ),
    (
        Kind::ReadUserAttributes,
        "read_user_attributes",
        "user attribute reads",
        l::RATE_READ_USER_ATTRIBUTES,
    ),
    (
        Kind::WriteChannelAttributes,
        "write_channel_attributes",
        "channel attribute changes",
        l::RATE_WRITE_CHANNEL_ATTRIBUTES,
    ),
    (
        Kind::ReadChannelAttributes,
        "read_channel_attributes",
        "channel attribute reads",
        l::RATE_READ_CHANNEL_ATTRIBUTES,
    ),
    (
        Kind::ReadHistory,
        "read_history",
        "history reads",
        l::RATE_READ_HISTORY,
    ),
    (Kind::Invite, "invite", "invitations", l::RATE_INVITE),
    (
        Kind::JoinSameChannel,
        "join_same_channel",
        "joins of one channel",
        l::RATE_JOIN_SAME_CHANNEL,
    ),
    (Kind::Login, "login", "logins of one user", l::RATE_LOGIN),
    (
        Kind::FanOut,
        "fan_out_kib",
        "KiB of channel messages times members",
        l::RATE_FAN_OUT_KIB,
    ),
    (
        Kind::Answer,
        "answer_kib",
        "KiB of answers",
        l::RATE_ANSWER_KIB,
    ),
    (
        Kind::ListedMembers,
        "listed_members",
        "users in member lists",
        l::RATE_LISTED_MEMBERS,
    ),
    (
        Kind::OtherCall,
        "other_call",
        "other calls",
        l::RATE_OTHER_CALL,
    ),
    (
        Kind::FailedCall,
        "failed_call",
        "refused calls",
        l::RATE_FAILED_CALL,
    ),
];

impl Kind {
    /// Its name in settings.
    pub(crate) fn name(self) -> &'static str {
        RATES[self as usize].1
    }

    /// All kinds, each with its name in settings.
    pub fn named() -> impl Iterator<Item = (Self, &'static str)> {
        RATES.iter().map(|(kind, name, ..)| (*kind, *name))
    }
}

/// The rates of one app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rates([Rate; KINDS]);

impl Default for Rates {
    fn default() -> Self {
        Self(RATES.map(|(.., rate)| rate))
    }
}

impl Rates {
    /// The rate of a kind.
    pub fn get(&self, kind: Kind) -> Rate {
        debug_assert_eq!(RATES[kind as usize].0, kind, "a kind stands at its place");
        self.0[kind as usize]
    }

    /// Sets the rate of a kind; no calls = unlimited.
    pub fn set(&mut self, kind: Kind, rate: Rate) {
        debug_assert!(
            rate.calls == 0 || rate.window_ms > 0,
            "a rate without a time"
        );
        self.0[kind as usize] = rate;
    }
}

/// What one user has used of its rates, at a time of the node's clock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Used {
    /// When it was so, in monotonic milliseconds of the node.
    pub(crate) at_ms: u64,
    /// By kind, in the units of [`Bucket::used`].
    pub(crate) kinds: Vec<(Kind, u64)>,
    /// Of joins of single channels.
    pub(crate) joins: Vec<(ChannelName, u64)>,
    /// Logins: its bucket, by the node's clock.
    pub(crate) logins: Bucket,
    /// Resumes: the same.
    pub(crate) resumes: Bucket,
    /// The user's clients stay away until then, in monotonic milliseconds of the node.
    pub(crate) paused_until_ms: u64,
}

impl Used {
    /// Whether it says anything.
    pub(crate) fn is_empty(&self) -> bool {
        debug_assert!(self.kinds.len() <= KINDS, "a rate is told twice");
        self.kinds.is_empty() && self.joins.is_empty() && self.paused_until_ms == 0
    }

    /// How long the user's clients must still stay away, in milliseconds; 0 = they may come.
    pub(crate) fn pause_ms(&self, node_ms: u64) -> u64 {
        self.paused_until_ms.saturating_sub(node_ms)
    }

    /// The wait for the next resume, in milliseconds; `None` = it may be now.
    pub(crate) fn resume_wait_ms(&self, node_ms: u64) -> Option<u64> {
        self.resumes.wait(RATE_RESUME, node_ms)
    }

    /// The wait for the next login, in milliseconds; `None` = it may be now.
    pub(crate) fn login_wait_ms(&self, rate: Rate, node_ms: u64) -> Option<u64> {
        self.logins.wait(rate, node_ms)
    }
}

/// What a hub tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// The user has logged in; the rate of its app's logins.
    LoggedIn(Rate),
    /// The user's session was resumed.
    Resumed,
    /// A session of the user has ended, or its client was sent away.
    Used(Box<Used>),
}

impl Word {
    /// A login at the default rate.
    pub fn logged_in() -> Self {
        Self::LoggedIn(RATE_LOGIN)
    }
}
