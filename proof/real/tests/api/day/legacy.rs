//! A user with the legacy protocol: text frames over a WebSocket.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};
use tidings_wire::ws::{Decoder, Event, Limits, Opcode, Role, encode_frame};

const PATIENCE: Duration = Duration::from_secs(20);

/// A connection that is logged in.
pub(crate) struct Legacy {
    stream: TcpStream,
    decoder: Decoder,
    heard: VecDeque<Value>,
    calls: u64,
    line: Value,
}

impl Legacy {
    pub(crate) fn login(address: SocketAddr, app: &str, account: &str) -> Self {
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        let head = format!(
            "GET /legacy/{app} HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("sent");
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("an answer");
            answer.push(byte[0]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 101 "), "{answer:?}");
        let limits = Limits {
            message_bytes_max: 1 << 20,
            fragments_max: 1,
        };
        let mut client = Self {
            stream,
            decoder: Decoder::new(Role::Client, limits),
            heard: VecDeque::new(),
            calls: 0,
            line: Value::Null,
        };
        let login = json!(["login", {
            "vid": app, "account": account, "uid": 0, "token": "_no_need_token",
            "device": "websdk", "ip": ""
        }]);
        client.say(&login);
        let frame = client.next();
        let told = read(&frame[1][1]);
        assert_eq!(
            (&frame[0], &told["result"]),
            (&json!("login_ret"), &json!("ok"))
        );
        client.line = told["line"].clone();
        client.call("user_getmsg", json!({ "ver_clear": 0, "max": 30 }));
        client
    }

    fn say(&mut self, frame: &Value) {
        let mut bytes = Vec::new();
        let text = frame.to_string();
        encode_frame(
            &mut bytes,
            Opcode::Text,
            text.as_bytes(),
            Some([1, 2, 3, 4]),
        );
        self.stream.write_all(&bytes).expect("sent");
    }

    /// Makes a call that must succeed; what comes before the answer stays to be heard.
    pub(crate) fn call(&mut self, function: &str, mut args: Value) {
        self.calls += 1;
        args["line"] = self.line.clone();
        self.say(&json!(["call2", [function, self.calls, args]]));
        let mut before = VecDeque::new();
        loop {
            let frame = self.next();
            if frame[0] == "call2-ret" && frame[1][0] == self.calls {
                let told = read(&frame[1][2]);
                assert_eq!(told["result"], "ok", "{function}: {told}");
                before.append(&mut self.heard);
                self.heard = before;
                return;
            }
            before.push_back(frame);
        }
    }

    fn next(&mut self) -> Value {
        loop {
            if let Some(frame) = self.heard.pop_front() {
                return frame;
            }
            let mut buffer = [0; 16_384];
            let count = self.stream.read(&mut buffer).expect("the server speaks");
            assert!(count > 0, "the server has closed");
            let mut events = self.decoder.decode(&mut buffer[..count]);
            while let Some(event) = events.next_event().expect("WebSocket") {
                if let Event::Message { payload, .. } = event {
                    let frame = serde_json::from_slice(payload).expect("JSON");
                    self.heard.push_back(frame);
                }
            }
        }
    }

    /// Hears so many messages, of users and of channels: how many there were of each.
    pub(crate) fn hears(&mut self, peer: u64, channel: u64) -> (u64, u64) {
        let mut heard = (0, 0);
        while heard.0 < peer || heard.1 < channel {
            let frame = self.next();
            let text = frame.to_string();
            if text.contains("notify recvmsg") {
                heard.0 += 1;
            } else if frame[1][0] == "channel2" && text.contains(" channel_msg ") {
                heard.1 += 1;
            }
        }
        heard
    }
}

/// JSON text as JSON.
fn read(text: &Value) -> Value {
    serde_json::from_str(text.as_str().expect("a text")).expect("JSON text")
}
