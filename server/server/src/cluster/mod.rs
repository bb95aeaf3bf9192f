//! A node's part in a cluster, as far as it needs sockets.
//!
//! `hearing` (how a hub's turn goes on with it), `link` (a hub's connection to NATS), `place` (what
//! the hubs must know), `servers` (which server is tried next), `stream` (its
//! bytes, with or without TLS).

mod hearing;
mod link;
mod place;
mod servers;
mod stream;
#[cfg(test)]
mod tests;

pub(crate) use hearing::join;
pub use link::LinkReport;
pub(crate) use link::{LINK, Link, Resolved};
pub use place::{ClusterPlace, NatsServer};
