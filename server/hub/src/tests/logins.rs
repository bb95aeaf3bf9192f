//! Second logins.

use tidings_wire::codes::{CloseCode, Outcome};
use tidings_wire::proto::{
    Attribute, AttributeWrite, PresenceState, WriteUserAttributes, reply, request,
};

use crate::bus_ops::{BusOp, Publication};
use crate::life::resume::REFUSAL_MS;
use crate::store_ops::StoreOp;
use crate::tests::node::Node;
use crate::time::Time;

fn last_presence(node: &Node) -> Option<PresenceState> {
    match node.presence.last()? {
        BusOp::Publish { message, .. } => match **message {
            Publication::Presence { state, .. } => Some(state),
            _ => None,
        },
        _ => None,
    }
}

fn write_attributes(node: &mut Node, connection: crate::ids::ConnectionId) {
    let call = WriteUserAttributes {
        how: AttributeWrite::Merge.into(),
        attributes: vec![Attribute {
            key: "k".into(),
            value: "v".into(),
            ..Attribute::default()
        }],
    };
    node.call(connection, request::Call::WriteUserAttributes(call));
}

fn has_dropped_attributes(node: &Node) -> bool {
    let is_drop = |op: &StoreOp| matches!(op, StoreOp::AttributesDrop { .. });
    node.store_ops.iter().any(is_drop)
}

#[test]
fn what_the_replaced_session_had_not_confirmed_comes_first_in_the_new_one() {
    for new_hub in [0, 1] {
        let mut node = Node::new(2);
        let alice = node.login(0, "alice");
        let _older = node.login(1, "bob");
        node.send(alice, "bob", "one", true);
        // Under way to the older session, or to both, while the newer login takes its place.
        node.is_held = true;
        node.send(alice, "bob", "two", true);
        let newer = node.login(new_hub, "bob");
        node.send(alice, "bob", "three", true);
        node.is_held = false;
        node.settle();
        node.send(alice, "bob", "four", true);
        node.say(newer, node.numbered(newer), vec![]);
        let mut texts = node.texts(newer);
        texts.dedup();
        assert_eq!(texts, ["one", "two", "three", "four"], "on hub {new_hub}");
    }
}

#[test]
fn a_login_that_replaces_a_session_and_comes_to_nothing_leaves_the_user_offline() {
    for (older_hub, new_hub) in [(0, 0), (1, 0)] {
        let mut node = Node::new(2);
        let older = node.login(older_hub, "bob");
        write_attributes(&mut node, older);
        node.is_held = true;
        let newer = node.login(new_hub, "bob");
        node.close(newer);
        node.is_held = false;
        // The claim is on its way when the connection closes.
        node.settle();
        assert_eq!(node.closed(older), Some(CloseCode::RemoteLogin));
        assert_eq!(last_presence(&node), Some(PresenceState::Offline));
        assert!(has_dropped_attributes(&node), "{older_hub} {new_hub}");
    }
}

#[test]
fn attributes_written_on_another_hub_end_with_the_session_that_replaced_it() {
    let mut node = Node::new(2);
    let older = node.login(0, "bob");
    write_attributes(&mut node, older);
    let newer = node.login(1, "bob");
    assert!(!has_dropped_attributes(&node), "the user is still there");
    node.call(newer, request::Call::Logout(Default::default()));
    assert!(has_dropped_attributes(&node));
}

#[test]
fn a_later_login_wins_although_the_wall_clock_went_back() {
    let mut node = Node::new(2);
    let older = node.login(0, "bob");
    node.now = Time {
        mono_ms: node.now.mono_ms + 1_000,
        unix_ms: node.now.unix_ms - 3_600_000,
    };
    let newer = node.login(1, "bob");
    assert_eq!(node.closed(older), Some(CloseCode::RemoteLogin));
    assert_eq!(node.closed(newer), None);
    let alice = node.login(0, "alice");
    let cseq = node.send(alice, "bob", "hello", false);
    node.say(newer, 1, vec![]);
    let Some(reply::Result::PeerSent(sent)) = node.reply(alice, cseq) else {
        panic!("no answer");
    };
    assert!(sent.received);
}

#[test]
fn only_the_client_of_a_replaced_session_is_told_that_it_was_replaced() {
    let mut node = Node::new(2);
    let older = node.login(0, "bob");
    let of_older = node.welcome(older);
    let newer = node.login(1, "bob");
    let of_newer = node.welcome(newer);
    let mut guess = of_older.clone();
    guess.secret = vec![7; 32].into();
    let mut stranger = of_older.clone();
    stranger.session_id = vec![9; 16].into();
    for hub in [0, 1] {
        let refused = |node: &mut Node, welcome: &_, user: &str| {
            let connection = node.resume(hub, user, welcome, 0);
            node.refused(connection)
        };
        let unknown = Some(Outcome::UnknownSession as u32);
        assert_eq!(refused(&mut node, &stranger, "nobody"), unknown);
        assert_eq!(
            refused(&mut node, &stranger, "bob"),
            unknown,
            "as for nobody"
        );
        assert_eq!(
            refused(&mut node, &guess, "bob"),
            unknown,
            "its id is not a proof"
        );
        let replaced = Some(Outcome::RemoteLogin as u32);
        assert_eq!(refused(&mut node, &of_older, "bob"), replaced);
    }
    // The second one to be replaced does not make the first one forgotten.
    node.login(0, "bob");
    for welcome in [&of_older, &of_newer] {
        let connection = node.resume(1, "bob", welcome, 0);
        assert_eq!(node.refused(connection), Some(Outcome::RemoteLogin as u32));
    }
}

