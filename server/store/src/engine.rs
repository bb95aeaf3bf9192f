//! The store contract: what every engine does for the hubs.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidings_hub::store_ops::{StoreAnswer, StoreOp};
use tidings_wire::names::AppId;

use crate::usage::Bounds;

/// A store, driven from one thread.
///
/// The vocabulary and its meaning are the hub's ([`tidings_hub::store_ops`]). Where it leaves
/// something open, every engine decides alike, and [`crate::contract`] tests it:
/// - A message that would exceed the bounds even in an empty inbox (larger than `bytes_max`, or
///   `messages_max` is 0) is answered `Failed`.
/// - The entries named in an attribute write are stamped with its `now_ts`. Of two entries with the
///   same key, the later counts.
/// - Bounds on attributes apply to `Set` and `Merge`. A deletion is never refused, so that a set
///   that exceeds a lowered bound can shrink.
/// - An empty set is treated as absent: it has no `touched_ts` and is not listed.
/// - `touched_ts` never goes backwards.
pub trait Engine {
    /// Carries out the operations in their order and appends one answer for each, in the same
    /// order.
    ///
    /// When it returns, every write that was not answered `Failed` is durable: the operations are
    /// one group commit. Later operations of the group see the effects of earlier ones.
    ///
    /// If the commit itself fails, all writes of the group are answered `Failed`, and the engine is
    /// read-only until it is reopened, by a restart or by [`Self::tend`]. None of the writes is
    /// visible until then. After that the group appears as a whole or not at all; which of the two
    /// is unknown, because the disk may hold it.
    fn apply(&mut self, ops: &[StoreOp], answers: &mut Vec<StoreAnswer>);

    /// Checks whether the reason for not accepting everything has passed, and recovers if so.
    /// Called about once a second while [`Self::health`] is not [`Access::Full`], even when there
    /// is nothing to do.
    fn tend(&mut self) {}

    /// The engine's health.
    fn health(&self) -> Health;

    /// Sets how many bytes each app may store. An operation that would take an app over its quota
    /// is answered `Failed`, with a reason that names the quota. Deletions are always carried out.
    /// What a group adds counts from the next group on.
    fn set_bounds(&mut self, bounds: Arc<Bounds>);

    /// Bytes of the messages, histories and attributes that an app has stored.
    fn stored_bytes(&mut self, app: &AppId) -> u64;

    /// How many operations were refused for their app's quota since the last call, by app.
    /// Engines without quotas refuse none.
    fn take_quota_refusals(&mut self) -> BTreeMap<AppId, u64> {
        BTreeMap::new()
    }
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

    fn take_quota_refusals(&mut self) -> BTreeMap<AppId, u64> {
        (**self).take_quota_refusals()
    }
}

/// An engine's health.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    /// What the engine accepts.
    pub access: Access,
    /// Damaged records found since it was opened. A record that cannot be deleted may be counted
    /// more than once.
    pub damaged_records: u64,
}

/// Which operations an engine accepts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Access {
    /// All reads and writes.
    #[default]
    Full,
    /// Everything except appends, attribute sets and merges, until there is space again (contract
    /// CRA-6).
    NoSpace {
        /// Free bytes of the file system when last looked at.
        free_bytes: u64,
        /// Bytes kept in reserve.
        reserve_bytes: u64,
    },
    /// Reads only, until the store is reopened (contract CRA-5): by the engine itself once a full
    /// disk has space again, otherwise by a restart.
    ReadOnly {
        /// What happened, in words for the operator.
        reason: String,
    },
}
