//! Webhooks as part of a server: their thread, and their way to the store.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Map, Value, json};
use tidings_store::Submitter;
use tidings_store::events::{
    self, After, Cursor, EventError, EventKind, EventKinds, EventPage, Events, Watch,
};
use tidings_store::records::{self, Expect, RecordError, RecordWrite};
use tidings_webhooks::{
    Change, Event, EventSource, Fault, Later, OnRules, Records, Row, Settings, Sources,
    SystemResolver, Table, WallClock, Webhooks,
};
use tidings_wire::hex;
use tidings_wire::names::AppId;
use tokio::runtime;
use tokio::sync::oneshot;

use crate::error::StartError;

/// Settings of webhooks.
#[derive(Debug, Clone, Default)]
pub struct WebhooksConfig {
    /// What may be called, how fast, and who is trusted.
    pub settings: Settings,
}

impl WebhooksConfig {
    /// Trusts the authorities in a PEM file too.
    ///
    /// # Errors
    /// The file cannot be read, or holds no certificate, in words.
    pub fn read_authorities(&mut self, path: &Path) -> Result<(), String> {
        let read = CertificateDer::pem_file_iter(path).map_err(|error| error.to_string())?;
        let roots: Result<Vec<_>, _> = read.collect();
        let roots = roots.map_err(|error| error.to_string())?;
        if roots.is_empty() {
            return Err("it holds no certificate in PEM form".to_owned());
        }
        self.settings.roots.extend(roots);
        Ok(())
    }
}

/// Threads for names that are resolved; the crate asks for no more at once.
const RESOLVING_MAX: usize = 64;
/// A thread that has resolved a name waits this long for the next one.
const RESOLVING_KEEP: Duration = Duration::from_secs(10);
/// Apps whose newest events are kept in memory before those that nobody waits for are given up.
const WATCHED: usize = 64;

/// The running webhooks.
#[derive(Debug)]
pub(crate) struct WebhooksThread {
    webhooks: Webhooks,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl WebhooksThread {
    pub(crate) fn webhooks(&self) -> Webhooks {
        self.webhooks.clone()
    }

    /// Waits a little for calls under way, and writes down where each subscription is.
    pub(crate) fn stop(self) {
        // An error: the thread has ended already.
        let _ = self.stop.send(());
        if self.thread.join().is_err() {
            tracing::error!("the thread of the webhooks panicked");
        }
    }
}

/// Starts the thread; when this returns, every subscription has gone on where it was.
pub(crate) fn start(
    config: WebhooksConfig,
    store: Submitter,
    on_rules: OnRules,
) -> Result<WebhooksThread, StartError> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(RESOLVING_MAX)
        .thread_keep_alive(RESOLVING_KEEP)
        .build()
        .map_err(StartError::system("start the thread of the webhooks"))?;
    let sources = Sources {
        records: Arc::new(StoreRecords(records::Records::new(store.clone()))),
        events: Arc::new(StoreEvents {
            events: Events::new(store),
            watches: Mutex::default(),
        }),
        clock: Arc::new(WallClock),
        resolver: Arc::new(SystemResolver),
        on_rules,
    };
    let webhooks = runtime
        .block_on(Webhooks::start(config.settings, sources))
        .map_err(StartError::Webhooks)?;
    let (stop, stopped) = oneshot::channel();
    let running = webhooks.clone();
    let thread = Builder::new()
        .name("webhooks".into())
        .spawn(move || {
            runtime.block_on(async {
                // An error: whoever could stop it is gone, which stops it too.
                let _ = stopped.await;
                running.close().await;
            });
            // Threads that still resolve a name are not waited for.
            runtime.shutdown_background();
        })
        .map_err(StartError::system("start the thread of the webhooks"))?;
    Ok(WebhooksThread {
        webhooks,
        stop,
        thread,
    })
}

/// The store's tables.
struct StoreRecords(records::Records);

fn table(table: Table) -> records::Table {
    match table {
        Table::Webhooks => records::Table::Webhooks,
        Table::Cursors => records::Table::Cursors,
        Table::Deliveries => records::Table::Deliveries,
    }
}

fn record_fault(error: RecordError) -> Fault {
    Fault(error.to_string())
}

