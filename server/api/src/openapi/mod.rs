//! The API's description: OpenAPI 3.1, from the handlers and, for those that answer with objects of
//! their areas, from the table in `rows`.

mod rows;
#[cfg(test)]
mod tests;

use std::sync::OnceLock;

use axum::http::StatusCode;
use bytes::Bytes;
use utoipa::openapi::PathItem;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::admin::AdminDoc;
use crate::hosted::{history, messages};
use crate::login::routes;
use crate::metrics::MetricsDoc;
use crate::problem::Problem;
use crate::{Answer, raw_json, v1, webhooks};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tidings: the server-side API",
        description = "What backends call. Every call but this description and the version needs an API key: \
            `Authorization: Bearer tdk_<id>_<secret>`, or Basic with id and secret. Problems are \
            `application/problem+json`. The hosted service's paths (`/dev`, `/rtm/v2`) answer in its conventions.",
        license(name = "Apache-2.0 OR MIT"),
    ),
    paths(
        v1::version,
        v1::description,
        v1::me::get,
        v1::publish::publish, v1::publish::batch,
        v1::offline::list, v1::offline::delete,
        v1::history::get, v1::history::delete,
        v1::sessions::list, v1::sessions::end,
        v1::users::get, v1::users::query, v1::users::end,
        v1::attributes::get, v1::attributes::write, v1::attributes::delete,
        v1::attributes::of_channel, v1::attributes::write_of_channel, v1::attributes::delete_of_channel,
        v1::channels::list, v1::channels::get, v1::channels::list_members, v1::channels::remove,
        v1::invitations::list, v1::invitations::create, v1::invitations::decide, v1::invitations::end,
        v1::events::list, v1::events::follow,
        v1::traces::list, v1::traces::create, v1::traces::end,
        v1::traces::messages, v1::traces::message,
        webhooks::list, webhooks::create, webhooks::show, webhooks::change, webhooks::delete,
        webhooks::test, webhooks::deliveries, webhooks::retry,
        webhooks::dead_letters, webhooks::retry_dead,
        routes::offer, routes::start, routes::callback, routes::session, routes::end,
        webhooks::moderation, webhooks::set_moderation, webhooks::end_moderation,
    ),
    components(schemas(
        Problem,
        messages::PeerMessage, messages::ChannelMessage, history::HistoryQuery,
    )),
    security(("key" = []), ("basic" = [])),
    modifiers(&Extras),
)]
struct Description;

struct Extras;

impl Modify for Extras {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        env!("CARGO_PKG_VERSION").clone_into(&mut api.info.version);
        let components = api.components.get_or_insert_with(Default::default);
        for (name, scheme) in [
            ("key", HttpAuthScheme::Bearer),
            ("basic", HttpAuthScheme::Basic),
        ] {
            components.add_security_scheme(name, SecurityScheme::Http(Http::new(scheme)));
        }
        api.merge(AdminDoc::openapi());
        api.merge(MetricsDoc::openapi());
        rows::add(api);
        for (path, item) in &mut api.paths.paths {
            name(path, item);
        }
    }
}

/// Names the operations of a path: handlers of different areas have the same names.
fn name(path: &str, item: &mut PathItem) {
    let operations = [
        ("get", &mut item.get),
        ("put", &mut item.put),
        ("post", &mut item.post),
        ("patch", &mut item.patch),
        ("delete", &mut item.delete),
    ];
    for (method, operation) in operations {
        if let Some(operation) = operation {
            let is_plain = |char: char| char.is_ascii_alphanumeric();
            let text = format!("{method}{path}");
            let id = text
                .chars()
                .map(|char| if is_plain(char) { char } else { '_' });
            operation.operation_id = Some(id.collect());
        }
    }
}

/// `GET /api/v1/openapi.json`: always the same bytes.
pub(crate) fn answer() -> Answer {
    static TEXT: OnceLock<Bytes> = OnceLock::new();
    let text = TEXT.get_or_init(|| {
        let text = Description::openapi().to_json().unwrap_or_else(|error| {
            tracing::error!(%error, "the description of the API could not be written");
            String::from("{}")
        });
        text.into()
    });
    Ok(raw_json(StatusCode::OK, text.clone()))
}
