//! Sessions that move to another node, because their clients have come there (cluster 6).
//!
//! The new hub asks the old one for the session's topics, becomes interested in them, keeps what
//! arrives, and asks for the session. The old hub gives it when its client's requests are answered,
//! and forgets it in the same step; senders who come too late are told to ask again. A connection
//! does not move between nodes, so this is the other way round than within one (decision 0002).

use std::collections::BTreeMap;

use bytes::Bytes;
use tidings_wire::codes::{CloseCode, Outcome};
use tidings_wire::names::ChannelName;
use tidings_wire::proto::Resume;

use crate::Hub;
use crate::bus_ops::{Answer, Asker, BusOp, NotGiven, Publication, Question, Topic};
use crate::ids::{ChannelKey, ConnectionId, HubId, SessionId, SessionKey, UserKey};
use crate::io::{Effect, Sink};
use crate::kernel::Kernel;
use crate::kernel::asks::{AskRule, AskTag, Hangs, Outcome as Asked, Settled};
use crate::kernel::maps::NumberMap;
use crate::kernel::session::Session;
use crate::kernel::users::{HELD_PARCELS_MAX, Stage};
use crate::life::moved::{Arrival, decode_moved};
use crate::life::resume::{digest, same_secret};
use crate::peers::slot::Origin;
use crate::store_ops::events::EventKind;

/// How often a hub asks for a session; each time takes as long as a question to a hub. In all it is
/// less than a connection may take to log in.
const TRIES: u8 = 3;

/// Bytes of all copies of a hub. Beyond it the oldest go: a repeat is refused, and the client logs
/// in anew.
pub(crate) const COPIES_BYTES_MAX: usize = 64 << 20;

/// Sessions that are on their way to a hub at once. Clients beyond it try again.
const TAKINGS_MAX: usize = 4_096;

/// For how long a session that was given counts as being on its way, in milliseconds: longer than
/// its new hub asks for it. Later its new hub is asked where it is, or it is nowhere.
const ON_ITS_WAY_MS: u64 = 8_000;

/// For how long a session waits at most until all members of its channels are known again, in
/// milliseconds: what it is told of them meanwhile would be wrong.
const MEMBERS_MS: u64 = 5_000;

/// Words on a user's topic that are kept for a session on its way.
const WORDS_MAX: usize = 256;

/// The hub that has the session decides.
static GIVE: AskRule = AskRule {
    tag: AskTag::Moves,
    hangs: Hangs::OnHub,
    // Whoever had it before does not decide.
    is_decided_by: |answer| {
        !matches!(
            answer,
            Answer::NotGiven(NotGiven::Unknown | NotGiven::Elsewhere)
        )
    },
    takes_some: true,
};

/// Sessions that move. Empty on a node that is alone.
#[derive(Debug, Default)]
pub(crate) struct Moves {
    /// On their way here. Bound: `TAKINGS_MAX`.
    takings: BTreeMap<SessionId, Taking>,
    /// Questions under way, by their numbers. Bound: one per taking.
    asks: NumberMap<SessionId>,
    /// On their way from here, as soon as their clients' requests are answered. Bound: sessions.
    pub(crate) departing: Vec<Departing>,
    /// Copies of what was given. Bound: `COPIES_BYTES_MAX`.
    pub(crate) given: BTreeMap<SessionId, Given>,
    /// Bytes of all copies.
    pub(crate) given_bytes: usize,
}

/// A session that is on its way here.
#[derive(Debug)]
struct Taking {
    user: UserKey,
    /// The node from which it comes.
    node: u16,
    /// The connection over which its client has come, and when that was opened.
    opened: (ConnectionId, u64),
    resume: Resume,
    step: Step,
    /// When its topics were known, in monotonic milliseconds.
    since_ms: u64,
    /// Others have been told that it is a member here.
    is_told: bool,
    channels: Vec<ChannelKey>,
    /// What was said on its user's topic meanwhile. Bound: `WORDS_MAX`.
    words: Vec<(HubId, Publication)>,
    tries: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The old hub is asked for its topics.
    Topics,
    /// The members of its channels are being fetched.
    Members,
    /// The old hub is asked for the session.
    Give,
}

