//! Channels over several nodes: what is missed of another node, and what becomes of the members of
//! one that is lost.
//!
//! What hubs of one node publish on a topic reaches another node through one hub of theirs. If
//! some of it is lost on the way, the members here are told of a gap, and the members there are
//! compared: each hub says how far its changes have come, and one that is ahead of what is known
//! here publishes all its members, in the topic's order. That is repeated until everything fits.

use tidings_wire::frame::encode_server;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{Gap, GapCause, gap};

use crate::bus_ops::{Answer, Asker, Progress, Question, Topic};
use crate::channels::kept::Word;
use crate::channels::members::Missing;
use crate::channels::state::{ChannelAsk, Channels, Held, Refresh, Sync, stamp};
use crate::ids::{ChannelKey, HubId};
use crate::io::Sink;
use crate::kernel::Kernel;
use crate::kernel::timers::Timer;

/// Pause between two comparisons, in milliseconds: what was on its way meanwhile has arrived.
const REFRESH_AGAIN_MS: u64 = 2_000;

impl Channels {
    /// Publications of another node on a channel's topic are lost.
    pub(crate) fn handle_missed(
        &mut self,
        key: &ChannelKey,
        from: HubId,
        count: u64,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        debug_assert_ne!(
            from.node, kernel.config.id.node,
            "nothing is lost within a node"
        );
        let Some(channel) = self.known.get_mut(key) else {
            // The last member here has left.
            return;
        };
        if !channel.is_current {
            // It is of an earlier interest: this one has asked for the members after it began.
            return;
        }
        if let Sync::Waiting { held, .. } = &mut channel.sync {
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            match held.last_mut() {
                Some(Held::Missed(before, sum)) if *before == from => {
                    *sum = sum.saturating_add(count);
                }
                _ => held.push(Held::Missed(from, count)),
            }
            return;
        }
        self.apply_missed(key, from, count, kernel, out);
    }

    pub(crate) fn apply_missed(
        &mut self,
        key: &ChannelKey,
        from: HubId,
        count: u64,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        debug_assert!(!from.is_lost(), "something of a lost node is missed");
        if !self.known.contains_key(key) {
            // What was held before it has taken the last member here away.
            return;
        }
        self.tell_gap(key, count, kernel, out);
        self.refresh(key, kernel, out);
    }

    /// Whether the members of other nodes are being compared, and may not be all known.
    pub(crate) fn is_in_doubt(&self, key: &ChannelKey) -> bool {
        self.refreshes.contains_key(key)
    }

    /// Compares the members of other nodes with what those say.
    fn refresh(&mut self, key: &ChannelKey, kernel: &mut Kernel, out: &mut dyn Sink) {
        let Some(channel) = self.known.get(key).filter(|channel| channel.is_ready()) else {
            // It has no members here, or has just asked for all.
            self.refreshes.remove(key);
            return;
        };
        let epoch = channel.epoch;
        let refresh = self.refreshes.entry(key.clone()).or_default();
        if refresh.asked.is_some() {
            refresh.is_stale = true;
            return;
        }
        if refresh.epoch != epoch {
            refresh.absent = Vec::new();
        }
        refresh.epoch = epoch;
        refresh.is_stale = false;
        refresh.asked = Some(channel.members.progress_elsewhere(kernel.config.id));
        let pending = ChannelAsk::Progress(key.clone());
        let asked = (Topic::Channel(key.clone()), Question::Progress);
        self.ask(kernel, asked, pending, out);
    }

    /// The same, after a pause.
    pub(crate) fn refresh_later(&mut self, key: &ChannelKey, kernel: &mut Kernel) {
        let Some(channel) = self.known.get(key) else {
            // Nobody here is in it any more.
            self.refreshes.remove(key);
            return;
        };
        let refresh = self.refreshes.entry(key.clone()).or_default();
        if refresh.asked.is_some() {
            refresh.is_stale = true;
            return;
        }
        refresh.epoch = channel.epoch;
        let due_ms = kernel.now.mono_ms + REFRESH_AGAIN_MS;
        let timer = Timer::Members(Box::new(key.clone()));
        kernel.timers.set(due_ms, timer);
    }

    /// The pause is over.
    pub(crate) fn check_members(
        &mut self,
        key: &ChannelKey,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let is_due = |refresh: &Refresh| refresh.asked.is_none();
        if self.refreshes.get(key).is_some_and(is_due) {
            self.refresh(key, kernel, out);
        }
    }

