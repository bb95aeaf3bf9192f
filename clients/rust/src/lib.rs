//! The async Rust SDK.
//!
//! A [`Client`] is one login of one user at a time. It maintains its link on its own: a lost
//! connection is resumed without loss or repetition, and when the server no longer knows the
//! session a new one is begun, with channels, attributes and subscriptions restored. What happens
//! in the meantime comes as [`ClientEvent`]s.
//!
//! Every future may be dropped at any time: a call that has been handed over goes on, only its
//! answer is lost.
//!
//! It is not a runtime (it runs on tokio) and not a protocol: that is `tidings-client-core`, which
//! knows no socket and no clock.
//!
//! # The RTM 1.x surface
//!
//! | There | Here |
//! | --- | --- |
//! | `createInstance`, `endpoint` | [`Client::builder`] |
//! | `login`, `logout`, `logoutSync`, `renewToken` | [`Client::login`], [`Client::logout`], [`Client::logout_sync`], [`Client::renew_token`] |
//! | `connectionState` | [`Client::state`] |
//! | `sendMessageToPeer`, `createMessage` | [`Client::send_to_peer`], [`Message`] |
//! | `queryPeersOnlineStatus` | [`Client::query_presence`] |
//! | `subscribePeersOnlineStatus`, `unsubscribe…`, `queryPeersBySubscriptionOption` | [`Client::subscribe_presence`], [`Client::unsubscribe_presence`], [`Client::presence_subscriptions`] |
//! | `set…`, `addOrUpdate…`, `delete…`, `clearLocalUserAttributes` | [`Client::write_attributes`] with [`AttributeWrite`] |
//! | `getUserAttributes`, `…ByKeys` | [`Client::read_attributes`] |
//! | the same of channels | [`Channel::write_attributes`], [`Channel::read_attributes`] |
//! | `getChannelMemberCount` | [`Client::member_counts`] |
//! | `createChannel`, `join`, `leave`, `sendMessage`, `getMembers` | [`Client::channel`], [`Channel::join`], [`Channel::leave`], [`Channel::send`], [`Channel::members`] |
//! | `createLocalInvitation`, `send`, `cancel` | [`Client::invite`], [`Client::cancel_invitation`] |
//! | `accept`, `refuse` | [`Client::accept_invitation`], [`Client::refuse_invitation`] |
//! | every event | one variant of [`ClientEvent`], in one stream: [`Events`] |
//! | error codes | `code()` of each method's own error type |
//! | `getPeerHistory`, `getHistory`, ours | [`Client::peer_history`], [`Channel::history`] |
//! | `createMediaMessageByUploading`, `downloadMedia` | [`Client::upload_media`], [`Client::download_media`] |
//! | `setParameters`, `updateConfig`, log filters | none: settings are the builder's, there is no log |
//!
//! Reading order: [`Builder`], [`Client`], [`Channel`], [`Events`], the errors; inside, `driver`
//! (the task that owns the machine), `connection` (one WebSocket) and `rivals` (other logins of the
//! same user in this program).
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/served.rs"));
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let server = serve();
//! # let endpoint = &server.endpoint;
//! # let (bob, _) = server.client("bob").await;
//! use tidings_client::{Client, ClientEvent, SendOptions};
//!
//! let (client, mut events) = Client::builder()
//!     .endpoint(endpoint) // such as "wss://rtm.example.com"
//!     .app_id("0123456789abcdef0123456789abcdef")
//!     .build()?;
//! client.login("alice", None).await?;
//! let lobby = client.channel("lobby");
//! lobby.join().await?;
//! lobby.send("hello").await?;
//! client.send_to_peer("carol", "are you there?", SendOptions::new().offline()).await?;
//! # bob.channel("lobby").join().await?;
//! # bob.channel("lobby").send("hello alice").await?;
//! while let Some(event) = events.next().await {
//!     if let ClientEvent::ChannelMessage { from, message, .. } = event {
//!         println!("{from}: {message:?}");
//! #       break;
//!     }
//! }
//! # Ok(())
//! # }
//! ```

#![deny(missing_docs)]

mod access;
mod builder;
mod channel;
mod client;
mod connection;
mod driver;
mod endpoints;
mod error;
mod events;
mod invitations;
mod media;
mod rivals;
#[cfg(feature = "server")]
pub mod server;
mod tls;

pub use bytes::Bytes;
pub use tidings_client_core::{
    Attribute, AttributeWrite, CallError, ClientEvent, ConnectionReason, ConnectionState, GapCause,
    GapSource, HistoryMessage, HistoryPage, HistoryRange, InvitationId, LocalInvitationFailure,
    LocalInvitationNews, MediaFile, Message, PixelSize, PresenceState, RemoteInvitationFailure,
    RemoteInvitationNews,
};
pub use tidings_wire::codes::Outcome;

pub use builder::{BuildError, Builder};
pub use channel::{Channel, Notify};
pub use client::{Client, PeerReceipt, SendOptions};
pub use error::{
    AttributeError, ChannelMessageError, GetMembersError, InvitationError, JoinError, LeaveError,
    LoginError, LogoutError, MemberCountError, PeerMessageError, PresenceQueryError,
    RenewTokenError, SubscriptionError, SubscriptionQueryError,
};
pub use events::Events;
pub use media::{Download, DownloadMediaError, Progress, Upload, UploadMediaError};
