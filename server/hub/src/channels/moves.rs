//! Memberships of sessions that move from one hub to another.
//!
//! The new hub becomes interested in the session's channels before it asks for the session, and
//! keeps what members are told from then on. When the session comes, with what it has been told of
//! each channel, it is told the rest: no message is lost or told twice, whichever hub has seen it
//! first. What tells messages apart is their sender's own numbering.
//!
//! The new hub says that the session is a member before it asks; the old one says that it is none
//! a while after it has given it. So nobody sees the user leave.

use std::sync::Arc;

use bytes::Bytes;
use tidings_wire::limits::MEMBER_EVENTS_MAX;

use crate::bus_ops::{BusOp, Publication, Question, Topic};
use crate::channels::kept::{Departure, Kept, Word};
use crate::channels::members::Change;
use crate::channels::rest::Rest;
use crate::channels::state::{ChannelAsk, Channels, Own, Published};
use crate::ids::{ChannelKey, SessionId, SessionKey, UserKey};
use crate::io::{Effect, Sink};
use crate::kernel::Kernel;
use crate::kernel::outbox::Source;
use crate::kernel::session::Session;
use crate::snapshot::record::MovedChannelRecord;

/// How long after a session was given its hub says that it is no member any more, in milliseconds:
/// until then the new hub's word that it is one has reached everybody.
const DEPART_MS: u64 = 2_000;

impl Channels {
    /// A message has its place in the order here.
    pub(crate) fn note_sent(
        &mut self,
        key: &ChannelKey,
        (sender, cseq): (SessionId, u64),
        frame: &Bytes,
        kernel: &Kernel,
    ) {
        let moves = &mut self.moves;
        moves.note(key, (sender, cseq), kernel.now.mono_ms);
        if moves.is_awaited() {
            let word = Word::Message((sender, cseq), frame.clone());
            moves.hold(key, word);
        }
    }

    /// Hands a message to the members here who have not had it at an earlier hub of theirs.
    pub(crate) fn fan_out_once(
        &mut self,
        key: &ChannelKey,
        (sender, cseq): (SessionId, u64),
        frame: &Bytes,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) -> usize {
        let had = self.moves.who_had(key, (sender, cseq), kernel.now.mono_ms);
        if had.is_empty() {
            return self.fan_out(key, frame, Some(sender), kernel, out);
        }
        let is_meant = |session: &Session| !had.contains(&session.id);
        self.fan_out_where(key, frame, Some(sender), is_meant, kernel, out)
    }

    // ------------------------------------------------------------ at the new hub

    /// Becomes interested in a channel of a session that is to come, and keeps from now on what
    /// members are told. `is_here`: others see its user.
    pub(crate) fn await_member(
        &mut self,
        key: &ChannelKey,
        (user, session): (&UserKey, SessionId),
        is_here: bool,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let is_new = self.become_interested(key, kernel, out);
        let Some(channel) = self.known.get_mut(key) else {
            debug_assert!(false, "a channel is gone while it is dealt with");
            return;
        };
        channel.holds += 1;
        let departures = &mut self.moves.departures;
        let is_it = |of: &Departure| of.session == session && of.channel == *key;
        let left = departures.iter().position(is_it).filter(|_| is_here);
        if left.and_then(|at| departures.remove(at)).is_some() {
            // It was here a moment ago, and others have not been told otherwise.
            channel.holds -= 1;
        }
        // What is left over of an earlier interest the session has had already.
        channel.is_current = true;
        let awaited = self.moves.awaited.entry(key.clone()).or_default();
        awaited.push((session, Kept::default()));
        if is_here {
            self.publish_moved(key, (user, session), Change::Joined(user.user.clone()), out);
        }
        if is_new {
            // Order: as for a join.
            let pending = ChannelAsk::Members(key.clone());
            let asked = (Topic::Channel(key.clone()), Question::Members);
            self.ask(kernel, asked, pending, out);
        }
    }

    /// Whether the members of a channel are known.
    pub(crate) fn is_ready(&self, key: &ChannelKey) -> bool {
        self.known.get(key).is_none_or(|channel| channel.is_ready())
    }

    /// The session does not come after all. `was_told`: others were told that it is a member.
    pub(crate) fn give_up_member(
        &mut self,
        key: &ChannelKey,
        (user, session): (&UserKey, SessionId),
        was_told: bool,
        out: &mut dyn Sink,
    ) {
        if was_told {
            self.publish_moved(key, (user, session), Change::Left(user.user.clone()), out);
        }
        self.take_kept(key, session);
        self.release_channel(key, out);
    }

