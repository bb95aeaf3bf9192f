//! Texts and what is none, to those who are there and to those who are not.

use bytes::Bytes;
use serde_json::json;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{File, Image, Message, Raw, message};

use super::{Pair, Placement, assert_nothing_pushed, event, legacy_at, rtm_at, send, text, words};
use crate::client::{Legacy, Line};
use crate::common::{self, Client};

/// A message that is no text, of each kind.
pub(super) fn wordless() -> [Message; 3] {
    let file = File {
        media_id: "m1".into(),
        size: 1,
        ..File::default()
    };
    let image = Image {
        file: Some(file.clone()),
        ..Image::default()
    };
    let raw = Raw {
        data: Bytes::from_static(&[0]),
        ..Raw::default()
    };
    [
        message::Body::Raw(raw),
        message::Body::File(file),
        message::Body::Image(image),
    ]
    .map(|body| Message {
        body: Some(body),
        ..Message::default()
    })
}

#[test]
fn texts_go_both_ways() {
    let server = common::start();
    for placement in Placement::BOTH {
        let mut pair = Pair::meet(&server, placement);
        assert!(send(&mut pair.rtm, &pair.old, text("to the old"), false));
        let (_, line) = pair.legacy.pushed();
        assert_eq!(
            (line.from.as_str(), line.content.as_str()),
            (pair.new.as_str(), "to the old")
        );
        let call = pair.legacy.start(
            "user_sendmsg",
            json!({"peer": pair.new, "flag": "v1:E:3600", "t": "instant", "content": "to the new"}),
        );
        let Kind::PeerMessage(got) = event(&mut pair.rtm) else {
            panic!("no peer message");
        };
        assert_eq!(
            (got.from, words(got.message)),
            (pair.old, "to the new".into())
        );
        assert_eq!(pair.legacy.answer(call), json!({"result": "ok"}));
    }
    server.end();
}

#[test]
fn what_is_no_text_is_not_received_by_a_legacy_peer() {
    let server = common::start();
    for placement in Placement::BOTH {
        let mut pair = Pair::meet(&server, placement);
        for message in wordless() {
            let is_received = send(&mut pair.rtm, &pair.old, Some(message), false);
            assert!(!is_received, "{placement}");
        }
        assert_nothing_pushed(&mut pair.legacy);
        assert!(send(&mut pair.rtm, &pair.old, text("words"), false));
        assert_eq!(pair.legacy.pushed().1.content, "words");
    }
    server.end();
}

/// To RTM the flag says whether a text waits, from RTM the option of the message.
#[test]
fn texts_wait_for_an_absent_user_of_the_other_world() {
    let server = common::start();
    for placement in Placement::BOTH {
        let (old, new) = (format!("old-{placement}"), format!("new-{placement}"));
        let mut alice = Legacy::login(server.address(), &format!("alice-{placement}"));
        alice.poll(0);
        for (flag, content) in [("v1:L:0", "live"), ("v1:E:3600", "first")] {
            let args = json!({"peer": new, "flag": flag, "t": "instant", "content": content});
            let answer = alice.call("user_sendmsg", args);
            assert_eq!(answer["result"] == "ok", content != "live", "{answer}");
        }
        alice.send(&new, "second");
        let mut rtm = rtm_at(&server, placement, alice.hub, &new);
        for expected in ["first", "second"] {
            let Kind::PeerMessage(got) = event(&mut rtm) else {
                panic!("no peer message");
            };
            assert!(got.inbox > 0, "it was stored");
            assert_eq!(words(got.message), expected);
        }
        for (content, offline) in [("lost", false), ("third", true), ("fourth", true)] {
            let is_received = send(&mut rtm, &old, text(content), offline);
            assert!(!is_received, "nobody is there");
        }
        let hub = rtm.hub.expect("the handshake was ours");
        let connect = || Legacy::open(server.address(), &format!("/legacy/{}", common::APP));
        let open = super::placed(connect, |legacy: &Legacy| placement.suits(legacy.hub, hub));
        let mut legacy = open.logged_in(&old);
        let first = legacy.poll(0);
        let waiting = first["msgs"].as_array().expect("a list");
        let mut got: Vec<String> = (waiting.iter())
            .map(|item| Line::read(&item[1]).content)
            .collect();
        while got.len() < 2 {
            got.push(legacy.pushed().1.content);
        }
        assert_eq!(got, ["third", "fourth"], "{placement}");
    }
    server.end();
}

#[test]
fn messages_wait_for_an_absent_user() {
    let server = common::start();
    let mut alice = Legacy::login(server.address(), "alice");
    for n in 0..50 {
        assert_eq!(alice.send("bob", &format!("m{n}"))["result"], "ok");
    }
    let mut rtm = Client::login(server.address(), "carol");
    send(&mut rtm, "bob", text("m50"), true);
    let (mut bob, first) = Legacy::modern(server.address(), "bob");
    let mut got: Vec<String> = Vec::new();
    for item in first["msgs"].as_array().expect("a list") {
        got.push(Line::read(&item[1]).content);
    }
    while got.len() < 51 {
        got.push(bob.pushed().1.content);
    }
    let expected: Vec<String> = (0..=50).map(|n| format!("m{n}")).collect();
    assert_eq!(got, expected);
    // Nothing was acknowledged: a new login gets all of it again, under the same ids.
    bob.cut();
    let (mut bob, first) = Legacy::modern(server.address(), "bob");
    let mut again = first["msgs"].as_array().expect("a list").len();
    let mut version = first["ver_clear"].as_u64().expect("a number") + again as u64;
    while again < 51 {
        version = bob.pushed().0;
        again += 1;
    }
    bob.poll(version);
    bob.call("user_logout", json!({}));
    let (_, first) = Legacy::modern(server.address(), "bob");
    assert_eq!(first["msgs"], json!([]), "what was acknowledged is gone");
    server.end();
}

/// A thousand messages in one go, faster than the rate: held back, not refused, in order, none
/// twice.
#[test]
fn a_thousand_messages_arrive_once_and_in_order() {
    let server = common::start();
    let mut alice = Legacy::login(server.address(), "alice");
    let mut bob = legacy_at(&server, Placement::Different, alice.hub, "bob");
    for n in 0..1_000 {
        let content = n.to_string();
        alice.start(
            "user_sendmsg",
            json!({"peer": "bob", "flag": "v1:E:3600", "t": "instant", "content": content}),
        );
    }
    let mut last = None;
    for n in 0..1_000 {
        let (version, line) = bob.pushed();
        assert_eq!(line.content, n.to_string());
        assert!(last.is_none_or(|last| version == last + 1));
        last = Some(version);
        if n % 100 == 99 {
            bob.poll(version);
        }
    }
    server.end();
}
