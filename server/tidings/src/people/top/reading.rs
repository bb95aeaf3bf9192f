//! What `tidings top` reads, and what has happened between two readings.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use crate::people::shown::shown;

/// Counts since the server's start, of which rates are made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    first: u64,
    second: u64,
    third: u64,
}

/// A hub, as it is at a moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Hub {
    pub(super) hub: u64,
    pub(super) sessions: u64,
    pub(super) connections: u64,
    pub(super) channels: u64,
    /// Kept for clients that have not confirmed it.
    pub(super) unconfirmed_bytes: u64,
    /// Longest time between two waits of the hub's loop since the start.
    pub(super) longest_turn_ms: u64,
    /// Frames from clients in a second.
    pub(super) frames_in_rate: f64,
    /// Frames to clients in a second.
    pub(super) frames_out_rate: f64,
    #[serde(skip)]
    counts: Counts,
}

/// An app, as it is at a moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct App {
    /// Its id; empty = all those that are not listed one by one.
    pub(super) app: String,
    /// Messages to users in a second.
    pub(super) peer_message_rate: f64,
    /// Messages to channels in a second.
    pub(super) channel_message_rate: f64,
    /// Logins in a second.
    pub(super) login_rate: f64,
    /// Messages since the start.
    pub(super) messages: u64,
    #[serde(skip)]
    counts: Counts,
}

impl App {
    /// Messages in a second.
    pub(super) fn rate(&self) -> f64 {
        self.peer_message_rate + self.channel_message_rate
    }
}

/// The server at a moment. Rates are over the time since the reading before; 0 in the first.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Reading {
    pub(super) at_ms: u64,
    pub(super) uptime_s: u64,
    pub(super) memory_bytes: u64,
    /// What the store accepts: `everything`, `deletions`, `nothing`.
    pub(super) store_accepts: String,
    pub(super) store_queued: u64,
    pub(super) silent_hubs: u64,
    pub(super) sessions: u64,
    pub(super) connections: u64,
    pub(super) legacy_connections: u64,
    pub(super) channels: u64,
    pub(super) frames_in_rate: f64,
    pub(super) frames_out_rate: f64,
    pub(super) peer_message_rate: f64,
    pub(super) channel_message_rate: f64,
    pub(super) login_rate: f64,
    /// Share of a core that the server has used, in percent.
    pub(super) cpu_percent: f64,
    /// What was refused because of a limit, in a second.
    pub(super) refused_rate: f64,
    /// The limit that has refused most.
    pub(super) refused_by: Option<String>,
    /// Gaps that users were told, in a second.
    pub(super) gap_rate: f64,
    /// From a request to its answer.
    pub(super) answer_ms: Option<Latency>,
    /// From a message's arrival to its last write.
    pub(super) write_ms: Option<Latency>,
    /// Of a commit to the disk.
    pub(super) disk_ms: Option<Latency>,
    /// Whether this is one app, as a key that is limited to it may see it.
    pub(super) is_of_app: bool,
    pub(super) hubs: Vec<Hub>,
    pub(super) apps: Vec<App>,
    #[serde(skip)]
    meters: Meters,
}

/// How long something took between two readings, in milliseconds: no more than this. Null = longer
/// than is told apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(super) struct Latency {
    pub(super) p50: Option<f64>,
    pub(super) p99: Option<f64>,
}

/// Counts of `metrics`, since the server's start.
#[derive(Debug, Clone, Default, PartialEq)]
struct Meters {
    cpu_s: f64,
    refused: BTreeMap<String, u64>,
    gaps: u64,
    answer: Buckets,
    write: Buckets,
    disk: Buckets,
}

/// A histogram: bounds in seconds, `None` = no bound, each with how many are not above it.
type Buckets = Vec<(Option<f64>, u64)>;

