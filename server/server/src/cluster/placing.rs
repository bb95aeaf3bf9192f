//! From a node's settings and its lease to what its hubs must know.

use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use tidings_cluster::ClusterConfig;
use tidings_nats::Credentials;

use super::error::ClusterError;
use super::leases::Joined;
use super::place::ClusterPlace;
use super::settings::{ClusterSettings, NatsLogin};
use crate::key_sets::roots;

/// The place of a node that holds its lease.
pub(crate) fn place(
    settings: &ClusterSettings,
    joined: &Joined,
) -> Result<ClusterPlace, ClusterError> {
    Ok(ClusterPlace {
        servers: settings.servers.clone(),
        credentials: credentials(&settings.login)?,
        tls: tls(settings.tls_ca.as_deref()).map_err(ClusterError::Tls)?,
        config: ClusterConfig {
            prefix: settings.prefix(),
            key: settings.key.0,
            node: joined.node,
            incarnation: joined.incarnation,
            settle_ms: joined.settle_ms,
        },
    })
}

/// TLS with servers whose certificates are signed by the authorities in this PEM file;
/// `None` = by those that browsers trust.
///
/// # Errors
/// The file cannot be used: why.
pub(super) fn tls(authorities: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots(authorities)?)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Whether the files that the settings name can be used; before anything waits for NATS.
pub(crate) fn check(settings: &ClusterSettings) -> Result<(), ClusterError> {
    tls(settings.tls_ca.as_deref()).map_err(ClusterError::Tls)?;
    credentials(&settings.login).map(drop)
}

fn credentials(login: &NatsLogin) -> Result<Credentials, ClusterError> {
    Ok(match login {
        NatsLogin::Nobody => Credentials::None,
        NatsLogin::Password { user, password } => Credentials::Password {
            user: user.clone(),
            password: password.clone(),
        },
        NatsLogin::File(content) => {
            Credentials::parse(content).map_err(ClusterError::Credentials)?
        }
    })
}
