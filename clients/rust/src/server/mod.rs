//! A backend's side: the calls of the HTTP API `/api/v1`, its events, its webhooks, and tokens.
//!
//! [`Tidings`] is a backend's access to one app of a server. It is not a [`Client`](crate::Client):
//! it is no user, has no session, and speaks in whichever user's name it wants. It runs on tokio.
//! What is sent and what comes back is spelled as in the HTTP API and in the packages for Node and
//! Python, which have the same methods.
//!
//! ```no_run
//! # async fn example() -> Result<(), tidings_client::server::Error> {
//! use tidings_client::server::{SendOptions, Tidings};
//!
//! let tidings = Tidings::builder()
//!     .endpoint("https://chat.example.org")
//!     .key("tdk_…")
//!     .app("0123456789abcdef0123456789abcdef")
//!     .build()?;
//! tidings.send_to_channel("lobby", "hello", "system", SendOptions::new()).await?;
//! tidings.send_to_peer("alice", "your order", "system", SendOptions::new().offline()).await?;
//! # Ok(())
//! # }
//! ```

mod attributes;
mod calls;
mod dial;
mod error;
mod events;
mod token;
mod transport;
mod types;
mod webhook;

pub use calls::Tidings;
pub use error::{ApiError, Error, NoAnswer};
pub use events::{EventReader, Following};
pub use token::{NewToken, build_token};
pub use transport::{Builder, Method, Request};
pub use types::{
    Ban, Channel, Event, HistoryMessage, HistoryRange, Member, Message, NewBan, Outcome, Page,
    Payload, Published, PublishedBatch, Receipt, Receipts, Refusal, SendOptions, Session,
    SessionFilter, User,
};
pub use webhook::{WebhookError, WebhookEvent, WebhookKeys};
