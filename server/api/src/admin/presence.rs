//! `/dev/v1/channel/…`: who is there, as the hosted service tells it of calls. Answered from RTM
//! channels. Source: rest 7, 11.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::routing::get;
use serde_json::{Value, json};
use tidings_hub::ids::UserKey;
use tidings_hub::outside::{OUTSIDE_PAGE_MAX, OutsideAnswer, OutsideCall};
use tidings_wire::names::{AppId, ChannelName};

use super::bans::members;
use crate::auth::Caller;
use crate::params::{PathParams, Query};
use crate::routes::Routes;
use crate::{Answer, Api, Fault, Shared};

/// How long a list of channels is good: to make one costs a look at each channel. The hosted
/// service's may be a minute old.
const LIST_GOOD: Duration = Duration::from_secs(5);

/// Apps whose list is remembered.
const LISTS_MAX: usize = 100;

/// The routes of this area.
pub(super) fn routes() -> Routes {
    let base = "/dev/v1/channel";
    Routes::new()
        .route(&format!("{base}/{{app}}"), get(channels))
        .route(&format!("{base}/user/{{app}}/{{channel}}"), get(users))
        .route(
            &format!("{base}/user/{{app}}/{{channel}}/hosts_only"),
            get(users),
        )
        .route(
            &format!("{base}/user/property/{{app}}/{{uid}}/{{channel}}"),
            get(property),
        )
}

/// The channels of an app with the numbers of their members, in the order of their names.
type List = Arc<Vec<(ChannelName, u32)>>;

/// Lists of channels that are good for a while.
#[derive(Debug, Default)]
pub(crate) struct Lists(Mutex<HashMap<AppId, (Instant, List)>>);

impl Lists {
    fn find(&self, app: &AppId) -> Option<List> {
        let lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (made, list) = lists.get(app)?;
        (made.elapsed() < LIST_GOOD).then(|| list.clone())
    }

    fn keep(&self, app: &AppId, list: List) {
        let mut lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lists.len() >= LISTS_MAX {
            lists.retain(|_, (made, _)| made.elapsed() < LIST_GOOD);
        }
        if lists.len() < LISTS_MAX {
            lists.insert(app.clone(), (Instant::now(), list));
        }
    }
}

async fn channels(State(api): State<Shared>, caller: Caller, mut query: Query) -> Answer {
    caller.principal.must_be_key()?;
    let page = query
        .number("page_no", 0, u64::from(u32::MAX))?
        .unwrap_or(0);
    let size = query.number("page_size", 1, 500)?.unwrap_or(100);
    query.end()?;
    let list = match api.channel_lists.find(&caller.app) {
        Some(list) => list,
        None => {
            let list = Arc::new(all(&api, &caller.app).await?);
            api.channel_lists.keep(&caller.app, list.clone());
            list
        }
    };
    let (size, from) = (
        usize::try_from(size).unwrap_or(1),
        usize::try_from(page.saturating_mul(size)).unwrap_or(usize::MAX),
    );
    let rows: Vec<_> = list
        .iter()
        .skip(from)
        .take(size)
        .map(|(name, count)| json!({ "channel_name": name.as_str(), "user_count": count }))
        .collect();
    success(&json!({ "channels": rows, "total_size": list.len() }))
}

/// All channels of an app. Each hub lists those with a member of its own.
async fn all(api: &Api, app: &AppId) -> Result<Vec<(ChannelName, u32)>, Fault> {
    let mut found = BTreeMap::<String, (ChannelName, u32)>::new();
    for hub in 0..api.hubs() {
        let mut after = None;
        loop {
            let call = OutsideCall::Channels {
                app: app.clone(),
                prefix: String::new(),
                after: after.take(),
                limit: OUTSIDE_PAGE_MAX,
            };
            let OutsideAnswer::Channels { channels, has_more } = api.ask(hub, call).await? else {
                return Err(Fault::unavailable(
                    "a hub has not answered what it was asked",
                ));
            };
            after = channels.last().map(|entry| entry.channel.clone());
            for entry in channels {
                let name = entry.channel.as_str().to_owned();
                let place = found.entry(name).or_insert((entry.channel, 0));
                place.1 = place.1.max(entry.members);
            }
            if !has_more || after.is_none() {
                break;
            }
        }
    }
    Ok(found.into_values().collect())
}

async fn users(
    State(api): State<Shared>,
    caller: Caller,
    path: PathParams,
    mut query: Query,
) -> Answer {
    caller.principal.must_be_key()?;
    // RTM channels have no hosts: with and without, everybody is listed.
    query.take("hosts_only");
    query.end()?;
    let channel = path.channel("channel")?;
    let users = members(&api, &caller.app, &channel).await?;
    if users.is_empty() {
        return success(&json!({ "channel_exist": false }));
    }
    let ids: Vec<&str> = users.iter().map(|user| user.as_str()).collect();
    success(&json!({
        "channel_exist": true,
        "mode": 1,
        "total": ids.len(),
        "users": ids,
    }))
}

async fn property(
    State(api): State<Shared>,
    caller: Caller,
    path: PathParams,
    query: Query,
) -> Answer {
    caller.principal.must_be_key()?;
    query.end()?;
    let (user, channel) = (path.user("uid")?, path.channel("channel")?);
    let key = UserKey {
        app: caller.app.clone(),
        user,
    };
    let answers = api
        .ask_all(|| OutsideCall::User { user: key.clone() })
        .await?;
    let entries = answers.into_iter().filter_map(|answer| match answer {
        OutsideAnswer::User(entry) => entry,
        _ => None,
    });
    let mut member = entries.filter(|entry| entry.channels.contains(&channel));
    match member.next() {
        None => success(&json!({ "in_channel": false })),
        Some(entry) => {
            let since_ms = entry.sessions.iter().map(|session| session.since_ms).min();
            success(&json!({
                "join": since_ms.unwrap_or(0) / 1_000,
                "in_channel": true,
                "role": 1,
            }))
        }
    }
}

fn success(data: &Value) -> Answer {
    crate::json(&json!({ "success": true, "data": data }))
}
