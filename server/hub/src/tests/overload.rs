//! Clients that ask for too much.

use tidings_wire::codes::{CloseCode, Outcome};
use tidings_wire::limits::REPLAY_BYTES_MAX;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{Join, Message, SendToChannel, gap, message, request};

use crate::config::{App, Apps};
use crate::ids::ConnectionId;
use crate::io::{Input, Pressure};
use crate::tests::node::Node;

#[test]
fn a_client_that_stays_far_above_its_rate_is_sent_away_and_resumes() {
    let mut node = Node::with_apps(1, limited());
    let (alice, bob) = (node.login(0, "alice"), node.login(0, "bob"));
    let welcome = node.welcome(alice);
    let began_ms = node.now.mono_ms;
    let mut answered = 0;
    while node.closed(alice).is_none() && node.now.mono_ms < began_ms + 20_000 {
        node.now.mono_ms += 10;
        // 500 a second, where 60 are allowed.
        for _ in 0..5 {
            answered = node.send(alice, "nobody", "x", false);
        }
        node.say(alice, node.numbered(alice), vec![]);
        node.say(bob, node.numbered(bob), vec![]);
    }
    let took_ms = node.now.mono_ms - began_ms;
    assert_eq!(node.closed(alice), Some(CloseCode::RateLimited));
    assert!((10_000..15_000).contains(&took_ms), "after {took_ms} ms");
    assert_eq!(node.closed(bob), None);
    let hint = node.seen[&alice]
        .messages
        .iter()
        .find_map(|kind| match kind {
            Kind::Refused(refused) => refused.error.clone(),
            _ => None,
        });
    assert_eq!(hint.map(|error| error.retry_after_ms), Some(5_000));
    assert!(answered > 1_000);
    // Whoever comes back before the time is turned away again.
    let early = node.resume(0, "alice", &welcome, node.numbered(alice));
    assert_eq!(node.closed(early), Some(CloseCode::RateLimited));
    node.pass(5_000, &[bob]);
    let again = node.resume(0, "alice", &welcome, node.numbered(alice));
    assert_eq!(node.closed(again), None);
}

/// Clients of one app whose rates are enforced.
fn limited() -> Apps {
    let mut apps = Apps::default();
    let id = tidings_wire::names::AppId::parse(&"a".repeat(32)).expect("an app id");
    apps.listed.insert(id, App::default());
    apps
}

/// Members of one channel and who writes to it.
fn members(node: &mut Node, names: &[&str]) -> Vec<ConnectionId> {
    let logins: Vec<_> = names.iter().map(|name| node.login(0, name)).collect();
    for login in &logins {
        let join = Join {
            channel: "c".into(),
        };
        node.call(*login, request::Call::Join(join));
    }
    logins
}

/// Sends so many messages of a kilobyte to the channel; the sender confirms what it gets.
fn fill(node: &mut Node, sender: ConnectionId, count: usize) {
    for _ in 0..count {
        let body = message::Body::Text("x".repeat(1_000).into());
        let call = SendToChannel {
            channel: "c".into(),
            message: Some(Message {
                body: Some(body),
                ..Message::default()
            }),
            history: false,
        };
        node.call(sender, request::Call::SendToChannel(call));
        node.say(sender, node.numbered(sender), vec![]);
    }
}

fn kept(node: &Node) -> usize {
    node.hubs[0].stats().replay_bytes
}

/// How many channel messages a connection was told to have missed.
fn missed(node: &Node, connection: ConnectionId) -> u64 {
    let skips = node.seen[&connection]
        .messages
        .iter()
        .filter_map(|kind| match kind {
            Kind::Skip(skip) => Some(&skip.gaps),
            _ => None,
        });
    skips
        .flatten()
        .filter(|gap| matches!(gap.source, Some(gap::Source::Channel(_))))
        .map(|gap| gap.missed)
        .sum()
}

