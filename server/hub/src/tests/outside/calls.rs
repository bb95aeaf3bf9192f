//! What a client could ask, asked as a user who is not logged in and no member.

use tidings_wire::codes::Outcome;
use tidings_wire::proto::request::Call;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{
    Attribute, AttributeWrite, GetMemberCounts, GetMembers, Join, Leave, Logout, Message,
    PresenceState, QueryPresence, ReadChannelAttributes, ReadHistory, ReadUserAttributes,
    RenewToken, SendToChannel, SubscribePresence, WriteChannelAttributes, WriteUserAttributes,
    message, read_history, reply,
};

use crate::config::{App, Apps};
use crate::ids::ConnectionId;
use crate::outside::{OutsideAnswer, OutsideCall};
use crate::quotas::Quotas;
use crate::store_ops::{AttributeOwner, StoreOp};
use crate::tests::node::Node;
use crate::tests::outside::{answer, ask, refusal, user};

/// Calls hub 0 as a user.
pub(crate) fn ask_as(node: &mut Node, ticket: u64, from: &str, call: Call) {
    let from = user(from);
    ask(node, 0, ticket, OutsideCall::AsUser { from, call });
}

fn join(node: &mut Node, connection: ConnectionId, channel: &str) {
    let channel = channel.into();
    node.call(connection, Call::Join(Join { channel }));
}

fn to_channel(channel: &str, text: &str, history: bool) -> Call {
    Call::SendToChannel(SendToChannel {
        channel: channel.into(),
        message: Some(Message {
            body: Some(message::Body::Text(text.as_bytes().to_vec().into())),
            ..Message::default()
        }),
        history,
    })
}

/// Texts of channel messages that a connection was sent, with their senders and stamps.
fn channel_texts(node: &Node, connection: ConnectionId) -> Vec<(String, String, u64)> {
    let of = |kind: &Kind| match kind {
        Kind::ChannelMessage(it) => match it.message.as_ref()?.body.as_ref()? {
            message::Body::Text(text) => {
                let text = String::from_utf8_lossy(text).into_owned();
                Some((it.from.clone(), text, it.server_ts))
            }
            _ => None,
        },
        _ => None,
    };
    node.seen[&connection]
        .messages
        .iter()
        .filter_map(of)
        .collect()
}

fn result(node: &Node, ticket: u64) -> reply::Result {
    match answer(node, ticket) {
        Some(OutsideAnswer::Call(result)) => result,
        other => panic!("call {ticket} was answered {other:?}"),
    }
}

#[test]
fn a_channel_message_reaches_the_members_on_every_hub() {
    // Members on the hub that is called, on the other one only, and on both.
    for members in [&[0_usize][..], &[1], &[0, 1]] {
        for history in [false, true] {
            let mut node = Node::new(2);
            let members: Vec<_> = (members.iter())
                .map(|hub| node.login(*hub, &format!("bob{hub}")))
                .collect();
            for member in &members {
                join(&mut node, *member, "room");
            }
            for (ticket, text) in [(1, "one"), (2, "two")] {
                ask_as(
                    &mut node,
                    ticket,
                    "alice",
                    to_channel("room", text, history),
                );
            }
            let stamps = [1, 2].map(|ticket| match answer(&node, ticket) {
                Some(OutsideAnswer::SentToChannel { id, server_ts }) => (id, server_ts),
                other => panic!("answered {other:?}"),
            });
            assert_ne!(stamps[0].0, stamps[1].0, "each has a name of its own");
            let expected = [("one", stamps[0].1), ("two", stamps[1].1)]
                .map(|(text, ts)| ("alice".to_owned(), text.to_owned(), ts));
            for member in members {
                assert_eq!(channel_texts(&node, member), expected);
            }
            let kept = (node.store_ops.iter())
                .filter(|op| matches!(op, StoreOp::HistoryAppend { .. }))
                .count();
            assert_eq!(kept, if history { 2 } else { 0 });
        }
    }
}

#[test]
fn a_channel_that_nobody_is_in_takes_a_message_and_stays_unknown() {
    let mut node = Node::new(2);
    ask_as(&mut node, 1, "alice", to_channel("room", "hello", false));
    ask_as(&mut node, 2, "alice", to_channel("room", "hello", true));
    for ticket in [1, 2] {
        let answer = answer(&node, ticket);
        let is_sent = matches!(answer, Some(OutsideAnswer::SentToChannel { .. }));
        assert!(is_sent, "{answer:?}");
    }
    assert!(node.hubs.iter().all(|hub| hub.stats().channels == 0));
}

