//! The client behind a proxy.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderValue};
use tidings_wire::limits::REQUEST_HEAD_HEADERS_MAX;

use crate::gate::Gate;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The address for which a trusted proxy sends this request: the last of `X-Forwarded-For` that is
/// not itself a trusted proxy's. Anything before it was written by the client, or by somebody
/// untrusted. `None` = the proxy does not state one.
pub(crate) fn forwarded(head: &[u8], gate: &Gate) -> Option<IpAddr> {
    let mut headers = [httparse::EMPTY_HEADER; REQUEST_HEAD_HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    // The head has already been parsed: it is complete.
    let _ = request.parse(head);
    let stated = request
        .headers
        .iter()
        .filter(|header| header.name.eq_ignore_ascii_case(FORWARDED_FOR))
        .map(|header| header.value);
    last_stranger(stated, gate)
}

/// The same for a request whose headers are already parsed.
pub(crate) fn forwarded_by(headers: &HeaderMap, gate: &Gate) -> Option<IpAddr> {
    let stated = headers.get_all(FORWARDED_FOR).iter();
    last_stranger(stated.map(HeaderValue::as_bytes), gate)
}

fn last_stranger<'a>(
    stated: impl DoubleEndedIterator<Item = &'a [u8]>,
    gate: &Gate,
) -> Option<IpAddr> {
    let stated = stated
        .rev()
        .filter_map(|list| std::str::from_utf8(list).ok())
        .flat_map(|list| list.rsplit(','));
    let mut last = None;
    for text in stated {
        let address = parse(text.trim())?.to_canonical();
        last = Some(address);
        if !gate.trusts(address) {
            break;
        }
    }
    last
}

/// An address; some proxies add the port.
fn parse(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let address = bare.unwrap_or(text).parse().ok();
    address.or_else(|| {
        text.parse()
            .ok()
            .map(|with_port: SocketAddr| with_port.ip())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Limits;

    #[test]
    fn the_last_address_that_is_no_proxy_counts() {
        let trusted = vec!["10.0.0.0/8".parse().expect("a network")];
        let gate = Gate::new(&Limits::default(), trusted);
        let cases = [
            ("", None),
            ("X-Forwarded-For: 192.0.2.1\r\n", Some("192.0.2.1")),
            ("x-forwarded-for: 192.0.2.1:80\r\n", Some("192.0.2.1")),
            ("X-Forwarded-For: [2001:db8::1]:80\r\n", Some("2001:db8::1")),
            ("X-Forwarded-For: [2001:db8::1]\r\n", Some("2001:db8::1")),
            // The client's own inventions come first.
            (
                "X-Forwarded-For: 203.0.113.9, 192.0.2.1\r\n",
                Some("192.0.2.1"),
            ),
            (
                "X-Forwarded-For: 192.0.2.1, 10.0.0.7,10.0.0.8\r\n",
                Some("192.0.2.1"),
            ),
            (
                "X-Forwarded-For: 203.0.113.9\r\nA: b\r\nX-Forwarded-For: 192.0.2.1\r\n",
                Some("192.0.2.1"),
            ),
            ("X-Forwarded-For: 10.0.0.7\r\n", Some("10.0.0.7")),
            ("X-Forwarded-For: 192.0.2.1, unknown\r\n", None),
        ];
        for (header, expected) in cases {
            let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{header}\r\n");
            let expected = expected.map(|text| text.parse().expect("an address"));
            assert_eq!(forwarded(head.as_bytes(), &gate), expected, "{header}");
        }
    }
}
