//! Key sets of apps (JWKS), kept up to date for the hubs: the thread that loads them.
//!
//! A hub gets keys as part of its apps and fetches nothing. This thread loads each set when its app
//! appears, every [`REFRESH`], and sooner when a token has named a key that is not there, at most
//! once per [`REST`]. When a place fails, the keys stay as they are.
//!
//! What was fetched is kept in the store, so that after a restart nobody waits for a login server
//! that does not answer (`kept`).
//!
//! There is no thread while no app has a set. It looks at the apps every [`LOOK`].

mod fetch;
mod kept;

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use tidings_api::Api;
use tidings_hub::Apps;
use tidings_hub::jwt::{JwtLogins, KeySource, Wanted};
use tidings_token::jwt::KeySet;
use tidings_wire::names::AppId;
use tokio::task::JoinSet;

pub(crate) use self::fetch::{call, roots};
pub use self::fetch::{check_key_url, load_key_set};
use crate::http::MediaDoor;
use crate::mailbox::{Envelope, Mailbox};

/// How often a set is fetched.
const REFRESH: Duration = Duration::from_secs(300);
/// Shortest time between two loads of a set, whatever tokens ask for and whatever has failed.
const REST: Duration = Duration::from_secs(30);
/// How often apps, wishes and files are looked at: what the first login with a new key waits at
/// most.
const LOOK: Duration = Duration::from_millis(200);
/// After a load, hubs may still look at the keys before for this long: a key that is missing then
/// is not refused for good.
const SETTLE: Duration = Duration::from_secs(1);

/// The apps of a node, where they are changed: by the operator, and by new keys.
pub(crate) struct AppsPlace {
    media: Arc<MediaDoor>,
    api: Arc<Api>,
    mailboxes: Vec<Arc<Mailbox>>,
    /// Held while they are read, changed and handed out.
    changing: Mutex<()>,
}

impl AppsPlace {
    pub(crate) fn new(media: Arc<MediaDoor>, api: Arc<Api>, mailboxes: Vec<Arc<Mailbox>>) -> Self {
        Self {
            media,
            api,
            mailboxes,
            changing: Mutex::default(),
        }
    }

    /// Other apps, with the counts and the loaded keys of those before, and the rules of bans in
    /// the store. Returns them.
    pub(crate) fn replace(&self, apps: &Apps) -> Arc<Apps> {
        self.change(|before| {
            let mut apps = apps.clone();
            self.api.office().bans.apply(&mut apps);
            apps.counting_on(before)
        })
    }

    /// The same tenants, with the rules of bans that are in the store now.
    pub(crate) fn apply_bans(&self) {
        self.change(|before| {
            let mut apps = before.clone();
            self.api.office().bans.apply(&mut apps);
            apps
        });
    }

    fn change(&self, change: impl FnOnce(&Apps) -> Apps) -> Arc<Apps> {
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let apps = Arc::new(change(&self.media.apps()));
        self.media.replace_apps(apps.clone());
        self.api.replace_apps(apps.clone());
        for mailbox in &self.mailboxes {
            mailbox.post(vec![Envelope::Apps(apps.clone())]);
        }
        apps
    }

    /// Gives an app the keys of its set, unless the set has become another meanwhile.
    fn load(&self, app: &AppId, source: &KeySource, set: &KeySet) {
        let apps = self.media.apps();
        let has_them = |jwt: &JwtLogins| jwt.source() != Some(source) || jwt.loaded() == set.keys;
        if logins(&apps, app).is_none_or(has_them) {
            return;
        }
        self.change(|before| {
            let mut apps = before.clone();
            let jwt = apps.listed.get_mut(app).and_then(|app| app.jwt.as_mut());
            if let Some(jwt) = jwt.filter(|jwt| jwt.source() == Some(source)) {
                jwt.load(set.keys.clone());
            }
            apps
        });
    }
}

fn logins<'a>(apps: &'a Apps, app: &AppId) -> Option<&'a JwtLogins> {
    apps.listed.get(app)?.jwt.as_deref()
}

fn has_sets(apps: &Apps) -> bool {
    let mut listed = apps.listed.values().filter_map(|app| app.jwt.as_ref());
    listed.any(|jwt| jwt.source().is_some())
}

