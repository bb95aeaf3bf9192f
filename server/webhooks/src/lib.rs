//! Webhooks: an app's events, posted to its endpoints as signed notices (rest 10.2 and 12).
//!
//! It is the outgoing half of the server's HTTP: it reads each app's durable stream of events with
//! a durable cursor per subscription, and calls targets. It is not the API in front of it, which
//! calls [`Webhooks`], and knows nothing of hubs and of the store: what it needs of these is in
//! [`EventSource`] and [`Records`].
//!
//! - **Nothing is left out silently.** The cursor moves when an event was delivered, or lies in the
//!   dead letters; lost events and dropped dead letters are counted, and the first are told too.
//! - **One after the other** in each subscription; a target that fails is tried again with growing
//!   pauses for 24 hours, and stops nobody but its own subscription.
//! - **No app costs another one anything**: calls are counted per app, and those to targets that
//!   fail have slots of their own (`slots`).
//! - **No way into the operator's network**: addresses are checked after the name is resolved, and
//!   the connection goes to the address that was checked (`guard`, `call`).
//!
//! Reading order: `subscription`, `delivery`, `hook`, `runner`, `call`, `guard`, `manage`; then
//! `before`, which asks about messages that are held.

mod before;
mod body;
mod call;
pub mod client;
mod contexts;
mod delivery;
mod error;
mod figures;
mod guard;
mod hook;
mod kinds;
mod manage;
mod resolve;
mod retry;
mod runner;
mod sign;
mod slots;
mod sources;
mod subscription;
mod throttle;
mod word;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tidings_spans::TraceContext;
use tidings_wire::limits::WEBHOOK_TIMEOUT_MS;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

pub use before::{Counts, Moderation, ModerationView, NewModeration, OnRules, OnTimeout, Question};
pub use body::{notice, notice_id};
pub use delivery::{Attempt, Delivery, Failing, Progress, State};
pub use error::{Fault, Field, Refusal, RefusalKind};
pub use figures::Figures;
pub use guard::{Forbidden, Range, Rules, Target, special};
pub use kinds::{KINDS, is_known, matches, number};
pub use manage::{Redelivered, View};
pub use resolve::{Resolver, SystemResolver};
pub use retry::pause_ms;
pub use sign::{
    Refused, SIGNATURE, SIGNATURE_NEXT, SIGNATURE_TIMED, SIGNATURE_V2, TOLERANCE_S, headers, verify,
};
pub use slots::NamePermit;
pub use sources::{Change, Clock, Event, EventSource, GAP, Later, Records, Row, Table, WallClock};
pub use subscription::{
    Filter, NewSubscription, Secret, SecretStep, Subscription, SubscriptionChange,
};
pub use word::Word;

use before::Desk;
use call::Caller;
use contexts::Contexts;
use figures::CallCounts;
use hook::Hook;
use runner::Shared;
use slots::Slots;
use throttle::Throttle;

/// How long the end waits for calls that are under way.
const CLOSING: Duration = Duration::from_secs(3);

/// How webhooks are delivered.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What may be called.
    pub rules: Rules,
    /// How long a target may take, from the name to the end of its answer.
    pub timeout: Duration,
    /// The pause after the first attempt that fails; the next ones double up to an hour.
    pub first_pause: Duration,
    /// Events of one app that are delivered per second, over all its subscriptions; 0 = no bound.
    /// What is above waits.
    pub app_rate_max: u32,
    /// Certificates of authorities that are trusted besides the public ones.
    pub roots: Vec<CertificateDer<'static>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rules: Rules::default(),
            timeout: Duration::from_millis(WEBHOOK_TIMEOUT_MS),
            first_pause: retry::FIRST,
            app_rate_max: 1_000,
            roots: Vec::new(),
        }
    }
}

/// What webhooks need of the rest of the server.
#[derive(Clone)]
pub struct Sources {
    /// Where subscriptions, their cursors and their deliveries last.
    pub records: Arc<dyn Records>,
    /// The streams from which the apps' events are read.
    pub events: Arc<dyn EventSource>,
    /// The time by which deliveries are due and repeated.
    pub clock: Arc<dyn Clock>,
    /// Finds the addresses of targets, which are checked before each call.
    pub resolver: Arc<dyn Resolver>,
    /// Who holds messages, and must know which.
    pub on_rules: OnRules,
}

