//! What the hubs of a node must know to meet those of other nodes.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use tidings_cluster::ClusterConfig;
use tidings_nats::Credentials;

use crate::key_sets::roots;

/// A NATS server's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatsServer {
    /// A name or an IP address; IPv6 without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether TLS is spoken whatever the server wants (`tls://`).
    pub is_tls: bool,
}

impl fmt::Display for NatsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "tls" } else { "nats" };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

/// A node's place in its cluster: what its hubs connect to, and as whom.
#[derive(Debug, Clone)]
pub struct ClusterPlace {
    /// NATS servers; at least one.
    pub servers: Vec<NatsServer>,
    /// Who the node is to them.
    pub credentials: Credentials,
    /// How TLS is spoken with them: see [`ClusterPlace::tls`].
    pub tls: Arc<ClientConfig>,
    /// The node's number, its cluster's key and the like.
    pub config: ClusterConfig,
}

impl ClusterPlace {
    /// TLS with servers whose certificates are signed by the authorities in this PEM file;
    /// `None` = by those that browsers trust.
    ///
    /// # Errors
    /// The file cannot be used: why.
    pub fn tls(authorities: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots(authorities)?)
            .with_no_client_auth();
        Ok(Arc::new(config))
    }
}
