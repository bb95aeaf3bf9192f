//! A small blocking client, and a server in this process.

#![allow(dead_code, reason = "each test file uses its part")]

mod answer;
pub(crate) mod nats_program;
pub(crate) mod nats_servers;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

#[allow(unused_imports, reason = "each test file uses its part")]
pub(crate) use answer::Answer;
use tidings_api::admin::{BanRecord, Privilege};
use tidings_hub::Apps;
use tidings_server::{AppId, DiskReserve, RunningServer, Server, ServerConfig};
use tidings_wire::frame::{decode_server, encode_client, is_numbered};
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{
    ClientFrame, ClientMessage, Login, Reply, Request, Resume, Welcome, client_message, request,
};
use tidings_wire::ws::{Decoder, Event, Limits, Opcode, Role, encode_close, encode_frame};

pub(crate) const APP: &str = "0123456789abcdef0123456789abcdef";

pub(crate) fn app_id(id: &str) -> AppId {
    AppId::parse(id).expect("an app id")
}

/// Long enough for a slow machine; nothing waits for it unless it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Looks again and again until something holds of which nothing tells, such as a file that goes.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "not in {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A login to an app without a token, as a whole masked frame.
pub(crate) fn login_frame(app: &str, user: &str) -> Vec<u8> {
    let login = Login {
        app_id: app.into(),
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
    let mut frame = Vec::new();
    encode_frame(&mut frame, Opcode::Binary, &payload, Some([9, 8, 7, 6]));
    frame
}

pub(crate) fn config() -> ServerConfig {
    let mut config = ServerConfig::new("127.0.0.1:0".parse().expect("an address"));
    config.hubs = 2;
    config.names_hubs = true;
    // How full this machine's disk is says nothing about the server.
    config.disk_reserve = DiskReserve::Bytes(0);
    config.apps = Apps {
        accept_any: true,
        ..Apps::default()
    };
    config
}

pub(crate) fn start() -> TestServer {
    TestServer::start(config())
}

/// Ends with its test.
pub(crate) struct TestServer(Option<RunningServer>);

impl TestServer {
    pub(crate) fn start(config: ServerConfig) -> Self {
        Self(Some(Server::start(config).expect("the server starts")))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.running().local_addr()
    }

    pub(crate) fn running(&self) -> &RunningServer {
        self.0.as_ref().expect("it runs")
    }

    /// Bars logins to [`APP`], by a user or from addresses, as the API does. Returns the rule's id.
    pub(crate) fn bar(&self, user: Option<&str>, address: Option<&str>) -> u64 {
        let rule = BanRecord {
            id: 0,
            user: user.map(str::to_owned),
            is_number: false,
            channel: None,
            address: address.map(str::to_owned),
            privileges: vec![Privilege::Login],
            note: String::new(),
            by: String::new(),
            made_ms: 0,
            changed_ms: 0,
            until_ms: None,
        };
        let handle = self.running().handle();
        let rule = handle.office().bans.add(&app_id(APP), rule, 0);
        handle.apply_bans();
        rule.expect("a store").id
    }

    /// Takes a rule back.
    pub(crate) fn lift(&self, rule: u64) {
        let handle = self.running().handle();
        let lifted = handle.office().bans.remove(&app_id(APP), rule, 0);
        lifted.expect("it was there");
        handle.apply_bans();
    }

    pub(crate) fn end(mut self) {
        self.finish();
    }

    fn finish(&mut self) {
        if let Some(running) = self.0.take() {
            running.drain();
            running.join();
        }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.finish();
    }
}

/// What a client sees.
#[allow(clippy::large_enum_variant, reason = "few are ever held at once")]
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Seen {
    Message(Kind),
    Pong(Vec<u8>),
    Closed {
        code: Option<u16>,
        reason: String,
    },
    /// TCP ended without a close frame.
    Ended,
}

/// A WebSocket client over any stream.
pub(crate) struct Client<S> {
    pub(crate) stream: S,
    /// The hub that took the connection, if its handshake was this client's.
    pub(crate) hub: Option<u16>,
    decoder: Decoder,
    seen: std::collections::VecDeque<Seen>,
    cseq: u64,
    /// Numbered messages seen on this connection.
    numbered: u64,
}

pub(crate) fn connect_tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_nodelay(true).expect("no delay");
    stream
}

pub(crate) const UPGRADE: &str = "GET /rtm HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Protocol: tidings.v1\r\n\r\n";

impl Client<TcpStream> {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Client::upgrade(connect_tcp(address))
    }

    pub(crate) fn login(address: SocketAddr, user: &str) -> Self {
        let mut client = Client::connect(address);
        client.log_in(user);
        client
    }
}

impl<S: Read + Write> Client<S> {
    pub(crate) fn upgrade(mut stream: S) -> Self {
        stream
            .write_all(UPGRADE.as_bytes())
            .expect("the request is sent");
        let head = read_head(&mut stream);
        assert!(
            head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"),
            "{head}"
        );
        assert!(
            head.contains("Sec-WebSocket-Protocol: tidings.v1\r\n"),
            "{head}"
        );
        assert!(
            head.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
            "{head}"
        );
        Self {
            hub: Some(hub_of(&head)),
            ..Self::over(stream)
        }
    }

    /// A client whose handshake is done.
    pub(crate) fn over(stream: S) -> Self {
        let limits = Limits {
            message_bytes_max: 1 << 20,
            fragments_max: 1,
        };
        let decoder = Decoder::new(Role::Client, limits);
        Self {
            stream,
            hub: None,
            decoder,
            seen: Default::default(),
            cseq: 0,
            numbered: 0,
        }
    }

