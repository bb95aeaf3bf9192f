//! Starts, supervises and stops the threads of a node.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use mio::net::TcpListener;
use mio::{Interest, Poll, Waker};
use tidings_api::admin::Admin;
use tidings_api::metrics::{Meters, Reading};
use tidings_api::{Api, ApiParts};
use tidings_bus::Homes;
use tidings_hub::admission::Admission;
use tidings_hub::ids::HubId;
use tidings_hub::store_ops::StoreAnswer;
use tidings_hub::used::UsedRates;
use tidings_hub::{Apps, HubConfig, Snapshot, Ticket};
use tidings_legacy::AppRules;
use tidings_spans::Kind;
use tidings_store::embedded::{DiskReserve, EmbeddedEngine, Options, Snapshots};
use tidings_store::{
    Access, AnswerSink, Bounds as StoredBounds, Committer, Engine, Health, MemoryEngine, Submitter,
};
use tidings_wire::names::AppId;

use crate::api::config::ApiConfig;
use crate::api::{self, ApiPort, NodeHubs, PortParts};
use crate::bounds::HUBS_MAX;
use crate::clock::Clock;
use crate::config::{DRAIN_WINDOW_MS_MAX, ServerConfig, StoreConfig};
use crate::error::StartError;
use crate::gate::Gate;
use crate::key_sets::{AppsPlace, KeySetReport, KeySets, Reports};
use crate::legacy::LegacyDoor;
use crate::login;
use crate::mailbox::{Envelope, Inbox, Mailbox};
use crate::media::{Bounds, Directory, MediaStore};
use crate::memory::{
    Intake, MEMORY_MIN, Watch, give_back_freed, memory_allocated, memory_max_default, memory_used,
};
use crate::meters::{Disk, NodeMeters};
use crate::moderating;
use crate::readiness::{Phase, Readiness, Trouble};
use crate::report::{HubReport, NodeReport};
use crate::tls::Tls;
use crate::webhooks::{self, WebhooksThread};
use crate::worker::{LISTENER, Node, WAKER, Worker, WorkerParts};
use crate::{http, kept_sessions, listen};

/// How long connections may take to end in a drain, after the last client was sent away. With the
/// window for that and the wait for what is under way, it stays below the 30 s of contract 4.5.
const DRAIN: Duration = Duration::from_secs(6);

/// How long what is under way between hubs, store and senders may take in a drain.
const SETTLE: Duration = Duration::from_secs(3);

/// Rounds in which every hub has had its turn: a word to another hub takes two, by way of its
/// topic's home.
const ROUNDS: usize = 3;

/// How long the supervisor may take to tell hubs of their apps: it measures memory meanwhile.
const APPS_WAIT: Duration = Duration::from_secs(5);

/// How often the supervisor wakes where memory is not measured.
const UNMEASURED: Duration = Duration::from_secs(60);

/// What clients are told of the server.
const SERVER: &str = concat!("tidings ", env!("CARGO_PKG_VERSION"));

