//! Files, erasure, the audit log, and how the server is. Source: rest 12.

use serde_json::{Value, json};
use tidings_client::SendOptions;

use crate::office::{Made, MadeKey, expect, expect_problem};
use crate::world::{World, each, world};

/// All entries of the audit log about an app.
fn entries(world: &World, app: &str) -> Vec<Value> {
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let page = expect(&world.get(&format!("/api/v1/audit?limit=100{after}")), 200);
        let items = page["items"].as_array().expect("a list");
        found.extend(items.iter().filter(|item| item["app"] == app).cloned());
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return found,
        }
    }
}

// proves: rtm-rest-12-audit
#[test]
fn each_write_is_in_the_audit_log_without_secrets() {
    for world in [world(1), world(4)] {
        let made = Made::by(world);
        let key = MadeKey::by(world, "app", &[&made.id]);
        let patch = json!({ "name": "later" });
        expect(&world.call("PATCH", &made.path(""), Some(&patch)), 200);
        let ban = json!({ "user_id": "mallory" });
        let id = expect(
            &key.call(world, "POST", &made.path("/bans"), Some(&ban)),
            201,
        )["id"]
            .clone();
        key.call(world, "DELETE", &made.path(&format!("/bans/{id}")), None);
        let added = expect(&world.call("POST", &made.path("/certificates"), None), 201);
        let rule = json!({ "appid": made.id, "uid": 5 });
        expect(&world.post("/dev/v1/kicking-rule", &rule), 200);
        // Neither what fails nor what reads.
        world.call("PATCH", &made.path(""), Some(&json!({ "no": 1 })));
        world.get(&made.path(""));
        let entries = entries(world, &made.id);
        let actions: Vec<_> = entries
            .iter()
            .map(|entry| entry["action"].as_str().expect("a text"))
            .collect();
        let app = format!("/api/v1/apps/{}", made.id);
        let expected = [
            "POST /api/v1/apps".to_owned(),
            format!("PATCH {app}"),
            format!("POST {app}/bans"),
            format!("DELETE {app}/bans/{id}"),
            format!("POST {app}/certificates"),
            "POST /dev/v1/kicking-rule".to_owned(),
        ];
        assert_eq!(actions, expected);
        assert_eq!(entries[1]["before"]["name"], "made");
        assert_eq!(entries[1]["after"]["name"], "later");
        assert_eq!(entries[2]["by"], key.id.as_str());
        assert_eq!(entries[2]["address"], "127.0.0.1");
        assert_eq!(entries[3]["before"]["user"], "mallory");
        assert!(
            entries
                .iter()
                .all(|entry| entry["at_ms"].is_u64() && entry["request_id"].is_string())
        );
        let all = Value::from(entries).to_string();
        for secret in [
            made.certificate.as_str(),
            added["certificate"].as_str().expect("a text"),
            key.text.rsplit('_').next().expect("a secret"),
        ] {
            assert!(!all.contains(secret), "a secret is in the log");
        }
        for after in ["x", "5", "-"] {
            let answer = world.get(&format!("/api/v1/audit?after={after}"));
            expect_problem(&answer, 400, "invalid_argument", Some("after"));
        }
    }
}

