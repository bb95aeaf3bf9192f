//! What a client may do wrong before and after it has logged in, and what that costs: its own
//! connection.

mod common;

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use common::{
    APP, Client, Seen, TestServer, UPGRADE, config, connect_tcp, exchange, get, read_head, start,
    until,
};
use tidings_wire::limits::{
    FRAME_BYTES_MAX, HEARTBEAT_MS, LOGIN_FRAME_BYTES_MAX, RATE_FAILED_LOGIN,
};
use tidings_wire::proto::{ClientFrame, Login, Logout, client_message, request};
use tidings_wire::ws::Opcode;

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or(answer)
}

#[test]
fn bad_requests_are_answered_with_their_reason() {
    let server = start();
    let cases = [
        ("GARBAGE\r\n\r\n".to_owned(), "400", "HTTP"),
        ("\x16\x03\x01\x02\x00".into(), "400", "wss"),
        (UPGRADE.replace("GET", "POST"), "405", "GET"),
        (
            UPGRADE.replace("Upgrade: websocket\r\n", ""),
            "426",
            "WebSocket client",
        ),
        (
            UPGRADE.replace("Version: 13", "Version: 12"),
            "426",
            "not 13",
        ),
        (
            UPGRADE.replace("Sec-WebSocket-Key: ", "Sec-WebSocket-Key: x"),
            "400",
            "16 bytes",
        ),
        (UPGRADE.replace("tidings.v1", "chat"), "400", "tidings.v1"),
        (UPGRADE.replace("Host: test\r\n", ""), "400", "Host"),
        (
            UPGRADE.replace("\r\n\r\n", &format!("\r\nA: {}", "b".repeat(9_000))),
            "431",
            "8192",
        ),
        (
            UPGRADE.replace("\r\n\r\n", &"\r\nA: b".repeat(70)) + "\r\n\r\n",
            "431",
            "64",
        ),
    ];
    for (request, expected, word) in cases {
        // A TLS client hello is answered in plain text as well: there is nothing better to say.
        let answer = exchange(server.address(), &request);
        assert_eq!(status(&answer), expected, "{request:?}: {answer}");
        let word = if word == "wss" { "TLS" } else { word };
        assert!(answer.contains(word), "{request:?}: {answer}");
        assert!(answer.contains("hint: "), "{answer}");
    }
}

/// Waits until a write fails: the server has closed the whole connection, not only its own side.
fn wait_until_closed(stream: &mut std::net::TcpStream) {
    until("nothing of the connection is kept", || {
        stream.write_all(b"x").is_err()
    });
}

#[test]
fn a_refused_request_is_gone_when_it_is_answered() {
    let server = start();
    let whole = UPGRADE.replace("Version: 13", "Version: 12");
    let health = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n".to_owned();
    for (request, expected) in [(whole, "426"), (health, "200")] {
        // In one piece and in two: the second finds the connection watched.
        for cut in [request.len(), 20] {
            let mut stream = connect_tcp(server.address());
            stream.set_nodelay(true).expect("set");
            stream
                .write_all(&request.as_bytes()[..cut])
                .expect("the first piece");
            std::thread::yield_now();
            stream
                .write_all(&request.as_bytes()[cut..])
                .expect("the rest");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).expect("an answer");
            assert_eq!(status(&answer), expected, "{answer}");
            wait_until_closed(&mut stream);
        }
    }
}

#[test]
fn a_refused_request_that_goes_on_is_answered_in_peace() {
    let server = start();
    let refused = UPGRADE.replace("Version: 13", "Version: 12");
    // What stands behind it has not been read when the answer goes; ending TCP then would lose the
    // answer.
    let mut stream = connect_tcp(server.address());
    stream
        .write_all((refused + &"x".repeat(30_000)).as_bytes())
        .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert_eq!(status(&answer), "426", "{answer}");
}

