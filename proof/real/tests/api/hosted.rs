//! Messages of the hosted service's paths. Source: rest 2, 11.1.

use serde_json::{Value, json};
use tidings_client::{ClientEvent, Events, Message};

use crate::http::Call;
use crate::world::{APP, KEY_ID, OTHER, SECRET, World, basic, each, keyed, token, world};

fn users(app: &str, user: &str, rest: &str) -> String {
    format!("/dev/v2/project/{app}/rtm/users/{user}/{rest}")
}

/// Compares a reply with what the documentation shows, whatever its id.
fn expect_success(answer: &crate::http::Answer, code: &str) {
    let body = answer.json();
    let id = body["request_id"].as_str().unwrap_or_default();
    assert!(!id.is_empty(), "{body}");
    let expected = json!({ "result": "success", "request_id": id, "code": code });
    assert_eq!((answer.status, &body), (200, &expected));
    assert_eq!(answer.header("x-request-id"), Some(id));
    let kind = answer.header("content-type");
    assert_eq!(kind, Some("application/json;charset=utf-8"));
}

fn expect_failure(answer: &crate::http::Answer, status: u16, code: &str) -> Value {
    let body = answer.json();
    assert_eq!(answer.status, status, "{body}");
    assert_eq!(body["result"], "failed", "{body}");
    assert_eq!(body["code"], code, "{body}");
    assert!(
        body["reason"].is_string() && body["request_id"].is_string(),
        "{body}"
    );
    body
}

async fn next_text(events: &mut Events) -> (String, String) {
    loop {
        match events.next().await.expect("an event") {
            ClientEvent::PeerMessage { from, message, .. }
            | ClientEvent::ChannelMessage { from, message, .. } => {
                return (from.to_string(), text(&message));
            }
            _ => {}
        }
    }
}

fn text(message: &Message) -> String {
    match message {
        Message::Text(text) => text.clone(),
        other => panic!("no text: {other:?}"),
    }
}

// proves: rtm-rest-1-reply, rtm-rest-1-user, rtm-rest-2.1-sent, rtm-rest-2.1-ack
#[test]
fn a_peer_message_reaches_who_is_there() {
    each(async |world: &World| {
        let (_bob, mut events) = world.login("bob-there").await;
        for (name, wait, code) in [
            ("peer_messages", "true", "message_delivered"),
            ("peer_message", "true", "message_delivered"),
            ("peer_messages", "false", "message_sent"),
        ] {
            let path = users(APP, "backend%20one", &format!("{name}?wait_for_ack={wait}"));
            let body = json!({
                "destination": "bob-there",
                "enable_offline_messaging": false,
                "enable_historical_messaging": false,
                "payload": format!("hello \u{e9} {name}"),
            });
            let (path, at) = (path.clone(), world.address);
            let call = tokio::task::spawn_blocking(move || {
                keyed(Call::new("POST", &path)).json(&body).send(at)
            });
            let (from, text) = next_text(&mut events).await;
            assert_eq!(
                (from.as_str(), text),
                ("backend one", format!("hello \u{e9} {name}"))
            );
            expect_success(&call.await.expect("an answer"), code);
        }
    });
}

// proves: rtm-rest-2.1-offline, rtm-rest-2.1-stored
#[test]
fn a_peer_message_to_nobody_is_offline_or_stored() {
    each(async |world: &World| {
        let path = users(APP, "backend", "peer_messages?wait_for_ack=true");
        let body = json!({ "destination": "nobody-here", "payload": "lost" });
        expect_success(&world.post(&path, &body), "message_offline");
        let body = json!({
            "destination": "later", "payload": "kept", "enable_offline_messaging": true,
        });
        expect_success(&world.post(&path, &body), "message_offline");
        let sent = users(APP, "backend", "peer_messages");
        let body = json!({
            "destination": "later", "payload": "kept too", "enable_offline_messaging": true,
        });
        expect_success(&world.post(&sent, &body), "message_sent");
        let (_later, mut events) = world.login("later").await;
        assert_eq!(next_text(&mut events).await.1, "kept");
        assert_eq!(next_text(&mut events).await.1, "kept too");
    });
}

// proves: rtm-rest-1-reply, rtm-rest-2.2-sent, rtm-rest-2.2-code
#[test]
fn a_channel_message_reaches_members_from_who_is_none() {
    each(async |world: &World| {
        let (carol, mut events) = world.login("carol").await;
        let room = carol.channel("room one");
        room.join().await.expect("joined");
        for name in ["channel_messages", "channel_message"] {
            let body = json!({
                "channel_name": "room one",
                "enable_historical_messaging": false,
                "payload": name,
            });
            let answer = world.post(&users(APP, "backend", name), &body);
            expect_success(&answer, "message_sent");
            assert_eq!(
                next_text(&mut events).await,
                ("backend".into(), name.into())
            );
        }
    });
}

