//! Ages at which things are deleted: never, while the wall clock is not believed.

use tidings_wire::names::AppId;

use crate::kernel::Kernel;
use crate::store_ops::{Conversation, HistoryLimits, HistoryMessage, StoreOp};

impl Kernel {
    pub(crate) fn history_op(
        &self,
        app: &AppId,
        conversation: Conversation,
        message: HistoryMessage,
    ) -> StoreOp {
        StoreOp::HistoryAppend {
            conversation,
            message,
            limits: self.history_limits(app),
        }
    }

    /// The age at which something is deleted: never, while the wall clock is not believed (contract
    /// CRA-7).
    pub(crate) fn deletion_age_ms(&self, age_ms: u64) -> u64 {
        self.deletion_age_before(age_ms, 0)
    }

    /// The same for what is deleted because something with this stamp is added, which may be
    /// another hub's.
    pub(crate) fn deletion_age_before(&self, age_ms: u64, stamp_ms: u64) -> u64 {
        if self.clock.wall.is_believed(stamp_ms.max(self.now.unix_ms)) {
            age_ms
        } else {
            u64::MAX
        }
    }

    /// A time that somebody has read from the clock, by the clock of stamps, which never goes back.
    pub(crate) fn stamped(&self, unix_ms: u64) -> u64 {
        unix_ms.saturating_add(self.now.unix_ms.saturating_sub(self.clock.wall.unix_ms()))
    }

    /// Whether the end of something is over: never, while the wall clock is not believed (contract
    /// CRA-7).
    pub(crate) fn is_over(&self, end_ts: u64) -> bool {
        end_ts <= self.now.unix_ms && self.clock.wall.is_believed(self.now.unix_ms)
    }

    /// Bounds of a history of this app, at this time.
    pub(crate) fn history_limits(&self, app: &AppId) -> HistoryLimits {
        self.limits_before(self.config.history_limits(app), 0)
    }

    /// Bounds of a history as they are applied when a message with this stamp is added.
    pub(crate) fn limits_before(&self, limits: HistoryLimits, stamp_ms: u64) -> HistoryLimits {
        HistoryLimits {
            age_ms: self.deletion_age_before(limits.age_ms, stamp_ms),
            ..limits
        }
    }
}
