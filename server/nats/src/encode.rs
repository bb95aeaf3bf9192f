//! Operations to bytes for a server. Subjects are checked here and nowhere else.

use serde::Serialize;

use crate::subject::{self, SubjectError};

/// What a client says of itself. Everything that is not here is the same for all.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Connect<'a> {
    /// The client's name, for the server's operator.
    pub name: &'a str,
    /// The client's version.
    pub version: &'a str,
    /// Whether TLS is spoken.
    pub tls_required: bool,
    /// The user's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<&'a str>,
    /// The user's password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pass: Option<&'a str>,
    /// A token instead of user and password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_token: Option<&'a str>,
    /// The user's JWT.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<&'a str>,
    /// The user's public nkey.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nkey: Option<&'a str>,
    /// The signed nonce, in base64url.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sig: Option<&'a str>,
}

/// The same for every connection: no `+OK`, other servers' addresses, headers, word when nobody
/// responds, and not what one has published oneself.
#[derive(Serialize)]
struct Whole<'a> {
    verbose: bool,
    pedantic: bool,
    lang: &'a str,
    protocol: u8,
    headers: bool,
    no_responders: bool,
    echo: bool,
    #[serde(flatten)]
    connect: &'a Connect<'a>,
}

/// Who we are: the first line that a client sends.
pub fn connect(out: &mut Vec<u8>, connect: &Connect<'_>) {
    let whole = Whole {
        verbose: false,
        pedantic: false,
        lang: "rust",
        protocol: 1,
        headers: true,
        no_responders: true,
        echo: false,
        connect,
    };
    let json = serde_json::to_vec(&whole).expect("texts and truth values are JSON");
    out.extend_from_slice(b"CONNECT ");
    out.extend_from_slice(&json);
    out.extend_from_slice(b"\r\n");
}

/// Subscribes to a subject; its messages carry `sid`.
///
/// # Errors
/// [`SubjectError`]; nothing is written then.
pub fn subscribe(out: &mut Vec<u8>, sid: u64, filter: &str) -> Result<(), SubjectError> {
    subject::check_filter(filter)?;
    words(out, &[b"SUB", filter.as_bytes()]);
    end_with(out, sid);
    Ok(())
}

/// Ends a subscription.
pub fn unsubscribe(out: &mut Vec<u8>, sid: u64) {
    words(out, &[b"UNSUB"]);
    end_with(out, sid);
}

