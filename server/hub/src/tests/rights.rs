//! What a token's list permits, where a scenario cannot look: replay, restarts, what is under way.

use tidings_token::{Access, NewAccess007, Permissions, Resource, Service, build_007};
use tidings_wire::codes::Outcome;
use tidings_wire::names::AppId;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{
    Join, Login, Message, ReadHistory, RenewToken, Resume, SendToChannel, client_message, message,
    read_history, reply, request,
};

use crate::config::{App, Apps, Traits};
use crate::ids::ConnectionId;
use crate::io::Input;
use crate::tests::node::Node;
use crate::tests::restart::restart;

const CERTIFICATE: &str = "0badc0de0badc0de0badc0de0badc0de";

fn node(hubs: u16) -> Node {
    let mut app = App {
        certificates: vec![CERTIFICATE.into()],
        ..App::default()
    };
    app.settings.rate_limits = false;
    let mut apps = Apps::default();
    apps.listed
        .insert(AppId::parse(&"a".repeat(32)).expect("an app id"), app);
    Node::with_apps(hubs, apps)
}

/// A token that permits to read these channels and to write to `#a`; of everything with no list.
fn token(node: &Node, user: &str, reads: Option<&[&str]>) -> String {
    let service = match reads {
        None => Service::rtm(user, 3_600),
        Some(reads) => {
            let list = Permissions::new().with(Resource::MessageChannel, Access::Write, "a");
            let list = reads.iter().fold(list, |list, name| {
                list.with(Resource::MessageChannel, Access::Read, name)
            });
            Service::rtm2(user, 3_600, list)
        }
    };
    let token = NewAccess007 {
        app_id: &"a".repeat(32),
        certificate: CERTIFICATE,
        issued_at_unix_s: u32::try_from(node.now.unix_ms / 1_000).expect("before 2106"),
        lifetime_s: 3_600,
        salt: 1,
        services: &[service],
    };
    build_007(&token).expect("a token")
}

fn log_in(node: &mut Node, hub: usize, user: &str, reads: Option<&[&str]>) -> ConnectionId {
    node.now.mono_ms += 1;
    let login = Login {
        app_id: "a".repeat(32),
        user_id: user.into(),
        token: token(node, user, reads),
        ..Login::default()
    };
    let connection = node.open(hub);
    node.say(connection, 0, vec![client_message::Kind::Login(login)]);
    connection
}

fn join(node: &mut Node, connection: ConnectionId, channel: &str) -> u64 {
    let channel = channel.into();
    node.call(connection, request::Call::Join(Join { channel }))
}

fn send(node: &mut Node, connection: ConnectionId, channel: &str, text: &'static str) -> u64 {
    let message = Message {
        body: Some(message::Body::Text(text.into())),
        ..Message::default()
    };
    let send = SendToChannel {
        channel: channel.into(),
        message: Some(message),
        history: false,
    };
    node.call(connection, request::Call::SendToChannel(send))
}

/// Channel messages and member events that a connection was given, in order.
fn seen(node: &Node, connection: ConnectionId) -> Vec<String> {
    let messages = node.seen[&connection].messages.iter();
    let texts = messages.filter_map(|kind| match kind {
        Kind::ChannelMessage(sent) => match sent.message.as_ref()?.body.as_ref()? {
            message::Body::Text(text) => Some(format!(
                "{} {}",
                sent.channel,
                String::from_utf8_lossy(text)
            )),
            _ => None,
        },
        Kind::MemberLeft(left) => Some(format!("left {} {}", left.channel, left.user_id)),
        _ => None,
    });
    texts.collect()
}

fn outcome(node: &Node, connection: ConnectionId, cseq: u64) -> Option<u32> {
    match node.reply(connection, cseq)? {
        reply::Result::Error(error) => Some(error.outcome),
        _ => Some(0),
    }
}

const REFUSED: Option<u32> = Some(Outcome::NotPermitted as u32);

/// Bob, restricted, is in `#a` and `#b` and away, and has missed a message of each; alice is on
/// another hub.
fn away(node: &mut Node) -> (ConnectionId, ConnectionId) {
    let alice = log_in(node, 0, "alice", None);
    let bob = log_in(node, 1, "bob", Some(&["a", "b"]));
    for channel in ["a", "b"] {
        join(node, alice, channel);
        join(node, bob, channel);
    }
    node.close(bob);
    send(node, alice, "a", "of a");
    send(node, alice, "b", "of b");
    (alice, bob)
}

fn resume(node: &mut Node, of: ConnectionId, hub: usize, token: String) -> ConnectionId {
    let welcome = node.welcome(of);
    let connection = node.open(hub);
    let resume = Resume {
        app_id: "a".repeat(32),
        user_id: "bob".into(),
        session_id: welcome.session_id,
        secret: welcome.secret,
        confirm: node.numbered(of),
        token,
    };
    node.say(connection, 0, vec![client_message::Kind::Resume(resume)]);
    connection
}

