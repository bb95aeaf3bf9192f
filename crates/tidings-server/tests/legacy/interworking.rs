//! Legacy and RTM users of one app, on a server of two hubs: connections are dealt to them by the kernel.

use serde_json::json;
use std::net::TcpStream;
use tidings_wire::proto::request::Call;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{
    AcceptInvitation, Attribute, AttributeWrite, CancelInvitation, ConfirmAccept, InvitationEnd,
    Invite, Join, Message, Pong, PresenceState, QueryPresence, Raw, ReadUserAttributes,
    RefuseInvitation, SendToChannel, SendToPeer, WriteUserAttributes, client_message, message,
    reply,
};

use crate::client::{Heard, Legacy, body};
use crate::common::{self, Client, Seen};

/// Often enough that the parties of a test meet on one hub and on two.
const ROUNDS: usize = 6;

type Rtm = Client<TcpStream>;

fn text(text: &str) -> Option<Message> {
    Some(Message {
        body: Some(message::Body::Text(text.to_owned().into_bytes().into())),
        ..Message::default()
    })
}

/// The next message that is no reply and no count.
fn event(rtm: &mut Rtm) -> Kind {
    loop {
        match rtm.next() {
            Seen::Message(Kind::Reply(_) | Kind::MemberCount(_) | Kind::Ping(_)) => {}
            Seen::Message(kind) => {
                rtm.confirm_all();
                return kind;
            }
            other => panic!("no event but {other:?}"),
        }
    }
}

fn send(rtm: &mut Rtm, peer: &str, message: Option<Message>, offline: bool) -> bool {
    let call = rtm.call(Call::SendToPeer(SendToPeer {
        peer_id: peer.into(),
        message,
        offline,
        history: false,
    }));
    match rtm.reply(call).result {
        Some(reply::Result::PeerSent(sent)) => sent.received,
        other => panic!("{other:?}"),
    }
}

