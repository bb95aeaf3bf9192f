//! The API's own port: threads of their own, HTTP/1.1 and HTTP/2, also without TLS.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tidings_api::Stranger;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::clock::Clock;
use crate::error::StartError;
use crate::forwarded::forwarded_by;
use crate::gate::Gate;
use crate::head::Refusal;
use crate::listen;

/// Connections of one thread at once.
const CONNECTIONS_MAX: usize = 4_096;

/// Within this time a connection has shown a key that is good; a TLS handshake takes no longer.
const STRANGER: Duration = Duration::from_secs(10);

/// A request's head is complete within this time, and a kept connection waits so long for the next.
const IDLE: Duration = Duration::from_secs(75);

/// Requests at once on a connection of HTTP/2.
const HTTP2_STREAMS_MAX: u32 = 256;

/// Memory for a request's head.
const BUFFER_BYTES: usize = 64 * 1024;

/// After a failure to accept, mostly for want of file descriptors, the next attempt waits this
/// long.
const RETRY: Duration = Duration::from_millis(100);

/// How long calls may still take when the server ends.
const LAST_CALLS: Duration = Duration::from_secs(2);

/// What the port needs.
pub(crate) struct PortParts {
    pub(crate) address: SocketAddr,
    pub(crate) threads: u16,
    pub(crate) router: Router,
    pub(crate) gate: Arc<Gate>,
    pub(crate) clock: Clock,
    pub(crate) tls: Option<Arc<rustls::ServerConfig>>,
}

/// The running port. Dropped, it ends.
#[derive(Debug)]
pub(crate) struct ApiPort {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
}

impl ApiPort {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts nothing new, and waits a little for the calls under way.
    pub(crate) fn stop(self) {
        let _ = self.stop.send(true);
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the API panicked");
            }
        }
    }
}

/// Opens the port and starts its threads.
pub(crate) fn start(parts: PortParts) -> Result<ApiPort, StartError> {
    let (listeners, address) = listen::open_shared(parts.address, parts.threads.max(1))?;
    let (stop, stopped) = watch::channel(false);
    let house = Arc::new(House {
        router: parts.router,
        gate: parts.gate,
        clock: parts.clock,
        tls: parts.tls.map(TlsAcceptor::from),
    });
    let mut threads = Vec::new();
    for (number, listener) in listeners.into_iter().enumerate() {
        let runtime = runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(StartError::system("start a thread of the API"))?;
        let (house, stopped) = (house.clone(), stopped.clone());
        let thread = Builder::new()
            .name(format!("api-{number}"))
            .spawn(move || runtime.block_on(serve(listener, house, stopped)))
            .map_err(StartError::system("start a thread of the API"))?;
        threads.push(thread);
    }
    Ok(ApiPort {
        address,
        stop,
        threads,
    })
}

/// What all connections share.
struct House {
    router: Router,
    gate: Arc<Gate>,
    clock: Clock,
    tls: Option<TlsAcceptor>,
}

async fn serve(
    listener: std::net::TcpListener,
    house: Arc<House>,
    mut stopped: watch::Receiver<bool>,
) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "the API's listener failed"),
    };
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let Some((tcp, address, place)) = accepted else {
            continue;
        };
        let (house, stopped) = (house.clone(), stopped.clone());
        connections.spawn(async move {
            connect(&house, tcp, address.ip(), stopped).await;
            drop(place);
        });
        // Those that have ended are forgotten.
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    let _ = timeout(LAST_CALLS, all).await;
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    // A semaphore is closed by nobody.
    let place = places.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((tcp, address)) => Some((tcp, address, place)),
        Err(error) => {
            tracing::warn!(%error, "a connection to the API could not be accepted");
            sleep(RETRY).await;
            None
        }
    }
}

async fn connect(
    house: &Arc<House>,
    tcp: TcpStream,
    address: IpAddr,
    stopped: watch::Receiver<bool>,
) {
    let Some(acceptor) = &house.tls else {
        return talk(house, tcp, address, stopped).await;
    };
    match timeout(STRANGER, acceptor.accept(tcp)).await {
        Ok(Ok(tls)) => talk(house, tls, address, stopped).await,
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake at the API failed"),
        Err(_) => tracing::debug!("a TLS handshake at the API took too long"),
    }
}

async fn talk(
    house: &Arc<House>,
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    address: IpAddr,
    mut stopped: watch::Receiver<bool>,
) {
    let is_known = Arc::new(AtomicBool::new(false));
    let service = {
        let (house, is_known) = (house.clone(), is_known.clone());
        service_fn(move |request| answer(house.clone(), is_known.clone(), address, request))
    };
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .max_buf_size(BUFFER_BYTES)
        .pipeline_flush(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(IDLE)
        .max_concurrent_streams(HTTP2_STREAMS_MAX);
    let connection = builder.serve_connection(TokioIo::new(io), service);
    let mut connection = std::pin::pin!(connection);
    let mut is_stopping = false;
    let mut is_judged = false;
    let mut judgement = std::pin::pin!(sleep(STRANGER));
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection to the API was broken off");
                }
                return;
            }
            () = judgement.as_mut(), if !is_judged => {
                is_judged = true;
                if !is_known.load(Ordering::Relaxed) {
                    return;
                }
            }
            _ = stopped.wait_for(|stopped| *stopped), if !is_stopping => {
                is_stopping = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

async fn answer(
    house: Arc<House>,
    is_known: Arc<AtomicBool>,
    address: IpAddr,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let address = if house.gate.trusts(address) {
        forwarded_by(request.headers(), &house.gate)
    } else {
        Some(address)
    };
    let stranger: Arc<dyn Stranger> = Arc::new(Caller {
        house: house.clone(),
        is_known,
        address,
    });
    request.extensions_mut().insert(stranger);
    TowerToHyperService::new(house.router.clone())
        .call(request)
        .await
}

/// Whom a request is from.
struct Caller {
    house: Arc<House>,
    is_known: Arc<AtomicBool>,
    /// `None` = nobody in particular.
    address: Option<IpAddr>,
}

impl Stranger for Caller {
    fn check(&self) -> Result<(), u64> {
        if self.is_known.load(Ordering::Relaxed) {
            return Ok(());
        }
        let Some(address) = self.address else {
            return Ok(());
        };
        let now_ms = self.house.clock.now().mono_ms;
        let counted = self.house.gate.request(address, now_ms);
        counted.map_err(|full| wait_ms(full.into()))
    }

    fn note_failure(&self) {
        if let Some(address) = self.address {
            let now_ms = self.house.clock.now().mono_ms;
            self.house.gate.note_failure_of(address, now_ms);
        }
    }

    fn address(&self) -> Option<IpAddr> {
        self.address
    }

    fn note_welcome(&self) {
        self.is_known.store(true, Ordering::Relaxed);
    }
}

/// How long somebody waits who was refused.
pub(crate) fn wait_ms(refusal: Refusal) -> u64 {
    u64::from(refusal.retry_after().unwrap_or(5)) * 1_000
}
