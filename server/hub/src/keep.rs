//! How long a channel's attributes outlive its last member, if a note among them says so.

use crate::attributes::{AttributeAsk, AttributeStore, SWEEP};
use crate::bus_ops::Topic;
use crate::ids::ChannelKey;
use crate::io::Sink;
use crate::store_ops::{AttributeEntry, AttributeOwner, LIBRARY_KEY, StoreOp};
use crate::timers::Timer;
use crate::{FOR_EVER, Hub};

/// The note: seconds, in decimal digits.
const KEEP_NOTE: &str = "keep_s";
/// The longest time that counts. Source: ours; as long as a message may be kept.
const KEEP_S_MAX: u64 = 30 * 86_400;

impl Hub {
    /// The last member is gone: its attributes are touched, and asked for their note.
    pub(crate) fn touch_channel(&mut self, channel: &ChannelKey, out: &mut dyn Sink) {
        let owner = AttributeOwner::Channel(channel.clone());
        let left_ts = self.kernel.now.unix_ms;
        let touch = StoreOp::AttributesTouch {
            owner: owner.clone(),
            now_ts: left_ts,
        };
        self.kernel.store_and_forget(touch, out);
        let keep_ms = self
            .kernel
            .config
            .apps
            .settings(&channel.app)
            .channel_attributes_keep_ms;
        if keep_ms < FOR_EVER {
            let channel = channel.clone();
            let pending = AttributeStore::Keep { channel, left_ts };
            let read = StoreOp::AttributesRead { owner };
            self.attributes.store(&mut self.kernel, read, pending, out);
        }
    }

    /// The attributes of a channel whose last member has left then.
    pub(crate) fn apply_keep_note(
        &mut self,
        channel: ChannelKey,
        left_ts: u64,
        entries: &[AttributeEntry],
        out: &mut dyn Sink,
    ) {
        let is_note =
            |entry: &&AttributeEntry| entry.key.strip_prefix(LIBRARY_KEY) == Some(KEEP_NOTE);
        let note = entries.iter().find(is_note);
        let Some(keep_s) = note.and_then(|note| note.value.parse::<u64>().ok()) else {
            return;
        };
        let wanted_ms = keep_s.min(KEEP_S_MAX) * 1_000;
        let usual_ms = self
            .kernel
            .config
            .apps
            .settings(&channel.app)
            .channel_attributes_keep_ms;
        if let Some(more_ms) = wanted_ms.checked_sub(usual_ms) {
            // The sweep finds them that much later.
            let touch = StoreOp::AttributesTouch {
                owner: AttributeOwner::Channel(channel),
                now_ts: left_ts + more_ms,
            };
            return self.kernel.store_and_forget(touch, out);
        }
        let due_ms =
            self.kernel.now.mono_ms + (left_ts + wanted_ms).saturating_sub(self.kernel.now.unix_ms);
        self.kernel
            .timers
            .set(due_ms, Timer::ChannelOver(Box::new(channel), left_ts));
    }

    /// The time of a channel is over, unless somebody has come since its last member left.
    pub(crate) fn end_channel(&mut self, channel: ChannelKey, left_ts: u64, out: &mut dyn Sink) {
        if self.has_members(&channel) {
            return;
        }
        let ask = AttributeAsk::SweepChannel {
            channel: channel.clone(),
            touched_before: left_ts,
        };
        let topic = Topic::Channel(channel);
        self.attributes
            .ask(&mut self.kernel, topic, &SWEEP, ask, out);
    }
}