/// A session that is to be given.
#[derive(Debug)]
pub(crate) struct Departing {
    pub(crate) key: SessionKey,
    pub(crate) asker: Asker,
    pub(crate) taker: HubId,
}

/// A session that was given.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) user: UserKey,
    pub(crate) taker: HubId,
    pub(crate) secrets: Vec<[u8; 32]>,
    pub(crate) record: Bytes,
    /// When, in monotonic milliseconds.
    pub(crate) given_ms: u64,
}

/// Why a session does not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// It is not known anywhere.
    Unknown,
    /// Its client is to try again, elsewhere if it can.
    Again,
    /// Its user has logged in again.
    Replaced,
}

impl Moves {
    /// Whether a session waits for something that may have happened by now.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.takings.is_empty() || !self.departing.is_empty()
    }

    /// Keeps what is said on the topic of a user whose session is on its way.
    pub(crate) fn hear(&mut self, user: &UserKey, from: HubId, word: &Publication) {
        for taking in self.takings.values_mut().filter(|it| it.user == *user) {
            if taking.words.len() < WORDS_MAX {
                taking.words.push((from, word.clone()));
            }
        }
    }
}

// -------------------------------------------------------------------- at the new hub

impl Hub {
    /// A client resumes a session of another node.
    pub(crate) fn begin_move(
        &mut self,
        opened: (ConnectionId, u64),
        resume: Resume,
        (user, session, old): (UserKey, SessionId, HubId),
        out: &mut dyn Sink,
    ) {
        debug_assert_ne!(
            old.node, self.kernel.config.id.node,
            "within a node the connection moves"
        );
        if let Some(taking) = self.logins.moves.takings.get_mut(&session) {
            // Its client has come once more before it was there.
            taking.resume = resume;
            let (before, _) = std::mem::replace(&mut taking.opened, opened);
            return self.drop_connection(before, Some(CloseCode::Superseded), out);
        }
        let (connection, _) = opened;
        let is_of_user = |taking: &Taking| taking.user == user;
        let is_here = self.kernel.users.contains_key(&user);
        if is_here || self.logins.moves.takings.values().any(is_of_user) {
            // A later login of its user is under way, or another session of it is.
            return self.refuse_resume(connection, Outcome::UnknownSession, out);
        }
        if self.logins.moves.takings.len() >= TAKINGS_MAX || self.is_draining {
            return self.drop_connection(connection, Some(CloseCode::GoingAway), out);
        }
        let topic = Topic::User(user.clone());
        out.emit(Effect::Bus(BusOp::Subscribe(topic)));
        self.kernel.moves.arriving.insert(user.clone(), Vec::new());
        let taking = Taking {
            user,
            node: old.node,
            opened,
            resume,
            step: Step::Topics,
            since_ms: self.kernel.now.mono_ms,
            is_told: false,
            channels: Vec::new(),
            words: Vec::new(),
            tries: 0,
        };
        self.logins.moves.takings.insert(session, taking);
        self.ask_to_move(session, out);
    }

    fn ask_to_move(&mut self, session: SessionId, out: &mut dyn Sink) {
        let Some(taking) = self.logins.moves.takings.get_mut(&session) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        let secret = taking.resume.secret.clone();
        let question = match taking.step {
            Step::Topics => Question::Topics { session, secret },
            Step::Members | Step::Give => Question::Give {
                session,
                secret,
                taker: self.kernel.config.id,
            },
        };
        let topic = Topic::User(taking.user.clone());
        let number = self.kernel.ask(topic, question, &GIVE, out);
        self.logins.moves.asks.insert(number, session);
    }

