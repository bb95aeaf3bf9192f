//! Who is there beside the callers: users who confirm, a reader of the stream of events, an app
//! whose webhook hangs.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow, bail};
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::connection::Connection;
use super::target::{message, operator_call, reader};
use super::{Call, Settings};
use crate::drivers::tidings::APP;
use crate::fairness::door::{Door, frame_of, numbered};
use crate::launch::API_KEY;

/// The app whose webhook hangs.
const HANGING_APP: &str = "f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0";

/// Its messages: so many in each batch, each of which is an event that its webhook wants.
const HANGING_BATCH: usize = 100;

/// Time between its batches: 1,000 events a second.
const HANGING_EVERY: Duration = Duration::from_millis(100);

/// Everybody beside the callers. They end with it.
pub(super) struct Company {
    _tasks: JoinSet<()>,
    seen: Arc<Mutex<Seen>>,
    has_reader: bool,
}

/// What the reader of the stream has seen.
#[derive(Default)]
struct Seen {
    /// When it counts.
    measured: Option<Range<Instant>>,
    /// From the server's time in an event to its arrival, in nanoseconds.
    lags: Vec<u64>,
    /// What went wrong with anybody.
    trouble: Option<String>,
}

impl Company {
    /// Connects whoever the measurement needs.
    ///
    /// # Errors
    /// If the server refuses somebody.
    pub(super) async fn gather(settings: &Settings, address: SocketAddr) -> Result<Self> {
        let mut tasks = JoinSet::new();
        let seen = Arc::new(Mutex::new(Seen::default()));
        if settings.call == Call::Confirmed {
            for at in 0..settings.connections {
                confirm_everything(&mut tasks, address, &reader(at), &seen).await?;
            }
        }
        let has_reader = settings.call == Call::Events;
        if has_reader {
            make_app(address, APP).await?;
            let stream = open_stream(address).await?;
            let seen = seen.clone();
            tasks.spawn(async move { note(&seen, follow(stream, &seen).await) });
        }
        if settings.hanging_webhook {
            hang(&mut tasks, address, &seen).await?;
        }
        Ok(Self {
            _tasks: tasks,
            seen,
            has_reader,
        })
    }

    /// Events count that arrive between these times.
    pub(super) fn measure(&self, times: Range<Instant>) {
        lock(&self.seen).measured = Some(times);
    }

    /// How late events were, if somebody has read them.
    ///
    /// # Errors
    /// Somebody's connection has ended, or no event arrived.
    pub(super) fn end(self) -> Result<Option<Histogram<u64>>> {
        let seen = lock(&self.seen);
        if let Some(trouble) = &seen.trouble {
            bail!("{trouble}");
        }
        if !self.has_reader {
            return Ok(None);
        }
        let mut lags = Histogram::new(3)?;
        for lag in &seen.lags {
            lags.record(*lag)?;
        }
        if lags.is_empty() {
            bail!("no event arrived");
        }
        Ok(Some(lags))
    }
}

fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

fn note(seen: &Mutex<Seen>, end: Result<()>) {
    if let Err(error) = end {
        lock(seen).trouble.get_or_insert(format!("{error:#}"));
    }
}

/// Logs a user in, who confirms every message at once.
async fn confirm_everything(
    tasks: &mut JoinSet<()>,
    address: SocketAddr,
    user: &str,
    seen: &Arc<Mutex<Seen>>,
) -> Result<()> {
    let door = Door {
        address,
        tls: None,
        h2: None,
    };
    let opened = door.log_in(APP, user, "", None).await;
    let (mut socket, _) = opened.map_err(|end| anyhow!("{user} could not log in: {end}"))?;
    let seen = seen.clone();
    let user = user.to_owned();
    tasks.spawn(async move {
        let mut received = 0;
        let end = loop {
            let mut count = 0;
            let read = socket.reader.read(|_, payload| count += numbered(payload));
            if let Err(end) = read.await {
                break anyhow!("{user} was disconnected: {end}");
            }
            received += count;
            let frame = frame_of([], received);
            if let Err(error) = socket.writer.write_all(&frame).await {
                break anyhow!("{user} was disconnected: {error}");
            }
        };
        note(&seen, Err(end));
    });
    Ok(())
}

