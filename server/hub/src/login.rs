//! Login: what is checked, and how a session starts.

use std::sync::Arc;

use tidings_fault::{fault, unseeded};
use tidings_wire::codes::{CloseCode, Outcome};
use tidings_wire::frame::encode_server;
use tidings_wire::limits::{CLIENT_NAME_BYTES_MAX, HEARTBEAT_MS, RESUME_WINDOW_MS};
use tidings_wire::proto::{Error, Login, PresenceState, Refused, Welcome, server_message::Kind};

use crate::asks::{AskRule, AskTag, Hangs, Outcome as Asked, Settled};
use crate::attributes::Attributes;
use crate::bus_ops::{Answer, BusOp, Inherited, LoginStamp, Parcel, Question, Topic};
use crate::config::{Apps, Traits};
use crate::credentials::{self, Credentials, Grant, Proof};
use crate::ids::SessionKey;
use crate::ids::{ConnectionId, InvitationId, SessionId, UserKey};
use crate::inbox::{Asker, Origin};
use crate::invitations::Reports;
use crate::io::{Effect, Sink};
use crate::kernel::Kernel;
use crate::limiter::{self, Limiter, Rates};
use crate::maps::NumberMap;
use crate::outbox::Outbox;
use crate::peers::Peers;
use crate::quotas::Place;
use crate::resume::{LocateAsk, digest};
use crate::session::{
    End, InvitationSlot, Link, PeerSlot, PresenceSlot, RateSlot, Requests, Session, Token,
};
use crate::sessions::error;
use crate::store_ops::{AttributeOwner, StoreOp};
use crate::used::{Used, Word};
use crate::watched::Watched;
use crate::{AppSettings, Hub};

mod claims;

pub(crate) use claims::ClaimAsk;

/// Messages that may wait for one login to be settled; it takes one turn of the bus.
const HELD_PARCELS_MAX: usize = 256;

/// What a connection is in the middle of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Connection {
    /// Not logged in.
    Fresh {
        /// When it was opened, in monotonic milliseconds of the node: the order of its login among the user's.
        opened_ms: u64,
    },
    /// Its login waits for the other hubs to yield the user.
    Claiming(Box<UserKey>),
    /// Its resume waits for the hub that has the session, or to be refused.
    Resuming {
        /// When it was asked for, in monotonic milliseconds.
        asked_ms: u64,
    },
    /// It serves a session.
    Serving(SessionKey),
}

/// What is known of the rates of a user who is about to log in or resume.
#[derive(Debug)]
pub(crate) struct Recalled {
    pub(crate) connection: ConnectionId,
    pub(crate) user: UserKey,
    pub(crate) used: Box<Used>,
}

/// What the hub knows of logins as such.
#[derive(Debug, Default)]
pub(crate) struct Logins {
    /// Tells logins of one millisecond apart.
    pub(crate) count: u64,
    /// What the next login or resume is told.
    pub(crate) recalled: Option<Recalled>,
    /// Claims under way, by the numbers of their questions. Bound: one per login in progress.
    pub(crate) claims: NumberMap<ClaimAsk>,
    /// Resumes that look for their session, by the numbers of their questions. Bound: one per resuming connection.
    pub(crate) locates: NumberMap<LocateAsk>,
}

/// A hub with a newer login decides; all others have to yield.
pub(crate) static CLAIM: AskRule = AskRule {
    tag: AskTag::Logins,
    hangs: Hangs::OnHub,
    is_decided_by: |answer| *answer == Answer::Superseded,
    takes_some: true,
};

/// A user whom this hub knows: it has the session, or a login in progress, or both.
#[derive(Debug, Default)]
pub(crate) struct UserEntry {
    pub(crate) session: Option<SessionKey>,
    /// Boxed: an entry outlives its claim by far.
    pub(crate) claim: Option<Box<PendingLogin>>,
}

/// A login that waits for the other hubs to yield.
#[derive(Debug)]
pub(crate) struct PendingLogin {
    connection: ConnectionId,
    stamp: LoginStamp,
    settings: AppSettings,
    traits: Traits,
    grant: Grant,
    limiter: Limiter,
    /// What its client holds open.
    reports: Reports,
    /// From the logins that it replaces on this hub.
    pub(crate) inherited: Inherited,
    /// Messages that have arrived meanwhile. Bound: `HELD_PARCELS_MAX`.
    held: Vec<(Origin, Parcel)>,
}