    /// Whether a session is on its way here, or from here to another hub, and the secret is its own.
    pub(crate) fn is_moving(&self, session: SessionId, secret: &[u8]) -> bool {
        let moves = &self.logins.moves;
        let comes = moves.takings.get(&session);
        let comes = comes.is_some_and(|it| same_secret(secret, &digest(&it.resume.secret)));
        let since_ms = self.kernel.now.mono_ms.saturating_sub(ON_ITS_WAY_MS);
        let goes = moves.given.get(&session);
        let goes = goes.is_some_and(|given| {
            let mut secrets = given.secrets.iter();
            given.given_ms >= since_ms && secrets.any(|known| same_secret(secret, known))
        });
        comes || goes
    }

    /// A question of ours is settled.
    pub(crate) fn finish_move_ask(&mut self, settled: Settled, out: &mut dyn Sink) {
        let Some(session) = self.logins.moves.asks.remove(&settled.number) else {
            debug_assert!(false, "a session that nobody has asked for");
            return;
        };
        let Some(taking) = self.logins.moves.takings.get_mut(&session) else {
            // Its user has logged in again.
            return;
        };
        let answer = match settled.outcome {
            Asked::Answered {
                answer: Answer::NotGiven(NotGiven::Unknown),
                is_complete: false,
                ..
            }
            | Asked::Nobody => Answer::NotGiven(NotGiven::Elsewhere),
            Asked::Answered { answer, .. } => answer,
            Asked::Silence => {
                taking.tries += 1;
                if taking.tries < TRIES {
                    return self.ask_to_move(session, out);
                }
                // Somebody had it a moment ago: its client looks for it once more.
                Answer::NotGiven(NotGiven::Elsewhere)
            }
        };
        match (taking.step, answer) {
            (Step::Topics, Answer::Topics { channels, is_here }) => {
                self.await_session(session, channels, is_here, out);
            }
            (Step::Give, Answer::Given(record)) => self.take_in(session, record, out),
            (_, Answer::NotGiven(NotGiven::Stays | NotGiven::Elsewhere)) => {
                self.give_up_move(session, Why::Again, out);
            }
            _ => self.give_up_move(session, Why::Unknown, out),
        }
    }

    /// The session's topics are known: this hub hears them from now on.
    fn await_session(
        &mut self,
        session: SessionId,
        channels: Vec<ChannelName>,
        is_here: bool,
        out: &mut dyn Sink,
    ) {
        let Some(taking) = self.logins.moves.takings.get_mut(&session) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        taking.step = Step::Members;
        taking.since_ms = self.kernel.now.mono_ms;
        taking.is_told = is_here;
        taking.tries = 0;
        let app = &taking.user.app;
        let keys = channels.into_iter().map(|channel| ChannelKey {
            app: app.clone(),
            channel,
        });
        taking.channels = keys.collect();
        for key in &taking.channels {
            let of = (&taking.user, session);
            self.channels
                .await_member(key, of, is_here, &mut self.kernel, out);
        }
    }

    /// Goes on with sessions that wait for something in this hub.
    pub(crate) fn go_on_with_moves(&mut self, out: &mut dyn Sink) {
        let sessions: Vec<SessionId> = self.logins.moves.takings.keys().copied().collect();
        for session in sessions {
            let Some(taking) = self.logins.moves.takings.get_mut(&session) else {
                continue;
            };
            let (connection, _) = taking.opened;
            let stage = self.kernel.connections.get(&connection);
            let is_client_there = matches!(stage, Some(Stage::Resuming { .. }));
            if taking.step == Step::Give {
                // What was asked for is taken, whether its client still waits or not.
                continue;
            }
            if !is_client_there {
                self.give_up_move(session, Why::Unknown, out);
                continue;
            }
            let has_waited = taking.since_ms + MEMBERS_MS <= self.kernel.now.mono_ms;
            let is_known = |key: &ChannelKey| {
                self.channels.is_ready(key) && (has_waited || !self.channels.is_in_doubt(key))
            };
            if taking.step == Step::Members && taking.channels.iter().all(is_known) {
                taking.step = Step::Give;
                self.ask_to_move(session, out);
            }
        }
        let departing = std::mem::take(&mut self.logins.moves.departing);
        for one in departing {
            match self.kernel.sessions.get(one.key) {
                Some(session) if session.connection.is_some() => {
                    // Its client has come back here, and waits nowhere else.
                    let answer = Answer::NotGiven(NotGiven::Stays);
                    self.kernel.answer(one.asker, answer, out);
                }
                Some(session) if !self.is_quiet(one.key, session) => {
                    self.logins.moves.departing.push(one)
                }
                Some(_) => self.give_away(one, out),
                None => {
                    let answer = Answer::NotGiven(NotGiven::Unknown);
                    self.kernel.answer(one.asker, answer, out);
                }
            }
        }
    }

