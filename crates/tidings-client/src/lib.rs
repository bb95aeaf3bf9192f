//! The async Rust SDK.
//!
//! A [`Client`] is one login of one user at a time. It keeps its link by itself: a lost connection
//! is resumed without loss or repetition, and when the server no longer knows the session a new one
//! is begun, with channels, attributes and subscriptions restored. What happens meanwhile comes as
//! [`ClientEvent`]s.
//!
//! Every future may be dropped at any time: a call that has been handed over goes on, only its
//! answer is lost.
//!
//! It is not a runtime (it runs on tokio) and not a protocol: that is `tidings-client-core`, which
//! knows no socket and no clock.
//!
//! Reading order: [`Builder`], [`Client`], [`Channel`], [`Events`], the errors; inside, `driver`
//! (the task that owns the machine) and `connection` (one WebSocket).
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use tidings_client::{Client, ClientEvent, SendOptions};
//!
//! let (client, mut events) = Client::builder()
//!     .endpoint("ws://localhost:8080")
//!     .app_id("0123456789abcdef0123456789abcdef")
//!     .build()?;
//! client.login("alice", None).await?;
//! let lobby = client.channel("lobby");
//! lobby.join().await?;
//! lobby.send("hello").await?;
//! client.send_to_peer("bob", "are you there?", SendOptions::new().offline()).await?;
//! while let Some(event) = events.next().await {
//!     if let ClientEvent::ChannelMessage { from, message, .. } = event {
//!         println!("{from}: {message:?}");
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod builder;
mod channel;
mod client;
mod connection;
mod driver;
mod error;
mod events;

pub use bytes::Bytes;
pub use tidings_client_core::{
    Attribute, AttributeWrite, ClientEvent, ConnectionReason, ConnectionState, GapCause, GapSource,
    HistoryMessage, HistoryPage, HistoryRange, InvitationId, LocalInvitationFailure,
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
