//! How long a channel's attributes outlive its last member, if a note among them says so.

use crate::attributes::{AttributeAsk, AttributeStore, Attributes, SWEEP};
use crate::bus_ops::Topic;
use crate::channels::state::Channels;
use crate::config::FOR_EVER;
use crate::ids::ChannelKey;
use crate::io::Sink;
use crate::kernel::Kernel;
use crate::kernel::timers::Timer;
use crate::store_ops::{AttributeEntry, AttributeOwner, LIBRARY_KEY, StoreOp};

/// The note: seconds, in decimal digits.
const KEEP_NOTE: &str = "keep_s";

/// The longest time that counts. Source: ours; as long as a message may be kept.
const KEEP_S_MAX: u64 = 30 * 86_400;

impl Attributes {
    /// The last member is gone: its attributes are touched, and asked for their note.
    pub(crate) fn touch_channel(
        &mut self,
        channel: &ChannelKey,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let owner = AttributeOwner::Channel(channel.clone());
        let left_ts = kernel.now.unix_ms;
        let touch = StoreOp::AttributesTouch {
            owner: owner.clone(),
            now_ts: left_ts,
        };
        kernel.store_and_forget(touch, out);
        let keep_ms = kernel
            .config
            .apps
            .settings(&channel.app)
            .channel_attributes_keep_ms;
        if keep_ms < FOR_EVER {
            let channel = channel.clone();
            let pending = AttributeStore::Keep { channel, left_ts };
            let read = StoreOp::AttributesRead { owner };
            self.store(kernel, read, pending, out);
        }
    }

    /// The attributes of a channel whose last member has left then.
    pub(crate) fn apply_keep_note(
        channel: ChannelKey,
        left_ts: u64,
        entries: &[AttributeEntry],
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let is_note =
            |entry: &&AttributeEntry| entry.key.strip_prefix(LIBRARY_KEY) == Some(KEEP_NOTE);
        let note = entries.iter().find(is_note);
        let Some(keep_s) = note.and_then(|note| note.value.parse::<u64>().ok()) else {
            // No note, or none that can be read: the app's own time counts.
            return;
        };
        let wanted_ms = keep_s.min(KEEP_S_MAX) * 1_000;
        let usual_ms = kernel
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
            return kernel.store_and_forget(touch, out);
        }
        let due_ms = kernel.now.mono_ms + (left_ts + wanted_ms).saturating_sub(kernel.now.unix_ms);
        kernel
            .timers
            .set(due_ms, Timer::ChannelOver(Box::new(channel), left_ts));
    }

    /// The time of a channel is over, unless somebody has come since its last member left.
    pub(crate) fn end_channel(
        &mut self,
        channel: ChannelKey,
        left_ts: u64,
        channels: &Channels,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        if channels.has_members(&channel) {
            return;
        }
        let ask = AttributeAsk::SweepChannel {
            channel: channel.clone(),
            touched_before: left_ts,
        };
        let topic = Topic::Channel(channel);
        self.ask(kernel, topic, &SWEEP, ask, out);
    }
}
