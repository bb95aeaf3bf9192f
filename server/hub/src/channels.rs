//! Channels: joining, leaving, messages, member events and counts.
//!
//! Everything that members can see goes through the channel's topic and is applied by every
//! interested hub, the publisher included, in the topic's order: so all members see one order, and
//! a member's `MemberJoined` comes before its first message and its `MemberLeft` after its last
//! (contract DEL-2, DEL-3).

pub(crate) mod kept;
pub(crate) mod lists;
pub(crate) mod members;
pub(crate) mod memberships;
pub(crate) mod moves;
pub(crate) mod nodes;
mod rest;
pub(crate) mod state;

#[cfg(test)]
mod tests;

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use state::stamp;
use tidings_fault::fault;
use tidings_token::Access;
use tidings_wire::frame::encode_server;
use tidings_wire::limits::MEMBER_EVENTS_MAX;
use tidings_wire::names::is_news_channel;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{ChannelMessage, MemberJoined, MemberLeft, SendToChannel};

use crate::attributes::Attributes;
use crate::bus_ops::{BusOp, ForOthers, Keep, MemberSnapshot, Publication, Topic};
use crate::channels::kept::Word;
use crate::channels::members::{Change, Missing, Stamp};
use crate::channels::state::{Channels, HELD_MAX, Held, Own, Published, Sync};
use crate::history::{History, history_message};
use crate::ids::{ChannelKey, HubId, MessageId, SessionId, SessionKey};
use crate::io::{Effect, Sink};
use crate::kernel::Kernel;
use crate::kernel::caller::Caller;
use crate::kernel::check::{check_message, message_bytes};
use crate::kernel::outbox::{Kept, Source};
use crate::kernel::session::Session;
use crate::rates;
use crate::traces::TracedTo;

/// A snapshot that has not come within this time is asked for again, by the next change that needs
/// it.
const RESYNC_AGAIN_MS: u64 = 2_000;

impl Channels {
    pub(crate) fn handle_send_to_channel(
        &mut self,
        caller: Caller,
        call: SendToChannel,
        history: &mut History,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let found = if kernel.traits_of_caller(caller).reaches_any_channel {
            kernel.parse_channel(caller, &call.channel, out)
        } else {
            kernel.joined_channel(caller, &call.channel, out)
        };
        let Some(channel_key) = found else {
            // It is answered.
            return;
        };
        if !is_news_channel(&channel_key.channel)
            && !kernel.permit_in(caller, Access::Write, &channel_key.channel, out)
        {
            return;
        }
        if kernel.bars_send(caller, Some(&channel_key.channel), out) {
            return;
        }
        let message = match check_message(call.message) {
            Ok(message) => message,
            Err(error) => return kernel.reply_error(caller, error, out),
        };
        if !kernel.take_rate(caller, rates::Kind::Message, out) {
            return;
        }
        let bytes = message_bytes(&message);
        if !kernel.check_debt(caller, rates::Kind::FanOut, out) {
            return;
        }
        if kernel.has_message_quotas {
            let known = self.known.get(&channel_key);
            let members = known.map_or(1, |known| known.members.len());
            // A copy of a large message is as many as it has KiB.
            let copies = members * bytes.div_ceil(1024).max(1);
            if !kernel.take_quota(caller, &channel_key.app, Some(copies), out) {
                return;
            }
        }
        let Some((key, sender, cseq)) = kernel.sender_of(caller) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        let from = kernel.user_of(caller).map(|user| user.user.to_string());
        let from = from.unwrap_or_default();
        let limits = kernel.history_limits(&channel_key.app);
        let now_ms = kernel.now.mono_ms;
        let keep = call.history.then(|| {
            Box::new(Keep {
                ask: history.wait_for_keeper(&mut kernel.asks, now_ms, caller),
                message: history_message(
                    from.clone(),
                    (&message, MessageId::new(sender, cseq)),
                    kernel.now.unix_ms,
                ),
                limits,
            })
        });
        // Encoded once: these bytes are what every member on every hub is sent.
        let frame = encode_server(Kind::ChannelMessage(ChannelMessage {
            channel: call.channel,
            from,
            message: Some(message),
            server_ts: kernel.now.unix_ms,
        }));
        let is_kept = keep.is_some();
        let mut members = 1;
        let is_known = match self.known.get_mut(&channel_key) {
            Some(channel) => {
                members = channel.members.len();
                channel.published.push_back(Published {
                    session: key,
                    id: sender,
                    what: match keep {
                        Some(_) => Own::KeptMessage,
                        None => Own::Message { caller },
                    },
                    member_lists: Vec::new(),
                });
                true
            }
            // From outside, to members on other hubs: it does not come back here.
            None => false,
        };
        let message = Publication::Message {
            sender,
            cseq,
            server_ts: kernel.now.unix_ms,
            frame,
            keep,
        };
        if let Publication::Message { sender, frame, .. } = &message
            && fault!(OwnHubSeesMessageEarly)
        {
            self.fan_out(&channel_key, frame, Some(*sender), kernel, out);
        }
        if kernel.traces.is_on {
            let of = (
                MessageId::new(sender, cseq),
                &TracedTo::Channel(channel_key.channel.clone()),
            );
            kernel.trace_accepted(caller, of, bytes, (false, is_kept));
        }
        kernel.charge_fan_out(caller, bytes, members);
        kernel.count(&channel_key.app).channel.sent(bytes);
        if kernel.events.of_messages {
            let of = (MessageId::new(sender, cseq), bytes);
            kernel.tell_channel_message(caller, &channel_key, of, out);
        }
        let topic = Topic::Channel(channel_key);
        out.emit(Effect::Bus(BusOp::Publish {
            topic,
            message: Arc::new(message),
        }));
        if !is_known && !is_kept {
            kernel.reply_sent_to_channel(caller, out);
        }
    }