impl Meters {
    fn of(metrics: &Value) -> Self {
        let samples = |name: &str| metrics[name]["samples"].as_array().into_iter().flatten();
        let buckets = |name: &str| {
            let rows = samples(name).flat_map(|sample| {
                let buckets = sample["value"]["buckets"].as_array();
                buckets.into_iter().flatten()
            });
            rows.map(|row| (row["le"].as_f64(), number(row, "count")))
                .collect()
        };
        let mut refused = BTreeMap::new();
        for sample in samples("tidings_refused_total") {
            let limit = sample["labels"]["limit"].as_str().unwrap_or_default();
            *refused.entry(shown(limit)).or_default() += number(sample, "value");
        }
        let cpu = samples("tidings_cpu_seconds_total").next();
        Self {
            cpu_s: cpu
                .and_then(|sample| sample["value"].as_f64())
                .unwrap_or(0.0),
            refused,
            gaps: samples("tidings_gap_total")
                .map(|sample| number(sample, "value"))
                .sum(),
            answer: buckets("tidings_request_seconds"),
            write: buckets("tidings_message_write_seconds"),
            disk: buckets("tidings_fsync_seconds"),
        }
    }
}

/// What has happened between two readings of a histogram; `None` = nothing.
fn latency(now: &Buckets, then: &Buckets) -> Option<Latency> {
    let before = |at: usize| then.get(at).map_or(0, |(_, count)| *count);
    let counts = now.iter().enumerate();
    let counts: Vec<(Option<f64>, u64)> = counts
        .map(|(at, (bound, count))| (*bound, count.saturating_sub(before(at))))
        .collect();
    let all = counts.last().map_or(0, |(_, count)| *count);
    if all == 0 {
        return None;
    }
    let below = |percent: u64| {
        let reached = counts
            .iter()
            .find(|(_, count)| count * 100 >= all * percent);
        reached.and_then(|(bound, _)| bound.map(|seconds| seconds * 1_000.0))
    };
    Some(Latency {
        p50: below(50),
        p99: below(99),
    })
}

/// What `GET /api/v1/apps/{app}/stats` tells, in the form of the whole server's.
pub(super) fn of_app(stats: &Value) -> Value {
    let messages = |kind: &str| number(&stats["messages"][kind], "sent");
    json!({
        "at_ms": stats["at_ms"],
        "of_app": true,
        "hubs": [{
            "sessions": stats["sessions"],
            "connections": stats["connections"],
            "channels": stats["channels"],
        }],
        "apps": [{
            "app": stats["app"],
            "peer_messages": messages("peer"),
            "channel_messages": messages("channel"),
            "logins": number(&stats["logins"], "native") + number(&stats["logins"], "legacy"),
        }],
        "metrics": { "tidings_refused_total": { "samples": stats["refusals"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(limit, count)| json!({ "labels": { "limit": limit }, "value": count }))
            .collect::<Vec<_>>() } },
    })
}

fn number(of: &Value, name: &str) -> u64 {
    of[name].as_u64().unwrap_or(0)
}

impl Reading {
    /// What `GET /api/v1/stats` tells, after what it told before.
    pub(super) fn new(stats: &Value, before: Option<&Self>) -> Self {
        let rows = |name: &str| stats[name].as_array().into_iter().flatten();
        let mut apps: Vec<App> = rows("apps").map(app).collect();
        let others = app(&stats["other_apps"]);
        if others.counts != Counts::default() {
            apps.push(others);
        }
        let mut reading = Self {
            at_ms: number(stats, "at_ms"),
            uptime_s: number(stats, "uptime_s"),
            memory_bytes: number(stats, "memory_bytes"),
            store_accepts: shown(stats["store_accepts"].as_str().unwrap_or("everything")),
            store_queued: number(&stats["store"], "queued_operations"),
            silent_hubs: number(stats, "silent_hubs"),
            legacy_connections: rows("hubs")
                .map(|hub| number(hub, "legacy_connections"))
                .sum(),
            hubs: rows("hubs").map(hub).collect(),
            apps,
            is_of_app: stats["of_app"] == true,
            meters: Meters::of(&stats["metrics"]),
            ..Self::default()
        };
        let sum = |of: fn(&Hub) -> u64| reading.hubs.iter().map(of).sum();
        reading.sessions = sum(|hub| hub.sessions);
        reading.connections = sum(|hub| hub.connections);
        // Members of one channel may be on several hubs; the largest number is no more than it is.
        reading.channels = reading
            .hubs
            .iter()
            .map(|hub| hub.channels)
            .max()
            .unwrap_or(0);
        if let Some(before) = before {
            reading.compare(before);
        }
        reading
    }

