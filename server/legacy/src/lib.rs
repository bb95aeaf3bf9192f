//! The legacy Signaling protocol: its codec, and its translation into the native protocol.
//!
//! **What it is.** [`codec`] reads and writes text frames. A [`Translator`] stands between one
//! legacy client and a hub, to which it looks like any other native client. It does no I/O, reads
//! no clock and draws no random numbers: text frames, native messages and the time go in,
//! [`Output`]s come out.
//!
//! **What it is not.** It keeps no users, channels or messages: whatever must survive a connection
//! belongs to the hub. What a login may do is decided by the app, see [`AppRules`].
//!
//! **Reading order.** `translator` (the state of a connection, and where every frame goes),
//! `codec`, `login`, `queue` (versions and acknowledgements), `messages`, `channels`, `attributes`,
//! `pace` (limits of a channel), `calls` (invitations), `special`, `queries`, `ids`. Clause numbers
//! in comments refer to the published description of the protocol.

mod attributes;
mod calls;
mod channels;
pub mod codec;
mod ids;
mod login;
mod messages;
mod pace;
mod queries;
mod queue;
mod requests;
mod special;
mod translator;

pub use ids::uid;
pub use login::{AppRules, LATE_LOGIN_S, LoginRefusal, check_token};
pub use translator::{Ending, LoginRequest, Now, Output, Translator};
