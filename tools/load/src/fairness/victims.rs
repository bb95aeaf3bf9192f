//! The users who must not be affected: a pair of users of another app, people who log in, and a
//! load balancer that checks health.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use tidings_token::{NewAccess007, Service, build_007};
use tidings_wire::proto::request::Call;
use tidings_wire::proto::server_message::Kind as Tell;
use tidings_wire::proto::{Logout, SendToPeer, ServerFrame, message::Body};
use tidings_wire::ws::Kind;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, WriteHalf};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::attacks::http;
use super::door::{
    CERTIFICATE, Door, End, Reader, SAFE_APP, Stream, frame_of, message, numbered, request, stated,
};
use prost::Message as _;

/// Time between a victim's messages: 40 a second.
const MESSAGE_EVERY: Duration = Duration::from_millis(25);

/// Time between two logins.
const LOGIN_EVERY: Duration = Duration::from_millis(20);

/// Time between two health checks.
const HEALTH_EVERY: Duration = Duration::from_millis(100);

/// Time between two uploads.
const FILE_EVERY: Duration = Duration::from_millis(250);

/// Size of an uploaded file, in bytes.
const FILE_BYTES: usize = 1_000;

/// An honest login must succeed within this time.
pub(crate) const LOGIN_WITHIN: Duration = Duration::from_millis(100);

/// A load balancer considers a node dead that does not answer within this time; uploading a small
/// file must not take longer either.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// What has not arrived by this time after the end is lost.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// What was seen at one server.
#[derive(Debug, Default, Clone)]
pub(crate) struct Seen {
    /// From the send call to the receiver's event, in microseconds.
    pub(crate) micros: Vec<u64>,
    /// Messages that never arrived.
    pub(crate) missing: usize,
    /// Victims' connections that the server has ended.
    pub(crate) cut: Vec<String>,
    /// Logins that succeeded within 100 ms, out of how many.
    pub(crate) in_time: usize,
    pub(crate) logins: usize,
    /// For the others, why they failed or how long they took.
    pub(crate) not_in_time: Vec<String>,
    /// Answers of `/healthz` that were good and in time, out of how many.
    pub(crate) healthy: usize,
    pub(crate) health: usize,
    /// Files accepted in time, out of how many.
    pub(crate) uploaded: usize,
    pub(crate) uploads: usize,
}

impl Seen {
    /// Adds what was seen in another run.
    pub(crate) fn add(&mut self, other: Self) {
        self.micros.extend(other.micros);
        self.missing += other.missing;
        self.cut.extend(other.cut);
        self.in_time += other.in_time;
        self.logins += other.logins;
        self.not_in_time.extend(other.not_in_time);
        self.healthy += other.healthy;
        self.health += other.health;
        self.uploaded += other.uploaded;
        self.uploads += other.uploads;
    }

    /// The given percentile of the messages' latency, in milliseconds.
    pub(crate) fn percentile_ms(&self, percent: f64) -> f64 {
        let mut sorted = self.micros.clone();
        sorted.sort_unstable();
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a rank among a few thousand"
        )]
        let at = ((sorted.len() as f64 * percent / 100.0).ceil() as usize).saturating_sub(1);
        #[allow(clippy::cast_precision_loss, reason = "microseconds of seconds")]
        let micros = sorted.get(at).copied().unwrap_or(0) as f64;
        micros / 1000.0
    }
}

/// A token for a user of the victims' app.
pub(crate) fn token(user: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_s = now.map_or(0, |now| now.as_secs());
    let token = NewAccess007 {
        app_id: SAFE_APP,
        certificate: CERTIFICATE,
        issued_at_unix_s: u32::try_from(now_s).unwrap_or(u32::MAX),
        lifetime_s: 3_600,
        salt: 1,
        services: &[Service::rtm(user, 0)],
    };
    build_007(&token).expect("the app and its certificate are of the documented form")
}

/// A pair, one of whom writes to the other until this is dropped.
pub(crate) struct Pair {
    notes: Arc<Mutex<Notes>>,
}

#[derive(Default)]
struct Notes {
    /// When each message was sent, and how long it took.
    messages: Vec<(Instant, Option<Duration>)>,
    /// Numbered messages that the sender has received, which it confirms with its next message.
    heard: u64,
    cut: Vec<String>,
    is_over: bool,
}

