//! Messages from outside, and the channels in which everything is told. Source: signaling 7.5, 7.7,
//! 9.6.

use serde_json::{Value, json};
use tidings_legacy::AppRules;
use tidings_wire::proto::request::Call;
use tidings_wire::proto::{Join, reply};

use crate::world::{Who, World, body};

fn world(rules: AppRules) -> World {
    let mut world = World::new();
    world.set_rules(rules);
    world
}

/// What a listener was told, without the time.
fn news(world: &mut World, who: Who) -> Vec<String> {
    let heard = world.heard(who).into_iter();
    heard
        .map(|(kind, content)| {
            assert_eq!(kind, "channel_msg");
            let msg = body(&content["msg"]);
            assert!(msg["ts"].as_u64() >= Some(1_700_000_000) && msg["uid"] == content["uid"]);
            assert_eq!(msg["account"], content["account"]);
            let text = |name: &str| msg[name].as_str().expect("a text").to_owned();
            format!("{} {} {}", text("account"), text("event"), text("channel"))
        })
        .collect()
}

#[test]
fn special_channels_tell_logins_joins_and_their_ends_to_whom_the_app_allows_it() {
    let mut world = world(AppRules {
        allows_special_channels: true,
        ..AppRules::default()
    });
    let (one, two) = (world.legacy("watcher1"), world.legacy("watcher2"));
    let join = json!({"name": "__agora_user_online"});
    let answer = world.call(one, "channel_join", join);
    assert_eq!(answer["list"][0][0], "watcher1");
    let join = json!({"name": "_agora_channel_event"});
    let answer = world.call(two, "channel_join", join);
    assert_eq!(
        (answer["list"].as_array().map(Vec::len), &answer["attrs"]),
        (Some(1), &json!({}))
    );

    let alice = world.legacy("alice");
    world.call(alice, "channel_join", json!({"name": "a"}));
    world.call(alice, "channel_join", json!({"name": "a"}));
    world.call(alice, "channel_join", json!({"name": "b"}));
    world.call(alice, "channel_leave", json!({"name": "b"}));
    world.call(alice, "channel_leave", json!({"name": "b"}));
    world.call(alice, "channel_join", json!({"name": "c"}));
    world.call(alice, "user_logout", json!({}));
    let bob = world.legacy("bob");
    world.call(bob, "channel_join", json!({"name": "d"}));
    world.lose(bob);
    assert_eq!(
        news(&mut world, one),
        [
            "alice online ",
            "alice offline ",
            "bob online ",
            "bob offline "
        ]
    );
    assert_eq!(
        news(&mut world, two),
        [
            "alice join a",
            "alice leave a",
            "alice join b",
            "alice leave b",
            "alice join c",
            "alice leave c",
            "bob join d",
            "bob leave d",
        ]
    );
}

#[test]
fn nobody_writes_to_a_special_channel_and_only_who_is_allowed_joins() {
    for is_allowed in [true, false] {
        let mut world = world(AppRules {
            allows_special_channels: is_allowed,
            allows_force: true,
            ..AppRules::default()
        });
        let alice = world.legacy("alice");
        let mut ask =
            |function: &str, args: Value| world.call(alice, function, args)["reason"].clone();
        let joined = ask("channel_join", json!({"name": "_agora_user_online"}));
        assert_eq!(joined.is_null(), is_allowed);
        for name in [
            "_agora_user_online",
            "__agora_user_online",
            "\u{a7}user_online",
        ] {
            let message = json!({"name": name, "msg": "x", "force": true});
            assert_eq!(ask("channel_sendmsg", message), "not allowed");
            let attribute = json!({"channel": name, "name": "a", "value": "b"});
            assert_eq!(ask("channel_set_attr", attribute), "not allowed");
            assert_eq!(
                ask("channel_query_userlist", json!({"name": name})),
                "not allowed"
            );
        }
        assert_eq!(
            ask("channel_join", json!({"name": "\u{a7}user_online"})),
            "not allowed"
        );
    }
}

#[test]
fn rtm_users_do_not_find_the_special_channels() {
    let mut world = world(AppRules {
        allows_special_channels: true,
        ..AppRules::default()
    });
    let rtm = world.native("rtm");
    for (channel, exists) in [("__agora_user_online", true), ("\u{a7}user_online", false)] {
        let join = Join {
            channel: channel.into(),
        };
        let is_joined = matches!(world.request(rtm, Call::Join(join)), reply::Result::Done(_));
        assert_eq!(is_joined, exists);
    }
    world.legacy("alice");
    assert!(world.kinds(rtm).is_empty(), "a channel like any other");
}

#[test]
fn force_reaches_a_channel_from_outside_if_the_app_allows_it() {
    let sent = json!({"name": "room", "msg": "from outside", "force": true});
    let mut allowing = world(AppRules {
        allows_force: true,
        ..AppRules::default()
    });
    // Members on both hubs; the sender is in none.
    let members = [allowing.legacy("a"), allowing.legacy("b")];
    for member in members {
        allowing.call(member, "channel_join", json!({"name": "room"}));
    }
    let outside = allowing.legacy("outside");
    for member in members {
        allowing.told(member);
    }
    assert_eq!(
        allowing.call(outside, "channel_sendmsg", sent.clone())["result"],
        "ok"
    );
    for member in members {
        let heard = allowing.heard(member);
        assert_eq!(
            (heard.len(), &heard[0].1["account"]),
            (1, &json!("outside"))
        );
        assert_eq!(heard[0].1["msg"], "from outside");
    }
    let empty = json!({"name": "empty", "msg": "x", "force": true});
    assert_eq!(
        allowing.call(outside, "channel_sendmsg", empty)["result"],
        "ok"
    );
    assert_eq!(
        allowing.told(outside),
        Vec::<String>::new(),
        "no echo outside"
    );
    let plain = json!({"name": "room", "msg": "x"});
    assert_eq!(
        allowing.call(outside, "channel_sendmsg", plain)["reason"],
        "not in channel"
    );
    let inside = json!({"name": "room", "msg": "y", "force": true});
    assert_eq!(
        allowing.call(members[0], "channel_sendmsg", inside)["result"],
        "ok"
    );
    assert_eq!(allowing.heard(members[0])[0].1["msg"], "y");

    let mut refusing = world(AppRules::default());
    let outside = refusing.legacy("outside");
    assert_eq!(
        refusing.call(outside, "channel_sendmsg", sent)["reason"],
        "not allowed"
    );
}
