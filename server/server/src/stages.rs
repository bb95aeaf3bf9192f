//! The stages of a start, and what each leaves for the next: the store and the ports, what operators
//! and backends talk to, what is served over HTTP.

use std::net::SocketAddr;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use mio::net::TcpListener;
use mio::{Poll, Waker};
use tidings_api::admin::Admin;
use tidings_api::metrics::Meters;
use tidings_api::{Api, ApiParts};
use tidings_hub::Apps;
use tidings_store::Committer;
use tidings_store::embedded::Snapshots;

use crate::api::config::ApiConfig;
use crate::api::{self, ApiPort, NodeHubs, PortParts};
use crate::clock::Clock;
use crate::cluster::{self, Joined, Membership};
use crate::commands::Command;
use crate::config::ServerConfig;
use crate::error::StartError;
use crate::gate::Gate;
use crate::http::{HttpDoor, MediaDoor};
use crate::legacy::LegacyDoor;
use crate::mailbox::{Inbox, Mailbox};
use crate::media::MediaStore;
use crate::meters::NodeMeters;
use crate::readiness::Readiness;
use crate::storage::{StoreSink, disk_of, open_engine, open_media, stored_bounds};
use crate::tls::Tls;
use crate::webhooks::{self, WebhooksThread};
use crate::worker::WAKER;
use crate::{http, listen, login, moderating};

/// What everything else stands on: the store, the ports and the loops of the hubs.
pub(crate) struct Base {
    pub(crate) tls: Option<Tls>,
    pub(crate) snapshots: Option<Snapshots>,
    pub(crate) media: Option<Arc<dyn MediaStore>>,
    pub(crate) admin: Option<std::net::TcpListener>,
    pub(crate) admin_addr: Option<SocketAddr>,
    /// One for each hub, until the hubs are started.
    pub(crate) listeners: Vec<TcpListener>,
    pub(crate) local_addr: SocketAddr,
    pub(crate) clock: Clock,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) membership: Option<Arc<Membership>>,
    /// One for each hub, until the hubs are started.
    pub(crate) loops: Vec<(Poll, Inbox)>,
    pub(crate) mailboxes: Vec<Arc<Mailbox>>,
    pub(crate) committer: Committer,
}

impl Base {
    pub(crate) fn open(config: &ServerConfig) -> Result<Self, StartError> {
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
    pub(crate) fn join_cluster(
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
pub(crate) struct Office {
    pub(crate) admin: Arc<Admin>,
    pub(crate) api: Arc<Api>,
    /// With the bans that are stored.
    pub(crate) apps: Arc<Apps>,
    pub(crate) webhooks: WebhooksThread,
}

impl Office {
    pub(crate) fn open(base: &Base, config: &ServerConfig) -> Result<Self, StartError> {
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
pub(crate) struct Front {
    pub(crate) media: Arc<MediaDoor>,
    pub(crate) legacy: Arc<LegacyDoor>,
    pub(crate) meters: Arc<dyn Meters>,
    pub(crate) http_thread: JoinHandle<()>,
    pub(crate) api_port: Option<ApiPort>,
}

impl Front {
    /// Also returns the door by which hubs pass HTTP requests on: whoever has it keeps the thread
    /// alive.
    pub(crate) fn open(
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

/// A quarter of the memory is for what clients have not confirmed, in equal parts (contract
/// DEL-12).
pub(crate) fn replay_bytes_max(memory_max: Option<u64>, hubs: u16) -> usize {
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

pub(crate) fn seed() -> Result<[u8; 32], StartError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| StartError::System {
        action: "draw random numbers",
        source: error.into(),
    })?;
    Ok(seed)
}

pub(crate) fn random() -> Result<u64, StartError> {
    let seed = seed()?;
    let (half, _) = seed.split_first_chunk().expect("32 bytes hold 8");
    Ok(u64::from_le_bytes(*half))
}
