//! Invitations: those under way, one as a service, the end of one. Source: rest 12.

use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use tidings_hub::bus_ops::Decision;
use tidings_hub::ids::{InvitationId, UserKey};
use tidings_hub::outside::{InvitationEntry, InvitationStage, OutsideAnswer, OutsideCall};
use tidings_wire::names::{NameRule, UserId};
use tidings_wire::proto::{Invite, request};
use tidings_wire::{from_hex, hex};
use utoipa::ToSchema;

use super::lists::Page;
use crate::auth::Caller;
use crate::body::Json;
use crate::params::{self, PathParams, Query};
use crate::problem::{Fault, Problem};
use crate::stored::strange;
use crate::{Answer, Shared, json, json_with};

/// An invitation under way.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Invitation {
    /// Names it, also for `DELETE`.
    id: String,
    from: String,
    to: String,
    /// `pending`: not yet at the callee's client; `ringing`; `accepting`; `ended`.
    state: &'static str,
    content: String,
    /// The channel that it names.
    #[serde(skip_serializing_if = "String::is_empty")]
    channel: String,
    /// When it was sent, Unix milliseconds.
    at_ms: u64,
}

impl Invitation {
    fn of(entry: &InvitationEntry) -> Self {
        Self {
            id: name(&entry.id, &entry.caller.user),
            from: entry.caller.user.as_str().into(),
            to: entry.callee.as_str().into(),
            state: match entry.stage {
                InvitationStage::Pending => "pending",
                InvitationStage::Ringing => "ringing",
                InvitationStage::Accepting => "accepting",
                InvitationStage::Ended => "ended",
            },
            content: entry.content.clone(),
            channel: entry.channel.clone(),
            at_ms: entry.sent_ms,
        }
    }
}

/// An invitation's name holds its caller's, who is part of it.
fn name(id: &InvitationId, caller: &UserId) -> String {
    format!("{}-{}", hex(&id.0), URL_SAFE_NO_PAD.encode(caller.as_str()))
}

fn read_name(text: &str) -> Option<(InvitationId, UserId)> {
    let (id, caller) = text.split_once('-')?;
    let id = from_hex(id)?.try_into().ok()?;
    let caller = String::from_utf8(URL_SAFE_NO_PAD.decode(caller).ok()?).ok()?;
    let caller = UserId::parse_by(NameRule::Wide, &caller).ok()?;
    Some((InvitationId(id), caller))
}

