//! The calls of `/api/v1/apps`, by which operators make, change and remove apps.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use tidings_wire::names::AppId;

use super::{audited, audited_of, blocking, state};
use crate::admin::docs;
use crate::auth::Principal;
use crate::body::Json;
use crate::params::{PathParams, Query};
use crate::problem::Problem;
use crate::registry::{AppChange, AppRecord, NewApp, RateRecord};
use crate::routes::Routes;
use crate::{Answer, Api, Fault, Shared, json_with};

/// The routes of this area.
pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/api/v1/apps", get(list).post(create))
        .route("/api/v1/apps/{app}", get(show).patch(change).delete(remove))
}

/// What a new app is to be.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "Classroom", "settings": { "inbox_age_ms": "7d" } }))]
pub(crate) struct AppWish {
    /// 32 letters or digits; left out = a random one.
    #[serde(default)]
    id: Option<String>,
    /// A name for people.
    #[serde(default)]
    name: String,
    /// No certificate: whoever knows the id can be any user.
    #[serde(default)]
    open: bool,
    /// 32 hexadecimal characters, to bring one along; left out = a random one.
    #[serde(default)]
    certificate: Option<String>,
    /// Settings that differ from the defaults.
    #[serde(default)]
    settings: BTreeMap<String, Value>,
    /// Rates that differ from the defaults.
    #[serde(default)]
    rates: BTreeMap<String, RateRecord>,
}

/// What is to become of an app; what is left out stays.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "settings": { "peer_message_events": true } }))]
pub(crate) struct AppPatch {
    /// A new name for people; left out = it stays.
    #[serde(default)]
    name: Option<String>,
    /// Whether it is served. Its data are kept in any case; its sessions end.
    #[serde(default)]
    enabled: Option<bool>,
    /// Settings by name; null takes one back to its default.
    #[serde(default)]
    settings: BTreeMap<String, Value>,
    /// Rates by name; null takes one back to its default.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, RateRecord>)]
    rates: BTreeMap<String, Option<RateRecord>>,
    /// Users who are part of the app's backend: all of them, in the place of those before.
    #[serde(default)]
    services: Option<Vec<String>>,
    /// Settings of JSON Web Tokens by name; null takes one back to its default. Null in the place
    /// of all: none are taken any more.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<BTreeMap<String, Value>>)]
    jwt: Option<Option<BTreeMap<String, Value>>>,
}

/// Tells a null that is given from a field that is not.
fn given<'de, D, T>(from: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(from).map(Some)
}

