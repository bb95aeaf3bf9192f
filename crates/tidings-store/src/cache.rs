//! Keeps small records that most operations need, above all heads of inboxes, so that an append does not have
//! to look through the levels of the tree for them.

use std::collections::HashMap;

use bytes::Bytes;

use crate::kv::Writes;
use crate::record::Kind;

/// Bound: records of each of the two generations. With a key and a head of 70 bytes each and what the map
/// needs, both together take up to about 30 MB. Fewer make appends to inboxes in turn slower, by about 10
/// microseconds each.
const GENERATION_RECORDS: usize = 65_536;

/// Records as they are stored. What was used least recently is forgotten, a generation at a time.
#[derive(Default)]
pub(crate) struct RecordCache {
    young: HashMap<Bytes, Bytes>,
    old: HashMap<Bytes, Bytes>,
}

impl RecordCache {
    pub(crate) fn get(&mut self, key: &[u8]) -> Option<Bytes> {
        if let Some(record) = self.young.get(key) {
            return Some(record.clone());
        }
        let (key, record) = self.old.remove_entry(key)?;
        self.keep(key, record.clone());
        Some(record)
    }

    /// Keeps a record that was read, if it is of a kind worth it.
    pub(crate) fn keep_read(&mut self, key: &[u8], record: &Bytes) {
        if is_kept(key) {
            // A copy, as what was read may share the memory of a whole block.
            self.keep(Bytes::copy_from_slice(key), Bytes::copy_from_slice(record));
        }
    }

    /// Takes over what is about to be committed; if that fails, the cache must be cleared.
    pub(crate) fn take_writes(&mut self, writes: &Writes) {
        for (key, record) in writes.iter().filter(|(key, _)| is_kept(key)) {
            self.old.remove(key);
            match record {
                Some(record) => self.keep(key.clone(), record.clone()),
                None => {
                    self.young.remove(key);
                }
            }
        }
    }

    pub(crate) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }

    fn keep(&mut self, key: Bytes, record: Bytes) {
        if self.young.len() >= GENERATION_RECORDS {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, record);
    }
}

fn is_kept(key: &[u8]) -> bool {
    key.first().is_some_and(|kind| {
        [
            Kind::InboxHead as u8,
            Kind::NumberCeiling as u8,
            Kind::Touched as u8,
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
    fn what_is_used_stays_and_the_rest_is_forgotten() {
        let mut cache = RecordCache::default();
        let record = Bytes::from_static(b"record");
        for number in 0..GENERATION_RECORDS * 5 {
            cache.keep_read(&key(number), &record);
            assert!(cache.get(b"h0").is_some(), "{number}");
        }
        assert!(cache.get(b"h1").is_none());
        assert!(cache.young.len() + cache.old.len() <= 2 * GENERATION_RECORDS);
    }

    #[test]
    fn writes_replace_and_delete_in_both_generations() {
        let mut cache = RecordCache::default();
        cache.keep_read(b"h0", &Bytes::from_static(b"old"));
        cache.old = std::mem::take(&mut cache.young);
        cache.take_writes(&Writes::from([(key(0), Some(Bytes::from_static(b"new")))]));
        assert_eq!(cache.get(b"h0"), Some(Bytes::from_static(b"new")));
        cache.old = std::mem::take(&mut cache.young);
        cache.take_writes(&Writes::from([(key(0), None)]));
        assert_eq!(cache.get(b"h0"), None);
        cache.keep_read(b"m0", &Bytes::from_static(b"a message"));
        assert_eq!(cache.get(b"m0"), None, "messages are not kept");
    }
}
