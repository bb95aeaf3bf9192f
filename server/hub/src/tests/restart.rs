//! Planned restarts.

use tidings_wire::limits::CLIENT_NAME_BYTES_MAX;
use tidings_wire::names::{AppId, NameRule, UserId};
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{
    GetMembers, Invite, Join, PresenceState, SubscribePresence, message, reply, request,
};

use crate::config::Traits;
use crate::grant::Grant;
use crate::ids::{ConnectionId, UserKey};
use crate::io::Input;
use crate::snapshot::Snapshot;
use crate::tests::node::Node;

/// Drains the node and starts it again with what it has left.
pub(crate) fn restart(node: &mut Node) {
    for input in [Input::Drain, Input::Settle] {
        for hub in 0..node.hubs.len() {
            node.give(hub, input.clone());
        }
    }
    let snapshots: Vec<Vec<u8>> = (node.hubs.iter())
        .map(|hub| {
            assert!(hub.is_settled(), "{:?}", hub.stats());
            hub.snapshot().encode()
        })
        .collect();
    node.reincarnate();
    for (hub, snapshot) in snapshots.iter().enumerate() {
        let snapshot = Snapshot::decode(snapshot).expect("our own");
        node.give(hub, Input::Restore(Box::new(snapshot)));
    }
    let hubs = u16::try_from(node.hubs.len()).expect("a few");
    for hub in 0..node.hubs.len() {
        node.give(hub, Input::Load { hubs, boot: 1 });
    }
}

fn join(node: &mut Node, connection: ConnectionId) {
    let channel = "c".into();
    node.call(connection, request::Call::Join(Join { channel }));
}

fn events(node: &Node, connection: ConnectionId) -> Vec<String> {
    let messages = node.seen[&connection].messages.iter();
    let texts = messages.filter_map(|kind| match kind {
        Kind::MemberJoined(joined) => Some(format!("joined {}", joined.user_id)),
        Kind::MemberLeft(left) => Some(format!("left {}", left.user_id)),
        Kind::PresenceChanged(changed) => Some(format!("{:?}", changed.users[0].state())),
        Kind::Gap(_) => Some("gap".into()),
        Kind::Skip(skip) => Some(format!("skip of {}, {} gaps", skip.count, skip.gaps.len())),
        _ => None,
    });
    texts.collect()
}

#[test]
fn what_was_not_confirmed_comes_after_a_restart_and_nobody_sees_anybody_leave() {
    let mut node = Node::new(2);
    let alice = node.login(0, "alice");
    let bob = node.login(1, "bob");
    let (of_alice, of_bob) = (node.welcome(alice), node.welcome(bob));
    join(&mut node, alice);
    join(&mut node, bob);
    let watch = SubscribePresence {
        user_ids: vec!["bob".into()],
    };
    node.call(alice, request::Call::SubscribePresence(watch));
    let before = node.numbered(bob);
    node.say(bob, before, vec![]);
    let live = node.send(alice, "bob", "live", false);
    let kept = node.send(alice, "bob", "kept", true);
    let alice_had = node.numbered(alice);
    restart(&mut node);

    // The senders' answers came to be in the drain.
    let alice = node.resume(1, "alice", &of_alice, alice_had);
    assert_eq!(node.refused(alice), None);
    let Some(reply::Result::Error(_)) = node.reply(alice, live) else {
        panic!("nobody knows whether it has arrived");
    };
    let Some(reply::Result::PeerSent(sent)) = node.reply(alice, kept) else {
        panic!("it is stored");
    };
    assert!(!sent.received);
    assert_eq!(events(&node, alice), Vec::<String>::new());

    let bob = node.resume(0, "bob", &of_bob, before);
    assert_eq!(node.texts(bob), ["live", "kept"]);
    assert_eq!(events(&node, bob), Vec::<String>::new());
    node.say(bob, before + node.numbered(bob), vec![]);

    // The session goes on where it was: its calls count on, its channel knows both.
    node.count_on(bob, 1);
    let channel = "c".into();
    let members = node.call(bob, request::Call::GetMembers(GetMembers { channel }));
    let Some(reply::Result::Users(users)) = node.reply(bob, members) else {
        panic!("no list");
    };
    let mut users = users.user_ids;
    users.sort_unstable();
    assert_eq!(users, ["alice", "bob"]);
    let body = message::Body::Text("hello".into());
    let call = tidings_wire::proto::SendToChannel {
        channel: "c".into(),
        message: Some(tidings_wire::proto::Message {
            body: Some(body),
            ..Default::default()
        }),
        history: false,
    };
    node.call(bob, request::Call::SendToChannel(call));
    let is_message = |kind: &&Kind| matches!(kind, Kind::ChannelMessage(_));
    let heard = node.seen[&alice].messages.iter().filter(is_message).count();
    assert_eq!(heard, 1);
    // Leaving is news again, once.
    node.call(bob, request::Call::Logout(Default::default()));
    let offline = format!("{:?}", PresenceState::Offline);
    assert_eq!(events(&node, alice), [offline, "left bob".to_owned()]);
}

