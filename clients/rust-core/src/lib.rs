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
//! Reading order: [`Input`], [`Output`] (`types`), the tables (`states`), [`Client::handle`]
//! (`machine`), the state that the parts share (`core`), the handlers (`asking`, `connecting`,
//! `receiving`, `replies`, `endings`); then what the state is made of: `identity`, `link`,
//! `confirm`, `calls`, `inbox`, `replica` (`attributes`, `members`, `presence`), `restore`,
//! `invitations`, `outputs`. The JavaScript core has the same parts under the same names
//! (`clients/js/core/src/machine`).
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

mod answer;
mod asking;
mod attributes;
mod backoff;
mod call;
mod calls;
mod check;
mod confirm;
mod connecting;
mod core;
mod encode;
mod endings;
mod error;
mod event;
mod identity;
mod inbox;
mod invitation;
mod invitations;
mod link;
mod machine;
mod members;
mod message;
mod outputs;
mod presence;
mod receiving;
mod replica;
mod replies;
mod restore;
mod states;
mod types;
mod unknown;

pub use answer::{Answer, HistoryMessage, HistoryPage};
pub use call::{Attribute, AttributeWrite, Call, Conversation, HistoryRange, PresenceState};
pub use error::CallError;
pub use event::{ClientEvent, GapCause, GapSource};
pub use invitation::{
    InvitationCall, InvitationId, LocalInvitationFailure, LocalInvitationNews,
    RemoteInvitationFailure, RemoteInvitationNews,
};
pub use machine::Client;
pub use message::{MediaFile, Message, PixelSize};
pub use states::{ConnectionReason, ConnectionState};
pub use types::{Backlog, CallId, ConnectionId, Input, Output, RivalWord};
