//! The store in memory: for the simulator and for tests.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use tidings_hub::store_ops::{StoreAnswer, StoreOp};
use tidings_wire::names::AppId;

use crate::engine::{Engine, Health};
use crate::keys::Kind;
use crate::kv::{Backend, Fault, Pairs, ReadError, Writes};
use crate::store::Store;
use crate::usage::Bounds;

/// An engine that keeps everything in memory, with the records and the logic of the embedded one.
///
/// A clone copies what is stored; [`Self::reopen`] does what a restart does.
///
/// ```
/// use tidings_hub::{ids::UserKey, store_ops::{AttributeOwner, StoreAnswer, StoreOp}};
/// use tidings_store::{Engine, MemoryEngine};
/// use tidings_wire::names::{AppId, UserId};
///
/// let app = AppId::parse("0123456789abcdef0123456789abcdef")?;
/// let owner = AttributeOwner::User(UserKey { app, user: UserId::parse("alice")? });
/// let mut answers = Vec::new();
/// MemoryEngine::new().apply(&[StoreOp::AttributesRead { owner }], &mut answers);
/// assert_eq!(answers, [StoreAnswer::Attributes(Vec::new())]);
/// # Ok::<(), tidings_wire::names::NameError>(())
/// ```
#[derive(Default)]
pub struct MemoryEngine {
    store: Store<MemoryBackend>,
}

impl MemoryEngine {
    /// Makes an empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same store after a restart: durable writes are present, a failure is forgotten.
    pub fn reopen(self) -> Self {
        let records = self.store.backend.records;
        Self {
            store: Store::new(MemoryBackend {
                records,
                ..MemoryBackend::default()
            }),
        }
    }

    /// Makes the next commit fail, as if the disk had reported an error. The engine is read-only
    /// from then on.
    pub fn fail_next_commit(&mut self, reason: &str) {
        self.store.backend.failure = Some(reason.to_owned());
    }

    /// Cuts the power after this many more commits: later ones are acknowledged and lost, until
    /// [`Self::reopen`].
    pub fn cut_power_after(&mut self, commits: u64) {
        self.store.backend.commits_left = Some(commits);
    }

    /// Sets free bytes and reserve; while it is `Some`, the engine accepts no new data.
    pub fn set_space_missing(&mut self, free_and_reserve: Option<(u64, u64)>) {
        self.store.backend.space_missing = free_and_reserve;
    }

    /// Flips a bit in the last byte of the record at `index` in key order. Returns whether there
    /// was such a record.
    pub fn damage_record(&mut self, index: usize) -> bool {
        let mut records = self.store.backend.records.values_mut();
        records
            .nth(index)
            .map(|it| damage(it, usize::MAX))
            .is_some()
    }

    /// Flips a bit in the byte `at`, or in the last one if the record is shorter, of the record at
    /// `index` among those that belong to no stream of events, in key order.
    pub fn damage_record_at(&mut self, index: usize, at: usize) -> bool {
        let records = self.store.backend.records.iter_mut();
        let mut others = records.filter(|(key, _)| !is_of_events(key));
        others.nth(index).map(|(_, it)| damage(it, at)).is_some()
    }

    /// Number of records.
    pub fn record_count(&self) -> usize {
        self.store.backend.records.len()
    }
}

fn damage(record: &mut Bytes, at: usize) {
    let mut bytes = record.to_vec();
    let at = at.min(bytes.len().saturating_sub(1));
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1;
    }
    *record = bytes.into();
}

fn is_of_events(key: &[u8]) -> bool {
    const KINDS: [Kind; 7] = [
        Kind::Event,
        Kind::EventChannel,
        Kind::EventHead,
        Kind::EventUser,
        Kind::OpenLogin,
        Kind::OpenMember,
        Kind::Queued,
    ];
    KINDS.iter().any(|kind| key.first() == Some(&(*kind as u8)))
}

impl Clone for MemoryEngine {
    fn clone(&self) -> Self {
        Self {
            store: Store::new(self.store.backend.clone()),
        }
    }
}

impl Engine for MemoryEngine {
    fn apply(&mut self, ops: &[StoreOp], answers: &mut Vec<StoreAnswer>) {
        self.store.apply(ops, answers);
    }

    fn tend(&mut self) {
        self.store.tend();
    }

    fn health(&self) -> Health {
        self.store.health().clone()
    }

    fn set_bounds(&mut self, bounds: Arc<Bounds>) {
        self.store.set_bounds(bounds);
    }

    fn stored_bytes(&mut self, app: &AppId) -> u64 {
        self.store.stored_bytes(app)
    }

    fn take_quota_refusals(&mut self) -> BTreeMap<AppId, u64> {
        self.store.take_quota_refusals()
    }
}

#[derive(Clone, Default)]
struct MemoryBackend {
    records: BTreeMap<Bytes, Bytes>,
    failure: Option<String>,
    space_missing: Option<(u64, u64)>,
    /// Commits left before the power fails.
    commits_left: Option<u64>,
}

impl Default for Store<MemoryBackend> {
    fn default() -> Self {
        Store::new(MemoryBackend::default())
    }
}

impl Backend for MemoryBackend {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, ReadError> {
        Ok(self.records.get(key).cloned())
    }

    fn range(&self, from: &[u8], to: &[u8]) -> Pairs<'_> {
        if from >= to {
            return Box::new(std::iter::empty());
        }
        let pairs = self
            .records
            .range::<[u8], _>((Bound::Included(from), Bound::Excluded(to)));
        Box::new(pairs.map(|(key, record)| Ok((key.clone(), record.clone()))))
    }

    fn commit(&mut self, writes: Writes) -> Result<(), Fault> {
        if let Some(reason) = self.failure.take() {
            let may_heal = false;
            return Err(Fault { reason, may_heal });
        }
        match &mut self.commits_left {
            Some(0) => return Ok(()),
            Some(left) => *left -= 1,
            None => {}
        }
        for (key, record) in writes {
            match record {
                Some(record) => self.records.insert(key, record),
                None => self.records.remove(&key),
            };
        }
        Ok(())
    }

    fn space_missing(&mut self) -> Option<(u64, u64)> {
        self.space_missing
    }
}
