//! Users: logins, presence, attributes, names.

use std::time::SystemTime;

use serde_json::json;
use tidings_wire::proto::request::Call;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{
    Attribute, AttributeWrite, Join, PresenceState, QueryPresence, ReadUserAttributes,
    SubscribePresence, WriteUserAttributes, reply,
};

use super::{Pair, Placement, Rtm, event, is_refused, legacy_at, rtm_at, send, text};
use crate::client::{Heard, Legacy};
use crate::common;

/// Logins of one user within one millisecond have no later one: returns in the next.
fn next_millisecond() {
    let now = || SystemTime::UNIX_EPOCH.elapsed().expect("after 1970");
    let begin = now().as_millis();
    while now().as_millis() <= begin {
        std::thread::yield_now();
    }
}

#[test]
fn the_later_login_wins_across_worlds() {
    let server = common::start();
    for placement in Placement::BOTH {
        let user = format!("user-{placement}");
        let mut legacy = Legacy::login(server.address(), &user);
        next_millisecond();
        let mut rtm = rtm_at(&server, placement, legacy.hub, &user);
        assert_eq!(legacy.frame()[0], "kick");
        assert_eq!(legacy.frame(), json!(["close", "kick"]));
        assert!(matches!(legacy.next(), Heard::Closed(..)));
        next_millisecond();
        let hub = rtm.hub.expect("the handshake was ours");
        let mut legacy = legacy_at(&server, placement, hub, &user);
        assert_eq!(rtm.closed().1, "remote_login");
        assert_eq!(legacy.call("user_logout", json!({}))["result"], "ok");
    }
    server.end();
}

fn states(rtm: &mut Rtm, user: &str) -> PresenceState {
    let user_ids = vec![user.to_owned()];
    let call = rtm.call(Call::QueryPresence(QueryPresence { user_ids }));
    match rtm.reply(call).result {
        Some(reply::Result::Presence(list)) => list.users[0].state(),
        other => panic!("{other:?}"),
    }
}

/// The next change of a user's presence.
fn changed(rtm: &mut Rtm) -> (String, PresenceState) {
    match event(rtm) {
        Kind::PresenceChanged(told) => (told.users[0].user_id.clone(), told.users[0].state()),
        other => panic!("no presence but {other:?}"),
    }
}

/// A legacy user asks, an RTM user asks or subscribes.
#[test]
fn presence_is_one() {
    let server = common::start();
    for placement in Placement::BOTH {
        let (old, new) = (format!("old-{placement}"), format!("new-{placement}"));
        let mut watcher = Legacy::login(server.address(), &format!("watcher-{placement}"));
        let mut status = |expected: u8| {
            let answer = watcher.call("user_query_user_status", json!({"account": new}));
            assert_eq!(answer["status"], expected, "{placement}: {answer}");
        };
        status(0);
        let mut rtm = rtm_at(&server, placement, 0, &new);
        status(1);
        let user_ids = vec![old.clone()];
        let call = rtm.call(Call::SubscribePresence(SubscribePresence { user_ids }));
        rtm.reply(call);
        // The first word of a subscription is how it stands.
        let mut told = changed(&mut rtm);
        assert_eq!(told, (old.clone(), PresenceState::Offline));
        let mut legacy = legacy_at(&server, placement, 0, &old);
        told = changed(&mut rtm);
        assert_eq!(told, (old.clone(), PresenceState::Online));
        assert_eq!(states(&mut rtm, &old), PresenceState::Online);
        legacy.call("user_logout", json!({}));
        told = changed(&mut rtm);
        assert_eq!(told, (old.clone(), PresenceState::Offline));
        assert_eq!(states(&mut rtm, &old), PresenceState::Offline);
    }
    server.end();
}

