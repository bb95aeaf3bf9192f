//! The rules of a server: on disk, and in memory for whoever tells the hubs.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;
use tidings_hub::Apps;
use tidings_hub::bans::Bans;
use tidings_store::records::{Expect, RecordError, RecordWrite, Records, Table};
use tidings_wire::names::AppId;

use super::BanRecord;
use crate::admin::BookError;

/// Most rules of an app that name an address: each login is compared with all of them.
pub(crate) const ADDRESSES_MAX: usize = 1_000;

/// The record of the table of the node that has the next id.
const NEXT: &str = "ban-next";

/// The rules by app and id.
type Rules = BTreeMap<AppId, BTreeMap<u64, BanRecord>>;

/// All ban rules of the server: in memory to be asked, in the store to last.
#[derive(Debug)]
pub struct BanBook {
    records: Records,
    rules: RwLock<Rules>,
    /// Held while rules are changed; the next id.
    next: Mutex<u64>,
}

impl BanBook {
    /// Reads the rules of a store. Waits for it.
    ///
    /// # Errors
    /// The store cannot be read, or holds what is no rule.
    pub fn open(records: Records) -> Result<Self, BookError> {
        let mut rules = Rules::new();
        let mut after = None;
        loop {
            let page = records.scan(Table::Bans, "", after, 1_000).wait()?;
            for (key, value) in page.records {
                let key = String::from_utf8_lossy(&key).into_owned();
                let damaged = |why: String| BookError::Damaged(key.clone(), why);
                let app = key.split('/').next().unwrap_or_default();
                let app = AppId::parse(app).map_err(|error| damaged(error.to_string()))?;
                let rule: BanRecord =
                    serde_json::from_slice(&value).map_err(|error| damaged(error.to_string()))?;
                rules.entry(app).or_default().insert(rule.id, rule);
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let next = records.get(Table::Node, NEXT).wait()?;
        let next = next.and_then(|next| String::from_utf8_lossy(&next).parse().ok());
        Ok(Self {
            records,
            rules: RwLock::new(rules),
            next: Mutex::new(next.unwrap_or(1)),
        })
    }

    /// Rules of an app with an id above `after`, the oldest first; those that have ended are left
    /// out. Returns whether there are more.
    pub fn list(
        &self,
        app: &AppId,
        after: u64,
        limit: usize,
        now_ms: u64,
    ) -> (Vec<BanRecord>, bool) {
        let rules = self.rules();
        let of_app = rules.get(app).into_iter();
        let after = (std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded);
        let mut found = of_app
            .flat_map(|rules| rules.range(after))
            .map(|(_, rule)| rule)
            .filter(|rule| rule.is_in_force(now_ms));
        let list = found.by_ref().take(limit).cloned().collect();
        (list, found.next().is_some())
    }

    /// A rule of an app that is in force.
    pub fn find(&self, app: &AppId, id: u64, now_ms: u64) -> Option<BanRecord> {
        let rules = self.rules();
        let rule = rules.get(app)?.get(&id)?;
        rule.is_in_force(now_ms).then(|| rule.clone())
    }

    /// Adds a rule; its id is chosen here. Waits for the disk.
    ///
    /// # Errors
    /// [`BookError`]
    pub fn add(
        &self,
        app: &AppId,
        mut rule: BanRecord,
        now_ms: u64,
    ) -> Result<BanRecord, BookError> {
        let mut next = self.change();
        self.forget_ended(app, now_ms)?;
        if rule.address.is_some() {
            let rules = self.rules();
            let of_app = rules.get(app).into_iter().flat_map(BTreeMap::values);
            if of_app.filter(|rule| rule.address.is_some()).count() >= ADDRESSES_MAX {
                return Err(BookError::Addresses);
            }
        }
        rule.id = *next;
        let writes = vec![
            put(Table::Bans, key(app, rule.id), bytes_of(&rule)),
            put(Table::Node, NEXT.into(), (*next + 1).to_string().into()),
        ];
        self.write(writes)?;
        *next += 1;
        self.insert(app, rule.clone());
        Ok(rule)
    }

    /// The id of something that was done once, and is not kept.
    ///
    /// # Errors
    /// [`BookError`]
    pub fn draw_id(&self) -> Result<u64, BookError> {
        let mut next = self.change();
        let id = *next;
        self.write(vec![put(
            Table::Node,
            NEXT.into(),
            (id + 1).to_string().into(),
        )])?;
        *next += 1;
        Ok(id)
    }

    /// Changes a rule. Returns it as it was and as it is.
    ///
    /// # Errors
    /// [`BookError`]
    pub fn change_one(
        &self,
        app: &AppId,
        id: u64,
        now_ms: u64,
        change: impl FnOnce(&mut BanRecord),
    ) -> Result<(BanRecord, BanRecord), BookError> {
        let _next = self.change();
        let before = self
            .find(app, id, now_ms)
            .ok_or_else(|| BookError::Unknown(id.to_string()))?;
        let mut rule = before.clone();
        change(&mut rule);
        rule.id = id;
        rule.changed_ms = now_ms;
        self.write(vec![put(Table::Bans, key(app, id), bytes_of(&rule))])?;
        self.insert(app, rule.clone());
        Ok((before, rule))
    }

    /// Takes a rule back. Returns what it was.
    ///
    /// # Errors
    /// [`BookError`]
    pub fn remove(&self, app: &AppId, id: u64, now_ms: u64) -> Result<BanRecord, BookError> {
        let _next = self.change();
        let rule = self
            .find(app, id, now_ms)
            .ok_or_else(|| BookError::Unknown(id.to_string()))?;
        self.delete(app, id)?;
        Ok(rule)
    }

    /// Gives the apps their rules, and takes those from them that they had.
    pub fn apply(&self, apps: &mut Apps) {
        for app in apps.listed.values_mut() {
            app.bans = Bans::default();
        }
        for (app, rules) in self.rules().iter() {
            // Where every app id is an app, one that has rules is listed, without a certificate.
            let listed = if apps.accept_any {
                Some(apps.listed.entry(app.clone()).or_default())
            } else {
                apps.listed.get_mut(app)
            };
            if let Some(listed) = listed {
                let rules = rules.values().filter_map(BanRecord::rule);
                listed.bans = rules.collect();
            }
        }
    }

    fn rules(&self) -> std::sync::RwLockReadGuard<'_, Rules> {
        self.rules.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(&self, app: &AppId, rule: BanRecord) {
        let mut rules = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        rules.entry(app.clone()).or_default().insert(rule.id, rule);
    }

    fn change(&self) -> MutexGuard<'_, u64> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, writes: Vec<RecordWrite>) -> Result<(), RecordError> {
        // Nothing is expected, so nothing conflicts.
        self.records.write(writes).wait().map(drop)
    }

    fn delete(&self, app: &AppId, id: u64) -> Result<(), RecordError> {
        self.records.delete(Table::Bans, key(app, id)).wait()?;
        let mut rules = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_app) = rules.get_mut(app) {
            of_app.remove(&id);
            if of_app.is_empty() {
                rules.remove(app);
            }
        }
        Ok(())
    }

    /// Makes room: rules that have ended are of no use.
    fn forget_ended(&self, app: &AppId, now_ms: u64) -> Result<(), RecordError> {
        let ended: Vec<u64> = {
            let rules = self.rules();
            let of_app = rules.get(app).into_iter().flat_map(BTreeMap::values);
            let ended = of_app.filter(|rule| !rule.is_in_force(now_ms));
            ended.map(|rule| rule.id).collect()
        };
        ended.into_iter().try_for_each(|id| self.delete(app, id))
    }
}

/// An app's rules are bounded for each app by what stands before the slash.
fn key(app: &AppId, id: u64) -> Bytes {
    format!("{}/{id:020}", app.as_str()).into()
}

fn put(table: Table, key: Bytes, value: Bytes) -> RecordWrite {
    RecordWrite {
        table,
        key,
        expect: Expect::Any,
        value: Some(value),
    }
}

fn bytes_of(rule: &BanRecord) -> Bytes {
    // A rule has no map with keys that are no text.
    serde_json::to_vec(rule).unwrap_or_default().into()
}
