//! Resume: a client that comes back to its session, on whichever hub of the node it is.

use sha2::Digest as _;
use subtle::ConstantTimeEq as _;
use tidings_fault::fault;
use tidings_wire::codes::{CloseCode, Outcome};
use tidings_wire::frame::encode_server;
use tidings_wire::names::{AppId, UserId};
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{Error, PresenceState, Resume, Resumed};

use crate::bus_ops::{Answer, Asker, Located, Question, Topic};
use crate::hub::Hub;
use crate::ids::{ConnectionId, SessionId, SessionKey, UserKey};
use crate::io::{Effect, Sink, Wish};
use crate::kernel::asks::{AskRule, AskTag, Hangs, Outcome as Asked, Settled};
use crate::kernel::limiter;
use crate::kernel::limits::paused;
use crate::kernel::link::count_connected;
use crate::kernel::reply::error;
use crate::kernel::session::{End, PREVIOUS_SECRETS_MAX};
use crate::kernel::timers::Timer;
use crate::kernel::users::Stage;
use crate::life::state::LocateAsk;
use crate::rates::{Used, Word};

/// How long after it was asked for a resume of an unknown session is refused, in milliseconds:
/// longer than the hubs of a node take to answer. Where a user is online, another hub is asked
/// first, which takes microseconds more.
pub(crate) const REFUSAL_MS: u64 = 20;

/// The hub that has the session decides.
/// How often a hub of a cluster looks for a session while somebody who may have it is silent; each
/// time takes as long as a question to a hub. In all it is less than a connection may take to log in.
const LOCATE_TRIES: u8 = 3;

static LOCATE: AskRule = AskRule {
    tag: AskTag::Resumes,
    hangs: Hangs::OnHub,
    is_decided_by: |answer| *answer == Answer::Located(Located::Here),
    takes_some: true,
};

impl Hub {
    /// A client resumes over a connection that was `opened` at that time.
    pub(crate) fn handle_resume(
        &mut self,
        opened: (ConnectionId, u64),
        resume: Resume,
        out: &mut dyn Sink,
    ) {
        let (connection, _) = opened;
        let parsed = AppId::parse(&resume.app_id)
            .ok()
            .zip(UserId::parse(&resume.user_id).ok());
        let id = <[u8; 16]>::try_from(&resume.session_id[..])
            .ok()
            .map(SessionId);
        let (Some((app, user)), Some(id)) = (parsed, id) else {
            return self.refuse_resume(connection, Outcome::UnknownSession, out);
        };
        let user = UserKey { app, user };
        let used = self.take_recalled(connection, &user);
        if let Some(error) = used.and_then(|used| self.resumes_too_often(&user, &used)) {
            self.kernel.count(&user.app).refusals.note("resume");
            self.kernel.refuse(connection, error, out);
            return self.drop_connection(connection, Some(CloseCode::RateLimited), out);
        }
        match self.located(&user, id, &resume.secret) {
            Located::Here => {
                let key = self.kernel.find_session(&user, |session| session.id == id);
                if let Some(key) = key {
                    self.attach(key, opened, &resume, out);
                }
                return;
            }
            Located::Replaced => return self.refuse_replaced(connection, out),
            Located::Unknown | Located::Elsewhere => {}
        }
        let asked_ms = self.kernel.now.mono_ms;
        self.kernel
            .connections
            .insert(connection, Stage::Resuming { asked_ms });
        let is_moving = self.is_moving(id, &resume.secret);
        let ask = LocateAsk {
            opened,
            resume,
            user,
            session: id,
            is_moving,
            tries: 0,
        };
        self.locate(ask, out);
    }

    /// Asks the other hubs who has the session.
    fn locate(&mut self, mut ask: LocateAsk, out: &mut dyn Sink) {
        ask.tries += 1;
        let question = Question::Locate {
            session: ask.session,
            secret: ask.resume.secret.clone(),
        };
        let topic = Topic::User(ask.user.clone());
        let number = self.kernel.ask(topic, question, &LOCATE, out);
        self.logins.locates.insert(number, ask);
    }