#[test]
fn user_attributes_are_one_set() {
    let server = common::start();
    for placement in Placement::BOTH {
        let Pair {
            mut legacy,
            mut rtm,
            old,
            new,
        } = Pair::meet(&server, placement);
        legacy.call("user_set_attr", json!({"name": "k", "value": {"a": 1}}));
        let call = rtm.call(Call::ReadUserAttributes(ReadUserAttributes {
            user_id: old,
            keys: vec!["k".into()],
        }));
        assert!(
            matches!(rtm.reply(call).result, Some(reply::Result::Attributes(list))
                if list.attributes[0].value == "{\"a\":1}")
        );
        let call = rtm.call(Call::WriteUserAttributes(WriteUserAttributes {
            how: AttributeWrite::Set.into(),
            attributes: vec![Attribute {
                key: "n".into(),
                value: "v".into(),
                ..Attribute::default()
            }],
        }));
        rtm.reply(call);
        let one = legacy.call("user_get_attr", json!({"account": new, "name": "n"}));
        assert_eq!(one["value"], "v");
        let none = legacy.call("user_get_attr", json!({"account": new, "name": "none"}));
        assert_eq!(none["value"], "");
        let all = legacy.call("user_get_attr_all", json!({"account": new}));
        assert_eq!(all["json"], json!({"n": "v"}));
    }
    server.end();
}

/// A space of an RTM user id is no space in a line; an account beyond RTM's letters is shown as it
/// is, and cannot be written to.
#[test]
fn users_of_one_world_only_are_seen_in_the_other() {
    let server = common::start();
    for placement in Placement::BOTH {
        let (old, new) = (
            format!("ümläut-{placement}"),
            format!("mary lee-{placement}"),
        );
        let seen = new.replace(' ', "\u{a0}");
        let mut pair = Pair::named(&server, placement, old, new);
        pair.legacy.start(
            "user_sendmsg",
            json!({"peer": seen, "flag": "v1:E:3600", "t": "instant", "content": "hi"}),
        );
        assert!(matches!(event(&mut pair.rtm), Kind::PeerMessage(got) if got.from == pair.old));
        let status = json!({"account": seen});
        let here = pair.legacy.start("user_query_user_status", status);
        assert_eq!(pair.legacy.answer(here)["status"], 1);
        let peer = format!("plain-{placement}");
        let mut plain = legacy_at(&server, placement, pair.legacy.hub, &peer);
        assert!(send(&mut pair.rtm, &peer, text("hello"), false));
        assert_eq!(plain.pushed().1.from, seen);
        let call = pair
            .rtm
            .call(Call::SendToPeer(tidings_wire::proto::SendToPeer {
                peer_id: pair.old.clone(),
                message: text("no"),
                ..Default::default()
            }));
        let reply = pair.rtm.reply(call);
        assert!(is_refused(&reply), "{reply:?}");
    }
    server.end();
}

/// A channel named beyond RTM's letters is the legacy world's own; one with a space is both
/// worlds'.
#[test]
fn channels_of_one_world_only() {
    let server = common::start();
    for placement in Placement::BOTH {
        let mut pair = Pair::named(
            &server,
            placement,
            format!("ümläut-{placement}"),
            format!("mary lee-{placement}"),
        );
        let own = format!("zimmer ü-{placement}");
        let joined = pair.legacy.call("channel_join", json!({"name": own}));
        assert_eq!(joined["list"].as_array().map(Vec::len), Some(1), "{joined}");
        let call = pair.rtm.call(Call::Join(Join { channel: own }));
        let reply = pair.rtm.reply(call);
        assert!(is_refused(&reply), "{reply:?}");
        let both = format!("both rooms-{placement}");
        let call = pair.rtm.call(Call::Join(Join {
            channel: both.clone(),
        }));
        pair.rtm.reply(call);
        let joined = pair.legacy.call("channel_join", json!({"name": both}));
        let shown = pair.new.replace(' ', "\u{a0}");
        assert!(joined["list"].to_string().contains(&shown), "{joined}");
        assert!(matches!(event(&mut pair.rtm), Kind::MemberJoined(got) if got.user_id == pair.old));
    }
    server.end();
}
