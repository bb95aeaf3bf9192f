//! Hubs of several nodes: what is lost between them, and what becomes of a lost one's users.

use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{
    GapCause, Invite, Join, Leave, Message, PresenceState, SendToChannel, UserList, message, reply,
    request,
};

use crate::bus_ops::{Answer, AskId, BusInput, Progress, Topic};
use crate::channels;
use crate::ids::{ConnectionId, HubId};
use crate::io::Input;
use crate::kernel::asks::{Asks, Outcome};
use crate::rig::{channel, user};
use crate::store_ops::StoreOp;
use crate::tests::node::Node;

pub(super) fn join(node: &mut Node, connection: ConnectionId) {
    let call = Join {
        channel: "room".into(),
    };
    node.call(connection, request::Call::Join(call));
}

pub(super) fn leave(node: &mut Node, connection: ConnectionId) {
    let call = Leave {
        channel: "room".into(),
    };
    node.call(connection, request::Call::Leave(call));
}

pub(super) fn say(node: &mut Node, connection: ConnectionId, text: &str) {
    let body = message::Body::Text(text.to_owned().into());
    let call = SendToChannel {
        channel: "room".into(),
        message: Some(Message {
            body: Some(body),
            ..Message::default()
        }),
        history: false,
    };
    node.call(connection, request::Call::SendToChannel(call));
}

/// What a client has seen of the channel, as words.
pub(super) fn told(node: &Node, connection: ConnectionId) -> Vec<String> {
    let messages = node.seen.get(&connection).map(|seen| &seen.messages[..]);
    let word = |kind: &Kind| match kind {
        Kind::MemberJoined(joined) => Some(format!("joined {}", joined.user_id)),
        Kind::MemberLeft(left) => Some(format!("left {}", left.user_id)),
        Kind::ChannelMessage(sent) => {
            let Some(message::Body::Text(text)) = &sent.message.as_ref()?.body else {
                return None;
            };
            Some(format!("said {}", String::from_utf8_lossy(text)))
        }
        Kind::Gap(gap) => {
            assert_eq!(gap.cause(), GapCause::NodeLink);
            Some(format!("gap {}", gap.missed))
        }
        _ => None,
    };
    let words = messages.unwrap_or_default().iter();
    words.filter_map(word).collect()
}

pub(super) fn members(node: &mut Node, connection: ConnectionId) -> Vec<String> {
    let call = request::Call::GetMembers(tidings_wire::proto::GetMembers {
        channel: "room".into(),
    });
    let cseq = node.call(connection, call);
    let Some(reply::Result::Users(UserList { mut user_ids })) = node.reply(connection, cseq) else {
        panic!("no list of members");
    };
    user_ids.sort_unstable();
    user_ids
}

pub(super) fn states(node: &Node, connection: ConnectionId) -> Vec<PresenceState> {
    let messages = &node.seen[&connection].messages;
    let changes = messages.iter().filter_map(|kind| match kind {
        Kind::PresenceChanged(changed) => Some(changed.users.iter().map(|it| it.state())),
        _ => None,
    });
    changes.flatten().collect()
}

/// Alice on node 1, bob on node 2, both in the channel.
fn two_nodes() -> (Node, ConnectionId, ConnectionId) {
    let mut node = Node::cluster(2, 2);
    let alice = node.login(0, "alice");
    let bob = node.login(3, "bob");
    join(&mut node, alice);
    join(&mut node, bob);
    assert_eq!(members(&mut node, alice), ["alice", "bob"]);
    assert_eq!(members(&mut node, bob), ["alice", "bob"]);
    (node, alice, bob)
}

// ------------------------------------------------------------ asks

#[test]
fn the_greatest_number_of_hubs_that_an_answer_states_is_waited_for() {
    let mut asks = Asks::new();
    let ask = asks.add(1, &channels::state::MEMBERS);
    let stated = |asked| AskId { asked, ..ask };
    let from = |node| HubId { node, hub: 0 };
    assert_eq!(asks.answer(stated(2), from(1), Answer::Count(3)), None);
    assert_eq!(asks.answer(stated(3), from(2), Answer::Count(7)), None);
    // This one knows of fewer.
    let settled = asks.answer(stated(1), from(3), Answer::Count(5));
    let expected = Outcome::Answered {
        from: from(3),
        answer: Answer::Count(7),
        is_complete: true,
    };
    assert_eq!(settled.map(|settled| settled.outcome), Some(expected));
}

