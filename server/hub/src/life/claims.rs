//! The one place per user over all hubs: a login claims it, and the others yield.

use std::sync::Arc;

use tidings_fault::fault;
use tidings_wire::codes::CloseCode;
use tidings_wire::proto::{Login, PresenceState};

use crate::bus_ops::{
    Answer, Asker, BusOp, Inherited, LoginStamp, Parcel, Publication, Question, Topic,
};
use crate::grant::Grant;
use crate::ids::{ConnectionId, HubId, InvitationId, SessionKey, UserKey};
use crate::invitations::slot::Reports;
use crate::kernel::Kernel;
use crate::kernel::asks::{Outcome as Asked, Settled};
use crate::kernel::clients::ClientName;
use crate::kernel::limiter::Limiter;
use crate::kernel::session::Session;
use crate::kernel::users::{PendingLogin, Stage};
use crate::life::login::CLAIM;
use crate::life::replicas::Joins;
use crate::life::state::ClaimAsk;
use crate::peers::slot::Origin;
use crate::store_ops::{AttributeOwner, StoreOp};
use crate::{AppSettings, Effect, Hub, Sink, Traits};

/// How often a session claims its user again while a hub that may have another one is silent; each
/// time takes as long as a question to a hub. Source: in half a minute its node is lost, or heard.
const AGAIN_MAX: u8 = 15;

/// How the other hubs have answered.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Claim {
    Won(Inherited),
    /// To a login on this hub.
    Lost(HubId),
}

impl Hub {
    /// Takes the user's place: first here, then on the other hubs.
    pub(crate) fn start_claim(
        &mut self,
        connection: ConnectionId,
        user: UserKey,
        (settings, traits, grant): (AppSettings, Traits, Grant),
        (client, reports, wish): (ClientName, Reports, Option<Box<Login>>),
        out: &mut dyn Sink,
    ) {
        let Some(Stage::Fresh { opened_ms }) = self.kernel.connections.get(&connection) else {
            debug_assert!(false, "a login on a connection that is not fresh");
            return;
        };
        let opened_ms = *opened_ms;
        self.logins.count += 1;
        let stamp = LoginStamp {
            mono_ms: opened_ms + self.kernel.clock.ahead_ms,
            hub: self.kernel.config.id,
            count: self.logins.count,
        };
        match self.joins(&user, wish.is_some()) {
            Joins::Nobody => {}
            Joins::Sessions => {
                let login = (connection, stamp, client, reports);
                return self.start_replica(user, login, (settings, traits, grant), out);
            }
            Joins::Login => return self.wait_for_login(user, (connection, opened_ms), wish, out),
            Joins::Full => return self.refuse_replica(&user, connection, out),
            Joins::Not => {
                return self.drop_connection(connection, Some(CloseCode::RemoteLogin), out);
            }
        }
        let is_late = |newest| newest > stamp;
        if self.kernel.newest_login(&user).is_some_and(is_late) {
            return self.drop_connection(connection, Some(CloseCode::RemoteLogin), out);
        }
        let login = Box::new(PendingLogin {
            connection,
            stamp,
            settings,
            traits,
            grant,
            client,
            limiter: Limiter::default(),
            reports,
            inherited: Inherited::default(),
            held: Vec::new(),
            wish,
            others: Vec::new(),
        });
        self.claim(user, login, out);
    }

