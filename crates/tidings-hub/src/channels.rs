//! Channels: joining, leaving, messages, member events and counts.
//!
//! Everything that members can see goes through the channel's topic and is applied by every interested hub, the
//! publisher included, in the topic's order: so all members see one order, and a member's `MemberJoined` comes
//! before its first message and its `MemberLeft` after its last (contract DEL-2, DEL-3).

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use indexmap::IndexMap;
use tidings_wire::codes::Outcome;
use tidings_wire::frame::encode_server;
use tidings_wire::limits::{
    CHANNELS_PER_SESSION_MAX, MEMBER_COUNT_LARGE_MS, MEMBER_COUNT_SMALL_MS,
    MEMBER_COUNTS_PER_CALL_MAX, MEMBER_EVENTS_MAX,
};
use tidings_wire::names::ChannelName;
use tidings_wire::proto::{
    ChannelMessage, MemberCount, MemberCounts, MemberJoined, MemberLeft, SendToChannel, UserList,
    reply, server_message::Kind,
};

use crate::Hub;
use crate::asks::PendingAsk;
use crate::bus_ops::{Answer, BusOp, MemberSnapshot, Publication, Question, Topic};
use crate::ids::{ChannelKey, HubId, SessionId};
use crate::inbox::Asker;
use crate::io::{Effect, Sink};
use crate::limiter;
use crate::maps::SeededHasher;
use crate::members::{Change, Members, Missing, Stamp};
use crate::outbox::Source;
use crate::requests::check_message;
use crate::sessions::{SessionKey, error};
use crate::store_ops::{AttributeOwner, StoreOp};
use crate::stores::PendingStore;
use crate::timers::Timer;

/// Publications kept while the members are being fetched; beyond it the hub goes on and repairs later.
const HELD_MAX: usize = 16_384;

/// A channel in which this hub has members.
#[derive(Debug)]
pub(crate) struct Channel {
    key: Arc<ChannelKey>,
    /// Sessions of this hub that get the channel's messages: its members, and former members that were gone
    /// but can still resume.
    locals: IndexMap<SessionKey, SessionId, SeededHasher>,
    /// Members on all hubs.
    members: Members,
    /// This hub's numbering of its own changes.
    epoch: u64,
    seq: u64,
    sync: Sync,
    /// What this hub has published and not yet seen in the topic's order. Bound: open requests and memberships.
    published: VecDeque<Published>,
    count_told_ms: Option<u64>,
    has_count_timer: bool,
}

/// Whether the members of before this hub's interest are known.
#[derive(Debug)]
enum Sync {
    /// They have been asked for; what comes meanwhile waits. Bound: `HELD_MAX`.
    Waiting {
        held: Vec<(HubId, Arc<Publication>)>,
        askers: Vec<Asker>,
        calls: Vec<(SessionKey, u64)>,
    },
    Ready,
}

/// Something of ours on its way through the topic.
#[derive(Debug)]
struct Published {
    session: SessionKey,
    id: SessionId,
    what: Own,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Own {
    /// A request to join.
    Join { cseq: u64 },
    /// A user that was gone is back.
    Show,
    /// A request to leave.
    Leave { cseq: u64 },
    /// The user is gone, its session may come back.
    Hide,
    /// The session is over.
    End,
    /// A message.
    Message { cseq: u64 },
}

/// What a count was asked for.
#[derive(Debug)]
pub(crate) enum CountAsk {
    /// One channel of a request.
    Call { gather: u64, at: usize },
    /// Attributes that may be left over.
    Sweep {
        channel: ChannelKey,
        touched_before: u64,
    },
}

/// A request for counts that waits for other hubs.
#[derive(Debug)]
pub(crate) struct CountGather {
    session: SessionKey,
    cseq: u64,
    counts: Vec<MemberCount>,
    missing: usize,
}

impl Hub {
    pub(crate) fn handle_join(
        &mut self,
        key: SessionKey,
        cseq: u64,
        channel: &str,
        out: &mut dyn Sink,
    ) {
        let Some(channel) = self.parse_channel(key, cseq, channel, out) else {
            return;
        };
        let now_ms = self.now.mono_ms;
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let refusal = if session.channels.contains(&channel.channel) {
            let text = format!("channel {} is joined already", channel.channel);
            Err(error(Outcome::AlreadyJoined, text))
        } else if session.channels.len() >= CHANNELS_PER_SESSION_MAX {
            let text = format!("{CHANNELS_PER_SESSION_MAX} channels are joined; leave one first");
            Err(error(Outcome::TooManyChannels, text))
        } else if session.settings.rate_limits {
            let limiter = &mut session.limiter;
            limiter
                .take_join(&channel.channel, now_ms)
                .and_then(|()| limiter.take(limiter::Kind::Join, now_ms))
        } else {
            Ok(())
        };
        if let Err(refusal) = refusal {
            return self.reply_error(key, cseq, refusal, out);
        }
        session.channels.push(channel.channel.clone());
        self.become_interested(&channel, out);
        self.publish_membership(&channel, key, Own::Join { cseq }, out);
    }

