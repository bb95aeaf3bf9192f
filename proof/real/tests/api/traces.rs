//! Message tracing: the whole way of messages over one hub and four. Source: rest 12.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidings_client::{Client, ClientEvent, Events, HistoryRange, SendOptions};

use crate::office::{Made, MadeKey, expect, expect_problem, until};
use crate::world::{OTHER, World, each, world};

/// How long a way may take to be complete.
const PATIENCE: Duration = Duration::from_secs(20);

/// Begins to follow messages.
fn follow(world: &World, made: &Made, wish: &Value) -> Value {
    expect(&world.post(&made.path("/traces"), wish), 201)
}

/// The newest message that fits, as the list has it: whoever has sent it has been answered.
fn newest(world: &World, made: &Made, query: &str) -> Value {
    let path = made.path(&format!("/traces/messages?limit=1{query}"));
    let list = expect(&world.get(&path), 200);
    assert!(list["items"][0].is_object(), "nothing is noted: {list}");
    list["items"][0].clone()
}

/// The way of a message, once it has a step of this kind and is as complete as is said.
async fn way(world: &World, made: &Made, id: &str, has: &str, is_complete: bool) -> Value {
    let path = made.path(&format!("/traces/messages/{id}"));
    let begun = Instant::now();
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    loop {
        // Clients confirm while this waits.
        looks.tick().await;
        let way = expect(&world.get(&path), 200);
        if names(&way).contains(&has.to_owned()) && way["complete"] == is_complete {
            return way;
        }
        assert!(begun.elapsed() < PATIENCE, "no {has}: {way}");
    }
}

/// The steps of a way, each with its user, if it has one.
fn steps(way: &Value) -> Vec<String> {
    let steps = way["steps"].as_array().expect("a list").iter();
    let shown = steps.map(|step| {
        let name = step["step"].as_str().expect("a name");
        match (step["user"].as_str(), step["members"].as_u64()) {
            (Some(user), _) => format!("{name} {user}"),
            (None, Some(members)) => format!("{name} {members}"),
            (None, None) => name.to_owned(),
        }
    });
    shown.collect()
}

fn names(way: &Value) -> Vec<String> {
    let first = |step: String| step.split(' ').next().unwrap_or_default().to_owned();
    steps(way).into_iter().map(first).collect()
}

fn id_of(message: &Value) -> String {
    let id = message["message_id"].as_str().expect("an id").to_owned();
    assert_eq!(id.len(), 32, "{message}");
    id
}

async fn send(client: &Client, peer: &str, text: &str, offline: bool) {
    let options = if offline {
        SendOptions::new().offline()
    } else {
        SendOptions::new()
    };
    let sent = client.send_to_peer(peer, text, options).await;
    sent.expect("the message is sent");
}

// proves: rtm-rest-12-traces
#[test]
fn the_way_of_a_peer_message_is_told_from_its_sender_to_its_receivers_confirmation() {
    each(async |world: &World| {
        let made = Made::by(world);
        let (alice, _seen) = made.login(world, "alice").await;
        let (_bob, mut events) = made.login(world, "bob").await;
        let begun = follow(world, &made, &json!({ "user": "bob", "minutes": 5 }));
        assert_eq!(
            (&begun["app"], &begun["user"]),
            (&json!(made.id), &json!("bob"))
        );
        assert!(begun.get("channel").is_none());
        let listed = expect(&world.get(&made.path("/traces")), 200);
        assert_eq!(listed, json!({ "items": [begun], "next": null }));
        send(&alice, "bob", "a secret", false).await;
        let is_it = |event: &ClientEvent| matches!(event, ClientEvent::PeerMessage { .. });
        until(&mut events, "the message", is_it).await;
        let message = newest(world, &made, "&user=bob");
        assert_eq!(
            (&message["from"], &message["user"]),
            (&json!("alice"), &json!("bob"))
        );
        let told = way(world, &made, &id_of(&message), "answered", true).await;
        assert_eq!(
            steps(&told),
            [
                "accepted alice",
                "stamped",
                "given bob",
                "queued bob",
                "written bob",
                "confirmed bob",
                "answered"
            ]
        );
        assert!(!told.to_string().contains("a secret"), "{told}");
        let times: Vec<_> = (told["steps"].as_array().expect("a list").iter())
            .map(|step| step["at_ms"].as_u64().expect("a time"))
            .collect();
        assert!(times.is_sorted(), "{told}");
        // Ended, it follows nothing more; what was noted stays.
        let path = made.path(&format!("/traces/{}", begun["id"].as_str().expect("an id")));
        assert_eq!(world.call("DELETE", &path, None).status, 204);
        let gone = world.call("DELETE", &path, None);
        expect_problem(&gone, 404, "unknown_trace", None);
        send(&alice, "bob", "another", false).await;
        assert_eq!(newest(world, &made, "&user=bob"), message);
    });
}

