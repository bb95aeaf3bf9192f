//! Calls that come again: over a restart, and of every kind; the rates of the hosted service's
//! operators' calls; the end of a node.

use serde_json::{Value, json};

use crate::http::{Answer, Call};
use crate::office::MadeKey;
use crate::v1::{good, path, problem};
use crate::world::{World, keyed, world};

fn post(world: &World, at: &str, key: &str, body: &Value) -> Answer {
    let call = keyed(Call::new("POST", at)).json(body);
    call.header("Idempotency-Key", key).send(world.address)
}

fn is_replayed(answer: &Answer) -> bool {
    answer.header("idempotency-replayed") == Some("true")
}

/// The messages of a channel that the history has.
fn kept(world: &World, channel: &str) -> usize {
    let page = good(&world.get(&path(&format!("/history?channel={channel}"))));
    page["items"].as_array().map_or(0, Vec::len)
}

#[test]
fn every_answer_that_was_seen_is_given_again_by_a_server_that_was_killed() {
    let world = World::start(2, &[]);
    let message = json!({ "channel": "orders", "from": "shop", "payload": "one", "store": true });
    let ban = json!({ "user_id": "mallory", "seconds": 3_600 });
    let new_key = json!({ "name": "ci", "role": "read" });
    let publish = |world: &World, key: &str| post(world, &path("/publish"), key, &message);
    let first = publish(&world, "order-1");
    let banned = post(&world, &path("/bans"), "ban-1", &ban);
    let made = post(&world, "/api/v1/keys", "key-1", &new_key);
    for answer in [&first, &banned, &made] {
        good(answer);
        assert!(!is_replayed(answer));
    }
    let left = world.crash();
    let world = World::start_in(left, 2, &[]);
    let again = publish(&world, "order-1");
    assert_eq!(again.body, first.body);
    assert!(is_replayed(&again));
    assert_eq!(kept(&world, "orders"), 1);
    let other = json!({ "channel": "orders", "from": "shop", "payload": "two" });
    let other = post(&world, &path("/publish"), "order-1", &other);
    problem(&other, 422, "idempotency_key_reused");
    let again = post(&world, &path("/bans"), "ban-1", &ban);
    assert_eq!((again.status, again.body), (banned.status, banned.body));
    assert_eq!(
        good(&world.get(&path("/bans")))["items"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    // A secret is shown once: the repeat makes no second key, and shows none.
    let gone = post(&world, "/api/v1/keys", "key-1", &new_key);
    problem(&gone, 409, "idempotency_answer_gone");
    let keys = good(&world.get("/api/v1/keys"));
    let named = keys["items"].as_array().expect("keys").iter();
    assert_eq!(named.filter(|key| key["name"] == "ci").count(), 1);
    // Keys of packages are for the moment.
    good(&publish(&world, "auto-1"));
    assert!(is_replayed(&publish(&world, "auto-1")));
    let left = world.crash();
    let world = World::start_in(left, 2, &[]);
    assert!(!is_replayed(&publish(&world, "auto-1")));
    assert_eq!(kept(&world, "orders"), 3);
}

#[test]
fn operators_calls_are_executed_once_per_key_caller_and_path() {
    let world = world(4);
    let ban = json!({ "user_id": "trudy", "seconds": 3_600 });
    let first = post(world, &path("/bans"), "trudy-1", &ban);
    let again = post(world, &path("/bans"), "trudy-1", &ban);
    assert_eq!(good(&first), good(&again));
    assert_eq!((is_replayed(&first), is_replayed(&again)), (false, true));
    let longer = json!({ "user_id": "trudy", "seconds": 7_200 });
    problem(
        &post(world, &path("/bans"), "trudy-1", &longer),
        422,
        "idempotency_key_reused",
    );
    problem(
        &post(world, &path("/bans"), &"k".repeat(65), &ban),
        400,
        "invalid_argument",
    );
    // What was refused has not happened: the body may be another one.
    let wrong = json!({ "user_id": "", "seconds": 60 });
    assert_eq!(post(world, &path("/bans"), "trudy-2", &wrong).status, 400);
    // Elsewhere the same key is another one.
    let id = first.json()["id"].as_u64().expect("an id");
    let key = post(
        world,
        "/api/v1/keys",
        "trudy-1",
        &json!({ "name": "a", "role": "read" }),
    );
    assert!(!is_replayed(&key));
    let secret = good(&key)["key"].clone();
    let key = post(
        world,
        "/api/v1/keys",
        "trudy-1",
        &json!({ "name": "a", "role": "read" }),
    );
    assert_eq!(good(&key)["key"], secret, "in memory it is given again");
    // The audit log has one entry, not two.
    let audit = good(&world.get("/api/v1/audit?limit=100"));
    let about = |entry: &&Value| {
        entry["action"] == format!("POST {}", path("/bans")) && entry["after"]["user_id"] == "trudy"
    };
    let entries = audit["items"].as_array().expect("entries").iter();
    assert!(entries.filter(about).count() <= 1);
    assert_eq!(
        world
            .call("DELETE", &path(&format!("/bans/{id}")), None)
            .status,
        204
    );
    // Another caller's key is another one, too.
    let other = MadeKey::by(world, "admin", &[]);
    let call = other.sign(Call::new("POST", &path("/bans"))).json(&ban);
    let theirs = call
        .header("Idempotency-Key", "trudy-1")
        .send(world.address);
    assert!(!is_replayed(&theirs));
    let id = good(&theirs)["id"].as_u64().expect("an id");
    world.call("DELETE", &path(&format!("/bans/{id}")), None);
}

#[test]
fn the_hosted_operators_calls_have_their_rates_and_tell_what_is_left() {
    let world = World::start(1, &["--api-rate", "500/1s"]);
    for (at, most) in [
        ("/dev/v1/projects".to_owned(), 10),
        (format!("/dev/v1/channel/{}", crate::world::APP), 20),
        (
            format!("/dev/v1/kicking-rule?appid={}", crate::world::APP),
            10,
        ),
    ] {
        let first = world.get(&at);
        let limit = most.to_string();
        assert_eq!(first.header("x-ratelimit-limit"), Some(&*limit), "{at}");
        let policy = format!("\"calls\";q={most};w=1");
        assert_eq!(first.header("ratelimit-policy"), Some(&*policy));
        let refused = (0..10 * most)
            .map(|_| world.get(&at))
            .find(|it| it.status == 429);
        let refused = refused.expect("it is asked more often than that");
        assert_eq!(refused.header("retry-after"), Some("1"));
        assert_eq!(refused.header("x-ratelimit-remaining"), Some("0"));
    }
    assert_eq!(
        world.get(&path("/channels")).status,
        200,
        "others are not meant"
    );
}

#[test]
fn a_node_that_is_drained_ends_as_by_a_signal_and_keeps_what_it_has() {
    let world = World::start(2, &[]);
    let ban = json!({ "user_id": "mallory", "seconds": 3_600 });
    good(&world.post(&path("/bans"), &ban));
    let drain = |node: &str| world.post(&format!("/api/v1/nodes/{node}/drain"), &json!({}));
    problem(&drain("1"), 404, "unknown_node");
    let wrong = world.post("/api/v1/nodes/0/drain", &json!({ "now": true }));
    assert_eq!(problem(&wrong, 400, "invalid_argument")["field"], "now");
    let reader = MadeKey::by(&world, "read", &[]);
    let call = reader.sign(Call::new("POST", "/api/v1/nodes/0/drain"));
    problem(&call.send(world.address), 403, "not_permitted");
    let drained = drain("0");
    assert_eq!(drained.status, 202);
    assert_eq!(drained.json(), json!({ "id": 0, "state": "draining" }));
    let (code, left) = world.ended();
    assert_eq!(code, Some(0));
    let world = World::start_in(left, 2, &[]);
    let bans = good(&world.get(&path("/bans")));
    assert_eq!(bans["items"].as_array().map(Vec::len), Some(1));
    let audit = good(&world.get("/api/v1/audit"));
    assert!(
        audit.to_string().contains("POST /api/v1/nodes/0/drain"),
        "{audit}"
    );
}
