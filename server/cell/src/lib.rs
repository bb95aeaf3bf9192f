//! A cell: one hub, its share of the bus, its legacy translators, and the order in which they take turns.
//!
//! **What it is.** The one host that a [`tidings_hub::Hub`] has. Whatever runs a hub (the server, the simulator, a
//! benchmark, a fuzz target, a test) implements [`Host`] for its sockets, store and links, and drives the cell with
//! the functions of this crate: [`give`] an input, [`take`] what another cell has posted, [`hear`] a legacy client,
//! [`tick_hub`] and [`tick_translators`]. So what is simulated is what is shipped.
//!
//! **What it is not.** It does no I/O, has no clock, no thread and no lock; what several cells of a node share (what
//! users have used of their rates, who was logged in a moment ago) is the host's, which the cell asks for it.
//!
//! **Reading order.** `cell` (what it holds), `host` (what it asks for), `drive` (its functions, and the order of
//! turns), `translators` and `legacy` (legacy clients), `logins` (who may log in by their protocol), `recent` (who was
//! logged in a moment ago), `counts` (numbers for the operator), `desk` (a whole node for tests).
//!
//! ```
//! use std::sync::Arc;
//! use tidings_bus::{Homes, Router};
//! use tidings_cell::Cell;
//! use tidings_cell::desk::Desk;
//! use tidings_hub::ids::ConnectionId;
//! use tidings_hub::{Apps, Input};
//!
//! let apps = Apps { accept_any: true, ..Apps::default() };
//! let mut desk = Desk::new(1, apps, |_| Vec::new());
//! let connection = ConnectionId(1);
//! desk.give(0, Input::Opened { connection });
//! // Nobody logs in: after 10 s the hub closes the connection.
//! desk.pass(10_000);
//! assert!(desk.closed(connection).is_some());
//! ```

mod cell;
mod counts;
pub mod desk;
mod drive;
mod host;
mod legacy;
mod logins;
mod recent;
mod translators;

pub use cell::{Cell, CellReport};
pub use counts::Counts;
pub use drive::{end, give, take, tick_hub};
pub use host::{Closing, Host};
pub use legacy::{closed, forget, hear, open_legacy, tick_translators};
pub use logins::TRAITS;
pub use recent::RecentLogins;
