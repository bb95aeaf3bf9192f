//! What to do with a connection, by the head of its first request.

use std::fmt::Write as _;

use bytes::Bytes;
use tidings_hub::ids::HubId;
use tidings_wire::limits::{REQUEST_HEAD_BYTES_MAX, REQUEST_HEAD_HEADERS_MAX};
use tidings_wire::ws::{self, HandshakeError};

use crate::gate::Full;
use crate::origins::{Origins, Page, StatedPage};
use crate::readiness::{Readiness, Report};

/// The path of the native protocol.
const RTM_PATH: &str = "/rtm";

/// The path of the legacy protocol; the app may follow.
const LEGACY_PATH: &str = "/legacy";

/// Whether the process answers.
pub(crate) const LIVES_PATH: &str = "/healthz";

/// Whether clients are served.
pub(crate) const READY_PATH: &str = "/readyz";

/// Names the hub that took a connection, in the answer to its handshake.
const HUB_HEADER: &str = "Tidings-Hub";

/// The sub-protocol of the native protocol.
const RTM_PROTOCOL: &str = "tidings.v1";

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The head is not whole.
    Incomplete,
    /// A WebSocket of the native protocol.
    Upgrade {
        /// The complete HTTP answer.
        response: Bytes,
        /// Where the request ends.
        head_len: usize,
        /// The page that has opened it.
        page: Option<StatedPage>,
    },
    /// A WebSocket of the legacy protocol.
    Legacy {
        /// The complete HTTP answer.
        response: Bytes,
        /// Where the request ends.
        head_len: usize,
        /// The app that the path names; empty if none.
        app: String,
        /// The page that has opened it.
        page: Option<StatedPage>,
    },
    /// Whether the server lives and is ready: answered at once, whatever else is going on.
    Health(Check),
    /// Any other request: for the HTTP thread.
    Http,
    /// Nothing that is served.
    Refuse(Refusal),
}

/// What a health check asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    /// Whether the process answers at all.
    Lives { wants_body: bool },
    /// Whether it serves clients.
    Ready { wants_body: bool },
}

impl Check {
    /// The whole HTTP answer.
    pub(crate) fn response(self, readiness: &Readiness) -> Bytes {
        let (report, wants_body) = match self {
            Self::Lives { wants_body } => (Report::lives(), wants_body),
            Self::Ready { wants_body } => (readiness.report(), wants_body),
        };
        let Report { is_good, text } = report;
        let length = text.len();
        let status = if is_good {
            "200 OK"
        } else {
            "503 Service Unavailable\r\nRetry-After: 5"
        };
        let body = if wants_body { text } else { String::new() };
        Bytes::from(format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
             Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n{body}"
        ))
    }
}

/// Why a request is not served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("this is a TLS handshake, but the server speaks plain HTTP here")]
    TlsOnPlain,
    #[error("the request is no HTTP: {0}")]
    NotHttp(httparse::Error),
    #[error("the request head has more than {REQUEST_HEAD_BYTES_MAX} bytes")]
    HeadTooLarge,
    #[error("the request has more than {REQUEST_HEAD_HEADERS_MAX} headers")]
    TooManyHeaders,
    #[error("the request has {0} headers `Host` where it has to have one")]
    Hosts(usize),
    #[error("the header `Host` names no host")]
    Host,
    #[error("the request is no WebSocket handshake: {0}")]
    Handshake(#[from] HandshakeError),
    #[error("none of the sub-protocols offered is {RTM_PROTOCOL}")]
    Protocol,
    #[error("pages of this origin may not connect")]
    Origin,
    #[error("the server is ending")]
    Draining,
    #[error("this node has lost its cluster")]
    Isolated,
    #[error("this address has too many connections that have not logged in")]
    FullSource,
    #[error("this address connects too often")]
    Handshakes,
    #[error("too many logins of this address have failed")]
    Failures,
    #[error("the server is busy with other HTTP requests")]
    HttpBusy,
    #[error("this server does not serve legacy Signaling clients")]
    LegacyOff,
    #[error("a WebSocket cannot begin on a connection of HTTP/2")]
    Http2,
    #[error("the request for a WebSocket has a body")]
    Body,
}

