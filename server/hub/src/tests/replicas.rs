//! Services with several sessions at once: who gets what, on whichever hub they log in, and what
//! becomes of it when one of them leaves.

mod courses;

use std::collections::BTreeMap;

use tidings_wire::codes::Outcome;
use tidings_wire::names::{AppId, UserId};
use tidings_wire::proto::request::Call;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{
    GetMembers, Join, Logout, Message, PresenceState, SendToChannel, message, reply,
};

use crate::bus_ops::{BusOp, Publication};
use crate::config::{App, Apps, Replicas};
use crate::ids::{ConnectionId, UserKey};
use crate::io::{Input, Ticket};
use crate::kernel::replicas::REPLICAS_MAX;
use crate::outside::{OutsideAnswer, OutsideCall};
use crate::tests::node::Node;

fn apps(mode: Option<Replicas>) -> Apps {
    let service = UserId::parse("worker").expect("a user id");
    let mut app = App {
        replicas: mode.map(|mode| (service, mode)).into_iter().collect(),
        ..App::default()
    };
    app.settings.rate_limits = false;
    let id = AppId::parse(&"a".repeat(32)).expect("an app id");
    Apps {
        accept_any: false,
        listed: [(id, app)].into(),
    }
}

fn node(mode: Replicas) -> Node {
    Node::with_apps(3, apps(Some(mode)))
}

fn worker() -> UserKey {
    UserKey {
        app: AppId::parse(&"a".repeat(32)).expect("an app id"),
        user: UserId::parse("worker").expect("a user id"),
    }
}

/// A worker on each hub.
fn workers(node: &mut Node) -> Vec<ConnectionId> {
    (0..3).map(|hub| node.login(hub, "worker")).collect()
}

/// A client confirms all that it has been given.
fn confirm(node: &mut Node, connection: ConnectionId) {
    let numbered = node.numbered(connection);
    node.say(connection, numbered, vec![]);
}

/// Texts of messages to channels that a connection was sent.
fn channel_texts(node: &Node, connection: ConnectionId) -> usize {
    let is_one = |kind: &&Kind| matches!(kind, Kind::ChannelMessage(_));
    node.seen[&connection]
        .messages
        .iter()
        .filter(is_one)
        .count()
}

fn has_received(node: &Node, connection: ConnectionId, cseq: u64) -> bool {
    match node.reply(connection, cseq) {
        Some(reply::Result::PeerSent(sent)) => sent.received,
        other => panic!("{other:?}"),
    }
}

#[test]
fn logins_on_every_hub_stand_beside_each_other_and_each_message_goes_to_one() {
    let mut node = node(Replicas::Share);
    let workers = workers(&mut node);
    let alice = node.login(1, "alice");
    let sent: Vec<u64> = (0..9)
        .map(|n| {
            let cseq = node.send(alice, "worker", &n.to_string(), false);
            workers
                .iter()
                .for_each(|worker| confirm(&mut node, *worker));
            cseq
        })
        .collect();
    assert!(sent.iter().all(|cseq| has_received(&node, alice, *cseq)));
    let mut texts = Vec::new();
    for worker in &workers {
        assert_eq!(node.closed(*worker), None);
        let own = node.texts(*worker);
        assert_eq!(own.len(), 3, "in turn: {own:?}");
        texts.extend(own);
    }
    texts.sort();
    assert_eq!(texts, ["0", "1", "2", "3", "4", "5", "6", "7", "8"]);
}

#[test]
fn who_has_much_to_confirm_is_given_less() {
    let mut node = node(Replicas::Share);
    let workers = workers(&mut node);
    let alice = node.login(0, "alice");
    for n in 0..30 {
        node.send(alice, "worker", &n.to_string(), false);
        for worker in &workers[1..] {
            confirm(&mut node, *worker);
        }
    }
    assert_eq!(node.texts(workers[0]).len(), 1, "it confirms nothing");
}

#[test]
fn each_message_goes_to_all_who_are_there_if_that_is_wanted() {
    let mut node = node(Replicas::All);
    let workers = workers(&mut node);
    let alice = node.login(2, "alice");
    let cseq = node.send(alice, "worker", "to all", true);
    for worker in &workers {
        assert_eq!(node.texts(*worker), ["to all"]);
    }
    assert_eq!(node.reply(alice, cseq), None, "nobody has confirmed it");
    workers
        .iter()
        .for_each(|worker| confirm(&mut node, *worker));
    assert!(has_received(&node, alice, cseq));
    node.pass(20_000, &[&workers[..], &[alice]].concat());
    let is_stored = |op: &crate::store_ops::StoreOp| {
        matches!(op, crate::store_ops::StoreOp::InboxAppend { .. })
    };
    assert!(!node.store_ops.iter().any(is_stored));
}