/// The state of an app's key set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySetReport {
    /// The app whose users have its keys.
    pub app: AppId,
    /// The file or the address.
    pub place: String,
    /// How many keys are in force.
    pub keys: usize,
    /// How long ago they were loaded, in seconds; `None` = never.
    pub loaded_ago_s: Option<u64>,
    /// Why the last attempt failed; `None` = it did not.
    pub error: Option<String>,
}

/// The state of all sets, for those who ask.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reports(Arc<Mutex<BTreeMap<AppId, KeySetReport>>>);

impl Reports {
    pub(crate) fn all(&self) -> Vec<KeySetReport> {
        let reports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reports.values().cloned().collect()
    }
}

/// The thread, once there is a set.
pub(crate) struct KeySets {
    place: Arc<AppsPlace>,
    reports: Reports,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl KeySets {
    pub(crate) fn new(place: Arc<AppsPlace>, reports: Reports) -> Self {
        Self {
            place,
            reports,
            ends: Arc::default(),
            thread: None,
        }
    }

    /// Starts the thread if there is something to do for it.
    pub(crate) fn look(&mut self, apps: &Apps) {
        if self.thread.is_some() || !has_sets(apps) {
            return;
        }
        let (place, reports) = (self.place.clone(), self.reports.clone());
        let ends = self.ends.clone();
        let started = Builder::new()
            .name("key sets".into())
            .spawn(move || run(&place, &reports, &ends));
        match started {
            Ok(thread) => self.thread = Some(thread),
            Err(error) => tracing::error!(%error, "key sets of apps cannot be loaded"),
        }
    }

    /// Ends the thread. A fetch under way is given up.
    pub(crate) fn end(self) {
        self.ends.store(true, Ordering::Release);
        if let Some(thread) = self.thread
            && thread.join().is_err()
        {
            tracing::error!("the thread of key sets panicked");
        }
    }
}

fn run(place: &Arc<AppsPlace>, reports: &Reports, ends: &AtomicBool) {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_io().enable_time().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!(%error, "key sets of apps cannot be loaded"),
    };
    runtime.block_on(async {
        let mut book = Book::default();
        let mut loads = JoinSet::new();
        while !ends.load(Ordering::Acquire) {
            let apps = place.media.apps();
            book.follow(&apps);
            for (app, source, is_first) in book.due(Instant::now()) {
                let place = place.clone();
                loads.spawn(async move {
                    let records = place.api.records();
                    if let Some(set) = kept::recall(&records, &source, is_first).await {
                        place.load(&app, &source, &set);
                    }
                    let loaded = fetch::load(&source).await;
                    let loaded = match loaded {
                        Ok((set, bytes)) => {
                            kept::keep(&records, &source, &bytes).await;
                            Ok(set)
                        }
                        Err(error) => Err(error),
                    };
                    (app, source, loaded)
                });
            }
            drop(apps);
            let done = tokio::time::timeout(LOOK, async {
                if loads.is_empty() {
                    std::future::pending().await
                } else {
                    loads.join_next().await
                }
            });
            if let Ok(Some(Ok((app, source, loaded)))) = done.await {
                if let Ok(set) = &loaded {
                    place.load(&app, &source, set);
                }
                book.note(&app, &source, loaded, Instant::now());
            }
            book.report(reports, Instant::now());
        }
    });
    // A look-up of a name cannot be ended, and is not waited for.
    runtime.shutdown_background();
}

/// What is known of each app's set.
#[derive(Default)]
struct Book(BTreeMap<AppId, Entry>);

struct Entry {
    source: KeySource,
    wanted: Wanted,
    /// When the last load began; `None` = none has.
    tried: Option<Instant>,
    is_loading: bool,
    /// When the keys in force were loaded.
    loaded: Option<Instant>,
    keys: usize,
    error: Option<String>,
    stamp: Option<Stamp>,
}

/// Tells two contents of a file apart: time, nanoseconds, length, inode.
type Stamp = (i64, i64, u64, u64);

fn stamp(path: &Path) -> Option<Stamp> {
    let file = std::fs::metadata(path).ok()?;
    Some((file.mtime(), file.mtime_nsec(), file.len(), file.ino()))
}

