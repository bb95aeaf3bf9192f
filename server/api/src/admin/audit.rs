//! Who has changed what, and who has looked at stored messages: one entry for each, bounded, the
//! oldest going first.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidings_store::records::{RecordCall, RecordError, RecordPage, Records, Table};

use super::looks::Looks;

/// Longest text of `before` and of `after`, in bytes of JSON; what is longer is left out.
const STATE_BYTES_MAX: usize = 3_000;

/// Most entries in one page.
pub(super) const PAGE_MAX: u64 = 100;

/// One write, as it is kept and shown. Secrets are never in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AuditEntry {
    /// Names the entry; entries after it have greater ones.
    pub cursor: String,
    /// When, in Unix milliseconds.
    pub at_ms: u64,
    /// The id of the key that was used, or `command` for a command of the server's program.
    pub by: String,
    /// Where the call came from; empty = from this machine's command line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// The id of the request.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub request_id: String,
    /// What was done: the method and the path of a call, or a command.
    pub action: String,
    /// The app that it was about, if it was about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// What was there before, as far as that is known and short.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub before: Value,
    /// What is there now.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub after: Value,
}

impl AuditEntry {
    /// An entry of a command of the server's program.
    pub fn of_command(action: &str, at_ms: u64) -> Self {
        Self {
            cursor: String::new(),
            at_ms,
            by: "command".into(),
            address: String::new(),
            request_id: String::new(),
            action: action.into(),
            app: None,
            before: Value::Null,
            after: Value::Null,
        }
    }
}

/// What a handler tells of a write, carried to the log in the extensions of its answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Audited {
    /// What was there before, without secrets.
    pub before: Value,
    /// What is there now, without secrets.
    pub after: Value,
    /// The app, where the path does not name it.
    pub app: Option<String>,
}

/// One page of entries.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct AuditPage {
    /// In the order that was asked for.
    pub items: Vec<AuditEntry>,
    /// Where to go on: give it as `after`, or as `before` where the newest come first. Null = there
    /// are no more.
    pub next: Option<String>,
}

/// The audit log: who has changed what through the API, or looked at what people wrote to each
/// other; kept in the store.
#[derive(Debug)]
pub struct Audit {
    records: Records,
    /// The newest cursor.
    newest: AtomicU64,
    /// Looks at stored messages that are in the log already.
    pub(super) looks: Looks,
}

impl Audit {
    /// The log of a store.
    pub fn new(records: Records) -> Self {
        Self {
            records,
            newest: AtomicU64::new(0),
            looks: Looks::default(),
        }
    }

    /// Writes an entry. Await it to know that it is on disk; its cursor is chosen here.
    pub fn write(&self, mut entry: AuditEntry) -> RecordCall<()> {
        entry.cursor = self.cursor(entry.at_ms);
        for state in [&mut entry.before, &mut entry.after] {
            let is_long = state.to_string().len() > STATE_BYTES_MAX;
            if is_long {
                *state = Value::String("too long for the log".into());
            }
        }
        let value = serde_json::to_vec(&entry).unwrap_or_default();
        self.records.put(Table::Audit, entry.cursor.clone(), value)
    }

    /// Microseconds of the clock; where that does not rise, one more than the last: cursors rise
    /// within a process, and across processes as far as the clock does.
    fn cursor(&self, at_ms: u64) -> String {
        let at = at_ms.saturating_mul(1_000);
        let next = |newest| Some(at.max(newest + 1));
        let before = self
            .newest
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
            .unwrap_or_else(|newest| newest);
        format!("{:020}", at.max(before + 1))
    }

    /// Entries after a cursor, the oldest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn read(&self, after: Option<&str>, limit: u64) -> Result<AuditPage, RecordError> {
        let scan = self
            .records
            .scan(Table::Audit, "", after.map(key), count(limit));
        Ok(page(scan.await?))
    }

    /// Entries between two cursors, the newest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn read_back(
        &self,
        (after, before): (Option<&str>, Option<&str>),
        limit: u64,
    ) -> Result<AuditPage, RecordError> {
        let between = (after.map(key), before.map(key));
        let scan = self.records.scan_back(Table::Audit, between, count(limit));
        Ok(page(scan.await?))
    }
}

fn key(cursor: &str) -> Bytes {
    Bytes::copy_from_slice(cursor.as_bytes())
}

fn count(limit: u64) -> usize {
    usize::try_from(limit.min(PAGE_MAX)).unwrap_or(1)
}

fn page(page: RecordPage) -> AuditPage {
    let items: Vec<AuditEntry> = page
        .records
        .iter()
        .filter_map(|(_, value)| serde_json::from_slice(value).ok())
        .collect();
    let next = page
        .next
        .map(|key| String::from_utf8_lossy(&key).into_owned());
    AuditPage { items, next }
}

/// Whether a text has the form of a cursor.
pub(super) fn is_cursor(text: &str) -> bool {
    text.len() == 20 && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use tidings_store::{Committer, MemoryEngine};

    use super::*;

    fn entry(at_ms: u64, action: &str) -> AuditEntry {
        AuditEntry {
            by: "k1".into(),
            ..AuditEntry::of_command(action, at_ms)
        }
    }

    #[test]
    fn entries_are_read_in_their_order_and_page_by_page() {
        let committer = Committer::open(MemoryEngine::new(), |_, _| ()).expect("a store");
        let audit = Audit::new(Records::new(committer.submitter()));
        // Two at once, and a clock that is set back.
        for (at_ms, action) in [(5, "a"), (5, "b"), (3, "c"), (9, "d")] {
            audit.write(entry(at_ms, action)).wait().expect("written");
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        let first = runtime.block_on(audit.read(None, 3)).expect("read");
        let actions: Vec<_> = first
            .items
            .iter()
            .map(|entry| entry.action.as_str())
            .collect();
        assert_eq!(actions, ["a", "b", "c"]);
        let next = first.next.expect("more");
        assert!(is_cursor(&next));
        let rest = runtime.block_on(audit.read(Some(&next), 3)).expect("read");
        assert_eq!(rest.items.len(), 1);
        assert_eq!(rest.next, None);
        let mut before = None;
        let mut newest_first = Vec::new();
        loop {
            let page = audit.read_back((None, before.as_deref()), 3);
            let page = runtime.block_on(page).expect("read");
            newest_first.extend(page.items.into_iter().map(|entry| entry.action));
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(newest_first, ["d", "c", "b", "a"]);
        let since = audit.read_back((Some(&next), None), 3);
        assert_eq!(runtime.block_on(since).expect("read").items.len(), 1);
    }

    #[test]
    fn a_long_state_is_left_out_and_not_the_entry() {
        let committer = Committer::open(MemoryEngine::new(), |_, _| ()).expect("a store");
        let audit = Audit::new(Records::new(committer.submitter()));
        let long = AuditEntry {
            after: Value::String("x".repeat(100_000)),
            ..entry(1, "long")
        };
        audit.write(long).wait().expect("written");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        let page = runtime.block_on(audit.read(None, 10)).expect("read");
        assert_eq!(page.items[0].after, "too long for the log");
    }
}
