//! The stream of an app's events: by cursor with a long poll, and by server-sent events. Source:
//! rest 12.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use axum::http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use futures_util::stream;
use serde_json::{Value, json as value};
use tidings_store::events::{After, Cursor, Event, EventKind, EventKinds, EventPage, Watch};
use tidings_wire::hex;
use tidings_wire::limits::EVENT_PAGE_MAX;
use tidings_wire::names::AppId;
use tokio::time::{Instant, timeout_at};

use crate::auth::Caller;
use crate::desk::Begun;
use crate::params::Query;
use crate::problem::{Fault, Problem};
use crate::{Answer, Shared, json};

/// Longest wait of a call, in seconds.
const WAIT_S_MAX: u64 = 55;

/// A stream without an event says so often that it lives.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Events that are read at a time for a stream.
const STREAM_PAGE: usize = 200;

/// Reads events; with `wait`, waits for one if there is none.
#[utoipa::path(
    get, path = "/api/v1/apps/{app}/events", tag = "Events",
    params(
        ("app" = String, Path, description = "App id"),
        ("after" = Option<String>, Query, description = "The `cursor` of an event, or the `next` of a page; `newest` = only what comes from now on; the oldest event that is kept if not given"),
        ("types" = Option<String>, Query, description = "Only these types, separated by commas; `user.*` stands for all of user. A gap is told in any case"),
        ("limit" = Option<u64>, Query, description = "1 to 1000"),
        ("wait" = Option<u64>, Query, description = "Seconds, at most 55"),
    ),
    responses((status = 200, body = super::schemas::EventPage), (status = "4XX", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn list(State(api): State<Shared>, caller: Caller, mut query: Query) -> Answer {
    caller.principal.must_be_key()?;
    let after = after(query.take("after").as_deref())?;
    let kinds = kinds(query.take("types").as_deref())?;
    let limit = query
        .number("limit", 1, EVENT_PAGE_MAX as u64)?
        .unwrap_or(100);
    let wait = query.number("wait", 0, WAIT_S_MAX)?.unwrap_or(0);
    query.end()?;
    // Bound: `EVENT_PAGE_MAX`.
    let limit = usize::try_from(limit).unwrap_or(1);
    let until = Instant::now() + Duration::from_secs(wait);
    let _place = match wait {
        0 => None,
        _ => Some(caller.desk.begin_stream()?),
    };
    let watch = (wait > 0).then(|| api.events.watch(&caller.app));
    let mut page = api.events.read(&caller.app, after, limit, kinds).await?;
    while let Some(watch) = &watch
        && page.events.is_empty()
    {
        let newer = timeout_at(until, watch.newer_than(page.next)).await;
        if newer.is_err() {
            break;
        }
        let next = After::Cursor(page.next);
        page = api.events.read(&caller.app, next, limit, kinds).await?;
    }
    let items: Vec<Value> = page
        .events
        .iter()
        .map(|event| shown(&page, event))
        .collect();
    json(&value!({ "items": items, "next": page.next.to_string() }))
}

/// The same as server-sent events, for as long as the caller reads; `Last-Event-ID` goes on where a
/// stream has ended.
#[utoipa::path(
    get, path = "/api/v1/apps/{app}/events/stream", tag = "Events",
    params(
        ("app" = String, Path, description = "App id"),
        ("after" = Option<String>, Query, description = "As for a page; without it the stream begins with what comes from now on"),
        ("types" = Option<String>, Query, description = "As for a page"),
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was read"),
    ),
    responses((status = 200, body = String, content_type = "text/event-stream"), (status = "4XX", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn follow(
    State(api): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    mut query: Query,
) -> Answer {
    caller.principal.must_be_key()?;
    let given = query.take("after");
    let kinds = kinds(query.take("types").as_deref())?;
    query.end()?;
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let begin = match last.or(given.as_deref()) {
        Some(text) => after(Some(text))?,
        None => After::Newest,
    };
    let place = caller.desk.begin_stream()?;
    let watch = api.events.watch(&caller.app);
    let page = api
        .events
        .read(&caller.app, begin, STREAM_PAGE, kinds)
        .await?;
    let state = Following {
        api,
        app: caller.app,
        kinds,
        watch,
        next: page.next,
        ready: VecDeque::from(["retry: 2000\n\n".into()]),
        _place: place,
    };
    let state = state.with(&page);
    let body = Body::from_stream(stream::unfold(state, Following::step));
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // Proxies that gather answers would hold events back.
    let buffering = HeaderName::from_static("x-accel-buffering");
    headers.insert(buffering, HeaderValue::from_static("no"));
    Ok(response)
}

/// A reader of a stream.
struct Following {
    api: Shared,
    app: AppId,
    kinds: EventKinds,
    watch: Watch,
    next: Cursor,
    /// What is written next. Bound: a page.
    ready: VecDeque<Bytes>,
    _place: Begun,
}

impl Following {
    fn with(mut self, page: &EventPage) -> Self {
        let events = page.events.iter().map(|event| written(page, event));
        self.ready.extend(events);
        self.next = page.next;
        self
    }

    /// The next piece; `None` ends the stream, and its reader comes again.
    async fn step(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Some((Ok(piece), self));
            }
            let until = Instant::now() + HEARTBEAT;
            match timeout_at(until, self.watch.newer_than(self.next)).await {
                // Its id lets a reader of rare types go on near the end.
                Err(_) => {
                    let beat = format!(": alive\nid: {}\n\n", self.next);
                    return Some((Ok(beat.into()), self));
                }
                Ok(Err(error)) => {
                    tracing::warn!(%error, "a stream of events has ended");
                    return None;
                }
                Ok(Ok(())) => {}
            }
            let read =
                self.api
                    .events
                    .read(&self.app, After::Cursor(self.next), STREAM_PAGE, self.kinds);
            let page = read.await.ok()?;
            self = self.with(&page);
        }
    }
}

fn written(page: &EventPage, event: &Event) -> Bytes {
    let id = page.cursor_of(event);
    let kind = event.kind.name();
    format!("id: {id}\nevent: {kind}\ndata: {}\n\n", shown(page, event)).into()
}

fn after(text: Option<&str>) -> Result<After, Fault> {
    match text {
        None | Some("") => Ok(After::Start),
        Some("newest") => Ok(After::Newest),
        Some(text) => text.parse().map(After::Cursor).map_err(|_| {
            Fault::invalid(
                "after",
                "it is no cursor; give one back as events have given it",
            )
        }),
    }
}

fn kinds(text: Option<&str>) -> Result<EventKinds, Fault> {
    let Some(text) = text else {
        return Ok(EventKinds::ALL);
    };
    let mut kinds = EventKinds::NONE;
    for name in text.split(',') {
        let named = EventKind::ALL
            .into_iter()
            .filter(|kind| match name.strip_suffix(".*") {
                Some(family) => kind.name().split('.').next() == Some(family),
                None => kind.name() == name,
            });
        let named: Vec<EventKind> = named.collect();
        if named.is_empty() {
            let shown: String = name.chars().take(40).collect();
            let all: Vec<&str> = EventKind::ALL.into_iter().map(EventKind::name).collect();
            let detail = format!(
                "{shown:?} is no type of events; there are {}",
                all.join(", ")
            );
            return Err(Fault::invalid("types", detail));
        }
        kinds = named.into_iter().fold(kinds, EventKinds::with);
    }
    Ok(kinds)
}

/// An event as answers show it.
fn shown(page: &EventPage, event: &Event) -> Value {
    let mut fields = value!({
        "cursor": page.cursor_of(event).to_string(),
        "type": event.kind.name(),
        "at_ms": event.at_ms,
    });
    let mut tell = |name: &str, value: Value| fields[name] = value;
    if let Some(user) = &event.user {
        tell("user", value!(user.as_str()));
    }
    if let Some(channel) = &event.channel {
        tell("channel", value!(channel.as_str()));
    }
    if let Some(peer) = &event.peer {
        tell("peer", value!(peer.as_str()));
    }
    // Of its channel, where it has one; else of its user.
    let order = if event.channel_order > 0 {
        event.channel_order
    } else {
        event.user_order
    };
    let numbers = [
        ("order", order),
        ("user_order", event.user_order),
        ("channel_order", event.channel_order),
        ("login_ms", event.login_ms),
        ("bytes", u64::from(event.bytes)),
        ("missing", event.missing),
    ];
    for (name, number) in numbers.into_iter().filter(|(_, number)| *number > 0) {
        tell(name, value!(number));
    }
    if let Some(session) = &event.session {
        tell("session", value!(hex(&session.0)));
    }
    if let Some(id) = &event.id {
        tell("id", value!(hex(id)));
    }
    if !event.detail.is_empty() {
        tell("detail", value!(event.detail));
    }
    fields
}
