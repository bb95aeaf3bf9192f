//! The stream of events of each app: who came, went, joined, left, and what else its backend hears.
//!
//! Hubs report what happens by [`super::StoreOp::EventAppend`] and wait for no answer. The store
//! numbers events, knows which logins and memberships are open, and so sees to it that each login
//! has one logout after it, and each join one leave, whatever is reported twice or not at all.
//! Source: rest 12.

use tidings_wire::names::{AppId, ChannelName, UserId};

use crate::ids::{HubId, SessionId};

/// What has happened. Its number is part of records on disk and never given to another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum EventKind {
    /// A user is online.
    Login = 1,
    /// A user is offline.
    Logout = 2,
    /// A user has joined a channel.
    Join = 3,
    /// A user has left a channel.
    Leave = 4,
    /// A channel has its first member.
    ChannelMade = 5,
    /// A channel's last member has left.
    ChannelGone = 6,
    /// A peer message was accepted.
    PeerMessage = 7,
    /// A channel message was accepted.
    ChannelMessage = 8,
    /// A peer message was stored for a user who is away.
    OfflineStored = 9,
    /// An invitation was sent, and its record is durable.
    InvitationSent = 10,
    /// Somebody was banned.
    Banned = 11,
    /// A ban was lifted or has ended.
    Unbanned = 12,
    /// Events before this one are missing.
    Gap = 13,
    /// The callee's client has an invitation.
    InvitationReceived = 14,
    /// An invitation was accepted, and both sides agree.
    InvitationAccepted = 15,
    /// Its callee has refused an invitation.
    InvitationRefused = 16,
    /// Its caller has canceled an invitation.
    InvitationCanceled = 17,
    /// An invitation has ended in another way, which its detail says.
    InvitationFailed = 18,
}

impl EventKind {
    /// Every kind there is, the gap included.
    pub const ALL: [Self; 18] = [
        Self::Login,
        Self::Logout,
        Self::Join,
        Self::Leave,
        Self::ChannelMade,
        Self::ChannelGone,
        Self::PeerMessage,
        Self::ChannelMessage,
        Self::OfflineStored,
        Self::InvitationSent,
        Self::InvitationReceived,
        Self::InvitationAccepted,
        Self::InvitationRefused,
        Self::InvitationCanceled,
        Self::InvitationFailed,
        Self::Banned,
        Self::Unbanned,
        Self::Gap,
    ];

    /// The kind of this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }

    /// Its name, as readers see it. Source: rest 12.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Login => "user.login",
            Self::Logout => "user.logout",
            Self::Join => "channel.join",
            Self::Leave => "channel.leave",
            Self::ChannelMade => "channel.created",
            Self::ChannelGone => "channel.destroyed",
            Self::PeerMessage => "message.peer",
            Self::ChannelMessage => "message.channel",
            Self::OfflineStored => "message.offline_stored",
            Self::InvitationSent => "invitation.sent",
            Self::InvitationReceived => "invitation.received",
            Self::InvitationAccepted => "invitation.accepted",
            Self::InvitationRefused => "invitation.refused",
            Self::InvitationCanceled => "invitation.canceled",
            Self::InvitationFailed => "invitation.failed",
            Self::Banned => "user.banned",
            Self::Unbanned => "user.unbanned",
            Self::Gap => "gap",
        }
    }

    /// The kind of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The queue of the hosted service's API that has it, if one has.
    pub const fn queue(self) -> Option<EventQueue> {
        match self {
            Self::Login | Self::Logout => Some(EventQueue::Users),
            Self::Join | Self::Leave => Some(EventQueue::Channels),
            _ => None,
        }
    }
}

/// A set of kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventKinds(u32);

impl EventKinds {
    /// Every kind, also those that are yet to come.
    pub const ALL: Self = Self(u32::MAX);
    /// No kind but the gap, which is told in any case.
    pub const NONE: Self = Self(0);

    /// With one more.
    #[must_use]
    pub const fn with(self, kind: EventKind) -> Self {
        Self(self.0 | 1 << kind as u8)
    }

    /// Whether a kind belongs to it. A gap belongs to every set.
    pub const fn has(self, kind: EventKind) -> bool {
        matches!(kind, EventKind::Gap) || self.0 & 1 << kind as u8 != 0
    }
}

impl FromIterator<EventKind> for EventKinds {
    fn from_iter<I: IntoIterator<Item = EventKind>>(kinds: I) -> Self {
        kinds.into_iter().fold(Self::NONE, Self::with)
    }
}

const _: () = {
    let mut listed = EventKinds::NONE;
    let mut at = 0;
    while at < EventKind::ALL.len() {
        let kind = EventKind::ALL[at];
        assert!(
            (kind as u32) < u32::BITS,
            "a kind for which a set has no room"
        );
        assert!(listed.0 & 1 << kind as u8 == 0, "a kind is listed twice");
        listed = listed.with(kind);
        at += 1;
    }
};

/// A queue from which reading removes. Source: rest 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum EventQueue {
    /// Logins and logouts.
    Users = 1,
    /// Joins and leaves.
    Channels = 2,
}

