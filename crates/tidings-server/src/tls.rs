//! TLS settings from PEM files.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_cert::der::Decode as _;

use crate::config::TlsFiles;
use crate::error::StartError;

impl TlsFiles {
    /// Reads both files as a server does at its start. Returns when the certificate ends, in seconds since 1970.
    ///
    /// # Errors
    /// [`StartError`], as a start with these files would end.
    pub fn check(&self) -> Result<i64, StartError> {
        read(self)?;
        let first = CertificateDer::from_pem_file(&self.certificate)
            .map_err(|error| fault("certificate", &self.certificate, error))?;
        let certificate =
            x509_cert::Certificate::from_der(&first).map_err(|error| StartError::TlsContent {
                what: "certificate",
                path: self.certificate.clone(),
                detail: format!(": {error}"),
            })?;
        let end = certificate.tbs_certificate.validity.not_after;
        Ok(i64::try_from(end.to_unix_duration().as_secs()).unwrap_or(i64::MAX))
    }
}

/// Reads certificate and key.
pub(crate) fn read(files: &TlsFiles) -> Result<Arc<ServerConfig>, StartError> {
    let certificates = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| fault("certificate", &files.certificate, error))?;
    if certificates.is_empty() {
        return Err(fault(
            "certificate",
            &files.certificate,
            pem::Error::NoItemsFound,
        ));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| fault("key", &files.key, error))?;
    let pair = |source| StartError::TlsPair {
        certificate: files.certificate.clone(),
        key: files.key.clone(),
        source,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(pair)?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(pair)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn fault(what: &'static str, path: &Path, error: pem::Error) -> StartError {
    let path = path.to_owned();
    match error {
        pem::Error::Io(source) => StartError::TlsFile { what, path, source },
        pem::Error::NoItemsFound => StartError::TlsContent {
            what,
            path,
            detail: String::new(),
        },
        other => StartError::TlsContent {
            what,
            path,
            detail: format!(": {other}"),
        },
    }
}
