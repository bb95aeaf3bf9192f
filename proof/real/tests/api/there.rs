//! Who is there, and projects: `/dev/v1/channel/…`, `/dev/v1/project…`. Source: rest 7, 8, 11.

use serde_json::{Value, json};

use crate::office::{Made, MadeKey, expect};
use crate::world::{World, each, world};

// proves: rtm-rest-7-list, rtm-rest-7-members, rtm-rest-7-property, rtm-rest-7-wrong
#[test]
fn channels_and_their_members_are_told_as_of_calls() {
    each(async |world: &World| {
        let made = Made::by(world);
        let app = made.id.as_str();
        let base = "/dev/v1/channel";
        let nobody = expect(&world.get(&format!("{base}/user/{app}/room")), 200);
        assert_eq!(
            nobody,
            json!({ "success": true, "data": { "channel_exist": false } })
        );
        let mut clients = Vec::new();
        for user in ["alice", "bob"] {
            let (client, events) = made.login(world, user).await;
            client.channel("room").join().await.expect("joined");
            clients.push((client, events));
        }
        let hall = clients[0].0.channel("hall");
        hall.join().await.expect("joined");
        for rest in ["", "/hosts_only", "?hosts_only=true"] {
            let mut found = expect(&world.get(&format!("{base}/user/{app}/room{rest}")), 200);
            let users = found["data"]["users"].as_array_mut().expect("a list");
            users.sort_by_key(ToString::to_string);
            let data =
                json!({ "channel_exist": true, "mode": 1, "total": 2, "users": ["alice", "bob"] });
            assert_eq!(found, json!({ "success": true, "data": data }));
        }
        let list = expect(
            &world.get(&format!("{base}/{app}?page_no=0&page_size=1")),
            200,
        );
        let channels = json!([{ "channel_name": "hall", "user_count": 1 }]);
        assert_eq!(
            list,
            json!({ "success": true, "data": { "channels": channels, "total_size": 2 } })
        );
        let next = expect(
            &world.get(&format!("{base}/{app}?page_no=1&page_size=1")),
            200,
        );
        assert_eq!(
            next["data"]["channels"],
            json!([{ "channel_name": "room", "user_count": 2 }])
        );
        let past = expect(&world.get(&format!("{base}/{app}?page_no=9")), 200);
        assert_eq!(past["data"]["channels"], json!([]));
        let property = |user: &str, channel: &str| {
            let path = format!("{base}/user/property/{app}/{user}/{channel}");
            expect(&world.get(&path), 200)
        };
        let member = property("alice", "hall");
        let join = member["data"]["join"].as_u64().expect("a time");
        assert!(join > 1_700_000_000, "Unix seconds");
        let data = json!({ "join": join, "in_channel": true, "role": 1 });
        assert_eq!(member, json!({ "success": true, "data": data }));
        for (user, channel) in [("bob", "hall"), ("nobody", "hall"), ("alice", "garden")] {
            let data = json!({ "success": true, "data": { "in_channel": false } });
            assert_eq!(property(user, channel), data);
        }
        wrong_questions_have_a_message(world, app);
    });
}

/// What is asked wrongly, or by somebody else, of the channels of an app.
fn wrong_questions_have_a_message(world: &World, app: &str) {
    let base = "/dev/v1/channel";
    for path in [
        format!("{base}/{app}?page_size=501"),
        format!("{base}/{app}?page_size=0"),
        format!("{base}/{app}?page_no=-1"),
        format!("{base}/{app}?page=1"),
        format!("{base}/user/{app}/a%0ab"),
    ] {
        let answer = world.get(&path);
        assert_eq!(
            (answer.status, answer.json()["message"].is_string()),
            (400, true),
            "{path}"
        );
    }
    let stranger = MadeKey::by(world, "app", &[crate::world::APP]);
    let answer = stranger.call(world, "GET", &format!("{base}/{app}"), None);
    assert_eq!(
        (answer.status, answer.json()["message"].is_string()),
        (403, true)
    );
}

fn project(body: &Value) -> Value {
    let project = body["project"].clone();
    let fields = project.as_object().expect("a project");
    let mut names: Vec<_> = fields.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["created", "id", "name", "sign_key", "status", "vendor_key"]
    );
    assert_eq!(project["id"], project["vendor_key"]);
    project
}

