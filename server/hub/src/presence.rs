//! Presence: who is online, asked once or watched.

pub(crate) mod nodes;
pub(crate) mod slot;

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexSet;
use tidings_token::Access;
use tidings_wire::codes::Outcome;
use tidings_wire::frame::encode_server;
use tidings_wire::limits::{PRESENCE_QUERY_USERS_MAX, PRESENCE_SUBSCRIPTIONS_MAX};
use tidings_wire::names::UserId;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{self, PresenceChanged, PresenceList, PresenceState, UserList, reply};

use crate::bus_ops::{Answer, Asker, BusOp, LoginStamp, Publication, Question, Topic};
use crate::ids::{HubId, SessionId, SessionKey, UserKey};
use crate::io::{Effect, Sink};
use crate::kernel::Kernel;
use crate::kernel::asks::{AskRule, AskTag, Hangs, Outcome as Asked, Settled};
use crate::kernel::caller::Caller;
use crate::kernel::maps::{Map, NumberMap, SeededHasher, number_map};
use crate::kernel::outbox::Source;
use crate::kernel::reply::error;
use crate::rates;
use crate::snapshot::record::WatchRecord;
use crate::snapshot::{from_session_id, from_user, to_user};

/// No login: older than every login.
pub(crate) const NEVER: LoginStamp = LoginStamp {
    mono_ms: 0,
    hub: HubId::local(0),
    count: 0,
};

/// Whom this hub's sessions watch, and presence calls under way.
#[derive(Debug)]
pub(crate) struct Presence {
    /// Users whose presence a session here watches.
    pub(crate) watches: Map<UserKey, Watch>,
    /// Presence calls that wait for other hubs. Bound: each belongs to an open request.
    pub(crate) gathers: Map<u64, PresenceGather>,
    /// Names the gathers.
    pub(crate) gather_count: u64,
    /// Questions under way, by their numbers. Bound: each belongs to a gather.
    pub(crate) asks: NumberMap<PresenceAsk>,
}

/// A question for a user's state: the first hub that has the user there decides.
pub(crate) static STATE: AskRule = AskRule {
    tag: AskTag::Presence,
    hangs: Hangs::OnHub,
    is_decided_by: Answer::is_of_somebody_there,
    takes_some: true,
};

impl Presence {
    pub(crate) fn new(hasher: SeededHasher) -> Self {
        Self {
            watches: hasher.map(),
            gathers: hasher.map(),
            gather_count: 0,
            asks: number_map(),
        }
    }
}

/// A user whom sessions of this hub watch.
///
/// Cost: a session begins and ends to watch in O(1), whoever else watches; a change of the user's
/// state costs O(watchers), with one encoding for all of them.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) state: PresenceState,
    /// The hub that has said so; one of a node that was lost is stood for by something else.
    pub(crate) by: HubId,
    /// The login that `state` belongs to.
    pub(crate) stamp: LoginStamp,
    /// Sessions that have had their first report.
    pub(crate) watchers: IndexSet<SessionKey, SeededHasher>,
    /// Subscriptions that wait for their first report.
    pub(crate) waiting: usize,
}

/// Why a user's state was asked for.
#[derive(Debug)]
pub(crate) enum PresenceAsk {
    /// One question of a presence call.
    Gather {
        gather: u64,
        /// The user's place in the call.
        at: usize,
        user: UserKey,
    },
    /// A word about a watched user may have been lost.
    Look {
        user: UserKey,
        /// What was known when it was asked.
        known: (PresenceState, LoginStamp),
    },
}

/// A presence call that waits for other hubs.
///
/// Cost: O(users of the call) in all, O(1) per answer.
#[derive(Debug)]
pub(crate) struct PresenceGather {
    pub(crate) caller: Caller,
    /// Users in the order of the call, with what is known.
    pub(crate) users: Vec<(UserKey, PresenceState)>,
    pub(crate) missing: usize,
    pub(crate) is_subscription: bool,
}

impl Presence {
    pub(crate) fn handle_query_presence(
        &mut self,
        caller: Caller,
        user_ids: Vec<String>,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        if !kernel.take_rate(caller, rates::Kind::QueryPresence, out) {
            return;
        }
        let users = Self::parse_users(caller, &user_ids, PRESENCE_QUERY_USERS_MAX, kernel, out);
        if let Some(users) = users
            && Self::permit_all(caller, &users, kernel, out)
        {
            self.gather_presence(caller, users, false, kernel, out);
        }
    }

