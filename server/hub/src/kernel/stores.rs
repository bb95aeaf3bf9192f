//! Store operations that are on their way: a ledger of tickets.
//!
//! Like [`crate::kernel::asks`] it knows no feature's types: whoever stores keeps under the ticket
//! what the operation was for.

use crate::io::Ticket;
use crate::kernel::maps::{NumberMap, number_map};

/// The feature that goes on when an operation is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreTag {
    Attributes,
    /// Open logins are compared, or old events deleted.
    Events,
    /// Nobody waits for it: a deletion that a later one makes good if it fails.
    Forgotten,
    History,
    Invitations,
    Peers,
}

/// The operations on their way.
#[derive(Debug, Default)]
pub(crate) struct Stores {
    next: u64,
    /// Bound: each belongs to an open request or a session's inbox, or is a deletion; the store's
    /// queue is bounded.
    open: NumberMap<StoreTag>,
}

impl Stores {
    pub(crate) fn new() -> Self {
        Self {
            next: 0,
            open: number_map(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// Names an operation and waits for its answer.
    pub(crate) fn add(&mut self, tag: StoreTag) -> Ticket {
        self.next += 1;
        let before = self.open.insert(self.next, tag);
        debug_assert!(before.is_none(), "a ticket is given twice");
        Ticket(self.next)
    }

    /// An operation is answered. `None`: it was before.
    pub(crate) fn take(&mut self, ticket: Ticket) -> Option<StoreTag> {
        self.open.remove(&ticket.0)
    }
}

impl Stores {
    /// How many operations of a feature are on their way. Cost: O(operations).
    pub(crate) fn count_of(&self, tag: StoreTag) -> usize {
        self.open.values().filter(|of| **of == tag).count()
    }

    /// Whether an operation of this feature is on its way under this ticket.
    pub(crate) fn has(&self, ticket: Ticket, tag: StoreTag) -> bool {
        self.open.get(&ticket.0) == Some(&tag)
    }

    /// Asserts what holds between two inputs.
    pub(crate) fn assert_consistent(&self) {
        assert!(
            self.open.len() as u64 <= self.next,
            "more operations than were given"
        );
        assert!(!self.open.contains_key(&0), "tickets count from 1");
    }
}