impl Hub {
    pub(crate) fn handle_login(
        &mut self,
        connection: ConnectionId,
        login: Login,
        out: &mut dyn Sink,
    ) {
        if self.refuse_for_memory(connection, out) {
            return;
        }
        let checked = credentials::check(
            &self.kernel.config.apps,
            self.kernel.clock.wall.unix_s(),
            (&login.app_id, &login.user_id, &login.token),
        );
        match checked {
            Ok(_) if login.client.len() > CLIENT_NAME_BYTES_MAX => {
                let text = format!(
                    "the client name has {} bytes; at most {CLIENT_NAME_BYTES_MAX} are allowed",
                    login.client.len()
                );
                self.refuse_login(connection, error(Outcome::InvalidArgument, text), out);
            }
            Ok(Credentials {
                app,
                user,
                settings,
                grant,
            }) => {
                let app = match (
                    fault!(UserKeyLacksApp),
                    self.kernel.config.apps.listed.keys().next(),
                ) {
                    (true, Some(first)) => first.clone(),
                    _ => app,
                };
                let user = UserKey { app, user };
                let used = self.take_recalled(connection, &user);
                if let Err(error) = self
                    .kernel
                    .take_login(&user, settings, used.as_deref(), out)
                {
                    return self.refuse_login(connection, error, out);
                }
                let rights = (settings, Traits::default(), grant);
                let reports = Reports::of(&login, &user);
                self.start_claim(connection, user.clone(), rights, reports, out);
                self.kernel.charge_used(&user, used.as_deref());
            }
            Err(refused) => {
                self.refuse_login(connection, error(refused.outcome, refused.text), out)
            }
        }
    }

    /// Logs in a client whose credentials have been checked elsewhere.
    pub(crate) fn handle_admitted(
        &mut self,
        connection: ConnectionId,
        user: UserKey,
        (traits, grant): (Traits, Grant),
        out: &mut dyn Sink,
    ) {
        if !matches!(
            self.kernel.connections.get(&connection),
            Some(Connection::Fresh { .. })
        ) {
            return self.handle_protocol_error(connection, out);
        }
        if self.kernel.config.apps.is_banned(&user) {
            return self.drop_connection(connection, Some(CloseCode::Banned), out);
        }
        if self.refuse_for_memory(connection, out) {
            return;
        }
        let used = self.take_recalled(connection, &user);
        let node_ms = self.kernel.node_ms();
        if used.is_some_and(|used| used.pause_ms(node_ms) > 0) {
            // It was sent away for a while, and tries again by itself.
            return self.drop_connection(connection, Some(CloseCode::RateLimited), out);
        }
        let mut settings = self.kernel.config.apps.settings(&user.app);
        settings.rate_limits &= !traits.is_paced;
        let rights = (settings, traits, grant);
        self.start_claim(connection, user, rights, Reports::default(), out);
    }

    /// What is known of the rates of the user who logs in on a connection.
    pub(crate) fn take_recalled(
        &mut self,
        connection: ConnectionId,
        user: &UserKey,
    ) -> Option<Box<Used>> {
        let recalled = self.logins.recalled.take()?;
        (recalled.connection == connection && recalled.user == *user).then_some(recalled.used)
    }

    fn refuse_login(&mut self, connection: ConnectionId, error: Error, out: &mut dyn Sink) {
        self.kernel.refuse(connection, error, out);
        self.drop_connection(connection, Some(CloseCode::LoginRefused), out);
    }

    /// Turns a login away that may be tried again.
    pub(crate) fn refuse_overloaded(
        &mut self,
        connection: ConnectionId,
        retry_after_ms: u64,
        out: &mut dyn Sink,
    ) {
        let mut error = error(
            Outcome::Overloaded,
            format!("no more logins are taken for now; try again in {retry_after_ms} ms"),
        );
        error.retry_after_ms = u32::try_from(retry_after_ms).unwrap_or(u32::MAX);
        self.kernel.refuse(connection, error, out);
        self.drop_connection(connection, Some(CloseCode::Overloaded), out);
    }