#[test]
fn a_message_that_no_client_may_send_to_a_channel_is_refused() {
    let mut node = Node::new(1);
    ask_as(&mut node, 1, "alice", to_channel("", "hello", false));
    assert_eq!(refusal(&node, 1).0, Outcome::InvalidArgument as u32);
    let large = "x".repeat(tidings_wire::limits::MESSAGE_PAYLOAD_BYTES_MAX + 1);
    ask_as(&mut node, 2, "alice", to_channel("room", &large, false));
    assert_eq!(refusal(&node, 2).0, Outcome::MessageTooLarge as u32);
}

#[test]
fn channel_messages_from_outside_count_for_the_quota_of_their_app_and_for_no_rate() {
    let limited = |quota| {
        let app = App {
            quotas: Quotas {
                max_messages_per_s: quota,
                ..Quotas::default()
            },
            ..App::default()
        };
        let mut apps = Apps::default();
        apps.listed.insert(user("alice").app, app);
        Node::with_apps(1, apps)
    };
    let mut node = limited(Some(2));
    for ticket in 1..=3 {
        ask_as(
            &mut node,
            ticket,
            "alice",
            to_channel("room", "hello", false),
        );
    }
    let (code, text) = refusal(&node, 3);
    assert_eq!(code, Outcome::TooOften as u32);
    assert!(text.contains("max_messages_per_s = 2"), "{text}");
    let mut node = limited(None);
    for ticket in 1..=1_000 {
        ask_as(
            &mut node,
            ticket,
            "alice",
            to_channel("room", "hello", false),
        );
        let answer = answer(&node, ticket);
        let is_sent = matches!(answer, Some(OutsideAnswer::SentToChannel { .. }));
        assert!(is_sent, "{ticket}: {answer:?}");
    }
}

#[test]
fn histories_are_read_without_a_membership() {
    let mut node = Node::new(1);
    let read = |conversation| {
        Call::ReadHistory(ReadHistory {
            conversation: Some(conversation),
            ..ReadHistory::default()
        })
    };
    let of_channel = read_history::Conversation::Channel("room".into());
    let of_peer = read_history::Conversation::PeerId("bob".into());
    for (ticket, of) in [(1, of_channel), (2, of_peer)] {
        ask_as(&mut node, ticket, "alice", read(of));
        let result = result(&node, ticket);
        assert!(matches!(result, reply::Result::History(_)), "{result:?}");
    }
    let bad = read_history::Conversation::PeerId(String::new());
    ask_as(&mut node, 3, "alice", read(bad));
    assert_eq!(refusal(&node, 3).0, Outcome::InvalidArgument as u32);
}

fn attributes(how: AttributeWrite) -> (i32, Vec<Attribute>) {
    let attribute = Attribute {
        key: "color".into(),
        value: "red".into(),
        ..Attribute::default()
    };
    (how.into(), vec![attribute])
}

#[test]
fn channel_attributes_are_written_and_members_are_told_if_that_is_asked_for() {
    let mut node = Node::new(2);
    let bob = node.login(1, "bob");
    join(&mut node, bob, "room");
    for (ticket, notify) in [(1, false), (2, true)] {
        let (how, attributes) = attributes(AttributeWrite::Merge);
        let call = Call::WriteChannelAttributes(WriteChannelAttributes {
            channel: "room".into(),
            how,
            attributes,
            notify,
        });
        ask_as(&mut node, ticket, "alice", call);
        assert!(matches!(result(&node, ticket), reply::Result::Done(_)));
        let told = node.seen[&bob].messages.iter();
        let told =
            told.filter(|kind| matches!(kind, Kind::ChannelAttributes(of) if of.by == "alice"));
        assert_eq!(told.count(), usize::from(notify));
    }
    let call = Call::ReadChannelAttributes(ReadChannelAttributes {
        channel: "room".into(),
        keys: Vec::new(),
    });
    ask_as(&mut node, 3, "alice", call);
    match result(&node, 3) {
        reply::Result::Attributes(list) => assert_eq!(list.attributes[0].value, "red"),
        other => panic!("{other:?}"),
    }
}

