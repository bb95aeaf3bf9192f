//! The server-side HTTP API: what the backends of apps call.
//!
//! **What it is.** A router of axum: keys and tokens, rates, parameters and bodies, and the answers
//! of three conventions (the hosted service's 1.x and 2.x, and ours). It owns no socket and no
//! thread; whoever serves it gives it [`Hubs`], [`Keys`] and the apps.
//!
//! **What it is not.** Nothing is done here that a hub does: a message that is sent by a call is
//! sent by the code that sends a client's.
//!
//! **Reading order.** `auth` (who calls), `problem` (what a refused call is answered), `desk` (what
//! is counted per app), `params` and `body` (what a call says), `hubs` (whom it asks),
//! `idempotency`; then `hosted` (rest 2 to 5) and `v1` (rest 12), a file per area.

pub mod admin;
mod answer;
mod asking;
pub mod auth;
pub mod body;
mod desk;
mod hosted;
pub mod hostile;
mod hubs;
mod idempotency;
pub mod keys;
pub mod login;
pub mod metrics;
mod openapi;
pub mod params;
pub mod problem;
mod reach;
pub mod registry;
mod request_id;
mod router;
mod routes;
mod spans;
mod stored;
mod v1;
mod webhooks;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tidings_hub::Apps;
use tidings_hub::ids::UserKey;
use tidings_hub::outside::{OutsideAnswer, OutsideCall};
use tidings_store::Submitter;
use tidings_store::events::Events;
use tidings_store::records::Records;
use tidings_webhooks::Webhooks;
use tidings_wire::names::{AppId, UserId};
use tidings_wire::proto::request;

pub use self::answer::{Answer, json, json_with, no_content, raw_json};
pub use self::desk::Rates;
pub use self::hubs::{Hubs, Unavailable};
pub use self::keys::Keys;
pub use self::problem::Fault;
pub use self::reach::Stranger;
pub use self::request_id::RequestId;
pub use self::router::{is_path, router};

use self::admin::Admin;
use self::auth::Caller;
use self::desk::{Desk, Desks};
use self::keys::AllKeys;
use self::login::{LoginParts, Logins};
use self::metrics::{Calls, Meters, NoMeters, Reading};
use self::request_id::RequestIds;
use self::stored::Stored;

/// A hub that does not answer in this time is not waited for: longer than any call of a client may
/// take.
const HUB_WAIT: Duration = Duration::from_secs(30);

/// Settings of the API.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How often an app's callers may ask.
    pub rates: Rates,
    /// What a message to somebody who is not there is answered: `message_offline` or
    /// `peer_offline`. Source: rest 11.1.
    pub offline_code: &'static str,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rates: Rates::default(),
            offline_code: "message_offline",
        }
    }
}

/// What an API is made of.
pub struct ApiParts {
    /// Whom it asks.
    pub hubs: Arc<dyn Hubs>,
    /// Who may ask, beside the keys of the store.
    pub keys: Arc<dyn Keys>,
    /// Keys, bans, apps and what else operators rule by.
    pub admin: Arc<Admin>,
    /// All apps and their settings at the start; [`Api::replace_apps`] gives later ones.
    pub apps: Arc<Apps>,
    /// Where calls that read or write stored data hand in their operations.
    pub store: Submitter,
    /// How it answers.
    pub settings: Settings,
    /// Random: request ids begin there, and handles are authenticated with it.
    pub seed: [u8; 32],
}

/// What all calls share.
pub struct Api {
    hubs: Arc<dyn Hubs>,
    keys: Arc<dyn Keys>,
    admin: Arc<Admin>,
    /// Lists of channels, for a while.
    channel_lists: admin::Lists,
    /// The store itself, for what belongs to no hub.
    stored: Stored,
    /// The apps' streams of events.
    pub(crate) events: Events,
    /// Authenticates the handles of queries of the history.
    handle_key: [u8; 32],
    /// Set once, by whoever serves it; without, their routes answer 503.
    webhooks: OnceLock<Webhooks>,
    /// The same; without, all metrics are empty.
    meters: OnceLock<Arc<dyn Meters>>,
    /// What was answered.
    calls: Calls,
    /// Set once, where people can log in without a key.
    logins: OnceLock<Logins>,
    /// Replaced as a whole; held for the time of a copy of the pointer.
    apps: RwLock<Arc<Apps>>,
    settings: Settings,
    desks: Desks<AppId>,
    /// What is counted of each key.
    accounts: Desks<String>,
    /// What is counted of calls about no app.
    pub(crate) own_desk: Arc<Desk>,
    /// Answers that outlive a restart.
    pub(crate) kept_answers: Records,
    pub(crate) is_sweeping: AtomicBool,
    request_ids: RequestIds,
    started: Instant,
}

/// As handlers have it.
pub type Shared = Arc<Api>;