/// A server that is ready to be started.
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Starts a server; when it returns, clients are served.
    ///
    /// # Errors
    /// [`StartError`]; nothing is running then.
    pub fn start(config: ServerConfig) -> Result<RunningServer, StartError> {
        check(&config)?;
        let tls = config.tls.as_ref().map(Tls::open).transpose()?;
        // Order: the store before the port, so that a refused second start never takes connections
        // of the first.
        let (engine, snapshots) = open_engine(&config)?;
        let media = open_media(&config)?;
        let admin = config.admin_listen.map(listen::open_one).transpose()?;
        let (listeners, local_addr) = listen::open(config.listen, config.hubs)?;
        let clock = Clock::start();
        let readiness = Arc::new(Readiness::new(clock, config.hubs));
        if let Some(end_s) = tls.as_ref().and_then(Tls::end_s) {
            readiness.note_certificate(end_s);
        }
        let loops = open_loops(config.hubs)?;
        let mailboxes: Vec<_> = loops.iter().map(|(_, inbox)| inbox.mailbox()).collect();
        let sink = StoreSink {
            mailboxes: mailboxes.clone(),
            readiness: readiness.clone(),
        };
        let committer = Committer::open(engine, sink)
            .map_err(StartError::system("start the store's thread"))?;
        committer.set_bounds(stored_bounds(&config.apps));
        let ApiConfig {
            listen: api_listen,
            threads: api_threads,
            keys,
            settings,
            registry,
        } = config.api;
        let files = api::files(&config.store);
        let office = Admin::open(&committer.submitter(), registry, files)?;
        let office = Arc::new(office);
        let mut apps = config.apps;
        // Before anybody can log in.
        office.bans.apply(&mut apps);
        let apps = Arc::new(apps);
        let media = http::MediaDoor::new(
            media,
            apps.clone(),
            config.origins.clone(),
            clock,
            config.media,
        );
        let has_tls = tls.is_some();
        let legacy = Arc::new(LegacyDoor::new(config.legacy, has_tls));
        let admin_addr = admin.as_ref().and_then(|admin| admin.local_addr().ok());
        let limits = config.limits;
        let gate = Gate::new(&limits, config.trusted_proxies);
        let hubs = NodeHubs {
            mailboxes: mailboxes.clone(),
            readiness: readiness.clone(),
        };
        let api = Api::new(ApiParts {
            hubs: Arc::new(hubs),
            keys,
            admin: office.clone(),
            apps: apps.clone(),
            store: committer.submitter(),
            settings,
            seed: seed()?,
        });
        let on_rules = moderating::on_rules(mailboxes.clone());
        let webhooks = webhooks::start(config.webhooks, committer.submitter(), on_rules)?;
        api.set_webhooks(webhooks.webhooks());
        let memory_max = config.memory_max.or_else(memory_max_default);
        let memory_max = memory_max.map(|max| max.max(MEMORY_MIN));
        let meters: Arc<dyn Meters> = Arc::new(NodeMeters {
            mailboxes: mailboxes.clone(),
            store: committer.submitter(),
            readiness: readiness.clone(),
            gate: gate.clone(),
            media: media.clone(),
            webhooks: webhooks.webhooks(),
            clock,
            memory_max,
            replay_bytes_max: replay_bytes_max(memory_max, config.hubs),
            disk: disk_of(&config.store, config.disk_reserve),
            strangers_max: limits.preauth_connections_max,
            api: Arc::downgrade(&api),
            state: Mutex::default(),
        });
        api.set_meters(meters.clone());
        if let Some(login) = config.login {
            api.set_login(login::parts(login));
        }
        let api_router = tidings_api::router(api.clone());
        let pages = http::Pages {
            // Where the API has a port of its own, it is the operators'.
            console: config.console && api_listen.is_none(),
            demo: config.demo,
            guide: config.guide,
            has_tls,
        };
        let operators = http::Pages {
            console: config.console,
            ..pages
        };
        let (http, http_thread) = http::start(http::HttpParts {
            readiness: readiness.clone(),
            media: media.clone(),
            legacy: legacy.clone(),
            pages,
            clock,
            limits,
            api: api_router.clone(),
            meters: meters.clone(),
            admin,
        })
        .map_err(StartError::system("start the HTTP thread"))?;
        let api_port = api_listen.map(|address| {
            api::start(PortParts {
                address,
                threads: api_threads,
                router: http::beside_console(api_router, &operators),
                gate: gate.clone(),
                clock,
                tls: tls.as_ref().map(Tls::config),
            })
        });
        let api_port = api_port.transpose()?;
        let api_addr = api_port.as_ref().map(ApiPort::address);
        let node = Arc::new(Node {
            admission: Mutex::new(Admission::new(limits.login_rate, limits.login_queue)),
            used: Mutex::new(UsedRates::new((random()?, random()?))),
            names: std::hash::RandomState::new(),
            intake: Intake::default(),
            replay_bytes_max: replay_bytes_max(memory_max, config.hubs),
            clock,
            gate,
            origins: config.origins,
            limits,
            tls: tls.as_ref().map(Tls::config),
            http,
            webhooks: webhooks.webhooks(),
            readiness: readiness.clone(),
            names_hubs: config.names_hubs,
            legacy,
        });
        let (drained, all_drained) = channel();
        let homes = Homes::new(config.hubs, (random()?, random()?));
        let mut workers = Vec::new();
        for ((number, (poll, inbox)), listener) in (0..).zip(loops).zip(listeners) {
            let drain_window_ms = config.drain_window_ms;
            workers.push(start_worker(WorkerParts {
                node: node.clone(),
                poll,
                listener,
                inbox,
                peers: mailboxes.clone(),
                homes,
                hub: hub_config(HubId::local(number), &apps, drain_window_ms)?,
                store: committer.submitter(),
                drained: drained.clone(),
            })?);
        }
        let directory = match config.store {
            StoreConfig::Memory => None,
            StoreConfig::Directory(path) => Some(path),
        };
        open_doors(directory.as_deref(), &mailboxes, &apps, clock);
        let place = Arc::new(AppsPlace::new(
            media.clone(),
            api.clone(),
            mailboxes.clone(),
        ));
        let key_sets = Reports::default();
        let mut sets = KeySets::new(place.clone(), key_sets.clone());
        sets.look(&apps);
        let (control, commands) = channel();
        let drain = ServerHandle {
            control,
            readiness: readiness.clone(),
            mailboxes: mailboxes.clone(),
            store: committer.submitter(),
            snapshots,
            office,
            key_sets,
            meters,
        };
        let supervisor = Supervisor {
            drain: Duration::from_millis(config.drain_window_ms) + DRAIN,
            directory,
            memory: memory_max.map(|max| Watch::new(max, config.hubs)),
            tls,
            readiness: readiness.clone(),
            mailboxes,
            workers,
            all_drained,
            node,
            media,
            api,
            api_port,
            place,
            key_sets: sets,
            webhooks,
            http_thread,
            committer,
        };
        let supervisor = Builder::new()
            .name("supervisor".into())
            .spawn(move || supervisor.run(&commands))
            .map_err(StartError::system("start the supervisor's thread"))?;
        readiness.advance(Phase::Ready);
        tracing::info!(address = %local_addr, hubs = config.hubs, "ready");
        Ok(RunningServer {
            local_addr,
            admin_addr,
            api_addr,
            drain,
            supervisor,
        })
    }
}