    /// Makes the channel known here: subscribes first, then asks the other hubs for its members.
    fn become_interested(&mut self, key: &ChannelKey, out: &mut dyn Sink) {
        if self.channels.contains_key(key) {
            return;
        }
        self.epochs += 1;
        let channel = Channel {
            key: Arc::new(key.clone()),
            locals: IndexMap::with_hasher(self.hasher),
            members: Members::new(self.hasher),
            epoch: self.epochs,
            seq: 0,
            sync: Sync::Waiting {
                held: Vec::new(),
                askers: Vec::new(),
                calls: Vec::new(),
            },
            published: VecDeque::new(),
            count_told_ms: None,
            has_count_timer: false,
        };
        self.channels.insert(key.clone(), channel);
        let topic = Topic::Channel(key.clone());
        out.emit(Effect::Bus(BusOp::Subscribe(topic.clone())));
        self.ask(
            topic,
            Question::Members,
            PendingAsk::Members(key.clone()),
            out,
        );
    }

    /// Publishes a change of one of our members and remembers it until it comes back in the topic's order.
    fn publish_membership(
        &mut self,
        key: &ChannelKey,
        session_key: SessionKey,
        what: Own,
        out: &mut dyn Sink,
    ) {
        let Some(session) = self.sessions.get(session_key) else {
            return;
        };
        let Some(channel) = self.channels.get_mut(key) else {
            return;
        };
        channel.seq += 1;
        let (seq, epoch) = (channel.seq, channel.epoch);
        let (user, id) = (session.user.clone(), session.id);
        let message = match what {
            Own::Join { .. } | Own::Show => Publication::Joined {
                seq,
                epoch,
                user,
                session: id,
            },
            Own::Leave { .. } | Own::Hide | Own::End => Publication::Left {
                seq,
                epoch,
                user,
                session: id,
            },
            Own::Message { .. } => return,
        };
        channel.published.push_back(Published {
            session: session_key,
            id,
            what,
        });
        let topic = Topic::Channel(key.clone());
        out.emit(Effect::Bus(BusOp::Publish {
            topic,
            message: Arc::new(message),
        }));
    }

    pub(crate) fn handle_leave(
        &mut self,
        key: SessionKey,
        cseq: u64,
        channel: &str,
        out: &mut dyn Sink,
    ) {
        let Some(channel) = self.joined_channel(key, cseq, channel, out) else {
            return;
        };
        if let Some(session) = self.sessions.get_mut(key) {
            session.channels.retain(|joined| *joined != channel.channel);
        }
        self.publish_membership(&channel, key, Own::Leave { cseq }, out);
    }

    /// The channel of a call that needs it joined, or an answer.
    fn joined_channel(
        &mut self,
        key: SessionKey,
        cseq: u64,
        channel: &str,
        out: &mut dyn Sink,
    ) -> Option<ChannelKey> {
        let session = self.sessions.get(key)?;
        let joined = ChannelName::parse(channel)
            .ok()
            .filter(|channel| session.channels.contains(channel));
        match joined {
            Some(channel) => Some(ChannelKey {
                app: session.user.app.clone(),
                channel,
            }),
            None => {
                let text = format!("channel {channel:?} is not joined");
                self.reply_error(key, cseq, error(Outcome::NotInChannel, text), out);
                None
            }
        }
    }

