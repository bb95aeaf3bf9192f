//! Calls without a session: peer messages that are sent as any user, and are answered outside. The
//! other calls are in the files beside.

mod acts;
mod calls;
mod invitations;
mod lists;

use tidings_wire::codes::Outcome;
use tidings_wire::limits::PEER_TIMEOUT_MS;
use tidings_wire::names::{AppId, UserId};
use tidings_wire::proto::request::Call;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{Message, SendToPeer, message, reply};

use crate::config::{App, Apps};
use crate::ids::UserKey;
use crate::io::{Input, Ticket};
use crate::outside::{OutsideAnswer, OutsideCall, PeerOutcome};
use crate::quotas::Quotas;
use crate::tests::node::Node;

pub(crate) fn user(name: &str) -> UserKey {
    UserKey {
        app: AppId::parse(&"a".repeat(32)).expect("an app id"),
        user: UserId::parse(name).expect("a user id"),
    }
}

fn call(peer: &str, text: &str, offline: bool) -> SendToPeer {
    SendToPeer {
        peer_id: peer.into(),
        message: Some(Message {
            body: Some(message::Body::Text(text.as_bytes().to_vec().into())),
            ..Message::default()
        }),
        offline,
        history: false,
    }
}

/// Sends as a user, through hub 0.
fn send(node: &mut Node, ticket: u64, from: &str, call: SendToPeer) {
    let (from, call) = (user(from), Call::SendToPeer(call));
    ask(node, 0, ticket, OutsideCall::AsUser { from, call });
}

/// Calls a hub from outside.
pub(crate) fn ask(node: &mut Node, hub: usize, ticket: u64, call: OutsideCall) {
    let ticket = Ticket(ticket);
    node.give(hub, Input::Outside { ticket, call });
}

/// The refusal of a call: its code and its text.
pub(crate) fn refusal(node: &Node, ticket: u64) -> (u32, String) {
    match answer(node, ticket) {
        Some(OutsideAnswer::Call(reply::Result::Error(error))) => (error.outcome, error.text),
        other => panic!("call {ticket} was answered {other:?}"),
    }
}

/// The one answer to a call, if it has come.
pub(crate) fn answer(node: &Node, ticket: u64) -> Option<OutsideAnswer> {
    let mut answers = node.answers.iter().filter(|(to, _)| *to == Ticket(ticket));
    let first = answers.next().map(|(_, answer)| answer.clone());
    assert_eq!(answers.next(), None, "a call is answered once");
    first
}

/// What has become of the message that a call has sent, if that is known.
fn outcome(node: &Node, ticket: u64) -> Option<PeerOutcome> {
    match answer(node, ticket)? {
        OutsideAnswer::Sent { outcome, .. } => Some(outcome),
        other => panic!("call {ticket} was answered {other:?}"),
    }
}

const RECEIVED: Option<PeerOutcome> = Some(PeerOutcome::Received);
const STORED: Option<PeerOutcome> = Some(PeerOutcome::Stored);
const MISSED: Option<PeerOutcome> = Some(PeerOutcome::Missed);

#[test]
fn a_message_from_outside_is_answered_when_the_receivers_client_has_confirmed_it() {
    for hub in [0, 1] {
        let mut node = Node::new(2);
        let bob = node.login(hub, "bob");
        send(&mut node, 7, "alice", call("bob", "hello", false));
        assert_eq!(answer(&node, 7), None, "not confirmed yet");
        assert_eq!(node.texts(bob), ["hello"]);
        let from = node.seen[&bob].messages.iter().find_map(|kind| match kind {
            Kind::PeerMessage(message) => Some(message.from.clone()),
            _ => None,
        });
        assert_eq!(from.as_deref(), Some("alice"), "who never logged in");
        let numbered = node.numbered(bob);
        node.say(bob, numbered, vec![]);
        assert_eq!(outcome(&node, 7), RECEIVED);
    }
}

#[test]
fn a_message_for_somebody_who_is_away_is_stored_or_missed() {
    let mut node = Node::new(2);
    send(&mut node, 1, "alice", call("bob", "kept", true));
    send(&mut node, 2, "alice", call("bob", "lost", false));
    assert_eq!(outcome(&node, 1), STORED);
    assert_eq!(outcome(&node, 2), MISSED);
    let bob = node.login(1, "bob");
    assert_eq!(node.texts(bob), ["kept"]);
}

