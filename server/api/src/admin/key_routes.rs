//! The calls of `/api/v1/keys`, by which API keys are made, rotated and revoked.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::keys::{Key, KeyText, NewKey, is_id};
use super::{OVERLAP_MS, OVERLAP_MS_MAX, audited, blocking, state};
use crate::admin::docs;
use crate::auth::Principal;
use crate::body::{Json, MaybeJson};
use crate::keys::Role;
use crate::params::{PathParams, Query};
use crate::problem::Problem;
use crate::routes::Routes;
use crate::{Answer, Fault, Shared, json_with};

/// The routes of this area.
pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/api/v1/keys", get(list).post(create))
        .route("/api/v1/keys/{id}", delete(revoke).get(show))
        .route("/api/v1/keys/{id}/rotate", post(rotate))
}

/// A key as answers show it: its secrets are only counted.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct KeyView {
    /// Letters and digits; the `customer_id` of callers that use HTTP Basic.
    id: String,
    /// A name for people.
    name: String,
    /// What it permits.
    role: Role,
    /// The apps that it is limited to; empty = all.
    apps: Vec<String>,
    /// `active`, `revoked` or `expired`.
    state: &'static str,
    /// When it was made, in Unix milliseconds.
    made_ms: u64,
    /// When it ends; null = never by itself.
    expires_ms: Option<u64>,
    /// When it was revoked; null = it was not.
    revoked_ms: Option<u64>,
    /// When it was last used, to the minute; null = never.
    used_ms: Option<u64>,
    /// Until when secrets from before the last rotation are good; null = there are none.
    old_secrets_until_ms: Option<u64>,
}

impl KeyView {
    pub(crate) fn of(key: Key, now_ms: u64) -> Self {
        Self {
            state: key.state(now_ms),
            old_secrets_until_ms: key.old_until_ms(now_ms),
            id: key.id,
            name: key.name,
            role: key.role,
            apps: key.apps,
            made_ms: key.made_ms,
            expires_ms: key.expires_ms,
            revoked_ms: key.revoked_ms,
            used_ms: key.used_ms,
        }
    }
}

/// What a new key is to be.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "shop", "role": "read", "apps": [] }))]
pub(crate) struct KeyWish {
    /// A name for people, at most 100 characters.
    #[serde(default)]
    name: String,
    /// What it permits.
    role: Role,
    /// The apps that it is limited to. Role `app` needs some, role `admin` has none.
    #[serde(default)]
    apps: Vec<String>,
    /// When it ends, in Unix milliseconds; left out = never by itself.
    #[serde(default)]
    expires_ms: Option<u64>,
}

/// How a key is rotated.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "overlap_s": 60 }))]
pub(crate) struct RotateWish {
    /// How long the older secrets stay good, in seconds, at most 30 days; left out = a day, 0 =
    /// they end at once.
    #[serde(default)]
    overlap_s: Option<u64>,
}

