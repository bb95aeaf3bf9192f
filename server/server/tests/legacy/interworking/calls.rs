//! Invitations and their ends. What takes minutes is in the simulator:
//! `tidings-sim/tests/legacy.rs`.

use serde_json::json;
use tidings_wire::proto::request::Call;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{
    AcceptInvitation, CancelInvitation, ConfirmAccept, InvitationEnd, Invite, RefuseInvitation,
};

use super::{Pair, Placement, event, legacy_at, rtm_at, send, text, words};
use crate::client::{Legacy, body};
use crate::common;

// proves: rtm-6.6-to-legacy, rtm-6.6-from-legacy, rtm-6.8-to-legacy, rtm-6.8-from-legacy
#[test]
fn invitations_cross_both_ways() {
    let server = common::start();
    for placement in Placement::BOTH {
        let Pair {
            mut legacy,
            mut rtm,
            old,
            new,
        } = Pair::meet(&server, placement);
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

/// What each side does to a ringing invitation that is not accepted: refuse and cancel, either way.
// proves: rtm-6.6-to-legacy, rtm-6.6-from-legacy
#[test]
fn refusals_and_cancellations_cross_both_ways() {
    let server = common::start();
    for placement in Placement::BOTH {
        let Pair {
            mut legacy,
            mut rtm,
            old,
            new,
        } = Pair::meet(&server, placement);
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
            let expected = if is_refused {
                InvitationEnd::Refused
            } else {
                InvitationEnd::Canceled
            };
            assert_eq!(end.end(), expected);
        }
        // The RTM user calls: refused, ended by the callee, cancelled.
        for (number, act) in [(1, "voip_invite_refuse"), (2, "voip_invite_bye"), (3, "")] {
            rtm.call(Call::Invite(Invite {
                number,
                callee_id: old.clone(),
                content: "come".into(),
                channel: "d".into(),
                ..Invite::default()
            }));
            assert_eq!(legacy.pushed().1.kind, "voip_invite");
            let args = |extra: &str| json!({"channelName": "d", "peer": new, "extra": extra});
            legacy.call("voip_invite_ack", args(""));
            assert!(matches!(event(&mut rtm), Kind::InvitationReceived(_)));
            if act.is_empty() {
                rtm.call(Call::CancelInvitation(CancelInvitation { number }));
                let (_, line) = legacy.pushed();
                let extra = &body(&json!(line.content))["extra"];
                assert_eq!(
                    (line.kind.as_str(), extra),
                    ("voip_invite_bye", &json!("come"))
                );
            } else {
                legacy.call(act, args("busy"));
                assert!(matches!(event(&mut rtm), Kind::LocalInvitationEnded(end)
                    if end.end() == InvitationEnd::Refused && end.response == "busy"));
            }
        }
    }
    server.end();
}

#[test]
fn a_telephone_number_is_invited_by_way_of_the_gateway() {
    for placement in Placement::BOTH {
        let mut config = common::config();
        config.legacy.rules.phone_gateway = Some("gateway".into());
        let server = common::TestServer::start(config);
        let mut alice = Legacy::login(server.address(), "alice");
        alice.poll(0);
        let mut gateway = rtm_at(&server, placement, alice.hub, "gateway");
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
        assert!(
            matches!(event(&mut gateway), Kind::PeerMessage(got) if got.message == text(&tones))
        );
        server.end();
    }
}

/// Tones go from one legacy client to another as they are, and an `extra` that is no text stays
/// what it is. An RTM user is told nothing of tones.
#[test]
fn tones_reach_legacy_peers_only() {
    let server = common::start();
    for placement in Placement::BOTH {
        let mut pair = Pair::meet(&server, placement);
        let other = format!("other-{placement}");
        let mut bob = legacy_at(&server, placement, pair.legacy.hub, &other);
        let args = json!({"channelName": "c", "peer": other, "extra": {"a": [1, 2]}});
        pair.legacy.call("voip_invite", args.clone());
        let (_, line) = bob.pushed();
        assert_eq!(body(&json!(line.content))["extra"], json!({"a": [1, 2]}));
        pair.legacy.call("voip_invite_msg", args);
        let (_, line) = bob.pushed();
        assert_eq!(line.kind, "voip_invite_msg");
        assert_eq!(body(&json!(line.content))["extra"], json!({"a": [1, 2]}));
        let args = json!({"channelName": "c", "peer": pair.new, "extra": "12#"});
        pair.legacy.call("voip_invite_msg", args);
        pair.legacy.start(
            "user_sendmsg",
            json!({"peer": pair.new, "flag": "v1:E:3600", "t": "instant", "content": "after"}),
        );
        assert!(
            matches!(event(&mut pair.rtm), Kind::PeerMessage(got) if words(got.message.clone()) == "after")
        );
    }
    server.end();
}
