//! What a call costs beside being one.

use tidings_wire::codes::Outcome;
use tidings_wire::names::AppId;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{GetMembers, Join, Message, SendToChannel, message, reply, request};
use tidings_wire::rates::Rate;

use crate::config::{App, Apps, Traits};
use crate::ids::ConnectionId;
use crate::io::Input;
use crate::kernel::limiter::Limiter;
use crate::rates::{self, Rates};
use crate::tests::node::Node;

/// An app whose users have only this rate.
fn node(kind: rates::Kind, calls: u32) -> Node {
    let mut app = App::default();
    for (all, _) in rates::Kind::named() {
        let window_ms = 1_000;
        let calls = if all == kind { calls } else { 0 };
        app.rates.set(all, Rate { calls, window_ms });
    }
    let mut apps = Apps::default();
    apps.listed
        .insert(AppId::parse(&"a".repeat(32)).expect("an app id"), app);
    Node::with_apps(2, apps)
}

fn join(node: &mut Node, connection: ConnectionId) {
    let channel = "c".into();
    node.call(connection, request::Call::Join(Join { channel }));
}

fn send(node: &mut Node, connection: ConnectionId, bytes: usize) -> Option<u32> {
    let message = Message {
        body: Some(message::Body::Text(vec![b'x'; bytes].into())),
        ..Message::default()
    };
    let send = SendToChannel {
        channel: "c".into(),
        message: Some(message),
        history: false,
    };
    let cseq = node.call(connection, request::Call::SendToChannel(send));
    outcome(node, connection, cseq)
}

/// The outcome of a call and after how long it may be made again; 0 = it was done.
fn outcome(node: &Node, connection: ConnectionId, cseq: u64) -> Option<u32> {
    match node.reply(connection, cseq)? {
        reply::Result::Error(error) => {
            assert_eq!(error.outcome, Outcome::TooOften as u32, "{}", error.text);
            Some(error.retry_after_ms)
        }
        _ => Some(0),
    }
}

/// A session that lists all members, as the legacy door admits it.
fn admit(node: &mut Node, hub: usize, user: &str) -> ConnectionId {
    let connection = node.open(hub);
    let input = Input::Admitted {
        connection,
        user: crate::rig::user(user),
        traits: Traits {
            is_paced: true,
            lists_all_members: true,
            ..Traits::default()
        },
        grant: Default::default(),
    };
    node.give(hub, input);
    connection
}

#[test]
fn a_sender_waits_for_what_its_messages_have_made_of_themselves() {
    // 1 MiB a second, with members on both hubs.
    let mut node = node(rates::Kind::FanOut, 1_024);
    let users: Vec<ConnectionId> = (0..40)
        .map(|n| {
            let connection = node.login(n % 2, &format!("u{n}"));
            join(&mut node, connection);
            connection
        })
        .collect();
    let (alice, bob) = (users[0], users[1]);
    assert_eq!(send(&mut node, alice, 32_000), Some(0), "one passes");
    let wait_ms = send(&mut node, alice, 32_000).expect("an answer");
    assert!((200..300).contains(&wait_ms), "{wait_ms} ms for 1,250 KiB");
    assert!(
        send(&mut node, alice, 100) > Some(0),
        "the next waits, whatever its size"
    );
    assert_eq!(send(&mut node, bob, 32_000), Some(0), "others may");
    node.pass(u64::from(wait_ms), &users);
    assert_eq!(send(&mut node, alice, 32_000), Some(0));
}

#[test]
fn the_share_of_a_user_is_for_a_lively_room_and_not_for_a_blaster() {
    let rates = Rates::default();
    let sent_of = |kib: u64, per_s: u64| {
        let mut limiter = Limiter::default();
        let times = (0..30 * per_s).map(|n| n * 1_000 / per_s);
        let sent = times.filter(|now_ms| {
            let may = limiter.check(rates::Kind::FanOut, &rates, *now_ms).is_ok();
            if may {
                limiter.charge(rates::Kind::FanOut, kib, &rates, *now_ms);
            }
            may
        });
        sent.count() as u64
    };
    assert_eq!(sent_of(400, 60), 30 * 60, "400 members, 1 KiB, 60 a second");
    let blaster = sent_of(400 * 32, 55);
    assert!(blaster < 30 * 12, "{blaster} of 1,650");
}