#[test]
fn a_login_that_the_network_held_back_does_not_end_the_one_that_its_client_made_after_it() {
    for (older_hub, newer_hub) in [(0, 0), (1, 0), (0, 1)] {
        let mut node = Node::new(2);
        let given_up = node.open(older_hub);
        node.now.mono_ms += 300;
        let alice = node.login(newer_hub, "alice");
        node.now.mono_ms += 300;
        node.log_in(given_up, "alice");
        assert_eq!(node.closed(given_up), Some(CloseCode::RemoteLogin));
        assert_eq!(node.closed(alice), None, "{older_hub} {newer_hub}");
        // The user can be reached, and a login on a connection opened now takes the place as ever.
        let bob = node.login(0, "bob");
        node.send(bob, "alice", "hello", false);
        assert_eq!(node.texts(alice), ["hello"]);
        node.now.mono_ms += 300;
        node.login(older_hub, "alice");
        assert_eq!(node.closed(alice), Some(CloseCode::RemoteLogin));
    }
}

#[test]
fn a_resume_that_the_network_delivers_late_does_not_take_its_clients_newer_connection_away() {
    for hub in [0, 1] {
        let mut node = Node::new(2);
        let first = node.login(0, "bob");
        let welcome = node.welcome(first);
        node.close(first);
        // Given up by its client before anything of it came through.
        let (late, later) = (node.open(hub), node.open(hub));
        node.now.mono_ms += 1_000;
        let newer = node.resume(0, "bob", &welcome, 0);
        node.say_resume(late, "bob", &welcome, 0);
        assert_eq!(
            node.closed(late),
            Some(CloseCode::Superseded),
            "on hub {hub}"
        );
        assert_eq!(node.closed(newer), None, "on hub {hub}");
        // Also when the newer one is lost meanwhile: the secret that its client has still fits.
        node.close(newer);
        node.say_resume(later, "bob", &welcome, 0);
        assert_eq!(
            node.closed(later),
            Some(CloseCode::Superseded),
            "on hub {hub}"
        );
        let mut of_newer = welcome.clone();
        of_newer.secret = node.resumed_secret(newer).expect("it was resumed");
        let last = node.resume(hub, "bob", &of_newer, 0);
        assert_eq!((node.refused(last), node.closed(last)), (None, None));
    }
}

#[test]
fn a_late_resume_that_reaches_the_server_over_a_younger_connection_leaves_its_clients_secret_good()
{
    for hub in [0, 1] {
        let mut node = Node::new(2);
        let first = node.login(0, "bob");
        let welcome = node.welcome(first);
        node.close(first);
        let newer = node.resume(0, "bob", &welcome, 0);
        let mut of_newer = welcome.clone();
        of_newer.secret = node.resumed_secret(newer).expect("it was resumed");
        // A proxy between them was slow to connect for the attempt before.
        node.now.mono_ms += 1_000;
        let late = node.resume(hub, "bob", &welcome, 0);
        assert_eq!(node.closed(newer), Some(CloseCode::Superseded));
        assert!(node.resumed_secret(late).is_some());
        node.now.mono_ms += 1_000;
        let last = node.resume(0, "bob", &of_newer, 0);
        assert_eq!((node.refused(last), node.closed(last)), (None, None));
        assert!(node.resumed_secret(last).is_some(), "on hub {hub}");
    }
}

#[test]
fn a_session_that_is_not_known_is_refused_after_the_same_time_whoever_was_named() {
    let mut node = Node::new(2);
    let bob = node.login(1, "bob");
    let mut stranger = node.welcome(bob);
    stranger.session_id = vec![9; 16].into();
    for user in ["bob", "nobody"] {
        for hub in [0, 1] {
            node.is_held = true;
            let connection = node.resume(hub, user, &stranger, 0);
            node.is_held = false;
            node.settle();
            node.pass(REFUSAL_MS - 1, &[bob]);
            assert_eq!(node.refused(connection), None, "{user} at hub {hub}");
            node.pass(1, &[bob]);
            let unknown = Some(Outcome::UnknownSession as u32);
            assert_eq!(node.refused(connection), unknown, "{user} at hub {hub}");
        }
    }
}
