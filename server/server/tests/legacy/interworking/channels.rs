//! Channels: members, messages, attributes.

use serde_json::{Value, json};
use tidings_wire::proto::request::Call;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{
    Attribute, AttributeWrite, Join, Leave, Message, SendToChannel, WriteChannelAttributes,
};

use super::messages::wordless;
use super::{Pair, Placement, Rtm, event, is_refused, text};
use crate::client::Legacy;
use crate::common;

fn join(rtm: &mut Rtm, channel: &str) {
    let channel = channel.to_owned();
    let call = rtm.call(Call::Join(Join { channel }));
    let reply = rtm.reply(call);
    assert!(!is_refused(&reply), "{reply:?}");
}

/// The next event of the channel of that kind: its body.
fn heard(legacy: &mut Legacy, kind: &str) -> Value {
    loop {
        let (_, got, content) = legacy.event();
        if got == kind {
            return content;
        }
    }
}

fn send_to(rtm: &mut Rtm, channel: &str, message: Option<Message>) {
    let call = rtm.call(Call::SendToChannel(SendToChannel {
        channel: channel.into(),
        message,
        history: false,
    }));
    let reply = rtm.reply(call);
    assert!(!is_refused(&reply), "{reply:?}");
}

#[test]
fn a_channel_has_members_of_both_worlds() {
    let server = common::start();
    for placement in Placement::BOTH {
        let mut pair = Pair::meet(&server, placement);
        let room = format!("room-{placement}");
        join(&mut pair.rtm, &room);
        let joined = pair.legacy.call("channel_join", json!({"name": room}));
        assert_eq!(joined["list"].as_array().map(Vec::len), Some(2), "{joined}");
        assert!(matches!(event(&mut pair.rtm), Kind::MemberJoined(got) if got.user_id == pair.old));
        let leave = pair.rtm.call(Call::Leave(Leave {
            channel: room.clone(),
        }));
        pair.rtm.reply(leave);
        let left = heard(&mut pair.legacy, "channel_user_leave");
        assert_eq!(left["account"], json!(pair.new), "{left}");
        join(&mut pair.rtm, &room);
        let came = heard(&mut pair.legacy, "channel_user_join");
        assert_eq!(came["account"], json!(pair.new), "{came}");
        pair.legacy.cut();
        assert!(matches!(event(&mut pair.rtm), Kind::MemberLeft(got) if got.user_id == pair.old));
    }
    server.end();
}

/// The legacy sender sees its own messages; of RTM's it sees the texts.
#[test]
fn channel_messages_go_both_ways() {
    let server = common::start();
    for placement in Placement::BOTH {
        let mut pair = Pair::meet(&server, placement);
        let room = format!("room-{placement}");
        join(&mut pair.rtm, &room);
        pair.legacy.call("channel_join", json!({"name": room}));
        assert!(matches!(event(&mut pair.rtm), Kind::MemberJoined(_)));
        let say = json!({"name": room, "msg": "hi"});
        pair.legacy.call("channel_sendmsg", say);
        let Kind::ChannelMessage(got) = event(&mut pair.rtm) else {
            panic!("no channel message");
        };
        assert_eq!((&got.from, &got.message), (&pair.old, &text("hi")));
        let echo = heard(&mut pair.legacy, "channel_msg");
        assert_eq!(echo["account"], json!(pair.old), "{echo}");
        for message in wordless() {
            send_to(&mut pair.rtm, &room, Some(message));
        }
        send_to(&mut pair.rtm, &room, text("hello"));
        let heard = heard(&mut pair.legacy, "channel_msg");
        assert_eq!(
            (&heard["account"], &heard["msg"]),
            (&json!(pair.new), &json!("hello")),
            "what is no text is not shown"
        );
    }
    server.end();
}

fn write(
    rtm: &mut Rtm,
    channel: &str,
    how: AttributeWrite,
    entries: &[(&str, &str)],
    notify: bool,
) {
    let attributes = entries.iter().map(|(key, value)| Attribute {
        key: (*key).into(),
        value: (*value).into(),
        ..Attribute::default()
    });
    let call = rtm.call(Call::WriteChannelAttributes(WriteChannelAttributes {
        channel: channel.into(),
        how: how.into(),
        attributes: attributes.collect(),
        notify,
    }));
    let reply = rtm.reply(call);
    assert!(!is_refused(&reply), "{reply:?}");
}

/// What the legacy user is told of an attribute.
fn change(legacy: &mut Legacy) -> [Value; 3] {
    let mut told = heard(legacy, "channel_attr_update");
    ["type", "name", "value"].map(|field| told[field].take())
}

#[test]
fn attributes_are_told_both_ways() {
    let server = common::start();
    for placement in Placement::BOTH {
        let mut pair = Pair::meet(&server, placement);
        let room = format!("room-{placement}");
        join(&mut pair.rtm, &room);
        pair.legacy.call("channel_join", json!({"name": room}));
        assert!(matches!(event(&mut pair.rtm), Kind::MemberJoined(_)));
        // RTM members are told the whole set, whatever the legacy write was.
        let acts = [
            ("channel_set_attr", "a", vec![("a", "1")]),
            ("channel_set_attr", "b", vec![("a", "1"), ("b", "1")]),
            ("channel_del_attr", "a", vec![("b", "1")]),
            ("channel_clear_attr", "", vec![]),
        ];
        for (function, name, expected) in acts {
            let args = json!({"channel": room, "name": name, "value": "1"});
            pair.legacy.call(function, args);
            let Kind::ChannelAttributes(got) = event(&mut pair.rtm) else {
                panic!("{function} is not told");
            };
            let got: Vec<(&str, &str)> = (got.attributes.iter())
                .map(|attribute| (attribute.key.as_str(), attribute.value.as_str()))
                .collect();
            assert_eq!(got, expected, "{function}, {placement}");
            change(&mut pair.legacy);
        }
        // Legacy members are told what is new to them, each name by itself.
        let mut write =
            |how, entries: &[_], notify| write(&mut pair.rtm, &room, how, entries, notify);
        write(AttributeWrite::Merge, &[("x", "1")], true);
        write(AttributeWrite::Merge, &[("quiet", "1")], false);
        write(AttributeWrite::Set, &[("y", "2"), ("quiet", "1")], true);
        write(AttributeWrite::Delete, &[("y", "")], true);
        write(AttributeWrite::Clear, &[], true);
        let told: Vec<[Value; 3]> = (0..6).map(|_| change(&mut pair.legacy)).collect();
        let expected = [
            ["update", "x", "1"],
            ["update", "y", "2"],
            ["update", "quiet", "1"],
            ["del", "x", ""],
            ["del", "y", ""],
            ["clear", "", ""],
        ];
        assert_eq!(json!(told), json!(expected), "{placement}");
    }
    server.end();
}
