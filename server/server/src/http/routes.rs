//! Routes to pages, health and files.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::header::{
    ACCEPT, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, REFERRER_POLICY, RETRY_AFTER,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{Response, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::IntoResponse as _;
use axum::routing::get;
use serde_json::json;
use tidings_api::Stranger;
use tidings_api::metrics::{METRICS_TYPE, Meters};

use super::Pages;
use super::files::{CONSOLE, DEMO, File, Files, GUIDE, SDK};
use crate::head::{LIVES_PATH, READY_PATH, Refusal};
use crate::readiness::{Readiness, Report};

/// What an answer that is no page may load and run: nothing.
const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'";

/// Browsers use TLS for so long, in seconds, once they have: half a year.
const TLS_ONLY: &str = "max-age=15768000";

/// Of a path that an answer repeats, at most so many characters.
const ECHO_MAX: usize = 200;

/// Everything that is served on the port of the clients, but for files of users and addresses of
/// the legacy protocol.
pub(super) fn routes(pages: &Pages, readiness: &Arc<Readiness>) -> Router {
    let mut router = health(readiness).route("/sdk/{*path}", get(sdk));
    if pages.console {
        router = router.merge(console());
    }
    if pages.demo {
        router = router
            .route("/", get(|query| to("demo/", query)))
            .route("/demo", get(|query| to("demo/", query)))
            .route("/demo/", get(|request: Request| page(DEMO, "", request)))
            .route(
                "/demo/{*path}",
                get(|Path(path): Path<String>, request: Request| async move {
                    page(DEMO, &path, request).await
                }),
            );
    }
    if pages.guide {
        router = router
            .route("/docs", get(|query| to("docs/", query)))
            .route("/docs/", get(|request: Request| page(GUIDE, "", request)))
            .route(
                "/docs/{*path}",
                get(|Path(path): Path<String>, request: Request| async move {
                    page(GUIDE, &path, request).await
                }),
            );
    }
    let pages = *pages;
    router.fallback(move |request: Request| nowhere(pages, request))
}

/// The operators' console: files, and nothing else. What it shows and does, it asks the API.
fn console() -> Router {
    Router::new()
        .route("/console", get(|query| to("console/", query)))
        .route(
            "/console/",
            get(|request: Request| page(CONSOLE, "", request)),
        )
        .route(
            "/console/{*path}",
            get(|Path(path): Path<String>, request: Request| async move {
                page(CONSOLE, &path, request).await
            }),
        )
        .layer(from_fn(apart))
}

/// Keeps the console apart from every other page, in this window and in others.
async fn apart(request: Request, next: Next) -> Response<Body> {
    let mut response = next.run(request).await;
    for (name, value) in [
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("x-frame-options", "DENY"),
        (
            "permissions-policy",
            "camera=(), microphone=(), geolocation=()",
        ),
    ] {
        let name = HeaderName::from_static(name);
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The API's own port: the API, and the console if that is served. Files need no key there, so
/// that whoever asks for them is counted as a stranger.
pub(crate) fn beside_console(api: Router, pages: &Pages) -> Router {
    if !pages.console {
        return api;
    }
    let console = guarded(console(), pages).layer(from_fn(admit));
    console.fallback_service(api)
}

async fn admit(request: Request, next: Next) -> Response<Body> {
    let stranger = request.extensions().get::<Arc<dyn Stranger>>();
    if let Some(Err(wait_ms)) = stranger.map(|stranger| stranger.check()) {
        let mut response = StatusCode::TOO_MANY_REQUESTS.into_response();
        let wait_s = HeaderValue::from(wait_ms.div_ceil(1_000));
        response.headers_mut().insert(RETRY_AFTER, wait_s);
        return response;
    }
    next.run(request).await
}

/// What operators ask for, on this port and on theirs.
pub(super) fn health(readiness: &Arc<Readiness>) -> Router {
    Router::new()
        .route(LIVES_PATH, get(|| async { report(Report::lives()) }))
        .route(READY_PATH, get(ready))
        .route("/version", get(version))
        .with_state(readiness.clone())
}

/// Metrics without a key, for the operators' listener only.
pub(super) fn metrics(meters: Arc<dyn Meters>) -> Router {
    let answer = || async move {
        // It waits for the hubs.
        let read = tokio::task::spawn_blocking(move || meters.read().to_text());
        match read.await {
            Ok(Ok(text)) => ([(CONTENT_TYPE, METRICS_TYPE)], text).into_response(),
            Ok(Err(error)) => broken(&error),
            Err(error) => broken(&error),
        }
    };
    Router::new().route("/metrics", get(answer))
}

fn broken(error: &dyn std::error::Error) -> Response<Body> {
    tracing::error!(%error, "the metrics could not be read");
    let text = "the metrics could not be read\nhint: The log tells why.\n";
    (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
}

async fn ready(State(readiness): State<Arc<Readiness>>) -> Response<Body> {
    report(readiness.report())
}

fn report(report: Report) -> Response<Body> {
    let mut response = report.text.into_response();
    let headers = response.headers_mut();
    let json = HeaderValue::from_static("application/json");
    headers.insert(CONTENT_TYPE, json);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if !report.is_good {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}

async fn version() -> Response<Body> {
    let body = json!({ "name": "tidings", "version": env!("CARGO_PKG_VERSION") });
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, format!("{body}\n")).into_response()
}

/// To another address, with the query: `/demo?user=alice` logs alice in. The address is relative,
/// so that it holds behind a proxy that serves all of this under a path of its own.
async fn to(place: &'static str, RawQuery(query): RawQuery) -> Response<Body> {
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    let mut response = StatusCode::TEMPORARY_REDIRECT.into_response();
    if let Ok(place) = HeaderValue::from_str(&format!("{place}{query}")) {
        response.headers_mut().insert(LOCATION, place);
    }
    response
}

async fn page(files: Files, path: &str, request: Request) -> Response<Body> {
    if let Some(file) = files.page(path) {
        return file.serve(request);
    }
    if files.is_empty() {
        return missing(
            &request,
            "this program was built without its pages",
            "Build them with `cargo xtask web`, then the program.",
        );
    }
    // The guide has a page for it.
    match files
        .find("404.html")
        .filter(|_| wants_page(request.headers()))
    {
        Some(file) => file.serve_missing(request.headers()),
        None => missing(
            &request,
            &format!("there is no page {}", echo(request.uri().path())),
            "Look for it from the first page, /console/, /demo/ or /docs/.",
        ),
    }
}

/// Bundles and packages.
async fn sdk(Path(path): Path<String>, request: Request) -> Response<Body> {
    let file = SDK.iter().find_map(|files| files.find(&path));
    let mut response = match file {
        Some(file) => File::serve(file, request),
        None if SDK.iter().all(|files| files.is_empty()) => missing(
            &request,
            "this program was built without the SDK's files",
            "Build them with `cargo xtask web`, then the program.",
        ),
        None => missing(
            &request,
            &format!(
                "there is no file {} in this version",
                echo(request.uri().path())
            ),
            "The guide names the files: /docs/.",
        ),
    };
    // Pages of any origin may load the SDK; it holds no secret.
    let any = HeaderValue::from_static("*");
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, any);
    let anybody = HeaderValue::from_static("cross-origin");
    let policy = HeaderName::from_static("cross-origin-resource-policy");
    headers.insert(policy, anybody);
    response
}

async fn nowhere(pages: Pages, request: Request) -> Response<Body> {
    let there = [
        (pages.console, "/console/ is the operators' console; "),
        (pages.demo, "/demo/ is a demonstration; "),
        (pages.guide, "/docs/ is the guide; "),
    ];
    let pages: String = there
        .iter()
        .filter_map(|(is_there, text)| is_there.then_some(*text))
        .collect();
    let hint = format!(
        "Clients connect to /rtm with the SDK; {pages}/sdk/ has the SDK's files, /healthz and /readyz say how the server is."
    );
    let what = format!("there is nothing at {}", echo(request.uri().path()));
    missing(&request, &what, &hint)
}

/// Whether a person looks at the answer.
fn wants_page(headers: &HeaderMap) -> bool {
    let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    accepted.is_some_and(|accepted| accepted.contains("text/html"))
}

/// A path as an answer may repeat it: of bounded length. A path is ASCII, without control
/// characters and spaces.
fn echo(path: &str) -> String {
    match path.char_indices().nth(ECHO_MAX) {
        Some((end, _)) => format!("{}…", &path[..end]),
        None => path.to_owned(),
    }
}

fn missing(request: &Request, what: &str, hint: &str) -> Response<Body> {
    if !wants_page(request.headers()) {
        let text = format!("{what}\nhint: {hint}\n");
        return (StatusCode::NOT_FOUND, text).into_response();
    }
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>Not found</title>\n\
         <style>{STYLE}</style>\n<main>\n<h1>Not found</h1>\n<p>Here {}.</p>\n<p>{}</p>\n</main>\n</html>\n",
        escape(what),
        escape(hint),
    );
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, policy),
    ];
    (StatusCode::NOT_FOUND, headers, page).into_response()
}