/// Whether the settings are within their bounds.
fn check(config: &ServerConfig) -> Result<(), StartError> {
    if !(1..=HUBS_MAX).contains(&config.hubs) {
        return Err(StartError::Hubs(config.hubs));
    }
    if config.drain_window_ms > DRAIN_WINDOW_MS_MAX {
        return Err(StartError::DrainWindow(config.drain_window_ms));
    }
    Ok(())
}

fn hub_config(id: HubId, apps: &Arc<Apps>, drain_window_ms: u64) -> Result<HubConfig, StartError> {
    Ok(HubConfig {
        id,
        seed: seed()?,
        apps: apps.clone(),
        server: SERVER.into(),
        drain_window_ms,
    })
}

/// Gives the hubs what the process before has left, then lets clients in.
fn open_doors(
    directory: Option<&Path>,
    mailboxes: &[Arc<Mailbox>],
    apps: &Arc<Apps>,
    clock: Clock,
) {
    let hubs = u16::try_from(mailboxes.len()).unwrap_or(HUBS_MAX);
    let unix_ms = clock.now().unix_ms;
    let kept = directory.and_then(|directory| kept_sessions::take(directory, unix_ms, hubs));
    if let Some(snapshots) = kept {
        restore(mailboxes, snapshots, apps);
    }
    let boot = clock.boot();
    tell(mailboxes, || Envelope::Load { hubs, boot });
    tell(mailboxes, || Envelope::Open);
}

/// A running server. Dropped without [`RunningServer::join`], it drains in the background.
#[derive(Debug)]
pub struct RunningServer {
    local_addr: SocketAddr,
    admin_addr: Option<SocketAddr>,
    api_addr: Option<SocketAddr>,
    drain: ServerHandle,
    supervisor: JoinHandle<()>,
}

impl RunningServer {
    /// The address that was bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The address of the operators' listener, if there is one.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin_addr
    }

    /// The address of the API's own port, if it has one.
    pub fn api_addr(&self) -> Option<SocketAddr> {
        self.api_addr
    }

    /// Starts to drain: clients are disconnected with `going_away`, and nothing new is accepted.
    /// Returns at once.
    pub fn drain(&self) {
        self.drain.drain();
    }

    /// A handle for a signal handler or another thread.
    pub fn handle(&self) -> ServerHandle {
        self.drain.clone()
    }

    /// Waits until the server has stopped: its connections are closed and the store is on disk.
    /// That takes at most about 25 s after a drain, however clients behave.
    pub fn join(self) {
        let Self {
            drain, supervisor, ..
        } = self;
        // Only other handles can drain it now; without one, nobody could.
        drop(drain);
        supervisor.join().expect("the supervisor does not panic");
    }
}

