//! Spans, as a collector gets them: what they are, whose children they are, and what a collector
//! costs that hangs or is gone.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde_json::{Value, json};

use crate::output::{data_dir, serve_with};
use crate::{APP, PATIENCE, Running, tidings, until};

const KEY: &str = "tdk_first_0123456789abcdef-secret";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A request that a small web server of the test has got.
struct Got {
    head: String,
    body: Vec<u8>,
}

impl Got {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        lines.find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// A web server that answers 200 to everything, and hands on what it was asked.
fn web() -> (SocketAddr, Receiver<Got>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let (out, seen) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let out = out.clone();
            std::thread::spawn(move || {
                while let Some(got) = take(&stream) {
                    let is_read = out.send(got).is_ok();
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                    if !is_read || (&stream).write_all(answer).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, seen)
}

/// Reads one request; `None` = there is none any more.
fn take(stream: &TcpStream) -> Option<Got> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let mut got = Got {
        head,
        body: Vec::new(),
    };
    let bytes: usize = got.header("content-length")?.parse().ok()?;
    got.body.resize(bytes, 0);
    reader.read_exact(&mut got.body).ok()?;
    Some(got)
}

/// Makes a call of the API.
fn call(address: &str, method: &str, path: &str, trace: Option<&str>, body: &Value) -> Value {
    let mut request = ureq::http::Request::builder()
        .method(method)
        .uri(format!("http://{address}{path}"))
        .header("Authorization", format!("Bearer {KEY}"))
        .header("Content-Type", "application/json");
    if let Some(trace) = trace {
        request = request.header("traceparent", trace);
    }
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    let answer = match body {
        Value::Null => agent.run(request.body(()).expect("a request")),
        body => agent.run(request.body(body.to_string()).expect("a request")),
    };
    let mut answer = answer.expect("an answer");
    let body = answer.body_mut().read_to_string().expect("a text");
    assert!(answer.status().is_success(), "{path}: {body}");
    serde_json::from_str(&body).unwrap_or_default()
}

/// A server that sends spans there, and its log's path.
fn serve(data: &str, endpoint: &str, options: &[&str]) -> (Running, String, String) {
    let log = format!("{data}.log");
    let file = fs::File::create(&log).expect("a file");
    let options = [
        &["--otlp-endpoint", endpoint, "--app", APP][..],
        &["--api-key", KEY, "--api-rate", "unlimited"],
        options,
    ];
    let (server, address) = serve_with(data, file.into(), &options.concat());
    (server, address, log)
}

/// Collects spans until one has each of these names.
fn spans(seen: &Receiver<Got>, names: &[&str]) -> Vec<Span> {
    let mut found: Vec<Span> = Vec::new();
    let has = |found: &[Span], name: &str| found.iter().any(|span| span.name == name);
    let begin = Instant::now();
    while let Some(missing) = names.iter().find(|name| !has(&found, name)) {
        let left = PATIENCE.saturating_sub(begin.elapsed());
        let got = seen.recv_timeout(left);
        let got = got.unwrap_or_else(|_| {
            let names: Vec<_> = found.iter().map(|span| &span.name).collect();
            panic!("no span {missing} among {names:?}")
        });
        assert!(got.head.starts_with("POST /v1/traces "), "{}", got.head);
        assert_eq!(got.header("content-type"), Some("application/x-protobuf"));
        let request = ExportTraceServiceRequest::decode(&got.body[..]).expect("OTLP");
        for resource in request.resource_spans {
            let of = format!("{:?}", resource.resource);
            assert!(
                of.contains("service.name") && of.contains("tidings"),
                "{of}"
            );
            let scopes = resource.scope_spans.into_iter();
            found.extend(scopes.flat_map(|scope| scope.spans));
        }
    }
    found
}

fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let found = spans.iter().find(|span| span.name == name);
    found.unwrap_or_else(|| panic!("no span {name}"))
}

/// A text or a number that was noted on a span.
fn noted(span: &Span, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|of| of.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Any::StringValue(text) => Some(text.clone()),
        Any::IntValue(number) => Some(number.to_string()),
        other => panic!("{other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn log_in(address: &str, data: &str, user: &str) {
    let endpoint = format!("ws://{address}");
    let output = tidings(&["doctor", "--dev", "--disk-reserve", "0"])
        .args(["--listen", "127.0.0.1:0", "--data-dir", data])
        .args(["--endpoint", &endpoint, "--user", user])
        .output();
    assert!(output.expect("the program runs").status.success());
}

#[test]
fn a_collector_gets_spans_of_calls_logins_commits_and_webhooks() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = data_dir(&folder);
    let (collector, collected) = web();
    let (target, told) = web();
    let endpoint = format!("http://{collector}");
    let private = ["--webhooks-private-targets", "--webhooks-http"];
    let (_server, address, _) = serve(&data, &endpoint, &private);
    let app = |rest: &str| format!("/api/v1/apps/{APP}{rest}");
    log_in(&address, &data, "secret-name");
    // An app of an option tells what it tells by default: messages that are stored.
    let hook = json!({ "url": format!("http://{target}/hook"), "events": ["message.*"] });
    call(&address, "POST", &app("/webhooks"), None, &hook);
    let brought = format!("00-{TRACE}-{PARENT}-01");
    let message =
        json!({ "users": ["away"], "from": "secret-name", "payload": "x", "offline": true });
    call(&address, "POST", &app("/publish"), Some(&brought), &message);
    let notice = told.recv_timeout(PATIENCE).expect("a notice");
    let publish = "POST /api/v1/apps/{app}/publish";
    let spans = spans(
        &collected,
        &["login", "store.commit", publish, "webhook.delivery"],
    );
    let publish = named(&spans, publish);
    assert_eq!(hex(&publish.trace_id), TRACE);
    assert_eq!(hex(&publish.parent_span_id), PARENT);
    assert_eq!(noted(publish, "tidings.app").as_deref(), Some(APP));
    assert_eq!(
        noted(publish, "http.response.status_code").as_deref(),
        Some("200")
    );
    let delivery = named(&spans, "webhook.delivery");
    assert_eq!(
        (hex(&delivery.trace_id), &delivery.parent_span_id),
        (TRACE.to_owned(), &publish.span_id)
    );
    assert_eq!(
        noted(delivery, "tidings.event").as_deref(),
        Some("message.offline_stored")
    );
    let told_of: Value = serde_json::from_slice(&notice.body).expect("JSON");
    let id = noted(delivery, "tidings.message").expect("the message's id");
    assert_eq!(told_of["payload"]["id"], id, "{told_of}");
    assert_eq!(id.len(), 32);
    let passed_on = format!("00-{TRACE}-{}-01", hex(&delivery.span_id));
    assert_eq!(notice.header("traceparent"), Some(&passed_on[..]));
    let login = named(&spans, "login");
    assert_eq!(noted(login, "tidings.outcome").as_deref(), Some("welcome"));
    assert!(login.end_time_unix_nano >= login.start_time_unix_nano);
    let commit = named(&spans, "store.commit");
    assert!(noted(commit, "tidings.operations").is_some());
    let all = format!("{spans:?}");
    assert!(!all.contains("secret-name"), "names of users are no spans'");
}

#[test]
fn without_a_collector_a_call_s_context_is_passed_on_as_it_came() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = data_dir(&folder);
    let (target, told) = web();
    let log = fs::File::create(folder.path().join("log")).expect("a file");
    let options = ["--app", APP, "--api-key", KEY];
    let private = ["--webhooks-private-targets", "--webhooks-http"];
    let (_server, address) = serve_with(&data, log.into(), &[&options[..], &private].concat());
    let app = |rest: &str| format!("/api/v1/apps/{APP}{rest}");
    let hook = json!({ "url": format!("http://{target}/hook"), "events": ["message.*"] });
    call(&address, "POST", &app("/webhooks"), None, &hook);
    let message = json!({ "users": ["away"], "from": "shop", "payload": "x", "offline": true });
    for brought in [
        Some(format!("00-{TRACE}-{PARENT}-01")),
        Some("00-no-context-01".to_owned()),
        None,
    ] {
        let trace = brought.as_deref();
        call(&address, "POST", &app("/publish"), trace, &message);
        let notice = told.recv_timeout(PATIENCE).expect("a notice");
        let is_one = trace.is_some_and(|trace| trace.contains(TRACE));
        assert_eq!(notice.header("traceparent"), trace.filter(|_| is_one));
    }
}