impl Refusal {
    pub(crate) fn status(&self) -> (u16, &'static str) {
        match self {
            Self::Http2 => (426, "Upgrade Required"),
            Self::Handshake(error) => match error.status() {
                405 => (405, "Method Not Allowed"),
                426 => (426, "Upgrade Required"),
                _ => (400, "Bad Request"),
            },
            Self::HeadTooLarge | Self::TooManyHeaders => (431, "Request Header Fields Too Large"),
            Self::Origin => (403, "Forbidden"),
            Self::LegacyOff => (404, "Not Found"),
            Self::Draining | Self::Isolated | Self::HttpBusy => (503, "Service Unavailable"),
            Self::FullSource | Self::Handshakes | Self::Failures => (429, "Too Many Requests"),
            Self::TlsOnPlain
            | Self::NotHttp(_)
            | Self::Hosts(_)
            | Self::Host
            | Self::Body
            | Self::Protocol => (400, "Bad Request"),
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::TlsOnPlain => "Use ws:// and http://, or give the server a certificate.",
            Self::NotHttp(_) => "Use an HTTP/1.1 or WebSocket client.",
            Self::HeadTooLarge | Self::TooManyHeaders => {
                "Send fewer or shorter headers; large cookies are a common cause."
            }
            Self::Hosts(_) | Self::Host => {
                "Send the name or address of the server, with its port, once."
            }
            Self::Http2 => "Open a connection of its own for the WebSocket, with HTTP/1.1.",
            Self::Body => "Send the handshake without a body.",
            Self::Handshake(error) => error.hint(),
            Self::Protocol => "Offer the sub-protocol tidings.v1.",
            Self::Origin => "Add the page's origin to the server's option --origin.",
            Self::Draining => "Connect again in a moment.",
            Self::Isolated => "Connect to another node, or again in a moment.",
            Self::FullSource | Self::Handshakes => {
                "Log in or close what is open, and wait a few seconds; behind a proxy, give its address to the server's option --trusted-proxy."
            }
            Self::Failures => "Check the app id and the token, and try again after ten seconds.",
            Self::HttpBusy => "Try again after a few seconds.",
            Self::LegacyOff => {
                "RTM clients connect to /rtm; to serve legacy ones switch the setting legacy on."
            }
        }
    }

    /// What it is, and what to do about it.
    pub(crate) fn text(&self) -> String {
        format!("{self}\nhint: {}\n", self.hint())
    }

    /// Seconds after which another attempt has a chance.
    pub(crate) fn retry_after(&self) -> Option<u32> {
        match self {
            Self::Failures => Some(10),
            _ if matches!(self.status().0, 429 | 503) => Some(5),
            _ => None,
        }
    }

    /// The whole HTTP answer.
    pub(crate) fn response(&self) -> Bytes {
        let (status, reason) = self.status();
        let body = self.text();
        let mut head = format!(
            "HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Length: {}\r\n",
            body.len()
        );
        let mut names_connection = false;
        if let Self::Handshake(error) = self {
            for (name, value) in error.headers() {
                // What the standard wants named beside the closing goes into one header.
                let closing = if *name == "Connection" { ", close" } else { "" };
                names_connection |= *name == "Connection";
                let _ = write!(head, "{name}: {value}{closing}\r\n");
            }
        }
        if !names_connection {
            head.push_str("Connection: close\r\n");
        }
        if let Some(seconds) = self.retry_after() {
            let _ = write!(head, "Retry-After: {seconds}\r\n");
        }
        Bytes::from(format!("{head}\r\n{body}"))
    }
}

impl From<Full> for Refusal {
    fn from(full: Full) -> Self {
        match full {
            Full::Source => Self::FullSource,
            Full::Handshakes => Self::Handshakes,
            Full::Failures => Self::Failures,
        }
    }
}

/// Judges the bytes that have arrived so far; `hub` is named in the answer to a handshake.
pub(crate) fn judge(bytes: &[u8], origins: &Origins, hub: Option<HubId>) -> Verdict {
    match parse(bytes, origins, hub) {
        Ok(verdict) => verdict,
        Err(refusal) => Verdict::Refuse(refusal),
    }
}

