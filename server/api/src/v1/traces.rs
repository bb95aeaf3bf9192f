//! Message tracing: what is followed, and the way of a message. Source: rest 12.

use std::collections::{BTreeMap, VecDeque};

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use tidings_hub::ids::MessageId;
use tidings_hub::outside::{OutsideAnswer, OutsideCall};
use tidings_hub::traces::{
    StepKind, Trace, TraceCall, TraceId, TraceStep, TracedEntry, TracedMessage, TracedTo,
};
use tidings_wire::limits::{TRACE_LONGEST_MS, TRACED_APPS_MAX, TRACES_PER_APP_MAX};
use tidings_wire::names::AppId;
use tidings_wire::{from_hex, hex};
use utoipa::ToSchema;

use super::lists::{LIMIT_MAX, Page};
use crate::auth::Caller;
use crate::body::Json;
use crate::params::{self, PathParams, Query};
use crate::problem::{Fault, Problem};
use crate::stored::strange;
use crate::{Answer, Api, Shared, json, json_with};

/// Longest time of a trace, in minutes.
const MINUTES_MAX: u64 = TRACE_LONGEST_MS / 60_000;

/// Messages that are followed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Followed {
    /// Names it, also for `DELETE`.
    id: String,
    app: String,
    /// Only what this user sends, messages from users to this one, and what this one is given of
    /// channels.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    /// Only messages to this channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<String>,
    /// When it ends, Unix milliseconds.
    until_ms: u64,
}

impl Followed {
    fn of(app: &AppId, trace: &Trace) -> Self {
        Self {
            id: hex(&trace.id),
            app: app.as_str().into(),
            user: trace.user.as_ref().map(|user| user.as_str().into()),
            channel: (trace.channel.as_ref()).map(|channel| channel.as_str().into()),
            until_ms: trace.until_ms,
        }
    }
}

/// Which messages are to be followed; without a user and a channel, all of the app.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTrace {
    /// Only what this user sends, messages from users to this one, and what this one is given of
    /// channels.
    user: Option<String>,
    /// Only messages to this channel.
    channel: Option<String>,
    /// For how long, 1 to 60.
    minutes: u64,
}