// proves: rtm-7.5-replay
#[test]
fn a_resume_with_a_new_token_replays_what_that_permits() {
    for hub in [0, 1] {
        let mut node = node(2);
        let (alice, bob) = away(&mut node);
        let narrow = token(&node, "bob", Some(&["b"]));
        let back = resume(&mut node, bob, hub, narrow);
        assert_eq!(seen(&node, back), ["b of b", "left a bob"]);
        assert!(seen(&node, alice).contains(&"left a bob".to_owned()));
        node.count_on(back, 2);
        let refused = join(&mut node, back, "a");
        assert_eq!(outcome(&node, back, refused), REFUSED);
        send(&mut node, alice, "a", "later");
        send(&mut node, alice, "b", "later");
        assert_eq!(seen(&node, back), ["b of b", "left a bob", "b later"]);
        assert_eq!(
            node.numbered(back),
            5,
            "the number of what was withdrawn is counted"
        );
    }
}

#[test]
fn a_resume_without_a_token_keeps_the_old_list() {
    let mut node = node(2);
    let (_, bob) = away(&mut node);
    let back = resume(&mut node, bob, 0, String::new());
    assert_eq!(seen(&node, back), ["a of a", "b of b"]);
    node.count_on(back, 2);
    let refused = join(&mut node, back, "c");
    assert_eq!(outcome(&node, back, refused), REFUSED);
}

#[test]
fn a_planned_restart_keeps_the_list() {
    let mut node = node(2);
    let (_, bob) = away(&mut node);
    restart(&mut node);
    let back = resume(&mut node, bob, 1, String::new());
    node.count_on(back, 2);
    let refused = join(&mut node, back, "c");
    assert_eq!(outcome(&node, back, refused), REFUSED);
    let sent = send(&mut node, back, "b", "not mine to say");
    assert_eq!(outcome(&node, back, sent), REFUSED);
}

#[test]
fn a_right_that_goes_while_a_join_is_under_way_ends_it() {
    let mut node = node(2);
    let alice = log_in(&mut node, 0, "alice", None);
    join(&mut node, alice, "a");
    let bob = log_in(&mut node, 1, "bob", Some(&["a"]));
    node.is_held = true;
    let joined = join(&mut node, bob, "a");
    let token = token(&node, "bob", Some(&[]));
    let renewed = node.call(bob, request::Call::RenewToken(RenewToken { token }));
    send(&mut node, alice, "a", "secret");
    node.is_held = false;
    node.settle();
    assert_eq!(outcome(&node, bob, joined), REFUSED);
    assert_eq!(outcome(&node, bob, renewed), Some(0));
    assert_eq!(seen(&node, bob), [] as [String; 0]);
    send(&mut node, alice, "a", "secret");
    assert_eq!(seen(&node, bob), [] as [String; 0]);
    assert_eq!(seen(&node, alice), ["left a bob"]);
}

#[test]
fn a_wider_token_lets_the_same_channel_be_joined_again() {
    let mut node = node(2);
    let alice = log_in(&mut node, 0, "alice", None);
    join(&mut node, alice, "a");
    let bob = log_in(&mut node, 1, "bob", Some(&["a"]));
    join(&mut node, bob, "a");
    for reads in [Some(&[][..]), None] {
        let token = token(&node, "bob", reads);
        node.call(bob, request::Call::RenewToken(RenewToken { token }));
    }
    let joined = join(&mut node, bob, "a");
    assert_eq!(outcome(&node, bob, joined), Some(0));
    send(&mut node, alice, "a", "for all");
    assert_eq!(seen(&node, bob), ["left a bob", "a for all"]);
}

#[test]
fn histories_are_read_by_right() {
    let mut node = node(1);
    let bob = log_in(&mut node, 0, "bob", Some(&["a"]));
    join(&mut node, bob, "a");
    let read = |node: &mut Node, channel: &str| {
        let conversation = Some(read_history::Conversation::Channel(channel.into()));
        let read = ReadHistory {
            conversation,
            ..ReadHistory::default()
        };
        node.call(bob, request::Call::ReadHistory(read))
    };
    let token = token(&node, "bob", Some(&[]));
    node.call(bob, request::Call::RenewToken(RenewToken { token }));
    let read_a = read(&mut node, "a");
    assert_eq!(
        outcome(&node, bob, read_a),
        Some(Outcome::NotInChannel as u32)
    );
}

/// Whoever speaks for a client, and checks its token, states what that gives.
#[test]
fn an_admitted_client_is_restricted_as_well() {
    let mut node = node(1);
    let connection = node.open(0);
    let list = Permissions::new().with(Resource::MessageChannel, Access::Read, "a");
    let input = Input::Admitted {
        connection,
        user: crate::rig::user("bob"),
        traits: Traits {
            lists_all_members: true,
            reaches_any_channel: true,
            ..Traits::default()
        },
        grant: crate::grant::Grant {
            expires_s: None,
            rights: Some(std::sync::Arc::new(list)),
            ..Default::default()
        },
    };
    node.give(0, input);
    for channel in ["a", "b"] {
        let sent = send(&mut node, connection, channel, "hi");
        assert_eq!(outcome(&node, connection, sent), REFUSED, "{channel}");
    }
    let members = tidings_wire::proto::GetMembers {
        channel: "b".into(),
    };
    let listed = node.call(connection, request::Call::GetMembers(members));
    assert_eq!(outcome(&node, connection, listed), REFUSED);
}
