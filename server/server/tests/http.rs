//! Pages over kept connections: what a browser, a proxy and a stranger may do there.

mod common;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use common::{
    APP, Answer, Client, PATIENCE, Seen, TestServer, UPGRADE, config, connect_tcp, exchange, get,
    is_end, read_head, start,
};
use tidings_server::{App, AppId, Apps, ServerConfig};
use tidings_wire::limits::{
    RATE_FAILED_LOGIN, VISIT_REQUESTS_MAX, VISITS_MAX, VISITS_PER_SOURCE_MAX,
};
use tidings_wire::ws::Opcode;

fn with(change: impl FnOnce(&mut ServerConfig)) -> TestServer {
    let mut config = config();
    change(&mut config);
    TestServer::start(config)
}

/// A server whose clients say where they are: loopback itself has no bounds per address.
fn behind_proxy() -> TestServer {
    with(|config| config.trusted_proxies = vec!["127.0.0.1".parse().expect("an address")])
}

fn ask(stream: &mut TcpStream, path: &str, headers: &str) -> Answer {
    send(stream, path, headers);
    Answer::read(stream)
}

fn send(stream: &mut TcpStream, path: &str, headers: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).expect("a request");
}

fn is_over(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 1]) {
        Ok(count) => count == 0,
        Err(error) => is_end(error.kind()),
    }
}

#[test]
fn a_connection_serves_one_request_after_another() {
    let server = start();
    let mut stream = connect_tcp(server.address());
    for path in ["/version", "/nowhere", "/healthz", "/readyz", "/version"] {
        let answer = ask(&mut stream, path, "");
        let expected = if path == "/nowhere" { 404 } else { 200 };
        assert_eq!(answer.status, expected, "{path}");
    }
    // Several at once, answered in their order.
    for path in ["/version", "/nowhere", "/sdk/nothing"] {
        send(&mut stream, path, "");
    }
    let statuses = [(); 3].map(|()| Answer::read(&mut stream).status);
    assert_eq!(statuses, [200, 404, 404]);
    let last = ask(&mut stream, "/version", "Connection: close\r\n");
    assert_eq!(last.json()["name"], "tidings");
    assert!(is_over(&mut stream));
}

#[test]
fn http_1_0_is_served_and_closed() {
    let server = start();
    let answer = exchange(server.address(), "GET /version HTTP/1.0\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.0 200 "), "{answer}");
    let mut kept = connect_tcp(server.address());
    for _ in 0..2 {
        kept.write_all(b"GET /version HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            .expect("a request");
        assert_eq!(Answer::read(&mut kept).status, 200);
    }
}

#[test]
fn a_connection_has_an_end_by_requests_and_by_time() {
    const IDLE_MS: u64 = 300;
    let server = with(|config| config.limits.visit_idle_ms = IDLE_MS);
    let mut busy = connect_tcp(server.address());
    let mut idle = connect_tcp(server.address());
    let begin = Instant::now();
    assert_eq!(ask(&mut idle, "/version", "").status, 200);
    for number in 1..=VISIT_REQUESTS_MAX {
        let answer = ask(&mut busy, "/version", "");
        let is_last = answer.header("connection") == Some("close");
        assert_eq!(is_last, number == VISIT_REQUESTS_MAX, "{number}");
    }
    assert!(is_over(&mut busy));
    assert!(is_over(&mut idle));
    let waited = begin.elapsed();
    assert!(waited >= Duration::from_millis(IDLE_MS), "{waited:?}");
}

// A proxy may send a handshake over a connection on which it has sent other requests.
#[test]
fn a_websocket_may_begin_on_a_kept_connection() {
    let server = start();
    for at in 0..4 {
        let mut stream = connect_tcp(server.address());
        for _ in 0..at {
            assert_eq!(ask(&mut stream, "/version", "").status, 200);
        }
        let mut client = Client::upgrade(stream);
        client.log_in(&format!("user-{at}"));
        client.send(Opcode::Ping, b"served");
        assert_eq!(client.next(), Seen::Pong(b"served".to_vec()));
    }
    // All at once: pages, the handshake, and a login behind it.
    let mut stream = connect_tcp(server.address());
    let pages = "GET /sdk/none HTTP/1.1\r\nHost: test\r\n\r\n".repeat(3);
    let bytes = [
        pages.as_bytes(),
        UPGRADE.as_bytes(),
        &common::login_frame(APP, "bob"),
    ]
    .concat();
    stream.write_all(&bytes).expect("all of it");
    for _ in 0..3 {
        assert_eq!(Answer::read(&mut stream).status, 404);
    }
    assert!(read_head(&mut stream).starts_with("HTTP/1.1 101 "));
    Client::over(stream).welcomed();
}

