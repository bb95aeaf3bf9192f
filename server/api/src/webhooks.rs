//! Webhooks and moderation of an app: rest 12.5 and 12.6.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use serde::Serialize;
use tidings_webhooks::{
    Delivery, ModerationView, NewModeration, NewSubscription, Redelivered, Refusal, RefusalKind,
    SubscriptionChange, View, Webhooks,
};

use utoipa::ToSchema;

use crate::answer::{Answer, json, json_with, no_content};
use crate::auth::Caller;
use crate::body::Json;
use crate::params::{PathParams, Query};
use crate::problem::{Fault, Problem};
use crate::routes::Routes;
use crate::{Api, Shared};

/// Dead letters in one page, by default and at most.
const PAGE_MAX: u64 = 100;

pub(crate) fn routes() -> Routes {
    let one = "/api/v1/apps/{app}/webhooks/{id}";
    let below = |rest: &str| format!("{one}/{rest}");
    Routes::new()
        .route("/api/v1/apps/{app}/webhooks", get(list).post(create))
        .route(one, get(show).patch(change).delete(delete))
        .route(&below("test"), post(test))
        .route(&below("deliveries"), get(deliveries))
        .route(&below("deliveries/{n}/retry"), post(retry))
        .route(&below("dead-letters"), get(dead_letters))
        .route(&below("dead-letters/retry"), post(retry_dead))
        .route(
            "/api/v1/apps/{app}/moderation",
            get(moderation).put(set_moderation).delete(end_moderation),
        )
}

/// The webhooks of an app.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WebhookPage {
    items: Vec<View>,
    /// There are no more.
    next: Option<String>,
}

/// Deliveries of a webhook, or its dead letters.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WebhookDeliveryPage {
    items: Vec<Delivery>,
    /// Give it as `cursor` for more; null = these were all.
    next: Option<String>,
}

/// The webhooks, if the caller may ask for them.
fn webhooks<'a>(api: &'a Api, caller: &Caller) -> Result<&'a Webhooks, Fault> {
    caller.principal.must_be_key()?;
    let webhooks = api.webhooks.get();
    webhooks.ok_or_else(|| Fault::unavailable("this server has no webhooks"))
}