/// All subscriptions of a server. Clones are of the same.
#[derive(Clone)]
pub struct Webhooks {
    shared: Arc<Shared>,
    /// By app and id. Bound: `WEBHOOKS_PER_APP_MAX` per app.
    running: Arc<Mutex<Running>>,
    desk: Arc<Desk>,
    /// Calls are made there, whoever asks for them.
    runtime: Handle,
}

type Running = BTreeMap<(String, String), (Arc<Hook>, JoinHandle<()>)>;

impl std::fmt::Debug for Webhooks {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "Webhooks({})", self.running().len())
    }
}

/// Why webhooks cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] Fault),
    /// A certificate of an authority cannot be used.
    #[error("a certificate authority cannot be used: {0}")]
    Roots(rustls::Error),
}

impl Webhooks {
    /// Reads the subscriptions and goes on where each was. Runs on the tokio runtime that it is
    /// called in, which needs I/O, time, and threads for at most 64 names that are resolved.
    ///
    /// # Errors
    /// [`StartError`]
    pub async fn start(settings: Settings, sources: Sources) -> Result<Self, StartError> {
        let hooks = manage::load(&sources.records).await?;
        let desk = Desk::load(&*sources.records, sources.on_rules).await?;
        let caller = Caller {
            rules: settings.rules,
            resolver: sources.resolver,
            tls: connector(settings.roots).map_err(StartError::Roots)?,
        };
        let webhooks = Self {
            shared: Arc::new(Shared {
                records: sources.records,
                events: sources.events,
                clock: sources.clock,
                caller,
                slots: Slots::new(),
                throttle: Throttle::new(settings.app_rate_max),
                timeout: settings.timeout,
                counts: CallCounts::default(),
                first_pause: settings.first_pause,
                managing: tokio::sync::Mutex::default(),
                contexts: Contexts::default(),
            }),
            running: Arc::default(),
            desk: Arc::new(desk),
            runtime: Handle::current(),
        };
        for hook in hooks {
            webhooks.run(hook);
        }
        Ok(webhooks)
    }

    /// Stops: waits a little for calls that are under way, and writes down where each subscription
    /// is.
    pub async fn close(&self) {
        let running = std::mem::take(&mut *self.running());
        for (hook, _) in running.values() {
            hook.end();
        }
        let until = tokio::time::Instant::now() + CLOSING;
        for (hook, mut task) in running.into_values() {
            if tokio::time::timeout_at(until, &mut task).await.is_err() {
                task.abort();
            }
            self.shared.write(&hook).await;
        }
    }

    /// Remembers what a call has brought along that is about to send the message with this id, as
    /// events name it: notices of it go on from there.
    pub fn note_cause(&self, message: String, cause: TraceContext) {
        self.shared.contexts.note(message, cause);
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, hook: Hook) -> Arc<Hook> {
        let hook = Arc::new(hook);
        let task = self
            .runtime
            .spawn(runner::run(self.shared.clone(), hook.clone()));
        let key = (hook.app.clone(), hook.id.clone());
        self.running().insert(key, (hook.clone(), task));
        hook
    }

    fn hook(&self, app: &str, id: &str) -> Result<Arc<Hook>, Refusal> {
        let key = (app.to_owned(), id.to_owned());
        let found = self.running().get(&key).map(|(hook, _)| hook.clone());
        found.ok_or_else(|| {
            Refusal::new(
                RefusalKind::NotFound,
                format!("the app has no webhook {id:?}"),
                "list them: GET /api/v1/apps/{app}/webhooks",
            )
        })
    }

    fn hooks_of(&self, app: &str) -> Vec<Arc<Hook>> {
        let running = self.running();
        let all = running.range((app.to_owned(), String::new())..);
        let own = all.take_while(|((of, _), _)| of == app);
        own.map(|(_, (hook, _))| hook.clone()).collect()
    }

    async fn forget(&self, hook: &Hook) {
        hook.end();
        let key = (hook.app.clone(), hook.id.clone());
        let removed = self.running().remove(&key);
        if let Some((_, task)) = removed {
            // Nobody is told any more, in whatever state a call is.
            task.abort();
            let _ = task.await;
        }
    }
}

fn connector(roots: Vec<CertificateDer<'static>>) -> Result<TlsConnector, rustls::Error> {
    let mut store = client::public_roots();
    for root in roots {
        store.add(root)?;
    }
    client::connector(store)
}