    /// Logs in and gives what the server says to that.
    pub(crate) fn log_in(&mut self, user: &str) -> Welcome {
        let login = Login {
            app_id: APP.into(),
            user_id: user.into(),
            ..Login::default()
        };
        self.send_message(client_message::Kind::Login(login));
        self.welcomed()
    }

    /// Asks to go on with a session, of which the client has had so many numbered messages.
    pub(crate) fn ask_to_resume(&mut self, user: &str, welcome: &Welcome, confirm: u64) {
        self.send_message(client_message::Kind::Resume(Resume {
            app_id: APP.into(),
            user_id: user.into(),
            session_id: welcome.session_id.clone(),
            secret: welcome.secret.clone(),
            confirm,
            token: String::new(),
        }));
    }

    pub(crate) fn welcomed(&mut self) -> Welcome {
        match self.next() {
            Seen::Message(Kind::Welcome(welcome)) => welcome,
            other => panic!("no welcome but {other:?}"),
        }
    }

    pub(crate) fn send_message(&mut self, kind: client_message::Kind) {
        let messages = vec![ClientMessage { kind: Some(kind) }];
        self.send_frame(&ClientFrame {
            messages,
            confirm: 0,
        });
    }

    pub(crate) fn send_frame(&mut self, frame: &ClientFrame) {
        self.send(Opcode::Binary, &encode_client(frame));
    }

    /// How many numbered messages have been seen on this connection.
    pub(crate) fn numbered(&self) -> u64 {
        self.numbered
    }

    pub(crate) fn confirm(&mut self, confirm: u64) {
        self.send_frame(&ClientFrame {
            messages: Vec::new(),
            confirm,
        });
    }

    /// Confirms what has been seen, of a session that has had one connection.
    pub(crate) fn confirm_all(&mut self) {
        self.confirm(self.numbered);
    }

    /// Sends a call and gives its number.
    pub(crate) fn call(&mut self, call: request::Call) -> u64 {
        self.cseq += 1;
        let request = Request {
            cseq: self.cseq,
            call: Some(call),
        };
        self.send_message(client_message::Kind::Request(request));
        self.cseq
    }

    /// Waits for the reply to a call; what comes before it is dropped.
    pub(crate) fn reply(&mut self, cseq: u64) -> Reply {
        loop {
            match self.next() {
                Seen::Message(Kind::Reply(reply)) if reply.cseq == cseq => return reply,
                Seen::Message(_) => {}
                other => panic!("no reply but {other:?}"),
            }
        }
    }

    pub(crate) fn send(&mut self, opcode: Opcode, payload: &[u8]) {
        let mut bytes = Vec::new();
        encode_frame(&mut bytes, opcode, payload, Some([1, 2, 3, 4]));
        self.stream.write_all(&bytes).expect("the frame is sent");
    }

    pub(crate) fn send_close(&mut self, code: u16) {
        let frame = encode_close(code, "", Some([1, 2, 3, 4]));
        self.stream.write_all(&frame).expect("the close is sent");
    }

    pub(crate) fn next(&mut self) -> Seen {
        loop {
            if let Some(seen) = self.seen.pop_front() {
                if let Seen::Message(kind) = &seen
                    && is_numbered(kind)
                {
                    self.numbered += 1;
                }
                return seen;
            }
            let mut buffer = [0; 4096];
            let count = match self.stream.read(&mut buffer) {
                Ok(0) => return Seen::Ended,
                Err(error) if is_end(error.kind()) => return Seen::Ended,
                other => other.expect("the server says something in time"),
            };
            let mut events = self.decoder.decode(&mut buffer[..count]);
            while let Some(event) = events.next_event().expect("the server speaks WebSocket") {
                match event {
                    Event::Message { payload, .. } => {
                        let frame = decode_server(payload).expect("the server sends frames");
                        let kinds = frame
                            .messages
                            .into_iter()
                            .filter_map(|message| message.kind);
                        self.seen.extend(kinds.map(Seen::Message));
                    }
                    Event::Pong(payload) => self.seen.push_back(Seen::Pong(payload.to_vec())),
                    Event::Ping(_) => {}
                    Event::Close { code, reason } => {
                        self.seen.push_back(Seen::Closed {
                            code,
                            reason: reason.into(),
                        });
                    }
                }
            }
        }
    }

    /// Waits for the close frame, dropping what comes before.
    pub(crate) fn closed(&mut self) -> (Option<u16>, String) {
        loop {
            match self.next() {
                Seen::Closed { code, reason } => return (code, reason),
                Seen::Ended => panic!("the connection ended without a close frame"),
                _ => {}
            }
        }
    }
}

pub(crate) fn is_end(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::UnexpectedEof
    )
}

/// The hub that the answer to a handshake names.
pub(crate) fn hub_of(head: &str) -> u16 {
    let named = head
        .lines()
        .find_map(|line| line.strip_prefix("Tidings-Hub: "));
    named
        .and_then(|hub| hub.parse().ok())
        .unwrap_or_else(|| panic!("no hub in {head}"))
}

/// Reads up to the end of an HTTP head, byte by byte so that nothing behind it is swallowed.
pub(crate) fn read_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        let count = stream.read(&mut byte).expect("the server answers");
        assert!(count > 0, "ended in {:?}", String::from_utf8_lossy(&head));
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("a head is text")
}

/// Sends a request and reads the answer to its end.
pub(crate) fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = connect_tcp(address);
    stream
        .write_all(request.as_bytes())
        .expect("the request is sent");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .expect("the server answers and closes");
    answer
}

pub(crate) fn get(address: SocketAddr, path: &str) -> String {
    exchange(
        address,
        &format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"),
    )
}
