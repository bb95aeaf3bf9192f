//! The server's side of the opening handshake.

use super::handshake::{accept_key, is_key, is_token, items, lists};

/// Most sub-protocols that a client may offer; ours offer one.
const PROTOCOLS_MAX: usize = 16;
/// An error shows this many bytes of an unsupported method or version.
const SHOWN_BYTES_MAX: usize = 40;

/// A request that may be upgraded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade<'a> {
    /// The client's `Sec-WebSocket-Key`, for [`response_bytes`].
    pub key: &'a str,
    /// The sub-protocols that the client offers, in its order of preference; at most 16.
    pub protocols: Vec<&'a str>,
}

/// Why a request is not upgraded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// Only GET can be upgraded. Status 405.
    #[error("the method is {0:?}, not GET")]
    Method(String),
    /// HTTP/1.0 has no upgrade. Status 400.
    #[error("the request uses HTTP/1.{0}, not HTTP/1.1")]
    HttpVersion(u8),
    /// A plain HTTP request. Status 426.
    #[error("header Upgrade does not name websocket")]
    NotAnUpgrade,
    /// Usually a proxy that drops hop-by-hop headers. Status 400.
    #[error("header Connection does not name upgrade")]
    Connection,
    /// A header is missing. Status 400.
    #[error("header {0} is missing")]
    Missing(&'static str),
    /// A header that must be unique is repeated. Status 400.
    #[error("header {0} is repeated")]
    Repeated(&'static str),
    /// Another version of the protocol. Status 426.
    #[error("header Sec-WebSocket-Version is {0:?}, not 13")]
    Version(String),
    /// The key is not 16 bytes in base64. Status 400.
    #[error("header Sec-WebSocket-Key is not 16 bytes in base64")]
    Key,
    /// The value is not a list of names. Status 400.
    #[error("header Sec-WebSocket-Protocol is not a list of at most {PROTOCOLS_MAX} names")]
    Protocol,
}

impl HandshakeError {
    /// The status of the HTTP answer.
    pub fn status(&self) -> u16 {
        match self {
            Self::Method(_) => 405,
            Self::NotAnUpgrade | Self::Version(_) => 426,
            _ => 400,
        }
    }

    /// The headers that an answer with this status must carry, names and values.
    pub fn headers(&self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Method(_) => &[("Allow", "GET")],
            Self::NotAnUpgrade => &[("Upgrade", "websocket"), ("Connection", "Upgrade")],
            Self::Version(_) => &[
                ("Sec-WebSocket-Version", "13"),
                ("Upgrade", "websocket"),
                ("Connection", "Upgrade"),
            ],
            _ => &[],
        }
    }

    /// How to fix it, one imperative sentence.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Method(_) | Self::NotAnUpgrade => {
                "Open this address with a WebSocket client, not as a page or request."
            }
            Self::HttpVersion(_) => "Configure the proxy to use HTTP/1.1 towards the server.",
            Self::Connection => {
                "Configure the proxy to pass on the headers Upgrade and Connection."
            }
            _ => "Use a client that follows RFC 6455.",
        }
    }
}

/// Checks the head of a request; headers are pairs of name and value, in any case and order.
///
/// `http_minor` is the second 1 of HTTP/1.1. Extensions that the client offers are ignored.
///
/// # Errors
/// The first obstacle, in the order of [`HandshakeError`]'s variants, except that a repeated header
/// is reported at once.
pub fn check_request<'a>(
    method: &str,
    http_minor: u8,
    headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> Result<Upgrade<'a>, HandshakeError> {
    if method != "GET" {
        return Err(HandshakeError::Method(shown(method.as_bytes())));
    }
    if http_minor < 1 {
        return Err(HandshakeError::HttpVersion(http_minor));
    }
    let (mut names_websocket, mut names_upgrade, mut has_host) = (false, false, false);
    let (mut version, mut key, mut protocols) = (None, None, Vec::new());
    let once = |slot: &mut Option<&'a [u8]>, name, value| match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(HandshakeError::Repeated(name)),
    };
    for (name, value) in headers {
        if name.eq_ignore_ascii_case("upgrade") {
            names_websocket |= lists(value, "websocket");
        } else if name.eq_ignore_ascii_case("connection") {
            names_upgrade |= lists(value, "upgrade");
        } else if name.eq_ignore_ascii_case("host") {
            has_host = true;
        } else if name.eq_ignore_ascii_case("sec-websocket-version") {
            once(&mut version, "Sec-WebSocket-Version", value)?;
        } else if name.eq_ignore_ascii_case("sec-websocket-key") {
            once(&mut key, "Sec-WebSocket-Key", value)?;
        } else if name.eq_ignore_ascii_case("sec-websocket-protocol") {
            protocols.push(value);
        }
    }
    if !names_websocket {
        return Err(HandshakeError::NotAnUpgrade);
    }
    if !names_upgrade {
        return Err(HandshakeError::Connection);
    }
    if !has_host {
        return Err(HandshakeError::Missing("Host"));
    }
    let version = version.ok_or(HandshakeError::Missing("Sec-WebSocket-Version"))?;
    let key = key.ok_or(HandshakeError::Missing("Sec-WebSocket-Key"))?;
    if version.trim_ascii() != b"13" {
        return Err(HandshakeError::Version(shown(version)));
    }
    let key = std::str::from_utf8(key.trim_ascii()).map_err(|_| HandshakeError::Key)?;
    if !is_key(key) {
        return Err(HandshakeError::Key);
    }
    Ok(Upgrade {
        key,
        protocols: read_protocols(&protocols)?,
    })
}

/// Only the beginning of a stranger's text: an error must not hold kilobytes of it.
fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(&text[..text.len().min(SHOWN_BYTES_MAX)]).into_owned()
}

fn read_protocols<'a>(values: &[&'a [u8]]) -> Result<Vec<&'a str>, HandshakeError> {
    let mut protocols = Vec::new();
    for value in values {
        if std::str::from_utf8(value).is_err() {
            return Err(HandshakeError::Protocol);
        }
        for item in items(value) {
            if protocols.len() == PROTOCOLS_MAX || !is_token(item) {
                return Err(HandshakeError::Protocol);
            }
            protocols.push(item);
        }
    }
    Ok(protocols)
}

/// The bytes of the 101 answer; `protocol` must be one that the client offered.
pub fn response_bytes(key: &str, protocol: Option<&str>) -> Vec<u8> {
    let accept = accept_key(key);
    let mut response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n"
    );
    if let Some(protocol) = protocol {
        debug_assert!(is_token(protocol), "{protocol:?} cannot have been offered");
        response.push_str("Sec-WebSocket-Protocol: ");
        response.push_str(protocol);
        response.push_str("\r\n");
    }
    response.push_str("\r\n");
    response.into_bytes()
}
