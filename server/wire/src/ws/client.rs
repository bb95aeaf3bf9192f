//! The client's side of the opening handshake.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::handshake::{accept_key, is_key, is_token, items, lists};

/// Makes a `Sec-WebSocket-Key` of 16 random bytes.
pub fn client_key(random: [u8; 16]) -> String {
    STANDARD.encode(random)
}

/// What a client requests.
#[derive(Debug, Clone, Copy)]
pub struct ClientRequest<'a> {
    /// Host and, where it is not the scheme's own, `:port`.
    pub host: &'a str,
    /// Path and query, beginning with `/`.
    pub path: &'a str,
    /// From [`client_key`], fresh for every connection.
    pub key: &'a str,
    /// Sub-protocols in order of preference.
    pub protocols: &'a [&'a str],
    /// Further headers, such as `Origin`, names and values.
    pub headers: &'a [(&'a str, &'a str)],
}

/// A request cannot be built from these inputs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The text would end the line or be read as something else.
    #[error("{part} {value:?} has characters that are not allowed in a request")]
    Text {
        /// Which part is wrong.
        part: &'static str,
        /// The part as it was given.
        value: String,
    },
    /// The key is not from [`client_key`].
    #[error("the key is not 16 bytes in base64")]
    Key,
}

/// The bytes of the client's request.
///
/// # Errors
/// A text that is invalid in its place; nothing that comes from configuration or a user can smuggle
/// in a header.
pub fn request_bytes(request: &ClientRequest<'_>) -> Result<Vec<u8>, RequestError> {
    let is_visible = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    let is_value = |text: &str| text.bytes().all(|b| b == b'\t' || (b >= b' ' && b != 0x7f));
    let wrong = |part, value: &str| {
        Err(RequestError::Text {
            part,
            value: value.to_owned(),
        })
    };
    if !is_visible(request.host) {
        return wrong("host", request.host);
    }
    if !is_visible(request.path) || !request.path.starts_with('/') || request.path.contains('#') {
        return wrong("path", request.path);
    }
    if !is_key(request.key) {
        return Err(RequestError::Key);
    }
    let mut text = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n",
        request.path, request.host, request.key
    );
    if let Some(protocol) = request
        .protocols
        .iter()
        .find(|protocol| !is_token(protocol))
    {
        return wrong("protocol", protocol);
    }
    if !request.protocols.is_empty() {
        text.push_str("Sec-WebSocket-Protocol: ");
        text.push_str(&request.protocols.join(", "));
        text.push_str("\r\n");
    }
    for (name, value) in request.headers {
        if !is_token(name) {
            return wrong("header name", name);
        }
        if !is_value(value) {
            return wrong("header value", value);
        }
        write!(text, "{name}: {value}\r\n").expect("writing to memory does not fail");
    }
    text.push_str("\r\n");
    Ok(text.into_bytes())
}

/// Why a server's answer does not open the connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResponseError {
    /// The server, or a proxy before it, refused.
    #[error("the server answered with status {0}, not 101")]
    Status(u16),
    /// The answer is not one to an upgrade.
    #[error("header {0} of the answer is missing or wrong")]
    Header(&'static str),
    /// The answer belongs to another request, perhaps from a cache.
    #[error("header Sec-WebSocket-Accept of the answer does not fit the key")]
    Accept,
    /// The server chose a sub-protocol that was not offered.
    #[error("the server chose sub-protocol {0:?}, which was not offered")]
    Protocol(String),
    /// No extension was offered, so none may be in use.
    #[error("the server uses extension {0:?}, which was not offered")]
    Extension(String),
}

/// Checks the head of the server's answer; returns the sub-protocol that the server chose.
///
/// # Errors
/// The first thing that is wrong; the connection must be closed.
pub fn check_response<'a>(
    status: u16,
    headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    key: &str,
    offered: &[&str],
) -> Result<Option<&'a str>, ResponseError> {
    if status != 101 {
        return Err(ResponseError::Status(status));
    }
    let (mut names_websocket, mut names_upgrade) = (false, false);
    let (mut accept, mut protocol, mut extension) = (None, None, None);
    for (name, value) in headers {
        if name.eq_ignore_ascii_case("upgrade") {
            names_websocket |= lists(value, "websocket");
        } else if name.eq_ignore_ascii_case("connection") {
            names_upgrade |= lists(value, "upgrade");
        } else if name.eq_ignore_ascii_case("sec-websocket-accept") {
            if accept.replace(value).is_some() {
                return Err(ResponseError::Header("Sec-WebSocket-Accept"));
            }
        } else if name.eq_ignore_ascii_case("sec-websocket-protocol") {
            if protocol.replace(value).is_some() {
                return Err(ResponseError::Header("Sec-WebSocket-Protocol"));
            }
        } else if name.eq_ignore_ascii_case("sec-websocket-extensions") {
            extension = extension.or(items(value).next());
        }
    }
    if !names_websocket {
        return Err(ResponseError::Header("Upgrade"));
    }
    if !names_upgrade {
        return Err(ResponseError::Header("Connection"));
    }
    let accept = accept.ok_or(ResponseError::Header("Sec-WebSocket-Accept"))?;
    if accept.trim_ascii() != accept_key(key).as_bytes() {
        return Err(ResponseError::Accept);
    }
    if let Some(extension) = extension {
        return Err(ResponseError::Extension(extension.to_owned()));
    }
    let Some(protocol) = protocol else {
        return Ok(None);
    };
    let chosen = std::str::from_utf8(protocol.trim_ascii())
        .map_err(|_| ResponseError::Header("Sec-WebSocket-Protocol"))?;
    if !offered.contains(&chosen) {
        return Err(ResponseError::Protocol(chosen.to_owned()));
    }
    Ok(Some(chosen))
}
