//! The listener of operators: health and version, whatever strangers do at the port of the clients.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::spawn_local;
use tokio::time::timeout;

/// Connections at once: a few balancers and collectors, each with several.
const CONNECTIONS_MAX: usize = 64;

/// A request's head is complete within this time, and a kept connection waits so long for the next.
const HEAD: Duration = Duration::from_secs(75);

/// The longest that a connection is kept.
const CONNECTION: Duration = Duration::from_secs(3_600);

/// After a failure to accept, mostly for want of file descriptors, the next attempt waits this
/// long.
const RETRY: Duration = Duration::from_millis(100);

/// Serves until it is dropped.
pub(super) async fn serve(listener: std::net::TcpListener, routes: Router) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "the operators' listener failed"),
    };
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        // A semaphore is closed by nobody.
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let tcp = match listener.accept().await {
            Ok((tcp, _)) => tcp,
            Err(error) => {
                tracing::warn!(%error, "an operator's connection could not be accepted");
                tokio::time::sleep(RETRY).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(routes.clone());
        spawn_local(async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD)
                .serve_connection(TokioIo::new(tcp), service);
            if let Ok(Err(error)) = timeout(CONNECTION, connection).await {
                tracing::debug!(%error, "an operator's connection was broken off");
            }
            drop(place);
        });
    }
}
