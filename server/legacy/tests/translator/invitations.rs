//! How long invitations ring, and what is said when they end. Source: signaling 8.2, 8.3, 9.5.

use serde_json::{Value, json};
use tidings_wire::proto::message::Body;
use tidings_wire::proto::request::Call;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{CancelInvitation, ConfirmAccept, InvitationEnd, Invite};

use crate::world::{Who, World, body};

fn about(peer: &str, extra: Value) -> Value {
    json!({"channelName": "room", "peer": peer, "extra": extra})
}

/// Alice invites bob; his library has it, and acknowledges it if `acknowledges`.
fn ring(world: &mut World, alice: Who, bob: Who, extra: Value, acknowledges: bool) {
    let (from, to) = (world.name(alice).to_owned(), world.name(bob).to_owned());
    assert_eq!(
        world.call(alice, "voip_invite", about(&to, extra))["result"],
        "ok"
    );
    assert_eq!(world.heard(bob)[0].0, "voip_invite");
    if acknowledges {
        world.call(bob, "voip_invite_ack", about(&from, json!("")));
        assert_eq!(world.heard(alice)[0].0, "voip_invite_ack");
    }
}

fn failed(world: &mut World, alice: Who) -> Vec<Value> {
    let heard = world.heard(alice).into_iter();
    heard
        .filter(|(kind, _)| kind == "voip_invite_failed")
        .map(|(_, content)| body(&content["extra"]))
        .collect()
}

fn pair() -> (World, Who, Who) {
    let mut world = World::new();
    let alice = world.legacy("alice");
    let bob = world.legacy("bob");
    (world, alice, bob)
}

#[test]
fn without_a_timeout_it_rings_until_one_side_acts() {
    let (mut world, alice, bob) = pair();
    ring(&mut world, alice, bob, json!(""), true);
    world.wait(600_000);
    assert_eq!((world.told(alice), world.told(bob)), (vec![], vec![]));
    let answer = world.call(bob, "voip_invite_accept", about("alice", json!("late")));
    assert_eq!(answer["result"], "ok");
    let heard = world.heard(alice);
    assert_eq!(
        (heard[0].0.as_str(), &heard[0].1["extra"]),
        ("voip_invite_accept", &json!("late"))
    );
}

#[test]
fn a_callee_that_does_not_acknowledge_within_20_s_has_not_had_it() {
    let (mut world, alice, bob) = pair();
    ring(&mut world, alice, bob, json!(""), false);
    world.wait(19_999);
    assert_eq!(failed(&mut world, alice), Vec::<Value>::new());
    world.wait(1);
    assert_eq!(
        failed(&mut world, alice),
        [json!({"code": 700, "reason": "timeout"})]
    );
    world.wait(600_000);
    assert_eq!(
        failed(&mut world, alice),
        Vec::<Value>::new(),
        "there is one notice"
    );
}

#[test]
fn an_absent_callee_has_20_s_and_gets_the_queued_invitation_if_it_comes() {
    let mut world = World::new();
    let alice = world.legacy("alice");
    world.call(alice, "voip_invite", about("bob", json!("")));
    world.wait(15_000);
    let bob = world.legacy("bob");
    world.wait(1_500);
    assert_eq!(world.heard(bob)[0].0, "voip_invite");
    world.call(bob, "voip_invite_ack", about("alice", json!("")));
    world.wait(60_000);
    assert_eq!(world.heard(alice).len(), 1, "the acknowledgement");

    world.call(alice, "voip_invite", about("carol", json!("")));
    world.wait(19_999);
    assert_eq!(failed(&mut world, alice).len(), 0);
    world.wait(1);
    assert_eq!(failed(&mut world, alice)[0]["code"], 700);
    let carol = world.legacy("carol");
    world.wait(5_000);
    assert_eq!(
        world.told(carol),
        Vec::<String>::new(),
        "the queued one was removed"
    );
}

#[test]
fn a_callee_that_must_be_there_and_is_not_fails_it_at_once() {
    let mut world = World::new();
    let alice = world.legacy("alice");
    let extra = json!({"_require_peer_online": 1}).to_string();
    let answer = world.call(alice, "voip_invite", about("bob", json!(extra)));
    assert_eq!(answer, json!({"result": "ok"}));
    assert_eq!(
        failed(&mut world, alice),
        [json!({"code": 703, "reason": "peer offline"})]
    );
}

