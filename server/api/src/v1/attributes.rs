//! Attributes of users and channels. Source: rest 12.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::Method;
use serde::{Deserialize, Serialize};
use tidings_hub::ids::UserKey;
use tidings_hub::outside::OutsideAnswer;
use tidings_wire::names::{ChannelName, UserId};
use tidings_wire::proto::{
    Attribute, AttributeWrite, ReadChannelAttributes, ReadUserAttributes, WriteChannelAttributes,
    WriteUserAttributes, reply, request,
};
use utoipa::ToSchema;

use crate::auth::Caller;
use crate::body::Json;
use crate::params::{self, PathParams, Query};
use crate::problem::{Fault, Problem};
use crate::stored::strange;
use crate::{Answer, Shared, json};

/// Keys in a query at most.
const KEYS_MAX: usize = 64;

/// As whom a channel's attributes are written, if the call does not say it.
const WRITER: &str = "server";

/// Attributes to be written.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "attributes": { "topic": "news" }, "from": "desk", "notify": true }))]
pub(crate) struct Attributes {
    /// Keys and values.
    attributes: BTreeMap<String, String>,
    /// Of a channel: as whom they are written, `server` if not given.
    from: Option<String>,
    /// Of a channel: whether its members are told.
    #[serde(default)]
    notify: bool,
}

/// Attributes, and who wrote them when.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AttributeView {
    attributes: BTreeMap<String, String>,
    /// By key: who wrote it last, and when in Unix milliseconds.
    updated: BTreeMap<String, Updated>,
}

/// Who wrote an attribute last.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Updated {
    by: String,
    at_ms: u64,
}

enum Owner {
    User(UserId),
    Channel(ChannelName),
}

impl Owner {
    fn of(params: &PathParams) -> Result<Self, Fault> {
        match params.text("channel") {
            "" => params.user("user").map(Self::User),
            _ => params.channel("channel").map(Self::Channel),
        }
    }

    /// As whom a call about them is made.
    fn caller(&self, caller: &Caller, from: Option<&str>) -> Result<UserKey, Fault> {
        let user = match (self, from) {
            (Self::User(_), Some(_)) => {
                let detail = "a user's attributes are its own: they are written as that user";
                return Err(Fault::invalid("from", detail));
            }
            (Self::User(user), None) => user.clone(),
            (Self::Channel(_), from) => params::user("from", from.unwrap_or(WRITER))?,
        };
        Ok(UserKey {
            app: caller.app.clone(),
            user,
        })
    }

    fn read(&self, keys: Vec<String>) -> request::Call {
        match self {
            Self::User(user) => request::Call::ReadUserAttributes(ReadUserAttributes {
                user_id: user.as_str().to_owned(),
                keys,
            }),
            Self::Channel(channel) => request::Call::ReadChannelAttributes(ReadChannelAttributes {
                channel: channel.as_str().to_owned(),
                keys,
            }),
        }
    }

    fn write(
        &self,
        how: AttributeWrite,
        attributes: Vec<Attribute>,
        notify: bool,
    ) -> request::Call {
        match self {
            Self::User(_) => request::Call::WriteUserAttributes(WriteUserAttributes {
                how: how.into(),
                attributes,
            }),
            Self::Channel(channel) => {
                request::Call::WriteChannelAttributes(WriteChannelAttributes {
                    channel: channel.as_str().to_owned(),
                    how: how.into(),
                    attributes,
                    notify,
                })
            }
        }
    }
}