/// Begins to follow messages: each hub notes what it does with them, for the time that is given.
#[utoipa::path(
    post, path = "/api/v1/apps/{app}/traces", tag = "Tracing",
    params(("app" = String, Path, description = "App id")),
    request_body = NewTrace,
    responses(
        (status = 201, body = Followed),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn create(
    State(api): State<Shared>,
    caller: Caller,
    query: Query,
    Json(new): Json<NewTrace>,
) -> Answer {
    caller.principal.must_be_key()?;
    query.end()?;
    if !(1..=MINUTES_MAX).contains(&new.minutes) {
        let detail = format!("{} is no number from 1 to {MINUTES_MAX}", new.minutes);
        return Err(Fault::invalid("minutes", detail));
    }
    let user = new.user.map(|user| params::user("user", &user));
    let channel = new.channel;
    let channel = channel.map(|channel| params::channel("channel", &channel));
    let mut id = TraceId::default();
    getrandom::fill(&mut id).map_err(|error| {
        Fault::unavailable(format!("the system has given no random number: {error}"))
    })?;
    let trace = Trace {
        id,
        user: user.transpose()?,
        channel: channel.transpose()?,
        until_ms: api.unix_ms() + new.minutes * 60_000,
    };
    let begin = || TraceCall::Begin(trace.clone());
    if ask(&api, &caller.app, begin).await? < u32::from(api.hubs()) {
        // Where there was room for it, it must not stay alone.
        ask(&api, &caller.app, || TraceCall::End(id)).await?;
        let detail = format!(
            "{TRACES_PER_APP_MAX} traces of the app are on, or traces of {TRACED_APPS_MAX} apps"
        );
        let hint = "End one with DELETE, or wait until one is over.";
        let code = "too_many_traces";
        return Err(Fault::new(StatusCode::CONFLICT, code, detail, hint));
    }
    json_with(StatusCode::CREATED, &Followed::of(&caller.app, &trace))
}

/// Asks all hubs; returns upon how many things it has taken effect.
async fn ask(api: &Api, app: &AppId, call: impl Fn() -> TraceCall) -> Result<u32, Fault> {
    let mut sum = 0;
    for answer in ask_all(api, app, call).await? {
        let OutsideAnswer::Count(count) = answer else {
            return Err(strange());
        };
        sum += count;
    }
    Ok(sum)
}

async fn ask_all(
    api: &Api,
    app: &AppId,
    call: impl Fn() -> TraceCall,
) -> Result<Vec<OutsideAnswer>, Fault> {
    let outside = || OutsideCall::Trace {
        app: app.clone(),
        call: call(),
    };
    api.ask_all(outside).await
}

/// Lists the traces that are on.
#[utoipa::path(
    get, path = "/api/v1/apps/{app}/traces", tag = "Tracing",
    params(("app" = String, Path, description = "App id")),
    responses(
        (status = 200, body = super::schemas::TracePage),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn list(State(api): State<Shared>, caller: Caller, query: Query) -> Answer {
    caller.principal.must_be_key()?;
    query.end()?;
    let mut found: BTreeMap<TraceId, Trace> = BTreeMap::new();
    for answer in ask_all(&api, &caller.app, || TraceCall::List).await? {
        let OutsideAnswer::Traces(traces) = answer else {
            return Err(strange());
        };
        found.extend(traces.into_iter().map(|trace| (trace.id, trace)));
    }
    let mut items: Vec<Followed> = (found.values())
        .map(|trace| Followed::of(&caller.app, trace))
        .collect();
    items.sort_by_key(|trace| trace.until_ms);
    Page::answer(items, None)
}

/// Ends a trace; what was noted stays for an hour.
#[utoipa::path(
    delete, path = "/api/v1/apps/{app}/traces/{trace}", tag = "Tracing",
    params(
        ("app" = String, Path, description = "App id"),
        ("trace" = String, Path, description = "As a list names it"),
    ),
    responses(
        (status = 204, description = "It has ended."),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn end(
    State(api): State<Shared>,
    caller: Caller,
    params: PathParams,
    query: Query,
) -> Answer {
    caller.principal.must_be_key()?;
    query.end()?;
    let id = read_id::<8>(params.text("trace"));
    let ended = match id {
        Some(id) => ask(&api, &caller.app, || TraceCall::End(id)).await?,
        None => 0,
    };
    match ended {
        0 => Err(Fault::not_found(
            "unknown_trace",
            "there is no such trace, or it has ended",
        )),
        _ => crate::no_content(),
    }
}

/// An id of so many bytes, in hexadecimal digits.
fn read_id<const N: usize>(text: &str) -> Option<[u8; N]> {
    from_hex(text)?.try_into().ok()
}

/// A message of which something was noted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Message {
    message_id: String,
    /// When a hub saw it first, Unix milliseconds.
    at_ms: u64,
    from: String,
    /// The receiver; or `channel`.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    /// Where it goes; or `user`.
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<String>,
}

impl Message {
    fn of(entry: &TracedEntry) -> Self {
        let (user, channel) = match &entry.to {
            TracedTo::User(user) => (Some(user.as_str().into()), None),
            TracedTo::Channel(channel) => (None, Some(channel.as_str().into())),
        };
        Self {
            message_id: hex(&entry.id.0),
            at_ms: entry.at_ms,
            from: entry.from.as_str().into(),
            user,
            channel,
        }
    }
}

/// Lists the newest messages of which something was noted.
#[utoipa::path(
    get, path = "/api/v1/apps/{app}/traces/messages", tag = "Tracing",
    params(
        ("app" = String, Path, description = "App id"),
        (
            "user" = Option<String>, Query,
            description = "Only those from, to or, out of a channel, followed for this user"
        ),
        ("channel" = Option<String>, Query, description = "Only those to this channel"),
        ("limit" = Option<u64>, Query, description = "1 to 100"),
    ),
    responses(
        (status = 200, body = super::schemas::TracedPage),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn messages(
    State(api): State<Shared>,
    caller: Caller,
    mut query: Query,
) -> Answer {
    caller.principal.must_be_key()?;
    let user = query.take("user");
    let user = user.map(|user| params::user("user", &user)).transpose()?;
    let channel = query.take("channel");
    let channel = channel.map(|channel| params::channel("channel", &channel));
    let channel = channel.transpose()?;
    let limit = query.number("limit", 1, LIMIT_MAX)?.unwrap_or(LIMIT_MAX);
    query.end()?;
    let call = || TraceCall::Messages {
        user: user.clone(),
        channel: channel.clone(),
        limit: u16::try_from(limit).unwrap_or(u16::MAX),
    };
    let mut found: BTreeMap<MessageId, TracedEntry> = BTreeMap::new();
    for answer in ask_all(&api, &caller.app, call).await? {
        let OutsideAnswer::TracedMessages(entries) = answer else {
            return Err(strange());
        };
        for entry in entries {
            let seen = found.entry(entry.id).or_insert_with(|| entry.clone());
            seen.at_ms = seen.at_ms.min(entry.at_ms);
        }
    }
    let mut items: Vec<Message> = found.values().map(Message::of).collect();
    items.sort_by_key(|message| std::cmp::Reverse(message.at_ms));
    items.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Page::answer(items, None)
}

/// A step on a message's way.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Step {
    /// When, Unix milliseconds.
    at_ms: u64,
    /// `accepted`, `stamped`, `refused`, `waiting`, `ordered`, `stored`, `delivered_from_inbox`,
    /// `given`, `queued`, `written`, `confirmed`, `gap`, `dropped` or `answered`.
    step: &'static str,
    /// The hub that has done it.
    hub: u16,
    /// By or for whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    /// The channel of the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<String>,
    /// To how many.
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<u32>,
    /// The rest in words.
    #[serde(skip_serializing_if = "String::is_empty")]
    detail: String,
}

/// The way of a message.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Way {
    message_id: String,
    from: String,
    /// The receiver; or `channel`.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    /// Where it goes; or `user`.
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<String>,
    /// In the order in which they happened.
    steps: Vec<Step>,
    /// Its sender is answered, as far as what it did is followed, and no client and no store
    /// operation is waited for.
    complete: bool,
}

/// Tells the whole way of a message, as far as it was followed.
#[utoipa::path(
    get, path = "/api/v1/apps/{app}/traces/messages/{message}", tag = "Tracing",
    params(
        ("app" = String, Path, description = "App id"),
        ("message" = String, Path, description = "Its id, as answers and events have it"),
    ),
    responses(
        (status = 200, body = Way),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn message(
    State(api): State<Shared>,
    caller: Caller,
    params: PathParams,
    query: Query,
) -> Answer {
    caller.principal.must_be_key()?;
    query.end()?;
    let text = params.text("message");
    let Some(id) = read_id(text).map(MessageId) else {
        let shown: String = text.chars().take(80).collect();
        let detail = format!("{shown:?} is no message id: these have 32 hexadecimal digits");
        return Err(Fault::invalid("message", detail));
    };
    let mut parts = Vec::new();
    for answer in ask_all(&api, &caller.app, || TraceCall::Message(id)).await? {
        let OutsideAnswer::Traced(part) = answer else {
            return Err(strange());
        };
        parts.push(part);
    }
    match way(&parts) {
        Some(way) => json(&way),
        None => Err(
            Fault::not_found("unknown_message", "nothing was noted of this message").hint(
                "Begin a trace of the app, the user or the channel, and send the message again.",
            ),
        ),
    }
}

/// Puts together what the hubs have noted; `None` = nothing.
fn way(parts: &[Option<Box<TracedMessage>>]) -> Option<Way> {
    let known = || parts.iter().flatten();
    let entry = &known().next()?.entry;
    let named = Message::of(entry);
    let mut left: Vec<(u16, VecDeque<&TraceStep>)> = (0_u16..)
        .zip(parts)
        .map(|(hub, part)| (hub, part.iter().flat_map(|part| &part.steps).collect()))
        .collect();
    // A channel message that is followed for one of its receivers: what its sender does is not.
    let has_sender = known().any(|part| {
        let kinds = part.steps.iter().map(|step| step.kind);
        part.is_answered || kinds.into_iter().any(|kind| kind == StepKind::Accepted)
    });
    let mut steps = Vec::new();
    let mut has_order = false;
    // Order: by time; at one time as a message goes, but never against a hub's own order.
    while let Some((hub, first)) = (left.iter())
        .filter_map(|(hub, steps)| Some((*hub, *steps.front()?)))
        .min_by_key(|(_, step)| (step.at_ms, step.kind))
    {
        left[usize::from(hub)].1.pop_front();
        // Every hub takes the message in the same order: that it has one is told once.
        let is_ordered = first.kind == StepKind::Ordered;
        if is_ordered && std::mem::replace(&mut has_order, true) {
            continue;
        }
        steps.push(Step {
            at_ms: first.at_ms,
            step: first.kind.name(),
            hub,
            user: first.user.as_ref().map(|user| user.as_str().into()),
            channel: named.channel.clone(),
            members: first.members,
            detail: first.detail.clone(),
        });
    }
    Some(Way {
        message_id: named.message_id,
        from: named.from,
        user: named.user,
        channel: named.channel,
        steps,
        complete: (!has_sender || known().any(|part| part.is_answered))
            && !known().any(|part| part.is_waiting),
    })
}

#[cfg(test)]
mod tests {
    use tidings_wire::names::UserId;

    use super::*;

    fn part(steps: &[(u64, StepKind)], is_waiting: bool, is_answered: bool) -> Box<TracedMessage> {
        let user = |name| UserId::parse(name).expect("a name");
        Box::new(TracedMessage {
            entry: TracedEntry {
                id: MessageId([7; 16]),
                at_ms: 1,
                from: user("alice"),
                to: TracedTo::User(user("bob")),
            },
            steps: (steps.iter())
                .map(|(at_ms, kind)| TraceStep {
                    at_ms: *at_ms,
                    kind: *kind,
                    user: None,
                    members: None,
                    detail: String::new(),
                })
                .collect(),
            is_waiting,
            is_answered,
        })
    }

    #[test]
    fn what_hubs_have_noted_is_one_way_in_the_order_of_time() {
        use StepKind::{Accepted, Answered, Confirmed, Given, Stamped, Written};
        let sender = part(&[(5, Accepted), (5, Stamped), (9, Answered)], false, true);
        let receiver = part(&[(5, Given), (5, Written), (9, Confirmed)], false, false);
        let way = way(&[Some(receiver), None, Some(sender)]).expect("it is known");
        let steps: Vec<_> = way.steps.iter().map(|step| (step.step, step.hub)).collect();
        let expected = [
            ("accepted", 2),
            ("stamped", 2),
            ("given", 0),
            ("written", 0),
            ("confirmed", 0),
            ("answered", 2),
        ];
        assert_eq!(steps, expected);
        assert!(way.complete);
    }

    #[test]
    fn a_way_is_not_complete_while_somebody_is_waited_for() {
        let steps = [(1, StepKind::Accepted)];
        for (is_waiting, is_answered) in [(true, true), (false, false)] {
            let way = way(&[Some(part(&steps, is_waiting, is_answered))]);
            assert!(!way.expect("it is known").complete);
        }
        // Followed for a member of the channel alone: nobody has looked at its sender.
        let received = [(1, StepKind::Ordered), (1, StepKind::Given)];
        for is_waiting in [true, false] {
            let way = way(&[Some(part(&received, is_waiting, false))]);
            assert_eq!(way.expect("it is known").complete, !is_waiting);
        }
        assert!(super::way(&[None, None]).is_none());
    }

    #[test]
    fn ids_are_hexadecimal_digits_of_their_length() {
        assert_eq!(read_id::<2>("0aFF"), Some([10, 255]));
        for wrong in ["", "0a", "0aff0", "0aé", "+aff", "0ag0"] {
            assert_eq!(read_id::<2>(wrong), None, "{wrong}");
        }
    }
}