fn lock(notes: &Mutex<Notes>) -> std::sync::MutexGuard<'_, Notes> {
    notes.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pair {
    /// Logs the two in and starts; runs on the current runtime.
    ///
    /// # Errors
    /// If one is refused.
    pub(crate) async fn begin(door: &Door) -> Result<Self> {
        let log_in = async |user: &str, last: u8| {
            let from = Some(IpAddr::from(Ipv4Addr::new(192, 0, 2, last)));
            let login = door.log_in(SAFE_APP, user, &token(user), from).await;
            let (socket, _) = login
                .map_err(|end| anyhow::anyhow!("{end}"))
                .with_context(|| format!("{user} is not let in"))?;
            anyhow::Ok((socket.reader, socket.writer))
        };
        let alice = log_in("alice", 1).await?;
        let bob = log_in("bob", 2).await?;
        let notes = Arc::<Mutex<Notes>>::default();
        tokio::spawn(hear(alice.0, None, notes.clone()));
        tokio::spawn(hear(bob.0, Some(bob.1), notes.clone()));
        tokio::spawn(send(alice.1, notes.clone()));
        Ok(Self { notes })
    }

    /// What was measured between two moments; waits for messages in transit.
    pub(crate) async fn between(&self, from: Instant, until: Instant) -> Seen {
        let open = || {
            let notes = lock(&self.notes);
            let mut all = notes.messages.iter();
            all.any(|(at, took)| *at >= from && *at < until && took.is_none())
        };
        let began = Instant::now();
        while open() && began.elapsed() < LAST_WAIT {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let notes = lock(&self.notes);
        let within = |at: &Instant| *at >= from && *at < until;
        let mut seen = Seen::default();
        for (_, took) in notes.messages.iter().filter(|(at, _)| within(at)) {
            match took {
                Some(took) => seen
                    .micros
                    .push(u64::try_from(took.as_micros()).unwrap_or(0)),
                None => seen.missing += 1,
            }
        }
        // A message that never arrived counts as late as the wait was long.
        let missing_us = u64::try_from(LAST_WAIT.as_micros()).unwrap_or(0);
        seen.micros
            .extend(std::iter::repeat_n(missing_us, seen.missing));
        seen.cut = notes.cut.clone();
        seen
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        lock(&self.notes).is_over = true;
    }
}

/// Sends by the clock; the number of a message is its text. Ends when the pair is dropped.
async fn send(mut writer: WriteHalf<Stream>, notes: Arc<Mutex<Notes>>) {
    let mut ticks = interval(MESSAGE_EVERY);
    // A late tick is not made up for: each message is measured from its own send call.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut cseq = 0;
    loop {
        ticks.tick().await;
        let (number, heard) = {
            let mut notes = lock(&notes);
            if notes.is_over {
                return;
            }
            notes.messages.push((Instant::now(), None));
            (notes.messages.len() - 1, notes.heard)
        };
        cseq += 1;
        let call = Call::SendToPeer(SendToPeer {
            peer_id: "bob".into(),
            message: message(number.to_string().into_bytes()),
            ..SendToPeer::default()
        });
        let frame = frame_of([request(cseq, Some(call))], heard);
        if writer.write_all(&frame).await.is_err() {
            return;
        }
    }
}

/// Receives for one of the two. `writer` belongs to the receiver, which confirms each message at
/// once.
async fn hear(mut reader: Reader, mut writer: Option<WriteHalf<Stream>>, notes: Arc<Mutex<Notes>>) {
    let mut heard = 0;
    loop {
        let mut count = 0;
        let read = reader.read(|_: Kind, payload| {
            let now = Instant::now();
            count += numbered(payload);
            let frame = ServerFrame::decode(payload).unwrap_or_default();
            for told in frame
                .messages
                .into_iter()
                .filter_map(|message| message.kind)
            {
                if let Tell::PeerMessage(told) = told
                    && let Some(Body::Text(text)) = told.message.and_then(|message| message.body)
                    && let Some(number) = std::str::from_utf8(&text).ok()
                    && let Ok(number) = number.parse::<usize>()
                    && let Some(message) = lock(&notes).messages.get_mut(number)
                {
                    message.1 = message.1.or(Some(now - message.0));
                }
            }
        });
        if let Err(end) = read.await {
            let mut notes = lock(&notes);
            if !notes.is_over {
                notes.cut.push(end.to_string());
            }
            return;
        }
        heard += count;
        match &mut writer {
            None => lock(&notes).heard = heard,
            Some(_) if count == 0 => {}
            Some(writer) => {
                if writer.write_all(&frame_of([], heard)).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Makes people log in, one every 20 ms, from their own addresses, until a given time.
pub(crate) async fn log_people_in(door: Door, until: Instant) -> Seen {
    let mut ticks = interval(LOGIN_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut people = JoinSet::new();
    let mut number = 0;
    while Instant::now() < until {
        ticks.tick().await;
        number += 1;
        people.spawn(log_in_once(door.clone(), number));
    }
    let mut seen = Seen::default();
    while let Some(person) = people.join_next().await {
        seen.logins += 1;
        match person {
            Ok(Ok(took)) if took <= LOGIN_WITHIN => seen.in_time += 1,
            Ok(Ok(took)) => seen.not_in_time.push(format!("{} ms", took.as_millis())),
            Ok(Err(end)) => seen.not_in_time.push(end.to_string()),
            Err(error) => seen.not_in_time.push(error.to_string()),
        }
    }
    seen
}

async fn log_in_once(door: Door, number: u32) -> Result<Duration, End> {
    let user = format!("honest{number}");
    let token = token(&user);
    // Addresses that carriers share among their customers.
    let from = Ipv4Addr::from(u32::from(Ipv4Addr::new(100, 64, 0, 0)) + number * 5);
    let began = Instant::now();
    let (mut socket, _) = door
        .log_in(SAFE_APP, &user, &token, Some(from.into()))
        .await?;
    let took = began.elapsed();
    let frame = frame_of([request(1, Some(Call::Logout(Logout {})))], 0);
    if socket.writer.write_all(&frame).await.is_ok() {
        // Until the server has closed it, so that its session ends too.
        let gone = async { while socket.reader.read(|_, _| {}).await.is_ok() {} };
        let _ = timeout(LAST_WAIT, gone).await;
    }
    Ok(took)
}

/// Checks health as a load balancer does, until a given time.
pub(crate) async fn ask_for_health(door: Door, until: Instant) -> Seen {
    let mut ticks = interval(HEALTH_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut asked = JoinSet::new();
    while Instant::now() < until {
        ticks.tick().await;
        let door = door.clone();
        asked.spawn(async move { timeout(ANSWER_WITHIN, is_healthy(&door)).await });
    }
    let mut seen = Seen::default();
    while let Some(answer) = asked.join_next().await {
        seen.health += 1;
        seen.healthy += usize::from(matches!(answer, Ok(Ok(Ok(true)))));
    }
    seen
}

/// Makes people upload small files, each from its own address, until a given time.
pub(crate) async fn upload(door: Door, until: Instant) -> Seen {
    let mut ticks = interval(FILE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut files = JoinSet::new();
    let mut number = 0;
    while Instant::now() < until {
        ticks.tick().await;
        number += 1;
        let door = door.clone();
        files.spawn(async move { timeout(ANSWER_WITHIN, upload_once(&door, number)).await });
    }
    let mut seen = Seen::default();
    while let Some(answer) = files.join_next().await {
        seen.uploads += 1;
        seen.uploaded += usize::from(matches!(answer, Ok(Ok(Ok(201)))));
    }
    seen
}

async fn upload_once(door: &Door, number: u32) -> Result<u16, End> {
    let user = format!("sender{number}");
    let from = Ipv4Addr::from(u32::from(Ipv4Addr::new(100, 96, 0, 0)) + number * 257);
    let token = token(&user);
    let head = http::post(SAFE_APP, &user, Some(&token), FILE_BYTES, Some(from.into()));
    let mut stream = door.connect().await?;
    http::ask(&mut stream, &(head + &"x".repeat(FILE_BYTES))).await
}

async fn is_healthy(door: &Door) -> Result<bool, End> {
    let mut stream = door.connect().await?;
    let request = format!(
        "GET /healthz HTTP/1.1\r\nHost: fair\r\nConnection: close\r\n{}\r\n",
        stated(None)
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await?;
    Ok(answer.ends_with(b" 200"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_seen() {
        let seen = Seen {
            micros: (1..=400).rev().map(|ms| ms * 1000).collect(),
            ..Seen::default()
        };
        assert!((seen.percentile_ms(50.0) - 200.0).abs() < 1e-9);
        assert!((seen.percentile_ms(99.0) - 396.0).abs() < 1e-9);
        assert!(Seen::default().percentile_ms(99.0).abs() < 1e-9);
    }
}
