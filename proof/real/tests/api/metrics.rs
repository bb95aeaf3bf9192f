//! `/metrics` and the statistics of an app: who may read them, and that they say what was done.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;
use tidings_client::SendOptions;

use crate::http::{Answer, Call};
use crate::office::{Made, MadeKey, expect, expect_problem};
use crate::openmetrics::{Families, parse, sum};
use crate::world::{APP, CERTIFICATE, OTHER, World, each, free_port, keyed, world};

/// Reads the metrics with the first key.
fn read(world: &World) -> Families {
    read_from(&keyed(Call::new("GET", "/metrics")), world.address)
}

fn read_from(call: &Call, address: SocketAddr) -> Families {
    let answer = call.send(address);
    assert_eq!(answer.status, 200, "{}", text(&answer));
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(answer.header("content-type"), Some(kind));
    parse(&text(&answer)).expect("well-formed metrics")
}

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.clone()).expect("UTF-8")
}

/// The names of the table that all metrics come from.
fn table() -> BTreeSet<String> {
    let table = include_str!("../../../../proto/metrics.toml");
    let names = table.lines().filter_map(|line| {
        let name = line.strip_prefix("name = \"")?.strip_suffix('"')?;
        name.starts_with("tidings_").then(|| name.to_owned())
    });
    names.collect()
}

#[test]
fn every_metric_of_the_table_is_there_and_no_other() {
    let families = read(world(1));
    let table = table();
    assert!(table.len() > 50, "{} names", table.len());
    let told: BTreeSet<String> = families
        .iter()
        .map(|(name, family)| match family.kind.as_str() {
            "counter" => format!("{name}_total"),
            _ => name.clone(),
        })
        .collect();
    assert_eq!(told, table);
    let stats = expect(&world(1).get("/api/v1/stats"), 200);
    let metrics = stats["metrics"].as_object().expect("metrics");
    let told: BTreeSet<String> = metrics.keys().cloned().collect();
    assert_eq!(told, table, "the statistics have them too");
}

#[test]
fn strangers_are_told_no_metrics() {
    let world = world(1);
    for address in [world.address, world.api] {
        for call in [
            Call::new("GET", "/metrics"),
            Call::new("GET", "/metrics").header("Authorization", "Bearer tdk_first_wrong"),
        ] {
            let answer = call.send(address);
            let code = answer.json()["code"].as_str().expect("a code").to_owned();
            expect_problem(&answer, 401, &code, None);
        }
    }
    let made = Made::by(world);
    for (role, apps, is_told) in [
        ("app", vec![made.id.as_str()], false),
        ("read", vec![made.id.as_str()], false),
        ("read", Vec::new(), true),
        ("admin", Vec::new(), true),
    ] {
        let key = MadeKey::by(world, role, &apps);
        let answer = key.call(world, "GET", "/metrics", None);
        if is_told {
            parse(&text(&answer)).expect("well-formed metrics");
        } else {
            expect_problem(&answer, 403, "not_permitted", None);
        }
    }
    let answer = keyed(Call::new("POST", "/metrics")).send(world.address);
    expect_problem(&answer, 405, "method_not_allowed", None);
}

#[test]
fn operators_read_metrics_on_their_own_listener_without_a_key() {
    let admin = free_port();
    let world = World::start(2, &["--admin-listen", &admin.to_string()]);
    let families = read_from(&Call::new("GET", "/metrics"), admin);
    assert_eq!(sum(&families, "tidings_hubs", &[]), 2.0);
    assert_eq!(sum(&families, "tidings_hubs_silent", &[]), 0.0);
    assert_eq!(sum(&families, "tidings_ready", &[]), 1.0);
    let hubs = &families["tidings_eventloop_lag_seconds"].samples;
    let hubs: BTreeSet<_> = hubs.iter().map(|sample| &sample.labels["hub"]).collect();
    assert_eq!(hubs.len(), 2);
    assert_eq!(Call::new("GET", "/api/v1/stats").send(admin).status, 404);
    drop(world);
}

/// Reads the metrics until they say this, which takes no longer than a message.
fn wait_for(world: &World, is_so: impl Fn(&Families) -> bool) -> Families {
    let begin = Instant::now();
    loop {
        let families = read(world);
        if is_so(&families) {
            return families;
        }
        assert!(begin.elapsed() < Duration::from_secs(10), "{families:#?}");
    }
}

