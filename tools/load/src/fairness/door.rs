//! A client's connection to the server under attack: its address as a proxy states it, its
//! handshake, its frames.
//!
//! No SDK is used: an attacker sends what no SDK would, and a victim's lost connection must be
//! noticed, not repaired.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use prost::Message as _;
use socket2::SockRef;
use tidings_wire::frame::encode_client;
use tidings_wire::proto::request::Call;
use tidings_wire::proto::server_message::Kind as Tell;
use tidings_wire::proto::{
    self, ClientFrame, ClientMessage, Login, Request, ServerFrame, client_message,
};
use tidings_wire::ws::{Decoder, Event, Kind, Limits, Opcode, Role, encode_frame};
use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf,
};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

/// Longest wait for a handshake or for the answer to a login. Anything slower has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// How much a client that reads nothing leaves to the kernel: as little as a slow remote one would,
/// unlike one on this machine.
const RECEIVE_BYTES: u32 = 8 << 10;

/// Frames of clients are masked; a mask of zeros costs the generator nothing, and the server the
/// same.
pub(crate) const MASK: Option<[u8; 4]> = Some([0; 4]);

/// The app that is attacked from within; it requires no token.
pub(crate) const OPEN_APP: &str = "a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0";

/// The victims' app, with its certificate.
pub(crate) const SAFE_APP: &str = "b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0";
pub(crate) const CERTIFICATE: &str = "00112233445566778899aabbccddeeff";

/// Plain or with TLS.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// A byte stream to the server.
pub(crate) type Stream = Box<dyn Duplex>;

/// Why a connection has ended or could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    /// The handshake was answered with this status.
    Status(u16),
    /// A close frame with this code.
    Closed(u16),
    /// The login was answered with this outcome.
    Refused(u32),
    /// TCP ended or broke without an explanation.
    Broken,
    /// No answer in time.
    Silent,
    /// The server does not support what the attack needs.
    Absent,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "HTTP {status}"),
            Self::Closed(code) => write!(f, "close {code}"),
            Self::Refused(outcome) => write!(f, "outcome {outcome}"),
            Self::Broken => f.write_str("cut"),
            Self::Silent => f.write_str("no answer"),
            Self::Absent => f.write_str("not spoken"),
        }
    }
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Broken
    }
}

/// Where a server listens, and which protocols it uses.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<TlsConnector>,
    /// The same for a client that wants HTTP/2.
    pub(crate) h2: Option<TlsConnector>,
}

impl Door {
    /// Opens TCP and nothing more.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub(crate) async fn tcp(&self) -> Result<TcpStream, End> {
        let tcp = TcpStream::connect(self.address).await?;
        tcp.set_nodelay(true)?;
        // Ports that linger for a minute after their end would run out.
        SockRef::from(&tcp).set_linger(Some(Duration::ZERO))?;
        Ok(tcp)
    }

    /// Opens TCP, and TLS where the server has it.
    ///
    /// # Errors
    /// If one of them cannot be opened in time.
    pub(crate) async fn connect(&self) -> Result<Stream, End> {
        let tcp = self.tcp().await?;
        let Some(connector) = &self.tls else {
            return Ok(Box::new(tcp));
        };
        Ok(Box::new(self.shake_hands(connector, tcp).await?))
    }

    /// The same, with a small receive buffer in the kernel.
    ///
    /// # Errors
    /// As [`Door::connect`].
    pub(crate) async fn connect_narrow(&self) -> Result<Stream, End> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(RECEIVE_BYTES)?;
        let tcp = socket.connect(self.address).await?;
        Ok(match &self.tls {
            None => Box::new(tcp),
            Some(connector) => Box::new(self.shake_hands(connector, tcp).await?),
        })
    }

    async fn shake_hands(
        &self,
        connector: &TlsConnector,
        tcp: TcpStream,
    ) -> Result<TlsStream<TcpStream>, End> {
        let name = ServerName::IpAddress(self.address.ip().into());
        let opened = timeout(PATIENCE, connector.connect(name, tcp)).await;
        Ok(opened.map_err(|_| End::Silent)??)
    }

    /// Opens TLS with a server that supports HTTP/2.
    ///
    /// # Errors
    /// If it cannot be opened, or the server does not support it.
    pub(crate) async fn connect_h2(&self) -> Result<Stream, End> {
        let tcp = self.tcp().await?;
        let connector = self.h2.as_ref().ok_or(End::Absent)?;
        let stream = self.shake_hands(connector, tcp).await?;
        match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Ok(Box::new(stream)),
            _ => Err(End::Absent),
        }
    }

    /// Opens a WebSocket as a client at this address; `None` states none.
    ///
    /// # Errors
    /// If it is refused.
    pub(crate) async fn open(&self, path: &str, from: Option<IpAddr>) -> Result<Socket, End> {
        let mut stream = self.connect().await?;
        stream.write_all(upgrade(path, from).as_bytes()).await?;
        Socket::answered(stream).await
    }

    /// Opens a WebSocket and logs in.
    ///
    /// # Errors
    /// If it is refused.
    pub(crate) async fn log_in(
        &self,
        app: &str,
        user: &str,
        token: &str,
        from: Option<IpAddr>,
    ) -> Result<(Socket, proto::Welcome), End> {
        let mut socket = self.open("/rtm", from).await?;
        let login = Login {
            app_id: app.into(),
            user_id: user.into(),
            token: token.into(),
            client: "fairness".into(),
            ..Login::default()
        };
        let frame = frame_of([client_message::Kind::Login(login)], 0);
        socket.writer.write_all(&frame).await?;
        match socket.tell().await? {
            Tell::Welcome(welcome) => Ok((socket, welcome)),
            Tell::Refused(refused) => Err(End::Refused(refused.error.unwrap_or_default().outcome)),
            _ => Err(End::Broken),
        }
    }
}

