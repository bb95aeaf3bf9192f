//! Writes the audit log, and reads it.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, Response};
use axum::middleware::Next;
use axum::response::IntoResponse as _;
use axum::routing::get;
use serde_json::Value;

use super::audit::{AuditEntry, Audited, PAGE_MAX, is_cursor};
use super::looks::Looked;
use crate::auth::Principal;
use crate::params::Query;
use crate::problem::Problem;
use crate::reach::Stranger;
use crate::routes::Routes;
use crate::{Answer, Fault, RequestId, Shared};

/// Longest path that an entry repeats, in characters.
const PATH_CHARS_MAX: usize = 300;

/// The routes of this area.
pub(super) fn routes() -> Routes {
    Routes::new().route("/api/v1/audit", get(read))
}

/// Reads who has changed what, the oldest first or the newest first.
#[utoipa::path(
    get, path = "/api/v1/audit", tag = "Audit",
    params(
        (
            "order" = Option<String>, Query,
            description = "`asc` (the oldest first) unless given, or `desc` (the newest first)"
        ),
        (
            "after" = Option<String>, Query,
            description = "Only entries after this cursor; the `next` of the page before it"
        ),
        (
            "before" = Option<String>, Query,
            description = "Only entries before this cursor: `next`, where `order` is `desc`"
        ),
        ("limit" = Option<u64>, Query, description = "1 to 100"),
    ),
    responses(
        (status = 200, body = super::audit::AuditPage),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn read(
    State(api): State<Shared>,
    principal: Principal,
    mut query: Query,
) -> Answer {
    principal.must_be_unlimited()?;
    let is_newest_first = match query.take("order").as_deref() {
        None | Some("asc") => false,
        Some("desc") => true,
        Some(other) => {
            let shown: String = other.chars().take(80).collect();
            let detail = format!("{shown:?} is neither asc nor desc");
            return Err(Fault::invalid("order", detail));
        }
    };
    let (after, before) = (query.take("after"), query.take("before"));
    let limit = query.number("limit", 1, PAGE_MAX)?.unwrap_or(PAGE_MAX);
    query.end()?;
    for (name, cursor) in [("after", &after), ("before", &before)] {
        if cursor.as_deref().is_some_and(|cursor| !is_cursor(cursor)) {
            return Err(Fault::invalid(name, "this is no cursor of the audit log"));
        }
    }
    let audit = &api.admin().audit;
    let page = match (is_newest_first, before) {
        (false, None) => audit.read(after.as_deref(), limit).await?,
        (false, Some(_)) => {
            let detail = "it says where to go on when the newest come first; add order=desc";
            return Err(Fault::invalid("before", detail));
        }
        (true, before) => {
            let between = (after.as_deref(), before.as_deref());
            audit.read_back(between, limit).await?
        }
    };
    crate::json(&page)
}

/// Whether a call is one that the log has. Messages are what a server is for, and a log of them
/// would hold nothing else; queries change nothing, whatever their method.
fn is_logged(method: &Method, path: &str) -> bool {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return false;
    }
    let is_ours = path.starts_with("/api/v1/") || path.starts_with("/dev/v1/");
    let is_message = path.ends_with("/publish") || path.ends_with("/publish/batch");
    let is_query = path.ends_with("/query") || path.ends_with("/tokens/inspect");
    is_ours && !is_message && !is_query
}

pub(crate) fn address_of(request: &Request) -> String {
    let stranger = request.extensions().get::<Arc<dyn Stranger>>();
    let address = stranger.and_then(|stranger| stranger.address());
    address
        .map(|address| address.to_string())
        .unwrap_or_default()
}

/// Whether a call may be a look at stored messages; its handler tells.
fn may_look(method: &Method, path: &str) -> bool {
    let is_stored = path.ends_with("/history") || path.ends_with("/offline");
    let is_hosted = path.starts_with("/rtm/v2/history/") || path.contains("/rtm/message/history/");
    *method == Method::GET && (is_stored || is_hosted)
}

/// The layer: a write that has succeeded, and a look at stored messages, are in the log before they
/// are answered.
pub(crate) async fn record(
    State(api): State<Shared>,
    request: Request,
    next: Next,
) -> Response<Body> {
    let path = request.uri().path();
    let is_write = is_logged(request.method(), path);
    if !is_write && !may_look(request.method(), path) {
        return next.run(request).await;
    }
    let audit = api.admin().audit.clone();
    let extensions = request.extensions();
    let principal = extensions.get::<Principal>();
    let path: String = path.chars().take(PATH_CHARS_MAX).collect();
    let mut entry = AuditEntry {
        cursor: String::new(),
        at_ms: api.unix_ms(),
        by: principal
            .map(|principal| principal.name().to_owned())
            .unwrap_or_default(),
        address: address_of(&request),
        request_id: extensions
            .get::<RequestId>()
            .map(|id| id.as_str().to_owned())
            .unwrap_or_default(),
        app: crate::reach::app_of(&path),
        action: format!("{} {path}", request.method()),
        before: Value::Null,
        after: Value::Null,
    };
    let mut response = next.run(request).await;
    if !response.status().is_success() {
        return response;
    }
    if !is_write {
        let look = response.extensions_mut().remove::<Looked>();
        return note_look(&api, entry, look, response).await;
    }
    if let Some(audited) = response.extensions_mut().remove::<Audited>() {
        entry.before = audited.before;
        entry.after = audited.after;
        entry.app = audited.app.or(entry.app);
    }
    entry.at_ms = api.unix_ms();
    tracing::info!(
        target: "tidings::security",
        event = "api",
        by = entry.by,
        action = entry.action,
        app = entry.app.as_deref().unwrap_or_default(),
        source = entry.address,
        "a change through the API"
    );
    if let Err(error) = audit.write(entry.clone()).await {
        // It has happened: an answer that says otherwise would be worse than a gap in the log.
        tracing::error!(%error, by = entry.by, action = entry.action, "the audit log could not be written");
    }
    response
}

/// Writes a look down, unless it is one with a look before. What cannot be written down is not
/// shown: nothing has happened yet.
async fn note_look(
    api: &Shared,
    mut entry: AuditEntry,
    look: Option<Looked>,
    response: Response<Body>,
) -> Response<Body> {
    let Some(Looked(at)) = look else {
        return response;
    };
    let audit = &api.admin().audit;
    let app = entry.app.as_deref();
    if !audit.looks.is_new(&entry.by, app, &at, api.mono_ms()) {
        return response;
    }
    entry.at_ms = api.unix_ms();
    entry.after = at;
    if let Err(error) = audit.write(entry).await {
        audit.looks.forget();
        tracing::error!(%error, "a look at stored messages was refused: the audit log could not be written");
        return Fault::unavailable("the look could not be written into the audit log")
            .into_response();
    }
    response
}
