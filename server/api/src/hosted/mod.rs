//! The hosted service's paths: rest 2 to 5.

mod events;
mod handle;
pub(crate) mod history;
pub(crate) mod messages;
mod v2;

use axum::routing::{get, post};
use tidings_wire::proto::{Message, message};

use crate::routes::Routes;

/// Routes at the paths of the hosted service's API, 1.x and 2.x.
pub(crate) fn routes() -> Routes {
    let user = "/dev/v2/project/{app}/rtm/users/{user}";
    let mut router = Routes::new();
    for name in ["peer_messages", "peer_message"] {
        router = router.route(&format!("{user}/{name}"), post(messages::to_peer));
    }
    for name in ["channel_messages", "channel_message"] {
        router = router.route(&format!("{user}/{name}"), post(messages::to_channel));
    }
    for place in ["vendor", "hook"] {
        let path = |name: &str| format!("/dev/v2/project/{{app}}/rtm/{place}/{name}");
        router = router
            .route(&path("user_events"), get(events::of_users))
            .route(&path("channel_events"), get(events::of_channels));
    }
    let history = "/dev/v2/project/{app}/rtm/message/history";
    router
        .route(&format!("{history}/query"), post(history::create))
        .route(&format!("{history}/query/{{handle}}"), get(history::fetch))
        .route(&format!("{history}/count"), get(history::count))
        .merge(v2::routes())
}

/// A text message.
pub(crate) fn text(text: impl Into<bytes::Bytes>, kind: String) -> Message {
    Message {
        body: Some(message::Body::Text(text.into())),
        r#type: kind,
        ..Message::default()
    }
}
