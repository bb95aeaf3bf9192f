//! Memberships of sessions that move from one hub to another.
//!
//! The new hub becomes interested in the session's channels before it asks for the session, and
//! keeps what members are told from then on. When the session comes, with what it has been told of
//! each channel, it is told the rest: no message is lost or told twice, whichever hub has seen it
//! first. What tells messages apart is their sender's own numbering.
//!
//! The new hub says that the session is a member before it asks; the old one says that it is none
//! a while after it has given it. So nobody sees the user leave.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tidings_wire::frame::encode_server;
use tidings_wire::limits::MEMBER_EVENTS_MAX;
use tidings_wire::names::UserId;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{Gap, GapCause, MemberCount, MemberJoined, MemberLeft, gap};

use crate::bus_ops::{BusOp, ForOthers, Publication, Question, Topic};
use crate::channels::members::Change;
use crate::channels::state::{ChannelAsk, Channels, Own, Published};
use crate::ids::{ChannelKey, SessionId, SessionKey, UserKey};
use crate::io::{Effect, Sink};
use crate::kernel::Kernel;
use crate::kernel::maps::{Map, SeededHasher};
use crate::kernel::outbox::Source;
use crate::kernel::session::Session;
use crate::snapshot::record::{MovedChannelRecord, SenderRecord};

/// What a session may have missed that is on its way is not older than this, in milliseconds:
/// longer than a publication takes to the slowest of the nodes.
const RECENT_MS: u64 = 10_000;

/// How long after a session was given its hub says that it is no member any more, in milliseconds:
/// until then the new hub's word that it is one has reached everybody.
const DEPART_MS: u64 = 2_000;

/// Words kept for one session that is on its way. Beyond it the oldest are a gap.
const WORDS_MAX: usize = 4_096;

/// What members of a channel are told while a session is on its way here.
#[derive(Debug, Clone)]
pub(crate) enum Word {
    /// A message, named by its sender and that one's number.
    Message((SessionId, u64), Bytes),
    /// Attributes of this revision.
    Attributes(u64, Bytes, ForOthers),
    /// A member has come or gone.
    Change(Change),
    /// Something was missed: the gap that says so.
    Gap(Bytes),
}

/// What is kept of one channel for one session.
#[derive(Debug, Default)]
struct Kept {
    /// Bound: `WORDS_MAX`.
    words: VecDeque<Word>,
    /// Messages that had no room.
    lost: u64,
}

/// The latest messages of a channel, by sender: (number, when it was told, in monotonic
/// milliseconds).
#[derive(Debug)]
struct Recent {
    senders: Map<SessionId, (u64, u64)>,
    /// How many were left when it was last looked through.
    left: usize,
}

/// A member that has moved on.
#[derive(Debug)]
struct Departure {
    due_ms: u64,
    channel: ChannelKey,
    user: UserKey,
    session: SessionId,
}

/// Nothing of it is used on a node that is alone.
#[derive(Debug)]
pub(crate) struct ChannelMoves {
    /// By channel and session that is on its way. Bound: sessions on their way.
    awaited: Map<ChannelKey, Vec<(SessionId, Kept)>>,
    /// Bound: senders of the last `RECENT_MS`, and as many again.
    recent: Map<ChannelKey, Recent>,
    /// In the order of their time.
    departures: VecDeque<Departure>,
    hasher: SeededHasher,
}

impl ChannelMoves {
    pub(crate) fn new(hasher: SeededHasher) -> Self {
        Self {
            awaited: hasher.map(),
            recent: hasher.map(),
            departures: VecDeque::new(),
            hasher,
        }
    }

    /// Whether a session is on its way here.
    pub(crate) fn is_awaited(&self) -> bool {
        !self.awaited.is_empty()
    }

    /// Whether a session has moved on a moment ago.
    pub(crate) fn has_departed(&self) -> bool {
        !self.departures.is_empty()
    }

    /// Keeps what members are told for those who are on their way.
    pub(crate) fn hold(&mut self, key: &ChannelKey, word: Word) {
        for (_, kept) in self.awaited.get_mut(key).into_iter().flatten() {
            kept.words.push_back(word.clone());
            if kept.words.len() > WORDS_MAX {
                let oldest = kept.words.pop_front();
                kept.lost += u64::from(matches!(oldest, Some(Word::Message(..))));
            }
        }
    }

    /// The channel is not known here any more.
    pub(crate) fn forget(&mut self, key: &ChannelKey) {
        debug_assert!(
            !self.awaited.contains_key(key),
            "a channel is forgotten that a session needs"
        );
        if !self.recent.is_empty() {
            self.recent.remove(key);
        }
    }

    /// Words of the last seconds, by sender.
    fn recent_of(&self, key: &ChannelKey, now_ms: u64) -> Vec<SenderRecord> {
        let senders = self.recent.get(key).into_iter();
        let senders = senders.flat_map(|recent| &recent.senders);
        let senders = senders.filter(|(_, (_, at_ms))| at_ms + RECENT_MS >= now_ms);
        let record = |(sender, (cseq, _)): (&SessionId, &(u64, u64))| SenderRecord {
            session: sender.0.to_vec(),
            cseq: *cseq,
        };
        let mut senders: Vec<SenderRecord> = senders.map(record).collect();
        // Order: sorted, because the map's order would reach the answer.
        senders.sort_unstable_by(|a, b| a.session.cmp(&b.session));
        senders
    }
}