// proves: rtm-rest-12-traces
#[test]
fn a_stored_message_is_followed_until_it_comes_out_of_the_inbox() {
    each(async |world: &World| {
        let made = Made::by(world);
        follow(world, &made, &json!({ "minutes": 60 }));
        let (alice, _seen) = made.login(world, "alice").await;
        send(&alice, "later", "hello", true).await;
        let id = id_of(&newest(world, &made, "&user=later"));
        let told = way(world, &made, &id, "answered", true).await;
        assert_eq!(
            steps(&told),
            ["accepted alice", "stamped", "stored", "answered"]
        );
        assert_eq!(told["steps"][2]["detail"], "in the inbox, number 1");
        let (_later, mut events) = made.login(world, "later").await;
        let is_it = |event: &ClientEvent| matches!(event, ClientEvent::PeerMessage { .. });
        until(&mut events, "the message", is_it).await;
        let told = way(world, &made, &id, "confirmed", true).await;
        assert_eq!(
            steps(&told)[4..],
            [
                "delivered_from_inbox later",
                "queued later",
                "written later",
                "confirmed later"
            ]
        );
        // To somebody who is away, and not to be stored.
        send(&alice, "away", "hello", false).await;
        let id = id_of(&newest(world, &made, "&user=away"));
        let told = way(world, &made, &id, "answered", true).await;
        assert_eq!(
            steps(&told),
            ["accepted alice", "stamped", "dropped", "answered"]
        );
    });
}

/// Five users, members of the channel `room`; alice is the first, erin the last.
async fn in_room(world: &World, made: &Made) -> Vec<(Client, Events)> {
    let mut clients = Vec::new();
    for user in ["alice", "bob", "carol", "dave", "erin"] {
        let (client, events) = made.login(world, user).await;
        client.channel("room").join().await.expect("joined");
        clients.push((client, events));
    }
    clients
}

// proves: rtm-rest-12-traces
#[test]
fn the_way_of_a_channel_message_has_every_member_on_every_hub() {
    each(async |world: &World| {
        let made = Made::by(world);
        let mut clients = in_room(world, &made).await;
        follow(world, &made, &json!({ "channel": "room", "minutes": 1 }));
        let sent = clients[0].0.channel("room").send("hello").await;
        sent.expect("the message is sent");
        for (_, events) in &mut clients[1..] {
            let is_it = |event: &ClientEvent| matches!(event, ClientEvent::ChannelMessage { .. });
            until(events, "the message", is_it).await;
        }
        let message = newest(world, &made, "&channel=room");
        assert_eq!(message["channel"], "room");
        let told = way(world, &made, &id_of(&message), "confirmed", true).await;
        assert_eq!(steps(&told)[..3], ["accepted alice", "stamped", "ordered"]);
        let count = |name: &str| -> u64 {
            let steps = told["steps"].as_array().expect("a list").iter();
            let of = steps.filter(|step| step["step"] == name);
            of.map(|step| step["members"].as_u64().unwrap_or(1)).sum()
        };
        let counts = ["given", "queued", "written"].map(count);
        assert_eq!(counts, [4, 4, 4], "{told}");
        let mut confirmed: Vec<_> = (steps(&told).into_iter())
            .filter(|step| step.starts_with("confirmed"))
            .collect();
        confirmed.sort();
        assert_eq!(
            confirmed,
            [
                "confirmed bob",
                "confirmed carol",
                "confirmed dave",
                "confirmed erin"
            ]
        );
        // By the API, with a copy in the history: its answer names the message.
        let body = json!({ "channel": "room", "from": "shop", "payload": "open", "store": true });
        let published = expect(&world.post(&made.path("/publish"), &body), 200);
        let id = id_of(&published["results"][0]);
        let told = way(world, &made, &id, "stored", true).await;
        assert_eq!(steps(&told)[0], "accepted shop");
        let given: u64 = (told["steps"].as_array().expect("a list").iter())
            .filter(|step| step["step"] == "given")
            .map(|step| step["members"].as_u64().expect("a number"))
            .sum();
        assert_eq!(given, 5, "{told}");
    });
}

