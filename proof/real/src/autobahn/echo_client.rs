//! A client that sends every message back, over the WebSocket library of the Rust SDK with the
//! SDK's settings.

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_websockets::{ClientBuilder, Error, Limits, Message, WebSocketStream};

/// As `tidings-client/src/connection.rs` has it.
const MESSAGE_BYTES_MAX: usize = 2 * 1024 * 1024;

type Socket = WebSocketStream<TcpStream>;

/// Runs all cases of the suite's server at this port.
pub(super) async fn run(port: u16) -> Result<(), Error> {
    let mut socket = open(port, "getCaseCount").await?;
    let count = socket.next().await.transpose()?;
    let count = count.as_ref().and_then(Message::as_text);
    let count: u32 = count.and_then(|text| text.parse().ok()).unwrap_or(0);
    let _ = socket.close().await;
    for case in 1..=count {
        let path = format!("runCase?case={case}&agent=tidings-client");
        let socket = open(port, &path).await?;
        // How a case ends is the suite's business.
        let _ = echo(socket).await;
    }
    let mut socket = open(port, "updateReports?agent=tidings-client").await?;
    let _ = socket.close().await;
    Ok(())
}

async fn open(port: u16, path: &str) -> Result<Socket, Error> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let uri = format!("ws://127.0.0.1:{port}/{path}");
    let limits = Limits::default().max_payload_len(Some(MESSAGE_BYTES_MAX));
    let builder = ClientBuilder::new().uri(&uri).expect("the path is of ours");
    let (socket, _) = builder.limits(limits).connect_on(stream).await?;
    Ok(socket)
}

async fn echo(mut socket: Socket) -> Result<(), Error> {
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_close() {
            return socket.close().await;
        }
        if message.is_text() || message.is_binary() {
            socket.send(message).await?;
        }
    }
    Ok(())
}