    /// Why a user's client must come back later.
    fn resumes_too_often(&self, user: &UserKey, used: &Used) -> Option<Error> {
        let node_ms = self.kernel.node_ms();
        let pause_ms = used.pause_ms(node_ms);
        if pause_ms > 0 {
            return Some(paused(pause_ms));
        }
        let apps = &self.kernel.config.apps;
        if !apps.settings(&user.app).rate_limits || apps.is_service(user) {
            return None;
        }
        let wait_ms = used.resume_wait_ms(node_ms)?;
        Some(limiter::resumes_too_often(wait_ms))
    }

    pub(crate) fn answer_locate(
        &mut self,
        user: &UserKey,
        (session, secret): (SessionId, &[u8]),
        asker: Asker,
        out: &mut dyn Sink,
    ) {
        let located = self.located(user, session, secret);
        self.kernel.answer(asker, Answer::Located(located), out);
    }

    fn located(&self, user: &UserKey, session: SessionId, secret: &[u8]) -> Located {
        let Some(entry) = self.kernel.users.get(user) else {
            return if self.is_moving(session, secret) {
                Located::Elsewhere
            } else {
                Located::Unknown
            };
        };
        let here = entry.session.and_then(|key| self.kernel.sessions.get(key));
        if self
            .kernel
            .find_session(user, |it| it.id == session)
            .is_some()
        {
            return Located::Here;
        }
        // A stranger who names a user must not learn from the answer whether that user is online.
        let known = here.map(|here| &here.link.forerunners[..]);
        let claimed = entry
            .claim
            .as_ref()
            .map(|login| &login.inherited.forerunners[..]);
        let mut replaced = known.into_iter().chain(claimed).flatten();
        let is_its_own = replaced.any(|forerunner| {
            let mut secrets = forerunner.secrets.iter();
            !fault!(ReplacedLoginIsNotTold)
                && forerunner.id == session
                && secrets.any(|known| same_secret(secret, known))
        });
        if is_its_own {
            Located::Replaced
        } else {
            Located::Unknown
        }
    }

    /// The session that a resume looks for is found, or is not known anywhere.
    pub(crate) fn finish_locate(&mut self, settled: Settled, out: &mut dyn Sink) {
        let Some(ask) = self.logins.locates.remove(&settled.number) else {
            debug_assert!(false, "a session that nobody looks for");
            return;
        };
        let (mut located, by, is_sure) = match settled.outcome {
            Asked::Answered {
                answer: Answer::Located(located),
                from,
                is_complete,
            } => (located, from, is_complete),
            Asked::Nobody => (Located::Unknown, self.kernel.config.id, true),
            _ => (Located::Unknown, self.kernel.config.id, false),
        };
        if located == Located::Unknown && ask.is_moving {
            located = Located::Elsewhere;
        }
        let (connection, opened_ms) = ask.opened;
        let Some(Stage::Resuming { asked_ms }) = self.kernel.connections.get(&connection) else {
            // The client has gone while its session was looked for.
            return;
        };
        match located {
            Located::Here if by.node != self.kernel.config.id.node => {
                let of = (ask.user, ask.session, by);
                self.begin_move(ask.opened, ask.resume, of, out);
            }
            Located::Here => {
                // The session stays where it is: its connection goes to it (decision 0002).
                self.kernel.connections.remove(&connection);
                out.emit(Effect::HandOver {
                    connection,
                    to: by,
                    wish: Wish::Resume(ask.resume),
                    opened_ms,
                });
            }
            Located::Replaced => self.refuse_replaced(connection, out),
            // It is somewhere: its client finds it when it tries again.
            Located::Elsewhere => {
                self.drop_connection(connection, Some(CloseCode::GoingAway), out);
            }
            // Whoever is silent may have it.
            Located::Unknown
                if !is_sure && self.kernel.is_in_cluster() && ask.tries < LOCATE_TRIES =>
            {
                self.locate(ask, out);
            }
            // Order: later, and by a clock that began before anybody was asked. How long the answer
            // takes must not tell a stranger whether the user that it has named is online.
            Located::Unknown => {
                let due_ms = asked_ms + REFUSAL_MS;
                if due_ms <= self.kernel.now.mono_ms {
                    return self.refuse_unknown(connection, out);
                }
                self.kernel.timers.set(due_ms, Timer::Refusal(connection));
            }
        }
    }

