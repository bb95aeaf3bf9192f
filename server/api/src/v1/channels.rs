//! Channels and their members. Source: rest 12.

use std::collections::BTreeMap;

use axum::extract::State;
use serde::Serialize;
use tidings_hub::ids::{ChannelKey, UserKey};
use tidings_hub::outside::{OutsideAnswer, OutsideCall};
use tidings_wire::proto::{GetMemberCounts, reply, request};
use utoipa::ToSchema;

use super::lists::{Page, bad_cursor, page};
use super::sessions::members;
use crate::auth::Caller;
use crate::body::Bytes64;
use crate::params::{self, PathParams, Query};
use crate::problem::{Fault, Problem};
use crate::stored::strange;
use crate::{Answer, Shared, json};

/// A channel by name, and how many users are in it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Channel {
    name: String,
    /// How many users are in it.
    members: u32,
}

/// Lists the channels that have members.
#[utoipa::path(
    get, path = "/api/v1/apps/{app}/channels", tag = "Channels",
    params(
        ("app" = String, Path, description = "App id"),
        ("prefix" = Option<String>, Query, description = "Only those whose names begin so"),
        ("limit" = Option<u64>, Query, description = "1 to 100"),
        ("cursor" = Option<String>, Query, description = "The `next` of the page before"),
    ),
    responses((status = 200, body = super::schemas::ChannelPage), (status = "4XX", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn list(State(api): State<Shared>, caller: Caller, mut query: Query) -> Answer {
    caller.principal.must_be_key()?;
    let prefix = query.take("prefix").unwrap_or_default();
    let (cursor, limit) = page(&mut query)?;
    query.end()?;
    let after = cursor.map(|cursor| params::channel("cursor", &cursor).map_err(|_| bad_cursor()));
    let after = after.transpose()?;
    let call = || OutsideCall::Channels {
        app: caller.app.clone(),
        prefix: prefix.clone(),
        after: after.clone(),
        limit: u16::try_from(limit).unwrap_or(u16::MAX),
    };
    let mut found = BTreeMap::new();
    let mut has_more = false;
    for answer in api.ask_all(call).await? {
        let OutsideAnswer::Channels {
            channels,
            has_more: more,
        } = answer
        else {
            return Err(strange());
        };
        has_more |= more;
        for entry in channels {
            // Each hub knows all members; one may have heard of the last a moment later.
            let members: &mut u32 = found.entry(entry.channel).or_default();
            *members = entry.members.max(*members);
        }
    }
    has_more |= found.len() > limit;
    let items = found
        .into_iter()
        .take(limit)
        .map(|(name, members)| Channel {
            name: name.as_str().into(),
            members,
        });
    let items: Vec<_> = items.collect();
    let last = items.last().map(|channel| channel.name.clone());
    Page::answer(items, last.filter(|_| has_more))
}

/// Shows a channel. One that nobody is in has no members, and may have attributes and a history.
#[utoipa::path(
    get, path = "/api/v1/apps/{app}/channels/{channel}", tag = "Channels",
    params(("app" = String, Path, description = "App id"), ("channel" = String, Path, description = "Channel name")),
    responses((status = 200, body = Channel), (status = "4XX", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn get(
    State(api): State<Shared>,
    caller: Caller,
    params: PathParams,
    query: Query,
) -> Answer {
    caller.principal.must_be_key()?;
    query.end()?;
    let channel = params.channel("channel")?;
    // As anybody: all are answered the same.
    let from = UserKey {
        app: caller.app,
        user: params::user("channel", channel.as_str())?,
    };
    let channels = vec![channel.as_str().to_owned()];
    let call = request::Call::GetMemberCounts(GetMemberCounts { channels });
    let asked = api.begin_as(from, call)?;
    let OutsideAnswer::Call(reply::Result::MemberCounts(list)) = api.end(asked).await? else {
        return Err(strange());
    };
    let members = list.counts.first().map_or(0, |entry| entry.count);
    json(&Channel {
        name: channel.as_str().into(),
        members,
    })
}

/// Lists the members of a channel.
#[utoipa::path(
    get, path = "/api/v1/apps/{app}/channels/{channel}/members", tag = "Channels",
    params(
        ("app" = String, Path, description = "App id"),
        ("channel" = String, Path, description = "Channel name"),
        ("limit" = Option<u64>, Query, description = "1 to 100"),
        ("cursor" = Option<String>, Query, description = "The `next` of the page before"),
    ),
    responses((status = 200, body = super::schemas::MemberPage), (status = "4XX", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn list_members(
    State(api): State<Shared>,
    caller: Caller,
    params: PathParams,
    mut query: Query,
) -> Answer {
    caller.principal.must_be_key()?;
    let channel = params.channel("channel")?;
    let (cursor, limit) = page(&mut query)?;
    query.end()?;
    let after = cursor.unwrap_or_default();
    let all = members(&api, &caller.app, &channel).await?;
    let mut left = all.into_iter().filter(|user| *user > after);
    let users: Vec<String> = left.by_ref().take(limit).collect();
    let next = left.next().and(users.last().cloned());
    let items: Vec<_> = users
        .into_iter()
        .map(|user| serde_json::json!({ "user": user }))
        .collect();
    Page::answer(items, next)
}

/// Takes a member out of a channel.
#[utoipa::path(
    post, path = "/api/v1/apps/{app}/channels/{channel}/members/{user}/remove", tag = "Channels",
    params(
        ("app" = String, Path, description = "App id"),
        ("channel" = String, Path, description = "Channel name"),
        ("user" = String, Path, description = "User id"),
    ),
    responses((status = 200, body = super::schemas::Removed), (status = "4XX", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn remove(
    State(api): State<Shared>,
    caller: Caller,
    params: PathParams,
    query: Query,
    Bytes64(body): Bytes64,
) -> Answer {
    caller.principal.must_be_key()?;
    query.end()?;
    no_fields(&body)?;
    let channel = ChannelKey {
        app: caller.app,
        channel: params.channel("channel")?,
    };
    let user = params.user("user")?;
    let call = || OutsideCall::RemoveMember {
        channel: channel.clone(),
        user: user.clone(),
    };
    let mut removed = 0;
    for answer in api.ask_all(call).await? {
        if let OutsideAnswer::Count(count) = answer {
            removed += count;
        }
    }
    if removed == 0 {
        let detail = format!("{user} is not in the channel");
        return Err(Fault::not_found("not_a_member", detail));
    }
    json(&serde_json::json!({ "removed": removed }))
}

/// The body is empty, or an object without a field.
///
/// # Errors
/// 400.
pub(crate) fn no_fields(body: &[u8]) -> Result<(), Fault> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}
    if body.is_empty() {
        Ok(())
    } else {
        crate::body::parse::<Nothing>(body).map(|Nothing {}| ())
    }
}