    /// Makes rates of the counts of two readings. A server that was started in between has counted
    /// from 0.
    fn compare(&mut self, before: &Self) {
        let passed_ms = self.at_ms.saturating_sub(before.at_ms);
        if passed_ms == 0 || self.uptime_s < before.uptime_s {
            return;
        }
        // Exact for every count that a server reaches.
        #[allow(clippy::cast_precision_loss)]
        let rate =
            |now: u64, then: u64| now.saturating_sub(then) as f64 * 1_000.0 / passed_ms as f64;
        let (now, then) = (&self.meters, &before.meters);
        // Exact to a part in a million.
        #[allow(clippy::cast_precision_loss)]
        let passed_s = passed_ms as f64 / 1_000.0;
        self.cpu_percent = (now.cpu_s - then.cpu_s).max(0.0) / passed_s * 100.0;
        self.gap_rate = rate(now.gaps, then.gaps);
        let mut most = 0.0;
        for (limit, count) in &now.refused {
            let refused = rate(*count, then.refused.get(limit).copied().unwrap_or(0));
            self.refused_rate += refused;
            if refused > most {
                most = refused;
                self.refused_by = Some(limit.clone());
            }
        }
        self.answer_ms = latency(&now.answer, &then.answer);
        self.write_ms = latency(&now.write, &then.write);
        self.disk_ms = latency(&now.disk, &then.disk);
        for hub in &mut self.hubs {
            let then = before.hubs.iter().find(|then| then.hub == hub.hub);
            let then = then.map_or(hub.counts, |then| then.counts);
            hub.frames_in_rate = rate(hub.counts.first, then.first);
            hub.frames_out_rate = rate(hub.counts.second, then.second);
            self.frames_in_rate += hub.frames_in_rate;
            self.frames_out_rate += hub.frames_out_rate;
        }
        for app in &mut self.apps {
            let then = before.apps.iter().find(|then| then.app == app.app);
            // An app that was not there has begun in between, or was among those not listed.
            let unlisted = before.apps.iter().any(|then| then.app.is_empty());
            let begun = if unlisted {
                app.counts
            } else {
                Counts::default()
            };
            let then = then.map_or(begun, |then| then.counts);
            app.peer_message_rate = rate(app.counts.first, then.first);
            app.channel_message_rate = rate(app.counts.second, then.second);
            app.login_rate = rate(app.counts.third, then.third);
            self.peer_message_rate += app.peer_message_rate;
            self.channel_message_rate += app.channel_message_rate;
            self.login_rate += app.login_rate;
        }
    }
}

fn hub(row: &Value) -> Hub {
    Hub {
        hub: number(row, "hub"),
        sessions: number(row, "sessions"),
        connections: number(row, "connections"),
        channels: number(row, "channels"),
        unconfirmed_bytes: number(row, "replay_bytes"),
        longest_turn_ms: number(row, "longest_turn_ms"),
        counts: Counts {
            first: number(row, "frames_received"),
            second: number(row, "frames_sent"),
            third: 0,
        },
        ..Hub::default()
    }
}

