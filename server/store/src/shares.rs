//! Whose the oldest messages of a full inbox are: whoever has most of them there gives way first.
//!
//! An inbox has so many places for all who write to its user. Were it simply the oldest message that goes, one sender
//! could wash out what all others have stored. So the sender with the largest share loses its oldest one; of equals,
//! the sender whose message is the oldest, which is the oldest of all where nobody has more than the others.
//!
//! Kept in the head of an inbox from its first overflow on, until the messages are gone: what is not full costs
//! nothing. A head without it, of whatever age, is as good: the messages are looked at when it is needed.

use sha2::{Digest as _, Sha256};
use tidings_hub::store_ops::StoredMessage;

/// Oldest messages of a kind that are known. Bound of a head's size, at 20 bytes each, and of the look at each
/// overflow. An inbox with more places is shared fairly among its oldest so many.
pub(crate) const KNOWN_MAX: usize = 256;

/// With fewer than this known, and more there, the next ones are looked at.
pub(crate) const KNOWN_MIN: usize = 128;

/// A message of an inbox, as far as shares are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Its number in the inbox.
    pub(crate) number: u64,
    /// Whose it is: no two senders are made alike on purpose.
    pub(crate) sender: u64,
    /// Bytes of its body.
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

/// The oldest messages of one kind in an inbox, in order; empty = not looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Shares(pub(crate) Vec<Place>);

impl Shares {
    /// Whether the next messages are to be looked at, of so many that are there.
    pub(crate) fn is_short(&self, count: u64) -> bool {
        self.0.len() < KNOWN_MIN && (self.0.len() as u64) < count
    }

    /// A message was appended to so many.
    pub(crate) fn appended(&mut self, place: Place, count_before: u64) {
        let knows_all = self.0.len() as u64 == count_before && count_before > 0;
        if knows_all && self.0.len() < KNOWN_MAX {
            self.0.push(place);
        }
    }

    /// A message is gone.
    pub(crate) fn forget(&mut self, number: u64) {
        if let Ok(at) = self.0.binary_search_by_key(&number, |place| place.number) {
            self.0.remove(at);
        }
    }

    /// The message that gives way to one of `sender`. Cost: O(n log n) of `KNOWN_MAX`.
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