#[test]
fn what_is_answered_in_time_is_told_apart_from_all_that_was_asked() {
    let mut asks = Asks::new();
    let ask = asks.add(1, &channels::state::MEMBERS);
    let stated = AskId { asked: 2, ..ask };
    let from = HubId { node: 1, hub: 0 };
    assert_eq!(asks.answer(stated, from, Answer::Count(3)), None);
    let settled = asks.pop_due(10_000).expect("its time is over");
    let expected = Outcome::Answered {
        from,
        answer: Answer::Count(3),
        is_complete: false,
    };
    assert_eq!(settled.outcome, expected);
}

// ------------------------------------------------------------ what is missed

#[test]
fn missed_messages_are_a_gap_before_the_next_one() {
    let (mut node, alice, bob) = two_nodes();
    say(&mut node, bob, "one");
    node.cuts.insert((2, 1));
    say(&mut node, bob, "two");
    say(&mut node, bob, "three");
    node.heal();
    say(&mut node, bob, "four");
    node.pass(5_000, &[alice, bob]);
    let expected = ["joined bob", "said one", "gap 2", "said four"];
    assert_eq!(told(&node, alice), expected);
    assert_eq!(
        told(&node, bob),
        Vec::<String>::new(),
        "nothing is lost here"
    );
    assert_eq!(members(&mut node, alice), ["alice", "bob"]);
}

#[test]
fn a_member_that_came_unseen_is_found_and_one_that_went_unseen_too() {
    let (mut node, alice, bob) = two_nodes();
    node.cuts.insert((2, 1));
    let carol = node.login(2, "carol");
    join(&mut node, carol);
    leave(&mut node, bob);
    node.heal();
    node.pass(10_000, &[alice, bob, carol]);
    let words = told(&node, alice);
    assert_eq!(words[..2], ["joined bob", "gap 2"]);
    assert!(words.contains(&"joined carol".to_owned()), "{words:?}");
    assert!(words.contains(&"left bob".to_owned()), "{words:?}");
    assert_eq!(members(&mut node, alice), ["alice", "carol"]);
}

#[test]
fn a_node_without_a_member_left_is_forgotten_though_nobody_there_can_say_so() {
    let (mut node, alice, bob) = two_nodes();
    node.cuts.insert((2, 1));
    leave(&mut node, bob);
    node.heal();
    // Nobody else has an interest in the channel: that is certain at once, and is looked at twice.
    node.pass(1_000, &[alice, bob]);
    assert_eq!(told(&node, alice), ["joined bob", "gap 1"]);
    node.pass(3_000, &[alice, bob]);
    assert_eq!(told(&node, alice), ["joined bob", "gap 1", "left bob"]);
    assert!(
        node.hubs[0].channels.refreshes.is_empty(),
        "it comes to an end"
    );
}

#[test]
fn members_are_compared_until_whoever_is_silent_has_spoken() {
    let (mut node, alice, bob) = two_nodes();
    node.cuts.insert((2, 1));
    leave(&mut node, bob);
    let carol = node.login(2, "carol");
    join(&mut node, carol);
    let missed = BusInput::Missed {
        topic: Topic::Channel(channel("room")),
        from: HubId { node: 2, hub: 0 },
        count: 0,
    };
    node.give(0, Input::Bus(missed));
    node.pass(9_000, &[alice, bob, carol]);
    assert_eq!(
        members(&mut node, alice),
        ["alice", "bob"],
        "nobody can say"
    );
    node.cuts.clear();
    node.pass(9_000, &[alice, bob, carol]);
    assert_eq!(members(&mut node, alice), ["alice", "carol"]);
    assert!(
        node.hubs[0].channels.refreshes.is_empty(),
        "it comes to an end"
    );
}