/// The request that opens a WebSocket. `/rtm` has a sub-protocol, the legacy paths have none.
pub(crate) fn upgrade(path: &str, from: Option<IpAddr>) -> String {
    let protocol = match path {
        "/rtm" => "Sec-WebSocket-Protocol: tidings.v1\r\n",
        _ => "",
    };
    format!(
        "GET {path} HTTP/1.1\r\nHost: fair\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{protocol}{}\r\n",
        stated(from)
    )
}

/// The header in which a proxy states its client's address.
pub(crate) fn stated(from: Option<IpAddr>) -> String {
    from.map_or_else(String::new, |ip| format!("X-Forwarded-For: {ip}\r\n"))
}

/// An open WebSocket.
pub(crate) struct Socket {
    pub(crate) reader: Reader,
    pub(crate) writer: WriteHalf<Stream>,
}

/// The receiving half.
pub(crate) struct Reader {
    stream: ReadHalf<Stream>,
    decoder: Decoder,
    buffer: Vec<u8>,
    /// Bytes at the start of the buffer that arrived with the handshake.
    early: usize,
}

impl Socket {
    /// Waits for the answer to the handshake.
    async fn answered(mut stream: Stream) -> Result<Self, End> {
        let mut buffer = vec![0; 16 << 10];
        let mut count = 0;
        let end = loop {
            let read = timeout(PATIENCE, stream.read(&mut buffer[count..])).await;
            match read.map_err(|_| End::Silent)?? {
                0 => return Err(End::Broken),
                more => count += more,
            }
            if let Some(at) = memchr::memmem::find(&buffer[..count], b"\r\n\r\n") {
                break at + 4;
            }
        };
        let status = std::str::from_utf8(&buffer[..end]).ok();
        let status = status.and_then(|head| head.split(' ').nth(1)?.parse().ok());
        match status {
            Some(101) => {}
            Some(other) => return Err(End::Status(other)),
            None => return Err(End::Broken),
        }
        buffer.copy_within(end..count, 0);
        let limits = Limits {
            message_bytes_max: 16 << 20,
            fragments_max: 1024,
        };
        let (stream, writer) = tokio::io::split(stream);
        let reader = Reader {
            stream,
            decoder: Decoder::new(Role::Client, limits),
            buffer,
            early: count - end,
        };
        Ok(Self { reader, writer })
    }

    /// Waits for the next message of the native protocol.
    ///
    /// # Errors
    /// If the connection has ended, or nothing arrives.
    pub(crate) async fn tell(&mut self) -> Result<Tell, End> {
        loop {
            let mut told = None;
            let take = |_: Kind, payload: &[u8]| {
                let frame = ServerFrame::decode(payload).unwrap_or_default();
                let mut kinds = frame
                    .messages
                    .into_iter()
                    .filter_map(|message| message.kind);
                told = told.take().or_else(|| kinds.next());
            };
            let read = timeout(PATIENCE, self.reader.read(take)).await;
            let read = read.map_err(|_| End::Silent)?;
            match told {
                Some(told) => return Ok(told),
                None => read?,
            }
        }
    }
}

