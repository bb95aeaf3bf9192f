//! Lifetimes and the settings of an app that change them.

mod server;

use server::{Call, Client, Kind, Server, text};
use tidings_hub::{App, AppSettings};
use tidings_token::{NewAccess007, Service, build_007};
use tidings_wire::codes::CloseCode;
use tidings_wire::proto::{
    Attribute, AttributeWrite, Join, Leave, QueryPresence, ReadChannelAttributes,
    ReadUserAttributes, SendToPeer, SubscribePresence, WriteChannelAttributes, WriteUserAttributes,
    reply,
};

const DAY_MS: u64 = 86_400_000;

fn settings() -> AppSettings {
    AppSettings {
        rate_limits: false,
        ..AppSettings::default()
    }
}

fn offline(n: usize) -> Call {
    Call::SendToPeer(SendToPeer {
        peer_id: "bob".into(),
        message: Some(tidings_wire::proto::Message {
            body: Some(tidings_wire::proto::message::Body::Text(
                n.to_string().into(),
            )),
            ..Default::default()
        }),
        offline: true,
        history: false,
    })
}

/// Logs bob in and returns the stored messages that he gets.
fn stored_for_bob(server: &mut Server) -> Vec<String> {
    let bob = server.log_in_and_keep("bob");
    let mut texts = Vec::new();
    loop {
        let got = server.take(bob);
        let before = texts.len();
        for kind in got {
            if let Kind::PeerMessage(message) = kind {
                assert!(message.inbox > 0, "it was stored");
                let Some(tidings_wire::proto::message::Body::Text(text)) =
                    message.message.and_then(|message| message.body)
                else {
                    panic!("no text");
                };
                texts.push(String::from_utf8(text.to_vec()).expect("UTF-8"));
            }
        }
        if texts.len() == before {
            server.log_out(bob);
            return texts;
        }
        server.confirm(bob);
    }
}

// proves: rtm-2.1-offline-kept, rtm-4.3-200, rtm-4.3-durable
#[test]
fn the_201st_stored_message_pushes_out_the_oldest_and_no_sender_is_told() {
    let mut server = Server::new(settings());
    let (alice, carol) = (server.log_in("alice"), server.log_in("carol"));
    for n in 1..=201 {
        let sender = if n % 2 == 0 { alice } else { carol };
        let answer = server.call(sender, offline(n));
        let is_stored = matches!(&answer, Ok(reply::Result::PeerSent(sent)) if !sent.received);
        assert!(is_stored, "{n}: {answer:?}");
    }
    let expected: Vec<String> = (2..=201).map(|n| n.to_string()).collect();
    assert_eq!(stored_for_bob(&mut server), expected);
    assert_eq!(stored_for_bob(&mut server), [""; 0], "once");
}

// proves: rtm-4.3-7-days
#[test]
fn a_stored_message_is_kept_for_7_days() {
    for (age_ms, expected) in [(7 * DAY_MS - 1_000, 1), (7 * DAY_MS + 1_000, 0)] {
        let mut server = Server::new(settings());
        let alice = server.log_in("alice");
        assert_eq!(server.outcome(alice, offline(1)), 0);
        server.log_out(alice);
        server.leap(age_ms);
        assert_eq!(
            stored_for_bob(&mut server).len(),
            expected,
            "after {age_ms} ms"
        );
    }
}

// proves: rtm-4.3-configurable
#[test]
fn number_and_age_of_stored_messages_are_settings() {
    let mut server = Server::new(AppSettings {
        inbox_messages_max: 3,
        inbox_age_ms: 60_000,
        ..settings()
    });
    let alice = server.log_in("alice");
    for n in 1..=5 {
        server.outcome(alice, offline(n));
    }
    assert_eq!(stored_for_bob(&mut server), ["3", "4", "5"]);
    server.outcome(alice, offline(6));
    server.log_out(alice);
    server.leap(61_000);
    assert_eq!(stored_for_bob(&mut server), [""; 0]);
}

fn query_bob() -> Call {
    Call::QueryPresence(QueryPresence {
        user_ids: vec!["bob".into()],
    })
}

