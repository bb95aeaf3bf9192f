//! A collector of spans: takes OTLP over HTTP, and counts.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

/// Takes spans until the test's process ends.
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    spans: Arc<Mutex<Vec<Span>>>,
}

impl Collector {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let spans = Arc::<Mutex<Vec<Span>>>::default();
        let theirs = spans.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let theirs = theirs.clone();
                std::thread::spawn(move || while take(&stream, &theirs).is_some() {});
            }
        });
        Self { address, spans }
    }

    fn of(&self, name: &str) -> Vec<Span> {
        let spans = self.spans.lock().expect("the lock");
        spans
            .iter()
            .filter(|span| span.name == name)
            .cloned()
            .collect()
    }

    /// How many spans of this name have come.
    pub(crate) fn count(&self, name: &str) -> usize {
        self.of(name).len()
    }

    /// The same of those on which a text was noted.
    pub(crate) fn count_with(&self, name: &str, key: &str, value: &str) -> usize {
        let is_it = |span: &&Span| {
            let noted = noted(span, key);
            noted.is_some_and(|noted| noted == Any::StringValue(value.into()))
        };
        self.of(name).iter().filter(is_it).count()
    }

    /// The sum of a number that was noted on spans.
    pub(crate) fn sum(&self, name: &str, key: &str) -> i64 {
        let spans = self.of(name);
        let numbers = spans.iter().filter_map(|span| match noted(span, key)? {
            Any::IntValue(number) => Some(number),
            _ => None,
        });
        numbers.sum()
    }
}

fn noted(span: &Span, key: &str) -> Option<Any> {
    let found = span.attributes.iter().find(|of| of.key == key)?;
    found.value.as_ref()?.value.clone()
}

/// Takes one request; `None` = there is none any more.
fn take(mut stream: &TcpStream, spans: &Mutex<Vec<Span>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let (mut line, mut bytes) = (String::new(), 0);
    loop {
        line.clear();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let head = line.trim().to_ascii_lowercase();
        if let Some(length) = head.strip_prefix("content-length:") {
            bytes = length.trim().parse().ok()?;
        }
        if head.is_empty() {
            break;
        }
    }
    let mut body = vec![0; bytes];
    reader.read_exact(&mut body).ok()?;
    let request = ExportTraceServiceRequest::decode(&body[..]).expect("OTLP");
    let scopes = request.resource_spans.into_iter();
    let scopes = scopes.flat_map(|resource| resource.scope_spans);
    let new = scopes.flat_map(|scope| scope.spans);
    spans.lock().expect("the lock").extend(new);
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    stream.write_all(answer).ok()
}
