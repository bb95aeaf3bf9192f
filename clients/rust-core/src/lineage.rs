//! What outlives a session: from a login to its logout.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use tidings_fault::fault;

use crate::attributes::OwnAttributes;
use crate::call::{Call, PresenceState};
use crate::members::Channel;

/// Message ids remembered. The server keeps at most 1,024 unconfirmed messages of a session, and a
/// stored copy follows its live form within seconds: no older id can come again.
const SEEN_IDS_MAX: usize = 1_024;

/// What the client restores in a new session.
#[derive(Debug, Default)]
pub(crate) struct Lineage {
    /// The user's own attributes.
    pub(crate) attributes: OwnAttributes,
    /// Joined channels by name. Bound: 20, the server's limit.
    pub(crate) channels: BTreeMap<String, Channel>,
    /// Presence subscriptions.
    pub(crate) presence: Presence,
}

/// Users subscribed to.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    /// The last state that the application was told. Bound: 512, the server's limit.
    users: BTreeMap<String, Option<PresenceState>>,
    /// Those subscribed to again whose first state in the new session has not come.
    restoring: BTreeSet<String>,
}

impl Presence {
    pub(crate) fn subscribed(&mut self, user_ids: &[String]) {
        for user in user_ids {
            self.users.entry(user.clone()).or_default();
        }
    }

    pub(crate) fn unsubscribed(&mut self, user_ids: &[String]) {
        for user in user_ids {
            self.users.remove(user);
            self.restoring.remove(user);
        }
    }

    /// The call that subscribes again. The first states then are news only where they differ.
    pub(crate) fn restore(&mut self) -> Option<Call> {
        self.restoring = self.users.keys().cloned().collect();
        let user_ids: Vec<_> = self.users.keys().cloned().collect();
        (!user_ids.is_empty()).then_some(Call::SubscribePresence { user_ids })
    }

    /// Takes in an event and keeps what is news to the application.
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
            !(self.restoring.remove(user)
                && (told == Some(*state) || fault!(WatchedChangesAreNotTold)))
        });
        users
    }
}

/// Which peer messages have been raised: exactly once per client, also across sessions.
/// Source: contract OFF-6.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    /// Highest inbox number raised.
    highest: u64,
    ids: BTreeSet<Bytes>,
    /// The same ids, oldest first.
    order: VecDeque<Bytes>,
}

impl Inbox {
    /// The highest inbox number raised.
    pub(crate) fn cursor(&self) -> u64 {
        self.highest
    }

    /// Counts everything up to a number as raised.
    pub(crate) fn keep_cursor(&mut self, cursor: u64) {
        self.highest = self.highest.max(cursor);
    }

    /// Notes a message; false if it has been raised before.
    pub(crate) fn is_new(&mut self, inbox: u64, id: &Bytes) -> bool {
        let is_stored_repeat =
            inbox > 0 && inbox <= self.highest && !fault!(InboxNumbersAreNotCompared);
        self.highest = self.highest.max(inbox);
        if id.is_empty() {
            return !is_stored_repeat;
        }
        if !self.ids.insert(id.clone()) {
            return false;
        }
        self.order.push_back(id.clone());
        if self.order.len() > SEEN_IDS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        !is_stored_repeat
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_new_once_by_inbox_number_and_by_id() {
        let id = |n: u8| Bytes::copy_from_slice(&[n; 16]);
        let mut inbox = Inbox::default();
        let table = [
            (0, 1, true, "live"),
            (1, 2, true, "stored"),
            (1, 2, false, "stored, again"),
            (2, 1, false, "the stored form of the live one"),
            (2, 3, false, "a number that was seen"),
            (5, 4, true, "after a hole"),
            (0, 4, false, "the live form of the stored one"),
            (0, 5, true, "live, later"),
        ];
        for (number, message, expected, name) in table {
            assert_eq!(inbox.is_new(number, &id(message)), expected, "{name}");
        }
    }

    #[test]
    fn remembered_ids_are_bounded() {
        let mut inbox = Inbox::default();
        for n in 0..5_000_u64 {
            assert!(inbox.is_new(0, &Bytes::copy_from_slice(&n.to_be_bytes())));
        }
        assert_eq!(
            (inbox.ids.len(), inbox.order.len()),
            (SEEN_IDS_MAX, SEEN_IDS_MAX)
        );
    }

    #[test]
    fn after_a_restored_subscription_only_differences_are_news() {
        use PresenceState::{Offline, Online};
        let list = |entries: &[(&str, PresenceState)]| -> Vec<(String, PresenceState)> {
            entries
                .iter()
                .map(|(user, state)| ((*user).to_owned(), *state))
                .collect()
        };
        let mut presence = Presence::default();
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