#[test]
fn what_one_leaves_unconfirmed_goes_to_another_and_its_sender_hears_of_that_one() {
    for ends in ["logout", "lost"] {
        let mut node = node(Replicas::Share);
        let first = node.login(0, "worker");
        let alice = node.login(1, "alice");
        let cseq = node.send(alice, "worker", "work", false);
        assert_eq!(node.texts(first), ["work"]);
        let second = node.login(2, "worker");
        match ends {
            "logout" => {
                node.call(first, Call::Logout(Logout {}));
            }
            _ => {
                node.close(first);
                // The message is given up after ten seconds; the session is gone before.
                let mut wait = App::default().settings.presence_grace_ms;
                while wait > 0 && node.texts(second).is_empty() {
                    node.pass(500, &[second, alice]);
                    wait = wait.saturating_sub(500);
                }
            }
        }
        if ends == "logout" {
            assert_eq!(node.texts(second), ["work"], "{ends}");
            assert_eq!(node.reply(alice, cseq), None);
            confirm(&mut node, second);
            assert!(has_received(&node, alice, cseq));
        }
        let later = node.send(alice, "worker", "more", false);
        assert_eq!(node.texts(second).last().map(String::as_str), Some("more"));
        confirm(&mut node, second);
        assert!(has_received(&node, alice, later), "{ends}");
    }
}

#[test]
fn what_is_stored_comes_to_one_and_to_the_next_if_that_one_leaves() {
    let mut node = node(Replicas::Share);
    let alice = node.login(1, "alice");
    for text in ["one", "two"] {
        node.send(alice, "worker", text, true);
    }
    let workers = workers(&mut node);
    assert_eq!(node.texts(workers[0]), ["one", "two"]);
    assert!(
        workers[1..]
            .iter()
            .all(|worker| node.texts(*worker).is_empty())
    );
    node.call(workers[0], Call::Logout(Logout {}));
    assert_eq!(node.texts(workers[1]), ["one", "two"]);
    confirm(&mut node, workers[1]);
    node.call(workers[1], Call::Logout(Logout {}));
    assert_eq!(node.texts(workers[2]), [] as [&str; 0]);
}

#[test]
fn logins_at_the_same_time_on_all_hubs_are_all_served_in_one_place() {
    let mut node = node(Replicas::All);
    node.now.mono_ms += 5;
    node.is_held = true;
    let mut workers = Vec::new();
    for hub in [0, 1, 2, 0, 1, 2] {
        let connection = node.open(hub);
        node.log_in(connection, "worker");
        workers.push(connection);
    }
    node.is_held = false;
    node.settle();
    for worker in &workers {
        assert_eq!((node.closed(*worker), node.refused(*worker)), (None, None));
        node.welcome(*worker);
    }
    let places: Vec<usize> = node
        .hubs
        .iter()
        .map(|hub| hub.kernel.sessions_of(&worker()).len())
        .collect();
    assert_eq!(places.iter().sum::<usize>(), 6);
    assert_eq!(
        places.iter().filter(|count| **count > 0).count(),
        1,
        "{places:?}"
    );
    let alice = node.login(0, "alice");
    node.send(alice, "worker", "x", false);
    assert!(workers.iter().all(|worker| node.texts(*worker) == ["x"]));
}

#[test]
fn a_login_that_gives_up_while_others_wait_for_it_costs_them_nothing() {
    let mut node = node(Replicas::Share);
    node.is_held = true;
    let connections: Vec<_> = (0..3).map(|_| node.open(1)).collect();
    for connection in &connections {
        node.log_in(*connection, "worker");
    }
    node.close(connections[0]);
    node.close(connections[2]);
    node.is_held = false;
    node.settle();
    node.welcome(connections[1]);
    assert_eq!(node.hubs[1].kernel.sessions_of(&worker()).len(), 1);
}

