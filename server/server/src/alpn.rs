//! How a client and the server agree on HTTP/2, within TLS.

use rustls::ServerConnection;

/// What TLS clients name HTTP/2 by.
pub(crate) const HTTP2: &[u8] = b"h2";

/// Whether the client has chosen HTTP/2.
pub(crate) fn speaks_http2(tls: &ServerConnection) -> bool {
    tls.alpn_protocol() == Some(HTTP2)
}
