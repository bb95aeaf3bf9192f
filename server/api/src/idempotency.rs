//! `Idempotency-Key`: the same key gives the same answer, and no second effect. Source: contract
//! DEL-8.

use std::collections::hash_map::Entry as Slot;
use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::answer::{Answer, raw_json};
use crate::auth::Caller;
use crate::problem::Fault;

/// The request header by which a caller names a call that it may repeat.
pub(crate) const HEADER: &str = "idempotency-key";

/// Told with an answer that is given again.
const REPLAYED: &str = "idempotency-replayed";

/// The longest key, in bytes. Source: contract DEL-8.
const KEY_BYTES_MAX: usize = 64;

/// How long an answer is kept after its call began. Source: contract DEL-8.
const WINDOW: Duration = Duration::from_secs(600);

/// Keys of one app: as many calls as the default rate allows within the window.
///
/// Bound: one more is refused until the oldest has lapsed, because to forget one would be a second
/// message.
const KEYS_MAX: usize = 300_000;

/// Names a call: the hash of who calls, what for, and the key.
type Name = [u8; 16];

/// An answer that can be given again.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    /// The HTTP status of the first answer.
    pub(crate) status: StatusCode,
    /// The JSON body of the first answer, given again unchanged.
    pub(crate) body: Bytes,
}

#[derive(Debug)]
struct Kept {
    /// The hash of the body.
    body: [u8; 16],
    /// `None` until the first execution has its answer.
    reply: watch::Receiver<Option<Result<Reply, Fault>>>,
}

/// The answers of one app.
#[derive(Debug, Default)]
pub(crate) struct Replays(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    /// Calls of the last [`WINDOW`]. At [`KEYS_MAX`], calls with a new key are refused.
    kept: HashMap<Name, Kept>,
    /// The oldest first.
    lapse: VecDeque<(Instant, Name)>,
}

impl Table {
    fn forget_lapsed(&mut self, now: Instant) {
        while let Some((at, name)) = self.lapse.front()
            && *at <= now
        {
            self.kept.remove(name);
            self.lapse.pop_front();
        }
    }
}

/// What a key is found to be.
enum Found {
    First(watch::Sender<Option<Result<Reply, Fault>>>),
    Again(watch::Receiver<Option<Result<Reply, Fault>>>),
}

impl Replays {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, name: Name, body: [u8; 16]) -> Result<Found, Fault> {
        let now = Instant::now();
        let mut table = self.table();
        table.forget_lapsed(now);
        let is_full = table.kept.len() >= KEYS_MAX;
        let lapses = table.lapse.front().map(|(at, _)| *at);
        match table.kept.entry(name) {
            Slot::Occupied(kept) if kept.get().body == body => {
                Ok(Found::Again(kept.get().reply.clone()))
            }
            Slot::Occupied(_) => Err(other_body()),
            Slot::Vacant(_) if is_full => {
                let wait = lapses.map_or(WINDOW, |at| at.saturating_duration_since(now));
                let detail = format!("the app has {KEYS_MAX} keys within ten minutes");
                let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                Err(Fault::too_often(detail, wait_ms.max(1)).on(HEADER))
            }
            Slot::Vacant(slot) => {
                let (to, reply) = watch::channel(None);
                slot.insert(Kept { body, reply });
                table.lapse.push_back((now + WINDOW, name));
                Ok(Found::First(to))
            }
        }
    }

    /// Nothing has happened: the call may be made again.
    fn forget(&self, name: &Name) {
        self.table().kept.remove(name);
    }
}

fn other_body() -> Fault {
    let detail = "the key was used for another call within the last ten minutes";
    let hint = "Use a new key for each message; repeat a call with all of its body.";
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    Fault::new(status, "idempotency_key_reused", detail, hint).on(HEADER)
}

/// The key that a call states.
///
/// # Errors
/// 400: it is empty, too long, or given twice.
pub(crate) fn key(headers: &HeaderMap) -> Result<Option<&[u8]>, Fault> {
    let mut values = headers.get_all(HEADER).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Fault::invalid(HEADER, "the header is given twice"));
    }
    match value.len() {
        1..=KEY_BYTES_MAX => Ok(Some(value.as_bytes())),
        bytes => Err(Fault::invalid(
            HEADER,
            format!("the key has {bytes} bytes; 1 to {KEY_BYTES_MAX} are allowed"),
        )),
    }
}

/// A call with a key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keyed {
    name: Name,
    body: [u8; 16],
}

/// The key of a call, if it states one: `scope` says what the key is unique for (contract DEL-8:
/// sender and destination), `body` what has to be equal in a repeat.
///
/// # Errors
/// As [`key`].
pub(crate) fn keyed(
    headers: &HeaderMap,
    scope: &[&str],
    body: &[u8],
) -> Result<Option<Keyed>, Fault> {
    let key = key(headers)?;
    Ok(key.map(|key| Keyed {
        name: name(scope, key),
        body: digest(&[body]),
    }))
}

/// Executes a call once per key; without a key, it is simply executed.
///
/// A call with a key goes on when its caller goes away.
///
/// # Errors
/// Those of the work; 422 for a key that was used with another body.
pub(crate) async fn once<F>(caller: &Caller, keyed: Option<Keyed>, work: F) -> Answer
where
    F: Future<Output = Result<Reply, Fault>> + Send + 'static,
{
    let Some(Keyed { name, body }) = keyed else {
        return work.await.map(answer);
    };
    match caller.desk.replays.find(name, body)? {
        Found::First(to) => {
            let desk = caller.desk.clone();
            let mut reply = to.subscribe();
            tokio::spawn(async move {
                let done = work.await;
                if done.as_ref().is_err_and(may_be_repeated) {
                    desk.replays.forget(&name);
                }
                let _ = to.send(Some(done));
            });
            told(&mut reply).await.map(answer)
        }
        Found::Again(mut reply) => {
            let mut again = told(&mut reply).await.map(answer)?;
            let header = HeaderName::from_static(REPLAYED);
            again
                .headers_mut()
                .insert(header, HeaderValue::from_static("true"));
            Ok(again)
        }
    }
}

/// Whether nothing has happened that a repeat could double.
fn may_be_repeated(fault: &Fault) -> bool {
    fault.status.is_server_error() || fault.status == StatusCode::TOO_MANY_REQUESTS
}

async fn told(reply: &mut watch::Receiver<Option<Result<Reply, Fault>>>) -> Result<Reply, Fault> {
    let told = reply.wait_for(Option::is_some).await;
    match told.ok().and_then(|reply| reply.clone()) {
        Some(reply) => reply,
        // The work was dropped: the server ends.
        None => Err(Fault::unavailable("the server is being stopped")),
    }
}

fn answer(reply: Reply) -> axum::http::Response<axum::body::Body> {
    raw_json(reply.status, reply.body)
}

fn name(scope: &[&str], key: &[u8]) -> Name {
    let mut parts: Vec<&[u8]> = scope.iter().map(|part| part.as_bytes()).collect();
    parts.push(key);
    digest(&parts)
}

/// 128 bits: nobody finds two calls that are taken for one.
fn digest(parts: &[&[u8]]) -> [u8; 16] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let hash: [u8; 32] = hash.finalize().into();
    let (first, _) = hash.split_first_chunk().expect("32 bytes hold 16");
    *first
}
