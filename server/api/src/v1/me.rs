//! Who a caller is, as the server sees it: what a console or a command line may offer.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::Principal;
use crate::keys::Role;
use crate::params::Query;
use crate::problem::Problem;
use crate::{Answer, Shared, json};

/// Who calls, and what it may ask.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Me {
    /// The id of the key: what the audit log has as `by`.
    name: String,
    /// What it permits.
    role: Option<Role>,
    /// The apps that it is limited to; null = it is not.
    apps: Option<Vec<String>>,
    /// When the login ends, in Unix milliseconds; absent for a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_ms: Option<u64>,
}

/// Tells who calls: the id, the role and the apps of the key, or of the login.
#[utoipa::path(
    get, path = "/api/v1/me", tag = "Server",
    responses((status = 200, body = Me), (status = "4XX", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn get(
    State(api): State<Shared>,
    principal: Principal,
    headers: HeaderMap,
    query: Query,
) -> Answer {
    principal.must_be_key()?;
    query.end()?;
    let apps = match &principal {
        Principal::Key(key) => key.apps.as_ref(),
        Principal::User(_) => None,
    };
    let apps = apps.map(|apps| apps.iter().map(|app| app.as_str().to_owned()).collect());
    let is_key = headers.contains_key(AUTHORIZATION);
    let logins = api.logins().filter(|_| !is_key);
    let left_ms = logins.and_then(|logins| logins.left_ms(&headers, api.mono_ms()));
    json(&Me {
        ends_ms: left_ms.map(|left_ms| api.unix_ms() + left_ms),
        name: principal.name().to_owned(),
        role: principal.role(),
        apps,
    })
}