/// Lists the invitations under way, at most 100 of each hub.
#[utoipa::path(
    get, path = "/api/v1/apps/{app}/invitations", tag = "Invitations",
    params(
        ("app" = String, Path, description = "App id"),
        ("user" = Option<String>, Query, description = "Only those that this user has sent or is sent"),
        ("limit" = Option<u64>, Query, description = "1 to 100"),
    ),
    responses((status = 200, body = super::schemas::InvitationPage), (status = "4XX", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn list(State(api): State<Shared>, caller: Caller, mut query: Query) -> Answer {
    caller.principal.must_be_key()?;
    let user = query.take("user");
    let user = user.map(|user| params::user("user", &user)).transpose()?;
    let limit = query.number("limit", 1, super::lists::LIMIT_MAX)?;
    let limit = limit.unwrap_or(super::lists::LIMIT_MAX);
    query.end()?;
    let call = || OutsideCall::Invitations {
        app: caller.app.clone(),
        user: user.clone(),
        limit: u16::try_from(limit).unwrap_or(u16::MAX),
    };
    let mut items = Vec::new();
    for answer in api.ask_all(call).await? {
        let OutsideAnswer::Invitations { invitations, .. } = answer else {
            return Err(strange());
        };
        items.extend(invitations.iter().map(Invitation::of));
    }
    items.sort_by_key(|invitation| invitation.at_ms);
    items.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Page::answer(items, None)
}

/// An invitation to be sent.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "from": "desk", "to": "alice", "content": "come" }))]
pub(crate) struct NewInvitation {
    /// The user in whose name it is sent; need not be logged in.
    from: String,
    /// Who is invited.
    to: String,
    /// At most 8 KiB of text.
    #[serde(default)]
    content: String,
    /// A channel name.
    #[serde(default)]
    channel: String,
}

/// Sends an invitation; it ends by the callee's answer, by `DELETE`, or by its time. Events tell
/// how.
#[utoipa::path(
    post, path = "/api/v1/apps/{app}/invitations", tag = "Invitations",
    params(("app" = String, Path, description = "App id")),
    request_body = NewInvitation,
    responses((status = 201, body = super::schemas::Invited), (status = "4XX", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn create(
    State(api): State<Shared>,
    caller: Caller,
    query: Query,
    Json(new): Json<NewInvitation>,
) -> Answer {
    caller.principal.must_be_key()?;
    query.end()?;
    let from = UserKey {
        app: caller.app.clone(),
        user: params::user("from", &new.from)?,
    };
    params::user("to", &new.to)?;
    let call = Invite {
        callee_id: new.to,
        content: new.content,
        channel: new.channel,
        ..Invite::default()
    };
    let asked = api.begin_as(from.clone(), request::Call::Invite(call))?;
    let OutsideAnswer::Invited(id) = api.end(asked).await? else {
        return Err(strange());
    };
    let id = name(&id, &from.user);
    json_with(StatusCode::CREATED, &serde_json::json!({ "id": id }))
}

/// What the callee says.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "user": "alice", "accept": true }))]
pub(crate) struct Decided {
    /// The callee in whose name it is decided; need not be logged in.
    user: String,
    /// Yes or no.
    accept: bool,
    /// At most 8 KiB of text for the caller.
    #[serde(default)]
    response: String,
}

/// Accepts or refuses an invitation as its callee; both sides are told. A caller's client is asked
/// before an acceptance counts: events tell what has become of it.
#[utoipa::path(
    post, path = "/api/v1/apps/{app}/invitations/{invitation}/decision", tag = "Invitations",
    params(("app" = String, Path, description = "App id"), ("invitation" = String, Path, description = "As a list names it")),
    request_body = Decided,
    responses((status = 200, body = super::schemas::Decisions), (status = "4XX", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn decide(
    State(api): State<Shared>,
    caller: Caller,
    params: PathParams,
    query: Query,
    Json(said): Json<Decided>,
) -> Answer {
    caller.principal.must_be_key()?;
    query.end()?;
    let callee = params::user("user", &said.user)?;
    let (id, user) = read_name(params.text("invitation")).ok_or_else(unknown)?;
    let app = caller.app;
    let call = || OutsideCall::DecideInvitation {
        caller: UserKey {
            app: app.clone(),
            user: user.clone(),
        },
        id,
        callee: callee.clone(),
        decision: if said.accept {
            Decision::Accept(said.response.clone())
        } else {
            Decision::Refuse(said.response.clone())
        },
    };
    match count(api.ask_all(call).await?) {
        0 => Err(unknown().hint("GET …/invitations lists those under way, and who is invited.")),
        decided => json(&serde_json::json!({ "decided": decided })),
    }
}

fn unknown() -> Fault {
    let detail = "there is no such invitation, or it is decided or has ended";
    Fault::not_found("unknown_invitation", detail)
}

fn count(answers: Vec<OutsideAnswer>) -> u32 {
    let counts = answers.into_iter().map(|answer| match answer {
        OutsideAnswer::Count(count) => count,
        _ => 0,
    });
    counts.sum()
}

/// Ends an invitation, whoever has sent it; both sides are told.
#[utoipa::path(
    delete, path = "/api/v1/apps/{app}/invitations/{invitation}", tag = "Invitations",
    params(("app" = String, Path, description = "App id"), ("invitation" = String, Path, description = "As a list names it")),
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
    let (id, user) = read_name(params.text("invitation")).ok_or_else(unknown)?;
    let caller = UserKey {
        app: caller.app,
        user,
    };
    let call = || OutsideCall::EndInvitation {
        caller: caller.clone(),
        id,
    };
    match count(api.ask_all(call).await?) {
        0 => Err(unknown()),
        ended => json(&serde_json::json!({ "ended": ended })),
    }
}