    pub(crate) fn handle_send_to_channel(
        &mut self,
        key: SessionKey,
        cseq: u64,
        call: SendToChannel,
        out: &mut dyn Sink,
    ) {
        let Some(channel_key) = self.joined_channel(key, cseq, &call.channel, out) else {
            return;
        };
        let message = match check_message(call.message) {
            Ok(message) => message,
            Err(error) => return self.reply_error(key, cseq, error, out),
        };
        if !self.take_rate(key, cseq, limiter::Kind::Message, out) {
            return;
        }
        let Some(session) = self.sessions.get(key) else {
            return;
        };
        let Some(channel) = self.channels.get_mut(&channel_key) else {
            return;
        };
        // Encoded once: these bytes are what every member on every hub is sent.
        let frame = encode_server(Kind::ChannelMessage(ChannelMessage {
            channel: call.channel,
            from: session.user.user.to_string(),
            message: Some(message),
            server_ts: self.now.unix_ms,
        }));
        channel.published.push_back(Published {
            session: key,
            id: session.id,
            what: Own::Message { cseq },
        });
        let message = Publication::Message {
            sender: session.id,
            cseq,
            frame,
        };
        let topic = Topic::Channel(channel_key);
        out.emit(Effect::Bus(BusOp::Publish {
            topic,
            message: Arc::new(message),
        }));
    }

    // ------------------------------------------------------------ the topic's order

    pub(crate) fn handle_channel_publication(
        &mut self,
        key: &ChannelKey,
        from: HubId,
        message: Arc<Publication>,
        out: &mut dyn Sink,
    ) {
        let Some(channel) = self.channels.get_mut(key) else {
            return;
        };
        if let Sync::Waiting { held, .. } = &mut channel.sync {
            held.push((from, message));
            if held.len() > HELD_MAX {
                self.finish_sync(key, Vec::new(), out);
            }
            return;
        }
        self.apply_publication(key, from, &message, out);
    }

    /// The members of before our interest are known: applies them, then what has come since.
    pub(crate) fn finish_sync(
        &mut self,
        key: &ChannelKey,
        known: Vec<MemberSnapshot>,
        out: &mut dyn Sink,
    ) {
        let Some(channel) = self.channels.get_mut(key) else {
            return;
        };
        let Sync::Waiting {
            held,
            askers,
            calls,
        } = std::mem::replace(&mut channel.sync, Sync::Ready)
        else {
            return;
        };
        for snapshot in known {
            if snapshot.origin != self.config.id {
                // Nobody here has seen the channel before: these are no events.
                channel.members.apply_snapshot(&snapshot);
            }
        }
        for (from, message) in held {
            self.apply_publication(key, from, &message, out);
        }
        for asker in askers {
            self.answer_members(key, asker, out);
        }
        for (session, cseq) in calls {
            self.answer_member_list(key, session, cseq, out);
        }
    }

    fn apply_publication(
        &mut self,
        key: &ChannelKey,
        from: HubId,
        message: &Publication,
        out: &mut dyn Sink,
    ) {
        let Some(channel) = self.channels.get_mut(key) else {
            return;
        };
        let is_own = from == self.config.id;
        match message {
            Publication::Message { sender, frame, .. } => {
                self.fan_out(key, frame, Some(*sender), out);
                if is_own {
                    self.finish_published(key, out);
                }
            }
            Publication::Attributes { frame } => self.fan_out(key, frame, None, out),
            Publication::Joined {
                seq,
                epoch,
                user,
                session,
            } => {
                let stamp = Stamp {
                    origin: from,
                    epoch: *epoch,
                    seq: *seq,
                };
                let change = channel.members.apply_joined(stamp, &user.user, *session);
                self.apply_change(key, from, change, out);
                if is_own {
                    self.finish_published(key, out);
                }
            }
            Publication::Left {
                seq,
                epoch,
                user,
                session,
            } => {
                let stamp = Stamp {
                    origin: from,
                    epoch: *epoch,
                    seq: *seq,
                };
                let change = channel.members.apply_left(stamp, &user.user, *session);
                if is_own {
                    // Order: the leaver gets its answer, not the news of its own leaving.
                    self.finish_published(key, out);
                }
                self.apply_change(key, from, change, out);
            }
            Publication::Resync { origin } if *origin == self.config.id => {
                let snapshot = channel.members.snapshot(key, *origin);
                let message = Arc::new(Publication::Snapshot(Box::new(snapshot)));
                let topic = Topic::Channel(key.clone());
                out.emit(Effect::Bus(BusOp::Publish { topic, message }));
            }
            Publication::Snapshot(snapshot) if !is_own => {
                for change in channel.members.apply_snapshot(snapshot) {
                    self.tell_change(key, change, out);
                }
            }
            _ => {}
        }
        self.drop_channel_if_unused(key, out);
    }

