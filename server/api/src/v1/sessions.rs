//! Sessions: lists, and their end. Source: rest 12.

use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use tidings_hub::ids::{SessionId, UserKey};
use tidings_hub::outside::{OutsideAnswer, OutsideCall, SessionEntry};
use tidings_wire::codes::CloseCode;
use tidings_wire::names::{AppId, ChannelName, NameRule, UserId};
use tidings_wire::proto::{GetMembers, PresenceState, reply, request};
use tidings_wire::{from_hex, hex};
use utoipa::ToSchema;

use super::lists::{Page, bad_cursor, page};
use crate::auth::Caller;
use crate::params::{self, PathParams, Query};
use crate::problem::{Fault, Problem};
use crate::stored::strange;
use crate::{Answer, Api, Shared, json};

/// A session: one login of a user.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Session {
    /// Names it, also for `DELETE`.
    id: String,
    user: String,
    /// `native` or `legacy`.
    protocol: &'static str,
    /// Name and version of its client library, as that has stated them.
    #[serde(skip_serializing_if = "String::is_empty")]
    sdk_version: String,
    /// Where it comes from; absent for one without a connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    /// Whether it has a connection; without one it may be resumed.
    connected: bool,
    /// `online` or `unreachable`, as others see the user.
    state: &'static str,
    /// When it logged in, Unix milliseconds.
    since_ms: u64,
    /// When its client was heard last, Unix milliseconds.
    last_seen_ms: u64,
    /// Channels that it is in.
    channels: u32,
    /// Messages that its client has not confirmed.
    queue_messages: u64,
    queue_bytes: u64,
    /// When its token ends, Unix milliseconds; absent = never.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_ends_ms: Option<u64>,
    /// The node that it is on.
    node: u16,
}

impl Session {
    pub(crate) fn of(entry: &SessionEntry) -> Self {
        Self {
            id: name(&entry.session, &entry.user.user),
            user: entry.user.user.as_str().into(),
            protocol: protocol(entry),
            sdk_version: entry.client.clone(),
            address: entry.address.map(|address| address.to_string()),
            connected: entry.connection.is_some(),
            state: state(entry.state),
            since_ms: entry.since_ms,
            last_seen_ms: entry.heard_ms,
            channels: entry.channels,
            queue_messages: entry.queue_frames,
            queue_bytes: entry.queue_bytes,
            token_ends_ms: entry
                .token_ends_s
                .map(|seconds| seconds.saturating_mul(1_000)),
            node: 0,
        }
    }
}

fn protocol(entry: &SessionEntry) -> &'static str {
    if entry.is_legacy() {
        "legacy"
    } else {
        "native"
    }
}

pub(crate) fn state(state: PresenceState) -> &'static str {
    match state {
        PresenceState::Online => "online",
        PresenceState::Unreachable => "unreachable",
        PresenceState::Offline => "offline",
    }
}

/// A session's name holds its user's, so that its hub need not be searched for it.
fn name(session: &SessionId, user: &UserId) -> String {
    format!(
        "{}-{}",
        hex(&session.0),
        URL_SAFE_NO_PAD.encode(user.as_str())
    )
}

fn read_name(text: &str) -> Option<(SessionId, UserId)> {
    let (session, user) = text.split_once('-')?;
    let session = from_hex(session)?.try_into().ok()?;
    let user = String::from_utf8(URL_SAFE_NO_PAD.decode(user).ok()?).ok()?;
    let user = UserId::parse_by(NameRule::Wide, &user).ok()?;
    Some((SessionId(session), user))
}

/// What a list is asked for.
struct Wanted {
    user: Option<UserId>,
    protocol: Option<String>,
    node: Option<u64>,
}

impl Wanted {
    fn has(&self, entry: &SessionEntry) -> bool {
        self.protocol
            .as_deref()
            .is_none_or(|wanted| wanted == protocol(entry))
            && self.node.is_none_or(|node| node == 0)
            && self
                .user
                .as_ref()
                .is_none_or(|user| *user == entry.user.user)
    }
}

