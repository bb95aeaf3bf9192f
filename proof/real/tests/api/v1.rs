//! Our own paths: messages, users, sessions, channels, attributes, histories, inboxes, invitations.
//! Source: rest 12.

use serde_json::{Value, json};
use tidings_client::{ClientEvent, Events};

use crate::http::{Answer, Call};
use crate::world::{APP, OTHER, World, each, keyed, token, world};

pub(crate) fn path(rest: &str) -> String {
    format!("/api/v1/apps/{APP}{rest}")
}

/// The body of an answer that is good.
pub(crate) fn good(answer: &Answer) -> Value {
    let body = answer.json();
    assert!(
        (200..300).contains(&answer.status),
        "{} {body}",
        answer.status
    );
    body
}

/// Compares a refusal with what problems look like.
pub(crate) fn problem(answer: &Answer, status: u16, code: &str) -> Value {
    let body = answer.json();
    assert_eq!(
        (answer.status, body["code"].as_str()),
        (status, Some(code)),
        "{body}"
    );
    let kind = answer.header("content-type");
    assert_eq!(kind, Some("application/problem+json"));
    for field in ["type", "title", "detail", "hint", "request_id"] {
        assert!(body[field].is_string(), "{field} of {body}");
    }
    assert_eq!(body["status"], status);
    body
}

pub(crate) async fn until<T>(
    events: &mut Events,
    mut is_it: impl FnMut(ClientEvent) -> Option<T>,
) -> T {
    loop {
        let event = events.next().await.expect("an event");
        if let Some(found) = is_it(event) {
            return found;
        }
    }
}

fn text_of(event: ClientEvent) -> Option<(String, String)> {
    match event {
        ClientEvent::PeerMessage { from, message, .. }
        | ClientEvent::ChannelMessage { from, message, .. } => match message {
            tidings_client::Message::Text(text) => Some((from, text)),
            tidings_client::Message::Raw { data, .. } => {
                Some((from, format!("{} bytes", data.len())))
            }
            _ => None,
        },
        _ => None,
    }
}

// proves: rtm-rest-12-publish, rtm-rest-12-publish-batch, rtm-rest-12-offline, rtm-rest-12-history
#[test]
fn a_message_is_published_to_a_channel_and_to_users() {
    each(async |world: &World| {
        let (anna, mut events) = world.login("anna").await;
        anna.channel("hall").join().await.expect("joined");
        let body = json!({ "channel": "hall", "from": "shop", "payload": "open", "store": true });
        let told = good(&world.post(&path("/publish"), &body));
        let result = &told["results"][0];
        assert_eq!(
            (&result["channel"], &result["outcome"]),
            (&json!("hall"), &json!("sent"))
        );
        assert!(
            result["message_id"].is_string() && result["at_ms"].is_u64(),
            "{told}"
        );
        assert_eq!(
            until(&mut events, text_of).await,
            ("shop".into(), "open".into())
        );
        let raw = json!({
            "users": ["anna", "away-now", "away-kept"], "from": "shop",
            "payload_base64": "AAEC", "wait": false, "offline": false,
        });
        let told = good(&world.post(&path("/publish"), &raw));
        let outcomes: Vec<_> = told["results"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|result| (result["user"].clone(), result["outcome"].clone()))
            .collect();
        assert_eq!(outcomes[0].0, "anna");
        assert!(["sent", "delivered"].contains(&outcomes[0].1.as_str().expect("text")));
        assert_eq!(outcomes[1].1, "offline");
        assert_eq!(
            until(&mut events, text_of).await,
            ("shop".into(), "3 bytes".into())
        );
        let batch = json!({ "messages": [
            { "channel": "hall", "from": "shop", "payload": "1" },
            { "channel": "hall", "from": "shop", "payload": "2" },
            { "users": ["away-kept"], "from": "shop", "payload": "3", "offline": true, "wait": true },
        ]});
        let told = good(&world.post(&path("/publish/batch"), &batch));
        let outcome = |at: usize| told["results"][at]["results"][0]["outcome"].clone();
        assert_eq!(
            (outcome(0), outcome(1), outcome(2)),
            (json!("sent"), json!("sent"), json!("stored"))
        );
        assert_eq!(until(&mut events, text_of).await.1, "1");
        assert_eq!(until(&mut events, text_of).await.1, "2");
        // The inbox shows it, and is emptied.
        let inbox = good(&world.get(&path("/users/away-kept/offline")));
        assert_eq!(inbox["items"][0]["payload"], "3", "{inbox}");
        let deleted = good(&world.call("DELETE", &path("/users/away-kept/offline"), None));
        assert_eq!(deleted, json!({ "deleted": 1 }));
        // The history has what was to be stored.
        let history = good(&world.get(&path("/history?channel=hall")));
        let items = history["items"].as_array().expect("a list");
        assert_eq!(items.len(), 1, "{history}");
        assert_eq!(
            (&items[0]["payload"], &items[0]["channel"]),
            (&json!("open"), &json!("hall"))
        );
        let purged = world.call("DELETE", &path("/history?channel=hall"), None);
        assert_eq!(purged.status, 204);
        let history = good(&world.get(&path("/history?channel=hall")));
        assert_eq!(history["items"], json!([]));
    });
}

