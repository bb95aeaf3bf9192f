//! Login: what is checked, and how a session starts.

use tidings_fault::{fault, unseeded};
use tidings_wire::codes::{CloseCode, Outcome};
use tidings_wire::frame::encode_server;
use tidings_wire::limits::{CLIENT_NAME_BYTES_MAX, HEARTBEAT_MS, RESUME_WINDOW_MS};
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{Error, Login, PresenceState, Welcome};

use crate::attributes::Attributes;
use crate::bus_ops::Answer;
use crate::config::Traits;
use crate::credentials::{self, Credentials};
use crate::grant::Grant;
use crate::hub::Hub;
use crate::ids::{ConnectionId, SessionId, UserKey};
use crate::invitations::slot::{InvitationSlot, Reports};
use crate::io::{Effect, Sink};
use crate::kernel::asks::{AskRule, AskTag, Hangs};
use crate::kernel::outbox::Outbox;
use crate::kernel::reply::error;
use crate::kernel::session::{Link, RateSlot, Requests, Session, Token};
use crate::kernel::users::{PendingLogin, Stage};
use crate::life::resume::digest;
use crate::peers::slot::PeerSlot;
use crate::presence::slot::{PresenceSlot, Watched};
use crate::quotas::Place;
use crate::rates::Used;

/// A hub with a newer login decides; all others have to yield.
pub(crate) static CLAIM: AskRule = AskRule {
    tag: AskTag::Logins,
    hangs: Hangs::OnHub,
    is_decided_by: |answer| *answer == Answer::Superseded,
    takes_some: true,
};

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
                let is_service = grant.is_service || self.kernel.config.apps.is_service(&user);
                let traits = Traits {
                    is_service,
                    reaches_any_channel: is_service,
                    ..Traits::default()
                };
                let settings = settings.of(traits);
                let used = self.take_recalled(connection, &user);
                if let Err(error) = self
                    .kernel
                    .take_login(&user, settings, used.as_deref(), out)
                {
                    return self.refuse_login(connection, error, out);
                }
                let rights = (settings, traits, grant);
                let client = self.kernel.clients.keep(&login.client);
                let reports = Reports::of(&login, &user);
                let has_several = self.kernel.replicas_of(&user).is_some();
                let wish = has_several.then(|| Box::new(login));
                let words = (client, reports, wish);
                self.start_claim(connection, user.clone(), rights, words, out);
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
            Some(Stage::Fresh { .. })
        ) {
            return self.handle_protocol_error(connection, out);
        }
        let now_ms = self.kernel.clock.wall.unix_ms();
        if self.kernel.config.apps.is_banned(&user, now_ms) {
            return self.drop_connection(connection, Some(CloseCode::Banned), out);
        }
        if self.refuse_for_memory(connection, out) {
            return;
        }
        let used = self.take_recalled(connection, &user);
        let node_ms = self.kernel.node_ms();
        if used.is_some_and(|used| used.pause_ms(node_ms) > 0) {
            // It was sent away for a while, and retries on its own.
            return self.drop_connection(connection, Some(CloseCode::RateLimited), out);
        }
        let settings = self.kernel.config.apps.settings(&user.app).of(traits);
        let rights = (settings, traits, grant);
        self.start_claim(connection, user, rights, Default::default(), out);
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

    pub(crate) fn refuse_login(
        &mut self,
        connection: ConnectionId,
        error: Error,
        out: &mut dyn Sink,
    ) {
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
        debug_assert!(
            retry_after_ms > 0,
            "a refused login would be repeated at once"
        );
        let mut error = error(
            Outcome::Overloaded,
            format!("no more logins are taken for now; try again in {retry_after_ms} ms"),
        );
        error.retry_after_ms = u32::try_from(retry_after_ms).unwrap_or(u32::MAX);
        self.kernel.refuse(connection, error, out);
        self.drop_connection(connection, Some(CloseCode::Overloaded), out);
    }

    pub(crate) fn start_session(
        &mut self,
        user: UserKey,
        login: PendingLogin,
        place: Option<Place>,
        out: &mut dyn Sink,
    ) {
        debug_assert!(login.stamp.count > 0, "logins are counted from 1");
        debug_assert!(
            login.inherited.used.is_none(),
            "what was used has been taken over"
        );
        let id = SessionId(if fault!(SessionIdsAreUnseeded) {
            u128::from(unseeded()).to_be_bytes()
        } else {
            self.kernel.rng.bytes()
        });
        let secret: [u8; 32] = self.kernel.rng.bytes();
        let mut link = Link::new(
            digest(&secret),
            self.kernel.opened_ms(login.stamp),
            self.kernel.now.mono_ms,
        );
        link.client = login.client;
        link.forerunners = login.inherited.forerunners.into();
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
                place,
                ..RateSlot::default()
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
        debug_assert!(session.is_here(), "whoever logs in is there");
        debug_assert!(
            session.outbox.sent() == 0,
            "a new session has been sent nothing"
        );
        let is_legacy = session.traits.ends_with_connection;
        let key = self.kernel.add_session(session);
        self.kernel
            .connections
            .insert(login.connection, Stage::Serving(key));
        self.kernel.insert_user_session(&user, key);
        self.kernel.put_first(&user);
        self.kernel.count(&user.app).of(is_legacy).logins += 1;
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
        self.kernel.tell_login(key, out);
        self.peers.read_inbox(key, &mut self.kernel, out);
        self.invitations
            .take_reports(key, login.reports, &mut self.kernel, out);
        for (origin, parcel) in login.held {
            if fault!(WaitingForLoginIsForgotten) {
                continue;
            }
            self.peers
                .deliver(key, origin, parcel, &mut self.kernel, out);
        }
    }

    /// The time for a login is over.
    pub(crate) fn check_login(&mut self, connection: ConnectionId, out: &mut dyn Sink) {
        match self.kernel.connections.get(&connection) {
            None | Some(Stage::Serving(_)) => {}
            Some(_) => self.drop_connection(connection, Some(CloseCode::LoginTimeout), out),
        }
    }

    /// A connection goes away: on its own (`None`) or by our decision.
    pub(crate) fn drop_connection(
        &mut self,
        connection: ConnectionId,
        code: Option<CloseCode>,
        out: &mut dyn Sink,
    ) {
        match self.kernel.connections.remove(&connection) {
            None => return,
            Some(Stage::Serving(key)) => return self.kernel.detach(key, code, out),
            Some(Stage::Claiming(user)) => self.abort_claim(&user, connection, out),
            Some(Stage::Fresh { .. } | Stage::Resuming { .. }) => {}
        }
        if let Some(code) = code {
            out.emit(Effect::Close { connection, code });
        }
    }
}
