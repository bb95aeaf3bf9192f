//! The link between a session and its client: connections, clocks, and the one timer of each
//! session.

use std::sync::Arc;

use tidings_fault::fault;
use tidings_wire::codes::CloseCode;
use tidings_wire::frame::encode_server;
use tidings_wire::names::NameRule;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{Error, PresenceState, Refused};

use crate::bus_ops::{Answer, Asker, BusOp, LoginStamp, Publication, Topic};
use crate::config::Traits;
use crate::counts::AppTally;
use crate::credentials;
use crate::grant::Grant;
use crate::ids::{ConnectionId, SessionKey, UserKey};
use crate::io::{Effect, Sink};
use crate::kernel::reply::error;
use crate::kernel::session::HEARTBEAT_WATCHED_MS;
use crate::kernel::timers::Timer;
use crate::kernel::users::Stage;
use crate::kernel::{Kernel, Session};

/// The hub's own clock is this much ahead, so that what was restored may be older than the process.
/// Longer than anything that a session waits for. Milliseconds.
pub(crate) const HEAD_START_MS: u64 = 3_600_000;

impl Kernel {
    /// The same by the hub's own clock.
    pub(crate) fn next_due(&self) -> Option<u64> {
        [self.timers.next_due(), self.asks.next_due()]
            .into_iter()
            .flatten()
            .min()
    }

    /// The monotonic clock that all hubs of the node share.
    pub(crate) fn node_ms(&self) -> u64 {
        (self.now.mono_ms + self.clock.paused_ms).saturating_sub(HEAD_START_MS)
    }

    /// The clock that all hubs of the cluster share, or of the node if it is alone: that of the
    /// stamps of logins.
    pub(crate) fn shared_ms(&self) -> u64 {
        self.now.mono_ms + self.clock.paused_ms + self.clock.ahead_ms
    }

    /// Whether hubs of other nodes may be on the bus.
    pub(crate) fn is_in_cluster(&self) -> bool {
        self.config.epoch_base.is_some()
    }

    /// The node's reading of a time by the clock of the stamps.
    pub(crate) fn opened_ms(&self, stamp: LoginStamp) -> u64 {
        stamp.mono_ms.saturating_sub(self.clock.ahead_ms)
    }

    pub(crate) fn is_open(&self, connection: ConnectionId) -> bool {
        match self.connections.get(&connection) {
            None => false,
            Some(Stage::Serving(key)) => {
                let session = self.sessions.get(*key);
                session.is_some_and(|session| session.connection == Some(connection))
            }
            Some(_) => true,
        }
    }

    pub(crate) fn refuse(&mut self, connection: ConnectionId, error: Error, out: &mut dyn Sink) {
        let frame = encode_server(Kind::Refused(Refused { error: Some(error) }));
        out.emit(Effect::Send { connection, frame });
    }

    /// Notes a connection without a login, opened now.
    pub(crate) fn insert_fresh(&mut self, connection: ConnectionId) {
        debug_assert!(self.now.mono_ms > 0, "a connection before the first input");
        // By the clock that all hubs of the node share.
        let opened_ms = self.now.mono_ms + self.clock.paused_ms;
        self.connections
            .insert(connection, Stage::Fresh { opened_ms });
    }

    /// Checks a token that replaces a session's; returns what it gives.
    pub(crate) fn renewed_grant(&self, user: &UserKey, token: &str) -> Result<Grant, Error> {
        match self.config.apps.listed.get(&user.app) {
            Some(listed) => credentials::check_token(
                self.clock.wall.unix_s(),
                &user.app,
                listed,
                &user.user,
                token,
            )
            .map_err(|refused| error(refused.outcome, refused.text)),
            None => Ok(Grant::default()),
        }
    }

    pub(crate) fn answer(&mut self, (to, ask): Asker, answer: Answer, out: &mut dyn Sink) {
        out.emit(Effect::Bus(BusOp::Answer { to, ask, answer }));
    }

