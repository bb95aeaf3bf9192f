//! The backend on a log-structured tree.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, LsmError, OwnedWriteBatch, PersistMode};

use super::space::{Probe, SpaceWatch};
use super::{OpenError, Options};
use crate::kv::{Backend, Pairs, ReadError, Writes};

pub(super) struct FjallBackend {
    /// Order: dropped before the database, which waits for its workers.
    records: Keyspace,
    database: Database,
    space: SpaceWatch,
}

impl FjallBackend {
    pub(super) fn open(path: &Path, database: &Path, options: &Options) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Database {
            path: database.to_owned(),
            source: Box::new(source),
        };
        let opened = Database::builder(database)
            .cache_size(options.cache_bytes)
            .max_journaling_size(options.journal_bytes_max.max(64 << 20))
            .worker_threads(options.worker_threads.max(1))
            // Each commit says itself that it is synced.
            .manual_journal_persist(true)
            .open()
            .map_err(failed)?;
        let memtable_bytes_max = options.memtable_bytes_max;
        let keyspace_options =
            || KeyspaceCreateOptions::default().max_memtable_size(memtable_bytes_max);
        let records = opened
            .keyspace("records", keyspace_options)
            .map_err(failed)?;
        let space = SpaceWatch::new(PathBuf::from(path), options.disk_reserve);
        Ok(Self {
            records,
            database: opened,
            space,
        })
    }

    pub(super) fn set_space_probe(&mut self, probe: Probe) {
        self.space.set_probe(probe);
    }

    pub(super) fn disk_bytes(&self) -> io::Result<u64> {
        self.database.disk_space().map_err(io::Error::other)
    }
}

impl Backend for FjallBackend {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, ReadError> {
        self.records
            .get(key)
            .map(|record| record.map(Bytes::from))
            .map_err(read_error)
    }

    fn range(&self, from: &[u8], to: &[u8]) -> Pairs<'_> {
        if from >= to {
            return Box::new(std::iter::empty());
        }
        let pairs = self.records.range(from..to).map(|guard| {
            let (key, record) = guard.into_inner().map_err(read_error)?;
            Ok((Bytes::from(key), Bytes::from(record)))
        });
        Box::new(pairs)
    }

    fn commit(&mut self, writes: Writes) -> Result<(), String> {
        // Data and the size of the file are synced; its other metadata does not matter.
        let mut batch = OwnedWriteBatch::with_capacity(self.database.clone(), writes.len())
            .durability(Some(PersistMode::SyncData));
        for (key, record) in writes {
            match record {
                Some(record) => batch.insert(&self.records, key, record),
                None => batch.remove(&self.records, key),
            }
        }
        batch.commit().map_err(|error| match error {
            fjall::Error::Io(error) => error.to_string(),
            fjall::Error::Poisoned => "an earlier write in the background failed".to_owned(),
            other => other.to_string(),
        })
    }

    fn space_missing(&mut self) -> Option<(u64, u64)> {
        self.space.missing()
    }
}

fn read_error(error: fjall::Error) -> ReadError {
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(LsmError::Io(error)) => {
            match error.kind() {
                // A table that ends too early was cut.
                io::ErrorKind::UnexpectedEof => ReadError::Damaged(error.to_string()),
                _ => ReadError::Io(error.to_string()),
            }
        }
        fjall::Error::Storage(error) => ReadError::Damaged(error.to_string()),
        fjall::Error::Decompress(_) => ReadError::Damaged("it cannot be decompressed".into()),
        other => ReadError::Io(other.to_string()),
    }
}