/// The presence events about bob that a client was sent, 0 offline, 1 online, 2 unreachable.
fn of_bob(server: &mut Server, client: Client) -> Vec<i32> {
    let got = server.take(client).into_iter();
    let users = got.filter_map(|kind| match kind {
        Kind::PresenceChanged(it) => Some(it.users),
        _ => None,
    });
    users.flatten().map(|user| user.state).collect()
}

// proves: rtm-3.2-closed-socket, rtm-3.2-6s, rtm-2.10-unreachable, rtm-2.10-offline, rtm-2.9-grace
#[test]
fn a_closed_connection_is_unreachable_after_6_s_and_off_line_after_30_s() {
    let mut server = Server::new(settings());
    let (alice, bob) = (server.log_in("alice"), server.log_in("bob"));
    let subscribe = Call::SubscribePresence(SubscribePresence {
        user_ids: vec!["bob".into()],
    });
    server.calls(alice, vec![subscribe]);
    assert_eq!(of_bob(&mut server, alice), [1]);
    server.cut(bob);
    server.pass(5_999);
    assert_eq!(of_bob(&mut server, alice), [0; 0]);
    server.pass(2);
    assert_eq!(of_bob(&mut server, alice), [2]);
    server.pass(23_990);
    assert_eq!(of_bob(&mut server, alice), [0; 0]);
    let Ok(reply::Result::Presence(list)) = server.call(alice, query_bob()) else {
        panic!("no presence");
    };
    assert_ne!(list.users[0].state, 0, "in its grace");
    server.pass(20);
    assert_eq!(of_bob(&mut server, alice), [0]);
}

// proves: rtm-3.2-configurable
#[test]
fn the_grace_is_a_setting() {
    let mut server = Server::new(AppSettings {
        presence_grace_ms: 12_000,
        ..settings()
    });
    let (alice, bob) = (server.log_in("alice"), server.log_in("bob"));
    server.cut(bob);
    server.pass(11_990);
    let state = |server: &mut Server| match server.call(alice, query_bob()) {
        Ok(reply::Result::Presence(list)) => list.users[0].state,
        other => panic!("{other:?}"),
    };
    assert_ne!(state(&mut server), 0);
    server.pass(20);
    assert_eq!(state(&mut server), 0);
}

fn write_channel(key: &str) -> Call {
    Call::WriteChannelAttributes(WriteChannelAttributes {
        channel: "room".into(),
        how: AttributeWrite::Merge as i32,
        attributes: vec![Attribute {
            key: key.into(),
            value: "v".into(),
            ..Attribute::default()
        }],
        notify: false,
    })
}

fn read_channel(server: &mut Server, client: Client) -> Vec<Attribute> {
    let read = Call::ReadChannelAttributes(ReadChannelAttributes {
        channel: "room".into(),
        keys: vec![],
    });
    match server.call(client, read) {
        Ok(reply::Result::Attributes(list)) => list.attributes,
        other => panic!("{other:?}"),
    }
}

fn join() -> Call {
    Call::Join(Join {
        channel: "room".into(),
    })
}

/// Advances a second at a time until the channel has no attributes; returns how many seconds it
/// took.
fn seconds_until_gone(server: &mut Server, client: Client) -> u64 {
    for s in 0..2_000 {
        if read_channel(server, client).is_empty() {
            return s;
        }
        server.pass(1_000);
    }
    panic!("they stay");
}

// proves: rtm-5.1-channel-keep, rtm-5.1-setting
#[test]
fn channel_attributes_outlive_the_last_member_by_the_set_time() {
    for keep_ms in [300_000, 60_000] {
        let mut server = Server::new(AppSettings {
            channel_attributes_keep_ms: keep_ms,
            ..settings()
        });
        let (alice, bob) = (server.log_in("alice"), server.log_in("bob"));
        assert_eq!(server.outcome(alice, join()), 0);
        assert_eq!(server.outcome(alice, write_channel("k")), 0);
        server.pass(1_000_000);
        assert_eq!(
            read_channel(&mut server, bob).len(),
            1,
            "as long as there is a member"
        );
        let leave = Call::Leave(Leave {
            channel: "room".into(),
        });
        assert_eq!(server.outcome(alice, leave), 0);
        let s = seconds_until_gone(&mut server, bob);
        // The server checks periodically.
        let keep_s = keep_ms / 1_000;
        assert!(
            (keep_s..=keep_s + 120).contains(&s),
            "{s} s instead of {keep_s} s"
        );
    }
}

