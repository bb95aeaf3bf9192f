//! Member lists and counts.

use tidings_fault::fault;
use tidings_token::Access;
use tidings_wire::codes::Outcome;
use tidings_wire::frame::encode_server;
use tidings_wire::limits::{
    MEMBER_COUNT_LARGE_MS, MEMBER_COUNT_SMALL_MS, MEMBER_COUNTS_PER_CALL_MAX, MEMBER_EVENTS_MAX,
};
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{MemberCount, MemberCounts, UserList, reply};

use crate::attributes::Attributes;
use crate::bus_ops::{Answer, Asker, MemberSnapshot, Question, Topic};
use crate::channels::state::{ChannelAsk, Channels, CountGather, Sync};
use crate::ids::ChannelKey;
use crate::io::Sink;
use crate::kernel::Kernel;
use crate::kernel::asks::{Outcome as Asked, Settled};
use crate::kernel::caller::Caller;
use crate::kernel::limits::LISTED_MEMBERS_GUESS;
use crate::kernel::reply::error;
use crate::kernel::session::Session;
use crate::kernel::timers::Timer;
use crate::rates;

/// Users in the member list of a session that lists all. Source: documented, signaling 12.
pub(crate) const MEMBERS_LISTED_MAX: usize = 10_000;

impl Channels {
    /// Tells the count now, or when the time since it was last told is over (rtm 4.5).
    pub(crate) fn schedule_count(
        &mut self,
        key: &ChannelKey,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let now_ms = kernel.now.mono_ms;
        let Some(channel) = self.known.get_mut(key) else {
            debug_assert!(false, "a channel is gone while it is dealt with");
            return;
        };
        if channel.has_count_timer {
            return;
        }
        let spacing_ms = if channel.members.len() > MEMBER_EVENTS_MAX {
            MEMBER_COUNT_LARGE_MS
        } else {
            MEMBER_COUNT_SMALL_MS
        };
        let due = channel.count_told_ms.map_or(0, |told| told + spacing_ms);
        channel.has_count_timer = true;
        let due = if fault!(CountsAreSentAtEveryChange) {
            0
        } else {
            due
        };
        if due > now_ms && fault!(DelayedCountIsNeverSent) {
            // The count is never told.
        } else if due > now_ms {
            kernel.timers.set(due, Timer::Count(Box::new(key.clone())));
        } else {
            self.tell_count(key, kernel, out);
        }
    }

    pub(crate) fn tell_count(&mut self, key: &ChannelKey, kernel: &mut Kernel, out: &mut dyn Sink) {
        let now_ms = kernel.now.mono_ms;
        let Some(channel) = self.known.get_mut(key) else {
            // A timer of a channel that is not known here any more.
            return;
        };
        if !std::mem::take(&mut channel.has_count_timer) {
            return;
        }
        channel.count_told_ms = Some(now_ms);
        let count = u32::try_from(channel.members.len()).unwrap_or(u32::MAX);
        let frame = encode_server(Kind::MemberCount(MemberCount {
            channel: key.channel.to_string(),
            count,
        }));
        self.fan_out(key, &frame, None, kernel, out);
    }

    pub(crate) fn handle_get_members(
        &mut self,
        caller: Caller,
        channel: &str,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let lists_all = kernel.traits_of_caller(caller).lists_all_members;
        let channel = if lists_all {
            kernel.parse_channel(caller, channel, out)
        } else {
            kernel.joined_channel(caller, channel, out)
        };
        let Some(channel) = channel else {
            // It is answered.
            return;
        };
        if !kernel.permit_in(caller, Access::Read, &channel.channel, out) {
            return;
        }
        if !kernel.take_rate(caller, rates::Kind::GetMembers, out) {
            return;
        }
        if lists_all {
            self.look_at_channel(&channel, caller, kernel, out);
        } else {
            self.answer_member_list(&channel, caller, kernel, out);
        }
    }

