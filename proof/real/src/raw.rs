//! A client without an SDK: it says what it is told to and reads nothing unless it is asked to.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tidings_wire::frame::{decode_server, encode_client};
use tidings_wire::proto::{
    ClientFrame, ClientMessage, Login, Request, client_message, request, server_message,
};
use tidings_wire::ws::{self, Decoder, Event, Opcode, Role};

use crate::Failure;
use crate::program::APP;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// One connection without an SDK.
#[derive(Debug)]
pub struct RawClient {
    stream: TcpStream,
    decoder: Decoder,
    cseq: u64,
}

impl RawClient {
    /// Opens a WebSocket.
    ///
    /// # Errors
    /// [`Failure`] when the server does not let it in.
    pub fn open(address: SocketAddr) -> Result<Self, Failure> {
        Self::open_from(Ipv4Addr::LOCALHOST, address)
    }

    /// The same from another address of this machine, 127.0.0.0/8.
    ///
    /// # Errors
    /// As [`RawClient::open`].
    pub fn open_from(source: Ipv4Addr, address: SocketAddr) -> Result<Self, Failure> {
        let failed = |what: &'static str| Failure::of(what);
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None);
        let socket = socket.map_err(failed("no socket"))?;
        let source = SocketAddr::from((source, 0));
        (socket.bind(&source.into())).map_err(failed("no such address"))?;
        (socket.connect(&address.into())).map_err(failed("no connection"))?;
        let mut stream = TcpStream::from(socket);
        let patience = Some(PATIENCE);
        (stream.set_read_timeout(patience)).map_err(failed("no time limit"))?;
        (stream.set_write_timeout(patience)).map_err(failed("no time limit"))?;
        let head = format!(
            "GET /rtm HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: tidings.v1\r\n\r\n"
        );
        (stream.write_all(head.as_bytes())).map_err(failed("no handshake"))?;
        let mut answer = Vec::new();
        let mut byte = [0];
        while !answer.ends_with(b"\r\n\r\n") {
            (stream.read_exact(&mut byte)).map_err(failed("no answer to the handshake"))?;
            answer.push(byte[0]);
        }
        if !answer.starts_with(b"HTTP/1.1 101") {
            let text = String::from_utf8_lossy(&answer);
            return Err(Failure::new(format!("the handshake is refused: {text}")));
        }
        let limits = ws::Limits {
            message_bytes_max: 1 << 20,
            fragments_max: 64,
        };
        Ok(Self {
            stream,
            decoder: Decoder::new(Role::Client, limits),
            cseq: 0,
        })
    }

    /// Begins a message of so many bytes and leaves out its last one.
    ///
    /// # Errors
    /// [`Failure`] when the connection is over.
    pub fn begin_message(&mut self, bytes: u16) -> Result<(), Failure> {
        // Final and binary; masked, with a length of two bytes; a mask of zeros.
        let mut frame = vec![0x82, 0x80 | 126];
        frame.extend(bytes.to_be_bytes());
        frame.extend([0; 4]);
        frame.resize(frame.len() + usize::from(bytes) - 1, 0);
        (self.stream.write_all(&frame)).map_err(Failure::of("the connection is over"))
    }

    /// Opens a WebSocket and logs in; returns the server's answer too.
    ///
    /// # Errors
    /// [`Failure`] when there is no answer.
    pub fn log_in(
        address: SocketAddr,
        user: &str,
    ) -> Result<(Self, server_message::Kind), Failure> {
        let mut client = Self::open(address)?;
        let login = Login {
            app_id: APP.into(),
            user_id: user.into(),
            token: String::new(),
            client: "raw".into(),
            ..Login::default()
        };
        client.say(vec![client_message::Kind::Login(login)])?;
        let answer = client.hear()?;
        Ok((client, answer))
    }

    /// Makes requests, in one frame.
    ///
    /// # Errors
    /// [`Failure`] when they cannot be sent: the server has closed the connection, or reads
    /// nothing.
    pub fn request(&mut self, calls: Vec<request::Call>) -> Result<(), Failure> {
        let numbered = calls.into_iter().map(|call| {
            self.cseq += 1;
            client_message::Kind::Request(Request {
                cseq: self.cseq,
                call: Some(call),
            })
        });
        let kinds = numbered.collect();
        self.say(kinds)
    }

    fn say(&mut self, kinds: Vec<client_message::Kind>) -> Result<(), Failure> {
        let messages = kinds.into_iter();
        let frame = ClientFrame {
            messages: messages
                .map(|kind| ClientMessage { kind: Some(kind) })
                .collect(),
            confirm: 0,
        };
        let payload = encode_client(&frame);
        let mut bytes = Vec::with_capacity(payload.len() + 14);
        ws::encode_frame(&mut bytes, Opcode::Binary, &payload, Some([1, 2, 3, 4]));
        let written = self.stream.write_all(&bytes);
        written.map_err(Failure::of("the server takes nothing"))
    }

    /// Waits for the next message.
    ///
    /// # Errors
    /// [`Failure`] when none comes, or the connection is closed.
    pub fn hear(&mut self) -> Result<server_message::Kind, Failure> {
        let mut buffer = [0; 4_096];
        loop {
            let count = (self.stream.read(&mut buffer)).map_err(Failure::of("no answer"))?;
            if count == 0 {
                return Err(Failure::new("the connection is closed".to_owned()));
            }
            let mut events = self.decoder.decode(&mut buffer[..count]);
            while let Ok(Some(event)) = events.next_event() {
                let Event::Message { payload, .. } = event else {
                    continue;
                };
                let frame = decode_server(payload);
                let frame = frame.map_err(|error| Failure::new(format!("no frame: {error}")))?;
                let kind = frame.messages.into_iter().find_map(|message| message.kind);
                if let Some(kind) = kind {
                    return Ok(kind);
                }
            }
        }
    }
}