    /// Claims the user's place for a login, which goes on from what it replaces here.
    fn claim(&mut self, user: UserKey, mut login: Box<PendingLogin>, out: &mut dyn Sink) {
        let (connection, stamp) = (login.connection, login.stamp);
        if self.kernel.is_in_cluster() {
            self.abandon_moves(&user, out);
        }
        let entry = match self.kernel.users.get_mut(&user) {
            Some(entry) => entry,
            None => {
                // Subscribed before asking: whoever claims later meets this login on the topic.
                out.emit(Effect::Bus(BusOp::Subscribe(Topic::User(user.clone()))));
                self.kernel.users.entry(user.clone()).or_default()
            }
        };
        let (older, rival) = (
            entry.session,
            entry.claim.as_ref().map(|claim| claim.connection),
        );
        (login.limiter, login.inherited) = older
            .and_then(|key| self.kernel.sessions.get(key))
            .map(|session| (session.rates.limiter.clone(), session.legacy()))
            .unwrap_or_default();
        if let Some(rival) = entry.claim.as_mut().filter(|_| older.is_none()) {
            login.limiter = std::mem::take(&mut rival.limiter);
            login.inherited = std::mem::take(&mut rival.inherited);
        }
        if let Some(rival) = rival {
            self.turn_waiting_away(&user, out);
            self.drop_connection(rival, Some(CloseCode::RemoteLogin), out);
        }
        let holds = login.reports.ids();
        match self.kernel.users.get_mut(&user) {
            Some(entry) => entry.claim = Some(login),
            None => {
                // Dropping the rival has taken the entry away with it.
                out.emit(Effect::Bus(BusOp::Subscribe(Topic::User(user.clone()))));
                self.kernel.users.entry(user.clone()).or_default().claim = Some(login);
            }
        }
        if let Some(older) = older.filter(|_| !fault!(FirstLoginStaysInService)) {
            self.end_replaced(&user, &holds, older, out);
        }
        self.kernel
            .connections
            .insert(connection, Stage::Claiming(Box::new(user.clone())));
        let ask = ClaimAsk {
            user: user.clone(),
            connection,
            stamp,
            begun_ts: self.kernel.now.unix_ms,
            again: None,
        };
        let question = Question::Claim { stamp, holds };
        let number = self.kernel.ask(Topic::User(user), question, &CLAIM, out);
        self.logins.claims.insert(number, ask);
    }

    /// Another hub claims the user.
    pub(crate) fn handle_claim(
        &mut self,
        user: &UserKey,
        (stamp, holds): (LoginStamp, &[InvitationId]),
        asker: Asker,
        out: &mut dyn Sink,
    ) {
        if self.kernel.is_in_cluster() {
            self.abandon_moves(user, out);
        }
        let newest = self.kernel.newest_login(user);
        let has_several = self.kernel.replicas_of(user).is_some();
        let Some(entry) = self.kernel.users.get(user) else {
            return self
                .kernel
                .answer(asker, Answer::Yielded(Inherited::default()), out);
        };
        // A service's logins come to where its sessions are.
        let is_its_place = has_several && entry.session.is_some();
        if is_its_place || newest.is_some_and(|ours| ours > stamp) {
            return self.kernel.answer(asker, Answer::Superseded, out);
        }
        let (session, rival) = (
            entry.session,
            entry.claim.as_ref().map(|claim| claim.connection),
        );
        let mut inherited = session
            .and_then(|key| self.kernel.sessions.get(key))
            .map(Session::legacy)
            .unwrap_or_default();
        let limiter = session
            .and_then(|key| self.kernel.sessions.get(key))
            .map(|it| &it.rates.limiter);
        inherited.used = limiter.and_then(|limiter| {
            let times = (self.kernel.now.mono_ms, self.kernel.node_ms());
            let used = limiter.used(self.kernel.rates_of(user), times);
            (!used.is_empty()).then(|| Box::new(used))
        });
        if let Some(claim) = self
            .kernel
            .users
            .get_mut(user)
            .and_then(|e| e.claim.as_mut())
        {
            inherited = inherited.and(std::mem::take(&mut claim.inherited));
        }
        match rival {
            Some(_) if has_several && self.can_move(user) => {
                self.move_logins(user, asker.0, out);
            }
            Some(rival) => {
                self.turn_waiting_away(user, out);
                self.drop_connection(rival, Some(CloseCode::RemoteLogin), out);
            }
            None => {}
        }
        if let Some(session) = session.filter(|_| !fault!(FirstLoginStaysInService)) {
            self.end_replaced(user, holds, session, out);
        }
        // Order: what they had not confirmed is on its way to the store before the new session
        // reads there.
        self.kernel.answer(asker, Answer::Yielded(inherited), out);
    }

