//! The way of a call: its id, its caller, its app's rates, its handler, its answer's headers.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{Response, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::routing::any;
use tidings_hub::Apps;
use tidings_wire::names::AppId;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};

use crate::auth::{Caller, Principal, authenticate, check_method};
use crate::desk::{Begun, Desk, Kind, Left, over};
use crate::problem::{Convention, Fault};
use crate::reach::{Stranger, app_in, reachable_named, unknown_app};
use crate::routes::Routes;
use crate::{
    Api, Shared, admin, hosted, idempotency, login, metrics, request_id, spans, v1, webhooks,
};

/// Whether a path is the API's.
pub fn is_path(path: &str) -> bool {
    let areas = ["/api/", "/dev/", "/rtm/v2/"];
    path == "/metrics" || areas.iter().any(|prefix| path.starts_with(prefix))
}

/// All routes with their layers; other paths and methods are refused by the API too.
pub fn router(api: Shared) -> Router {
    let (routes, _) = routes().into_parts();
    let routes = routes
        .method_not_allowed_fallback(wrong_method)
        .fallback(any(nowhere));
    routes
        .layer(from_fn_with_state(api.clone(), admin::record))
        .layer(from_fn_with_state(
            api.clone(),
            idempotency::posts::post_once,
        ))
        .layer(from_fn_with_state(api.clone(), serve))
        .layer(compression())
        .with_state(api)
}

/// All routes, which the API's description has to have.
pub(crate) fn routes() -> Routes {
    Routes::new()
        .merge(hosted::routes())
        .merge(v1::routes())
        .merge(admin::routes())
        .merge(admin::hosted_routes())
        .merge(webhooks::routes())
        .merge(metrics::routes())
        .merge(login::routes())
}

/// Answers shorter than this are not compressed: receipts of messages above all.
const COMPRESSED_BYTES_MIN: u16 = 1_024;

fn compression() -> CompressionLayer<impl Predicate> {
    let worth = SizeAbove::new(COMPRESSED_BYTES_MIN).and(NotForContentType::SSE);
    CompressionLayer::new().gzip(true).compress_when(worth)
}

async fn wrong_method(request: Request) -> Fault {
    let detail = format!("{} is not a method of this path", request.method());
    let hint = "The header Allow tells the methods.";
    Fault::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        detail,
        hint,
    )
}

async fn nowhere(request: Request) -> Fault {
    let path: String = request.uri().path().chars().take(200).collect();
    Fault::not_found("unknown_path", format!("there is nothing at {path}"))
}

/// What needs no key.
fn is_public(path: &str) -> bool {
    matches!(path, "/api/v1/openapi.json" | "/api/v1/version")
}

