//! Starts, supervises and ends the threads of a node.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use mio::net::TcpListener;
use mio::{Interest, Poll, Waker};
use tidings_bus::Homes;
use tidings_hub::ids::HubId;
use tidings_hub::{Apps, HubConfig};
use tidings_legacy::AppRules;
use tidings_store::embedded::{EmbeddedEngine, Options};
use tidings_store::{Committer, Engine, MemoryEngine};
use tidings_wire::names::AppId;

use crate::clock::Clock;
use crate::config::{HUBS_MAX, ServerConfig, StoreConfig};
use crate::error::StartError;
use crate::gate::Gate;
use crate::inbox::{Envelope, Inbox, Mailbox};
use crate::legacy::LegacyDoor;
use crate::media::{Bounds, Directory, MediaStore};
use crate::readiness::{Phase, Readiness};
use crate::worker::{LISTENER, Node, WAKER, Worker, WorkerParts};
use crate::{http, listen, tls};

/// How long connections may take to end in a drain. The rest of the 30 s of contract 4.5 is the store's.
const DRAIN: Duration = Duration::from_secs(20);

/// What clients are told of the server.
const SERVER: &str = concat!("tidings ", env!("CARGO_PKG_VERSION"));

/// Makes a server run.
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Starts a server; when it returns, clients are served.
    ///
    /// # Errors
    /// [`StartError`]; nothing is running then.
    pub fn start(config: ServerConfig) -> Result<RunningServer, StartError> {
        if !(1..=HUBS_MAX).contains(&config.hubs) {
            return Err(StartError::Hubs(config.hubs));
        }
        let tls = config.tls.as_ref().map(tls::read).transpose()?;
        // Order: the store before the port, so that a refused second start never takes connections of the first.
        let engine = open_engine(&config)?;
        let media = open_media(&config)?;
        let (listeners, local_addr) = listen::open(config.listen, config.hubs)?;
        let readiness = Arc::new(Readiness::default());
        let clock = Clock::start();
        let apps = Arc::new(config.apps);
        let media = http::MediaDoor::new(
            media,
            apps.clone(),
            config.origins.clone(),
            clock,
            config.media.file_bytes_max,
        );
        let has_tls = tls.is_some();
        let legacy = Arc::new(LegacyDoor::new(config.legacy, clock, has_tls));
        let (http, http_thread) = http::start(readiness.clone(), media.clone(), legacy.clone())
            .map_err(StartError::system("start the HTTP thread"))?;
        let limits = config.limits;
        let node = Arc::new(Node {
            clock,
            gate: Gate::new(&limits, config.trusted_proxies),
            origins: config.origins,
            limits,
            tls,
            http,
            legacy,
        });
        let loops = open_loops(config.hubs)?;
        let mailboxes: Vec<_> = loops.iter().map(|(_, inbox)| inbox.mailbox()).collect();
        let committer = start_store(engine, mailboxes.clone())?;
        let (drained, all_drained) = channel();
        let homes = Homes::new(config.hubs, (random()?, random()?));
        let mut workers = Vec::new();
        for ((number, (poll, inbox)), listener) in (0..).zip(loops).zip(listeners) {
            let hub = HubConfig {
                id: HubId(number),
                seed: seed()?,
                apps: apps.clone(),
                server: SERVER.into(),
            };
            workers.push(start_worker(WorkerParts {
                node: node.clone(),
                poll,
                listener,
                inbox,
                peers: mailboxes.clone(),
                homes,
                hub,
                store: committer.submitter(),
                drained: drained.clone(),
            })?);
        }
        let (control, commands) = channel();
        let supervisor = Supervisor {
            readiness: readiness.clone(),
            mailboxes,
            workers,
            all_drained,
            node,
            media,
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
            drain: DrainHandle { control },
            supervisor,
        })
    }
}

/// A server that runs. Dropped without [`RunningServer::join`], it drains in the background.
#[derive(Debug)]
pub struct RunningServer {
    local_addr: SocketAddr,
    drain: DrainHandle,
    supervisor: JoinHandle<()>,
}

impl RunningServer {
    /// The address really bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Begins to end: clients are sent away with `going_away`, nothing new is accepted. Returns at once.
    pub fn drain(&self) {
        self.drain.drain();
    }

    /// A handle that drains, for a signal handler or another thread.
    pub fn drain_handle(&self) -> DrainHandle {
        self.drain.clone()
    }

    /// Waits until the server has ended: its connections are closed and the store is on disk. It ends at most
    /// about 25 s after a drain, however clients behave.
    pub fn join(self) {
        let Self {
            drain, supervisor, ..
        } = self;
        // Only other handles can drain it now; without one, nobody could.
        drop(drain);
        supervisor.join().expect("the supervisor does not panic");
    }
}

/// Drains a server, and gives it other tenants.
#[derive(Debug, Clone)]
pub struct DrainHandle {
    control: Sender<Command>,
}

impl DrainHandle {
    /// See [`RunningServer::drain`]. A server that is draining or has ended is left alone.
    pub fn drain(&self) {
        let _ = self.control.send(Command::Drain);
    }

