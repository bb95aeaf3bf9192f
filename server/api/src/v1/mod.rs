//! Our own paths: rest 12.

mod publish;

use axum::Router;
use axum::routing::{get, post};
use serde_json::json;

use crate::{Answer, Shared};

/// The routes.
pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/v1/version", get(version))
        .route("/api/v1/apps/{app}/publish", post(publish::publish))
        .route("/api/v1/apps/{app}/publish/batch", post(publish::batch))
}

async fn version() -> Answer {
    crate::json(&json!({ "name": "tidings", "version": env!("CARGO_PKG_VERSION") }))
}