#[test]
fn under_pressure_those_of_the_longest_away_lose_their_buffers_first_and_are_told() {
    let mut node = Node::new(1);
    let users = members(&mut node, &["alice", "bob", "carl"]);
    let [alice, bob, carl] = users[..] else {
        panic!("three users");
    };
    let (bobs, carls) = (node.welcome(bob), node.welcome(carl));
    let had_bob = node.numbered(bob);
    node.close(bob);
    fill(&mut node, alice, 100);
    node.now.mono_ms += 5_000;
    node.give(0, Input::Heard { connection: alice });
    let had_carl = node.numbered(carl);
    node.say(carl, had_carl, vec![]);
    node.close(carl);
    fill(&mut node, alice, 100);
    let before = kept(&node);
    assert!(before > 200_000, "{before}");
    // The 100 messages that bob alone waits for are as much as is asked for: carl keeps what he
    // has.
    let pressure = Pressure::High {
        excess_bytes: 80_000,
    };
    node.give(0, Input::Memory(pressure));
    assert!(kept(&node) <= before - 80_000, "{}", kept(&node));
    let again = node.resume(0, "carl", &carls, had_carl);
    assert_eq!(missed(&node, again), 0);
    let again = node.resume(0, "bob", &bobs, had_bob);
    assert!(missed(&node, again) >= 200, "{}", missed(&node, again));
    assert_eq!(node.closed(alice), None);
}

#[test]
fn under_pressure_nobody_logs_in_and_who_has_a_session_resumes() {
    let mut node = Node::new(1);
    let alice = node.login(0, "alice");
    let welcome = node.welcome(alice);
    let pressure = Pressure::High { excess_bytes: 0 };
    node.give(0, Input::Memory(pressure));
    let bob = node.login(0, "bob");
    assert_eq!(node.refused(bob), Some(Outcome::Overloaded as u32));
    assert_eq!(node.closed(bob), Some(CloseCode::Overloaded));
    node.close(alice);
    let again = node.resume(0, "alice", &welcome, 0);
    assert_eq!(node.closed(again), None);
    node.give(0, Input::Memory(Pressure::None));
    let bob = node.login(0, "bob");
    assert_eq!(node.closed(bob), None);
}

#[test]
fn at_the_ceiling_the_slowest_go_first_and_the_others_stay() {
    let mut node = Node::new(1);
    let users = members(&mut node, &["alice", "bob", "carl"]);
    let [alice, bob, carl] = users[..] else {
        panic!("three users");
    };
    fill(&mut node, alice, 300);
    // Carl has read half of it, bob nothing.
    node.say(carl, node.numbered(carl) - 150, vec![]);
    let before = kept(&node);
    let pressure = Pressure::Critical {
        excess_bytes: before / 4,
    };
    node.give(0, Input::Memory(pressure));
    assert_eq!(node.closed(bob), Some(CloseCode::SlowConsumer));
    assert_eq!(node.closed(carl), None);
    assert_eq!(node.closed(alice), None);
}

#[test]
fn at_the_ceiling_what_may_not_be_dropped_goes_with_its_session_and_is_stored_if_that_was_asked() {
    let mut node = Node::new(1);
    let (alice, bob) = (node.login(0, "alice"), node.login(0, "bob"));
    let welcome = node.welcome(bob);
    let had = node.numbered(bob);
    node.close(bob);
    let sent = node.send(alice, "bob", "kept", true);
    let pressure = Pressure::Critical {
        excess_bytes: usize::MAX,
    };
    node.give(0, Input::Memory(pressure));
    assert!(kept(&node) < 256, "the sender's reply alone");
    assert!(node.reply(alice, sent).is_some(), "the sender is answered");
    node.give(0, Input::Memory(Pressure::None));
    let again = node.resume(0, "bob", &welcome, had);
    assert_eq!(node.refused(again), Some(Outcome::UnknownSession as u32));
    node.log_in(again, "bob");
    assert_eq!(node.texts(again), ["kept"]);
}

#[test]
fn all_sessions_together_keep_no_more_than_their_bound() {
    let mut node = Node::new(1);
    let bound = REPLAY_BYTES_MAX / 4;
    let hub = node.hubs.remove(0).with_replay_bytes_max(bound);
    node.hubs.push(hub);
    let users = members(&mut node, &["alice", "bob"]);
    for n in 0..10 {
        node.close(users[1]);
        fill(&mut node, users[0], 100);
        assert!(kept(&node) <= bound, "{} after {n}", kept(&node));
    }
}