/// Lists keys, the oldest first, without their secrets.
#[utoipa::path(
    get, path = "/api/v1/keys", tag = "Keys",
    params(
        ("limit" = Option<u64>, Query, description = "1 to 100"),
        ("cursor" = Option<String>, Query, description = "The `next` of the page before"),
    ),
    responses(
        (status = 200, body = docs::KeyPage),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn list(
    State(api): State<Shared>,
    principal: Principal,
    mut query: Query,
) -> Answer {
    principal.must_be_unlimited()?;
    let cursor = query.take("cursor");
    let limit = query.number("limit", 1, 100)?.unwrap_or(100);
    query.end()?;
    let admin = api.admin();
    let now_ms = api.unix_ms();
    let keys = admin.keys.list(now_ms);
    let from = match &cursor {
        None => 0,
        Some(cursor) => match keys.iter().position(|key| key.id == *cursor) {
            Some(at) => at + 1,
            None => {
                return Err(Fault::invalid(
                    "cursor",
                    "the cursor is not one of this list",
                ));
            }
        },
    };
    let mut rest = keys.into_iter().skip(from);
    let limit = usize::try_from(limit).unwrap_or(1);
    let items: Vec<_> = rest
        .by_ref()
        .take(limit)
        .map(|key| KeyView::of(key, now_ms))
        .collect();
    let next = rest
        .next()
        .and_then(|_| items.last().map(|key| key.id.clone()));
    crate::json(&json!({ "items": items, "next": next }))
}

/// Shows a key.
#[utoipa::path(
    get, path = "/api/v1/keys/{id}", tag = "Keys",
    params(("id" = String, Path, description = "Key id")),
    responses(
        (status = 200, body = KeyView),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn show(
    State(api): State<Shared>,
    principal: Principal,
    path: PathParams,
) -> Answer {
    principal.must_be_unlimited()?;
    let id = id_of(&path)?;
    let now_ms = api.unix_ms();
    let key = api.admin().keys.find(&id).ok_or_else(|| unknown(&id))?;
    crate::json(&KeyView::of(key, now_ms))
}

/// Makes a key; its text is shown this once.
#[utoipa::path(
    post, path = "/api/v1/keys", tag = "Keys",
    request_body = KeyWish,
    responses(
        (status = 201, body = docs::NewKeyView),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn create(
    State(api): State<Shared>,
    principal: Principal,
    Json(wish): Json<KeyWish>,
) -> Answer {
    principal.must_be_admin()?;
    let keys = api.admin().keys.clone();
    let now_ms = api.unix_ms();
    let wish = NewKey {
        name: wish.name,
        role: wish.role,
        apps: wish.apps,
        expires_ms: wish.expires_ms,
    };
    let (key, text) = blocking(move || Ok(keys.create(wish, now_ms)?)).await?;
    let view = KeyView::of(key, now_ms);
    let after = state(&view);
    audited(
        with_text(StatusCode::CREATED, &view, &text),
        Value::Null,
        after,
    )
}

/// Gives a key a new secret; the older ones stay good for a time.
#[utoipa::path(
    post, path = "/api/v1/keys/{id}/rotate", tag = "Keys",
    params(("id" = String, Path, description = "Key id")),
    request_body = RotateWish,
    responses(
        (status = 200, body = docs::NewKeyView),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn rotate(
    State(api): State<Shared>,
    principal: Principal,
    path: PathParams,
    MaybeJson(wish): MaybeJson<RotateWish>,
) -> Answer {
    principal.must_be_admin()?;
    let id = id_of(&path)?;
    let wish = wish.unwrap_or_default();
    let overlap_ms = match wish.overlap_s {
        None => OVERLAP_MS,
        Some(s) if s <= OVERLAP_MS_MAX / 1_000 => s * 1_000,
        Some(s) => {
            let detail = format!("{s} s are too long; at most {} s", OVERLAP_MS_MAX / 1_000);
            return Err(Fault::invalid("overlap_s", detail));
        }
    };
    let keys = api.admin().keys.clone();
    let now_ms = api.unix_ms();
    let (key, text) = blocking(move || Ok(keys.rotate(&id, overlap_ms, now_ms)?)).await?;
    let view = KeyView::of(key, now_ms);
    let after = state(&view);
    audited(with_text(StatusCode::OK, &view, &text), Value::Null, after)
}

/// Revokes a key.
#[utoipa::path(
    delete, path = "/api/v1/keys/{id}", tag = "Keys",
    params(("id" = String, Path, description = "Key id")),
    responses(
        (status = 200, body = KeyView),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn revoke(
    State(api): State<Shared>,
    principal: Principal,
    path: PathParams,
) -> Answer {
    principal.must_be_admin()?;
    let id = id_of(&path)?;
    let keys = api.admin().keys.clone();
    let now_ms = api.unix_ms();
    let key = blocking(move || Ok(keys.revoke(&id, now_ms)?)).await?;
    let view = KeyView::of(key, now_ms);
    let after = state(&view);
    audited(crate::json(&view), Value::Null, after)
}

/// A key with its text, which is shown this once.
fn with_text(status: StatusCode, view: &KeyView, text: &KeyText) -> Answer {
    let mut body = state(view);
    body["key"] = text.reveal().into();
    body["secret"] = text.secret().into();
    json_with(status, &body)
}

fn id_of(path: &PathParams) -> Result<String, Fault> {
    let id = path.text("id");
    if is_id(id) {
        Ok(id.to_owned())
    } else {
        Err(unknown(id))
    }
}

fn unknown(id: &str) -> Fault {
    let shown: String = id.chars().take(40).collect();
    let detail = format!("there is no key {shown:?}");
    Fault::not_found("unknown_key", detail).hint("GET /api/v1/keys lists the keys.")
}
