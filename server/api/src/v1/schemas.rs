//! Shapes of answers that are written without a type of their own, for the API's description.

use utoipa::ToSchema;

use super::channels::Channel;
use super::invitations::Invitation;
use super::sessions::Session;

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
    /// Sessions.
    SessionPage of Session
);
page!(
    /// Channels.
    ChannelPage of Channel
);
page!(
    /// Members.
    MemberPage of Member
);
page!(
    /// Invitations.
    InvitationPage of Invitation
);
page!(
    /// Users, and whether they are online.
    PresencePage of Presence
);
page!(
    /// Messages.
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
    message_id: String,
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
    /// How many.
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
