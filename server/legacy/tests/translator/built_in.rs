//! Built-in attributes of channels: what they do, and that RTM users do not see them. Source:
//! signaling 7.1, 7.6, 9.4.

use serde_json::{Value, json};
use tidings_wire::proto::request::Call;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{
    Attribute, AttributeWrite, Join, Leave, ReadChannelAttributes, WriteChannelAttributes, reply,
};

use crate::world::{Who, World};

fn joined(world: &mut World, who: Who) -> Value {
    world.call(who, "channel_join", json!({"name": "room"}))
}

fn set(world: &mut World, who: Who, name: &str, value: &str) -> Value {
    let args = json!({"channel": "room", "name": name, "value": value});
    world.call(who, "channel_set_attr", args)
}

fn join_natively(world: &mut World, who: Who) {
    let channel = "room".into();
    world.request(who, Call::Join(Join { channel }));
    world.kinds(who);
}

fn read_natively(world: &mut World, who: Who) -> Vec<String> {
    let read = ReadChannelAttributes {
        channel: "room".into(),
        keys: Vec::new(),
    };
    match world.request(who, Call::ReadChannelAttributes(read)) {
        reply::Result::Attributes(list) => {
            let pairs = list.attributes.into_iter();
            pairs
                .map(|pair| format!("{}={}", pair.key, pair.value))
                .collect()
        }
        other => panic!("{other:?}"),
    }
}

fn write_natively(world: &mut World, who: Who, how: AttributeWrite, pairs: &[(&str, &str)]) {
    let attributes = pairs.iter().map(|(key, value)| Attribute {
        key: (*key).into(),
        value: (*value).into(),
        ..Attribute::default()
    });
    let write = WriteChannelAttributes {
        channel: "room".into(),
        how: how.into(),
        attributes: attributes.collect(),
        notify: true,
    };
    let done = world.request(who, Call::WriteChannelAttributes(write));
    assert!(matches!(done, reply::Result::Done(_)), "{done:?}");
}

/// (name, value, type) of the attribute events since.
fn events(world: &mut World, who: Who) -> Vec<(String, String, String)> {
    let heard = world.heard(who).into_iter();
    let heard = heard.filter(|(kind, _)| kind == "channel_attr_update");
    heard
        .map(|(_, content)| {
            let text = |name: &str| content[name].as_str().expect("a text").to_owned();
            (text("name"), text("value"), text("type"))
        })
        .collect()
}

#[test]
fn rtm_users_neither_see_nor_touch_built_in_attributes() {
    let mut world = World::new();
    let (alice, rtm) = (world.legacy("alice"), world.native("rtm"));
    joined(&mut world, alice);
    join_natively(&mut world, rtm);
    assert_eq!(
        set(&mut world, alice, "_userNotification", "1")["result"],
        "ok"
    );
    assert!(
        world.kinds(rtm).is_empty(),
        "only what is built in has changed"
    );
    assert_eq!(read_natively(&mut world, rtm), Vec::<String>::new());
    set(&mut world, alice, "topic", "news");
    let Some(Kind::ChannelAttributes(told)) = world.kinds(rtm).pop() else {
        panic!("the RTM user is told nothing");
    };
    let shown: Vec<&str> = told
        .attributes
        .iter()
        .map(|pair| pair.key.as_str())
        .collect();
    assert_eq!((shown, told.keys), (vec!["topic"], vec!["topic".into()]));
    world.heard(alice);

    write_natively(&mut world, rtm, AttributeWrite::Set, &[("a", "1")]);
    let update = |name: &str, value: &str, kind: &str| (name.into(), value.into(), kind.into());
    assert_eq!(
        events(&mut world, alice),
        [update("a", "1", "update"), update("topic", "", "del")]
    );
    world.wait(2_000);
    write_natively(&mut world, rtm, AttributeWrite::Clear, &[]);
    assert_eq!(events(&mut world, alice), [update("", "", "clear")]);
    let bob = world.legacy("bob");
    assert_eq!(
        joined(&mut world, bob)["attrs"],
        json!({"_userNotification": "1"})
    );
    let forged = "lib:known-to-client-libraries-only:keep_s";
    assert_eq!(set(&mut world, alice, forged, "1")["reason"], "wrong param");
}

#[test]
fn member_counts_are_the_systems_and_are_told_as_often_as_the_channel_says() {
    let mut world = World::new();
    let (alice, rtm) = (world.legacy("alice"), world.native("rtm"));
    assert_eq!(
        joined(&mut world, alice)["attrs"],
        json!({}),
        "only what was set"
    );
    for name in ["_member_num", "_total_member_num"] {
        assert_eq!(set(&mut world, alice, name, "5")["reason"], "not allowed");
    }
    world.wait(60_000);
    assert_eq!(events(&mut world, alice), []);
    set(&mut world, alice, "_auto_update_num", "10");
    events(&mut world, alice);
    world.wait(9_999);
    assert_eq!(events(&mut world, alice), []);
    join_natively(&mut world, rtm);
    world.wait(1);
    let update = |value: &str| {
        (
            "_member_num".to_owned(),
            value.to_owned(),
            "update".to_owned(),
        )
    };
    assert_eq!(events(&mut world, alice), [update("2")]);
    let channel = "room".into();
    world.request(rtm, Call::Leave(Leave { channel }));
    world.wait(20_000);
    assert_eq!(events(&mut world, alice), [update("1"), update("1")]);
    set(&mut world, alice, "_auto_update_num", "0");
    events(&mut world, alice);
    world.wait(60_000);
    assert_eq!(events(&mut world, alice), []);
}

