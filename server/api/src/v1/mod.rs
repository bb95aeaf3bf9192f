//! Our own paths: rest 12.

pub(crate) mod attributes;
pub(crate) mod channels;
pub(crate) mod events;
pub(crate) mod history;
pub(crate) mod invitations;
pub(crate) mod lists;
pub(crate) mod me;
pub(crate) mod offline;
pub(crate) mod publish;
pub(crate) mod schemas;
pub(crate) mod sessions;
pub(crate) mod traces;
pub(crate) mod users;

use axum::routing::{delete, get, post};
use serde_json::json;

use crate::Answer;
use crate::routes::Routes;

/// Routes of `/api/v1` about messages, events, users, channels and invitations.
pub(crate) fn routes() -> Routes {
    let app = |rest: &str| format!("/api/v1/apps/{{app}}{rest}");
    let of_user = get(attributes::get)
        .put(attributes::write)
        .patch(attributes::write)
        .delete(attributes::delete);
    let of_channel = get(attributes::of_channel)
        .put(attributes::write_of_channel)
        .patch(attributes::write_of_channel)
        .delete(attributes::delete_of_channel);
    Routes::new()
        .route("/api/v1/version", get(version))
        .route("/api/v1/openapi.json", get(description))
        .route("/api/v1/me", get(me::get))
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
        .route(&app("/users/{user}/attributes"), of_user)
        .route(
            &app("/users/{user}/offline"),
            get(offline::list).delete(offline::delete),
        )
        .route(&app("/channels"), get(channels::list))
        .route(&app("/channels/{channel}"), get(channels::get))
        .route(&app("/channels/{channel}/attributes"), of_channel)
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
        .route(&app("/traces"), get(traces::list).post(traces::create))
        .route(&app("/traces/{trace}"), delete(traces::end))
        .route(&app("/traces/messages"), get(traces::messages))
        .route(&app("/traces/messages/{message}"), get(traces::message))
        .route(
            &app("/invitations/{invitation}/decision"),
            post(invitations::decide),
        )
}

/// Name and version of the server; needs no key.
#[utoipa::path(
    get, path = "/api/v1/version", tag = "Server", security(()),
    responses((status = 200, body = schemas::Version)),
)]
pub(crate) async fn version() -> Answer {
    crate::json(&json!({ "name": "tidings", "version": env!("CARGO_PKG_VERSION") }))
}

/// This description; needs no key.
#[utoipa::path(
    get, path = "/api/v1/openapi.json", tag = "Server", security(()),
    responses((status = 200, body = Object)),
)]
pub(crate) async fn description() -> Answer {
    crate::openapi::answer()
}
