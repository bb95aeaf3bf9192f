//! The 2.x server API. Source: rest 5.

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tidings_hub::ids::ChannelKey;
use tidings_hub::store_ops::{Conversation, HistoryMessage, ReadOrder};
use tidings_token::{Access, Resource};
use tidings_wire::names::{ChannelName, UserId};
use tidings_wire::proto::{SendToChannel, SendToPeer, request};

use super::messages::{check_payload, sender};
use super::text;
use crate::admin::looked;
use crate::answer::Answer;
use crate::auth::Caller;
use crate::body::Bytes64;
use crate::idempotency::{Reply, keyed, once};
use crate::params::{PathParams, Query};
use crate::problem::Fault;
use crate::request_id::RequestId;
use crate::routes::Routes;
use crate::stored::{content, range};
use crate::{Shared, unix_ms};

/// Longest `customType`, in characters. Source: rest 5.
const CUSTOM_TYPE_MAX: usize = 32;

pub(crate) fn routes() -> Routes {
    let place = "{app}/userId/{user}/channelType/{type}/channel/{channel}";
    Routes::new()
        .route(&format!("/rtm/v2/publish/{place}"), post(publish))
        .route(&format!("/rtm/v2/history/{place}"), get(history))
}

/// What a path names: a channel, or a user.
enum Place {
    Channel(ChannelName),
    User(UserId),
}

impl Place {
    fn of(params: &PathParams) -> Result<Self, Fault> {
        match params.text("type") {
            "message" => params.channel("channel").map(Self::Channel),
            "user" => params.user("channel").map(Self::User),
            other => {
                let shown: String = other.chars().take(40).collect();
                let detail = format!("{shown:?} is no channel type; there are message and user");
                Err(Fault::invalid("channelType", detail))
            }
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Channel(channel) => channel.as_str(),
            Self::User(user) => user.as_str(),
        }
    }

    fn resource(&self) -> Resource {
        match self {
            Self::Channel(_) => Resource::MessageChannel,
            Self::User(_) => Resource::User,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Channel(_) => "message",
            Self::User(_) => "user",
        }
    }
}

async fn publish(
    State(api): State<Shared>,
    caller: Caller,
    Extension(id): Extension<RequestId>,
    params: PathParams,
    mut query: Query,
    headers: HeaderMap,
    Bytes64(bytes): Bytes64,
) -> Answer {
    let from = sender(&caller, &params)?;
    let place = Place::of(&params)?;
    let history = query.flag("storeInHistory")?.unwrap_or(false);
    let kind = query.take("customType").unwrap_or_default();
    query.end()?;
    if kind.len() > CUSTOM_TYPE_MAX || !kind.bytes().all(|byte| byte.is_ascii_graphic()) {
        let detail =
            format!("it has 1 to {CUSTOM_TYPE_MAX} characters of ASCII, none of them a space");
        return Err(Fault::invalid("customType", detail));
    }
    // Whatever its content type says, the body is the message.
    let payload = String::from_utf8(bytes.to_vec());
    let payload = payload.map_err(|_| Fault::invalid("body", "the message is no text in UTF-8"))?;
    check_payload(&payload).map_err(|fault| fault.on("body"))?;
    let principal = &caller.principal;
    principal.must_have(place.resource(), Access::Write, place.name())?;
    let channel = match &place {
        Place::Channel(channel) => Some(channel),
        Place::User(_) => None,
    };
    caller.must_not_be_barred(&api, channel)?;
    let scope = ["v2", from.user.as_str(), place.kind(), place.name()];
    let keyed = keyed((&api, &caller), &headers, &scope, &bytes)?;
    if let Place::Channel(channel) = &place {
        let rate = api.settings.rates.channel;
        let taken = caller.desk.take_channel(channel, rate, api.mono_ms());
        taken.map_err(|wait_ms| {
            let detail = format!(
                "channel {channel} is sent more than {} messages a second",
                rate.calls
            );
            Fault::too_often(detail, wait_ms)
        })?;
    }
    let work = async move {
        let message = text(payload, kind);
        match &place {
            Place::Channel(channel) => {
                let call = SendToChannel {
                    channel: channel.as_str().to_owned(),
                    message: Some(message),
                    history,
                };
                let (_, asked) = api.begin_message(from, request::Call::SendToChannel(call))?;
                api.end(asked).await?;
            }
            Place::User(user) => {
                let call = SendToPeer {
                    peer_id: user.as_str().to_owned(),
                    message: Some(message),
                    offline: false,
                    history,
                };
                api.begin_send(from, call, false)?.end(&api).await?;
            }
        }
        let data = json!({ "channelName": place.name(), "channelType": place.kind() });
        Ok(envelope(&id, "publish", &data))
    };
    once(keyed, work).await
}

async fn history(
    State(api): State<Shared>,
    caller: Caller,
    Extension(id): Extension<RequestId>,
    params: PathParams,
    mut query: Query,
) -> Answer {
    let reader = sender(&caller, &params)?;
    let place = Place::of(&params)?;
    let newer = query.number("start", 0, u64::MAX)?.unwrap_or(0);
    let older = query.number("end", 0, u64::MAX)?.unwrap_or(0);
    let count = query.number("messageCount", 1, 100)?.unwrap_or(100);
    query.end()?;
    let principal = &caller.principal;
    principal.must_have(place.resource(), Access::Read, place.name())?;
    let conversation = match &place {
        Place::Channel(channel) => Conversation::Channel(ChannelKey {
            app: caller.app.clone(),
            channel: channel.clone(),
        }),
        Place::User(user) => Conversation::of_users(&reader, user),
    };
    let age = api.apps().settings(&caller.app).history_age_ms;
    // Bound: 100.
    let mut wanted = range(ReadOrder::NewestFirst, usize::try_from(count).unwrap_or(1));
    wanted.from_ts = older.max(api.unix_ms().saturating_sub(age));
    wanted.until_ts = if newer == 0 { u64::MAX } else { newer };
    let page = api.stored.history(conversation, wanted).await?;
    let list: Vec<Value> = page.messages.iter().map(shown).collect();
    let oldest = page.messages.last().map_or(0, |message| message.server_ts);
    let next = if page.next == 0 { 0 } else { oldest };
    let data = json!({ "messageList": list, "count": list.len(), "newStart": next });
    let reply = envelope(&id, "getMessage", &data);
    let at = match &place {
        Place::Channel(channel) => json!({ "channel": channel.as_str() }),
        Place::User(user) => json!({ "users": [reader.user.as_str(), user.as_str()] }),
    };
    looked(Ok(crate::raw_json(reply.status, reply.body)), &caller, at)
}

fn shown(message: &HistoryMessage) -> Value {
    let fields = content(&message.body);
    let text = |name: &str| fields.get(name).cloned().unwrap_or_else(|| json!(""));
    let is_text = fields.get("type").is_some_and(|kind| kind == "text");
    json!({
        "messageType": if is_text { "STRING" } else { "BINARY" },
        "message": text(if is_text { "payload" } else { "payload_base64" }),
        "customType": text("custom_type"),
        "publisher": message.from,
        "timestamp": message.server_ts,
    })
}

fn envelope(id: &RequestId, operation: &str, data: &Value) -> Reply {
    let body = json!({
        "errorCode": 200,
        "error": false,
        "requestId": id.as_str(),
        "operation": operation,
        "reason": "",
        "timestamp": unix_ms(),
        "data": data,
    });
    Reply {
        status: StatusCode::OK,
        body: body.to_string().into(),
    }
}
