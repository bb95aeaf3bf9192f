//! The embedded store: one directory, nothing to set up.
//!
//! The directory holds `FORMAT` (the version of the layout), `LOCK` (held by the process that has
//! the store open) and `db` (a log-structured tree with a journal). A group of operations is one
//! batch in the journal, written and synced as a whole.

mod backend;
mod backup;
mod directory;
mod inspect;
mod inspect_events;
mod journal;
mod private;
mod snapshot;
mod space;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidings_hub::store_ops::{StoreAnswer, StoreOp};
use tidings_wire::names::AppId;

pub use self::backup::RestoreError;
pub use self::directory::FORMAT_VERSION;
pub use self::inspect::VerifyReport;
pub use self::snapshot::{Snapshot, Snapshots};
pub use self::space::{DiskReserve, Space};
use crate::engine::{Engine, Health};
use crate::store::Store;
use crate::usage::Bounds;

/// Settings of an embedded store.
#[derive(Debug, Clone)]
pub struct Options {
    /// Memory for the cache of data read from disk, in bytes. More makes reads of cold inboxes
    /// faster.
    pub cache_bytes: u64,
    /// Journals are kept below about this many bytes; at least 64 MiB. More means fewer and larger
    /// background writes, and a longer start after a crash: about a second per 128 MiB.
    pub journal_bytes_max: u64,
    /// Writes are sorted in memory up to this many bytes before they go into a table. Peaks use up
    /// to five times as much memory. More means fewer tables to merge, so less CPU per message, and
    /// longer pauses when a table is freed: with 32 MiB instead of 8 a stored message took a tenth
    /// less CPU, and the longest pause was 95 ms instead of 52 (two cores, 45,000 messages a
    /// second).
    pub memtable_bytes_max: u64,
    /// Threads for background work, at least 1.
    pub worker_threads: usize,
    /// New data is refused when fewer bytes than this are free.
    pub disk_reserve: DiskReserve,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_bytes: 64 << 20,
            journal_bytes_max: 128 << 20,
            memtable_bytes_max: 32 << 20,
            worker_threads: 3,
            disk_reserve: DiskReserve::default(),
        }
    }
}

/// Why a store could not be opened. [`Self::hint`] says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file or directory could not be created, read or written.
    #[error("{action} {path} failed")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The operating system's message.
        #[source]
        source: io::Error,
    },
    /// Another process has it open.
    #[error("the store {path} is in use by another process{}", holder.as_ref().map_or(String::new(), |id| format!(" (id {id})")))]
    Locked {
        /// The store's directory.
        path: PathBuf,
        /// Process id of the holder, if it could be read.
        holder: Option<String>,
    },
    /// A newer program has written the store.
    #[error(
        "the store {path} has format version {found}, this program knows versions up to {known}"
    )]
    Newer {
        /// The store's directory.
        path: PathBuf,
        /// Version of the store.
        found: u32,
        /// Newest version that this program reads.
        known: u32,
    },
    /// The directory holds something that this program did not put there.
    #[error("{path} is not a store: {reason}")]
    NotAStore {
        /// Directory of the store.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A journal is damaged before its end, so acknowledged writes would be lost.
    #[error("the journal {path} is damaged at byte {offset}, {bytes_after} bytes before its end")]
    JournalDamaged {
        /// The journal's file.
        path: PathBuf,
        /// Offset of the damage, in bytes.
        offset: u64,
        /// Bytes from the damage to the end.
        bytes_after: u64,
    },
    /// The tree could not be opened.
    #[error("the database {path} could not be opened")]
    Database {
        /// Directory of the store.
        path: PathBuf,
        /// The database's message.
        #[source]
        source: Box<fjall::Error>,
    },
}

impl OpenError {
    /// What to do about it, as one imperative sentence.
    pub fn hint(&self) -> &'static str {
        match self {
            OpenError::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "give the server's user the right to read and write the directory, or set another data directory"
            }
            OpenError::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                "free some space on the disk and start again"
            }
            OpenError::Io { .. } => {
                "check the disk and the path of the data directory, then start again"
            }
            OpenError::Locked { .. } => {
                "stop the other server, or give this one a data directory of its own"
            }
            OpenError::Newer { .. } => {
                "run the newer program, or restore a backup that this version has made"
            }
            OpenError::NotAStore { .. } => "set the data directory to an empty or a new directory",
            OpenError::JournalDamaged { .. } => {
                "check the disk, keep a copy of the directory and restore a backup"
            }
            OpenError::Database { .. } => {
                "check the disk; if the message is about damage, keep a copy of the directory and restore a backup"
            }
        }
    }

    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}

/// The embedded engine. Bound to one directory, which it locks.
pub struct EmbeddedEngine {
    store: Store<backend::FjallBackend>,
    /// Invariant: released last, so that no other process opens what is still being closed.
    _lock: File,
}

impl EmbeddedEngine {
    /// Opens the store in the directory, creating it if necessary.
    ///
    /// Repairs what a crash has left: a group that was not completely written is cut off.
    ///
    /// # Errors
    /// [`OpenError`]; no file has been changed then, except that a torn end of a journal may be
    /// cut.
    pub fn open(path: &Path, options: &Options) -> Result<Self, OpenError> {
        // Some system calls take an empty path for the current directory, others fail.
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let lock = directory::prepare(path)?;
        let backend = backend::FjallBackend::open(path, options)?;
        Ok(Self {
            store: Store::new(backend),
            _lock: lock,
        })
    }

    /// Reads every record and checks it against its checksum and against what belongs to it.
    ///
    /// # Errors
    /// If the disk cannot be read.
    pub fn verify(&self) -> io::Result<VerifyReport> {
        inspect::verify(&self.store.backend)
    }

    /// Writes every record as a line of JSON, sorted by key. Bodies are given as their length only.
    ///
    /// # Errors
    /// If the disk cannot be read or the writer fails.
    pub fn dump(&self, writer: &mut dyn io::Write) -> io::Result<()> {
        inspect::dump(&self.store.backend, writer)
    }

    /// A handle that takes snapshots of the store while it is in use, from any thread.
    pub fn snapshots(&self) -> Snapshots {
        self.store.backend.snapshots()
    }

    /// Disk space that the store uses, in bytes.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn disk_bytes(&self) -> io::Result<u64> {
        self.store.backend.disk_bytes()
    }

    /// Replaces the measurement of free space, for tests of a full disk.
    pub fn set_space_probe(&mut self, probe: impl FnMut() -> io::Result<Space> + Send + 'static) {
        self.store.backend.set_space_probe(Box::new(probe));
    }
}

impl Engine for EmbeddedEngine {
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