    /// The session does not come.
    fn give_up_move(&mut self, session: SessionId, why: Why, out: &mut dyn Sink) {
        let Some(taking) = self.logins.moves.takings.remove(&session) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        self.forget_arriving(&taking.user, out);
        for key in &taking.channels {
            let of = (&taking.user, session);
            self.channels.give_up_member(key, of, taking.is_told, out);
        }
        let (connection, _) = taking.opened;
        if let Some(Stage::Resuming { .. }) = self.kernel.connections.get(&connection) {
            match why {
                Why::Unknown => self.refuse_resume(connection, Outcome::UnknownSession, out),
                Why::Again => self.drop_connection(connection, Some(CloseCode::GoingAway), out),
                Why::Replaced => self.refuse_replaced(connection, out),
            }
        }
    }

    /// A node is lost, with the sessions that were to come from it.
    pub(crate) fn give_up_moves_from(&mut self, node: u16, out: &mut dyn Sink) {
        let takings = self.logins.moves.takings.iter();
        let lost = takings.filter(|(_, taking)| taking.node == node);
        let lost: Vec<SessionId> = lost.map(|(session, _)| *session).collect();
        for session in lost {
            self.give_up_move(session, Why::Unknown, out);
        }
    }

    /// Nothing waits for a user's session any more: who has its messages tells their senders.
    fn forget_arriving(&mut self, user: &UserKey, out: &mut dyn Sink) {
        let parcels = self.kernel.moves.arriving.remove(user);
        for (origin, _) in parcels.into_iter().flatten() {
            let answer = match origin {
                Origin::Local(_) => Answer::Moved,
                _ => Answer::Gone,
            };
            self.peers
                .answer_delivery(origin, answer, &mut self.kernel, out);
        }
        self.leave_user_topic(user, out);
    }

    /// Ends the interest in a user's topic, unless there is a reason for it.
    pub(crate) fn leave_user_topic(&mut self, user: &UserKey, out: &mut dyn Sink) {
        let moves = &self.kernel.moves;
        let is_needed = self.kernel.users.contains_key(user)
            || moves.arriving.contains_key(user)
            || moves.given.contains_key(user);
        if !is_needed {
            let topic = Topic::User(user.clone());
            out.emit(Effect::Bus(BusOp::Unsubscribe(topic)));
        }
    }

    /// A login of the user begins somewhere: its session is replaced wherever it is, also between
    /// two hubs.
    pub(crate) fn abandon_moves(&mut self, user: &UserKey, out: &mut dyn Sink) {
        let is_its = |(_, taking): &(&SessionId, &Taking)| taking.user == *user;
        let taking = self.logins.moves.takings.iter().find(is_its);
        if let Some(session) = taking.map(|(session, _)| *session) {
            self.give_up_move(session, Why::Replaced, out);
        }
        let moves = &mut self.logins.moves;
        if self.kernel.moves.given.contains_key(user) {
            let given_bytes = &mut moves.given_bytes;
            moves.given.retain(|_, given| {
                let stays = given.user != *user;
                *given_bytes -= if stays { 0 } else { given.record.len() };
                stays
            });
        }
    }

