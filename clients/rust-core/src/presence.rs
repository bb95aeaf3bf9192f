//! The users whose presence the application watches. Source: contract PRE-9.

use std::collections::{BTreeMap, BTreeSet};

use tidings_fault::fault;

use crate::call::{Call, PresenceState};

/// The users that the application watches.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    /// By user, the last state that the application was told. Bound: 512, the server's limit.
    users: BTreeMap<String, Option<PresenceState>>,
    /// Users watched again in a new session whose first state has not arrived.
    restoring: BTreeSet<String>,
}

impl Watched {
    /// The server has accepted a subscription.
    pub(crate) fn subscribed(&mut self, user_ids: &[String]) {
        for user in user_ids {
            self.users.entry(user.clone()).or_default();
        }
    }

    /// The server has ended a subscription.
    pub(crate) fn unsubscribed(&mut self, user_ids: &[String]) {
        for user in user_ids {
            self.users.remove(user);
            self.restoring.remove(user);
        }
    }

    /// The call that subscribes again, if there is anybody to watch. The first states that follow
    /// are news only where they differ from what the application knows.
    pub(crate) fn restore(&mut self) -> Option<Call> {
        self.restoring = self.users.keys().cloned().collect();
        assert_eq!(
            self.restoring.len(),
            self.users.len(),
            "users watched again"
        );
        let user_ids: Vec<_> = self.users.keys().cloned().collect();
        (!user_ids.is_empty()).then_some(Call::SubscribePresence { user_ids })
    }

    /// Takes in an event and returns what is news to the application.
    pub(crate) fn changed(
        &mut self,
        mut users: Vec<(String, PresenceState)>,
    ) -> Vec<(String, PresenceState)> {
        users.retain(|(user, state)| {
            let told = match self.users.get_mut(user) {
                Some(told) => told.replace(*state),
                // The event may come before the reply to the subscription.
                None => self.users.insert(user.clone(), Some(*state)).flatten(),
            };
            let is_first = self.restoring.remove(user);
            let mut is_known = told == Some(*state);
            if fault!(WatchedChangesAreNotTold) {
                is_known = true;
            }
            !(is_first && is_known)
        });
        users
    }

    /// What must hold between inputs.
    pub(crate) fn assert_consistent(&self) {
        let strange = self
            .restoring
            .iter()
            .find(|user| !self.users.contains_key(*user));
        assert!(strange.is_none(), "{strange:?} is restored and not watched");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_restored_subscription_only_differences_are_news() {
        use PresenceState::{Offline, Online};
        let list = |entries: &[(&str, PresenceState)]| -> Vec<(String, PresenceState)> {
            entries
                .iter()
                .map(|(user, state)| ((*user).to_owned(), *state))
                .collect()
        };
        let mut presence = Watched::default();
        presence.subscribed(&["bob".to_owned(), "carol".to_owned()]);
        let first = list(&[("bob", Online), ("carol", Offline)]);
        assert_eq!(presence.changed(first.clone()), first);
        assert!(presence.restore().is_some());
        let second = list(&[("bob", Online), ("carol", Online)]);
        assert_eq!(presence.changed(second), list(&[("carol", Online)]));
        let third = list(&[("bob", Online)]);
        assert_eq!(
            presence.changed(third.clone()),
            third,
            "later events pass as they are"
        );
    }
}