fn app(row: &Value) -> App {
    let (peer, channel) = (
        number(row, "peer_messages"),
        number(row, "channel_messages"),
    );
    App {
        app: shown(row["app"].as_str().unwrap_or_default()),
        messages: peer.saturating_add(channel),
        counts: Counts {
            first: peer,
            second: channel,
            third: number(row, "logins"),
        },
        ..App::default()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    pub(in super::super) fn stats(at_ms: u64, uptime_s: u64, count: u64) -> Value {
        let hub = |hub: u64, sessions: u64, received: u64, legacy: u64| {
            json!({
                "hub": hub,
                "sessions": sessions,
                "connections": sessions + legacy,
                "legacy_connections": legacy,
                "channels": 2,
                "frames_received": received,
                "frames_sent": 10 * received,
            })
        };
        let refused = |app: &str, limit: &str, count: u64| {
            let labels = json!({ "app": app, "limit": limit });
            json!({ "labels": labels, "value": count })
        };
        let answers = json!({
            "count": count,
            "sum": 1,
            "buckets": [
                { "le": 0.001, "count": count / 2 },
                { "le": 0.004, "count": count },
                { "le": null, "count": count },
            ],
        });
        let sample = |value: Value| {
            let samples = [json!({ "labels": {}, "value": value })];
            json!({ "samples": samples })
        };
        json!({
            "at_ms": at_ms,
            "uptime_s": uptime_s,
            "memory_bytes": 64 << 20,
            "store_accepts": "everything",
            "hubs": [hub(0, 3, count, 0), hub(1, 4, 0, 1)],
            "apps": [{
                "app": "a\u{1b}b",
                "logins": 2,
                "peer_messages": count,
                "channel_messages": 2 * count,
            }],
            "other_apps": { "logins": 0, "peer_messages": 0, "channel_messages": 0 },
            "store": { "queued_operations": 1 },
            "metrics": {
                // A quarter of a core.
                "tidings_cpu_seconds_total": sample(json!(uptime_s as f64 / 4.0)),
                "tidings_refused_total": { "samples": [
                    refused("a", "login", 1),
                    refused("a", "message", count),
                    refused("b", "message", count),
                ] },
                "tidings_gap_total": sample(json!(0)),
                "tidings_request_seconds": sample(answers),
            },
        })
    }

    #[test]
    fn rates_come_from_two_readings() {
        let first = Reading::new(&stats(1_000, 10, 100), None);
        assert_eq!((first.sessions, first.connections), (7, 8));
        assert_eq!(first.frames_in_rate, 0.0);
        let second = Reading::new(&stats(3_000, 12, 300), Some(&first));
        assert_eq!(second.frames_in_rate, 100.0);
        assert_eq!(second.frames_out_rate, 1_000.0);
        assert_eq!(second.apps[0].rate(), 300.0);
        assert_eq!(second.apps[0].app, "a\\u{1b}b");
        assert_eq!((second.refused_rate, second.gap_rate), (200.0, 0.0));
        assert_eq!(second.refused_by.as_deref(), Some("message"));
        assert_eq!(second.cpu_percent, 25.0);
        let latency = Latency {
            p50: Some(1.0),
            p99: Some(4.0),
        };
        assert_eq!((second.answer_ms, second.disk_ms), (Some(latency), None));
    }

    #[test]
    fn an_app_is_read_as_a_server_is() {
        let stats = |at_ms: u64, count: u64| {
            of_app(&json!({
                "app": "a", "at_ms": at_ms, "sessions": 2, "connections": 1, "channels": 3,
                "messages": { "peer": { "sent": count }, "channel": { "sent": 0 } },
                "logins": { "native": 1, "legacy": 1 }, "refusals": { "message": count },
            }))
        };
        let first = Reading::new(&stats(1_000, 0), None);
        assert_eq!(
            (first.sessions, first.connections, first.channels),
            (2, 1, 3)
        );
        let second = Reading::new(&stats(2_000, 7), Some(&first));
        assert_eq!((second.peer_message_rate, second.refused_rate), (7.0, 7.0));
        assert!(second.is_of_app);
    }

    #[test]
    fn a_restart_makes_no_rates() {
        let first = Reading::new(&stats(1_000, 10, 100), None);
        let second = Reading::new(&stats(3_000, 1, 5), Some(&first));
        assert_eq!(second.frames_in_rate, 0.0);
        let strange = Reading::new(&json!("no object"), Some(&second));
        assert_eq!(strange.sessions, 0);
    }
}
