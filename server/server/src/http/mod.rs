//! Everything that is not a WebSocket: one thread, HTTP/1 and, with TLS, HTTP/2.
//!
//! Hubs hand their visitors over, with what has been read of the request. A connection is kept for
//! further requests; one that wants a WebSocket goes back to its hub, with what has been read.
//!
//! **Reading order.** `visit` (a connection, its requests, its end), `visits` (places), `pace` (how
//! long, how slow), `guest` (whom a request is from), `io` and `linger` (bytes), `routes` and
//! `files` (pages), `addresses`, `media`, `admin`.

mod addresses;
mod admin;
mod answered;
mod files;
mod guest;
mod io;
mod linger;
mod media;
mod pace;
mod routes;
mod visit;
mod visits;

use std::cell::RefCell;
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use rustls::ServerConnection;
use tidings_api::metrics::Meters;
use tidings_wire::limits::VISITS_MAX;
use tokio::runtime;
use tokio::sync::mpsc::{Permit, Receiver, Sender, channel};
use tokio::task::{LocalSet, spawn_local};

pub use self::files::unbuilt;
pub(crate) use self::media::MediaDoor;
use self::pace::Waits;
pub(crate) use self::routes::beside_console;
use self::visit::{House, visit};
use crate::clock::Clock;
use crate::config::Limits;
use crate::gate::StrangerPlace;
use crate::legacy::LegacyDoor;
use crate::mailbox::Mailbox;
use crate::readiness::Readiness;

/// How long requests may still take when the server ends.
const LAST_VISITS: Duration = Duration::from_secs(2);

/// Threads that wait for the disk. More than a few make no disk faster.
const DISK_THREADS_MAX: usize = 8;

/// A connection with its request, or the beginning of it.
pub(crate) struct Visitor {
    pub(crate) tcp: TcpStream,
    /// Boxed, because it is moved from one part of a visit to the next.
    pub(crate) tls: Option<Box<ServerConnection>>,
    /// What has been read, unencrypted.
    pub(crate) bytes: Vec<u8>,
    /// Visitors never log in: they count as strangers all the time.
    pub(crate) stranger: StrangerPlace,
    /// The hub that it comes from, and goes back to if it wants a WebSocket.
    pub(crate) home: Arc<Mailbox>,
}

/// Where hubs hand visitors in.
pub(crate) struct HttpDoor {
    /// Bound: as many wait as there are places.
    visitors: Sender<Visitor>,
}

impl HttpDoor {
    /// A place in the queue for one visitor, if there is one.
    pub(crate) fn place(&self) -> Option<Permit<'_, Visitor>> {
        self.visitors.try_reserve().ok()
    }
}

/// Which pages there are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pages {
    pub(crate) console: bool,
    pub(crate) demo: bool,
    pub(crate) guide: bool,
    /// Clients come by TLS.
    pub(crate) has_tls: bool,
}

/// What the HTTP thread serves.
pub(crate) struct HttpParts {
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) media: Arc<MediaDoor>,
    pub(crate) legacy: Arc<LegacyDoor>,
    pub(crate) pages: Pages,
    pub(crate) clock: Clock,
    pub(crate) limits: Limits,
    /// The routes of the server-side API.
    pub(crate) api: axum::Router,
    /// What `/metrics` tells on the operators' listener.
    pub(crate) meters: Arc<dyn Meters>,
    /// The operators' own listener.
    pub(crate) admin: Option<TcpListener>,
}

/// Starts the thread. It ends when the last door has been dropped.
pub(crate) fn start(parts: HttpParts) -> std::io::Result<(HttpDoor, JoinHandle<()>)> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(DISK_THREADS_MAX)
        .build()?;
    let (visitors, receiver) = channel(VISITS_MAX);
    let thread = Builder::new()
        .name("http".into())
        .spawn(move || LocalSet::new().block_on(&runtime, serve(receiver, parts)))?;
    Ok((HttpDoor { visitors }, thread))
}

async fn serve(mut visitors: Receiver<Visitor>, parts: HttpParts) {
    let HttpParts {
        readiness,
        media,
        legacy,
        pages,
        clock,
        limits,
        api,
        meters,
        admin,
    } = parts;
    spawn_local(media::sweep(media.clone()));
    if let Some(listener) = admin {
        let routes = routes::health(&readiness).merge(routes::metrics(meters));
        let routes = routes::guarded(routes, &pages);
        spawn_local(admin::serve(listener, routes));
    }
    let router = routes::routes(&pages, &readiness)
        .merge(media::routes(media))
        .merge(addresses::routes(legacy));
    let house = Rc::new(House {
        router: routes::guarded(router, &pages),
        api,
        readiness,
        clock,
        waits: Waits::new(&limits),
        visits: RefCell::default(),
        lingering: RefCell::default(),
    });
    let mut visits = tokio::task::JoinSet::new();
    while let Some(visitor) = visitors.recv().await {
        visits.spawn_local(visit(house.clone(), Box::new(visitor)));
        // Those that have ended are forgotten.
        while visits.try_join_next().is_some() {}
    }
    house.visits.borrow_mut().finish();
    let _ = tokio::time::timeout(LAST_VISITS, visits.join_all()).await;
}