#[test]
fn what_is_no_handshake_is_refused_on_a_kept_connection_too() {
    let server = start();
    let cases = [
        (UPGRADE.replace("Version: 13", "Version: 12"), 426),
        (UPGRADE.replace("tidings.v1", "chat"), 400),
        (UPGRADE.replace("GET", "POST"), 405),
        (UPGRADE.replace("Host: test\r\n", ""), 400),
        (
            UPGRADE.replace("Host: test\r\n", "Host: a\r\nHost: b\r\n"),
            400,
        ),
        (
            UPGRADE.replace("\r\n\r\n", "\r\nContent-Length: 5\r\n\r\nhello"),
            400,
        ),
        ("GET /rtm HTTP/1.1\r\nHost: test\r\n\r\n".to_owned(), 426),
        ("GET /version HTTP/1.1\r\n\r\n".to_owned(), 400),
        (
            "GET /version HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n".to_owned(),
            400,
        ),
        ("GARBAGE\r\n\r\n".to_owned(), 400),
    ];
    for (request, expected) in cases {
        let mut stream = connect_tcp(server.address());
        assert_eq!(ask(&mut stream, "/version", "").status, 200);
        stream.write_all(request.as_bytes()).expect("a request");
        assert_eq!(Answer::read(&mut stream).status, expected, "{request}");
        assert!(is_over(&mut stream), "{request}");
    }
}

#[test]
fn a_legacy_client_may_begin_on_a_kept_connection() {
    let server = start();
    let mut stream = connect_tcp(server.address());
    assert_eq!(ask(&mut stream, "/getaddr", "").status, 200);
    let request = UPGRADE
        .replace("/rtm", "/legacy")
        .replace("Sec-WebSocket-Protocol: tidings.v1\r\n", "");
    stream.write_all(request.as_bytes()).expect("a request");
    assert!(read_head(&mut stream).starts_with("HTTP/1.1 101 "));
}

#[test]
fn a_proxy_keeps_a_connection_for_many_clients() {
    let server = with(|config| {
        config.trusted_proxies = vec!["127.0.0.1".parse().expect("an address")];
        config.apps = closed_apps();
    });
    let mut proxy = connect_tcp(server.address());
    let by = |source: &str| format!("X-Forwarded-For: {source}\r\n");
    let wrong = format!("/v1/media/{APP}/0");
    for _ in 0..=RATE_FAILED_LOGIN.calls {
        let headers = by("192.0.2.1") + "Tidings-User: alice\r\n";
        let answer = ask(&mut proxy, &wrong, &headers);
        assert_eq!(answer.status, 401, "{answer:?}");
    }
    // Those who guess pause, the others of the same connection do not.
    assert_eq!(ask(&mut proxy, "/version", &by("192.0.2.2")).status, 200);
    assert_eq!(ask(&mut proxy, "/version", &by("192.0.2.1")).status, 429);
    assert!(is_over(&mut proxy), "a refusal ends its connection");
}

/// An app that wants tokens.
fn closed_apps() -> Apps {
    let app = App {
        certificates: vec!["5".repeat(32)],
        ..App::default()
    };
    Apps {
        accept_any: false,
        listed: [(AppId::parse(APP).expect("an app id"), app)].into(),
    }
}