    // ------------------------------------------------------------ the topic's order

    pub(crate) fn handle_channel_publication(
        &mut self,
        key: &ChannelKey,
        from: HubId,
        message: Arc<Publication>,
        attributes: &mut Attributes,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(channel) = self.known.get_mut(key) else {
            // It was on its way when the last member here left.
            return;
        };
        if !channel.is_current {
            // Ours is the first word of this interest; what comes before it is of the one before.
            let is_first =
                matches!(*message, Publication::Joined { epoch, .. } if epoch == channel.epoch);
            if from != kernel.config.id || !is_first {
                return;
            }
            channel.is_current = true;
        }
        if let Sync::Waiting { held, .. } = &mut channel.sync {
            held.push(Held::Published(from, message));
            if held.len() > HELD_MAX {
                self.finish_sync(key, Vec::new(), attributes, kernel, out);
            }
            return;
        }
        self.apply_publication(key, from, &message, attributes, kernel, out);
    }

    /// The members from before we subscribed are known: applies them, then what has arrived since.
    pub(crate) fn finish_sync(
        &mut self,
        key: &ChannelKey,
        known: Vec<MemberSnapshot>,
        attributes: &mut Attributes,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(channel) = self.known.get_mut(key) else {
            // Too much was held, so it went on without this answer; the channel is unused by now.
            return;
        };
        let Sync::Waiting { held, calls } = std::mem::replace(&mut channel.sync, Sync::Ready)
        else {
            // Too much was held, so it went on without this answer.
            return;
        };
        for snapshot in known {
            if snapshot.origin != kernel.config.id {
                // Nobody here has seen the channel before: these are no events.
                channel.members.apply_snapshot(&snapshot);
            }
        }
        for held in held {
            match held {
                Held::Published(from, message) => {
                    self.apply_publication(key, from, &message, attributes, kernel, out);
                }
                Held::Missed(from, count) => {
                    self.apply_missed(key, from, u64::from(count), kernel, out);
                }
                Held::Lost(node, stands_for) => self.apply_lost(key, node, stands_for),
            }
        }
        for caller in calls {
            self.answer_member_list(key, caller, kernel, out);
        }
    }

