//! Sessions that are ended and members that are removed from outside.

use tidings_wire::codes::{CloseCode, Outcome};
use tidings_wire::proto::request::Call;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{Join, SendToChannel, reply};

use crate::ids::{ChannelKey, ConnectionId, SessionId};
use crate::outside::{OutsideAnswer, OutsideCall};
use crate::tests::node::Node;
use crate::tests::outside::{answer, ask, user};

/// Asks each hub, as the door does; returns on how many it has taken effect.
fn count(node: &mut Node, call: &OutsideCall) -> u32 {
    let mut sum = 0;
    for hub in 0..node.hubs.len() {
        let ticket = node.answers.len() as u64 + 1_000;
        ask(node, hub, ticket, call.clone());
        match answer(node, ticket) {
            Some(OutsideAnswer::Count(count)) => sum += count,
            other => panic!("answered {other:?}"),
        }
    }
    sum
}

fn join(node: &mut Node, connection: ConnectionId, channel: &str) {
    let channel = channel.into();
    node.call(connection, Call::Join(Join { channel }));
}

/// Who has left the channel, as a connection was told.
fn left(node: &Node, connection: ConnectionId) -> Vec<String> {
    let of = |kind: &Kind| match kind {
        Kind::MemberLeft(left) => Some(left.user_id.clone()),
        _ => None,
    };
    let messages = node.seen[&connection].messages.iter();
    messages.filter_map(of).collect()
}

fn disconnect(name: &str, session: Option<SessionId>, code: CloseCode) -> OutsideCall {
    OutsideCall::Disconnect {
        user: user(name),
        session,
        code,
    }
}

#[test]
fn a_user_is_thrown_out_and_others_see_it_leave() {
    for hub in [0, 1] {
        let mut node = Node::new(2);
        let bob = node.login(hub, "bob");
        let carol = node.login(0, "carol");
        for member in [bob, carol] {
            join(&mut node, member, "room");
        }
        let of = node.welcome(bob);
        assert_eq!(
            count(&mut node, &disconnect("dave", None, CloseCode::Banned)),
            0
        );
        assert_eq!(
            count(&mut node, &disconnect("bob", None, CloseCode::Banned)),
            1
        );
        assert_eq!(node.closed(bob), Some(CloseCode::Banned));
        assert_eq!(left(&node, carol), ["bob"]);
        let again = node.resume(hub, "bob", &of, 0);
        assert_eq!(node.refused(again), Some(Outcome::UnknownSession as u32));
        assert_eq!(
            count(&mut node, &disconnect("bob", None, CloseCode::Banned)),
            0
        );
        // Nothing bars it from logging in again.
        node.login(hub, "bob");
    }
}

#[test]
fn one_session_is_ended_by_its_name_and_a_newer_one_is_spared() {
    let mut node = Node::new(1);
    let old = node.login(0, "bob");
    let name = |node: &Node, connection| {
        let bytes = node.welcome(connection).session_id;
        SessionId(bytes[..].try_into().expect("16 bytes"))
    };
    let old = name(&node, old);
    let bob = node.login(0, "bob");
    let call = disconnect("bob", Some(old), CloseCode::LoggedOut);
    assert_eq!(count(&mut node, &call), 0);
    assert_eq!(node.closed(bob), None);
    let call = disconnect("bob", Some(name(&node, bob)), CloseCode::LoggedOut);
    assert_eq!(count(&mut node, &call), 1);
    assert_eq!(node.closed(bob), Some(CloseCode::LoggedOut));
}

#[test]
fn a_code_that_lets_clients_resume_leaves_the_session() {
    let mut node = Node::new(1);
    let bob = node.login(0, "bob");
    let of = node.welcome(bob);
    let call = disconnect("bob", None, CloseCode::GoingAway);
    assert_eq!(count(&mut node, &call), 1);
    assert_eq!(node.closed(bob), Some(CloseCode::GoingAway));
    let again = node.resume(0, "bob", &of, 0);
    assert!(node.resumed_secret(again).is_some());
}

#[test]
fn a_login_that_is_on_its_way_is_turned_away_too() {
    let mut node = Node::new(2);
    node.login(1, "bob");
    node.is_held = true;
    let bob = node.login(0, "bob");
    // Its connection is open and has claimed the user; the other hub has not been asked yet.
    node.step();
    node.step();
    assert!(node.hubs[0].is_logging_in(bob));
    let call = disconnect("bob", None, CloseCode::Banned);
    for (ticket, hub) in [(1, 0), (2, 1)] {
        ask(&mut node, hub, ticket, call.clone());
    }
    node.is_held = false;
    node.settle();
    assert_eq!(node.closed(bob), Some(CloseCode::Banned));
}

#[test]
fn a_removed_member_is_told_and_so_are_the_others() {
    for hub in [0, 1] {
        let mut node = Node::new(2);
        let bob = node.login(hub, "bob");
        let carol = node.login(0, "carol");
        for member in [bob, carol] {
            join(&mut node, member, "room");
        }
        let remove = |channel: &str, name: &str| OutsideCall::RemoveMember {
            channel: ChannelKey {
                app: user("bob").app,
                channel: tidings_wire::names::ChannelName::parse(channel).expect("a name"),
            },
            user: user(name).user,
        };
        assert_eq!(count(&mut node, &remove("other", "bob")), 0);
        assert_eq!(count(&mut node, &remove("room", "dave")), 0);
        assert_eq!(count(&mut node, &remove("room", "bob")), 1);
        assert_eq!(left(&node, carol), ["bob"]);
        assert_eq!(left(&node, bob), ["bob"], "it has not left by itself");
        let call = SendToChannel {
            channel: "room".into(),
            ..SendToChannel::default()
        };
        let cseq = node.call(bob, Call::SendToChannel(call));
        match node.reply(bob, cseq) {
            Some(reply::Result::Error(error)) => {
                assert_eq!(error.outcome, Outcome::NotInChannel as u32);
            }
            other => panic!("answered {other:?}"),
        }
        assert_eq!(count(&mut node, &remove("room", "bob")), 0);
        join(&mut node, bob, "room");
        assert_eq!(
            count(&mut node, &remove("room", "bob")),
            1,
            "it had come back"
        );
    }
}

#[test]
fn a_member_that_is_removed_while_it_joins_is_told_after_its_join() {
    let mut node = Node::new(2);
    let bob = node.login(0, "bob");
    node.is_held = true;
    join(&mut node, bob, "room");
    node.step();
    let call = OutsideCall::RemoveMember {
        channel: ChannelKey {
            app: user("bob").app,
            channel: tidings_wire::names::ChannelName::parse("room").expect("a name"),
        },
        user: user("bob").user,
    };
    // Before the join has come back from the bus.
    let before: Vec<_> = node.queue.drain(..).collect();
    ask(&mut node, 0, 1, call);
    node.step();
    let after: Vec<_> = node.queue.drain(..).collect();
    node.queue.extend(before);
    node.queue.extend(after);
    node.is_held = false;
    node.settle();
    assert_eq!(answer(&node, 1), Some(OutsideAnswer::Count(1)));
    let told: Vec<_> = (node.seen[&bob].messages.iter())
        .filter_map(|kind| match kind {
            Kind::Reply(_) => Some("joined"),
            Kind::MemberLeft(_) => Some("left"),
            _ => None,
        })
        .collect();
    assert_eq!(told, ["joined", "left"]);
    assert_eq!(node.hubs[0].stats().channels, 0);
}
