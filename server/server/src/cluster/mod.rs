//! A node of a cluster: its lease, its hubs' connections to NATS, and what commands ask NATS.
//!
//! `hearing` (how a hub's turn goes on with NATS), `link` (a hub's connection), `servers` (which server
//! it tries next), `stream` (its bytes, with or without TLS), `place` (what the hubs must know),
//! `settings` (how a node joins), `probe` (whether the NATS servers can carry a cluster), `bucket` (the
//! keys of the nodes), `leases` (the thread that holds this node's), `membership` (what the rest of
//! the server knows of it), `isolation` (what a hub does without it), `operate` (what commands do).
//! Which nodes live is decided by [`tidings_cluster::nodes`]. Source: cluster 4, 7.

mod bucket;
mod error;
mod hearing;
mod isolation;
mod leases;
mod link;
mod membership;
mod operate;
mod place;
mod probe;
mod servers;
mod settings;
mod stream;
#[cfg(test)]
mod tests;

pub use error::ClusterError;
pub(crate) use hearing::connect;
pub(crate) use leases::{Joined, Lessee, join};
pub use link::LinkReport;
pub(crate) use link::{LINK, Link, Resolved};
pub(crate) use membership::Membership;
pub use membership::NodeReport as ClusterNode;
pub use operate::{ClusterReport, Made, drain, init, status};
pub use place::ClusterPlace;
pub(crate) use place::check;
pub use settings::{
    CLUSTER_NAME_MAX, ClusterKey, ClusterSettings, Durability, NODE_NAME_MAX, NatsLogin, NatsUrl,
    is_cluster_name,
};
