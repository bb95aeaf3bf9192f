//! The users whose presence a session watches.

use indexmap::IndexSet;
use tidings_wire::limits::PRESENCE_SUBSCRIPTIONS_MAX;
use tidings_wire::proto::PresenceState;

use crate::bus_ops::LoginStamp;
use crate::ids::UserKey;
use crate::kernel::maps::SeededHasher;

/// What others see of a session's user, and whom the session watches.
#[derive(Debug)]
pub(crate) struct PresenceSlot {
    /// What others see.
    pub(crate) state: PresenceState,
    /// The login that the state belongs to.
    pub(crate) stamp: LoginStamp,
    /// Somebody watches the user.
    pub(crate) is_watched: bool,
    pub(crate) watched: Watched,
}

/// In the order in which they were subscribed to. Most sessions watch nobody, for which one word is
/// enough.
///
/// Bound: `PRESENCE_SUBSCRIPTIONS_MAX`, held by the hub.
#[derive(Debug, Default)]
pub(crate) struct Watched(Option<Box<IndexSet<UserKey, SeededHasher>>>);

impl Watched {
    pub(crate) fn extend(&mut self, hasher: SeededHasher, users: Vec<UserKey>) {
        if users.is_empty() {
            return;
        }
        let set = self
            .0
            .get_or_insert_with(|| Box::new(IndexSet::with_hasher(hasher)));
        set.extend(users);
    }

    pub(crate) fn contains(&self, user: &UserKey) -> bool {
        self.0.as_ref().is_some_and(|set| set.contains(user))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |set| set.len())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &UserKey> {
        self.0.iter().flat_map(|set| set.iter())
    }

    pub(crate) fn remove(&mut self, user: &UserKey) {
        if let Some(set) = &mut self.0 {
            set.swap_remove(user);
        }
    }

    /// All of them; none are left.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = UserKey> + use<> {
        self.0.take().into_iter().flat_map(|set| *set)
    }
}

impl PresenceSlot {
    /// Asserts what holds between two inputs.
    pub(crate) fn assert_consistent(&self) {
        assert!(
            self.watched.len() <= PRESENCE_SUBSCRIPTIONS_MAX,
            "too many subscriptions"
        );
    }
}
