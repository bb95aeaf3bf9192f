//! History of 1.x: a query, its handle, its messages; and their count. Source: rest 4, 11.2.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json as value};
use tidings_hub::ids::{ChannelKey, UserKey};
use tidings_hub::store_ops::{Conversation, HistoryMessage, ReadOrder};
use tidings_wire::names::{ChannelName, UserId};
use utoipa::ToSchema;

use super::handle::{self, Wanted};
use crate::admin::looked;
use crate::auth::{Caller, Principal};
use crate::body::Json;
use crate::desk::Kind;
use crate::params::{self, PathParams, Query};
use crate::problem::Fault;
use crate::request_id::RequestId;
use crate::stored::{content, range};
use crate::{Answer, Api, Shared, json};

/// Messages that one query looks at, at most: a longer span has to be asked for in parts.
const LOOKED_AT_MAX: usize = 100_000;

/// Which messages are wanted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HistoryQuery {
    filter: Filter,
    /// Messages to skip.
    #[serde(default)]
    offset: u64,
    /// 1 to 100, 20 if not given.
    limit: Option<u64>,
    /// `asc`, which is the default, or `desc`.
    order: Option<String>,
}

/// What is looked for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Filter {
    /// The user id of the sender; left out or empty = anybody.
    source: Option<String>,
    /// A user or a channel.
    destination: Option<String>,
    /// Messages from this time on. UTC, `yyyy-mm-ddThh:mm:ssZ`.
    start_time: String,
    /// Messages up to this time, inclusive. UTC, `yyyy-mm-ddThh:mm:ssZ`.
    end_time: String,
}

/// `POST …/rtm/message/history/query`: checks a query, and says where to fetch its result.
pub(crate) async fn create(
    State(api): State<Shared>,
    caller: Caller,
    Extension(id): Extension<RequestId>,
    query: Query,
    Json(asked): Json<HistoryQuery>,
) -> Answer {
    query.end()?;
    api.take_rate(&caller, Kind::History)?;
    let limit = asked.limit.unwrap_or(20);
    if !(1..=100).contains(&limit) {
        return Err(Fault::invalid(
            "limit",
            format!("{limit} is not from 1 to 100"),
        ));
    }
    let order = asked.order.as_deref().unwrap_or("asc");
    if !["asc", "desc"].contains(&order) {
        return Err(Fault::invalid("order", "it is `asc` or `desc`"));
    }
    let Filter {
        source,
        destination,
        start_time,
        end_time,
    } = asked.filter;
    let wanted = Wanted {
        source: named(source),
        destination: named(destination),
        from_ms: time("filter.start_time", &start_time)?,
        to_ms: time("filter.end_time", &end_time)?,
        offset: asked.offset,
        limit,
        is_descending: order == "desc",
    };
    check(&caller.principal, &wanted)?;
    let handle = handle::seal(&api.handle_key, &caller.app, &wanted, api.unix_ms());
    json(&value!({
        "result": "success",
        "request_id": id.as_str(),
        "offset": asked.offset,
        "limit": limit,
        "order": order,
        "location": format!("~/rtm/message/history/query/{handle}"),
    }))
}

/// `GET …/rtm/message/history/query/{handle}`: the messages that the query in the handle finds.
pub(crate) async fn fetch(
    State(api): State<Shared>,
    caller: Caller,
    Extension(id): Extension<RequestId>,
    params: PathParams,
    query: Query,
) -> Answer {
    query.end()?;
    api.take_rate(&caller, Kind::History)?;
    let handle = params.text("handle");
    let wanted = handle::open(&api.handle_key, &caller.app, handle, api.unix_ms());
    let wanted = wanted.ok_or_else(|| {
        let detail = "the query has lapsed, or is not one of this app";
        let hint = "Make the query again with POST.";
        Fault::new(StatusCode::GONE, "query_gone", detail, hint)
    })?;
    check(&caller.principal, &wanted)?;
    let found = find(&api, &caller, &wanted).await?;
    let offset = usize::try_from(wanted.offset).unwrap_or(usize::MAX);
    let limit = usize::try_from(wanted.limit).unwrap_or(1);
    let messages: Vec<Value> = found
        .iter()
        .skip(offset)
        .take(limit)
        .map(Found::shown)
        .collect();
    let answer = json(&value!({
        "result": "success",
        "code": "ok",
        "request_id": id.as_str(),
        "messages": messages,
    }));
    let at = value!({ "source": wanted.source, "destination": wanted.destination });
    looked(answer, &caller, at)
}

