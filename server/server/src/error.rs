//! Why a server does not start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use tidings_store::embedded;

use crate::bounds::HUBS_MAX;
use crate::cluster::ClusterError;

/// Why a server does not start. [`StartError::hint`] says how to fix it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Another program is listening there.
    #[error("cannot listen on {0}: the port is in use")]
    PortInUse(SocketAddr),
    /// The system does not let this user listen there.
    #[error("cannot listen on {0}: permission denied")]
    PortForbidden(SocketAddr),
    /// The address is not one of this machine, or the system refuses for another reason.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// The system's message.
        source: io::Error,
    },
    /// No hub, or more than [`HUBS_MAX`].
    #[error("{0} hubs were asked for, but there can be 1 to {HUBS_MAX}")]
    Hubs(u16),
    /// The store cannot be opened.
    #[error("{0}")]
    Store(#[source] embedded::OpenError),
    /// The keys and bans in the store cannot be read.
    #[error("cannot read the API's keys and bans: {0}")]
    Books(#[source] tidings_api::admin::BookError),
    /// The directory for uploaded files cannot be used.
    #[error("cannot use the directory {path} for uploaded files: {source}")]
    Media {
        /// The directory that cannot be used.
        path: PathBuf,
        /// The system's message.
        source: io::Error,
    },
    /// A file of the TLS settings cannot be read.
    #[error("cannot read the TLS {what} {path}: {source}")]
    TlsFile {
        /// `certificate` or `key`.
        what: &'static str,
        /// The file that cannot be read.
        path: PathBuf,
        /// The reader's message.
        source: io::Error,
    },
    /// A file of the TLS settings contains nothing of its kind, or something invalid.
    #[error("the TLS {what} {path} holds no {what} in PEM form{detail}")]
    TlsContent {
        /// `certificate` or `key`.
        what: &'static str,
        /// The file with the wrong contents.
        path: PathBuf,
        /// The reader's message after a colon, if there is one.
        detail: String,
    },
    /// Webhooks cannot be delivered.
    #[error("webhooks cannot start: {0}")]
    Webhooks(#[source] tidings_webhooks::StartError),
    /// The node has no place in its cluster, and will have none before somebody changes something.
    #[error("{0}")]
    Cluster(#[source] ClusterError),
    /// Clients would be disconnected over too long a time.
    #[error("a drain of {0} ms is too long; at most {max} ms are allowed", max = crate::config::DRAIN_WINDOW_MS_MAX)]
    DrainWindow(u64),
    /// Certificate and key do not match.
    #[error("the TLS certificate {certificate} and the key {key} cannot be used: {source}")]
    TlsPair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// The TLS library's message.
        source: rustls::Error,
    },
    /// The system provides no thread, event loop or random number.
    #[error("cannot {action}: {source}")]
    System {
        /// What was tried.
        action: &'static str,
        /// The system's message.
        source: io::Error,
    },
}

impl StartError {
    /// How to fix it: one imperative sentence.
    pub fn hint(&self) -> String {
        match self {
            Self::PortInUse(address) => format!(
                "stop the program that listens on port {}, or choose another port with --listen",
                address.port()
            ),
            Self::PortForbidden(address) => format!(
                "choose a port above 1023 with --listen, or give the program the right to use port {}",
                address.port()
            ),
            Self::Listen { .. } => {
                "give --listen an address of this machine, for example 127.0.0.1:7400".into()
            }
            Self::DrainWindow(_) => "give --drain-window 20 or less, in seconds".into(),
            Self::Hubs(_) => "leave out --hubs to have one hub per core".into(),
            Self::Store(error) => error.hint().into(),
            Self::Books(_) => {
                "check the disk; `tidings store verify` says more, and a backup can be restored".into()
            }
            Self::Media { .. } => {
                "check that the server's user may write to --data-dir and that its disk is not full".into()
            }
            Self::TlsFile { .. } => {
                "check that the path is right and that the server's user may read the file".into()
            }
            Self::TlsContent { what: "key", .. } => {
                "give --tls-key a file that begins with -----BEGIN PRIVATE KEY-----".into()
            }
            Self::TlsContent { .. } => {
                "give --tls-cert a file that begins with -----BEGIN CERTIFICATE-----".into()
            }
            Self::TlsPair { .. } => {
                "give the key that the certificate was made for, with the certificate first in its file"
                    .into()
            }
            Self::Cluster(error) => error.hint(),
            Self::Webhooks(_) => {
                "check the certificates of --webhooks-ca, and the store with `tidings store verify`".into()
            }
            Self::System { .. } => {
                "check the system's limits on threads, memory and open files".into()
            }
        }
    }

    pub(crate) fn system(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { action, source }
    }
}

impl From<tidings_api::admin::BookError> for StartError {
    fn from(error: tidings_api::admin::BookError) -> Self {
        Self::Books(error)
    }
}

impl From<ClusterError> for StartError {
    fn from(error: ClusterError) -> Self {
        Self::Cluster(error)
    }
}

impl From<embedded::OpenError> for StartError {
    fn from(error: embedded::OpenError) -> Self {
        Self::Store(error)
    }
}