    /// The session has come, and is a member here. Gives what it is told of the channel, and keeps
    /// that in its outbox.
    pub(crate) fn settle_member(
        &mut self,
        key: &ChannelKey,
        session_key: SessionKey,
        told: &MovedChannelRecord,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(session) = kernel.sessions.get_mut(session_key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        let kept = self.take_kept(key, session.id);
        let had = (session.id, &told.senders[..]);
        self.moves.note_had(key, had, kernel.now.mono_ms);
        let Some(channel) = self.known.get_mut(key) else {
            debug_assert!(false, "a channel is gone while it is dealt with");
            return;
        };
        channel.locals.insert(session_key, session.id);
        let members = channel.members.users();
        let mut rest = Rest::new(session, told, members);
        for frame in rest.frames(kept, channel.attributes_revision) {
            let source = Source::Channel(Arc::clone(&channel.key));
            session.outbox.push_own(frame, source);
        }
        self.release_channel(key, out);
    }

    /// Others are told that a member that has come is one that they see, or is none.
    pub(crate) fn tell_moved(
        &mut self,
        key: &ChannelKey,
        (user, session): (&UserKey, SessionId),
        is_here: bool,
        out: &mut dyn Sink,
    ) {
        let name = user.user.clone();
        let change = if is_here {
            Change::Joined(name)
        } else {
            Change::Left(name)
        };
        self.publish_moved(key, (user, session), change, out);
    }

    fn take_kept(&mut self, key: &ChannelKey, session: SessionId) -> Kept {
        let Some(awaited) = self.moves.awaited.get_mut(key) else {
            debug_assert!(false, "nothing was kept for a session");
            return Kept::default();
        };
        let at = awaited.iter().position(|(of, _)| *of == session);
        let kept = at.map(|at| awaited.remove(at).1).unwrap_or_default();
        if awaited.is_empty() {
            self.moves.awaited.remove(key);
        }
        kept
    }

    fn release_channel(&mut self, key: &ChannelKey, out: &mut dyn Sink) {
        let Some(channel) = self.known.get_mut(key) else {
            debug_assert!(false, "a channel is gone while it is dealt with");
            return;
        };
        debug_assert!(channel.holds > 0, "a channel is released twice");
        channel.holds = channel.holds.saturating_sub(1);
        self.drop_channel_if_unused(key, out);
    }

    /// Tells the other hubs where the session is a member now. It is no event of the channel.
    fn publish_moved(
        &mut self,
        key: &ChannelKey,
        (user, session): (&UserKey, SessionId),
        change: Change,
        out: &mut dyn Sink,
    ) {
        let Some(channel) = self.known.get_mut(key) else {
            debug_assert!(false, "a channel is gone while it is dealt with");
            return;
        };
        channel.seq += 1;
        let (seq, epoch, user) = (channel.seq, channel.epoch, user.clone());
        let message = match change {
            Change::Joined(_) => Publication::Joined {
                seq,
                epoch,
                user,
                session,
            },
            Change::Left(_) => Publication::Left {
                seq,
                epoch,
                user,
                session,
            },
        };
        channel.published.push_back(Published {
            session: SessionKey::default(),
            id: session,
            what: Own::Moved,
            member_lists: Vec::new(),
        });
        let topic = Topic::Channel(key.clone());
        out.emit(Effect::Bus(BusOp::Publish {
            topic,
            message: Arc::new(message),
        }));
    }

    // ------------------------------------------------------------ at the old hub

    /// What a session that is given away has been told of a channel.
    pub(crate) fn told_of(&self, key: &ChannelKey, kernel: &Kernel) -> MovedChannelRecord {
        let known = self.known.get(key);
        let count = known.map_or(0, |channel| channel.members.len());
        let members = known.filter(|_| count <= MEMBER_EVENTS_MAX);
        let members = members.map(|channel| channel.members.users());
        MovedChannelRecord {
            channel: key.channel.to_string(),
            count: count as u64,
            members: members
                .into_iter()
                .flatten()
                .map(|user| user.to_string())
                .collect(),
            senders: self.moves.recent_of(key, kernel.now.mono_ms),
            attributes_revision: known.map_or(0, |channel| channel.attributes_revision),
        }
    }

    /// A member was given to another hub. `was_here`: others see its user, and must not see it
    /// leave. Returns when [`Self::end_departures`] is due.
    pub(crate) fn depart(
        &mut self,
        key: &ChannelKey,
        (session_key, session): (SessionKey, SessionId),
        (user, was_here): (&UserKey, bool),
        kernel: &Kernel,
        out: &mut dyn Sink,
    ) -> Option<u64> {
        let channel = self.known.get_mut(key)?;
        channel.locals.swap_remove(&session_key);
        if !was_here {
            self.drop_channel_if_unused(key, out);
            return None;
        }
        channel.holds += 1;
        let due_ms = kernel.now.mono_ms + DEPART_MS;
        self.moves.departures.push_back(Departure {
            due_ms,
            channel: key.clone(),
            user: user.clone(),
            session,
        });
        Some(due_ms)
    }

    /// Says of those who have moved on that they are no members here any more.
    pub(crate) fn end_departures(&mut self, kernel: &Kernel, out: &mut dyn Sink) {
        let now_ms = kernel.now.mono_ms;
        let is_due = |next: &mut Departure| next.due_ms <= now_ms;
        while let Some(over) = self.moves.departures.pop_front_if(is_due) {
            self.end_one(over, out);
        }
    }

    /// The new hub says that the session has left: nobody has to wait for this one.
    pub(crate) fn end_departure(
        &mut self,
        key: &ChannelKey,
        session: SessionId,
        out: &mut dyn Sink,
    ) {
        let departures = &mut self.moves.departures;
        let is_it = |of: &Departure| of.session == session && of.channel == *key;
        let at = departures.iter().position(is_it);
        if let Some(over) = at.and_then(|at| departures.remove(at)) {
            self.end_one(over, out);
        }
    }

    fn end_one(&mut self, over: Departure, out: &mut dyn Sink) {
        let Departure {
            channel,
            user,
            session,
            ..
        } = over;
        let change = Change::Left(user.user.clone());
        self.publish_moved(&channel, (&user, session), change, out);
        self.release_channel(&channel, out);
    }
}
