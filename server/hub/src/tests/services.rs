//! Logins of an app's backend: no rates, more channels, and messages to channels that they are not
//! in.

use std::sync::Arc;

use tidings_wire::codes::Outcome;
use tidings_wire::limits::CHANNELS_PER_SESSION_MAX;
use tidings_wire::names::{AppId, UserId};
use tidings_wire::proto::request::Call;
use tidings_wire::proto::{Join, Message, SendToChannel, message, reply};

use crate::config::{App, Apps};
use crate::ids::ConnectionId;
use crate::io::Input;
use crate::tests::node::Node;

fn apps(services: &[&str]) -> Apps {
    let app = App {
        services: (services.iter())
            .map(|name| UserId::parse(name).expect("a user id"))
            .collect(),
        ..App::default()
    };
    let id = AppId::parse(&"a".repeat(32)).expect("an app id");
    Apps {
        accept_any: false,
        listed: [(id, app)].into(),
    }
}

fn outcome(node: &mut Node, connection: ConnectionId, call: Call) -> u32 {
    let cseq = node.call(connection, call);
    let numbered = node.numbered(connection);
    node.say(connection, numbered, vec![]);
    match node.reply(connection, cseq) {
        Some(reply::Result::Error(error)) => error.outcome,
        Some(_) => 0,
        None => panic!("no answer"),
    }
}

fn join(node: &mut Node, connection: ConnectionId, n: usize) -> u32 {
    let channel = format!("room{n}");
    outcome(node, connection, Call::Join(Join { channel }))
}

fn send(node: &mut Node, connection: ConnectionId) -> u32 {
    let call = SendToChannel {
        channel: "elsewhere".into(),
        message: Some(Message {
            body: Some(message::Body::Text("x".repeat(1_000).into())),
            ..Message::default()
        }),
        history: false,
    };
    outcome(node, connection, Call::SendToChannel(call))
}

/// How often each answer was given.
fn tally(answers: impl Iterator<Item = u32>) -> std::collections::BTreeMap<u32, usize> {
    let mut counts = std::collections::BTreeMap::new();
    answers.for_each(|answer| *counts.entry(answer).or_default() += 1);
    counts
}

#[test]
fn a_service_joins_and_sends_as_often_as_it_likes() {
    let mut node = Node::with_apps(1, apps(&["backend"]));
    let backend = node.login(0, "backend");
    let joins = 3 * CHANNELS_PER_SESSION_MAX;
    let all = tally((0..joins).map(|n| join(&mut node, backend, n)));
    assert_eq!(all, [(0, joins)].into());
    let all = tally((0..2_000).map(|_| send(&mut node, backend)));
    assert_eq!(all, [(0, 2_000)].into(), "to a channel that it is not in");
    let logins = tally((0..100).map(|_| {
        let again = node.login(0, "backend");
        node.refused(again).unwrap_or(0)
    }));
    assert_eq!(logins, [(0, 100)].into());
}

#[test]
fn a_user_who_is_made_a_service_is_one_at_once() {
    let mut node = Node::with_apps(1, apps(&[]));
    let bob = node.login(0, "bob");
    let first = tally((0..200).map(|n| join(&mut node, bob, n)));
    assert!(first[&0] <= CHANNELS_PER_SESSION_MAX, "{first:?}");
    assert_eq!(send(&mut node, bob), Outcome::NotInChannel as u32);
    node.give(0, Input::Apps(Arc::new(apps(&["bob"]))));
    node.pass(60_000, &[bob]);
    let joins = 3 * CHANNELS_PER_SESSION_MAX;
    let all = tally((1_000..1_000 + joins).map(|n| join(&mut node, bob, n)));
    assert_eq!(all, [(0, joins)].into());
}
