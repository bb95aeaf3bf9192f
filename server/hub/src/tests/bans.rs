//! Rules that bar users and channels: at logins, joins and messages, at once, and until their time
//! is over.

use std::sync::Arc;

use tidings_wire::codes::{CloseCode, Outcome};
use tidings_wire::names::{AppId, ChannelName, UserId};
use tidings_wire::proto::request::Call;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{Join, Message, SendToChannel, message, reply};

use crate::bans::{Ban, Barred};
use crate::config::{App, Apps, FOR_EVER, Traits};
use crate::grant::Grant;
use crate::ids::{ConnectionId, UserKey};
use crate::io::Input;
use crate::tests::node::Node;

fn app_id() -> AppId {
    AppId::parse(&"a".repeat(32)).expect("an app id")
}

fn apps(bans: &[Ban]) -> Apps {
    let mut app = App {
        bans: bans.iter().cloned().collect(),
        ..App::default()
    };
    app.settings.rate_limits = false;
    let mut apps = Apps::default();
    apps.listed.insert(app_id(), app);
    apps
}

/// What changes beside rules: hubs look at whom rules name only, or at everybody.
const CHANGES: [usize; 2] = [0, 1];

/// Every hub has these rules from now on.
fn set(node: &mut Node, bans: &[Ban], change: usize) {
    let mut apps = apps(bans);
    for app in apps.listed.values_mut() {
        app.settings.inbox_messages_max += change;
    }
    let apps = Arc::new(apps);
    for hub in 0..node.hubs.len() {
        node.give(hub, Input::Apps(Arc::clone(&apps)));
    }
}

fn ban(user: Option<&str>, channel: Option<&str>, barred: Barred) -> Ban {
    Ban {
        user: user.map(|name| UserId::parse(name).expect("a user id")),
        channel: channel.map(|name| ChannelName::parse(name).expect("a channel name")),
        address: None,
        barred,
        until_ms: FOR_EVER,
    }
}

const JOIN: Barred = Barred {
    login: false,
    join: true,
    send: false,
};

const SEND: Barred = Barred {
    login: false,
    join: false,
    send: true,
};

/// How a call is answered: 0 = done.
fn outcome(node: &mut Node, connection: ConnectionId, call: Call) -> u32 {
    let cseq = node.call(connection, call);
    match node.reply(connection, cseq) {
        Some(reply::Result::Error(error)) => error.outcome,
        Some(_) => 0,
        None => panic!("no answer"),
    }
}

fn join(node: &mut Node, connection: ConnectionId, channel: &str) -> u32 {
    let channel = channel.into();
    outcome(node, connection, Call::Join(Join { channel }))
}

fn send_to(node: &mut Node, connection: ConnectionId, channel: &str) -> u32 {
    let call = SendToChannel {
        channel: channel.into(),
        message: Some(Message {
            body: Some(message::Body::Text("hello".into())),
            ..Message::default()
        }),
        history: false,
    };
    outcome(node, connection, Call::SendToChannel(call))
}

const NO: u32 = Outcome::NotPermitted as u32;

#[test]
fn a_banned_user_is_thrown_out_and_not_let_in_by_any_door() {
    for change in CHANGES {
        let mut node = Node::with_apps(2, apps(&[]));
        let bob = node.login(1, "bob");
        let of = node.welcome(bob);
        let alice = node.login(0, "alice");
        set(&mut node, &[ban(Some("bob"), None, Barred::LOGIN)], change);
        assert_eq!(node.closed(bob), Some(CloseCode::Banned));
        assert_eq!(node.closed(alice), None);
        let again = node.login(0, "bob");
        assert_eq!(node.refused(again), Some(Outcome::Banned as u32));
        let again = node.resume(1, "bob", &of, 0);
        assert_eq!(node.refused(again), Some(Outcome::UnknownSession as u32));
        // A client whose credentials were checked elsewhere: of the legacy door.
        let legacy = node.open(0);
        let input = Input::Admitted {
            connection: legacy,
            user: UserKey {
                app: app_id(),
                user: UserId::parse("bob").expect("a user id"),
            },
            traits: Traits::default(),
            grant: Grant::default(),
        };
        node.give(0, input);
        assert_eq!(node.closed(legacy), Some(CloseCode::Banned));
        set(&mut node, &[], change);
        let back = node.login(0, "bob");
        assert_eq!(node.refused(back), None);
    }
}