// proves: rtm-rest-12-traces
#[test]
fn a_user_who_is_followed_is_followed_as_a_member_of_channels_too() {
    each(async |world: &World| {
        let made = Made::by(world);
        let mut clients = in_room(world, &made).await;
        follow(world, &made, &json!({ "user": "erin", "minutes": 1 }));
        let sent = clients[0].0.channel("room").send("hello").await;
        sent.expect("the message is sent");
        let (_, of_erin) = clients.last_mut().expect("erin");
        let is_it = |event: &ClientEvent| matches!(event, ClientEvent::ChannelMessage { .. });
        until(of_erin, "the message", is_it).await;
        let message = newest(world, &made, "&user=erin");
        assert_eq!(
            (&message["from"], &message["channel"]),
            (&json!("alice"), &json!("room"))
        );
        let told = way(world, &made, &id_of(&message), "confirmed", true).await;
        let of_erin: Vec<String> = (steps(&told).into_iter())
            .filter(|step| step != "answered")
            .collect();
        assert_eq!(
            of_erin,
            [
                "ordered",
                "given erin",
                "queued erin",
                "written erin",
                "confirmed erin"
            ],
            "{told}"
        );
    });
}

// proves: rtm-rest-12-traces, rtm-rest-12-publish
#[test]
fn answers_name_every_message_also_those_that_are_not_waited_for() {
    each(async |world: &'static World| {
        let made = Made::by(world);
        let (_bob, mut events) = made.login(world, "bob").await;
        follow(world, &made, &json!({ "minutes": 1 }));
        for wait in [true, false] {
            let body = json!({ "users": ["bob"], "from": "shop", "payload": "x", "wait": wait });
            let path = made.path("/publish");
            // The receiver's client confirms while the answer is waited for.
            let asked = tokio::task::spawn_blocking(move || world.post(&path, &body));
            let published = expect(&asked.await.expect("an answer"), 200);
            let id = id_of(&published["results"][0]);
            let is_it = |event: &ClientEvent| matches!(event, ClientEvent::PeerMessage { .. });
            until(&mut events, "the message", is_it).await;
            let told = way(world, &made, &id, "confirmed", true).await;
            assert_eq!(steps(&told)[0], "accepted shop");
        }
    });
}

// proves: rtm-rest-12-traces, rtm-rest-12-history
#[test]
fn histories_name_messages_as_answers_do() {
    each(async |world: &World| {
        let made = Made::by(world);
        let (alice, _events) = made.login(world, "alice").await;
        alice.channel("room").join().await.expect("joined");
        let body = json!({ "channel": "room", "from": "shop", "payload": "one", "store": true });
        let published = expect(&world.post(&made.path("/publish"), &body), 200);
        let id = id_of(&published["results"][0]);
        let options = SendOptions::new().history();
        let room = alice.channel("room");
        room.send_with("two", options).await.expect("sent");
        let told = expect(&world.get(&made.path("/history?channel=room")), 200);
        let items = told["items"].as_array().expect("a list");
        assert_eq!(
            (items[0]["message_id"].as_str(), items.len()),
            (Some(&id[..]), 2)
        );
        assert_eq!(items[0]["position"], "1", "{told}");
        let page = alice.channel("room").history(HistoryRange::default()).await;
        let page = page.expect("a page");
        let named: Vec<_> = (page.messages.iter())
            .map(|message| message.message_id.clone().expect("an id"))
            .collect();
        assert_eq!(named, [id, id_of(&items[1])]);
        // Of two users too.
        let body = json!({ "users": ["bob"], "from": "shop", "payload": "x", "store": true });
        let published = expect(&world.post(&made.path("/publish"), &body), 200);
        let id = id_of(&published["results"][0]);
        let told = expect(&world.get(&made.path("/history?users=shop,bob")), 200);
        assert_eq!(told["items"][0]["message_id"], id, "{told}");
    });
}