impl Reader {
    /// Reads once; `take` gets each message.
    ///
    /// # Errors
    /// If the connection has ended.
    pub(crate) async fn read(&mut self, mut take: impl FnMut(Kind, &[u8])) -> Result<(), End> {
        let count = match std::mem::take(&mut self.early) {
            0 => self.stream.read(&mut self.buffer).await?,
            early => early,
        };
        if count == 0 {
            return Err(End::Broken);
        }
        let mut events = self.decoder.decode(&mut self.buffer[..count]);
        while let Some(event) = events.next_event().map_err(|_| End::Broken)? {
            match event {
                Event::Message { kind, payload } => take(kind, payload),
                Event::Close { code, .. } => return Err(End::Closed(code.unwrap_or(1005))),
                Event::Ping(_) | Event::Pong(_) => {}
            }
        }
        Ok(())
    }
}

/// Messages in a server's frame that carry a number, which the client confirms.
pub(crate) fn numbered(payload: &[u8]) -> u64 {
    let mut count = 0;
    let mut rest = payload;
    while let [0x0a, after @ ..] = rest {
        let mut after = after;
        let Ok(len) = prost::decode_length_delimiter(&mut after) else {
            return count;
        };
        if len > after.len() {
            return count;
        }
        let field = match after.get(..2) {
            Some([tag, _]) if tag & 0x80 == 0 => u32::from(tag >> 3),
            Some([tag, second]) => (u32::from(tag & 0x7f) | u32::from(*second) << 7) >> 3,
            _ => 0,
        };
        count += u64::from(field >= 16);
        rest = &after[len..];
    }
    count
}

/// A client's frame, as it is sent.
pub(crate) fn frame_of(
    kinds: impl IntoIterator<Item = client_message::Kind>,
    confirm: u64,
) -> Vec<u8> {
    let messages = kinds.into_iter();
    let messages = messages.map(|kind| ClientMessage { kind: Some(kind) });
    let frame = ClientFrame {
        messages: messages.collect(),
        confirm,
    };
    binary(&encode_client(&frame))
}

/// A request with its number.
pub(crate) fn request(cseq: u64, call: Option<Call>) -> client_message::Kind {
    client_message::Kind::Request(Request { cseq, call })
}

/// A binary frame with this content.
pub(crate) fn binary(payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(payload.len() + 14);
    encode_frame(&mut frame, Opcode::Binary, payload, MASK);
    frame
}

/// A text frame with this content, as legacy clients send.
pub(crate) fn text(content: &str) -> Vec<u8> {
    let mut frame = Vec::with_capacity(content.len() + 14);
    encode_frame(&mut frame, Opcode::Text, content.as_bytes(), MASK);
    frame
}

/// A message with this text.
pub(crate) fn message(body: Vec<u8>) -> Option<proto::Message> {
    Some(proto::Message {
        body: Some(proto::message::Body::Text(body.into())),
        ..proto::Message::default()
    })
}

#[cfg(test)]
mod tests {
    use tidings_wire::proto::{PeerMessage, ServerMessage};

    use super::*;

    #[test]
    fn only_messages_with_a_number_of_their_own_are_counted() {
        let kinds = [
            Tell::Welcome(proto::Welcome::default()),
            Tell::PeerMessage(PeerMessage::default()),
            Tell::Ping(proto::Ping {}),
            Tell::TokenWillExpire(proto::TokenWillExpire::default()),
        ];
        let messages = kinds.map(|kind| ServerMessage { kind: Some(kind) });
        let frame = ServerFrame {
            messages: messages.into(),
        };
        assert_eq!(numbered(&frame.encode_to_vec()), 2);
        assert_eq!(numbered(b"anything else"), 0);
    }

    #[test]
    fn a_handshake_states_the_address_that_it_is_told() {
        let from = |text: &str| Some(text.parse().expect("an address"));
        let request = upgrade("/rtm", from("2001:db8::1"));
        assert!(
            request.contains("\r\nX-Forwarded-For: 2001:db8::1\r\n\r\n"),
            "{request}"
        );
        assert!(!upgrade("/rtm", None).contains("Forwarded"));
        assert!(!upgrade("/", None).contains("tidings.v1"));
    }
}
