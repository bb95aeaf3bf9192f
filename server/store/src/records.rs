//! Small durable tables, for everybody who is no hub: keys, bans, webhooks, deliveries, audit.
//!
//! They are in the same engine as what hubs keep, go through the same group commits, and are part
//! of backups, of `verify` and of a dump. An answer means that what was written is on disk. What
//! each table may hold: [`Table::bounds`].
//!
//! ```
//! use tidings_store::records::{Records, Table};
//! use tidings_store::{Committer, MemoryEngine};
//!
//! let committer = Committer::open(MemoryEngine::new(), |_, _| ())?;
//! let records = Records::new(committer.submitter());
//! records.put(Table::Bans, "app/alice", "until 5").wait()?;
//! let found = records.get(Table::Bans, "app/alice").wait()?;
//! assert_eq!(found.as_deref(), Some(&b"until 5"[..]));
//! // Of two who write at once, one is told that it was too late.
//! let first = records.put_if(Table::Cursors, "reader", None, Some("1".into())).wait()?;
//! let second = records.put_if(Table::Cursors, "reader", None, Some("2".into())).wait()?;
//! assert_eq!(first, Ok(()));
//! assert_eq!(second, Err(Some("1".into())));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use bytes::Bytes;
use tidings_hub::store_ops::records::{Direction, RecordAnswer, RecordOp};
pub use tidings_hub::store_ops::records::{
    Expect, RECORD_KEY_BYTES_MAX, RECORD_PAGE_BYTES_MAX, RECORD_PAGE_MAX, RECORD_WRITES_MAX,
    RecordWrite, Table, TableBounds, WhenFull,
};
use tidings_hub::store_ops::{StoreAnswer, StoreOp};

use crate::committer::Submitter;
use crate::pending::{Call, Ended};

/// Why a call on tables was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The disk is full or failing, or the store has too much to do or is shutting down. Nothing
    /// was changed. Worth trying again.
    #[error("{reason}")]
    Unavailable {
        /// What happened, and what to do.
        reason: String,
    },
    /// A scope of a table is full. Nothing was changed.
    #[error("the table {} holds {records_max} records, which is all that it may; delete some first", table.name())]
    Full {
        /// Which.
        table: Table,
        /// Most records of one scope.
        records_max: u64,
    },
    /// A key, a value or the number of writes is out of bounds. Nothing was changed.
    #[error("{reason}")]
    TooLarge {
        /// Which, with its size and the bound.
        reason: String,
    },
}

/// One page of records.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecordPage {
    /// Keys and values, in the order that was asked for.
    pub records: Vec<(Bytes, Bytes)>,
    /// Continue after this key, or before it if the last come first; `None` = that was all.
    pub next: Option<Bytes>,
}

/// A write that has found something else than it expects; nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// Which of the writes, from 0.
    pub at: usize,
    /// What is there.
    pub found: Option<Bytes>,
}

/// A call on tables that is under way.
pub type RecordCall<T> = Call<T, RecordError>;

/// The tables. Cheap to clone; works from any thread, in and outside of async code.
#[derive(Clone)]
pub struct Records {
    submitter: Submitter,
}

impl std::fmt::Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Records").finish_non_exhaustive()
    }
}

impl Records {
    /// The tables of a committer's store.
    pub fn new(submitter: Submitter) -> Self {
        Self { submitter }
    }

    /// Writes a record, whatever was there.
    ///
    /// # Errors
    /// [`RecordError`], when awaited.
    pub fn put(
        &self,
        table: Table,
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
    ) -> RecordCall<()> {
        let write = RecordWrite {
            table,
            key: key.into(),
            expect: Expect::Any,
            value: Some(value.into()),
        };
        self.call(RecordOp::Write(vec![write]), |answer| match answer {
            RecordAnswer::Written => Ok(()),
            other => Err(unexpected(other)),
        })
    }

    /// Writes or deletes (`None`) a record if the present one is exactly `expected`; `None` = if
    /// there is none. `Err` has what is there instead.
    ///
    /// # Errors
    /// [`RecordError`], when awaited.
    pub fn put_if(
        &self,
        table: Table,
        key: impl Into<Bytes>,
        expected: Option<Bytes>,
        value: Option<Bytes>,
    ) -> RecordCall<Result<(), Option<Bytes>>> {
        let write = RecordWrite {
            table,
            key: key.into(),
            expect: expected.map_or(Expect::Absent, Expect::Value),
            value,
        };
        self.call(RecordOp::Write(vec![write]), |answer| match answer {
            RecordAnswer::Written => Ok(Ok(())),
            RecordAnswer::Conflict { found, .. } => Ok(Err(found)),
            other => Err(unexpected(other)),
        })
    }

