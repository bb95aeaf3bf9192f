//! `/api/v1/apps`, certificates, tokens and revocations. Source: rest 12.

use serde_json::{Value, json};

use crate::office::{Made, MadeKey, expect, expect_problem, is_out};
use crate::world::{APP, CERTIFICATE, World, each, world};

// proves: rtm-rest-12-apps
#[test]
fn an_app_is_made_shown_changed_and_deleted() {
    for world in [world(1), world(4)] {
        let wish = json!({
            "name": "Classroom",
            "settings": { "inbox_messages_max": 5, "inbox_age_ms": "7d" },
            "rates": { "message": { "calls": 10, "window_ms": 1000 } },
        });
        let made = expect(&world.post("/api/v1/apps", &wish), 201);
        let id = made["id"].as_str().expect("an id");
        assert_eq!(made["certificate"].as_str().map(str::len), Some(32));
        let path = format!("/api/v1/apps/{id}");
        let shown = expect(&world.get(&path), 200);
        for (name, value) in [
            ("name", json!("Classroom")),
            ("enabled", json!(true)),
            ("source", json!("file")),
            ("banned", json!([])),
            (
                "set",
                json!(["inbox_age_ms", "inbox_messages_max", "message"]),
            ),
        ] {
            assert_eq!(shown[name], value, "{name}");
        }
        assert_eq!(shown["settings"]["inbox_age_ms"], 604_800_000);
        assert_eq!(shown["settings"]["keep_user_attributes"], false);
        assert_eq!(
            shown["rates"]["message"],
            json!({ "calls": 10, "window_ms": 1000 })
        );
        assert_eq!(shown["certificates"].as_array().map(Vec::len), Some(1));
        assert!(shown["created_ms"].is_u64());
        assert!(
            !shown
                .to_string()
                .contains(made["certificate"].as_str().expect("a text"))
        );
        changed_switched_off_and_deleted(world, &path);
    }
}

/// What becomes of the app of the test above.
fn changed_switched_off_and_deleted(world: &World, path: &str) {
    let patch = json!({
        "name": "Aula",
        "enabled": false,
        "settings": { "inbox_messages_max": null, "keep_user_attributes": true },
        "rates": { "message": null },
    });
    let after = expect(&world.call("PATCH", path, Some(&patch)), 200);
    assert_eq!(after["name"], "Aula");
    assert_eq!(after["enabled"], false);
    assert_eq!(
        after["set"],
        json!(["inbox_age_ms", "keep_user_attributes"])
    );
    assert_eq!(after["settings"]["inbox_messages_max"], 200);
    // One that is not served can still be seen and served again, but nothing else.
    expect(&world.get(path), 200);
    expect(&world.get(&format!("{path}/certificates")), 200);
    expect_problem(
        &world.get(&format!("{path}/bans")),
        404,
        "unknown_app",
        None,
    );
    expect(
        &world.call("PATCH", path, Some(&json!({ "enabled": true }))),
        200,
    );
    expect(&world.get(&format!("{path}/bans")), 200);
    let listed = expect(&world.get("/api/v1/apps?limit=1"), 200);
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1));
    assert!(listed["next"].is_string());
    let gone = world.call("DELETE", path, None);
    assert_eq!((gone.status, gone.body.len()), (204, 0));
    expect_problem(&world.get(path), 404, "unknown_app", None);
    expect_problem(&world.call("DELETE", path, None), 404, "unknown_app", None);
}

// proves: rtm-rest-12-apps-jwt
#[test]
fn json_web_tokens_and_services_are_set_and_secrets_only_counted() {
    let world = world(1);
    let made = Made::by(world);
    let secret = "a secret of at least thirty-two bytes";
    let patch = json!({ "services": ["backend"], "jwt": { "secrets": [secret], "leeway_s": 5 } });
    let answer = world.call("PATCH", &made.path(""), Some(&patch));
    let after = expect(&answer, 200);
    assert_eq!(after["services"], json!(["backend"]));
    assert_eq!(
        (&after["jwt"]["secrets"], &after["jwt"]["leeway_s"]),
        (&json!(1), &json!(5))
    );
    assert!(
        !String::from_utf8(answer.body)
            .expect("text")
            .contains(secret)
    );
    for (patch, field) in [
        (json!({ "jwt": { "secret": secret } }), "jwt.secret"),
        (json!({ "jwt": { "leeway_s": "long" } }), "jwt.leeway_s"),
        (json!({ "jwt": { "leeway_s": {} } }), "jwt.leeway_s"),
        (json!({ "services": ["\u{0}"] }), "services"),
        (json!({ "services": "backend" }), "services"),
    ] {
        let answer = world.call("PATCH", &made.path(""), Some(&patch));
        expect_problem(&answer, 400, "invalid_argument", Some(field));
        assert!(
            !String::from_utf8(answer.body)
                .expect("text")
                .contains(secret)
        );
    }
    let none = json!({ "services": [], "jwt": null });
    let after = expect(&world.call("PATCH", &made.path(""), Some(&none)), 200);
    assert_eq!(
        (&after["services"], &after["jwt"]),
        (&json!([]), &Value::Null)
    );
}

