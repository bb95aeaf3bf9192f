//! TLS settings from PEM files, which may change while the server runs.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_cert::der::Decode as _;

use crate::alpn::HTTP2;
use crate::config::TlsFiles;
use crate::error::StartError;

impl TlsFiles {
    /// Reads both files as a server does at its start. Returns when the certificate ends, in
    /// seconds since 1970.
    ///
    /// # Errors
    /// [`StartError`], as a start with these files would end.
    pub fn check(&self) -> Result<i64, StartError> {
        read(self)?;
        let first = CertificateDer::from_pem_file(&self.certificate)
            .map_err(|error| fault("certificate", &self.certificate, error))?;
        not_after(&first).map_err(|error| StartError::TlsContent {
            what: "certificate",
            path: self.certificate.clone(),
            detail: format!(": {error}"),
        })
    }
}

/// How often the files are checked.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// The current certificate, and its files, which are reloaded when they change.
#[derive(Debug)]
pub(crate) struct Tls {
    files: TlsFiles,
    config: Arc<ServerConfig>,
    resolver: Arc<Current>,
    /// The state of the files when they were last read.
    read_at: Stamps,
    /// The state of the files at the last check. They are read when two checks agree, because
    /// somebody who replaces two files does so one after the other.
    seen: Stamps,
    next_look: Instant,
    end_s: Option<i64>,
}

/// Presents the current certificate to each handshake.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Some(current.clone())
    }
}

/// What changes with a file: time, length, inode. `None` = it cannot be inspected.
type Stamps = [Option<(i64, i64, u64, u64)>; 2];

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`StartError`]
    pub(crate) fn open(files: &TlsFiles) -> Result<Self, StartError> {
        let seen = stamps(files);
        let key = read(files)?;
        let end_s = end_of(&key);
        let resolver = Arc::new(Current(RwLock::new(key)));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|source| pair(files, source))?
            .with_no_client_auth()
            .with_cert_resolver(resolver.clone());
        config.alpn_protocols = vec![HTTP2.to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            files: files.clone(),
            config: Arc::new(config),
            resolver,
            read_at: seen,
            seen,
            next_look: Instant::now() + LOOK_INTERVAL,
            end_s,
        })
    }

    /// What connections are made with; its certificate changes with the files.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }

    /// When the certificate in use ends, in Unix seconds; `None` = it does not say so in a way that
    /// can be read.
    pub(crate) fn end_s(&self) -> Option<i64> {
        self.end_s
    }

    /// Checks the files if it is time, and reads them if they have changed. Returns how long to
    /// wait for the next check.
    pub(crate) fn look(&mut self) -> Duration {
        let now = Instant::now();
        if now >= self.next_look {
            self.next_look = now + LOOK_INTERVAL;
            let before = std::mem::replace(&mut self.seen, stamps(&self.files));
            if self.seen == before && self.seen != self.read_at {
                // The log has said why they cannot be used.
                let _ = self.reload();
            }
        }
        self.next_look.saturating_duration_since(now)
    }

    /// Reloads the files. If they cannot be used, the log says why, and the certificate stays as it
    /// is.
    ///
    /// # Errors
    /// Why they cannot be used.
    pub(crate) fn reload(&mut self) -> Result<(), StartError> {
        let certificate = self.files.certificate.display();
        self.seen = stamps(&self.files);
        // Even if they cannot be used: each change is reported once.
        self.read_at = self.seen;
        match read(&self.files) {
            Ok(key) => {
                let ends = end_of(&key);
                self.end_s = ends;
                let mut current = self
                    .resolver
                    .0
                    .write()
                    .unwrap_or_else(PoisonError::into_inner);
                *current = key;
                tracing::info!(%certificate, expires_s = ends, "the TLS certificate was read anew");
                Ok(())
            }
            Err(error) => {
                let hint = error.hint();
                tracing::error!(%error, hint, "the TLS certificate stays as it was");
                Err(error)
            }
        }
    }
}

fn stamps(files: &TlsFiles) -> Stamps {
    let stamp = |path: &Path| {
        let file = std::fs::metadata(path).ok()?;
        Some((file.mtime(), file.mtime_nsec(), file.len(), file.ino()))
    };
    [stamp(&files.certificate), stamp(&files.key)]
}

/// Reads certificate and key.
fn read(files: &TlsFiles) -> Result<Arc<CertifiedKey>, StartError> {
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
    let provider = rustls::crypto::ring::default_provider();
    let key = CertifiedKey::from_der(certificates, key, &provider);
    key.map(Arc::new).map_err(|source| pair(files, source))
}

fn pair(files: &TlsFiles, source: rustls::Error) -> StartError {
    StartError::TlsPair {
        certificate: files.certificate.clone(),
        key: files.key.clone(),
        source,
    }
}

/// When the first certificate of a pair ends, in seconds since 1970.
fn end_of(key: &CertifiedKey) -> Option<i64> {
    let first = key.end_entity_cert().ok()?;
    not_after(first).ok()
}

/// When a certificate ends, in seconds since 1970.
fn not_after(certificate: &CertificateDer<'_>) -> Result<i64, x509_cert::der::Error> {
    let certificate = x509_cert::Certificate::from_der(certificate)?;
    let end = certificate.tbs_certificate.validity.not_after;
    Ok(i64::try_from(end.to_unix_duration().as_secs()).unwrap_or(i64::MAX))
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