/// The app's webhooks.
#[utoipa::path(
    get, path = "/api/v1/apps/{app}/webhooks", tag = "Webhooks",
    params(("app" = String, Path, description = "App id")),
    responses((status = 200, body = WebhookPage), (status = "4XX", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn list(State(api): State<Shared>, caller: Caller, query: Query) -> Answer {
    query.end()?;
    let items = webhooks(&api, &caller)?.list(caller.app.as_str());
    json(&WebhookPage { items, next: None })
}

/// Makes a webhook. Its secret is in the answer, and nowhere else.
#[utoipa::path(
    post, path = "/api/v1/apps/{app}/webhooks", tag = "Webhooks",
    params(("app" = String, Path, description = "App id")),
    request_body = NewSubscription,
    responses((status = 201, body = View), (status = "4XX", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn create(
    State(api): State<Shared>,
    caller: Caller,
    query: Query,
    Json(new): Json<NewSubscription>,
) -> Answer {
    query.end()?;
    let made = webhooks(&api, &caller)?.create(caller.app.as_str(), new);
    json_with(StatusCode::CREATED, &made.await.map_err(fault)?)
}

/// Shows a webhook without its secrets, and how far its deliveries are.
#[utoipa::path(
    get, path = "/api/v1/apps/{app}/webhooks/{id}", tag = "Webhooks",
    params(("app" = String, Path, description = "App id"), ("id" = String, Path, description = "Webhook")),
    responses((status = 200, body = View), (status = "4XX", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn show(
    State(api): State<Shared>,
    caller: Caller,
    params: PathParams,
    query: Query,
) -> Answer {
    query.end()?;
    let found = webhooks(&api, &caller)?.show(caller.app.as_str(), params.text("id"));
    json(&found.map_err(fault)?)
}

/// Changes a webhook: what is absent stays.
#[utoipa::path(
    patch, path = "/api/v1/apps/{app}/webhooks/{id}", tag = "Webhooks",
    params(("app" = String, Path, description = "App id"), ("id" = String, Path, description = "Webhook")),
    request_body = SubscriptionChange,
    responses((status = 200, body = View), (status = "4XX", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn change(
    State(api): State<Shared>,
    caller: Caller,
    params: PathParams,
    query: Query,
    Json(change): Json<SubscriptionChange>,
) -> Answer {
    query.end()?;
    let changed = webhooks(&api, &caller)?;
    let changed = changed.change(caller.app.as_str(), params.text("id"), change);
    json(&changed.await.map_err(fault)?)
}

/// Deletes a webhook with its deliveries and dead letters.
#[utoipa::path(
    delete, path = "/api/v1/apps/{app}/webhooks/{id}", tag = "Webhooks",
    params(("app" = String, Path, description = "App id"), ("id" = String, Path, description = "Webhook")),
    responses((status = 204), (status = "4XX", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn delete(
    State(api): State<Shared>,
    caller: Caller,
    params: PathParams,
    query: Query,
) -> Answer {
    query.end()?;
    let deleted = webhooks(&api, &caller)?.delete(caller.app.as_str(), params.text("id"));
    deleted.await.map_err(fault)?;
    no_content()
}

/// Sends a sample, outside of the order.
#[utoipa::path(
    post, path = "/api/v1/apps/{app}/webhooks/{id}/test", tag = "Webhooks",
    params(("app" = String, Path, description = "App id"), ("id" = String, Path, description = "Webhook")),
    responses((status = 200, body = Delivery), (status = "4XX", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn test(
    State(api): State<Shared>,
    caller: Caller,
    params: PathParams,
    query: Query,
) -> Answer {
    query.end()?;
    let tried = webhooks(&api, &caller)?.test(caller.app.as_str(), params.text("id"));
    json(&tried.await.map_err(fault)?)
}

/// The last 100 deliveries, newest first.
#[utoipa::path(
    get, path = "/api/v1/apps/{app}/webhooks/{id}/deliveries", tag = "Webhooks",
    params(("app" = String, Path, description = "App id"), ("id" = String, Path, description = "Webhook")),
    responses((status = 200, body = WebhookDeliveryPage), (status = "4XX", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn deliveries(
    State(api): State<Shared>,
    caller: Caller,
    params: PathParams,
    query: Query,
) -> Answer {
    query.end()?;
    let found = webhooks(&api, &caller)?.deliveries(caller.app.as_str(), params.text("id"));
    let items = found.map_err(fault)?;
    json(&WebhookDeliveryPage { items, next: None })
}

/// Delivers once more, outside of the order.
#[utoipa::path(
    post, path = "/api/v1/apps/{app}/webhooks/{id}/deliveries/{n}/retry", tag = "Webhooks",
    params(("app" = String, Path, description = "App id"), ("id" = String, Path, description = "Webhook"), ("n" = u64, Path, description = "Number of the delivery")),
    responses((status = 200, body = Delivery), (status = "4XX", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn retry(
    State(api): State<Shared>,
    caller: Caller,
    params: PathParams,
    query: Query,
) -> Answer {
    query.end()?;
    let webhooks = webhooks(&api, &caller)?;
    let text = params.text("n");
    let n = text.parse().map_err(|_| {
        let detail = format!("{text:?} is not the number of a delivery");
        Fault::invalid("n", detail).hint("Take the number from the list of deliveries.")
    })?;
    let tried = webhooks.retry(caller.app.as_str(), params.text("id"), n);
    json(&tried.await.map_err(fault)?)
}

/// Events that were given up, oldest first.
#[utoipa::path(
    get, path = "/api/v1/apps/{app}/webhooks/{id}/dead-letters", tag = "Webhooks",
    params(("app" = String, Path, description = "App id"), ("id" = String, Path, description = "Webhook"), ("cursor" = Option<u64>, Query, description = "As the page before has given it"), ("limit" = Option<u64>, Query, description = "1 to 100")),
    responses((status = 200, body = WebhookDeliveryPage), (status = "4XX", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn dead_letters(
    State(api): State<Shared>,
    caller: Caller,
    params: PathParams,
    mut query: Query,
) -> Answer {
    let webhooks = webhooks(&api, &caller)?;
    let limit = query.number("limit", 1, PAGE_MAX)?.unwrap_or(PAGE_MAX);
    let after = query.number("cursor", 0, u64::MAX)?.unwrap_or(0);
    query.end()?;
    let limit = usize::try_from(limit).unwrap_or(1);
    let found = webhooks.dead_letters(caller.app.as_str(), params.text("id"), after, limit);
    let items = found.await.map_err(fault)?;
    let last = items.last().filter(|_| items.len() == limit);
    let next = last.map(|letter| letter.n.to_string());
    json(&WebhookDeliveryPage { items, next })
}

/// Delivers the dead letters, oldest first, until one fails or 20 s have passed.
#[utoipa::path(
    post, path = "/api/v1/apps/{app}/webhooks/{id}/dead-letters/retry", tag = "Webhooks",
    params(("app" = String, Path, description = "App id"), ("id" = String, Path, description = "Webhook")),
    responses((status = 200, body = Redelivered), (status = "4XX", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn retry_dead(
    State(api): State<Shared>,
    caller: Caller,
    params: PathParams,
    query: Query,
) -> Answer {
    query.end()?;
    let tried = webhooks(&api, &caller)?;
    let tried = tried.retry_dead(caller.app.as_str(), params.text("id"));
    json(&tried.await.map_err(fault)?)
}

/// The app's moderation.
#[utoipa::path(
    get, path = "/api/v1/apps/{app}/moderation", tag = "Moderation",
    params(("app" = String, Path, description = "App id")),
    responses((status = 200, body = ModerationView), (status = "4XX", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn moderation(State(api): State<Shared>, caller: Caller, query: Query) -> Answer {
    query.end()?;
    let found = webhooks(&api, &caller)?.moderation(caller.app.as_str());
    json(&found.map_err(fault)?)
}

/// Sets the app's moderation: from now on, messages to these channels wait for the backend's word.
#[utoipa::path(
    put, path = "/api/v1/apps/{app}/moderation", tag = "Moderation",
    params(("app" = String, Path, description = "App id")),
    request_body = NewModeration,
    responses((status = 200, body = ModerationView), (status = "4XX", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn set_moderation(
    State(api): State<Shared>,
    caller: Caller,
    query: Query,
    Json(new): Json<NewModeration>,
) -> Answer {
    query.end()?;
    let set = webhooks(&api, &caller)?.set_moderation(caller.app.as_str(), new);
    json(&set.await.map_err(fault)?)
}

/// Ends the app's moderation.
#[utoipa::path(
    delete, path = "/api/v1/apps/{app}/moderation", tag = "Moderation",
    params(("app" = String, Path, description = "App id")),
    responses((status = 204), (status = "4XX", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn end_moderation(
    State(api): State<Shared>,
    caller: Caller,
    query: Query,
) -> Answer {
    query.end()?;
    let ended = webhooks(&api, &caller)?.end_moderation(caller.app.as_str());
    ended.await.map_err(fault)?;
    no_content()
}

fn fault(refusal: Refusal) -> Fault {
    let Refusal { kind, detail, hint } = refusal;
    let made = match kind {
        RefusalKind::Field(field) => Fault::invalid(field.name(), detail),
        RefusalKind::NotFound => Fault::not_found("not_found", detail),
        RefusalKind::Conflict => Fault::new(StatusCode::CONFLICT, "conflict", detail, hint),
        RefusalKind::Full => Fault::new(StatusCode::CONFLICT, "too_many_webhooks", detail, hint),
        RefusalKind::Unavailable => Fault::unavailable(detail),
    };
    made.hint(hint)
}
