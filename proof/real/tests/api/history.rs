//! History of 1.x, and messages and history of 2.x. Source: rest 4, 5, 11.2.

use serde_json::{Value, json};
use tidings_client::ClientEvent;

use crate::http::Call;
use crate::v1::good;
use crate::world::{APP, OTHER, World, each, keyed, world};

fn v1(rest: &str) -> String {
    format!("/dev/v2/project/{APP}/rtm/{rest}")
}

fn send(world: &World, from: &str, rest: &str, body: Value) {
    let answer = world.post(&v1(&format!("users/{from}/{rest}")), &body);
    assert_eq!(answer.status, 200, "{}", answer.json());
}

fn query(world: &World, filter: Value) -> Vec<Value> {
    let mut body = json!({ "filter": filter, "offset": 0, "limit": 20, "order": "asc" });
    body["filter"]["start_time"] = json!("2020-01-01T00:00:00Z");
    body["filter"]["end_time"] = json!("2090-01-01T00:00:00.000+02:00");
    let told = good(&world.post(&v1("message/history/query"), &body));
    assert_eq!(told["result"], "success");
    assert_eq!(
        (&told["offset"], &told["limit"], &told["order"]),
        (&json!(0), &json!(20), &json!("asc"))
    );
    let location = told["location"].as_str().expect("a location");
    let handle = location
        .strip_prefix("~/rtm/message/history/query/")
        .expect("the path");
    let found = good(&world.get(&v1(&format!("message/history/query/{handle}"))));
    assert_eq!(
        (&found["result"], &found["code"]),
        (&json!("success"), &json!("ok"))
    );
    found["messages"].as_array().expect("a list").clone()
}

// proves: rtm-rest-4-kept, rtm-rest-4-query, rtm-rest-4-found, rtm-rest-4-message
// proves: rtm-rest-4-count
#[test]
fn a_query_of_the_history_finds_by_source_and_destination() {
    each(async |world: &World| {
        let kept = |to: &str, text: &str| json!({ "destination": to, "payload": text, "enable_historical_messaging": true });
        let told = |room: &str, text: &str| json!({ "channel_name": room, "payload": text, "enable_historical_messaging": true });
        send(world, "ida", "peer_messages", kept("jon", "to jon"));
        send(world, "jon", "peer_messages", kept("ida", "to ida"));
        send(world, "ida", "channel_messages", told("archive", "to all"));
        let lost = json!({ "destination": "jon", "payload": "not kept" });
        send(world, "ida", "peer_messages", lost);
        let texts = |filter: Value| -> Vec<String> {
            let found = query(world, filter);
            found
                .iter()
                .map(|one| one["payload"].as_str().expect("text").to_owned())
                .collect()
        };
        assert_eq!(
            texts(json!({ "source": "ida", "destination": "jon" })),
            ["to jon"]
        );
        assert_eq!(texts(json!({ "destination": "jon" })), ["to jon"]);
        assert_eq!(texts(json!({ "destination": "archive" })), ["to all"]);
        assert_eq!(
            texts(json!({ "source": "ida", "destination": "archive" })),
            ["to all"]
        );
        assert_eq!(texts(json!({ "source": "ida" })), ["to jon", "to all"]);
        assert!(texts(json!({ "source": "archive", "destination": "ida" })).is_empty());
        let one = &query(world, json!({ "source": "ida", "destination": "jon" }))[0];
        assert_eq!((&one["src"], &one["dst"]), (&json!("ida"), &json!("jon")));
        assert_eq!(one["message_type"], "peer_message");
        assert!(one["ms"].is_u64());
        let all = query(world, json!({ "destination": "archive" }));
        assert_eq!(all[0]["message_type"], "channel_message");
        // Callers have copied the quotes of an example.
        let rest = "message/history/count?source=%22ida%22&destination=%22jon%22\
            &start_time=2020-01-01T00:00:00Z&end_time=2090-01-01T00:00:00Z";
        assert_eq!(good(&world.get(&v1(rest)))["count"], 1);
    });
}