/// Controls a running server from any thread: drains it, changes its apps, and reports its state.
#[derive(Clone)]
pub struct ServerHandle {
    control: Sender<Command>,
    readiness: Arc<Readiness>,
    mailboxes: Vec<Arc<Mailbox>>,
    store: Submitter,
    snapshots: Option<Snapshots>,
    office: Arc<Admin>,
    key_sets: Reports,
    meters: Arc<dyn Meters>,
}

impl std::fmt::Debug for ServerHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerHandle").finish_non_exhaustive()
    }
}

impl ServerHandle {
    /// See [`RunningServer::drain`]. Does nothing on a server that is draining or has stopped.
    pub fn drain(&self) {
        let _ = self.control.send(Command::Drain);
    }

    /// Replaces the rules for legacy logins of single apps; they apply from each user's next login
    /// on.
    pub fn replace_legacy_rules(&self, rules: BTreeMap<AppId, AppRules>) {
        let _ = self.control.send(Command::LegacyRules(rules));
    }

    /// What the store accepts at present.
    pub fn store_access(&self) -> Access {
        self.readiness.store()
    }

    /// Everything that is wrong with the server, by its own account.
    pub fn troubles(&self) -> Vec<Trouble> {
        self.readiness.troubles()
    }

    /// All metrics. Waits for the hubs, at most a second.
    pub fn metrics(&self) -> Reading {
        self.meters.read()
    }

    /// Takes snapshots of the store; `None` = it is kept in memory.
    pub fn snapshots(&self) -> Option<Snapshots> {
        self.snapshots.clone()
    }

    /// The key sets of apps (JWKS) that the server keeps up to date.
    pub fn key_sets(&self) -> Vec<KeySetReport> {
        self.key_sets.all()
    }

    /// Whether every hub has had a turn within the time: false for a server that is stuck or has
    /// stopped.
    pub fn has_turns_within(&self, limit: Duration) -> bool {
        reports_within(&self.mailboxes, limit).len() == self.mailboxes.len()
    }

    /// Reports the server's state. Hubs that do not answer within the time are missing.
    pub fn report(&self, limit: Duration) -> NodeReport {
        let mut hubs = reports_within(&self.mailboxes, limit);
        hubs.sort_by_key(|report| report.cell.hub);
        NodeReport {
            silent_hubs: self.mailboxes.len() - hubs.len(),
            hubs,
            store: self.store.status(),
        }
    }

    /// Reloads the files of the TLS certificate. This also happens automatically, seconds after
    /// they have changed. Does nothing on a server that has none, drains or has stopped.
    ///
    /// # Errors
    /// They cannot be used: nothing changes, and the log says so too.
    pub fn reload_certificate(&self) -> Result<(), StartError> {
        let (told, is_told) = channel();
        if self.control.send(Command::Certificate(told)).is_err() {
            return Ok(());
        }
        // Nobody answers who has stopped meanwhile.
        is_told.recv().unwrap_or(Ok(()))
    }

    /// Replaces the apps: settings and bans take effect at once, certificates with the next token.
    /// The rules of bans in the store are added. When this returns, what is asked of a hub finds
    /// the new apps. Does nothing on a server that is draining or has stopped.
    pub fn replace_apps(&self, apps: Apps) {
        let (told, is_told) = channel();
        let command = Command::Apps(Arc::new(apps), told);
        if self.control.send(command).is_ok() {
            // Dropped without a word if the server ends.
            let _ = is_told.recv_timeout(APPS_WAIT);
        }
    }

    /// Has the rules of bans in the store take effect. When this returns, what is asked of a hub
    /// finds them.
    pub fn apply_bans(&self) {
        let (told, is_told) = channel();
        if self.control.send(Command::Bans(told)).is_ok() {
            let _ = is_told.recv_timeout(APPS_WAIT);
        }
    }

    /// Keys, bans and the audit log.
    pub fn office(&self) -> &Arc<Admin> {
        &self.office
    }
}

#[derive(Debug)]
enum Command {
    Drain,
    /// The apps, and whom to tell that hubs have them.
    Apps(Arc<Apps>, Sender<()>),
    /// The rules of bans have changed.
    Bans(Sender<()>),
    LegacyRules(BTreeMap<AppId, AppRules>),
    /// Read the files of the certificate, and tell whether they can be used.
    Certificate(Sender<Result<(), StartError>>),
}

