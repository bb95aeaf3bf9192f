//! Histories: read, and purged. Source: rest 12.

use axum::extract::State;
use serde_json::{Value, json as value};
use tidings_hub::ids::{ChannelKey, UserKey};
use tidings_hub::store_ops::{Conversation, HistoryMessage, ReadOrder};
use tidings_wire::hex;

use super::lists::{LIMIT_MAX, Page, bad_cursor};
use crate::admin::looked;
use crate::auth::Caller;
use crate::params::{self, Query};
use crate::problem::{Fault, Problem};
use crate::stored::{content, range};
use crate::{Answer, Shared, no_content};

/// Whose history a call is about.
struct Which {
    conversation: Conversation,
    channel: Option<String>,
}

fn which(caller: &Caller, query: &mut Query) -> Result<Which, Fault> {
    let app = caller.app.clone();
    match (query.take("channel"), query.take("users")) {
        (Some(channel), None) => Ok(Which {
            conversation: Conversation::Channel(ChannelKey {
                app,
                channel: params::channel("channel", &channel)?,
            }),
            channel: Some(channel),
        }),
        (None, Some(users)) => {
            let (one, other) = users.split_once(',').ok_or_else(|| {
                Fault::invalid("users", "two users are named, separated by a comma")
            })?;
            let one = UserKey {
                app,
                user: params::user("users", one)?,
            };
            let other = params::user("users", other)?;
            Ok(Which {
                conversation: Conversation::of_users(&one, &other),
                channel: None,
            })
        }
        (Some(_), Some(_)) => Err(Fault::invalid("users", "a channel or two users, not both")),
        (None, None) => Err(Fault::missing("channel")),
    }
}

/// Reads a history, oldest first.
#[utoipa::path(
    get, path = "/api/v1/apps/{app}/history", tag = "History",
    params(
        ("app" = String, Path, description = "App id"),
        ("channel" = Option<String>, Query, description = "A channel; or `users`"),
        ("users" = Option<String>, Query, description = "Two users, separated by a comma: what they wrote to each other"),
        ("from" = Option<u64>, Query, description = "The first millisecond, Unix time"),
        ("to" = Option<u64>, Query, description = "The millisecond after the last, Unix time"),
        ("limit" = Option<u64>, Query, description = "1 to 100"),
        ("after" = Option<String>, Query, description = "The `next` of the page before; also `cursor`"),
    ),
    responses((status = 200, body = super::schemas::MessagePage), (status = "4XX", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn get(State(api): State<Shared>, caller: Caller, mut query: Query) -> Answer {
    caller.principal.must_be_key()?;
    let which = which(&caller, &mut query)?;
    let from = query.number("from", 0, u64::MAX)?.unwrap_or(0);
    let to = query.number("to", 0, u64::MAX)?.unwrap_or(u64::MAX);
    let limit = query.number("limit", 1, LIMIT_MAX)?.unwrap_or(LIMIT_MAX);
    let cursor = query.take("after").or_else(|| query.take("cursor"));
    query.end()?;
    let after = cursor.map(|cursor| cursor.parse().map_err(|_| bad_cursor()));
    let age = api.apps().settings(&caller.app).history_age_ms;
    // Bound: `LIMIT_MAX`.
    let limit = usize::try_from(limit).unwrap_or(1);
    let mut wanted = range(ReadOrder::OldestFirst, limit);
    wanted.after = after.transpose()?.unwrap_or(0);
    wanted.from_ts = from.max(api.unix_ms().saturating_sub(age));
    wanted.until_ts = to;
    let page = api
        .stored
        .history(which.conversation.clone(), wanted)
        .await?;
    let items: Vec<Value> = page
        .messages
        .iter()
        .map(|message| shown(&which, message))
        .collect();
    let next = (page.next > 0).then(|| page.next.to_string());
    let at = match (&which.channel, &which.conversation) {
        (None, Conversation::Users(pair)) => {
            let (one, other) = pair.users();
            value!({ "users": [one.as_str(), other.as_str()] })
        }
        (channel, _) => value!({ "channel": channel }),
    };
    looked(Page::answer(items, next), &caller, at)
}

fn shown(which: &Which, message: &HistoryMessage) -> Value {
    let mut fields = content(&message.body);
    let position = message.position.to_string();
    // Those that an older program has kept have no other name.
    let id = message.id().map_or(position.clone(), |id| hex(&id.0));
    fields.insert("message_id".into(), value!(id));
    fields.insert("position".into(), value!(position));
    fields.insert("from".into(), value!(message.from));
    fields.insert("at_ms".into(), value!(message.server_ts));
    match (&which.channel, &which.conversation) {
        (Some(channel), _) => fields.insert("channel".into(), value!(channel)),
        (None, Conversation::Users(pair)) => {
            let (one, other) = pair.users();
            let to = if one.as_str() == message.from {
                other
            } else {
                one
            };
            fields.insert("user".into(), value!(to.as_str()))
        }
        (None, Conversation::Channel(_)) => None,
    };
    Value::Object(fields)
}

/// Deletes a history, or what is older than a time.
#[utoipa::path(
    delete, path = "/api/v1/apps/{app}/history", tag = "History",
    params(
        ("app" = String, Path, description = "App id"),
        ("channel" = Option<String>, Query, description = "A channel; or `users`"),
        ("users" = Option<String>, Query, description = "Two users, separated by a comma"),
        ("to" = Option<u64>, Query, description = "Only what is older than this, Unix milliseconds; all if not given"),
    ),
    responses((status = 204), (status = "4XX", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn delete(State(api): State<Shared>, caller: Caller, mut query: Query) -> Answer {
    caller.principal.must_be_key()?;
    let which = which(&caller, &mut query)?;
    let from = query.number("from", 0, u64::MAX)?.unwrap_or(0);
    if from > 0 {
        let detail = "messages are deleted from the oldest on: leave `from` out";
        return Err(Fault::invalid("from", detail));
    }
    let to = query.number("to", 0, u64::MAX)?.unwrap_or(u64::MAX);
    query.end()?;
    api.stored.trim(which.conversation, to).await?;
    no_content()
}
