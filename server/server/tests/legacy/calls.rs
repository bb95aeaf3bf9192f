//! What the callee's and the gateway's words become on their way to a legacy caller.

use serde_json::json;

use crate::client::{Legacy, body};
use crate::common;

/// An answer that is no text reaches a legacy caller as it is.
#[test]
fn an_object_stays_one_in_an_answer() {
    let server = common::start();
    for (round, act) in ["voip_invite_accept", "voip_invite_refuse"]
        .into_iter()
        .cycle()
        .take(6)
        .enumerate()
    {
        let (from, to) = (format!("alice{round}"), format!("bob{round}"));
        let mut alice = Legacy::login(server.address(), &from);
        alice.poll(0);
        let mut bob = Legacy::login(server.address(), &to);
        bob.poll(0);
        let to_bob = json!({"channelName": "c", "peer": to, "extra": ""});
        alice.call("voip_invite", to_bob);
        assert_eq!(bob.pushed().1.kind, "voip_invite");
        let answer = json!({"channelName": "c", "peer": from, "extra": {"a": [1, 2]}});
        bob.call("voip_invite_ack", answer.clone());
        assert_eq!(alice.pushed().1.kind, "voip_invite_ack");
        bob.call(act, answer);
        let (_, line) = alice.pushed();
        let extra = &body(&json!(line.content))["extra"];
        assert_eq!((line.kind.as_str(), extra), (act, &json!({"a": [1, 2]})));
    }
    server.end();
}

/// The caller of a telephone number knows the number: the gateway's end of the call is the
/// number's.
#[test]
fn the_gateways_end_is_the_numbers() {
    let mut config = common::config();
    config.legacy.rules.phone_gateway = Some("gateway".into());
    let server = common::TestServer::start(config);
    let mut gateway = Legacy::login(server.address(), "gateway");
    gateway.poll(0);
    let mut alice = Legacy::login(server.address(), "alice");
    alice.poll(0);
    for accepts in [true, false] {
        let phone = json!({"channelName": "c", "peer": "4930123", "extra": ""});
        alice.call("voip_invite_phone", phone);
        assert_eq!(gateway.pushed().1.kind, "voip_invite");
        let to_alice = json!({"channelName": "c", "peer": "alice", "extra": ""});
        gateway.call("voip_invite_ack", to_alice.clone());
        assert_eq!(alice.pushed().1.kind, "voip_invite_ack");
        if accepts {
            gateway.call("voip_invite_accept", to_alice.clone());
            assert_eq!(alice.pushed().1.kind, "voip_invite_accept");
        }
        gateway.call("voip_invite_bye", to_alice);
        let (_, line) = alice.pushed();
        let peer = &body(&json!(line.content))["peer"];
        assert_eq!(
            (line.kind.as_str(), peer),
            ("voip_invite_bye", &json!("4930123"))
        );
    }
    server.end();
}
