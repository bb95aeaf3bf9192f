//! How a server starts: the stages, in their order, and what each leaves for the next.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use mio::net::TcpListener;
use mio::{Interest, Poll, Waker};
use tidings_api::admin::Admin;
use tidings_api::metrics::Meters;
use tidings_api::{Api, ApiParts};
use tidings_bus::Homes;
use tidings_hub::admission::Admission;
use tidings_hub::ids::HubId;
use tidings_hub::used::UsedRates;
use tidings_hub::{Apps, HubConfig, Snapshot};
use tidings_store::Committer;
use tidings_store::embedded::Snapshots;

use crate::api::config::ApiConfig;
use crate::api::{self, ApiPort, NodeHubs, PortParts};
use crate::bounds::HUBS_MAX;
use crate::clock::Clock;
use crate::cluster::{self, ClusterPlace, Joined, Membership};
use crate::commands::Command;
use crate::config::{DRAIN_WINDOW_MS_MAX, ServerConfig, StoreConfig};
use crate::error::StartError;
use crate::gate::Gate;
use crate::http::{HttpDoor, MediaDoor};
use crate::key_sets::{AppsPlace, KeySets, Reports};
use crate::legacy::LegacyDoor;
use crate::mailbox::{Inbox, Mailbox};
use crate::media::MediaStore;
use crate::memory::{Intake, MEMORY_MIN, Watch, memory_max_default};
use crate::meters::NodeMeters;
use crate::opening::open_doors;
use crate::readiness::{Phase, Readiness};
use crate::server::{RunningServer, ServerHandle};
use crate::storage::{StoreSink, disk_of, open_engine, open_media, stored_bounds};
use crate::supervisor::{DRAIN, Supervisor};
use crate::tls::Tls;
use crate::webhooks::{self, WebhooksThread};
use crate::worker::{LISTENER, Node, WAKER, Worker, WorkerParts};
use crate::{http, listen, login, moderating};

/// Channels that a hub may begin in one life of its node's number, as a power of two, before its
/// counts could meet those of the next life. Source: specification of the cluster.
const EPOCH_BITS: u32 = 20;

/// What clients are told of the server.
const SERVER: &str = concat!("tidings ", env!("CARGO_PKG_VERSION"));

/// Starts a server, stage by stage: [`crate::Server::start`] has the errors.
pub(crate) fn start(mut config: ServerConfig) -> Result<RunningServer, StartError> {
    check(&config)?;
    config.memory_max = memory_bound(config.memory_max);
    let mut base = Base::open(&config)?;
    let office = Office::open(&base, &config)?;
    let gate = Gate::new(&config.limits, config.trusted_proxies.clone());
    let (front, door) = Front::open(&mut base, &office, &gate, &config)?;
    let node = shared(&base, &office, &front, (gate, door), &config)?;
    let (control, commands) = channel();
    // Order: health is told by now, and no hub is there yet, which has the node's number.
    let joined = base.join_cluster(&config, &control)?;
    let placed = config.cluster.as_ref().zip(joined.as_ref());
    let place = placed.map(|(settings, joined)| cluster::place(settings, joined));
    let place = place.transpose()?;
    let hubs = Hubs::start(&mut base, &node, &office.apps, &config, place)?;
    let directory = match &config.store {
        // Sessions of a node that has ended are its cluster's affair: they may be elsewhere by now.
        _ if joined.is_some() => None,
        StoreConfig::Memory => None,
        StoreConfig::Directory(path) => Some(path.clone()),
    };
    open_doors(
        directory.as_deref(),
        &base.mailboxes,
        &office.apps,
        base.clock,
    );
    let place = Arc::new(AppsPlace::new(
        front.media.clone(),
        office.api.clone(),
        base.mailboxes.clone(),
    ));
    let key_sets = Reports::default();
    let mut sets = KeySets::new(place.clone(), key_sets.clone());
    sets.look(&office.apps);
    let handle = ServerHandle {
        control,
        readiness: base.readiness.clone(),
        mailboxes: base.mailboxes.clone(),
        store: base.committer.submitter(),
        snapshots: base.snapshots,
        office: office.admin,
        key_sets,
        meters: front.meters,
    };
    let api_addr = front.api_port.as_ref().map(ApiPort::address);
    let readiness = base.readiness.clone();
    let supervisor = Supervisor {
        drain: Duration::from_millis(config.drain_window_ms) + DRAIN,
        directory,
        memory: config.memory_max.map(|max| Watch::new(max, config.hubs)),
        tls: base.tls,
        readiness: base.readiness,
        mailboxes: base.mailboxes,
        workers: hubs.workers,
        all_drained: hubs.all_drained,
        node,
        media: front.media,
        api: office.api,
        api_port: front.api_port,
        place,
        key_sets: sets,
        webhooks: office.webhooks,
        http_thread: front.http_thread,
        committer: base.committer,
        lessee: joined.map(|joined| joined.lessee),
    };
    let supervisor = Builder::new()
        .name("supervisor".into())
        .spawn(move || supervisor.run(&commands))
        .map_err(StartError::system("start the supervisor's thread"))?;
    readiness.advance(Phase::Ready);
    tracing::info!(address = %base.local_addr, hubs = config.hubs, "ready");
    Ok(RunningServer {
        local_addr: base.local_addr,
        admin_addr: base.admin_addr,
        api_addr,
        handle,
        supervisor,
    })
}

