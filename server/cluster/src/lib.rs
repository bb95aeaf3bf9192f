//! What joins the nodes of a cluster over NATS, as state machines: inputs and time in, effects out.
//!
//! **What it is.** [`ClusterRouter`] is the bus of one hub. On a node that is alone it is the
//! in-memory router and nothing else. In a cluster the hub that is a topic's home on its node also
//! meets the other nodes there: it subscribes at NATS when its node becomes interested, publishes
//! what its node publishes, asks what its node asks, and puts what arrives into its own order of
//! the topic. Source: `spec/cluster.md`.
//!
//! **What it is not.** It opens no connection and reads no clock. Its host owns the connection to
//! NATS: it gives what arrives as [`LinkEvent`] and sends what [`ClusterRouter::take_ops`] returns.
//!
//! **Reading order.** `router` (what a host calls), `live` (the path between nodes), `envelope`
//! (its bytes), `link` and `counts` (plain data).

mod config;
mod counts;
mod envelope;
mod link;
mod live;
mod router;
pub mod simulated;

pub use config::ClusterConfig;
pub use counts::LiveCounts;
pub use link::{LinkEvent, LinkOp};
pub use router::ClusterRouter;