fn write_own(node: &mut Node, ticket: u64) {
    let (how, attributes) = attributes(AttributeWrite::Set);
    let call = Call::WriteUserAttributes(WriteUserAttributes { how, attributes });
    ask_as(node, ticket, "alice", call);
}

#[test]
fn attributes_of_a_user_end_with_its_login_whichever_hub_was_called() {
    for hub in [0, 1] {
        let mut node = Node::new(2);
        write_own(&mut node, 1);
        assert_eq!(
            refusal(&node, 1).0,
            Outcome::UserNotFound as u32,
            "not there"
        );
        let alice = node.login(hub, "alice");
        write_own(&mut node, 2);
        assert!(matches!(result(&node, 2), reply::Result::Done(_)));
        let read = Call::ReadUserAttributes(ReadUserAttributes {
            user_id: "alice".into(),
            keys: Vec::new(),
        });
        ask_as(&mut node, 3, "bob", read);
        match result(&node, 3) {
            reply::Result::Attributes(list) => assert_eq!(list.attributes[0].value, "red"),
            other => panic!("{other:?}"),
        }
        node.call(alice, Call::Logout(Logout {}));
        let dropped = node.store_ops.iter().any(|op| {
            let alice = AttributeOwner::User(user("alice"));
            matches!(op, StoreOp::AttributesDrop { owner, .. } if *owner == alice)
        });
        assert!(dropped, "hub {hub}");
    }
}

#[test]
fn an_app_that_keeps_attributes_takes_those_of_somebody_who_is_away() {
    let mut app = App::default();
    app.settings.keep_user_attributes = true;
    let mut apps = Apps::default();
    apps.listed.insert(user("alice").app, app);
    let mut node = Node::with_apps(1, apps);
    write_own(&mut node, 1);
    assert!(matches!(result(&node, 1), reply::Result::Done(_)));
}

#[test]
fn presence_members_and_counts_are_told_of_every_hub() {
    let mut node = Node::new(2);
    for (hub, name) in [(0, "bob"), (1, "carol")] {
        let connection = node.login(hub, name);
        join(&mut node, connection, "both");
        join(&mut node, connection, name);
    }
    let user_ids = ["bob", "carol", "dave"].map(String::from).to_vec();
    ask_as(
        &mut node,
        1,
        "alice",
        Call::QueryPresence(QueryPresence { user_ids }),
    );
    match result(&node, 1) {
        reply::Result::Presence(list) => {
            let states: Vec<_> = list.users.iter().map(|it| it.state()).collect();
            use PresenceState::{Offline, Online};
            assert_eq!(states, [Online, Online, Offline]);
        }
        other => panic!("{other:?}"),
    }
    let expected: [(&str, &[&str]); 4] = [
        ("both", &["bob", "carol"]),
        ("bob", &["bob"]),
        ("carol", &["carol"]),
        ("none", &[]),
    ];
    for (ticket, (channel, names)) in (10..).zip(expected) {
        let channel = channel.into();
        ask_as(
            &mut node,
            ticket,
            "alice",
            Call::GetMembers(GetMembers { channel }),
        );
        match result(&node, ticket) {
            reply::Result::Users(list) => assert_eq!(list.user_ids, names),
            other => panic!("{other:?}"),
        }
    }
    let channels = ["both", "carol", "none"].map(String::from).to_vec();
    let call = Call::GetMemberCounts(GetMemberCounts { channels });
    ask_as(&mut node, 2, "alice", call);
    match result(&node, 2) {
        reply::Result::MemberCounts(list) => {
            let counts: Vec<_> = list.counts.iter().map(|it| it.count).collect();
            assert_eq!(counts, [2, 1, 0]);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_needs_a_session_is_refused_with_a_word() {
    let mut node = Node::new(1);
    let channel = || "room".into();
    let calls = [
        Call::Join(Join { channel: channel() }),
        Call::Leave(Leave { channel: channel() }),
        Call::Logout(Logout {}),
        Call::RenewToken(RenewToken { token: channel() }),
        Call::SubscribePresence(SubscribePresence {
            user_ids: vec![channel()],
        }),
    ];
    for (ticket, call) in (1..).zip(calls) {
        ask_as(&mut node, ticket, "alice", call);
        let (code, text) = refusal(&node, ticket);
        assert_eq!(code, Outcome::Unsupported as u32);
        assert!(text.contains("needs a login"), "{text}");
    }
}
