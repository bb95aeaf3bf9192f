//! From a node's settings and its lease to what its hubs must know.

use tidings_cluster::ClusterConfig;
use tidings_nats::Credentials;

use super::authorities::tls;
use super::error::ClusterError;
use super::leases::Joined;
use super::place::ClusterPlace;
use super::settings::{ClusterSettings, NatsLogin};

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
