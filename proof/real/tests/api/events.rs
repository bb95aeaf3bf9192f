//! Events: queues of the hosted service, cursors, long polls, server-sent events. Source: rest 3,
//! 12.

use std::io::Read as _;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http::Call;
use crate::office::Made;
use crate::v1::{good, path, problem};
use crate::world::{APP, World, each, keyed, world};

fn hosted(rest: &str) -> String {
    format!("/dev/v2/project/{APP}/rtm/{rest}")
}

fn items(page: &Value) -> Vec<Value> {
    page["items"].as_array().expect("a list").clone()
}

/// Reads on from a cursor until `is_it` finds what it looks for.
fn until(world: &World, after: &str, types: &str, mut is_it: impl FnMut(&Value) -> bool) -> Value {
    let began = Instant::now();
    let mut after = after.to_owned();
    while began.elapsed() < Duration::from_secs(20) {
        let rest = format!("/events?after={after}&types={types}&wait=5");
        let page = good(&world.get(&path(&rest)));
        if let Some(found) = items(&page).into_iter().find(|event| is_it(event)) {
            return found;
        }
        after = page["next"].as_str().expect("a cursor").to_owned();
    }
    panic!("no such event after {after}");
}

fn newest(world: &World) -> String {
    let page = good(&world.get(&path("/events?after=newest")));
    page["next"].as_str().expect("a cursor").to_owned()
}

// proves: rtm-rest-12-events
#[test]
fn each_login_has_one_logout_behind_it() {
    each(async |world: &World| {
        let start = newest(world);
        let (gus, _events) = world.login("gus").await;
        gus.channel("evented").join().await.expect("joined");
        let is = |kind: &str, event: &Value| event["type"] == kind && event["user"] == "gus";
        let login = until(world, &start, "user.*", |event| is("user.login", event));
        let join = until(world, &start, "channel.join", |event| {
            is("channel.join", event)
        });
        assert_eq!(join["channel"], "evented");
        assert!(login["login_ms"].as_u64() > Some(0) && login["order"].as_u64() > Some(0));
        gus.logout().await.expect("logged out");
        let logout = until(world, &start, "user.logout", |event| {
            is("user.logout", event)
        });
        assert_eq!(logout["login_ms"], login["login_ms"]);
        assert!(logout["order"].as_u64() > login["order"].as_u64());
        // Reading removes nothing.
        until(world, &start, "user.login", |event| is("user.login", event));
        // Cursors of another place are told apart.
        let foreign = format!("/events?after={}", "A".repeat(22));
        problem(&world.get(&path(&foreign)), 410, "cursor_gone");
    });
}

#[test]
fn messages_are_events_where_an_app_asks_for_them_and_without_what_they_say() {
    let world = world(4);
    let app = Made::by(world);
    let say = |to: serde_json::Value, what: &str| {
        let mut message = json!({ "from": "desk", "payload": what });
        message["users"] = to["users"].clone();
        message["channel"] = to["channel"].clone();
        good(&world.post(&app.path("/publish"), &message))
    };
    let (user, channel) = (json!({ "users": ["amy"] }), json!({ "channel": "news" }));
    say(user.clone(), "nobody hears of it");
    let settings = json!({ "peer_message_events": true, "channel_message_events": true });
    let patch = json!({ "settings": settings });
    good(&world.call("PATCH", &app.path(""), Some(&patch)));
    let sent = say(user, "for amy alone");
    let told = say(channel, "for all who read");
    let listed = app.path("/events?types=message.*&wait=20&limit=1000");
    let items = loop {
        let items = good(&world.get(&listed))["items"].clone();
        if items.as_array().is_some_and(|items| items.len() >= 2) {
            break items;
        }
    };
    let text = items.to_string();
    assert!(
        !text.contains("amy alone") && !text.contains("all who read"),
        "{text}"
    );
    let expected = [
        ("message.peer", "amy", &sent["results"][0]["message_id"], 13),
        (
            "message.channel",
            "news",
            &told["results"][0]["message_id"],
            16,
        ),
    ];
    for (event, (kind, to, id, bytes)) in items.as_array().expect("two").iter().zip(expected) {
        assert_eq!(
            (&event["type"], &event["id"]),
            (&json!(kind), id),
            "{event}"
        );
        assert_eq!(
            (&event["user"], &event["bytes"]),
            (&json!("desk"), &json!(bytes))
        );
        let receiver = if kind == "message.peer" {
            "peer"
        } else {
            "channel"
        };
        assert_eq!(event[receiver], to, "{event}");
    }
}