#[test]
fn a_first_member_learns_of_members_whose_hub_was_silent_when_it_joined() {
    let mut node = Node::cluster(2, 1);
    let bob = node.login(1, "bob");
    join(&mut node, bob);
    let alice = node.login(0, "alice");
    node.cuts.insert((2, 1));
    join(&mut node, alice);
    node.pass(3_000, &[alice, bob]);
    node.cuts.clear();
    node.pass(5_000, &[alice, bob]);
    assert_eq!(members(&mut node, alice), ["alice", "bob"]);
}

#[test]
fn what_is_missed_before_the_members_are_known_is_told_in_its_place() {
    let mut node = Node::cluster(2, 1);
    let bob = node.login(1, "bob");
    join(&mut node, bob);
    let alice = node.login(0, "alice");
    // Its question is not answered: what comes is held.
    node.cuts.insert((1, 2));
    join(&mut node, alice);
    say(&mut node, bob, "one");
    node.cuts.insert((2, 1));
    say(&mut node, bob, "two");
    node.heal();
    say(&mut node, bob, "three");
    assert_eq!(
        told(&node, alice),
        Vec::<String>::new(),
        "it has not joined yet"
    );
    node.pass(3_000, &[alice, bob]);
    let mut words = told(&node, alice);
    words.retain(|word| !word.starts_with("joined"));
    assert_eq!(words, ["said one", "gap 1", "said three"]);
}

#[test]
fn a_missed_word_on_a_users_topic_makes_its_hub_look() {
    let mut node = Node::cluster(2, 1);
    let alice = node.login(0, "alice");
    let bob = node.login(1, "bob");
    // The word that the inbox has grown is lost; the message is in the store that both see.
    node.cuts.extend([(1, 2), (2, 1)]);
    node.send(alice, "bob", "hi", true);
    node.pass(12_000, &[alice, bob]);
    node.cuts.clear();
    node.give(
        1,
        Input::Bus(BusInput::Missed {
            topic: Topic::User(user("bob")),
            from: HubId { node: 1, hub: 0 },
            count: 1,
        }),
    );
    let key = node.hubs[1].kernel.users[&user("bob")]
        .session
        .expect("bob");
    let session = &node.hubs[1].kernel.sessions[key];
    assert!(session.presence.is_watched, "somebody may watch");
    assert!(session.has_attributes, "somebody may have written them");
    let reads = node.store_ops.iter();
    let is_read =
        |op: &&StoreOp| matches!(op, StoreOp::InboxRead { user: of, .. } if *of == user("bob"));
    assert_eq!(reads.filter(is_read).count(), 2, "at its login, and now");
}

#[test]
fn of_two_sessions_that_began_out_of_reach_the_later_login_stays() {
    for looks in [0, 1] {
        let mut node = Node::cluster(2, 1);
        let first = node.login(0, "alice");
        node.cuts.extend([(1, 2), (2, 1)]);
        let second = node.login(1, "alice");
        node.pass(3_000, &[first, second]);
        let is_there = |node: &Node, hub: usize| {
            let entry = node.hubs[hub].kernel.users.get(&user("alice"));
            entry.is_some_and(|entry| entry.session.is_some())
        };
        assert!(is_there(&node, 0) && is_there(&node, 1), "neither knows");
        node.cuts.clear();
        node.give(
            looks,
            Input::Bus(BusInput::Missed {
                topic: Topic::User(user("alice")),
                from: HubId { node: 2, hub: 0 },
                count: 0,
            }),
        );
        node.pass(1_000, &[second]);
        assert!(!is_there(&node, 0), "the older one, found by hub {looks}");
        assert!(is_there(&node, 1));
    }
}

pub(super) fn watch(node: &mut Node, connection: ConnectionId, user: &str) {
    let call = tidings_wire::proto::SubscribePresence {
        user_ids: vec![user.into()],
    };
    node.call(connection, request::Call::SubscribePresence(call));
}

