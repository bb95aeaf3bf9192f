//! A node of a cluster: its lease, its hubs' connections to NATS, and what commands ask NATS.
//!
//! `hearing` (how a hub's turn goes on with NATS), `link` (a hub's connection), `servers` (which
//! server it tries next), `stream` (its bytes, with or without TLS), `place` and `placing` (what
//! the hubs must know, and where it comes from), `settings` (how a node joins), `probe` (whether
//! the NATS servers can carry a cluster), `bucket` (the keys of the nodes), `leases` (the thread
//! that holds this node's), `membership` (what the rest of the server knows of it), `isolation`
//! (what a hub does without it), `operate` (what commands do). Which nodes live is decided by
//! [`tidings_cluster::nodes`]. Source: cluster 3, 4, 7.

mod authorities;
mod bucket;
mod connecting;
mod error;
mod hearing;
mod isolation;
mod leases;
mod link;
mod membership;
mod operate;
mod place;
mod placing;
mod probe;
mod report;
mod resolved;
mod servers;
mod settings;
mod stream;
#[cfg(test)]
mod tests;

pub use error::ClusterError;
pub(crate) use leases::{Joined, Lessee, join};
pub(crate) use link::{LINK, Link, connect};
pub(crate) use membership::Membership;
pub use membership::NodeReport as ClusterNode;
pub use operate::{ClusterReport, Made, drain, init, status};
pub(crate) use place::ClusterPlace;
pub(crate) use placing::{check, place};
pub use report::LinkReport;
pub(crate) use resolved::Resolved;
pub use settings::{
    CLUSTER_NAME_MAX, ClusterKey, ClusterSettings, Durability, NODE_NAME_MAX, NatsLogin, NatsUrl,
    is_cluster_name,
};
