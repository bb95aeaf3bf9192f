//! Message tracing: when connections are written, and what members of channels are given.

use tidings_wire::limits::TRACE_LONGEST_MS;
use tidings_wire::names::UserId;

use super::traces::{confirm_all, follow, id_of, join, noted, steps, to_channel, trace, write_all};
use crate::ids::{ConnectionId, MessageId};
use crate::io::Input;
use crate::outside::OutsideAnswer;
use crate::tests::node::Node;
use crate::traces::{Trace, TraceCall};

#[test]
fn what_a_followed_user_is_given_of_a_channel_is_noted_for_that_user() {
    let mut node = Node::new(2);
    let alice = node.login(0, "alice");
    let carol = node.login(1, "carol");
    let dave = node.login(1, "dave");
    for connection in [alice, carol, dave] {
        join(&mut node, connection, "room");
    }
    follow(&mut node, Some("carol"), None);
    let cseq = node.call(alice, to_channel("room", "hello", false));
    let id = id_of(&node, alice, cseq);
    write_all(&mut node, 1);
    for connection in [carol, dave] {
        confirm_all(&mut node, connection);
    }
    assert_eq!(noted(&mut node, 0, id), None);
    let expected = [
        "ordered",
        "given carol",
        "queued carol",
        "written carol",
        "confirmed carol",
    ];
    assert_eq!(steps(&mut node, 1, id), expected);
    assert!(!noted(&mut node, 1, id).expect("noted").is_waiting);
    assert_eq!(listed(&mut node, 1, "carol"), [id]);
    assert!(listed(&mut node, 1, "dave").is_empty());
    // What carol sends to the channel herself is followed as before, and not given to her.
    let cseq = node.call(carol, to_channel("room", "hello", false));
    let own = id_of(&node, carol, cseq);
    let seen = steps(&mut node, 1, own);
    assert_eq!(seen[..3], ["accepted carol", "stamped", "ordered"]);
    assert!(!seen.contains(&"given carol".to_owned()), "{seen:?}");
    // With a trace of the channel besides, all members are counted, and carol is found still.
    follow(&mut node, None, Some("room"));
    let cseq = node.call(alice, to_channel("room", "hello", false));
    let both = id_of(&node, alice, cseq);
    let seen = steps(&mut node, 1, both);
    assert_eq!(seen, ["ordered", "given 2", "queued 2"]);
    assert_eq!(listed(&mut node, 1, "carol"), [both, own, id]);
    // One of another channel's is not meant by a trace of both.
    for hub in [0, 1] {
        while trace(&mut node, hub, TraceCall::End([1; 8])) == OutsideAnswer::Count(1) {}
    }
    follow(&mut node, Some("carol"), Some("other"));
    let cseq = node.call(alice, to_channel("room", "hello", false));
    let id = id_of(&node, alice, cseq);
    assert_eq!(noted(&mut node, 1, id), None);
}

/// The messages that a hub lists by a user, the newest first.
fn listed(node: &mut Node, hub: usize, user: &str) -> Vec<MessageId> {
    let call = TraceCall::Messages {
        user: Some(UserId::parse(user).expect("a user")),
        channel: None,
        limit: 9,
    };
    match trace(node, hub, call) {
        OutsideAnswer::TracedMessages(found) => found.iter().map(|entry| entry.id).collect(),
        other => panic!("answered {other:?}"),
    }
}

#[test]
fn it_is_noted_when_a_connection_that_does_not_read_is_written_at_last_or_gone() {
    let mut node = Node::new(1);
    let users = ["alice", "bob", "carol", "dave"];
    let [alice, bob, carol, dave] = users.map(|user| node.login(0, user));
    for connection in [alice, bob, carol, dave] {
        join(&mut node, connection, "room");
    }
    assert!(!node.hubs[0].has_traced_writes(), "nothing is followed");
    follow(&mut node, None, None);
    let cseq = node.call(alice, to_channel("room", "hello", false));
    let id = id_of(&node, alice, cseq);
    let mut asked = node.hubs[0].traced_connections();
    asked.sort();
    assert_eq!(asked, [bob, carol, dave]);
    let written = |node: &mut Node, written: &[ConnectionId], gone: &[ConnectionId]| {
        let (written, gone) = (written.to_vec(), gone.to_vec());
        node.give(0, Input::Written { written, gone });
        steps(node, 0, id)
            .into_iter()
            .filter(|step| step.starts_with("written"))
            .collect::<Vec<_>>()
    };
    assert_eq!(written(&mut node, &[bob], &[]), ["written 1"]);
    assert_eq!(written(&mut node, &[bob], &[]), ["written 1"]);
    assert_eq!(written(&mut node, &[], &[dave]), ["written 1"]);
    assert_eq!(
        written(&mut node, &[bob, carol, dave], &[]),
        ["written 1", "written 1"]
    );
    assert!(!node.hubs[0].has_traced_writes());
}

#[test]
fn a_trace_is_on_for_the_longest_time_at_most() {
    let mut node = Node::new(1);
    let for_ever = Trace {
        id: [1; 8],
        user: None,
        channel: None,
        until_ms: u64::MAX,
    };
    trace(&mut node, 0, TraceCall::Begin(for_ever));
    let OutsideAnswer::Traces(on) = trace(&mut node, 0, TraceCall::List) else {
        panic!("answered something else");
    };
    assert_eq!(on[0].until_ms, node.now.unix_ms + TRACE_LONGEST_MS);
}