    /// Replaces the rules of legacy logins of single apps; they count from each user's next login on.
    pub fn replace_legacy_rules(&self, rules: BTreeMap<AppId, AppRules>) {
        let _ = self.control.send(Command::LegacyRules(rules));
    }

    /// Replaces the tenants: settings and bans take effect at once, certificates with the next token. A server that
    /// is draining or has ended is left alone.
    pub fn replace_apps(&self, apps: Apps) {
        let _ = self.control.send(Command::Apps(Arc::new(apps)));
    }
}

#[derive(Debug)]
enum Command {
    Drain,
    Apps(Arc<Apps>),
    LegacyRules(BTreeMap<AppId, AppRules>),
}

struct Supervisor {
    readiness: Arc<Readiness>,
    mailboxes: Vec<Arc<Mailbox>>,
    workers: Vec<JoinHandle<()>>,
    all_drained: Receiver<HubId>,
    node: Arc<Node>,
    media: Arc<http::MediaDoor>,
    http_thread: JoinHandle<()>,
    committer: Committer,
}

impl Supervisor {
    fn run(self, commands: &Receiver<Command>) {
        // Drains also when nobody is left who could say it.
        loop {
            match commands.recv() {
                Ok(Command::Apps(apps)) => {
                    self.media.replace_apps(apps.clone());
                    self.tell(|| Envelope::Apps(apps.clone()));
                }
                Ok(Command::LegacyRules(rules)) => self.node.legacy.replace_rules(rules),
                Ok(Command::Drain) | Err(_) => break,
            }
        }
        self.readiness.advance(Phase::Draining);
        tracing::info!("draining");
        let begin = Instant::now();
        self.tell(|| Envelope::Drain);
        for _ in &self.workers {
            let left = DRAIN.saturating_sub(begin.elapsed());
            if self.all_drained.recv_timeout(left).is_err() {
                tracing::warn!("connections are cut that did not end in time");
                break;
            }
        }
        self.tell(|| Envelope::Stop);
        for worker in self.workers {
            // A hub's thread that panics ends the process.
            let _ = worker.join();
        }
        // Order: no hub is left that could hand anything in.
        self.committer.close();
        drop(self.node);
        drop(self.media);
        if self.http_thread.join().is_err() {
            tracing::error!("the HTTP thread panicked");
        }
        tracing::info!(took_ms = begin.elapsed().as_millis(), "ended");
    }

    fn tell(&self, envelope: impl Fn() -> Envelope) {
        for mailbox in &self.mailboxes {
            mailbox.post(vec![envelope()]);
        }
    }
}

fn open_engine(config: &ServerConfig) -> Result<Box<dyn Engine + Send>, StartError> {
    Ok(match &config.store {
        StoreConfig::Memory => Box::new(MemoryEngine::default()),
        StoreConfig::Directory(path) => {
            let options = Options {
                disk_reserve: config.disk_reserve,
                ..Options::default()
            };
            Box::new(EmbeddedEngine::open(path, &options)?)
        }
    })
}

fn open_media(config: &ServerConfig) -> Result<Option<Arc<dyn MediaStore>>, StartError> {
    let StoreConfig::Directory(path) = &config.store else {
        return Ok(None);
    };
    let path = path.join("media");
    let bounds = Bounds {
        keep_s: config.media.keep_s,
        bytes_max: config.media.bytes_max,
        app_bytes_max: config.media.app_bytes_max,
        disk_reserve: config.disk_reserve,
    };
    match Directory::open(&path, bounds) {
        Ok(directory) => Ok(Some(Arc::new(directory))),
        Err(source) => Err(StartError::Media { path, source }),
    }
}

fn start_store(
    engine: Box<dyn Engine + Send>,
    mailboxes: Vec<Arc<Mailbox>>,
) -> Result<Committer, StartError> {
    let sink = move |hub: HubId, answers: Vec<_>| {
        let envelopes = answers.into_iter();
        let envelopes = envelopes.map(|(ticket, answer)| Envelope::Stored { ticket, answer });
        mailboxes[usize::from(hub.0)].post(envelopes.collect());
    };
    Committer::open(engine, sink).map_err(StartError::system("start the store's thread"))
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

fn start_worker(mut parts: WorkerParts) -> Result<JoinHandle<()>, StartError> {
    let registry = parts.poll.registry();
    let listener: &mut TcpListener = &mut parts.listener;
    registry
        .register(listener, LISTENER, Interest::READABLE)
        .map_err(StartError::system("watch the listener"))?;
    let hub = parts.hub.id;
    Builder::new()
        .name(format!("hub-{}", hub.0))
        .spawn(move || {
            // A hub that has panicked may hold anything: the process ends, and its clients resume elsewhere or
            // after the restart (contract CRA-9).
            match catch_unwind(AssertUnwindSafe(|| Worker::new(parts).run())) {
                Ok(Ok(())) => return,
                Ok(Err(error)) => tracing::error!(hub = hub.0, %error, "a hub's event loop failed"),
                Err(_) => tracing::error!(hub = hub.0, "a hub panicked"),
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