// proves: rtm-rest-12-stats
#[test]
fn counters_say_what_was_done() {
    each(async |world| {
        let made = Made::by(world);
        let (alice, _of_alice) = made.login(world, "alice").await;
        let (bob, _of_bob) = made.login(world, "bob").await;
        let (carol, _of_carol) = made.login(world, "carol").await;
        for client in [&alice, &bob, &carol] {
            client.channel("room").join().await.expect("joined");
        }
        alice.channel("other").join().await.expect("joined");
        for _ in 0..5 {
            alice.channel("room").send("12345").await.expect("sent");
        }
        for _ in 0..3 {
            let sent = bob.send_to_peer("carol", "1234567", SendOptions::new());
            sent.await.expect("sent");
        }
        bob.send_to_peer("nobody", "1", SendOptions::new())
            .await
            .expect("sent to somebody who is away");
        let not_in = bob.channel("other").send("x").await;
        not_in.expect_err("bob is not in it");
        carol.logout().await.expect("logged out");
        let wrong = made.client(world).0;
        wrong
            .login("mallory", Some("wrong"))
            .await
            .expect_err("a wrong token");

        let app = ("app", made.id.as_str());
        let families = wait_for(world, |now| {
            let sessions = sum(now, "tidings_sessions", &[app]);
            let refused = sum(now, "tidings_login_refused_total", &[app]);
            (sessions, refused) == (2.0, 1.0)
        });
        let of = |name: &str, labels: &[(&str, &str)]| {
            let labels = [&[app][..], labels].concat();
            sum(&families, name, &labels)
        };
        let (peer, channel) = (("kind", "peer"), ("kind", "channel"));
        assert_eq!(of("tidings_logins_total", &[("protocol", "native")]), 3.0);
        assert_eq!(of("tidings_connections", &[("protocol", "native")]), 2.0);
        assert_eq!(of("tidings_channels", &[]), 2.0);
        assert_eq!(of("tidings_messages_total", &[channel]), 5.0);
        assert_eq!(of("tidings_message_bytes_total", &[channel]), 25.0);
        assert_eq!(of("tidings_deliveries_total", &[channel]), 10.0);
        assert_eq!(of("tidings_messages_total", &[peer]), 4.0);
        assert_eq!(of("tidings_message_bytes_total", &[peer]), 22.0);
        assert_eq!(of("tidings_deliveries_total", &[peer]), 3.0);
        assert!(of("tidings_delivered_bytes_total", &[peer]) > 21.0);
        let reason = ("reason", "invalid_token");
        assert_eq!(of("tidings_login_refused_total", &[reason]), 1.0);
        let outcome = ("outcome", "not_in_channel");
        assert_eq!(of("tidings_call_errors_total", &[outcome]), 1.0);
        check_stats(&made, world, &families);
        look_at_promises(&families);
    });
}

/// The statistics of the app say the same, to a key that reads this app only.
fn check_stats(made: &Made, world: &World, families: &Families) {
    let key = MadeKey::by(world, "read", &[&made.id]);
    let stats = expect(&key.call(world, "GET", &made.path("/stats"), None), 200);
    assert_eq!(stats["app"], made.id);
    assert_eq!(stats["is_counted"], true);
    let app = ("app", made.id.as_str());
    let same = |path: &[&str], name: &str, labels: &[(&str, &str)]| {
        let told = path.iter().fold(&stats, |at, field| &at[field]);
        let labels = [&[app][..], labels].concat();
        assert_eq!(
            told.as_f64(),
            Some(sum(families, name, &labels)),
            "{path:?}"
        );
    };
    same(&["sessions"], "tidings_sessions", &[]);
    same(&["connections"], "tidings_connections", &[]);
    same(&["channels"], "tidings_channels", &[]);
    same(&["logins", "native"], "tidings_logins_total", &[]);
    for kind in ["peer", "channel"] {
        for (field, name) in [
            ("sent", "tidings_messages_total"),
            ("bytes", "tidings_message_bytes_total"),
            ("delivered", "tidings_deliveries_total"),
            ("delivered_bytes", "tidings_delivered_bytes_total"),
        ] {
            same(&["messages", kind, field], name, &[("kind", kind)]);
        }
    }
    assert_eq!(stats["logins"]["refused"]["invalid_token"], 1);
    let other = key.call(world, "GET", &format!("/api/v1/apps/{APP}/stats"), None);
    expect_problem(&other, 403, "app_not_permitted", None);
}

