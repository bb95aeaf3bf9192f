//! A scripted legacy client: raw text frames over a real socket.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidings_wire::ws::{Decoder, Event, Limits, Opcode, Role, encode_frame};

use crate::common::{APP, PATIENCE, connect_tcp, hub_of, read_head};

/// What the server says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Heard {
    Frame(Value),
    Closed(Option<u16>, String),
    Ended,
}

/// An account's connection.
pub(crate) struct Legacy {
    stream: TcpStream,
    /// The hub that took the connection.
    pub(crate) hub: u16,
    decoder: Decoder,
    heard: VecDeque<Heard>,
    calls: u64,
    pub(crate) line: String,
    /// The library's word for itself.
    device: &'static str,
}

impl Legacy {
    pub(crate) fn open(address: SocketAddr, path: &str) -> Self {
        let mut stream = connect_tcp(address);
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("sent");
        let head = read_head(&mut stream);
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let limits = Limits {
            message_bytes_max: 1 << 20,
            fragments_max: 1,
        };
        Self {
            stream,
            hub: hub_of(&head),
            decoder: Decoder::new(Role::Client, limits),
            heard: VecDeque::new(),
            calls: 0,
            line: String::new(),
            device: "websdk",
        }
    }

    /// As the Python package does it: at the root, for it knows no path.
    pub(crate) fn python(address: SocketAddr, account: &str) -> Self {
        let mut client = Self::open(address, "/");
        client.device = "javasdk";
        client.logged_in(account)
    }

    pub(crate) fn login(address: SocketAddr, account: &str) -> Self {
        Self::open(address, &format!("/legacy/{APP}")).logged_in(account)
    }

    /// Logs in on an open connection.
    pub(crate) fn logged_in(self, account: &str) -> Self {
        let mut client = self;
        let body = client.log_in(&json!(account), "_no_need_token");
        assert_eq!(body["result"], "ok", "{body}");
        client.line = body["line"].as_str().expect("a line").into();
        client
    }

    /// Logs in and says that it is a build from 1.3.2 on; polls once.
    pub(crate) fn modern(address: SocketAddr, account: &str) -> (Self, Value) {
        let mut client = Self::login(address, account);
        client.say(&json!(["set_flag", {"binary": 1}]));
        let answer = client.poll(0);
        (client, answer)
    }

    pub(crate) fn log_in(&mut self, account: &Value, token: &str) -> Value {
        self.say(&json!(["login", {
            "vid": APP, "account": account, "uid": 0, "token": token, "device": self.device,
            "ip": ""
        }]));
        let frame = self.frame();
        assert_eq!(frame[0], "login_ret", "{frame}");
        body(&frame[1][1])
    }

    pub(crate) fn say(&mut self, frame: &Value) {
        self.say_text(&frame.to_string());
    }

    pub(crate) fn say_text(&mut self, text: &str) {
        self.say_bytes(Opcode::Text, text.as_bytes());
    }

    pub(crate) fn say_bytes(&mut self, opcode: Opcode, content: &[u8]) {
        let mut bytes = Vec::new();
        encode_frame(&mut bytes, opcode, content, Some([1, 2, 3, 4]));
        self.stream.write_all(&bytes).expect("sent");
    }

    /// Sends a call and gives its number.
    pub(crate) fn start(&mut self, function: &str, mut args: Value) -> u64 {
        self.calls += 1;
        args["line"] = json!(self.line);
        self.say(&json!(["call2", [function, self.calls, args]]));
        self.calls
    }

    /// Sends a call and waits for its answer; what comes before stays to be heard.
    pub(crate) fn call(&mut self, function: &str, args: Value) -> Value {
        let id = self.start(function, args);
        self.answer(id)
    }

    pub(crate) fn answer(&mut self, id: u64) -> Value {
        let mut before = VecDeque::new();
        loop {
            match self.next() {
                Heard::Frame(frame) if frame[0] == "call2-ret" && frame[1][0] == json!(id) => {
                    before.append(&mut self.heard);
                    self.heard = before;
                    return body(&frame[1][2]);
                }
                Heard::Frame(frame) => before.push_back(Heard::Frame(frame)),
                other => panic!("no answer but {other:?}"),
            }
        }
    }