#[test]
fn wrong_tokens_over_http_pause_their_source_at_every_door() {
    let server = with(|config| {
        config.trusted_proxies = vec!["127.0.0.1".parse().expect("an address")];
        config.apps = closed_apps();
    });
    let headers =
        "X-Forwarded-For: 192.0.2.1\r\nTidings-User: alice\r\nAuthorization: Bearer 007bad\r\n";
    let wrong = |headers: &str| {
        let mut stream = connect_tcp(server.address());
        ask(&mut stream, &format!("/v1/media/{APP}/0"), headers).status
    };
    for number in 0..=RATE_FAILED_LOGIN.calls {
        assert_eq!(wrong(headers), 401, "{number}");
    }
    assert_eq!(wrong(headers), 429);
    let upgrade = UPGRADE.replace("\r\n\r\n", "\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n");
    let mut socket = connect_tcp(server.address());
    socket.write_all(upgrade.as_bytes()).expect("a request");
    assert!(read_head(&mut socket).starts_with("HTTP/1.1 429 "));
    assert_eq!(
        wrong(&headers.replace(".1\r", ".2\r")),
        401,
        "another source"
    );
}

#[test]
fn a_school_behind_one_address_loads_a_page_at_once() {
    let server = behind_proxy();
    let request =
        "GET /sdk/tidings-rtm.umd.js HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n";
    let mut pupils: Vec<_> = (0..400).map(|_| connect_tcp(server.address())).collect();
    for pupil in &mut pupils {
        pupil.write_all(request.as_bytes()).expect("a request");
    }
    let expected = Answer::read(&mut pupils[0]).status;
    // Where the SDK is not built, the answer is that it is not.
    assert!(matches!(expected, 200 | 404), "{expected}");
    for pupil in &mut pupils[1..] {
        assert_eq!(Answer::read(pupil).status, expected);
    }
    // And each of them its other files.
    for pupil in &mut pupils {
        for _ in 0..5 {
            pupil.write_all(request.as_bytes()).expect("a request");
            assert_eq!(Answer::read(pupil).status, expected);
        }
    }
}

#[test]
fn places_are_given_up_by_those_who_do_nothing_with_them() {
    let server = behind_proxy();
    let visit = |source: &str| {
        let mut stream = connect_tcp(server.address());
        let headers = format!("X-Forwarded-For: {source}\r\n");
        let status = ask(&mut stream, "/version", &headers).status;
        assert_eq!(status, 200, "{source}");
        stream
    };
    // A source has its share, of which it gives up its own oldest.
    let mut other = visit("192.0.2.200");
    let mut own: Vec<_> = (0..=VISITS_PER_SOURCE_MAX)
        .map(|_| visit("192.0.2.1"))
        .collect();
    assert!(is_over(&mut own[0]));
    assert_eq!(
        ask(&mut own[1], "/version", "X-Forwarded-For: 192.0.2.1\r\n").status,
        200
    );
    // All places: the source that has the most gives one up.
    let rest = VISITS_MAX - VISITS_PER_SOURCE_MAX - 1;
    let others: Vec<_> = (0..=rest)
        .map(|n| visit(&format!("198.51.100.{}", n % 250)))
        .collect();
    assert!(is_over(&mut own[2]));
    assert_eq!(
        ask(&mut other, "/version", "X-Forwarded-For: 192.0.2.200\r\n").status,
        200
    );
    drop(others);
}

