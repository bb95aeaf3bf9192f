//! `/api/v1/apps/{app}/certificates`: numbers and ages, never a text, but for a new one's.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use serde::Deserialize;
use serde_json::json;

use super::apps::{find, target};
use super::{audited, blocking, state};
use crate::admin::docs;
use crate::auth::Principal;
use crate::body::MaybeJson;
use crate::params::{PathParams, Query};
use crate::problem::Problem;
use crate::routes::Routes;
use crate::{Answer, Fault, Shared, json_with};

/// The routes of this area.
pub(super) fn routes() -> Routes {
    let all = "/api/v1/apps/{app}/certificates";
    Routes::new()
        .route(all, get(list).post(add))
        .route(&format!("{all}/{{number}}"), delete(drop_one))
        .route(&format!("{all}/{{number}}/promote"), post(promote))
}

/// A new certificate.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CertificateWish {
    /// 32 hexadecimal characters, to bring one along; left out = a random one.
    #[serde(default)]
    certificate: Option<String>,
}

/// Lists the certificates of an app: numbers and ages, never a text.
#[utoipa::path(
    get, path = "/api/v1/apps/{app}/certificates", tag = "Certificates",
    params(("app" = String, Path, description = "App id")),
    responses(
        (status = 200, body = docs::CertificatePage),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn list(
    State(api): State<Shared>,
    principal: Principal,
    path: PathParams,
) -> Answer {
    let app = target(&principal, &path)?;
    let app = find(&api, &app).await?;
    crate::json(&json!({ "items": app.certificates, "next": null }))
}

/// Adds a certificate, which signs from now on; its text is shown this once.
#[utoipa::path(
    post, path = "/api/v1/apps/{app}/certificates", tag = "Certificates",
    params(("app" = String, Path, description = "App id")),
    request_body = CertificateWish,
    responses(
        (status = 201, body = docs::NewCertificate),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn add(
    State(api): State<Shared>,
    principal: Principal,
    path: PathParams,
    MaybeJson(wish): MaybeJson<CertificateWish>,
) -> Answer {
    let app = target(&principal, &path)?;
    principal.must_be_admin()?;
    let before = find(&api, &app).await?.certificates;
    let given = wish.and_then(|wish| wish.certificate);
    let registry = api.admin().registry.clone();
    let named = app.clone();
    let text = blocking(move || Ok(registry.add_certificate(&named, given)?)).await?;
    let after = find(&api, &app).await?.certificates;
    let body = json!({ "certificate": text, "items": after });
    let answer = json_with(StatusCode::CREATED, &body);
    audited(answer, state(&before), state(&after))
}

/// Makes a certificate the one that signs.
#[utoipa::path(
    post, path = "/api/v1/apps/{app}/certificates/{number}/promote", tag = "Certificates",
    params(
        ("app" = String, Path, description = "App id"),
        ("number" = u64, Path, description = "1 or 2"),
    ),
    responses(
        (status = 200, body = docs::CertificatePage),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn promote(
    State(api): State<Shared>,
    principal: Principal,
    path: PathParams,
) -> Answer {
    let app = target(&principal, &path)?;
    principal.must_be_admin()?;
    let number = number(&path)?;
    let before = find(&api, &app).await?.certificates;
    let registry = api.admin().registry.clone();
    let after = blocking(move || Ok(registry.promote_certificate(&app, number)?)).await?;
    let answer = crate::json(&json!({ "items": after.certificates, "next": null }));
    audited(answer, state(&before), state(&after.certificates))
}

/// Takes a certificate away; with `disconnect`, the sessions that it let in end.
#[utoipa::path(
    delete, path = "/api/v1/apps/{app}/certificates/{number}", tag = "Certificates",
    params(
        ("app" = String, Path, description = "App id"),
        ("number" = u64, Path, description = "1 or 2"),
        ("disconnect" = Option<bool>, Query, description = "End the sessions that it let in"),
    ),
    responses(
        (status = 200, body = docs::CertificatePage),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn drop_one(
    State(api): State<Shared>,
    principal: Principal,
    path: PathParams,
    mut query: Query,
) -> Answer {
    let app = target(&principal, &path)?;
    principal.must_be_admin()?;
    let number = number(&path)?;
    let ends_sessions = query.flag("disconnect")?.unwrap_or(false);
    query.end()?;
    let before = find(&api, &app).await?.certificates;
    let registry = api.admin().registry.clone();
    let drop = move || Ok(registry.drop_certificate(&app, number, ends_sessions)?);
    let after = blocking(drop).await?;
    let answer = crate::json(&json!({ "items": after.certificates, "next": null }));
    audited(answer, state(&before), state(&after.certificates))
}

fn number(path: &PathParams) -> Result<usize, Fault> {
    let text = path.text("number");
    match text.parse() {
        Ok(number @ 1..=9) => Ok(number),
        _ => Err(Fault::not_found(
            "unknown_certificate",
            "a certificate's number is 1 or 2",
        )),
    }
}
