//! What one connection may cost: messages per turn and per second, before and after a login, at
//! both doors. Counted in messages and outcomes, not in time.

mod common;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use common::{APP, Client, PATIENCE, Seen, TestServer, UPGRADE, config, connect_tcp, read_head};
use tidings_hub::App;
use tidings_wire::codes::{CloseCode, Outcome};
use tidings_wire::frame::encode_client;
use tidings_wire::limits::{
    FLOOD_MS, FRAME_MESSAGES_MAX, PREAUTH_FRAMES_MAX, PREAUTH_LEGACY_FRAMES_MAX,
    RATE_CONNECTION_MESSAGE, RATE_FAILED_LOGIN,
};
use tidings_wire::names::AppId;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{ClientFrame, ClientMessage, Ping, Resume, client_message};
use tidings_wire::ws::{Opcode, encode_frame};

const POLICY_VIOLATION: u16 = 1008;

fn frame_of(kind: client_message::Kind, messages: usize) -> Vec<u8> {
    let message = ClientMessage { kind: Some(kind) };
    encode_client(&ClientFrame {
        messages: vec![message; messages],
        confirm: 0,
    })
    .to_vec()
}

fn masked(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_frame(&mut bytes, opcode, payload, Some([1, 2, 3, 4]));
    bytes
}

fn bogus_resume(number: u8) -> Resume {
    Resume {
        app_id: APP.into(),
        user_id: "alice".into(),
        session_id: vec![number; 16].into(),
        secret: vec![7; 32].into(),
        ..Resume::default()
    }
}

/// Why the server ends the connection, whatever it sends before. Its client may be cut off while it
/// still writes.
fn end_of(client: &mut Client<TcpStream>) -> Option<u16> {
    loop {
        match client.next() {
            Seen::Closed { code, .. } => return code,
            Seen::Ended => return None,
            _ => {}
        }
    }
}

/// A server of two apps, so that turns are shared.
fn shared() -> TestServer {
    let mut config = config();
    config.hubs = 1;
    for app in [APP, &"b".repeat(32)] {
        let id = AppId::parse(app).expect("an app id");
        config.apps.listed.insert(id, App::default());
    }
    TestServer::start(config)
}

#[test]
fn a_stranger_may_send_few_messages_whatever_they_are() {
    let server = shared();
    // A second word while a resume is looked for breaks the protocol; else a policy of ours is
    // violated.
    let cases: [(&str, u16, Vec<u8>); 3] = [
        (
            "resumes",
            CloseCode::ProtocolError as u16,
            masked(
                Opcode::Binary,
                &frame_of(client_message::Kind::Resume(bogus_resume(1)), 1),
            ),
        ),
        (
            "empty frames",
            POLICY_VIOLATION,
            masked(Opcode::Binary, b""),
        ),
        (
            "empty resumes",
            POLICY_VIOLATION,
            masked(
                Opcode::Binary,
                &frame_of(client_message::Kind::Resume(Resume::default()), 1),
            ),
        ),
    ];
    for (what, code, bytes) in cases {
        let mut client = Client::connect(server.address());
        client
            .stream
            .write_all(&bytes.repeat(PREAUTH_FRAMES_MAX + 1))
            .expect("they are sent");
        assert_eq!(end_of(&mut client), Some(code), "{what}");
    }
    // Many in one frame count one by one.
    let mut client = Client::connect(server.address());
    let frame = frame_of(client_message::Kind::Resume(Resume::default()), 200);
    client
        .stream
        .write_all(&masked(Opcode::Binary, &frame))
        .expect("it is sent");
    assert_eq!(end_of(&mut client), Some(POLICY_VIOLATION));
}