async fn serve(State(api): State<Shared>, mut request: Request, next: Next) -> Response<Body> {
    let begun = Instant::now();
    let path = request.uri().path();
    let (is_wait, named) = (metrics::is_wait(path), app_in(path));
    Api::sweep_kept_answers(&api);
    let id = api.request_ids.of(request.headers());
    let convention = Convention::of(request.uri().path());
    let is_by_script = is_by_script(request.headers());
    request.extensions_mut().insert(id.clone());
    let span = spans::begin_call(&request, &id);
    let mut left = None;
    let mut response = match admit(&api, &mut request, named.as_ref(), &mut left) {
        // The place is given back when the answer is there.
        Ok(_place) => spans::within(span.context(), next.run(request)).await,
        Err(fault) => convention.render(&fault, &id),
    };
    if let Some(fault) = response.extensions_mut().remove::<Fault>() {
        response = convention.render(&fault, &id);
    }
    let took = (!is_wait).then(|| begun.elapsed());
    api.calls.note(response.status(), took);
    if response.status() == StatusCode::TOO_MANY_REQUESTS
        && let Some(Ok(app)) = named
    {
        let apps = api.apps();
        if apps.has(&app) {
            api.calls.note_too_often(&app, &apps);
        }
    }
    let headers = response.headers_mut();
    if let Some(value) = id.header() {
        headers.insert(HeaderName::from_static(request_id::HEADER), value);
    }
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if is_by_script && headers.contains_key(WWW_AUTHENTICATE) {
        // With Basic, the browser would ask whoever sits there for a name and a word.
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(left) = &left {
        Left::tell(left, headers);
    }
    spans::end_call(span, &response);
    response
}

/// Whether a page's script asks, and not a person by an address, or a program.
fn is_by_script(headers: &HeaderMap) -> bool {
    let mode = headers.get("sec-fetch-mode");
    mode.is_some_and(|mode| mode != "navigate") || headers.contains_key(login::CSRF)
}

/// Finds who calls, and notes it of the source.
fn welcome(
    api: &Api,
    request: &Request,
    app: Option<&AppId>,
    apps: &Apps,
) -> Result<Principal, Fault> {
    let stranger = request.extensions().get::<Arc<dyn Stranger>>();
    if let Some(Err(wait_ms)) = stranger.map(|stranger| stranger.check()) {
        let detail = "wrong credentials were shown too often from this address";
        return Err(Fault::too_often(detail, wait_ms));
    }
    let now_s = api.unix_ms() / 1_000;
    let found = authenticate(&*api.keys, apps, now_s, app, request.headers());
    let found = found.or_else(|fault| by_login(api, request).ok_or(fault));
    match (&found, stranger) {
        (Ok(_), Some(stranger)) => stranger.note_welcome(),
        (Err(_), Some(stranger)) => stranger.note_failure(),
        (_, None) => {}
    }
    found
}

/// Takes a call of the path's own rate.
fn take_own_rate(
    api: &Api,
    path: &str,
    (principal, app): (&Principal, Option<&Desk>),
    left: &mut Option<Left>,
) -> Result<(), Fault> {
    let Some((kind, rate, what)) = api.settings.rates.of_path(path) else {
        return Ok(());
    };
    let account;
    let (who, desk) = match app {
        Some(desk) => ("the app", desk),
        // A user's token does nothing there: it does not use up what a key has.
        None if principal.role().is_none() => return Ok(()),
        None => {
            account = api.accounts.of(principal.name());
            ("the key", &*account)
        }
    };
    let (now_left, taken) = desk.take(kind, rate, api.mono_ms());
    // Where there is no limit, what is told of the app's calls stays.
    *left = Some(now_left).filter(|_| rate.calls > 0).or(left.take());
    taken.map_err(|wait_ms| over(who, rate, what, wait_ms))
}

/// Finds who calls, and whether the app's rates allow it: before anything else is looked at.
/// `named`: the app in the path, as [`app_in`] reads it.
fn admit(
    api: &Api,
    request: &mut Request,
    named: Option<&Result<AppId, String>>,
    left: &mut Option<Left>,
) -> Result<Option<Begun>, Fault> {
    let path = request.uri().path();
    if is_public(path) {
        return Ok(None);
    }
    if login::is_public(path) {
        let stranger = request.extensions().get::<Arc<dyn Stranger>>();
        let detail = "logins were begun too often from this address";
        return match stranger.map(|stranger| stranger.check()) {
            Some(Err(wait_ms)) => Err(Fault::too_often(detail, wait_ms)),
            _ => Ok(None),
        };
    }
    let app = named.and_then(|named| named.as_ref().ok());
    let apps = api.apps();
    let principal = welcome(api, request, app, &apps)?;
    if path != "/api/v1/login/end" {
        check_method(&principal, request.method())?;
    }
    let mut begun = None;
    if let Some(named) = named {
        let app = reachable_named(&principal, named.clone())?;
        if !apps.has(&app) {
            // Only who reaches every app learns which there are.
            if is_about_app(request.uri().path()) {
                request.extensions_mut().insert(principal);
                return Ok(None);
            }
            return Err(unknown_app(request.uri().path(), &app));
        }
        let desk = api.desks.of(&app);
        let (now_left, taken) = desk.take(Kind::Calls, api.settings.rates.calls, api.mono_ms());
        *left = Some(now_left);
        taken.map_err(|wait_ms| over("the app", api.settings.rates.calls, "calls", wait_ms))?;
        take_own_rate(api, request.uri().path(), (&principal, Some(&desk)), left)?;
        begun = Some(desk.begin()?);
        let principal = principal.clone();
        request.extensions_mut().insert(Caller {
            principal,
            app,
            desk,
        });
    } else {
        take_own_rate(api, request.uri().path(), (&principal, None), left)?;
    }
    request.extensions_mut().insert(principal);
    Ok(begun)
}

/// Who calls by a login at the console. Whoever shows other credentials is judged by those.
fn by_login(api: &Api, request: &Request) -> Option<Principal> {
    let headers = request.headers();
    if headers.contains_key(AUTHORIZATION) {
        return None;
    }
    let entry = api.logins()?.admit(headers, api.mono_ms())?;
    Some(Principal::Key(entry))
}

/// Whether a call is about the app as the registry has it, also while it is not served: its handler
/// looks for it.
fn is_about_app(path: &str) -> bool {
    let rest = path.strip_prefix("/api/v1/apps/");
    let after = rest.map(|rest| rest.split_once('/').map_or("", |(_, after)| after));
    after.is_some_and(|after| {
        let area = after.split('/').next().unwrap_or_default();
        matches!(area, "" | "certificates" | "tokens" | "revocations")
    })
}