    /// Lists the members of a channel that may have none here.
    fn look_at_channel(
        &mut self,
        channel: &ChannelKey,
        caller: Caller,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        if self.known.contains_key(channel) {
            return self.answer_member_list(channel, caller, kernel, out);
        }
        kernel.charge(caller, rates::Kind::ListedMembers, LISTED_MEMBERS_GUESS);
        let pending = ChannelAsk::Look { caller };
        let topic = Topic::Channel(channel.clone());
        let question = Question::Members;
        self.ask(kernel, (topic, question), pending, out);
    }

    /// Other hubs have told of a channel that has no members here.
    pub(crate) fn finish_look(
        caller: Caller,
        known: Vec<MemberSnapshot>,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let mut user_ids: Vec<String> = Vec::new();
        for (key, _) in known.into_iter().flat_map(|snapshot| snapshot.members) {
            user_ids.push(key.user.to_string());
        }
        let mut seen = std::collections::BTreeSet::new();
        user_ids.retain(|user| seen.insert(user.clone()));
        user_ids.truncate(MEMBERS_LISTED_MAX);
        let more = (user_ids.len() as u64).saturating_sub(LISTED_MEMBERS_GUESS);
        kernel.charge(caller, rates::Kind::ListedMembers, more);
        let users = reply::Result::Users(UserList { user_ids });
        kernel.reply(caller, users, out);
    }

    pub(crate) fn answer_member_list(
        &mut self,
        key: &ChannelKey,
        caller: Caller,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let session = caller.session();
        let Some(channel) = self.known.get_mut(key) else {
            let text = format!("channel {} is not joined any more", key.channel);
            return kernel.reply_error(caller, error(Outcome::NotInChannel, text), out);
        };
        // The caller is in the list when its own join has its place.
        let mut own = channel.published.iter_mut().rev();
        if let Some(join) = own.find(|own| session == Some(own.session) && own.what.shows()) {
            join.member_lists.push(caller);
            return;
        }
        if let Sync::Waiting { calls, .. } = &mut channel.sync {
            calls.push(caller);
            return;
        }
        let may_read = |of: &Session| of.may_in(Access::Read, &key.channel);
        let of = session.and_then(|session| kernel.sessions.get(session));
        if !of.is_none_or(may_read) {
            // Withdrawn while it waited.
            kernel.permit_in(caller, Access::Read, &key.channel, out);
            return;
        }
        let user_ids = if kernel.traits_of_caller(caller).lists_all_members {
            channel.members.in_order(MEMBERS_LISTED_MAX)
        } else {
            channel.members.sample(MEMBER_EVENTS_MAX, &mut kernel.rng)
        };
        let listed = user_ids.len() as u64;
        kernel.charge(caller, rates::Kind::ListedMembers, listed);
        kernel.reply(caller, reply::Result::Users(UserList { user_ids }), out);
    }

    pub(crate) fn handle_get_member_counts(
        &mut self,
        caller: Caller,
        channels: Vec<String>,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        if channels.len() > MEMBER_COUNTS_PER_CALL_MAX {
            let text = format!(
                "{} channels are named; at most {MEMBER_COUNTS_PER_CALL_MAX} are allowed",
                channels.len()
            );
            let refusal = error(Outcome::TooManyChannelsNamed, text);
            return kernel.reply_error(caller, refusal, out);
        }
        if channels.is_empty() {
            let refusal = error(Outcome::InvalidArgument, "the list of channels is empty");
            return kernel.reply_error(caller, refusal, out);
        }
        let mut keys = Vec::with_capacity(channels.len());
        for channel in &channels {
            match kernel.parse_channel(caller, channel, out) {
                Some(channel) => keys.push(channel),
                None => return,
            }
        }
        for channel in &keys {
            if !kernel.permit_in(caller, Access::Read, &channel.channel, out) {
                return;
            }
        }
        if !kernel.take_rate(caller, rates::Kind::GetMemberCounts, out) {
            return;
        }
        let mut gather = CountGather {
            caller,
            counts: Vec::new(),
            missing: 0,
        };
        let mut unknown = Vec::new();
        for (at, (channel, name)) in keys.into_iter().zip(channels).enumerate() {
            let here = self
                .known
                .get(&channel)
                .filter(|c| matches!(c.sync, Sync::Ready));
            let count = here.map_or(0, |channel| channel.members.len());
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            gather.counts.push(MemberCount {
                channel: name,
                count,
            });
            if here.is_none() {
                unknown.push((at, channel));
            }
        }
        gather.missing = unknown.len();
        if gather.missing == 0 {
            return Self::finish_counts(gather, kernel, out);
        }
        self.gather_count += 1;
        let id = self.gather_count;
        self.gathers.insert(id, gather);
        for (at, channel) in unknown {
            let pending = ChannelAsk::Count { gather: id, at };
            let asked = (Topic::Channel(channel), Question::Count);
            self.ask(kernel, asked, pending, out);
        }
    }