// proves: rtm-rest-4-handle, rtm-rest-4-wrong
#[test]
fn a_handle_of_another_app_is_gone_and_wrong_queries_are_told() {
    let world = world(1);
    let body = json!({ "filter": {
        "source": "a", "start_time": "2020-01-01T00:00:00Z", "end_time": "2021-01-01T00:00:00Z",
    }});
    let told = good(&world.post(&v1("message/history/query"), &body));
    let handle = told["location"]
        .as_str()
        .expect("a location")
        .rsplit('/')
        .next()
        .expect("it");
    let other = format!("/dev/v2/project/{OTHER}/rtm/message/history/query/{handle}");
    assert_eq!(world.get(&other).status, 410);
    assert_eq!(
        world.get(&v1("message/history/query/123456123456")).status,
        410
    );
    for (filter, reason) in [
        (
            json!({ "start_time": "2020-01-01T00:00:00Z", "end_time": "2021-01-01T00:00:00Z" }),
            "missing",
        ),
        (
            json!({ "source": "a", "start_time": "soon", "end_time": "2021-01-01T00:00:00Z" }),
            "no time",
        ),
        (
            json!({ "source": "a", "start_time": "2022-01-01T00:00:00Z", "end_time": "2021-01-01T00:00:00Z" }),
            "before",
        ),
        (json!({ "source": "a" }), "missing"),
    ] {
        let answer = world.post(&v1("message/history/query"), &json!({ "filter": filter }));
        let told = answer.json();
        assert_eq!(answer.status, 400, "{told}");
        assert!(
            told["reason"]
                .as_str()
                .is_some_and(|text| text.contains(reason)),
            "{told}"
        );
    }
}

fn v2(call: &str, user: &str, kind: &str, channel: &str, query: &str) -> String {
    format!("/rtm/v2/{call}/{APP}/userId/{user}/channelType/{kind}/channel/{channel}{query}")
}

// proves: rtm-rest-5-publish, rtm-rest-5-envelope, rtm-rest-5-user, rtm-rest-5-history
// proves: rtm-rest-5-wrong
#[test]
fn messages_of_2x_are_published_and_read() {
    each(async |world: &World| {
        let (kim, mut events) = world.login("kim").await;
        kim.channel("stage").join().await.expect("joined");
        let at = v2(
            "publish",
            "host",
            "message",
            "stage",
            "?storeInHistory=true&customType=cue",
        );
        let call = keyed(Call::new("POST", &at))
            .header("Content-Type", "text/html")
            .raw("<b>go</b>");
        let told = good(&call.send(world.address));
        let id = told["requestId"].as_str().unwrap_or_default();
        assert!(!id.is_empty() && told["timestamp"].is_u64());
        let expected = json!({
            "errorCode": 200, "error": false, "requestId": id, "operation": "publish", "reason": "",
            "timestamp": told["timestamp"],
            "data": { "channelName": "stage", "channelType": "message" },
        });
        assert_eq!(told, expected);
        loop {
            if let Some(ClientEvent::ChannelMessage { from, .. }) = events.next().await {
                assert_eq!(from, "host");
                break;
            }
        }
        let at = v2(
            "history",
            "host",
            "message",
            "stage",
            "?start=0&end=0&messageCount=10",
        );
        let told = good(&world.get(&at));
        assert_eq!(
            (&told["operation"], &told["error"]),
            (&json!("getMessage"), &json!(false))
        );
        let one = &told["data"]["messageList"][0];
        assert_eq!(
            (&told["data"]["count"], &told["data"]["newStart"]),
            (&json!(1), &json!(0))
        );
        assert_eq!(
            (&one["messageType"], &one["message"]),
            (&json!("STRING"), &json!("<b>go</b>"))
        );
        assert_eq!(
            (&one["customType"], &one["publisher"]),
            (&json!("cue"), &json!("host"))
        );
        let at = v2("publish", "host", "user", "kim", "");
        let call = keyed(Call::new("POST", &at)).raw("psst");
        assert_eq!(
            good(&call.send(world.address))["data"]["channelType"],
            "user"
        );
        for (at, body) in [
            (v2("publish", "host", "video", "stage", ""), "x"),
            (
                v2("publish", "host", "message", "stage", "?customType=a%20b"),
                "x",
            ),
            (v2("publish", "host", "message", "stage", ""), ""),
        ] {
            let answer = keyed(Call::new("POST", &at)).raw(body).send(world.address);
            let told = answer.json();
            assert_eq!(answer.status, 400, "{told}");
            assert_eq!(
                (&told["error"], &told["errorCode"], &told["data"]),
                (&json!(true), &json!(400), &json!(null))
            );
            assert!(told["reason"].is_string() && told["requestId"].is_string());
        }
    });
}

// proves: rtm-rest-12-openapi
#[test]
fn the_description_is_there_without_a_key_and_compressed() {
    let world = world(1);
    let plain = Call::new("GET", "/api/v1/openapi.json").send(world.address);
    let told = good(&plain);
    assert_eq!(told["openapi"], "3.1.0");
    let call = Call::new("GET", "/api/v1/openapi.json").header("Accept-Encoding", "gzip");
    let packed = call.send(world.api);
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert!(packed.body.len() * 3 < plain.body.len());
    let version = Call::new("GET", "/api/v1/version").send(world.address);
    assert_eq!(good(&version)["name"], "tidings");
}
