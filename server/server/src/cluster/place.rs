//! What the hubs of a node must know to meet those of other nodes.

use std::sync::Arc;

use rustls::ClientConfig;
use tidings_cluster::ClusterConfig;
use tidings_nats::Credentials;

use super::settings::NatsUrl;

/// A node's place in its cluster: what its hubs connect to, and as whom.
#[derive(Debug, Clone)]
pub(crate) struct ClusterPlace {
    /// NATS servers; at least one.
    pub(crate) servers: Vec<NatsUrl>,
    /// Who the node is to them.
    pub(crate) credentials: Credentials,
    /// How TLS is spoken with them: see `placing`.
    pub(crate) tls: Arc<ClientConfig>,
    /// The node's number, its cluster's key and the like.
    pub(crate) config: ClusterConfig,
}
