//! The keys of a server: on disk as hashes, in memory for every call.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tidings_store::records::{RecordError, Records, Table};
use tidings_wire::names::AppId;

use super::BookError;
use super::keys::{Key, KeyError, KeyText, NewKey};
use crate::keys::{KeyEntry, Keys, Role};

/// That a key was used is written at most so often, in milliseconds.
const USED_EVERY_MS: u64 = 60_000;

/// How long a revoked or expired key is still listed, in milliseconds: 30 days.
const ENDED_KEPT_MS: u64 = 30 * 86_400_000;

/// The record of the table of the node that says whether the first key was ever made.
const FIRST: &str = "api-key-made";

/// What the records begin with that say when a key was last used. They are apart from the keys, so
/// that noting a use takes no change of a key back.
const USED: &str = "used/";

/// Default time for which the older secrets stay good in a rotation, in milliseconds: a day.
pub const OVERLAP_MS: u64 = 86_400_000;

/// Longest such time, in milliseconds: 30 days.
pub const OVERLAP_MS_MAX: u64 = 30 * 86_400_000;

/// All API keys of the server: in memory to be checked, in the store to last.
#[derive(Debug)]
pub struct KeyBook {
    records: Records,
    keys: RwLock<HashMap<String, Arc<Kept>>>,
    /// Held while keys are changed: changes are made one after the other.
    changing: Mutex<()>,
}

#[derive(Debug)]
struct Kept {
    key: Key,
    entry: Arc<KeyEntry>,
    /// Unix milliseconds; 0 = never.
    used_ms: AtomicU64,
}