#[test]
fn the_service_is_online_until_the_last_of_them_leaves() {
    let mut node = node(Replicas::Share);
    let workers = workers(&mut node);
    let last = |node: &Node| match node.presence.last() {
        Some(BusOp::Publish { message, .. }) => match &**message {
            Publication::Presence { state, stamp } => (*state, *stamp),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    let (_, newest) = last(&node);
    // The newest goes first: what is told of the others is no older.
    for (left, worker) in (0..3).rev().zip(workers.iter().rev()) {
        node.call(*worker, Call::Logout(Logout {}));
        let (state, stamp) = last(&node);
        let expected = match left {
            0 => PresenceState::Offline,
            _ => PresenceState::Online,
        };
        assert_eq!(
            (state, stamp >= newest),
            (expected, true),
            "{left} are left"
        );
    }
    assert!(node.hubs.iter().all(|hub| hub.kernel.groups.is_empty()));
}

#[test]
fn in_a_channel_the_service_is_one_member_and_each_session_in_it_hears_all() {
    let mut node = node(Replicas::Share);
    let workers = workers(&mut node);
    let alice = node.login(1, "alice");
    for connection in workers[..2].iter().chain([&alice]) {
        let channel = "room".into();
        node.call(*connection, Call::Join(Join { channel }));
    }
    let channel = "room".to_owned();
    let cseq = node.call(alice, Call::GetMembers(GetMembers { channel }));
    let Some(reply::Result::Users(mut members)) = node.reply(alice, cseq) else {
        panic!("no members");
    };
    members.user_ids.sort();
    assert_eq!(members.user_ids, ["alice", "worker"]);
    let message = Message {
        body: Some(message::Body::Text("hi".into())),
        ..Message::default()
    };
    let call = SendToChannel {
        channel: "room".into(),
        message: Some(message),
        history: false,
    };
    node.call(alice, Call::SendToChannel(call));
    let heard: Vec<usize> = workers.iter().map(|it| channel_texts(&node, *it)).collect();
    assert_eq!(heard, [1, 1, 0]);
}

#[test]
fn each_of_them_resumes_its_own_session_from_any_hub() {
    let mut node = node(Replicas::All);
    let workers = workers(&mut node);
    let alice = node.login(0, "alice");
    let welcome = node.welcome(workers[1]);
    node.close(workers[1]);
    node.send(alice, "worker", "meanwhile", false);
    let back = node.resume(2, "worker", &welcome, 0);
    assert!(node.resumed_secret(back).is_some());
    assert_eq!(node.texts(back), ["meanwhile"]);
    assert_eq!(node.closed(workers[0]), None);
    assert_eq!(node.closed(workers[2]), None);
}

#[test]
fn there_are_at_most_so_many_and_the_next_is_told() {
    let mut node = node(Replicas::Share);
    let all: Vec<_> = (0..REPLICAS_MAX)
        .map(|n| node.login(n % 3, "worker"))
        .collect();
    let more = node.login(1, "worker");
    assert_eq!(node.refused(more), Some(Outcome::NotPermitted as u32));
    node.call(all[0], Call::Logout(Logout {}));
    let again = node.login(1, "worker");
    node.welcome(again);
}

#[test]
fn from_outside_all_of_them_are_listed_and_ended() {
    let mut node = node(Replicas::Share);
    let workers = workers(&mut node);
    let at = (0..3)
        .find(|at| !node.hubs[*at].kernel.groups.is_empty())
        .expect("they are somewhere");
    let ask = |node: &mut Node, call| {
        let ticket = Ticket(node.answers.len() as u64 + 1);
        node.give(at, Input::Outside { ticket, call });
        node.answers.last().expect("an answer").1.clone()
    };
    let user = worker();
    let OutsideAnswer::User(Some(entry)) = ask(&mut node, OutsideCall::User { user: user.clone() })
    else {
        panic!("it is there");
    };
    assert_eq!(entry.sessions.len(), 3);
    let call = OutsideCall::Disconnect {
        user,
        session: None,
        code: tidings_wire::codes::CloseCode::LoggedOut,
    };
    assert_eq!(ask(&mut node, call), OutsideAnswer::Count(3));
    assert!(workers.iter().all(|worker| node.closed(*worker).is_some()));
}

#[test]
fn a_service_that_is_one_no_more_has_one_session_with_its_next_login() {
    let mut node = node(Replicas::Share);
    let workers = workers(&mut node);
    for hub in 0..3 {
        let apps = std::sync::Arc::new(apps(None));
        node.give(hub, Input::Apps(apps));
    }
    let next = node.login(1, "worker");
    node.welcome(next);
    assert!(workers.iter().all(|worker| node.closed(*worker).is_some()));
    // And the reverse: the next ones stand beside it.
    for hub in 0..3 {
        let apps = std::sync::Arc::new(apps(Some(Replicas::All)));
        node.give(hub, Input::Apps(apps));
    }
    let beside = node.login(2, "worker");
    node.welcome(beside);
    assert_eq!(node.closed(next), None);
}

#[test]
fn a_planned_restart_keeps_all_of_them() {
    let mut node = node(Replicas::Share);
    let workers = workers(&mut node);
    let welcomes: Vec<_> = workers.iter().map(|it| node.welcome(*it)).collect();
    for hub in 0..3 {
        node.give(hub, Input::Drain);
    }
    workers.iter().for_each(|worker| node.close(*worker));
    for hub in 0..3 {
        node.give(hub, Input::Settle);
    }
    let left: BTreeMap<usize, _> = (0..3).map(|hub| (hub, node.hubs[hub].snapshot())).collect();
    node.reincarnate();
    for (hub, snapshot) in left {
        node.give(hub, Input::Restore(Box::new(snapshot)));
    }
    for (at, welcome) in welcomes.iter().enumerate() {
        let back = node.resume(at, "worker", welcome, 0);
        assert!(node.resumed_secret(back).is_some(), "worker {at}");
    }
}
