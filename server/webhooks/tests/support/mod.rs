//! A server around the webhooks: records and events in memory, a clock that the test moves, and
//! targets that behave as told.
#![allow(dead_code)]

pub(crate) mod target;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tidings_webhooks::{
    Change, Clock, Event, EventSource, Fault, GAP, Later, Moderation, NamePermit, NewSubscription,
    OnRules, Records, Resolver, Rules, Settings, Sources, Table, Webhooks,
};
use tokio::sync::Notify;

pub(crate) const START_MS: u64 = 1_700_000_000_000;

/// The longest that a test waits for something.
const LIMIT: Duration = Duration::from_secs(20);

/// Waits until `found` finds something.
pub(crate) async fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let begun = std::time::Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(begun.elapsed() < LIMIT, "waited for: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub(crate) async fn until_true(what: &str, mut is: impl FnMut() -> bool) {
    until(what, || is().then_some(())).await;
}

#[derive(Default)]
pub(crate) struct MemoryRecords {
    rows: Mutex<BTreeMap<(Table, String), Vec<u8>>>,
    pub(crate) is_broken: AtomicBool,
    pub(crate) writes: AtomicU64,
}

impl MemoryRecords {
    pub(crate) fn rows(&self) -> usize {
        self.rows.lock().expect("the lock").len()
    }

    fn check(&self) -> Result<(), Fault> {
        if self.is_broken.load(Ordering::SeqCst) {
            return Err(Fault("the disk is full".to_owned()));
        }
        Ok(())
    }
}

impl Records for MemoryRecords {
    fn get(&self, table: Table, key: String) -> Later<'_, Result<Option<Vec<u8>>, Fault>> {
        Box::pin(async move {
            self.check()?;
            Ok(self
                .rows
                .lock()
                .expect("the lock")
                .get(&(table, key))
                .cloned())
        })
    }

    fn write(&self, changes: Vec<Change>) -> Later<'_, Result<(), Fault>> {
        Box::pin(async move {
            self.check()?;
            self.writes.fetch_add(1, Ordering::SeqCst);
            let mut rows = self.rows.lock().expect("the lock");
            for change in changes {
                let key = (change.table, change.key);
                match change.value {
                    Some(value) => rows.insert(key, value),
                    None => rows.remove(&key),
                };
            }
            Ok(())
        })
    }

    fn scan(
        &self,
        table: Table,
        prefix: String,
        after: Option<String>,
        limit: usize,
    ) -> Later<'_, Result<Vec<(String, Vec<u8>)>, Fault>> {
        Box::pin(async move {
            self.check()?;
            let rows = self.rows.lock().expect("the lock");
            let found = rows.iter().filter(|((of, key), _)| {
                *of == table
                    && key.starts_with(&prefix)
                    && after.as_ref().is_none_or(|after| key > after)
            });
            let found = found.map(|((_, key), row)| (key.clone(), row.clone()));
            Ok(found.take(limit).collect())
        })
    }
}

#[derive(Default)]
pub(crate) struct MemoryEvents {
    streams: Mutex<HashMap<String, Vec<Event>>>,
    changed: Notify,
    pub(crate) is_broken: AtomicBool,
}

impl MemoryEvents {
    /// Adds events of a kind, about users with these names.
    pub(crate) fn happen(&self, app: &str, kind: &str, users: &[&str], at_ms: u64) {
        let mut streams = self.streams.lock().expect("the lock");
        let stream = streams.entry(app.to_owned()).or_default();
        for user in users {
            let number = stream.last().map_or(0, |event| event.number) + 1;
            stream.push(Event {
                number,
                place: place(number),
                at_ms,
                kind: kind.to_owned(),
                user: Some((*user).to_owned()),
                channel: None,
                order: number,
                detail: Map::new(),
            });
        }
        drop(streams);
        self.changed.notify_waiters();
    }

    /// Drops the events up to a number.
    pub(crate) fn forget(&self, app: &str, up_to: u64) {
        let mut streams = self.streams.lock().expect("the lock");
        let stream = streams.entry(app.to_owned()).or_default();
        stream.retain(|event| event.number > up_to);
    }
}

impl EventSource for MemoryEvents {
    fn read(
        &self,
        app: String,
        after: String,
        limit: usize,
    ) -> Later<'_, Result<Vec<Event>, Fault>> {
        Box::pin(async move {
            if self.is_broken.load(Ordering::SeqCst) {
                return Err(Fault("the disk is full".to_owned()));
            }
            let streams = self.streams.lock().expect("the lock");
            let stream = streams.get(&app).cloned().unwrap_or_default();
            let after = number(&after);
            let mut events: Vec<Event> = stream
                .into_iter()
                .filter(|event| event.number > after)
                .take(limit)
                .collect();
            let first = events.first().map_or(after + 1, |event| event.number);
            if first > after + 1 {
                let mut gap = Event {
                    number: first - 1,
                    place: place(first - 1),
                    kind: GAP.to_owned(),
                    user: None,
                    ..events[0].clone()
                };
                gap.detail
                    .insert("missing".to_owned(), json!(first - after - 1));
                events.insert(0, gap);
            }
            Ok(events)
        })
    }

    fn newest(&self, app: String) -> Later<'_, Result<String, Fault>> {
        Box::pin(async move {
            let streams = self.streams.lock().expect("the lock");
            let last = streams.get(&app).and_then(|stream| stream.last());
            Ok(place(last.map_or(0, |event| event.number)))
        })
    }

    fn wait(&self, app: String, after: String) -> Later<'_, ()> {
        Box::pin(async move {
            // Asked for before the look, so that nothing is missed between the two.
            let changed = self.changed.notified();
            let newest = self.newest(app).await;
            if newest.is_ok_and(|newest| number(&newest) <= number(&after)) {
                changed.await;
            }
        })
    }
}

