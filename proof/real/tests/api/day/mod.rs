//! A day with a bit of everything, and all that tells of it: what the users have counted
//! themselves, `/metrics`, the statistics that the console and `tidings top` show, the security
//! log, message traces, spans and webhooks. All of them must tell the same numbers.

mod collector;
mod legacy;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tidings_client::{Client, ClientEvent, Events, GapSource, RemoteInvitationNews, SendOptions};

use self::collector::Collector;
use self::legacy::Legacy;
use crate::office::expect;
use crate::openmetrics::{Families, parse, sum};
use crate::webhooks::{Backend, LOOPBACK};
use crate::world::{APP, World, free_port};

/// The app of the day: without a certificate, so that users of both protocols need no token.
const DAY: &str = "da0da0da0da0da0da0da0da0da0da0da";

/// What the app's webhook is told of.
const TOLD: [&str; 5] = [
    "user.*",
    "channel.*",
    "message.peer",
    "message.offline_stored",
    "invitation.*",
];

/// What the users of the day have counted, and the backend that calls the API.
#[derive(Debug, Default)]
struct Judge {
    native_logins: u64,
    legacy_logins: u64,
    /// By reason.
    refused_logins: BTreeMap<&'static str, u64>,
    resumes: u64,
    /// Messages that were taken, and the bytes of their payloads, by kind.
    sent: BTreeMap<&'static str, (u64, u64)>,
    /// Copies that receivers have got, by kind.
    received: BTreeMap<&'static str, u64>,
    /// Calls that were refused, by the limit.
    limits: BTreeMap<&'static str, u64>,
    /// Calls that were refused for another reason, by outcome.
    errors: BTreeMap<&'static str, u64>,
    /// Messages that receivers were told to have missed.
    missed: u64,
    publishes: u64,
    accepted_invitations: u64,
}

impl Judge {
    fn sent(&mut self, kind: &'static str, text: &str) {
        let (count, bytes) = self.sent.entry(kind).or_default();
        *count += 1;
        *bytes += text.len() as u64;
    }

    fn received(&mut self, kind: &'static str, count: u64) {
        *self.received.entry(kind).or_default() += count;
    }
}

/// A user of the day.
struct Person {
    name: &'static str,
    client: Client,
    events: Events,
}

impl Person {
    async fn arrives(world: &World, name: &'static str, judge: &mut Judge) -> Self {
        let made = Client::builder()
            .endpoint(format!("http://{}", world.address))
            .app_id(DAY)
            .build();
        let (client, events) = made.expect("a client");
        client.login(name, None).await.expect("the login succeeds");
        judge.native_logins += 1;
        Self {
            name,
            client,
            events,
        }
    }

    async fn joins(&self, channel: &str) {
        let joined = self.client.channel(channel).join().await;
        joined.expect("joined");
    }

    async fn says(&self, channel: &str, text: &str, judge: &mut Judge) {
        let sent = self.client.channel(channel).send(text).await;
        sent.expect("sent");
        judge.sent("channel", text);
    }

    async fn writes(&self, to: &str, text: &str, options: SendOptions, judge: &mut Judge) {
        let sent = self.client.send_to_peer(to, text, options).await;
        sent.expect("sent");
        judge.sent("peer", text);
    }

    /// Waits for so many messages of users and of channels, and counts them.
    async fn gets(&mut self, peer: u64, channel: u64, judge: &mut Judge) {
        let (mut peers, mut channels) = (0, 0);
        let all = async {
            while peers < peer || channels < channel {
                match self.events.next().await {
                    Some(ClientEvent::PeerMessage { .. }) => peers += 1,
                    Some(ClientEvent::ChannelMessage { .. }) => channels += 1,
                    Some(_) => {}
                    None => panic!("{} has ended", self.name),
                }
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(30), all).await;
        let missing = format!("{} has {peers} and {channels}", self.name);
        in_time.expect(&missing);
        judge.received("peer", peers);
        judge.received("channel", channels);
    }

    async fn leaves(self) {
        self.client.logout().await.expect("logged out");
    }
}

/// Everything that tells of the day, but the users.
struct Desk {
    world: World,
    backend: Backend,
    collector: Collector,
    /// The security log is here.
    folder: TempDir,
    admin: std::net::SocketAddr,
}

impl Desk {
    fn open(hubs: u16) -> Self {
        let (folder, admin) = (TempDir::new().expect("a folder"), free_port());
        let collector = Collector::start();
        let security = folder.path().join("security.log");
        let endpoint = format!("http://{}", collector.address);
        let options = [
            "--log-format",
            "json",
            "--log",
            "info",
            "--security-log",
            security.to_str().expect("a plain path"),
            "--otlp-endpoint",
            &endpoint,
            "--admin-listen",
            &admin.to_string(),
        ];
        let world = World::start(hubs, &[&options[..], &LOOPBACK].concat());
        let backend = Backend::start();
        let app = json!({
            "id": DAY,
            "open": true,
            "settings": { "peer_message_events": true, "channel_message_events": true },
            // Each comes once, but for one who comes back.
            "rates": { "login": { "calls": 0, "window_ms": 1000 } },
        });
        expect(&world.post("/api/v1/apps", &app), 201);
        let hook = json!({ "url": backend.url(), "events": TOLD });
        let made = world.post(&path("/webhooks"), &hook);
        expect(&made, 201);
        Self {
            world,
            backend,
            collector,
            folder,
            admin,
        }
    }