    fn start_session(
        &mut self,
        user: UserKey,
        login: PendingLogin,
        place: Option<Place>,
        out: &mut dyn Sink,
    ) {
        let id = SessionId(match fault!(SessionIdsAreUnseeded) {
            true => u128::from(unseeded()).to_be_bytes(),
            false => self.kernel.rng.bytes(),
        });
        let secret: [u8; 32] = self.kernel.rng.bytes();
        let mut link = Link::new(
            digest(&secret),
            login.stamp.mono_ms,
            self.kernel.now.mono_ms,
        );
        link.forerunners = login.inherited.forerunners;
        let session = Session {
            id,
            user: user.clone(),
            settings: login.settings,
            traits: login.traits,
            connection: Some(login.connection),
            outbox: Outbox::counted_by(self.kernel.replay_bytes.clone()),
            link,
            token: Token {
                expires_s: login.grant.expires_s,
                rights: login.grant.rights,
                proof: login.grant.proof.kept(),
                is_expiry_told: false,
            },
            requests: Requests::default(),
            rates: RateSlot {
                limiter: login.limiter,
                floods: None,
                place,
            },
            presence: PresenceSlot {
                state: PresenceState::Online,
                stamp: login.stamp,
                is_watched: false,
                watched: Watched::default(),
            },
            channels: Vec::new(),
            peers: PeerSlot::default(),
            has_attributes: login.inherited.has_attributes && !fault!(SecondLoginForgetsAttributes),
            invitations: InvitationSlot {
                last_number: login.reports.last_number(),
                ..InvitationSlot::default()
            },
        };
        let welcome = Welcome {
            session_id: session.id.0.to_vec().into(),
            secret: secret.to_vec().into(),
            heartbeat_ms: HEARTBEAT_MS as u32,
            resume_window_ms: RESUME_WINDOW_MS as u32,
            presence_grace_ms: u32::try_from(session.settings.presence_grace_ms)
                .unwrap_or(u32::MAX),
            server_ts: self.kernel.now.unix_ms,
            server: self.kernel.config.server.clone(),
        };
        let key = self.kernel.sessions.insert(session);
        self.kernel
            .connections
            .insert(login.connection, Connection::Serving(key));
        self.kernel.users.entry(user.clone()).or_default().session = Some(key);
        let frame = encode_server(Kind::Welcome(welcome));
        out.emit(Effect::Send {
            connection: login.connection,
            frame,
        });
        self.kernel.set_session_timer(key);
        if login.traits.ends_with_connection {
            // What the user's lost login has left is not lost.
            Attributes::touch_user_attributes(user, &mut self.kernel, out);
        }
        self.kernel.emit_presence(key, out);
        self.peers.read_inbox(key, &mut self.kernel, out);
        self.invitations
            .take_reports(key, login.reports, &mut self.kernel, out);
        for (origin, parcel) in login.held {
            if fault!(WaitingForLoginIsForgotten) {
                continue;
            }
            self.peers
                .accept_parcel(key, origin, parcel, &mut self.kernel, out);
        }
    }

    /// The apps are others now: sessions get their new numbers, or end.
    pub(crate) fn handle_apps(&mut self, apps: Arc<Apps>, out: &mut dyn Sink) {
        self.kernel.config.apps = apps;
        self.kernel.has_message_quotas = self.kernel.config.apps.has_message_quotas();
        let apps = &self.kernel.config.apps;
        let has_taken_back = |user: &UserKey, proof: &Proof| {
            let listed = apps.listed.get(&user.app);
            listed.is_some_and(|app| app.has_taken_back(&user.user, proof))
        };
        let verdict = |user: &UserKey, proof: &Proof| match () {
            () if !apps.has(&user.app) => Some(End::AppDisabled),
            () if apps.is_banned(user) => Some(End::Banned),
            // Its client asks for a new token, as at the end of one.
            () if has_taken_back(user, proof) => Some(End::TokenExpired),
            () => None,
        };
        let mut ends = Vec::new();
        for (key, session) in &mut self.kernel.sessions {
            session.settings = apps.settings(&session.user.app);
            session.settings.rate_limits &= !session.traits.is_paced;
            let end = verdict(&session.user, &session.proof());
            ends.extend(end.map(|end| (key, end)));
        }
        for (user, entry) in &mut self.kernel.users {
            if let Some(login) = &mut entry.claim {
                login.settings = apps.settings(&user.app);
                login.settings.rate_limits &= !login.traits.is_paced;
            }
        }
        let mut claims: Vec<_> = self
            .kernel
            .users
            .iter()
            .filter_map(|(user, entry)| {
                let login = entry.claim.as_ref()?;
                Some((login.connection, verdict(user, &login.grant.proof)?))
            })
            .collect();
        // The map's order must not show.
        claims.sort_by_key(|(connection, _)| *connection);
        for (connection, end) in claims {
            self.drop_connection(connection, Some(end.code()), out);
        }
        for (key, end) in ends {
            self.end_session(key, end, out);
        }
        let all: Vec<SessionKey> = self.kernel.sessions.keys().collect();
        for key in all {
            self.kernel.set_session_timer(key);
        }
    }

