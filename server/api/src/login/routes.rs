//! `/api/v1/login`: the way to the login server and back, and the end of a login.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{HeaderMap, HeaderValue, LOCATION, SET_COOKIE};
use axum::http::{Response, StatusCode};
use axum::routing::{get, post};
use serde::Serialize;
use subtle::ConstantTimeEq as _;
use utoipa::ToSchema;

use super::{LoginFault, Logins};
use crate::admin::AuditEntry;
use crate::auth::Principal;
use crate::params::Query;
use crate::problem::Problem;
use crate::routes::Routes;
use crate::{Answer, Fault, Shared, json};

/// Longest code of a login server that is passed on, in bytes.
const CODE_BYTES_MAX: usize = 4_096;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .route("/api/v1/login", get(offer))
        .route("/api/v1/login/start", get(start))
        .route("/api/v1/login/callback", get(callback))
        .route("/api/v1/login/session", get(session))
        .route("/api/v1/login/end", post(end))
}

/// What needs no credentials: how one gets some.
pub(crate) fn is_public(path: &str) -> bool {
    matches!(
        path,
        "/api/v1/login"
            | "/api/v1/login/start"
            | "/api/v1/login/callback"
            | "/api/v1/login/session"
    )
}

/// How people can log in, besides a key.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Offer {
    /// The operator's login server; null = there is none.
    login_server: Option<OfferedServer>,
}

/// A login server.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OfferedServer {
    /// What people call it.
    name: String,
}

/// A person's login at the console.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LoginSession {
    /// Goes with every call, in the header `x-tidings-csrf`; null = nobody is logged in.
    csrf: Option<String>,
}

/// Tells whether people can log in without a key; needs no key.
#[utoipa::path(
    get, path = "/api/v1/login", tag = "Login", security(()),
    responses((status = 200, body = Offer)),
)]
pub(crate) async fn offer(State(api): State<Shared>) -> Answer {
    let login_server = api.logins().map(|logins| OfferedServer {
        name: logins.server.name().to_owned(),
    });
    json(&Offer { login_server })
}

