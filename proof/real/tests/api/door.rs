//! How calls come in: kept connections, HTTP/2 without TLS, wrong keys, callers who go away.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::json;

use crate::http::Call;
use crate::v1::{good, path, problem};
use crate::world::{KEY_ID, SECRET, World, basic, world};

/// Sends a call on a connection that is kept, and reads its answer.
fn keep(tcp: &mut BufReader<TcpStream>, body: &str) -> (String, String) {
    let call = format!(
        "POST {} HTTP/1.1\r\nHost: a\r\nAuthorization: {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        path("/publish"),
        basic(KEY_ID, SECRET),
        body.len()
    );
    tcp.get_mut().write_all(call.as_bytes()).expect("sent");
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(
            tcp.read_line(&mut head).expect("a line") > 0,
            "closed: {head}"
        );
    }
    let length = head
        .lines()
        .find_map(|line| {
            line.to_ascii_lowercase()
                .strip_prefix("content-length: ")?
                .parse()
                .ok()
        })
        .expect("a length");
    let mut body = vec![0; length];
    tcp.read_exact(&mut body).expect("a body");
    (head, String::from_utf8(body).expect("text"))
}

fn connect(to: SocketAddr) -> BufReader<TcpStream> {
    let tcp = TcpStream::connect(to).expect("a connection");
    tcp.set_nodelay(true).expect("set");
    tcp.set_read_timeout(Some(Duration::from_secs(20)))
        .expect("set");
    BufReader::new(tcp)
}

// proves: rtm-rest-1-kept
#[test]
fn a_connection_is_kept_for_as_many_calls_as_a_backend_makes() {
    let world = world(1);
    // Long bodies: more than a stranger may send in a turn.
    let body = json!({ "channel": "kept", "from": "a", "payload": "x".repeat(30_000) }).to_string();
    for port in [world.address, world.api] {
        let mut tcp = connect(port);
        for number in 0..1_100 {
            let short = json!({ "channel": "kept", "from": "a", "payload": "x" }).to_string();
            let body = if number % 100 == 0 { &body } else { &short };
            let (head, told) = keep(&mut tcp, body);
            assert!(head.starts_with("HTTP/1.1 200"), "{number}: {head}{told}");
        }
    }
}

// proves: rtm-rest-1-http2
#[test]
fn the_own_port_speaks_http2_without_tls() {
    let world = world(1);
    let mut tcp = connect(world.api);
    // The preface and an empty SETTINGS frame; the server's first frame is its own SETTINGS.
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
    tcp.get_mut().write_all(preface).expect("sent");
    let mut frame = [0; 9];
    tcp.read_exact(&mut frame).expect("a frame");
    assert_eq!(frame[3], 4, "{frame:?}");
}

// proves: rtm-rest-1.1-pause
#[test]
fn who_guesses_keys_has_to_pause_and_who_has_one_does_not() {
    // Loopback addresses have no limits of their own: the proxy says who they are.
    let world = World::start(1, &["--trusted-proxy", "127.0.0.1"]);
    let call = |from: &str, secret: &str| {
        let call = Call::new("GET", &path("/channels")).header("X-Forwarded-For", from);
        call.header("Authorization", &basic(KEY_ID, secret))
            .send(world.api)
    };
    let mut guesses = 0;
    while call("192.0.2.7", "a guess").status == 401 {
        guesses += 1;
        assert!(guesses < 100, "nobody has to pause");
    }
    let told = call("192.0.2.7", "a guess");
    problem(&told, 429, "too_often");
    assert!(told.header("retry-after").is_some());
    // Also with the right key, and nobody else.
    problem(&call("192.0.2.7", SECRET), 429, "too_often");
    good(&call("192.0.2.8", SECRET));
}

// proves: rtm-rest-12-gone-callers
#[test]
fn callers_who_go_away_cost_nobody_anything() {
    let world = world(1);
    for port in [world.address, world.api] {
        for _ in 0..50 {
            let call = Call::new("GET", &path("/events?after=newest&wait=30"));
            drop(
                call.header("Authorization", &basic(KEY_ID, SECRET))
                    .begin(port),
            );
        }
        let mut half = TcpStream::connect(port).expect("a connection");
        half.write_all(b"POST /api/v1/apps/x HTTP/1.1\r\nHost: a\r\nContent-Le")
            .expect("sent");
        good(&world.get(&path("/channels")));
    }
    // All the readers that have gone have given their places back.
    let many = |_: usize| world.get(&path("/events?after=newest&wait=1")).status;
    assert!((0..3).map(many).all(|status| status == 200));
}