impl EventQueue {
    /// Both queues, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::Users, Self::Channels];
}

/// A login, as events name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LoginName {
    /// The hub that has its session.
    pub hub: HubId,
    /// The session's id: 16 random bytes, drawn anew for each session.
    pub session: SessionId,
}

/// Bounds of one app's events, given with every append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventLimits {
    /// Most events; the oldest goes first. At least 1.
    pub count_max: u64,
    /// The oldest events go that are stamped at least this much before the append. Milliseconds.
    pub age_ms: u64,
    /// Most events in each queue that reading empties; the oldest goes first.
    pub queue_max: u64,
}

impl Default for EventLimits {
    fn default() -> Self {
        Self {
            count_max: tidings_wire::limits::EVENTS_MAX as u64,
            age_ms: tidings_wire::limits::EVENTS_AGE_MS,
            queue_max: tidings_wire::limits::EVENT_QUEUE_MAX as u64,
        }
    }
}

/// Something that has happened, as it is reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// The app in whose stream the event goes.
    pub app: AppId,
    /// When, in Unix milliseconds.
    pub at_ms: u64,
    /// What happened: decides which of the optional fields are set.
    pub kind: EventKind,
    /// Whom it is about: who came, sent, called or was banned.
    pub user: Option<UserId>,
    /// The channel in which it happened.
    pub channel: Option<ChannelName>,
    /// The other side: who is sent to or called.
    pub peer: Option<UserId>,
    /// The login that it belongs to. Needed for logins, logouts, joins and leaves.
    pub login: Option<LoginName>,
    /// The id of the message or the invitation.
    pub id: Option<[u8; 16]>,
    /// Bytes of the message.
    pub bytes: u32,
    /// Why, or what state. A short word, or a text of an operator.
    pub detail: String,
    /// Bounds of the app's events.
    pub limits: EventLimits,
}

impl NewEvent {
    /// An event of which nothing else is known yet.
    pub fn new(app: AppId, at_ms: u64, kind: EventKind) -> Self {
        Self {
            app,
            at_ms,
            kind,
            user: None,
            channel: None,
            peer: None,
            login: None,
            id: None,
            bytes: 0,
            detail: String::new(),
            limits: EventLimits::default(),
        }
    }

    /// Asserts that what a hub reports has what its kind needs: a reader finds no more than this.
    pub(crate) fn assert_complete(&self) {
        use EventKind::{
            Banned, ChannelGone, ChannelMade, ChannelMessage, Gap, InvitationFailed, Join, Leave,
            Login, Logout, OfflineStored, PeerMessage, Unbanned,
        };
        let kind = self.kind;
        assert!(
            !matches!(kind, ChannelMade | ChannelGone | Gap | Banned | Unbanned),
            "{kind:?} is found out by others than hubs"
        );
        let is_of_login = matches!(kind, Login | Logout | Join | Leave);
        assert_eq!(self.login.is_some(), is_of_login, "the login of {kind:?}");
        let is_in_channel = matches!(kind, Join | Leave | ChannelMessage);
        assert_eq!(
            self.channel.is_some(),
            is_in_channel,
            "the place of {kind:?}"
        );
        let has_two_sides = !is_of_login && !is_in_channel;
        assert_eq!(
            self.peer.is_some(),
            has_two_sides,
            "the other side of {kind:?}"
        );
        assert_eq!(
            self.id.is_some(),
            has_two_sides || kind == ChannelMessage,
            "the id of {kind:?}"
        );
        assert!(self.user.is_some(), "{kind:?} of nobody");
        let is_message = matches!(kind, PeerMessage | ChannelMessage | OfflineStored);
        assert!(is_message || self.bytes == 0, "{kind:?} has bytes");
        let has_reason = matches!(kind, Logout | InvitationFailed);
        assert_eq!(self.detail.is_empty(), !has_reason, "why {kind:?}");
    }
}

/// An event of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its place in the app's stream: from 1, without gaps.
    pub number: u64,
    /// When, in Unix milliseconds.
    pub at_ms: u64,
    /// What happened: decides which of the optional fields are set.
    pub kind: EventKind,
    /// Whom it is about: see [`NewEvent::user`].
    pub user: Option<UserId>,
    /// Where it happened: see [`NewEvent::channel`].
    pub channel: Option<ChannelName>,
    /// The other side: see [`NewEvent::peer`].
    pub peer: Option<UserId>,
    /// The session of the login that it belongs to.
    pub session: Option<SessionId>,
    /// When that login came, in Unix milliseconds; 0 = it belongs to none. A logout with an earlier
    /// one than the newest login's is no news any more.
    pub login_ms: u64,
    /// Counts the events of its user: greater than that of every earlier one. 0 = it has no user.
    pub user_order: u64,
    /// The same of its channel.
    pub channel_order: u64,
    /// The message or invitation: see [`NewEvent::id`].
    pub id: Option<[u8; 16]>,
    /// The size of the message: see [`NewEvent::bytes`].
    pub bytes: u32,
    /// See [`NewEvent::detail`]. Of a gap: `pushed-out`, `not-written`, `crash` or `damaged`.
    pub detail: String,
    /// Events that are missing, as far as their number is known. Only of a gap.
    pub missing: u64,
}