    /// Carries out several writes, of any tables, as a whole or not at all.
    ///
    /// # Errors
    /// [`RecordError`], when awaited.
    pub fn write(&self, writes: Vec<RecordWrite>) -> RecordCall<Result<(), Conflict>> {
        self.call(RecordOp::Write(writes), |answer| match answer {
            RecordAnswer::Written => Ok(Ok(())),
            RecordAnswer::Conflict { at, found } => Ok(Err(Conflict { at, found })),
            other => Err(unexpected(other)),
        })
    }

    /// Deletes a record, if there is one.
    ///
    /// # Errors
    /// [`RecordError`], when awaited.
    pub fn delete(&self, table: Table, key: impl Into<Bytes>) -> RecordCall<()> {
        let write = RecordWrite {
            table,
            key: key.into(),
            expect: Expect::Any,
            value: None,
        };
        self.call(RecordOp::Write(vec![write]), |answer| match answer {
            RecordAnswer::Written => Ok(()),
            other => Err(unexpected(other)),
        })
    }

    /// Deletes records with `from <= key < until`, at most [`RECORD_PAGE_MAX`] of them. Returns how
    /// many, and whether more are left.
    ///
    /// # Errors
    /// [`RecordError`], when awaited.
    pub fn delete_range(
        &self,
        table: Table,
        from: impl Into<Bytes>,
        until: impl Into<Bytes>,
    ) -> RecordCall<(usize, bool)> {
        let op = RecordOp::DeleteRange {
            table,
            from: from.into(),
            until: until.into(),
        };
        self.call(op, |answer| match answer {
            RecordAnswer::Deleted { count, has_more } => Ok((count, has_more)),
            other => Err(unexpected(other)),
        })
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`RecordError::Unavailable`], when awaited.
    pub fn get(&self, table: Table, key: impl Into<Bytes>) -> RecordCall<Option<Bytes>> {
        let key = key.into();
        self.call(RecordOp::Read { table, key }, |answer| match answer {
            RecordAnswer::Value(value) => Ok(value),
            other => Err(unexpected(other)),
        })
    }

    /// Reads records whose keys begin with `prefix`, in the order of their keys, at most
    /// [`RECORD_PAGE_MAX`] at a time and fewer if they are large: go on after `next`.
    ///
    /// # Errors
    /// [`RecordError::Unavailable`], when awaited.
    pub fn scan(
        &self,
        table: Table,
        prefix: impl Into<Bytes>,
        after: Option<Bytes>,
        limit: usize,
    ) -> RecordCall<RecordPage> {
        self.page(RecordOp::Scan {
            table,
            prefix: prefix.into(),
            after,
            before: None,
            direction: Direction::Forward,
            count_max: limit,
        })
    }

    /// Reads all records of a table with keys between two, the last key first; as for
    /// [`Self::scan`], but go on before `next`.
    ///
    /// # Errors
    /// [`RecordError::Unavailable`], when awaited.
    pub fn scan_back(
        &self,
        table: Table,
        (after, before): (Option<Bytes>, Option<Bytes>),
        limit: usize,
    ) -> RecordCall<RecordPage> {
        self.page(RecordOp::Scan {
            table,
            prefix: Bytes::new(),
            after,
            before,
            direction: Direction::Backward,
            count_max: limit,
        })
    }

    fn page(&self, op: RecordOp) -> RecordCall<RecordPage> {
        self.call(op, |answer| match answer {
            RecordAnswer::Page { records, has_more } => {
                let last = records.last().map(|(key, _)| key.clone());
                let next = last.filter(|_| has_more);
                Ok(RecordPage { records, next })
            }
            other => Err(unexpected(other)),
        })
    }

    fn call<T: Send + 'static>(
        &self,
        op: RecordOp,
        read: fn(RecordAnswer) -> Result<T, RecordError>,
    ) -> RecordCall<T> {
        let (sender, call) = Call::new();
        self.submitter
            .submit_one(StoreOp::Record(Box::new(op)), move |answer| {
                let result = match answer {
                    StoreAnswer::Record(answer) => read(*answer),
                    StoreAnswer::Failed { reason } => Err(RecordError::Unavailable { reason }),
                    other => Err(RecordError::Unavailable {
                        reason: format!("the store has answered {other:?}; report this as a bug"),
                    }),
                };
                // Whoever has asked may have gone.
                let _ = sender.send(result);
            });
        call
    }
}

fn unexpected(answer: RecordAnswer) -> RecordError {
    match answer {
        RecordAnswer::Full { table, records_max } => RecordError::Full { table, records_max },
        RecordAnswer::TooLarge { reason } => RecordError::TooLarge { reason },
        other => RecordError::Unavailable {
            reason: format!("the store has answered {other:?}; report this as a bug"),
        },
    }
}

impl Ended for RecordError {
    fn ended() -> Self {
        Self::Unavailable {
            reason: "the store has ended; restart the server".into(),
        }
    }
}