#[test]
fn long_member_lists_are_paid_for_by_whoever_asks() {
    let mut node = node(rates::Kind::ListedMembers, 1_280);
    for n in 0..700 {
        let connection = node.login(0, &format!("u{n}"));
        join(&mut node, connection);
    }
    // On the hub with the members, and on another one that has to ask.
    for hub in [0, 1] {
        let asker = admit(&mut node, hub, &format!("asker{hub}"));
        let ask = |node: &mut Node| {
            let channel = "c".into();
            let cseq = node.call(asker, request::Call::GetMembers(GetMembers { channel }));
            outcome(node, asker, cseq)
        };
        assert_eq!(ask(&mut node), Some(0));
        assert_eq!(ask(&mut node), Some(0));
        let wait_ms = ask(&mut node).expect("an answer");
        assert!((50..150).contains(&wait_ms), "hub {hub}: {wait_ms} ms");
        node.pass(u64::from(wait_ms), &[asker]);
        assert_eq!(ask(&mut node), Some(0));
        assert!(ask(&mut node) > Some(0));
    }
}

#[test]
fn calls_in_vain_are_counted_like_others() {
    let mut node = node(rates::Kind::FailedCall, 20);
    let alice = node.login(0, "alice");
    let leave = |node: &mut Node| {
        let channel = "nowhere".into();
        let leave = tidings_wire::proto::Leave { channel };
        let cseq = node.call(alice, request::Call::Leave(leave));
        match node.reply(alice, cseq) {
            Some(reply::Result::Error(error)) => error.outcome,
            other => panic!("{other:?}"),
        }
    };
    for _ in 0..20 {
        assert_eq!(leave(&mut node), Outcome::NotInChannel as u32);
    }
    assert_eq!(leave(&mut node), Outcome::TooOften as u32);
    join(&mut node, alice);
    assert!(send(&mut node, alice, 1) > Some(0), "whatever the call");
    node.pass(1_000, &[alice]);
    assert_eq!(leave(&mut node), Outcome::NotInChannel as u32);
    join(&mut node, alice);
    assert_eq!(send(&mut node, alice, 1), Some(0));
}

#[test]
fn calls_without_a_rate_of_their_own_have_one_together() {
    let mut node = node(rates::Kind::OtherCall, 3);
    let bob = node.login(0, "bob");
    let cancel = |node: &mut Node| {
        let call = tidings_wire::proto::CancelInvitation { number: 1 };
        let cseq = node.call(bob, request::Call::CancelInvitation(call));
        outcome(node, bob, cseq)
    };
    assert_eq!((0..3).map(|_| cancel(&mut node)).max(), Some(Some(0)));
    assert!(cancel(&mut node) > Some(0));
    let logout = request::Call::Logout(tidings_wire::proto::Logout {});
    let cseq = node.call(bob, logout);
    assert_eq!(outcome(&node, bob, cseq), Some(0), "to leave anybody may");
}

#[test]
fn large_answers_are_counted_whatever_they_answer() {
    let mut node = node(rates::Kind::Answer, 16);
    let asker = admit(&mut node, 0, "asker");
    for n in 0..500 {
        let connection = node.login(0, &format!("member{n:050}"));
        join(&mut node, connection);
    }
    let ask = |node: &mut Node| {
        let channel = "c".into();
        let cseq = node.call(asker, request::Call::GetMembers(GetMembers { channel }));
        outcome(node, asker, cseq)
    };
    assert_eq!(ask(&mut node), Some(0));
    assert!(
        ask(&mut node) > Some(0),
        "29 KB were answered, 16 a second pass"
    );
    let seen = node.seen[&asker].messages.iter();
    let users = seen.filter_map(|kind| match kind {
        Kind::Reply(reply) => match reply.result.as_ref()? {
            reply::Result::Users(list) => Some(list.user_ids.len()),
            _ => None,
        },
        _ => None,
    });
    assert_eq!(users.collect::<Vec<_>>(), [500]);
}