// proves: rtm-5.1-channel-no-member
#[test]
fn without_a_member_ever_the_last_write_counts() {
    let mut server = Server::new(settings());
    let alice = server.log_in("alice");
    assert_eq!(server.outcome(alice, write_channel("k")), 0);
    server.pass(200_000);
    assert_eq!(server.outcome(alice, write_channel("l")), 0);
    server.pass(200_000);
    assert_eq!(read_channel(&mut server, alice).len(), 2);
    let s = seconds_until_gone(&mut server, alice);
    assert!((100..=220).contains(&s), "{s} s");
}

// proves: rtm-5.1-stamp, rtm-5.2-stamps
#[test]
fn every_key_named_gets_writer_and_time_and_others_keep_theirs() {
    let mut server = Server::new(settings());
    let (alice, bob) = (server.log_in("alice"), server.log_in("bob"));
    assert_eq!(server.outcome(alice, write_channel("k")), 0);
    assert_eq!(server.outcome(alice, write_channel("l")), 0);
    let first_ts = server.unix_ms();
    server.leap(5_000);
    // The value is unchanged.
    assert_eq!(server.outcome(bob, write_channel("k")), 0);
    let stamps = |server: &mut Server| -> Vec<(String, String, u64)> {
        let list = read_channel(server, alice).into_iter();
        list.map(|a| (a.key, a.updated_by, a.updated_ts)).collect()
    };
    let second_ts = server.unix_ms();
    assert_eq!(
        stamps(&mut server),
        [
            ("k".into(), "bob".into(), second_ts),
            ("l".into(), "alice".into(), first_ts),
        ]
    );
    server.leap(5_000);
    let set = Call::WriteChannelAttributes(WriteChannelAttributes {
        channel: "room".into(),
        how: AttributeWrite::Set as i32,
        attributes: vec![Attribute {
            key: "k".into(),
            value: "v".into(),
            // A client's own claim does not count.
            updated_by: "mallory".into(),
            updated_ts: 5,
        }],
        notify: false,
    });
    assert_eq!(server.outcome(alice, set), 0);
    let third_ts = server.unix_ms();
    assert_eq!(
        stamps(&mut server),
        [("k".into(), "alice".into(), third_ts)]
    );
}

// proves: rtm-2.6-clears
#[test]
fn a_logout_drops_attributes_and_subscriptions() {
    let mut server = Server::new(settings());
    let (alice, bob) = (server.log_in("alice"), server.log_in("bob"));
    let write = Call::WriteUserAttributes(WriteUserAttributes {
        how: AttributeWrite::Set as i32,
        attributes: vec![Attribute {
            key: "k".into(),
            value: "v".into(),
            ..Attribute::default()
        }],
    });
    assert_eq!(server.outcome(alice, write), 0);
    let subscribe = Call::SubscribePresence(SubscribePresence {
        user_ids: vec!["bob".into()],
    });
    server.calls(alice, vec![subscribe]);
    server.log_out(alice);
    let again = server.log_in("alice");
    let read = Call::ReadUserAttributes(ReadUserAttributes {
        user_id: "alice".into(),
        keys: vec![],
    });
    let Ok(reply::Result::Attributes(list)) = server.call(bob, read) else {
        panic!("no attributes");
    };
    assert_eq!(list.attributes, []);
    let asked = Call::QueryPresenceSubscriptions(Default::default());
    let Ok(reply::Result::Users(users)) = server.call(again, asked) else {
        panic!("no list");
    };
    assert_eq!(users.user_ids, [""; 0]);
    server.log_out(bob);
    assert_eq!(of_bob(&mut server, again), [0; 0]);
}