/// What all hubs share.
fn shared(
    base: &Base,
    office: &Office,
    front: &Front,
    (gate, door): (Arc<Gate>, HttpDoor),
    config: &ServerConfig,
) -> Result<Arc<Node>, StartError> {
    Ok(Arc::new(Node {
        admission: Mutex::new(Admission::new(
            config.limits.login_rate,
            config.limits.login_queue,
        )),
        used: Mutex::new(UsedRates::new((random()?, random()?))),
        names: std::hash::RandomState::new(),
        intake: Intake::default(),
        replay_bytes_max: replay_bytes_max(config.memory_max, config.hubs),
        clock: base.clock,
        gate,
        origins: config.origins.clone(),
        limits: config.limits,
        tls: base.tls.as_ref().map(Tls::config),
        http: door,
        webhooks: office.webhooks.webhooks(),
        readiness: base.readiness.clone(),
        names_hubs: config.names_hubs,
        legacy: front.legacy.clone(),
        membership: base.membership.clone(),
    }))
}

/// What everything else stands on: the store, the ports and the loops of the hubs.
struct Base {
    tls: Option<Tls>,
    snapshots: Option<Snapshots>,
    media: Option<Arc<dyn MediaStore>>,
    admin: Option<std::net::TcpListener>,
    admin_addr: Option<SocketAddr>,
    /// One for each hub, until the hubs are started.
    listeners: Vec<TcpListener>,
    local_addr: SocketAddr,
    clock: Clock,
    readiness: Arc<Readiness>,
    membership: Option<Arc<Membership>>,
    /// One for each hub, until the hubs are started.
    loops: Vec<(Poll, Inbox)>,
    mailboxes: Vec<Arc<Mailbox>>,
    committer: Committer,
}

impl Base {
    fn open(config: &ServerConfig) -> Result<Self, StartError> {
        let tls = config.tls.as_ref().map(Tls::open).transpose()?;
        // Order: the store before the port, so that a refused second start never takes connections
        // of the first.
        let (engine, snapshots) = open_engine(config)?;
        let media = open_media(config)?;
        let admin = config.admin_listen.map(listen::open_one).transpose()?;
        let admin_addr = admin.as_ref().and_then(|admin| admin.local_addr().ok());
        let (mut listeners, local_addr) = listen::open(config.listen, config.hubs)?;
        if config.cluster.is_some() {
            // The port is free, and good. While the node waits for its place, whoever connects is
            // to be refused and goes to another node, rather than wait as well.
            listeners.clear();
        }
        let clock = Clock::start();
        let cluster = config.cluster.as_ref();
        let membership = cluster.map(|cluster| Arc::new(Membership::new(&cluster.advertise)));
        let readiness = Readiness::new(clock, config.hubs).in_cluster(membership.clone());
        let readiness = Arc::new(readiness);
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
        Ok(Self {
            tls,
            snapshots,
            media,
            admin,
            admin_addr,
            listeners,
            local_addr,
            clock,
            readiness,
            membership,
            loops,
            mailboxes,
            committer,
        })
    }

