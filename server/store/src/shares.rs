//! Who sent the oldest messages of a full inbox: whoever has the most there loses one first.
//!
//! The places of an inbox are shared by everybody who writes to its user. If the oldest message
//! simply went, one sender could push out what all others have stored. So the sender with the
//! largest share loses its oldest message; among equals, the sender of the oldest message, which is
//! the oldest of all when nobody has more than the others.
//!
//! Kept in the head of an inbox from its first overflow until those messages are gone: an inbox
//! that is not full costs nothing. A head without it, however old, is as good: the messages are
//! examined when it is needed.

use sha2::{Digest as _, Sha256};
use tidings_hub::store_ops::StoredMessage;

/// Number of oldest messages of a class that are remembered. It bounds the size of a head, at 20
/// bytes each, and the cost of an overflow. In a larger inbox, fairness covers this many of the
/// oldest messages.
pub(crate) const KNOWN_MAX: usize = 256;

/// When fewer than this are remembered and more exist, the next ones are examined.
pub(crate) const KNOWN_MIN: usize = 128;

/// A message of an inbox, reduced to what shares need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Its number in the inbox.
    pub(crate) number: u64,
    /// The sender, hashed: collisions cannot be produced on purpose.
    pub(crate) sender: u64,
    /// Bytes of the message's body.
    pub(crate) bytes: u32,
}

impl Place {
    pub(crate) fn of(number: u64, message: &StoredMessage) -> Self {
        Self {
            number,
            sender: sender(message),
            bytes: u32::try_from(message.body.len()).unwrap_or(u32::MAX),
        }
    }
}

/// Names the sender of a message.
pub(crate) fn sender(message: &StoredMessage) -> u64 {
    let digest = Sha256::digest(message.from.as_bytes());
    digest
        .first_chunk()
        .map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// The oldest messages of one class in an inbox, in order; empty = not examined.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Shares(pub(crate) Vec<Place>);

impl Shares {
    /// Whether to examine the next messages, when the inbox holds `count`.
    pub(crate) fn is_short(&self, count: u64) -> bool {
        self.0.len() < KNOWN_MIN && (self.0.len() as u64) < count
    }

    /// Notes that a message was appended to an inbox that held `count`.
    pub(crate) fn appended(&mut self, place: Place, count_before: u64) {
        let knows_all = self.0.len() as u64 == count_before && count_before > 0;
        if knows_all && self.0.len() < KNOWN_MAX {
            self.0.push(place);
        }
    }

    /// Notes that a message was deleted.
    pub(crate) fn forget(&mut self, number: u64) {
        if let Ok(at) = self.0.binary_search_by_key(&number, |place| place.number) {
            self.0.remove(at);
        }
    }

    /// The message to delete to make room for one of `sender`. Cost: O(n log n) of `KNOWN_MAX`.
    pub(crate) fn next_to_go(&self, sender: u64) -> Option<Place> {
        let mut senders: Vec<u64> = self.0.iter().map(|place| place.sender).collect();
        senders.push(sender);
        senders.sort_unstable();
        let largest = senders.chunk_by(|a, b| a == b).map(<[u64]>::len).max()?;
        let has_largest = |of: u64| {
            let from = senders.partition_point(|other| *other < of);
            senders[from..].partition_point(|other| *other == of) == largest
        };
        let mut places = self.0.iter();
        places.find(|place| has_largest(place.sender)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(senders: &[u64]) -> Shares {
        let places = (1..).zip(senders).map(|(number, sender)| Place {
            number,
            sender: *sender,
            bytes: 1,
        });
        Shares(places.collect())
    }

    #[test]
    fn whoever_has_most_gives_way_and_of_equals_the_oldest() {
        let table = [
            (&[1, 2, 3][..], 4, Some(1), "all equal"),
            (&[1, 2, 2, 3][..], 4, Some(2), "the largest"),
            (&[1, 2, 3][..], 3, Some(3), "the one that comes counts"),
            (&[1, 1, 2, 2][..], 9, Some(1), "the older of two"),
            (
                &[1, 2, 2][..],
                1,
                Some(1),
                "drawn level by the one that comes",
            ),
            (&[][..], 1, None, "nobody"),
        ];
        for (senders, incoming, expected, name) in table {
            let gone = shares(senders).next_to_go(incoming);
            assert_eq!(gone.map(|place| place.number), expected, "{name}");
        }
    }

    #[test]
    fn what_is_appended_is_known_if_all_before_it_is() {
        let place = Place {
            number: 9,
            sender: 1,
            bytes: 1,
        };
        let mut known = shares(&[1, 2]);
        known.appended(place, 5);
        assert_eq!(known.0.len(), 2, "three before it are not known");
        known.appended(place, 2);
        assert_eq!(known.0.len(), 3);
        let mut none = Shares::default();
        none.appended(place, 0);
        assert!(none.0.is_empty(), "not looked at");
        known.forget(9);
        known.forget(77);
        assert_eq!(known.0.len(), 2);
    }
}