/// What must stay 0 does, and what must have been measured was.
fn look_at_promises(families: &Families) {
    for name in [
        "tidings_ghost_swept_total",
        "tidings_invariant_violation_total",
    ] {
        assert_eq!(sum(families, name, &[]), 0.0, "{name}");
    }
    for name in [
        "tidings_request_seconds_count",
        "tidings_message_write_seconds_count",
        "tidings_fsync_seconds_count",
        "tidings_eventloop_lag_seconds_count",
        "tidings_api_request_seconds_count",
        "tidings_memory_bytes",
        "tidings_disk_free_bytes",
        "tidings_cpu_seconds_total",
        "tidings_start_time_seconds",
        "tidings_open_files",
    ] {
        assert!(sum(families, name, &[]) > 0.0, "{name} is 0");
    }
    let lengths = &families["tidings_queue_length"].samples;
    let bounds = &families["tidings_queue_max"].samples;
    for length in lengths {
        let bound = bounds.iter().find(|bound| bound.labels == length.labels);
        let bound = bound.unwrap_or_else(|| panic!("{length:?} has no bound"));
        assert!(length.value <= bound.value, "{length:?} is above {bound:?}");
    }
    assert_eq!(lengths.len(), bounds.len());
}

#[test]
fn refusals_are_counted_by_the_limit_that_was_met() {
    let world = world(1);
    let made = Made::by(world);
    let rates = serde_json::json!({
        "rates": {
            "login": { "calls": 0, "window_ms": 1000 },
            "get_member_counts": { "calls": 2, "window_ms": 60000 },
        },
    });
    expect(&world.call("PATCH", &made.path(""), Some(&rates)), 200);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let (alice, _events) = made.login(world, "alice").await;
        let ask = async || alice.member_counts(["room"]).await;
        for _ in 0..2 {
            ask().await.expect("within the rate");
        }
        for _ in 0..3 {
            ask().await.expect_err("over the rate");
        }
    });
    let families = read(world);
    let app = ("app", made.id.as_str());
    let limit = ("limit", "get_member_counts");
    assert_eq!(sum(&families, "tidings_refused_total", &[app, limit]), 3.0);
    let outcome = ("outcome", "too_often");
    let errors = sum(&families, "tidings_call_errors_total", &[app, outcome]);
    assert_eq!(errors, 3.0);
    let stats = expect(&world.get(&made.path("/stats")), 200);
    assert_eq!(stats["refusals"]["get_member_counts"], 3);
}

#[test]
fn a_full_quota_of_stored_bytes_is_a_limit_that_was_met() {
    let world = world(1);
    let made = Made::by(world);
    let quota = serde_json::json!({ "settings": { "max_bytes": 1_000 } });
    expect(&world.call("PATCH", &made.path(""), Some(&quota)), 200);
    let store = |payload: &str| {
        let body = serde_json::json!({
            "users": ["away"], "from": "shop", "payload": payload, "offline": true, "wait": true,
        });
        expect(&world.post(&made.path("/publish"), &body), 200)["results"][0].clone()
    };
    let fits = store("short");
    assert!(fits.get("error").is_none(), "{fits}");
    for _ in 0..2 {
        let refused = store(&"x".repeat(2_000));
        let why = refused["error"]["detail"].as_str().expect("a reason");
        assert!(why.contains("max_bytes is 1000"), "{refused}");
    }
    let app = ("app", made.id.as_str());
    let met = |families: &Families| {
        let limit = ("limit", "max_bytes");
        sum(families, "tidings_refused_total", &[app, limit])
    };
    wait_for(world, |families| met(families) == 2.0);
    let stats = expect(&world.get(&made.path("/stats")), 200);
    assert_eq!(stats["refusals"]["max_bytes"], 2, "{stats}");
}

