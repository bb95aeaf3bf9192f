//! Invitations that somebody outside sends, lists, decides and ends.

use tidings_wire::codes::Outcome;
use tidings_wire::proto::request::Call;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{
    AcceptInvitation, ConfirmAccept, InvitationEnd, Invite, RefuseInvitation,
};

use crate::bus_ops::Decision;
use crate::ids::{ConnectionId, InvitationId};
use crate::outside::{InvitationEntry, InvitationStage, OutsideAnswer, OutsideCall};
use crate::tests::node::Node;
use crate::tests::outside::calls::ask_as;
use crate::tests::outside::{answer, ask, refusal, user};

fn invite(number: u64) -> Invite {
    Invite {
        number,
        callee_id: "bob".into(),
        content: "a call".into(),
        channel: "room".into(),
        ..Invite::default()
    }
}

fn invited(node: &mut Node, ticket: u64) -> InvitationId {
    ask_as(node, ticket, "service", Call::Invite(invite(0)));
    match answer(node, ticket) {
        Some(OutsideAnswer::Invited(id)) => id,
        other => panic!("answered {other:?}"),
    }
}

/// The ids of invitations that have rung at a connection.
fn rung(node: &Node, connection: ConnectionId) -> Vec<InvitationId> {
    let of = |kind: &Kind| match kind {
        Kind::IncomingInvitation(it) => Some(InvitationId(it.id[..].try_into().ok()?)),
        _ => None,
    };
    let messages = node.seen[&connection].messages.iter();
    messages.filter_map(of).collect()
}

/// How invitations have ended, as the callee was told.
fn remote_ends(node: &Node, connection: ConnectionId) -> Vec<InvitationEnd> {
    let of = |kind: &Kind| match kind {
        Kind::RemoteInvitationEnded(it) => Some(it.end()),
        _ => None,
    };
    let messages = node.seen[&connection].messages.iter();
    messages.filter_map(of).collect()
}

/// How invitations have ended, as the caller was told.
fn local_ends(node: &Node, connection: ConnectionId) -> Vec<InvitationEnd> {
    let of = |kind: &Kind| match kind {
        Kind::LocalInvitationEnded(it) => Some(it.end()),
        _ => None,
    };
    let messages = node.seen[&connection].messages.iter();
    messages.filter_map(of).collect()
}

fn list(node: &mut Node, ticket: u64) -> Vec<InvitationEntry> {
    let call = OutsideCall::Invitations {
        app: user("bob").app,
        user: Some(user("bob").user),
        limit: 10,
    };
    ask(node, 0, ticket, call);
    match answer(node, ticket) {
        Some(OutsideAnswer::Invitations {
            invitations,
            has_more,
        }) => {
            assert!(!has_more);
            invitations
        }
        other => panic!("answered {other:?}"),
    }
}

fn confirm(node: &mut Node, connection: ConnectionId) {
    let numbered = node.numbered(connection);
    node.say(connection, numbered, vec![]);
}

#[test]
fn a_service_calls_a_user_who_accepts_or_refuses() {
    for hub in [0, 1] {
        for accepts in [true, false] {
            let mut node = Node::new(2);
            let bob = node.login(hub, "bob");
            let id = invited(&mut node, 1);
            assert_eq!(rung(&node, bob), [id]);
            assert_eq!(list(&mut node, 2)[0].stage, InvitationStage::Pending);
            confirm(&mut node, bob);
            let listed = list(&mut node, 3);
            assert_eq!(listed.len(), 1);
            assert_eq!(listed[0].stage, InvitationStage::Ringing);
            assert_eq!((listed[0].id, &listed[0].caller), (id, &user("service")));
            assert_eq!(listed[0].content, "a call");
            assert_eq!(listed[0].channel, "room");
            let (response, bytes) = ("well".to_owned(), id.0.to_vec().into());
            let (call, end) = if accepts {
                let id = bytes;
                let call = Call::AcceptInvitation(AcceptInvitation { id, response });
                (call, InvitationEnd::Accepted)
            } else {
                let id = bytes;
                let call = Call::RefuseInvitation(RefuseInvitation { id, response });
                (call, InvitationEnd::Refused)
            };
            node.call(bob, call);
            assert_eq!(remote_ends(&node, bob), [end]);
            assert_eq!(list(&mut node, 4), []);
        }
    }
}

