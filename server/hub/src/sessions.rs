//! Sessions: one login of one user. Heartbeat, grace, window and end of a session.

use tidings_fault::fault;
use tidings_wire::codes::{CloseCode, Outcome};
use tidings_wire::frame::encode_server;
use tidings_wire::limits::{RESUME_WINDOW_MS, TOKEN_WARNING_MS};
use tidings_wire::names::NameRule;
use tidings_wire::proto::{
    Done, Error, PeerSent, PresenceState, Reply, TokenWillExpire, reply, server_message::Kind,
};

use crate::Hub;
use crate::attributes::Attributes;
use crate::bus_ops::{BusOp, RingFate, Topic};
use crate::caller::Caller;
use crate::config::Traits;
use crate::costs::ANSWER_BYTES_MIN;
use crate::ids::SessionKey;
use crate::ids::{ConnectionId, UserKey};
use crate::invitations::Invitations;
use crate::io::{Effect, OutsideAnswer, PeerOutcome, Sink};
use crate::kernel::Kernel;
use crate::limiter;
use crate::login::Connection;
use crate::memberships::Visibility;
use crate::outbox::Source;
use crate::session::{End, HEARTBEAT_WATCHED_MS, Session};
use crate::timers::Timer;

impl Kernel {
    /// Connections were closed in this turn because their clients do not confirm.
    pub(crate) fn finish_slow(&mut self, slow: Vec<ConnectionId>) {
        for connection in slow {
            if let Some(Connection::Serving(key)) = self.connections.remove(&connection) {
                self.set_session_timer(key);
            }
        }
    }

    /// Answers a request.
    pub(crate) fn reply(&mut self, caller: Caller, result: reply::Result, out: &mut dyn Sink) {
        let (key, cseq) = match caller {
            Caller::Request { session, cseq } => (session, cseq),
            Caller::Outside(ticket) => {
                let answer = OutsideAnswer::Call(result);
                return out.emit(Effect::Answer { ticket, answer });
            }
        };
        let Some(session) = self.sessions.get_mut(key) else {
            // The session has ended since it asked.
            return;
        };
        session.requests.open = session.requests.open.saturating_sub(1);
        if fault!(ReplyIsLostWhileAway) && session.connection.is_none() {
            return;
        }
        let frame = encode_server(Kind::Reply(Reply {
            cseq,
            result: Some(result),
        }));
        let bytes = frame.len();
        session.push(frame, Source::Call, out);
        if bytes >= ANSWER_BYTES_MIN {
            self.charge(caller, limiter::Kind::Answer, (bytes / 1024) as u64);
        }
    }

    /// Answers whoever has sent a peer message.
    pub(crate) fn reply_sent(&mut self, caller: Caller, outcome: PeerOutcome, out: &mut dyn Sink) {
        match caller {
            Caller::Request { .. } => {
                // A client knows stored from missed by what it has asked for.
                let received = outcome == PeerOutcome::Received;
                self.reply(caller, reply::Result::PeerSent(PeerSent { received }), out);
            }
            Caller::Outside(ticket) => {
                let answer = OutsideAnswer::Sent(outcome);
                out.emit(Effect::Answer { ticket, answer });
            }
        }
    }

    pub(crate) fn reply_done(&mut self, caller: Caller, out: &mut dyn Sink) {
        self.reply(caller, reply::Result::Done(Done {}), out);
    }

    /// The session whose client has called. Whoever calls from outside has none, and is told so.
    pub(crate) fn session_of(&mut self, caller: Caller, out: &mut dyn Sink) -> Option<SessionKey> {
        let key = caller.session();
        if key.is_none() {
            let text = "this call needs a login; it cannot be made from outside";
            self.reply_error(caller, error(Outcome::Unsupported, text), out);
        }
        key
    }

    pub(crate) fn reply_error(&mut self, caller: Caller, error: Error, out: &mut dyn Sink) {
        if !is_rate(&error) {
            self.charge(caller, limiter::Kind::FailedCall, 1);
        }
        self.reply(caller, reply::Result::Error(error), out);
    }

