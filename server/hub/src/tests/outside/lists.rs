//! What a hub has, listed for somebody outside.

use std::collections::BTreeSet;

use tidings_wire::names::{AppId, ChannelName};
use tidings_wire::proto::request::Call;
use tidings_wire::proto::{ClientFrame, Join, Login, PresenceState, client_message};

use crate::io::Input;
use crate::outside::{OutsideAnswer, OutsideCall, SessionEntry};
use crate::tests::node::Node;
use crate::tests::outside::{answer, ask, user};

fn app() -> AppId {
    user("alice").app
}

fn page(
    node: &mut Node,
    ticket: u64,
    (after, limit): (u64, u16),
) -> (Vec<SessionEntry>, Option<u64>) {
    let call = OutsideCall::Sessions {
        app: app(),
        user: None,
        after,
        limit,
    };
    ask(node, 0, ticket, call);
    match answer(node, ticket) {
        Some(OutsideAnswer::Sessions { sessions, next }) => (sessions, next),
        other => panic!("answered {other:?}"),
    }
}

#[test]
fn sessions_are_listed_page_by_page_and_those_that_stay_exactly_once() {
    let mut node = Node::new(1);
    let all: Vec<_> = (0..25)
        .map(|n| (n, node.login(0, &format!("u{n:02}"))))
        .collect();
    let (mut after, mut seen, mut ticket) = (0, Vec::new(), 0);
    loop {
        ticket += 1;
        let (sessions, next) = page(&mut node, ticket, (after, 4));
        assert!(sessions.len() <= 4);
        seen.extend(sessions.into_iter().map(|it| it.user.user.to_string()));
        // Others come and go meanwhile; their places are used again.
        let (n, connection) = all[ticket as usize];
        node.call(connection, Call::Logout(tidings_wire::proto::Logout {}));
        node.login(0, &format!("new{n}"));
        match next {
            Some(next) => after = next,
            None => break,
        }
    }
    let names: BTreeSet<_> = seen.iter().cloned().collect();
    assert_eq!(names.len(), seen.len(), "nobody is listed twice");
    for n in (ticket + 1)..25 {
        assert!(names.contains(&format!("u{n:02}")), "u{n:02} in {names:?}");
    }
    let (sessions, next) = page(&mut node, 1_000, (u64::MAX, 4));
    assert!(sessions.is_empty() && next.is_none());
}

/// The session of a user on a hub.
fn ask_for(node: &mut Node, hub: usize, ticket: u64, name: &str) -> Option<SessionEntry> {
    let call = OutsideCall::Sessions {
        app: app(),
        user: Some(user(name).user),
        after: 0,
        limit: 10,
    };
    ask(node, hub, ticket, call);
    match answer(node, ticket) {
        Some(OutsideAnswer::Sessions { mut sessions, next }) => {
            assert_eq!(next, None);
            sessions.pop()
        }
        other => panic!("answered {other:?}"),
    }
}

#[test]
fn a_session_is_shown_with_what_its_client_has_said_and_what_waits_for_it() {
    let mut node = Node::new(2);
    node.now.mono_ms += 10_000;
    node.now.unix_ms += 10_000;
    let logged_in_ms = node.now.unix_ms;
    let bob = node.open(1);
    let login = Login {
        app_id: "a".repeat(32),
        user_id: "bob".into(),
        client: "test 1.2".into(),
        ..Login::default()
    };
    node.say(bob, 0, vec![client_message::Kind::Login(login)]);
    node.call(
        bob,
        Call::Join(Join {
            channel: "room".into(),
        }),
    );
    node.pass(5_000, &[]);
    let queue = node.numbered(bob);
    assert_eq!(ask_for(&mut node, 0, 1, "bob"), None, "not on this hub");
    assert_eq!(ask_for(&mut node, 1, 2, "carol"), None);
    let entry = ask_for(&mut node, 1, 3, "bob").expect("bob's session");
    assert_eq!(entry.client, "test 1.2");
    assert_eq!(entry.connection, Some(bob));
    assert_eq!(entry.channels, 1);
    assert_eq!(entry.state, PresenceState::Online);
    assert!(!entry.is_legacy());
    assert_eq!(entry.queue_frames, queue);
    assert!(entry.queue_bytes > 0);
    assert_eq!(entry.since_ms, logged_in_ms);
    assert_eq!(entry.heard_ms, logged_in_ms);
    let frame = ClientFrame {
        messages: vec![],
        confirm: queue,
    };
    node.give(
        1,
        Input::Frame {
            connection: bob,
            frame,
        },
    );
    let entry = ask_for(&mut node, 1, 4, "bob").expect("bob's session");
    assert_eq!((entry.queue_frames, entry.queue_bytes), (0, 0));
    assert_eq!(entry.heard_ms, logged_in_ms + 5_000);
    ask(&mut node, 1, 5, OutsideCall::User { user: user("bob") });
    match answer(&node, 5) {
        Some(OutsideAnswer::User(Some(of))) => {
            assert_eq!(of.sessions, [entry]);
            assert_eq!(of.channels, [ChannelName::parse("room").expect("a name")]);
        }
        other => panic!("answered {other:?}"),
    }
    ask(&mut node, 0, 6, OutsideCall::User { user: user("bob") });
    assert_eq!(answer(&node, 6), Some(OutsideAnswer::User(None)));
}

#[test]
fn channels_are_listed_by_prefix_in_the_order_of_their_names() {
    let mut node = Node::new(2);
    let [bob, carol] = [(0, "bob"), (1, "carol")].map(|(hub, name)| node.login(hub, name));
    for channel in ["c", "room-2", "a", "room-1", "room-3", "roo"] {
        let channel = channel.to_owned();
        node.call(bob, Call::Join(Join { channel }));
    }
    for channel in ["room-2", "elsewhere"] {
        let channel = channel.to_owned();
        node.call(carol, Call::Join(Join { channel }));
    }
    let list = |node: &mut Node, ticket, prefix: &str, after: Option<&str>, limit| {
        let call = OutsideCall::Channels {
            app: app(),
            prefix: prefix.into(),
            after: after.map(|name| ChannelName::parse(name).expect("a name")),
            limit,
        };
        ask(node, 0, ticket, call);
        match answer(node, ticket) {
            Some(OutsideAnswer::Channels { channels, has_more }) => {
                let listed = channels.into_iter();
                let listed = listed.map(|it| format!("{}:{}", it.channel, it.members));
                (listed.collect::<Vec<_>>(), has_more)
            }
            other => panic!("answered {other:?}"),
        }
    };
    let (all, has_more) = list(&mut node, 1, "", None, 100);
    assert_eq!(
        all,
        ["a:1", "c:1", "roo:1", "room-1:1", "room-2:2", "room-3:1"]
    );
    assert!(!has_more);
    let (first, has_more) = list(&mut node, 2, "room-", None, 2);
    assert_eq!(first, ["room-1:1", "room-2:2"]);
    assert!(has_more);
    let (rest, has_more) = list(&mut node, 3, "room-", Some("room-2"), 2);
    assert_eq!(rest, ["room-3:1"]);
    assert!(!has_more);
    assert_eq!(list(&mut node, 4, "x", None, 2), (Vec::new(), false));
    assert_eq!(list(&mut node, 5, "", None, 0), (Vec::new(), true));
}
