//! Keeps small records that most operations need, above all heads of inboxes, so that an append
//! does not have to look through the levels of the tree for them.

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::unsync::Cache;

use crate::keys::Kind;
use crate::kv::Writes;

/// Bound: bytes of keys and records, with what the cache itself needs for each. It is enough for
/// the heads of about 130,000 inboxes; an append to one whose head is not here costs about 10
/// microseconds more.
const BYTES_MAX: u64 = 32 << 20;

/// What a record needs besides its own bytes and its key's: their two allocations, the places in
/// the table.
const ENTRY_BYTES: u64 = 128;

/// Records expected; only the memory of what was evicted lately depends on it.
const RECORDS_EXPECTED: usize = 1 << 17;

/// Records as they are stored.
pub(crate) struct RecordCache {
    records: Cache<Bytes, Bytes, ByBytes>,
}

impl Default for RecordCache {
    fn default() -> Self {
        Self {
            records: Cache::with_weighter(RECORDS_EXPECTED, BYTES_MAX, ByBytes),
        }
    }
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Bytes, Bytes> for ByBytes {
    fn weight(&self, key: &Bytes, record: &Bytes) -> u64 {
        (key.len() + record.len()) as u64 + ENTRY_BYTES
    }
}

impl RecordCache {
    pub(crate) fn get(&self, key: &[u8]) -> Option<Bytes> {
        self.records.get(key).cloned()
    }

    /// Keeps a record that was read, if it is of a kind worth it.
    pub(crate) fn keep_read(&mut self, key: &[u8], record: &Bytes) {
        if is_kept(key) {
            // A copy, as what was read may share the memory of a whole block.
            self.records
                .insert(Bytes::copy_from_slice(key), Bytes::copy_from_slice(record));
        }
    }

    /// Takes over what is about to be committed; if that fails, the cache must be cleared.
    pub(crate) fn take_writes(&mut self, writes: &Writes) {
        for (key, record) in writes.iter().filter(|(key, _)| is_kept(key)) {
            match record {
                Some(record) => self.records.insert(key.clone(), record.clone()),
                None => {
                    self.records.remove(key);
                }
            }
        }
    }

    pub(crate) fn clear(&mut self) {
        self.records.clear();
    }
}

fn is_kept(key: &[u8]) -> bool {
    key.first().is_some_and(|kind| {
        [
            Kind::InboxHead as u8,
            Kind::NumberCeiling as u8,
            Kind::Touched as u8,
            Kind::UsageKnown as u8,
        ]
        .contains(kind)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> Bytes {
        Bytes::from(format!("h{number}"))
    }

    #[test]
    fn it_keeps_within_its_bound() {
        let mut cache = RecordCache::default();
        let record = Bytes::from_static(b"record");
        for number in 0..500_000 {
            cache.keep_read(&key(number), &record);
            assert!(cache.records.weight() <= BYTES_MAX, "{number}");
        }
        let kept = (0..500_000).filter(|number| cache.get(&key(*number)).is_some());
        assert!(kept.count() > 150_000);
    }

    #[test]
    fn what_fits_is_found_also_when_it_is_used_in_turn() {
        let mut cache = RecordCache::default();
        let record = Bytes::from(vec![0; 70]);
        for number in 0..100_000 {
            cache.keep_read(&key(number), &record);
        }
        for number in 0..100_000 {
            assert!(cache.get(&key(number)).is_some(), "{number}");
        }
    }

    #[test]
    fn writes_replace_and_delete() {
        let mut cache = RecordCache::default();
        cache.keep_read(b"h0", &Bytes::from_static(b"old"));
        cache.take_writes(&Writes::from([(key(0), Some(Bytes::from_static(b"new")))]));
        assert_eq!(cache.get(b"h0"), Some(Bytes::from_static(b"new")));
        cache.take_writes(&Writes::from([(key(0), None)]));
        assert_eq!(cache.get(b"h0"), None);
        cache.keep_read(b"m0", &Bytes::from_static(b"a message"));
        assert_eq!(cache.get(b"m0"), None, "messages are not kept");
    }
}