impl Channels {
    /// A message has its place in the order here.
    pub(crate) fn note_sent(
        &mut self,
        key: &ChannelKey,
        (sender, cseq): (SessionId, u64),
        frame: &Bytes,
        kernel: &Kernel,
    ) {
        let now_ms = kernel.now.mono_ms;
        let moves = &mut self.moves;
        if !moves.recent.contains_key(key) {
            let senders = moves.hasher.map();
            let recent = Recent { senders, left: 0 };
            moves.recent.insert(key.clone(), recent);
        }
        if let Some(recent) = moves.recent.get_mut(key) {
            let entry = recent.senders.entry(sender).or_default();
            *entry = (entry.0.max(cseq), now_ms);
            if recent.senders.len() > 2 * recent.left + 16 {
                recent
                    .senders
                    .retain(|_, (_, at_ms)| *at_ms + RECENT_MS >= now_ms);
                recent.left = recent.senders.len();
            }
        }
        if moves.is_awaited() {
            let word = Word::Message((sender, cseq), frame.clone());
            moves.hold(key, word);
        }
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

/// What a session is told of a channel that it was not told at its old hub.
struct Rest<'a> {
    session: SessionId,
    /// Its own coming and going is not told to a user.
    user: UserId,
    knows_library_types: bool,
    told: &'a MovedChannelRecord,
    /// Members as they are here.
    now: Vec<UserId>,
    /// Members as the session knows them; `None` = there are too many for events.
    known: Option<Vec<UserId>>,
    frames: Vec<Bytes>,
}

impl<'a> Rest<'a> {
    fn new(session: &Session, told: &'a MovedChannelRecord, now: Vec<UserId>) -> Self {
        let max = MEMBER_EVENTS_MAX;
        let has_events = told.count <= max as u64 && now.len() <= max;
        let parse =
            |name: &String| UserId::parse_by(tidings_wire::names::NameRule::Wide, name).ok();
        Self {
            session: session.id,
            user: session.user.user.clone(),
            knows_library_types: session.traits.knows_library_types,
            told,
            now,
            known: has_events.then(|| told.members.iter().filter_map(parse).collect()),
            frames: Vec::new(),
        }
    }

    fn frames(&mut self, kept: Kept, revision: u64) -> Vec<Bytes> {
        // Whoever was a member when words began to be kept is told before the first of them.
        let first_of = |user: &UserId| {
            kept.words.iter().find_map(|word| match word {
                Word::Change(change) if user_of(change) == user => Some(change),
                _ => None,
            })
        };
        let mut before: Vec<UserId> = (self.now.iter())
            .filter(|user| !matches!(first_of(user), Some(Change::Joined(_))))
            .cloned()
            .collect();
        before.extend(kept.words.iter().filter_map(|word| match word {
            Word::Change(Change::Left(user)) if matches!(first_of(user), Some(Change::Left(_))) => {
                Some(user.clone())
            }
            _ => None,
        }));
        for user in before {
            self.tell(&Change::Joined(user));
        }
        if kept.lost > 0 {
            self.frames.push(encode_server(Kind::Gap(Gap {
                cause: GapCause::BufferOverflow.into(),
                missed: kept.lost,
                source: Some(gap::Source::Channel(self.told.channel.clone())),
            })));
        }
        for word in kept.words {
            self.word(word, revision);
        }
        let now = std::mem::take(&mut self.now);
        for user in self.known.clone().unwrap_or_default() {
            if !now.contains(&user) {
                self.tell(&Change::Left(user));
            }
        }
        for user in &now {
            self.tell(&Change::Joined(user.clone()));
        }
        if self.told.count != now.len() as u64 {
            self.frames
                .push(encode_server(Kind::MemberCount(MemberCount {
                    channel: self.told.channel.clone(),
                    count: u32::try_from(now.len()).unwrap_or(u32::MAX),
                })));
        }
        std::mem::take(&mut self.frames)
    }

    fn word(&mut self, word: Word, revision: u64) {
        match word {
            Word::Message((sender, cseq), frame) => {
                let mut senders = self.told.senders.iter();
                let had = senders.find(|known| known.session == sender.0);
                if sender != self.session && had.is_none_or(|had| had.cseq < cseq) {
                    self.frames.push(frame);
                }
            }
            Word::Attributes(of, frame, others) if of > self.told.attributes_revision => {
                debug_assert!(of <= revision, "attributes that were not told");
                match others {
                    _ if self.knows_library_types => self.frames.push(frame),
                    ForOthers::Same => self.frames.push(frame),
                    ForOthers::Frame(frame) => self.frames.push(frame),
                    ForOthers::Nothing => {}
                }
            }
            Word::Attributes(..) => {}
            Word::Change(change) => self.tell(&change),
            Word::Gap(frame) => self.frames.push(frame),
        }
    }

    /// Tells a change of the members, if it is one to the session.
    fn tell(&mut self, change: &Change) {
        let Some(known) = &mut self.known else {
            // Too many are members.
            return;
        };
        let user = user_of(change);
        let at = known.iter().position(|of| of == user);
        let channel = self.told.channel.clone();
        let user_id = user.to_string();
        let kind = match (change, at) {
            (Change::Joined(_), None) => {
                known.push(user.clone());
                Kind::MemberJoined(MemberJoined { channel, user_id })
            }
            (Change::Left(_), Some(at)) => {
                known.swap_remove(at);
                Kind::MemberLeft(MemberLeft { channel, user_id })
            }
            _ => return,
        };
        if *user != self.user {
            self.frames.push(encode_server(kind));
        }
    }
}

fn user_of(change: &Change) -> &UserId {
    match change {
        Change::Joined(user) | Change::Left(user) => user,
    }
}
