//! What a node must know of its cluster.

use std::fmt;

/// A node's place in its cluster.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterConfig {
    /// First part of all subjects of the cluster at NATS; without a dot at its end.
    pub prefix: String,
    /// The key that all nodes of the cluster have and nobody else.
    pub key: [u8; 32],
    /// The node's number, which no other living node of the cluster has.
    pub node: u16,
    /// Tells this life of the node's number from all others; greater than that of any life before.
    pub incarnation: u64,
    /// How long after NATS has confirmed a subscription all its servers know it, in milliseconds;
    /// 0 where there is one server.
    pub settle_ms: u64,
}

impl fmt::Debug for ClusterConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without its key.
        f.debug_struct("ClusterConfig")
            .field("prefix", &self.prefix)
            .field("node", &self.node)
            .field("incarnation", &self.incarnation)
            .field("settle_ms", &self.settle_ms)
            .finish_non_exhaustive()
    }
}