impl Records for StoreRecords {
    fn get(&self, of: Table, key: String) -> Later<'_, Result<Option<Vec<u8>>, Fault>> {
        Box::pin(async move {
            let found = self.0.get(table(of), key).await.map_err(record_fault)?;
            Ok(found.map(Vec::from))
        })
    }

    fn write(&self, changes: Vec<Change>) -> Later<'_, Result<(), Fault>> {
        let write = |change: Change| RecordWrite {
            table: table(change.table),
            key: change.key.into(),
            expect: Expect::Any,
            value: change.value.map(Bytes::from),
        };
        let writes = changes.into_iter().map(write).collect();
        Box::pin(async move {
            let written = self.0.write(writes).await.map_err(record_fault)?;
            written.map_err(|conflict| Fault(format!("{conflict:?}")))
        })
    }

    fn scan(
        &self,
        of: Table,
        prefix: String,
        after: Option<String>,
        limit: usize,
    ) -> Later<'_, Result<Vec<Row>, Fault>> {
        Box::pin(async move {
            let mut rows = Vec::new();
            let mut after = after.map(Bytes::from);
            // A page of large records is shorter than was asked for.
            while rows.len() < limit {
                let left = limit - rows.len();
                let page = self.0.scan(table(of), prefix.clone(), after, left);
                let page = page.await.map_err(record_fault)?;
                rows.extend(page.records.into_iter().map(|(key, value)| {
                    (String::from_utf8_lossy(&key).into_owned(), value.to_vec())
                }));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            Ok(rows)
        })
    }
}

/// The store's streams.
struct StoreEvents {
    events: Events,
    /// Keeps the newest events of these apps in memory. Bound: apps with webhooks, and at most
    /// [`WATCHED`] without.
    watches: Mutex<HashMap<AppId, Arc<Watch>>>,
}

impl StoreEvents {
    fn watch(&self, app: &AppId) -> Arc<Watch> {
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        if watches.len() >= WATCHED && !watches.contains_key(app) {
            watches.retain(|_, watch| Arc::strong_count(watch) > 1);
        }
        let made = || Arc::new(self.events.watch(app));
        watches.entry(app.clone()).or_insert_with(made).clone()
    }

    async fn page(&self, app: &AppId, after: &str, limit: usize) -> Result<EventPage, EventError> {
        let place = after.parse().map_or(After::Start, After::Cursor);
        let read = self.events.read(app, place, limit, EventKinds::ALL).await;
        match read {
            // A place of another store: all that is there is told, and that it is not all.
            Err(EventError::Foreign { .. } | EventError::Newer { .. }) => {
                let kinds = EventKinds::ALL;
                self.events.read(app, After::Start, limit, kinds).await
            }
            read => read,
        }
    }
}

fn app_id(app: &str) -> Result<AppId, Fault> {
    AppId::parse(app).map_err(|error| Fault(format!("app {app:?}: {error}")))
}

fn event_fault(error: EventError) -> Fault {
    Fault(error.to_string())
}

impl EventSource for StoreEvents {
    fn read(
        &self,
        app: String,
        after: String,
        limit: usize,
    ) -> Later<'_, Result<Vec<Event>, Fault>> {
        Box::pin(async move {
            let app = app_id(&app)?;
            let page = self.page(&app, &after, limit).await.map_err(event_fault)?;
            Ok(page
                .events
                .iter()
                .map(|event| translate(&page, event))
                .collect())
        })
    }

    fn newest(&self, app: String) -> Later<'_, Result<String, Fault>> {
        Box::pin(async move {
            let app = app_id(&app)?;
            let read = self.events.read(&app, After::Newest, 1, EventKinds::ALL);
            Ok(read.await.map_err(event_fault)?.next.to_string())
        })
    }

    fn wait(&self, app: String, after: String) -> Later<'_, ()> {
        Box::pin(async move {
            let place: Option<Cursor> = after.parse().ok();
            if let (Ok(app), Some(place)) = (app_id(&app), place)
                && self.watch(&app).newer_than(place).await.is_ok()
            {
                return;
            }
            // The store does not answer: it is asked again, but not at once.
            tokio::time::sleep(Duration::from_secs(1)).await;
        })
    }
}

fn translate(page: &EventPage, event: &events::Event) -> Event {
    let mut detail = Map::new();
    let mut tell = |name: &str, value: Value| {
        detail.insert(name.to_owned(), value);
    };
    if let Some(peer) = &event.peer {
        tell("peer", json!(peer.as_str()));
    }
    if let Some(session) = &event.session {
        tell("session", json!(hex(&session.0)));
    }
    if event.login_ms > 0 {
        tell("login_ms", json!(event.login_ms));
    }
    if event.user_order > 0 && event.channel_order > 0 {
        tell("user_seq", json!(event.user_order));
    }
    if let Some(id) = &event.id {
        tell("id", json!(hex(id)));
    }
    if event.bytes > 0 {
        tell("bytes", json!(event.bytes));
    }
    if event.kind == EventKind::Gap {
        tell("missing", json!(event.missing));
    }
    if !event.detail.is_empty() {
        let name = match event.kind {
            EventKind::Banned | EventKind::Unbanned => "note",
            EventKind::Gap => "cause",
            _ => "reason",
        };
        tell(name, json!(event.detail));
    }
    let order = match event.channel_order {
        0 => event.user_order,
        order => order,
    };
    Event {
        number: event.number,
        place: page.cursor_of(event).to_string(),
        at_ms: event.at_ms,
        kind: event.kind.name().to_owned(),
        user: event.user.as_ref().map(|user| user.as_str().to_owned()),
        channel: event.channel.as_ref().map(|name| name.as_str().to_owned()),
        order,
        detail,
    }
}