// proves: rtm-rest-12-traces, rtm-rest-12-events
#[test]
fn events_of_messages_name_them_as_answers_do() {
    for world in [world(1), world(4)] {
        let made = Made::by(world);
        let settings = json!({
            "settings": { "peer_message_events": true, "channel_message_events": true },
        });
        let changed = world.call("PATCH", &made.path(""), Some(&settings));
        expect(&changed, 200);
        for (kind, to) in [
            ("message.channel", json!({ "channel": "room" })),
            ("message.peer", json!({ "users": ["away"], "wait": true })),
        ] {
            let mut body = json!({ "from": "shop", "payload": "x" });
            for (name, value) in to.as_object().expect("fields") {
                body[name] = value.clone();
            }
            let published = expect(&world.post(&made.path("/publish"), &body), 200);
            let id = id_of(&published["results"][0]);
            // Waits behind the beginning for the first one, if it is not there yet.
            let path = made.path(&format!("/events?types={kind}&wait=20"));
            let page = expect(&world.get(&path), 200);
            let event = &page["items"][0];
            assert_eq!((&event["type"], &event["id"]), (&json!(kind), &json!(id)));
        }
    }
}

// proves: rtm-rest-12-traces
#[test]
fn a_refused_message_is_told_with_its_reason() {
    each(async |world: &World| {
        let made = Made::by(world);
        let (mallory, _events) = made.login(world, "mallory").await;
        mallory.channel("room").join().await.expect("joined");
        follow(world, &made, &json!({ "user": "mallory", "minutes": 1 }));
        let ban =
            json!({ "user_id": "mallory", "channel": "room", "privileges": ["send_message"] });
        expect(&world.post(&made.path("/bans"), &ban), 201);
        let sent = mallory.channel("room").send("spam").await;
        assert!(sent.is_err());
        let id = id_of(&newest(world, &made, "&channel=room"));
        let told = way(world, &made, &id, "refused", true).await;
        assert_eq!(steps(&told), ["refused"]);
        let detail = told["steps"][0]["detail"].as_str().expect("a text");
        assert!(detail.starts_with("not_permitted: "), "{detail}");
    });
}

// proves: rtm-rest-12-traces
#[test]
fn wrong_wishes_about_traces_are_refused_and_their_number_is_bounded() {
    for world in [world(1), world(4)] {
        let made = Made::by(world);
        let path = made.path("/traces");
        for (wish, field) in [
            (json!({ "minutes": 0 }), Some("minutes")),
            (json!({ "minutes": 61 }), Some("minutes")),
            (json!({ "minutes": 1, "user": "" }), Some("user")),
            (json!({ "minutes": 1, "channel": "a\nb" }), Some("channel")),
        ] {
            let answer = world.post(&path, &wish);
            expect_problem(&answer, 400, "invalid_argument", field);
        }
        for wish in [json!({}), json!({ "minutes": 1, "users": "x" })] {
            assert_eq!(world.post(&path, &wish).status, 400, "{wish}");
        }
        for wrong in ["x", "0123", &"z".repeat(32)] {
            let answer = world.get(&made.path(&format!("/traces/messages/{wrong}")));
            expect_problem(&answer, 400, "invalid_argument", Some("message"));
        }
        let unknown = made.path(&format!("/traces/messages/{}", "0".repeat(32)));
        expect_problem(&world.get(&unknown), 404, "unknown_message", None);
        let unknown = world.call("DELETE", &made.path("/traces/0123456789abcdef"), None);
        expect_problem(&unknown, 404, "unknown_trace", None);
        // Who only reads may look, and begins nothing.
        let reader = MadeKey::by(world, "read", &[&made.id]);
        assert_eq!(reader.call(world, "GET", &path, None).status, 200);
        let wish = json!({ "minutes": 1 });
        let answer = reader.call(world, "POST", &path, Some(&wish));
        assert_eq!(answer.status, 403);
        let stranger = MadeKey::by(world, "app", &[OTHER]);
        for path in [path.clone(), made.path("/traces/messages")] {
            assert_eq!(stranger.call(world, "GET", &path, None).status, 403);
        }
        let backend = MadeKey::by(world, "app", &[&made.id]);
        for _ in 0..16 {
            let answer = backend.call(world, "POST", &path, Some(&wish));
            expect(&answer, 201);
        }
        let answer = backend.call(world, "POST", &path, Some(&wish));
        expect_problem(&answer, 409, "too_many_traces", None);
        let listed = expect(&world.get(&path), 200);
        assert_eq!(listed["items"].as_array().map(Vec::len), Some(16));
        for item in listed["items"].as_array().expect("a list") {
            let id = item["id"].as_str().expect("an id");
            let path = made.path(&format!("/traces/{id}"));
            assert_eq!(backend.call(world, "DELETE", &path, None).status, 204);
        }
    }
}
