//! One WebSocket, in a task of its own.

use std::io;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderValue, Uri, header::SEC_WEBSOCKET_PROTOCOL};
use tidings_client_core::{ConnectionId, Input};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, sleep_until, timeout};
use tokio_websockets::{
    ClientBuilder, Connector, Limits, MaybeTlsStream, Message, WebSocketStream,
};

use crate::tls::Tls;

/// The sub-protocol. Source: protocol 1.
const PROTOCOL: &str = "tidings.v1";
/// Largest message taken from a server: what it may hold for a session (1 MiB), twice.
const MESSAGE_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Frames that may wait for the socket. The machine has at most 256 requests open and writes
/// several of them in a frame, so more than these are written only to a link that is stuck.
pub(crate) const FRAMES_MAX: usize = 512;
/// How long a close may take before the socket is dropped.
const CLOSE_WAIT: Duration = Duration::from_secs(1);

/// What a connection has to tell.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) input: Input,
    /// The text of the server's close frame, if this is its end and there was one.
    pub(crate) reason: String,
}

impl From<Input> for Report {
    fn from(input: Input) -> Self {
        let reason = String::new();
        Self { input, reason }
    }
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Opens a connection, not before `open_from`, and serves it until it ends or `frames` is closed.
///
/// Everything that happens goes to `inputs`, last `Closed`.
pub(crate) async fn run(
    connection: ConnectionId,
    (uri, tls): (Uri, Tls),
    open_from: Instant,
    mut frames: mpsc::Receiver<Bytes>,
    inputs: mpsc::Sender<Report>,
) {
    let socket = tokio::select! {
        socket = async { sleep_until(open_from).await; open(uri, &tls).await } => socket,
        // Nothing is written before the connection is open: this is its end.
        _ = frames.recv() => return,
    };
    let (code, reason) = match socket {
        Some(socket) => {
            let opened = Input::Opened { connection };
            if inputs.send(opened.into()).await.is_err() {
                return;
            }
            serve(connection, socket, &mut frames, &inputs).await
        }
        None => None,
    }
    .unzip();
    let input = Input::Closed { connection, code };
    let reason = reason.unwrap_or_default();
    // The driver may be gone: then nobody asks.
    let _ = inputs.send(Report { input, reason }).await;
}

/// Opens a TCP connection, and TLS over it if the address asks for that.
pub(crate) async fn dial(uri: &Uri, tls: &Tls) -> io::Result<MaybeTlsStream<TcpStream>> {
    let host = uri
        .host()
        .ok_or_else(|| io::Error::other("the endpoint has no host"))?
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    let is_tls = matches!(uri.scheme_str(), Some("wss" | "https"));
    let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let stream = TcpStream::connect((host.as_str(), port)).await?;
    // Small messages must not wait for others.
    stream.set_nodelay(true)?;
    let connector = if is_tls {
        tls.connector()?
    } else {
        Connector::Plain
    };
    connector
        .wrap(&host, stream)
        .await
        .map_err(io::Error::other)
}

async fn open(uri: Uri, tls: &Tls) -> Option<Socket> {
    let stream = dial(&uri, tls).await.ok()?;
    let (socket, response) = ClientBuilder::from_uri(uri)
        .limits(Limits::default().max_payload_len(Some(MESSAGE_BYTES_MAX)))
        .add_header(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL))
        .ok()?
        .connect_on(stream)
        .await
        .ok()?;
    let selected = response.headers().get(SEC_WEBSOCKET_PROTOCOL);
    selected
        .is_some_and(|name| name.as_bytes() == PROTOCOL.as_bytes())
        .then_some(socket)
}

/// Returns the close code and its text, if the server sent one.
async fn serve(
    connection: ConnectionId,
    mut socket: Socket,
    frames: &mut mpsc::Receiver<Bytes>,
    inputs: &mpsc::Sender<Report>,
) -> Option<(u16, String)> {
    loop {
        tokio::select! {
            message = socket.next() => {
                let message = message?.ok()?;
                if let Some((code, reason)) = message.as_close() {
                    let end = (u16::from(code), reason.to_owned());
                    let _ = timeout(CLOSE_WAIT, socket.close()).await;
                    return Some(end);
                }
                if message.is_binary() {
                    let payload = Bytes::from(message.into_payload());
                    let received = Input::Received { connection, payload };
                    inputs.send(received.into()).await.ok()?;
                }
            }
            frame = frames.recv() => {
                let Some(frame) = frame else {
                    let _ = timeout(CLOSE_WAIT, socket.close()).await;
                    return None;
                };
                socket.feed(Message::binary(frame)).await.ok()?;
                while let Ok(frame) = frames.try_recv() {
                    socket.feed(Message::binary(frame)).await.ok()?;
                }
                socket.flush().await.ok()?;
            }
        }
    }
}