/// Sends the browser to the login server; needs no key.
#[utoipa::path(
    get, path = "/api/v1/login/start", tag = "Login", security(()),
    responses(
        (status = 303, description = "To the login server, or back with the reason"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn start(State(api): State<Shared>) -> Answer {
    let logins = needed(&api)?;
    match logins.server.begin().await {
        Ok(begun) => {
            let sealed = logins.sealer.seal(begun.pending, api.mono_ms());
            see(&begun.url, [logins.place.set_pending(&sealed)])
        }
        Err(fault) => failed(logins, &fault),
    }
}

/// Where the browser comes back from the login server; needs no key.
#[utoipa::path(
    get, path = "/api/v1/login/callback", tag = "Login", security(()),
    params(
        ("code" = Option<String>, Query, description = "As the login server has given it"),
        ("state" = Option<String>, Query, description = "As it went to the login server"),
        ("iss" = Option<String>, Query, description = "The login server's own name"),
        ("error" = Option<String>, Query, description = "Why nobody has logged in"),
    ),
    responses(
        (status = 303, description = "To the console"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn callback(
    State(api): State<Shared>,
    headers: HeaderMap,
    mut query: Query,
    request: Request,
) -> Answer {
    let address = crate::admin::address_of(&request);
    drop(request);
    let logins = needed(&api)?;
    let state = query.take("state").unwrap_or_default();
    let pending = logins.place.pending_in(&headers);
    let pending = pending.and_then(|sealed| logins.sealer.open(sealed, api.mono_ms()));
    let pending = pending.filter(|pending| {
        let is_same = pending.state.as_bytes().ct_eq(state.as_bytes());
        bool::from(is_same)
    });
    // Whoever comes without having gone out from here is not heard, whatever the query says.
    let Some(pending) = pending else {
        tracing::warn!("a login came back that was not begun in the same browser, or too long ago");
        return back(logins, "expired");
    };
    if let Some(error) = query.take("error") {
        let error: String = error.chars().take(80).collect();
        tracing::info!(error, "the login server has let nobody in");
        return back(logins, "denied");
    }
    let code = query.take("code").unwrap_or_default();
    if code.is_empty() || code.len() > CODE_BYTES_MAX {
        return failed(logins, &LoginFault::Invalid("it has given no code".into()));
    }
    let finished = logins.server.finish(pending, code, query.take("iss"));
    let person = match finished.await {
        Ok(person) => person,
        Err(fault) => return failed(logins, &fault),
    };
    let name = person.name.clone();
    let secret = match logins.sessions.begin(person, api.mono_ms()) {
        Ok(secret) => secret,
        Err(fault) => return failed(logins, &fault),
    };
    note_login(&api, name, address).await;
    let lasts_s = logins.sessions.lasts_ms() / 1_000;
    let cookies = [
        logins.place.set_session(&secret, lasts_s),
        logins.place.end_pending(),
    ];
    see(&logins.place.after(None), cookies)
}

/// The CSRF token of the login that the cookie shows; needs no key.
#[utoipa::path(
    get, path = "/api/v1/login/session", tag = "Login", security(()),
    responses(
        (status = 200, body = LoginSession),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn session(State(api): State<Shared>, headers: HeaderMap) -> Answer {
    let session = api.logins().and_then(|logins| {
        let secret = logins.place.session_in(&headers)?;
        logins.sessions.find(secret, api.mono_ms())
    });
    json(&LoginSession {
        csrf: session.map(|session| session.csrf),
    })
}

/// Ends the login that the cookie shows.
#[utoipa::path(
    post, path = "/api/v1/login/end", tag = "Login",
    responses(
        (status = 204, description = "Done"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn end(
    State(api): State<Shared>,
    principal: Principal,
    headers: HeaderMap,
) -> Answer {
    principal.must_be_key()?;
    let logins = needed(&api)?;
    if let Some(secret) = logins.place.session_in(&headers) {
        logins.sessions.end(secret);
    }
    let mut response = crate::no_content()?;
    if let Some(cookie) = logins.place.end_session() {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(response)
}

fn needed(api: &crate::Api) -> Result<&Logins, Fault> {
    api.logins().ok_or_else(|| {
        let detail = "this server has no login server";
        let hint = "Log in with an API key, or set oidc-issuer and its other settings.";
        Fault::not_found("no_login_server", detail).hint(hint)
    })
}

async fn note_login(api: &crate::Api, name: String, address: String) {
    let entry = AuditEntry {
        by: name,
        address,
        ..AuditEntry::of_command("login", api.unix_ms())
    };
    tracing::info!(target: "tidings::security", event = "console_login", by = entry.by, source = entry.address, "a login at the console");
    if let Err(error) = api.admin().audit.write(entry).await {
        tracing::error!(%error, "the audit log could not be written");
    }
}

fn failed(logins: &Logins, fault: &LoginFault) -> Answer {
    tracing::warn!(error = %fault, "a login at the console has failed");
    let reason = match fault {
        LoginFault::Unavailable(_) => "unavailable",
        LoginFault::Invalid(_) => "invalid",
        LoginFault::NoRole(_) => "no_role",
    };
    back(logins, reason)
}

fn back(logins: &Logins, reason: &str) -> Answer {
    see(
        &logins.place.after(Some(reason)),
        [logins.place.end_pending()],
    )
}

/// Sends the browser elsewhere, with cookies.
fn see<const N: usize>(url: &str, cookies: [Option<HeaderValue>; N]) -> Answer {
    let location = HeaderValue::try_from(url)
        .map_err(|_| Fault::unavailable("the login server's address cannot be one"))?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(LOCATION, location);
    for cookie in cookies.into_iter().flatten() {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(response)
}
