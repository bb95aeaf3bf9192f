//! Users and connections that a hub knows.

use tidings_wire::proto::Login;

use crate::bus_ops::{Inherited, LoginStamp, Parcel};
use crate::config::{AppSettings, Traits};
use crate::grant::Grant;
use crate::ids::{ConnectionId, SessionKey, UserKey};
use crate::invitations::slot::Reports;
use crate::kernel::clients::ClientName;
use crate::kernel::limiter::Limiter;
use crate::kernel::replicas::REPLICAS_MAX;
use crate::peers::slot::Origin;
use crate::rates::Used;

/// What a connection is in the middle of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Not logged in.
    Fresh {
        /// When it was opened, in monotonic milliseconds of the node: the order of its login among
        /// the user's.
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

/// A user whom this hub knows: it has the session, or a login in progress, or both.
#[derive(Debug, Default)]
pub(crate) struct UserEntry {
    pub(crate) session: Option<SessionKey>,
    /// Boxed: an entry outlives its claim by far.
    pub(crate) claim: Option<Box<PendingLogin>>,
}

/// Messages that may wait for one login to be settled; it takes one turn of the bus.
pub(crate) const HELD_PARCELS_MAX: usize = 256;

/// A login that waits for the other hubs to yield.
#[derive(Debug)]
pub(crate) struct PendingLogin {
    pub(crate) connection: ConnectionId,
    pub(crate) stamp: LoginStamp,
    pub(crate) settings: AppSettings,
    pub(crate) traits: Traits,
    pub(crate) grant: Grant,
    pub(crate) client: ClientName,
    pub(crate) limiter: Limiter,
    /// What its client holds open.
    pub(crate) reports: Reports,
    /// From the logins that it replaces on this hub.
    pub(crate) inherited: Inherited,
    /// Messages that have arrived in the meantime. Bound: `HELD_PARCELS_MAX`.
    pub(crate) held: Vec<(Origin, Parcel)>,
    /// As its client has said it, for the hub that has the user's other sessions; `None` = the user
    /// has one session.
    pub(crate) wish: Option<Box<Login>>,
    /// Further logins of a service with several sessions, which wait for this one. Bound:
    /// `REPLICAS_MAX`.
    pub(crate) others: Vec<WaitingLogin>,
}

/// A login that waits for an earlier one of the same service.
#[derive(Debug)]
pub(crate) struct WaitingLogin {
    pub(crate) connection: ConnectionId,
    /// When its connection was opened, in monotonic milliseconds of the node.
    pub(crate) opened_ms: u64,
    pub(crate) login: Box<Login>,
}

impl PendingLogin {
    /// Whether it is made over this connection, or a login over it waits.
    pub(crate) fn has(&self, connection: ConnectionId) -> bool {
        let mut others = self.others.iter();
        self.connection == connection || others.any(|other| other.connection == connection)
    }

    /// Asserts what holds while the other hubs are asked.
    pub(crate) fn assert_consistent(&self) {
        self.limiter.assert_consistent();
        assert!(self.stamp.count > 0, "logins are counted from 1");
        assert!(
            self.others.len() < REPLICAS_MAX && (self.wish.is_some() || self.others.is_empty()),
            "logins wait for one that they cannot share"
        );
        assert!(
            self.held.len() <= HELD_PARCELS_MAX,
            "too much waits for a login"
        );
        assert!(
            self.inherited.used.is_none(),
            "what was used is taken when the claim is won"
        );
    }
}
