//! Silence, pauses of the process, and partial confirmation.

use tidings_wire::codes::CloseCode;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{PresenceState, SubscribePresence, client_message, reply, request};

use crate::ids::ConnectionId;
use crate::io::Input;
use crate::tests::node::Node;

fn states(node: &Node, watcher: ConnectionId) -> Vec<PresenceState> {
    let messages = node.seen[&watcher].messages.iter();
    let changes = messages.filter_map(|kind| match kind {
        Kind::PresenceChanged(changed) => Some(changed.users.iter().map(|user| user.state())),
        _ => None,
    });
    changes.flatten().collect()
}

fn watch(node: &mut Node, watcher: ConnectionId, user: &str) {
    let call = SubscribePresence {
        user_ids: vec![user.into()],
    };
    node.call(watcher, request::Call::SubscribePresence(call));
}

#[test]
fn a_half_open_link_of_a_watched_user_shows_after_six_seconds() {
    for watcher_hub in [0, 1] {
        for watches_first in [false, true] {
            let mut node = Node::new(2);
            let watcher = node.login(watcher_hub, "alice");
            if watches_first {
                watch(&mut node, watcher, "bob");
            }
            let bob = node.login(1, "bob");
            if !watches_first {
                watch(&mut node, watcher, "bob");
            }
            node.pass(5_500, &[watcher]);
            assert_eq!(states(&node, watcher).last(), Some(&PresenceState::Online));
            node.pass(1_000, &[watcher]);
            let last = states(&node, watcher).pop();
            assert_eq!(last, Some(PresenceState::Unreachable));
            assert_eq!(node.closed(bob), None);
            node.say(bob, 0, vec![client_message::Kind::Pong(Default::default())]);
            let last = states(&node, watcher).pop();
            assert_eq!(last, Some(PresenceState::Online), "it has answered");
            node.pass(17_000, &[watcher]);
            assert_eq!(node.closed(bob), Some(CloseCode::HeartbeatLost));
        }
    }
}

#[test]
fn a_user_who_is_not_watched_is_pinged_after_ten_seconds() {
    let mut node = Node::new(1);
    let bob = node.login(0, "bob");
    node.pass(9_500, &[]);
    let pings = |node: &Node| {
        let messages = node.seen[&bob].messages.iter();
        messages
            .filter(|kind| matches!(kind, Kind::Ping(_)))
            .count()
    };
    assert_eq!(pings(&node), 0);
    node.pass(1_000, &[]);
    assert_eq!(pings(&node), 1);
    assert_eq!(node.closed(bob), None);
}

#[test]
fn a_pause_of_the_process_makes_nobody_gone_and_no_claim_won() {
    for pause_ms in [35_000, 600_000] {
        let mut node = Node::new(2);
        let alice = node.login(0, "alice");
        watch(&mut node, alice, "bob");
        let bob = node.login(1, "bob");
        let away = node.login(0, "carol");
        let of_away = node.welcome(away);
        node.close(away);
        node.pass(2_000, &[alice, bob]);
        // Nothing runs; then everything that has been said meanwhile is read, timers first.
        node.now.mono_ms += pause_ms;
        node.now.unix_ms += pause_ms;
        for hub in [0, 1] {
            node.give(hub, Input::Tick);
        }
        node.pass(2_000, &[alice, bob]);
        assert_eq!((node.closed(alice), node.closed(bob)), (None, None));
        assert_eq!(states(&node, alice).last(), Some(&PresenceState::Online));
        let again = node.resume(1, "carol", &of_away, 0);
        assert_eq!(node.refused(again), None, "her session has waited, too");
        let cseq = node.send(alice, "bob", "hello", false);
        node.say(bob, node.numbered(bob), vec![]);
        let Some(reply::Result::PeerSent(sent)) = node.reply(alice, cseq) else {
            panic!("no answer");
        };
        assert!(sent.received);
    }
}

#[test]
fn a_ping_that_was_sent_late_may_be_answered_as_long_as_any_other() {
    let mut node = Node::new(1);
    let bob = node.login(0, "bob");
    // The loop is late by less than what counts as a pause.
    node.now.mono_ms += 10_900;
    node.give(0, Input::Tick);
    node.pass(5_500, &[]);
    assert_eq!(node.closed(bob), None);
    node.pass(1_000, &[]);
    assert_eq!(node.closed(bob), Some(CloseCode::HeartbeatLost));
}

#[test]
fn a_session_that_is_handed_over_to_a_draining_hub_is_sent_away() {
    let mut node = Node::new(2);
    let bob = node.login(0, "bob");
    let welcome = node.welcome(bob);
    node.close(bob);
    node.is_held = true;
    let again = node.resume(1, "bob", &welcome, 0);
    // Its resume is on the way from hub to hub when hub 0 begins to drain.
    for _ in 0..4 {
        node.step();
    }
    node.give(0, Input::Drain);
    node.is_held = false;
    node.settle();
    assert_eq!(node.closed(again), Some(CloseCode::GoingAway));
}
