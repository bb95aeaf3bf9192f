//! Drops peer messages that the application has been given before.

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;
use tidings_fault::fault;

/// Message ids remembered. The server keeps at most 1,024 unconfirmed messages of a session, and a
/// stored copy follows its live form within seconds: no older id can come again.
const SEEN_IDS_MAX: usize = 1_024;

/// The peer messages that the application has been given: each is raised once per client, also
/// across sessions. Lives as long as the client serves one user. Source: contract OFF-6.
#[derive(Debug, Default)]
pub(crate) struct SeenMessages {
    /// App id and user id whose messages these are.
    owner: Option<(String, String)>,
    /// The highest inbox number raised.
    highest: u64,
    /// Their ids. Bound: `SEEN_IDS_MAX`.
    ids: BTreeSet<Bytes>,
    /// The same ids, oldest first.
    order: VecDeque<Bytes>,
}

impl SeenMessages {
    /// A user logs in: nothing that another user has seen counts.
    pub(crate) fn serve(&mut self, app_id: &str, user_id: &str) {
        let owner = Some((app_id.to_owned(), user_id.to_owned()));
        if self.owner != owner {
            *self = Self {
                owner,
                ..Self::default()
            };
        }
    }

    /// The highest inbox number raised.
    pub(crate) fn cursor(&self) -> u64 {
        self.highest
    }

    /// Counts everything up to a number as raised.
    pub(crate) fn keep_cursor(&mut self, cursor: u64) {
        self.highest = self.highest.max(cursor);
        assert!(self.highest >= cursor, "the cursor goes back");
    }

    /// Whether a message is new; remembers it. `inbox` is 0 for one that was not stored.
    pub(crate) fn admit(&mut self, inbox: u64, id: &Bytes) -> bool {
        let mut is_stored_repeat = inbox > 0 && inbox <= self.highest;
        if fault!(InboxNumbersAreNotCompared) {
            is_stored_repeat = false;
        }
        self.highest = self.highest.max(inbox);
        assert!(self.highest >= inbox, "a raised message is forgotten");
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
        assert!(self.ids.contains(id), "a message is not remembered");
        !is_stored_repeat
    }

    /// What must hold between inputs.
    pub(crate) fn assert_consistent(&self) {
        assert!(
            self.order.len() <= SEEN_IDS_MAX,
            "{} message ids are kept",
            self.order.len()
        );
        assert_eq!(
            self.ids.len(),
            self.order.len(),
            "message ids are not the same in both orders"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_new_once_by_inbox_number_and_by_id() {
        let id = |n: u8| Bytes::copy_from_slice(&[n; 16]);
        let mut inbox = SeenMessages::default();
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
            assert_eq!(inbox.admit(number, &id(message)), expected, "{name}");
        }
    }

    #[test]
    fn remembered_ids_are_bounded() {
        let mut inbox = SeenMessages::default();
        for n in 0..5_000_u64 {
            assert!(inbox.admit(0, &Bytes::copy_from_slice(&n.to_be_bytes())));
        }
        assert_eq!(
            (inbox.ids.len(), inbox.order.len()),
            (SEEN_IDS_MAX, SEEN_IDS_MAX)
        );
    }
}