impl KeyBook {
    /// Reads the keys of a store. Waits for it.
    ///
    /// # Errors
    /// The store cannot be read, or holds what is no key.
    pub fn open(records: Records) -> Result<Self, BookError> {
        let mut keys = HashMap::new();
        let mut used = HashMap::new();
        let mut after = None;
        loop {
            let page = records.scan(Table::Keys, "", after, 1_000).wait()?;
            for (id, value) in page.records {
                let id = String::from_utf8_lossy(&id).into_owned();
                if let Some(id) = id.strip_prefix(USED) {
                    let used_ms = String::from_utf8_lossy(&value).parse();
                    used.insert(id.to_owned(), used_ms.unwrap_or(0_u64));
                    continue;
                }
                let key: Key = serde_json::from_slice(&value)
                    .map_err(|error| BookError::Damaged(id.clone(), error.to_string()))?;
                keys.insert(id, key);
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let keep = |(id, mut key): (String, Key)| {
            key.used_ms = used.get(&id).copied();
            (id, Arc::new(Kept::new(key)))
        };
        let keys = keys.into_iter().map(keep).collect();
        Ok(Self {
            records,
            keys: RwLock::new(keys),
            changing: Mutex::new(()),
        })
    }

    /// The key that a caller has shown, if it is in force.
    pub fn admit(&self, id: &str, secret: &str, now_ms: u64) -> Option<Arc<KeyEntry>> {
        let kept = {
            let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
            keys.get(id).cloned()
        }?;
        if !kept.key.admits(secret, now_ms) {
            return None;
        }
        let before_ms = kept.used_ms.load(Ordering::Relaxed);
        let is_due = now_ms.saturating_sub(before_ms) >= USED_EVERY_MS;
        let is_first = || {
            let used_ms = &kept.used_ms;
            used_ms
                .compare_exchange(before_ms, now_ms, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        };
        if is_due && is_first() {
            // Nobody waits for it: a crash may forget the last minute.
            let used = now_ms.to_string();
            let call = self.records.put(Table::Keys, used_key(id), used);
            drop(call);
        }
        Some(kept.entry.clone())
    }

    /// All keys, the oldest first, as they are now. Those that ended long ago are left out.
    pub fn list(&self, now_ms: u64) -> Vec<Key> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let mut list: Vec<Key> = keys.values().map(|kept| kept.current()).collect();
        list.retain(|key| !is_forgotten(key, now_ms));
        list.sort_by(|left, right| (left.made_ms, &left.id).cmp(&(right.made_ms, &right.id)));
        list
    }

    /// One key, as it is now.
    pub fn find(&self, id: &str) -> Option<Key> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.get(id).map(|kept| kept.current())
    }

    /// Makes a key. Waits for the disk.
    ///
    /// # Errors
    /// [`BookError`]
    pub fn create(&self, wish: NewKey, now_ms: u64) -> Result<(Key, KeyText), BookError> {
        let _changing = self.change();
        self.forget_ended(now_ms)?;
        let count = self.list(now_ms);
        let count = count.iter().filter(|key| key.is_in_force(now_ms)).count();
        if count >= super::keys::KEYS_MAX {
            return Err(KeyError::Keys.into());
        }
        let (key, text) = Key::make(wish, now_ms)?;
        self.keep(&key)?;
        self.records
            .put(Table::Node, FIRST, key.id.clone())
            .wait()?;
        Ok((key, text))
    }

    /// Makes the first key, with the role `admin`, unless this store ever had a key.
    ///
    /// # Errors
    /// [`BookError`]
    pub fn create_first(&self, now_ms: u64) -> Result<Option<(Key, KeyText)>, BookError> {
        if self.records.get(Table::Node, FIRST).wait()?.is_some() {
            return Ok(None);
        }
        let wish = NewKey {
            name: "first key".into(),
            role: Role::Admin,
            apps: Vec::new(),
            expires_ms: None,
        };
        self.create(wish, now_ms).map(Some)
    }

    /// Adds a secret to a key; the older ones end after a time.
    ///
    /// # Errors
    /// [`BookError`]
    pub fn rotate(
        &self,
        id: &str,
        overlap_ms: u64,
        now_ms: u64,
    ) -> Result<(Key, KeyText), BookError> {
        let _changing = self.change();
        let mut key = self.find(id).ok_or_else(|| BookError::Unknown(id.into()))?;
        let text = key.rotate(overlap_ms.min(OVERLAP_MS_MAX), now_ms)?;
        self.keep(&key)?;
        Ok((key, text))
    }

    /// Revokes a key: it is refused from now on. One that is revoked already stays as it is.
    ///
    /// # Errors
    /// [`BookError`]
    pub fn revoke(&self, id: &str, now_ms: u64) -> Result<Key, BookError> {
        let _changing = self.change();
        let mut key = self.find(id).ok_or_else(|| BookError::Unknown(id.into()))?;
        if key.revoked_ms.is_none() {
            key.revoked_ms = Some(now_ms);
            self.keep(&key)?;
        }
        Ok(key)
    }

    fn change(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, key: &Key) -> Result<(), RecordError> {
        let call = self.records.put(Table::Keys, key.id.clone(), bytes_of(key));
        call.wait()?;
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        keys.insert(key.id.clone(), Arc::new(Kept::new(key.clone())));
        Ok(())
    }

    fn forget_ended(&self, now_ms: u64) -> Result<(), RecordError> {
        let ended: Vec<String> = {
            let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
            let ended = keys.values().filter(|kept| is_forgotten(&kept.key, now_ms));
            ended.map(|kept| kept.key.id.clone()).collect()
        };
        for id in ended {
            self.records.delete(Table::Keys, used_key(&id)).wait()?;
            self.records.delete(Table::Keys, id.clone()).wait()?;
            let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
            keys.remove(&id);
        }
        Ok(())
    }
}

impl Keys for KeyBook {
    fn admit(&self, id: &str, secret: &str) -> Option<Arc<KeyEntry>> {
        self.admit(id, secret, crate::unix_ms())
    }
}

impl Kept {
    fn new(key: Key) -> Self {
        let apps: Option<std::collections::BTreeSet<AppId>> = (!key.apps.is_empty()).then(|| {
            key.apps
                .iter()
                .filter_map(|app| AppId::parse(app).ok())
                .collect()
        });
        Self {
            entry: Arc::new(KeyEntry {
                id: key.id.as_str().into(),
                role: key.role,
                apps,
            }),
            used_ms: AtomicU64::new(key.used_ms.unwrap_or(0)),
            key,
        }
    }

