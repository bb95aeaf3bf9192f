//! Nobody's traffic is anybody else's trouble, by counts of work and outcomes: what the server
//! takes of a flood, whom it sends away, and who gets in meanwhile. Times are in
//! docs/proven/fairness.md, which `cargo xtask fairness` makes.

mod common;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use common::{APP, PATIENCE, TestServer, UPGRADE, config, connect_tcp, is_end, read_head};
use tidings_hub::App;
use tidings_server::ServerConfig;
use tidings_wire::codes::{CloseCode, Outcome};
use tidings_wire::frame::encode_client;
use tidings_wire::limits::{
    FRAME_MESSAGES_MAX, PREAUTH_LEGACY_FRAMES_MAX, RATE_CONNECTION_MESSAGE, RATE_LIMITED_WAIT_MS,
    RATE_MESSAGE,
};
use tidings_wire::names::AppId;
use tidings_wire::proto::message::Body;
use tidings_wire::proto::request::Call;
use tidings_wire::proto::{
    ClientFrame, ClientMessage, Leave, Login, Logout, Message, Reply, Request, Resume, SendToPeer,
    client_message, reply, server_message,
};
use tidings_wire::ws::{
    Decoder, Event, Limits, Opcode, Role, encode_frame, encode_ping, encode_pong,
};

/// A mask that changes nothing: frames can be written down as they are.
const MASK: Option<[u8; 4]> = Some([0; 4]);

/// An app that shares the hub.
const OTHER_APP: &str = "b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0";

/// One hub with two apps, behind a proxy that states its clients' addresses: those of this machine
/// have no limits of their own.
fn proxied() -> ServerConfig {
    let mut config = config();
    config.hubs = 1;
    for app in [APP, OTHER_APP] {
        let id = AppId::parse(app).expect("an app id");
        config.apps.listed.insert(id, App::default());
    }
    config.trusted_proxies = vec!["127.0.0.1".parse().expect("an address")];
    config
}

/// The request of a client at this address; the native path has a sub-protocol, the legacy ones
/// have none.
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
    if head.starts_with("HTTP/1.1 101 ") {
        Ok(stream)
    } else {
        Err(head.lines().next().unwrap_or_default().to_owned())
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
    log_in_to(APP, address, user, from)
}

fn log_in_to(app: &str, address: SocketAddr, user: &str, from: &str) -> TcpStream {
    let mut stream =
        open(address, "/rtm", from).unwrap_or_else(|status| panic!("{user}: {status}"));
    let login = common::login_frame(app, user);
    stream.write_all(&login).expect("a login");
    let mut client = common::Client::over(stream);
    client.welcomed();
    client.stream
}

/// A stranger may say a few things; whoever goes on is sent away, whatever it is and at whichever
/// door.
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

/// What a stranger is told at most before it is sent away: an answer to each of its messages, and
/// why it goes.
const ANSWERS_MAX: usize = PREAUTH_LEGACY_FRAMES_MAX + 2;

/// The oldest of the strangers goes when there are too many, so that whoever has something to say
/// gets in.
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