#[test]
fn a_missed_state_is_asked_for_again() {
    let mut node = Node::cluster(2, 1);
    let alice = node.login(0, "alice");
    let bob = node.login(1, "bob");
    watch(&mut node, alice, "bob");
    node.cuts.insert((2, 1));
    node.call(bob, request::Call::Logout(tidings_wire::proto::Logout {}));
    assert_eq!(states(&node, alice), [PresenceState::Online]);
    node.heal();
    let offline = [PresenceState::Online, PresenceState::Offline];
    assert_eq!(states(&node, alice), offline);
    node.cuts.insert((2, 1));
    let bob = node.login(1, "bob");
    node.heal();
    node.pass(1_000, &[alice, bob]);
    assert_eq!(states(&node, alice)[2..], [PresenceState::Online]);
}

// ------------------------------------------------------------ a lost node

#[test]
fn members_of_a_lost_node_leave_after_their_grace_and_those_who_are_back_do_not() {
    let (mut node, alice, _) = two_nodes();
    let carol = node.login(2, "carol");
    join(&mut node, carol);
    watch(&mut node, alice, "bob");
    watch(&mut node, alice, "carol");
    node.lose(2);
    node.pass(10_000, &[alice]);
    // Carol's client comes back as a new login, on the other node.
    let carol = node.login(1, "carol");
    join(&mut node, carol);
    node.pass(19_000, &[alice, carol]);
    // What the node's users were told is sent may have ended with it.
    let heard = ["joined bob", "joined carol", "gap 0"];
    assert_eq!(told(&node, alice), heard);
    assert_eq!(members(&mut node, alice), ["alice", "bob", "carol"]);
    node.pass(2_000, &[alice, carol]);
    assert_eq!(told(&node, alice)[3..], ["left bob"]);
    assert_eq!(members(&mut node, alice), ["alice", "carol"]);
    assert_eq!(members(&mut node, carol), ["alice", "carol"]);
    let known = [
        PresenceState::Online,
        PresenceState::Online,
        PresenceState::Offline,
    ];
    assert_eq!(states(&node, alice), known, "only bob is offline");
}

#[test]
fn a_node_number_that_is_used_again_is_another_node() {
    let (mut node, alice, _) = two_nodes();
    node.lose(2);
    node.start_anew(2);
    let carol = node.login(3, "carol");
    join(&mut node, carol);
    assert_eq!(members(&mut node, alice), ["alice", "bob", "carol"]);
    assert_eq!(
        members(&mut node, carol),
        ["alice", "carol"],
        "bob was lost before"
    );
    node.pass(31_000, &[alice, carol]);
    assert_eq!(members(&mut node, alice), ["alice", "carol"]);
    assert_eq!(
        told(&node, alice),
        ["joined bob", "gap 0", "joined carol", "left bob"]
    );
    node.lose(2);
    node.pass(31_000, &[alice]);
    assert_eq!(members(&mut node, alice), ["alice"]);
}

#[test]
fn what_is_asked_of_a_lost_node_ends_by_its_deadline() {
    let (mut node, alice, _) = two_nodes();
    node.cuts.insert((1, 2));
    let cseq = node.send(alice, "bob", "hi", false);
    node.lose(2);
    node.pass(12_000, &[alice]);
    assert!(matches!(
        node.reply(alice, cseq),
        Some(reply::Result::Error(_))
    ));
}

pub(super) fn invite(node: &mut Node, connection: ConnectionId, callee: &str) {
    let call = Invite {
        callee_id: callee.into(),
        number: 1,
        ..Invite::default()
    };
    node.call(connection, request::Call::Invite(call));
}

pub(super) fn has_ended(node: &Node, connection: ConnectionId) -> bool {
    let is_end = |kind: &Kind| {
        matches!(
            kind,
            Kind::LocalInvitationEnded(_) | Kind::RemoteInvitationEnded(_)
        )
    };
    node.seen[&connection].messages.iter().any(is_end)
}

#[test]
fn what_rings_between_here_and_a_lost_node_ends_on_both_sides() {
    for (lost, left) in [(2, 0), (1, 1)] {
        let mut node = Node::cluster(2, 1);
        let clients = [node.login(0, "alice"), node.login(1, "bob")];
        invite(&mut node, clients[0], "bob");
        // Bob's client has heard it.
        let confirmed = node.numbered(clients[1]);
        node.say(clients[1], confirmed, Vec::new());
        node.lose(lost);
        node.pass(29_000, &[clients[left]]);
        assert!(!has_ended(&node, clients[left]), "its user may be back");
        node.pass(2_000, &[clients[left]]);
        assert!(has_ended(&node, clients[left]), "node {lost} is lost");
    }
}