    /// The other hubs have yielded, or one has a newer login.
    pub(crate) fn finish_claim(&mut self, settled: Settled, out: &mut dyn Sink) {
        let Some(ask) = self.logins.claims.remove(&settled.number) else {
            debug_assert!(false, "a claim that nobody has made");
            return;
        };
        let is_sure = matches!(
            settled.outcome,
            Asked::Nobody
                | Asked::Answered {
                    is_complete: true,
                    ..
                }
        );
        let claim = match settled.outcome {
            Asked::Answered {
                answer: Answer::Superseded,
                from,
                ..
            } => Claim::Lost(from),
            Asked::Answered {
                answer: Answer::Yielded(inherited),
                ..
            } => Claim::Won(inherited),
            // A hub that is silent cannot hold the user: the later login wins. It is asked again.
            _ => Claim::Won(Inherited::default()),
        };
        if let Some(times) = ask.again {
            return self.finish_claim_again((&ask, times), claim, is_sure, out);
        }
        let is_ours = |login: &PendingLogin| login.connection == ask.connection;
        let entry = self.kernel.users.get_mut(&ask.user);
        let Some(entry) = entry.filter(|entry| entry.claim.as_deref().is_some_and(is_ours)) else {
            if let Claim::Won(inherited) = claim {
                self.kernel
                    .pass_on(&ask.user, (ask.stamp, ask.begun_ts), inherited, out);
            }
            return;
        };
        let inherited = match claim {
            Claim::Won(inherited) => inherited,
            Claim::Lost(winner) => {
                if let Some(login) = &mut entry.claim {
                    // The winner has them.
                    login.inherited = Inherited::default();
                }
                if self.can_move(&ask.user) {
                    return self.move_logins(&ask.user, winner, out);
                }
                return self.drop_connection(ask.connection, Some(CloseCode::RemoteLogin), out);
            }
        };
        if let Some(mut login) = entry.claim.take() {
            login.inherited = login.inherited.and(inherited);
            if let Some(used) = login.inherited.used.take() {
                let times = (self.kernel.now.mono_ms, self.kernel.node_ms());
                let rates = self.kernel.rates_of(&ask.user);
                login.limiter.absorb(&used, rates, times);
            }
            let takes_over = !login.inherited.forerunners.is_empty();
            match self.kernel.enter(&ask.user.app, takes_over) {
                Ok(place) => {
                    let others = std::mem::take(&mut login.others);
                    let user = (!is_sure && self.kernel.is_in_cluster()).then(|| ask.user.clone());
                    self.start_session(ask.user, *login, place, out);
                    self.admit_waiting(others, out);
                    if let Some(user) = user {
                        self.claim_again(&user, 0, out);
                    }
                }
                Err(error) => {
                    if let Some(entry) = self.kernel.users.get_mut(&ask.user) {
                        entry.claim = Some(login);
                    }
                    self.kernel.refuse(ask.connection, error, out);
                    self.drop_connection(ask.connection, Some(CloseCode::Overloaded), out);
                }
            }
        }
    }

    /// Another node may have a session of the user, too: both began while neither node could reach
    /// the other. The later login wins, as always.
    pub(crate) fn claim_again(&mut self, user: &UserKey, times: u8, out: &mut dyn Sink) {
        let has_several = self.kernel.replicas_of(user).is_some();
        let entry = self.kernel.users.get(user);
        let alone = entry.filter(|entry| entry.claim.is_none() && !has_several);
        let session = alone.and_then(|entry| self.kernel.sessions.get(entry.session?));
        let Some(stamp) = session.map(|session| session.presence.stamp) else {
            return;
        };
        let ask = ClaimAsk {
            user: user.clone(),
            connection: ConnectionId(0),
            stamp,
            begun_ts: self.kernel.now.unix_ms,
            again: Some(times),
        };
        let holds = Vec::new();
        let question = Question::Claim { stamp, holds };
        let topic = Topic::User(user.clone());
        let number = self.kernel.ask(topic, question, &CLAIM, out);
        self.logins.claims.insert(number, ask);
    }

