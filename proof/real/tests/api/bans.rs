//! Bans: `/api/v1/apps/{app}/bans`, and `/dev/v1/kicking-rule` of the hosted service. Source: rest
//! 6, 11.3, 12.

use serde_json::{Value, json};
use tidings_client::{Client, ClientEvent, Events};

use crate::http::Call;
use crate::office::{Made, expect, expect_problem, is_out, until};
use crate::world::{World, each, world};

/// Waits until a member has left.
async fn has_left(events: &mut Events, user: &str) {
    let is_it = |event: &ClientEvent| matches!(event, ClientEvent::MemberLeft { user_id, .. } if user_id == user);
    until(events, "left", is_it).await;
}

async fn can_log_in(made: &Made, world: &World, user: &str) -> bool {
    let (client, _) = made.client(world);
    client.login(user, Some(&made.token(user))).await.is_ok()
}

async fn can_join(client: &Client, channel: &str) -> bool {
    let channel = client.channel(channel);
    channel.join().await.is_ok()
}

fn create(world: &World, made: &Made, wish: &Value) -> u64 {
    let answer = world.post(&made.path("/bans"), wish);
    expect(&answer, 201)["id"].as_u64().expect("an id")
}

// proves: rtm-rest-11.3-user
#[test]
fn a_banned_user_is_sent_away_and_refused_until_the_rule_goes() {
    each(async |world: &World| {
        let made = Made::by(world);
        let (_mallory, mut events) = made.login(world, "mallory").await;
        let wish = json!({ "user_id": "mallory", "note": "spam" });
        let shown = expect(&world.post(&made.path("/bans"), &wish), 201);
        let id = shown["id"].as_u64().expect("an id");
        let expected = json!({
            "id": id,
            "source": "api",
            "user_id": "mallory",
            "channel": null,
            "address": null,
            "privileges": ["login"],
            "note": "spam",
            "by": shown["by"],
            "made_ms": shown["made_ms"],
            "changed_ms": shown["made_ms"],
            "until_ms": null,
        });
        assert_eq!(shown, expected);
        is_out(&mut events).await;
        assert!(!can_log_in(&made, world, "mallory").await);
        assert!(can_log_in(&made, world, "alice").await);
        let list = expect(&world.get(&made.path("/bans")), 200);
        assert_eq!(list, json!({ "items": [expected], "next": null }));
        let gone = world.call("DELETE", &made.path(&format!("/bans/{id}")), None);
        assert_eq!(gone.status, 204);
        assert!(can_log_in(&made, world, "mallory").await);
        let later = create(world, &made, &json!({ "user_id": "x" }));
        assert!(later > id, "ids rise");
    });
}

// proves: rtm-rest-11.3-channel
#[test]
fn a_rule_about_a_channel_takes_joins_and_messages_there_only() {
    each(async |world: &World| {
        let made = Made::by(world);
        let (mallory, _events) = made.login(world, "mallory").await;
        let (alice, mut seen) = made.login(world, "alice").await;
        for client in [&alice, &mallory] {
            assert!(can_join(client, "room").await && can_join(client, "hall").await);
        }
        create(
            world,
            &made,
            &json!({ "user_id": "mallory", "channel": "room" }),
        );
        has_left(&mut seen, "mallory").await;
        assert!(!can_join(&mallory, "room").await);
        let hall = mallory.channel("hall");
        hall.send("still here")
            .await
            .expect("the other channel is free");
        create(
            world,
            &made,
            &json!({
                "user_id": "mallory", "channel": "hall", "privileges": ["send_message"],
            }),
        );
        assert!(hall.send("not any more").await.is_err());
        // A channel without a user: everybody goes.
        create(world, &made, &json!({ "channel": "hall" }));
        has_left(&mut seen, "alice").await;
        assert!(!can_join(&alice, "hall").await);
        assert!(can_join(&alice, "garden").await);
    });
}

// proves: rtm-rest-11.3-address
#[test]
fn an_address_is_banned_by_itself_and_by_its_beginning() {
    each(async |world: &World| {
        let made = Made::by(world);
        let (_alice, mut events) = made.login(world, "alice").await;
        create(world, &made, &json!({ "address": "192.0.2.0/24" }));
        assert!(can_log_in(&made, world, "bob").await, "another address");
        let id = create(world, &made, &json!({ "address": "127.0.0.0/8" }));
        is_out(&mut events).await;
        assert!(!can_log_in(&made, world, "bob").await);
        world.call("DELETE", &made.path(&format!("/bans/{id}")), None);
        assert!(can_log_in(&made, world, "bob").await);
    });
}

