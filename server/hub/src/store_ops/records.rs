//! Small tables beside what hubs keep: keys of callers, bans, webhooks and the like.
//!
//! A hub asks nothing of them. The words are here because one store, one queue and one order serve
//! hubs and everybody else.

use bytes::Bytes;

/// A table. Its number is part of the keys on disk and never given to another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Table {
    /// Keys of callers of the API, hashed.
    Keys = 1,
    /// Who may not log in, join or send.
    Bans = 2,
    /// Where events go to.
    Webhooks = 3,
    /// What is on its way to a webhook, or could not be delivered.
    Deliveries = 4,
    /// Who has changed what.
    Audit = 5,
    /// What was answered to calls that may come again.
    Idempotency = 6,
    /// How far a reader has come.
    Cursors = 7,
    /// What belongs to the node itself, such as a secret that it has drawn.
    Node = 8,
}

/// Longest key of a record, in bytes.
pub const RECORD_KEY_BYTES_MAX: usize = 256;

/// Most writes that are carried out together.
pub const RECORD_WRITES_MAX: usize = 256;

/// Most records in one page, and most that one range deletion takes.
pub const RECORD_PAGE_MAX: usize = 1000;

/// Bytes of keys and values in one page; one record comes in any case.
pub const RECORD_PAGE_BYTES_MAX: usize = 1 << 20;

impl Table {
    /// All tables, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::Keys,
        Self::Bans,
        Self::Webhooks,
        Self::Deliveries,
        Self::Audit,
        Self::Idempotency,
        Self::Cursors,
        Self::Node,
    ];

    /// The table of this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|table| *table as u8 == number)
    }

    /// Its name, for an operator.
    pub fn name(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::Bans => "bans",
            Self::Webhooks => "webhooks",
            Self::Deliveries => "deliveries",
            Self::Audit => "audit",
            Self::Idempotency => "idempotency",
            Self::Cursors => "cursors",
            Self::Node => "node",
        }
    }

    /// What it may hold.
    pub fn bounds(self) -> TableBounds {
        let (records_max, value_bytes_max, when_full) = match self {
            Self::Keys => (1_000, 4 << 10, WhenFull::Refuse),
            Self::Bans => (10_000, 4 << 10, WhenFull::Refuse),
            Self::Webhooks => (100, 16 << 10, WhenFull::Refuse),
            Self::Deliveries => (10_000, 80 << 10, WhenFull::Refuse),
            Self::Audit => (20_000, 8 << 10, WhenFull::DropFirst),
            Self::Idempotency => (100_000, 4 << 10, WhenFull::Refuse),
            Self::Cursors => (10_000, 4 << 10, WhenFull::Refuse),
            Self::Node => (100, 16 << 10, WhenFull::Refuse),
        };
        TableBounds {
            records_max,
            value_bytes_max,
            when_full,
        }
    }

    /// Whether its records are let through when the disk has little space left: few and small ones
    /// by which an operator rules.
    pub fn is_vital(self) -> bool {
        matches!(
            self,
            Self::Keys | Self::Bans | Self::Webhooks | Self::Cursors | Self::Node
        )
    }
}

/// What a table may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableBounds {
    /// Most records of one scope. The scope of a record is its key up to the first slash, or
    /// nothing if there is none: keys that begin with an app's id bound each app for itself.
    pub records_max: u64,
    /// Largest value, in bytes.
    pub value_bytes_max: usize,
    /// What becomes of one record too many.
    pub when_full: WhenFull,
}

/// What becomes of one record too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// It is refused.
    Refuse,
    /// The record whose key is first in its scope goes: the oldest, in a table whose keys begin
    /// with a time.
    DropFirst,
}

/// What a write expects to find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// Anything, or nothing.
    Any,
    /// No record with this key: the write makes a new one.
    Absent,
    /// A record with exactly this value.
    Value(Bytes),
}

/// One record to write or to delete, and the state in which that is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordWrite {
    /// The table that has, or gets, the record.
    pub table: Table,
    /// Any bytes, 1 to [`RECORD_KEY_BYTES_MAX`].
    pub key: Bytes,
    /// What must be there.
    pub expect: Expect,
    /// The record; `None` deletes it.
    pub value: Option<Bytes>,
}

/// An operation on tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordOp {
    /// Carries out all writes, in their order, or none. Answer: `Written`, `Conflict`, `Full` or
    /// `TooLarge`.
    Write(Vec<RecordWrite>),
    /// Reads one record. Answer: `Value`.
    Read {
        /// The table to read from.
        table: Table,
        /// The key of the record that is read.
        key: Bytes,
    },
    /// Reads records in the order of their keys, or against it. Answer: `Page`.
    Scan {
        /// The table whose records are read.
        table: Table,
        /// What their keys begin with.
        prefix: Bytes,
        /// Only keys after this one: where to go on, forward.
        after: Option<Bytes>,
        /// Only keys before this one: where to go on, backward.
        before: Option<Bytes>,
        /// From which end they are read.
        direction: Direction,
        /// Most records, up to [`RECORD_PAGE_MAX`].
        count_max: usize,
    },
    /// Deletes records with `from <= key < until`, the first ones first and at most
    /// [`RECORD_PAGE_MAX`]. Answer: `Deleted`.
    DeleteRange {
        /// The table whose records are deleted.
        table: Table,
        /// The first key.
        from: Bytes,
        /// The first key that stays.
        until: Bytes,
    },
}

/// In which order records are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The first key first.
    Forward,
    /// The last key first.
    Backward,
}

/// An answer. All but `Failed` of [`super::StoreAnswer`] mean that what was written is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordAnswer {
    /// All is written.
    Written,
    /// A write has found something else than it expects; nothing was changed.
    Conflict {
        /// Which of the writes, from 0.
        at: usize,
        /// What is there.
        found: Option<Bytes>,
    },
    /// A scope holds as many records as it may; nothing was changed.
    Full {
        /// The table of which a scope is full.
        table: Table,
        /// How many that is.
        records_max: u64,
    },
    /// A key is empty or too long, a value too large, or there are too many writes; nothing was
    /// changed.
    TooLarge {
        /// What is wrong.
        reason: String,
    },
    /// The record, if there is one.
    Value(Option<Bytes>),
    /// Records that a scan has found; at most [`RECORD_PAGE_BYTES_MAX`] bytes of them.
    Page {
        /// Keys and values, in the order that was asked for.
        records: Vec<(Bytes, Bytes)>,
        /// Whether more follow.
        has_more: bool,
    },
    /// Records are gone.
    Deleted {
        /// How many records this operation has deleted.
        count: usize,
        /// Whether more are left in the range.
        has_more: bool,
    },
}
