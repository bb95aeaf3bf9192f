//! A server that answers as it is told, and remembers what it was asked.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tidings_client::server::{Builder, Tidings};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

pub(crate) const APP: &str = "0123456789abcdef0123456789abcdef";

/// What is done with a request.
#[derive(Clone)]
pub(crate) enum Told {
    Answer(u16, Vec<(String, String)>, String),
    /// The connection breaks.
    Broken,
    /// No answer, ever.
    Silent,
}

pub(crate) fn json(status: u16, body: &Value) -> Told {
    let kind = ("content-type".to_owned(), "application/json".to_owned());
    Told::Answer(status, vec![kind], body.to_string())
}

pub(crate) fn text(status: u16, body: &str, headers: &[(&str, &str)]) -> Told {
    let headers = headers
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()));
    Told::Answer(status, headers.collect(), body.into())
}

#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn query(&self) -> HashMap<String, String> {
        let decode = |text: &str| {
            percent_encoding::percent_decode_str(text)
                .decode_utf8_lossy()
                .into_owned()
        };
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs
            .map(|(name, value)| (decode(name), decode(value)))
            .collect()
    }
}

#[derive(Default)]
struct State {
    told: Mutex<VecDeque<Told>>,
    asked: Mutex<Vec<Asked>>,
    connections: AtomicUsize,
}

pub(crate) struct Fake {
    pub(crate) endpoint: String,
    state: Arc<State>,
}

impl Fake {
    /// The last answer is given for ever.
    pub(crate) async fn start(told: impl IntoIterator<Item = Told>) -> Self {
        let state = Arc::new(State::default());
        *state.told.lock().unwrap() = told.into_iter().collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let shared = state.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                shared.connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(serve(stream, shared.clone()));
            }
        });
        Self { endpoint, state }
    }

    pub(crate) fn settings(&self) -> Builder {
        Tidings::builder()
            .endpoint(&self.endpoint)
            .key("tdk_id_secret")
            .app(APP)
    }

    pub(crate) fn client(&self) -> Tidings {
        self.settings().build().unwrap()
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.state.asked.lock().unwrap().clone()
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        let key = |asked: &Asked| asked.headers["idempotency-key"].clone();
        self.asked().iter().map(key).collect()
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::Relaxed)
    }
}

async fn serve(stream: TcpStream, state: Arc<State>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let asked = read(&mut stream).await?;
        state.asked.lock().unwrap().push(asked);
        let told = {
            let mut told = state.told.lock().unwrap();
            if told.len() > 1 {
                told.pop_front()
            } else {
                told.front().cloned()
            }
        };
        match told? {
            Told::Answer(status, headers, body) => {
                let mut answer = format!("HTTP/1.1 {status} X\r\n");
                for (name, value) in headers {
                    answer += &format!("{name}: {value}\r\n");
                }
                if status != 204 {
                    answer += &format!("content-length: {}\r\n", body.len());
                }
                stream
                    .write_all(format!("{answer}\r\n{body}").as_bytes())
                    .await
                    .ok()?;
            }
            Told::Broken => return None,
            Told::Silent => std::future::pending().await,
        }
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut words = lines.first()?.split(' ').map(str::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    let pairs = lines
        .iter()
        .skip(1)
        .filter_map(|line| line.split_once(": "));
    let headers: HashMap<String, String> = pairs
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers
        .get("content-length")
        .and_then(|length| length.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    let body = String::from_utf8(body).ok()?;
    Some(Asked {
        method,
        target,
        headers,
        body,
    })
}
