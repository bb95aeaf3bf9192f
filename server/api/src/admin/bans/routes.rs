//! The calls of `/api/v1/apps/{app}/bans`, by which rules are made, changed and lifted.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use serde::Serialize;
use serde_json::{Value, json};
use tidings_hub::store_ops::events::{EventKind, NewEvent};
use tidings_wire::names::{AppId, UserId};

use super::thrown::throw;
use super::words::{BanPatch, BanWish, End, note, privileges};
use super::{BanRecord, Privilege};
use crate::admin::docs;
use crate::admin::{audited, blocking};
use crate::auth::Caller;
use crate::body::Json;
use crate::params::{PathParams, Query};
use crate::problem::Problem;
use crate::routes::Routes;
use crate::{Answer, Api, Fault, Shared, json_with};

/// The routes of this area.
pub(crate) fn routes() -> Routes {
    Routes::new()
        .route("/api/v1/apps/{app}/bans", get(list).post(create))
        .route(
            "/api/v1/apps/{app}/bans/{id}",
            get(show).patch(change).delete(remove),
        )
}

/// A rule as answers show it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct BanView {
    /// Rises from rule to rule; null = of the list `banned` in the file of apps, which `tidings app
    /// unban` changes.
    id: Option<u64>,
    /// `api`, or `file`.
    source: &'static str,
    /// Whom it names; null = everybody.
    user_id: Option<String>,
    /// Where; null = everywhere.
    channel: Option<String>,
    /// From where; null = from everywhere.
    address: Option<String>,
    /// What it takes away.
    privileges: Vec<Privilege>,
    /// Why it was made, for people; empty if nobody has said.
    note: String,
    /// The id of the key that made it.
    by: Option<String>,
    /// When it was made, in Unix milliseconds.
    made_ms: Option<u64>,
    /// When it was last changed.
    changed_ms: Option<u64>,
    /// When it ends; null = never.
    until_ms: Option<u64>,
}

impl From<BanRecord> for BanView {
    fn from(rule: BanRecord) -> Self {
        Self {
            id: Some(rule.id),
            source: "api",
            user_id: rule.user,
            channel: rule.channel,
            address: rule.address,
            privileges: rule.privileges,
            note: rule.note,
            by: Some(rule.by),
            made_ms: Some(rule.made_ms),
            changed_ms: Some(rule.changed_ms),
            until_ms: rule.until_ms,
        }
    }
}

impl BanView {
    fn of_file(user: String) -> Self {
        Self {
            id: None,
            source: "file",
            user_id: Some(user),
            channel: None,
            address: None,
            privileges: vec![Privilege::Login],
            note: String::new(),
            by: None,
            made_ms: None,
            changed_ms: None,
            until_ms: None,
        }
    }
}

