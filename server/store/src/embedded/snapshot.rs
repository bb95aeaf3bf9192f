//! The store at one moment, read while it stays in use: for backups of a running server.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use fjall::Readable as _;

use super::backend::{FjallBackend, Tree, pair, read_error};
use super::{VerifyReport, backup, inspect};
use crate::kv::{Backend, Pairs, ReadError};

/// Takes snapshots. Cheap to clone; works from any thread.
#[derive(Clone)]
pub struct Snapshots {
    shared: Arc<Mutex<Shared>>,
}

/// The owner's side.
pub(super) struct Slot {
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    /// `None` = the engine has ended, or is being reopened.
    tree: Option<Tree>,
    /// Snapshots that are being read.
    readers: usize,
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Slot {
    pub(super) fn new(tree: Tree) -> Self {
        let shared = Shared {
            tree: Some(tree),
            readers: 0,
        };
        Self {
            shared: Arc::new(Mutex::new(shared)),
        }
    }

    pub(super) fn snapshots(&self) -> Snapshots {
        Snapshots {
            shared: self.shared.clone(),
        }
    }

    /// Stops handing out snapshots. `false` = one is still being read, and nothing has changed.
    pub(super) fn close(&self) -> bool {
        let mut shared = lock(&self.shared);
        let is_free = shared.readers == 0;
        if is_free {
            shared.tree = None;
        }
        is_free
    }

    pub(super) fn open(&self, tree: Tree) {
        lock(&self.shared).tree = Some(tree);
    }
}

impl Drop for Slot {
    /// A reader keeps the tree alive until it has finished; nobody else does.
    fn drop(&mut self) {
        lock(&self.shared).tree = None;
    }
}

impl Snapshots {
    /// The store as it is now: every acknowledged group, and none in part. Data replaced later
    /// stays on the disk until the snapshot is dropped, so do not keep one for long.
    ///
    /// # Errors
    /// If the store has ended, or is being reopened after a full disk.
    pub fn take(&self) -> io::Result<Snapshot> {
        let mut shared = lock(&self.shared);
        let Some(tree) = shared.tree.clone() else {
            return Err(io::Error::other("the store is not open at the moment"));
        };
        shared.readers += 1;
        drop(shared);
        let at = tree.database.snapshot();
        Ok(Snapshot {
            at: Some(at),
            tree: Some(tree),
            shared: self.shared.clone(),
        })
    }
}

/// The store at one moment.
pub struct Snapshot {
    /// Both are present until the snapshot is dropped.
    at: Option<fjall::Snapshot>,
    tree: Option<Tree>,
    shared: Arc<Mutex<Shared>>,
}

impl Snapshot {
    /// Writes every record, as [`super::EmbeddedEngine::backup`] does. Returns how many there are.
    ///
    /// # Errors
    /// If a record cannot be read, or the writer fails.
    pub fn backup(&self, writer: &mut dyn Write) -> io::Result<u64> {
        backup::write(self, writer)
    }

    /// Checks every record, as [`super::EmbeddedEngine::verify`] does.
    ///
    /// # Errors
    /// If the disk cannot be read.
    pub fn verify(&self) -> io::Result<VerifyReport> {
        inspect::verify(self)
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        // Order: the tree is released before the engine learns that it may close it.
        self.at = None;
        self.tree = None;
        lock(&self.shared).readers -= 1;
    }
}

/// What can be read in key order: an engine's own tree, or a snapshot of it.
pub(super) trait Source {
    /// The record stored under a key.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, ReadError>;

    /// Pairs with `from <= key < to`.
    fn range(&self, from: &[u8], to: &[u8]) -> Pairs<'_>;
}

impl Source for Snapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, ReadError> {
        match (&self.at, &self.tree) {
            (Some(at), Some(tree)) => at
                .get(&tree.records, key)
                .map(|record| record.map(Bytes::from))
                .map_err(read_error),
            _ => Ok(None),
        }
    }

    fn range(&self, from: &[u8], to: &[u8]) -> Pairs<'_> {
        match (&self.at, &self.tree) {
            (Some(at), Some(tree)) if from < to => {
                Box::new(at.range(&tree.records, from..to).map(pair))
            }
            _ => Box::new(std::iter::empty()),
        }
    }
}

impl Source for FjallBackend {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, ReadError> {
        Backend::get(self, key)
    }

    fn range(&self, from: &[u8], to: &[u8]) -> Pairs<'_> {
        Backend::range(self, from, to)
    }
}
