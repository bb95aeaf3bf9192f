//! `/api/v1/nodes` and `/api/v1/stats`: how the server is.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use super::blocking;
use crate::auth::Principal;
use crate::body::MaybeJson;
use crate::params::{PathParams, Query};
use crate::problem::Problem;
use crate::routes::Routes;
use crate::{Answer, Fault, Shared};

/// The routes of this area.
pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/api/v1/nodes", get(nodes))
        .route("/api/v1/nodes/{node}/drain", post(drain))
        .route("/api/v1/stats", get(stats))
}

/// The one node that there is.
const NODE: u16 = 0;

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
        (status = 200, body = super::docs::NodePage),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn nodes(State(api): State<Shared>, principal: Principal) -> Answer {
    principal.must_be_unlimited()?;
    let registry = api.admin().registry.clone();
    let status = blocking(move || Ok(registry.status())).await?;
    let mut node = json!({ "id": NODE });
    for field in OF_NODE {
        node[field] = status.get(field).cloned().unwrap_or(Value::Null);
    }
    crate::json(&json!({ "items": [node], "next": null }))
}

/// Ends a node: clients are sent away to come back, calls under way are finished, and sessions are
/// kept, so that the next process goes on with them. Whoever keeps the program running, such as
/// systemd, starts it again; an operator who wants it to stay away says so there.
#[utoipa::path(
    post, path = "/api/v1/nodes/{node}/drain", tag = "Cluster",
    params(("node" = u16, Path, description = "The `id` of a node")),
    responses(
        (status = 202, body = super::docs::Draining),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn drain(
    State(api): State<Shared>,
    principal: Principal,
    path: PathParams,
    query: Query,
    MaybeJson(wish): MaybeJson<DrainWish>,
) -> Answer {
    principal.must_be_admin()?;
    principal.must_be_unlimited()?;
    query.end()?;
    let DrainWish {} = wish.unwrap_or_default();
    let node = path.text("node");
    if node != NODE.to_string() {
        let shown: String = node.chars().take(20).collect();
        let detail = format!("there is no node {shown:?}");
        return Err(
            Fault::not_found("unknown_node", detail).hint("GET /api/v1/nodes lists the nodes.")
        );
    }
    api.admin().registry.drain()?;
    let body = json!({ "id": NODE, "state": "draining" });
    crate::json_with(StatusCode::ACCEPTED, &body)
}

/// Nothing can be said about a drain yet.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DrainWish {}

/// Tells what the server has done and has to do.
#[utoipa::path(
    get, path = "/api/v1/stats", tag = "Cluster",
    responses(
        (status = 200, body = super::docs::Stats),
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