#[test]
fn an_invitation_of_a_lost_callee_rings_where_it_is_back() {
    let mut node = Node::cluster(2, 1);
    let alice = node.login(0, "alice");
    let bob = node.login(1, "bob");
    invite(&mut node, alice, "bob");
    let confirmed = node.numbered(bob);
    node.say(bob, confirmed, Vec::new());
    node.lose(2);
    let bob = node.login(0, "bob");
    node.pass(6_000, &[alice, bob]);
    let rings = node.seen[&bob].messages.iter();
    let is_ring = |kind: &&Kind| matches!(kind, Kind::IncomingInvitation(_));
    assert_eq!(rings.filter(is_ring).count(), 1);
    let confirmed = node.numbered(bob);
    node.say(bob, confirmed, Vec::new());
    node.pass(30_000, &[alice, bob]);
    assert!(!has_ended(&node, alice) && !has_ended(&node, bob));
}

#[test]
fn a_missed_end_of_an_invitation_is_looked_up_and_a_missed_answer_is_asked_for() {
    let mut node = Node::cluster(2, 1);
    let alice = node.login(0, "alice");
    let bob = node.login(1, "bob");
    invite(&mut node, alice, "bob");
    node.cuts.insert((2, 1));
    let confirmed = node.numbered(bob);
    node.say(bob, confirmed, Vec::new());
    let received = |node: &Node| {
        let is_it = |kind: &Kind| matches!(kind, Kind::InvitationReceived(_));
        node.seen[&alice].messages.iter().any(is_it)
    };
    assert!(!received(&node));
    node.heal();
    assert!(received(&node), "its hub has said so again");
    node.cuts.insert((1, 2));
    let call = tidings_wire::proto::CancelInvitation { number: 1 };
    node.call(alice, request::Call::CancelInvitation(call));
    node.heal();
    assert!(has_ended(&node, bob));
}

// ------------------------------------------------------------ logins

#[test]
fn the_clusters_clock_orders_logins_whose_machines_clocks_do_not() {
    let mut node = Node::cluster(2, 1);
    // Node 1 was started long after node 2, and knows that.
    node.give(0, Input::ClusterClock { ahead_ms: 100_000 });
    let first = node.login(0, "alice");
    let second = node.login(1, "alice");
    assert!(
        node.closed(second).is_some(),
        "it is older by the cluster's clock"
    );
    node.give(1, Input::ClusterClock { ahead_ms: 100_000 });
    let third = node.login(1, "alice");
    assert!(node.closed(first).is_some());
    assert!(node.closed(third).is_none());
    // It never goes back.
    node.give(1, Input::ClusterClock { ahead_ms: 1 });
    let fourth = node.login(1, "alice");
    assert!(node.closed(third).is_some());
    assert!(node.closed(fourth).is_none());
}

#[test]
fn a_session_resumes_however_far_the_clusters_clock_is_ahead() {
    let mut node = Node::cluster(1, 1);
    node.give(0, Input::ClusterClock { ahead_ms: 100_000 });
    let alice = node.login(0, "alice");
    let welcome = node.welcome(alice);
    node.close(alice);
    node.now.mono_ms += 10;
    let again = node.resume(0, "alice", &welcome, 0);
    assert!(node.resumed_secret(again).is_some());
}

#[test]
fn a_progress_is_of_the_hub_that_gives_it() {
    let (mut node, ..) = two_nodes();
    let hub = &mut node.hubs[3];
    let known = &hub.channels.known[&channel("room")];
    let own = Progress {
        origin: HubId { node: 2, hub: 1 },
        epoch: known.epoch,
        seq: known.seq,
    };
    let elsewhere = node.hubs[0].channels.known[&channel("room")]
        .members
        .progress_elsewhere(HubId { node: 1, hub: 0 });
    assert_eq!(elsewhere, [own]);
    assert!(own.epoch > 1 << 20, "a node's numbering begins at its base");
}