    fn apply_change(
        &mut self,
        key: &ChannelKey,
        origin: HubId,
        change: Result<Option<Change>, Missing>,
        out: &mut dyn Sink,
    ) {
        match change {
            Ok(Some(change)) => self.tell_change(key, change, out),
            Ok(None) => {}
            Err(Missing) => {
                let topic = Topic::Channel(key.clone());
                let message = Arc::new(Publication::Resync { origin });
                out.emit(Effect::Bus(BusOp::Publish { topic, message }));
            }
        }
    }

    /// Something that this hub has published has its place in the order: does what waits for that.
    fn finish_published(&mut self, key: &ChannelKey, out: &mut dyn Sink) {
        let Some(channel) = self.channels.get_mut(key) else {
            return;
        };
        let Some(published) = channel.published.pop_front() else {
            return;
        };
        let session = published.session;
        let is_live = self.sessions.contains_key(session);
        match published.what {
            Own::Join { .. } | Own::Show if is_live => {
                channel.locals.insert(session, published.id);
            }
            Own::Leave { .. } | Own::End => {
                channel.locals.swap_remove(&session);
            }
            _ => {}
        }
        match published.what {
            Own::Join { cseq } => {
                self.reply_done(session, cseq, out);
                self.schedule_count(key, out);
            }
            Own::Leave { cseq } | Own::Message { cseq } => self.reply_done(session, cseq, out),
            Own::Show | Own::Hide | Own::End => {}
        }
    }

    /// Tells the members here of a member that has come or gone, while there are not too many.
    fn tell_change(&mut self, key: &ChannelKey, change: Change, out: &mut dyn Sink) {
        let Some(channel) = self.channels.get(key) else {
            return;
        };
        let count = channel.members.len();
        let name = key.channel.to_string();
        let (user, count_before, kind) = match change {
            Change::Joined(user) => {
                let user_id = user.to_string();
                (
                    user,
                    count,
                    Kind::MemberJoined(MemberJoined {
                        channel: name,
                        user_id,
                    }),
                )
            }
            Change::Left(user) => {
                let user_id = user.to_string();
                (
                    user,
                    count + 1,
                    Kind::MemberLeft(MemberLeft {
                        channel: name,
                        user_id,
                    }),
                )
            }
        };
        if count_before <= MEMBER_EVENTS_MAX {
            let frame = encode_server(kind);
            let Hub {
                channels, sessions, ..
            } = self;
            let Some(channel) = channels.get(key) else {
                return;
            };
            for session in channel.locals.keys() {
                let Some(session) = sessions.get_mut(*session) else {
                    continue;
                };
                // Nobody is told of its own coming and going (rtm-v1 2.20).
                if session.user.user != user {
                    let source = Source::Channel(Arc::clone(&channel.key));
                    Self::push(session, frame.clone(), source, out);
                }
            }
        }
        self.schedule_count(key, out);
    }

