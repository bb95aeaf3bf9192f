//! The first line of a connection by which a proxy that forwards bytes says for whom it does:
//! version 1 of the PROXY protocol.
//!
//! Anybody may send one, so that a health check through such a proxy works; whether it is believed
//! depends on who has sent it. With TLS of the server's own there is none: it would come before the
//! handshake.

use std::net::IpAddr;

/// Longest such line, with its end. Source: documented, the protocol's text.
const LINE_BYTES_MAX: usize = 107;

const START: &[u8] = b"PROXY ";

/// How the line starts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// There is no such line.
    Other,
    /// The line is incomplete.
    Incomplete,
    /// A line of this many bytes, and the client that it states, if any.
    Line(usize, Option<IpAddr>),
}

/// Parses the first bytes of a connection.
pub(crate) fn look_at(bytes: &[u8]) -> Beginning {
    if !bytes.starts_with(START) {
        return Beginning::Other;
    }
    let line = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
    let Some(end) = line.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < LINE_BYTES_MAX {
            Beginning::Incomplete
        } else {
            Beginning::Other
        };
    };
    match std::str::from_utf8(&line[..end]).map(source) {
        Ok(Some(source)) => Beginning::Line(end + 2, source),
        _ => Beginning::Other,
    }
}

/// `None` = the line is not valid.
fn source(line: &str) -> Option<Option<IpAddr>> {
    let mut words = line.split(' ').skip(1);
    let is_v6 = match words.next()? {
        "UNKNOWN" => return Some(None),
        "TCP4" => false,
        "TCP6" => true,
        _ => return None,
    };
    let mut address = || {
        let address: IpAddr = words.next()?.parse().ok()?;
        (address.is_ipv6() == is_v6).then_some(address)
    };
    let (source, _to) = (address()?, address()?);
    let ports = [words.next()?, words.next()?];
    let are_ports = ports.iter().all(|port| port.parse::<u16>().is_ok());
    (are_ports && words.next().is_none()).then_some(Some(source.to_canonical()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_whole_and_nothing_else_is() {
        let line = |text: &str| look_at(text.as_bytes());
        let v4 = "PROXY TCP4 203.0.113.7 10.0.0.1 5555 80\r\n";
        let v6 = "PROXY TCP6 2001:db8::1 ::1 5555 80\r\n";
        let from = |text: &str| Some(text.parse().expect("an address"));
        assert_eq!(line(v4), Beginning::Line(v4.len(), from("203.0.113.7")));
        assert_eq!(
            line(&format!("{v6}GET /")),
            Beginning::Line(v6.len(), from("2001:db8::1"))
        );
        assert_eq!(line("PROXY UNKNOWN\r\n"), Beginning::Line(15, None));
        assert_eq!(
            line("PROXY UNKNOWN whatever it is\r\n"),
            Beginning::Line(30, None)
        );
        assert_eq!(line("PROXY TCP4 203.0."), Beginning::Incomplete);
        for other in [
            "",
            "GET / HTTP/1.1\r\n",
            "PROXY",
            "PROXY TCP4 2001:db8::1 10.0.0.1 5555 80\r\n",
            "PROXY TCP4 203.0.113.7 10.0.0.1 5555\r\n",
            "PROXY TCP4 203.0.113.7 10.0.0.1 5555 80 9\r\n",
            "PROXY TCP4 203.0.113.7 10.0.0.1 99999 80\r\n",
            "PROXY UDP4 203.0.113.7 10.0.0.1 5555 80\r\n",
            &format!("PROXY {}", "x".repeat(LINE_BYTES_MAX)),
        ] {
            assert_eq!(line(other), Beginning::Other, "{other}");
        }
    }
}