// proves: rtm-rest-12-apps-wrong
#[test]
fn wrong_values_of_apps_are_refused_and_nothing_changes() {
    let world = world(1);
    let made = Made::by(world);
    let before = expect(&world.get(&made.path("")), 200)["settings"].clone();
    for (patch, field) in [
        (
            json!({ "settings": { "inbox_messages": 5 } }),
            "settings.inbox_messages",
        ),
        (
            json!({ "settings": { "inbox_age_ms": 5, "inbox_messages_max": 7 } }),
            "settings.inbox_age_ms",
        ),
        (
            json!({ "settings": { "rate_limits": "yes" } }),
            "settings.rate_limits",
        ),
        (
            json!({ "settings": { "origins": ["chat.example"] } }),
            "settings.origins",
        ),
        (json!({ "settings": { "message": 5 } }), "settings.message"),
        (
            json!({ "settings": { "origins": { "a": null } } }),
            "settings.origins",
        ),
        (json!({ "rates": { "nothing": null } }), "rates.nothing"),
        (
            json!({ "rates": { "message": { "calls": 1, "window_ms": 0 } } }),
            "rates.message",
        ),
        (json!({ "rates": { "message": 5 } }), "rates.message"),
        (json!({ "settings": 5 }), "settings"),
        (json!({ "enabled": "no" }), "enabled"),
        (json!({ "name": "n".repeat(201) }), "name"),
        (json!({ "certificates": [] }), "certificates"),
    ] {
        let answer = world.call("PATCH", &made.path(""), Some(&patch));
        expect_problem(&answer, 400, "invalid_argument", Some(field));
    }
    assert_eq!(expect(&world.get(&made.path("")), 200)["settings"], before);
    for (wish, field) in [
        (json!({ "id": "short" }), "id"),
        (json!({ "certificate": "short" }), "certificate"),
        (json!({ "open": true, "certificate": CERTIFICATE }), "open"),
        (json!({ "apps": [] }), "apps"),
    ] {
        let answer = world.post("/api/v1/apps", &wish);
        expect_problem(&answer, 400, "invalid_argument", Some(field));
    }
    expect_problem(
        &world.post("/api/v1/apps", &json!({ "id": made.id })),
        409,
        "conflict",
        None,
    );
    // An app of an option is changed there.
    expect_problem(
        &world.post("/api/v1/apps", &json!({ "id": APP })),
        409,
        "conflict",
        None,
    );
    let path = format!("/api/v1/apps/{APP}");
    assert_eq!(expect(&world.get(&path), 200)["source"], "options");
    for method in ["PATCH", "DELETE"] {
        let answer = world.call(method, &path, Some(&json!({})));
        expect_problem(&answer, 409, "conflict", None);
    }
}

fn numbers(body: &Value) -> Vec<u64> {
    let items = body["items"].as_array().expect("a list");
    items
        .iter()
        .map(|item| item["number"].as_u64().expect("a number"))
        .collect()
}

// proves: rtm-rest-12-certificates
#[test]
fn certificates_are_rotated_and_their_sessions_end() {
    each(async |world: &World| {
        let made = Made::by(world);
        let (_alice, mut events) = made.login(world, "alice").await;
        let path = made.path("/certificates");
        let added = expect(&world.call("POST", &path, None), 201);
        assert_eq!(numbers(&added), [1, 2]);
        let text = added["certificate"]
            .as_str()
            .expect("shown once")
            .to_owned();
        let listed = world.get(&path);
        let list = expect(&listed, 200);
        assert_eq!(numbers(&list), [1, 2]);
        for item in list["items"].as_array().expect("a list") {
            assert_eq!(
                item.as_object().map(serde_json::Map::len),
                Some(3),
                "{item}"
            );
            assert!(item["added_ms"].is_u64() && item["age_ms"].is_u64());
        }
        let shown = String::from_utf8(listed.body).expect("text");
        assert!(!shown.contains(&text) && !shown.contains(&made.certificate));
        expect_problem(&world.call("POST", &path, None), 409, "conflict", None);
        expect_problem(
            &world.post(&path, &json!({ "certificate": "x" })),
            400,
            "invalid_argument",
            Some("certificate"),
        );
        // The old one signs again, and the new one stays good.
        expect(&world.call("POST", &format!("{path}/2/promote"), None), 200);
        made.login(world, "bob").await;
        expect_problem(
            &world.call("POST", &format!("{path}/3/promote"), None),
            404,
            "unknown_app",
            None,
        );
        expect_problem(
            &world.call("DELETE", &format!("{path}/x"), None),
            404,
            "unknown_certificate",
            None,
        );
        // The leaked one goes, with those whom it let in.
        let dropped = world.call("DELETE", &format!("{path}/1?disconnect=true"), None);
        assert_eq!(numbers(&expect(&dropped, 200)), [1]);
        is_out(&mut events).await;
        let (client, _) = made.client(world);
        assert!(
            client
                .login("carol", Some(&made.token("carol")))
                .await
                .is_err()
        );
        let renewed = Made {
            certificate: text,
            ..made
        };
        renewed.login(world, "carol").await;
        let last = world.call("DELETE", &format!("{path}/1"), None);
        expect_problem(&last, 409, "conflict", None);
    });
}

