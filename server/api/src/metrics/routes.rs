//! `/metrics`, and what has happened in one app: `/api/v1/apps/{app}/stats`.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::routing::get;
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

use super::{Metric, Reading, Value};
use crate::admin::blocking;
use crate::auth::{Caller, Principal};
use crate::problem::Problem;
use crate::routes::Routes;
use crate::{Answer, Fault, Shared};

/// The description of these calls.
#[derive(OpenApi)]
#[openapi(paths(metrics, of_app))]
pub(crate) struct MetricsDoc;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .route("/metrics", get(metrics))
        .route("/api/v1/apps/{app}/stats", get(of_app))
}

/// The metrics of the whole server, in the text format of OpenMetrics.
#[utoipa::path(
    get, path = "/metrics", tag = "Cluster",
    responses(
        (status = 200, body = String, content_type = "application/openmetrics-text"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn metrics(State(api): State<Shared>, principal: Principal) -> Answer {
    principal.must_be_unlimited()?;
    let meters = api.meters();
    let text = blocking(move || {
        meters.read().to_text().map_err(|error| {
            tracing::error!(%error, "the metrics could not be written");
            Fault::unavailable("the metrics could not be written; the log has more")
        })
    });
    let mut response = Response::new(Body::from(text.await?));
    let kind = HeaderValue::from_static(super::METRICS_TYPE);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(response)
}

/// Tells what has happened in an app since the server started, and who is there now.
#[utoipa::path(
    get, path = "/api/v1/apps/{app}/stats", tag = "Cluster",
    params(("app" = String, Path)),
    responses(
        (status = 200, body = AppStats),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn of_app(State(api): State<Shared>, caller: Caller) -> Answer {
    caller.principal.must_be_key()?;
    let (meters, app) = (api.meters(), caller.app.clone());
    let at_ms = api.unix_ms();
    let read = move || Ok((meters.name_of(&app), meters.read()));
    let (name, reading) = blocking(read).await?;
    let stats = AppStats::of(at_ms, caller.app.as_str(), name.as_deref(), &reading);
    crate::json(&stats)
}

/// What has happened in an app. Counts begin with 0 when the server starts.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct AppStats {
    app: String,
    /// When, Unix milliseconds.
    at_ms: u64,
    /// Whether the app is counted by itself; if not, all figures are 0: more apps than the server
    /// counts one by one have been used before it, none of which its list names.
    is_counted: bool,
    /// Sessions now, connected or to be resumed.
    sessions: u64,
    /// Sessions that are connected now.
    connections: u64,
    /// Channels that have members now.
    channels: u64,
    messages: Messages,
    logins: Logins,
    /// What was refused because of a limit, by the limit.
    refusals: BTreeMap<String, u64>,
    /// Calls that were answered with an error, by outcome.
    errors: BTreeMap<String, u64>,
    webhooks: Webhooks,
    /// Files of users on disk now, in bytes.
    media_bytes: u64,
    /// Sessions that were warned of their token's end and have not renewed it.
    tokens_near_expiry: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Messages {
    peer: Traffic,
    channel: Traffic,
}

/// Messages of one kind.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Traffic {
    /// Accepted from users and backends.
    sent: u64,
    /// Bytes of their payloads, without frames.
    bytes: u64,
    /// Copies that were given to sessions of receivers.
    delivered: u64,
    /// Frames of these copies.
    delivered_bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Logins {
    native: u64,
    legacy: u64,
    resumed: u64,
    /// Calls that were refused, by outcome.
    refused: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Webhooks {
    /// Subscriptions that are on.
    on: u64,
    /// Those of them whose target fails.
    failing: u64,
    /// Subscriptions that are off.
    off: u64,
    dead_letters: u64,
    /// Calls of targets, by outcome.
    calls: BTreeMap<String, u64>,
}

impl AppStats {
    fn of(at_ms: u64, app: &str, name: Option<&str>, reading: &Reading) -> Self {
        let of = Of {
            name: name.unwrap_or_default(),
            reading,
        };
        let traffic = |kind: &str| Traffic {
            sent: of.one(Metric::Messages, kind),
            bytes: of.one(Metric::MessageBytes, kind),
            delivered: of.one(Metric::Deliveries, kind),
            delivered_bytes: of.one(Metric::DeliveredBytes, kind),
        };
        Self {
            app: app.to_owned(),
            at_ms,
            is_counted: name.is_some(),
            sessions: of.sum(Metric::Sessions),
            connections: of.sum(Metric::Connections),
            channels: of.sum(Metric::Channels),
            messages: Messages {
                peer: traffic("peer"),
                channel: traffic("channel"),
            },
            logins: Logins {
                native: of.one(Metric::Logins, "native"),
                legacy: of.one(Metric::Logins, "legacy"),
                resumed: of.sum(Metric::Resumes),
                refused: of.each(Metric::LoginRefused),
            },
            refusals: of.each(Metric::Refused),
            errors: of.each(Metric::CallErrors),
            webhooks: Webhooks {
                on: of.sum(Metric::Webhooks),
                failing: of.sum(Metric::WebhooksFailing),
                off: of.sum(Metric::WebhooksOff),
                dead_letters: of.sum(Metric::WebhookDeadLetters),
                calls: of.each(Metric::WebhookCalls),
            },
            media_bytes: of.sum(Metric::MediaBytes),
            tokens_near_expiry: of.sum(Metric::TokensNearExpiry),
        }
    }
}

/// What a reading says of one app: the first label is the app in all of these metrics.
struct Of<'a> {
    name: &'a str,
    reading: &'a Reading,
}

impl Of<'_> {
    /// By the second label.
    fn each(&self, metric: Metric) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::new();
        for sample in self.reading.of(metric) {
            let [app, rest @ ..] = &sample.labels[..] else {
                continue;
            };
            if let Value::Count(count) = sample.value
                && app == self.name
            {
                let label = rest.first().cloned().unwrap_or_default();
                *sums.entry(label).or_default() += count;
            }
        }
        sums
    }

    fn one(&self, metric: Metric, label: &str) -> u64 {
        self.each(metric).get(label).copied().unwrap_or(0)
    }

    fn sum(&self, metric: Metric) -> u64 {
        self.each(metric).values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_is_told_its_own_figures_only() {
        let mut reading = Reading::default();
        for (app, sent) in [("ours", 3_u64), ("theirs", 5), ("other", 7)] {
            reading.add(Metric::Messages, &[app, "peer"], sent);
            reading.add(Metric::Sessions, &[app, "native"], sent);
            reading.add(Metric::Sessions, &[app, "legacy"], 1_u64);
            reading.add(Metric::Refused, &[app, "message"], sent);
        }
        let stats = AppStats::of(1, "ours", Some("ours"), &reading);
        assert_eq!((stats.sessions, stats.messages.peer.sent), (4, 3));
        assert_eq!(stats.refusals, BTreeMap::from([("message".to_owned(), 3)]));
        let stats = AppStats::of(1, "another", None, &reading);
        assert_eq!((stats.is_counted, stats.sessions), (false, 0));
    }
}
