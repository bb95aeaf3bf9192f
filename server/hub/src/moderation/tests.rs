//! What is held, what is let go, and in which order.

use std::sync::Arc;

use tidings_wire::codes::Outcome;
use tidings_wire::limits::MODERATION_HELD_MAX;
use tidings_wire::proto::request::Call;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{Join, Leave, Message, SendToChannel, message, reply};

use super::{ModerationRule, ModerationRules, Otherwise, Verdict};
use crate::ids::ConnectionId;
use crate::io::{Input, Ticket};
use crate::outside::{OutsideAnswer, OutsideCall};
use crate::tests::node::Node;
use crate::tests::outside::{answer, ask, user};

const WAIT_MS: u64 = 500;

fn rules(channels: &[&str], otherwise: Otherwise) -> Arc<ModerationRules> {
    let rule = ModerationRule {
        channels: channels.iter().map(|name| (*name).to_owned()).collect(),
        wait_ms: WAIT_MS,
        otherwise,
    };
    Arc::new(ModerationRules::from([(user("x").app, rule)]))
}

fn text(text: &str) -> Message {
    Message {
        body: Some(message::Body::Text(text.as_bytes().to_vec().into())),
        ..Message::default()
    }
}

fn to_channel(channel: &str, words: &str) -> Call {
    Call::SendToChannel(SendToChannel {
        channel: channel.into(),
        message: Some(text(words)),
        history: false,
    })
}

/// Alice and bob on two hubs, both in `mod.a` and `free`.
fn world(otherwise: Otherwise) -> (Node, ConnectionId, ConnectionId) {
    let mut node = Node::new(2);
    let alice = node.login(0, "alice");
    let bob = node.login(1, "bob");
    for channel in ["mod.a", "free"] {
        for connection in [alice, bob] {
            let channel = channel.into();
            node.call(connection, Call::Join(Join { channel }));
        }
    }
    for hub in [0, 1] {
        node.give(hub, Input::Moderation(rules(&["mod.*"], otherwise)));
    }
    (node, alice, bob)
}

fn say(node: &mut Node, hub: usize, ticket: Ticket, verdict: Verdict) {
    let verdict = Box::new(verdict);
    node.give(hub, Input::Moderated { ticket, verdict });
}

fn heard(node: &Node, connection: ConnectionId) -> Vec<String> {
    let of = |kind: &Kind| match kind {
        Kind::ChannelMessage(it) => match it.message.as_ref()?.body.as_ref()? {
            message::Body::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
            _ => None,
        },
        _ => None,
    };
    let messages = node.seen[&connection].messages.iter();
    messages.filter_map(of).collect()
}

fn refusal(node: &Node, connection: ConnectionId, cseq: u64) -> (u32, String) {
    match node.reply(connection, cseq) {
        Some(reply::Result::Error(error)) => (error.outcome, error.text.clone()),
        other => panic!("request {cseq} was answered {other:?}"),
    }
}

#[test]
fn a_message_waits_for_the_word_and_then_goes_its_way() {
    let (mut node, alice, bob) = world(Otherwise::Refuse);
    let cseq = node.call(alice, to_channel("mod.a", "hello"));
    assert_eq!(heard(&node, bob), [""; 0]);
    assert_eq!(node.reply(alice, cseq), None, "its sender waits");
    let (ticket, asked) = node.held.remove(0);
    assert_eq!(asked.channel.channel.as_str(), "mod.a");
    assert_eq!(
        (asked.from.as_str(), &asked.message),
        ("alice", &text("hello"))
    );
    say(&mut node, 0, ticket, Verdict::Pass);
    assert_eq!(heard(&node, bob), ["hello"]);
    assert!(matches!(
        node.reply(alice, cseq),
        Some(reply::Result::Done(_))
    ));
    say(&mut node, 0, ticket, Verdict::Refuse("late".into()));
    assert_eq!(heard(&node, bob), ["hello"], "a second word is not heard");
}

#[test]
fn a_message_can_be_changed_or_refused() {
    let (mut node, alice, bob) = world(Otherwise::Refuse);
    node.call(alice, to_channel("mod.a", "damn"));
    let (ticket, _) = node.held.remove(0);
    say(
        &mut node,
        0,
        ticket,
        Verdict::Change(Box::new(text("d***"))),
    );
    assert_eq!(heard(&node, bob), ["d***"]);
    let cseq = node.call(alice, to_channel("mod.a", "worse"));
    let (ticket, _) = node.held.remove(0);
    say(&mut node, 0, ticket, Verdict::Refuse("be polite".into()));
    let refused = (Outcome::NotPermitted as u32, "be polite".to_owned());
    assert_eq!(refusal(&node, alice, cseq), refused);
    // What the backend has made of it is checked as what clients send.
    let cseq = node.call(alice, to_channel("mod.a", "long"));
    let (ticket, _) = node.held.remove(0);
    let long = text(&"x".repeat(40_000));
    say(&mut node, 0, ticket, Verdict::Change(Box::new(long)));
    assert_eq!(
        refusal(&node, alice, cseq).0,
        Outcome::MessageTooLarge as u32
    );
    assert_eq!(heard(&node, bob), ["d***"]);
}