// proves: rtm-rest-12-users, rtm-rest-12-sessions, rtm-rest-12-channels
#[test]
fn users_sessions_and_channels_are_listed_and_ended() {
    each(async |world: &World| {
        let (ben, mut ben_events) = world.login("ben list").await;
        let (cleo, _cleo_events) = world.login("cleo").await;
        for client in [&ben, &cleo] {
            client.channel("listed one").join().await.expect("joined");
        }
        let user = good(&world.get(&path("/users/ben%20list")));
        assert_eq!(
            (&user["online"], &user["state"]),
            (&json!(true), &json!("online"))
        );
        assert_eq!(user["channels"], json!(["listed one"]));
        let session = &user["sessions"][0];
        assert_eq!(session["protocol"], "native");
        assert_eq!(session["address"], "127.0.0.1");
        let query = json!({ "user_ids": ["ben list", "nobody-at-all"] });
        let told = good(&world.post(&path("/users/query"), &query));
        let online: Vec<_> = told["items"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|item| (item["user"].clone(), item["online"].clone()))
            .collect();
        assert!(online.contains(&(json!("ben list"), json!(true))), "{told}");
        assert!(
            online.contains(&(json!("nobody-at-all"), json!(false))),
            "{told}"
        );
        let channels = good(&world.get(&path("/channels?prefix=listed")));
        assert_eq!(
            channels["items"],
            json!([{ "name": "listed one", "members": 2 }])
        );
        let channel = good(&world.get(&path("/channels/listed%20one")));
        assert_eq!(channel, json!({ "name": "listed one", "members": 2 }));
        let first = good(&world.get(&path("/channels/listed%20one/members?limit=1")));
        assert_eq!(
            first,
            json!({ "items": [{ "user": "ben list" }], "next": "ben list" })
        );
        let rest = format!("/channels/listed%20one/members?cursor={}", "ben+list");
        assert_eq!(
            good(&world.get(&path(&rest)))["items"],
            json!([{ "user": "cleo" }])
        );
        // Pages of one hold everybody once.
        let mut seen = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = good(&world.get(&path(&format!("/sessions?limit=1&cursor={cursor}"))));
            for item in page["items"].as_array().expect("a list") {
                seen.push(item["user"].as_str().expect("a user").to_owned());
            }
            match page["next"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => break,
            }
        }
        for name in ["ben list", "cleo"] {
            assert_eq!(
                seen.iter().filter(|user| *user == name).count(),
                1,
                "{seen:?}"
            );
        }
        let inside = good(&world.get(&path("/sessions?channel=listed+one&user=cleo")));
        assert_eq!(
            inside["items"].as_array().map(Vec::len),
            Some(1),
            "{inside}"
        );
        let remove = path("/channels/listed%20one/members/ben%20list/remove");
        assert_eq!(
            good(&world.post(&remove, &json!({}))),
            json!({ "removed": 1 })
        );
        problem(&world.post(&remove, &json!({})), 404, "not_a_member");
        let id = session["id"].as_str().expect("an id");
        let ended = good(&world.call("DELETE", &path(&format!("/sessions/{id}")), None));
        assert_eq!(ended["ended"], 1);
        until(&mut ben_events, |event| {
            matches!(event, ClientEvent::StateChanged { .. }).then_some(())
        })
        .await;
        let ended = good(&world.post(
            &path("/users/cleo/disconnect"),
            &json!({ "reason": "late" }),
        ));
        assert_eq!(ended["ended"], 1);
    });
}

