//! `/api/v1/keys`, and what keys permit. Source: rest 12.

use serde_json::{Value, json};

use crate::http::Call;
use crate::office::{Made, MadeKey, expect, expect_problem};
use crate::world::{APP, OTHER, World, basic, world};

fn now_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::try_from(now.expect("after 1970").as_millis()).expect("not so late")
}

fn worlds(test: impl Fn(&'static World)) {
    [1, 4].into_iter().for_each(|hubs| test(world(hubs)));
}

fn listed(world: &World, id: &str) -> Value {
    let list = expect(&world.get("/api/v1/keys"), 200);
    let items = list["items"].as_array().expect("a list").clone();
    items
        .into_iter()
        .find(|item| item["id"] == id)
        .unwrap_or(Value::Null)
}

// proves: rtm-rest-12-keys
#[test]
fn a_key_is_made_shown_once_used_and_revoked() {
    worlds(|world| {
        let wish = json!({ "name": "console", "role": "admin" });
        let answer = world.post("/api/v1/keys", &wish);
        let made = expect(&answer, 201);
        let key = MadeKey::of(&answer);
        let secret = made["secret"].as_str().expect("a secret");
        assert_eq!(key.text, format!("tdk_{}_{secret}", key.id));
        let mut view = made.clone();
        let fields = view.as_object_mut().expect("an object");
        assert!(fields.remove("key").is_some() && fields.remove("secret").is_some());
        let expected = json!({
            "id": key.id,
            "name": "console",
            "role": "admin",
            "apps": [],
            "state": "active",
            "made_ms": made["made_ms"],
            "expires_ms": null,
            "revoked_ms": null,
            "used_ms": null,
            "old_secrets_until_ms": null,
        });
        assert_eq!(view, expected);
        assert_eq!(
            listed(world, &key.id),
            expected,
            "and the list has no secret"
        );
        // Both ways of showing it.
        expect(&key.call(world, "GET", "/api/v1/keys", None), 200);
        let hosted =
            Call::new("GET", "/api/v1/keys").header("Authorization", &basic(&key.id, secret));
        expect(&hosted.send(world.address), 200);
        assert!(listed(world, &key.id)["used_ms"].is_u64());
        let one = expect(&world.get(&format!("/api/v1/keys/{}", key.id)), 200);
        assert_eq!(one["id"], key.id.as_str());
        let gone = world.call("DELETE", &format!("/api/v1/keys/{}", key.id), None);
        assert_eq!(expect(&gone, 200)["state"], "revoked");
        let refused = key.call(world, "GET", "/api/v1/keys", None);
        expect_problem(&refused, 401, "invalid_key", None);
        assert!(listed(world, &key.id)["revoked_ms"].is_u64());
        let again = world.call("DELETE", &format!("/api/v1/keys/{}", key.id), None);
        expect(&again, 200);
    });
}

// proves: rtm-rest-12-keys-rotate
#[test]
fn both_secrets_are_good_during_a_rotation() {
    worlds(|world| {
        let old = MadeKey::by(world, "admin", &[]);
        let path = format!("/api/v1/keys/{}/rotate", old.id);
        let answer = world.call("POST", &path, None);
        let until = expect(&answer, 200)["old_secrets_until_ms"]
            .as_u64()
            .expect("a time");
        let day = 86_400_000;
        assert!(
            (now_ms() + day - 60_000..=now_ms() + day).contains(&until),
            "{until}"
        );
        let new = MadeKey::of(&answer);
        assert!(new.id == old.id && new.text != old.text);
        for key in [&old, &new] {
            expect(&key.call(world, "GET", "/api/v1/keys", None), 200);
        }
        let last = MadeKey::of(&world.post(&path, &json!({ "overlap_s": 0 })));
        for key in [&old, &new] {
            let refused = key.call(world, "GET", "/api/v1/keys", None);
            expect_problem(&refused, 401, "invalid_key", None);
        }
        expect(&last.call(world, "GET", "/api/v1/keys", None), 200);
        let long = world.post(&path, &json!({ "overlap_s": 2_592_001 }));
        expect_problem(&long, 400, "invalid_argument", Some("overlap_s"));
        for _ in 0..3 {
            expect(&world.call("POST", &path, None), 200);
        }
        expect_problem(&world.call("POST", &path, None), 409, "conflict", None);
        expect(&last.call(world, "GET", "/api/v1/keys", None), 200);
    });
}

// proves: rtm-rest-12-keys-wrong
#[test]
fn keys_that_make_no_sense_are_refused_with_the_field() {
    worlds(|world| {
        for (wish, field) in [
            (json!({ "role": "app" }), "apps"),
            (json!({ "role": "admin", "apps": [APP] }), "apps"),
            (json!({ "role": "app", "apps": ["short"] }), "apps"),
            (json!({ "role": "app", "apps": APP }), "apps"),
            (json!({ "role": "king" }), "role"),
            (json!({ "role": "read", "name": "n".repeat(101) }), "name"),
            (json!({ "role": "read", "name": "\u{1b}[31m" }), "name"),
            (json!({ "role": "read", "expires_ms": 1 }), "expires_ms"),
            (
                json!({ "role": "read", "expires_ms": "soon" }),
                "expires_ms",
            ),
            (json!({ "role": "read", "until": 1 }), "until"),
        ] {
            let answer = world.post("/api/v1/keys", &wish);
            expect_problem(&answer, 400, "invalid_argument", Some(field));
        }
        expect_problem(
            &world.post("/api/v1/keys", &json!({})),
            400,
            "missing_field",
            Some("role"),
        );
        for id in ["nobody", "aaaaaaaaaaaa", "..%2f"] {
            let answer = world.call("DELETE", &format!("/api/v1/keys/{id}"), None);
            assert_eq!(answer.status, 404, "{id}: {}", answer.json());
        }
        let answer = world.get("/api/v1/keys?limit=101");
        expect_problem(&answer, 400, "invalid_argument", Some("limit"));
        let answer = world.get("/api/v1/keys?cursor=elsewhere");
        expect_problem(&answer, 400, "invalid_argument", Some("cursor"));
    });
}

// proves: rtm-rest-12-keys-expire
#[test]
fn an_expired_key_is_refused() {
    worlds(|world| {
        let soon = now_ms() + 1_500;
        let wish = json!({ "role": "read", "expires_ms": soon });
        let key = MadeKey::of(&world.post("/api/v1/keys", &wish));
        expect(&key.call(world, "GET", "/api/v1/apps", None), 200);
        let begin = std::time::Instant::now();
        loop {
            let answer = key.call(world, "GET", "/api/v1/apps", None);
            if answer.status == 401 {
                assert!(now_ms() >= soon, "not before its time");
                break;
            }
            assert!(begin.elapsed().as_secs() < 20, "it never expires");
        }
        assert_eq!(listed(world, &key.id)["state"], "expired");
    });
}

// proves: rtm-rest-12-role-read
#[test]
fn a_read_key_reads_and_writes_nothing() {
    worlds(|world| {
        let all = MadeKey::by(world, "read", &[]);
        let one = MadeKey::by(world, "read", &[APP]);
        let app = format!("/api/v1/apps/{APP}");
        for path in [
            "/api/v1/apps",
            app.as_str(),
            "/api/v1/keys",
            "/api/v1/audit",
            "/api/v1/nodes",
        ] {
            expect(&all.call(world, "GET", path, None), 200);
        }
        expect(&one.call(world, "GET", &app, None), 200);
        for path in [
            "/api/v1/keys",
            "/api/v1/audit",
            "/api/v1/nodes",
            "/api/v1/stats",
        ] {
            expect_problem(
                &one.call(world, "GET", path, None),
                403,
                "not_permitted",
                None,
            );
        }
        for (method, path, body) in [
            ("POST", "/api/v1/apps".to_owned(), json!({})),
            ("PATCH", app.clone(), json!({})),
            ("POST", format!("{app}/bans"), json!({ "user_id": "x" })),
            (
                "POST",
                "/api/v1/keys".to_owned(),
                json!({ "role": "admin" }),
            ),
            ("DELETE", format!("/api/v1/keys/{}", one.id), json!({})),
        ] {
            for key in [&all, &one] {
                let answer = key.call(world, method, &path, Some(&body));
                expect_problem(&answer, 403, "not_permitted", None);
            }
        }
        let hosted = all.call(
            world,
            "POST",
            "/dev/v1/kicking-rule",
            Some(&json!({ "appid": APP })),
        );
        assert_eq!(hosted.status, 403);
        assert!(hosted.json()["message"].is_string());
    });
}

// proves: rtm-rest-12-role-app
#[test]
fn an_app_key_learns_nothing_of_other_apps() {
    worlds(|world| {
        let made = Made::by(world);
        let key = MadeKey::by(world, "app", &[APP]);
        let list = expect(&key.call(world, "GET", "/api/v1/apps", None), 200);
        let items = list["items"].as_array().expect("a list");
        assert_eq!(items.len(), 1);
        assert_eq!(items[0]["id"], APP);
        // One that is there, one that is not, one that cannot be: told apart by nothing but the
        // name that the caller has given.
        let nowhere = "9".repeat(32);
        let mut answers = Vec::new();
        for app in [OTHER, made.id.as_str(), nowhere.as_str()] {
            for (method, rest, body) in [
                ("GET", "", None),
                ("GET", "/bans", None),
                ("GET", "/certificates", None),
                ("POST", "/tokens", Some(json!({ "user_id": "x" }))),
                ("POST", "/revocations", Some(json!({ "user_id": "x" }))),
                ("DELETE", "/users/x/data", None),
            ] {
                let path = format!("/api/v1/apps/{app}{rest}");
                let answer = key.call(world, method, &path, body.as_ref());
                expect_problem(&answer, 403, "app_not_permitted", None);
                let mut body = answer.json();
                body["request_id"] = Value::Null;
                answers.push(body.to_string().replace(app, "APP"));
            }
            let hosted = format!("/dev/v1/kicking-rule?appid={app}");
            let answer = key.call(world, "GET", &hosted, None);
            assert_eq!(answer.status, 403);
            answers.push(answer.json().to_string().replace(app, "APP"));
        }
        let third = answers.len() / 3;
        assert_eq!(answers[..third], answers[third..2 * third]);
        assert_eq!(answers[..third], answers[2 * third..]);
        // What limits it, it cannot change.
        let path = format!("/api/v1/apps/{APP}");
        let answer = key.call(world, "PATCH", &path, Some(&json!({ "settings": {} })));
        expect_problem(&answer, 403, "not_permitted", None);
        for path in ["/api/v1/keys", "/api/v1/audit", "/api/v1/stats"] {
            expect_problem(
                &key.call(world, "GET", path, None),
                403,
                "not_permitted",
                None,
            );
        }
        let answer = key.call(world, "GET", "/dev/v1/projects", None);
        assert_eq!(
            (answer.status, answer.json()["error_msg"].is_string()),
            (403, true)
        );
    });
}

// proves: rtm-rest-1.1-wrong
#[test]
fn credentials_that_are_none_are_refused() {
    worlds(|world| {
        let key = MadeKey::by(world, "admin", &[]);
        let other = MadeKey::by(world, "admin", &[]);
        let secret = other.text.rsplit('_').next().expect("a secret");
        let mixed = format!("Bearer tdk_{}_{secret}", key.id);
        let cases = [
            mixed.as_str(),
            "Bearer",
            "Bearer x",
            "Bearer tdk_aaaaaaaaaaaa_0",
            "Basic eA==",
            "Digest x",
        ];
        for header in cases {
            let call = Call::new("GET", "/api/v1/keys").header("Authorization", header);
            let answer = call.send(world.address);
            assert_eq!(answer.status, 401, "{header}: {}", answer.json());
            assert!(answer.header("www-authenticate").is_some());
        }
        let nothing = Call::new("GET", "/api/v1/keys").send(world.address);
        expect_problem(&nothing, 401, "no_credentials", None);
    });
}