/// `GET …/rtm/message/history/count`: how many messages a query would find.
pub(crate) async fn count(
    State(api): State<Shared>,
    caller: Caller,
    Extension(id): Extension<RequestId>,
    mut query: Query,
) -> Answer {
    api.take_rate(&caller, Kind::History)?;
    let (source, destination) = (query.take("source"), query.take("destination"));
    let wanted = Wanted {
        source: named(source),
        destination: named(destination),
        from_ms: time("start_time", &query.need("start_time")?)?,
        to_ms: time("end_time", &query.need("end_time")?)?,
        offset: 0,
        limit: 100,
        is_descending: false,
    };
    query.end()?;
    check(&caller.principal, &wanted)?;
    let found = find(&api, &caller, &wanted).await?;
    json(&value!({
        "result": "success",
        "code": "ok",
        "request_id": id.as_str(),
        "count": found.len(),
    }))
}

/// A name, without the quotes that callers have copied; empty = none.
fn named(given: Option<String>) -> Option<String> {
    let given = given?;
    let inner = given
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let name = inner.unwrap_or(&given).to_owned();
    (!name.is_empty()).then_some(name)
}

/// Whether a text is a time as callers write it.
pub(crate) fn is_time(text: &str) -> bool {
    time("time", text).is_ok()
}

fn time(field: &str, text: &str) -> Result<u64, Fault> {
    let text = text.trim_matches('"');
    handle::unix_ms_of(text).ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        let detail = format!("{shown:?} is no time such as 2026-11-30T14:00:00Z");
        Fault::invalid(field, detail)
    })
}

/// # Errors
/// 400: nobody is named. 403: a token's user may read its own messages only.
fn check(principal: &Principal, wanted: &Wanted) -> Result<(), Fault> {
    if wanted.source.is_none() && wanted.destination.is_none() {
        return Err(Fault::missing("filter.source").hint("Name a source, a destination, or both."));
    }
    if wanted.from_ms > wanted.to_ms {
        return Err(Fault::invalid("filter.end_time", "it is before start_time"));
    }
    if let Some(source) = &wanted.source {
        params::user("filter.source", source)?;
    }
    if let Some(destination) = &wanted.destination {
        params::user("filter.destination", destination)?;
    }
    let Principal::User(token) = principal else {
        return Ok(());
    };
    let own = Some(token.user.as_str());
    match wanted.source.as_deref() == own
        || wanted.source.is_none() && wanted.destination.as_deref() == own
    {
        true => Ok(()),
        false => Err(Fault::forbidden(
            "with a token, the source has to be its user, or the destination without a source",
        )),
    }
}

/// A message that was found.
struct Found {
    message: HistoryMessage,
    to: String,
    kind: &'static str,
}

impl Found {
    fn shown(&self) -> Value {
        let fields = content(&self.message.body);
        value!({
            "src": self.message.from,
            "dst": self.to,
            "message_type": self.kind,
            "payload": fields.get("payload"),
            "ms": self.message.server_ts,
        })
    }
}

