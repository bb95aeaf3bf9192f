//! What tells of the day, compared with what its users have counted.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::{DAY, Desk, Judge, TOLD, path};
use crate::office::expect;
use crate::openmetrics::{Families, sum};
use crate::world::APP;

/// Message traces, which have followed everything until then.
pub(super) fn check_traces(desk: &Desk, judge: &Judge) {
    let listed = expect(&desk.world.get(&path("/traces/messages?limit=100")), 200);
    let items = listed["items"].as_array().expect("a list");
    let of = |kind: &str| {
        let name = if kind == "peer" { "user" } else { "channel" };
        items.iter().filter(move |item| item[name].is_string())
    };
    for kind in ["peer", "channel"] {
        let mut counts = BTreeMap::<&str, u64>::new();
        let mut accepted = 0;
        for item in of(kind) {
            let id = item["message_id"].as_str().expect("an id");
            let way = complete_way(desk, id);
            for step in way["steps"].as_array().expect("a list") {
                let members = step["members"].as_u64().unwrap_or(1);
                match step["step"].as_str().expect("a name") {
                    "accepted" => accepted += 1,
                    "given" | "delivered_from_inbox" => {
                        *counts.entry("given").or_default() += members
                    }
                    "queued"
                        if step["detail"]
                            .as_str()
                            .is_some_and(|why| why.starts_with("again")) =>
                    {
                        *counts.entry("again").or_default() += members;
                    }
                    "written" => *counts.entry("written").or_default() += members,
                    "confirmed" => *counts.entry("confirmed").or_default() += members,
                    _ => {}
                }
            }
        }
        assert_eq!(accepted, judge.sent[kind].0, "{kind} accepted");
        let received = judge.received[kind];
        for step in ["given", "written", "confirmed"] {
            assert_eq!(counts[step], received, "{kind} {step}: {counts:?}");
        }
    }
}