impl Api {
    /// An API of these hubs.
    pub fn new(parts: ApiParts) -> Shared {
        let ApiParts {
            hubs,
            keys,
            admin,
            apps,
            store,
            settings,
            seed,
        } = parts;
        let (first, _) = seed.split_first_chunk().expect("32 bytes hold 8");
        let first_id = u64::from_le_bytes(*first);
        let keys = AllKeys {
            given: keys,
            stored: admin.keys.clone(),
        };
        Arc::new(Self {
            hubs,
            keys: Arc::new(keys),
            admin,
            channel_lists: admin::Lists::default(),
            webhooks: OnceLock::new(),
            meters: OnceLock::new(),
            calls: Calls::default(),
            logins: OnceLock::new(),
            apps: RwLock::new(apps),
            events: Events::new(store.clone()),
            kept_answers: Records::new(store.clone()),
            is_sweeping: AtomicBool::new(false),
            own_desk: Arc::default(),
            stored: Stored::new(store),
            handle_key: seed,
            settings,
            desks: Desks::default(),
            accounts: Desks::default(),
            request_ids: RequestIds::new(first_id),
            started: Instant::now(),
        })
    }

    /// From now on, these are the tenants.
    pub fn replace_apps(&self, apps: Arc<Apps>) {
        *self.apps.write().unwrap_or_else(PoisonError::into_inner) = apps;
    }

    /// All apps and their settings as they are now; what is returned does not change.
    pub fn apps(&self) -> Arc<Apps> {
        let apps = self.apps.read().unwrap_or_else(PoisonError::into_inner);
        apps.clone()
    }

    /// What operators rule by.
    pub(crate) fn admin(&self) -> &Admin {
        &self.admin
    }

    /// Keys, bans and what else operators rule by.
    pub fn office(&self) -> &Arc<Admin> {
        &self.admin
    }

    /// The store's small tables, for whoever serves the API.
    pub fn records(&self) -> Records {
        self.kept_answers.clone()
    }

    /// How many hubs there are.
    pub(crate) fn hubs(&self) -> u16 {
        self.hubs.hubs()
    }

    /// From now on, apps have webhooks. Only the first call counts.
    pub fn set_webhooks(&self, webhooks: Webhooks) {
        let _ = self.webhooks.set(webhooks);
    }

    /// From now on, there are metrics. Only the first call counts.
    pub fn set_meters(&self, meters: Arc<dyn Meters>) {
        let _ = self.meters.set(meters);
    }

    /// Tells what the API itself has counted. `name`: under which name an app is counted, or all
    /// those without one.
    pub fn read_calls(&self, name: impl FnMut(Option<&AppId>) -> String, to: &mut Reading) {
        self.calls.read(name, to);
    }

    /// Reads the whole server.
    pub(crate) fn meters(&self) -> Arc<dyn Meters> {
        let meters = self.meters.get().cloned();
        meters.unwrap_or_else(|| Arc::new(NoMeters))
    }

    /// From now on, people can log in without a key. Only the first call counts.
    pub fn set_login(&self, parts: LoginParts) {
        let _ = self.logins.set(Logins::new(parts, &self.handle_key));
    }

    /// How people log in, where they can.
    pub(crate) fn logins(&self) -> Option<&Logins> {
        self.logins.get()
    }

    /// Milliseconds since the start.
    fn mono_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The wall clock, in Unix milliseconds; it may go back.
    pub fn unix_ms(&self) -> u64 {
        unix_ms()
    }

    /// Asks one hub.
    ///
    /// # Errors
    /// What the hub has refused; 503 where it cannot be asked.
    pub async fn ask(&self, hub: u16, call: OutsideCall) -> Result<OutsideAnswer, Fault> {
        self.end(self.begin(hub, call)?).await
    }

    /// Asks every hub, in their order.
    ///
    /// # Errors
    /// As [`Api::ask`], of any of them.
    pub async fn ask_all(
        &self,
        call: impl Fn() -> OutsideCall,
    ) -> Result<Vec<OutsideAnswer>, Fault> {
        // Posted to all of them first, so that they work at once.
        let asked = (0..self.hubs.hubs()).map(|hub| self.begin(hub, call()));
        let asked: Vec<_> = asked.collect::<Result<_, _>>()?;
        let mut answers = Vec::with_capacity(asked.len());
        for asked in asked {
            answers.push(self.end(asked).await?);
        }
        Ok(answers)
    }

    /// The hub that is given this user's calls.
    fn hub_of(&self, user: &UserKey) -> u16 {
        hubs::hub_of(self.hubs.hubs(), user)
    }

    /// Asks what a client could ask, as a user of the caller's app.
    ///
    /// # Errors
    /// As [`Api::ask`].
    pub async fn ask_as(
        &self,
        caller: &Caller,
        user: &UserId,
        call: request::Call,
    ) -> Result<OutsideAnswer, Fault> {
        self.ask_in(&caller.app, user, call).await
    }

    /// The same of any app.
    ///
    /// # Errors
    /// As [`Api::ask`].
    pub(crate) async fn ask_in(
        &self,
        app: &AppId,
        user: &UserId,
        call: request::Call,
    ) -> Result<OutsideAnswer, Fault> {
        let from = UserKey {
            app: app.clone(),
            user: user.clone(),
        };
        self.ask(self.hub_of(&from), OutsideCall::AsUser { from, call })
            .await
    }
}

/// Unix milliseconds; 0 before 1970.
fn unix_ms() -> u64 {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(unix.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}
