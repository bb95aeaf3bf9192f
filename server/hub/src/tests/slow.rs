//! Clients that stay and confirm nothing, and stored messages that cannot be read.

use tidings_wire::codes::{CloseCode, Outcome};
use tidings_wire::limits::{PEER_ACK_WAIT_MS, PEER_TIMEOUT_MS, REPLAY_FRAMES_MAX};
use tidings_wire::proto::{QueryPresenceSubscriptions, reply, request};

use crate::ids::ConnectionId;
use crate::store_ops::StoreOp;
use crate::tests::node::Node;

fn error_of(node: &Node, connection: ConnectionId, cseq: u64) -> Option<u32> {
    match node.reply(connection, cseq)? {
        reply::Result::Error(error) => Some(error.outcome),
        _ => None,
    }
}

fn has_received(node: &Node, connection: ConnectionId, cseq: u64) -> Option<bool> {
    match node.reply(connection, cseq)? {
        reply::Result::PeerSent(sent) => Some(sent.received),
        _ => None,
    }
}

#[test]
fn replies_that_nobody_confirms_end_the_connection_and_the_session_goes_on() {
    let mut node = Node::new(1);
    let alice = node.login(0, "alice");
    for n in 1..REPLAY_FRAMES_MAX as u64 {
        let call = request::Call::QueryPresenceSubscriptions(QueryPresenceSubscriptions {});
        assert_eq!(node.call(alice, call), n);
    }
    assert_eq!(node.closed(alice), None);
    node.call(alice, request::Call::Logout(Default::default()));
    assert_eq!(node.closed(alice), Some(CloseCode::SlowConsumer));
}

#[test]
fn a_slow_session_is_resumed_by_a_client_that_confirms() {
    let mut node = Node::new(1);
    let bob = node.login(0, "bob");
    let welcome = node.welcome(bob);
    let senders: Vec<_> = (0..5)
        .map(|n| node.login(0, &format!("alice{n}")))
        .collect();
    let mut last = 0;
    for n in 0..REPLAY_FRAMES_MAX {
        last = node.send(senders[n % 5], "bob", &format!("t{n}"), false);
    }
    assert_eq!(node.closed(bob), Some(CloseCode::SlowConsumer));
    assert_eq!(node.hubs[0].stats().connections, senders.len());
    let confirm = node.numbered(bob);
    let again = node.resume(0, "bob", &welcome, confirm);
    assert_eq!(node.closed(again), None);
    let sender = senders[(REPLAY_FRAMES_MAX - 1) % 5];
    assert_eq!(has_received(&node, sender, last), Some(true));
}

#[test]
fn a_client_that_reads_and_never_confirms_is_closed_when_frames_had_to_go() {
    let mut node = Node::new(1);
    let bob = node.login(0, "bob");
    let alice = node.login(0, "alice");
    for user in [alice, bob] {
        let join = tidings_wire::proto::Join {
            channel: "c".into(),
        };
        node.call(user, request::Call::Join(join));
    }
    let fill = |node: &mut Node| {
        for _ in 0..2 * REPLAY_FRAMES_MAX {
            node.now.mono_ms += 25;
            let body = tidings_wire::proto::message::Body::Text("x".into());
            let call = tidings_wire::proto::SendToChannel {
                channel: "c".into(),
                message: Some(tidings_wire::proto::Message {
                    body: Some(body),
                    ..Default::default()
                }),
                history: false,
            };
            node.call(alice, request::Call::SendToChannel(call));
            node.say(alice, node.numbered(alice), vec![]);
            node.say(bob, 0, vec![]);
        }
    };
    fill(&mut node);
    assert_eq!(node.closed(bob), Some(CloseCode::SlowConsumer));
    assert_eq!(node.closed(alice), None);
}

#[test]
fn what_is_too_much_for_a_client_is_stored_in_order() {
    let mut node = Node::new(1);
    let alice = node.login(0, "alice");
    let bob = node.login(0, "bob");
    let welcome = node.welcome(bob);
    let count = 3_000;
    for n in 0..count {
        node.now.mono_ms += 20;
        node.give(0, crate::Input::Heard { connection: bob });
        node.send(alice, "bob", &format!("t{n}"), true);
        node.say(alice, node.numbered(alice), vec![]);
    }
    let mut seen = node.texts(bob);
    let mut confirm = node.numbered(bob);
    let again = node.resume(0, "bob", &welcome, confirm);
    for _ in 0..200 {
        node.say(again, confirm + node.numbered(again), vec![]);
    }
    confirm += node.numbered(again);
    assert!(confirm > 0);
    seen.extend(node.texts(again));
    // A message that was stored after it was sent comes in both forms; the client drops the second.
    let mut ids = std::collections::BTreeSet::new();
    seen.retain(|text| ids.insert(text.clone()));
    let expected: Vec<String> = (0..count).map(|n| format!("t{n}")).collect();
    assert!(seen == expected, "{} texts, in another order", seen.len());
}

#[test]
fn live_messages_behind_an_unconfirmed_page_are_answered_in_time() {
    let mut node = Node::new(1);
    let alice = node.login(0, "alice");
    for n in 0..40 {
        node.send(alice, "bob", &format!("s{n}"), true);
    }
    let bob = node.login(0, "bob");
    assert_eq!(node.texts(bob).len(), 32, "one page");
    let live = node.send(alice, "bob", "live", false);
    let kept = node.send(alice, "bob", "kept", true);
    node.pass(PEER_ACK_WAIT_MS + 600, &[alice, bob]);
    assert_eq!(
        has_received(&node, alice, kept),
        Some(false),
        "it is stored"
    );
    node.pass(PEER_TIMEOUT_MS, &[alice, bob]);
    assert_eq!(error_of(&node, alice, live), Some(Outcome::TimedOut as u32));
    for _ in 0..3 {
        node.say(bob, node.numbered(bob), vec![]);
    }
    let texts = node.texts(bob);
    assert_eq!(texts.last().map(String::as_str), Some("kept"));
    assert!(!texts.contains(&"live".to_owned()), "its turn was over");
}

#[test]
fn a_failed_read_of_the_inbox_is_repeated_and_nothing_overtakes() {
    let mut node = Node::new(1);
    let alice = node.login(0, "alice");
    node.send(alice, "bob", "stored", true);
    node.reads_failing = 2;
    let bob = node.login(0, "bob");
    node.send(alice, "bob", "live", false);
    assert_eq!(node.texts(bob), Vec::<String>::new());
    node.pass(2_500, &[alice, bob]);
    assert_eq!(node.texts(bob), ["stored", "live"]);
}

#[test]
fn live_messages_go_on_when_the_store_fails_for_long() {
    let mut node = Node::new(1);
    let alice = node.login(0, "alice");
    node.reads_failing = usize::MAX;
    let bob = node.login(0, "bob");
    node.pass(6_000, &[alice, bob]);
    node.send(alice, "bob", "live", false);
    assert_eq!(node.texts(bob), ["live"]);
    let is_read = |op: &&StoreOp| matches!(op, StoreOp::InboxRead { .. });
    let reads = node.store_ops.iter().filter(is_read).count();
    node.reads_failing = 0;
    node.pass(10_500, &[alice, bob]);
    let again = node.store_ops.iter().filter(is_read).count();
    assert_eq!(again, reads + 1, "it is tried again, once");
}
