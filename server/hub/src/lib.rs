//! The domain: sessions, channels, presence, attributes and delivery; inputs in, effects out.
//!
//! A [`Hub`] is a single-threaded state machine that owns sessions. It does no I/O, reads no clock
//! and draws no random number: [`Hub::handle`] takes one [`Input`] with the time and gives
//! [`Effect`]s to a [`Sink`]. A shell that owns sockets, a bus and a store carries the effects out;
//! a simulator does the same with simulated ones. The hub knows neither, nor whether another hub is
//! a core or a continent away.
//!
//! Three layers, whose arrows point down only:
//! - `life` composes the features where their order matters: requests, logins, resumes, the end of
//!   a session, shortage of memory, restarts. [`Hub`] is here, and routes.
//! - a feature each: `peers`, `channels`, `presence`, `attributes`, `history`, `invitations`. It
//!   owns its state, its handlers and what it remembers of questions and store operations under
//!   way.
//! - `kernel` is what every feature may use, and it uses none: sessions and users, clocks and
//!   timers, the outbox, rates, permissions, answers to callers, message tracing.
//!
//! Reading order: [`io`] (everything that goes in and comes out), [`outside`] (calls without a
//! session), [`bus_ops`] and [`store_ops`] (the words spoken with bus and store), `hub` (the
//! entry), `kernel` and `kernel::session`, `life::requests` (which call goes where), then any
//! feature, its `state` first.
//!
//! ```
//! use std::sync::Arc;
//! use tidings_hub::ids::{ConnectionId, HubId};
//! use tidings_hub::{Apps, Effect, Hub, HubConfig, Input, Time};
//!
//! let mut hub = Hub::new(HubConfig {
//!     id: HubId::local(0),
//!     seed: [7; 32],
//!     apps: Arc::new(Apps { accept_any: true, ..Apps::default() }),
//!     server: "tidings".into(),
//!     drain_window_ms: 0,
//!     epoch_base: None,
//! });
//! let mut effects: Vec<Effect> = Vec::new();
//! let connection = ConnectionId(1);
//! hub.handle(Time { mono_ms: 0, unix_ms: 0 }, Input::Opened { connection }, &mut effects);
//! // Nobody logs in: after 10 s the hub closes the connection.
//! let due = hub.deadline().expect("a timer is set");
//! hub.handle(Time { mono_ms: due, unix_ms: due }, Input::Tick, &mut effects);
//! assert!(matches!(effects[..], [Effect::Close { .. }]));
//! ```

pub mod admission;
mod attributes;
pub mod bans;
pub mod bus_ops;
mod channels;
pub mod config;
pub mod counts;
pub mod credentials;
mod grant;
mod history;
mod hub;
pub mod ids;
mod invitations;
pub mod io;
pub mod jwt;
mod kernel;
mod life;
pub mod moderation;
pub mod outside;
mod peers;
mod presence;
mod quotas;
mod rates;
mod rates_bytes;
#[cfg(test)]
mod rig;
pub mod snapshot;
pub mod store_ops;
#[cfg(test)]
mod tests;
pub mod time;
pub mod traces;
pub mod used;

pub use bans::{AddressPrefix, Ban, Bans, Barred};
pub use config::{App, AppSettings, Apps, FOR_EVER, HubConfig, Replicas, Traits};
pub use hub::{Hub, HubStats};
pub use invitations::record::Recorded as RecordedInvitation;
pub use io::{Effect, Input, Pressure, Sink, Ticket, Wish};
pub use outside::{OutsideAnswer, OutsideCall, PeerOutcome};
pub use quotas::{Quotas, Usage};
pub use rates::{Kind as RateKind, Rates};
pub use snapshot::Snapshot;
pub use time::Time;