// proves: rtm-rest-8-made, rtm-rest-8-found, rtm-rest-8-changed, rtm-rest-8-missing
// proves: rtm-rest-8-usage
#[test]
fn projects_are_a_layer_over_the_apps() {
    for world in [world(1), world(4)] {
        let name = format!("project of {}", world.address);
        let wish = json!({ "name": name, "enable_sign_key": true });
        let made = project(&expect(&world.post("/dev/v1/project", &wish), 201));
        let id = made["id"].as_str().expect("an id").to_owned();
        assert_eq!((&made["name"], &made["status"]), (&json!(name), &json!(1)));
        let sign_key = made["sign_key"].as_str().expect("a certificate");
        assert_eq!(sign_key.len(), 32);
        assert!(
            made["created"]
                .as_u64()
                .is_some_and(|s| (1_700_000_000..100_000_000_000).contains(&s))
        );
        let later = json!({
            "id": id, "name": name, "vendor_key": id, "sign_key": null, "status": 1,
            "created": made["created"],
        });
        let encoded = name.replace(' ', "%20");
        for query in [format!("id={id}"), format!("name={encoded}")] {
            let found = expect(&world.get(&format!("/dev/v1/project?{query}")), 200);
            assert_eq!(found, json!({ "projects": [later] }));
        }
        let all = expect(&world.get("/dev/v1/projects"), 200);
        assert!(all["projects"].as_array().expect("a list").contains(&later));
        let off = world.post("/dev/v1/project_status", &json!({ "id": id, "status": 0 }));
        assert_eq!(project(&expect(&off, 200))["status"], 0);
        let on = world.post("/dev/v1/project_status", &json!({ "id": id, "status": 1 }));
        assert_eq!(project(&expect(&on, 200))["status"], 1);
        let reset = world.post("/dev/v1/reset_signkey", &json!({ "id": id }));
        let new = project(&expect(&reset, 200))["sign_key"].clone();
        assert!(new.is_string() && new != made["sign_key"]);
        let off = world.post("/dev/v1/signkey", &json!({ "id": id, "enable": false }));
        assert_eq!(project(&expect(&off, 200))["sign_key"], "");
        let on = world.post("/dev/v1/signkey", &json!({ "id": id, "enable": true }));
        assert!(project(&expect(&on, 200))["sign_key"].is_string());
        let gone = world.call("DELETE", "/dev/v1/project", Some(&json!({ "id": id })));
        assert_eq!(expect(&gone, 200), json!({ "success": true }));
        what_is_no_project_is_told(world, &id, &name);
    }
}

/// The answers about a project that is gone, and to calls that cannot be meant.
fn what_is_no_project_is_told(world: &World, id: &str, name: &str) {
    let missing = json!({ "error_msg": "project not exist" });
    for (method, path, body) in [
        ("GET", format!("/dev/v1/project?id={id}"), json!({})),
        ("DELETE", "/dev/v1/project".into(), json!({ "id": id })),
        (
            "POST",
            "/dev/v1/project_status".into(),
            json!({ "id": id, "status": 1 }),
        ),
        (
            "POST",
            "/dev/v1/signkey".into(),
            json!({ "id": id, "enable": true }),
        ),
        ("POST", "/dev/v1/reset_signkey".into(), json!({ "id": id })),
    ] {
        let answer = world.call(method, &path, Some(&body));
        assert_eq!(
            (answer.status, answer.json()),
            (404, missing.clone()),
            "{path}"
        );
    }
    for (path, body) in [
        (
            "/dev/v1/project",
            json!({ "name": 5, "enable_sign_key": true }),
        ),
        ("/dev/v1/project", json!({ "enable_sign_key": true })),
        ("/dev/v1/project_status", json!({ "id": id, "status": 2 })),
        (
            "/dev/v1/project_status",
            json!({ "id": id, "status": "on" }),
        ),
        ("/dev/v1/signkey", json!({ "id": id, "enable": 1 })),
        ("/dev/v1/reset_signkey", json!({ "name": name })),
    ] {
        let answer = world.post(path, &body);
        assert_eq!(
            (answer.status, answer.json()["error_msg"].is_string()),
            (400, true),
            "{path} {body}"
        );
    }
    for path in ["/dev/v1/usage", "/dev/v3/usage"] {
        assert_eq!(world.get(path).status, 404);
    }
}
