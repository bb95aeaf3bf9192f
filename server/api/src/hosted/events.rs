//! Queues of events, from which reading removes. Source: rest 3.

use axum::Extension;
use axum::extract::State;
use serde_json::{Value, json as value};
use tidings_store::events::{Event, EventKind, EventQueue};

use crate::auth::Caller;
use crate::desk::{Kind, over};
use crate::params::Query;
use crate::problem::Fault;
use crate::request_id::RequestId;
use crate::{Answer, Shared, json};

/// Events of one call at most. Source: rest 3.
const EVENTS_MAX: usize = 1_000;

/// `GET …/rtm/vendor/user_events`: takes logins and logouts out of the app's queue.
pub(crate) async fn of_users(
    state: State<Shared>,
    caller: Caller,
    id: Extension<RequestId>,
    query: Query,
) -> Answer {
    take(state, caller, id, query, EventQueue::Users).await
}

/// `GET …/rtm/vendor/channel_events`: takes joins and leaves out of the app's queue.
pub(crate) async fn of_channels(
    state: State<Shared>,
    caller: Caller,
    id: Extension<RequestId>,
    query: Query,
) -> Answer {
    take(state, caller, id, query, EventQueue::Channels).await
}

async fn take(
    State(api): State<Shared>,
    caller: Caller,
    Extension(id): Extension<RequestId>,
    query: Query,
    queue: EventQueue,
) -> Answer {
    caller.principal.must_be_key()?;
    query.end()?;
    let kind = match queue {
        EventQueue::Users => Kind::UserEvents,
        EventQueue::Channels => Kind::ChannelEvents,
    };
    api.take_rate(&caller, kind)?;
    let events = api.events.take(&caller.app, queue, EVENTS_MAX).await?;
    let events: Vec<Value> = events.iter().filter_map(shown).collect();
    json(&value!({ "result": "success", "request_id": id.as_str(), "events": events }))
}

/// An event in all spellings that the editions have.
fn shown(event: &Event) -> Option<Value> {
    let kind = match event.kind {
        EventKind::Login => "Login",
        EventKind::Logout => "Logout",
        EventKind::Join => "Join",
        EventKind::Leave => "Leave",
        _ => return None,
    };
    let mut fields = value!({
        "user_id": event.user.as_ref().map(|user| user.as_str()).unwrap_or_default(),
        "type": kind,
        "ms": event.at_ms,
        "ts": event.at_ms,
    });
    if let Some(channel) = &event.channel {
        fields["group_id"] = value!(channel.as_str());
        fields["channel_id"] = value!(channel.as_str());
    }
    Some(fields)
}

impl crate::Api {
    /// Takes one call of a rate of its own.
    ///
    /// # Errors
    /// 429.
    pub(crate) fn take_rate(&self, caller: &Caller, kind: Kind) -> Result<(), Fault> {
        let rates = &self.settings.rates;
        let (rate, what) = match kind {
            Kind::UserEvents | Kind::ChannelEvents => (rates.events, "readings of these events"),
            Kind::History => (rates.history, "calls about histories"),
            Kind::Calls | Kind::Rules | Kind::Presence | Kind::Projects => {
                debug_assert!(false, "a rate that holds before the handler is asked");
                return Ok(());
            }
        };
        let (_, taken) = caller.desk.take(kind, rate, self.mono_ms());
        taken.map_err(|wait_ms| over("the app", rate, what, wait_ms))
    }
}
