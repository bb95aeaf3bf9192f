//! Maps whose hashing is seeded: unguessable in production, repeatable in a simulation.
//!
//! Invariant: nothing iterates these maps towards an effect; order that can be seen comes from
//! vectors and ordered maps.

#[expect(
    clippy::disallowed_types,
    reason = "the one place that names std's map, with a seeded hasher"
)]
use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};

use siphasher::sip::SipHasher13;

/// A hash map with the hub's seed.
#[expect(clippy::disallowed_types, reason = "see above")]
pub(crate) type Map<K, V> = HashMap<K, V, SeededHasher>;

/// Makes SipHash-1-3 hashers with the hub's key: users choose names, and must not choose
/// collisions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SeededHasher {
    key: (u64, u64),
}

impl SeededHasher {
    pub(crate) fn new(key: (u64, u64)) -> Self {
        Self { key }
    }

    pub(crate) fn map<K, V>(self) -> Map<K, V> {
        Map::with_hasher(self)
    }
}

impl BuildHasher for SeededHasher {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.key.0, self.key.1)
    }
}

/// A map whose keys are numbers that the hub counts up itself: nobody chooses them, so that they
/// need no seeded hash.
#[expect(clippy::disallowed_types, reason = "see above")]
pub(crate) type NumberMap<V> = HashMap<u64, V, BuildHasherDefault<NumberHasher>>;

/// An empty one.
pub(crate) fn number_map<V>() -> NumberMap<V> {
    NumberMap::default()
}

/// Spreads counted numbers over a map.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0 ^ u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        // Fibonacci hashing: 2⁶⁴ divided by the golden ratio.
        self.0 = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}