#[test]
fn each_look_at_stored_messages_is_in_the_audit_log_once() {
    for world in [world(1), world(4)] {
        let made = Made::by(world);
        let key = MadeKey::by(world, "read", &[&made.id]);
        let hosted = format!("/dev/v2/project/{}/rtm/message/history/query", made.id);
        let filter = json!({
            "source": "ida",
            "start_time": "2020-01-01T00:00:00Z",
            "end_time": "2090-01-01T00:00:00Z",
        });
        let query = json!({ "filter": filter, "offset": 0, "limit": 20, "order": "asc" });
        let told = expect(&world.post(&hosted, &query), 200);
        let location = told["location"].as_str().expect("a location");
        let handle = location.rsplit('/').next().expect("a handle");
        let channel = format!(
            "/rtm/v2/history/{}/userId/ida/channelType/message/channel/archive",
            made.id
        );
        let looks = [
            (
                made.path("/history?channel=archive"),
                json!({ "channel": "archive" }),
            ),
            (
                made.path("/history?users=jon,ida"),
                json!({ "users": ["ida", "jon"] }),
            ),
            (
                made.path("/users/ida/offline"),
                json!({ "waiting_for": "ida" }),
            ),
            (
                format!("{hosted}/{handle}"),
                json!({ "source": "ida", "destination": null }),
            ),
        ];
        for (path, _) in &looks {
            for _ in 0..2 {
                expect(&key.call(world, "GET", path, None), 200);
            }
        }
        // The same place by the newest paths is the same look.
        expect(&key.call(world, "GET", &channel, None), 200);
        // Who reads its own words looks at nobody else's, and what is refused shows nothing.
        let own = crate::http::Call::new("GET", &channel)
            .header("x-agora-token", &made.token("ida"))
            .header("x-agora-uid", "ida");
        expect(&own.send(world.address), 200);
        let strange = made.path("/history?channel=archive&limit=0");
        expect_problem(
            &key.call(world, "GET", &strange, None),
            400,
            "invalid_argument",
            Some("limit"),
        );
        let entries = entries(world, &made.id);
        let found = entries
            .iter()
            .filter(|entry| entry["by"] == key.id.as_str());
        let found: Vec<_> = found.map(|entry| entry["after"].clone()).collect();
        assert_eq!(found, looks.map(|(_, at)| at));
    }
}

#[test]
fn a_key_is_told_what_it_may() {
    let world = world(1);
    let made = Made::by(world);
    let me = |key: &MadeKey| expect(&key.call(world, "GET", "/api/v1/me", None), 200);
    let limited = MadeKey::by(world, "app", &[&made.id]);
    assert_eq!(
        me(&limited),
        json!({ "name": limited.id, "role": "app", "apps": [made.id] })
    );
    let reads = MadeKey::by(world, "read", &[]);
    assert_eq!(
        me(&reads),
        json!({ "name": reads.id, "role": "read", "apps": null })
    );
}

#[test]
fn the_console_is_served_where_the_api_is_and_by_its_own_port_alone_if_there_is_one() {
    let world = world(1);
    let at = |to| crate::http::Call::new("GET", "/console/").send(to);
    assert_eq!(at(world.address).status, 404);
    let served = at(world.api);
    assert_eq!(served.status, 200);
    let policy = served.header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'self';"));
    assert_eq!(served.header("x-frame-options"), Some("DENY"));
    // Other paths are the API's.
    expect(&world.get("/api/v1/version"), 200);
    let nowhere = crate::http::Call::new("GET", "/api/v1/nowhere").send(world.api);
    assert_eq!(nowhere.status, 401);
}

fn upload(world: &World, made: &Made, user: &str) -> String {
    let call = crate::http::Call::new("POST", &format!("/v1/media/{}", made.id))
        .header("Tidings-User", user)
        .header("Authorization", &format!("Bearer {}", made.token(user)))
        .header("Content-Type", "image/png")
        .header("Tidings-File-Name", "a.png")
        .raw("pixels");
    let answer = call.send(world.address);
    let body = answer.json();
    let id = body["mediaId"].as_str();
    id.unwrap_or_else(|| panic!("{} {body}", answer.status))
        .to_owned()
}