/// Finds all messages of a query, in its order.
async fn find(api: &Api, caller: &Caller, wanted: &Wanted) -> Result<Vec<Found>, Fault> {
    let app = &caller.app;
    let user = |name: &str| params::user("filter", name);
    let source = wanted.source.as_deref().map(user).transpose()?;
    let mut conversations = Vec::new();
    match (&source, wanted.destination.as_deref()) {
        (Some(source), Some(destination)) => {
            let one = UserKey {
                app: app.clone(),
                user: source.clone(),
            };
            conversations.push(Conversation::of_users(&one, &user(destination)?));
            conversations.push(channel(app, destination)?);
        }
        (None, Some(destination)) => {
            conversations = api
                .stored
                .conversations(app, |one| has_user(one, destination))
                .await?;
            conversations.push(channel(app, destination)?);
        }
        (Some(source), None) => {
            let name = source.as_str();
            let is_one =
                |one: &Conversation| matches!(one, Conversation::Channel(_)) || has_user(one, name);
            conversations = api.stored.conversations(app, is_one).await?;
        }
        (None, None) => {}
    }
    let age = api.apps().settings(app).history_age_ms;
    let from_ms = wanted.from_ms.max(api.unix_ms().saturating_sub(age));
    let mut found = Vec::new();
    let mut left = LOOKED_AT_MAX;
    for conversation in conversations {
        read(
            api,
            &conversation,
            (from_ms, wanted.to_ms),
            &mut left,
            |message| {
                let to = receiver(&conversation, &message.from);
                let is_from = source
                    .as_ref()
                    .is_none_or(|source| source.as_str() == message.from);
                let is_to = wanted
                    .destination
                    .as_ref()
                    .is_none_or(|wanted| *wanted == to);
                if is_from && is_to {
                    let kind = match &conversation {
                        Conversation::Users(_) => "peer_message",
                        Conversation::Channel(_) => "channel_message",
                    };
                    found.push(Found { message, to, kind });
                }
            },
        )
        .await?;
    }
    found.sort_by_key(|found| (found.message.server_ts, found.message.position));
    if wanted.is_descending {
        found.reverse();
    }
    Ok(found)
}

async fn read(
    api: &Api,
    conversation: &Conversation,
    (from_ms, to_ms): (u64, u64),
    left: &mut usize,
    mut take: impl FnMut(HistoryMessage),
) -> Result<(), Fault> {
    let mut wanted = range(ReadOrder::OldestFirst, 100);
    wanted.from_ts = from_ms;
    // The end of a span is part of it.
    wanted.until_ts = to_ms.saturating_add(1);
    loop {
        let page = api.stored.history(conversation.clone(), wanted).await?;
        *left = left.checked_sub(page.messages.len()).ok_or_else(|| {
            let detail = format!("the query is about more than {LOOKED_AT_MAX} messages");
            Fault::invalid("filter.end_time", detail).hint("Ask for a shorter time.")
        })?;
        page.messages
            .into_iter()
            .filter(is_text)
            .for_each(&mut take);
        if page.next == 0 {
            return Ok(());
        }
        wanted.after = page.next;
    }
}

/// Only texts are kept by the hosted service.
fn is_text(message: &HistoryMessage) -> bool {
    content(&message.body)
        .get("type")
        .is_some_and(|kind| kind == "text")
}

fn channel(app: &tidings_wire::names::AppId, name: &str) -> Result<Conversation, Fault> {
    let channel: ChannelName = params::channel("filter.destination", name)?;
    Ok(Conversation::Channel(ChannelKey {
        app: app.clone(),
        channel,
    }))
}

fn has_user(conversation: &Conversation, name: &str) -> bool {
    let is_one = |user: &UserId| user.as_str() == name;
    match conversation {
        Conversation::Users(pair) => is_one(pair.users().0) || is_one(pair.users().1),
        Conversation::Channel(_) => false,
    }
}

fn receiver(conversation: &Conversation, from: &str) -> String {
    match conversation {
        Conversation::Channel(channel) => channel.channel.as_str().to_owned(),
        Conversation::Users(pair) => {
            let (one, other) = pair.users();
            let to = if one.as_str() == from { other } else { one };
            to.as_str().to_owned()
        }
    }
}