/// A session that is there, with its channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveLogin {
    /// The app into which the session is logged in.
    pub app: AppId,
    /// The user who is logged in.
    pub user: UserId,
    /// The id of the session that is there.
    pub session: SessionId,
    /// Where it is a member.
    pub channels: Vec<ChannelName>,
}

/// Why open logins are compared with those that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncCause {
    /// The process has started: what the one before has left open has ended.
    Start,
    /// Events could not be written, or the apps that want them are others now.
    Change,
}

/// Compares the open logins of a hub with those that are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventSync {
    /// The hub whose open logins are compared.
    pub hub: HubId,
    /// Look at the sessions whose first byte is at least this, …
    pub from: u8,
    /// … and at most this.
    pub to: u8,
    /// All sessions there of which that is true.
    pub live: Vec<LiveLogin>,
    /// Also at the open logins of hubs from this number on: they are no more.
    pub gone_from: Option<u16>,
    /// What has made the comparison necessary.
    pub cause: SyncCause,
    /// Now, in Unix milliseconds.
    pub at_ms: u64,
    /// Bounds of each app's events.
    pub limits: EventLimits,
}

/// Most open logins that one [`EventSync`] ends.
pub const SYNC_ENDS_MAX: usize = 500;

/// An operation on streams, besides appending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventOp {
    /// See [`EventSync`]. Answer: `Synced`.
    Sync(EventSync),
    /// Notes that events of an app could not be written. Answer: `Written`.
    Lost {
        /// The app whose stream lacks the events.
        app: AppId,
        /// How many events could not be written; a gap tells readers.
        count: u64,
        /// Now, in Unix milliseconds.
        at_ms: u64,
        /// Bounds of the app's events.
        limits: EventLimits,
    },
    /// Reads events, oldest first. Answer: `Page`.
    Read {
        /// The app whose stream is read.
        app: AppId,
        /// Events up to and including this number are left out; `None` = begin with the oldest that
        /// is kept.
        after: Option<u64>,
        /// Most events in the answer.
        count_max: usize,
        /// Events of other kinds are left out; a gap is told in any case.
        kinds: EventKinds,
        /// Events stamped before this are too old. Unix milliseconds.
        not_before_ms: u64,
    },
    /// Takes events out of a queue, oldest first. Answer: `Page`.
    Take {
        /// The app from whose queue events are taken.
        app: AppId,
        /// The queue from which the answered events are removed.
        queue: EventQueue,
        /// Most events in the answer.
        count_max: usize,
        /// Events stamped before this are too old. Unix milliseconds.
        not_before_ms: u64,
    },
    /// Reads where a stream begins and ends. Answer: `Span`.
    Span {
        /// The app whose stream is asked about.
        app: AppId,
    },
    /// Deletes events that are too old, of apps after this one, and a bounded number of them.
    /// Answer: `Trimmed`.
    Trim {
        /// Continue after this app.
        after: Option<AppId>,
        /// Events stamped before this go. Unix milliseconds.
        not_before_ms: u64,
    },
    /// Takes a user's name out of the events that are kept, a bounded number of them at a time.
    /// Answer: `Erased`.
    Erase {
        /// The app whose events are searched for the user.
        app: AppId,
        /// The user whose name is taken out.
        user: UserId,
        /// Look at events after this number.
        after: u64,
    },
}

impl EventOp {
    /// Whether it may change what is stored.
    pub fn is_write(&self) -> bool {
        !matches!(self, Self::Read { .. } | Self::Span { .. })
    }
}

/// Where a stream begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EventSpan {
    /// When it began, in Unix milliseconds: tells it from the stream of another server. 0 = there
    /// is none yet.
    pub born_ms: u64,
    /// The number of the oldest event that is kept; one above the newest if none is.
    pub first: u64,
    /// The number of the newest event; 0 = there was none.
    pub newest: u64,
}

/// What the store answers to an [`EventOp`], or to an event that was appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventAnswer {
    /// The events are durable; there may be none, if what was reported was no news.
    Written {
        /// The app to whose stream the events were added.
        app: AppId,
        /// In their order.
        events: Vec<Event>,
        /// The stream that has them.
        span: EventSpan,
    },
    /// What was open and is not there has ended, up to a bound.
    Synced {
        /// Whether there is more to do: ask again.
        has_more: bool,
        /// The events by app, each with its stream.
        written: Vec<(AppId, Vec<Event>, EventSpan)>,
    },
    /// Events that were read from a stream, or taken from a queue.
    Page {
        /// In their order. The first may be a gap that is not stored.
        events: Vec<Event>,
        /// Continue after this number.
        next: u64,
        /// The stream that has them.
        span: EventSpan,
    },
    /// Where the stream begins and ends.
    Span(EventSpan),
    /// Old events are gone.
    Trimmed {
        /// Continue after this app; `None` = begin again.
        next: Option<AppId>,
        /// Whether there is more to do.
        has_more: bool,
    },
    /// Events name the user no more.
    Erased {
        /// Continue after this number; `None` = all have been looked at.
        next: Option<u64>,
    },
}
