//! `/api/v1/apps/{app}/tokens`, `tokens/inspect` and `revocations`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use serde::Deserialize;
use serde_json::{Value, json};

use super::apps::target;
use super::{audited, blocking};
use crate::admin::docs;
use crate::auth::Principal;
use crate::body::Json;
use crate::params::PathParams;
use crate::problem::Problem;
use crate::registry::{Revocation, TokenFormat, TokenWish};
use crate::routes::Routes;
use crate::{Answer, Fault, Shared, json_with};

/// Life of a token if nothing is said, in seconds: a day.
const TTL_S: u32 = 86_400;

/// The routes of this area.
pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/api/v1/apps/{app}/tokens", post(issue))
        .route("/api/v1/apps/{app}/tokens/inspect", post(inspect))
        .route("/api/v1/apps/{app}/revocations", post(revoke))
}

/// A token to be issued.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "user_id": "alice", "ttl": 600, "format": "007" }))]
pub(crate) struct IssueWish {
    /// Whom it lets in.
    user_id: String,
    /// For how long, in seconds, 1 to 86,400; left out = a day.
    #[serde(default)]
    ttl: Option<u32>,
    /// Left out = `007`.
    #[serde(default)]
    format: TokenFormat,
}

/// A token to be described.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InspectWish {
    /// The text of the token, as a client would log in with it.
    token: String,
    /// Who would log in with it; left out = whom it names.
    #[serde(default)]
    user_id: Option<String>,
}

/// The latest time that can be stated, in Unix seconds: the end of the year 9999.
const NOT_BEFORE_S_MAX: u64 = 253_402_300_799;

/// What is taken back: one of `token`, `user_id`, `everybody`.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "user_id": "mallory" }))]
pub(crate) struct RevokeWish {
    /// The text of one token to take back.
    #[serde(default)]
    token: Option<String>,
    /// Tokens of this user.
    #[serde(default)]
    user_id: Option<String>,
    /// Tokens of all users.
    #[serde(default)]
    everybody: bool,
    /// Those issued before this time, in Unix seconds as tokens have it; left out = until now.
    #[serde(default)]
    not_before: Option<u64>,
}

/// Issues a token, where the setting `issue_tokens` of the app allows it.
#[utoipa::path(
    post, path = "/api/v1/apps/{app}/tokens", tag = "Tokens",
    params(("app" = String, Path, description = "App id")),
    request_body = IssueWish,
    responses(
        (status = 201, body = docs::Issued),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn issue(
    State(api): State<Shared>,
    principal: Principal,
    path: PathParams,
    Json(wish): Json<IssueWish>,
) -> Answer {
    let app = target(&principal, &path)?;
    let registry = api.admin().registry.clone();
    let (user, ttl) = (wish.user_id.clone(), wish.ttl.unwrap_or(TTL_S));
    let wish = TokenWish {
        user: wish.user_id,
        lifetime_s: ttl,
        format: wish.format,
    };
    let issued = blocking(move || Ok(registry.issue(&app, wish)?)).await?;
    let after = json!({ "user_id": user, "expires_ms": issued.expires_ms });
    let body = json!({
        "token": issued.token,
        "user_id": user,
        "expires_ms": issued.expires_ms,
    });
    audited(json_with(StatusCode::CREATED, &body), Value::Null, after)
}

/// Describes a token, and how the app judges it.
#[utoipa::path(
    post, path = "/api/v1/apps/{app}/tokens/inspect", tag = "Tokens",
    params(("app" = String, Path, description = "App id")),
    request_body = InspectWish,
    responses(
        (status = 200, body = super::docs::InspectedView),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn inspect(
    State(api): State<Shared>,
    principal: Principal,
    path: PathParams,
    Json(wish): Json<InspectWish>,
) -> Answer {
    let app = target(&principal, &path)?;
    let registry = api.admin().registry.clone();
    let look = move || Ok(registry.inspect(&app, &wish.token, wish.user_id.as_deref())?);
    crate::json(&blocking(look).await?)
}

/// Takes tokens back; sessions that they let in end.
#[utoipa::path(
    post, path = "/api/v1/apps/{app}/revocations", tag = "Tokens",
    params(("app" = String, Path, description = "App id")),
    request_body = RevokeWish,
    responses(
        (status = 204, description = "Done"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn revoke(
    State(api): State<Shared>,
    principal: Principal,
    path: PathParams,
    Json(wish): Json<RevokeWish>,
) -> Answer {
    let app = target(&principal, &path)?;
    if let Some(s) = wish.not_before.filter(|s| *s > NOT_BEFORE_S_MAX) {
        let detail = format!("{s} is no time in Unix seconds: the last one is {NOT_BEFORE_S_MAX}");
        return Err(Fault::invalid("not_before", detail));
    }
    let registry = api.admin().registry.clone();
    let after = json!({
        "token": wish.token.is_some(),
        "user_id": wish.user_id,
        "everybody": wish.everybody,
        "not_before": wish.not_before,
    });
    let what = match (wish.token, wish.user_id, wish.everybody) {
        (Some(token), None, false) if wish.not_before.is_none() => Revocation::Token(token),
        (Some(_), None, false) => {
            return Err(Fault::invalid(
                "not_before",
                "one token is revoked whenever it was issued",
            ));
        }
        (None, Some(user), false) => Revocation::User(user, wish.not_before),
        (None, None, true) => Revocation::Everybody(wish.not_before),
        (None, None, false) => {
            return Err(Fault::missing("token").hint("Give token, user_id, or everybody: true."));
        }
        _ => {
            let detail = "token, user_id and everybody exclude each other";
            return Err(Fault::invalid("token", detail));
        }
    };
    blocking(move || Ok(registry.revoke(&app, what)?)).await?;
    audited(crate::no_content(), Value::Null, after)
}