#[test]
fn without_user_notification_members_come_and_go_unseen_by_legacy_members_only() {
    let mut world = World::new();
    let (alice, rtm) = (world.legacy("alice"), world.native("rtm"));
    joined(&mut world, alice);
    join_natively(&mut world, rtm);
    world.heard(alice);
    set(&mut world, alice, "_userNotification", "0");
    world.heard(alice);
    let bob = world.legacy("bob");
    joined(&mut world, bob);
    world.call(bob, "channel_leave", json!({"name": "room"}));
    assert_eq!(world.told(alice), Vec::<String>::new());
    assert!(matches!(
        world.kinds(rtm)[..],
        [Kind::MemberJoined(_), Kind::MemberLeft(_)]
    ));
    set(&mut world, alice, "_userNotification", "1");
    world.heard(alice);
    joined(&mut world, bob);
    assert_eq!(world.heard(alice)[0].0, "channel_user_join");
}

#[test]
fn a_channel_may_lower_how_much_it_takes_a_second() {
    let mut world = World::new();
    let (alice, bob) = (world.legacy("alice"), world.legacy("bob"));
    joined(&mut world, alice);
    joined(&mut world, bob);
    set(&mut world, alice, "_sendmsg_limit", "3");
    let send = |world: &mut World, who: Who| {
        world.call(who, "channel_sendmsg", json!({"name": "room", "msg": "x"}))["reason"].clone()
    };
    assert_eq!(
        [
            send(&mut world, alice),
            send(&mut world, bob),
            send(&mut world, alice)
        ],
        [Value::Null, Value::Null, Value::Null]
    );
    assert_eq!(send(&mut world, alice), "too frequent");
    assert_eq!(
        send(&mut world, bob),
        "too frequent",
        "the channel's, not the sender's"
    );
    world.wait(1_000);
    assert_eq!(send(&mut world, bob), Value::Null);

    set(&mut world, alice, "_setattr_limit", "2");
    world.wait(1_000);
    let results = [1, 2, 3].map(|n| set(&mut world, bob, "k", &n.to_string())["reason"].clone());
    assert_eq!(results, [Value::Null, Value::Null, json!("too frequent")]);
    world.wait(1_000);
    assert_eq!(
        set(&mut world, alice, "_sendmsg_limit", "100000")["result"],
        "ok"
    );
    world.wait(5_000);
    world.told(alice);
    for turn in 0..400 {
        // Each as fast as a user may: the channel takes 200.
        let who = [alice, bob][turn % 2];
        world.start(who, "channel_sendmsg", json!({"name": "room", "msg": "x"}));
    }
    world.wait(900);
    let told = world.told(alice);
    let told = told
        .iter()
        .filter(|text| text.starts_with("channel_msg"))
        .count();
    assert_eq!(told, 200);
}

/// Sets an attribute, leaves, and says whether it is there after so long.
fn outlives(ttl: Option<&str>, seconds: u64) -> bool {
    let mut world = World::new();
    let alice = world.legacy("alice");
    joined(&mut world, alice);
    set(&mut world, alice, "topic", "news");
    if let Some(ttl) = ttl {
        set(&mut world, alice, "_channel_ttl", ttl);
    }
    world.call(alice, "channel_leave", json!({"name": "room"}));
    world.wait(seconds * 1_000);
    joined(&mut world, alice)["attrs"]["topic"] == "news"
}

#[test]
fn a_channel_outlives_its_last_member_by_two_hours_or_as_it_says() {
    assert!(outlives(None, 7_190) && !outlives(None, 7_230));
    assert!(outlives(Some("20"), 15) && !outlives(Some("20"), 25));
    assert!(outlives(Some("900"), 890) && !outlives(Some("900"), 930));
}

#[test]
fn a_channel_that_no_legacy_user_has_joined_ends_as_rtm_wants() {
    let mut world = World::new();
    let rtm = world.native("rtm");
    for (has_legacy, is_left) in [(false, false), (true, true)] {
        join_natively(&mut world, rtm);
        write_natively(&mut world, rtm, AttributeWrite::Set, &[("a", "1")]);
        if has_legacy {
            let alice = world.legacy("alice");
            joined(&mut world, alice);
            world.call(alice, "channel_leave", json!({"name": "room"}));
        }
        let channel = "room".into();
        world.request(rtm, Call::Leave(Leave { channel }));
        world.wait(330_000);
        assert_eq!(!read_natively(&mut world, rtm).is_empty(), is_left);
    }
}