fn parse(bytes: &[u8], origins: &Origins, hub: Option<HubId>) -> Result<Verdict, Refusal> {
    // The first byte of a TLS record of type handshake.
    if bytes.first() == Some(&0x16) {
        return Err(Refusal::TlsOnPlain);
    }
    let mut headers = [httparse::EMPTY_HEADER; REQUEST_HEAD_HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let head_len = match request.parse(bytes) {
        Ok(httparse::Status::Complete(head_len)) if head_len <= REQUEST_HEAD_BYTES_MAX => head_len,
        Ok(httparse::Status::Partial) if bytes.len() < REQUEST_HEAD_BYTES_MAX => {
            return Ok(Verdict::Incomplete);
        }
        Ok(_) => return Err(Refusal::HeadTooLarge),
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::TooManyHeaders),
        Err(error) => return Err(Refusal::NotHttp(error)),
    };
    if request.version == Some(1) {
        let hosts = request.headers.iter();
        let hosts = hosts.filter(|header| header.name.eq_ignore_ascii_case("host"));
        check_hosts(hosts.map(|header| header.value))?;
    }
    let target = request.path.unwrap_or_default();
    let path = target.split('?').next().unwrap_or_default();
    if let Some(check) = health_check(request.method.unwrap_or_default(), path) {
        return Ok(Verdict::Health(check));
    }
    let wants_socket = request
        .headers
        .iter()
        .any(|header| header.name.eq_ignore_ascii_case("upgrade"));
    let legacy_app = legacy_app(path, wants_socket);
    if path != RTM_PATH && legacy_app.is_none() {
        return Ok(Verdict::Http);
    }
    let headers = request
        .headers
        .iter()
        .map(|header| (header.name, header.value));
    let upgrade = ws::check_request(
        request.method.unwrap_or_default(),
        request.version.unwrap_or_default(),
        headers.clone(),
    )?;
    let mut stated = headers.clone();
    let host = stated.find(|(name, _)| name.eq_ignore_ascii_case("host"));
    let host = host.map(|(_, host)| host);
    let mut stated = headers.filter(|(name, _)| name.eq_ignore_ascii_case("origin"));
    let origin = stated.next().map(|(_, origin)| origin);
    let page = Page { origin, host };
    // No browser states two.
    if stated.next().is_some() || !origins.allow(page) {
        return Err(Refusal::Origin);
    }
    let page = StatedPage::of(page);
    if let Some(app) = legacy_app {
        let app = app.to_owned();
        let response = switching(upgrade.key, None, hub);
        return Ok(Verdict::Legacy {
            response,
            head_len,
            app,
            page,
        });
    }
    let protocol = if upgrade.protocols.is_empty() {
        None
    } else if upgrade.protocols.contains(&RTM_PROTOCOL) {
        Some(RTM_PROTOCOL)
    } else {
        return Err(Refusal::Protocol);
    };
    let response = switching(upgrade.key, protocol, hub);
    Ok(Verdict::Upgrade {
        response,
        head_len,
        page,
    })
}

/// A request of HTTP/1.1 names its host, once. Source: RFC 9112, 3.2.
pub(crate) fn check_hosts<'a>(mut hosts: impl Iterator<Item = &'a [u8]>) -> Result<(), Refusal> {
    let Some(host) = hosts.next() else {
        return Err(Refusal::Hosts(0));
    };
    let more = hosts.count();
    if more > 0 {
        return Err(Refusal::Hosts(1 + more));
    }
    // What a name, an address and a port are made of. Source: RFC 3986, 3.2.2.
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(byte);
    if host.iter().all(is_part) {
        Ok(())
    } else {
        Err(Refusal::Host)
    }
}

fn health_check(method: &str, path: &str) -> Option<Check> {
    let wants_body = match method {
        "GET" => true,
        "HEAD" => false,
        _ => return None,
    };
    match path {
        LIVES_PATH => Some(Check::Lives { wants_body }),
        READY_PATH => Some(Check::Ready { wants_body }),
        _ => None,
    }
}

/// Whether a request of this path is for a hub, also when it comes on a connection that has served
/// pages.
pub(crate) fn is_for_hub(path: &str, wants_socket: bool) -> bool {
    path == RTM_PATH || legacy_app(path, wants_socket).is_some()
}

/// The answer to a handshake.
fn switching(key: &str, protocol: Option<&str>, hub: Option<HubId>) -> Bytes {
    let mut response = ws::response_bytes(key, protocol);
    if let Some(hub) = hub {
        // The empty line ends the head: ours comes before it.
        response.truncate(response.len() - 2);
        response.extend_from_slice(format!("{HUB_HEADER}: {}\r\n\r\n", hub.hub).as_bytes());
    }
    Bytes::from(response)
}

