//! The store contract: what every engine does for the hubs.

use std::sync::Arc;

use tidings_hub::store_ops::{StoreAnswer, StoreOp};
use tidings_wire::names::AppId;

use crate::usage::Bounds;

/// A store, driven from one thread.
///
/// The vocabulary and its meaning are the hub's ([`tidings_hub::store_ops`]). What it leaves open, every
/// engine settles in the same way, and [`crate::contract`] tests it:
/// - A message that could not stay even as the only one of its inbox (more bytes than `bytes_max`, or
///   `messages_max` is 0) is answered `Failed`.
/// - The entries named in an attribute write are stamped with its `now_ts`. Of two entries with one key, the
///   later counts.
/// - Bounds of attributes hold for `Set` and `Merge`. A deletion is never refused, so that a set that is
///   over a bound which was lowered can shrink.
/// - A set without entries is no set: it has no `touched_ts` and is not listed.
/// - `touched_ts` never goes back.
pub trait Engine {
    /// Carries out the operations in their order and appends one answer for each, in the same order.
    ///
    /// When it returns, every write that was not answered `Failed` is durable: the operations are one group
    /// commit. Later operations of the group see the effects of earlier ones.
    ///
    /// If the commit itself fails, all writes of the group are answered `Failed` and the engine is read-only
    /// until it is opened again, by a restart or by [`Self::tend`]. None of them is visible meanwhile; but whether
    /// such a write appears then is unknown, as the disk may hold it. It appears as a whole.
    fn apply(&mut self, ops: &[StoreOp], answers: &mut Vec<StoreAnswer>);

    /// Looks whether what keeps the engine from accepting everything has passed, and sets it right if so. Called
    /// about once a second while [`Self::health`] is not [`Access::Full`], also when there is nothing to do.
    fn tend(&mut self) {}

    /// How the engine is.
    fn health(&self) -> Health;

    /// Sets how many bytes apps may have stored: an operation with which an app would have more is answered `Failed`,
    /// with words that name the quota. Deletions pass. What the group itself adds counts with the next one.
    fn set_bounds(&mut self, bounds: Arc<Bounds>);

    /// Bytes of the messages, histories and attributes that an app has stored.
    fn stored_bytes(&mut self, app: &AppId) -> u64;
}

impl<E: Engine + ?Sized> Engine for Box<E> {
    fn apply(&mut self, ops: &[StoreOp], answers: &mut Vec<StoreAnswer>) {
        (**self).apply(ops, answers);
    }

    fn tend(&mut self) {
        (**self).tend();
    }

    fn health(&self) -> Health {
        (**self).health()
    }

    fn set_bounds(&mut self, bounds: Arc<Bounds>) {
        (**self).set_bounds(bounds);
    }

    fn stored_bytes(&mut self, app: &AppId) -> u64 {
        (**self).stored_bytes(app)
    }
}

/// How an engine is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    /// What it accepts.
    pub access: Access,
    /// Damaged records met since it was opened. A record that cannot be deleted may count more than once.
    pub damaged_records: u64,
}

/// What an engine accepts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Access {
    /// Reads and writes are served.
    #[default]
    Full,
    /// Everything but appends, attribute sets and merges, until there is space again (contract CRA-6).
    NoSpace {
        /// Free bytes of the file system when last looked at.
        free_bytes: u64,
        /// Bytes that are kept free.
        reserve_bytes: u64,
    },
    /// Reads only, until the store is opened again (contract CRA-5): by the engine itself where the disk was full and
    /// has space again, else by a restart.
    ReadOnly {
        /// What happened, in words for the operator.
        reason: String,
    },
}