// proves: rtm-rest-11.3-changed, rtm-rest-11.3-once
#[test]
fn a_rule_is_changed_ends_by_itself_and_throws_out_once() {
    each(async |world: &World| {
        let made = Made::by(world);
        let id = create(
            world,
            &made,
            &json!({ "user_id": "mallory", "seconds": 3600 }),
        );
        let path = made.path(&format!("/bans/{id}"));
        let patch = json!({ "until_ms": null, "note": "for ever" });
        let after = expect(&world.call("PATCH", &path, Some(&patch)), 200);
        assert_eq!(
            (&after["until_ms"], &after["note"]),
            (&Value::Null, &json!("for ever"))
        );
        assert_eq!(expect(&world.get(&path), 200), after);
        let soon = json!({ "seconds": 1 });
        expect(&world.call("PATCH", &path, Some(&soon)), 200);
        assert!(!can_log_in(&made, world, "mallory").await);
        let begin = std::time::Instant::now();
        while !can_log_in(&made, world, "mallory").await {
            assert!(begin.elapsed().as_secs() < 20, "it never ends");
        }
        expect_problem(&world.get(&path), 404, "unknown_ban", None);
        expect_problem(
            &world.call("PATCH", &path, Some(&soon)),
            404,
            "unknown_ban",
            None,
        );
        let (_bob, mut events) = made.login(world, "bob").await;
        let once = create(world, &made, &json!({ "user_id": "bob", "seconds": 0 }));
        is_out(&mut events).await;
        assert!(once > id && can_log_in(&made, world, "bob").await);
        let list = expect(&world.get(&made.path("/bans")), 200);
        assert_eq!(list["items"], json!([]), "nothing is kept of it");
    });
}

// proves: rtm-rest-11.3-wrong
#[test]
fn rules_that_make_no_sense_are_refused_with_the_field() {
    let world = world(1);
    let made = Made::by(world);
    for (wish, field) in [
        (json!({}), "user_id"),
        (json!({ "user_id": "" }), "user_id"),
        (json!({ "user_id": 5 }), "user_id"),
        (json!({ "channel": "" }), "channel"),
        (json!({ "address": "1.2.3" }), "address"),
        (json!({ "address": "1.2.3.4/33" }), "address"),
        (json!({ "address": "1.2.3.4", "channel": "c" }), "address"),
        (json!({ "user_id": "a", "privileges": [] }), "privileges"),
        (
            json!({ "user_id": "a", "privileges": ["fly"] }),
            "privileges[0]",
        ),
        (
            json!({ "user_id": "a", "channel": "c", "privileges": ["login"] }),
            "privileges",
        ),
        (json!({ "user_id": "a", "until_ms": 5 }), "until_ms"),
        (
            json!({ "user_id": "a", "until_ms": 5, "seconds": 5 }),
            "seconds",
        ),
        (json!({ "user_id": "a", "seconds": -1 }), "seconds"),
        (json!({ "user_id": "a", "note": "\u{1b}" }), "note"),
        (json!({ "user": "a" }), "user"),
    ] {
        let answer = world.post(&made.path("/bans"), &wish);
        expect_problem(&answer, 400, "invalid_argument", Some(field));
    }
    for id in ["0", "x", "18446744073709551616", "+1"] {
        let answer = world.call("DELETE", &made.path(&format!("/bans/{id}")), None);
        expect_problem(&answer, 404, "unknown_ban", None);
    }
    // Another app's rule is none of this one.
    let other = Made::by(world);
    let id = create(world, &other, &json!({ "user_id": "a" }));
    let answer = world.call("DELETE", &made.path(&format!("/bans/{id}")), None);
    expect_problem(&answer, 404, "unknown_ban", None);
}

// proves: rtm-rest-11.3-pages
#[test]
fn rules_come_page_by_page() {
    let world = world(1);
    let made = Made::by(world);
    let ids: Vec<u64> = (0..5)
        .map(|n| create(world, &made, &json!({ "user_id": format!("u{n}") })))
        .collect();
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = made.path(&format!("/bans?limit=2{cursor}"));
        let page = expect(&world.get(&path), 200);
        let items = page["items"].as_array().expect("a list");
        assert!(items.len() <= 2);
        seen.extend(items.iter().map(|item| item["id"].as_u64().expect("an id")));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ids);
}