    fn finish_claim_again(
        &mut self,
        (ask, times): (&ClaimAsk, u8),
        claim: Claim,
        is_sure: bool,
        out: &mut dyn Sink,
    ) {
        match claim {
            Claim::Won(inherited) => {
                let has_ended_one = inherited != Inherited::default();
                let of = (ask.stamp, ask.begun_ts);
                self.kernel.pass_on(&ask.user, of, inherited, out);
                if has_ended_one {
                    // What its client had not confirmed has been stored for this one.
                    self.peers
                        .handle_inbox_grew(&ask.user, &mut self.kernel, out);
                }
                if !is_sure && times < AGAIN_MAX {
                    self.claim_again(&ask.user, times + 1, out);
                }
            }
            Claim::Lost(_) => {
                let entry = self.kernel.users.get(&ask.user);
                let session = entry.and_then(|entry| entry.session);
                let is_it = |key: &SessionKey| {
                    let session = self.kernel.sessions.get(*key);
                    session.is_some_and(|session| session.presence.stamp == ask.stamp)
                };
                if let Some(session) = session.filter(is_it) {
                    self.end_replaced(&ask.user, &[], session, out);
                    // What was stored for the user here meanwhile, the winner has not been told.
                    let topic = Topic::User(ask.user.clone());
                    let message = Arc::new(Publication::InboxGrew);
                    out.emit(Effect::Bus(BusOp::Publish { topic, message }));
                }
            }
        }
    }

    /// The claim of a user was taken away: nobody is left here without a session, and what was held
    /// for the login is kept elsewhere or answered.
    pub(crate) fn let_claim_go(
        &mut self,
        user: &UserKey,
        held: Vec<(Origin, Parcel)>,
        out: &mut dyn Sink,
    ) {
        let entry = self.kernel.users.get(user);
        debug_assert!(
            entry.is_some_and(|entry| entry.claim.is_none()),
            "it is taken away"
        );
        if entry.is_some_and(|entry| entry.session.is_none()) {
            self.kernel.users.remove(user);
            out.emit(Effect::Bus(BusOp::Unsubscribe(Topic::User(user.clone()))));
        }
        for (origin, parcel) in held {
            self.peers
                .keep_or_answer(user, origin, parcel, Answer::Gone, &mut self.kernel, out);
        }
    }

    pub(crate) fn abort_claim(
        &mut self,
        user: &UserKey,
        connection: ConnectionId,
        out: &mut dyn Sink,
    ) {
        let Some(entry) = self.kernel.users.get_mut(user) else {
            debug_assert!(false, "a user is gone while it is dealt with");
            return;
        };
        if let Some(claim) = &mut entry.claim
            && claim.connection != connection
            && claim.has(connection)
        {
            return claim.others.retain(|other| other.connection != connection);
        }
        let Some(login) = entry.claim.take_if(|login| login.connection == connection) else {
            debug_assert!(false, "a user is gone while it is dealt with");
            return;
        };
        self.let_claim_go(user, login.held, out);
        self.admit_waiting(login.others, out);
        let begun_ts = self.kernel.now.unix_ms;
        self.kernel
            .pass_on(user, (login.stamp, begun_ts), login.inherited, out);
    }
}

impl Kernel {
    /// A login that had replaced another one came to nothing: whoever follows on this hub takes
    /// over what it had taken over, or the user is gone.
    pub(crate) fn pass_on(
        &mut self,
        user: &UserKey,
        (stamp, begun_ts): (LoginStamp, u64),
        inherited: Inherited,
        out: &mut dyn Sink,
    ) {
        debug_assert!(begun_ts > 0, "a login that began at no time");
        let entry = self.users.get_mut(user);
        if let Some(claim) = entry.and_then(|entry| entry.claim.as_mut()) {
            claim.inherited = std::mem::take(&mut claim.inherited).and(inherited);
            return;
        }
        let session = self.users.get(user).and_then(|entry| entry.session);
        if let Some(session) = session.and_then(|key| self.sessions.get_mut(key)) {
            session.has_attributes |= inherited.has_attributes;
            session.link.forerunners.extend(inherited.forerunners);
            return;
        }
        if inherited.was_here {
            self.publish_presence(user.clone(), PresenceState::Offline, stamp, out);
        }
        if inherited.has_attributes && !self.config.apps.settings(&user.app).keep_user_attributes {
            // What a later login on another hub has written since is its own.
            let op = StoreOp::AttributesDrop {
                owner: AttributeOwner::User(user.clone()),
                unless_touched_after: begun_ts,
            };
            self.store_and_forget(op, out);
        }
    }
}
