//! The ordered key-value map under the domain logic, and a group of operations on top of it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::iter::Peekable;
use std::ops::Bound;

use bytes::Bytes;
use tidings_hub::store_ops::records::Direction;

use crate::cache::RecordCache;

/// A key and its record.
pub(crate) type Pair = (Bytes, Bytes);

/// Changes, sorted by key; `None` deletes.
pub(crate) type Writes = BTreeMap<Bytes, Option<Bytes>>;

/// Pairs in key order, from either end. After an error, an iterator may yield more, or nothing.
pub(crate) type Pairs<'a> = Box<dyn DoubleEndedIterator<Item = Result<Pair, ReadError>> + 'a>;

/// The same, read in one direction.
type Stored<'a> = Box<dyn Iterator<Item = Result<Pair, ReadError>> + 'a>;

/// Writes of a group, in the same direction.
type Written<'a> = Box<dyn Iterator<Item = (&'a Bytes, &'a Option<Bytes>)> + 'a>;

/// Why something could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReadError {
    /// The stored bytes are not what was written.
    #[error("a stored record is damaged: {0}; restore a backup if it matters")]
    Damaged(String),
    /// A newer program has written it.
    #[error(
        "a stored record has version {version}, which is newer than this program; run the newer program"
    )]
    Newer {
        /// Version of the record.
        version: u8,
    },
    /// The disk did not return it.
    #[error("the store could not be read: {0}; check the disk and the system's log")]
    Io(String),
}

impl ReadError {
    pub(crate) fn malformed(what: &str) -> Self {
        Self::Damaged(format!(
            "a record with a correct checksum is not a valid {what}"
        ))
    }
}

/// Why a commit failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) reason: String,
    /// Whether reopening the store can help, once there is space.
    pub(crate) may_heal: bool,
}

/// An ordered map that applies changes in groups, each as a whole or not at all.
pub(crate) trait Backend {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, ReadError>;

    /// Pairs with `from <= key < to`.
    fn range(&self, from: &[u8], to: &[u8]) -> Pairs<'_>;

    /// Makes the changes durable. After an error none is visible.
    fn commit(&mut self, writes: Writes) -> Result<(), Fault>;

    /// Reopens a store that a failed write has closed, if that can help and it is time to try;
    /// `None` = not now. Afterwards everything acknowledged is present; the group whose write
    /// failed is present as a whole or not at all.
    fn reopen(&mut self) -> Option<Result<(), String>> {
        None
    }

    /// Free bytes and the reserve in bytes, if less than the reserve is free.
    fn space_missing(&mut self) -> Option<(u64, u64)> {
        None
    }
}

/// A group of operations: reads see earlier writes of the group, and each operation can be undone.
pub(crate) struct Group<'a, B> {
    backend: &'a B,
    cache: &'a RefCell<RecordCache>,
    writes: Writes,
    /// What `writes` held before the current operation changed it, oldest change first.
    undo: Vec<(Bytes, Option<Option<Bytes>>)>,
    /// Number of damaged records found.
    pub(crate) damaged: u64,
}

impl<'a, B: Backend> Group<'a, B> {
    pub(crate) fn new(backend: &'a B, cache: &'a RefCell<RecordCache>) -> Self {
        Self {
            backend,
            cache,
            writes: Writes::new(),
            undo: Vec::new(),
            damaged: 0,
        }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, ReadError> {
        if let Some(written) = self.writes.get(key) {
            return Ok(written.clone());
        }
        if let Some(record) = self.cache.borrow().get(key) {
            return Ok(Some(record));
        }
        let record = self.backend.get(key)?;
        if let Some(record) = &record {
            self.cache.borrow_mut().keep_read(key, record);
        }
        Ok(record)
    }

    /// Pairs with `from <= key < to`.
    pub(crate) fn range(
        &self,
        from: &[u8],
        to: &[u8],
    ) -> impl Iterator<Item = Result<Pair, ReadError>> {
        self.range_by(from, to, Direction::Forward)
    }

    /// The same, in the order of the keys or against it.
    pub(crate) fn range_by(
        &self,
        from: &[u8],
        to: &[u8],
        direction: Direction,
    ) -> impl Iterator<Item = Result<Pair, ReadError>> {
        let bounds = (Bound::Included(from), Bound::Excluded(to));
        let written = (from < to).then(|| self.writes.range::<[u8], _>(bounds));
        let written = written.into_iter().flatten();
        let stored = self.backend.range(from, to);
        let (written, stored): (Written<'_>, Stored<'_>) = match direction {
            Direction::Forward => (Box::new(written), Box::new(stored)),
            Direction::Backward => (Box::new(written.rev()), Box::new(stored.rev())),
        };
        Merged {
            written: written.peekable(),
            stored: stored.peekable(),
            direction,
        }
    }

    pub(crate) fn put(&mut self, key: impl Into<Bytes>, record: Bytes) {
        self.write(key.into(), Some(record));
    }

    pub(crate) fn delete(&mut self, key: impl Into<Bytes>) {
        self.write(key.into(), None);
    }

    fn write(&mut self, key: Bytes, record: Option<Bytes>) {
        let before = self.writes.insert(key.clone(), record);
        self.undo.push((key, before));
    }

    /// Accepts the writes of the current operation.
    pub(crate) fn accept(&mut self) {
        self.undo.clear();
    }

    /// Undoes the writes of the current operation.
    pub(crate) fn take_back(&mut self) {
        while let Some((key, before)) = self.undo.pop() {
            match before {
                Some(before) => self.writes.insert(key, before),
                None => self.writes.remove(&key),
            };
        }
    }

    pub(crate) fn into_writes(self) -> Writes {
        self.writes
    }
}

/// Merges the stored pairs with the group's writes, which take precedence.
struct Merged<'a> {
    written: Peekable<Written<'a>>,
    stored: Peekable<Stored<'a>>,
    direction: Direction,
}

impl Iterator for Merged<'_> {
    type Item = Result<Pair, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let stored_key = match self.stored.peek() {
                // An error has no key, so it is yielded before anything else.
                Some(Err(_)) => return self.stored.next(),
                Some(Ok((key, _))) => Some(key),
                None => None,
            };
            let Some((written_key, _)) = self.written.peek() else {
                return self.stored.next();
            };
            let is_first = |stored: &Bytes| match self.direction {
                Direction::Forward => stored < *written_key,
                Direction::Backward => stored > *written_key,
            };
            if stored_key.is_some_and(is_first) {
                return self.stored.next();
            }
            if stored_key == Some(*written_key) {
                self.stored.next();
            }
            if let Some((key, Some(record))) = self.written.next() {
                return Some(Ok((key.clone(), record.clone())));
            }
        }
    }
}
