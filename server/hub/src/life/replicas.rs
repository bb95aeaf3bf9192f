//! Logins of services with several sessions at once (decision 0038): all of them on one hub, to
//! which the others hand their connections over.

use tidings_wire::codes::{CloseCode, Outcome};
use tidings_wire::proto::Login;

use crate::bus_ops::{Inherited, LoginStamp};
use crate::grant::Grant;
use crate::ids::{ConnectionId, HubId, InvitationId, SessionKey, UserKey};
use crate::invitations::slot::Reports;
use crate::kernel::clients::ClientName;
use crate::kernel::limiter::Limiter;
use crate::kernel::replicas::REPLICAS_MAX;
use crate::kernel::reply::error;
use crate::kernel::session::End;
use crate::kernel::users::{PendingLogin, Stage, WaitingLogin};
use crate::{AppSettings, Effect, Hub, Sink, Traits, Wish};

/// A login's connection and stamp, and what its client has said.
type Words = (ConnectionId, LoginStamp, ClientName, Reports);

/// What the login of a service with several sessions joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Joins {
    /// There is nobody, or the user has one session: it claims the user's place.
    Nobody,
    /// The sessions that are here.
    Sessions,
    /// A login that is under way here.
    Login,
    /// There are as many as there may be.
    Full,
    /// Its client cannot be one of several, and does not send them away.
    Not,
}

impl Hub {
    /// What a login joins. `can_join`: its client can be one of several.
    pub(crate) fn joins(&self, user: &UserKey, can_join: bool) -> Joins {
        if self.kernel.replicas_of(user).is_none() {
            return Joins::Nobody;
        }
        let Some(entry) = self.kernel.users.get(user) else {
            return Joins::Nobody;
        };
        let claim = entry.claim.as_ref().filter(|claim| claim.wish.is_some());
        match (entry.session, claim) {
            (Some(_), _) if !can_join => Joins::Not,
            (Some(_), _) => Joins::Sessions,
            (None, Some(claim)) if can_join && claim.others.len() + 1 >= REPLICAS_MAX => {
                Joins::Full
            }
            (None, Some(_)) if can_join => Joins::Login,
            (None, _) => Joins::Nobody,
        }
    }

    /// A login waits for one of the same service that is under way.
    pub(crate) fn wait_for_login(
        &mut self,
        user: UserKey,
        (connection, opened_ms): (ConnectionId, u64),
        wish: Option<Box<Login>>,
        out: &mut dyn Sink,
    ) {
        let entry = self.kernel.users.get_mut(&user);
        let claim = entry.and_then(|entry| entry.claim.as_mut());
        let (Some(claim), Some(login)) = (claim, wish) else {
            debug_assert!(false, "a login that was just there");
            return self.drop_connection(connection, Some(CloseCode::Overloaded), out);
        };
        claim.others.push(WaitingLogin {
            connection,
            opened_ms,
            login,
        });
        let stage = Stage::Claiming(Box::new(user));
        self.kernel.connections.insert(connection, stage);
    }

    /// A further session of a service that is here: nobody has to be asked.
    pub(crate) fn start_replica(
        &mut self,
        user: UserKey,
        (connection, stamp, client, reports): Words,
        (settings, traits, grant): (AppSettings, Traits, Grant),
        out: &mut dyn Sink,
    ) {
        if self.kernel.sessions_of(&user).len() >= REPLICAS_MAX {
            return self.refuse_replica(&user, connection, out);
        }
        let place = match self.kernel.enter(&user.app, false) {
            Ok(place) => place,
            Err(error) => {
                self.kernel.refuse(connection, error, out);
                return self.drop_connection(connection, Some(CloseCode::Overloaded), out);
            }
        };
        let login = PendingLogin {
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
            wish: None,
            others: Vec::new(),
        };
        self.start_session(user, login, place, out);
    }

    pub(crate) fn refuse_replica(
        &mut self,
        user: &UserKey,
        connection: ConnectionId,
        out: &mut dyn Sink,
    ) {
        let text = format!(
            "service {} has {REPLICAS_MAX} sessions, which is the most that it may have",
            user.user
        );
        self.refuse_login(connection, error(Outcome::NotPermitted, text), out);
    }

    /// Whether the login of a user that is under way can go to another hub.
    pub(crate) fn can_move(&self, user: &UserKey) -> bool {
        let claim = self
            .kernel
            .users
            .get(user)
            .and_then(|entry| entry.claim.as_ref());
        claim.is_some_and(|claim| claim.wish.is_some())
    }

    /// The logins of a service that are under way here go to the hub that has its sessions, or
    /// will.
    pub(crate) fn move_logins(&mut self, user: &UserKey, to: HubId, out: &mut dyn Sink) {
        let Some(entry) = self.kernel.users.get_mut(user) else {
            debug_assert!(false, "a user is gone while it is dealt with");
            return;
        };
        let Some(login) = entry.claim.take() else {
            debug_assert!(false, "a login is gone while it is dealt with");
            return;
        };
        debug_assert!(to != self.kernel.config.id, "a login goes where it is");
        self.let_claim_go(user, login.held, out);
        let first = login.wish.map(|wish| WaitingLogin {
            connection: login.connection,
            opened_ms: self.kernel.opened_ms(login.stamp),
            login: wish,
        });
        let is_near = to.node == self.kernel.config.id.node;
        for moved in first.into_iter().chain(login.others) {
            let connection = moved.connection;
            self.kernel.connections.remove(&connection);
            if !is_near {
                // No connection goes from one node to another: its client tries the next one.
                let code = CloseCode::GoingAway;
                out.emit(Effect::Close { connection, code });
                continue;
            }
            out.emit(Effect::HandOver {
                connection: moved.connection,
                to,
                wish: Wish::Login(moved.login),
                opened_ms: moved.opened_ms,
            });
        }
        let begun_ts = self.kernel.now.unix_ms;
        self.kernel
            .pass_on(user, (login.stamp, begun_ts), login.inherited, out);
    }

    /// The login that these have waited for is settled.
    pub(crate) fn admit_waiting(&mut self, others: Vec<WaitingLogin>, out: &mut dyn Sink) {
        for other in others {
            let opened_ms = other.opened_ms;
            let stage = Stage::Fresh { opened_ms };
            self.kernel.connections.insert(other.connection, stage);
            self.handle_login(other.connection, *other.login, out);
        }
    }

    /// A login that is not one of several takes the place of all that wait.
    pub(crate) fn turn_waiting_away(&mut self, user: &UserKey, out: &mut dyn Sink) {
        let claim = self
            .kernel
            .users
            .get_mut(user)
            .and_then(|entry| entry.claim.as_mut());
        let others = claim.map(|claim| std::mem::take(&mut claim.others));
        for other in others.into_iter().flatten() {
            let connection = other.connection;
            self.kernel.connections.remove(&connection);
            let code = CloseCode::RemoteLogin;
            out.emit(Effect::Close { connection, code });
        }
    }

    /// Another login takes the place of the user's session here, or of all of them.
    pub(crate) fn end_replaced(
        &mut self,
        user: &UserKey,
        holds: &[InvitationId],
        session: SessionKey,
        out: &mut dyn Sink,
    ) {
        self.invitations
            .release_invitations(user, holds, session, &mut self.kernel);
        for session in self.kernel.sessions_of(user) {
            self.end_session(session, End::RemoteLogin, out);
        }
    }
}
