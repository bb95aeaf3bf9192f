//! What a token permits, at the legacy door, and what becomes of a login whose token ends. Source:
//! tokens 4.3, 5.

use serde_json::{Value, json};
use tidings_token::{Access, Permissions, Resource};

use crate::world::{Who, World};

/// Bob's token lets him read the channel `a` and write to the users `c…`.
fn world() -> (World, Who) {
    let mut world = World::with_tokens();
    let list = Permissions::new()
        .with(Resource::MessageChannel, Access::Read, "a")
        .with(Resource::User, Access::Write, "c*");
    world.permissions = Some(list);
    let bob = world.legacy("bob");
    world.permissions = None;
    (world, bob)
}

#[test]
fn what_the_token_does_not_name_is_not_allowed() {
    let (mut world, bob) = world();
    let cases = [
        ("channel_join", json!({"name": "b"})),
        ("channel_query_num", json!({"name": "b"})),
        ("channel_query_userlist", json!({"name": "b"})),
        ("channel_query_userlist_all", json!({"name": "b"})),
        (
            "channel_query_user_isin",
            json!({"name": "b", "account": "x"}),
        ),
        ("user_sendmsg", json!({"peer": "alice", "content": "x"})),
        ("user_query_user_status", json!({"account": "carol"})),
        ("user_get_attr_all", json!({"account": "carol"})),
        ("user_get_attr", json!({"account": "carol", "name": "k"})),
        (
            "voip_invite",
            json!({"channelName": "x", "peer": "alice", "extra": ""}),
        ),
    ];
    for (function, args) in cases {
        let answer = world.call(bob, function, args);
        assert_eq!(answer["reason"], "not allowed", "{function}: {answer}");
    }
}

#[test]
fn what_it_names_and_what_is_ones_own_is_allowed() {
    let (mut world, bob) = world();
    let alice = world.legacy("alice");
    world.call(alice, "channel_join", json!({"name": "a"}));
    let cases = [
        ("channel_join", json!({"name": "a"})),
        ("channel_query_num", json!({"name": "a"})),
        ("user_sendmsg", json!({"peer": "carol", "content": "x"})),
        ("user_sendmsg", json!({"peer": "bob", "content": "x"})),
        ("user_query_user_status", json!({"account": "bob"})),
        ("user_set_attr", json!({"name": "k", "value": "v"})),
        ("user_get_attr_all", json!({"account": "bob"})),
    ];
    for (function, args) in cases {
        let answer = world.call(bob, function, args);
        assert_eq!(answer["result"], "ok", "{function}: {answer}");
    }
    let message = json!({"name": "a", "msg": "hi"});
    let answer = world.call(bob, "channel_sendmsg", message.clone());
    assert_eq!(answer["reason"], "not allowed", "it may read only");
    let attribute = json!({"channel": "a", "name": "k", "value": "v"});
    let answer = world.call(bob, "channel_set_attr", attribute);
    assert_eq!(answer["reason"], "not allowed");
    world.heard(bob);
    world.call(alice, "channel_sendmsg", message);
    let heard = world.heard(bob);
    assert_eq!(heard.len(), 1, "{heard:?}");
}

#[test]
fn a_login_ends_with_its_token_and_is_told_so_by_words_that_bring_no_build_back() {
    let mut world = World::with_tokens();
    world.token_s = 60;
    let bob = world.legacy("bob");
    world.frames(bob);
    let is_end = |frame: &Value| frame[0] == "close";
    for _ in 0..11 {
        world.leap(5_000);
        world.say(bob, &json!(["ping", 1]));
    }
    assert!(!world.frames(bob).iter().any(is_end), "it is not over yet");
    world.leap(6_000);
    let frames = world.frames(bob);
    let end = frames.into_iter().find(is_end);
    assert_eq!(end, Some(json!(["close", "token expired"])));
}