    /// Takes the node's place in its cluster, however long NATS is away; `None` = it is alone.
    fn join_cluster(
        &mut self,
        config: &ServerConfig,
        control: &Sender<Command>,
    ) -> Result<Option<Joined>, StartError> {
        let Some((settings, membership)) = config.cluster.as_ref().zip(self.membership.as_ref())
        else {
            return Ok(None);
        };
        let (hubs, control) = (config.hubs, control.clone());
        let joined = cluster::join(settings, hubs, membership, &self.mailboxes, control)?;
        (self.listeners, _) = listen::open(self.local_addr, hubs)?;
        Ok(Some(joined))
    }
}

/// What operators and backends talk to: the API, with its keys, bans and webhooks.
struct Office {
    admin: Arc<Admin>,
    api: Arc<Api>,
    /// With the bans that are stored.
    apps: Arc<Apps>,
    webhooks: WebhooksThread,
}

impl Office {
    fn open(base: &Base, config: &ServerConfig) -> Result<Self, StartError> {
        let ApiConfig {
            keys,
            settings,
            registry,
            ..
        } = config.api.clone();
        let files = api::files(&config.store);
        let admin = Admin::open(&base.committer.submitter(), registry, files)?;
        let mut apps = config.apps.clone();
        // Before anybody can log in.
        admin.bans.apply(&mut apps);
        let (admin, apps) = (Arc::new(admin), Arc::new(apps));
        let hubs = NodeHubs {
            mailboxes: base.mailboxes.clone(),
            readiness: base.readiness.clone(),
        };
        let api = Api::new(ApiParts {
            hubs: Arc::new(hubs),
            keys,
            admin: admin.clone(),
            apps: apps.clone(),
            store: base.committer.submitter(),
            settings,
            seed: seed()?,
        });
        let on_rules = moderating::on_rules(base.mailboxes.clone());
        let store = base.committer.submitter();
        let webhooks = webhooks::start(config.webhooks.clone(), store, on_rules)?;
        api.set_webhooks(webhooks.webhooks());
        if let Some(login) = config.login.clone() {
            api.set_login(login::parts(login));
        }
        Ok(Self {
            admin,
            api,
            apps,
            webhooks,
        })
    }
}

/// What is served over HTTP: pages, media, health, metrics and the API.
struct Front {
    media: Arc<MediaDoor>,
    legacy: Arc<LegacyDoor>,
    meters: Arc<dyn Meters>,
    http_thread: JoinHandle<()>,
    api_port: Option<ApiPort>,
}

impl Front {
    /// Also returns the door by which hubs pass HTTP requests on: whoever has it keeps the thread
    /// alive.
    fn open(
        base: &mut Base,
        office: &Office,
        gate: &Arc<Gate>,
        config: &ServerConfig,
    ) -> Result<(Self, HttpDoor), StartError> {
        let (clock, has_tls) = (base.clock, base.tls.is_some());
        let media = MediaDoor::new(
            base.media.take(),
            office.apps.clone(),
            config.origins.clone(),
            clock,
            config.media,
        );
        let legacy = LegacyDoor::new(config.legacy.clone(), has_tls, base.membership.clone());
        let legacy = Arc::new(legacy);
        let meters = meters(base, office, gate, &media, config);
        office.api.set_meters(meters.clone());
        let api_router = tidings_api::router(office.api.clone());
        let pages = http::Pages {
            // Where the API has a port of its own, it is the operators'.
            console: config.console && config.api.listen.is_none(),
            demo: config.demo,
            guide: config.guide,
            has_tls,
        };
        let operators = http::Pages {
            console: config.console,
            ..pages
        };
        let (door, http_thread) = http::start(http::HttpParts {
            readiness: base.readiness.clone(),
            media: media.clone(),
            legacy: legacy.clone(),
            pages,
            clock,
            limits: config.limits,
            api: api_router.clone(),
            meters: meters.clone(),
            admin: base.admin.take(),
        })
        .map_err(StartError::system("start the HTTP thread"))?;
        let api_port = config.api.listen.map(|address| {
            api::start(PortParts {
                address,
                threads: config.api.threads,
                router: http::beside_console(api_router, &operators),
                gate: gate.clone(),
                clock,
                tls: base.tls.as_ref().map(Tls::config),
            })
        });
        let front = Self {
            media,
            legacy,
            meters,
            http_thread,
            api_port: api_port.transpose()?,
        };
        Ok((front, door))
    }
}