    /// The metrics, as the operators' own listener has them.
    fn metrics(&self) -> Families {
        let answer = crate::http::Call::new("GET", "/metrics").send(self.admin);
        let text = String::from_utf8(answer.body).expect("UTF-8");
        parse(&text).expect("well-formed metrics")
    }

    fn publish(&self, body: &Value, judge: &mut Judge) -> Value {
        judge.publishes += 1;
        expect(&self.world.post(&path("/publish"), body), 200)["results"][0].clone()
    }

    /// Lines of the security log about an app, by their event and the reason.
    fn security(&self, app: &str) -> BTreeMap<(String, String), u64> {
        let log = std::fs::read_to_string(self.folder.path().join("security.log"));
        let mut found = BTreeMap::new();
        for line in log.expect("a log").lines() {
            let line: Value = serde_json::from_str(line).expect("a line of JSON");
            let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
            if text("app") == app {
                *found.entry((text("event"), text("reason"))).or_default() += 1;
            }
        }
        found
    }
}

fn path(rest: &str) -> String {
    format!("/api/v1/apps/{DAY}{rest}")
}

// proves: rtm-rest-12-stats, rtm-rest-12-traces
#[test]
fn everything_that_tells_of_a_day_tells_the_same() {
    for hubs in [1, 3] {
        let desk = Desk::open(hubs);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build();
        let runtime = runtime.expect("a runtime");
        let mut judge = Judge::default();
        let (people, old) = runtime.block_on(pass(&desk, &mut judge));
        check_traces(&desk, &judge);
        runtime.block_on(miss(&desk, &people, &mut judge));
        check_metrics(&desk, &judge, people.len() as u64);
        check_security(&desk, &judge);
        check_webhooks(&desk);
        check_stats(&desk);
        check_spans(&desk, &judge);
        drop((people, old));
    }
}

/// The day. Returns those who are still there at its end.
async fn pass(desk: &Desk, judge: &mut Judge) -> (Vec<Person>, Legacy) {
    let world = &desk.world;
    expect(
        &world.post(&path("/traces"), &json!({ "minutes": 60 })),
        201,
    );

    // Logins of both protocols, and such as are refused.
    let mut alice = Person::arrives(world, "alice", judge).await;
    let mut bob = Person::arrives(world, "bob", judge).await;
    let carol = Person::arrives(world, "carol", judge).await;
    let mut old = Legacy::login(world.address, DAY, "old");
    judge.legacy_logins += 1;
    for _ in 0..3 {
        refused_login(world, APP, "mallory", Some("no token")).await;
        *judge.refused_logins.entry("invalid_token").or_default() += 1;
    }
    let ban = json!({ "user_id": "barred" });
    expect(&world.post(&path("/bans"), &ban), 201);
    refused_login(world, DAY, "barred", None).await;
    *judge.refused_logins.entry("banned").or_default() += 1;

    // Messages to a channel, from users of both protocols and from the backend.
    for person in [&alice, &bob, &carol] {
        person.joins("room").await;
    }
    old.call("channel_join", json!({ "name": "room" }));
    for text in ["one", "two two", "three"] {
        alice.says("room", text, judge).await;
    }
    old.call(
        "channel_sendmsg",
        json!({ "name": "room", "msg": "old words" }),
    );
    judge.sent("channel", "old words");
    let body = json!({ "channel": "room", "from": "shop", "payload": "open", "store": true });
    desk.publish(&body, judge);
    judge.sent("channel", "open");
    bob.gets(0, 5, judge).await;
    alice.gets(0, 2, judge).await;
    // Its own comes back to it by the old protocol's rules: that is no delivery.
    let (_, heard) = old.hears(0, 5);
    judge.received("channel", heard - 1);
    let mut carol = carol;
    carol.gets(0, 5, judge).await;

    // Messages to users: there, away, stored, between both protocols, from the backend.
    bob.writes("alice", "to alice", SendOptions::new(), judge)
        .await;
    bob.writes("nobody", "to nobody", SendOptions::new(), judge)
        .await;
    bob.writes("later", "for later", SendOptions::new().offline(), judge)
        .await;
    let writing = bob.writes("old", "to the old", SendOptions::new(), judge);
    writing.await;
    judge.received("peer", old.hears(1, 0).0);
    let args = json!({ "peer": "bob", "flag": "v1:E:3600", "t": "instant", "content": "from old" });
    // Its receiver's client confirms while the call waits.
    let old = tokio::task::spawn_blocking(move || {
        old.call("user_sendmsg", args);
        old
    });
    let old = old.await.expect("answered");
    judge.sent("peer", "from old");
    let body = json!({ "users": ["alice"], "from": "shop", "payload": "parcel", "store": true });
    desk.publish(&body, judge);
    judge.sent("peer", "parcel");
    alice.gets(2, 0, judge).await;
    bob.gets(1, 0, judge).await;
    let mut later = Person::arrives(world, "later", judge).await;
    later.gets(1, 0, judge).await;

    // Calls that are refused: for a reason, and for a limit.
    let not_in = later.client.channel("room").send("x").await;
    not_in.expect_err("not in it");
    *judge.errors.entry("not_in_channel").or_default() += 1;
    let mut limited = 0;
    while limited < 3 {
        limited += u64::from(later.client.member_counts(["room"]).await.is_err());
    }
    *judge.limits.entry("get_member_counts").or_default() += limited;
    *judge.errors.entry("too_often").or_default() += limited;

    // An invitation, and a connection that is lost and comes back.
    let invited = alice.client.invite("bob", "come", Some("room")).await;
    invited.expect("invited");
    let id = loop {
        if let Some(ClientEvent::RemoteInvitation { id, news, .. }) = bob.events.next().await
            && matches!(news, RemoteInvitationNews::Received { .. })
        {
            break id;
        }
    };
    bob.client
        .accept_invitation(&id, "yes")
        .await
        .expect("accepted");
    judge.accepted_invitations += 1;
    carol.client.cut().await;
    alice.says("room", "while carol is away", judge).await;
    carol.client.come_back().await;
    judge.resumes += 1;
    carol.gets(0, 1, judge).await;
    bob.gets(0, 1, judge).await;
    let mut old = old;
    judge.received("channel", old.hears(0, 1).1);
    later.leaves().await;
    (vec![alice, bob, carol], old)
}

async fn refused_login(world: &World, app: &str, user: &str, token: Option<&str>) {
    let made = Client::builder()
        .endpoint(format!("http://{}", world.address))
        .app_id(app)
        .build();
    let (client, _events) = made.expect("a client");
    client.login(user, token).await.expect_err("refused");
}

/// More than is kept for somebody who is away, whom nothing traces: the user is told of a gap.
async fn miss(desk: &Desk, people: &[Person], judge: &mut Judge) {
    /// Above what is kept for a session: 1,024 frames.
    const MESSAGES: u64 = 1_200;
    let traces = expect(&desk.world.get(&path("/traces")), 200);
    let id = traces["items"][0]["id"].as_str().expect("an id").to_owned();
    let ended = desk
        .world
        .call("DELETE", &path(&format!("/traces/{id}")), None);
    assert_eq!(ended.status, 204);
    let world = &desk.world;
    let mut away = Person::arrives(world, "away", judge).await;
    away.joins("crowd").await;
    away.client.cut().await;
    let message = json!({ "channel": "crowd", "from": "shop", "payload": "more" });
    let batch: Vec<Value> = (0..200).map(|_| message.clone()).collect();
    for _ in 0..MESSAGES / 200 {
        let body = json!({ "messages": batch });
        expect(&world.post(&path("/publish/batch"), &body), 200);
        for _ in 0..200 {
            judge.sent("channel", "more");
        }
    }
    // Given to its session, which is all that the server knows of it; then it comes back.
    away.client.come_back().await;
    judge.resumes += 1;
    let (mut got, mut missed) = (0, 0);
    while got + missed < MESSAGES {
        match away.events.next().await.expect("goes on") {
            ClientEvent::ChannelMessage { .. } => got += 1,
            ClientEvent::Gap {
                source,
                missed: count,
                ..
            } => {
                assert_eq!(source, GapSource::Channel("crowd".into()));
                missed += count.expect("the number is known");
            }
            _ => {}
        }
    }
    assert!(missed > 0, "all {got} were kept");
    judge.missed = missed;
    judge.received("channel", got);
    away.leaves().await;
    assert_eq!(people.len(), 3);
}

/// Message traces, which have followed everything until then.
fn check_traces(desk: &Desk, judge: &Judge) {
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
fn same(what: &str, expected: f64, mut told: impl FnMut() -> f64) {
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

fn check_metrics(desk: &Desk, judge: &Judge, there: u64) {
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

/// The statistics are another reading of the same: what the console and `tidings top` show. What the
/// server still writes down of its own, such as how far a webhook is, may come between two readings.
fn check_stats(desk: &Desk) {
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
        compare(field, &day[field], sum(&families, name, &labels));
    }
    let hubs = stats["hubs"].as_array().expect("hubs");
    let sessions: u64 = hubs.iter().filter_map(|hub| hub["sessions"].as_u64()).sum();
    compare(
        "sessions",
        &sessions.into(),
        sum(&families, "tidings_sessions", &[]),
    );
    let of_app = expect(&desk.world.get(&path("/stats")), 200);
    let peer = sum(
        &families,
        "tidings_deliveries_total",
        &[("app", DAY), ("kind", "peer")],
    );
    compare("peer", &of_app["messages"]["peer"]["delivered"], peer);
    found
}

/// The security log has a line for each login, each return and each refusal.
fn check_security(desk: &Desk, judge: &Judge) {
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

/// The target has got what the metrics and the list of deliveries call delivered, which is what the
/// app's events are.
fn check_webhooks(desk: &Desk) {
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
fn check_spans(desk: &Desk, judge: &Judge) {
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