#[test]
fn a_ban_ends_by_time() {
    for change in CHANGES {
        let mut node = Node::with_apps(1, apps(&[]));
        let until_ms = node.now.unix_ms + 10_000;
        let bans = [
            Ban {
                until_ms,
                ..ban(Some("bob"), None, Barred::LOGIN)
            },
            Ban {
                until_ms,
                ..ban(Some("alice"), Some("room"), JOIN)
            },
        ];
        set(&mut node, &bans, change);
        let alice = node.login(0, "alice");
        assert_eq!(join(&mut node, alice, "room"), NO);
        let bob = node.login(0, "bob");
        assert_eq!(node.refused(bob), Some(Outcome::Banned as u32));
        node.pass(11_000, &[alice]);
        assert_eq!(join(&mut node, alice, "room"), 0);
        let bob = node.login(0, "bob");
        assert_eq!(node.refused(bob), None);
    }
}

#[test]
fn who_is_banned_from_a_channel_is_taken_out_of_it_and_may_not_join() {
    for change in CHANGES {
        let mut node = Node::with_apps(2, apps(&[]));
        let [alice, bob] = [(0, "alice"), (1, "bob")].map(|(hub, name)| node.login(hub, name));
        for channel in ["room", "other"] {
            for member in [alice, bob] {
                assert_eq!(join(&mut node, member, channel), 0);
            }
        }
        set(&mut node, &[ban(Some("bob"), Some("room"), JOIN)], change);
        for member in [alice, bob] {
            let left: Vec<_> = (node.seen[&member].messages.iter())
                .filter_map(|kind| match kind {
                    Kind::MemberLeft(left) => Some((&left.channel[..], &left.user_id[..])),
                    _ => None,
                })
                .collect();
            assert_eq!(left, [("room", "bob")]);
        }
        assert_eq!(join(&mut node, bob, "room"), NO);
        assert_eq!(
            send_to(&mut node, bob, "room"),
            Outcome::NotInChannel as u32
        );
        assert_eq!(send_to(&mut node, bob, "other"), 0);
        assert_eq!(join(&mut node, bob, "third"), 0);
    }
}

#[test]
fn a_channel_that_is_shut_is_emptied() {
    for change in CHANGES {
        let mut node = Node::with_apps(2, apps(&[]));
        let [alice, bob] = [(0, "alice"), (1, "bob")].map(|(hub, name)| node.login(hub, name));
        for member in [alice, bob] {
            assert_eq!(join(&mut node, member, "room"), 0);
        }
        set(&mut node, &[ban(None, Some("room"), JOIN)], change);
        assert!(node.hubs.iter().all(|hub| hub.stats().channels == 0));
        for member in [alice, bob] {
            assert_eq!(join(&mut node, member, "room"), NO);
            assert_eq!(join(&mut node, member, "room2"), 0);
        }
    }
}

#[test]
fn who_may_not_send_may_listen() {
    for change in CHANGES {
        let mut node = Node::with_apps(1, apps(&[]));
        let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| node.login(0, name));
        for member in [alice, bob, carol] {
            assert_eq!(join(&mut node, member, "room"), 0);
            assert_eq!(join(&mut node, member, "other"), 0);
        }
        let bans = [
            ban(Some("bob"), None, SEND),
            ban(Some("carol"), Some("room"), SEND),
        ];
        set(&mut node, &bans, change);
        assert_eq!(send_to(&mut node, bob, "room"), NO);
        assert_eq!(send_to(&mut node, carol, "room"), NO);
        assert_eq!(send_to(&mut node, carol, "other"), 0);
        assert_eq!(send_to(&mut node, alice, "room"), 0);
        for (connection, expected) in [(bob, NO), (carol, 0)] {
            let cseq = node.send(connection, "alice", "hello", true);
            let numbered = node.numbered(alice);
            node.say(alice, numbered, vec![]);
            let code = match node.reply(connection, cseq) {
                Some(reply::Result::Error(error)) => error.outcome,
                Some(_) => 0,
                None => panic!("no answer"),
            };
            assert_eq!(code, expected);
        }
        let heard = node.seen[&bob].messages.iter();
        let heard = heard.filter(|kind| matches!(kind, Kind::ChannelMessage(_)));
        assert_eq!(heard.count(), 2);
    }
}

#[test]
fn a_login_that_is_on_its_way_meets_a_rule_that_has_just_come() {
    for change in CHANGES {
        let mut node = Node::with_apps(2, apps(&[]));
        node.login(1, "bob");
        node.is_held = true;
        let bob = node.login(0, "bob");
        node.step();
        node.step();
        assert!(node.hubs[0].is_logging_in(bob));
        let bans = [ban(Some("bob"), None, Barred::LOGIN)];
        // Before the other hub has answered.
        let before: Vec<_> = node.queue.drain(..).collect();
        set(&mut node, &bans, change);
        node.step();
        node.queue.extend(before);
        node.is_held = false;
        node.settle();
        assert_eq!(node.closed(bob), Some(CloseCode::Banned));
        let sessions = node.hubs.iter().map(|hub| hub.stats().sessions);
        assert_eq!(sessions.sum::<usize>(), 0);
    }
}
