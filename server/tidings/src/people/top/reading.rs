//! What `tidings top` reads, and what has happened between two readings.

use serde::Serialize;
use serde_json::Value;

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
    pub(super) hubs: Vec<Hub>,
    pub(super) apps: Vec<App>,
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
        json!({
            "at_ms": at_ms, "uptime_s": uptime_s, "memory_bytes": 64 << 20, "store_accepts": "everything",
            "hubs": [
                { "hub": 0, "sessions": 3, "connections": 3, "channels": 2, "frames_received": count, "frames_sent": 10 * count },
                { "hub": 1, "sessions": 4, "connections": 5, "channels": 2, "legacy_connections": 1, "frames_received": 0, "frames_sent": 0 },
            ],
            "apps": [{ "app": "a\u{1b}b", "logins": 2, "peer_messages": count, "channel_messages": 2 * count }],
            "other_apps": { "logins": 0, "peer_messages": 0, "channel_messages": 0 },
            "store": { "queued_operations": 1 },
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
