//! Users: who is there, and their end. Source: rest 12.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::json as value;
use tidings_hub::ids::UserKey;
use tidings_hub::outside::{OutsideAnswer, OutsideCall};
use tidings_wire::proto::{PresenceState, QueryPresence, reply, request};
use utoipa::ToSchema;

use super::sessions::{Session, disconnect, state};
use crate::auth::Caller;
use crate::body::Json;
use crate::params::{self, PathParams, Query};
use crate::problem::{Fault, Problem};
use crate::stored::strange;
use crate::{Answer, Shared, json};

/// Users in one query at most. Source: rest 12.
const USERS_MAX: usize = 256;

/// Longest ban of a disconnect, in seconds: a year. Source: rest 11.3.
const BAN_SECONDS_MAX: u64 = 365 * 86_400;

/// A user as the server sees it now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct User {
    user: String,
    online: bool,
    /// `online`, `unreachable` or `offline`, as others see it.
    state: &'static str,
    sessions: Vec<Session>,
    /// Channels that it is in, in the order of their names.
    channels: Vec<String>,
}

/// Shows a user.
#[utoipa::path(
    get, path = "/api/v1/apps/{app}/users/{user}", tag = "Users",
    params(("app" = String, Path, description = "App id"), ("user" = String, Path, description = "User id")),
    responses((status = 200, body = User), (status = "4XX", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn get(
    State(api): State<Shared>,
    caller: Caller,
    params: PathParams,
    query: Query,
) -> Answer {
    caller.principal.must_be_key()?;
    query.end()?;
    let key = UserKey {
        app: caller.app,
        user: params.user("user")?,
    };
    let mut user = User {
        user: key.user.as_str().into(),
        online: false,
        state: "offline",
        sessions: Vec::new(),
        channels: Vec::new(),
    };
    for answer in api
        .ask_all(|| OutsideCall::User { user: key.clone() })
        .await?
    {
        let OutsideAnswer::User(Some(entry)) = answer else {
            continue;
        };
        if !user.online {
            user.state = state(entry.state);
        }
        user.online |= entry.state == PresenceState::Online;
        user.sessions.extend(entry.sessions.iter().map(Session::of));
        let channels = entry
            .channels
            .iter()
            .map(|channel| channel.as_str().to_owned());
        user.channels.extend(channels);
    }
    user.channels.sort_unstable();
    user.channels.dedup();
    json(&user)
}

/// Which users are asked about.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "user_ids": ["alice", "bob"] }))]
pub(crate) struct PresenceQuery {
    /// 1 to 256 user ids.
    user_ids: Vec<String>,
}

/// Tells which users are online.
#[utoipa::path(
    post, path = "/api/v1/apps/{app}/users/query", tag = "Users",
    params(("app" = String, Path, description = "App id")),
    request_body = PresenceQuery,
    responses((status = 200, body = super::schemas::PresencePage), (status = "4XX", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn query(
    State(api): State<Shared>,
    caller: Caller,
    query: Query,
    Json(asked): Json<PresenceQuery>,
) -> Answer {
    caller.principal.must_be_key()?;
    query.end()?;
    let count = asked.user_ids.len();
    if !(1..=USERS_MAX).contains(&count) {
        let detail = format!("{count} users are named; 1 to {USERS_MAX} are allowed");
        return Err(Fault::invalid("user_ids", detail));
    }
    let users = asked.user_ids.iter().enumerate();
    let users = users.map(|(at, user)| params::user(&format!("user_ids[{at}]"), user));
    let users = users.collect::<Result<Vec<_>, _>>()?;
    // As one of them: everybody is answered the same.
    let from = UserKey {
        app: caller.app,
        user: users[0].clone(),
    };
    let user_ids = asked.user_ids;
    let call = request::Call::QueryPresence(QueryPresence { user_ids });
    let asked = api.begin_as(from, call)?;
    let OutsideAnswer::Call(reply::Result::Presence(list)) = api.end(asked).await? else {
        return Err(strange());
    };
    let items = list.users.iter().map(|user| {
        let is_online = user.state == PresenceState::Online as i32;
        let state = state(PresenceState::try_from(user.state).unwrap_or_default());
        value!({ "user": user.user_id, "online": is_online, "state": state })
    });
    let items: Vec<_> = items.collect();
    json(&value!({ "items": items, "next": null }))
}

/// How a user is sent away.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "reason": "maintenance" }))]
pub(crate) struct Disconnect {
    /// Why, for the audit log and the list of bans.
    #[serde(default)]
    reason: String,
    /// New logins are refused for so long, in seconds, at most a year; 0 = not at all.
    #[serde(default)]
    ban_seconds: u64,
}

/// Ends all sessions of a user.
#[utoipa::path(
    post, path = "/api/v1/apps/{app}/users/{user}/disconnect", tag = "Users",
    params(("app" = String, Path, description = "App id"), ("user" = String, Path, description = "User id")),
    request_body = Disconnect,
    responses((status = 200, body = super::schemas::Ended), (status = "4XX", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn end(
    State(api): State<Shared>,
    caller: Caller,
    params: PathParams,
    query: Query,
    Json(how): Json<Disconnect>,
) -> Answer {
    caller.principal.must_be_key()?;
    query.end()?;
    if how.ban_seconds > BAN_SECONDS_MAX {
        let detail =
            format!("a ban lasts at most {BAN_SECONDS_MAX} s; POST …/bans takes longer ones");
        return Err(Fault::invalid("ban_seconds", detail));
    }
    let user = UserKey {
        app: caller.app.clone(),
        user: params.user("user")?,
    };
    // Order: the ban first, so that nobody comes back in between.
    let ban = match how.ban_seconds {
        0 => None,
        seconds => {
            let banned = crate::admin::ban_user(&api, &caller, &user.user, seconds, how.reason);
            Some(banned.await?)
        }
    };
    let ended = disconnect(&api, &user, None).await?;
    json(&value!({ "ended": ended, "ban": ban }))
}
