//! How a server starts: the stages, in their order, and what each leaves for the next.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use mio::Interest;
use mio::net::TcpListener;
use tidings_bus::Homes;
use tidings_hub::admission::Admission;
use tidings_hub::ids::HubId;
use tidings_hub::used::UsedRates;
use tidings_hub::{Apps, HubConfig, Snapshot};

use crate::api::ApiPort;
use crate::bounds::HUBS_MAX;
use crate::cluster::{self, ClusterPlace};
use crate::config::{DRAIN_WINDOW_MS_MAX, ServerConfig, StoreConfig};
use crate::error::StartError;
use crate::gate::Gate;
use crate::http::HttpDoor;
use crate::key_sets::{AppsPlace, KeySets, Reports};
use crate::memory::{Intake, MEMORY_MIN, Watch, memory_max_default};
use crate::opening::open_doors;
use crate::readiness::Phase;
use crate::server::{RunningServer, ServerHandle};
use crate::stages::{Base, Front, Office, random, replay_bytes_max, seed};
use crate::supervisor::{DRAIN, Supervisor};
use crate::tls::Tls;
use crate::worker::{LISTENER, Node, Worker, WorkerParts};

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