#[test]
fn pages_are_served_beside_the_websocket() {
    let server = start();
    assert_eq!(status(&get(server.address(), "/healthz")), "200");
    assert_eq!(status(&get(server.address(), "/readyz")), "200");
    // Relative: behind a proxy that strips a prefix they stay below it.
    for (from, to) in [("/", "demo/"), ("/demo", "demo/"), ("/docs", "docs/")] {
        let answer = get(server.address(), from);
        assert!(
            answer.contains(&format!("location: {to}\r\n")),
            "{from}: {answer}"
        );
        let there = get(server.address(), &format!("/{to}"));
        assert!(!there.contains("there is nothing at"), "{from}: {there}");
    }
    let nowhere = get(server.address(), "/nowhere");
    assert_eq!(status(&nowhere), "404");
    assert!(nowhere.contains("/demo/"), "{nowhere}");
    let outside = get(server.address(), "/demo/../Cargo.toml");
    assert_eq!(status(&outside), "404", "{outside}");
    let post = exchange(
        server.address(),
        "POST /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(status(&post), "405");
}

#[test]
fn a_page_of_a_foreign_origin_may_not_connect() {
    let mut config = config();
    config.origins =
        tidings_server::Origins::Listed(vec!["https://good.example".parse().expect("an origin")]);
    let server = TestServer::start(config);
    let from = |origin: &str| UPGRADE.replace("\r\n\r\n", &format!("\r\nOrigin: {origin}\r\n\r\n"));
    assert_eq!(
        status(&exchange(server.address(), &from("https://evil.example"))),
        "403"
    );
    let mut good = connect_tcp(server.address());
    good.write_all(from("https://good.example").as_bytes())
        .expect("a request");
    assert_eq!(status(&read_head(&mut good)), "101");
    // A program states no origin.
    Client::login(server.address(), "alice");
}

#[test]
fn bytes_that_are_no_frame_end_the_connection_only() {
    let server = start();
    let mut witness = Client::login(server.address(), "witness");
    type Wrong = fn(&mut Client<std::net::TcpStream>);
    let cases: [(Wrong, u16); 8] = [
        // Not protobuf; text; a request, a second login, nothing known.
        (|client| client.send(Opcode::Binary, &[0xff; 10]), 4016),
        (|client| client.send(Opcode::Text, b"hello"), 4016),
        (|client| client.send(Opcode::Binary, &[0x0a, 0x00]), 4016),
        // Not WebSocket: no mask, reserved bits, a fragmented ping, a lone continuation.
        (
            |client| client.stream.write_all(&[0x82, 0x01, 0x00]).expect("sent"),
            1002,
        ),
        (
            |client| {
                client
                    .stream
                    .write_all(&[0xc2, 0x80, 1, 2, 3, 4])
                    .expect("sent")
            },
            1002,
        ),
        (
            |client| {
                client
                    .stream
                    .write_all(&[0x09, 0x80, 1, 2, 3, 4])
                    .expect("sent")
            },
            1002,
        ),
        (
            |client| {
                client
                    .stream
                    .write_all(&[0x80, 0x80, 1, 2, 3, 4])
                    .expect("sent")
            },
            1002,
        ),
        // Text that is not UTF-8.
        (|client| client.send(Opcode::Text, &[0xff, 0xfe]), 1007),
    ];
    for (number, (wrong, code)) in cases.into_iter().enumerate() {
        for is_logged_in in [false, true] {
            let mut client = Client::connect(server.address());
            if is_logged_in {
                client.log_in(&format!("user-{number}"));
            }
            wrong(&mut client);
            assert_eq!(
                client.closed().0,
                Some(code),
                "case {number}, logged in: {is_logged_in}"
            );
        }
    }
    witness.send(Opcode::Ping, b"still here");
    assert_eq!(witness.next(), Seen::Pong(b"still here".to_vec()));
}

#[test]
fn frames_are_bounded_before_and_after_login() {
    let server = start();
    let mut fresh = Client::connect(server.address());
    fresh.send(Opcode::Binary, &vec![0; LOGIN_FRAME_BYTES_MAX + 1]);
    assert_eq!(fresh.closed().0, Some(1009));

    // Unknown fields are ignored: a frame as large as may be that says nothing.
    let mut frame = vec![0x82, 0x3f];
    let padding = FRAME_BYTES_MAX - 5;
    frame.extend([
        0x80 | (padding & 0x7f) as u8,
        0x80 | (padding >> 7 & 0x7f) as u8,
    ]);
    frame.push((padding >> 14) as u8);
    frame.resize(FRAME_BYTES_MAX, 0);
    // Several users: some are known to the hub at once, some only after it has asked the other.
    for n in 0..8 {
        let mut user = Client::login(server.address(), &format!("user-{n}"));
        user.send(Opcode::Binary, &frame);
        user.send(Opcode::Ping, b"taken");
        assert_eq!(user.next(), Seen::Pong(b"taken".to_vec()));
        // The announcement of one byte more is enough, not a byte of the message is needed.
        user.stream
            .write_all(&[0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 1, 1, 2, 3, 4])
            .expect("sent");
        assert_eq!(user.closed().0, Some(1009));
    }
}

#[test]
fn an_end_that_arrives_with_the_last_bytes_is_noticed() {
    let server = start();
    let begin = Instant::now();
    for n in 0..50 {
        let mut client = Client::login(server.address(), &format!("user-{n}"));
        client.send(Opcode::Ping, b"");
        client
            .stream
            .shutdown(Shutdown::Write)
            .expect("half closed");
        while client.next() != Seen::Ended {}
    }
    // Well below the time after which the hub would ask whether the client is still there.
    assert!(
        begin.elapsed() < Duration::from_millis(HEARTBEAT_MS / 2),
        "{:?}",
        begin.elapsed()
    );
}

#[test]
fn frames_out_of_order_end_the_session() {
    let server = start();
    // A request before login.
    let mut fresh = Client::connect(server.address());
    fresh.call(request::Call::Logout(Logout {}));
    assert_eq!(fresh.closed(), (Some(4016), "protocol_error".into()));
    // A second login.
    let mut alice = Client::login(server.address(), "alice");
    alice.send_message(client_message::Kind::Login(Login {
        app_id: APP.into(),
        user_id: "alice".into(),
        ..Login::default()
    }));
    assert_eq!(alice.closed(), (Some(4016), "protocol_error".into()));
    // More confirmed than was sent.
    let mut bob = Client::login(server.address(), "bob");
    bob.send_frame(&ClientFrame {
        messages: Vec::new(),
        confirm: 1_000,
    });
    assert_eq!(bob.closed(), (Some(4016), "protocol_error".into()));
}

#[test]
fn a_login_may_come_with_the_handshake_and_byte_by_byte() {
    let server = start();
    let mut client = connect_tcp(server.address());
    for byte in UPGRADE.as_bytes() {
        client.write_all(&[*byte]).expect("sent");
    }
    let mut client = {
        assert_eq!(status(&read_head(&mut client)), "101");
        Client::over(client)
    };
    let frame = common::login_frame(APP, "slow");
    for byte in &frame {
        client.stream.write_all(&[*byte]).expect("sent");
    }
    client.welcomed();

    // All at once, before the server has answered the handshake.
    let mut stream = connect_tcp(server.address());
    stream
        .write_all(&[UPGRADE.as_bytes(), &common::login_frame(APP, "hasty")].concat())
        .expect("sent");
    assert_eq!(status(&read_head(&mut stream)), "101");
    Client::over(stream).welcomed();
}

#[test]
fn control_frames_before_login_are_few() {
    let server = start();
    let mut client = Client::connect(server.address());
    for _ in 0..4 {
        client.send(Opcode::Ping, b"");
        assert_eq!(client.next(), Seen::Pong(Vec::new()));
    }
    client.send(Opcode::Ping, b"");
    assert_eq!(client.closed().0, Some(1008));
}

#[test]
fn silent_and_slow_strangers_are_dropped_in_time() {
    let mut config = config();
    config.limits.request_head_wait_ms = 300;
    let server = TestServer::start(config);
    let begin = Instant::now();
    let mut silent = connect_tcp(server.address());
    let mut slow = connect_tcp(server.address());
    let mut half_closed = connect_tcp(server.address());
    half_closed.shutdown(Shutdown::Write).expect("half closed");
    assert_eq!(half_closed.read(&mut [0; 1]).expect("the end"), 0);
    // A byte at a time does not buy more time.
    slow.set_read_timeout(Some(Duration::from_millis(20)))
        .expect("a timeout");
    let mut sent = UPGRADE.bytes().cycle();
    while !is_over(slow.read(&mut [0; 1])) {
        let byte = sent.next().expect("endless");
        assert!(
            begin.elapsed() < common::PATIENCE,
            "the slow one is never dropped"
        );
        if slow.write_all(&[byte]).is_err() {
            break;
        }
    }
    assert!(is_over(silent.read(&mut [0; 1])));
    // The server counts whole milliseconds.
    assert!(begin.elapsed() >= Duration::from_millis(298));
}

fn is_over(read: std::io::Result<usize>) -> bool {
    match read {
        Ok(count) => count == 0,
        Err(error) => common::is_end(error.kind()),
    }
}

#[test]
fn strangers_beyond_the_bound_give_way_and_users_do_not() {
    let mut config = config();
    config.limits.preauth_connections_max = 3;
    let server = TestServer::start(config);
    // Who has logged in counts no more.
    let mut users: Vec<_> = (0..6)
        .map(|n| Client::login(server.address(), &format!("user-{n}")))
        .collect();
    let mut strangers: Vec<_> = (0..3).map(|_| Client::connect(server.address())).collect();
    // The places are taken, and still everybody gets in: the oldest have to go.
    users.push(Client::login(server.address(), "late"));
    assert_eq!(status(&get(server.address(), "/healthz")), "200");
    assert!(is_over(strangers[0].stream.read(&mut [0; 1])));
    for user in &mut users {
        user.send(Opcode::Ping, b"");
        assert_eq!(user.next(), Seen::Pong(Vec::new()));
    }
}

#[test]
fn failed_logins_pause_their_source_also_behind_a_proxy() {
    let mut config = config();
    config.apps.accept_any = false;
    config.trusted_proxies = vec!["127.0.0.1".parse().expect("an address")];
    let server = TestServer::start(config);
    let from = |source: &str| {
        // The client's own word, which stands in front, is not believed.
        let header = format!("\r\nX-Forwarded-For: 203.0.113.1, {source}\r\n\r\n");
        let mut stream = connect_tcp(server.address());
        let request = UPGRADE.replace("\r\n\r\n", &header);
        stream.write_all(request.as_bytes()).expect("a request");
        let head = read_head(&mut stream);
        (stream, head)
    };
    let rate = RATE_FAILED_LOGIN.calls;
    for number in 0..=rate {
        let (mut stream, head) = from("192.0.2.1");
        assert_eq!(status(&head), "101", "{number}: {head}");
        stream
            .write_all(&common::login_frame(APP, "alice"))
            .expect("a login");
        assert_eq!(Client::over(stream).closed().0, Some(4014), "{number}");
    }
    let (_, head) = from("192.0.2.1");
    assert_eq!(status(&head), "429", "{head}");
    assert!(head.contains("Retry-After: 10"), "{head}");
    let (_, head) = from("192.0.2.2");
    assert_eq!(status(&head), "101", "{head}");
    let ask = |path: &str| {
        let head = "HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1\r\nConnection: close\r\n\r\n";
        exchange(server.address(), &format!("GET {path} {head}"))
    };
    assert_eq!(status(&ask("/version")), "429");
    assert_eq!(
        status(&ask("/healthz")),
        "200",
        "whatever the source has done"
    );
    assert_eq!(status(&get(server.address(), "/healthz")), "200");
}
