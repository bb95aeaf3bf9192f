//! A client of HTTP for tests: one call per connection, and what it is answered.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// Longer than any call of these tests takes.
const WAIT: Duration = Duration::from_secs(30);

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The body as JSON; null for one that is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// A header's first value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// A call before it is made.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Call {
    pub(crate) fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.into(),
            path: path.into(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// A body as it is.
    pub(crate) fn raw(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// A body of JSON, and its type.
    pub(crate) fn json(self, body: &Value) -> Self {
        self.header("Content-Type", "application/json;charset=utf-8")
            .raw(body.to_string())
    }

    /// Makes it on a connection of its own.
    pub(crate) fn send(&self, to: SocketAddr) -> Answer {
        let mut tcp = self.begin(to);
        let mut bytes = Vec::new();
        tcp.read_to_end(&mut bytes).expect("an answer");
        read(&bytes)
    }

    /// Sends it, and leaves the answer to be read.
    pub(crate) fn begin(&self, to: SocketAddr) -> TcpStream {
        let mut tcp = TcpStream::connect(to).expect("a connection");
        tcp.set_read_timeout(Some(WAIT)).expect("set");
        let mut head = format!(
            "{} {} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n",
            self.method, self.path
        );
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", self.body.len()));
        tcp.write_all(head.as_bytes()).expect("sent");
        // A server that refuses by the head may end the connection before it has all of the body.
        let _ = tcp.write_all(&self.body);
        tcp
    }
}

fn read(bytes: &[u8]) -> Answer {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(bytes).expect("an answer of HTTP");
    let httparse::Status::Complete(at) = parsed else {
        panic!("half an answer: {}", String::from_utf8_lossy(bytes));
    };
    let headers: Vec<(String, String)> = response
        .headers
        .iter()
        .map(|header| {
            let value = String::from_utf8_lossy(header.value).into_owned();
            (header.name.to_owned(), value)
        })
        .collect();
    let is_chunked = headers.iter().any(|(name, value)| {
        name.eq_ignore_ascii_case("transfer-encoding") && value.contains("chunked")
    });
    let body = if is_chunked {
        unchunk(&bytes[at..])
    } else {
        bytes[at..].to_vec()
    };
    Answer {
        status: response.code.expect("a status"),
        headers,
        body,
    }
}

fn unchunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(httparse::Status::Complete((at, length))) = httparse::parse_chunk_size(bytes) {
        let length = usize::try_from(length).expect("small");
        if length == 0 {
            break;
        }
        body.extend_from_slice(&bytes[at..at + length]);
        bytes = &bytes[at + length + 2..];
    }
    body
}
