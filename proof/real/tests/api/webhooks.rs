//! Webhooks and moderation: rest 10.2, 12.5, 12.6.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tidings_client::{ClientEvent, Events, Message};

use crate::http::Answer;
use crate::world::{APP, OTHER, World, world};

/// The longest that a test waits for something.
const LIMIT: Duration = Duration::from_secs(30);

fn path(rest: &str) -> String {
    format!("/api/v1/apps/{APP}{rest}")
}

/// Targets are on loopback, and are called again soon.
pub(crate) const LOOPBACK: [&str; 4] = [
    "--webhooks-allow",
    "127.0.0.0/8",
    "--webhooks-pause",
    "100ms",
];

/// A server that may call targets on loopback.
fn open_world(hubs: u16) -> World {
    World::start(hubs, &LOOPBACK)
}

fn block_on(test: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().expect("a runtime");
    runtime.block_on(test);
}

async fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(begun.elapsed() < LIMIT, "waited for: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The requests that a backend had: their heads and their bodies.
type Received = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// A backend: takes requests, and answers as planned, otherwise 200.
#[derive(Clone)]
pub(crate) struct Backend {
    address: SocketAddr,
    received: Received,
    plan: Arc<Mutex<VecDeque<(u16, Value)>>>,
}

impl Backend {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let backend = Self {
            address: listener.local_addr().expect("its address"),
            received: Arc::default(),
            plan: Arc::default(),
        };
        let shared = backend.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                std::thread::spawn(move || shared.talk(stream));
            }
        });
        backend
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    fn plan(&self, status: u16, body: Value) {
        let mut plan = self.plan.lock().expect("the lock");
        plan.push_back((status, body));
    }

    fn talk(&self, mut stream: TcpStream) {
        let mut buffer = Vec::new();
        while let Some(request) = next_request(&mut stream, &mut buffer) {
            self.received.lock().expect("the lock").push(request);
            let planned = self.plan.lock().expect("the lock").pop_front();
            let (status, body) = planned.unwrap_or((200, json!({})));
            if status == 0 {
                // It hangs, until the server has had enough.
                let _ = stream.read(&mut [0]);
                return;
            }
            let (body, line) = (body.to_string(), format!("HTTP/1.1 {status} Told"));
            let answer = format!("{line}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }

    pub(crate) fn notices(&self) -> Vec<Value> {
        let received = self.received.lock().expect("the lock");
        let json = |body: &Vec<u8>| serde_json::from_slice(body).expect("JSON");
        received.iter().map(|(_, body)| json(body)).collect()
    }

    /// Kind, user and channel of the notices about a user.
    fn about(&self, user: &str) -> Vec<String> {
        let notices = self.notices().into_iter();
        let about = notices.filter(|notice| notice["payload"]["account"] == user);
        about
            .map(|notice| {
                let channel = notice["payload"]["channelName"]
                    .as_str()
                    .unwrap_or_default();
                let kind = notice["type"].as_str().unwrap_or_default();
                format!("{kind} {channel}").trim_end().to_owned()
            })
            .collect()
    }
}

fn next_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<(String, Vec<u8>)> {
    loop {
        let text = String::from_utf8_lossy(buffer).into_owned();
        if let Some(end) = text.find("\r\n\r\n") {
            let head = text[..end].to_ascii_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length?.parse().ok()?;
            if buffer.len() >= end + 4 + length {
                let body = buffer[end + 4..end + 4 + length].to_vec();
                buffer.drain(..end + 4 + length);
                return Some((head, body));
            }
        }
        let mut chunk = [0; 16 * 1024];
        let count = stream.read(&mut chunk).ok().filter(|count| *count > 0)?;
        buffer.extend_from_slice(&chunk[..count]);
    }
}

fn create(world: &World, backend: &Backend, events: &Value) -> Value {
    let body = json!({ "url": backend.url(), "events": events });
    let made = world.post(&path("/webhooks"), &body);
    assert_eq!(made.status, 201, "{}", made.json());
    made.json()
}

fn problem(answer: &Answer, status: u16, field: &str) {
    let body = answer.json();
    assert_eq!(answer.status, status, "{body}");
    if !field.is_empty() {
        assert_eq!(body["field"], field, "{body}");
    }
    assert!(
        body["hint"].as_str().is_some_and(|hint| !hint.is_empty()),
        "{body}"
    );
}

// proves: rtm-rest-10.2-frame, rtm-rest-10.2-times, rtm-rest-12.5-order, rtm-rest-12.5-signed
#[test]
fn what_happens_is_told_in_order_and_signed() {
    for hubs in [1, 4] {
        let world = open_world(hubs);
        let backend = Backend::start();
        let made = create(&world, &backend, &json!(["user.*", "channel.*"]));
        block_on(async {
            let (alice, _events) = world.login("alice").await;
            let room = alice.channel("room");
            room.join().await.expect("joined");
            room.leave().await.expect("left");
            alice.logout().await.expect("logged out");
            let expected = [
                "user.login",
                "channel.join room",
                "channel.leave room",
                "user.logout",
            ];
            until("the notices", || {
                (backend.about("alice").len() >= 4).then_some(())
            })
            .await;
            assert_eq!(backend.about("alice"), expected);
            let kinds = || {
                let notices = backend.notices().into_iter();
                let kinds = notices.map(|notice| notice["type"].as_str().unwrap_or("").to_owned());
                kinds.collect::<Vec<_>>()
            };
            let both = ["channel.created", "channel.destroyed"].map(str::to_owned);
            until("the channel", || {
                both.iter().all(|kind| kinds().contains(kind)).then_some(())
            })
            .await;
        });
        let secret = made["secret"].as_str().expect("shown once");
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("after 1970");
        for (head, body) in backend.received.lock().expect("the lock").iter() {
            let timed = head
                .lines()
                .find_map(|line| line.strip_prefix("tidings-signature: "));
            let timed = timed.expect("a signature");
            let verdict = tidings_webhooks::verify(secret, timed, body, now.as_secs());
            assert_eq!(verdict, Ok(()), "{head}");
        }
        let notices = backend.notices();
        let login = notices.iter().find(|notice| notice["type"] == "user.login");
        let login = login.expect("a login");
        assert_eq!(
            (&login["productId"], &login["appId"]),
            (&json!(0), &json!(APP))
        );
        let ms = login["payload"]["ms"].as_u64().expect("a time");
        assert_eq!(login["payload"]["ts"], ms / 1_000);
        assert!(
            login["payload"]["clientSeq"]
                .as_u64()
                .is_some_and(|order| order > 0)
        );
        let id = made["id"].as_str().expect("an id");
        let listed = world
            .get(&path(&format!("/webhooks/{id}/deliveries")))
            .json();
        assert_eq!(listed["items"][0]["state"], "delivered", "{listed}");
    }
}

// proves: rtm-rest-12.5-crash
#[test]
fn no_event_is_left_out_across_a_crash() {
    let world = open_world(2);
    let backend = Backend::start();
    create(&world, &backend, &json!(["user.login", "user.logout"]));
    backend.plan(500, json!("not now"));
    block_on(async {
        let (_alice, _events) = world.login("alice").await;
        until("a first attempt", || {
            (!backend.notices().is_empty()).then_some(())
        })
        .await;
    });
    // The answer was 500: it waits for its second attempt when the server ends without a warning.
    let left = world.crash();
    let world = World::start_in(left, 2, &LOOPBACK);
    block_on(async {
        let (_bob, _events) = world.login("bob").await;
        until("bob", || (!backend.about("bob").is_empty()).then_some(())).await;
        let alice = backend.about("alice");
        let mut once = alice.clone();
        once.dedup();
        assert_eq!(once, ["user.login", "user.logout"], "{alice:?}");
        assert!(alice.len() >= 3, "the one that failed was tried again");
    });
}

// proves: rtm-rest-12.5-targets
#[test]
fn targets_in_the_servers_own_network_are_refused() {
    let world = world(1);
    for url in [
        "http://127.0.0.1:9/",
        "https://[::1]/",
        "http://169.254.169.254/latest/",
    ] {
        let body = json!({ "url": url, "events": ["*"] });
        problem(&world.post(&path("/webhooks"), &body), 400, "url");
    }
    // A name is resolved when it is called.
    let body = json!({ "url": "https://localhost/", "events": ["*"] });
    let made = world.post(&path("/webhooks"), &body);
    assert_eq!(made.status, 201, "{}", made.json());
    let id = made.json()["id"].as_str().expect("an id").to_owned();
    let tried = world.post(&path(&format!("/webhooks/{id}/test")), &json!({}));
    let error = tried.json()["attempts"][0]["error"].to_string();
    assert!(error.contains("loopback"), "{error}");
    assert_eq!(
        world
            .call("DELETE", &path(&format!("/webhooks/{id}")), None)
            .status,
        204
    );
}

// proves: rtm-rest-12.5-calls, rtm-rest-12.5-test
#[test]
fn each_call_does_what_it_says() {
    let world = open_world(1);
    let backend = Backend::start();
    let made = create(&world, &backend, &json!(["user.login"]));
    let id = made["id"].as_str().expect("an id");
    let one = path(&format!("/webhooks/{id}"));
    let below = |rest: &str| format!("{one}/{rest}");
    let listed = world.get(&path("/webhooks")).json();
    assert_eq!(listed["items"][0]["id"], id);
    assert_eq!(listed["next"], Value::Null);
    assert!(listed["items"][0].get("secret").is_none(), "shown once");
    assert_eq!(world.get(&one).json()["url"], backend.url());
    let tried = world.post(&below("test"), &json!({})).json();
    assert_eq!(
        (&tried["state"], &tried["type"]),
        (&json!("delivered"), &json!("webhook.test"))
    );
    assert_eq!(
        backend.notices()[0]["payload"]["channelName"],
        "test_webhook"
    );
    let again = world.post(&below("deliveries/1/retry"), &json!({})).json();
    assert_eq!(
        (&again["n"], &again["attempt_count"]),
        (&json!(1), &json!(2))
    );
    let rotated = world
        .call("PATCH", &one, Some(&json!({"secret": "rotate"})))
        .json();
    assert!(
        rotated["secret"]
            .as_str()
            .is_some_and(|secret| secret.starts_with("whsec_"))
    );
    let off = world
        .call("PATCH", &one, Some(&json!({"enabled": false})))
        .json();
    assert_eq!(off["enabled"], false);
    let dead = world.get(&below("dead-letters")).json();
    assert_eq!(dead, json!({ "items": [], "next": null }));
    let all = world.post(&below("dead-letters/retry"), &json!({})).json();
    assert_eq!(all, json!({ "delivered": 0, "left": 0 }));
    assert_eq!(world.call("DELETE", &one, None).status, 204);
    problem(&world.get(&one), 404, "");
}

// proves: rtm-rest-12.5-wrong
#[test]
fn what_is_wrong_is_refused_with_its_field() {
    let world = open_world(1);
    let backend = Backend::start();
    let made = create(&world, &backend, &json!(["user.login"]));
    let id = made["id"].as_str().expect("an id");
    let one = path(&format!("/webhooks/{id}"));
    let below = |rest: &str| format!("{one}/{rest}");
    let rotated = world.call("PATCH", &one, Some(&json!({"secret": "rotate"})));
    assert_eq!(rotated.status, 200);
    let good = json!({ "url": backend.url(), "events": ["*"] });
    for (body, field) in [
        (json!({ "events": ["*"] }), "url"),
        (
            json!({ "url": backend.url(), "events": ["user.logins"] }),
            "events",
        ),
        (json!({ "url": backend.url(), "events": "*" }), "events"),
        (
            json!({ "url": backend.url(), "events": ["*"], "colour": 1 }),
            "colour",
        ),
        (
            json!({ "url": backend.url(), "events": ["*"], "filter": { "users": [""] } }),
            "filter",
        ),
        (json!({ "url": "gopher://x/", "events": ["*"] }), "url"),
    ] {
        problem(&world.post(&path("/webhooks"), &body), 400, field);
    }
    problem(
        &world.call("PATCH", &one, Some(&json!({"secret": "turn"}))),
        400,
        "secret",
    );
    problem(
        &world.call("PATCH", &one, Some(&json!({"secret": "rotate"}))),
        409,
        "",
    );
    problem(
        &world.post(&below("deliveries/99/retry"), &json!({})),
        404,
        "",
    );
    problem(
        &world.post(&below("deliveries/x/retry"), &json!({})),
        400,
        "n",
    );
    problem(&world.get(&below("dead-letters?limit=0")), 400, "limit");
    problem(&world.get(&below("deliveries?x=1")), 400, "x");
    problem(&world.get(&path("/webhooks/wh_none")), 404, "");
    let foreign = format!("/api/v1/apps/{OTHER}/webhooks/{id}");
    problem(&world.get(&foreign), 404, "");
    problem(&world.call("DELETE", &foreign, None), 404, "");
    for _ in 1..16 {
        assert_eq!(world.post(&path("/webhooks"), &good).status, 201);
    }
    problem(&world.post(&path("/webhooks"), &good), 409, "");
}

/// The texts of a channel, until the last of them.
async fn texts_until(events: &mut Events, last: &str) -> Vec<String> {
    let mut texts = Vec::new();
    while texts.last().map(String::as_str) != Some(last) {
        let next = tokio::time::timeout(LIMIT, events.next()).await;
        if let Some(ClientEvent::ChannelMessage { message, .. }) = next.expect("a message in time")
            && let Message::Text(text) = message
        {
            texts.push(text);
        }
    }
    texts
}

// proves: rtm-rest-12.6-word, rtm-rest-12.6-silence, rtm-rest-12.6-signed, rtm-rest-12.6-end
#[test]
fn messages_wait_for_the_backends_word() {
    let world = open_world(4);
    let backend = Backend::start();
    let set = json!({
        "url": backend.url(), "channels": ["mod.*"], "timeout_ms": 300, "on_timeout": "refuse",
    });
    let put = world.call("PUT", &path("/moderation"), Some(&set));
    assert_eq!(put.status, 200, "{}", put.json());
    let secret = put.json()["secret"]
        .as_str()
        .expect("shown once")
        .to_owned();
    block_on(async {
        let (alice, _events) = world.login("alice").await;
        let (bob, mut heard) = world.login("bob").await;
        let (room, free) = (alice.channel("mod.room"), alice.channel("free"));
        for name in ["mod.room", "free"] {
            bob.channel(name).join().await.expect("joined");
            alice.channel(name).join().await.expect("joined");
        }
        backend.plan(200, json!({"action": "pass"}));
        backend.plan(200, json!({"action": "change", "text": "better"}));
        backend.plan(200, json!({"action": "refuse", "text": "be polite"}));
        room.send("good").await.expect("sent");
        room.send("bad").await.expect("sent");
        let refused = room.send("worse").await.expect_err("refused");
        assert!(refused.to_string().contains("be polite"), "{refused}");
        backend.plan(0, Value::Null);
        let unheard = room.send("nobody looks").await.expect_err("no word");
        assert!(
            unheard.to_string().contains("has not answered"),
            "{unheard}"
        );
        backend.plan(200, json!({"no": "action"}));
        room.send("garbage").await.expect_err("no word");
        free.send("free").await.expect("nobody is asked");
        assert_eq!(
            texts_until(&mut heard, "free").await,
            ["good", "better", "free"]
        );
    });
    let asked = backend.notices();
    assert_eq!(asked.len(), 5);
    assert_eq!(
        (&asked[0]["type"], &asked[0]["payload"]["text"]),
        (&json!("message.before"), &json!("good"))
    );
    let (head, body) = backend.received.lock().expect("the lock")[0].clone();
    let v2 = head
        .lines()
        .find_map(|line| line.strip_prefix("agora-signature-v2: "));
    let headers = tidings_webhooks::headers(&secret, None, 0, &body);
    assert_eq!(
        v2,
        headers
            .iter()
            .find(|(name, _)| *name == "agora-signature-v2")
            .map(|(_, it)| it.as_str())
    );
    let status = world.get(&path("/moderation")).json()["status"].clone();
    assert_eq!(
        (&status["asked"], &status["unanswered"]),
        (&json!(5), &json!(2)),
        "{status}"
    );
    assert_eq!(world.call("DELETE", &path("/moderation"), None).status, 204);
    problem(&world.get(&path("/moderation")), 404, "");
    block_on(async {
        let (carol, _events) = world.login("carol").await;
        let room = carol.channel("mod.room");
        room.join().await.expect("joined");
        room.send("free now").await.expect("nobody is asked");
    });
    assert_eq!(backend.notices().len(), 5);
}

// proves: rtm-rest-12.6-wrong
#[test]
fn wrong_rules_of_moderation_are_refused() {
    let world = open_world(1);
    let set = json!({
        "url": "http://127.0.0.1:9/", "channels": ["mod.*"], "timeout_ms": 300, "on_timeout": "refuse",
    });
    for (change, field) in [
        (json!({"timeout_ms": 5_000}), "timeout_ms"),
        (json!({"channels": []}), "channels"),
        (json!({"on_timeout": "wait"}), "on_timeout"),
        (json!({"url": "ftp://x/"}), "url"),
    ] {
        let mut body = set.clone();
        let changes = change.as_object().expect("an object").clone();
        body.as_object_mut().expect("an object").extend(changes);
        problem(
            &world.call("PUT", &path("/moderation"), Some(&body)),
            400,
            field,
        );
    }
    problem(&world.get(&path("/moderation")), 404, "");
}
