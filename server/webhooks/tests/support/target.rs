//! A web server that behaves as told: it takes notices, or hangs, or answers garbage.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::ServerConfig;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::until_true;

/// What a target does with one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Does {
    /// 200 with a JSON body.
    Take,
    /// This status.
    Status(u16),
    /// Exactly these bytes, and closes.
    Bytes(Vec<u8>),
    /// Nothing, and keeps the connection.
    Hang,
    /// 200, and then a byte now and then, without end.
    Trickle,
    /// A megabyte.
    Huge,
    /// Closes without an answer.
    Close,
    /// 200, and closes the connection afterwards without saying so.
    TakeAndClose,
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut lines = lines.filter(|(header, _)| header.eq_ignore_ascii_case(name));
        lines.next().map(|(_, value)| value)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a notice is JSON")
    }

    pub(crate) fn user(&self) -> String {
        self.json()["payload"]["account"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    plan: Mutex<VecDeque<Does>>,
    otherwise: Mutex<Option<Does>>,
    received: Mutex<Vec<Received>>,
    connections: AtomicU64,
}

impl Target {
    pub(crate) async fn start() -> Self {
        Self::serve(None).await
    }

    pub(crate) async fn with_tls(config: ServerConfig) -> Self {
        Self::serve(Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn serve(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let state = Arc::<State>::default();
        let shared = state.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                shared.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(greet(shared.clone(), tls.clone(), stream));
            }
        });
        Self { address, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// What it does with the next requests.
    pub(crate) fn plan(&self, does: &[Does]) {
        let mut plan = self.state.plan.lock().expect("the lock");
        plan.extend(does.iter().cloned());
    }

    /// What it does when the plan is at its end.
    pub(crate) fn always(&self, does: Does) {
        *self.state.otherwise.lock().expect("the lock") = Some(does);
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.state.received.lock().expect("the lock").clone()
    }

    pub(crate) fn users(&self) -> Vec<String> {
        self.received().iter().map(Received::user).collect()
    }

    pub(crate) fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// Waits until that many requests have arrived.
    pub(crate) async fn takes(&self, count: usize) -> Vec<Received> {
        let what = format!("{count} requests");
        until_true(&what, || self.received().len() >= count).await;
        self.received()
    }
}

async fn greet(state: Arc<State>, tls: Option<TlsAcceptor>, stream: TcpStream) {
    match tls {
        None => talk(state, stream).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                talk(state, stream).await;
            }
        }
    }
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(state: Arc<State>, mut stream: S) {
    let mut buffer = Vec::new();
    while let Some(received) = request(&mut stream, &mut buffer).await {
        state.received.lock().expect("the lock").push(received);
        let planned = state.plan.lock().expect("the lock").pop_front();
        let otherwise = state.otherwise.lock().expect("the lock").clone();
        let does = planned.or(otherwise).unwrap_or(Does::Take);
        if !act(&mut stream, &does).await {
            return;
        }
    }
}

async fn request<S: AsyncRead + Unpin>(stream: &mut S, buffer: &mut Vec<u8>) -> Option<Received> {
    loop {
        let text = String::from_utf8_lossy(buffer).into_owned();
        if let Some(end) = text.find("\r\n\r\n") {
            let head = text[..end].to_owned();
            let received = Received {
                head,
                body: Vec::new(),
            };
            let length: usize = received.header("content-length")?.parse().ok()?;
            let from = end + 4;
            if buffer.len() >= from + length {
                let body = buffer[from..from + length].to_vec();
                buffer.drain(..from + length);
                return Some(Received { body, ..received });
            }
        }
        let mut chunk = [0; 16 * 1024];
        let count = stream.read(&mut chunk).await.ok()?;
        if count == 0 {
            return None;
        }
        buffer.extend_from_slice(&chunk[..count]);
    }
}

/// Returns whether the connection goes on.
async fn act<S: AsyncWrite + Unpin>(stream: &mut S, does: &Does) -> bool {
    let taken = b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n{\"ok\":true}";
    match does {
        Does::Take => stream.write_all(taken).await.is_ok(),
        Does::TakeAndClose => {
            let _ = stream.write_all(taken).await;
            let _ = stream.shutdown().await;
            false
        }
        Does::Status(status) => {
            let text = format!("HTTP/1.1 {status} Told\r\ncontent-length: 4\r\n\r\ntold");
            stream.write_all(text.as_bytes()).await.is_ok()
        }
        Does::Bytes(bytes) => {
            let _ = stream.write_all(bytes).await;
            let _ = stream.shutdown().await;
            false
        }
        Does::Hang => std::future::pending().await,
        Does::Trickle => {
            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n";
            let mut is_open = stream.write_all(head).await.is_ok();
            let mut beat = tokio::time::interval(Duration::from_millis(20));
            while is_open {
                beat.tick().await;
                is_open = stream.write_all(b" ").await.is_ok();
            }
            false
        }
        Does::Huge => {
            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1048576\r\n\r\n";
            let _ = stream.write_all(head).await;
            let _ = stream.write_all(&vec![b'x'; 1 << 20]).await;
            false
        }
        Does::Close => false,
    }
}
