//! Keeps the small records that most operations need, chiefly the heads of inboxes, so that an
//! append does not have to search every level of the tree for them.

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::unsync::Cache;

use crate::keys::Kind;
use crate::kv::Writes;

/// Bound: bytes of keys and records, with the cache's own overhead for each. It is enough for the
/// heads of about 130,000 inboxes; an append whose head is not cached costs about 10 microseconds
/// more.
const BYTES_MAX: u64 = 32 << 20;

/// Overhead per record besides its bytes and its key's: two allocations and the table slots.
const ENTRY_BYTES: u64 = 128;

/// Records expected; it only sizes the memory of recently evicted keys.
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

    /// Keeps a record that was read, if its kind is worth caching.
    pub(crate) fn keep_read(&mut self, key: &[u8], record: &Bytes) {
        if is_kept(key) {
            // A copy, because the slice that was read may keep a whole block alive.
            self.records
                .insert(Bytes::copy_from_slice(key), Bytes::copy_from_slice(record));
        }
    }

    /// Takes over the writes about to be committed; if the commit fails, the cache must be cleared.
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
            Kind::EventChannel as u8,
            Kind::EventHead as u8,
            Kind::EventUser as u8,
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
