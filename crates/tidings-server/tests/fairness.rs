//! Nobody's traffic is anybody else's trouble, by counts of work and outcomes: what the server takes of a flood, whom it
//! sends away, and who gets in meanwhile. Times are in docs/fairness.md, which `cargo xtask fairness` makes.

mod common;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use common::{APP, PATIENCE, TestServer, UPGRADE, config, connect_tcp, is_end, read_head};
use tidings_server::ServerConfig;
use tidings_wire::frame::encode_client;
use tidings_wire::limits::PREAUTH_LEGACY_FRAMES_MAX;
use tidings_wire::proto::{ClientFrame, ClientMessage, Login, client_message};
use tidings_wire::ws::{
    Decoder, Event, Limits, Opcode, Role, encode_frame, encode_ping, encode_pong,
};

/// A mask that changes nothing: frames can be written down as they are.
const MASK: Option<[u8; 4]> = Some([0; 4]);

/// One hub, behind a proxy that states its clients' addresses: those of this machine have no limits of their own.
fn proxied() -> ServerConfig {
    let mut config = config();
    config.hubs = 1;
    config.trusted_proxies = vec!["127.0.0.1".parse().expect("an address")];
    config
}

/// The request of a client at this address; the native path has a sub-protocol, the legacy ones have none.
fn upgrade(path: &str, from: &str) -> String {
    let request = match path {
        "/rtm" => UPGRADE.to_owned(),
        path => UPGRADE
            .replace("/rtm", path)
            .replace("Sec-WebSocket-Protocol: tidings.v1\r\n", ""),
    };
    request.replace("\r\n\r\n", &format!("\r\nX-Forwarded-For: {from}\r\n\r\n"))
}

/// Opens a WebSocket; gives the status when it is refused.
fn open(address: SocketAddr, path: &str, from: &str) -> Result<TcpStream, String> {
    let mut stream = connect_tcp(address);
    let asked = stream.write_all(upgrade(path, from).as_bytes());
    asked.map_err(|error| error.to_string())?;
    let head = read_head(&mut stream);
    match head.starts_with("HTTP/1.1 101 ") {
        true => Ok(stream),
        false => Err(head.lines().next().unwrap_or_default().to_owned()),
    }
}

fn binary(payload: &[u8]) -> Vec<u8> {
    frame(Opcode::Binary, payload)
}

fn text(content: &str) -> Vec<u8> {
    frame(Opcode::Text, content.as_bytes())
}

fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_frame(&mut bytes, opcode, payload, MASK);
    bytes
}

/// What came of a flood.
#[derive(Debug, PartialEq, Eq)]
struct Answered {
    /// Messages and pongs of the server.
    count: usize,
    /// `None` = TCP ended without a close frame.
    code: Option<u16>,
}

/// Reads to the end. Panics if the server lets it live.
fn hear_out(stream: &mut TcpStream) -> Answered {
    let limits = Limits {
        message_bytes_max: 1 << 20,
        fragments_max: 1,
    };
    let mut decoder = Decoder::new(Role::Client, limits);
    let mut buffer = [0; 4096];
    let mut heard = Answered {
        count: 0,
        code: None,
    };
    loop {
        let read = match stream.read(&mut buffer) {
            Ok(0) => return heard,
            Ok(read) => read,
            Err(error) if is_end(error.kind()) => return heard,
            Err(error) => panic!("still there after {PATIENCE:?}, {heard:?}: {error}"),
        };
        let mut events = decoder.decode(&mut buffer[..read]);
        while let Ok(Some(event)) = events.next_event() {
            match event {
                Event::Close { code, .. } => {
                    heard.code = code;
                    return heard;
                }
                _ => heard.count += 1,
            }
        }
    }
}

/// Sends a frame so many times, or until the server takes no more of it.
fn flood(stream: &mut TcpStream, frame: &[u8], times: usize) {
    for _ in 0..times {
        if stream.write_all(frame).is_err() {
            return;
        }
    }
}

/// Logs in as somebody at an address of their own, and must get in at the first try.
fn log_in(address: SocketAddr, user: &str, from: &str) -> TcpStream {
    let mut stream =
        open(address, "/rtm", from).unwrap_or_else(|status| panic!("{user}: {status}"));
    let login = Login {
        app_id: APP.into(),
        user_id: user.into(),
        ..Login::default()
    };
    let messages = vec![ClientMessage {
        kind: Some(client_message::Kind::Login(login)),
    }];
    let payload = encode_client(&ClientFrame {
        messages,
        confirm: 0,
    });
    stream.write_all(&binary(&payload)).expect("a login");
    let mut client = common::Client::over(stream);
    client.welcomed();
    client.stream
}