// proves: rtm-rest-12-files
#[test]
fn files_are_listed_and_deleted() {
    for world in [world(1), world(4)] {
        let made = Made::by(world);
        let files = made.path("/files");
        assert_eq!(
            expect(&world.get(&files), 200),
            json!({ "items": [], "next": null })
        );
        let ids = [upload(world, &made, "alice"), upload(world, &made, "bob")];
        let list = expect(&world.get(&files), 200);
        assert_eq!(list["items"].as_array().map(Vec::len), Some(2));
        let of_bob = expect(&world.get(&format!("{files}?user=bob")), 200);
        let uploaded = of_bob["items"][0]["uploaded_ms"].clone();
        let expected = json!({
            "id": ids[1], "user_id": "bob", "bytes": 6, "content_type": "image/png",
            "file_name": "a.png", "uploaded_ms": uploaded,
        });
        assert!(uploaded.is_u64());
        assert_eq!(of_bob, json!({ "items": [expected], "next": null }));
        let first = expect(&world.get(&format!("{files}?limit=1")), 200);
        let next = first["next"].as_str().expect("there is another");
        let second = expect(&world.get(&format!("{files}?limit=1&cursor={next}")), 200);
        assert_eq!(second["next"], Value::Null);
        assert_ne!(first["items"], second["items"]);
        let path = format!("{files}/{}", ids[0]);
        assert_eq!(world.call("DELETE", &path, None).status, 204);
        for gone in [path.as_str(), &format!("{files}/..%2f..%2fapps.toml")] {
            let answer = world.call("DELETE", gone, None);
            expect_problem(&answer, 404, "unknown_file", None);
        }
        let other = Made::by(world);
        let answer = world.call("DELETE", &other.path(&format!("/files/{}", ids[1])), None);
        expect_problem(&answer, 404, "unknown_file", None);
    }
}

// proves: rtm-rest-12-erasure
#[test]
fn a_user_who_asks_for_it_is_forgotten() {
    each(async |world: &World| {
        let made = Made::by(world);
        let keep = json!({ "settings": { "keep_user_attributes": true } });
        expect(&world.call("PATCH", &made.path(""), Some(&keep)), 200);
        let (alice, _alices) = made.login(world, "alice").await;
        let (bob, _bobs) = made.login(world, "bob").await;
        let kept = SendOptions::new().offline().history();
        for (from, to) in [(&alice, "bob"), (&bob, "carol"), (&alice, "carol")] {
            from.send_to_peer(to, "words", kept).await.expect("sent");
        }
        for client in [&alice, &bob] {
            let room = client.channel("room");
            room.join().await.expect("joined");
            room.send_with("words", kept).await.expect("sent");
        }
        upload(world, &made, "alice");
        let erased = world.call("DELETE", &made.path("/users/alice/data"), None);
        let erased = expect(&erased, 200);
        assert_eq!(
            erased["conversations"], 2,
            "with bob and with carol: {erased}"
        );
        assert_eq!(erased["channel_messages"], 1);
        assert_eq!(erased["files"], 1);
        let room = bob.channel("room");
        let page = room
            .history(tidings_client::HistoryRange::default())
            .await
            .expect("read");
        let from: Vec<_> = page
            .messages
            .iter()
            .map(|message| message.from.as_str())
            .collect();
        assert_eq!(from, ["bob"]);
        // What waits for carol is carol's.
        let carols = expect(
            &world.call("DELETE", &made.path("/users/carol/data"), None),
            200,
        );
        assert_eq!(carols["offline_messages"], 2, "{carols}");
        assert_eq!(carols["conversations"], 1, "bob's with carol: {carols}");
        let again = expect(
            &world.call("DELETE", &made.path("/users/alice/data"), None),
            200,
        );
        assert_eq!(
            (&again["conversations"], &again["files"]),
            (&json!(0), &json!(0))
        );
    });
}

// proves: rtm-rest-12-nodes
#[test]
fn the_server_tells_how_it_is() {
    for (hubs, world) in [(1, world(1)), (4, world(4))] {
        let nodes = expect(&world.get("/api/v1/nodes"), 200);
        let node = &nodes["items"][0];
        assert_eq!((&node["hubs"], &node["tls"]), (&json!(hubs), &json!(false)));
        assert_eq!(node["store"], "everything");
        assert!(node["pid"].is_u64() && node["uptime_s"].is_u64() && node["program"].is_string());
        let stats = expect(&world.get("/api/v1/stats"), 200);
        assert_eq!(stats["hubs"].as_array().map(Vec::len), Some(hubs));
        assert!(stats["apps"].is_array() && stats["store"]["operations"].is_u64());
    }
}