    /// Hands a frame to every member here but the sender: no allocation and no copy per member.
    fn fan_out(
        &mut self,
        key: &ChannelKey,
        frame: &Bytes,
        sender: Option<SessionId>,
        out: &mut dyn Sink,
    ) {
        let Hub {
            channels, sessions, ..
        } = self;
        let Some(channel) = channels.get(key) else {
            return;
        };
        for (session, id) in &channel.locals {
            if Some(*id) == sender {
                continue;
            }
            if let Some(session) = sessions.get_mut(*session) {
                let source = Source::Channel(Arc::clone(&channel.key));
                Self::push(session, frame.clone(), source, out);
            }
        }
    }

    // ------------------------------------------------------------ counts and lists

    /// Tells the count now, or when the time since it was last told is over (rtm-v1 4.5).
    fn schedule_count(&mut self, key: &ChannelKey, out: &mut dyn Sink) {
        let now_ms = self.now.mono_ms;
        let Some(channel) = self.channels.get_mut(key) else {
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
        if due > now_ms {
            self.timers.set(due, Timer::Count(Box::new(key.clone())));
        } else {
            self.tell_count(key, out);
        }
    }

    pub(crate) fn tell_count(&mut self, key: &ChannelKey, out: &mut dyn Sink) {
        let now_ms = self.now.mono_ms;
        let Some(channel) = self.channels.get_mut(key) else {
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
        self.fan_out(key, &frame, None, out);
    }

    pub(crate) fn handle_get_members(
        &mut self,
        key: SessionKey,
        cseq: u64,
        channel: &str,
        out: &mut dyn Sink,
    ) {
        let Some(channel) = self.joined_channel(key, cseq, channel, out) else {
            return;
        };
        if self.take_rate(key, cseq, limiter::Kind::GetMembers, out) {
            self.answer_member_list(&channel, key, cseq, out);
        }
    }

    fn answer_member_list(
        &mut self,
        key: &ChannelKey,
        session: SessionKey,
        cseq: u64,
        out: &mut dyn Sink,
    ) {
        let Some(channel) = self.channels.get_mut(key) else {
            return;
        };
        if let Sync::Waiting { calls, .. } = &mut channel.sync {
            calls.push((session, cseq));
            return;
        }
        let user_ids = channel.members.sample(MEMBER_EVENTS_MAX, &mut self.rng);
        self.reply(
            session,
            cseq,
            reply::Result::Users(UserList { user_ids }),
            out,
        );
    }

    pub(crate) fn handle_get_member_counts(
        &mut self,
        key: SessionKey,
        cseq: u64,
        channels: Vec<String>,
        out: &mut dyn Sink,
    ) {
        if channels.len() > MEMBER_COUNTS_PER_CALL_MAX {
            let text = format!(
                "{} channels are named; at most {MEMBER_COUNTS_PER_CALL_MAX} are allowed",
                channels.len()
            );
            let refusal = error(Outcome::TooManyChannelsNamed, text);
            return self.reply_error(key, cseq, refusal, out);
        }
        if channels.is_empty() {
            let refusal = error(Outcome::InvalidArgument, "the list of channels is empty");
            return self.reply_error(key, cseq, refusal, out);
        }
        let mut keys = Vec::with_capacity(channels.len());
        for channel in &channels {
            match self.parse_channel(key, cseq, channel, out) {
                Some(channel) => keys.push(channel),
                None => return,
            }
        }
        if !self.take_rate(key, cseq, limiter::Kind::GetMemberCounts, out) {
            return;
        }
        let mut gather = CountGather {
            session: key,
            cseq,
            counts: Vec::new(),
            missing: 0,
        };
        let mut unknown = Vec::new();
        for (at, (channel, name)) in keys.into_iter().zip(channels).enumerate() {
            let here = self
                .channels
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
            return self.finish_counts(gather, out);
        }
        self.gathers += 1;
        let id = self.gathers;
        self.count_gathers.insert(id, gather);
        for (at, channel) in unknown {
            let pending = PendingAsk::Count(CountAsk::Call { gather: id, at });
            self.ask(Topic::Channel(channel), Question::Count, pending, out);
        }
    }

    pub(crate) fn finish_count(&mut self, ask: CountAsk, count: u32, out: &mut dyn Sink) {
        match ask {
            CountAsk::Call { gather: id, at } => {
                let Some(gather) = self.count_gathers.get_mut(&id) else {
                    return;
                };
                gather.counts[at].count = count;
                gather.missing -= 1;
                if gather.missing == 0
                    && let Some(gather) = self.count_gathers.remove(&id)
                {
                    self.finish_counts(gather, out);
                }
            }
            CountAsk::Sweep {
                channel,
                touched_before,
            } => {
                let owner = AttributeOwner::Channel(channel);
                self.settle_owner(owner, count > 0, touched_before, out);
            }
        }
    }

    fn finish_counts(&mut self, gather: CountGather, out: &mut dyn Sink) {
        let counts = reply::Result::MemberCounts(MemberCounts {
            counts: gather.counts,
        });
        self.reply(gather.session, gather.cseq, counts, out);
    }

    pub(crate) fn answer_members(&mut self, key: &ChannelKey, asker: Asker, out: &mut dyn Sink) {
        let Some(channel) = self.channels.get_mut(key) else {
            return self.answer(asker, Answer::Members(Vec::new()), out);
        };
        if let Sync::Waiting { askers, .. } = &mut channel.sync {
            // No circle: within a node the first subscriber of a topic waits for nobody.
            askers.push(asker);
            return;
        }
        let known = channel.members.snapshots(key);
        self.answer(asker, Answer::Members(known), out);
    }

    pub(crate) fn answer_count(&mut self, key: &ChannelKey, asker: Asker, out: &mut dyn Sink) {
        let count = self
            .channels
            .get(key)
            .map_or(0, |channel| channel.members.len());
        self.answer(
            asker,
            Answer::Count(u32::try_from(count).unwrap_or(u32::MAX)),
            out,
        );
    }

    // ------------------------------------------------------------ the end of memberships

    /// The user is gone: others see it leave, but messages are kept for its return.
    pub(crate) fn hide_memberships(&mut self, key: SessionKey, out: &mut dyn Sink) {
        for channel in self.channels_of(key) {
            self.publish_membership(&channel, key, Own::Hide, out);
        }
    }

    /// The user is back: others see it join.
    pub(crate) fn show_memberships(&mut self, key: SessionKey, out: &mut dyn Sink) {
        for channel in self.channels_of(key) {
            self.publish_membership(&channel, key, Own::Show, out);
        }
    }

    /// The session is over. A session whose user was gone has left its channels before.
    pub(crate) fn end_memberships(
        &mut self,
        key: SessionKey,
        visibility: Visibility,
        out: &mut dyn Sink,
    ) {
        for channel_key in self.channels_of(key) {
            if visibility == Visibility::Visible {
                self.publish_membership(&channel_key, key, Own::End, out);
            }
            if let Some(channel) = self.channels.get_mut(&channel_key) {
                channel.locals.swap_remove(&key);
            }
            self.drop_channel_if_unused(&channel_key, out);
        }
    }

    fn channels_of(&self, key: SessionKey) -> Vec<ChannelKey> {
        let Some(session) = self.sessions.get(key) else {
            return Vec::new();
        };
        let app = &session.user.app;
        session
            .channels
            .iter()
            .map(|channel| ChannelKey {
                app: app.clone(),
                channel: channel.clone(),
            })
            .collect()
    }

    fn drop_channel_if_unused(&mut self, key: &ChannelKey, out: &mut dyn Sink) {
        let Some(channel) = self.channels.get(key) else {
            return;
        };
        let is_used = !channel.locals.is_empty()
            || !channel.published.is_empty()
            || matches!(channel.sync, Sync::Waiting { .. });
        if is_used {
            return;
        }
        self.channels.remove(key);
        out.emit(Effect::Bus(BusOp::Unsubscribe(Topic::Channel(key.clone()))));
        // The channel's attributes outlive it by a while, counted from here.
        let owner = AttributeOwner::Channel(key.clone());
        let op = StoreOp::AttributesTouch {
            owner,
            now_ts: self.now.unix_ms,
        };
        self.store(op, PendingStore::Forgotten, out);
    }
}

/// Whether others see a session's memberships.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Visibility {
    Visible,
    Hidden,
}