#[test]
fn texts_go_both_ways_whichever_the_hub() {
    let server = common::start();
    for round in 0..ROUNDS {
        let (old, new) = (format!("old{round}"), format!("new{round}"));
        let mut legacy = Legacy::login(server.address(), &old);
        legacy.poll(0);
        let mut rtm = Client::login(server.address(), &new);
        assert!(send(&mut rtm, &old, text("to the old"), false));
        let (_, line) = legacy.pushed();
        assert_eq!(
            (line.from.as_str(), line.content.as_str()),
            (new.as_str(), "to the old")
        );
        let raw = Message {
            body: Some(message::Body::Raw(Raw::default())),
            ..Message::default()
        };
        assert!(
            !send(&mut rtm, &old, Some(raw), false),
            "raw is not received"
        );
        let call = legacy.start(
            "user_sendmsg",
            json!({"peer": new, "flag": "v1:E:3600", "t": "instant", "content": "to the new"}),
        );
        let Kind::PeerMessage(got) = event(&mut rtm) else {
            panic!("no peer message");
        };
        assert_eq!(
            (got.from.as_str(), got.message.and_then(|m| m.body)),
            (old.as_str(), text("to the new").and_then(|m| m.body))
        );
        assert_eq!(legacy.answer(call), json!({"result": "ok"}));
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
        got.push(crate::client::Line::read(&item[1]).content);
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

#[test]
fn a_channel_has_members_of_both_worlds() {
    let server = common::start();
    for round in 0..ROUNDS {
        let room = format!("room{round}");
        let mut legacy = Legacy::login(server.address(), &format!("old{round}"));
        let mut rtm = Client::login(server.address(), &format!("new{round}"));
        let join = rtm.call(Call::Join(Join {
            channel: room.clone(),
        }));
        rtm.reply(join);
        let joined = legacy.call("channel_join", json!({"name": room}));
        assert_eq!(joined["list"].as_array().map(Vec::len), Some(2), "{joined}");
        assert!(matches!(event(&mut rtm), Kind::MemberJoined(_)));
        legacy.start("channel_sendmsg", json!({"name": room, "msg": "hi"}));
        assert!(matches!(event(&mut rtm), Kind::ChannelMessage(got) if got.message == text("hi")));
        assert_eq!(legacy.event().1, "channel_msg", "the sender's echo");
        rtm.call(Call::SendToChannel(SendToChannel {
            channel: room.clone(),
            message: text("hello"),
            history: false,
        }));
        let mut heard = legacy.frame();
        while heard[0] != "notify" {
            heard = legacy.frame();
        }
        assert!(heard.to_string().contains("hello"), "{heard}");
        legacy.start(
            "channel_set_attr",
            json!({"channel": room, "name": "k", "value": "v"}),
        );
        assert!(
            matches!(event(&mut rtm), Kind::ChannelAttributes(got) if got.attributes[0].value == "v")
        );
        legacy.cut();
        assert!(matches!(event(&mut rtm), Kind::MemberLeft(_)));
    }
    server.end();
}

// proves: rtm-6.6-to-legacy, rtm-6.6-from-legacy, rtm-6.8-to-legacy, rtm-6.8-from-legacy
#[test]
fn invitations_cross_both_ways() {
    let server = common::start();
    for round in 0..ROUNDS {
        let (old, new) = (format!("old{round}"), format!("new{round}"));
        let mut legacy = Legacy::login(server.address(), &old);
        legacy.poll(0);
        let mut rtm = Client::login(server.address(), &new);
        // The legacy user calls, the RTM user accepts, the legacy user ends.
        legacy.call(
            "voip_invite",
            json!({"channelName": "c_1", "peer": new, "extra": "x"}),
        );
        let Kind::IncomingInvitation(ring) = event(&mut rtm) else {
            panic!("it does not ring");
        };
        assert_eq!((ring.channel.as_str(), ring.content.as_str()), ("c_1", "x"));
        assert_eq!(legacy.pushed().1.kind, "voip_invite_ack");
        rtm.call(Call::AcceptInvitation(AcceptInvitation {
            id: ring.id,
            response: "yes".into(),
        }));
        let (_, line) = legacy.pushed();
        assert_eq!(
            (line.kind.as_str(), &body(&json!(line.content))["extra"]),
            ("voip_invite_accept", &json!("yes"))
        );
        assert!(matches!(event(&mut rtm), Kind::RemoteInvitationEnded(_)));
        legacy.call(
            "voip_invite_bye",
            json!({"channelName": "c_1", "peer": new, "extra": "done"}),
        );
        let end = "AgoraRTMLegacyEndcallCompatibleMessagePrefix_c_1_done";
        assert!(matches!(event(&mut rtm), Kind::PeerMessage(got) if got.message == text(end)));
        // The RTM user calls, the legacy user accepts, the RTM user ends.
        rtm.call(Call::Invite(Invite {
            number: 1,
            callee_id: old.clone(),
            content: "y".into(),
            channel: "c_2".into(),
            ..Invite::default()
        }));
        assert_eq!(legacy.pushed().1.kind, "voip_invite");
        legacy.call(
            "voip_invite_ack",
            json!({"channelName": "c_2", "peer": new, "extra": ""}),
        );
        assert!(matches!(event(&mut rtm), Kind::InvitationReceived(_)));
        legacy.call(
            "voip_invite_accept",
            json!({"channelName": "c_2", "peer": new, "extra": "ok"}),
        );
        assert!(matches!(event(&mut rtm), Kind::AcceptAsked(_)));
        rtm.call(Call::ConfirmAccept(ConfirmAccept { number: 1 }));
        assert!(matches!(event(&mut rtm), Kind::LocalInvitationEnded(end) if end.response == "ok"));
        let end = "AgoraRTMLegacyEndcallCompatibleMessagePrefix_c_2_over";
        send(&mut rtm, &old, text(end), false);
        let (_, line) = legacy.pushed();
        let content = body(&json!(line.content));
        assert_eq!(
            (line.kind.as_str(), &content["channel"], &content["extra"]),
            ("voip_invite_bye", &json!("c_2"), &json!("over"))
        );
    }
    server.end();
}

#[test]
fn the_later_login_wins_across_worlds() {
    let server = common::start();
    for round in 0..ROUNDS {
        let user = format!("user{round}");
        let mut legacy = Legacy::login(server.address(), &user);
        // Logins of one user within one millisecond have no later one.
        std::thread::sleep(std::time::Duration::from_millis(5));
        let mut rtm = Client::login(server.address(), &user);
        assert_eq!(legacy.frame()[0], "kick");
        assert_eq!(legacy.frame(), json!(["close", "kick"]));
        assert!(matches!(legacy.next(), Heard::Closed(..)));
        std::thread::sleep(std::time::Duration::from_millis(5));
        let _legacy = Legacy::login(server.address(), &user);
        assert_eq!(rtm.closed().1, "remote_login");
    }
    server.end();
}

/// A thousand messages in one go, faster than the rate: held back, not refused, in order, none twice.
#[test]
fn a_thousand_messages_arrive_once_and_in_order() {
    let server = common::start();
    let mut alice = Legacy::login(server.address(), "alice");
    let (mut bob, _) = Legacy::modern(server.address(), "bob");
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

#[test]
fn a_telephone_number_is_invited_by_way_of_the_gateway() {
    let mut config = common::config();
    config.legacy.rules.phone_gateway = Some("gateway".into());
    let server = common::TestServer::start(config);
    let mut gateway = Client::login(server.address(), "gateway");
    let mut alice = Legacy::login(server.address(), "alice");
    alice.poll(0);
    let phone = json!({"channelName": "c", "peer": "4930123", "extra": "{\"srcNum\":\"1\"}"});
    assert_eq!(alice.call("voip_invite_phone", phone)["result"], "ok");
    let Kind::IncomingInvitation(ring) = event(&mut gateway) else {
        panic!("it does not ring");
    };
    let content: serde_json::Value = serde_json::from_str(&ring.content).expect("JSON");
    assert_eq!(content["phone"], "4930123");
    let ack = body(&json!(alice.pushed().1.content));
    assert_eq!(
        ack["peer"], "4930123",
        "the client knows the number, not the gateway"
    );
    let tones = json!({"msgtype": "dtmf", "msgdata": "12#"}).to_string();
    alice.start(
        "voip_invite_msg",
        json!({"channelName": "c", "peer": "4930123", "extra": tones}),
    );
    assert!(matches!(event(&mut gateway), Kind::PeerMessage(got) if got.message == text(&tones)));
    server.end();
}

/// Tones go from one legacy client to another as they are; an `extra` that is no text stays what it is.
#[test]
fn tones_and_objects_reach_a_legacy_peer() {
    let server = common::start();
    let mut alice = Legacy::login(server.address(), "alice");
    let mut bob = Legacy::login(server.address(), "bob");
    bob.poll(0);
    let args = json!({"channelName": "c", "peer": "bob", "extra": {"a": [1, 2]}});
    alice.call("voip_invite", args.clone());
    let (_, line) = bob.pushed();
    assert_eq!(body(&json!(line.content))["extra"], json!({"a": [1, 2]}));
    alice.call("voip_invite_msg", args);
    let (_, line) = bob.pushed();
    assert_eq!(line.kind, "voip_invite_msg");
    assert_eq!(body(&json!(line.content))["extra"], json!({"a": [1, 2]}));
    server.end();
}

/// An invitation without a channel cannot be said in the legacy protocol: it reaches nobody.
// proves: rtm-6.6-no-channel
#[test]
fn an_invitation_without_a_channel_has_no_response() {
    let server = common::start();
    let mut legacy = Legacy::login(server.address(), "old");
    legacy.poll(0);
    let mut rtm = Client::login(server.address(), "new");
    rtm.call(Call::Invite(Invite {
        number: 1,
        callee_id: "old".into(),
        ..Invite::default()
    }));
    let end = loop {
        match rtm.next() {
            Seen::Message(Kind::LocalInvitationEnded(end)) => break end,
            Seen::Message(Kind::Ping(_)) => rtm.send_message(client_message::Kind::Pong(Pong {})),
            Seen::Message(Kind::InvitationReceived(got)) => panic!("it rings: {got:?}"),
            Seen::Message(_) => rtm.confirm_all(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(end.end(), InvitationEnd::NoResponse);
    let answer = legacy.start("user_getmsg", json!({"ver_clear": 0, "max": 30}));
    assert_eq!(legacy.frame()[1][0], json!(answer), "nothing was pushed");
    server.end();
}

/// What each side does to a ringing invitation that is not accepted: refuse and cancel, either way.
// proves: rtm-6.6-to-legacy, rtm-6.6-from-legacy
#[test]
fn refusals_and_cancellations_cross_both_ways() {
    let server = common::start();
    for round in 0..ROUNDS {
        let (old, new) = (format!("old{round}"), format!("new{round}"));
        let mut legacy = Legacy::login(server.address(), &old);
        legacy.poll(0);
        let mut rtm = Client::login(server.address(), &new);
        // The legacy user calls: refused, then cancelled while it rings.
        for is_refused in [true, false] {
            let args = json!({"channelName": "c", "peer": new, "extra": "x"});
            legacy.call("voip_invite", args);
            let Kind::IncomingInvitation(ring) = event(&mut rtm) else {
                panic!("it does not ring");
            };
            assert_eq!(legacy.pushed().1.kind, "voip_invite_ack");
            if is_refused {
                rtm.call(Call::RefuseInvitation(RefuseInvitation {
                    id: ring.id,
                    response: "no".into(),
                }));
                let (_, line) = legacy.pushed();
                let extra = &body(&json!(line.content))["extra"];
                assert_eq!(
                    (line.kind.as_str(), extra),
                    ("voip_invite_refuse", &json!("no"))
                );
            } else {
                let bye = json!({"channelName": "c", "peer": new, "extra": ""});
                legacy.call("voip_invite_bye", bye);
            }
            let Kind::RemoteInvitationEnded(end) = event(&mut rtm) else {
                panic!("it does not end");
            };
            let expected = match is_refused {
                true => InvitationEnd::Refused,
                false => InvitationEnd::Canceled,
            };
            assert_eq!(end.end(), expected);
        }
        // The RTM user calls: refused, ended by the callee, cancelled.
        for (number, act) in [(1, "voip_invite_refuse"), (2, "voip_invite_bye"), (3, "")] {
            rtm.call(Call::Invite(Invite {
                number,
                callee_id: old.clone(),
                channel: "d".into(),
                ..Invite::default()
            }));
            assert_eq!(legacy.pushed().1.kind, "voip_invite");
            let args = |extra: &str| json!({"channelName": "d", "peer": new, "extra": extra});
            legacy.call("voip_invite_ack", args(""));
            assert!(matches!(event(&mut rtm), Kind::InvitationReceived(_)));
            if act.is_empty() {
                rtm.call(Call::CancelInvitation(CancelInvitation { number }));
                assert_eq!(legacy.pushed().1.kind, "voip_invite_bye");
            } else {
                legacy.call(act, args("busy"));
                assert!(matches!(event(&mut rtm), Kind::LocalInvitationEnded(end)
                    if end.end() == InvitationEnd::Refused && end.response == "busy"));
            }
        }
    }
    server.end();
}

/// One set of user attributes, and one presence, for both worlds.
#[test]
fn user_attributes_and_presence_are_one() {
    let server = common::start();
    for round in 0..ROUNDS {
        let (old, new) = (format!("old{round}"), format!("new{round}"));
        let mut legacy = Legacy::login(server.address(), &old);
        let status = json!({"account": new});
        let away = legacy.call("user_query_user_status", status.clone());
        assert_eq!(away["status"], 0, "{away}");
        let mut rtm = Client::login(server.address(), &new);
        let here = legacy.call("user_query_user_status", status);
        assert_eq!(here["status"], 1, "{here}");
        let call = rtm.call(Call::QueryPresence(QueryPresence {
            user_ids: vec![old.clone()],
        }));
        assert!(
            matches!(rtm.reply(call).result, Some(reply::Result::Presence(list))
                if list.users[0].state() == PresenceState::Online)
        );
        legacy.call("user_set_attr", json!({"name": "k", "value": {"a": 1}}));
        let call = rtm.call(Call::ReadUserAttributes(ReadUserAttributes {
            user_id: old.clone(),
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

/// A space of an RTM user id is no space in a line; an account beyond RTM's letters is shown as it is.
#[test]
fn ids_of_one_world_only_are_seen_in_the_other() {
    let server = common::start();
    for round in 0..ROUNDS {
        let (old, new) = (format!("ümläut{round}"), format!("mary lee{round}"));
        let seen = new.replace(' ', "\u{a0}");
        let mut legacy = Legacy::login(server.address(), &old);
        legacy.poll(0);
        let mut rtm = Client::login(server.address(), &new);
        legacy.start(
            "user_sendmsg",
            json!({"peer": seen, "flag": "v1:E:3600", "t": "instant", "content": "hi"}),
        );
        assert!(matches!(event(&mut rtm), Kind::PeerMessage(got) if got.from == old));
        let join = rtm.call(Call::Join(Join {
            channel: format!("r{round}"),
        }));
        rtm.reply(join);
        let joined = legacy.call("channel_join", json!({"name": format!("r{round}")}));
        assert!(joined["list"].to_string().contains(&seen), "{joined}");
        let call = legacy.start("user_query_user_status", json!({"account": seen}));
        assert_eq!(legacy.answer(call)["status"], 1);
    }
    server.end();
}
