//! A cell: one hub, its part of the bus, its legacy translators, and the order in which they take
//! turns.
//!
//! **What it is.** The only host that a [`tidings_hub::Hub`] has. Whatever runs a hub (the server,
//! the simulator, a benchmark, a fuzz target, a test) implements [`Host`] for its sockets, store
//! and links, and drives the cell with the functions of this crate: [`give`] an input, [`take`]
//! what another cell has sent, [`hear`] a legacy client, [`tick_hub`] and [`tick_translators`], or
//! lets its bus hear what happens outside: [`with_bus`]. So what is simulated is what is shipped.
//!
//! **What it is not.** It does no I/O and has no clock, thread or lock. State that several cells of
//! a node share (the rates that users have used, recent legacy logins) belongs to the host, which
//! the cell asks for it.
//!
//! **Reading order.** `cell` (its state), `host` (what it needs), `drive` (its functions, and the
//! order of turns), `translators` and `legacy` (legacy clients), `logins` (legacy logins), `recent`
//! (recent legacy logins), `counts` (numbers for the operator), `desk` (a complete node for tests).
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

pub use cell::{Cell, CellReport, Out};
pub use counts::Counts;
pub use drive::{end, give, take, tick_hub, with_bus};
pub use host::{Closing, Host};
pub use legacy::{closed, forget, hear, open_legacy, tick_translators};
pub use logins::TRAITS;
pub use recent::RecentLogins;