// proves: rtm-rest-12-attributes
#[test]
fn attributes_are_set_merged_and_deleted() {
    each(async |world: &World| {
        let (_dan, _events) = world.login("dan").await;
        for owner in ["/users/dan/attributes", "/channels/painted/attributes"] {
            let at = path(owner);
            let set = json!({ "attributes": { "a": "1", "b": "2" } });
            good(&world.call("PUT", &at, Some(&set)));
            good(&world.call("PATCH", &at, Some(&json!({ "attributes": { "c": "3" } }))));
            let all = good(&world.get(&at));
            assert_eq!(all["attributes"], json!({ "a": "1", "b": "2", "c": "3" }));
            good(&world.call("DELETE", &format!("{at}?keys=a,b"), None));
            assert_eq!(good(&world.get(&at))["attributes"], json!({ "c": "3" }));
            good(&world.call("DELETE", &at, None));
            assert_eq!(good(&world.get(&at))["attributes"], json!({}));
        }
        let far = world.get(&path("/users/nobody-at-all/attributes"));
        problem(&far, 404, "user_not_found");
    });
}

// proves: rtm-rest-12-invitations
#[test]
fn an_invitation_is_sent_listed_and_ended() {
    each(async |world: &World| {
        let (_eli, mut events) = world.login("eli").await;
        let new = json!({ "from": "desk", "to": "eli", "content": "come" });
        let made = world.post(&path("/invitations"), &new);
        assert_eq!(made.status, 201, "{}", made.json());
        let id = made.json()["id"].as_str().expect("an id").to_owned();
        until(&mut events, |event| {
            matches!(event, ClientEvent::RemoteInvitation { .. }).then_some(())
        })
        .await;
        let listed = good(&world.get(&path("/invitations?user=eli")));
        assert_eq!(listed["items"][0]["id"], json!(id), "{listed}");
        assert_eq!(listed["items"][0]["content"], "come");
        let ended = good(&world.call("DELETE", &path(&format!("/invitations/{id}")), None));
        assert_eq!(ended["ended"], 1);
        let again = world.call("DELETE", &path(&format!("/invitations/{id}")), None);
        problem(&again, 404, "unknown_invitation");
    });
}

// proves: rtm-rest-11.1-idempotency, rtm-rest-11.1-idempotency-wrong
#[test]
fn a_key_makes_the_effect_unique() {
    each(async |world: &World| {
        let (fay, mut events) = world.login("fay").await;
        fay.channel("once").join().await.expect("joined");
        let call = |key: &str, text: &str| {
            let body = json!({ "channel": "once", "from": "shop", "payload": text });
            let call = keyed(Call::new("POST", &path("/publish"))).json(&body);
            call.header("Idempotency-Key", key).send(world.address)
        };
        let first = call("k1", "one");
        let again = call("k1", "one");
        assert_eq!(good(&first), good(&again));
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        problem(&call("k1", "two"), 422, "idempotency_key_reused");
        problem(&call(&"k".repeat(65), "x"), 400, "invalid_argument");
        // Many at once: one message, one answer.
        let address = world.address;
        let many: Vec<_> = (0..8)
            .map(|_| {
                std::thread::spawn(move || {
                    let body = json!({ "channel": "once", "from": "shop", "payload": "many" });
                    let call = keyed(Call::new("POST", &path("/publish"))).json(&body);
                    call.header("Idempotency-Key", "k2").send(address).json()
                })
            })
            .collect();
        let answers: Vec<Value> = many
            .into_iter()
            .map(|call| call.join().expect("an answer"))
            .collect();
        assert!(
            answers.iter().all(|answer| *answer == answers[0]),
            "{answers:?}"
        );
        good(&call("k3", "last"));
        let mut texts = Vec::new();
        while texts.last().map(String::as_str) != Some("last") {
            texts.push(until(&mut events, text_of).await.1);
        }
        assert_eq!(texts, ["one", "many", "last"]);
    });
}