/// What a user may say in vain, at both doors; each is one message.
fn idle_talk() -> Vec<(&'static str, Door, Vec<u8>)> {
    let request = |call| {
        let request = Request { cseq: 1, call };
        message(client_message::Kind::Request(request))
    };
    let leave = Leave {
        channel: "nowhere".into(),
    };
    let fragments = {
        // `Ping` in three pieces, of which one is empty.
        let mut frame = vec![0x02, 0x82, 0, 0, 0, 0, 0x0a, 2];
        frame.extend([0x00, 0x80, 0, 0, 0, 0]);
        frame.extend([0x80, 0x82, 0, 0, 0, 0, 0x2a, 0]);
        frame
    };
    vec![
        ("pings", Door::Native, binary(&[0x0a, 2, 0x2a, 0])),
        ("pongs", Door::Native, binary(&[0x0a, 2, 0x1a, 0])),
        ("empty frames", Door::Native, binary(&[])),
        ("confirmations", Door::Native, binary(&[0x10, 0])),
        ("fragments", Door::Native, fragments),
        ("calls nobody knows", Door::Native, request(None)),
        ("repeats", Door::Native, request(Some(Call::Leave(leave)))),
        (
            "pings of WebSocket",
            Door::Native,
            encode_ping(b"", MASK).to_vec(),
        ),
        (
            "pongs of WebSocket",
            Door::Native,
            encode_pong(b"", MASK).to_vec(),
        ),
        ("legacy pings", Door::Legacy, text("[\"ping\",1]")),
        (
            "legacy calls on no line",
            Door::Legacy,
            text("[\"call2\",[\"x\",1,{}]]"),
        ),
        (
            "legacy frames that nobody knows",
            Door::Legacy,
            text("[\"x\",{}]"),
        ),
        (
            "pongs at the legacy door",
            Door::Legacy,
            encode_pong(b"", MASK).to_vec(),
        ),
    ]
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Door {
    Native,
    Legacy,
}

fn message(kind: client_message::Kind) -> Vec<u8> {
    let messages = vec![ClientMessage { kind: Some(kind) }];
    binary(&encode_client(&ClientFrame {
        messages,
        confirm: 0,
    }))
}

/// Logs in at a door.
fn enter(address: SocketAddr, door: Door, user: &str, from: &str) -> TcpStream {
    if door == Door::Native {
        return log_in(address, user, from);
    }
    let mut stream = open(address, &format!("/legacy/{APP}"), from).expect(user);
    let login = format!(
        "[\"login\",{{\"vid\":\"{APP}\",\"account\":\"{user}\",\"uid\":0,\"token\":\"_no_need_token\",\
         \"device\":\"websdk\",\"ip\":\"\"}}]"
    );
    stream.write_all(&text(&login)).expect("a login");
    let mut answer = Vec::new();
    while !answer.windows(9).any(|part| part == b"login_ret") {
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece).expect("an answer");
        assert!(count > 0, "{user} is not let in");
        answer.extend_from_slice(&piece[..count]);
    }
    stream
}

/// How many WebSocket frames there are: a message may come in many, and each counts.
fn frames_in(bytes: &[u8]) -> usize {
    let limits = tidings_wire::ws::Limits {
        message_bytes_max: 1 << 16,
        fragments_max: 64,
    };
    let mut decoder = tidings_wire::ws::Decoder::new(tidings_wire::ws::Role::Server, limits);
    let mut bytes = bytes.to_vec();
    let mut events = decoder.decode(&mut bytes);
    while let Ok(Some(_)) = events.next_event() {}
    events.frames().max(1)
}

/// Whatever a client says counts against what its connection may say. The last of more than that
/// waits for its turn, on a machine of any speed.
#[test]
fn whatever_a_user_says_counts() {
    let server = TestServer::start(proxied());
    let address = server.address();
    // Whoever is alone may do more at once.
    let _other = log_in_to(OTHER_APP, address, "bystander", "203.0.113.1");
    let rate = RATE_CONNECTION_MESSAGE;
    let count = rate.calls as usize * 2;
    let kinds = (0..).zip(idle_talk());
    let kinds = kinds.map(|(n, (what, door, frame))| {
        std::thread::spawn(move || {
            let from = format!("192.0.2.{}", n + 1);
            let mut stream = enter(address, door, &format!("talker{n}"), &from);
            let mut hearing = stream.try_clone().expect("a second handle");
            let began = Instant::now();
            let count = count / frames_in(&frame);
            let talk = std::thread::spawn(move || {
                flood(&mut stream, &frame, count);
                let last = encode_ping(b"the last", MASK);
                let _ = stream.write_all(&last);
                stream
            });
            let heard = wait_for(&mut hearing, b"the last");
            drop(talk.join());
            (what, heard, began.elapsed())
        })
    });
    let kinds: Vec<_> = kinds.collect();
    // What is over the burst comes at the rate, but for what is taken at once and paid for
    // afterwards.
    let least = Duration::from_millis(u64::from(rate.window_ms) * 3 / 4);
    for kind in kinds {
        let (what, heard, took) = kind.join().expect("it does not panic");
        assert!(heard, "{what}: sent away for less than the bound");
        assert!(took > least, "{what}: {took:?}");
    }
}

/// Reads until something is there; false when the connection ends before.
fn wait_for(stream: &mut TcpStream, wanted: &[u8]) -> bool {
    let mut tail = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return false,
            Ok(count) => tail.extend_from_slice(&buffer[..count]),
        }
        if tail.windows(wanted.len()).any(|part| part == wanted) {
            return true;
        }
        let keep = tail.len().saturating_sub(wanted.len());
        tail.drain(..keep);
    }
}

