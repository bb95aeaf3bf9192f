//! Everything that is not the native protocol: one thread, plain HTTP/1.1.
//!
//! Hubs hand their visitors over, with what has been read of the request. A connection is served one request and
//! closed: a client that wants a WebSocket opens a connection for it, so none ever has to come back to a hub.

mod addresses;
mod files;
mod io;
mod media;
mod pace;
mod routes;

use std::net::TcpStream;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use axum::middleware::from_fn;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConnection;
use tokio::runtime;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::LocalSet;
use tokio::time::timeout_at;

use self::io::VisitorIo;
pub(crate) use self::media::MediaDoor;
use self::pace::Pace;
use crate::gate::Admission;
use crate::legacy::LegacyDoor;
use crate::readiness::Readiness;

/// HTTP connections at once. More are answered 503.
const VISITORS_MAX: usize = 1_024;

/// How long requests may still take when the server ends.
const LAST_VISITS: Duration = Duration::from_secs(2);

/// Threads that wait for the disk. More than a few make no disk faster.
const DISK_THREADS_MAX: usize = 8;

/// A connection with its request, or the beginning of it.
pub(crate) struct Visitor {
    pub(crate) tcp: TcpStream,
    pub(crate) tls: Option<ServerConnection>,
    /// What has been read, unencrypted.
    pub(crate) bytes: Vec<u8>,
    /// Visitors never log in: they count as strangers all the time.
    pub(crate) admission: Admission,
    pub(crate) permit: OwnedSemaphorePermit,
}

/// Where hubs hand visitors in.
pub(crate) struct HttpDoor {
    visitors: Sender<Visitor>,
    places: Arc<Semaphore>,
}

impl HttpDoor {
    /// A place for one visitor, if there is one.
    pub(crate) fn permit(&self) -> Option<OwnedSemaphorePermit> {
        self.places.clone().try_acquire_owned().ok()
    }

    /// Takes a visitor in.
    pub(crate) fn receive(&self, visitor: Visitor) {
        // There are as many places in the queue as there are permits, so it is never full; it is closed only
        // when the server is ending, and then the visitor's connection is dropped.
        if self.visitors.try_send(visitor).is_err() {
            tracing::debug!("a visitor came too late");
        }
    }
}

/// Starts the thread. It ends when the last door has been dropped.
pub(crate) fn start(
    readiness: Arc<Readiness>,
    media: Arc<MediaDoor>,
    legacy: Arc<LegacyDoor>,
) -> std::io::Result<(HttpDoor, JoinHandle<()>)> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(DISK_THREADS_MAX)
        .build()?;
    let (visitors, receiver) = channel(VISITORS_MAX);
    let thread = Builder::new().name("http".into()).spawn(move || {
        LocalSet::new().block_on(&runtime, serve(receiver, readiness, media, legacy))
    })?;
    let places = Arc::new(Semaphore::new(VISITORS_MAX));
    Ok((HttpDoor { visitors, places }, thread))
}

async fn serve(
    mut visitors: Receiver<Visitor>,
    readiness: Arc<Readiness>,
    media: Arc<MediaDoor>,
    legacy: Arc<LegacyDoor>,
) {
    tokio::task::spawn_local(media::sweep(media.clone()));
    let media = media::routes(media).layer(from_fn(routes::guard));
    let routes = routes::routes(readiness)
        .merge(media)
        .merge(addresses::routes(legacy));
    let mut visits = tokio::task::JoinSet::new();
    while let Some(visitor) = visitors.recv().await {
        visits.spawn_local(visit(visitor, routes.clone()));
        // Those that have ended are forgotten.
        while visits.try_join_next().is_some() {}
    }
    let _ = tokio::time::timeout(LAST_VISITS, visits.join_all()).await;
}

async fn visit(visitor: Visitor, routes: axum::Router) {
    let Visitor {
        tcp,
        tls,
        bytes,
        admission,
        permit,
    } = visitor;
    let pace = Pace::begin();
    let io = match VisitorIo::new(tcp, tls, bytes, pace.clone()) {
        Ok(io) => TokioIo::new(io),
        Err(error) => {
            tracing::debug!(%error, "a visitor could not be taken over");
            return;
        }
    };
    let its_pace = pace.clone();
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(its_pace.clone());
        TowerToHyperService::new(routes.clone()).call(request)
    });
    let connection = http1::Builder::new()
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(5))
        .serve_connection(io, service);
    let mut connection = std::pin::pin!(connection);
    loop {
        let deadline = pace.deadline();
        match timeout_at(deadline, connection.as_mut()).await {
            Ok(Ok(())) => break,
            Ok(Err(error)) => break tracing::debug!(%error, "a visit was broken off"),
            // It has made progress meanwhile.
            Err(_) if pace.deadline() > deadline => {}
            Err(_) => break tracing::debug!("a visit took too long"),
        }
    }
    drop((admission, permit));
}
