//! What all calls of the server's own have in common: whom TLS trusts, and one connection for
//! requests. Webhooks and the key sets of login servers go over it.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;

/// The body of a request.
pub type RequestBody = Full<Bytes>;

/// The authorities that browsers trust, too.
#[must_use]
pub fn public_roots() -> RootCertStore {
    RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned())
}

/// TLS towards places whose certificates these authorities have signed.
///
/// # Errors
/// The system's cryptography does not know the versions of TLS: never, with what is built in.
pub fn connector(roots: RootCertStore) -> Result<TlsConnector, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// A connection of HTTP/1.1 for one request at a time; it ends when this is dropped.
#[derive(Debug)]
pub struct Connection {
    sender: SendRequest<RequestBody>,
    driver: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    /// Begins to speak HTTP over a stream. The head of an answer may have so many bytes.
    ///
    /// # Errors
    /// The stream is broken.
    pub async fn open<S>(stream: S, head_bytes_max: usize) -> hyper::Result<Self>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let mut builder = http1::Builder::new();
        builder.max_buf_size(head_bytes_max);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(async move {
            // What goes wrong here is seen by the request.
            let _ = connection.await;
        });
        Ok(Self {
            sender,
            driver: driver.abort_handle(),
        })
    }

    /// Sends requests over this connection, one after the other.
    pub fn sender(&mut self) -> &mut SendRequest<RequestBody> {
        &mut self.sender
    }

    /// Whether the other side has closed it.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}