// proves: rtm-7.3-kick-off, rtm-7.5-when
#[test]
fn an_ended_token_ends_the_session_unless_the_app_says_otherwise() {
    let certificate = "0badc0de0badc0de0badc0de0badc0de";
    for is_kicked in [true, false] {
        let mut server = Server::with(App {
            certificates: vec![certificate.into()],
            settings: AppSettings {
                kick_on_token_expiry: is_kicked,
                ..settings()
            },
            ..App::default()
        });
        let issued = u32::try_from(server.unix_ms() / 1_000).expect("before 2106");
        let token = build_007(&NewAccess007 {
            app_id: server::APP,
            certificate,
            issued_at_unix_s: issued,
            lifetime_s: 60,
            salt: 1,
            services: &[Service::rtm("alice", 60)],
        });
        let alice = server.try_log_in("alice", &token.expect("a token"));
        assert!(matches!(server.take(alice)[..], [Kind::Welcome(_)]));
        server.pass(59_000);
        assert_eq!(server.closed(alice), None);
        server.pass(10_000);
        let expected = is_kicked.then_some(CloseCode::TokenExpired);
        assert_eq!(server.closed(alice), expected, "kick {is_kicked}");
        if !is_kicked {
            let hello = Call::SendToPeer(SendToPeer {
                peer_id: "nobody".into(),
                message: text(1),
                ..SendToPeer::default()
            });
            assert_eq!(server.outcome(alice, hello), 0, "a message needs no token");
        }
    }
}

// proves: rtm-7.1-without
#[test]
fn without_a_certificate_a_given_token_is_ignored() {
    let mut server = Server::new(settings());
    for token in ["", "nonsense", "007damaged"] {
        let client = server.try_log_in("alice", token);
        assert!(
            matches!(server.take(client)[..], [Kind::Welcome(_)]),
            "{token:?}"
        );
    }
}

// proves: rtm-7.1-unknown-app
#[test]
fn an_unknown_app_is_refused_with_4() {
    let mut server = Server::new(settings());
    let client = server.try_log_in_to("0".repeat(32).as_str(), "alice", "");
    let got = server.take(client);
    let [Kind::Refused(refused)] = &got[..] else {
        panic!("{got:?}");
    };
    let outcome = refused.error.as_ref().map_or(0, |error| error.outcome);
    assert_eq!(tidings_wire::codes::login_err::from_outcome(outcome), 4);
}

// proves: rtm-11-offline-first, rtm-4.2-after-login
#[test]
fn a_live_message_waits_behind_the_stored_ones() {
    let mut server = Server::new(settings());
    let alice = server.log_in("alice");
    for n in 1..=40 {
        server.outcome(alice, offline(n));
    }
    // The first page is in transit, and nothing of it has been confirmed yet.
    let bob = server.log_in_and_keep("bob");
    server.calls(alice, vec![offline(41)]);
    let mut texts = Vec::new();
    loop {
        let got = server.take(bob).into_iter();
        let before = texts.len();
        texts.extend(got.filter_map(|kind| match kind {
            Kind::PeerMessage(message) => Some(message.message.and_then(|message| message.body)),
            _ => None,
        }));
        if texts.len() == before {
            break;
        }
        server.confirm(bob);
    }
    let number = |n: i32| {
        let text = n.to_string().into();
        Some(tidings_wire::proto::message::Body::Text(text))
    };
    assert_eq!(texts, (1..=41).map(number).collect::<Vec<_>>());
}

// proves: rtm-2.10-online
#[test]
fn a_quiet_user_that_begins_to_be_watched_is_on_line() {
    for quiet_ms in [1_000, 5_000, 7_000, 9_000] {
        let mut server = Server::new(settings());
        let alice = server.log_in("alice");
        server.log_in("bob");
        server.leap(quiet_ms);
        let subscribe = Call::SubscribePresence(SubscribePresence {
            user_ids: vec!["bob".into()],
        });
        server.calls(alice, vec![subscribe]);
        server.pass(20_000);
        assert_eq!(of_bob(&mut server, alice), [1], "after {quiet_ms} ms");
    }
}
