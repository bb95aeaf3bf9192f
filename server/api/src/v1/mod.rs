//! Our own paths: rest 12.

use axum::Router;
use axum::routing::get;
use serde_json::json;

use crate::{Answer, Shared};

/// Where they begin.
pub(crate) const BASE: &str = "/api/v1";

/// The routes.
pub(crate) fn routes() -> Router<Shared> {
    Router::new().route("/api/v1/version", get(version))
}

async fn version() -> Answer {
    crate::json(&json!({ "name": "tidings", "version": env!("CARGO_PKG_VERSION") }))
}