    /// The session has come: it is this hub's from now on.
    fn take_in(&mut self, session: SessionId, record: Bytes, out: &mut dyn Sink) {
        let is_its = |arrival: &Arrival| arrival.session() == Some(session);
        let Some(arrival) = decode_moved(&record).filter(is_its) else {
            return self.give_up_move(session, Why::Unknown, out);
        };
        let Some(taking) = self.logins.moves.takings.remove(&session) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        let user = taking.user;
        let Some((key, told)) = self.insert_arrival(&user, arrival, out) else {
            self.logins
                .moves
                .takings
                .insert(session, Taking { user, ..taking });
            return self.give_up_move(session, Why::Unknown, out);
        };
        let parcels = self.kernel.moves.arriving.remove(&user);
        let opened = taking.opened;
        let stage = self.kernel.connections.get(&opened.0);
        let is_client_there = matches!(stage, Some(Stage::Resuming { .. }));
        let is_here = self.kernel.sessions.get(key).is_some_and(Session::is_here);
        for channel in &taking.channels {
            let of = (&user, session);
            match told
                .iter()
                .find(|told| told.channel == channel.channel.as_str())
            {
                Some(told) => {
                    self.channels
                        .settle_member(channel, key, told, &mut self.kernel, out);
                    if is_here != taking.is_told && !(taking.is_told && is_client_there) {
                        self.channels.tell_moved(channel, of, is_here, out);
                    }
                    if is_here {
                        let kind = EventKind::Join;
                        self.kernel.tell_membership(key, channel, kind, out);
                    }
                }
                None => self
                    .channels
                    .give_up_member(channel, of, taking.is_told, out),
            }
        }
        if is_here {
            self.kernel.emit_presence(key, out);
            self.kernel.tell_login(key, out);
        }
        self.kernel.set_session_timer(key);
        if is_client_there {
            self.attach(key, opened, &taking.resume, out);
        }
        self.go_on_after_move(key, taking.words, parcels.unwrap_or_default(), out);
    }
}

impl Moves {
    /// Asserts what holds between two inputs.
    pub(crate) fn assert_consistent(&self, kernel: &Kernel) {
        let asks = kernel.asks.count_of(AskTag::Moves);
        assert_eq!(self.asks.len(), asks, "questions without a reason");
        assert_eq!(
            self.takings.len(),
            kernel.moves.arriving.len(),
            "users whose sessions are on their way"
        );
        assert!(
            self.takings.len() <= TAKINGS_MAX,
            "too many are on their way"
        );
        for taking in self.takings.values() {
            assert!(taking.words.len() <= WORDS_MAX, "too many words wait");
            assert!(taking.tries < TRIES, "it is asked for too often");
            assert!(
                taking.step != Step::Topics || taking.channels.is_empty(),
                "channels that nobody has named"
            );
            assert!(
                kernel.moves.arriving.contains_key(&taking.user),
                "nothing is kept for a session on its way"
            );
            assert!(
                !kernel.users.contains_key(&taking.user),
                "a session comes to a user who is here"
            );
        }
        let bytes: usize = self.given.values().map(|given| given.record.len()).sum();
        assert_eq!(bytes, self.given_bytes, "bytes of copies");
        assert!(bytes <= COPIES_BYTES_MAX, "too many copies");
        for given in self.given.values() {
            assert!(!given.secrets.is_empty(), "a copy that nobody can ask for");
            assert!(given.taker != kernel.config.id, "given to itself");
        }
        for (at, one) in self.departing.iter().enumerate() {
            let mut others = self.departing[at + 1..].iter();
            assert!(others.all(|other| other.key != one.key), "given twice");
            assert!(one.taker != kernel.config.id, "given to itself");
        }
        for held in kernel.moves.arriving.values() {
            assert!(held.len() <= HELD_PARCELS_MAX, "too many messages wait");
        }
        assert!(
            kernel.moves.given.values().all(|count| *count > 0),
            "copies that there are none of"
        );
        let is_counted = |given: &Given| kernel.moves.given.contains_key(&given.user);
        assert!(
            self.given.values().all(is_counted),
            "a copy of a user whom nobody remembers"
        );
    }
}
