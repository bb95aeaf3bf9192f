//! Answers to calls with a key, in the store: a restart does not make a repeat a second message.
//!
//! Written when the work is done and before the caller is answered, so that every answer that a
//! caller has seen is given again. A crash between the work and the record is the one case in which
//! a repeat has a second effect.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::http::StatusCode;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tidings_store::records::{Expect, RECORD_WRITES_MAX, RecordError, RecordWrite, Records, Table};
use tidings_wire::hex;

use super::{HEADER, Keyed, Reply, WINDOW, other_body};
use crate::problem::Fault;
use crate::{Api, Shared};

/// Records that are looked at in one step.
const PAGE: usize = 500;

/// An answer on disk.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    /// When the call began, in Unix milliseconds.
    at_ms: u64,
    /// The hash of the call's body.
    body: String,
    status: u16,
    /// `None`: it shows a secret or is too long.
    reply: Option<String>,
}

impl Record {
    fn is_over(&self, now_ms: u64) -> bool {
        let window_ms = u64::try_from(WINDOW.as_millis()).unwrap_or(u64::MAX);
        self.at_ms.saturating_add(window_ms) <= now_ms
    }
}

impl Keyed {
    /// The record's key begins with the app's id, by which each app's records are bounded.
    fn record_key(&self) -> String {
        format!("{}/{}", self.app, hex(&self.name))
    }

    /// What a process before this one has answered.
    ///
    /// # Errors
    /// 422: to another body; 409: the answer was not kept; 503: the store cannot be read.
    pub(super) async fn recall(&self) -> Result<Option<Reply>, Fault> {
        if !self.api.may_recall() {
            return Ok(None);
        }
        let records = &self.api.kept_answers;
        let Some(found) = records.get(Table::Idempotency, self.record_key()).await? else {
            return Ok(None);
        };
        // What cannot be read was written by another version: nothing is known of the call.
        let Some(record) = serde_json::from_slice::<Record>(&found).ok() else {
            return Ok(None);
        };
        if record.is_over(self.api.unix_ms()) {
            return Ok(None);
        }
        if record.body != hex(&self.body) {
            return Err(other_body());
        }
        match (record.reply, StatusCode::from_u16(record.status)) {
            (Some(reply), Ok(status)) => Ok(Some(Reply {
                status,
                body: Bytes::from(reply),
            })),
            _ => Err(answer_gone()),
        }
    }

    /// Writes the answer. What cannot be written is answered all the same: the work is done.
    pub(super) async fn keep(&self, at_ms: u64, reply: &Reply) {
        let shown = std::str::from_utf8(&reply.body).ok();
        let record = Record {
            at_ms,
            body: hex(&self.body),
            status: reply.status.as_u16(),
            reply: shown.filter(|_| !self.has_secret).map(str::to_owned),
        };
        let written = match self.write(&record).await {
            Err(RecordError::TooLarge { .. }) if record.reply.is_some() => {
                let reply = None;
                self.write(&Record { reply, ..record }).await
            }
            written => written,
        };
        match written {
            Ok(()) => {}
            // Further keys of this app are remembered in memory only.
            Err(RecordError::Full { .. }) => {
                tracing::debug!(app = self.app, "no place for a key that outlives a restart");
            }
            Err(error) => {
                tracing::warn!(%error, app = self.app, "a key will not outlive a restart");
            }
        }
    }

    async fn write(&self, record: &Record) -> Result<(), RecordError> {
        let value = serde_json::to_vec(record).unwrap_or_default();
        let records = &self.api.kept_answers;
        records
            .put(Table::Idempotency, self.record_key(), value)
            .await
    }
}

fn answer_gone() -> Fault {
    let detail =
        "the call was executed before the server was restarted, and its answer was not kept";
    let hint =
        "Look at what is there before you make the call with a new key: secrets are shown once.";
    Fault::new(
        StatusCode::CONFLICT,
        "idempotency_answer_gone",
        detail,
        hint,
    )
    .on(HEADER)
}

impl Api {
    /// From the first call on, deletes what has lapsed, every ten minutes.
    pub(crate) fn sweep_kept_answers(api: &Shared) {
        if api.is_sweeping.swap(true, Ordering::Relaxed) {
            return;
        }
        let records = api.kept_answers.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(WINDOW + Duration::from_secs(1)).await;
                if let Err(error) = sweep(&records, crate::unix_ms()).await {
                    tracing::warn!(%error, "lapsed idempotency keys are not deleted yet");
                }
            }
        });
    }
}

/// Deletes the records that have lapsed.
async fn sweep(records: &Records, now_ms: u64) -> Result<(), RecordError> {
    let mut after = None;
    loop {
        let page = records
            .scan(Table::Idempotency, Bytes::new(), after, PAGE)
            .await?;
        let is_over = |value: &Bytes| {
            let record = serde_json::from_slice::<Record>(value);
            record.is_ok_and(|record| record.is_over(now_ms))
        };
        let over = page.records.into_iter().filter(|(_, value)| is_over(value));
        let writes: Vec<_> = over
            .map(|(key, value)| RecordWrite {
                table: Table::Idempotency,
                key,
                // One that was written anew since is not deleted.
                expect: Expect::Value(value),
                value: None,
            })
            .collect();
        for writes in writes.chunks(RECORD_WRITES_MAX) {
            // A conflict leaves these for the next time.
            let _ = records.write(writes.to_vec()).await?;
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use tidings_store::{Committer, MemoryEngine};

    use super::*;

    #[tokio::test]
    async fn what_has_lapsed_is_deleted_and_nothing_else() {
        let committer = Committer::open(MemoryEngine::new(), |_, _| ()).expect("a store");
        let records = Records::new(committer.submitter());
        let of = |at_ms| {
            let reply = Some("{}".to_owned());
            let record = Record {
                at_ms,
                body: String::new(),
                status: 200,
                reply,
            };
            serde_json::to_vec(&record).expect("JSON")
        };
        for n in 0..600_u64 {
            let put = records.put(Table::Idempotency, format!("a/{n:03}"), of(n));
            put.await.expect("written");
        }
        let window_ms = u64::try_from(WINDOW.as_millis()).expect("small");
        sweep(&records, window_ms + 590).await.expect("swept");
        let left = records
            .scan(Table::Idempotency, "a/", None, 1_000)
            .await
            .expect("a page");
        let left: Vec<_> = left.records.iter().map(|(key, _)| key.clone()).collect();
        let expected: Vec<Bytes> = (591..600)
            .map(|n| Bytes::from(format!("a/{n:03}")))
            .collect();
        assert_eq!(left, expected);
    }
}