    fn apply_publication(
        &mut self,
        key: &ChannelKey,
        from: HubId,
        message: &Publication,
        attributes: &mut Attributes,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(channel) = self.known.get_mut(key) else {
            // An earlier one that was held has taken the last member here away.
            return;
        };
        let is_own = from == kernel.config.id;
        match message {
            Publication::Message {
                sender,
                cseq,
                server_ts,
                frame,
                ..
            } => {
                if !(is_own && fault!(OwnHubSeesMessageEarly)) {
                    let given = if kernel.is_in_cluster() {
                        self.fan_out_once(key, (*sender, *cseq), frame, kernel, out)
                    } else {
                        self.fan_out(key, frame, Some(*sender), kernel, out)
                    };
                    let age_ms = kernel.now.unix_ms.saturating_sub(*server_ts);
                    kernel.counts.messages.note(age_ms);
                    kernel.count(&key.app).channel.given(frame.len(), given);
                }
                if kernel.is_in_cluster() {
                    self.note_sent(key, (*sender, *cseq), frame, kernel);
                }
                if kernel.traces.is_on {
                    let told = (frame, *server_ts);
                    self.trace_message(key, (*sender, *cseq), told, kernel);
                }
                if is_own {
                    self.finish_published(key, kernel, out);
                }
            }
            // Two writers on two hubs may publish in another order than they have written in: what
            // is told is the whole state, so the older one has nothing to say any more.
            Publication::Attributes {
                revision,
                frame,
                others,
            } if *revision > channel.attributes_revision || fault!(AttributesInOrderOfArrival) => {
                channel.attributes_revision = *revision;
                if self.moves.is_awaited() {
                    let word = Word::Attributes(*revision, frame.clone(), others.clone());
                    self.moves.hold(key, word);
                }
                let knows = |session: &Session| session.traits.knows_library_types;
                match others {
                    ForOthers::Same => {
                        self.fan_out(key, frame, None, kernel, out);
                    }
                    ForOthers::Nothing => {
                        self.fan_out_where(key, frame, None, knows, kernel, out);
                    }
                    ForOthers::Frame(other) => {
                        self.fan_out_where(key, frame, None, knows, kernel, out);
                        self.fan_out_where(
                            key,
                            other,
                            None,
                            |session| !knows(session),
                            kernel,
                            out,
                        );
                    }
                }
            }
            Publication::Joined {
                seq,
                epoch,
                user,
                session,
            } => {
                let stamp = stamp(from, *epoch, *seq);
                let change = channel.members.apply_joined(stamp, &user.user, *session);
                self.apply_change(key, stamp, change, kernel, out);
                if is_own {
                    self.finish_published(key, kernel, out);
                }
            }
            Publication::Left {
                seq,
                epoch,
                user,
                session,
            } => {
                let stamp = stamp(from, *epoch, *seq);
                let change = channel.members.apply_left(stamp, &user.user, *session);
                let is_last = matches!(change, Ok(Some(_))) && channel.members.len() == 0;
                if is_own {
                    // Order: the leaver gets its answer, not the news of its own leaving.
                    self.finish_published(key, kernel, out);
                }
                self.apply_change(key, stamp, change, kernel, out);
                if !is_own && self.moves.has_departed() {
                    self.end_departure(key, *session, out);
                }
                if is_own && is_last {
                    attributes.touch_channel(key, kernel, out);
                }
            }
            Publication::Resync { origin }
                if *origin == kernel.config.id && !fault!(ResyncIsNotAnswered) =>
            {
                let snapshot = channel.members.snapshot(key, *origin);
                let message = Arc::new(Publication::Snapshot(Box::new(snapshot)));
                let topic = Topic::Channel(key.clone());
                out.emit(Effect::Bus(BusOp::Publish { topic, message }));
            }
            Publication::Snapshot(snapshot) if !is_own => {
                let resync = channel.resyncs.remove(&snapshot.origin);
                // Changes that were published before the snapshot and are not in it have been
                // dropped here.
                let lacks =
                    resync.is_some_and(|resync| resync.needed > (snapshot.epoch, snapshot.seq));
                for change in channel.members.apply_snapshot(snapshot) {
                    if fault!(SnapshotChangesAreNotTold) {
                        continue;
                    }
                    self.tell_change(key, change, kernel, out);
                }
                if lacks {
                    let stamp = stamp(snapshot.origin, snapshot.epoch, snapshot.seq);
                    self.apply_change(key, stamp, Err(Missing), kernel, out);
                }
            }
            _ => {}
        }
        self.drop_channel_if_unused(key, out);
    }

