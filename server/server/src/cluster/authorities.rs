//! Who vouches for NATS servers.

use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;

use crate::key_sets::roots;

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
