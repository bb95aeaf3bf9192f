//! The hosted service's paths: rest 2 to 5.

mod messages;
mod v2;

use axum::Router;
use axum::routing::post;
use tidings_wire::proto::{Message, message};

use crate::Shared;

/// The routes.
pub(crate) fn routes() -> Router<Shared> {
    let user = "/dev/v2/project/{app}/rtm/users/{user}";
    let mut router = Router::new();
    for name in ["peer_messages", "peer_message"] {
        router = router.route(&format!("{user}/{name}"), post(messages::to_peer));
    }
    for name in ["channel_messages", "channel_message"] {
        router = router.route(&format!("{user}/{name}"), post(messages::to_channel));
    }
    router.merge(v2::routes())
}

/// A text message.
pub(crate) fn text(text: impl Into<bytes::Bytes>, kind: String) -> Message {
    Message {
        body: Some(message::Body::Text(text.into().into())),
        r#type: kind,
        ..Message::default()
    }
}
