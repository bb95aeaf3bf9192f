//! `/dev/v1/project…`: the hosted service's console calls, over the apps. Source: rest 8, 11.
//!
//! The project's `id` is the app id, and so is its `vendor_key`. Its `sign_key`, the certificate,
//! is told by the call that makes it, and null afterwards: this server does not show certificates
//! twice.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tidings_wire::names::AppId;

use super::apps::short;
use super::{audited_of, blocking};
use crate::auth::Principal;
use crate::body::Json;
use crate::params::Query;
use crate::registry::{AppChange, AppRecord, NewApp};
use crate::routes::Routes;
use crate::{Answer, Api, Fault, Shared, json_with};

/// The routes of this area.
pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/dev/v1/project", get(find).post(create).delete(remove))
        .route("/dev/v1/projects", get(list))
        .route("/dev/v1/project_status", post(switch))
        .route("/dev/v1/signkey", post(sign_key))
        .route("/dev/v1/reset_signkey", post(reset))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProjectWish {
    name: String,
    #[serde(default)]
    enable_sign_key: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProjectNamed {
    id: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StatusWish {
    id: String,
    status: u8,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignKeyWish {
    id: String,
    enable: bool,
}

/// A project as the hosted service shows it.
#[derive(Debug, Serialize)]
struct Project {
    id: String,
    name: String,
    vendor_key: String,
    sign_key: Option<String>,
    status: u8,
    created: u64,
}

impl Project {
    fn of(app: AppRecord, sign_key: Option<String>) -> Self {
        // An app without a certificate has an empty one, as a project without one has.
        let none = app.certificates.is_empty().then(String::new);
        Self {
            sign_key: sign_key.or(none),
            vendor_key: app.id.clone(),
            id: app.id,
            name: app.name,
            status: u8::from(app.enabled),
            created: app.created_ms.unwrap_or(0) / 1_000,
        }
    }
}

async fn find(State(api): State<Shared>, principal: Principal, mut query: Query) -> Answer {
    principal.must_be_admin()?;
    let (id, name) = (query.take("id"), query.take("name"));
    query.end()?;
    if id.is_none() && name.is_none() {
        return Err(Fault::missing("id").hint("Give id or name."));
    }
    let mut apps = all(&api).await?;
    apps.retain(|app| id.as_ref().is_none_or(|id| app.id == *id));
    apps.retain(|app| name.as_ref().is_none_or(|name| app.name == *name));
    if apps.is_empty() {
        return Err(missing());
    }
    projects(apps)
}

async fn list(State(api): State<Shared>, principal: Principal, query: Query) -> Answer {
    principal.must_be_admin()?;
    query.end()?;
    projects(all(&api).await?)
}

fn projects(apps: Vec<AppRecord>) -> Answer {
    let projects: Vec<_> = apps.into_iter().map(|app| Project::of(app, None)).collect();
    crate::json(&json!({ "projects": projects }))
}

async fn create(
    State(api): State<Shared>,
    principal: Principal,
    Json(wish): Json<ProjectWish>,
) -> Answer {
    principal.must_be_admin()?;
    let registry = api.admin().registry.clone();
    let wish = NewApp {
        name: wish.name,
        open: !wish.enable_sign_key,
        settings: BTreeMap::new(),
        ..NewApp::default()
    };
    let (app, certificate) = blocking(move || Ok(registry.create(wish)?)).await?;
    let (id, after) = (app_id(&app.id)?, short(&app));
    let body = json!({ "project": Project::of(app, certificate) });
    audited_of(
        json_with(StatusCode::CREATED, &body),
        &id,
        Value::Null,
        after,
    )
}

async fn remove(
    State(api): State<Shared>,
    principal: Principal,
    Json(wish): Json<ProjectNamed>,
) -> Answer {
    principal.must_be_admin()?;
    let id = app_id(&wish.id)?;
    let registry = api.admin().registry.clone();
    let app = id.clone();
    let before = blocking(move || registry.delete(&app).map_err(or_missing)).await?;
    let answer = crate::json(&json!({ "success": true }));
    audited_of(answer, &id, short(&before), Value::Null)
}

async fn switch(
    State(api): State<Shared>,
    principal: Principal,
    Json(wish): Json<StatusWish>,
) -> Answer {
    principal.must_be_admin()?;
    let enabled = match wish.status {
        0 => false,
        1 => true,
        other => {
            return Err(Fault::invalid(
                "status",
                format!("status is 0 or 1, not {other}"),
            ));
        }
    };
    let id = app_id(&wish.id)?;
    let registry = api.admin().registry.clone();
    let app = id.clone();
    let change = AppChange {
        enabled: Some(enabled),
        ..AppChange::default()
    };
    let after = blocking(move || registry.change(&app, change).map_err(or_missing)).await?;
    project(&id, after, None)
}

async fn sign_key(
    State(api): State<Shared>,
    principal: Principal,
    Json(wish): Json<SignKeyWish>,
) -> Answer {
    principal.must_be_admin()?;
    let id = app_id(&wish.id)?;
    let registry = api.admin().registry.clone();
    let app = id.clone();
    let (after, certificate) = blocking(move || {
        let apps = registry.apps()?;
        let found = apps.into_iter().find(|found| found.id == app.as_str());
        let found = found.ok_or_else(missing)?;
        if wish.enable && !found.certificates.is_empty() {
            return Ok((found, None));
        }
        registry
            .replace_certificates(&app, wish.enable)
            .map_err(or_missing)
    })
    .await?;
    project(&id, after, certificate)
}

async fn reset(
    State(api): State<Shared>,
    principal: Principal,
    Json(wish): Json<ProjectNamed>,
) -> Answer {
    principal.must_be_admin()?;
    let id = app_id(&wish.id)?;
    let registry = api.admin().registry.clone();
    let app = id.clone();
    let replace = move || {
        registry
            .replace_certificates(&app, true)
            .map_err(or_missing)
    };
    let (after, certificate) = blocking(replace).await?;
    project(&id, after, certificate)
}

fn project(id: &AppId, app: AppRecord, certificate: Option<String>) -> Answer {
    let after = short(&app);
    let body = json!({ "project": Project::of(app, certificate) });
    audited_of(crate::json(&body), id, Value::Null, after)
}

async fn all(api: &Api) -> Result<Vec<AppRecord>, Fault> {
    let registry = api.admin().registry.clone();
    blocking(move || Ok(registry.apps()?)).await
}

fn app_id(text: &str) -> Result<AppId, Fault> {
    AppId::parse(text).map_err(|_| missing())
}

/// The words of the hosted service.
fn missing() -> Fault {
    Fault::not_found("unknown_project", "project not exist")
}

fn or_missing(refused: crate::registry::Refused) -> Fault {
    match refused.kind {
        crate::registry::RefusedKind::NotFound => missing(),
        _ => refused.into(),
    }
}
