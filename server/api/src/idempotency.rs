//! `Idempotency-Key`: the same key gives the same answer, and no second effect. Source: contract
//! DEL-8.
//!
//! A caller's own keys are remembered for ten minutes, also over a restart (`kept`). Keys that a
//! package has made for its repeats say so by how they begin; they are remembered for as long as
//! repeats come, in memory, and make room for others: a busy backend does not use up the keys of
//! its app. Messages are unique by sender and receiver, all other POSTs by caller and path
//! (`posts`).

pub(crate) mod kept;
pub(crate) mod posts;
mod table;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use self::table::Found;
pub(crate) use self::table::Replays;
use crate::answer::{Answer, raw_json};
use crate::auth::Caller;
use crate::desk::Desk;
use crate::problem::Fault;
use crate::{Api, Shared};

/// The request header by which a caller names a call that it may repeat.
pub(crate) const HEADER: &str = "idempotency-key";

/// Told with an answer that is given again.
const REPLAYED: &str = "idempotency-replayed";

/// The longest key, in bytes. Source: contract DEL-8.
const KEY_BYTES_MAX: usize = 64;

/// How long an answer is kept after its call began. Source: contract DEL-8.
const WINDOW: Duration = Duration::from_secs(600);

/// How keys begin that packages make for their repeats.
const AUTOMATIC: &[u8] = b"auto-";

/// How long an answer is kept to a call with such a key: longer than any package repeats a call.
const AUTOMATIC_WINDOW: Duration = Duration::from_secs(120);

/// Names a call: the hash of who calls, what for, and the key.
type Name = [u8; 16];

/// The hash of a body.
type Digest = [u8; 16];

/// An answer that can be given again.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    /// The HTTP status of the first answer.
    pub(crate) status: StatusCode,
    /// The JSON body of the first answer, given again unchanged.
    pub(crate) body: Bytes,
}

/// What a call with a key is told.
#[derive(Debug, Clone)]
struct Told {
    result: Result<Reply, Fault>,
    /// It comes from a process before this one.
    is_recalled: bool,
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
#[derive(Clone)]
pub(crate) struct Keyed {
    api: Shared,
    desk: Arc<Desk>,
    /// The app that the call is about, or nothing.
    app: String,
    name: Name,
    body: Digest,
    /// A package has made the key.
    is_automatic: bool,
    /// The answer shows a secret, which is written nowhere.
    has_secret: bool,
}

/// The key of a call about an app, if it states one: `scope` says what the key is unique for
/// (contract DEL-8: sender and destination), `body` what has to be equal in a repeat.
///
/// # Errors
/// As [`key`].
pub(crate) fn keyed(
    (api, caller): (&Shared, &Caller),
    headers: &HeaderMap,
    scope: &[&str],
    body: &[u8],
) -> Result<Option<Keyed>, Fault> {
    let key = key(headers)?;
    Ok(key.map(|key| Keyed {
        api: api.clone(),
        desk: caller.desk.clone(),
        app: caller.app.as_str().to_owned(),
        name: name(scope, key),
        body: digest(&[body]),
        is_automatic: key.starts_with(AUTOMATIC),
        has_secret: false,
    }))
}

/// Executes a call once per key; without a key, it is simply executed.
///
/// A call with a key goes on when its caller goes away.
///
/// # Errors
/// Those of the work; 422 for a key that was used with another body; 409 for an answer that was not
/// kept over a restart.
pub(crate) async fn once<F>(keyed: Option<Keyed>, work: F) -> Answer
where
    F: Future<Output = Result<Reply, Fault>> + Send + 'static,
{
    let Some(keyed) = keyed else {
        return work.await.map(answer);
    };
    let replays = &keyed.desk.replays;
    match replays.find(keyed.name, keyed.body, keyed.is_automatic)? {
        Found::Unkept => work.await.map(answer),
        Found::First(to) => {
            let mut reply = to.subscribe();
            tokio::spawn(async move {
                let told = keyed.recall_or(work).await;
                if told.result.as_ref().is_err_and(may_be_repeated) {
                    keyed.desk.replays.forget(&keyed.name);
                }
                let _ = to.send(Some(told));
            });
            let told = table::told(&mut reply).await?;
            let mut first = told.result.map(answer)?;
            if told.is_recalled {
                mark_replayed(&mut first);
            }
            Ok(first)
        }
        Found::Again(mut reply) => {
            let mut again = table::told(&mut reply).await?.result.map(answer)?;
            mark_replayed(&mut again);
            Ok(again)
        }
    }
}

impl Keyed {
    /// What a process before this one has answered, or what the work says.
    async fn recall_or(&self, work: impl Future<Output = Result<Reply, Fault>> + Send) -> Told {
        if !self.is_automatic {
            match self.recall().await {
                Ok(None) => {}
                Ok(Some(reply)) => {
                    return Told {
                        result: Ok(reply),
                        is_recalled: true,
                    };
                }
                Err(fault) => {
                    return Told {
                        result: Err(fault),
                        is_recalled: false,
                    };
                }
            }
        }
        let begun_ms = self.api.unix_ms();
        let result = work.await;
        if let Ok(reply) = &result
            && !self.is_automatic
        {
            self.keep(begun_ms, reply).await;
        }
        Told {
            result,
            is_recalled: false,
        }
    }
}

fn mark_replayed(response: &mut Response<Body>) {
    let header = HeaderName::from_static(REPLAYED);
    let headers = response.headers_mut();
    headers.insert(header, HeaderValue::from_static("true"));
}

/// Whether nothing has happened that a repeat could double.
fn may_be_repeated(fault: &Fault) -> bool {
    fault.status.is_server_error() || fault.status == StatusCode::TOO_MANY_REQUESTS
}

fn answer(reply: Reply) -> Response<Body> {
    let mut response = raw_json(reply.status, reply.body);
    if reply.status == StatusCode::NO_CONTENT {
        response
            .headers_mut()
            .remove(axum::http::header::CONTENT_TYPE);
    }
    response
}

fn name(scope: &[&str], key: &[u8]) -> Name {
    let mut parts: Vec<&[u8]> = scope.iter().map(|part| part.as_bytes()).collect();
    parts.push(key);
    digest(&parts)
}

/// 128 bits: nobody finds two calls that are taken for one.
fn digest(parts: &[&[u8]]) -> Digest {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let hash: [u8; 32] = hash.finalize().into();
    let (first, _) = hash.split_first_chunk().expect("32 bytes hold 16");
    *first
}

impl Api {
    /// Whether a process before this one may have remembered keys that are still good.
    fn may_recall(&self) -> bool {
        u128::from(self.mono_ms()) < WINDOW.as_millis()
    }
}
