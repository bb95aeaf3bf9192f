//! Users whose sessions move between nodes: what senders are told meanwhile.

use crate::bus_ops::{Answer, Parcel};
use crate::ids::{MessageId, UserKey};
use crate::kernel::maps::{Map, SeededHasher};
use crate::peers::slot::Origin;

/// Empty on a node that is alone.
#[derive(Debug)]
pub(crate) struct Moving {
    /// Users whose sessions are on their way here, with messages that wait for them. Bound:
    /// `HELD_PARCELS_MAX` each.
    pub(crate) arriving: Map<UserKey, Vec<(Origin, Parcel)>>,
    /// Users whose sessions have just come, with the messages that their clients had not confirmed.
    pub(crate) arrived: Map<UserKey, Vec<MessageId>>,
    /// Users whose sessions were given away, by how many.
    pub(crate) given: Map<UserKey, usize>,
}

impl Moving {
    pub(crate) fn new(hasher: SeededHasher) -> Self {
        Self {
            arriving: hasher.map(),
            arrived: hasher.map(),
            given: hasher.map(),
        }
    }

    /// Whether the user's session is on its way here.
    pub(crate) fn is_arriving(&self, user: &UserKey) -> bool {
        !self.arriving.is_empty() && self.arriving.contains_key(user)
    }

    /// Whether the user's session has come with this message.
    pub(crate) fn has_arrived(&self, user: &UserKey, id: MessageId) -> bool {
        !self.arrived.is_empty()
            && self
                .arrived
                .get(user)
                .is_some_and(|arrived| arrived.contains(&id))
    }

    /// What a sender is told whose receiver is not here.
    pub(crate) fn answer_for(&self, user: &UserKey) -> Answer {
        if self.given.contains_key(user) {
            Answer::Moved
        } else {
            Answer::Gone
        }
    }
}