/// Lists the sessions of an app that fit all the filters given.
#[utoipa::path(
    get, path = "/api/v1/apps/{app}/sessions", tag = "Sessions",
    params(
        ("app" = String, Path, description = "App id"),
        ("user" = Option<String>, Query, description = "Only those of this user"),
        ("channel" = Option<String>, Query, description = "Only those in this channel"),
        ("protocol" = Option<String>, Query, description = "`native` or `legacy`"),
        ("node" = Option<u64>, Query, description = "Only those on this node"),
        ("limit" = Option<u64>, Query, description = "1 to 100"),
        ("cursor" = Option<String>, Query, description = "The `next` of the page before"),
    ),
    responses((status = 200, body = super::schemas::SessionPage), (status = "4XX", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn list(State(api): State<Shared>, caller: Caller, mut query: Query) -> Answer {
    caller.principal.must_be_key()?;
    let user = query.take("user");
    let user = user.map(|user| params::user("user", &user)).transpose()?;
    let channel = query.take("channel");
    let channel = channel
        .map(|channel| params::channel("channel", &channel))
        .transpose()?;
    let protocol = query.take("protocol");
    if let Some(protocol) = &protocol
        && !["native", "legacy"].contains(&protocol.as_str())
    {
        return Err(Fault::invalid("protocol", "it is `native` or `legacy`"));
    }
    let node = query.number("node", 0, u64::from(u16::MAX))?;
    let (cursor, limit) = page(&mut query)?;
    query.end()?;
    let wanted = Wanted {
        user,
        protocol,
        node,
    };
    match channel {
        Some(channel) => in_channel(&api, &caller.app, &channel, &wanted, cursor, limit).await,
        None => of_hubs(&api, &caller.app, &wanted, cursor, limit).await,
    }
}

/// Goes through the hubs, one after the other; a cursor is a hub and a place there.
async fn of_hubs(
    api: &Api,
    app: &AppId,
    wanted: &Wanted,
    cursor: Option<String>,
    limit: usize,
) -> Answer {
    let (mut hub, mut after) = match cursor {
        None => (0, 0),
        Some(cursor) => {
            let place = cursor.split_once('.');
            let place =
                place.and_then(|(hub, after)| Some((hub.parse().ok()?, after.parse().ok()?)));
            place.ok_or_else(bad_cursor)?
        }
    };
    let mut items: Vec<Session> = Vec::new();
    while hub < api.hubs() {
        let left = limit - items.len();
        let call = OutsideCall::Sessions {
            app: app.clone(),
            user: wanted.user.clone(),
            after,
            limit: u16::try_from(left).unwrap_or(u16::MAX),
        };
        let OutsideAnswer::Sessions { sessions, next } = api.ask(hub, call).await? else {
            return Err(strange());
        };
        let sessions = sessions.iter().filter(|entry| wanted.has(entry));
        items.extend(sessions.map(Session::of));
        match next {
            Some(next) => after = next,
            None => (hub, after) = (hub + 1, 0),
        }
        if items.len() >= limit {
            break;
        }
    }
    let next = (hub < api.hubs()).then(|| format!("{hub}.{after}"));
    Page::answer(items, next)
}

/// Goes through the channel's members; a cursor is the last of them.
async fn in_channel(
    api: &Api,
    app: &AppId,
    channel: &ChannelName,
    wanted: &Wanted,
    cursor: Option<String>,
    limit: usize,
) -> Answer {
    let members = members(api, app, channel).await?;
    let after = cursor.unwrap_or_default();
    let mut items = Vec::new();
    let mut members = members.into_iter().filter(|user| *user > after).peekable();
    let mut last = None;
    while items.len() < limit
        && let Some(member) = members.next()
    {
        let user = params::user("channel", &member)?;
        last = Some(member);
        if wanted.user.as_ref().is_some_and(|wanted| *wanted != user) {
            continue;
        }
        let key = UserKey {
            app: app.clone(),
            user,
        };
        for answer in api
            .ask_all(|| OutsideCall::User { user: key.clone() })
            .await?
        {
            if let OutsideAnswer::User(Some(user)) = answer {
                let sessions = user.sessions.iter().filter(|entry| wanted.has(entry));
                items.extend(sessions.map(Session::of));
            }
        }
    }
    let next = members.peek().and(last);
    Page::answer(items, next)
}

/// The members of a channel, in the order of their names.
pub(crate) async fn members(
    api: &Api,
    app: &AppId,
    channel: &ChannelName,
) -> Result<Vec<String>, Fault> {
    // As anybody: members are the same for all.
    let from = UserKey {
        app: app.clone(),
        user: params::user("channel", channel.as_str())?,
    };
    let call = GetMembers {
        channel: channel.as_str().to_owned(),
    };
    let asked = api.begin_as(from, request::Call::GetMembers(call))?;
    match api.end(asked).await? {
        OutsideAnswer::Call(reply::Result::Users(list)) => {
            let mut users = list.user_ids;
            users.sort_unstable();
            Ok(users)
        }
        _ => Err(strange()),
    }
}

/// Ends a session.
#[utoipa::path(
    delete, path = "/api/v1/apps/{app}/sessions/{session}", tag = "Sessions",
    params(
        ("app" = String, Path, description = "App id"),
        ("session" = String, Path, description = "As a list names it"),
    ),
    responses((status = 200, body = super::schemas::Ended), (status = "4XX", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn end(
    State(api): State<Shared>,
    caller: Caller,
    params: PathParams,
    query: Query,
) -> Answer {
    caller.principal.must_be_key()?;
    query.end()?;
    let named = read_name(params.text("session"));
    let Some((session, user)) = named else {
        return Err(no_session());
    };
    let user = UserKey {
        app: caller.app,
        user,
    };
    match disconnect(&api, &user, Some(session)).await? {
        0 => Err(no_session()),
        ended => json(&serde_json::json!({ "ended": ended })),
    }
}

fn no_session() -> Fault {
    Fault::not_found(
        "unknown_session",
        "there is no such session, or it has ended",
    )
}

/// Ends sessions of a user; returns how many.
pub(crate) async fn disconnect(
    api: &Api,
    user: &UserKey,
    session: Option<SessionId>,
) -> Result<u32, Fault> {
    let call = || OutsideCall::Disconnect {
        user: user.clone(),
        session,
        code: CloseCode::Banned,
    };
    let mut ended = 0;
    for answer in api.ask_all(call).await? {
        if let OutsideAnswer::Count(count) = answer {
            ended += count;
        }
    }
    Ok(ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_back() {
        let session = SessionId([0xab; 16]);
        let user = UserId::parse_by(NameRule::Wide, "été 1").expect("a user");
        let text = name(&session, &user);
        assert_eq!(read_name(&text), Some((session, user)));
        for wrong in ["", "-", "ab-YQ", &text[1..], &format!("{text}=")] {
            assert_eq!(read_name(wrong), None, "{wrong}");
        }
    }
}