#[test]
fn an_invitation_outlives_a_restart_with_its_deadline() {
    let mut node = Node::new(2);
    let alice = node.login(0, "alice");
    let bob = node.login(1, "bob");
    let (of_alice, of_bob) = (node.welcome(alice), node.welcome(bob));
    let invite = Invite {
        number: 1,
        callee_id: "bob".into(),
        ..Invite::default()
    };
    node.call(alice, request::Call::Invite(invite));
    node.say(bob, node.numbered(bob), vec![]);
    node.pass(20_000, &[alice, bob]);
    let (alice_had, bob_had) = (node.numbered(alice), node.numbered(bob));
    restart(&mut node);
    let alice = node.resume(0, "alice", &of_alice, alice_had);
    let bob = node.resume(1, "bob", &of_bob, bob_had);
    let has_ended = |node: &Node, connection: ConnectionId| {
        let is_end = |kind: &Kind| {
            matches!(
                kind,
                Kind::LocalInvitationEnded(_) | Kind::RemoteInvitationEnded(_)
            )
        };
        node.seen[&connection].messages.iter().any(is_end)
    };
    // The 3 s of the restart count.
    node.pass(36_000, &[alice, bob]);
    assert!(!has_ended(&node, alice), "60 s are not over");
    node.pass(2_000, &[alice, bob]);
    assert!(has_ended(&node, alice) && has_ended(&node, bob));
}

#[test]
fn who_does_not_come_back_after_a_restart_is_gone_thirty_seconds_later() {
    let mut node = Node::new(2);
    let alice = node.login(0, "alice");
    let bob = node.login(1, "bob");
    let of_alice = node.welcome(alice);
    join(&mut node, alice);
    join(&mut node, bob);
    let had = node.numbered(alice);
    restart(&mut node);
    let alice = node.resume(0, "alice", &of_alice, had);
    node.pass(29_000, &[alice]);
    assert_eq!(events(&node, alice), Vec::<String>::new());
    node.pass(2_000, &[alice]);
    assert_eq!(events(&node, alice), ["left bob"]);
}

#[test]
fn clients_are_sent_away_one_after_the_other() {
    let mut node = Node::new(1);
    for hub in &mut node.hubs {
        hub.kernel.config.drain_window_ms = 4_000;
    }
    let clients: Vec<_> = (0..4).map(|n| node.login(0, &format!("u{n}"))).collect();
    node.give(0, Input::Drain);
    let stays = |node: &Node| {
        let open = clients
            .iter()
            .filter(|client| node.closed(**client).is_none());
        open.count()
    };
    assert_eq!(stays(&node), 3);
    let stranger = node.login(0, "stranger");
    assert!(node.closed(stranger).is_some(), "nobody is let in");
    node.pass(1_500, &clients);
    assert_eq!(stays(&node), 2);
    node.pass(2_500, &clients);
    assert_eq!(stays(&node), 0);
}

/// Logs a client in by rules that are not the hub's.
fn admit(node: &mut Node, user: &str, traits: Traits) -> ConnectionId {
    let connection = node.open(0);
    let user = UserKey {
        app: AppId::parse(&"a".repeat(32)).expect("app id"),
        user: UserId::parse_by(NameRule::Wide, user).expect("a wide name"),
    };
    let input = Input::Admitted {
        connection,
        user,
        traits,
        grant: Grant::default(),
    };
    node.give(0, input);
    connection
}

#[test]
fn a_session_that_ends_with_its_connection_is_in_no_snapshot_and_its_end_is_told() {
    let mut node = Node::new(1);
    let alice = node.login(0, "alice");
    let of_alice = node.welcome(alice);
    let wide = Traits {
        names: NameRule::Wide,
        ..Traits::default()
    };
    let zoe = admit(&mut node, "Zoë B", wide);
    let passing = Traits {
        ends_with_connection: true,
        ..wide
    };
    let max = admit(&mut node, "Mäx", passing);
    for client in [alice, zoe, max] {
        join(&mut node, client);
    }
    node.say(alice, node.numbered(alice), vec![]);
    let had = node.numbered(alice);
    restart(&mut node);
    let stays = node.hubs[0].snapshot();
    assert_eq!(stays.sessions(), 2);
    let traits = stays.0.sessions.iter().map(|session| {
        let user = session.user.clone().expect("a user").user;
        (user, session.traits.clone().expect("traits").has_wide_names)
    });
    let mut traits: Vec<_> = traits.collect();
    traits.sort();
    assert_eq!(
        traits,
        [("Zoë B".to_owned(), true), ("alice".to_owned(), false)]
    );
    let alice = node.resume(0, "alice", &of_alice, had);
    assert_eq!(events(&node, alice), ["left Mäx"]);
}

#[test]
fn a_session_whose_client_has_a_name_that_no_login_may_state_is_not_taken_over() {
    let mut node = Node::new(1);
    node.login(0, "alice");
    node.login(0, "bob");
    let mut snapshot = node.hubs[0].snapshot();
    snapshot.0.sessions[0].client = "x".repeat(CLIENT_NAME_BYTES_MAX + 1);
    node.reincarnate();
    node.give(0, Input::Restore(Box::new(snapshot)));
    assert_eq!(node.hubs[0].stats().sessions, 1);
}

#[test]
fn what_no_hub_has_written_of_a_token_or_a_channel_is_not_taken_over() {
    let mut node = Node::new(1);
    let alice = node.login(0, "alice");
    join(&mut node, alice);
    let mut snapshot = node.hubs[0].snapshot();
    // The end of a token that has none was told, and an interest that was not counted.
    snapshot.0.sessions[0].is_expiry_told = true;
    snapshot.0.channels[0].epoch = 0;
    node.reincarnate();
    node.give(0, Input::Restore(Box::new(snapshot)));
    let taken = node.hubs[0].snapshot().0;
    assert!(!taken.sessions[0].is_expiry_told);
    assert!(taken.channels.is_empty() && taken.sessions[0].channels.is_empty());
}

#[test]
fn a_damaged_snapshot_is_none() {
    assert!(Snapshot::decode(b"").is_err());
    assert!(Snapshot::decode(b"\xff\xff\xff").is_err());
}
