//! How much a channel accepts per second, from all its members together. Source: signaling 7.6, 12.

use tidings_wire::rates::{Bucket, Rate};

use crate::attributes::{SENDMSG_LIMIT, SETATTR_LIMIT};
use crate::translator::Translator;

/// Messages of one channel, and the most that its attribute can allow. Source: documented,
/// signaling 12.
const MESSAGES_MAX: u32 = 200;
const WINDOW_MS: u32 = 1_000;

/// One member's view of its channel's rates. Each member counts on its own, others' actions as well
/// as its own.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    messages: Counted,
    writes: Counted,
}

#[derive(Debug, Default)]
struct Counted {
    calls: u32,
    bucket: Bucket,
}

impl Counted {
    /// Counts one more. `false` = that exceeds the rate.
    fn take(&mut self, calls: u32, now_ms: u64) -> bool {
        if self.calls != calls {
            // A bucket works for one rate only.
            *self = Self {
                calls,
                bucket: Bucket::default(),
            };
        }
        let rate = Rate {
            calls,
            window_ms: WINDOW_MS,
        };
        self.bucket.take(rate, now_ms).is_ok()
    }
}

impl Translator {
    /// Counts a message to the channel.
    pub(crate) fn pace_message(&mut self) -> bool {
        let calls = self.limit(SENDMSG_LIMIT).unwrap_or(MESSAGES_MAX);
        let now_ms = self.now.mono_ms;
        self.channels
            .pace
            .messages
            .take(calls.min(MESSAGES_MAX), now_ms)
    }

    /// Counts a change of the channel's attributes, which has no limit unless the channel sets one.
    pub(crate) fn pace_write(&mut self) -> bool {
        let Some(calls) = self.limit(SETATTR_LIMIT) else {
            return true;
        };
        let now_ms = self.now.mono_ms;
        self.channels.pace.writes.take(calls, now_ms)
    }

    fn limit(&self, name: &str) -> Option<u32> {
        let limit = self.channels.attributes.get(name)?.trim().parse().ok()?;
        (limit > 0).then_some(limit)
    }
}
