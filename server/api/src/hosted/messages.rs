//! Messages of 1.x. Source: rest 2, 11.1.

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use serde::Deserialize;
use tidings_hub::ids::UserKey;
use tidings_hub::outside::PeerOutcome;
use tidings_token::{Access, Resource};
use tidings_wire::limits::MESSAGE_PAYLOAD_BYTES_MAX;
use tidings_wire::proto::{SendToChannel, SendToPeer, request};
use utoipa::ToSchema;

use super::text;
use crate::Shared;
use crate::answer::Answer;
use crate::auth::Caller;
use crate::body::{self, Bytes64};
use crate::idempotency::{Reply, keyed, once};
use crate::params::{self, PathParams, Query};
use crate::problem::Fault;
use crate::request_id::RequestId;

/// A message to a user.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "destination": "alice",
    "payload": "hello",
    "enable_offline_messaging": true
}))]
pub(crate) struct PeerMessage {
    /// The receiver's user id.
    destination: String,
    /// Keep it for a receiver who is not there.
    #[serde(default)]
    enable_offline_messaging: bool,
    /// Keep it in the history.
    #[serde(default)]
    enable_historical_messaging: bool,
    /// The text, 1 to 32,768 bytes of UTF-8.
    payload: String,
}

/// A message to a channel.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "channel_name": "news", "payload": "hello" }))]
pub(crate) struct ChannelMessage {
    /// The name of the channel that gets the message.
    channel_name: String,
    /// Keep it in the history.
    #[serde(default)]
    enable_historical_messaging: bool,
    /// The text, 1 to 32,768 bytes of UTF-8.
    payload: String,
}

/// `POST …/rtm/users/{user}/peer_messages`: sends a text to a user, in the name of another.
pub(crate) async fn to_peer(
    State(api): State<Shared>,
    caller: Caller,
    Extension(id): Extension<RequestId>,
    params: PathParams,
    mut query: Query,
    headers: HeaderMap,
    Bytes64(bytes): Bytes64,
) -> Answer {
    let from = sender(&caller, &params)?;
    let waits = query.flag("wait_for_ack")?.unwrap_or(false);
    query.end()?;
    body::check_type(&headers)?;
    let message: PeerMessage = body::parse(&bytes)?;
    let to = params::user("destination", &message.destination)?;
    check_payload(&message.payload)?;
    let principal = &caller.principal;
    principal.must_have(Resource::User, Access::Write, to.as_str())?;
    caller.must_not_be_barred(&api, None)?;
    let scope = ["peer", from.user.as_str(), to.as_str()];
    let keyed = keyed((&api, &caller), &headers, &scope, &bytes)?;
    let work = async move {
        let call = SendToPeer {
            peer_id: to.as_str().to_owned(),
            message: Some(text(message.payload, String::new())),
            offline: message.enable_offline_messaging,
            history: message.enable_historical_messaging,
        };
        let sent = api.begin_send(from, call, waits)?.end(&api).await?;
        let code = match sent.filter(|_| waits) {
            None => "message_sent",
            Some(sent) if sent.outcome == PeerOutcome::Received => "message_delivered",
            // It is there, and its client has not confirmed in time: a repeat would deliver twice.
            Some(sent) if sent.was_there => "message_sent",
            Some(_) => api.settings.offline_code,
        };
        Ok(success(&id, code))
    };
    once(keyed, work).await
}

/// `POST …/rtm/users/{user}/channel_messages`: sends a text to a channel, in a user's name.
pub(crate) async fn to_channel(
    State(api): State<Shared>,
    caller: Caller,
    Extension(id): Extension<RequestId>,
    params: PathParams,
    query: Query,
    headers: HeaderMap,
    Bytes64(bytes): Bytes64,
) -> Answer {
    let from = sender(&caller, &params)?;
    query.end()?;
    body::check_type(&headers)?;
    let message: ChannelMessage = body::parse(&bytes)?;
    let channel = params::channel("channel_name", &message.channel_name)?;
    check_payload(&message.payload)?;
    let principal = &caller.principal;
    principal.must_have(Resource::MessageChannel, Access::Write, channel.as_str())?;
    caller.must_not_be_barred(&api, Some(&channel))?;
    let scope = ["channel", from.user.as_str(), channel.as_str()];
    let keyed = keyed((&api, &caller), &headers, &scope, &bytes)?;
    let work = async move {
        let call = SendToChannel {
            channel: message.channel_name,
            message: Some(text(message.payload, String::new())),
            history: message.enable_historical_messaging,
        };
        let (_, asked) = api.begin_message(from, request::Call::SendToChannel(call))?;
        api.end(asked).await?;
        Ok(success(&id, "message_sent"))
    };
    once(keyed, work).await
}

/// Who sends: the user in the path, as whom the caller may act.
pub(crate) fn sender(caller: &Caller, params: &PathParams) -> Result<UserKey, Fault> {
    let user = params.user("user")?;
    caller.principal.must_act_as(&user)?;
    let app = caller.app.clone();
    Ok(UserKey { app, user })
}

/// # Errors
/// 400: the text is empty or too long. Source: rest 11.1.
pub(crate) fn check_payload(payload: &str) -> Result<(), Fault> {
    match payload.len() {
        1..=MESSAGE_PAYLOAD_BYTES_MAX => Ok(()),
        0 => Err(Fault::invalid("payload", "the payload is empty")),
        bytes => Err(Fault::invalid(
            "payload",
            format!(
                "the payload has {bytes} bytes; at most {MESSAGE_PAYLOAD_BYTES_MAX} are allowed"
            ),
        )),
    }
}

fn success(id: &RequestId, code: &str) -> Reply {
    // Both are plain: nothing has to be escaped.
    let id = id.as_str();
    let body = format!(r#"{{"result":"success","request_id":"{id}","code":"{code}"}}"#);
    Reply {
        status: StatusCode::OK,
        body: Bytes::from(body),
    }
}