const RULES: &str = "/dev/v1/kicking-rule";

// proves: rtm-rest-6-replies, rtm-rest-6-user
#[test]
fn kicking_rules_are_as_the_hosted_service_has_them() {
    each(async |world: &World| {
        let made = Made::by(world);
        let app = made.id.as_str();
        // A user of its own each: who logs in a third time within a second has to wait.
        let slashed = "/dev/v1/kicking-rule/";
        for (path, uid) in [(RULES, 589_517_928), (slashed, 589_517_929)] {
            let user = uid.to_string();
            let (_user, mut events) = made.login(world, &user).await;
            let wish = json!({
                "appid": app, "cname": "", "uid": uid, "ip": "", "time": 60,
                "privileges": ["join_channel"],
            });
            let answer = expect(&world.post(path, &wish), 200);
            let id = answer["id"].as_u64().expect("an id");
            assert_eq!(answer, json!({ "status": "success", "id": id }));
            is_out(&mut events).await;
            assert!(!can_log_in(&made, world, &user).await);
            let list = expect(&world.get(&format!("{path}?appid={app}")), 200);
            let rule = &list["rules"][0];
            let expected = json!({
                "id": id, "appid": app, "uid": uid, "opid": rule["opid"], "cname": null,
                "ip": null, "ts": rule["ts"], "privileges": ["join_channel"],
                "createAt": rule["createAt"], "updateAt": rule["updateAt"],
            });
            assert_eq!(list, json!({ "status": "success", "rules": [expected] }));
            assert!(rule["opid"].is_u64());
            for name in ["ts", "createAt", "updateAt"] {
                let text = rule[name].as_str().expect("a time");
                assert!(
                    text.len() == 24 && text.ends_with('Z') && &text[10..11] == "T",
                    "{text}"
                );
            }
            let change = json!({ "appid": app, "id": id, "time_in_seconds": 86_430 });
            let changed = expect(&world.call("PUT", path, Some(&change)), 200);
            let ts = &changed["result"]["ts"];
            assert_eq!(
                changed,
                json!({ "status": "success", "result": { "id": id, "ts": ts } })
            );
            assert_ne!(ts, &rule["ts"]);
            let named = json!({ "appid": app, "id": id });
            let gone = expect(&world.call("DELETE", path, Some(&named)), 200);
            assert_eq!(gone, json!({ "status": "success", "id": id }));
            assert!(can_log_in(&made, world, &user).await);
        }
    });
}

// proves: rtm-rest-6-channel, rtm-rest-6-once
#[test]
fn kicking_rules_empty_a_channel_and_throw_out_once() {
    each(async |world: &World| {
        let made = Made::by(world);
        let app = made.id.as_str();
        let (alice, mut events) = made.login(world, "alice").await;
        let (bob, _bobs) = made.login(world, "bob").await;
        assert!(can_join(&alice, "room").await && can_join(&bob, "room").await);
        let once = json!({ "appid": app, "cname": "room", "uid": "bob", "time": 0 });
        expect(&world.post(RULES, &once), 200);
        has_left(&mut events, "bob").await;
        assert!(can_join(&bob, "room").await, "it was but once");
        let shut = json!({ "appid": app, "cname": "room", "time_in_seconds": 60 });
        expect(&world.post(RULES, &shut), 200);
        has_left(&mut events, "alice").await;
        assert!(!can_join(&bob, "room").await && can_join(&bob, "hall").await);
        let everybody = json!({ "appid": app, "cname": "hall", "time": 0 });
        assert!(can_join(&alice, "hall").await);
        expect(&world.post(RULES, &everybody), 200);
        has_left(&mut events, "alice").await;
        let address = json!({ "appid": app, "ip": "127.0.0.1", "time": 0 });
        expect(&world.post(RULES, &address), 200);
        is_out(&mut events).await;
        assert!(can_log_in(&made, world, "alice").await);
        let list = expect(&world.get(&format!("{RULES}?appid={app}")), 200);
        assert_eq!(list["rules"].as_array().map(Vec::len), Some(1));
    });
}