/// A stranger may say a few things; whoever goes on is sent away, whatever it is and at whichever door.
#[test]
fn a_stranger_who_goes_on_and_on_is_sent_away() {
    let server = TestServer::start(proxied());
    let native: [(&str, Vec<u8>); 8] = [
        ("empty resumes", binary(&[0x0a, 2, 0x12, 0])),
        ("pings", binary(&[0x0a, 2, 0x2a, 0])),
        ("pongs", binary(&[0x0a, 2, 0x1a, 0])),
        ("messages that say nothing", binary(&[0x0a, 0])),
        ("empty frames", binary(&[])),
        ("confirmations", binary(&[0x10, 0])),
        ("pings of WebSocket", encode_ping(b"", MASK).to_vec()),
        ("pongs of WebSocket", encode_pong(b"", MASK).to_vec()),
    ];
    let legacy: [(&str, Vec<u8>); 8] = [
        ("legacy pings", text("[\"ping\",1]")),
        (
            "legacy calls",
            text("[\"call2\",[\"user_getmsg\",1,{\"line\":\"\"}]]"),
        ),
        ("legacy frames that nobody knows", text("[\"x\",{}]")),
        ("legacy flags", text("[\"set_flag\",{\"binary\":1}]")),
        ("empty texts", text("")),
        ("binary at the legacy door", binary(&[])),
        ("pings at the legacy door", encode_ping(b"", MASK).to_vec()),
        ("pongs at the legacy door", encode_pong(b"", MASK).to_vec()),
    ];
    let native = native.map(|case| ("/rtm", case));
    let legacy = legacy.map(|case| ("/", case));
    for (n, (path, (what, frame))) in native.into_iter().chain(legacy).enumerate() {
        let from = format!("192.0.2.{}", n + 1);
        let mut stream = open(server.address(), path, &from).expect(what);
        flood(&mut stream, &frame, 2_000);
        let answered = hear_out(&mut stream);
        assert!(answered.count <= ANSWERS_MAX, "{what}: {answered:?}");
    }
}

/// What a stranger is told at most before it is sent away: an answer to each of its messages, and why it goes.
const ANSWERS_MAX: usize = PREAUTH_LEGACY_FRAMES_MAX + 2;

/// The oldest of the strangers goes when there are too many, so that whoever has something to say gets in.
#[test]
fn strangers_who_say_nothing_keep_nobody_out() {
    let mut config = proxied();
    config.limits.preauth_connections_max = 60;
    config.limits.preauth_connections_per_address_max = 10;
    let server = TestServer::start(config);
    let address = server.address();
    type Stranger = fn(SocketAddr, usize) -> Option<TcpStream>;
    let kinds: [(&str, Stranger); 8] = [
        ("mute", |address, _| Some(connect_tcp(address))),
        ("half a head", |address, n| {
            let mut stream = connect_tcp(address);
            let head = upgrade("/rtm", &format!("198.51.100.{}", n % 250));
            stream.write_all(&head.as_bytes()[..head.len() - 2]).ok()?;
            Some(stream)
        }),
        ("of one IPv6 line", |address, n| {
            open(address, "/rtm", &format!("2001:db8:1:{:x}::1", n / 10)).ok()
        }),
        ("of many IPv6 lines", |address, n| {
            open(address, "/rtm", &format!("2001:db8:{n:x}::1")).ok()
        }),
        ("of many IPv4 addresses", |address, n| {
            open(address, "/rtm", &format!("198.51.100.{}", n % 250)).ok()
        }),
        ("of one legacy address", |address, _| {
            open(address, "/", "203.0.113.1").ok()
        }),
        ("half a login", |address, n| {
            let mut stream = open(address, "/rtm", &format!("198.51.100.{}", n % 250)).ok()?;
            stream.write_all(&binary(&[0; 8_000])[..8_000]).ok()?;
            Some(stream)
        }),
        ("refused and still there", |address, n| {
            let mut stream = connect_tcp(address);
            let head = upgrade("/rtm", &format!("198.51.100.{}", n % 250));
            let head = head.replace("Version: 13", "Version: 7");
            stream.write_all(head.as_bytes()).ok()?;
            Some(stream)
        }),
    ];
    for (round, (what, stranger)) in kinds.into_iter().enumerate() {
        // Three times as many as there are places, and somebody honest now and then.
        let mut held = Vec::new();
        for n in 0..180 {
            held.extend(stranger(address, n));
            if n % 20 == 19 {
                let user = format!("honest-{round}-{n}");
                let from = format!("192.0.2.{}", n + 1);
                drop(log_in(address, &user, &from));
            }
        }
        let health = common::get(address, "/healthz");
        assert!(health.starts_with("HTTP/1.1 200"), "{what}: {health}");
    }
}
