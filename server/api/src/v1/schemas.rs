//! Shapes of answers that are written without a type of their own, for the API's description.

use utoipa::ToSchema;

use super::channels::Channel;
use super::invitations::Invitation;
use super::sessions::Session;
use super::traces::{Followed, Message as Traced};

macro_rules! page {
    ($(#[$doc:meta])* $name:ident of $item:ty) => {
        $(#[$doc])*
        #[derive(ToSchema)]
        #[allow(dead_code, reason = "only its schema is used")]
        pub(crate) struct $name {
            items: Vec<$item>,
            /// The `cursor` of the next page; null = this is the last.
            next: Option<String>,
        }
    };
}

page!(
    /// One page of the sessions of an app.
    SessionPage of Session
);
page!(
    /// One page of the channels that have members.
    ChannelPage of Channel
);
page!(
    /// One page of the members of a channel.
    MemberPage of Member
);
page!(
    /// The traces that are on.
    TracePage of Followed
);
page!(
    /// The newest messages of which something was noted.
    TracedPage of Traced
);
page!(
    /// One page of the invitations under way.
    InvitationPage of Invitation
);
page!(
    /// Users, and whether they are online.
    PresencePage of Presence
);
page!(
    /// One page of the messages that are kept.
    MessagePage of StoredMessage
);

/// A member of a channel.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only its schema is used")]
pub(crate) struct Member {
    user: String,
}

/// Whether a user is online.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only its schema is used")]
pub(crate) struct Presence {
    user: String,
    online: bool,
    /// `online`, `unreachable` or `offline`.
    state: String,
}

/// A message that is kept.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only its schema is used")]
pub(crate) struct StoredMessage {
    /// Names it, as the answer to `publish`, events and traces do. Of a message in a history that a
    /// server before 0.2 has kept: its position.
    message_id: String,
    /// Of a message in a history: its place, a number that rises.
    position: Option<String>,
    from: String,
    /// The channel that it went to.
    channel: Option<String>,
    /// The user that it went to.
    user: Option<String>,
    /// When the server received it, Unix milliseconds.
    at_ms: u64,
    /// `text`, `raw`, `file` or `image`.
    r#type: String,
    /// Of a text message.
    payload: Option<String>,
    /// Of a raw message.
    payload_base64: Option<String>,
}

/// What has ended.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only its schema is used")]
pub(crate) struct Ended {
    /// How many sessions, or invitations, were ended.
    ended: u32,
    /// The id of the ban, if there is one.
    ban: Option<u64>,
}

/// Sessions that were taken out of a channel.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only its schema is used")]
pub(crate) struct Removed {
    removed: u32,
}

/// Messages that were deleted.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only its schema is used")]
pub(crate) struct Deleted {
    deleted: u64,
}

/// Attributes that were written.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only its schema is used")]
pub(crate) struct Written {
    attributes: std::collections::BTreeMap<String, String>,
}

/// A new invitation.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only its schema is used")]
pub(crate) struct Invited {
    id: String,
}

/// Invitations that were decided.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only its schema is used")]
pub(crate) struct Decisions {
    decided: u32,
}

/// One page of an app's events, the oldest first.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only its schema is used")]
pub(crate) struct EventPage {
    items: Vec<Event>,
    /// The `after` of the next call.
    next: String,
}

/// What has happened. Kinds have fields besides.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only its schema is used")]
pub(crate) struct Event {
    /// Where it stands: the `after` of a call that goes on behind it.
    cursor: String,
    /// Such as `user.login`; `gap` tells that events before this one are missing.
    r#type: String,
    /// When, Unix milliseconds.
    at_ms: u64,
    user: Option<String>,
    channel: Option<String>,
    /// The receiver of a message or an invitation.
    peer: Option<String>,
    /// Counts the events of its channel, or else of its user.
    order: Option<u64>,
    user_order: Option<u64>,
    channel_order: Option<u64>,
    /// When the login came that it belongs to, Unix milliseconds: a logout with an earlier one than
    /// the newest login's is no news any more.
    login_ms: Option<u64>,
    /// Names the login.
    session: Option<String>,
    /// Of a message or an invitation: its name.
    id: Option<String>,
    /// Of a message: its size.
    bytes: Option<u64>,
    /// Why, or how far: of a logout, an invitation, a ban, a gap.
    detail: Option<String>,
    /// Of a gap: how many events are missing, if that is known.
    missing: Option<u64>,
}

/// What the server is.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only its schema is used")]
pub(crate) struct Version {
    /// The name of the server software, always `tidings`.
    name: String,
    version: String,
}
