//! What this crate asks of the rest of the server: records, events and the time.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::error::Fault;

/// An answer that is waited for.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A table of [`Records`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Subscriptions and moderation rules.
    Webhooks,
    /// Where each subscription is.
    Cursors,
    /// The last deliveries, and dead letters.
    Deliveries,
}

/// A record with its key.
pub type Row = (String, Vec<u8>);

/// Small durable records, by table and key.
pub trait Records: Send + Sync + 'static {
    /// The record of a key.
    ///
    /// # Errors
    /// [`Fault`]
    fn get(&self, table: Table, key: String) -> Later<'_, Result<Option<Vec<u8>>, Fault>>;
    /// Writes changes, `None` to delete, all together; they are durable when this returns.
    ///
    /// # Errors
    /// [`Fault`]: nothing was written, or it is not known whether it was.
    fn write(&self, changes: Vec<Change>) -> Later<'_, Result<(), Fault>>;
    /// At most `limit` records whose key begins with `prefix`, in order, after the key `after`.
    ///
    /// # Errors
    /// [`Fault`]
    fn scan(
        &self,
        table: Table,
        prefix: String,
        after: Option<String>,
        limit: usize,
    ) -> Later<'_, Result<Vec<Row>, Fault>>;
}

/// A record to write or to delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The table that has, or gets, the record.
    pub table: Table,
    /// The record's key, unique in its table.
    pub key: String,
    /// The record; `None` = it is deleted.
    pub value: Option<Vec<u8>>,
}

/// One event of an app's stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = WebhookEvent)]
pub struct Event {
    /// Its number in the app's stream, from 1; 0 = a sample.
    pub number: u64,
    /// The place behind it: where reading goes on. A text that only the stream reads.
    #[serde(default)]
    pub place: String,
    /// When it happened, in Unix milliseconds.
    pub at_ms: u64,
    /// In words, `user.login`.
    pub kind: String,
    /// Whom it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Which channel it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Its number among the events of its user or channel.
    #[serde(default)]
    pub order: u64,
    /// What else is told about it.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub detail: Map<String, Value>,
}

/// The kind of an event that tells that others are missing; `missing` in its detail says how many,
/// if that is known.
pub const GAP: &str = "gap";

/// The durable streams of events, one per app.
pub trait EventSource: Send + Sync + 'static {
    /// At most `limit` events behind the place `after`, in order. Missing ones are told by a
    /// [`GAP`]; a place that the stream does not know is the one before its oldest event, and a
    /// gap.
    ///
    /// # Errors
    /// [`Fault`]
    fn read(
        &self,
        app: String,
        after: String,
        limit: usize,
    ) -> Later<'_, Result<Vec<Event>, Fault>>;
    /// The place behind the newest event.
    ///
    /// # Errors
    /// [`Fault`]
    fn newest(&self, app: String) -> Later<'_, Result<String, Fault>>;
    /// Returns when there may be events behind the place `after`; too early does no harm.
    fn wait(&self, app: String, after: String) -> Later<'_, ()>;
}

/// The time by which deliveries are repeated.
pub trait Clock: Send + Sync + 'static {
    /// The time now, in Unix milliseconds.
    fn now_ms(&self) -> u64;
    /// Returns when that time has come.
    fn sleep_until(&self, at_ms: u64) -> Later<'_, ()>;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct WallClock;

/// A wall clock that is set forward is noticed within this time.
const LOOK: Duration = Duration::from_secs(60);

impl Clock for WallClock {
    fn now_ms(&self) -> u64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn sleep_until(&self, at_ms: u64) -> Later<'_, ()> {
        Box::pin(async move {
            loop {
                let left = Duration::from_millis(at_ms.saturating_sub(self.now_ms()));
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(LOOK)).await;
            }
        })
    }
}
