//! The backend on a log-structured tree.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fjall::{
    Database, Guard, Keyspace, KeyspaceCreateOptions, LsmError, OwnedWriteBatch, PersistMode,
};

use super::snapshot::{Slot, Snapshots};
use super::space::{Probe, SpaceWatch};
use super::{OpenError, Options, directory, journal};
use crate::kv::{Backend, Fault, Pair, Pairs, ReadError, Writes};

/// Wait before reopening a store that a full disk has stopped; each failed attempt doubles it.
const REOPEN_WAIT: Duration = Duration::from_secs(1);

/// The longest such wait.
const REOPEN_WAIT_MAX: Duration = Duration::from_secs(60);

/// The tree while it is open.
#[derive(Clone)]
pub(super) struct Tree {
    /// Order: dropped before the database, which waits for its workers.
    pub(super) records: Keyspace,
    pub(super) database: Database,
}

pub(super) struct FjallBackend {
    /// `None` = it was closed in order to be reopened, and reopening failed.
    tree: Option<Tree>,
    path: PathBuf,
    options: Options,
    space: SpaceWatch,
    slot: Slot,
    /// A write has failed in a way that reopening can cure.
    mending: Option<Mending>,
}

/// When to try to reopen.
struct Mending {
    /// The number of the group that was not written.
    group: u64,
    next_try: Instant,
    wait: Duration,
}

impl FjallBackend {
    pub(super) fn open(path: &Path, options: &Options) -> Result<Self, OpenError> {
        let tree = open_tree(path, options, journal::Ending::Torn)?;
        Ok(Self {
            slot: Slot::new(tree.clone()),
            tree: Some(tree),
            path: path.to_owned(),
            options: options.clone(),
            space: SpaceWatch::new(path.to_owned(), options.disk_reserve),
            mending: None,
        })
    }

    pub(super) fn set_space_probe(&mut self, probe: Probe) {
        self.space.set_probe(probe);
    }

    pub(super) fn snapshots(&self) -> Snapshots {
        self.slot.snapshots()
    }

    pub(super) fn disk_bytes(&self) -> io::Result<u64> {
        let tree = self
            .tree()
            .map_err(|error| io::Error::other(error.to_string()))?;
        tree.database.disk_space().map_err(io::Error::other)
    }

    fn tree(&self) -> Result<&Tree, ReadError> {
        let closed = || ReadError::Io("it is being reopened".into());
        self.tree.as_ref().ok_or_else(closed)
    }
}

/// Opens the tree, and repairs what a crash or a failed write has left.
fn open_tree(path: &Path, options: &Options, ending: journal::Ending) -> Result<Tree, OpenError> {
    let database = &directory::database_path(path);
    journal::mend(path, database, ending)?;
    let failed = |source| OpenError::Database {
        path: database.clone(),
        source: Box::new(source),
    };
    let opened = Database::builder(database)
        .cache_size(options.cache_bytes)
        .max_journaling_size(options.journal_bytes_max.max(64 << 20))
        .worker_threads(options.worker_threads.max(1))
        // Each commit asks for its own sync.
        .manual_journal_persist(true)
        .open()
        .map_err(failed)?;
    let memtable_bytes_max = options.memtable_bytes_max;
    let keyspace_options =
        || KeyspaceCreateOptions::default().max_memtable_size(memtable_bytes_max);
    let records = opened
        .keyspace("records", keyspace_options)
        .map_err(failed)?;
    directory::sync_names(path, database)?;
    Ok(Tree {
        records,
        database: opened,
    })
}

impl Backend for FjallBackend {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, ReadError> {
        self.tree()?
            .records
            .get(key)
            .map(|record| record.map(Bytes::from))
            .map_err(read_error)
    }

    fn range(&self, from: &[u8], to: &[u8]) -> Pairs<'_> {
        if from >= to {
            return Box::new(std::iter::empty());
        }
        match self.tree() {
            Ok(tree) => Box::new(tree.records.range(from..to).map(pair)),
            Err(error) => Box::new(std::iter::once(Err(error))),
        }
    }

    fn commit(&mut self, writes: Writes) -> Result<(), Fault> {
        let Some(tree) = &self.tree else {
            return Err(Fault {
                reason: "the store is being reopened".into(),
                may_heal: true,
            });
        };
        // Only this thread writes: the next number is this group's.
        let group = tree.database.seqno();
        // The data and the file size are synced; other metadata does not matter.
        let mut batch = OwnedWriteBatch::with_capacity(tree.database.clone(), writes.len())
            .durability(Some(PersistMode::SyncData));
        for (key, record) in writes {
            match record {
                Some(record) => batch.insert(&tree.records, key, record),
                None => batch.remove(&tree.records, key),
            }
        }
        batch.commit().map_err(|error| {
            let fault = fault(error);
            self.mending = fault.may_heal.then(|| Mending {
                group,
                next_try: Instant::now() + REOPEN_WAIT,
                wait: REOPEN_WAIT,
            });
            fault
        })
    }

    /// Waits for space, and for readers of a snapshot: only one tree can be open at a time.
    fn reopen(&mut self) -> Option<Result<(), String>> {
        let mending = self.mending.as_mut()?;
        let now = Instant::now();
        if now < mending.next_try || self.space.missing().is_some() || !self.slot.close() {
            return None;
        }
        mending.wait = (mending.wait * 2).min(REOPEN_WAIT_MAX);
        mending.next_try = now + mending.wait;
        let ending = journal::Ending::Failed {
            group: mending.group,
        };
        // Order: closed before it is opened, as the tree holds a lock.
        self.tree = None;
        match open_tree(&self.path, &self.options, ending) {
            Ok(tree) => {
                self.slot.open(tree.clone());
                self.tree = Some(tree);
                self.mending = None;
                Some(Ok(()))
            }
            Err(error) => {
                let source = std::error::Error::source(&error);
                let source = source.map(|source| format!(": {source}"));
                Some(Err(format!(
                    "the store has been closed since a write failed, and could not be reopened: {error}{}; it will be tried \
                     again",
                    source.unwrap_or_default()
                )))
            }
        }
    }

    fn space_missing(&mut self) -> Option<(u64, u64)> {
        self.space.missing()
    }
}

/// A failure of background work is not reported in detail. Nearly always the disk is full, and
/// nothing acknowledged is affected: that is in the journal. A write to the journal that failed for
/// a reason other than space means that the disk is faulty.
fn fault(error: fjall::Error) -> Fault {
    match error {
        fjall::Error::Io(error) => Fault {
            may_heal: matches!(
                error.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            ),
            reason: error.to_string(),
        },
        fjall::Error::Poisoned => Fault {
            reason: "an earlier write in the background failed".into(),
            may_heal: true,
        },
        other => Fault {
            reason: other.to_string(),
            may_heal: false,
        },
    }
}

pub(super) fn pair(guard: Guard) -> Result<Pair, ReadError> {
    let (key, record) = guard.into_inner().map_err(read_error)?;
    Ok((Bytes::from(key), Bytes::from(record)))
}

pub(super) fn read_error(error: fjall::Error) -> ReadError {
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(LsmError::Io(error)) => {
            match error.kind() {
                // A table that ends early has been cut off.
                io::ErrorKind::UnexpectedEof => ReadError::Damaged(error.to_string()),
                _ => ReadError::Io(error.to_string()),
            }
        }
        fjall::Error::Storage(error) => ReadError::Damaged(error.to_string()),
        fjall::Error::Decompress(_) => ReadError::Damaged("it cannot be decompressed".into()),
        other => ReadError::Io(other.to_string()),
    }
}
