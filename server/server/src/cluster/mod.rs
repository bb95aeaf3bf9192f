//! A node of a cluster: its lease, its hubs' connections to NATS, and what commands ask NATS.
//!
//! `settings` (how it joins), `probe` (whether the NATS servers can carry a cluster), `bucket` (the
//! keys of the nodes), `leases` (the thread that holds this node's), `membership` (what the rest of
//! the server knows of it), `isolation` (what a hub does without it), `operate` (what commands do).
//! Which nodes live is decided by [`tidings_cluster::nodes`]. Source: cluster 4, 7.

mod bucket;
mod error;
mod isolation;
mod leases;
mod membership;
mod operate;
mod probe;
mod settings;

pub use error::ClusterError;
pub(crate) use leases::{Joined, Lessee, join};
pub use membership::NodeReport as ClusterNode;
pub(crate) use membership::Membership;
pub use operate::{ClusterReport, Made, drain, init, status};
pub use settings::{
    CLUSTER_NAME_MAX, ClusterKey, ClusterSettings, Durability, NODE_NAME_MAX, NatsLogin, NatsUrl,
    is_cluster_name,
};