// proves: rtm-rest-12-bad-input
#[test]
fn each_wrong_input_names_its_field() {
    let world = world(1);
    let publish = path("/publish");
    for (at, body, status, code, field) in [
        (&publish, json!({}), 400, "missing_field", "from"),
        (
            &publish,
            json!({ "from": "a", "payload": "b" }),
            400,
            "missing_field",
            "channel",
        ),
        (
            &publish,
            json!({ "from": "a", "channel": "c" }),
            400,
            "missing_field",
            "payload",
        ),
        (
            &publish,
            json!({ "from": "a", "channel": "c", "users": ["d"], "payload": "b" }),
            400,
            "invalid_argument",
            "users",
        ),
        (
            &publish,
            json!({ "from": "a", "users": [], "payload": "b" }),
            400,
            "invalid_argument",
            "users",
        ),
        (
            &publish,
            json!({ "from": "a", "users": ["ok", ""], "payload": "b" }),
            400,
            "invalid_argument",
            "users[1]",
        ),
        (
            &publish,
            json!({ "from": 5, "channel": "c", "payload": "b" }),
            400,
            "invalid_argument",
            "from",
        ),
        (
            &publish,
            json!({ "from": "a", "channel": "c", "payload": "b", "type": "video" }),
            400,
            "invalid_argument",
            "type",
        ),
        (
            &publish,
            json!({ "from": "a", "channel": "c", "payload_base64": "!" }),
            400,
            "invalid_argument",
            "payload_base64",
        ),
        (
            &publish,
            json!({ "from": "a", "channel": "c", "payload": "b", "offline": true }),
            400,
            "invalid_argument",
            "offline",
        ),
        (
            &publish,
            json!({ "from": "a", "channel": "c", "payload": "b", "ttl": 1 }),
            400,
            "invalid_argument",
            "ttl",
        ),
        (
            &path("/publish/batch"),
            json!({ "messages": [{ "from": "a", "channel": "c", "payload": "" }] }),
            400,
            "invalid_argument",
            "messages[0].payload",
        ),
        (
            &path("/publish/batch"),
            json!({ "messages": [] }),
            400,
            "invalid_argument",
            "messages",
        ),
        (
            &path("/users/query"),
            json!({ "user_ids": [] }),
            400,
            "invalid_argument",
            "user_ids",
        ),
        (
            &path("/users/a/disconnect"),
            json!({ "ban_seconds": -1 }),
            400,
            "invalid_argument",
            "ban_seconds",
        ),
        (
            &path("/invitations"),
            json!({ "from": "a" }),
            400,
            "missing_field",
            "to",
        ),
    ] {
        let told = problem(&world.post(at, &body), status, code);
        assert_eq!(told["field"], field, "{body}: {told}");
    }
    for (at, field) in [
        ("/sessions?limit=0", "limit"),
        ("/sessions?limit=101", "limit"),
        ("/sessions?cursor=x", "cursor"),
        ("/sessions?colour=red", "colour"),
        ("/history", "channel"),
        ("/history?channel=a&users=b,c", "users"),
        ("/events?after=nonsense", "after"),
        ("/events?types=user.sleep", "types"),
        ("/users/%00", "user"),
    ] {
        let told = world.get(&path(at)).json();
        assert_eq!(
            (&told["status"], &told["field"]),
            (&json!(400), &json!(field)),
            "{at}: {told}"
        );
    }
    problem(&world.get(&path("/nothing")), 404, "unknown_path");
    problem(
        &world.get("/api/v1/apps/x/channels"),
        403,
        "app_not_permitted",
    );
    let free = format!("/api/v1/apps/{}/channels", "f".repeat(32));
    problem(&world.get(&free), 404, "unknown_app");
    let stranger = Call::new("GET", &path("/channels")).send(world.address);
    problem(&stranger, 401, "no_credentials");
    // A token lets its user send at the hosted paths only, and reaches no other app.
    let user = Call::new("GET", &path("/channels")).header("x-agora-token", &token("ann"));
    problem(
        &user.header("x-agora-uid", "ann").send(world.address),
        403,
        "not_permitted",
    );
    let other = Call::new("GET", &format!("/api/v1/apps/{OTHER}/channels"));
    let other = other
        .header("x-agora-token", &token("ann"))
        .header("x-agora-uid", "ann");
    problem(&other.send(world.address), 401, "invalid_token");
}

// proves: rtm-rest-12-headers, rtm-rest-12-rate
#[test]
fn answers_have_ids_and_rates_and_are_compressed() {
    let world = World::start(1, &["--api-rate", "3/1h"]);
    let ask = || keyed(Call::new("GET", &path("/channels"))).header("X-Request-Id", "my-id-1");
    let first = ask().send(world.address);
    assert_eq!(first.header("x-request-id"), Some("my-id-1"));
    assert_eq!(first.header("x-ratelimit-limit"), Some("3"));
    assert_eq!(first.header("x-ratelimit-remaining"), Some("2"));
    assert_eq!(
        first.header("ratelimit-policy"),
        Some("\"calls\";q=3;w=3600")
    );
    ask().send(world.address);
    ask().send(world.api);
    let fourth = ask().send(world.address);
    let told = problem(&fourth, 429, "too_often");
    assert_eq!(told["request_id"], "my-id-1");
    let wait: u64 = fourth
        .header("retry-after")
        .expect("a time")
        .parse()
        .expect("a number");
    assert!((1..=3_600).contains(&wait));
    // Another app's callers are not meant.
    let other = format!("/api/v1/apps/{OTHER}/channels");
    assert_eq!(world.get(&other).status, 200);
}
