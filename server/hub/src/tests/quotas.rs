//! What an app may use of a node, over all of its hubs.

use std::sync::Arc;

use tidings_wire::codes::{CloseCode, Outcome};
use tidings_wire::names::AppId;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{Join, Logout, Message, SendToChannel, message, reply, request};

use crate::config::{App, Apps};
use crate::ids::ConnectionId;
use crate::io::Input;
use crate::quotas::Quotas;
use crate::tests::node::Node;

fn id() -> AppId {
    AppId::parse(&"a".repeat(32)).expect("an app id")
}

fn apps(quotas: Quotas) -> Apps {
    let mut app = App {
        quotas,
        ..App::default()
    };
    app.settings.rate_limits = false;
    let mut apps = Apps::default();
    apps.listed.insert(id(), app);
    apps
}

fn refusal(node: &Node, connection: ConnectionId) -> String {
    let messages = node.seen[&connection].messages.iter();
    let mut texts = messages.filter_map(|kind| match kind {
        Kind::Refused(refused) => Some(refused.error.as_ref()?.text.clone()),
        _ => None,
    });
    texts.next().unwrap_or_default()
}

#[test]
fn logins_of_an_app_are_bounded_over_all_hubs() {
    let quotas = Quotas {
        max_connections: Some(2),
        ..Quotas::default()
    };
    let mut node = Node::with_apps(2, apps(quotas));
    let usage = node.hubs[0].kernel.config.apps.listed[&id()].usage.clone();
    let alice = node.login(0, "alice");
    let bob = node.login(1, "bob");
    for hub in [0, 1] {
        let carol = node.login(hub, "carol");
        assert_eq!(node.refused(carol), Some(Outcome::Overloaded as u32));
        assert_eq!(node.closed(carol), Some(CloseCode::Overloaded));
        let text = refusal(&node, carol);
        assert!(text.contains("max_connections = 2"), "{text}");
        assert_eq!(usage.connections(), 2);
    }
    // Who is in may come by another device, on any hub, however full it is.
    for hub in [1, 0, 0] {
        let again = node.login(hub, "alice");
        node.welcome(again);
        assert_eq!(usage.connections(), 2);
    }
    node.call(bob, request::Call::Logout(Logout {}));
    assert_eq!(usage.connections(), 1);
    let carol = node.login(0, "carol");
    node.welcome(carol);
    assert_eq!(node.closed(alice), Some(CloseCode::RemoteLogin));
    // A quota that was raised counts at once, and what is used is not forgotten.
    let raised = Quotas {
        max_connections: Some(3),
        ..quotas
    };
    let raised = Arc::new(apps(raised).counting_on(&node.hubs[0].kernel.config.apps));
    for hub in [0, 1] {
        node.give(hub, Input::Apps(Arc::clone(&raised)));
    }
    let dave = node.login(1, "dave");
    node.welcome(dave);
    let erin = node.login(1, "erin");
    assert_eq!(node.refused(erin), Some(Outcome::Overloaded as u32));
}

fn join(node: &mut Node, connection: ConnectionId) {
    let channel = "c".into();
    node.call(connection, request::Call::Join(Join { channel }));
}

/// Sends to the channel; the text of the refusal, if it was refused.
fn send(node: &mut Node, connection: ConnectionId) -> Option<String> {
    let message = Message {
        body: Some(message::Body::Text("hi".into())),
        ..Message::default()
    };
    let send = SendToChannel {
        channel: "c".into(),
        message: Some(message),
        history: false,
    };
    let cseq = node.call(connection, request::Call::SendToChannel(send));
    match node.reply(connection, cseq).expect("an answer") {
        reply::Result::Error(error) => {
            assert_eq!(error.outcome, Outcome::TooOften as u32);
            assert!(error.retry_after_ms > 0);
            Some(error.text)
        }
        _ => None,
    }
}

#[test]
fn messages_of_an_app_are_bounded_over_all_hubs_and_users() {
    let quotas = Quotas {
        max_messages_per_s: Some(10),
        ..Quotas::default()
    };
    let mut node = Node::with_apps(2, apps(quotas));
    let users = [node.login(0, "alice"), node.login(1, "bob")];
    users.iter().for_each(|user| join(&mut node, *user));
    let refused: Vec<String> = (0..14)
        .filter_map(|n| send(&mut node, users[n % 2]))
        .collect();
    assert_eq!(refused.len(), 4);
    assert!(
        refused[0].contains("max_messages_per_s = 10"),
        "{}",
        refused[0]
    );
    node.pass(1_000, &users);
    assert_eq!(send(&mut node, users[0]), None);
}

#[test]
fn copies_of_messages_are_bounded() {
    let quotas = Quotas {
        max_fanout_per_s: Some(40),
        ..Quotas::default()
    };
    let mut node = Node::with_apps(2, apps(quotas));
    let users: Vec<ConnectionId> = (0..20)
        .map(|n| node.login(n % 2, &format!("u{n}")))
        .collect();
    users.iter().for_each(|user| join(&mut node, *user));
    assert_eq!(send(&mut node, users[0]), None);
    assert_eq!(send(&mut node, users[1]), None);
    let text = send(&mut node, users[2]).expect("40 copies are out");
    assert!(text.contains("max_fanout_per_s = 40"), "{text}");
}