#[test]
fn without_a_word_in_time_the_rule_decides() {
    for otherwise in [Otherwise::Pass, Otherwise::Refuse] {
        let (mut node, alice, bob) = world(otherwise);
        let cseq = node.call(alice, to_channel("mod.a", "hello"));
        node.pass(WAIT_MS - 1, &[alice, bob]);
        assert_eq!(node.reply(alice, cseq), None);
        node.pass(1, &[alice, bob]);
        let (ticket, _) = node.held.remove(0);
        say(&mut node, 0, ticket, Verdict::Pass);
        match otherwise {
            Otherwise::Pass => assert_eq!(heard(&node, bob), ["hello"]),
            Otherwise::Refuse => {
                assert_eq!(refusal(&node, alice, cseq).0, Outcome::Unavailable as u32);
                assert_eq!(heard(&node, bob), [""; 0], "a late word changes nothing");
            }
        }
    }
}

#[test]
fn a_senders_messages_keep_their_order_and_nobody_else_waits() {
    let (mut node, alice, bob) = world(Otherwise::Refuse);
    for words in ["1", "2", "3"] {
        node.call(alice, to_channel("mod.a", words));
    }
    node.call(alice, to_channel("free", "free"));
    node.call(bob, to_channel("mod.a", "from bob"));
    let (bobs, _) = node.held.pop().expect("bob's");
    say(&mut node, 1, bobs, Verdict::Pass);
    assert_eq!(heard(&node, bob), ["free"]);
    assert_eq!(heard(&node, alice), ["from bob"]);
    let tickets: Vec<Ticket> = node.held.iter().map(|(ticket, _)| *ticket).collect();
    say(&mut node, 0, tickets[2], Verdict::Pass);
    say(&mut node, 0, tickets[1], Verdict::Refuse("no".into()));
    assert_eq!(heard(&node, bob), ["free"]);
    // The channel is free now: what comes after what is held waits for it all the same.
    node.give(0, Input::Moderation(Arc::default()));
    node.call(alice, to_channel("mod.a", "4"));
    assert_eq!(heard(&node, bob), ["free"]);
    say(&mut node, 0, tickets[0], Verdict::Pass);
    assert_eq!(heard(&node, bob), ["free", "1", "3", "4"]);
    node.call(alice, to_channel("mod.a", "5"));
    assert_eq!(node.held.len(), 3, "nobody is asked any more");
    assert_eq!(heard(&node, bob), ["free", "1", "3", "4", "5"]);
}

#[test]
fn what_would_be_refused_anyway_is_not_asked_about() {
    let (mut node, alice, _) = world(Otherwise::Refuse);
    let cseq = node.call(alice, to_channel("mod.foreign", "hello"));
    assert_eq!(refusal(&node, alice, cseq).0, Outcome::NotInChannel as u32);
    let cseq = node.call(alice, to_channel("mod.a", &"x".repeat(40_000)));
    assert_eq!(
        refusal(&node, alice, cseq).0,
        Outcome::MessageTooLarge as u32
    );
    assert!(node.held.is_empty());
}

#[test]
fn the_message_of_one_who_has_left_or_gone_is_not_sent() {
    let (mut node, alice, bob) = world(Otherwise::Pass);
    let cseq = node.call(alice, to_channel("mod.a", "one"));
    let channel = "mod.a".to_owned();
    node.call(alice, Call::Leave(Leave { channel }));
    let (ticket, _) = node.held.remove(0);
    say(&mut node, 0, ticket, Verdict::Pass);
    assert_eq!(refusal(&node, alice, cseq).0, Outcome::NotInChannel as u32);
    node.call(bob, to_channel("mod.a", "two"));
    let (ticket, _) = node.held.remove(0);
    node.call(bob, Call::Logout(tidings_wire::proto::Logout {}));
    say(&mut node, 1, ticket, Verdict::Pass);
    assert_eq!(heard(&node, bob), [""; 0]);
}

#[test]
fn calls_from_outside_are_held_too() {
    let (mut node, _, bob) = world(Otherwise::Refuse);
    let (from, call) = (user("backend"), to_channel("mod.a", "news"));
    ask(&mut node, 0, 7, OutsideCall::AsUser { from, call });
    assert_eq!(answer(&node, 7), None);
    let (ticket, asked) = node.held.remove(0);
    assert_eq!(asked.from.as_str(), "backend");
    say(&mut node, 0, ticket, Verdict::Pass);
    assert_eq!(heard(&node, bob), ["news"]);
    let sent = answer(&node, 7);
    assert!(
        matches!(sent, Some(OutsideAnswer::SentToChannel { .. })),
        "{sent:?}"
    );
}

#[test]
fn an_app_has_so_many_questions_open() {
    for otherwise in [Otherwise::Pass, Otherwise::Refuse] {
        let (mut node, _, bob) = world(otherwise);
        for ticket in 0..=MODERATION_HELD_MAX as u64 {
            let from = user(&format!("u{ticket}"));
            let call = to_channel("mod.a", "x");
            ask(&mut node, 0, ticket, OutsideCall::AsUser { from, call });
        }
        assert_eq!(node.held.len(), MODERATION_HELD_MAX);
        let sent = usize::from(otherwise == Otherwise::Pass);
        assert_eq!(heard(&node, bob).len(), sent);
        assert!(
            answer(&node, MODERATION_HELD_MAX as u64).is_some(),
            "it is answered"
        );
        let (ticket, _) = node.held.remove(0);
        say(&mut node, 0, ticket, Verdict::Pass);
        assert_eq!(heard(&node, bob).len(), sent + 1);
    }
}

#[test]
fn a_process_that_ends_waits_for_nobody() {
    let (mut node, alice, bob) = world(Otherwise::Pass);
    node.call(alice, to_channel("mod.a", "hello"));
    for connection in [alice, bob] {
        node.close(connection);
    }
    for hub in [0, 1] {
        node.give(hub, Input::Drain);
        node.give(hub, Input::Settle);
    }
    assert!(node.hubs.iter().all(crate::Hub::is_settled));
}