    fn current(&self) -> Key {
        let used_ms = self.used_ms.load(Ordering::Relaxed);
        Key {
            used_ms: Some(used_ms).filter(|ms| *ms > 0),
            ..self.key.clone()
        }
    }
}

fn used_key(id: &str) -> String {
    format!("{USED}{id}")
}

fn is_forgotten(key: &Key, now_ms: u64) -> bool {
    let ended_ms = key.revoked_ms.or(key.expires_ms);
    ended_ms.is_some_and(|ended_ms| now_ms.saturating_sub(ended_ms) > ENDED_KEPT_MS)
}

fn bytes_of(key: &Key) -> bytes::Bytes {
    // A key has no map with keys that are no text.
    serde_json::to_vec(key).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use tidings_store::{Committer, MemoryEngine};

    use super::*;

    fn book() -> (Committer, KeyBook) {
        let committer = Committer::open(MemoryEngine::new(), |_, _| ()).expect("a store");
        let book = KeyBook::open(Records::new(committer.submitter())).expect("no keys");
        (committer, book)
    }

    fn wish(role: Role) -> NewKey {
        NewKey {
            name: "backend".into(),
            role,
            apps: Vec::new(),
            expires_ms: None,
        }
    }

    #[test]
    fn the_first_key_is_made_once_in_the_life_of_a_store() {
        let (_committer, book) = book();
        let (key, text) = book
            .create_first(1_000)
            .expect("a store")
            .expect("the first");
        assert_eq!(key.role, Role::Admin);
        assert!(book.admit(&key.id, text.secret(), 2_000).is_some());
        assert!(book.create_first(2_000).expect("a store").is_none());
        book.revoke(&key.id, 3_000).expect("revoked");
        assert!(book.admit(&key.id, text.secret(), 3_000).is_none());
        assert!(
            book.create_first(4_000).expect("a store").is_none(),
            "never again"
        );
    }

    #[test]
    fn keys_outlive_the_process_and_what_was_changed_stays_changed() {
        let (committer, book) = book();
        let (kept, text) = book.create(wish(Role::Admin), 1_000).expect("made");
        let (gone, _) = book.create(wish(Role::Read), 1_001).expect("made");
        // Noted as used after it was read, so that the note cannot bring it back.
        assert!(book.admit(&kept.id, text.secret(), 70_000).is_some());
        let (_, new) = book.rotate(&kept.id, 1_000, 80_000).expect("rotated");
        book.revoke(&gone.id, 90_000).expect("revoked");
        let again = KeyBook::open(Records::new(committer.submitter())).expect("readable");
        assert_eq!(again.list(90_000), book.list(90_000));
        let kept = again.find(&kept.id).expect("there");
        assert_eq!(kept.used_ms, Some(70_000));
        assert!(again.admit(&kept.id, text.secret(), 80_999).is_some());
        assert!(again.admit(&kept.id, text.secret(), 81_000).is_none());
        assert!(again.admit(&kept.id, new.secret(), 81_000).is_some());
        assert!(!again.find(&gone.id).expect("listed").is_in_force(90_000));
        assert!(
            again
                .list(90_001 + ENDED_KEPT_MS)
                .iter()
                .all(|key| key.id != gone.id)
        );
    }

    #[test]
    fn strangers_are_not_admitted() {
        let (_committer, book) = book();
        let (key, text) = book.create(wish(Role::Admin), 1_000).expect("made");
        assert!(book.admit("nobody", text.secret(), 2_000).is_none());
        assert!(book.admit(&key.id, "wrong", 2_000).is_none());
        assert!(matches!(
            book.revoke("nobody", 2_000),
            Err(BookError::Unknown(_))
        ));
        assert!(matches!(
            book.rotate("nobody", 1, 2_000),
            Err(BookError::Unknown(_))
        ));
    }
}
