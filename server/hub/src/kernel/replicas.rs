//! Services with several sessions at once (decision 0038): which of a user's sessions are here.
//!
//! All of them are on one hub. The first that is there stands for the user wherever one session is
//! meant: it reads the inbox, and invitations ring at it. Who has one session costs nothing here.

use tidings_wire::proto::PresenceState;

use crate::bus_ops::LoginStamp;
use crate::config::Replicas;
use crate::ids::{SessionKey, UserKey};
use crate::kernel::Kernel;
use crate::kernel::maps::{Map, SeededHasher};
use crate::kernel::session::Session;

/// Sessions of one service at once. Bound: one more is refused.
pub(crate) const REPLICAS_MAX: usize = 64;

/// The sessions of services, by user.
#[derive(Debug)]
pub(crate) struct Groups(Map<UserKey, Group>);

/// The sessions of one service.
#[derive(Debug)]
struct Group {
    /// The first stands for the user; the others are in the order in which they came. Bound:
    /// [`REPLICAS_MAX`].
    sessions: Vec<SessionKey>,
    /// Of the newest login that there was: what is told of the user's presence is as new.
    stamp: LoginStamp,
    /// Who is looked at first when a message is given to one of them.
    turn: usize,
}

impl Groups {
    pub(crate) fn new(hasher: SeededHasher) -> Self {
        Self(hasher.map())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The more of a user is there, the greater.
fn rank(state: PresenceState) -> u8 {
    match state {
        PresenceState::Online => 2,
        PresenceState::Unreachable => 1,
        PresenceState::Offline => 0,
    }
}

impl Kernel {
    /// How the user's sessions share what is sent to it; `None` = it has one.
    pub(crate) fn replicas_of(&self, user: &UserKey) -> Option<Replicas> {
        self.config.apps.replicas_of(user)
    }

    /// All sessions of a user here, the one that stands for it first.
    pub(crate) fn sessions_of(&self, user: &UserKey) -> Vec<SessionKey> {
        match self.groups.0.get(user) {
            Some(group) => group.sessions.clone(),
            None => {
                let entry = self.users.get(user);
                entry.and_then(|entry| entry.session).into_iter().collect()
            }
        }
    }

    /// The user's session of which this is true, if one is here.
    pub(crate) fn find_session(
        &self,
        user: &UserKey,
        is_it: impl Fn(&Session) -> bool,
    ) -> Option<SessionKey> {
        let first = self.users.get(user).and_then(|entry| entry.session);
        let group = self.groups.0.get(user);
        let others = group.into_iter().flat_map(|group| &group.sessions);
        let mut all = first.iter().chain(others).copied();
        all.find(|key| self.sessions.get(*key).is_some_and(&is_it))
    }

    /// Whether a user has this session.
    pub(crate) fn has_session(&self, user: &UserKey, key: SessionKey) -> bool {
        let first = self.users.get(user).and_then(|entry| entry.session);
        let group = self.groups.0.get(user);
        first == Some(key) || group.is_some_and(|group| group.sessions.contains(&key))
    }

    /// The session that stands for the user of this one.
    pub(crate) fn first_of(&self, key: SessionKey) -> SessionKey {
        if self.groups.is_empty() {
            return key;
        }
        let user = self.sessions.get(key).map(|session| &session.user);
        let entry = user.and_then(|user| self.users.get(user));
        entry.and_then(|entry| entry.session).unwrap_or(key)
    }

    /// Another session of the same user that is there; `None` = there is none.
    pub(crate) fn heir_of(&self, key: SessionKey) -> Option<SessionKey> {
        if self.groups.is_empty() {
            return None;
        }
        let group = self.groups.0.get(&self.sessions.get(key)?.user)?;
        let others = group.sessions.iter().filter(|other| **other != key);
        others
            .copied()
            .find(|other| self.sessions.get(*other).is_some_and(Session::is_here))
    }

    /// A session of the user begins: beside those that there are if it is a service that may have
    /// several.
    pub(crate) fn insert_user_session(&mut self, user: &UserKey, key: SessionKey) {
        let stamp = self.sessions.get(key).map(|it| it.presence.stamp);
        let has_several = self.groups.0.contains_key(user) || self.replicas_of(user).is_some();
        let entry = self.users.entry(user.clone()).or_default();
        let Some(stamp) = stamp.filter(|_| has_several) else {
            entry.session = Some(key);
            return;
        };
        let group = self.groups.0.entry(user.clone()).or_insert_with(|| Group {
            sessions: entry.session.into_iter().collect(),
            stamp,
            turn: 0,
        });
        debug_assert!(group.sessions.len() < REPLICAS_MAX, "too many replicas");
        group.sessions.push(key);
        group.stamp = group.stamp.max(stamp);
        entry.session = group.sessions.first().copied();
    }

    /// A session of the user is over.
    pub(crate) fn remove_user_session(&mut self, user: &UserKey, key: SessionKey) {
        let Some(entry) = self.users.get_mut(user) else {
            debug_assert!(false, "a user is gone while it is dealt with");
            return;
        };
        match self.groups.0.get_mut(user) {
            Some(group) => {
                group.sessions.retain(|other| *other != key);
                entry.session = group.sessions.first().copied();
                if group.sessions.is_empty() {
                    self.groups.0.remove(user);
                }
            }
            None => entry.session = entry.session.filter(|session| *session != key),
        }
    }

    /// Sees to it that the user's first session is one that is there, if any is. Returns it if it
    /// is another than before.
    pub(crate) fn put_first(&mut self, user: &UserKey) -> Option<SessionKey> {
        let group = self.groups.0.get_mut(user)?;
        let is_here = |key: &SessionKey| self.sessions.get(*key).is_some_and(Session::is_here);
        let at = group.sessions.iter().position(is_here)?;
        let entry = self.users.get_mut(user)?;
        let first = group.sessions.remove(at);
        group.sessions.insert(0, first);
        let before = entry.session.replace(first);
        (before != Some(first)).then_some(first)
    }

    /// A session of a service ends: the attributes that it has written end with another one.
    pub(crate) fn leave_attributes(&mut self, key: SessionKey, heir: Option<SessionKey>) {
        let has_some = self.sessions.get(key).is_some_and(|it| it.has_attributes);
        if let Some(heir) = heir.and_then(|heir| self.sessions.get_mut(heir)) {
            heir.has_attributes |= has_some;
        }
    }

    /// What others see of the user of a session, and how new that is.
    pub(crate) fn presence_of(&self, key: SessionKey) -> Option<(PresenceState, LoginStamp)> {
        let session = self.sessions.get(key)?;
        let own = (session.presence.state, session.presence.stamp);
        let Some(group) = self.groups.0.get(&session.user) else {
            return Some(own);
        };
        let all = group
            .sessions
            .iter()
            .filter_map(|key| self.sessions.get(*key));
        let best = all
            .map(|session| session.presence.state)
            .max_by_key(|state| rank(*state));
        Some((best.unwrap_or(own.0), group.stamp))
    }

    /// To which of a user's sessions a message goes: to one of them in turn, those first that are
    /// connected and have the least to confirm, or to all that are there. `None` = the user is no
    /// service with several.
    pub(crate) fn receivers(&mut self, user: &UserKey) -> Option<Vec<SessionKey>> {
        if self.groups.is_empty() {
            return None;
        }
        let mode = self.replicas_of(user);
        let group = self.groups.0.get_mut(user)?;
        let session = |key: &SessionKey| self.sessions.get(*key);
        let here = group.sessions.iter().copied();
        let here = here.filter(|key| session(key).is_some_and(Session::is_here));
        if mode == Some(Replicas::All) {
            return Some(here.collect());
        }
        group.turn += 1;
        let count = group.sessions.len();
        let turn = group.turn % count.max(1);
        let burden = |(at, key): &(usize, SessionKey)| {
            let load = session(key).map(|it| {
                let peers = &it.peers;
                let waiting = peers.deliveries.len() + peers.inbox.behind.len();
                (it.connection.is_none(), waiting)
            });
            (load, (at + count - turn) % count)
        };
        let chosen = here.enumerate().min_by_key(burden);
        Some(chosen.into_iter().map(|(_, key)| key).collect())
    }

    /// Asserts what holds between two inputs. Cost: O(sessions of services).
    pub(crate) fn assert_groups(&self) {
        for (user, group) in &self.groups.0 {
            let first = self.users.get(user).and_then(|entry| entry.session);
            assert!(first.is_some(), "a service without a session");
            assert_eq!(
                first,
                group.sessions.first().copied(),
                "another session stands for a service than its first"
            );
            assert!(group.sessions.len() <= REPLICAS_MAX, "too many replicas");
            for key in &group.sessions {
                let session = self.sessions.get(*key);
                let is_its = session.is_some_and(|session| {
                    session.user == *user && session.presence.stamp <= group.stamp
                });
                assert!(is_its, "a service has somebody else's session");
            }
        }
    }
}
