//! The pages.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{Response, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Redirect};
use axum::routing::get;
use tidings_store::Access;

use super::files::{Demo, Guide, Packages, Sdk, Signaling, answer};
use crate::readiness::{Phase, Readiness};

pub(super) fn routes(readiness: Arc<Readiness>) -> Router {
    Router::new()
        .route("/", get(|| async { Redirect::temporary("/demo/") }))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/demo", get(to_demo))
        .route(
            "/demo/",
            get(|headers: HeaderMap| async move { demo("", &headers) }),
        )
        .route(
            "/demo/{*path}",
            get(
                |Path(path): Path<String>, headers: HeaderMap| async move { demo(&path, &headers) },
            ),
        )
        .route("/docs", get(|| async { Redirect::temporary("/docs/") }))
        .route(
            "/docs/",
            get(|headers: HeaderMap| async move { guide("", &headers) }),
        )
        .route(
            "/docs/{*path}",
            get(
                |Path(path): Path<String>, headers: HeaderMap| async move { guide(&path, &headers) },
            ),
        )
        .route(
            "/sdk/{*path}",
            get(|Path(path): Path<String>, headers: HeaderMap| async move { sdk(&path, &headers) }),
        )
        .fallback(nowhere)
        .with_state(readiness)
        .layer(from_fn(guard))
}

async fn ready(State(readiness): State<Arc<Readiness>>) -> Response<Body> {
    let text = match readiness.phase() {
        Phase::Ready => match readiness.store() {
            Access::Full => return "ready\n".into_response(),
            // Live messages go on, and so do reads and deletions: it is no reason to send everybody away.
            Access::NoSpace { .. } => {
                return "ready\nstore: the disk is nearly full, nothing new is stored\n"
                    .into_response();
            }
            Access::ReadOnly { .. } => {
                "the store is read-only since a write failed: see the log, and the disk\n"
            }
        },
        Phase::Starting => "starting\n",
        Phase::Draining => "draining: clients are being sent away\n",
    };
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "5")], text).into_response()
}

/// The page's own address, with the query: `/demo?user=alice` logs alice in.
async fn to_demo(RawQuery(query): RawQuery) -> Redirect {
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    Redirect::temporary(&format!("/demo/{query}"))
}

fn demo(path: &str, headers: &HeaderMap) -> Response<Body> {
    let page = || answer::<Demo>(&format!("{path}.html"), headers);
    answer::<Demo>(path, headers)
        .or_else(page)
        .unwrap_or_else(|| {
            missing(
                &format!("/demo/{path}"),
                "Build the page with `npm run build` in demo/.",
            )
        })
}

fn guide(path: &str, headers: &HeaderMap) -> Response<Body> {
    answer::<Guide>(path, headers).unwrap_or_else(|| {
        missing(
            &format!("/docs/{path}"),
            "Begin at /docs/; the guide is built with `npm run build` in docs/guide/.",
        )
    })
}

/// Bundles and packages: their names do not overlap.
fn sdk(path: &str, headers: &HeaderMap) -> Response<Body> {
    let mut response = answer::<Sdk>(path, headers)
        .or_else(|| answer::<Signaling>(path, headers))
        .or_else(|| answer::<Packages>(path, headers))
        .unwrap_or_else(|| {
            missing(
                &format!("/sdk/{path}"),
                "Build the bundles and packages with `cargo xtask web`.",
            )
        });
    // Pages of any origin may load the SDK; it holds no secret.
    response
        .headers_mut()
        .insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

fn missing(path: &str, hint: &str) -> Response<Body> {
    let text = format!("there is no file {path} in this build\nhint: {hint}\n");
    (StatusCode::NOT_FOUND, text).into_response()
}

async fn nowhere(request: Request) -> Response<Body> {
    let path = request.uri().path();
    let text = format!(
        "there is nothing at {path}\n\
         hint: Try /demo/ (a demonstration), /docs/ (the guide), /sdk/ (the SDK's files), /healthz or /readyz; \
         SDKs connect to /rtm.\n"
    );
    (StatusCode::NOT_FOUND, text).into_response()
}

/// Headers that every answer carries.
pub(super) async fn guard(request: Request, next: Next) -> Response<Body> {
    let mut response = next.run(request).await;
    let guards: [(HeaderName, &str); 3] = [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "SAMEORIGIN"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in guards {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}