// proves: rtm-rest-3-user, rtm-rest-3-channel, rtm-rest-3-read, rtm-rest-3-hook, rtm-rest-3-rate
#[test]
fn the_hosted_queues_are_emptied_by_reading() {
    let world = World::start(1, &[]);
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(async {
            let start = newest(&world);
            let (hal, _events) = world.login("hal").await;
            hal.channel("queued").join().await.expect("joined");
            hal.logout().await.expect("logged out");
            until(&world, &start, "user.logout", |event| {
                event["user"] == "hal"
            });
            until(&world, &start, "channel.leave", |event| {
                event["user"] == "hal"
            });
        });
    let told = good(&world.get(&hosted("vendor/user_events")));
    assert_eq!(told["result"], "success");
    assert!(told["request_id"].is_string());
    let events = told["events"].as_array().expect("a list");
    let kinds: Vec<_> = events.iter().map(|event| event["type"].clone()).collect();
    assert_eq!(kinds, [json!("Login"), json!("Logout")], "{told}");
    for event in events {
        assert_eq!(event["user_id"], "hal");
        assert!(event["ms"].as_u64() > Some(1_600_000_000_000));
        assert_eq!(event["ms"], event["ts"]);
    }
    let again = good(&world.get(&hosted("vendor/user_events")));
    assert_eq!(again["events"], json!([]));
    let told = good(&world.get(&hosted("hook/channel_events")));
    let events = told["events"].as_array().expect("a list");
    assert_eq!(events.len(), 2, "{told}");
    assert_eq!(
        (&events[0]["type"], &events[1]["type"]),
        (&json!("Join"), &json!("Leave"))
    );
    assert_eq!(events[0]["group_id"], "queued");
    assert_eq!(events[0]["channel_id"], "queued");
    // Ten a second for each kind.
    let fast: Vec<u16> = (0..12)
        .map(|_| world.get(&hosted("vendor/user_events")).status)
        .collect();
    assert!(fast.contains(&429), "{fast:?}");
}

// proves: rtm-rest-12-events-stream
#[test]
fn a_stream_of_events_goes_on_where_it_has_ended() {
    let world = world(1);
    let read = |last: Option<&str>, until: &str| {
        let mut call = keyed(Call::new("GET", &path("/events/stream?types=user.*")));
        if let Some(last) = last {
            call = call.header("Last-Event-ID", last);
        }
        let mut tcp = call.begin(world.address);
        let mut text = String::new();
        let mut buffer = [0; 4096];
        let mut did_ban = last.is_some();
        while !text.contains(until) {
            if !did_ban && text.contains("retry:") {
                did_ban = true;
                let ban = json!({ "user_id": "streamed", "seconds": 3600 });
                good(&world.post(&path("/bans"), &ban));
            }
            let count = tcp.read(&mut buffer).expect("more of the stream");
            assert!(count > 0, "the stream has ended: {text}");
            text.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
        text
    };
    let start = newest(world);
    let first = read(None, "streamed");
    assert!(first.contains("content-type: text/event-stream"), "{first}");
    assert!(first.contains("event: user.banned"), "{first}");
    let again = read(Some(&start), "streamed");
    assert!(again.contains("event: user.banned"), "{again}");
}
