//! The Python package `agora-signaling-sdk` 1.0.2, as it was seen against this server: what it
//! sends, in its order, and what has to come for its callbacks to run. It takes instant messages
//! and invitations from answers to polls only, and polls when it is told that there is something.

use serde_json::{Value, json};

use crate::client::{Legacy, Line};
use crate::common;

/// Waits to be told that there is something, polls as the package does, and gives the lines.
fn collect(client: &mut Legacy, cursor: &mut u64) -> Vec<Line> {
    let frame = client.frame();
    assert_eq!(
        (&frame[0], &frame[1][0]),
        (&json!("notify"), &json!("msg")),
        "{frame}"
    );
    let answer = client.poll(*cursor);
    // The answer's cursor, then each message's version: the package has no other memory.
    *cursor = answer["ver_clear"].as_u64().expect("a number");
    let mut lines = Vec::new();
    for message in answer["msgs"].as_array().expect("a list") {
        *cursor = message[0].as_u64().expect("a version");
        lines.push(Line::read(&message[1]));
    }
    lines
}

/// One message, and the empty answer that acknowledges it.
fn one(client: &mut Legacy, cursor: &mut u64) -> Line {
    let mut lines = collect(client, cursor);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(collect(client, cursor), [], "acknowledged");
    lines.remove(0)
}

/// What a line of a call says of the call.
fn call_of(line: &Line) -> (&str, Value) {
    (
        &line.kind,
        serde_json::from_str(&line.content).expect("JSON"),
    )
}

/// Two of them, after the poll that follows their login.
fn two(server: &common::TestServer) -> [(Legacy, u64); 2] {
    ["pyalice", "pybob"].map(|account| {
        let mut client = Legacy::python(server.address(), account);
        let answer = client.poll(0);
        assert_eq!(answer["msgs"], json!([]));
        (client, answer["ver_clear"].as_u64().expect("a number"))
    })
}

#[test]
fn messages_and_a_channel() {
    let server = common::start();
    let [(mut alice, _), (mut bob, mut bobs)] = two(&server);
    let month =
        json!({"peer": "pybob", "flag": "v1:E:2592000", "t": "instant", "content": "hello bob"});
    assert_eq!(alice.call("user_sendmsg", month), json!({"result": "ok"}));
    let line = one(&mut bob, &mut bobs);
    assert_eq!(
        (line.from.as_str(), line.kind.as_str()),
        ("pyalice", "instant")
    );
    assert_eq!((line.id, line.content.as_str()), (None, "hello bob"));

    // Channels are pushed to it as to everybody: that form it can read.
    assert_eq!(
        alice.call("channel_join", json!({"name": "room"}))["attrs"],
        json!({})
    );
    assert_eq!(
        bob.call("channel_join", json!({"name": "room"}))["result"],
        "ok"
    );
    assert_eq!(alice.event().1, "channel_user_join");
    alice.call("channel_sendmsg", json!({"name": "room", "msg": "hi all"}));
    for member in [&mut alice, &mut bob] {
        let (_, kind, event) = member.event();
        assert_eq!(
            (kind.as_str(), &event["msg"]),
            ("channel_msg", &json!("hi all"))
        );
    }
    alice.call(
        "channel_set_attr",
        json!({"channel": "room", "name": "topic", "value": "news"}),
    );
    let (_, kind, event) = bob.event();
    assert_eq!(
        (kind.as_str(), &event["value"]),
        ("channel_attr_update", &json!("news"))
    );
    let status = bob.call("user_query_user_status", json!({"account": "pyalice"}));
    assert_eq!(status["status"], 1);

    // What it may not do, and what there is not, has a `reason`, which the package looks for.
    let outside = json!({"name": "elsewhere", "msg": "x", "force": true});
    assert_eq!(
        alice.call("channel_sendmsg", outside)["reason"],
        "not allowed"
    );
    let broadcast = json!({"package": "io.agora.media.bc", "func": "f", "args": "a", "callid": ""});
    assert_eq!(alice.call("user_ext_call", broadcast)["reason"], "unknown");
    server.end();
}

#[test]
fn a_call_from_its_ring_to_its_end_and_one_that_is_refused() {
    let server = common::start();
    let [(mut alice, mut alices), (mut bob, mut bobs)] = two(&server);
    let to_bob = |channel: &str| json!({"channelName": channel, "peer": "pybob", "extra": "{}"});
    let to_alice =
        |channel: &str| json!({"channelName": channel, "peer": "pyalice", "extra": "{}"});

    for (channel, decision) in [
        ("call1", "voip_invite_accept"),
        ("call2", "voip_invite_refuse"),
    ] {
        assert_eq!(alice.call("voip_invite", to_bob(channel))["result"], "ok");
        let line = one(&mut bob, &mut bobs);
        let (kind, invitation) = call_of(&line);
        assert_eq!(kind, "voip_invite");
        // It looks for all four; `channel` and `peer` together are how it finds a call again.
        assert_eq!(
            (
                &invitation["channel"],
                &invitation["peer"],
                &invitation["extra"]
            ),
            (&json!(channel), &json!("pyalice"), &json!("{}"))
        );
        assert!(invitation["peeruid"].is_u64(), "{invitation}");
        bob.call("voip_invite_ack", to_alice(channel));
        assert_eq!(call_of(&one(&mut alice, &mut alices)).0, "voip_invite_ack");
        bob.call(decision, to_alice(channel));
        let line = one(&mut alice, &mut alices);
        let (kind, answer) = call_of(&line);
        assert_eq!((kind, &answer["peer"]), (decision, &json!("pybob")));
        if decision == "voip_invite_accept" {
            assert_eq!(
                alice.call("voip_invite_bye", to_bob(channel))["result"],
                "ok"
            );
            assert_eq!(call_of(&one(&mut bob, &mut bobs)).0, "voip_invite_bye");
        }
    }
    server.end();
}

#[test]
fn what_came_before_a_login_is_there_at_its_first_poll_and_a_logout_acknowledges() {
    let server = common::start();
    let mut alice = Legacy::python(server.address(), "pyalice");
    for n in 0..35 {
        assert_eq!(alice.send("pybob", &n.to_string())["result"], "ok");
    }
    let mut bob = Legacy::python(server.address(), "pybob");
    let first = bob.poll(0);
    let mut cursor = first["ver_clear"].as_u64().expect("a number");
    let mut texts: Vec<String> = Vec::new();
    for message in first["msgs"].as_array().expect("a list") {
        cursor = message[0].as_u64().expect("a version");
        texts.push(Line::read(&message[1]).content);
    }
    if texts.is_empty() {
        // It has asked before the store had answered, and is told when there is something.
        let lines = collect(&mut bob, &mut cursor).into_iter();
        texts.extend(lines.map(|line| line.content));
    }
    assert_eq!(texts.len(), 30, "as many as it asks for");
    // It does not ask for the rest: its flag says that it is polling still.
    texts.extend(
        collect(&mut bob, &mut cursor)
            .into_iter()
            .map(|line| line.content),
    );
    assert_eq!(texts, (0..35).map(|n| n.to_string()).collect::<Vec<_>>());
    // Its logout polls first, and does not wait for the answer.
    bob.start("user_getmsg", json!({"ver_clear": cursor, "max": 30}));
    assert_eq!(bob.call("user_logout", json!({}))["result"], "ok");
    let mut again = Legacy::python(server.address(), "pybob");
    assert_eq!(again.poll(0)["msgs"], json!([]), "nothing comes twice");
    server.end();
}
