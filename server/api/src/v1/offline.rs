//! What waits for a user. Source: rest 12.

use axum::extract::State;
use serde_json::{Value, json as value};
use tidings_hub::ids::UserKey;
use tidings_hub::store_ops::{InboxLosses, StoreOp, StoredMessage};
use tidings_wire::hex;

use super::lists::{Page, bad_cursor, page};
use crate::admin::looked;
use crate::auth::Caller;
use crate::params::{PathParams, Query};
use crate::problem::Problem;
use crate::stored::content;
use crate::{Answer, Api, Fault, Shared, json};

/// Lists the messages that wait for a user.
#[utoipa::path(
    get, path = "/api/v1/apps/{app}/users/{user}/offline", tag = "Messages",
    params(
        ("app" = String, Path, description = "App id"),
        ("user" = String, Path, description = "User id"),
        ("limit" = Option<u64>, Query, description = "1 to 100"),
        ("cursor" = Option<String>, Query, description = "The `next` of the page before"),
    ),
    responses((status = 200, body = super::schemas::MessagePage), (status = "4XX", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn list(
    State(api): State<Shared>,
    caller: Caller,
    params: PathParams,
    mut query: Query,
) -> Answer {
    caller.principal.must_be_key()?;
    let (cursor, limit) = page(&mut query)?;
    query.end()?;
    let after = cursor.map(|cursor| cursor.parse().map_err(|_| bad_cursor()));
    let after = after.transpose()?.unwrap_or(0);
    let user = UserKey {
        app: caller.app.clone(),
        user: params.user("user")?,
    };
    let oldest = oldest(&api, &user);
    let (messages, has_more) = api.stored.inbox(&user, after, limit, oldest).await?;
    let next = messages.last().map(|last| last.inbox.to_string());
    let items: Vec<Value> = messages.iter().map(shown).collect();
    let at = value!({ "waiting_for": user.user.as_str() });
    looked(Page::answer(items, next.filter(|_| has_more)), &caller, at)
}

fn oldest(api: &Api, user: &UserKey) -> u64 {
    let settings = api.apps().settings(&user.app);
    api.unix_ms().saturating_sub(settings.inbox_age_ms)
}

fn shown(message: &StoredMessage) -> Value {
    let mut fields = content(&message.body);
    fields.insert("message_id".into(), value!(hex(&message.id.0)));
    fields.insert("from".into(), value!(message.from));
    fields.insert("at_ms".into(), value!(message.server_ts));
    if message.lasts_until > 0 {
        fields.insert("expires_ms".into(), value!(message.lasts_until));
    }
    Value::Object(fields)
}

/// Deletes the messages that wait for a user.
#[utoipa::path(
    delete, path = "/api/v1/apps/{app}/users/{user}/offline", tag = "Messages",
    params(("app" = String, Path, description = "App id"), ("user" = String, Path, description = "User id")),
    responses((status = 200, body = super::schemas::Deleted), (status = "4XX", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn delete(
    State(api): State<Shared>,
    caller: Caller,
    params: PathParams,
    query: Query,
) -> Answer {
    caller.principal.must_be_key()?;
    query.end()?;
    let user = UserKey {
        app: caller.app,
        user: params.user("user")?,
    };
    json(&value!({ "deleted": empty(&api, &user).await? }))
}

/// Empties an inbox; returns how many messages there were.
async fn empty(api: &Api, user: &UserKey) -> Result<usize, Fault> {
    const PAGE: usize = 256;
    let (mut after, mut deleted) = (0, 0);
    loop {
        let (messages, has_more) = api.stored.inbox(user, after, PAGE, 0).await?;
        let Some(last) = messages.last() else {
            return Ok(deleted);
        };
        (after, deleted) = (last.inbox, deleted + messages.len());
        let op = StoreOp::InboxConfirm {
            user: user.clone(),
            up_to: after,
            told: InboxLosses::default(),
        };
        api.stored.ask(op).await?;
        if !has_more {
            return Ok(deleted);
        }
    }
}
