//! How much each app has stored, and which apps have reached their quota.
//!
//! Counts the records of messages, histories and attributes as they are written and deleted, in the
//! same commit. A store written before usage was counted is scanned once.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidings_hub::store_ops::{AttributeOwner, StoreOp};
use tidings_wire::names::AppId;
use tidings_wire::proto::AttributeWrite;

use crate::keys::{Key, Kind};
use crate::kv::{Backend, Writes};
use crate::record;

/// Most bytes that each app may store; an app that is not listed has no quota.
pub type Bounds = BTreeMap<AppId, u64>;

/// Bytes stored by each app.
#[derive(Default)]
pub(crate) struct Usage {
    /// `None` = not scanned yet. Bound: the apps that have stored something at any time.
    bytes: Option<BTreeMap<AppId, u64>>,
    bounds: Arc<Bounds>,
    /// Operations refused for an app's quota since somebody last took the counts. Bound: the apps
    /// that have a quota.
    refusals: BTreeMap<AppId, u64>,
}

impl Usage {
    pub(crate) fn set_bounds(&mut self, bounds: Arc<Bounds>) {
        self.bounds = bounds;
    }

    /// The store was reopened, so the figures are read again.
    pub(crate) fn forget(&mut self) {
        self.bytes = None;
    }

    /// Bytes that an app has stored.
    pub(crate) fn of(&mut self, backend: &impl Backend, app: &AppId) -> u64 {
        let bytes = self
            .bytes
            .get_or_insert_with(|| load(backend).unwrap_or_else(|| count(backend)));
        bytes.get(app).copied().unwrap_or(0)
    }

    /// Why an operation exceeds its app's quota, if it does.
    pub(crate) fn refusal(&mut self, backend: &impl Backend, op: &StoreOp) -> Option<String> {
        if self.bounds.is_empty() {
            return None;
        }
        let (app, more) = growth(op)?;
        let max = *self.bounds.get(app)?;
        let bytes = self.of(backend, app);
        if bytes.saturating_add(more) <= max {
            return None;
        }
        *self.refusals.entry(app.clone()).or_default() += 1;
        Some(format!(
            "app {app} has stored {bytes} bytes and its quota max_bytes is {max}; the operator sets it with \
             `tidings app set {app} max_bytes=…`, and what is stored goes with its age"
        ))
    }

    /// How many operations were refused since the last call, by app.
    pub(crate) fn take_refusals(&mut self) -> BTreeMap<AppId, u64> {
        std::mem::take(&mut self.refusals)
    }

    /// Counts the writes about to be committed, and adds the new figures to the same commit.
    pub(crate) fn count_in(&mut self, backend: &impl Backend, writes: &mut Writes) {
        let is_first = !matches!(backend.get(&Key::UsageKnown.encode()), Ok(Some(_)));
        let mut changes: BTreeMap<AppId, i64> = BTreeMap::new();
        for (key, record) in &*writes {
            let Some((kind, app)) = counted(key) else {
                continue;
            };
            let after = record.as_ref().map(|record| weight(key, record));
            // A message's number is used only once, so a new message replaces none.
            let is_new = after.is_some() && kind != Kind::Attributes;
            let before = if is_new {
                None
            } else {
                backend.get(key).ok().flatten()
            };
            let before = before.map(|record| weight(key, &record));
            *changes.entry(app).or_default() += after.unwrap_or(0) - before.unwrap_or(0);
        }
        if changes.is_empty() {
            return;
        }
        for app in changes.keys() {
            self.of(backend, app);
        }
        let Some(bytes) = &mut self.bytes else {
            return;
        };
        for (app, change) in &changes {
            let have = bytes.entry(app.clone()).or_default();
            *have = have.saturating_add_signed(*change);
        }
        let mut put = |key: Key, number: u64| {
            let key = key.encode();
            let record = record::seal_number(&key, number);
            writes.insert(key.into(), Some(record));
        };
        for (app, bytes) in &*bytes {
            if is_first || changes.contains_key(app) {
                put(Key::Usage(app.clone()), *bytes);
            }
        }
        if is_first {
            put(Key::UsageKnown, 1);
        }
    }
}

/// Bytes that a record counts.
fn weight(key: &[u8], record: &[u8]) -> i64 {
    i64::try_from(key.len() + record.len()).unwrap_or(i64::MAX)
}

/// The kind and the app of a record that counts.
fn counted(key: &[u8]) -> Option<(Kind, AppId)> {
    let (kind, app_at) = match *key.first()? {
        kind if kind == Kind::Message as u8 => (Kind::Message, 1),
        // The app follows the byte that tells a user from a channel.
        kind if kind == Kind::History as u8 => (Kind::History, 2),
        kind if kind == Kind::Attributes as u8 => (Kind::Attributes, 2),
        _ => return None,
    };
    let app = std::str::from_utf8(key.get(app_at..app_at + 32)?).ok()?;
    Some((kind, AppId::parse(app).ok()?))
}

/// Which app's usage would grow, and by about how many bytes; `None` = no app's.
fn growth(op: &StoreOp) -> Option<(&AppId, u64)> {
    let (app, bytes) = match op {
        StoreOp::InboxAppend { user, message, .. } => (&user.app, message.body.len()),
        StoreOp::HistoryAppend {
            conversation,
            message,
            ..
        } => (conversation.app(), message.body.len()),
        StoreOp::AttributesWrite {
            owner,
            how: AttributeWrite::Set | AttributeWrite::Merge,
            entries,
            ..
        } => {
            let app = match owner {
                AttributeOwner::User(user) => &user.app,
                AttributeOwner::Channel(channel) => &channel.app,
            };
            let sizes = entries.iter().map(|e| e.key.len() + e.value.len());
            (app, sizes.sum())
        }
        _ => return None,
    };
    Some((app, bytes as u64))
}

/// The stored figures; `None` = there are none, or some cannot be read.
fn load(backend: &impl Backend) -> Option<BTreeMap<AppId, u64>> {
    backend.get(&Key::UsageKnown.encode()).ok().flatten()?;
    let mut bytes = BTreeMap::new();
    for pair in backend.range(&[Kind::Usage as u8], &[Kind::Usage as u8 + 1]) {
        let (key, record) = pair.ok()?;
        let Some(Key::Usage(app)) = Key::decode(&key) else {
            continue;
        };
        bytes.insert(app, record::open_number(&key, &record).ok()?);
    }
    Some(bytes)
}

/// Scans the store. Records that cannot be read do not count. Cost: O(the store).
fn count(backend: &impl Backend) -> BTreeMap<AppId, u64> {
    let mut bytes: BTreeMap<AppId, u64> = BTreeMap::new();
    for kind in [Kind::Attributes, Kind::History, Kind::Message] {
        for (key, record) in backend.range(&[kind as u8], &[kind as u8 + 1]).flatten() {
            if let Some((_, app)) = counted(&key) {
                let have = bytes.entry(app).or_default();
                *have = have.saturating_add_signed(weight(&key, &record));
            }
        }
    }
    bytes
}
