//! The limits of rtm 2.1 and the identifiers of 2.2, checked by the server whatever the SDK lets
//! through.

mod server;

use server::{Call, Client, Kind, Server, raw, text};
use tidings_hub::AppSettings;
use tidings_wire::codes::{self, Outcome};
use tidings_wire::proto::{
    Attribute, AttributeWrite, GetMemberCounts, Invite, Join, Leave, Message, QueryPresence,
    ReadUserAttributes, SendToChannel, SendToPeer, SubscribePresence, UnsubscribePresence,
    WriteChannelAttributes, WriteUserAttributes, reply,
};

/// A server without rates, and alice, who has joined "room".
fn with_alice() -> (Server, Client) {
    let mut server = Server::new(AppSettings {
        rate_limits: false,
        ..AppSettings::default()
    });
    let alice = server.log_in("alice");
    assert_eq!(server.outcome(alice, join("room")), 0);
    (server, alice)
}

fn join(channel: &str) -> Call {
    Call::Join(Join {
        channel: channel.into(),
    })
}

fn to_peer(peer_id: &str, message: Option<Message>) -> Call {
    Call::SendToPeer(SendToPeer {
        peer_id: peer_id.into(),
        message,
        ..SendToPeer::default()
    })
}

fn to_channel(message: Option<Message>) -> Call {
    Call::SendToChannel(SendToChannel {
        channel: "room".into(),
        message,
        history: false,
    })
}

fn set_user(attributes: Vec<Attribute>) -> Call {
    Call::WriteUserAttributes(WriteUserAttributes {
        how: AttributeWrite::Set as i32,
        attributes,
    })
}

fn set_channel(attributes: Vec<Attribute>) -> Call {
    Call::WriteChannelAttributes(WriteChannelAttributes {
        channel: "room".into(),
        how: AttributeWrite::Set as i32,
        attributes,
        notify: false,
    })
}

fn entry(key: &str, value: &str) -> Attribute {
    Attribute {
        key: key.into(),
        value: value.into(),
        ..Attribute::default()
    }
}

/// This many entries with keys of 4 bytes and values of `value` bytes.
fn entries(count: usize, value: usize) -> Vec<Attribute> {
    (0..count)
        .map(|n| entry(&format!("k{n:03}"), &"v".repeat(value)))
        .collect()
}

fn many(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("u{n}")).collect()
}

fn query(user_ids: Vec<String>) -> Call {
    Call::QueryPresence(QueryPresence { user_ids })
}

fn subscribe(user_ids: Vec<String>) -> Call {
    Call::SubscribePresence(SubscribePresence { user_ids })
}

fn unsubscribe(user_ids: Vec<String>) -> Call {
    Call::UnsubscribePresence(UnsubscribePresence { user_ids })
}

fn counts(channels: Vec<String>) -> Call {
    Call::GetMemberCounts(GetMemberCounts { channels })
}

fn invite(number: u64, content: usize, channel: &str) -> Call {
    Call::Invite(Invite {
        number,
        callee_id: "bob".into(),
        content: "x".repeat(content),
        channel: channel.into(),
        ..Default::default()
    })
}