/// The app of a path of the legacy protocol. Its clients open `/` too, where a page is for
/// everybody else.
fn legacy_app(path: &str, wants_socket: bool) -> Option<&str> {
    match path.strip_prefix(LEGACY_PATH) {
        Some("") => Some(""),
        Some(rest) => rest.strip_prefix('/').map(|app| app.trim_end_matches('/')),
        None => (path == "/" && wants_socket).then_some(""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPGRADE: &str = "GET /rtm HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

    fn verdict(request: &str) -> String {
        let origins = Origins::Listed(vec!["https://good.example".parse().expect("an origin")]);
        match judge(request.as_bytes(), &origins, None) {
            Verdict::Incomplete => "incomplete".into(),
            Verdict::Http => "http".into(),
            Verdict::Health(Check::Lives { .. }) => "lives".into(),
            Verdict::Health(Check::Ready { .. }) => "ready".into(),
            Verdict::Legacy { app, .. } => format!("legacy {app}"),
            Verdict::Upgrade { head_len, .. } => format!("upgrade {}", request.len() - head_len),
            Verdict::Refuse(refusal) => refusal.status().0.to_string(),
        }
    }

    #[test]
    fn requests_are_judged_by_their_head() {
        let cases = [
            ("", "incomplete"),
            ("GET /rtm HTTP/1.1\r\n", "incomplete"),
            ("GET /demo HTTP/1.1\r\nHost: a\r\n\r\n", "http"),
            ("GET /rtmx HTTP/1.1\r\nHost: a\r\n\r\n", "http"),
            ("GET /rtm HTTP/1.1\r\nHost: a\r\n\r\n", "426"),
            ("POST /rtm HTTP/1.1\r\nHost: a\r\n\r\n", "405"),
            (&format!("{}\r\n", UPGRADE.replace("/rtm", "/")), "legacy "),
            (
                &format!("{}\r\n", UPGRADE.replace("/rtm", "/legacy/a1?x")),
                "legacy a1",
            ),
            (
                &format!("{}\r\n", UPGRADE.replace("/rtm", "/legacyx")),
                "http",
            ),
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "http"),
            ("GET / HTTP/1.1\r\n\r\n", "400"),
            ("GET / HTTP/1.0\r\n\r\n", "http"),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\nHost: \r\n\r\n", "http"),
            ("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "http"),
            ("GET / HTTP/1.1\r\nHost: a\r\nB: c\r\n d\r\n\r\n", "400"),
            ("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", "lives"),
            ("HEAD /readyz?x HTTP/1.0\r\n\r\n", "ready"),
            ("POST /healthz HTTP/1.1\r\nHost: a\r\n\r\n", "http"),
            ("GET /legacy/a1 HTTP/1.1\r\nHost: a\r\n\r\n", "426"),
            ("\x16\x03\x01", "400"),
            ("SSH-2.0-OpenSSH_9.2\r\n\r\n", "400"),
            (&format!("{UPGRADE}\r\n"), "upgrade 0"),
            (&format!("{UPGRADE}\r\nrest"), "upgrade 4"),
            (
                &format!("{UPGRADE}Sec-WebSocket-Protocol: a, tidings.v1\r\n\r\n"),
                "upgrade 0",
            ),
            (
                &format!("{UPGRADE}Sec-WebSocket-Protocol: chat\r\n\r\n"),
                "400",
            ),
            (
                &format!("{UPGRADE}Origin: https://good.example\r\n\r\n"),
                "upgrade 0",
            ),
            (
                &format!("{UPGRADE}Origin: https://evil.example\r\n\r\n"),
                "403",
            ),
            (&UPGRADE.replace("13", "8"), "incomplete"),
            (&format!("{}\r\n", UPGRADE.replace("13", "8")), "426"),
            (
                &format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(65)),
                "431",
            ),
            (
                &format!("GET / HTTP/1.1\r\nA: {}", "b".repeat(8_192)),
                "431",
            ),
            (
                &format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "b".repeat(8_192)),
                "431",
            ),
        ];
        for (request, expected) in cases {
            assert_eq!(verdict(request), expected, "{request:?}");
        }
    }

    #[test]
    fn the_answer_names_the_hub_to_tests_alone() {
        let cases = [
            ("/rtm", Some(HubId::local(7))),
            ("/legacy/a1", Some(HubId::local(7))),
            ("/rtm", None),
        ];
        for (path, hub) in cases {
            let request = format!("{}\r\n", UPGRADE.replace("/rtm", path));
            let (Verdict::Upgrade { response, .. } | Verdict::Legacy { response, .. }) =
                judge(request.as_bytes(), &Origins::Any, hub)
            else {
                panic!("{path} is a handshake");
            };
            let response = String::from_utf8(response.to_vec()).expect("text");
            assert!(response.ends_with("\r\n\r\n"), "{response}");
            let is_named = response.ends_with("\r\nTidings-Hub: 7\r\n\r\n");
            assert_eq!(is_named, hub.is_some(), "{response}");
        }
    }

    #[test]
    fn a_refusal_is_an_http_answer_that_helps() {
        let Verdict::Refuse(refusal) =
            judge(b"GET /rtm HTTP/1.1\r\nHost: a\r\n\r\n", &Origins::Any, None)
        else {
            panic!("a plain request is no upgrade");
        };
        let response = String::from_utf8(refusal.response().to_vec()).expect("text");
        assert!(
            response.starts_with("HTTP/1.1 426 Upgrade Required\r\n"),
            "{response}"
        );
        assert!(
            response.contains("Connection: Upgrade, close\r\n"),
            "{response}"
        );
        assert!(
            response.contains("\nhint: Open this address with a WebSocket client"),
            "{response}"
        );
    }
}