    /// The stamp of the user's session or login in progress here, whichever is newer.
    pub(crate) fn newest_login(&self, user: &UserKey) -> Option<LoginStamp> {
        let entry = self.users.get(user)?;
        let session = entry.session.and_then(|key| self.sessions.get(key));
        let claim = entry.claim.as_ref().map(|claim| claim.stamp);
        session.map(|session| session.presence.stamp).max(claim)
    }

    /// Tells the world the state of a session's user.
    pub(crate) fn emit_presence(&mut self, key: SessionKey, out: &mut dyn Sink) {
        let Some(session) = self.sessions.get(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        let user = session.user.clone();
        let Some((state, stamp)) = self.presence_of(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        self.publish_presence(user, state, stamp, out);
    }

    pub(crate) fn publish_presence(
        &mut self,
        user: UserKey,
        state: PresenceState,
        stamp: LoginStamp,
        out: &mut dyn Sink,
    ) {
        out.emit(Effect::Bus(BusOp::Publish {
            topic: Topic::Presence(user),
            message: Arc::new(Publication::Presence { state, stamp }),
        }));
    }

    /// Connections were closed in this turn because their clients do not confirm.
    pub(crate) fn finish_slow(&mut self, slow: Vec<ConnectionId>) {
        for connection in slow {
            if let Some(Stage::Serving(key)) = self.connections.remove(&connection) {
                self.counts.slow_consumers += 1;
                if let Some(session) = self.sessions.get_mut(key) {
                    count_disconnected(session, &mut self.tally);
                }
                self.set_session_timer(key);
            }
        }
    }

    /// Begins to keep a session, and to count it.
    pub(crate) fn add_session(&mut self, mut session: Session) -> SessionKey {
        let listed = &self.config.apps.listed;
        let app = &session.user.app;
        session.rates.counted = self.tally.place(app, || listed.contains_key(app));
        let counts = self.tally.at(session.rates.counted);
        counts.near_expiry += u64::from(session.token.is_expiry_told);
        counts.of(session.traits.ends_with_connection).sessions += 1;
        if session.connection.is_some() {
            count_connected(&mut session, &mut self.tally);
        }
        self.sessions.insert(session)
    }

    /// Forgets a session, whose connection is gone.
    pub(crate) fn remove_session(&mut self, key: SessionKey) {
        let Some(mut session) = self.sessions.remove(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        // A connection that was cut in this turn is still counted.
        count_disconnected(&mut session, &mut self.tally);
        let counts = self.tally.at(session.rates.counted);
        counts.near_expiry -= u64::from(session.token.is_expiry_told);
        counts.of(session.traits.ends_with_connection).sessions -= 1;
    }

    /// Notes that the client was heard on this connection.
    pub(crate) fn touch(&mut self, key: SessionKey, out: &mut dyn Sink) {
        let Some(session) = self.sessions.get_mut(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        debug_assert!(
            session.connection.is_some(),
            "a client is heard without a connection"
        );
        debug_assert!(session.link.heard_ms <= self.now.mono_ms, "time goes back");
        session.link.heard_ms = self.now.mono_ms;
        session.link.pinged_ms = None;
        if session.presence.state == PresenceState::Unreachable {
            session.presence.state = PresenceState::Online;
            self.emit_presence(key, out);
        }
    }

    /// Somebody watches the user: a silent client is asked sooner.
    pub(crate) fn note_watched(&mut self, user: &UserKey) {
        // While its login is in progress there is none: it is told when it watches itself.
        while let Some(key) = self.find_session(user, |it| !it.presence.is_watched)
            && let Some(session) = self.sessions.get_mut(key)
        {
            session.presence.is_watched = true;
            self.set_session_timer(key);
        }
    }

    /// Attributes of the user were written from outside: they end with its session here, if it has
    /// one.
    pub(crate) fn note_attributes(&mut self, user: &UserKey) {
        let session = self.users.get(user).and_then(|entry| entry.session);
        if let Some(session) = session.and_then(|key| self.sessions.get_mut(key)) {
            session.has_attributes = true;
        }
    }

    /// Ends the session's connection, if it has one; the session stays.
    pub(crate) fn detach(&mut self, key: SessionKey, code: Option<CloseCode>, out: &mut dyn Sink) {
        let Some(session) = self.sessions.get_mut(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        let Some(connection) = session.connection.take() else {
            // It has none already.
            return;
        };
        self.counts.slow_consumers += u64::from(code == Some(CloseCode::SlowConsumer));
        count_disconnected(session, &mut self.tally);
        if fault!(GraceBeginsAtNotice) {
            session.link.heard_ms = self.now.mono_ms;
        }
        let ends = session.traits.ends_with_connection;
        if ends {
            session.link.next_check_ms = Some(self.now.mono_ms);
            self.timers.set(self.now.mono_ms, Timer::Session(key));
        }
        self.connections.remove(&connection);
        if let Some(code) = code {
            out.emit(Effect::Close { connection, code });
        }
        if !ends {
            self.set_session_timer(key);
        }
    }

    /// Sets the session's next look: the earliest of everything that can happen to it by time
    /// alone.
    pub(crate) fn set_session_timer(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else {
            // The session has just ended.
            return;
        };
        let heard = session.link.heard_ms;
        let mut due = match (session.connection, session.link.pinged_ms) {
            (Some(_), Some(at)) => session.answer_due_ms(at),
            (Some(_), None) => heard + session.heartbeat_ms(),
            (None, _) => u64::MAX,
        };
        due = due.min(match session.presence.state {
            PresenceState::Online | PresenceState::Unreachable => {
                let gone_ms = heard + session.grace_ms();
                let is_online = session.presence.state == PresenceState::Online;
                let unreachable_ms = session.unreachable_due_ms().filter(|_| is_online);
                unreachable_ms.map_or(gone_ms, |due_ms| due_ms.min(gone_ms))
            }
            PresenceState::Offline => heard + Session::window_ms(),
        });
        if session.presence.is_watched && session.connection.is_some() {
            // A client that answers is silent from then on: the timer must not wait for the old
            // ping's end.
            due = due.min(self.now.mono_ms + HEARTBEAT_WATCHED_MS);
        }
        if let Some(token_due_ms) = session.token_due_ms() {
            let left_ms = token_due_ms.saturating_sub(self.clock.wall.unix_ms());
            due = due.min(self.now.mono_ms + left_ms);
        }
        let due = due.max(self.now.mono_ms + 1).max(self.clock.heard_from_ms);
        // One chain of timers per session, however often it is cut and resumed.
        if session.link.next_check_ms.is_none_or(|at| at > due) {
            session.link.next_check_ms = Some(due);
            self.timers.set(due, Timer::Session(key));
        }
    }

    /// Which texts the session may use as names.
    pub(crate) fn names_of(&self, key: SessionKey) -> NameRule {
        self.traits_of(key).names
    }

    /// What the session's client can do.
    pub(crate) fn traits_of(&self, key: SessionKey) -> Traits {
        let session = self.sessions.get(key);
        session.map(|session| session.traits).unwrap_or_default()
    }

    /// Takes the session out of the user's entry, and the entry away when nothing else is in it.
    pub(crate) fn forget_user_session(
        &mut self,
        user: &UserKey,
        key: SessionKey,
        out: &mut dyn Sink,
    ) {
        self.remove_user_session(user, key);
        let Some(entry) = self.users.get(user) else {
            return;
        };
        if entry.session.is_none() && entry.claim.is_none() {
            self.users.remove(user);
            out.emit(Effect::Bus(BusOp::Unsubscribe(Topic::User(user.clone()))));
        }
    }
}

/// Counts a session that has got a connection.
pub(crate) fn count_connected(session: &mut Session, tally: &mut AppTally) {
    if !std::mem::replace(&mut session.rates.has_counted_connection, true) {
        let is_legacy = session.traits.ends_with_connection;
        tally.at(session.rates.counted).of(is_legacy).connections += 1;
    }
}

/// Counts a session that has no connection any more.
fn count_disconnected(session: &mut Session, tally: &mut AppTally) {
    if std::mem::take(&mut session.rates.has_counted_connection) {
        let is_legacy = session.traits.ends_with_connection;
        tally.at(session.rates.counted).of(is_legacy).connections -= 1;
    }
}