    /// A question of ours is settled.
    pub(crate) fn finish_channel_ask(
        &mut self,
        settled: Settled,
        attributes: &mut Attributes,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(ask) = self.asks.remove(&settled.number) else {
            debug_assert!(false, "a question about a channel that nobody has asked");
            return;
        };
        let is_complete = match settled.outcome {
            Asked::Answered { is_complete, .. } => is_complete,
            Asked::Nobody => true,
            Asked::Silence => false,
        };
        let answer = match settled.outcome {
            Asked::Answered { answer, .. } => Some(answer),
            Asked::Nobody | Asked::Silence => None,
        };
        let (known, count) = match answer {
            Some(Answer::Progress(told)) => {
                if let ChannelAsk::Progress(channel) = ask {
                    self.finish_refresh(&channel, told, is_complete, kernel, out);
                }
                return;
            }
            Some(Answer::Members(known)) => (known, 0),
            Some(Answer::Count(count)) => (Vec::new(), count),
            _ => (Vec::new(), 0),
        };
        match ask {
            ChannelAsk::Members(channel) => {
                self.finish_sync(&channel, known, attributes, kernel, out);
                if !is_complete && kernel.is_in_cluster() {
                    // Members of whoever was silent are not known.
                    self.refresh_later(&channel, kernel);
                }
            }
            ChannelAsk::Progress(channel) => {
                self.finish_refresh(&channel, Vec::new(), is_complete, kernel, out);
            }
            ChannelAsk::Look { caller } => Self::finish_look(caller, known, kernel, out),
            ChannelAsk::Count { gather, at } => self.finish_count(gather, at, count, kernel, out),
        }
    }

    fn finish_count(
        &mut self,
        id: u64,
        at: usize,
        count: u32,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(gather) = self.gathers.get_mut(&id) else {
            debug_assert!(false, "a count without its request");
            return;
        };
        debug_assert!(gather.missing > 0, "a count came twice");
        debug_assert!(
            at < gather.counts.len(),
            "a count of a channel that was not named"
        );
        gather.counts[at].count = count;
        gather.missing -= 1;
        if gather.missing == 0
            && let Some(gather) = self.gathers.remove(&id)
        {
            Self::finish_counts(gather, kernel, out);
        }
    }

    fn finish_counts(gather: CountGather, kernel: &mut Kernel, out: &mut dyn Sink) {
        let counts = reply::Result::MemberCounts(MemberCounts {
            counts: gather.counts,
        });
        kernel.reply(gather.caller, counts, out);
    }

    pub(crate) fn answer_members(
        &mut self,
        key: &ChannelKey,
        asker: Asker,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let own = kernel.config.id;
        let mut known = match self.known.get(key) {
            None => Vec::new(),
            // Not left to wait: two hubs that become interested together would wait for each other.
            Some(channel) => match channel.held_own(own, kernel.hasher) {
                Some(members) => vec![members.snapshot(key, own)],
                None => channel.members.snapshots(key),
            },
        };
        if asker.0.node != own.node {
            // What was heard of a third node may be of one that is lost.
            known.retain(|snapshot| snapshot.origin.node == own.node);
        }
        kernel.answer(asker, Answer::Members(known), out);
    }

    pub(crate) fn answer_count(
        &mut self,
        key: &ChannelKey,
        asker: Asker,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let count = self
            .known
            .get(key)
            .map_or(0, |channel| channel.members.len());
        kernel.answer(
            asker,
            Answer::Count(u32::try_from(count).unwrap_or(u32::MAX)),
            out,
        );
    }
}