    pub(crate) fn handle_subscribe_presence(
        &mut self,
        caller: Caller,
        user_ids: Vec<String>,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(key) = kernel.session_of(caller, out) else {
            // It is answered.
            return;
        };
        if !kernel.take_rate(caller, rates::Kind::SubscribePresence, out) {
            return;
        }
        let Some(users) =
            Self::parse_users(caller, &user_ids, PRESENCE_SUBSCRIPTIONS_MAX, kernel, out)
        else {
            // It is answered.
            return;
        };
        if !Self::permit_all(caller, &users, kernel, out) {
            return;
        }
        let Some(session) = kernel.sessions.get_mut(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        let new: Vec<UserKey> = users
            .iter()
            .filter(|user| !session.presence.watched.contains(user))
            .cloned()
            .collect();
        let total = session.presence.watched.len() + new.len();
        if total > PRESENCE_SUBSCRIPTIONS_MAX {
            let text = format!(
                "the login would watch {total} users; at most {PRESENCE_SUBSCRIPTIONS_MAX} are allowed"
            );
            return kernel.reply_error(caller, error(Outcome::TooManyUsers, text), out);
        }
        session.presence.watched.extend(kernel.hasher, new);
        for user in &users {
            if !self.watches.contains_key(user) {
                // Subscribed before asking: no change can fall between the answer and the topic.
                out.emit(Effect::Bus(BusOp::Subscribe(Topic::Presence(user.clone()))));
            }
            let watch = self.watches.entry(user.clone()).or_insert_with(|| Watch {
                state: PresenceState::Offline,
                by: kernel.config.id,
                stamp: NEVER,
                watchers: IndexSet::with_hasher(kernel.hasher),
                waiting: 0,
            });
            watch.waiting += 1;
            Self::tell_watched(user, kernel, out);
        }
        self.gather_presence(caller, users, true, kernel, out);
    }

    pub(crate) fn handle_unsubscribe_presence(
        &mut self,
        caller: Caller,
        user_ids: Vec<String>,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(key) = kernel.session_of(caller, out) else {
            // It is answered.
            return;
        };
        if !kernel.take_rate(caller, rates::Kind::UnsubscribePresence, out) {
            return;
        }
        let Some(users) =
            Self::parse_users(caller, &user_ids, PRESENCE_SUBSCRIPTIONS_MAX, kernel, out)
        else {
            // It is answered.
            return;
        };
        for user in users {
            self.end_watch(key, &user, kernel, out);
        }
        kernel.reply_done(caller, out);
    }

    pub(crate) fn handle_query_subscriptions(
        caller: Caller,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(key) = kernel.session_of(caller, out) else {
            // It is answered.
            return;
        };
        if !kernel.take_rate(caller, rates::Kind::QuerySubscriptions, out) {
            return;
        }
        let Some(session) = kernel.sessions.get(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        let user_ids = session
            .presence
            .watched
            .iter()
            .map(|user| user.user.to_string())
            .collect();
        kernel.reply(caller, reply::Result::Users(UserList { user_ids }), out);
    }

    /// Whether the session may see all of these users; if not, answers the request.
    fn permit_all(
        caller: Caller,
        users: &[UserKey],
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) -> bool {
        let mut users = users.iter();
        users.all(|user| kernel.permit_with(caller, Access::Read, &user.user, out))
    }

    fn parse_users(
        caller: Caller,
        user_ids: &[String],
        max: usize,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) -> Option<Vec<UserKey>> {
        let app = kernel.user_of(caller)?.app.clone();
        let names = kernel.traits_of_caller(caller).names;
        let refusal = if user_ids.is_empty() {
            Some(error(
                Outcome::InvalidArgument,
                "the list of users is empty",
            ))
        } else if user_ids.len() > max {
            let text = format!(
                "{} users are named; at most {max} are allowed",
                user_ids.len()
            );
            Some(error(Outcome::TooManyUsers, text))
        } else {
            None
        };
        if let Some(refusal) = refusal {
            kernel.reply_error(caller, refusal, out);
            return None;
        }
        let mut users: Vec<UserKey> = Vec::with_capacity(user_ids.len());
        for id in user_ids {
            match UserId::parse_by(names, id) {
                Ok(user) => users.push(UserKey {
                    app: app.clone(),
                    user,
                }),
                Err(name) => {
                    let text = format!("user id {id:?}: {name}");
                    kernel.reply_error(caller, error(Outcome::InvalidArgument, text), out);
                    return None;
                }
            }
        }
        let mut seen = std::collections::BTreeSet::new();
        users.retain(|user| seen.insert(user.clone()));
        Some(users)
    }

    fn gather_presence(
        &mut self,
        caller: Caller,
        users: Vec<UserKey>,
        is_subscription: bool,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        self.gather_count += 1;
        let gather = self.gather_count;
        let mut known = Vec::with_capacity(users.len());
        let mut unknown = Vec::new();
        for (at, user) in users.into_iter().enumerate() {
            match Self::presence_here(&user, kernel) {
                Some((state, stamp)) => {
                    self.note_presence(&user, (state, stamp), kernel.config.id);
                    known.push((user, state));
                }
                None => {
                    unknown.push((at, user.clone()));
                    known.push((user, PresenceState::Offline));
                }
            }
        }
        let missing = unknown.len();
        let pending = PresenceGather {
            caller,
            users: known,
            missing,
            is_subscription,
        };
        if missing == 0 {
            return self.finish_gather(pending, kernel, out);
        }
        self.gathers.insert(gather, pending);
        for (at, user) in unknown {
            let ask = PresenceAsk::Gather {
                gather,
                at,
                user: user.clone(),
            };
            let topic = Topic::User(user);
            let number = kernel.ask(topic, Question::Presence, &STATE, out);
            self.asks.insert(number, ask);
        }
    }

    pub(crate) fn presence_here(
        user: &UserKey,
        kernel: &Kernel,
    ) -> Option<(PresenceState, LoginStamp)> {
        kernel.presence_of(kernel.users.get(user)?.session?)
    }

    pub(crate) fn answer_presence(
        user: &UserKey,
        asker: Asker,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let (state, stamp) =
            Self::presence_here(user, kernel).unwrap_or((PresenceState::Offline, NEVER));
        kernel.answer(asker, Answer::Presence { state, stamp }, out);
    }

    /// A question of ours is settled.
    pub(crate) fn finish_presence(
        &mut self,
        settled: Settled,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(ask) = self.asks.remove(&settled.number) else {
            debug_assert!(false, "a presence question that nobody has asked");
            return;
        };
        let (gather_id, at, user) = match ask {
            PresenceAsk::Gather { gather, at, user } => (gather, at, user),
            PresenceAsk::Look { user, known } => {
                return self.finish_look(&user, known, settled.outcome, kernel, out);
            }
        };
        let (state, stamp, by) = match settled.outcome {
            Asked::Answered {
                answer: Answer::Presence { state, stamp },
                from,
                ..
            } => (state, stamp, from),
            // Nobody has a session of the user, or whoever has is silent.
            _ => (PresenceState::Offline, NEVER, kernel.config.id),
        };
        self.note_presence(&user, (state, stamp), by);
        let Some(gather) = self.gathers.get_mut(&gather_id) else {
            debug_assert!(false, "an answer without its request");
            return;
        };
        debug_assert!(gather.missing > 0, "a state came twice");
        debug_assert_eq!(gather.users[at].0, user, "a state of another user");
        gather.users[at].1 = state;
        gather.missing -= 1;
        if gather.missing == 0
            && let Some(gather) = self.gathers.remove(&gather_id)
        {
            self.finish_gather(gather, kernel, out);
        }
    }

    /// Remembers a state for the watchers, unless something newer is known. Returns whether it is
    /// news.
    fn note_presence(
        &mut self,
        user: &UserKey,
        (state, stamp): (PresenceState, LoginStamp),
        by: HubId,
    ) -> bool {
        let Some(watch) = self.watches.get_mut(user) else {
            // Nobody here watches the user any more.
            return false;
        };
        if stamp < watch.stamp {
            return false;
        }
        let is_news = watch.state != state;
        watch.by = by;
        watch.stamp = stamp;
        watch.state = state;
        is_news
    }

    fn finish_gather(&mut self, gather: PresenceGather, kernel: &mut Kernel, out: &mut dyn Sink) {
        if !gather.is_subscription {
            let users = gather
                .users
                .iter()
                .map(|(user, state)| proto::Presence {
                    user_id: user.user.to_string(),
                    // A query never tells UNREACHABLE: a user within the grace is online (rtm 2.9).
                    state: match state {
                        PresenceState::Offline => PresenceState::Offline,
                        _ => PresenceState::Online,
                    }
                    .into(),
                })
                .collect();
            return kernel.reply(
                gather.caller,
                reply::Result::Presence(PresenceList { users }),
                out,
            );
        }
        let Some(key) = gather.caller.session() else {
            debug_assert!(false, "only a session subscribes");
            return;
        };
        let is_live = kernel.sessions.contains_key(key);
        let mut report = Vec::with_capacity(gather.users.len());
        for (user, _) in &gather.users {
            let Some(watch) = self.watches.get_mut(user) else {
                debug_assert!(false, "a watch is gone while it is dealt with");
                continue;
            };
            debug_assert!(watch.waiting > 0, "a first report that nobody waits for");
            watch.waiting -= 1;
            let is_wanted = is_live && kernel.sessions[key].presence.watched.contains(user);
            if is_wanted {
                report.push(proto::Presence {
                    user_id: user.user.to_string(),
                    state: watch.state.into(),
                });
                watch.watchers.insert(key);
            }
            self.drop_watch_if_unused(user, out);
        }
        kernel.reply_done(gather.caller, out);
        Self::push_presence(key, report, kernel, out);
    }

    fn push_presence(
        key: SessionKey,
        users: Vec<proto::Presence>,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        if let Some(session) = kernel.sessions.get_mut(key)
            && !users.is_empty()
        {
            let frame = encode_server(Kind::PresenceChanged(PresenceChanged { users }));
            session.push(frame, Source::Call, out);
        }
    }

    pub(crate) fn watch_records(&self, kernel: &Kernel) -> Vec<WatchRecord> {
        let mut watches: Vec<_> = self.watches.iter().collect();
        watches.sort_unstable_by_key(|(user, _)| *user);
        let id = |key: &SessionKey| Some(kernel.sessions.get(*key)?.id.0.to_vec());
        let record = |(user, watch): (&UserKey, &Watch)| WatchRecord {
            user: Some(to_user(user)),
            state: watch.state.into(),
            watchers: watch.watchers.iter().filter_map(id).collect(),
        };
        watches.into_iter().map(record).collect()
    }

    /// Goes on watching a user, from the state that the watchers have been told.
    pub(crate) fn restore_watch(
        &mut self,
        record: WatchRecord,
        keys: &BTreeMap<SessionId, SessionKey>,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let state = PresenceState::try_from(record.state);
        let (Some(user), Ok(state)) = (record.user.and_then(from_user), state) else {
            // A record that this version has not written.
            return;
        };
        let ids = record.watchers.iter().filter_map(|id| from_session_id(id));
        let mut watchers = IndexSet::with_hasher(kernel.hasher);
        let watches = |key: &SessionKey| {
            let session = kernel.sessions.get(*key);
            session.is_some_and(|it| it.presence.watched.contains(&user))
        };
        let known = ids.filter_map(|id| keys.get(&id).copied());
        watchers.extend(known.filter(watches));
        let watch = Watch {
            state,
            by: kernel.config.id,
            stamp: NEVER,
            watchers,
            waiting: 0,
        };
        self.watches.insert(user.clone(), watch);
        out.emit(Effect::Bus(BusOp::Subscribe(Topic::Presence(user.clone()))));
        self.drop_watch_if_unused(&user, out);
    }

    /// A session watches those only whose records say so too: a file may hold anything.
    pub(crate) fn leave_unrestored_watches(&mut self, key: SessionKey, kernel: &mut Kernel) {
        let Some(session) = kernel.sessions.get_mut(key) else {
            debug_assert!(false, "a session that was just restored is there");
            return;
        };
        let watched = &mut session.presence.watched;
        let is_known = |user: &UserKey| {
            let watch = self.watches.get(user);
            watch.is_some_and(|watch| watch.watchers.contains(&key))
        };
        let unknown: Vec<UserKey> = watched
            .iter()
            .filter(|user| !is_known(user))
            .cloned()
            .collect();
        for user in unknown {
            watched.remove(&user);
        }
    }

    /// Tells the user's hub that the user is watched.
    fn tell_watched(user: &UserKey, kernel: &mut Kernel, out: &mut dyn Sink) {
        if kernel.users.contains_key(user) {
            return kernel.note_watched(user);
        }
        out.emit(Effect::Bus(BusOp::Publish {
            topic: Topic::User(user.clone()),
            message: Arc::new(Publication::Watched),
        }));
    }

    /// A hub has told a user's new state.
    pub(crate) fn apply_presence(
        &mut self,
        user: &UserKey,
        (state, stamp): (PresenceState, LoginStamp),
        by: HubId,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let is_new_login = state == PresenceState::Online
            && (self.watches.get(user)).is_some_and(|watch| watch.stamp < stamp);
        if is_new_login {
            Self::tell_watched(user, kernel, out);
        }
        if self.note_presence(user, (state, stamp), by) {
            self.tell_watchers(user, kernel, out);
        }
    }

    /// Tells those who watch a user its state, which has changed.
    pub(crate) fn tell_watchers(&self, user: &UserKey, kernel: &mut Kernel, out: &mut dyn Sink) {
        let sessions = &mut kernel.sessions;
        let Some(watch) = self.watches.get(user) else {
            debug_assert!(false, "a watch is gone while it is dealt with");
            return;
        };
        let report = proto::Presence {
            user_id: user.user.to_string(),
            state: watch.state.into(),
        };
        let frame = encode_server(Kind::PresenceChanged(PresenceChanged {
            users: vec![report],
        }));
        for key in &watch.watchers {
            if let Some(session) = sessions.get_mut(*key) {
                session.push(frame.clone(), Source::Call, out);
            }
        }
    }

    pub(crate) fn end_watches(&mut self, key: SessionKey, kernel: &mut Kernel, out: &mut dyn Sink) {
        let Some(session) = kernel.sessions.get_mut(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        for user in session.presence.watched.take() {
            self.end_watch(key, &user, kernel, out);
        }
    }

    pub(crate) fn end_watch(
        &mut self,
        key: SessionKey,
        user: &UserKey,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        if let Some(session) = kernel.sessions.get_mut(key) {
            session.presence.watched.remove(user);
        }
        if let Some(watch) = self.watches.get_mut(user) {
            watch.watchers.swap_remove(&key);
        }
        self.drop_watch_if_unused(user, out);
    }

    fn drop_watch_if_unused(&mut self, user: &UserKey, out: &mut dyn Sink) {
        let is_unused = |watch: &Watch| watch.watchers.is_empty() && watch.waiting == 0;
        if self.watches.get(user).is_some_and(is_unused) {
            self.watches.remove(user);
            out.emit(Effect::Bus(BusOp::Unsubscribe(Topic::Presence(
                user.clone(),
            ))));
        }
    }
}

impl Presence {
    /// Asserts what holds between two inputs. Cost: O(watchers).
    pub(crate) fn assert_consistent(&self, kernel: &Kernel) {
        let asks = kernel.asks.count_of(AskTag::Presence);
        assert_eq!(
            self.asks.len(),
            asks,
            "questions without a reason, or the reverse"
        );
        for gather in self.gathers.values() {
            gather.assert_consistent();
        }
        let missing: usize = self.gathers.values().map(|gather| gather.missing).sum();
        let is_of_call = |ask: &&PresenceAsk| matches!(ask, PresenceAsk::Gather { .. });
        let awaited = self.asks.values().filter(is_of_call).count();
        assert_eq!(missing, awaited, "states that are awaited");
        let mut waiting = 0;
        for (user, watch) in &self.watches {
            assert!(
                !watch.watchers.is_empty() || watch.waiting > 0,
                "nobody watches the user"
            );
            for key in &watch.watchers {
                let session = kernel.sessions.get(*key);
                let watches = session.is_some_and(|it| it.presence.watched.contains(user));
                assert!(watches, "a watcher that does not watch");
            }
            waiting += watch.waiting;
        }
        let subscriptions = self
            .gathers
            .values()
            .filter(|gather| gather.is_subscription);
        let reports: usize = subscriptions.map(|gather| gather.users.len()).sum();
        assert_eq!(
            waiting, reports,
            "subscriptions that wait for their first report"
        );
        for session in kernel.sessions.values() {
            for user in session.presence.watched.iter() {
                assert!(
                    self.watches.contains_key(user),
                    "a watched user without a topic"
                );
            }
        }
    }
}

impl PresenceGather {
    fn assert_consistent(&self) {
        assert!(self.missing > 0, "a call that waits for nothing");
        assert!(
            self.missing <= self.users.len(),
            "more states are awaited than users named"
        );
        assert!(
            self.users.len() <= PRESENCE_SUBSCRIPTIONS_MAX,
            "too many users are named"
        );
        let needs_session = self.is_subscription;
        assert!(
            !needs_session || self.caller.session().is_some(),
            "only a session subscribes"
        );
    }
}