    pub(crate) fn poll(&mut self, clear: u64) -> Value {
        self.call("user_getmsg", json!({"ver_clear": clear, "max": 30}))
    }

    pub(crate) fn send(&mut self, peer: &str, text: &str) -> Value {
        let args = json!({"peer": peer, "flag": "v1:E:3600", "t": "instant", "content": text});
        self.call("user_sendmsg", args)
    }

    pub(crate) fn next(&mut self) -> Heard {
        self.next_within(PATIENCE)
            .expect("the server says something")
    }

    pub(crate) fn next_within(&mut self, patience: Duration) -> Option<Heard> {
        let until = Instant::now() + patience;
        loop {
            if let Some(heard) = self.heard.pop_front() {
                return Some(heard);
            }
            let left = until.checked_duration_since(Instant::now())?;
            self.stream
                .set_read_timeout(Some(left.max(Duration::from_millis(1))))
                .expect("a timeout");
            let mut buffer = [0; 16_384];
            let count = match self.stream.read(&mut buffer) {
                Ok(0) => return Some(Heard::Ended),
                Ok(count) => count,
                Err(error) if crate::common::is_end(error.kind()) => return Some(Heard::Ended),
                Err(_) => continue,
            };
            let mut events = self.decoder.decode(&mut buffer[..count]);
            while let Some(event) = events.next_event().expect("WebSocket") {
                match event {
                    Event::Message { payload, .. } => {
                        let frame = serde_json::from_slice(payload).expect("JSON");
                        self.heard.push_back(Heard::Frame(frame));
                    }
                    Event::Close { code, reason } => {
                        self.heard.push_back(Heard::Closed(code, reason.into()));
                    }
                    Event::Ping(_) | Event::Pong(_) => {}
                }
            }
        }
    }

    pub(crate) fn frame(&mut self) -> Value {
        match self.next() {
            Heard::Frame(frame) => frame,
            other => panic!("no frame but {other:?}"),
        }
    }

    /// The next pushed message: its version, and its line taken apart.
    pub(crate) fn pushed(&mut self) -> (u64, Line) {
        let frame = self.frame();
        assert_eq!(frame[0], "notify", "{frame}");
        let text = frame[1]
            .as_str()
            .unwrap_or_else(|| panic!("no queue message: {frame}"));
        let item = text.strip_prefix("notify recvmsg ").expect("recvmsg");
        let item: Value = serde_json::from_str(item).expect("JSON");
        (item[0].as_u64().expect("a version"), Line::read(&item[1]))
    }

    /// The next event of the channel: its number, its kind and what it says.
    pub(crate) fn event(&mut self) -> (u64, String, Value) {
        let frame = self.frame();
        assert_eq!(
            (&frame[0], &frame[1][0]),
            (&json!("notify"), &json!("channel2")),
            "{frame}"
        );
        let line = Line::read(&frame[1][3]);
        (
            frame[1][2].as_u64().expect("a number"),
            line.kind,
            body(&json!(line.content)),
        )
    }

    /// Ends TCP without a word; what has come is not read any more.
    pub(crate) fn cut_now(&self) {
        // A connection that the server has ended already is cut, too.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }

    /// Closes TCP without a word.
    pub(crate) fn cut(self) {
        drop(self);
    }
}

/// A line of the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) id: Option<String>,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) flag: String,
    pub(crate) kind: String,
    pub(crate) content: String,
}

impl Line {
    pub(crate) fn read(line: &Value) -> Self {
        let line = line.as_str().expect("a line is a text");
        let (head, rest) = line.split_once(' ').expect("fields");
        let (id, rest) = match head {
            "msg-v2" => (None, rest),
            "msg-v3" => {
                let (id, rest) = rest.split_once(' ').expect("an id");
                (Some(id.to_owned()), rest)
            }
            other => panic!("a line of form {other}"),
        };
        let parts: Vec<&str> = rest.splitn(6, ' ').collect();
        let [from, to, flag, kind, _time, content] = parts[..] else {
            panic!("fields are missing in {line}");
        };
        Self {
            id,
            from: from.into(),
            to: to.into(),
            flag: flag.into(),
            kind: kind.into(),
            content: content.into(),
        }
    }
}

/// JSON text as JSON.
pub(crate) fn body(text: &Value) -> Value {
    serde_json::from_str(text.as_str().expect("a text")).expect("JSON text")
}