#[test]
fn files_and_calls_of_the_api_are_counted() {
    let world = world(1);
    let made = Made::by(world);
    let before = read(world);
    let upload = Call::new("POST", &format!("/v1/media/{}", made.id))
        .header("Tidings-User", "alice")
        .header("Authorization", &format!("Bearer {}", made.token("alice")))
        .raw("pixels");
    let answer = upload.send(world.address);
    assert_eq!(answer.status, 201, "{}", text(&answer));
    let id = answer.json()["mediaId"].as_str().expect("an id").to_owned();
    let download = Call::new("GET", &format!("/v1/media/{}/{id}", made.id))
        .header("Tidings-User", "alice")
        .header("Authorization", &format!("Bearer {}", made.token("alice")));
    assert_eq!(download.send(world.address).body, b"pixels");
    assert_eq!(world.get(&made.path("/nowhere")).status, 404);
    let after = read(world);
    // A file counts in blocks.
    let app = ("app", made.id.as_str());
    assert_eq!(sum(&after, "tidings_media_bytes", &[app]), 4_096.0);
    let risen = |name: &str, label: (&str, &str)| {
        sum(&after, name, &[label]) - sum(&before, name, &[label])
    };
    for direction in ["in", "out"] {
        let name = "tidings_media_transferred_bytes_total";
        assert!(risen(name, ("direction", direction)) >= 6.0, "{direction}");
    }
    assert!(risen("tidings_api_requests_total", ("code", "404")) >= 1.0);
    assert!(risen("tidings_api_requests_total", ("code", "200")) >= 1.0);
    let stats = expect(&world.get(&made.path("/stats")), 200);
    assert_eq!(stats["media_bytes"], 4_096);
}

/// Logs in as the same user of many apps, one after the other.
async fn visit(world: &World, apps: impl Iterator<Item = String>) {
    for app in apps {
        let (client, _events) = world.client(&app);
        // Refused where the app is not served.
        let _ = client.login("visitor", None).await;
        let _ = client.logout().await;
    }
}

fn apps_told(families: &Families) -> BTreeSet<String> {
    let samples = families.values().flat_map(|family| &family.samples);
    samples
        .filter_map(|sample| sample.labels.get("app").cloned())
        .collect()
}

#[test]
fn strangers_who_invent_apps_add_no_labels_beyond_the_bound() {
    // Source: `UNLISTED_APPS_MAX` of the hub.
    const UNLISTED_MAX: usize = 500;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let invented = |n: usize| format!("{n:032x}");
    let closed = world(4);
    let before = sum(
        &read(closed),
        "tidings_login_refused_total",
        &[("app", "other")],
    );
    runtime.block_on(visit(closed, (0..20).map(invented)));
    let families = read(closed);
    let told = apps_told(&families);
    assert!((0..20).all(|n| !told.contains(&invented(n))), "{told:?}");
    let refused = sum(
        &families,
        "tidings_login_refused_total",
        &[("app", "other")],
    );
    assert_eq!(refused - before, 20.0, "they are counted together");

    let open = World::start(2, &["--dev"]);
    runtime.block_on(visit(&open, (0..UNLISTED_MAX + 40).map(invented)));
    let families = read(&open);
    let told = apps_told(&families);
    let listed = [APP.to_owned(), OTHER.to_owned(), "other".to_owned()];
    let unlisted = told.iter().filter(|app| !listed.contains(app)).count();
    assert!(unlisted <= UNLISTED_MAX, "{unlisted} apps are told");
    let logins = sum(&families, "tidings_logins_total", &[]);
    assert_eq!(logins, (UNLISTED_MAX + 40) as f64);
    let others = sum(&families, "tidings_logins_total", &[("app", "other")]);
    assert!(others >= 40.0, "{others} logins are counted together");
    // An app of the list is counted by itself all the same.
    runtime.block_on(async {
        let made = Made {
            id: APP.into(),
            certificate: CERTIFICATE.into(),
        };
        let (client, _events) = made.login(&open, "alice").await;
        let families = read(&open);
        assert_eq!(sum(&families, "tidings_sessions", &[("app", APP)]), 1.0);
        client.logout().await.expect("logged out");
    });
    let without_place = (0..).map(invented).find(|app| !told.contains(app));
    let stranger = format!("/api/v1/apps/{}/stats", without_place.expect("one of them"));
    let stats: Value = expect(&open.get(&stranger), 200);
    assert_eq!(
        (&stats["is_counted"], &stats["sessions"]),
        (&false.into(), &0.into())
    );
}