#[test]
fn health_is_told_whatever_strangers_do() {
    let server =
        with(|config| config.admin_listen = Some("127.0.0.1:0".parse().expect("an address")));
    let admin = server
        .running()
        .admin_addr()
        .expect("a listener of its own");
    // All places of HTTP are taken by requests that are being sent.
    let mut slow: Vec<_> = (0..VISITS_MAX)
        .map(|_| {
            let mut stream = connect_tcp(server.address());
            let head = format!(
                "POST /v1/media/{APP} HTTP/1.1\r\nHost: a\r\nTidings-User: alice\r\nContent-Length: 9\r\n\r\nx"
            );
            stream.write_all(head.as_bytes()).expect("sent");
            stream
        })
        .collect();
    for path in ["/healthz", "/readyz"] {
        for address in [server.address(), admin] {
            let answer = get(address, path);
            assert!(
                answer.starts_with("HTTP/1.1 200 "),
                "{path} at {address}: {answer}"
            );
        }
        let head = format!("HEAD {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let answer = exchange(server.address(), &head);
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    }
    assert!(get(admin, "/version").contains("\"version\""));
    assert!(get(admin, "/demo/").starts_with("HTTP/1.1 404 "));
    slow.clear();
}

fn headers_of(address: SocketAddr, path: &str) -> Answer {
    let mut stream = connect_tcp(address);
    ask(&mut stream, path, "")
}

#[test]
fn every_answer_says_what_a_page_may_do() {
    let server = start();
    for path in [
        "/",
        "/demo",
        "/demo/",
        "/docs/",
        "/docs/none",
        "/sdk/none",
        "/nowhere",
        "/version",
        "/getaddr",
        "/v13/getaddr",
        "/v1/media/x/y",
    ] {
        let answer = headers_of(server.address(), path);
        let policy = answer.header("content-security-policy");
        assert!(
            policy.is_some_and(|policy| policy.contains("default-src")),
            "{path}: {answer:?}"
        );
        assert!(
            policy.is_some_and(
                |policy| policy.contains("frame-ancestors") || policy.contains("sandbox")
            ),
            "{path}: {policy:?}"
        );
        assert_eq!(
            answer.header("x-content-type-options"),
            Some("nosniff"),
            "{path}"
        );
        assert_eq!(
            answer.header("x-frame-options"),
            Some("SAMEORIGIN"),
            "{path}"
        );
        assert_eq!(
            answer.header("referrer-policy"),
            Some("no-referrer"),
            "{path}"
        );
        assert_eq!(answer.header("strict-transport-security"), None, "{path}");
    }
    let any = headers_of(server.address(), "/getaddr");
    assert_eq!(any.header("access-control-allow-origin"), Some("*"));
}

#[test]
fn addresses_hold_under_a_path_of_a_proxy() {
    let server = start();
    for path in ["/", "/demo", "/docs", "/demo?user=alice"] {
        let answer = headers_of(server.address(), path);
        let place = answer.header("location").expect("an address");
        assert_eq!(answer.status, 307);
        assert!(
            !place.starts_with('/') && !place.contains("//"),
            "{path}: {place}"
        );
        assert_eq!(place.contains("?user=alice"), path.contains('?'));
    }
}

#[test]
fn demonstration_and_guide_can_be_off() {
    let server = with(|config| (config.demo, config.guide) = (false, false));
    for path in [
        "/",
        "/demo",
        "/demo/",
        "/docs",
        "/docs/",
        "/docs/quick-start",
    ] {
        let answer = headers_of(server.address(), path);
        assert_eq!(answer.status, 404, "{path}");
        let text = answer.text();
        assert!(
            !text.contains("/demo/ is") && !text.contains("/docs/ is"),
            "{text}"
        );
    }
    let server = with(|config| config.legacy.enabled = false);
    assert_eq!(headers_of(server.address(), "/getaddr").status, 404);
}

#[test]
fn what_is_not_there_is_told_to_people_and_to_programs() {
    let server = start();
    let path = format!("/%3Cscript%3E{}", "a".repeat(2_000));
    for path in [path.as_str(), "/sdk/none", "/demo/none", "/docs/none"] {
        let mut stream = connect_tcp(server.address());
        let text = ask(&mut stream, path, "");
        assert_eq!(text.status, 404);
        assert_eq!(
            text.header("content-type"),
            Some("text/plain; charset=utf-8")
        );
        assert!(
            text.text().contains("hint: ") && text.body.len() < 700,
            "{text:?}"
        );
        let page = ask(&mut stream, path, "Accept: text/html,*/*;q=0.8\r\n");
        assert_eq!(page.status, 404);
        assert_eq!(
            page.header("content-type"),
            Some("text/html; charset=utf-8")
        );
        assert!(page.text().contains("<title>") && !page.text().contains("<script>a"));
    }
}

#[test]
fn a_refused_upload_holds_no_place_while_its_client_goes_on() {
    let server = with(|config| config.apps = closed_apps());
    let head = format!(
        "POST /v1/media/{APP} HTTP/1.1\r\nHost: a\r\nTidings-User: alice\r\nContent-Length: 9999999\r\n\r\n"
    );
    // Far more than there are places, and none of them ends.
    let begin = Instant::now();
    let mut refused = Vec::new();
    for _ in 0..VISITS_MAX + 100 {
        let mut stream = connect_tcp(server.address());
        stream.write_all(head.as_bytes()).expect("sent");
        assert_eq!(Answer::read(&mut stream).status, 401);
        refused.push(stream);
    }
    assert!(begin.elapsed() < PATIENCE, "{:?}", begin.elapsed());
    assert!(get(server.address(), "/version").starts_with("HTTP/1.1 200 "));
}