#[test]
fn a_legacy_stranger_may_send_few_messages_whatever_they_are() {
    let server = shared();
    let call = r#"["call2",["channel_join",3,{"line":"@","name":"room"}]]"#;
    for text in [r#"["ping",1]"#, call] {
        let mut stream = connect_tcp(server.address());
        let request = UPGRADE
            .replace("/rtm", &format!("/legacy/{APP}"))
            .replace("Sec-WebSocket-Protocol: tidings.v1\r\n", "");
        stream.write_all(request.as_bytes()).expect("a request");
        let head = read_head(&mut stream);
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        let bytes = masked(Opcode::Text, text.as_bytes());
        let _ = stream.write_all(&bytes.repeat(PREAUTH_LEGACY_FRAMES_MAX + 1));
        // Its end is the last that the server sends.
        let end = [0x88, 2, 0x03, 0xf0];
        let mut answer = Vec::new();
        let mut piece = [0; 4096];
        while !answer.ends_with(&end) {
            let count = stream.read(&mut piece).expect("an answer in time");
            assert!(count > 0, "{text}: {:?}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&piece[..count]);
        }
    }
}

/// Pings without pause, until the connection is ended; how many messages it took, and how it ended.
fn flood(client: &mut Client<TcpStream>, burst: &[u8]) -> (usize, Option<u16>) {
    client
        .stream
        .set_nonblocking(true)
        .expect("a socket that does not wait");
    let began = Instant::now();
    let mut sent = 0;
    let mut at = 0;
    let mut answer = vec![0; 1 << 16];
    let mut tail = Vec::new();
    loop {
        assert!(began.elapsed() < 2 * PATIENCE, "the flood has no end");
        match client.stream.write(&burst[at..]) {
            Ok(written) => {
                at = (at + written) % burst.len();
                sent += written;
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                std::thread::yield_now();
            }
            Err(_) => break,
        }
        match client.stream.read(&mut answer) {
            Ok(0) => break,
            Ok(count) => {
                // The close frame is the last that the server sends.
                tail.extend_from_slice(&answer[..count]);
                let keep = tail.len().saturating_sub(256);
                tail.drain(..keep);
                let code = CloseCode::RateLimited as u16;
                let end = code.to_be_bytes();
                if tail.windows(2).any(|pair| pair == end) {
                    return (sent, Some(code));
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
    }
    (sent, None)
}

#[test]
fn a_client_that_floods_is_slowed_then_sent_away_and_stays_out_for_its_pause() {
    let server = shared();
    let mut victim = Client::login(server.address(), "victim");
    let mut flooder = Client::login(server.address(), "flooder");
    let ping = masked(
        Opcode::Binary,
        &frame_of(client_message::Kind::Ping(Ping {}), 1),
    );
    let began = Instant::now();
    let (bytes, end) = flood(&mut flooder, &ping.repeat(500));
    let took_ms = began.elapsed().as_millis() as u64;
    assert_eq!(end, Some(CloseCode::RateLimited as u16));
    assert!(took_ms + 1_000 >= FLOOD_MS, "after {took_ms} ms");
    // Whatever was not read stands in the sockets' buffers; of what was, no more than the rate
    // allows.
    let buffered = 16 << 20;
    let rate = RATE_CONNECTION_MESSAGE;
    let allowed =
        u64::from(rate.calls) * (1 + took_ms / u64::from(rate.window_ms) + 1) * ping.len() as u64;
    assert!(
        (bytes as u64) < allowed + buffered,
        "{bytes} bytes in {took_ms} ms"
    );
    // Somebody else has noticed nothing.
    victim.send(Opcode::Ping, b"");
    assert_eq!(victim.next(), Seen::Pong(Vec::new()));
    drop(flooder);
    // The pause that it was told is kept.
    let mut again = Client::connect(server.address());
    let login = tidings_wire::proto::Login {
        app_id: APP.into(),
        user_id: "flooder".into(),
        ..Default::default()
    };
    again.send_message(client_message::Kind::Login(login));
    match again.next() {
        Seen::Message(Kind::Refused(refused)) => {
            let error = refused.error.expect("a reason");
            assert_eq!(error.outcome, Outcome::TooOften as u32, "{error:?}");
            assert!((1..=5_000).contains(&error.retry_after_ms), "{error:?}");
        }
        other => panic!("let in again at once: {other:?}"),
    }
}

#[test]
fn many_messages_in_one_frame_count_one_by_one() {
    let server = shared();
    let mut flooder = Client::login(server.address(), "flooder");
    let frame = frame_of(client_message::Kind::Ping(Ping {}), FRAME_MESSAGES_MAX);
    let (_, end) = flood(&mut flooder, &masked(Opcode::Binary, &frame));
    assert_eq!(end, Some(CloseCode::RateLimited as u16));
}

#[test]
fn bogus_resumes_take_no_logins_and_count_as_failures_of_their_source() {
    let mut config = config();
    config.limits.login_rate = 1;
    config.limits.login_queue = 20;
    config.trusted_proxies = vec!["127.0.0.1".parse().expect("an address")];
    let server = TestServer::start(config);
    let from = |source: &str| {
        let header = format!("\r\nX-Forwarded-For: {source}\r\n\r\n");
        let mut stream = connect_tcp(server.address());
        let request = UPGRADE.replace("\r\n\r\n", &header);
        stream.write_all(request.as_bytes()).expect("a request");
        let head = read_head(&mut stream);
        (stream, head)
    };
    let mut tried = 0;
    loop {
        let (stream, head) = from("192.0.2.1");
        if head.contains(" 429 ") {
            break;
        }
        let mut client = Client::over(stream);
        for number in 0..4 {
            client.send_message(client_message::Kind::Resume(bogus_resume(number)));
            assert!(matches!(client.next(), Seen::Message(Kind::Refused(_))));
        }
        client.send(Opcode::Close, &1000_u16.to_be_bytes());
        client.closed();
        tried += 1;
        assert!(tried <= RATE_FAILED_LOGIN.calls, "never paused");
    }
    assert!(tried >= RATE_FAILED_LOGIN.calls / 2, "{tried}");
    // 40 resumes and more, and still as many logins as the node takes at once.
    let users: Vec<_> = (0..15)
        .map(|n| login_at(server.address(), &format!("user-{n}")))
        .collect();
    assert_eq!(users.len(), 15);
}

fn login_at(address: SocketAddr, user: &str) -> Client<TcpStream> {
    Client::login(address, user)
}

#[test]
fn a_resume_that_fails_before_a_login_is_no_failure() {
    let mut config = config();
    config.trusted_proxies = vec!["127.0.0.1".parse().expect("an address")];
    let server = TestServer::start(config);
    // A class whose server was restarted: all resume in vain, then log in, from one address.
    for number in 0..3 * RATE_FAILED_LOGIN.calls {
        let mut stream = connect_tcp(server.address());
        let request = UPGRADE.replace("\r\n\r\n", "\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("a request");
        let head = read_head(&mut stream);
        assert!(head.starts_with("HTTP/1.1 101"), "{number}: {head}");
        let mut client = Client::over(stream);
        client.send_message(client_message::Kind::Resume(bogus_resume(1)));
        assert!(matches!(client.next(), Seen::Message(Kind::Refused(_))));
        client.log_in(&format!("user-{number}"));
    }
}

#[test]
fn a_closing_connection_that_goes_on_sending_is_dropped() {
    let server = shared();
    let mut client = Client::login(server.address(), "alice");
    let nothing = masked(Opcode::Binary, b"");
    let malformed = masked(Opcode::Text, b"no frame");
    client.stream.write_all(&malformed).expect("it is sent");
    let began = Instant::now();
    let bytes = nothing.repeat(10_000);
    // Far more than may have been on its way.
    while client.stream.write_all(&bytes).is_ok() {
        assert!(began.elapsed() < PATIENCE, "it is read for ever");
    }
}