    fn apply_change(
        &mut self,
        key: &ChannelKey,
        stamp: Stamp,
        change: Result<Option<Change>, Missing>,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        match change {
            Ok(Some(change)) => {
                if fault!(JoinIsToldTwice) {
                    self.tell_change(key, change.clone(), kernel, out);
                }
                self.tell_change(key, change, kernel, out);
            }
            Ok(None) => {}
            Err(Missing) => {
                let now_ms = kernel.now.mono_ms;
                let Some(channel) = self.known.get_mut(key) else {
                    debug_assert!(false, "a channel is gone while it is dealt with");
                    return;
                };
                let resync = channel.resyncs.entry(stamp.origin).or_default();
                resync.needed = resync.needed.max((stamp.epoch, stamp.seq));
                // One snapshot answers for all changes that come while it is on its way.
                if resync.due_ms > now_ms {
                    return;
                }
                resync.due_ms = now_ms + RESYNC_AGAIN_MS;
                let origin = stamp.origin;
                let topic = Topic::Channel(key.clone());
                let message = Arc::new(Publication::Resync { origin });
                out.emit(Effect::Bus(BusOp::Publish { topic, message }));
            }
        }
    }

    /// Something that this hub has published has its place in the order: does what waits for that.
    fn finish_published(&mut self, key: &ChannelKey, kernel: &mut Kernel, out: &mut dyn Sink) {
        let Some(channel) = self.known.get_mut(key) else {
            debug_assert!(false, "a channel is gone while it is dealt with");
            return;
        };
        let Some(published) = channel.published.pop_front() else {
            debug_assert!(false, "nothing is left to be taken");
            return;
        };
        let session = published.session;
        let is_live = kernel.sessions.contains_key(session);
        // The right may have been withdrawn since.
        let may_read = |of: &Session| of.may_in(Access::Read, &key.channel);
        let is_shut = !kernel.sessions.get(session).is_none_or(may_read);
        match published.what {
            Own::Join { .. } | Own::Show if is_live && !is_shut => {
                channel.locals.insert(session, published.id);
            }
            Own::Leave { .. } if !fault!(LeaverStaysSubscribed) => {
                channel.locals.swap_remove(&session);
            }
            // Its join was on its way when the membership was taken away; a session that has ended
            // is told nothing.
            Own::End if !fault!(LeaverStaysSubscribed) => {
                let was_in = channel.locals.swap_remove(&session).is_some();
                if was_in {
                    kernel.tell_removed(session, key, out);
                }
            }
            _ => {}
        }
        match published.what {
            Own::Join { caller } if is_shut => {
                kernel.permit_in(caller, Access::Read, &key.channel, out);
            }
            Own::Join { caller } => {
                kernel.reply_done(caller, out);
                self.schedule_count(key, kernel, out);
            }
            Own::Message { caller } => kernel.reply_sent_to_channel(caller, out),
            Own::Leave { caller } => kernel.reply_done(caller, out),
            Own::KeptMessage | Own::Show | Own::Hide | Own::End | Own::Moved => {}
        }
        for caller in published.member_lists {
            self.answer_member_list(key, caller, kernel, out);
        }
    }