// proves: rtm-rest-12-tokens, rtm-rest-12-tokens-inspect, rtm-rest-12-revocations
#[test]
fn tokens_are_issued_where_that_is_enabled_inspected_and_revoked() {
    each(async |world: &World| {
        let made = Made::by(world);
        let (tokens, revocations) = (made.path("/tokens"), made.path("/revocations"));
        let wish = json!({ "user_id": "alice" });
        expect_problem(&world.post(&tokens, &wish), 403, "switched_off", None);
        let key = MadeKey::by(world, "app", &[&made.id]);
        let enable = json!({ "settings": { "issue_tokens": true } });
        let by_app = key.call(world, "PATCH", &made.path(""), Some(&enable));
        expect_problem(&by_app, 403, "not_permitted", None);
        expect(&world.call("PATCH", &made.path(""), Some(&enable)), 200);
        for format in ["007", "006"] {
            let wish = json!({ "user_id": "alice", "ttl": 600, "format": format });
            let issued = expect(&key.call(world, "POST", &tokens, Some(&wish)), 201);
            let token = issued["token"].as_str().expect("a token").to_owned();
            assert_eq!(issued["user_id"], "alice");
            assert!(issued["expires_ms"].is_u64());
            let look = json!({ "token": token, "user_id": "alice" });
            let inspect = || expect(&world.post(&made.path("/tokens/inspect"), &look), 200);
            assert_eq!(
                inspect()["check"],
                json!({ "verdict": "good", "user": "alice" })
            );
            assert_eq!(inspect()["format"], format);
            let (client, mut events) = made.client(world);
            client
                .login("alice", Some(&token))
                .await
                .expect("it lets alice in");
            let revoked = world.post(&revocations, &json!({ "token": token }));
            assert_eq!(revoked.status, 204);
            is_out(&mut events).await;
            assert_eq!(inspect()["check"]["verdict"], "revoked");
            let (again, _) = made.client(world);
            assert!(again.login("alice", Some(&token)).await.is_err());
        }
        wrong_wishes_are_refused(world, &tokens, &revocations);
        let foreign = crate::world::token("alice");
        for path in [made.path("/tokens/inspect"), revocations.clone()] {
            let answer = world.post(&path, &json!({ "token": foreign }));
            expect_problem(&answer, 400, "invalid_argument", Some("token"));
        }
        let token = made.token("bob");
        assert_eq!(
            world
                .post(&revocations, &json!({ "user_id": "bob" }))
                .status,
            204
        );
        let look = json!({ "token": token });
        let found = expect(&world.post(&made.path("/tokens/inspect"), &look), 200);
        assert_eq!(found["check"]["verdict"], "revoked");
    });
}

/// What nobody can mean, of tokens and of revocations.
fn wrong_wishes_are_refused(world: &World, tokens: &str, revocations: &str) {
    for (wish, field) in [
        (json!({ "user_id": "a", "ttl": 0 }), "ttl"),
        (json!({ "user_id": "a", "ttl": 86_401 }), "ttl"),
        (json!({ "user_id": "a", "ttl": "1h" }), "ttl"),
        (json!({ "user_id": "" }), "user_id"),
        (json!({ "user_id": "a", "format": "005" }), "format"),
        (json!({ "user_id": "a", "role": 1 }), "role"),
    ] {
        expect_problem(
            &world.post(tokens, &wish),
            400,
            "invalid_argument",
            Some(field),
        );
    }
    for (wish, code, field) in [
        (json!({}), "missing_field", "token"),
        (json!({ "token": "x" }), "invalid_argument", "token"),
        (
            json!({ "token": "x", "user_id": "a" }),
            "invalid_argument",
            "token",
        ),
        (
            json!({ "token": "x", "not_before": 5 }),
            "invalid_argument",
            "not_before",
        ),
        (
            json!({ "user_id": "a", "not_before": u64::MAX / 2 }),
            "invalid_argument",
            "not_before",
        ),
        (json!({ "user_id": "\u{0}" }), "invalid_argument", "user_id"),
    ] {
        expect_problem(&world.post(revocations, &wish), 400, code, Some(field));
    }
}