// proves: rtm-rest-6-wrong
#[test]
fn wrong_kicking_rules_are_answered_with_a_message() {
    let world = world(1);
    let made = Made::by(world);
    let app = made.id.as_str();
    let nowhere = "9".repeat(32);
    for (method, body, status) in [
        ("POST", json!({ "appid": app }), 400),
        ("POST", json!({ "uid": 5 }), 400),
        ("POST", json!({ "appid": app, "uid": 0 }), 400),
        ("POST", json!({ "appid": app, "uid": [] }), 400),
        ("POST", json!({ "appid": app, "uid": -1 }), 400),
        (
            "POST",
            json!({ "appid": app, "uid": 1, "time": 525_601 }),
            400,
        ),
        (
            "POST",
            json!({ "appid": app, "uid": 1, "time_in_seconds": 9 }),
            400,
        ),
        ("POST", json!({ "appid": app, "uid": 1, "time": "60" }), 400),
        (
            "POST",
            json!({ "appid": app, "uid": 1, "privileges": "join_channel" }),
            400,
        ),
        (
            "POST",
            json!({ "appid": app, "uid": 1, "privileges": ["fly"] }),
            400,
        ),
        ("POST", json!({ "appid": app, "uid": 1, "what": 1 }), 400),
        ("POST", json!({ "appid": app, "ip": "x" }), 400),
        (
            "POST",
            json!({ "appid": app, "ip": "127.0.0.1", "cname": "c" }),
            400,
        ),
        ("POST", json!({ "appid": nowhere, "uid": 1 }), 403),
        ("POST", json!({ "appid": "short", "uid": 1 }), 403),
        (
            "PUT",
            json!({ "appid": app, "id": 1_000_000, "time": 1 }),
            404,
        ),
        ("PUT", json!({ "appid": app, "id": 1_000_000 }), 400),
        ("DELETE", json!({ "appid": app, "id": 1_000_000 }), 404),
        ("DELETE", json!({ "appid": app, "id": {} }), 400),
        ("DELETE", json!({ "appid": app }), 400),
    ] {
        let answer = world.call(method, RULES, Some(&body));
        let found = answer.json();
        assert_eq!(answer.status, status, "{method} {body}: {found}");
        assert_eq!(
            found.as_object().map(serde_json::Map::len),
            Some(1),
            "{found}"
        );
        assert!(found["message"].is_string(), "{found}");
    }
    let answer = world.get(RULES);
    assert_eq!(
        (answer.status, answer.json()["message"].is_string()),
        (400, true)
    );
}

// proves: rtm-rest-11.3-ignored
#[test]
fn what_is_accepted_and_does_nothing_is_told_again() {
    let world = world(1);
    let made = Made::by(world);
    let wish = json!({
        "appid": made.id, "uid": "alice", "time": 1,
        "privileges": ["publish_audio", "publish_video", "join_channel", "join_channel"],
    });
    expect(&world.post(RULES, &wish), 200);
    let list = expect(&world.get(&format!("{RULES}?appid={}", made.id)), 200);
    let rule = &list["rules"][0];
    assert_eq!(
        rule["privileges"],
        json!(["join_channel", "publish_audio", "publish_video"])
    );
    assert_eq!(rule["uid"], "alice");
}

#[test]
fn who_is_barred_from_sending_sends_nothing_over_http_either() {
    each(async |world: &World| {
        let made = Made::by(world);
        let token = made.token("zoe");
        let send = |kind: &str, body: &Value| {
            let path = format!("/dev/v2/project/{}/rtm/users/zoe/{kind}", made.id);
            let call = Call::new("POST", &path).json(body);
            let call = call.header("x-agora-token", &token);
            call.header("x-agora-uid", "zoe").send(world.address)
        };
        let to_peer = json!({ "destination": "yan", "payload": "hello" });
        let to = |channel: &str| json!({ "channel_name": channel, "payload": "hello" });
        let wish = json!({
            "user_id": "zoe", "channel": "room", "privileges": ["send_message"], "seconds": 60,
        });
        create(world, &made, &wish);
        assert_eq!(send("channel_messages", &to("room")).status, 403);
        assert_eq!(send("channel_messages", &to("hall")).status, 200);
        assert_eq!(send("peer_messages", &to_peer).status, 200);
        let wish = json!({ "user_id": "zoe", "privileges": ["send_message"], "seconds": 60 });
        create(world, &made, &wish);
        assert_eq!(send("channel_messages", &to("hall")).status, 403);
        assert_eq!(send("peer_messages", &to_peer).status, 403);
    });
}