#[test]
fn a_timeout_is_told_to_both() {
    for timeout in [json!("{\"_timeout\":25}"), json!({"_timeout": 25})] {
        let (mut world, alice, bob) = pair();
        ring(&mut world, alice, bob, timeout, true);
        world.wait(24_999);
        assert_eq!((world.told(alice), world.told(bob)), (vec![], vec![]));
        world.wait(1);
        assert_eq!(failed(&mut world, alice)[0]["code"], 704);
        let heard = world.heard(bob);
        assert_eq!(heard.len(), 1, "{heard:?}");
        assert_eq!(
            (heard[0].0.as_str(), &heard[0].1["extra"]),
            ("voip_invite_bye", &json!(""))
        );
        let late = world.call(bob, "voip_invite_accept", about("alice", json!("")));
        assert_eq!(late["reason"], "no invite");
    }
}

#[test]
fn a_timeout_below_20_s_bounds_the_wait_for_the_acknowledgement_too() {
    let (mut world, alice, bob) = pair();
    ring(&mut world, alice, bob, json!("{\"_timeout\":3}"), false);
    world.wait(2_999);
    assert_eq!(failed(&mut world, alice).len(), 0);
    world.wait(1);
    assert_eq!(failed(&mut world, alice)[0]["code"], 700);
}

#[test]
fn the_callers_end_ends_what_rings() {
    let (mut world, alice, bob) = pair();
    ring(&mut world, alice, bob, json!("words"), true);
    world.lose(alice);
    let heard = world.heard(bob);
    assert_eq!(
        (heard[0].0.as_str(), &heard[0].1["extra"]),
        ("voip_invite_bye", &json!(""))
    );
}

#[test]
fn a_callee_that_was_lost_may_come_back_within_20_s() {
    let (mut world, alice, bob) = pair();
    ring(&mut world, alice, bob, json!(""), true);
    world.lose(bob);
    world.wait(10_000);
    let bob = world.legacy("bob");
    world.wait(120_000);
    assert_eq!(world.told(alice), Vec::<String>::new());
    world.call(bob, "voip_invite_accept", about("alice", json!("")));
    assert_eq!(world.heard(alice)[0].0, "voip_invite_accept");

    ring(&mut world, alice, bob, json!(""), true);
    world.lose(bob);
    world.wait(30_000);
    assert_eq!(failed(&mut world, alice)[0]["code"], 703);
}

#[test]
fn a_second_invitation_takes_the_place_of_the_first() {
    let (mut world, alice, bob) = pair();
    ring(&mut world, alice, bob, json!("one"), true);
    ring(&mut world, alice, bob, json!("two"), true);
    assert_eq!((world.told(alice), world.told(bob)), (vec![], vec![]));
    world.call(bob, "voip_invite_refuse", about("alice", json!("busy")));
    assert_eq!(world.heard(alice).len(), 1);
    let again = world.call(bob, "voip_invite_refuse", about("alice", json!("")));
    assert_eq!(again["data"]["result"], "no invite");
}

#[test]
fn one_may_invite_oneself() {
    let mut world = World::new();
    let alice = world.legacy("alice");
    world.call(alice, "voip_invite", about("alice", json!("me")));
    assert_eq!(world.heard(alice)[0].0, "voip_invite");
    world.call(alice, "voip_invite_ack", about("alice", json!("")));
    assert_eq!(world.heard(alice)[0].0, "voip_invite_ack");
    world.call(alice, "voip_invite_accept", about("alice", json!("yes")));
    assert_eq!(world.heard(alice)[0].0, "voip_invite_accept");
}

#[test]
fn with_an_rtm_user_it_ends_after_60_s() {
    let mut world = World::new();
    let alice = world.legacy("alice");
    let rtm = world.native("rtm");
    world.call(alice, "voip_invite", about("rtm", json!("come")));
    assert!(matches!(
        world.kinds(rtm)[..],
        [Kind::IncomingInvitation(_)]
    ));
    assert_eq!(world.heard(alice)[0].0, "voip_invite_ack");
    world.wait(59_999);
    assert_eq!(world.told(alice), Vec::<String>::new());
    world.wait(1);
    assert_eq!(failed(&mut world, alice)[0]["code"], 704);
    let Some(Kind::RemoteInvitationEnded(end)) = world.kinds(rtm).pop() else {
        panic!("the RTM user is not told");
    };
    assert_eq!(end.end(), InvitationEnd::Expired);
}

