//! What waits for an absent account, and for how long. Source: signaling 6.5, 6.6.

use serde_json::{Value, json};
use tidings_wire::proto::request::Call;
use tidings_wire::proto::{Message, SendToPeer, message};

use crate::world::{Who, World};

fn send(world: &mut World, from: Who, peer: &str, flag: &str, text: &str) {
    let args = json!({"peer": peer, "flag": flag, "t": "instant", "content": text});
    world.start(from, "user_sendmsg", args);
}

fn send_natively(world: &mut World, from: Who, peer: &str, text: &str) {
    let body = message::Body::Text(text.to_owned().into_bytes().into());
    world.request(
        from,
        Call::SendToPeer(SendToPeer {
            peer_id: peer.into(),
            message: Some(Message {
                body: Some(body),
                ..Message::default()
            }),
            offline: true,
            history: false,
        }),
    );
}

/// Logs in, takes what waits and acknowledges it.
fn collect(world: &mut World, name: &str) -> Vec<String> {
    let (who, answer) = world.legacy_with_answer(name);
    let polled = answer["msgs"].as_array().expect("a list").clone();
    let mut version = answer["ver_clear"].as_u64().expect("a number") + polled.len() as u64;
    let polled = polled.iter().map(|item| {
        let line = item[1].as_str().expect("a line");
        line.splitn(7, ' ').last().expect("a content").to_owned()
    });
    let mut texts: Vec<String> = polled.collect();
    loop {
        world.wait(1_000);
        let pushed = world.heard(who);
        if pushed.is_empty() {
            break;
        }
        version += pushed.len() as u64;
        texts.extend(pushed.into_iter().map(|(_, text)| match text {
            Value::String(text) => text,
            other => other.to_string(),
        }));
        world.call(who, "user_getmsg", json!({"ver_clear": version, "max": 30}));
    }
    world.call(who, "user_logout", json!({}));
    texts
}

#[test]
fn ten_thousand_messages_wait_for_an_account_that_was_never_there() {
    let mut world = World::new();
    let (alice, rtm) = (world.legacy("alice"), world.native("rtm"));
    send_natively(&mut world, rtm, "bob", "r1");
    for n in 0..10_003 {
        send(&mut world, alice, "bob", "v1:E:3600", &format!("t{n}"));
        if n % 500 == 499 {
            world.wait(9_000);
        }
    }
    world.wait(9_000);
    send_natively(&mut world, rtm, "bob", "r2");
    let texts = collect(&mut world, "bob");
    let mut expected: Vec<String> = (3..10_003).map(|n| format!("t{n}")).collect();
    expected.insert(0, "r1".into());
    expected.push("r2".into());
    assert_eq!(
        texts.len(),
        expected.len(),
        "{:?} … {:?}",
        texts.first(),
        texts.last()
    );
    assert_eq!(texts, expected);
    assert_eq!(collect(&mut world, "bob"), Vec::<String>::new());
}

#[test]
fn the_flag_decides_how_long_a_message_is_kept_up_to_30_days() {
    const DAY_MS: u64 = 86_400_000;
    let mut world = World::new();
    let alice = world.legacy("alice");
    send(&mut world, alice, "bob", "v1:E:60", "short");
    send(&mut world, alice, "bob", "v1:E:1728000", "twenty days");
    send(&mut world, alice, "bob", "v1:E:999999999999", "for ever");
    world.call(alice, "user_logout", json!({}));
    world.leap(15 * DAY_MS);
    let (bob, answer) = world.legacy_with_answer("bob");
    let waiting = answer["msgs"].to_string();
    assert!(
        !waiting.contains("short") && waiting.contains("twenty") && waiting.contains("for ever"),
        "{waiting}"
    );
    world.lose(bob);
    world.leap(6 * DAY_MS);
    let (bob, answer) = world.legacy_with_answer("bob");
    let waiting = answer["msgs"].to_string();
    assert!(
        !waiting.contains("twenty") && waiting.contains("for ever"),
        "{waiting}"
    );
    world.lose(bob);
    world.leap(9 * DAY_MS);
    assert_eq!(world.legacy_with_answer("bob").1["msgs"], json!([]));
}

#[test]
fn other_levels_are_no_levels_and_the_lower_ones_need_the_peer() {
    let mut world = World::new();
    let alice = world.legacy("alice");
    let mut ask = |peer: &str, flag: &str| {
        let args = json!({"peer": peer, "flag": flag, "t": "instant", "content": "x"});
        world.call(alice, "user_sendmsg", args)["reason"].clone()
    };
    for wrong in ["v1:X:60", "v2:E:60", "E", "v1:E:-1", "v1:E:60:1"] {
        assert_eq!(ask("bob", wrong), "wrong msg lvl", "{wrong}");
    }
    for live in ["v1:C:60", "v1:L:60"] {
        assert_eq!(ask("bob", live), "peer not online");
        assert_eq!(ask("alice", live), Value::Null);
    }
}

#[test]
fn a_client_that_does_not_poll_is_not_handed_everything() {
    let mut world = World::new();
    let alice = world.legacy("alice");
    for n in 0..1_000 {
        send(&mut world, alice, "bob", "v1:E:3600", &format!("t{n}"));
    }
    world.wait(20_000);
    let bob = world.legacy_unpolled("bob");
    world.wait(2_000);
    assert_eq!(world.told(bob), Vec::<String>::new());
    let answer = world.call(bob, "user_getmsg", json!({"ver_clear": 0, "max": 30}));
    let polled = answer["msgs"].as_array().expect("a list").len();
    assert_eq!(polled + world.heard(bob).len(), 1_000);
}
