//! Whatever a client sends, it gets an error in the wire's own form or a closed connection with a
//! reason.

use serde_json::{Value, json};
use tidings_wire::frame::encode_client;
use tidings_wire::proto::{
    ClientFrame, ClientMessage, Message, Request, SendToPeer, client_message, message, request,
};
use tidings_wire::ws::Opcode;

use crate::client::{Heard, Legacy};
use crate::common;

fn failed(reason: &str) -> Value {
    json!({"result": "failed", "reason": reason, "data": {"result": reason}})
}

#[test]
fn what_is_no_frame_closes_its_connection_only() {
    let server = common::start();
    let mut watcher = Legacy::login(server.address(), "watcher");
    let deep = format!("[\"ping\",{}{}]", "[".repeat(100), "]".repeat(100));
    let wide = format!("[\"ping\",[{}0]]", "0,".repeat(5_000));
    let bad = [
        "nonsense",
        "{}",
        "[\"call2\",[]]",
        "[1,2,3]",
        "[\"call2\",[\"f\",\"x\",{}]]",
        &deep,
        &wide,
    ];
    for (n, text) in bad.into_iter().enumerate() {
        let mut client = Legacy::login(server.address(), &format!("mallory{n}"));
        client.say_text(text);
        assert_eq!(client.frame()[0], "close", "{text}");
        assert!(
            matches!(client.next(), Heard::Closed(Some(1008), _)),
            "{text}"
        );
    }
    watcher.say(&json!(["ping", 7]));
    assert_eq!(watcher.frame(), json!(["pong", 7]));
    server.end();
}

#[test]
fn calls_need_a_login_and_its_own_line() {
    let server = common::start();
    let mut fresh = Legacy::open(server.address(), "/");
    assert_eq!(
        fresh.call("user_getmsg", json!({"ver_clear": 0})),
        failed("wrong line")
    );
    let alice = Legacy::login(server.address(), "alice");
    let mut bob = Legacy::login(server.address(), "bob");
    bob.line = alice.line.clone();
    assert_eq!(bob.poll(0), failed("wrong line"));
    server.end();
}

#[test]
fn wrong_arguments_have_their_words() {
    let server = common::start();
    let mut alice = Legacy::login(server.address(), "alice");
    let long = "x".repeat(9_000);
    let cases = [
        ("no_such_function", json!({}), "unknown"),
        (
            "user_sendmsg",
            json!({"peer": "a b", "content": "x"}),
            "wrong param",
        ),
        (
            "user_sendmsg",
            json!({"peer": "bob", "flag": "v1:Z:1", "content": "x"}),
            "wrong msg lvl",
        ),
        (
            "user_sendmsg",
            json!({"peer": "bob", "content": long}),
            "too large",
        ),
        ("channel_join", json!({"name": ""}), "wrong param"),
        ("channel_join", json!({"name": "a\nb"}), "wrong param"),
        (
            "channel_sendmsg",
            json!({"name": "room", "msg": "x"}),
            "not in channel",
        ),
        (
            "channel_set_attr",
            json!({"channel": "room", "name": "a", "value": "b"}),
            "not in channel",
        ),
        (
            "voip_invite_accept",
            json!({"channelName": "c", "peer": "bob"}),
            "no invite",
        ),
        (
            "voip_invite_phone",
            json!({"channelName": "c", "peer": "123"}),
            "no phone gateway",
        ),
        (
            "user_set_attr",
            json!({"name": "", "value": "b"}),
            "wrong param",
        ),
    ];
    for (function, args, reason) in cases {
        assert_eq!(alice.call(function, args), failed(reason), "{function}");
    }
    server.end();
}

#[test]
fn a_login_is_refused_in_words_that_clients_know() {
    let server = common::start();
    for (account, reason) in [
        (json!("a b"), "wrong account"),
        (json!(null), "wrong account"),
        (json!([1]), "wrong account"),
    ] {
        let mut client = Legacy::open(server.address(), "/");
        let body = client.log_in(&account, "");
        assert_eq!(
            (&body["result"], &body["reason"]),
            (&json!("failed"), &json!(reason))
        );
        assert!(matches!(client.next(), Heard::Closed(..)));
    }
    let mut client = Legacy::open(server.address(), "/legacy/short");
    client.say(&json!(["login", {"account": "alice"}]));
    assert!(
        client.frame()[1][1]
            .as_str()
            .is_some_and(|text| text.contains("wrong vid"))
    );
    server.end();
}

/// The translator holds a legacy client's rates and rules: a native frame must not get past it.
#[test]
fn a_native_frame_of_a_legacy_client_is_not_taken() {
    let server = common::start();
    let mut bob = Legacy::login(server.address(), "bob");
    bob.poll(0);
    let text = message::Body::Text(b"past the translator".as_slice().into());
    let frame = encode_client(&ClientFrame {
        messages: vec![ClientMessage {
            kind: Some(client_message::Kind::Request(Request {
                cseq: 1,
                call: Some(request::Call::SendToPeer(SendToPeer {
                    peer_id: "bob".into(),
                    message: Some(Message {
                        body: Some(text),
                        ..Message::default()
                    }),
                    ..SendToPeer::default()
                })),
            })),
        }],
        confirm: 0,
    });
    let mut mallory = Legacy::login(server.address(), "mallory");
    mallory.say_bytes(Opcode::Binary, &frame);
    assert_eq!(mallory.frame()[0], "close");
    assert!(matches!(mallory.next(), Heard::Closed(Some(1008), _)));
    bob.say(&json!(["ping", 1]));
    assert_eq!(bob.frame(), json!(["pong", 1]), "nothing came before");
    server.end();
}