    /// The hubs of other nodes have told how far they have come.
    pub(crate) fn finish_refresh(
        &mut self,
        key: &ChannelKey,
        told: Vec<Progress>,
        is_complete: bool,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(refresh) = self.refreshes.remove(key) else {
            debug_assert!(false, "members are compared for no reason");
            return;
        };
        let Some(channel) = self.known.get_mut(key) else {
            // The last member here has left.
            return;
        };
        let is_current = channel.epoch == refresh.epoch && channel.is_ready();
        let Some(asked) = refresh.asked.filter(|_| is_current) else {
            // A newer interest: it has asked for all members.
            return;
        };
        let own = kernel.config.id;
        debug_assert!(
            told.iter().all(|hub| !hub.origin.is_lost()),
            "a hub speaks that does not exist"
        );
        let others = told.iter().filter(|hub| hub.origin.node != own.node);
        let is_behind =
            |hub: &&Progress| channel.members.progress_of(hub.origin) < (hub.epoch, hub.seq);
        let ahead: Vec<Progress> = others.filter(is_behind).copied().collect();
        // Whoever says nothing has no members any more, and no hub that will say so. What it had
        // published before may still be on its way: it is looked at twice.
        let is_told = |of: &Progress| told.iter().any(|hub| hub.origin == of.origin);
        let is_unchanged =
            |of: &Progress| channel.members.progress_of(of.origin) == (of.epoch, of.seq);
        let absent: Vec<Progress> = asked
            .into_iter()
            .filter(|of| is_complete && !is_told(of) && is_unchanged(of))
            .collect();
        let (over, absent): (Vec<_>, Vec<_>) = absent
            .into_iter()
            .partition(|of| refresh.absent.contains(of));
        for hub in over {
            let Some(channel) = self.known.get_mut(key) else {
                debug_assert!(false, "a channel is gone while it is dealt with");
                return;
            };
            for change in channel.members.drop_origin(hub.origin) {
                self.tell_change(key, change, kernel, out);
            }
        }
        let is_done = is_complete && ahead.is_empty() && absent.is_empty() && !refresh.is_stale;
        for hub in ahead {
            let stamp = stamp(hub.origin, hub.epoch, hub.seq);
            self.apply_change(key, stamp, Err(Missing), kernel, out);
        }
        if !is_done {
            self.refresh_later(key, kernel);
            if let Some(again) = self.refreshes.get_mut(key) {
                again.absent = absent;
            }
        }
    }

    /// Another hub asks how far this one's changes have come.
    pub(crate) fn answer_progress(
        &mut self,
        key: &ChannelKey,
        asker: Asker,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let own = self.known.get(key).map(|channel| Progress {
            origin: kernel.config.id,
            epoch: channel.epoch,
            seq: channel.seq,
        });
        let progress = own.into_iter().collect();
        kernel.answer(asker, Answer::Progress(progress), out);
    }

    // ------------------------------------------------------------ a lost node

    /// A node is lost: its members stay for a while, as those of what `stands_for` its hubs. What
    /// its users were told is sent may have ended with it, so that members here are told of a gap
    /// in every channel that it had members in.
    /// Cost: O(members of all channels here).
    pub(crate) fn lose_node(
        &mut self,
        node: u16,
        stands_for: HubId,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        debug_assert!(stands_for.is_lost(), "a hub stands for a lost node");
        let mut shared = Vec::new();
        for (key, channel) in &mut self.known {
            if let Sync::Waiting { held, .. } = &mut channel.sync {
                held.push(Held::Lost(node, stands_for));
                continue;
            }
            channel.resyncs.retain(|origin, _| origin.node != node);
            if channel.members.lose(node, stands_for) {
                shared.push(key.clone());
            }
        }
        // Order: sorted, because the map's order would reach the effects.
        shared.sort_unstable();
        for key in shared {
            self.tell_gap(&key, 0, kernel, out);
        }
    }

    /// Tells the members here that so many events are missing; 0 = it is not known how many.
    fn tell_gap(&mut self, key: &ChannelKey, count: u64, kernel: &mut Kernel, out: &mut dyn Sink) {
        let frame = encode_server(Kind::Gap(Gap {
            cause: GapCause::NodeLink.into(),
            missed: count,
            source: Some(gap::Source::Channel(key.channel.to_string())),
        }));
        if self.moves.is_awaited() {
            self.moves.hold(key, Word::Gap(frame.clone()));
        }
        let told = self.fan_out(key, &frame, None, kernel, out) as u64;
        kernel.counts.gaps.add("node_link", told * count.max(1));
    }

    /// The same, where it came while the members were being fetched.
    pub(crate) fn apply_lost(&mut self, key: &ChannelKey, node: u16, stands_for: HubId) {
        if let Some(channel) = self.known.get_mut(key) {
            channel.resyncs.retain(|origin, _| origin.node != node);
            channel.members.lose(node, stands_for);
        }
    }

    /// Members of a lost node that are not back on another one leave.
    pub(crate) fn end_lost(&mut self, stands_for: HubId, kernel: &mut Kernel, out: &mut dyn Sink) {
        debug_assert!(stands_for.is_lost(), "the members of a node that lives");
        let mut keys: Vec<ChannelKey> = self.known.keys().cloned().collect();
        // Order: sorted, because the map's order would reach the effects.
        keys.sort_unstable();
        for key in keys {
            let Some(channel) = self.known.get_mut(&key) else {
                debug_assert!(false, "a channel is gone while it is dealt with");
                continue;
            };
            for change in channel.members.drop_origin(stands_for) {
                self.tell_change(&key, change, kernel, out);
            }
        }
    }
}