    /// Tells the members here of a member that has come or gone, while there are not too many.
    fn tell_change(
        &mut self,
        key: &ChannelKey,
        change: Change,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(channel) = self.known.get(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        let count = channel.members.len();
        if self.moves.is_awaited() {
            self.moves.hold(key, Word::Change(change.clone()));
        }
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
        if count_before <= MEMBER_EVENTS_MAX
            && !(fault!(LeaversAreNotTold) && matches!(kind, Kind::MemberLeft(_)))
            && !(fault!(JoinersAreNotTold) && matches!(kind, Kind::MemberJoined(_)))
        {
            let frame = encode_server(kind);
            // Nobody is told of its own coming and going (rtm 2.20).
            let is_other = |session: &Session| session.user.user != user;
            self.fan_out_where(key, &frame, None, is_other, kernel, out);
        }
        self.schedule_count(key, kernel, out);
    }

    /// Hands a frame to every member here but the sender: no copy per member, one allocation for
    /// all. Returns how many have got it.
    pub(crate) fn fan_out(
        &mut self,
        key: &ChannelKey,
        frame: &Bytes,
        sender: Option<SessionId>,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) -> usize {
        self.fan_out_where(key, frame, sender, |_| true, kernel, out)
    }

    /// The same, to some of the members.
    fn fan_out_where(
        &mut self,
        key: &ChannelKey,
        frame: &Bytes,
        sender: Option<SessionId>,
        is_meant: impl Fn(&Session) -> bool,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) -> usize {
        let Kernel {
            sessions,
            replay_bytes,
            ..
        } = kernel;
        let Some(channel) = self.known.get(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return 0;
        };
        let mut has_ghost = false;
        let mut connections = Vec::with_capacity(channel.locals.len());
        let source = Source::Channel(Arc::clone(&channel.key));
        let kept = Kept::counted(frame.clone(), source, replay_bytes);
        for (session, id) in &channel.locals {
            if Some(*id) == sender {
                continue;
            }
            let Some(session) = sessions.get_mut(*session) else {
                has_ghost = true;
                continue;
            };
            if is_meant(session) {
                if fault!(FullOutboxEndsFanOut) && session.outbox.has_dropped() {
                    return 0;
                }
                session.outbox.push(Rc::clone(&kept));
                connections.extend(session.connection);
            }
        }
        if !connections.is_empty() {
            out.emit(Effect::SendAll {
                connections,
                frame: frame.clone(),
            });
        }
        if has_ghost {
            self.sweep_ghosts(key, kernel);
        }
        // Each outbox that has got it holds it once: counted without a step per member.
        Rc::strong_count(&kept) - 1
    }

    /// Takes those out of a channel whose session has ended: unless their end is on its way through
    /// the topic's order, they have been forgotten (contract PRE-4).
    fn sweep_ghosts(&mut self, key: &ChannelKey, kernel: &mut Kernel) {
        let Some(channel) = self.known.get_mut(key) else {
            debug_assert!(false, "a channel is gone while it is dealt with");
            return;
        };
        let published = &channel.published;
        let before = channel.locals.len();
        channel.locals.retain(|session, _| {
            kernel.sessions.contains_key(*session)
                || published.iter().any(|own| own.session == *session)
        });
        let ghosts = before - channel.locals.len();
        debug_assert!(ghosts == 0, "a member without a session");
        kernel.counts.ghosts += ghosts as u64;
    }

    /// Notes a message that the members here were just given.
    fn trace_message(
        &self,
        key: &ChannelKey,
        (sender, cseq): (SessionId, u64),
        told: (&Bytes, u64),
        kernel: &mut Kernel,
    ) {
        let id = MessageId::new(sender, cseq);
        let Some(channel) = self.known.get(key) else {
            debug_assert!(false, "a channel is gone while it is dealt with");
            return;
        };
        let members = || {
            let members = channel.locals.iter().filter(|(_, id)| **id != sender);
            members.map(|(key, _)| *key)
        };
        let is_noted = kernel.trace_ordered(key, id, told);
        if is_noted {
            kernel.trace_fan_out(&key.app, id, members());
        }
        let receivers = kernel.trace_receivers(key, told.1);
        if receivers.is_empty() {
            return;
        }
        let is_one = |of: &SessionKey| {
            let session = kernel.sessions.get(*of);
            session.is_some_and(|session| receivers.contains(&session.user.user))
        };
        let followed: Vec<SessionKey> = members().filter(is_one).collect();
        if !followed.is_empty() {
            kernel.trace_received(key, id, told, (&followed, is_noted));
        }
    }

    pub(crate) fn drop_channel_if_unused(&mut self, key: &ChannelKey, out: &mut dyn Sink) {
        let Some(channel) = self.known.get(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        let is_used = !channel.locals.is_empty()
            || !channel.published.is_empty()
            || channel.holds > 0
            || matches!(channel.sync, Sync::Waiting { .. });
        if is_used {
            return;
        }
        self.known.remove(key);
        self.moves.forget(key);
        out.emit(Effect::Bus(BusOp::Unsubscribe(Topic::Channel(key.clone()))));
    }
}