#[test]
fn an_invitation_of_a_service_outlives_logins_of_its_caller_and_ends_by_time() {
    let mut node = Node::new(1);
    let bob = node.login(0, "bob");
    invited(&mut node, 1);
    confirm(&mut node, bob);
    let service = node.login(0, "service");
    assert_eq!(list(&mut node, 2).len(), 1, "a login has not ended it");
    node.pass(61_000, &[bob, service]);
    assert_eq!(remote_ends(&node, bob), [InvitationEnd::Expired]);
    assert_eq!(list(&mut node, 3), []);
    assert_eq!(local_ends(&node, service), [], "its client has not sent it");
}

#[test]
fn ends_from_outside_are_told_to_both_sides() {
    for hub in [0, 1] {
        let mut node = Node::new(2);
        let [alice, bob] = ["alice", "bob"].map(|name| node.login(hub, name));
        node.call(alice, Call::Invite(invite(1)));
        confirm(&mut node, bob);
        let id = rung(&node, bob)[0];
        let end = OutsideCall::EndInvitation {
            caller: user("alice"),
            id,
        };
        let other = 1 - hub;
        ask(&mut node, other, 1, end.clone());
        assert_eq!(answer(&node, 1), Some(OutsideAnswer::Count(0)));
        ask(&mut node, hub, 2, end.clone());
        assert_eq!(answer(&node, 2), Some(OutsideAnswer::Count(1)));
        assert_eq!(remote_ends(&node, bob), [InvitationEnd::Canceled]);
        assert_eq!(local_ends(&node, alice), [InvitationEnd::Canceled]);
        ask(&mut node, hub, 3, end);
        assert_eq!(answer(&node, 3), Some(OutsideAnswer::Count(0)), "once");
    }
}

#[test]
fn a_service_decides_for_a_callee() {
    let accept = || Decision::Accept("yes".into());
    let refuse = || Decision::Refuse("no".into());
    for (decision, end) in [
        (accept(), InvitationEnd::Accepted),
        (refuse(), InvitationEnd::Refused),
    ] {
        let mut node = Node::new(1);
        let alice = node.login(0, "alice");
        node.call(alice, Call::Invite(invite(1)));
        let id = list(&mut node, 1)[0].id;
        let decide = |callee: &str| OutsideCall::DecideInvitation {
            caller: user("alice"),
            id,
            callee: user(callee).user,
            decision: decision.clone(),
        };
        ask(&mut node, 0, 2, decide("mallory"));
        assert_eq!(
            answer(&node, 2),
            Some(OutsideAnswer::Count(0)),
            "not invited"
        );
        ask(&mut node, 0, 3, decide("bob"));
        assert_eq!(answer(&node, 3), Some(OutsideAnswer::Count(1)));
        ask(&mut node, 0, 4, decide("bob"));
        assert_eq!(answer(&node, 4), Some(OutsideAnswer::Count(0)), "decided");
        // The caller's client is asked before an acceptance counts.
        node.call(alice, Call::ConfirmAccept(ConfirmAccept { number: 1 }));
        assert_eq!(local_ends(&node, alice), [end]);
    }
}

#[test]
fn bad_invitations_are_refused() {
    let mut node = Node::new(1);
    let nobody = Invite {
        callee_id: String::new(),
        ..invite(0)
    };
    ask_as(&mut node, 1, "service", Call::Invite(nobody));
    assert_eq!(refusal(&node, 1).0, Outcome::InvalidArgument as u32);
    for ticket in 2..1_002 {
        invited(&mut node, ticket);
    }
    ask_as(&mut node, 2_000, "service", Call::Invite(invite(0)));
    let (code, text) = refusal(&node, 2_000);
    assert_eq!(code, Outcome::TooManyInvitations as u32, "{text}");
    let long = OutsideCall::DecideInvitation {
        caller: user("service"),
        id: InvitationId([0; 16]),
        callee: user("bob").user,
        decision: Decision::Accept("x".repeat(8 * 1024 + 1)),
    };
    ask(&mut node, 0, 2_001, long);
    assert_eq!(refusal(&node, 2_001).0, Outcome::InvalidArgument as u32);
}