struct Supervisor {
    /// How long connections may take to end, in milliseconds.
    drain: Duration,
    /// Where sessions are kept for the next process; `None` = nowhere.
    directory: Option<PathBuf>,
    /// `None` = the amount of memory is unknown.
    memory: Option<Watch>,
    tls: Option<Tls>,
    readiness: Arc<Readiness>,
    mailboxes: Vec<Arc<Mailbox>>,
    workers: Vec<JoinHandle<Option<Snapshot>>>,
    all_drained: Receiver<HubId>,
    node: Arc<Node>,
    media: Arc<http::MediaDoor>,
    api: Arc<Api>,
    api_port: Option<ApiPort>,
    place: Arc<AppsPlace>,
    key_sets: KeySets,
    webhooks: WebhooksThread,
    http_thread: JoinHandle<()>,
    committer: Committer,
}

impl Supervisor {
    fn run(mut self, commands: &Receiver<Command>) {
        // Drains also when nobody is left who could say it.
        loop {
            let mut wait = self.look_at_memory();
            if let Some(tls) = &mut self.tls {
                wait = wait.min(tls.look());
                let end_s = tls.end_s().unwrap_or(i64::MAX);
                self.readiness.note_certificate(end_s);
            }
            self.readiness.look_at_clock(self.node.clock.now());
            match commands.recv_timeout(wait) {
                Ok(Command::Apps(apps, told)) => {
                    let apps = self.place.replace(&apps);
                    self.committer.set_bounds(stored_bounds(&apps));
                    self.key_sets.look(&apps);
                    let _ = told.send(());
                }
                Ok(Command::Bans(told)) => {
                    self.place.apply_bans();
                    let _ = told.send(());
                }
                Ok(Command::LegacyRules(rules)) => self.node.legacy.replace_rules(rules),
                Ok(Command::Certificate(told)) => {
                    let read = self.tls.as_mut().map_or(Ok(()), Tls::reload);
                    let _ = told.send(read);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Command::Drain) | Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        // Nobody measures from now on.
        self.node.intake.allow(usize::MAX);
        self.readiness.advance(Phase::Draining);
        tracing::info!("draining");
        let begin = Instant::now();
        self.tell(|| Envelope::Drain);
        for _ in &self.workers {
            let left = self.drain.saturating_sub(begin.elapsed());
            if self.all_drained.recv_timeout(left).is_err() {
                tracing::warn!("connections are cut that did not end in time");
                break;
            }
        }
        let is_settled = self.directory.is_some() && settle(&self.mailboxes);
        self.tell(|| Envelope::Stop);
        let mut snapshots = Vec::new();
        for worker in self.workers {
            // A panic in a hub's thread ends the process.
            snapshots.extend(worker.join().ok().flatten());
        }
        // Order: what they write down is the last that the store is given by anybody but callers.
        self.webhooks.stop();
        // Order: no hub is left that could hand anything in.
        self.committer.close();
        if let Some(directory) = self.directory {
            keep(&directory, self.node.clock, is_settled, &snapshots);
        }
        self.key_sets.end();
        drop(self.place);
        drop(self.node);
        drop(self.media);
        drop(self.api);
        if let Some(port) = self.api_port {
            port.stop();
        }
        if self.http_thread.join().is_err() {
            tracing::error!("the HTTP thread panicked");
        }
        tracing::info!(took_ms = begin.elapsed().as_millis(), "ended");
    }

    /// Tells the hubs how short memory is; returns how long to wait for the next measurement.
    fn look_at_memory(&mut self) -> Duration {
        let Some((watch, mut used)) = self.memory.as_mut().zip(memory_used()) else {
            return UNMEASURED;
        };
        let mut allocated = used;
        if watch.is_tense(used) {
            give_back_freed();
            used = memory_used().unwrap_or(used);
            allocated = memory_allocated().unwrap_or(used);
        }
        let wait = watch.interval(used);
        self.node.intake.allow(watch.intake(used));
        let news = watch.judge(used, allocated);
        self.readiness.note_memory(watch.is_short());
        if let Some(pressure) = news {
            self.tell(|| Envelope::Memory(pressure));
        }
        wait
    }

    fn tell(&self, envelope: impl Fn() -> Envelope) {
        tell(&self.mailboxes, envelope);
    }
}

/// The reports of those hubs that answer in time.
pub(crate) fn reports_within(mailboxes: &[Arc<Mailbox>], limit: Duration) -> Vec<HubReport> {
    let deadline = Instant::now() + limit;
    let (to, reports) = channel();
    tell(mailboxes, || Envelope::Report(to.clone()));
    drop(to);
    let next = |_: &Arc<Mailbox>| {
        let left = deadline.saturating_duration_since(Instant::now());
        reports.recv_timeout(left).ok()
    };
    mailboxes.iter().map_while(next).collect()
}

fn tell(mailboxes: &[Arc<Mailbox>], envelope: impl Fn() -> Envelope) {
    for mailbox in mailboxes {
        mailbox.post(vec![envelope()]);
    }
}

/// Gives every hub a turn. Returns whether nothing is in progress in any of them.
fn round(mailboxes: &[Arc<Mailbox>]) -> bool {
    let (to, reports) = channel();
    tell(mailboxes, || Envelope::Report(to.clone()));
    let report = || {
        let report: Result<HubReport, _> = reports.recv_timeout(SETTLE);
        report.is_ok_and(|report| report.cell.is_settled)
    };
    // All of them are waited for, also after one that is not settled.
    (0..mailboxes.len()).fold(true, |all, _| report() && all)
}

/// Waits until operations in progress are complete. Returns whether they are.
fn settle(mailboxes: &[Arc<Mailbox>]) -> bool {
    let begin = Instant::now();
    tell(mailboxes, || Envelope::Settle);
    let mut settled = 0;
    while settled < ROUNDS && begin.elapsed() < SETTLE {
        settled = if round(mailboxes) {
            settled + 1
        } else {
            std::thread::sleep(Duration::from_millis(1));
            0
        };
    }
    settled == ROUNDS
}

/// Gives each hub its sessions back, lets all of them know where everybody is, and ends the
/// sessions of those who have been banned, or whose app is served no longer, since the process
/// before had its tenants.
fn restore(mailboxes: &[Arc<Mailbox>], snapshots: Vec<Snapshot>, apps: &Arc<Apps>) {
    let sessions: usize = snapshots.iter().map(Snapshot::sessions).sum();
    for snapshot in snapshots {
        let hub = snapshot.hub().index();
        if let Some(mailbox) = mailboxes.get(hub) {
            mailbox.post(vec![Envelope::Restore(Box::new(snapshot))]);
        }
    }
    for _ in 0..ROUNDS {
        round(mailboxes);
    }
    tell(mailboxes, || Envelope::Apps(apps.clone()));
    tracing::info!(sessions, "sessions of the process before go on");
}

/// Saves the sessions for the next process.
fn keep(directory: &Path, clock: Clock, is_settled: bool, snapshots: &[Snapshot]) {
    if !is_settled {
        tracing::warn!("sessions are not kept: not everything under way came to an end in time");
        return;
    }
    let sessions: usize = snapshots.iter().map(Snapshot::sessions).sum();
    match kept_sessions::write(directory, clock.now().unix_ms, snapshots) {
        Ok(()) => tracing::info!(sessions, "sessions are kept for the next start"),
        Err(error) => tracing::warn!(%error, "sessions cannot be kept; clients will log in anew"),
    }
}

/// A quarter of the memory is for what clients have not confirmed, in equal parts (contract
/// DEL-12).
fn replay_bytes_max(memory_max: Option<u64>, hubs: u16) -> usize {
    let bytes = memory_max.map(|max| max / 4 / u64::from(hubs));
    bytes
        .and_then(|bytes| usize::try_from(bytes).ok())
        .unwrap_or(usize::MAX)
}

type OpenedEngine = (Box<dyn Engine + Send>, Option<Snapshots>);

fn open_engine(config: &ServerConfig) -> Result<OpenedEngine, StartError> {
    Ok(match &config.store {
        StoreConfig::Memory => (Box::new(MemoryEngine::default()), None),
        StoreConfig::Directory(path) => {
            let mut options = Options {
                disk_reserve: config.disk_reserve,
                ..Options::default()
            };
            if let Some(max) = config.memory_max.or_else(memory_max_default) {
                // Small machines get small caches: half of an idle server's share at most.
                options.cache_bytes = options.cache_bytes.min(max / 16);
                options.memtable_bytes_max = options.memtable_bytes_max.min(max / 64).max(1 << 20);
            }
            let engine = EmbeddedEngine::open(path, &options)?;
            let snapshots = engine.snapshots();
            (Box::new(engine), Some(snapshots))
        }
    })
}

/// Where stored data are.
fn disk_of(store: &StoreConfig, reserve: DiskReserve) -> Option<Disk> {
    match store {
        StoreConfig::Memory => None,
        StoreConfig::Directory(path) => Some(Disk {
            path: path.clone(),
            reserve,
        }),
    }
}

fn open_media(config: &ServerConfig) -> Result<Option<Arc<dyn MediaStore>>, StartError> {
    let StoreConfig::Directory(path) = &config.store else {
        return Ok(None);
    };
    let path = path.join("media");
    let bounds = Bounds {
        keep_s: config.media.keep_s,
        bytes_max: config.media.bytes_max,
        disk_reserve: config.disk_reserve,
    };
    match Directory::open(&path, bounds) {
        Ok(directory) => Ok(Some(Arc::new(directory))),
        Err(source) => Err(StartError::Media { path, source }),
    }
}

/// How many bytes each app may store, where it has a quota.
fn stored_bounds(apps: &Apps) -> StoredBounds {
    let quotas = apps.listed.keys().map(|app| (app, apps.quotas(app)));
    let bounds = quotas.filter_map(|(app, quotas)| Some((app.clone(), quotas.max_bytes?)));
    bounds.filter(|(_, max)| *max > 0).collect()
}

/// Passes answers to the hubs, and reports the store's state.
struct StoreSink {
    mailboxes: Vec<Arc<Mailbox>>,
    readiness: Arc<Readiness>,
}

impl AnswerSink for StoreSink {
    fn answers(&self, hub: HubId, answers: Vec<(Ticket, StoreAnswer)>) {
        let envelopes = answers.into_iter();
        let envelopes = envelopes.map(|(ticket, answer)| Envelope::Stored { ticket, answer });
        self.mailboxes[hub.index()].post(envelopes.collect());
    }

    fn health(&self, health: &Health) {
        self.readiness.note_store(&health.access);
    }

    fn committed(&self, operations: usize, began: SystemTime, is_well: bool) {
        if !tidings_spans::is_on() {
            return;
        }
        let operations = i64::try_from(operations).unwrap_or(i64::MAX);
        let noted = [("tidings.operations", operations.into())];
        let failure = (!is_well).then_some("the store does not accept everything");
        tidings_spans::record("store.commit", Kind::Internal, began, &noted, failure);
    }
}

fn open_loops(hubs: u16) -> Result<Vec<(Poll, Inbox)>, StartError> {
    let open = || {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        Ok((poll, Inbox::new(waker)))
    };
    (0..hubs)
        .map(|_| open().map_err(StartError::system("open an event loop")))
        .collect()
}

fn start_worker(mut parts: WorkerParts) -> Result<JoinHandle<Option<Snapshot>>, StartError> {
    let registry = parts.poll.registry();
    let listener: &mut TcpListener = &mut parts.listener;
    registry
        .register(listener, LISTENER, Interest::READABLE)
        .map_err(StartError::system("watch the listener"))?;
    let hub = parts.hub.id;
    Builder::new()
        .name(format!("hub-{}", hub.hub))
        .spawn(move || {
            // A hub that has panicked may be in any state: the process ends, and its clients resume
            // elsewhere or after the restart (contract CRA-9).
            match catch_unwind(AssertUnwindSafe(|| Worker::new(parts).run())) {
                Ok(Ok(snapshot)) => return Some(snapshot),
                Ok(Err(error)) => {
                    tracing::error!(hub = hub.hub, %error, "a hub's event loop failed")
                }
                Err(_) => tracing::error!(hub = hub.hub, "a hub panicked"),
            }
            std::process::abort();
        })
        .map_err(StartError::system("start a hub's thread"))
}

fn seed() -> Result<[u8; 32], StartError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| StartError::System {
        action: "draw random numbers",
        source: error.into(),
    })?;
    Ok(seed)
}

fn random() -> Result<u64, StartError> {
    let seed = seed()?;
    let (half, _) = seed.split_first_chunk().expect("32 bytes hold 8");
    Ok(u64::from_le_bytes(*half))
}