/// Lists the rules in force, the oldest first; those of the file of apps come last.
#[utoipa::path(
    get, path = "/api/v1/apps/{app}/bans", tag = "Bans",
    params(
        ("app" = String, Path, description = "App id"),
        ("limit" = Option<u64>, Query, description = "1 to 100"),
        ("cursor" = Option<String>, Query, description = "The `next` of the page before"),
    ),
    responses(
        (status = 200, body = docs::BanPage),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn list(State(api): State<Shared>, caller: Caller, mut query: Query) -> Answer {
    caller.principal.must_be_key()?;
    let cursor = query.number("cursor", 0, u64::MAX)?;
    let limit = query.number("limit", 1, 100)?.unwrap_or(100);
    query.end()?;
    let limit = usize::try_from(limit).unwrap_or(1);
    let (rules, has_more) =
        api.admin()
            .bans
            .list(&caller.app, cursor.unwrap_or(0), limit, api.unix_ms());
    let next = rules
        .last()
        .filter(|_| has_more)
        .map(|rule| rule.id.to_string());
    let mut items: Vec<BanView> = rules.into_iter().map(BanView::from).collect();
    if next.is_none() {
        // The list of the file comes last, whole: it has no places to go on from.
        items.extend(of_file(&api, &caller.app).await?);
    }
    crate::json(&json!({ "items": items, "next": next }))
}

async fn of_file(api: &Api, app: &AppId) -> Result<Vec<BanView>, Fault> {
    let registry = api.admin().registry.clone();
    let apps = blocking(move || Ok(registry.apps()?)).await?;
    let app = apps.into_iter().find(|record| record.id == app.as_str());
    let banned = app.map(|app| app.banned).unwrap_or_default();
    Ok(banned.into_iter().map(BanView::of_file).collect())
}

/// Shows a rule.
#[utoipa::path(
    get, path = "/api/v1/apps/{app}/bans/{id}", tag = "Bans",
    params(
        ("app" = String, Path, description = "App id"),
        ("id" = u64, Path, description = "The id of the rule"),
    ),
    responses(
        (status = 200, body = BanView),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn show(State(api): State<Shared>, caller: Caller, path: PathParams) -> Answer {
    caller.principal.must_be_key()?;
    let id = id_of(&path)?;
    let found = api.admin().bans.find(&caller.app, id, api.unix_ms());
    crate::json(&BanView::from(found.ok_or_else(|| unknown(id))?))
}

/// Makes a rule, or with `seconds: 0` only throws out whom it names.
#[utoipa::path(
    post, path = "/api/v1/apps/{app}/bans", tag = "Bans",
    params(("app" = String, Path, description = "App id")),
    request_body = BanWish,
    responses(
        (status = 201, body = BanView),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn create(
    State(api): State<Shared>,
    caller: Caller,
    Json(wish): Json<BanWish>,
) -> Answer {
    caller.principal.must_be_key()?;
    let (rule, end) = wish.read(caller.principal.name(), api.unix_ms())?;
    let rule = add(&api, &caller.app, rule, end).await?;
    let after = rule.state();
    let view = BanView::from(rule);
    audited(json_with(StatusCode::CREATED, &view), Value::Null, after)
}

/// Bars a user from logging in for some time; returns the rule's id.
///
/// # Errors
/// 409 where the table is full; 503 where the store does not do it.
pub(crate) async fn ban_user(
    api: &Api,
    caller: &Caller,
    user: &UserId,
    seconds: u64,
    note: String,
) -> Result<u64, Fault> {
    let wish = BanWish {
        user_id: Some(user.as_str().to_owned()),
        channel: None,
        address: None,
        privileges: None,
        until_ms: None,
        seconds: Some(seconds),
        note,
    };
    let (rule, end) = wish.read(caller.principal.name(), api.unix_ms())?;
    Ok(add(api, &caller.app, rule, end).await?.id)
}

/// Adds a rule and enforces it, or only throws out whom it names.
pub(super) async fn add(
    api: &Api,
    app: &AppId,
    rule: BanRecord,
    end: End,
) -> Result<BanRecord, Fault> {
    let admin = api.admin();
    let (bans, registry) = (admin.bans.clone(), admin.registry.clone());
    if end == End::Once {
        let named = rule.named().unwrap_or_default();
        let id = blocking(move || Ok(bans.draw_id()?)).await?;
        throw(api, app, &named).await?;
        return Ok(BanRecord { id, ..rule });
    }
    let now_ms = api.unix_ms();
    let of = app.clone();
    // Whoever is there and is barred now is sent away by those who are told.
    let rule = blocking(move || {
        let rule = bans.add(&of, rule, now_ms)?;
        registry.bans_changed()?;
        Ok(rule)
    })
    .await?;
    report(api, app, &rule, EventKind::Banned).await;
    Ok(rule)
}

/// Writes an event about a rule.
async fn report(api: &Api, app: &AppId, rule: &BanRecord, kind: EventKind) {
    if !api.apps().settings(app).events {
        return;
    }
    let named = rule.named().unwrap_or_default();
    let mut event = NewEvent::new(app.clone(), api.unix_ms(), kind);
    event.user = named.user;
    event.channel = named.channel;
    event.detail = format!("ban {}", rule.id);
    if let Err(error) = api.events.write(event).await {
        // The rule is in force in any case.
        tracing::warn!(%error, %app, ban = rule.id, "the event of a ban could not be written");
    }
}

/// Changes a rule.
#[utoipa::path(
    patch, path = "/api/v1/apps/{app}/bans/{id}", tag = "Bans",
    params(
        ("app" = String, Path, description = "App id"),
        ("id" = u64, Path, description = "The id of the rule"),
    ),
    request_body = BanPatch,
    responses(
        (status = 200, body = BanView),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn change(
    State(api): State<Shared>,
    caller: Caller,
    path: PathParams,
    Json(patch): Json<BanPatch>,
) -> Answer {
    caller.principal.must_be_key()?;
    let id = id_of(&path)?;
    let now_ms = api.unix_ms();
    let end = match (patch.until_ms, patch.seconds) {
        (None, None) => None,
        (Some(None), None) => Some(End::Never),
        (until_ms, seconds) => Some(End::of(until_ms.flatten(), seconds, now_ms)?),
    };
    if end == Some(End::Once) {
        let detail = "a rule that is there cannot end at once by a change";
        return Err(Fault::invalid("seconds", detail).hint("DELETE it."));
    }
    let note = patch.note.map(note).transpose()?;
    let found = api.admin().bans.find(&caller.app, id, now_ms);
    let found = found.ok_or_else(|| unknown(id))?;
    let privileges = privileges(patch.privileges, found.channel.is_some())?;
    let (before, after) = alter(&api, &caller.app, id, move |rule| {
        if let Some(end) = end {
            rule.until_ms = end.until_ms(now_ms);
        }
        if let Some(note) = note {
            rule.note = note;
        }
        if let Some(privileges) = privileges {
            rule.privileges = privileges;
        }
    })
    .await?;
    let states = (before.state(), after.state());
    audited(crate::json(&BanView::from(after)), states.0, states.1)
}

/// Changes a rule, and tells the hubs.
pub(super) async fn alter(
    api: &Api,
    app: &AppId,
    id: u64,
    change: impl FnOnce(&mut BanRecord) + Send + 'static,
) -> Result<(BanRecord, BanRecord), Fault> {
    let admin = api.admin();
    let (bans, registry) = (admin.bans.clone(), admin.registry.clone());
    let (app, now_ms) = (app.clone(), api.unix_ms());
    blocking(move || {
        let changed = bans.change_one(&app, id, now_ms, change)?;
        registry.bans_changed()?;
        Ok(changed)
    })
    .await
}

/// Takes a rule back.
#[utoipa::path(
    delete, path = "/api/v1/apps/{app}/bans/{id}", tag = "Bans",
    params(
        ("app" = String, Path, description = "App id"),
        ("id" = u64, Path, description = "The id of the rule"),
    ),
    responses(
        (status = 204, description = "Done"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn remove(State(api): State<Shared>, caller: Caller, path: PathParams) -> Answer {
    caller.principal.must_be_key()?;
    let before = lift(&api, &caller.app, id_of(&path)?).await?;
    audited(crate::no_content(), before.state(), Value::Null)
}

/// Takes a rule back, and tells the hubs.
pub(super) async fn lift(api: &Api, app: &AppId, id: u64) -> Result<BanRecord, Fault> {
    let admin = api.admin();
    let (bans, registry) = (admin.bans.clone(), admin.registry.clone());
    let (app, now_ms) = (app.clone(), api.unix_ms());
    if bans.find(&app, id, now_ms).is_none() {
        return Err(unknown(id));
    }
    let of = app.clone();
    let rule = blocking(move || {
        let rule = bans.remove(&of, id, now_ms)?;
        registry.bans_changed()?;
        Ok(rule)
    })
    .await?;
    report(api, &app, &rule, EventKind::Unbanned).await;
    Ok(rule)
}

fn id_of(path: &PathParams) -> Result<u64, Fault> {
    let text = path.text("id");
    let number = text.parse().ok().filter(|_| !text.starts_with('+'));
    number.ok_or_else(|| Fault::not_found("unknown_ban", "the id of a ban is a number"))
}

fn unknown(id: u64) -> Fault {
    let detail = format!("the app has no ban {id}, or it has ended");
    Fault::not_found("unknown_ban", detail).hint("GET /api/v1/apps/{app}/bans lists them.")
}
