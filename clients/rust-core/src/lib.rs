//! The client's connection machine: pure, inputs in, outputs out.
//!
//! [`Client`] holds one login of one user: its connection states, resumes and re-logins, numbered
//! requests, confirmations, time limits and back-off. It has no clock, no socket and no random
//! source: time in monotonic milliseconds comes with each input, randomness from a seed. Whoever
//! drives it (the async SDK, the simulator) opens and closes connections as the outputs say and
//! gives back what happened. The same inputs always give the same outputs.
//!
//! It is not a transport, and it does not know the server's state machine: the two meet on the wire
//! only.
//!
//! Reading order: [`Input`], [`Output`] and [`Client::handle`] (`machine`), `link` (attempts,
//! back-off), `close` (what close codes mean), `receive` (the server's messages), `calls` (the application's), `restore`
//! (what a new session brings back), `session` (numbers), `lineage`, `members` and `attributes`
//! (what outlives a session), `check` (local checks).
//!
//! ```
//! use tidings_client_core::{Client, Input, Output};
//!
//! let mut client = Client::new("example/1", 7);
//! let mut outputs = Vec::new();
//! let login = Input::Login {
//!     id: 1,
//!     app_id: "0123456789abcdef0123456789abcdef".to_owned(),
//!     user_id: "alice".to_owned(),
//!     token: String::new(),
//! };
//! client.handle(0, login, &mut outputs);
//! assert!(matches!(outputs[1], Output::Open { .. }));
//! assert_eq!(client.deadline(), Some(4_000));
//! ```

mod attributes;
mod backoff;
mod call;
mod calls;
mod check;
mod close;
mod event;
mod invitations;
mod lineage;
mod link;
mod machine;
mod members;
mod message;
mod receive;
mod restore;
mod session;
mod unknown;

pub use call::{
    Answer, Attribute, AttributeWrite, Call, CallError, Conversation, HistoryMessage, HistoryPage,
    HistoryRange, PresenceState,
};
pub use event::{ClientEvent, ConnectionReason, ConnectionState, GapCause, GapSource};
pub use invitations::{
    InvitationCall, InvitationId, LocalInvitationFailure, LocalInvitationNews,
    RemoteInvitationFailure, RemoteInvitationNews,
};
pub use machine::{Backlog, CallId, Client, ConnectionId, Input, Output};
pub use message::{MediaFile, Message, PixelSize};