fn meters(
    base: &Base,
    office: &Office,
    gate: &Arc<Gate>,
    media: &Arc<MediaDoor>,
    config: &ServerConfig,
) -> Arc<dyn Meters> {
    Arc::new(NodeMeters {
        mailboxes: base.mailboxes.clone(),
        store: base.committer.submitter(),
        readiness: base.readiness.clone(),
        gate: gate.clone(),
        media: media.clone(),
        webhooks: office.webhooks.webhooks(),
        clock: base.clock,
        memory_max: config.memory_max,
        replay_bytes_max: replay_bytes_max(config.memory_max, config.hubs),
        disk: disk_of(&config.store, config.disk_reserve),
        membership: base.membership.clone(),
        strangers_max: config.limits.preauth_connections_max,
        api: Arc::downgrade(&office.api),
        state: Mutex::default(),
    })
}

/// The threads of the hubs.
struct Hubs {
    workers: Vec<JoinHandle<Option<Snapshot>>>,
    all_drained: Receiver<HubId>,
}

impl Hubs {
    fn start(
        base: &mut Base,
        node: &Arc<Node>,
        apps: &Arc<Apps>,
        config: &ServerConfig,
        place: Option<ClusterPlace>,
    ) -> Result<Self, StartError> {
        let place = place.map(Arc::new);
        let cluster = place.as_ref().map(|place| &place.config);
        let node_number = cluster.map_or(0, |config| config.node);
        let epoch_base = cluster.map(|config| config.incarnation << EPOCH_BITS);
        let (drained, all_drained) = channel();
        let homes = Homes::new(config.hubs, (random()?, random()?)).on_node(node_number);
        let loops = base.loops.drain(..).zip(base.listeners.drain(..));
        let mut workers = Vec::new();
        for (number, ((poll, inbox), listener)) in (0..).zip(loops) {
            let hub = HubId {
                node: node_number,
                hub: number,
            };
            let hub = HubConfig {
                epoch_base,
                ..hub_config(hub, apps, config.drain_window_ms)?
            };
            workers.push(start_worker(WorkerParts {
                node: node.clone(),
                poll,
                listener,
                inbox,
                peers: base.mailboxes.clone(),
                homes,
                cluster: place.clone(),
                hub,
                store: base.committer.submitter(),
                drained: drained.clone(),
            })?);
        }
        Ok(Self {
            workers,
            all_drained,
        })
    }
}

/// In bytes; `None` = the amount of memory is unknown.
fn memory_bound(stated: Option<u64>) -> Option<u64> {
    let bytes = stated.or_else(memory_max_default);
    bytes.map(|bytes| bytes.max(MEMORY_MIN))
}

/// Whether the settings are within their bounds.
fn check(config: &ServerConfig) -> Result<(), StartError> {
    if !(1..=HUBS_MAX).contains(&config.hubs) {
        return Err(StartError::Hubs(config.hubs));
    }
    if config.drain_window_ms > DRAIN_WINDOW_MS_MAX {
        return Err(StartError::DrainWindow(config.drain_window_ms));
    }
    if let Some(settings) = &config.cluster {
        cluster::check(settings)?;
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
        epoch_base: None,
    })
}

/// A quarter of the memory is for what clients have not confirmed, in equal parts (contract
/// DEL-12).
fn replay_bytes_max(memory_max: Option<u64>, hubs: u16) -> usize {
    let bytes = memory_max.map(|max| max / 4 / u64::from(hubs));
    bytes
        .and_then(|bytes| usize::try_from(bytes).ok())
        .unwrap_or(usize::MAX)
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