    /// A later login has taken the session's place: its client must not take it back unasked.
    pub(crate) fn refuse_replaced(&mut self, connection: ConnectionId, out: &mut dyn Sink) {
        let text = "the user has logged in elsewhere; log out, then log in again to take over";
        self.kernel
            .refuse(connection, error(Outcome::RemoteLogin, text), out);
        self.drop_connection(connection, Some(CloseCode::RemoteLogin), out);
    }

    /// The time has come to tell a client that its session is not known.
    pub(crate) fn refuse_unknown(&mut self, connection: ConnectionId, out: &mut dyn Sink) {
        if let Some(Stage::Resuming { .. }) = self.kernel.connections.get(&connection) {
            self.refuse_resume(connection, Outcome::UnknownSession, out);
        }
    }

    /// The client may log in on the same connection, which is why it stays open.
    pub(crate) fn refuse_resume(
        &mut self,
        connection: ConnectionId,
        outcome: Outcome,
        out: &mut dyn Sink,
    ) {
        self.kernel.insert_fresh(connection);
        let text = match outcome {
            Outcome::SecretWrong => "the resume secret does not fit the session",
            _ => "the session is not known: its window is over, or the server was restarted",
        };
        self.kernel.refuse(connection, error(outcome, text), out);
    }

    pub(crate) fn attach(
        &mut self,
        key: SessionKey,
        (connection, opened_ms): (ConnectionId, u64),
        resume: &Resume,
        out: &mut dyn Sink,
    ) {
        let Some(session) = self.kernel.sessions.get(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        if opened_ms < session.link.opened_ms {
            // Late: its client has given this connection up and has been served over a newer one.
            // It would throw that out, by the previous secret, and leave its client with one that
            // no longer fits.
            return self.drop_connection(connection, Some(CloseCode::Superseded), out);
        }
        // All are compared in full: time tells nothing.
        let fits = (session.secrets()).fold(false, |fits, secret| {
            fits | same_secret(&resume.secret, &secret)
        });
        if !fits && !fault!(ResumeSecretIsNotCompared) {
            return self.refuse_resume(connection, Outcome::SecretWrong, out);
        }
        if let Err(error) = self.check_resume_token(key, resume, out) {
            self.kernel.insert_fresh(connection);
            return self.kernel.refuse(connection, error, out);
        }
        // A confirmation beyond what was sent: this client counts another session.
        let Some(session) = self.kernel.sessions.get(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        let is_ahead = resume.confirm > session.outbox.sent();
        let is_level = resume.confirm == session.outbox.sent();
        if is_ahead
            || fault!(CompleteClientCannotResume) && is_level
            || resume.confirm < session.outbox.confirmed()
        {
            return self.refuse_resume(connection, Outcome::UnknownSession, out);
        }
        if session.outbox.is_far_over() {
            // Its client has resumed again and again without confirming anything.
            self.end_session(key, End::WindowOver, out);
            return self.refuse_resume(connection, Outcome::UnknownSession, out);
        }
        if !fault!(OlderConnectionStays) {
            self.kernel.detach(key, Some(CloseCode::Superseded), out);
        }
        let secret: [u8; 32] = self.kernel.rng.bytes();
        let Some(session) = self.kernel.sessions.get_mut(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        session.link.previous_secrets = session.secrets().take(PREVIOUS_SECRETS_MAX).collect();
        session.link.secret = digest(&secret);
        session.link.opened_ms = opened_ms;
        session.link.heard_ms = self.kernel.now.mono_ms;
        session.link.pinged_ms = None;
        session.link.stalled = None;
        let user = session.user.clone();
        if fault!(ResumeForgetsLastRequest) {
            session.requests.cseq = session.requests.cseq.saturating_sub(1);
        }
        if fault!(RequestIsMarkedAtItsAnswer) {
            session.requests.cseq -= session.requests.open as u64;
        }
        let was_gone = !session.is_here();
        let mut cseq = session.requests.cseq;
        if fault!(ResumeSkipsARequest) {
            cseq += 1;
        }
        let resumed = Resumed {
            secret: secret.to_vec().into(),
            cseq,
            server_ts: self.kernel.now.unix_ms,
            was_gone,
        };
        let frame = encode_server(Kind::Resumed(resumed));
        out.emit(Effect::Send { connection, frame });
        self.kernel
            .connections
            .insert(connection, Stage::Serving(key));
        self.kernel.count(&user.app).resumes += 1;
        out.emit(Effect::Used {
            user,
            word: Word::Resumed,
        });
        let mut confirm = resume.confirm;
        if fault!(ReplayBeginsLate) {
            confirm += 1;
        }
        if fault!(ReplayBeginsEarly) {
            confirm = confirm.saturating_sub(1);
        }
        self.handle_confirm(key, confirm, out);
        if self.kernel.traces.has_waits() {
            self.kernel.trace_resumed(key, connection);
        }
        let Some(session) = self.kernel.sessions.get_mut(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        let missed = session
            .outbox
            .replay(|frame| out.emit(Effect::Send { connection, frame }));
        self.kernel.counts.gaps.add("buffer_overflow", missed);
        debug_assert!(
            session.connection.is_none(),
            "two connections serve a session"
        );
        debug_assert!(
            session.outbox.confirmed() <= session.outbox.sent(),
            "a client is ahead"
        );
        if session.connection.is_some() {
            let violations = &mut self.kernel.counts.violations;
            violations.note("session.single_connection");
        }
        if !session.outbox.is_contiguous() {
            self.kernel.counts.violations.note("resume.contiguous");
        }
        session.connection = Some(connection);
        count_connected(session, &mut self.kernel.tally);
        for delivery in &mut session.peers.deliveries {
            delivery.is_written = true;
        }
        let was = std::mem::replace(&mut session.presence.state, PresenceState::Online);
        if was != PresenceState::Online {
            self.kernel.emit_presence(key, out);
        }
        if was_gone {
            self.kernel.tell_login(key, out);
            self.channels.show_memberships(key, &mut self.kernel, out);
            let user = self.kernel.sessions.get(key).map(|it| it.user.clone());
            user.and_then(|user| self.kernel.put_first(&user));
            if !fault!(ReturnedUserMissesStored) {
                self.peers.read_inbox(key, &mut self.kernel, out);
            }
        }
        self.kernel.set_session_timer(key);
    }

    /// A resume after the token's end needs a new one (contract SEC-4).
    fn check_resume_token(
        &mut self,
        key: SessionKey,
        resume: &Resume,
        out: &mut dyn Sink,
    ) -> Result<(), Error> {
        let Some(session) = self.kernel.sessions.get(key) else {
            return Ok(());
        };
        let Some(expires_s) = session.token.expires_s else {
            return Ok(());
        };
        if !resume.token.is_empty() {
            let user = session.user.clone();
            let grant = self.kernel.renewed_grant(&user, &resume.token)?;
            self.apply_grant(key, grant, out);
            return Ok(());
        }
        if self.kernel.clock.wall.unix_s() >= expires_s {
            let text = format!("the session's token ended at Unix second {expires_s}");
            return Err(error(Outcome::TokenExpired, text));
        }
        Ok(())
    }
}

/// What is kept of a resume secret: neither a memory dump nor a snapshot on disk gives it away.
pub(crate) fn digest(secret: &[u8]) -> [u8; 32] {
    sha2::Sha256::digest(secret).into()
}

/// Compares with a digest, in time that depends on the length of what is given only.
pub(crate) fn same_secret(given: &[u8], known: &[u8; 32]) -> bool {
    digest(given).ct_eq(known).into()
}
