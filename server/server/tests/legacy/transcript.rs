//! The annotated transcript, frame by frame. Source: signaling 17.

use serde_json::json;

use crate::client::{Heard, Legacy, body};
use crate::common::{self, APP};

#[test]
fn two_users_talk_meet_and_call_as_in_the_transcript() {
    let server = common::start();
    let mut alice = Legacy::login(server.address(), "alice");
    alice.say(&json!(["set_flag", {"binary": 1}]));
    alice.say(&json!(["ping", 1]));
    assert_eq!(alice.frame(), json!(["pong", 1]));
    let answer = alice.poll(0);
    assert_eq!(
        (&answer["result"], &answer["msgs"]),
        (&json!("ok"), &json!([]))
    );
    let alice_base = answer["ver_clear"].as_u64().expect("a number");
    let mut bob = Legacy::login(server.address(), "bob");
    let bob_base = bob.poll(0)["ver_clear"].as_u64().expect("a number");

    // One instant message.
    assert_eq!(alice.send("bob", "hello bob"), json!({"result": "ok"}));
    let (version, line) = bob.pushed();
    assert_eq!(version, bob_base + 1);
    assert_eq!(
        (line.id, line.from.as_str(), line.to.as_str()),
        (None, "alice", "bob")
    );
    assert_eq!(
        (line.flag.as_str(), line.kind.as_str()),
        ("v1:E:3600", "instant")
    );
    assert_eq!(line.content, "hello bob");
    let answer = bob.poll(version);
    assert_eq!(
        (&answer["ver_clear"], &answer["msgs"]),
        (&json!(version), &json!([]))
    );

    // Both join a channel.
    let uid = |list: &serde_json::Value, at: usize| list[at][1].as_u64().expect("a uid");
    let joined = alice.call("channel_join", json!({"name": "room1"}));
    assert_eq!(
        (&joined["result"], &joined["attrs"]),
        (&json!("ok"), &json!({}))
    );
    let alice_uid = uid(&joined["list"], 0);
    assert_eq!(joined["list"], json!([["alice", alice_uid]]));
    let joined = bob.call("channel_join", json!({"name": "room1"}));
    let bob_uid = uid(&joined["list"], 1);
    assert_eq!(
        joined["list"],
        json!([["alice", alice_uid], ["bob", bob_uid]])
    );
    let (_, kind, event) = alice.event();
    assert_eq!(kind, "channel_user_join");
    assert_eq!(
        event,
        json!({"account": "bob", "uid": bob_uid, "channel": "room1"})
    );

    // One channel message, for its sender too.
    let sent = alice.call("channel_sendmsg", json!({"name": "room1", "msg": "hi all"}));
    assert_eq!(sent, json!({"result": "ok"}));
    let said = json!({"account": "alice", "uid": alice_uid, "msg": "hi all", "channel": "room1"});
    let (number, kind, event) = alice.event();
    assert_eq!((number, kind.as_str(), &event), (2, "channel_msg", &said));
    let (number, _, event) = bob.event();
    assert_eq!((number, &event), (1, &said));

    // An attribute is set, then deleted.
    let set = json!({"channel": "room1", "name": "topic", "value": "news"});
    assert_eq!(bob.call("channel_set_attr", set)["result"], "ok");
    for who in [&mut alice, &mut bob] {
        let (_, kind, event) = who.event();
        assert_eq!(kind, "channel_attr_update");
        let update = json!({"channel": "room1", "account": "bob", "uid": bob_uid, "type": "update",
            "name": "topic", "value": "news"});
        assert_eq!(event, update);
    }
    bob.call(
        "channel_del_attr",
        json!({"channel": "room1", "name": "topic"}),
    );
    let (_, _, event) = alice.event();
    assert_eq!(
        (&event["type"], &event["name"], &event["value"]),
        (&json!("del"), &json!("topic"), &json!(""))
    );
    bob.event();

    // Invitations: accepted, refused, cancelled.
    for (channel, decision, extra) in [
        ("call1", "voip_invite_accept", "{\"ok\":true}"),
        ("call2", "voip_invite_refuse", "busy"),
    ] {
        let invite =
            json!({"channelName": channel, "peer": "bob", "extra": "{\"media\":\"video\"}"});
        assert_eq!(alice.call("voip_invite", invite)["result"], "ok");
        let (_, line) = bob.pushed();
        assert_eq!(
            (line.kind.as_str(), line.flag.as_str()),
            ("voip_invite", "v1:E:30")
        );
        let content = body(&json!(line.content));
        assert_eq!(
            content,
            json!({"channel": channel, "peer": "alice",
            "extra": "{\"media\":\"video\"}", "peeruid": alice_uid})
        );
        bob.call(
            "voip_invite_ack",
            json!({"channelName": channel, "peer": "alice", "extra": ""}),
        );
        let (_, line) = alice.pushed();
        assert!(line.id.is_some(), "1.4.0 is told message ids");
        assert_eq!(
            (line.from.as_str(), line.kind.as_str()),
            ("bob", "voip_invite_ack")
        );
        let decided = json!({"channelName": channel, "peer": "alice", "extra": extra});
        assert_eq!(bob.call(decision, decided)["result"], "ok");
        let (_, line) = alice.pushed();
        let content = body(&json!(line.content));
        assert_eq!(line.kind, decision);
        assert_eq!(
            content,
            json!({"channel": channel, "peer": "bob", "extra": extra, "peeruid": bob_uid})
        );
    }
    alice.call(
        "voip_invite",
        json!({"channelName": "call3", "peer": "bob", "extra": ""}),
    );
    assert_eq!(bob.pushed().1.kind, "voip_invite");
    bob.call(
        "voip_invite_ack",
        json!({"channelName": "call3", "peer": "alice", "extra": ""}),
    );
    assert_eq!(alice.pushed().1.kind, "voip_invite_ack");
    alice.call(
        "voip_invite_bye",
        json!({"channelName": "call3", "peer": "bob", "extra": "bye_now"}),
    );
    let (last, line) = bob.pushed();
    assert_eq!(line.kind, "voip_invite_bye");
    assert_eq!(body(&json!(line.content))["extra"], "bye_now");

    // Versions are contiguous from the base: four lines of the calls, and one message before.
    assert!(alice_base > 0);
    assert_eq!(last, bob_base + 5);

    // Logout: others see the leave, the server closes.
    assert_eq!(
        alice.call("user_logout", json!({})),
        json!({"result": "ok"})
    );
    assert!(matches!(alice.next(), Heard::Closed(Some(1000), _)));
    let (_, kind, event) = bob.event();
    assert_eq!(kind, "channel_user_leave");
    assert_eq!(
        event,
        json!({"account": "alice", "uid": alice_uid, "channel": "room1"})
    );
    server.end();
}

#[test]
fn the_address_service_answers_both_families() {
    let server = common::start();
    for (path, first) in [
        ("/getaddr", format!("\"ws://test/legacy/{APP}\"")),
        ("/v14/getaddr", format!("\"ws://test/legacy/{APP}\"")),
        ("/v13/getaddr", format!("[\"test/legacy/{APP}?\",0]")),
    ] {
        let answer = common::get(server.address(), &format!("{path}?vid={APP}"));
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(
            answer
                .to_lowercase()
                .contains("access-control-allow-origin: *\r\n"),
            "{answer}"
        );
        let (_, text) = answer.split_once("\r\n\r\n").expect("a body");
        let list: serde_json::Value = serde_json::from_str(text).expect("JSON");
        let web = list["web"].as_array().expect("a list");
        assert!(web.len() >= 16);
        assert_eq!(web[0].to_string(), first);
    }
    server.end();
}