/// (what, the call, its code in the method's family, 0 for success)
type Row = (&'static str, Call, fn(u32) -> u32, u32);

/// Every size and number at its limit and just above.
#[rustfmt::skip]
fn rows() -> Vec<Row> {
    let peer = codes::peer_message_err::from_outcome;
    let channel = codes::channel_message_err::from_outcome;
    let write = codes::attribute_operation_err::from_outcome;
    let presence = codes::peer_subscription_status_err::from_outcome;
    let online = codes::query_peers_online_status_err::from_outcome;
    let count = codes::get_channel_member_count_err::from_outcome;
    let two_byte = "ä".repeat(16);
    vec![
        ("peer text 32 KB", to_peer("bob", text(32_768)), peer, 0),
        ("peer text above", to_peer("bob", text(32_769)), peer, 7),
        ("peer raw 32 KB", to_peer("bob", raw(32_760, 8)), peer, 0),
        ("peer raw above", to_peer("bob", raw(32_760, 9)), peer, 7),
        ("peer without a body", to_peer("bob", None), peer, 7),
        ("channel text 32 KB", to_channel(text(32_768)), channel, 0),
        ("channel text above", to_channel(text(32_769)), channel, 4),
        ("channel raw 32 KB", to_channel(raw(32_760, 8)), channel, 0),
        ("channel raw above", to_channel(raw(32_760, 9)), channel, 4),
        ("channel without a body", to_channel(None), channel, 4),
        ("256 asked", query(many(256)), online, 0),
        ("257 asked", query(many(257)), online, 2),
        ("nobody asked", query(vec![]), online, 2),
        ("513 watched", subscribe(many(513)), presence, 6),
        ("512 watched", subscribe(many(512)), presence, 0),
        ("one more in total", subscribe(vec!["more".into()]), presence, 6),
        ("nobody watched", subscribe(vec![]), presence, 2),
        ("513 unwatched", unsubscribe(many(513)), presence, 6),
        ("512 unwatched", unsubscribe(many(512)), presence, 0),
        ("room again", subscribe(many(512)), presence, 0),
        ("32 counted", counts(many(32)), count, 0),
        ("33 counted", counts(many(33)), count, 5),
        ("nothing counted", counts(vec![]), count, 2),
        ("key of 32", set_user(vec![entry(&two_byte, "v")]), write, 0),
        ("key of 33", set_user(vec![entry(&format!("{two_byte}x"), "v")]), write, 3),
        ("no key", set_user(vec![entry("", "v")]), write, 3),
        ("no value", set_user(vec![entry("k", "")]), write, 3),
        ("value of 8192", set_user(vec![entry("k", &"v".repeat(8_192))]), write, 0),
        ("value of 8193", set_user(vec![entry("k", &"v".repeat(8_193))]), write, 4),
        ("32 of a user", set_user(entries(32, 1)), write, 0),
        ("33 of a user", set_user(entries(33, 1)), write, 4),
        ("16 KB of a user", set_user(entries(4, 4_092)), write, 0),
        ("above 16 KB", set_user([entries(3, 4_092), vec![entry("last", &"v".repeat(4_093))]].concat()), write, 4),
        ("32 of a channel", set_channel(entries(32, 1)), write, 0),
        ("33 of a channel", set_channel(entries(33, 1)), write, 4),
        ("32 KB of a channel", set_channel(entries(8, 4_092)), write, 0),
        ("above 32 KB", set_channel([entries(7, 4_092), vec![entry("last", &"v".repeat(4_093))]].concat()), write, 4),
    ]
}

// proves: rtm-2.1-server-checks, rtm-2.1-text, rtm-2.1-raw, rtm-2.1-query-users, rtm-2.1-subscribe-users
// proves: rtm-2.1-unsubscribe-users, rtm-2.1-count-channels, rtm-2.1-key, rtm-2.1-value, rtm-2.1-entries
// proves: rtm-2.1-user-total, rtm-2.1-channel-total, rtm-2.10-frees, rtm-2.1-utf8
#[test]
fn every_size_at_its_limit_and_one_above() {
    let (mut server, alice) = with_alice();
    for (what, call, family, expected) in rows() {
        let outcome = server.outcome(alice, call);
        let code = if outcome == 0 { 0 } else { family(outcome) };
        assert_eq!(code, expected, "{what}: outcome {outcome}");
    }
}

// proves: rtm-2.1-merged, rtm-5.2-over
#[test]
fn totals_hold_on_the_merged_result_and_a_refused_write_changes_nothing() {
    let (mut server, alice) = with_alice();
    let merge_user = |attributes| {
        Call::WriteUserAttributes(WriteUserAttributes {
            how: AttributeWrite::Merge as i32,
            attributes,
        })
    };
    let merge_channel = |attributes| {
        Call::WriteChannelAttributes(WriteChannelAttributes {
            channel: "room".into(),
            how: AttributeWrite::Merge as i32,
            attributes,
            notify: false,
        })
    };
    let overflow = Outcome::SizeOverflow as u32;
    assert_eq!(server.outcome(alice, set_user(entries(4, 4_092))), 0);
    assert_eq!(
        server.outcome(alice, merge_user(vec![entry("k", "v")])),
        overflow
    );
    // The same number of bytes as replacements fits.
    assert_eq!(
        server.outcome(alice, merge_user(vec![entry("k000", &"w".repeat(4_092))])),
        0
    );
    assert_eq!(server.outcome(alice, set_user(entries(32, 1))), 0);
    assert_eq!(
        server.outcome(alice, merge_user(vec![entry("one more", "v")])),
        overflow
    );
    assert_eq!(server.outcome(alice, set_channel(entries(8, 4_092))), 0);
    let refused = vec![entry("k000", "changed"), entry("more", &"v".repeat(8_000))];
    assert_eq!(server.outcome(alice, merge_channel(refused)), overflow);
    let read = Call::ReadChannelAttributes(tidings_wire::proto::ReadChannelAttributes {
        channel: "room".into(),
        keys: vec!["k000".into(), "more".into()],
    });
    let Ok(reply::Result::Attributes(list)) = server.call(alice, read) else {
        panic!("no attributes");
    };
    let values: Vec<&str> = list.attributes.iter().map(|a| a.value.as_str()).collect();
    assert_eq!(values, ["v".repeat(4_092)]);
}

// proves: rtm-2.1-names, rtm-2.2-set, rtm-2.2-control, rtm-2.2-ascii, rtm-2.2-null, rtm-2.2-length, rtm-2.2-apostrophe
#[test]
fn names_are_checked_in_every_place() {
    let allowed = " !#$%&()+,-.:;<=>?@[]^_{|}~";
    let mut names: Vec<(String, bool)> = (0..=127_u8)
        .map(char::from)
        .map(|c| {
            (
                format!("a{c}b"),
                c.is_ascii_alphanumeric() || allowed.contains(c),
            )
        })
        .collect();
    for (name, is_good) in [
        ("", false),
        ("null", false),
        ("Null", true),
        ("undefined", true),
    ] {
        names.push((name.into(), is_good));
    }
    names.push(("zoë".into(), false));
    names.push(("x".repeat(64), true));
    names.push(("x".repeat(65), false));
    let (mut server, alice) = with_alice();
    for (name, is_good) in names {
        let list = || vec![name.clone()];
        let calls = [
            to_peer(&name, text(1)),
            join(&name),
            Call::Leave(Leave {
                channel: name.clone(),
            }),
            query(list()),
            subscribe(list()),
            unsubscribe(list()),
            counts(list()),
            Call::ReadUserAttributes(ReadUserAttributes {
                user_id: name.clone(),
                keys: vec![],
            }),
        ];
        for call in calls {
            let what = format!("{call:?}");
            let outcome = server.outcome(alice, call);
            let is_taken = outcome == 0 || outcome == Outcome::UserNotFound as u32;
            // Leaving a channel that could not be joined is an error.
            let is_leave = what.starts_with("Leave");
            assert_eq!(is_taken, is_good, "{what}: {outcome}");
            let refused = [Outcome::InvalidArgument, Outcome::InvalidUserId].map(|o| o as u32);
            assert!(
                is_good || is_leave || refused.contains(&outcome),
                "{what}: {outcome}"
            );
        }
        let login = server.try_log_in(&name, "");
        let got = server.take(login);
        let is_welcome = matches!(got[..], [Kind::Welcome(_), ..]);
        assert_eq!(is_welcome, is_good, "login as {name:?}: {got:?}");
    }
}

// proves: rtm-2.1-channels, rtm-2.14-21st
#[test]
fn the_21st_channel_is_refused_and_a_leave_makes_room() {
    let (mut server, alice) = with_alice();
    for n in 2..=20 {
        assert_eq!(
            server.outcome(alice, join(&format!("c{n}"))),
            0,
            "channel {n}"
        );
    }
    let outcome = server.outcome(alice, join("c21"));
    assert_eq!(codes::join_channel::from_outcome(outcome), 5);
    assert_eq!(
        server.outcome(
            alice,
            Call::Leave(Leave {
                channel: "c2".into()
            })
        ),
        0
    );
    assert_eq!(server.outcome(alice, join("c21")), 0);
}

// proves: rtm-2.1-invitation-text, rtm-2.1-invitation-channel
#[test]
fn texts_and_channels_of_invitations_are_checked() {
    let (mut server, alice) = with_alice();
    let refused = Outcome::InvalidArgument as u32;
    assert_eq!(server.outcome(alice, invite(1, 8_192, "")), 0);
    assert_ne!(server.outcome(alice, invite(2, 8_193, "")), 0);
    assert_eq!(server.outcome(alice, invite(3, 0, "a/b")), refused);
    assert_eq!(server.outcome(alice, invite(4, 0, "room")), 0);
}