impl Book {
    /// Takes over which sets there are.
    fn follow(&mut self, apps: &Apps) {
        let source_of = |app: &AppId| logins(apps, app).and_then(JwtLogins::source);
        self.0
            .retain(|app, entry| source_of(app) == Some(&entry.source));
        for (app, listed) in &apps.listed {
            let Some(jwt) = &listed.jwt else { continue };
            let Some(source) = jwt.source() else { continue };
            let entry = self.0.entry(app.clone()).or_insert_with(|| Entry {
                source: source.clone(),
                wanted: jwt.wanted().clone(),
                tried: None,
                is_loading: false,
                loaded: None,
                keys: 0,
                error: None,
                stamp: None,
            });
            entry.wanted = jwt.wanted().clone();
            entry.keys = jwt.loaded().len();
        }
    }

    /// The sets that must be loaded now, and whether each is for the first time; they count as
    /// being loaded.
    fn due(&mut self, now: Instant) -> Vec<(AppId, KeySource, bool)> {
        let entries = self.0.iter_mut();
        let due = entries.filter_map(|(app, entry)| {
            let is_first = entry.tried.is_none() && entry.keys == 0;
            entry
                .is_due(now)
                .then(|| (app.clone(), entry.source.clone(), is_first))
        });
        due.collect()
    }

    fn note(
        &mut self,
        app: &AppId,
        source: &KeySource,
        loaded: Result<KeySet, String>,
        now: Instant,
    ) {
        let Some(entry) = self.0.get_mut(app).filter(|entry| entry.source == *source) else {
            return;
        };
        entry.is_loading = false;
        let place = place_of(source);
        match loaded {
            Ok(set) => {
                let is_news = entry.error.is_some() || entry.loaded.is_none();
                if is_news || entry.keys != set.keys.len() {
                    let (keys, unused) = (set.keys.len(), set.unused.join("; "));
                    tracing::info!(%app, place, keys, unused, "the app's key set was loaded");
                }
                (entry.loaded, entry.keys, entry.error) = (Some(now), set.keys.len(), None);
            }
            Err(error) => {
                if entry.error.as_ref() != Some(&error) {
                    let keys = entry.keys;
                    let hint = "logins with tokens signed by other keys fail until it answers";
                    let text = "the app's key set cannot be loaded; its keys stay";
                    tracing::warn!(%app, place, error, keys, hint, "{text}");
                }
                entry.error = Some(error);
            }
        }
    }

    fn report(&self, to: &Reports, now: Instant) {
        let reports = self.0.iter().map(|(app, entry)| {
            let ago = entry.loaded.map(|at| now.saturating_duration_since(at));
            let report = KeySetReport {
                app: app.clone(),
                place: place_of(&entry.source),
                keys: entry.keys,
                loaded_ago_s: ago.map(|ago| ago.as_secs()),
                error: entry.error.clone(),
            };
            (app.clone(), report)
        });
        let reports = reports.collect();
        *to.0.lock().unwrap_or_else(PoisonError::into_inner) = reports;
    }
}

impl Entry {
    /// Whether it must be loaded now; also lets hubs know how fresh it is.
    fn is_due(&mut self, now: Instant) -> bool {
        if self.is_loading {
            return false;
        }
        let since = self.tried.map(|at| now.saturating_duration_since(at));
        let is_due = match (&self.source, since) {
            (KeySource::File(path), _) => {
                let seen = stamp(path);
                let is_other = self.tried.is_none() || seen != self.stamp;
                self.stamp = seen;
                is_other
            }
            (KeySource::Url { .. }, None) => true,
            (KeySource::Url { .. }, Some(since)) => {
                let is_pressing = self.wanted.is_asked() || self.error.is_some();
                since >= REFRESH || (is_pressing && since >= REST)
            }
        };
        match since {
            _ if is_due => {}
            // While the place fails, nobody can say that a key is not there: who asks is put off.
            Some(since) if since >= REST || self.error.is_some() => self.wanted.set_stale(),
            Some(since) if since >= SETTLE => self.wanted.set_fresh(),
            _ => {}
        }
        if is_due {
            (self.tried, self.is_loading) = (Some(now), true);
        }
        is_due
    }
}

fn place_of(source: &KeySource) -> String {
    match source {
        KeySource::File(path) => path.display().to_string(),
        KeySource::Url { url, .. } => url.clone(),
    }
}