const STYLE: &str = "body{font:1.1rem/1.5 system-ui,sans-serif;margin:0}\
    main{max-width:36rem;margin:15vh auto;padding:0 1.5rem;overflow-wrap:anywhere}";

fn escape(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;");
    escaped.replace('>', "&gt;").replace('"', "&quot;")
}

/// An answer to a request that is not served, after which the connection ends.
pub(super) fn refusal(refusal: &Refusal) -> Response<Body> {
    let text = refusal.text();
    let mut response = text.into_response();
    *response.status_mut() =
        StatusCode::from_u16(refusal.status().0).unwrap_or(StatusCode::BAD_REQUEST);
    let headers = response.headers_mut();
    if let Some(seconds) = refusal.retry_after() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Adds the headers that every answer carries.
pub(super) fn guarded(router: Router, pages: &Pages) -> Router {
    router.layer(from_fn_with_state(*pages, guard))
}

async fn guard(State(pages): State<Pages>, request: Request, next: Next) -> Response<Body> {
    let is_local = request.headers().get(HOST).is_some_and(is_local);
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let guards: [(HeaderName, &str); 3] = [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "SAMEORIGIN"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in guards {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    let policy = headers.entry(CONTENT_SECURITY_POLICY);
    policy.or_insert(HeaderValue::from_static(NOTHING));
    // A name of this machine alone is shared with other servers on it, which may have no TLS.
    if pages.has_tls && !is_local {
        let only = HeaderValue::from_static(TLS_ONLY);
        headers.insert(STRICT_TRANSPORT_SECURITY, only);
    }
    response
}

fn is_local(host: &HeaderValue) -> bool {
    let host = host.to_str().unwrap_or_default();
    let name = host.split(':').next().unwrap_or_default();
    name.eq_ignore_ascii_case("localhost") || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_repeated_is_bounded_and_no_markup() {
        assert_eq!(echo("/short"), "/short");
        let long = echo(&format!("/{}", "a".repeat(8_000)));
        assert_eq!(long.chars().count(), ECHO_MAX + 1);
        let request = axum::http::Request::builder()
            .header(ACCEPT, "text/html,*/*")
            .body(Body::empty())
            .expect("a request");
        let response = missing(&request, "<script>\"&", "b");
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(
            escape("<a href=\"x\">&"),
            "&lt;a href=&quot;x&quot;&gt;&amp;"
        );
    }
}
