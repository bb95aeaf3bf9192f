//! The bus between hubs: contract, contract suite and the in-memory router.
//!
//! The vocabulary and the contract are the hub's ([`tidings_hub::bus_ops`]). This crate has the
//! router that joins the hubs of one process, and [`contract`], the suite that every bus must pass.
//! It contains no sockets, threads, locks or runtime: a [`Shard`] is a state machine, and its host
//! carries crossings from one hub to another.
//!
//! Every topic has a *home* hub, given by a keyed hash. The home's shard knows the topic's
//! subscribers; everything that a hub does on the topic goes there first, and from there to the
//! subscribers. If everything that one hub sends another stays in order, that gives one order per
//! topic for the whole node, without locks or coordination.
//!
//! ```
//! use tidings_bus::{Homes, Shard};
//! use tidings_hub::bus_ops::{AskId, BusInput, BusOp, Question, Topic};
//! use tidings_hub::ids::{HubId, UserKey};
//! use tidings_wire::names::{AppId, UserId};
//!
//! let alice = Topic::User(UserKey {
//!     app: AppId::parse("0123456789abcdef0123456789abcdef").unwrap(),
//!     user: UserId::parse("alice").unwrap(),
//! });
//! let homes = Homes::new(1, (1, 2));
//! let mut shard = Shard::new(HubId::local(0), homes);
//! let ask = BusOp::Ask { topic: alice, ask: AskId::new(7), question: Question::Presence.into() };
//! assert_eq!(homes.destination(&ask), HubId::local(0));
//! let mut delivered = Vec::new();
//! shard.route(HubId::local(0), ask, &mut |to, input| delivered.push((to, input)));
//! assert_eq!(delivered, [(HubId::local(0), BusInput::Nobody { ask: AskId::new(7) })]);
//! ```

mod bytes;
mod clock;
pub mod contract;
mod door;
mod router;

pub use bytes::{CROSSING_BYTES_MAX, CrossingError};
pub use clock::SharedClock;
pub use door::{Bus, Crossing, Outlet};
pub use router::{Homes, Router, Shard};