#[test]
fn a_caller_decides_where_nothing_is_sampled() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = data_dir(&folder);
    let (collector, collected) = web();
    let endpoint = format!("http://{collector}/v1/traces");
    let (_server, address, _) = serve(&data, &endpoint, &["--otlp-sample", "0"]);
    let path = "/api/v1/version";
    call(&address, "GET", path, None, &Value::Null);
    let unsampled = format!("00-{TRACE}-{PARENT}-00");
    call(&address, "GET", path, Some(&unsampled), &Value::Null);
    let sampled = format!("00-{TRACE}-{PARENT}-01");
    call(&address, "GET", path, Some(&sampled), &Value::Null);
    let spans = spans(&collected, &["GET /api/v1/version"]);
    assert_eq!(spans.len(), 1, "{spans:?}");
    assert_eq!(hex(&spans[0].parent_span_id), PARENT);
}

/// Makes calls until the queue of spans has been full, and ends the server.
fn is_served(data: &str, endpoint: &str) -> String {
    let (mut server, address, log) = serve(data, endpoint, &[]);
    let agent: ureq::Agent = ureq::Agent::config_builder().build().into();
    let path = format!("http://{address}/api/v1/version");
    let begin = Instant::now();
    for _ in 0..3_000 {
        let mut answer = agent.get(&path).call().expect("an answer");
        answer.body_mut().read_to_string().expect("a text");
    }
    assert!(begin.elapsed() < PATIENCE, "{:?}", begin.elapsed());
    let fails = "spans are lost";
    until("the log says that spans are lost", || {
        fs::read_to_string(&log).is_ok_and(|lines| lines.contains(fails))
    });
    let pid = server.0.id().to_string();
    let killed = std::process::Command::new("kill")
        .args(["-TERM", &pid])
        .status();
    assert!(killed.expect("kill runs").success());
    until("the server has ended", || {
        server.0.try_wait().expect("a state").is_some()
    });
    let lines = fs::read_to_string(&log).expect("a log");
    assert_eq!(lines.matches(fails).count(), 1, "{lines}");
    lines
}

#[test]
fn a_collector_that_hangs_costs_spans_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = data_dir(&folder);
    // Connections are accepted by the system, and nobody reads them.
    let hanging = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", hanging.local_addr().expect("an address"));
    is_served(&data, &endpoint);
}

#[test]
fn a_collector_that_is_gone_costs_spans_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = data_dir(&folder);
    let gone = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", gone.local_addr().expect("an address"));
    drop(gone);
    is_served(&data, &endpoint);
}
