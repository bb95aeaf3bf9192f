//! Our own paths: rest 12.

mod attributes;
mod channels;
mod events;
mod history;
mod invitations;
mod lists;
mod offline;
mod publish;
mod schemas;
mod sessions;
mod users;

use axum::Router;
use axum::routing::{delete, get, post};
use serde_json::json;

use crate::{Answer, Shared};

/// The routes.
pub(crate) fn routes() -> Router<Shared> {
    let app = |rest: &str| format!("/api/v1/apps/{{app}}{rest}");
    let attributes = || {
        get(attributes::get)
            .put(attributes::write)
            .patch(attributes::write)
            .delete(attributes::delete)
    };
    Router::new()
        .route("/api/v1/version", get(version))
        .route(&app("/publish"), post(publish::publish))
        .route(&app("/publish/batch"), post(publish::batch))
        .route(&app("/events"), get(events::list))
        .route(&app("/events/stream"), get(events::follow))
        .route(&app("/history"), get(history::get).delete(history::delete))
        .route(&app("/sessions"), get(sessions::list))
        .route(&app("/sessions/{session}"), delete(sessions::end))
        .route(&app("/users/query"), post(users::query))
        .route(&app("/users/{user}"), get(users::get))
        .route(&app("/users/{user}/disconnect"), post(users::end))
        .route(&app("/users/{user}/attributes"), attributes())
        .route(
            &app("/users/{user}/offline"),
            get(offline::list).delete(offline::delete),
        )
        .route(&app("/channels"), get(channels::list))
        .route(&app("/channels/{channel}"), get(channels::get))
        .route(&app("/channels/{channel}/attributes"), attributes())
        .route(
            &app("/channels/{channel}/members"),
            get(channels::list_members),
        )
        .route(
            &app("/channels/{channel}/members/{user}/remove"),
            post(channels::remove),
        )
        .route(
            &app("/invitations"),
            get(invitations::list).post(invitations::create),
        )
        .route(&app("/invitations/{invitation}"), delete(invitations::end))
}

async fn version() -> Answer {
    crate::json(&json!({ "name": "tidings", "version": env!("CARGO_PKG_VERSION") }))
}