// proves: rtm-rest-1.1-ways, rtm-rest-1.1-any-good, rtm-rest-1.1-own-user, rtm-rest-1.1-wrong
// proves: rtm-rest-9-failed
#[test]
fn credentials_are_judged_before_anything_else() {
    let world = world(1);
    let path = users(APP, "dora", "peer_messages?wait_for_ack=true");
    let body = json!({ "destination": "nobody", "payload": "a" });
    let call = |headers: &[(&str, &str)]| {
        let call = Call::new("POST", &path).json(&body);
        let call = headers
            .iter()
            .fold(call, |call, (name, value)| call.header(name, value));
        call.send(world.address)
    };
    let none = call(&[]);
    expect_failure(&none, 401, "no_credentials");
    assert!(none.header("www-authenticate").is_some());
    let wrong = basic(KEY_ID, "wrong");
    expect_failure(&call(&[("Authorization", &wrong)]), 401, "invalid_key");
    expect_failure(&call(&[("Authorization", "Basic !!")]), 401, "invalid_key");
    expect_failure(&call(&[("Authorization", "Digest x")]), 401, "invalid_key");
    let good = format!("Bearer tdk_{KEY_ID}_{SECRET}");
    expect_success(&call(&[("Authorization", &good)]), "message_offline");
    let (dora, eve) = (token("dora"), token("eve"));
    let of = |uid: &str, token: &str| call(&[("x-agora-token", token), ("x-agora-uid", uid)]);
    expect_success(&of("dora", &dora), "message_offline");
    expect_failure(&of("dora", &eve), 401, "invalid_token");
    expect_failure(&of("eve", &eve), 403, "not_permitted");
    let named = format!("agora token={dora}");
    expect_success(&call(&[("Authorization", &named)]), "message_offline");
    // All three at once, of which one is good.
    let all = [
        ("Authorization", wrong.as_str()),
        ("x-agora-token", dora.as_str()),
        ("x-agora-uid", "dora"),
    ];
    expect_success(&call(&all), "message_offline");
    let foreign = users(OTHER, "dora", "peer_messages");
    let call = Call::new("POST", &foreign).json(&body);
    let call = call
        .header("x-agora-token", &dora)
        .header("x-agora-uid", "dora");
    expect_failure(&call.send(world.address), 401, "invalid_token");
}

// proves: rtm-rest-1-user, rtm-rest-9-400, rtm-rest-9-failed, rtm-rest-9-403, rtm-rest-9-404
// proves: rtm-rest-9-415, rtm-rest-11.1-payload
#[test]
fn each_wrong_input_has_its_answer() {
    let world = world(1);
    let peer = users(APP, "backend", "peer_messages");
    let long = "x".repeat(32_769);
    let good = json!({ "destination": "a", "payload": "b" });
    let cases: Vec<(String, Vec<u8>, u16, &str)> = vec![
        (peer.clone(), b"{}".to_vec(), 400, "missing_field"),
        (peer.clone(), b"[]".to_vec(), 400, "invalid_argument"),
        (peer.clone(), b"".to_vec(), 400, "invalid_argument"),
        (
            peer.clone(),
            b"{\"destination\":\"a\",\"payload\":\"\xff\"}".to_vec(),
            400,
            "invalid_argument",
        ),
        (
            peer.clone(),
            br#"{"destination":"a","payload":"\ud800"}"#.to_vec(),
            400,
            "invalid_argument",
        ),
        (
            peer.clone(),
            br#"{"destination":5,"payload":"b"}"#.to_vec(),
            400,
            "invalid_argument",
        ),
        (
            peer.clone(),
            br#"{"destination":"a","payload":"b","payload":"c"}"#.to_vec(),
            400,
            "invalid_argument",
        ),
        (
            peer.clone(),
            br#"{"destination":"a","payload":"b","x":1}"#.to_vec(),
            400,
            "invalid_argument",
        ),
        (
            peer.clone(),
            br#"{"destination":"a","payload":""}"#.to_vec(),
            400,
            "invalid_argument",
        ),
        (
            peer.clone(),
            br#"{"destination":"","payload":"b"}"#.to_vec(),
            400,
            "invalid_argument",
        ),
        (
            peer.clone(),
            br#"{"destination":"a","payload":"b","enable_offline_messaging":"yes"}"#.to_vec(),
            400,
            "invalid_argument",
        ),
        (
            peer.clone(),
            json!({ "destination": "a", "payload": long })
                .to_string()
                .into(),
            400,
            "invalid_argument",
        ),
        (peer.clone(), vec![b' '; 64 * 1024 + 1], 413, "too_large"),
        (
            format!("{peer}?wait_for_ack=maybe"),
            good.to_string().into(),
            400,
            "invalid_argument",
        ),
        (
            format!("{peer}?wait=true"),
            good.to_string().into(),
            400,
            "invalid_argument",
        ),
        (
            format!("{peer}?wait_for_ack=true&wait_for_ack=true"),
            good.to_string().into(),
            400,
            "invalid_argument",
        ),
        (
            users(APP, "%ff", "peer_messages"),
            good.to_string().into(),
            400,
            "invalid_argument",
        ),
        (
            users(APP, "%20a", "peer_messages"),
            good.to_string().into(),
            400,
            "invalid_argument",
        ),
        (
            users(APP, &"a".repeat(129), "peer_messages"),
            good.to_string().into(),
            400,
            "invalid_argument",
        ),
        (
            users("nobodys-app", "a", "peer_messages"),
            good.to_string().into(),
            403,
            "app_not_permitted",
        ),
        (
            users(&"f".repeat(32), "a", "peer_messages"),
            good.to_string().into(),
            403,
            "unknown_app",
        ),
        (
            users(APP, "a", "other_messages"),
            good.to_string().into(),
            404,
            "unknown_path",
        ),
    ];
    for (path, body, status, code) in cases {
        let call = keyed(Call::new("POST", &path)).raw(body.clone());
        let call = call.header("Content-Type", "application/json");
        let shown = String::from_utf8_lossy(&body)
            .chars()
            .take(80)
            .collect::<String>();
        println!("{path} {shown}");
        expect_failure(&call.send(world.address), status, code);
    }
    let get = keyed(Call::new("GET", &peer)).send(world.address);
    expect_failure(&get, 405, "method_not_allowed");
    for kind in [
        "text/plain",
        "application/json; charset=latin1",
        "application/x-www-form-urlencoded",
    ] {
        let call = keyed(Call::new("POST", &peer)).raw(good.to_string());
        let call = call.header("Content-Type", kind);
        expect_failure(&call.send(world.address), 415, "unsupported_media_type");
    }
}
