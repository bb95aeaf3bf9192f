//! For tests and the simulator: a NATS that is not there, and nodes without hubs on it.

mod cluster;
mod nats;
pub mod promises;
mod traffic;

pub use cluster::{Cluster, Plan};
pub use nats::{Link, Nats, Times};
