//! `/api/v1/nodes` and `/api/v1/stats`: how the server is.

use axum::extract::State;
use axum::routing::get;
use serde_json::{Value, json};

use super::blocking;
use crate::auth::Principal;
use crate::problem::Problem;
use crate::routes::Routes;
use crate::{Answer, Shared};

/// The routes of this area.
pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/api/v1/nodes", get(nodes))
        .route("/api/v1/stats", get(stats))
}

/// Fields of the status that say what a node is, as opposed to how much it does.
const OF_NODE: [&str; 10] = [
    "program",
    "pid",
    "uptime_s",
    "listen",
    "admin_listen",
    "hubs",
    "tls",
    "store",
    "store_reason",
    "memory_bytes",
];

/// Lists the nodes.
#[utoipa::path(
    get, path = "/api/v1/nodes", tag = "Cluster",
    responses(
        (status = 200, body = serde_json::Value),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn nodes(State(api): State<Shared>, principal: Principal) -> Answer {
    principal.must_be_unlimited()?;
    let registry = api.admin().registry.clone();
    let status = blocking(move || Ok(registry.status())).await?;
    let mut node = json!({ "id": 0 });
    for field in OF_NODE {
        node[field] = status.get(field).cloned().unwrap_or(Value::Null);
    }
    crate::json(&json!({ "items": [node], "next": null }))
}

/// Tells what the server has done and has to do.
#[utoipa::path(
    get, path = "/api/v1/stats", tag = "Cluster",
    responses(
        (status = 200, body = serde_json::Value),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn stats(State(api): State<Shared>, principal: Principal) -> Answer {
    principal.must_be_unlimited()?;
    let registry = api.admin().registry.clone();
    let mut status = blocking(move || Ok(registry.status())).await?;
    let numbers = status
        .get_mut("numbers")
        .map(Value::take)
        .unwrap_or_default();
    let mut body = json!({
        "at_ms": api.unix_ms(),
        "uptime_s": status["uptime_s"],
        "memory_bytes": status["memory_bytes"],
        "store_accepts": status["store"],
    });
    if let (Some(body), Value::Object(numbers)) = (body.as_object_mut(), numbers) {
        body.extend(numbers);
    }
    let meters = api.meters();
    let metrics = blocking(move || Ok(meters.read().to_json())).await?;
    body["metrics"] = metrics;
    crate::json(&body)
}