#[test]
fn messages_of_one_user_from_outside_keep_their_order_and_have_ids_of_their_own() {
    let mut node = Node::new(2);
    node.is_held = true;
    let texts: Vec<String> = (0..10).map(|n| n.to_string()).collect();
    for (ticket, text) in (0..).zip(&texts) {
        send(&mut node, ticket, "alice", call("bob", text, true));
        // Something happens between them, never the same.
        for _ in 0..ticket % 4 {
            node.step();
        }
    }
    node.is_held = false;
    node.settle();
    let bob = node.login(1, "bob");
    assert_eq!(node.texts(bob), texts);
    let ids = node.seen[&bob]
        .messages
        .iter()
        .filter_map(|kind| match kind {
            Kind::PeerMessage(message) => Some(message.id.clone()),
            _ => None,
        });
    let ids: std::collections::BTreeSet<_> = ids.collect();
    assert_eq!(ids.len(), texts.len());
    for ticket in 0..10 {
        assert_eq!(outcome(&node, ticket), STORED);
    }
}

#[test]
fn a_receiver_who_does_not_confirm_is_told_as_a_timeout() {
    let mut node = Node::new(2);
    let bob = node.login(1, "bob");
    send(&mut node, 1, "alice", call("bob", "hello", false));
    node.pass(PEER_TIMEOUT_MS + 2_000, &[]);
    assert_eq!(node.texts(bob), ["hello"]);
    let (code, text) = refusal(&node, 1);
    assert_eq!(code, Outcome::TimedOut as u32, "{text}");
}

#[test]
fn what_a_client_may_not_send_is_refused_from_outside_too_with_code_and_text() {
    let mut node = Node::new(1);
    send(&mut node, 1, "alice", call("", "hello", false));
    let (code, text) = refusal(&node, 1);
    assert_eq!(code, Outcome::InvalidArgument as u32);
    assert!(text.starts_with("peer id \"\""), "{text}");
    let too_large = "x".repeat(tidings_wire::limits::MESSAGE_PAYLOAD_BYTES_MAX + 1);
    send(&mut node, 2, "alice", call("bob", &too_large, false));
    let (code, text) = refusal(&node, 2);
    assert_eq!(code, Outcome::MessageTooLarge as u32, "{text}");
    let mut nothing = call("bob", "", false);
    nothing.message = None;
    send(&mut node, 3, "alice", nothing);
    assert_eq!(refusal(&node, 3).0, Outcome::InvalidMessage as u32);
    let stranger = UserKey {
        app: AppId::parse(&"b".repeat(32)).expect("an app id"),
        user: UserId::parse("alice").expect("a user id"),
    };
    let as_stranger = OutsideCall::AsUser {
        from: stranger,
        call: Call::SendToPeer(call("bob", "hello", false)),
    };
    ask(&mut node, 0, 4, as_stranger);
    let (code, text) = refusal(&node, 4);
    assert_eq!(code, Outcome::UnknownApp as u32);
    assert!(text.contains(&"b".repeat(32)), "{text}");
}

#[test]
fn messages_from_outside_count_for_the_quota_of_their_app() {
    let mut app = App {
        quotas: Quotas {
            max_messages_per_s: Some(2),
            ..Quotas::default()
        },
        ..App::default()
    };
    app.settings.rate_limits = false;
    let mut apps = Apps::default();
    apps.listed.insert(user("alice").app, app);
    let mut node = Node::with_apps(1, apps);
    for ticket in 1..=3 {
        send(&mut node, ticket, "alice", call("bob", "hello", false));
    }
    assert_eq!(outcome(&node, 2), MISSED);
    let (code, text) = refusal(&node, 3);
    assert_eq!(code, Outcome::TooOften as u32);
    assert!(text.contains("max_messages_per_s = 2"), "{text}");
}

#[test]
fn a_draining_hub_takes_nothing_from_outside() {
    let mut node = Node::new(1);
    node.give(0, Input::Drain);
    send(&mut node, 1, "alice", call("bob", "hello", true));
    assert_eq!(refusal(&node, 1).0, Outcome::Overloaded as u32);
    assert!(node.store_ops.is_empty());
}