/// A bucket is its user's: neither a logout nor a login over a login fills it.
#[test]
fn logging_in_anew_fills_no_bucket() {
    let server = TestServer::start(proxied());
    for leaves in [true, false] {
        let user = format!("looper-{leaves}");
        let began = Instant::now();
        let mut taken = 0;
        let mut kept = None;
        for _ in 0..8 {
            let Some(mut client) = come_in(server.address(), &user) else {
                continue;
            };
            let calls = (0..RATE_MESSAGE.calls).map(|_| {
                client.call(Call::SendToPeer(SendToPeer {
                    peer_id: "nobody".into(),
                    message: Some(Message {
                        body: Some(Body::Text("hello".into())),
                        ..Message::default()
                    }),
                    ..SendToPeer::default()
                }))
            });
            for cseq in calls.collect::<Vec<_>>() {
                taken += u32::from(!is_too_often(&client.reply(cseq)));
            }
            if leaves {
                let cseq = client.call(Call::Logout(Logout {}));
                client.reply(cseq);
            }
            kept = Some(client);
        }
        drop(kept);
        let took_ms = u32::try_from(began.elapsed().as_millis()).expect("seconds");
        let allowed =
            RATE_MESSAGE.calls + RATE_MESSAGE.calls * took_ms / RATE_MESSAGE.window_ms + 1;
        assert!(
            taken <= allowed,
            "{taken} messages in {took_ms} ms, leaves: {leaves}"
        );
    }
}

/// Logs in; `None` = too soon after the last time.
fn come_in(address: SocketAddr, user: &str) -> Option<common::Client<TcpStream>> {
    let stream = open(address, "/rtm", "192.0.2.1").ok()?;
    let mut client = common::Client::over(stream);
    client.send_message(client_message::Kind::Login(Login {
        app_id: APP.into(),
        user_id: user.into(),
        ..Login::default()
    }));
    match client.next() {
        common::Seen::Message(server_message::Kind::Welcome(_)) => Some(client),
        _ => None,
    }
}

fn is_too_often(reply: &Reply) -> bool {
    matches!(&reply.result, Some(reply::Result::Error(error)) if error.outcome == Outcome::TooOften as u32)
}

/// Whoever was sent away for a flood stays away for as long as it was told, by whichever way it
/// comes.
#[test]
fn a_flooder_stays_away_for_its_pause() {
    let server = TestServer::start(proxied());
    let address = server.address();
    let mut flooder =
        common::Client::over(open(address, "/rtm", "192.0.2.1").expect("a connection"));
    let welcome = flooder.log_in("flooder");
    let ping = binary(&[0x0a, 2, 0x2a, 0].repeat(FRAME_MESSAGES_MAX));
    let mut writer = flooder.stream.try_clone().expect("a second handle");
    let flood = std::thread::spawn(move || while writer.write_all(&ping).is_ok() {});
    // What it is told last is when to come back.
    let code = CloseCode::RateLimited as u16;
    let heard = wait_for(&mut flooder.stream, &code.to_be_bytes());
    let sent_away = Instant::now();
    let _ = flooder.stream.shutdown(std::net::Shutdown::Both);
    flood.join().expect("it does not panic");
    assert!(heard, "it was never sent away");
    for way in [
        client_message::Kind::Resume(Resume {
            app_id: APP.into(),
            user_id: "flooder".into(),
            session_id: welcome.session_id.clone(),
            secret: welcome.secret.clone(),
            ..Resume::default()
        }),
        client_message::Kind::Login(Login {
            app_id: APP.into(),
            user_id: "flooder".into(),
            ..Login::default()
        }),
    ] {
        let mut again =
            common::Client::over(open(address, "/rtm", "192.0.2.9").expect("a connection"));
        again.send_message(way);
        let answer = again.next();
        let is_refused = matches!(&answer, common::Seen::Message(server_message::Kind::Refused(refused))
            if refused.error.as_ref().is_some_and(|error| error.retry_after_ms > 0));
        let is_early = sent_away.elapsed() < Duration::from_millis(RATE_LIMITED_WAIT_MS);
        assert!(
            is_refused || !is_early,
            "{answer:?} after {:?}",
            sent_away.elapsed()
        );
    }
}