/// Publishes a payload; an answer is wanted at `reply`.
///
/// # Errors
/// [`SubjectError`] of one of the subjects; nothing is written then.
pub fn publish(
    out: &mut Vec<u8>,
    subject: &str,
    reply: Option<&str>,
    payload: &[u8],
) -> Result<(), SubjectError> {
    check_both(subject, reply)?;
    out.reserve(payload.len() + subject.len() + 32);
    words(out, &[b"PUB", subject.as_bytes()]);
    if let Some(reply) = reply {
        words(out, &[reply.as_bytes()]);
    }
    end_with(out, payload.len() as u64);
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// A name and a value of a message's headers.
pub type Header<'a> = (&'a str, &'a str);

/// Why a payload with headers is not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The subject of the message or of its answer is none.
    #[error(transparent)]
    Subject(#[from] SubjectError),
    /// A name has something else than printable ASCII without colons.
    #[error("{0:?} is no name of a header")]
    Name(String),
    /// A value has a control character.
    #[error("the value {0:?} of a header has a control character")]
    Value(String),
}

/// Publishes a payload with headers; an answer is wanted at `reply`.
///
/// # Errors
/// [`HeaderError`]; nothing is written then.
pub fn publish_with_headers(
    out: &mut Vec<u8>,
    subject: &str,
    reply: Option<&str>,
    headers: &[Header<'_>],
    payload: &[u8],
) -> Result<(), HeaderError> {
    check_both(subject, reply)?;
    let mut block = b"NATS/1.0\r\n".to_vec();
    for (name, value) in headers {
        let is_name = |byte: u8| byte.is_ascii_graphic() && byte != b':';
        if name.is_empty() || !name.bytes().all(is_name) {
            return Err(HeaderError::Name((*name).to_owned()));
        }
        if value.chars().any(char::is_control) {
            return Err(HeaderError::Value((*value).to_owned()));
        }
        for part in [name.as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            block.extend_from_slice(part);
        }
    }
    block.extend_from_slice(b"\r\n");
    words(out, &[b"HPUB", subject.as_bytes()]);
    if let Some(reply) = reply {
        words(out, &[reply.as_bytes()]);
    }
    words(out, &[block.len().to_string().as_bytes()]);
    end_with(out, (block.len() + payload.len()) as u64);
    out.extend_from_slice(&block);
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// Asks for a PONG.
pub fn ping(out: &mut Vec<u8>) {
    out.extend_from_slice(b"PING\r\n");
}

/// Answers a PING.
pub fn pong(out: &mut Vec<u8>) {
    out.extend_from_slice(b"PONG\r\n");
}

fn check_both(subject: &str, reply: Option<&str>) -> Result<(), SubjectError> {
    subject::check(subject)?;
    reply.map_or(Ok(()), subject::check)
}

/// Words and a space behind each.
fn words(out: &mut Vec<u8>, words: &[&[u8]]) {
    for word in words {
        out.extend_from_slice(word);
        out.push(b' ');
    }
}

/// A number and the end of the line.
fn end_with(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(rest % 10).expect("a digit");
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_the_lines_of_the_protocol() {
        let mut out = Vec::new();
        subscribe(&mut out, 1, "a.*").expect("a filter");
        subscribe(&mut out, u64::MAX, ">").expect("a filter");
        unsubscribe(&mut out, 10);
        publish(&mut out, "a.b", None, b"hello").expect("a subject");
        publish(&mut out, "a", Some("r.0"), b"").expect("subjects");
        let headers = [("A", "b c"), ("Nats-X", "")];
        publish_with_headers(&mut out, "a", None, &headers, b"p").expect("headers");
        publish_with_headers(&mut out, "a", Some("r"), &[], b"").expect("headers");
        ping(&mut out);
        pong(&mut out);
        let expected = "SUB a.* 1\r\nSUB > 18446744073709551615\r\nUNSUB 10\r\n\
            PUB a.b 5\r\nhello\r\nPUB a r.0 0\r\n\r\n\
            HPUB a 30 31\r\nNATS/1.0\r\nA: b c\r\nNats-X: \r\n\r\np\r\n\
            HPUB a r 12 12\r\nNATS/1.0\r\n\r\n\r\nPING\r\nPONG\r\n";
        assert_eq!(String::from_utf8(out).expect("text"), expected);
    }

    #[test]
    fn nothing_is_written_of_what_would_break_a_line() {
        let mut out = Vec::new();
        assert!(subscribe(&mut out, 1, "a b").is_err());
        assert!(publish(&mut out, "a\r\nPING", None, b"").is_err());
        assert!(publish(&mut out, "a", Some("b c"), b"").is_err());
        assert!(publish(&mut out, "a", Some("*"), b"").is_err());
        let with = |out: &mut Vec<u8>, header| publish_with_headers(out, "a", None, &[header], b"");
        for name in ["", "a b", "a:", "a\r\n", "ü"] {
            assert_eq!(
                with(&mut out, (name, "v")),
                Err(HeaderError::Name(name.into()))
            );
        }
        for value in ["a\r\nB: c", "\0", "a\n"] {
            assert_eq!(
                with(&mut out, ("A", value)),
                Err(HeaderError::Value(value.into()))
            );
        }
        assert!(out.is_empty());
    }

    #[test]
    fn a_connect_carries_only_what_is_there() {
        let mut out = Vec::new();
        let hello = Connect {
            name: "node \"1\"\r\n",
            version: "1",
            user: Some("u"),
            pass: Some("p\n"),
            ..Connect::default()
        };
        connect(&mut out, &hello);
        let expected = "CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"rust\",\
            \"protocol\":1,\"headers\":true,\"no_responders\":true,\"echo\":false,\
            \"name\":\"node \\\"1\\\"\\r\\n\",\"version\":\"1\",\"tls_required\":false,\
            \"user\":\"u\",\"pass\":\"p\\n\"}\r\n";
        assert_eq!(String::from_utf8(out).expect("text"), expected);
    }
}