/// Shows a user's attributes, and who changed each one last and when.
#[utoipa::path(
    get, path = "/api/v1/apps/{app}/users/{user}/attributes", tag = "Attributes",
    params(
        ("app" = String, Path, description = "App id"),
        ("user" = String, Path, description = "User id"),
        ("keys" = Option<String>, Query, description = "Only these, separated by commas"),
    ),
    responses((status = 200, body = AttributeView), (status = "4XX", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn get(
    State(api): State<Shared>,
    caller: Caller,
    params: PathParams,
    mut query: Query,
) -> Answer {
    caller.principal.must_be_key()?;
    let keys = keys(&mut query)?;
    query.end()?;
    let owner = Owner::of(&params)?;
    let asked = api.begin_as(owner.caller(&caller, None)?, owner.read(keys))?;
    let OutsideAnswer::Call(reply::Result::Attributes(list)) = api.end(asked).await? else {
        return Err(strange());
    };
    let mut view = AttributeView {
        attributes: BTreeMap::new(),
        updated: BTreeMap::new(),
    };
    for attribute in list.attributes {
        let updated = Updated {
            by: attribute.updated_by,
            at_ms: attribute.updated_ts,
        };
        view.updated.insert(attribute.key.clone(), updated);
        view.attributes.insert(attribute.key, attribute.value);
    }
    json(&view)
}

/// Replaces all attributes (`PUT`), or adds and changes some (`PATCH`).
#[utoipa::path(
    method(put, patch), path = "/api/v1/apps/{app}/users/{user}/attributes", tag = "Attributes",
    params(("app" = String, Path, description = "App id"), ("user" = String, Path, description = "User id")),
    request_body = Attributes,
    responses((status = 200, body = super::schemas::Written), (status = "4XX", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn write(
    State(api): State<Shared>,
    caller: Caller,
    params: PathParams,
    method: Method,
    query: Query,
    Json(given): Json<Attributes>,
) -> Answer {
    caller.principal.must_be_key()?;
    query.end()?;
    let owner = Owner::of(&params)?;
    let from = owner.caller(&caller, given.from.as_deref())?;
    let how = match (method == Method::PUT, given.attributes.is_empty()) {
        (true, true) => AttributeWrite::Clear,
        (true, false) => AttributeWrite::Set,
        (false, true) => return Err(Fault::invalid("attributes", "there is none to be changed")),
        (false, false) => AttributeWrite::Merge,
    };
    let attributes = given.attributes.iter().map(|(key, value)| Attribute {
        key: key.clone(),
        value: value.clone(),
        ..Attribute::default()
    });
    let call = owner.write(how, attributes.collect(), given.notify);
    let asked = api.begin_as(from, call)?;
    api.end(asked).await?;
    json(&serde_json::json!({ "attributes": given.attributes }))
}

/// Deletes a user's attributes: those that `keys` names, or all of them.
#[utoipa::path(
    delete, path = "/api/v1/apps/{app}/users/{user}/attributes", tag = "Attributes",
    params(
        ("app" = String, Path, description = "App id"),
        ("user" = String, Path, description = "User id"),
        ("keys" = Option<String>, Query, description = "Only these, separated by commas; all if not given"),
    ),
    responses((status = 200, body = super::schemas::Written), (status = "4XX", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn delete(
    State(api): State<Shared>,
    caller: Caller,
    params: PathParams,
    mut query: Query,
) -> Answer {
    caller.principal.must_be_key()?;
    let keys = keys(&mut query)?;
    let from = query.take("from");
    let notify = query.flag("notify")?.unwrap_or(false);
    query.end()?;
    let owner = Owner::of(&params)?;
    let from = owner.caller(&caller, from.as_deref())?;
    let how = if keys.is_empty() {
        AttributeWrite::Clear
    } else {
        AttributeWrite::Delete
    };
    let attributes = keys.into_iter().map(|key| Attribute {
        key,
        ..Attribute::default()
    });
    let asked = api.begin_as(from, owner.write(how, attributes.collect(), notify))?;
    api.end(asked).await?;
    json(&serde_json::json!({ "attributes": {} }))
}

fn keys(query: &mut Query) -> Result<Vec<String>, Fault> {
    let Some(text) = query.take("keys") else {
        return Ok(Vec::new());
    };
    let keys: Vec<String> = text.split(',').map(str::to_owned).collect();
    if keys.len() > KEYS_MAX || keys.iter().any(String::is_empty) {
        let detail = format!("give 1 to {KEYS_MAX} keys, separated by commas");
        return Err(Fault::invalid("keys", detail));
    }
    Ok(keys)
}

/// The same of a channel.
#[utoipa::path(
    get, path = "/api/v1/apps/{app}/channels/{channel}/attributes", tag = "Attributes",
    params(
        ("app" = String, Path, description = "App id"),
        ("channel" = String, Path, description = "Channel name"),
        ("keys" = Option<String>, Query, description = "Only these, separated by commas"),
    ),
    responses((status = 200, body = AttributeView), (status = "4XX", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn of_channel(
    state: State<Shared>,
    caller: Caller,
    params: PathParams,
    query: Query,
) -> Answer {
    get(state, caller, params, query).await
}

/// The same of a channel.
#[utoipa::path(
    method(put, patch), path = "/api/v1/apps/{app}/channels/{channel}/attributes", tag = "Attributes",
    params(("app" = String, Path, description = "App id"), ("channel" = String, Path, description = "Channel name")),
    request_body = Attributes,
    responses((status = 200, body = super::schemas::Written), (status = "4XX", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn write_of_channel(
    state: State<Shared>,
    caller: Caller,
    params: PathParams,
    method: Method,
    query: Query,
    given: Json<Attributes>,
) -> Answer {
    write(state, caller, params, method, query, given).await
}

/// The same of a channel.
#[utoipa::path(
    delete, path = "/api/v1/apps/{app}/channels/{channel}/attributes", tag = "Attributes",
    params(
        ("app" = String, Path, description = "App id"),
        ("channel" = String, Path, description = "Channel name"),
        ("keys" = Option<String>, Query, description = "Only these, separated by commas; all if not given"),
        ("from" = Option<String>, Query, description = "As whom; `server` if not given"),
        ("notify" = Option<bool>, Query, description = "Whether the channel's members are told"),
    ),
    responses((status = 200, body = super::schemas::Written), (status = "4XX", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn delete_of_channel(
    state: State<Shared>,
    caller: Caller,
    params: PathParams,
    query: Query,
) -> Answer {
    delete(state, caller, params, query).await
}