#[test]
fn an_rtm_callers_cancellation_carries_the_content() {
    let mut world = World::new();
    let (rtm, bob) = (world.native("rtm"), world.legacy("bob"));
    for (number, acknowledges) in [(1, true), (2, false)] {
        let invite = Invite {
            number,
            callee_id: "bob".into(),
            content: "what it is about".into(),
            channel: "room".into(),
            r#type: String::new(),
        };
        world.request(rtm, Call::Invite(invite));
        assert_eq!(world.heard(bob)[0].0, "voip_invite");
        if acknowledges {
            world.call(bob, "voip_invite_ack", about("rtm", json!("")));
        }
        world.request(rtm, Call::CancelInvitation(CancelInvitation { number }));
        let heard = world.heard(bob);
        let extra = &heard[0].1["extra"];
        assert_eq!(
            (heard[0].0.as_str(), extra),
            ("voip_invite_bye", &json!("what it is about"))
        );
    }
}

#[test]
fn a_call_that_is_ended_while_it_is_being_accepted_ends_after_the_acceptance() {
    let mut world = World::new();
    let (rtm, alice, bob) = (
        world.native("rtm"),
        world.legacy("alice"),
        world.legacy("bob"),
    );
    let invite = Invite {
        number: 1,
        callee_id: "bob".into(),
        content: String::new(),
        channel: "room".into(),
        r#type: String::new(),
    };
    world.request(rtm, Call::Invite(invite));
    assert_eq!(world.heard(bob)[0].0, "voip_invite");
    world.kinds(rtm);
    let calls = |peer: &str| {
        [
            ("voip_invite_accept", about(peer, json!("yes"))),
            ("voip_invite_bye", about(peer, json!("enough"))),
        ]
    };
    world.start_together(bob, &calls("rtm"));
    // The caller's client has its say before the invitation is accepted.
    assert!(matches!(world.kinds(rtm)[..], [.., Kind::AcceptAsked(_)]));
    world.request(rtm, Call::ConfirmAccept(ConfirmAccept { number: 1 }));
    let kinds = world.kinds(rtm);
    let [Kind::LocalInvitationEnded(end), Kind::PeerMessage(text)] = &kinds[..] else {
        panic!("the RTM user is told {kinds:?}");
    };
    assert_eq!(end.end(), InvitationEnd::Accepted);
    let body = text.message.as_ref().and_then(|it| it.body.clone());
    let expected = "AgoraRTMLegacyEndcallCompatibleMessagePrefix_room_enough";
    assert_eq!(body, Some(Body::Text(expected.as_bytes().to_vec().into())));

    ring(&mut world, alice, bob, json!(""), true);
    world.start_together(bob, &calls("alice"));
    let heard: Vec<String> = world
        .heard(alice)
        .into_iter()
        .map(|(kind, _)| kind)
        .collect();
    assert_eq!(heard, ["voip_invite_accept", "voip_invite_bye"]);
}

#[test]
fn a_call_that_is_ended_while_its_acceptance_fails_is_over() {
    let mut world = World::new();
    let (rtm, bob) = (world.native("rtm"), world.legacy("bob"));
    let invite = Invite {
        number: 1,
        callee_id: "bob".into(),
        content: "well?".into(),
        channel: "room".into(),
        r#type: String::new(),
    };
    world.request(rtm, Call::Invite(invite));
    assert_eq!(world.heard(bob)[0].0, "voip_invite");
    world.request(rtm, Call::CancelInvitation(CancelInvitation { number: 1 }));
    world.heard(bob);
    world.kinds(rtm);
    world.start_together(
        bob,
        &[
            ("voip_invite_accept", about("rtm", json!("yes"))),
            ("voip_invite_bye", about("rtm", json!("enough"))),
        ],
    );
    assert_eq!(world.told(bob), Vec::<String>::new());
}