    /// Notes that the client was heard on this connection.
    pub(crate) fn touch(&mut self, key: SessionKey, out: &mut dyn Sink) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        session.link.heard_ms = self.now.mono_ms;
        session.link.pinged_ms = None;
        if session.presence.state == PresenceState::Unreachable {
            session.presence.state = PresenceState::Online;
            self.emit_presence(key, out);
        }
    }

    /// Somebody watches the user: a silent client is asked sooner.
    pub(crate) fn note_watched(&mut self, user: &UserKey) {
        let session = self.users.get(user).and_then(|entry| entry.session);
        let Some(key) = session else {
            return;
        };
        if let Some(session) = self
            .sessions
            .get_mut(key)
            .filter(|s| !s.presence.is_watched)
        {
            session.presence.is_watched = true;
            self.set_session_timer(key);
        }
    }

    /// Ends the session's connection, if it has one; the session stays.
    pub(crate) fn detach(&mut self, key: SessionKey, code: Option<CloseCode>, out: &mut dyn Sink) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let Some(connection) = session.connection.take() else {
            return;
        };
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

    /// Sets the session's next look: the earliest of everything that can happen to it by time alone.
    pub(crate) fn set_session_timer(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else {
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
                let gone_ms = heard
                    + session.settings.presence_grace_ms
                        / if fault!(GraceIsCutShort) { 4 } else { 1 };
                let is_online = session.presence.state == PresenceState::Online;
                let unreachable_ms = session.unreachable_due_ms().filter(|_| is_online);
                unreachable_ms.map_or(gone_ms, |due_ms| due_ms.min(gone_ms))
            }
            PresenceState::Offline => {
                heard + RESUME_WINDOW_MS / if fault!(ResumeWindowIsHalved) { 2 } else { 1 }
            }
        });
        if session.presence.is_watched && session.connection.is_some() {
            // A client that answers is silent from then on: the timer must not wait for the old ping's end.
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
    fn forget_user_session(&mut self, user: &UserKey, key: SessionKey, out: &mut dyn Sink) {
        let Some(entry) = self.users.get_mut(user) else {
            return;
        };
        if entry.session == Some(key) {
            entry.session = None;
        }
        if entry.session.is_none() && entry.claim.is_none() {
            self.users.remove(user);
            out.emit(Effect::Bus(BusOp::Unsubscribe(Topic::User(user.clone()))));
        }
    }
}

impl Hub {
    /// A session's timer has fired: does what is due and sets the next one.
    pub(crate) fn check_session(&mut self, key: SessionKey, out: &mut dyn Sink) {
        let Some(session) = self.kernel.sessions.get_mut(key) else {
            return;
        };
        if session
            .link
            .next_check_ms
            .is_some_and(|at| at > self.kernel.now.mono_ms)
        {
            return; // A later one was replaced by this earlier one, or the reverse.
        }
        session.link.next_check_ms = None;
        if session.traits.ends_with_connection && session.connection.is_none() {
            return self.end_session(key, End::WindowOver, out);
        }
        let silent_ms = self
            .kernel
            .now
            .mono_ms
            .saturating_sub(session.link.heard_ms);
        if session
            .ends_by_token_s()
            .is_some_and(|end| self.kernel.clock.wall.unix_s() >= end)
            && !fault!(SessionOutlivesToken)
        {
            return self.end_session(key, End::TokenExpired, out);
        }
        Self::warn_of_expiry(session, self.kernel.clock.wall.unix_ms(), out);
        if let Some(connection) = session.connection {
            if session.is_stalled(self.kernel.now.mono_ms) {
                return self.detach_and_check(key, CloseCode::SlowConsumer, out);
            }
            let due_ms = session.link.pinged_ms.map(|at| session.answer_due_ms(at));
            if due_ms.is_some_and(|due_ms| self.kernel.now.mono_ms >= due_ms) {
                return self.detach_and_check(key, CloseCode::HeartbeatLost, out);
            }
            if silent_ms >= session.heartbeat_ms() && session.link.pinged_ms.is_none() {
                session.link.pinged_ms = Some(self.kernel.now.mono_ms);
                out.emit(Effect::Send {
                    connection,
                    frame: self.kernel.ping.clone(),
                });
            }
        }
        let grace_ms =
            session.settings.presence_grace_ms / if fault!(GraceIsCutShort) { 4 } else { 1 };
        let is_unreachable = session
            .unreachable_due_ms()
            .is_some_and(|due_ms| self.kernel.now.mono_ms >= due_ms);
        if session.presence.state == PresenceState::Online && is_unreachable {
            session.presence.state = PresenceState::Unreachable;
            self.kernel.emit_presence(key, out);
        }
        let Some(session) = self.kernel.sessions.get(key) else {
            return;
        };
        if session.is_here() && silent_ms >= grace_ms {
            self.become_gone(key, out);
        }
        let Some(session) = self.kernel.sessions.get(key) else {
            return;
        };
        if session.connection.is_none()
            && !fault!(SessionNeverEnds)
            && silent_ms >= RESUME_WINDOW_MS / if fault!(ResumeWindowIsHalved) { 2 } else { 1 }
        {
            return self.end_session(key, End::WindowOver, out);
        }
        self.kernel.set_session_timer(key);
    }