/// An open app whose messages to channels are events.
async fn make_app(address: SocketAddr, app: &str) -> Result<()> {
    let settings = json!({ "channel_message_events": true });
    let body = json!({ "id": app, "open": true, "settings": settings });
    post(address, "/api/v1/apps", &body).await
}

async fn post(address: SocketAddr, path: &str, body: &Value) -> Result<()> {
    let mut connection = Connection::open(address).await?;
    let answer = connection.call(&operator_call(path, body)).await?;
    if !matches!(answer.status, 200 | 201) {
        bail!("{path}: status {}: {}", answer.status, answer.body);
    }
    Ok(())
}

async fn open_stream(address: SocketAddr) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!(
        "GET /api/v1/apps/{APP}/events/stream?types=message.* HTTP/1.1\r\nHost: localhost\r\n\
         Authorization: Bearer {API_KEY}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    Ok(stream)
}

/// Reads the stream of events and notes how late they are.
async fn follow(mut stream: TcpStream, seen: &Mutex<Seen>) -> Result<()> {
    let mut read = Vec::with_capacity(1 << 20);
    loop {
        if stream.read_buf(&mut read).await? == 0 {
            bail!("the stream of events has ended");
        }
        let now = Instant::now();
        let unix_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
        let Some(whole) = memchr::memrchr(b'\n', &read) else {
            continue;
        };
        let text = std::str::from_utf8(&read[..=whole]).context("the stream is not UTF-8")?;
        if text.starts_with("HTTP/1.1") && !text.starts_with("HTTP/1.1 200") {
            bail!("the stream was refused: {text}");
        }
        let mut lags = Vec::new();
        for line in text.lines() {
            let Some(data) = line.strip_prefix("data:") else {
                continue;
            };
            let event: Value = serde_json::from_str(data).with_context(|| line.to_owned())?;
            if event["type"] == "gap" {
                bail!("events were dropped: {data}");
            }
            let at_ms = event["at_ms"].as_u64().context("an event without a time")?;
            let late_ms = unix_ms.saturating_sub(u128::from(at_ms));
            lags.push(u64::try_from(late_ms)? * 1_000_000);
        }
        let mut seen = lock(seen);
        if seen
            .measured
            .as_ref()
            .is_some_and(|times| times.contains(&now))
        {
            seen.lags.append(&mut lags);
        }
        drop(seen);
        read.drain(..=whole);
    }
}

/// An app with a webhook whose target takes connections and never answers, and with messages that
/// are events for it.
async fn hang(tasks: &mut JoinSet<()>, address: SocketAddr, seen: &Arc<Mutex<Seen>>) -> Result<()> {
    let target = TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("http://{}/hangs", target.local_addr()?);
    tasks.spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = target.accept().await {
            held.push(stream);
        }
    });
    make_app(address, HANGING_APP).await?;
    let path = format!("/api/v1/apps/{HANGING_APP}");
    let webhook = json!({ "url": url, "events": ["message.*"] });
    post(address, &format!("{path}/webhooks"), &webhook).await?;
    let messages = vec![message(0, "x"); HANGING_BATCH];
    let request = operator_call(
        &format!("{path}/publish/batch"),
        &json!({ "messages": messages }),
    );
    let mut connection = Connection::open(address).await?;
    let seen = seen.clone();
    tasks.spawn(async move {
        let mut ticks = tokio::time::interval(HANGING_EVERY);
        let end = loop {
            ticks.tick().await;
            match connection.call(&request).await {
                Ok(answer) if answer.status == 200 => {}
                Ok(answer) => break anyhow!("status {}: {}", answer.status, answer.body),
                Err(error) => break error,
            }
        };
        note(&seen, Err(end));
    });
    Ok(())
}
