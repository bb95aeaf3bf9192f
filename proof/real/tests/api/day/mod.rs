//! A day with a bit of everything, and all that tells of it: what the users have counted
//! themselves, `/metrics`, the statistics that the console and `tidings top` show, the security
//! log, message traces, spans and webhooks. All of them must tell the same numbers.

mod checks;
mod collector;
mod legacy;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tidings_client::{Client, ClientEvent, Events, GapSource, RemoteInvitationNews, SendOptions};

use self::checks::{
    check_invitations, check_metrics, check_security, check_spans, check_stats, check_traces,
    check_webhooks,
};
use self::collector::Collector;
use self::legacy::Legacy;
use crate::office::expect;
use crate::openmetrics::{Families, parse};
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
    /// By the reason that their clients were told.
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
        let (client, events) = world.client(DAY);
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
        check_invitations(&desk, &judge);
        check_webhooks(&desk);
        check_stats(&desk);
        check_spans(&desk, &judge);
        drop((people, old));
    }
}

/// Those who are there on the day.
struct People {
    alice: Person,
    bob: Person,
    carol: Person,
    old: Legacy,
}

/// The day. Returns those who are still there at its end.
async fn pass(desk: &Desk, judge: &mut Judge) -> (Vec<Person>, Legacy) {
    let wish = json!({ "minutes": 60 });
    expect(&desk.world.post(&path("/traces"), &wish), 201);
    let mut people = arrive(&desk.world, judge).await;
    talk(desk, &mut people, judge).await;
    let (mut people, later) = write(desk, people, judge).await;
    refuse(&later, judge).await;
    part_and_return(&mut people, judge).await;
    later.leaves().await;
    let People {
        alice,
        bob,
        carol,
        old,
    } = people;
    (vec![alice, bob, carol], old)
}

/// Logins of both protocols, and such as are refused.
async fn arrive(world: &World, judge: &mut Judge) -> People {
    let alice = Person::arrives(world, "alice", judge).await;
    let bob = Person::arrives(world, "bob", judge).await;
    let carol = Person::arrives(world, "carol", judge).await;
    let old = Legacy::login(world.address, DAY, "old");
    judge.legacy_logins += 1;
    for _ in 0..3 {
        refused_login(world, APP, "mallory", Some("no token")).await;
        *judge.refused_logins.entry("invalid_token").or_default() += 1;
    }
    let ban = json!({ "user_id": "barred" });
    expect(&world.post(&path("/bans"), &ban), 201);
    refused_login(world, DAY, "barred", None).await;
    *judge.refused_logins.entry("banned").or_default() += 1;
    People {
        alice,
        bob,
        carol,
        old,
    }
}

/// Messages to a channel, from users of both protocols and from the backend.
async fn talk(desk: &Desk, people: &mut People, judge: &mut Judge) {
    let People {
        alice,
        bob,
        carol,
        old,
    } = people;
    for person in [&*alice, &*bob, &*carol] {
        person.joins("room").await;
    }
    old.call("channel_join", json!({ "name": "room" }));
    for text in ["one", "two two", "three"] {
        alice.says("room", text, judge).await;
    }
    let words = json!({ "name": "room", "msg": "old words" });
    old.call("channel_sendmsg", words);
    judge.sent("channel", "old words");
    let body = json!({ "channel": "room", "from": "shop", "payload": "open", "store": true });
    desk.publish(&body, judge);
    judge.sent("channel", "open");
    bob.gets(0, 5, judge).await;
    alice.gets(0, 2, judge).await;
    // Its own comes back to it by the old protocol's rules: that is no delivery.
    let (_, heard) = old.hears(0, 5);
    judge.received("channel", heard - 1);
    carol.gets(0, 5, judge).await;
}

/// Messages to users: there, away, stored, between both protocols, from the backend. Returns also
/// who has got the stored one.
async fn write(desk: &Desk, people: People, judge: &mut Judge) -> (People, Person) {
    let People {
        mut alice,
        mut bob,
        carol,
        mut old,
    } = people;
    let plain = SendOptions::new;
    bob.writes("alice", "to alice", plain(), judge).await;
    bob.writes("nobody", "to nobody", plain(), judge).await;
    bob.writes("later", "for later", plain().offline(), judge)
        .await;
    bob.writes("old", "to the old", plain(), judge).await;
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
    let mut later = Person::arrives(&desk.world, "later", judge).await;
    later.gets(1, 0, judge).await;
    let people = People {
        alice,
        bob,
        carol,
        old,
    };
    (people, later)
}

/// Calls that are refused: for a reason, and for a limit.
async fn refuse(person: &Person, judge: &mut Judge) {
    let not_in = person.client.channel("room").send("x").await;
    not_in.expect_err("not in it");
    *judge.errors.entry("not_in_channel").or_default() += 1;
    let mut limited = 0;
    while limited < 3 {
        limited += u64::from(person.client.member_counts(["room"]).await.is_err());
    }
    *judge.limits.entry("get_member_counts").or_default() += limited;
    *judge.errors.entry("too_often").or_default() += limited;
}

/// An invitation, and a connection that is lost and comes back.
async fn part_and_return(people: &mut People, judge: &mut Judge) {
    let People {
        alice,
        bob,
        carol,
        old,
    } = people;
    let invited = alice.client.invite("bob", "come", Some("room")).await;
    invited.expect("invited");
    let id = loop {
        if let Some(ClientEvent::RemoteInvitation { id, news, .. }) = bob.events.next().await
            && matches!(news, RemoteInvitationNews::Received { .. })
        {
            break id;
        }
    };
    let accepted = bob.client.accept_invitation(&id, "yes").await;
    accepted.expect("accepted");
    judge.accepted_invitations += 1;
    carol.client.cut().await;
    alice.says("room", "while carol is away", judge).await;
    carol.client.come_back().await;
    judge.resumes += 1;
    carol.gets(0, 1, judge).await;
    bob.gets(0, 1, judge).await;
    judge.received("channel", old.hears(0, 1).1);
}

async fn refused_login(world: &World, app: &str, user: &str, token: Option<&str>) {
    let (client, _events) = world.client(app);
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