    /// The time for a login is over.
    pub(crate) fn check_login(&mut self, connection: ConnectionId, out: &mut dyn Sink) {
        match self.kernel.connections.get(&connection) {
            None | Some(Connection::Serving(_)) => {}
            Some(_) => self.drop_connection(connection, Some(CloseCode::LoginTimeout), out),
        }
    }

    /// A connection goes away: by itself (`None`) or by our decision.
    pub(crate) fn drop_connection(
        &mut self,
        connection: ConnectionId,
        code: Option<CloseCode>,
        out: &mut dyn Sink,
    ) {
        match self.kernel.connections.remove(&connection) {
            None => return,
            Some(Connection::Serving(key)) => return self.kernel.detach(key, code, out),
            Some(Connection::Claiming(user)) => self.abort_claim(&user, connection, out),
            Some(Connection::Fresh { .. } | Connection::Resuming { .. }) => {}
        }
        if let Some(code) = code {
            out.emit(Effect::Close { connection, code });
        }
    }
}

impl Kernel {
    /// Counts a login whose credentials are good: nobody else can use a user's logins up.
    fn take_login(
        &mut self,
        user: &UserKey,
        settings: AppSettings,
        used: Option<&Used>,
        out: &mut dyn Sink,
    ) -> Result<(), Error> {
        let node_ms = self.node_ms();
        let pause_ms = used.map_or(0, |used| used.pause_ms(node_ms));
        if pause_ms > 0 {
            return Err(paused(pause_ms));
        }
        if !settings.rate_limits {
            return Ok(());
        }
        let listed = self.config.apps.listed.get(&user.app);
        let rates = listed.map_or(&self.default_rates, |app| &app.rates);
        let rate = rates.get(limiter::Kind::Login);
        if let Some(wait_ms) = used.and_then(|used| used.login_wait_ms(rate, node_ms)) {
            return Err(limiter::logs_in_too_often(rate, wait_ms));
        }
        out.emit(Effect::Used {
            user: user.clone(),
            word: Word::LoggedIn(rate),
        });
        Ok(())
    }

    /// Tells what a session's user has used of its rates, for its next session on whichever hub.
    pub(crate) fn remember_rates(&mut self, key: SessionKey, out: &mut dyn Sink) {
        let times = (self.now.mono_ms, self.node_ms());
        let Some(session) = self.sessions.get(key) else {
            return;
        };
        let used = session
            .rates
            .limiter
            .used(self.rates_of(&session.user), times);
        if !used.is_empty() && !fault!(LoginResetsRates) {
            out.emit(Effect::Used {
                user: session.user.clone(),
                word: Word::Used(Box::new(used)),
            });
        }
    }

    pub(crate) fn rates_of(&self, user: &UserKey) -> &Rates {
        let listed = self.config.apps.listed.get(&user.app);
        listed.map_or(&self.default_rates, |app| &app.rates)
    }

    pub(crate) fn refuse(&mut self, connection: ConnectionId, error: Error, out: &mut dyn Sink) {
        let frame = encode_server(Kind::Refused(Refused { error: Some(error) }));
        out.emit(Effect::Send { connection, frame });
    }

    /// Notes a connection without a login, opened now.
    pub(crate) fn insert_fresh(&mut self, connection: ConnectionId) {
        // By the clock that all hubs of the node share.
        let opened_ms = self.now.mono_ms + self.clock.paused_ms;
        self.connections
            .insert(connection, Connection::Fresh { opened_ms });
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
}

impl Peers {
    /// Keeps a message that arrived for a login in progress.
    pub(crate) fn hold_parcel(
        &mut self,
        user: &UserKey,
        origin: Origin,
        parcel: Parcel,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let claim = kernel
            .users
            .get_mut(user)
            .and_then(|entry| entry.claim.as_mut());
        let Some(login) = claim else {
            return self.answer_delivery(origin, Answer::Gone, kernel, out);
        };
        if login.held.len() < HELD_PARCELS_MAX {
            login.held.push((origin, parcel));
            return;
        }
        // Order: all of them go to the store, so that none overtakes another.
        for (origin, parcel) in std::mem::take(&mut login.held) {
            self.keep_or_answer(user, origin, parcel, Answer::Unconfirmed, kernel, out);
        }
        self.keep_or_answer(user, origin, parcel, Answer::Unconfirmed, kernel, out);
    }
}

/// The error of a client that was sent away for its rates and is back before its time.
pub(crate) fn paused(pause_ms: u64) -> Error {
    Error {
        outcome: Outcome::TooOften as u32,
        text: format!("this user was sent away for sending too much; come back in {pause_ms} ms"),
        retry_after_ms: u32::try_from(pause_ms).unwrap_or(u32::MAX),
    }
}