/// A message's way, once nobody is waited for.
fn complete_way(desk: &Desk, id: &str) -> Value {
    let path = path(&format!("/traces/messages/{id}"));
    let begun = std::time::Instant::now();
    loop {
        let way = expect(&desk.world.get(&path), 200);
        // Refused ones have no more to come.
        if way["complete"] == true {
            return way;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{way}");
    }
}

/// Waits until a figure is what it must be.
pub(super) fn same(what: &str, expected: f64, mut told: impl FnMut() -> f64) {
    let begun = std::time::Instant::now();
    loop {
        let value = told();
        if (value - expected).abs() < 0.5 {
            return;
        }
        let is_late = begun.elapsed() > Duration::from_secs(10);
        assert!(!is_late, "{what}: {value} are told, {expected} were");
    }
}

pub(super) fn check_metrics(desk: &Desk, judge: &Judge, there: u64) {
    let app = ("app", DAY);
    let of = |what: &str, name: &str, labels: &[(&str, &str)], expected: u64| {
        let labels = [&[app][..], labels].concat();
        same(what, expected as f64, || {
            sum(&desk.metrics(), name, &labels)
        });
    };
    let (native, legacy) = (("protocol", "native"), ("protocol", "legacy"));
    of(
        "logins",
        "tidings_logins_total",
        &[native],
        judge.native_logins,
    );
    of(
        "legacy logins",
        "tidings_logins_total",
        &[legacy],
        judge.legacy_logins,
    );
    for name in ["tidings_sessions", "tidings_connections"] {
        of(name, name, &[native], there);
        of(name, name, &[legacy], 1);
    }
    of("resumes", "tidings_resumes_total", &[], judge.resumes);
    for (kind, (count, bytes)) in &judge.sent {
        let kind = ("kind", *kind);
        of("messages", "tidings_messages_total", &[kind], *count);
        of("bytes", "tidings_message_bytes_total", &[kind], *bytes);
    }
    of(
        "to users",
        "tidings_deliveries_total",
        &[("kind", "peer")],
        judge.received["peer"],
    );
    // What was given to a session, and then dropped, is what its user was told to have missed.
    let given = judge.received["channel"] + judge.missed;
    of(
        "to members",
        "tidings_deliveries_total",
        &[("kind", "channel")],
        given,
    );
    for (limit, count) in &judge.limits {
        of(limit, "tidings_refused_total", &[("limit", limit)], *count);
    }
    for (outcome, count) in &judge.errors {
        of(
            outcome,
            "tidings_call_errors_total",
            &[("outcome", outcome)],
            *count,
        );
    }
    check_common_metrics(desk, judge);
}

/// Those that are about no app alone.
fn check_common_metrics(desk: &Desk, judge: &Judge) {
    for (reason, count) in &judge.refused_logins {
        let labels = [("reason", *reason)];
        let told = || sum(&desk.metrics(), "tidings_login_refused_total", &labels);
        same(reason, *count as f64, told);
    }
    let gaps = || {
        sum(
            &desk.metrics(),
            "tidings_gap_total",
            &[("cause", "buffer_overflow")],
        )
    };
    same("gaps", judge.missed as f64, gaps);
    for name in [
        "tidings_ghost_swept_total",
        "tidings_invariant_violation_total",
    ] {
        same(name, 0.0, || sum(&desk.metrics(), name, &[]));
    }
}

/// The statistics are another reading of the same: what the console and `tidings top` show. What
/// the server still writes down of its own, such as how far a webhook is, may come between two
/// readings.
pub(super) fn check_stats(desk: &Desk) {
    let begun = std::time::Instant::now();
    loop {
        let differ = differences(desk);
        if differ.is_empty() {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{differ:#?}");
    }
}

/// What `/metrics` and the statistics tell differently.
fn differences(desk: &Desk) -> Vec<String> {
    /// What moves while nobody does anything, or because somebody looks.
    const MOVING: [&str; 12] = [
        "tidings_cpu_seconds_total",
        "tidings_memory_bytes",
        "tidings_open_files",
        "tidings_disk_free_bytes",
        "tidings_eventloop_lag_seconds",
        "tidings_queue_length",
        "tidings_sockets",
        "tidings_sockets_accepted_total",
        "tidings_frames_received_total",
        "tidings_frames_sent_total",
        "tidings_api_requests_total",
        "tidings_api_request_seconds",
    ];
    let stats = expect(&desk.world.get("/api/v1/stats"), 200);
    let families = desk.metrics();
    let mut found = Vec::new();
    let mut compare = |what: &str, one: &Value, other: f64| {
        if one.as_f64().is_none_or(|one| (one - other).abs() > 0.5) {
            found.push(format!("{what}: {one} and {other}"));
        }
    };
    for (name, family) in stats["metrics"].as_object().expect("metrics") {
        if MOVING.contains(&name.as_str()) || family["type"] == "histogram" {
            continue;
        }
        for sample in family["samples"].as_array().expect("samples") {
            let labels = sample["labels"].as_object().expect("labels").iter();
            let labels: Vec<(&str, &str)> = labels
                .map(|(label, value)| (label.as_str(), value.as_str().expect("a text")))
                .collect();
            let told = sum(&families, name, &labels);
            compare(&format!("{name}{labels:?}"), &sample["value"], told);
        }
    }
    compare_apps(desk, &stats, &families, &mut compare);
    found
}

/// The same by app and hub, as older readers know it.
fn compare_apps(
    desk: &Desk,
    stats: &Value,
    families: &Families,
    compare: &mut impl FnMut(&str, &Value, f64),
) {
    let apps = stats["apps"].as_array().expect("apps");
    let day = apps
        .iter()
        .find(|app| app["app"] == DAY)
        .expect("the day's");
    for (field, name, labels) in [
        ("logins", "tidings_logins_total", vec![]),
        ("resumes", "tidings_resumes_total", vec![]),
        (
            "peer_messages",
            "tidings_messages_total",
            vec![("kind", "peer")],
        ),
        (
            "channel_messages",
            "tidings_messages_total",
            vec![("kind", "channel")],
        ),
    ] {
        let labels = [vec![("app", DAY)], labels].concat();
        compare(field, &day[field], sum(families, name, &labels));
    }
    let hubs = stats["hubs"].as_array().expect("hubs");
    let sessions: u64 = hubs.iter().filter_map(|hub| hub["sessions"].as_u64()).sum();
    compare(
        "sessions",
        &sessions.into(),
        sum(families, "tidings_sessions", &[]),
    );
    let of_app = expect(&desk.world.get(&path("/stats")), 200);
    let peer = sum(
        families,
        "tidings_deliveries_total",
        &[("app", DAY), ("kind", "peer")],
    );
    compare("peer", &of_app["messages"]["peer"]["delivered"], peer);
}

/// The security log has a line for each login, each return and each refusal.
pub(super) fn check_security(desk: &Desk, judge: &Judge) {
    let count = |app: &str, event: &str, reason: &str| {
        let lines = desk.security(app);
        let found = lines.get(&(event.to_owned(), reason.to_owned()));
        found.copied().unwrap_or_default() as f64
    };
    let logins = judge.native_logins + judge.legacy_logins;
    same("logged logins", logins as f64, || count(DAY, "login", ""));
    same("logged returns", judge.resumes as f64, || {
        count(DAY, "resume", "")
    });
    for (reason, times) in &judge.refused_logins {
        let app = if *reason == "banned" { DAY } else { APP };
        same(reason, *times as f64, || {
            count(app, "login_refused", reason)
        });
    }
}

/// The events of the app have the invitation that its caller and its callee know of.
pub(super) fn check_invitations(desk: &Desk, judge: &Judge) {
    let page = expect(
        &desk.world.get(&path("/events?types=invitation.accepted")),
        200,
    );
    let told = page["items"].as_array().map_or(0, Vec::len);
    assert_eq!(told as u64, judge.accepted_invitations, "{page}");
}

/// The target has got what the metrics and the list of deliveries call delivered, which is what the
/// app's events are.
pub(super) fn check_webhooks(desk: &Desk) {
    let events = || {
        let mut count = 0;
        let mut after = String::new();
        loop {
            let query = format!("/events?limit=500&types={}{after}", TOLD.join(","));
            let page = expect(&desk.world.get(&path(&query)), 200);
            let items = page["items"].as_array().expect("events");
            if items.is_empty() {
                return count;
            }
            count += items.len();
            after = format!("&after={}", page["next"].as_str().expect("a cursor"));
        }
    };
    let begun = std::time::Instant::now();
    let told = loop {
        let told = desk.backend.notices().len();
        if told == events() {
            break told;
        }
        let is_late = begun.elapsed() > Duration::from_secs(60);
        assert!(!is_late, "{told} notices of {} events", events());
    };
    let labels = [("app", DAY), ("outcome", "delivered")];
    let delivered = || sum(&desk.metrics(), "tidings_webhook_calls_total", &labels);
    same("webhooks", told as f64, delivered);
    let stats = expect(&desk.world.get(&path("/stats")), 200);
    assert_eq!(stats["webhooks"]["calls"]["delivered"], told, "{stats}");
}

/// Spans, of which all are sampled.
pub(super) fn check_spans(desk: &Desk, judge: &Judge) {
    let spans = &desk.collector;
    let publish = "POST /api/v1/apps/{app}/publish";
    same("published", judge.publishes as f64, || {
        spans.count(publish) as f64
    });
    let told = desk.backend.notices().len();
    same("deliveries", told as f64, || {
        spans.count("webhook.delivery") as f64
    });
    let refused: u64 = judge.refused_logins.values().sum();
    let logins = judge.native_logins + judge.legacy_logins;
    let with = |outcome: &str| spans.count_with("login", "tidings.outcome", outcome) as f64;
    same("welcomed", logins as f64, || with("welcome"));
    let other = || spans.count("login") as f64 - with("welcome") - with("resumed");
    same("not welcomed", refused as f64, other);
    let operations = || sum(&desk.metrics(), "tidings_store_operations_total", &[]);
    let begun = std::time::Instant::now();
    loop {
        let (told, carried_out) = (
            spans.sum("store.commit", "tidings.operations"),
            operations(),
        );
        if (told as f64 - carried_out).abs() < 0.5 {
            break;
        }
        let is_late = begun.elapsed() > Duration::from_secs(20);
        assert!(
            !is_late,
            "{told} operations in spans, {carried_out} counted"
        );
    }
}