    /// Tells a connected client, once per token, that its token ends soon (rtm 7.3).
    fn warn_of_expiry(session: &mut Session, now_unix_ms: u64, out: &mut dyn Sink) {
        let Some(expires_s) = session.token.expires_s else {
            return;
        };
        let expires_ts = expires_s.saturating_mul(1_000);
        let is_due = now_unix_ms + TOKEN_WARNING_MS >= expires_ts;
        if !is_due || session.token.is_expiry_told || session.connection.is_none() {
            return;
        }
        session.token.is_expiry_told = true;
        if now_unix_ms >= expires_ts {
            // The clock has jumped over the warning's time, and the app lets its users stay.
            return;
        }
        let frame = encode_server(Kind::TokenWillExpire(TokenWillExpire { expires_ts }));
        session.push(frame, Source::Call, out);
    }

    fn detach_and_check(&mut self, key: SessionKey, code: CloseCode, out: &mut dyn Sink) {
        self.kernel.detach(key, Some(code), out);
        self.check_session(key, out);
    }

    /// The grace is over: others see the user leave; the session can still be resumed.
    fn become_gone(&mut self, key: SessionKey, out: &mut dyn Sink) {
        self.kernel.detach(key, Some(CloseCode::HeartbeatLost), out);
        let Some(session) = self.kernel.sessions.get_mut(key) else {
            return;
        };
        session.presence.state = PresenceState::Offline;
        self.kernel.emit_presence(key, out);
        if !fault!(GoneUserStaysMember) {
            self.channels.hide_memberships(key, &mut self.kernel, out);
        }
        if !fault!(UnconfirmedIsNotGivenBack) {
            self.peers.give_back_deliveries(key, &mut self.kernel, out);
        }
    }

    /// Ends a session for good.
    pub(crate) fn end_session(&mut self, key: SessionKey, end: End, out: &mut dyn Sink) {
        self.kernel.remember_rates(key, out);
        self.kernel.detach(key, Some(end.code()), out);
        let Some(session) = self.kernel.sessions.get_mut(key) else {
            return;
        };
        let visibility = if session.is_here() {
            Visibility::Visible
        } else {
            Visibility::Hidden
        };
        session.presence.state = PresenceState::Offline;
        let user = session.user.clone();
        if end != End::RemoteLogin || fault!(SecondLoginEndsPresence) {
            // A replaced login hands its user over: nobody sees it go off line, its attributes stay.
            if visibility == Visibility::Visible {
                self.kernel.emit_presence(key, out);
            }
            match end {
                End::WindowOver => {
                    Attributes::drop_user_attributes_late(key, &mut self.kernel, out)
                }
                _ => Attributes::drop_user_attributes(key, &mut self.kernel, out),
            }
        }
        self.channels
            .end_memberships(key, visibility, &mut self.kernel, out);
        if !fault!(ReplacingLoginMissesUnconfirmed) {
            self.peers.give_back_deliveries(key, &mut self.kernel, out);
        }
        if !fault!(WatchOutlivesSession) {
            self.presence.end_watches(key, &mut self.kernel, out);
        }
        self.invitations
            .end_own_invitations(key, &mut self.kernel, out);
        let rings_on = self.kernel.traits_of(key).rings_on;
        let fate = match end {
            // It rings at the login that takes its place.
            End::RemoteLogin => RingFate::GoesOn,
            // Its client comes back as a new login.
            End::WindowOver if rings_on => RingFate::GoesOn,
            _ => RingFate::Lost,
        };
        if !fault!(CallerIsNotToldOfCalleesEnd) {
            Invitations::end_rings(key, fate, &mut self.kernel, out);
        }
        self.kernel.sessions.remove(key);
        self.kernel.forget_user_session(&user, key, out);
    }
}

/// Whether a call was refused because there were too many: that is counted by its own rate.
fn is_rate(error: &Error) -> bool {
    let rates = [Outcome::TooOften, Outcome::SameChannelTooOften];
    rates.iter().any(|rate| *rate as u32 == error.outcome)
}

/// Makes the error of a reply.
pub(crate) fn error(outcome: Outcome, text: impl Into<String>) -> Error {
    Error {
        outcome: outcome as u32,
        text: text.into(),
        retry_after_ms: 0,
    }
}
