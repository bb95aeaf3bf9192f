//! The embedded store: one directory, no set-up.
//!
//! The directory holds `FORMAT` (the version of what is in it), `LOCK` (held by the process that has it open)
//! and `db` (a log-structured tree with a journal). A group of operations is one batch of the journal, written
//! and synced as a whole.

mod backend;
mod backup;
mod directory;
mod inspect;
mod journal;
mod private;
mod snapshot;
mod space;

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
    /// Memory for what was read from disk, in bytes. More makes reads of cold inboxes faster.
    pub cache_bytes: u64,
    /// Journals are kept below about this many bytes, at least 64 MiB. More means fewer and larger writes in
    /// the background, and a longer start after a crash: about a second per 128 MiB.
    pub journal_bytes_max: u64,
    /// What is written is sorted in memory up to this many bytes before it goes into a table. Up to five
    /// times as much memory is used at peaks. More means fewer tables to merge, so less CPU for each message,
    /// and longer waits whenever one is freed: with 32 MiB instead of 8 a stored message took a tenth less CPU,
    /// and the longest wait was 95 ms instead of 52 (two cores, 45,000 messages a second).
    pub memtable_bytes_max: u64,
    /// Threads for the work in the background, at least 1.
    pub worker_threads: usize,
    /// Below how many free bytes new data is refused.
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
    /// A file or directory could not be made, read or written.
    #[error("{action} {path} failed")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or directory concerned.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another process has it open.
    #[error("the store {path} is in use by another process{}", holder.as_ref().map_or(String::new(), |id| format!(" (id {id})")))]
    Locked {
        /// The store's directory.
        path: PathBuf,
        /// Id of the process, if it could be read.
        holder: Option<String>,
    },
    /// A newer program has written it.
    #[error(
        "the store {path} has format version {found}, this program knows versions up to {known}"
    )]
    Newer {
        /// The store's directory.
        path: PathBuf,
        /// Version of the store.
        found: u32,
        /// Newest version of this program.
        known: u32,
    },
    /// There is something in the directory that this program did not put there.
    #[error("{path} is not a store: {reason}")]
    NotAStore {
        /// Directory of the store.
        path: PathBuf,
        /// How it shows.
        reason: String,
    },
    /// A journal is damaged before its end, so that what was acknowledged would be lost.
    #[error("the journal {path} is damaged at byte {offset}, {bytes_after} bytes before its end")]
    JournalDamaged {
        /// File of the journal.
        path: PathBuf,
        /// Where the damage begins.
        offset: u64,
        /// How much comes from there on.
        bytes_after: u64,
    },
    /// The tree could not be opened.
    #[error("the database {path} could not be opened")]
    Database {
        /// Directory of the store.
        path: PathBuf,
        /// What it said.
        #[source]
        source: Box<fjall::Error>,
    },
}

impl OpenError {
    /// What to do about it.
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
    /// Opens the store in the directory, which is made if it is not there.
    ///
    /// What a crash left is set right: a group that was not completely written is cut off.
    ///
    /// # Errors
    /// [`OpenError`]; no file is changed then, but for a torn end of a journal.
    pub fn open(path: &Path, options: &Options) -> Result<Self, OpenError> {
        // An empty path means the current directory to some calls and nothing to others.
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
    /// The disk could not be read.
    pub fn verify(&self) -> io::Result<VerifyReport> {
        inspect::verify(&self.store.backend)
    }

    /// Writes every record as a line of JSON, sorted by key. Bodies are given as their length only.
    ///
    /// # Errors
    /// The disk could not be read or the writer not written.
    pub fn dump(&self, writer: &mut dyn io::Write) -> io::Result<()> {
        inspect::dump(&self.store.backend, writer)
    }

    /// A way to take snapshots of the store while it is in use, also from other threads.
    pub fn snapshots(&self) -> Snapshots {
        self.store.backend.snapshots()
    }

    /// Bytes that the store takes on disk.
    ///
    /// # Errors
    /// The directory could not be read.
    pub fn disk_bytes(&self) -> io::Result<u64> {
        self.store.backend.disk_bytes()
    }

    /// Replaces the way in which free space is measured, for tests of a full disk.
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
}