fn place(number: u64) -> String {
    format!("behind-{number}")
}

fn number(place: &str) -> u64 {
    let number = place.strip_prefix("behind-");
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// A clock that stands still until the test moves it.
pub(crate) struct TestClock {
    now_ms: AtomicU64,
    moved: Notify,
    sleepers: Mutex<BTreeMap<u64, usize>>,
}

impl Default for TestClock {
    fn default() -> Self {
        Self {
            now_ms: AtomicU64::new(START_MS),
            moved: Notify::new(),
            sleepers: Mutex::default(),
        }
    }
}

impl TestClock {
    pub(crate) fn advance(&self, ms: u64) {
        self.now_ms.fetch_add(ms, Ordering::SeqCst);
        self.moved.notify_waiters();
    }

    /// When somebody wakes next.
    pub(crate) fn next(&self) -> Option<u64> {
        self.sleepers
            .lock()
            .expect("the lock")
            .keys()
            .next()
            .copied()
    }

    /// Waits until somebody sleeps, and moves to when they wake. Returns how far that was.
    pub(crate) async fn skip(&self) -> u64 {
        let next = until("a sleeper", || self.next().filter(|at| *at > self.now_ms())).await;
        let by = next.saturating_sub(self.now_ms());
        self.advance(by);
        by
    }
}

struct Sleeper<'a>(&'a TestClock, u64);

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        let mut sleepers = self.0.sleepers.lock().expect("the lock");
        let count = sleepers.entry(self.1).or_default();
        *count -= 1;
        if *count == 0 {
            sleepers.remove(&self.1);
        }
    }
}

impl Clock for TestClock {
    fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::SeqCst)
    }

    fn sleep_until(&self, at_ms: u64) -> Later<'_, ()> {
        Box::pin(async move {
            *self
                .sleepers
                .lock()
                .expect("the lock")
                .entry(at_ms)
                .or_default() += 1;
            let _sleeper = Sleeper(self, at_ms);
            loop {
                let moved = self.moved.notified();
                if self.now_ms() >= at_ms {
                    return;
                }
                moved.await;
            }
        })
    }
}

/// A resolver with answers of its own; a name without one never gets any.
#[derive(Default)]
pub(crate) struct TestResolver {
    pub(crate) names: Mutex<HashMap<String, Vec<IpAddr>>>,
    pub(crate) asked: AtomicU64,
    /// Permits of questions that never end.
    held: Mutex<Vec<NamePermit>>,
}

impl TestResolver {
    pub(crate) fn set(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses
            .iter()
            .map(|text| text.parse().expect("an address"));
        let mut names = self.names.lock().expect("the lock");
        names.insert(name.to_owned(), addresses.collect());
    }
}

impl Resolver for TestResolver {
    fn resolve(&self, host: String, permit: NamePermit) -> Later<'_, Result<Vec<IpAddr>, String>> {
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let found = self.names.lock().expect("the lock").get(&host).cloned();
            match found {
                Some(addresses) => Ok(addresses),
                None => {
                    self.held.lock().expect("the lock").push(permit);
                    std::future::pending().await
                }
            }
        })
    }
}

/// What webhooks run in; it outlives them, as the disk does.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) records: Arc<MemoryRecords>,
    pub(crate) events: Arc<MemoryEvents>,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) resolver: Arc<TestResolver>,
    pub(crate) settings: Settings,
    /// The rules of moderation, as they were told last.
    pub(crate) told: Arc<Mutex<Vec<Moderation>>>,
    rules: OnRules,
}

impl World {
    /// Loopback may be called, and a target has 500 ms.
    pub(crate) fn new() -> Self {
        let told: Arc<Mutex<Vec<Moderation>>> = Arc::default();
        let to = told.clone();
        Self {
            records: Arc::default(),
            events: Arc::default(),
            clock: Arc::default(),
            resolver: Arc::default(),
            rules: Arc::new(move |rules| *to.lock().expect("the lock") = rules),
            told,
            settings: Settings {
                rules: Rules {
                    allowed: vec!["127.0.0.0/8".parse().expect("a range")],
                    ..Rules::default()
                },
                timeout: Duration::from_millis(500),
                app_rate_max: 0,
                ..Settings::default()
            },
        }
    }

    pub(crate) async fn start(&self) -> Webhooks {
        let sources = Sources {
            records: self.records.clone(),
            events: self.events.clone(),
            clock: self.clock.clone(),
            resolver: self.resolver.clone(),
            on_rules: self.rules.clone(),
        };
        Webhooks::start(self.settings.clone(), sources)
            .await
            .expect("webhooks start")
    }

    pub(crate) fn happen(&self, app: &str, kind: &str, users: &[&str]) {
        self.events.happen(app, kind, users, self.clock.now_ms());
    }
}

pub(crate) fn subscription(url: &str, events: &[&str]) -> NewSubscription {
    serde_json::from_value(json!({ "url": url, "events": events })).expect("a subscription")
}

pub(crate) fn change(json: Value) -> tidings_webhooks::SubscriptionChange {
    serde_json::from_value(json).expect("a change")
}