/// Lists the apps that the caller reaches.
#[utoipa::path(
    get, path = "/api/v1/apps", tag = "Apps",
    params(
        ("limit" = Option<u64>, Query, description = "1 to 100"),
        ("cursor" = Option<String>, Query, description = "The `next` of the page before"),
    ),
    responses(
        (status = 200, body = docs::AppPage),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn list(
    State(api): State<Shared>,
    principal: Principal,
    mut query: Query,
) -> Answer {
    principal.must_be_key()?;
    let cursor = query.take("cursor");
    let limit = query.number("limit", 1, 100)?.unwrap_or(100);
    query.end()?;
    let mut apps = all(&api).await?;
    // A caller is told of the apps that it reaches, and of no others.
    apps.retain(|app| AppId::parse(&app.id).is_ok_and(|id| principal.reaches(&id)));
    let from = match &cursor {
        None => 0,
        Some(cursor) => match apps.iter().position(|app| app.id == *cursor) {
            Some(at) => at + 1,
            None => {
                return Err(Fault::invalid(
                    "cursor",
                    "the cursor is not one of this list",
                ));
            }
        },
    };
    let mut rest = apps.into_iter().skip(from);
    let limit = usize::try_from(limit).unwrap_or(1);
    let items: Vec<_> = rest.by_ref().take(limit).collect();
    let next = rest
        .next()
        .and_then(|_| items.last().map(|app| app.id.clone()));
    crate::json(&json!({ "items": items, "next": next }))
}

/// Shows an app with all of its settings.
#[utoipa::path(
    get, path = "/api/v1/apps/{app}", tag = "Apps",
    params(("app" = String, Path, description = "App id")),
    responses(
        (status = 200, body = AppRecord),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn show(
    State(api): State<Shared>,
    principal: Principal,
    path: PathParams,
) -> Answer {
    let app = target(&principal, &path)?;
    crate::json(&find(&api, &app).await?)
}

/// Makes an app; the text of its certificate is shown this once.
#[utoipa::path(
    post, path = "/api/v1/apps", tag = "Apps",
    request_body = AppWish,
    responses(
        (status = 201, body = docs::NewAppView),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn create(
    State(api): State<Shared>,
    principal: Principal,
    Json(wish): Json<AppWish>,
) -> Answer {
    principal.must_be_admin()?;
    let registry = api.admin().registry.clone();
    let wish = NewApp {
        id: wish.id,
        name: wish.name,
        open: wish.open,
        certificate: wish.certificate,
        settings: wish.settings,
        rates: wish.rates,
    };
    let (app, certificate) = blocking(move || Ok(registry.create(wish)?)).await?;
    let mut body = state(&app);
    body["certificate"] = certificate.into();
    let id = AppId::parse(&app.id).map_err(|error| Fault::unavailable(error.to_string()))?;
    let answer = json_with(StatusCode::CREATED, &body);
    audited_of(answer, &id, Value::Null, short(&app))
}

/// Changes an app; running hubs know at once.
#[utoipa::path(
    patch, path = "/api/v1/apps/{app}", tag = "Apps",
    params(("app" = String, Path, description = "App id")),
    request_body = AppPatch,
    responses(
        (status = 200, body = AppRecord),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn change(
    State(api): State<Shared>,
    principal: Principal,
    path: PathParams,
    Json(patch): Json<AppPatch>,
) -> Answer {
    let app = target(&principal, &path)?;
    principal.must_be_admin()?;
    let before = find(&api, &app).await?;
    let registry = api.admin().registry.clone();
    let change = AppChange {
        name: patch.name,
        enabled: patch.enabled,
        settings: patch.settings,
        rates: patch.rates,
        services: patch.services,
        jwt: patch.jwt,
    };
    let after = blocking(move || Ok(registry.change(&app, change)?)).await?;
    audited(crate::json(&after), short(&before), short(&after))
}

/// Deletes an app; what its users have stored stays.
#[utoipa::path(
    delete, path = "/api/v1/apps/{app}", tag = "Apps",
    params(("app" = String, Path, description = "App id")),
    responses(
        (status = 204, description = "Done"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn remove(
    State(api): State<Shared>,
    principal: Principal,
    path: PathParams,
) -> Answer {
    let app = target(&principal, &path)?;
    principal.must_be_admin()?;
    let registry = api.admin().registry.clone();
    let id = app.clone();
    let before = blocking(move || Ok(registry.delete(&app)?)).await?;
    if let Some(webhooks) = api.webhooks.get() {
        // The app is gone whatever comes of this: a webhook that stays has nothing to tell.
        if let Err(refusal) = webhooks.delete_app(id.as_str()).await {
            tracing::warn!(app = %id, error = %refusal, "webhooks of a deleted app were not deleted");
        }
    }
    audited(crate::no_content(), short(&before), Value::Null)
}

/// The app that a path names, if the caller is a key that may ask about it. Whether it exists is
/// not looked at.
pub(super) fn target(principal: &Principal, path: &PathParams) -> Result<AppId, Fault> {
    principal.must_be_key()?;
    crate::reach::reachable(principal, path.text("app"))
}

async fn all(api: &Api) -> Result<Vec<AppRecord>, Fault> {
    let registry = api.admin().registry.clone();
    blocking(move || Ok(registry.apps()?)).await
}

/// An app of the registry.
pub(super) async fn find(api: &Api, app: &AppId) -> Result<AppRecord, Fault> {
    let found = all(api).await?;
    let found = found.into_iter().find(|record| record.id == app.as_str());
    found.ok_or_else(|| {
        Fault::not_found("unknown_app", format!("there is no app {app}"))
            .hint("GET /api/v1/apps lists the apps.")
    })
}

/// An app, with those settings and rates only that somebody has set: for the audit log.
pub(super) fn short(app: &AppRecord) -> Value {
    let mut app = app.clone();
    app.settings.retain(|name, _| app.set.contains(name));
    app.rates.retain(|name, _| app.set.contains(name));
    state(&app)
}
