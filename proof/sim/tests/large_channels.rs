//! The thresholds of large channels (rtm 4.5): 511, 512, 513 members and more.

mod server;

use std::collections::BTreeSet;

use server::{Call, Client, Kind, Server, text};
use tidings_hub::AppSettings;
use tidings_wire::proto::{
    Attribute, AttributeWrite, GetMemberCounts, GetMembers, Join, Leave, SendToChannel,
    WriteChannelAttributes, reply,
};

fn join() -> Call {
    Call::Join(Join {
        channel: "big".into(),
    })
}

fn leave() -> Call {
    Call::Leave(Leave {
        channel: "big".into(),
    })
}

/// A server whose channel "big" has this many members: u0, u1 and so on.
fn with_members(count: usize) -> (Server, Vec<Client>) {
    let mut server = Server::new(AppSettings {
        rate_limits: false,
        ..AppSettings::default()
    });
    let members: Vec<Client> = (0..count)
        .map(|n| server.log_in(&format!("u{n}")))
        .collect();
    for member in &members {
        assert_eq!(server.outcome(*member, join()), 0);
        forget(&mut server, &members);
    }
    server.pass(10_000);
    forget(&mut server, &members);
    (server, members)
}

/// Everything sent so far has been confirmed and forgotten.
fn forget(server: &mut Server, clients: &[Client]) {
    for client in clients {
        if !server.take(*client).is_empty() {
            server.confirm(*client);
        }
    }
}

/// Member events of one client since the last call.
fn member_events(server: &mut Server, client: Client) -> Vec<String> {
    let events = server
        .take(client)
        .into_iter()
        .filter_map(|kind| match kind {
            Kind::MemberJoined(it) => Some(format!("joined {}", it.user_id)),
            Kind::MemberLeft(it) => Some(format!("left {}", it.user_id)),
            _ => None,
        });
    events.collect()
}

fn counts(server: &mut Server, client: Client) -> Vec<u32> {
    let counts = server
        .take(client)
        .into_iter()
        .filter_map(|kind| match kind {
            Kind::MemberCount(it) => Some(it.count),
            _ => None,
        });
    counts.collect()
}

// proves: rtm-4.5-edge, rtm-2.1-member-events, rtm-4.5-resume
#[test]
fn with_512_members_joins_and_leaves_are_told_with_513_not() {
    let (mut server, members) = with_members(511);
    let first = members[0];
    let joiners: Vec<Client> = (0..3).map(|n| server.log_in(&format!("late{n}"))).collect();
    assert_eq!(server.outcome(joiners[0], join()), 0);
    assert_eq!(
        member_events(&mut server, first),
        ["joined late0"],
        "the 512th is told"
    );
    assert_eq!(server.outcome(joiners[1], join()), 0);
    assert_eq!(
        member_events(&mut server, first),
        [""; 0],
        "the 513th is not"
    );
    assert_eq!(server.outcome(joiners[2], join()), 0);
    assert_eq!(server.outcome(joiners[2], leave()), 0);
    assert_eq!(member_events(&mut server, first), [""; 0], "513 are left");
    assert_eq!(server.outcome(joiners[1], leave()), 0);
    assert_eq!(
        member_events(&mut server, first),
        [""; 0],
        "the step over the border is the last that is not told"
    );
    assert_eq!(server.outcome(joiners[0], leave()), 0);
    assert_eq!(
        member_events(&mut server, first),
        ["left late0"],
        "511 are left"
    );
    assert_eq!(server.outcome(joiners[2], join()), 0);
    assert_eq!(member_events(&mut server, first), ["joined late2"]);
}

// proves: rtm-2.1-count-events, rtm-4.5-count, rtm-8-exact-counts
#[test]
fn counts_are_exact_and_told_once_a_second_or_every_3_s_above_512() {
    let (mut server, members) = with_members(509);
    let first = members[0];
    let joiners: Vec<Client> = (0..8).map(|n| server.log_in(&format!("late{n}"))).collect();
    // Three joins at once up to 512: the first count comes at once, the last a second later.
    for joiner in &joiners[..3] {
        assert_eq!(server.outcome(*joiner, join()), 0);
    }
    assert_eq!(counts(&mut server, first), [510]);
    server.pass(999);
    assert_eq!(counts(&mut server, first), [0; 0]);
    server.pass(1);
    assert_eq!(counts(&mut server, first), [512]);
    for joiner in &joiners[3..] {
        assert_eq!(server.outcome(*joiner, join()), 0);
    }
    server.pass(2_999);
    assert_eq!(counts(&mut server, first), [0; 0]);
    server.pass(1);
    assert_eq!(counts(&mut server, first), [517]);
    let asked = Call::GetMemberCounts(GetMemberCounts {
        channels: vec!["big".into()],
    });
    let Ok(reply::Result::MemberCounts(answer)) = server.call(first, asked) else {
        panic!("no counts");
    };
    assert_eq!(answer.counts[0].count, 517);
}

// proves: rtm-2.16-members-512, rtm-2.1-members-list
#[test]
fn above_512_a_list_has_512_members_at_random() {
    let (mut server, members) = with_members(600);
    let mut list = || {
        let asked = Call::GetMembers(GetMembers {
            channel: "big".into(),
        });
        let Ok(reply::Result::Users(users)) = server.call(members[0], asked) else {
            panic!("no list");
        };
        let distinct: BTreeSet<String> = users.user_ids.iter().cloned().collect();
        assert_eq!((users.user_ids.len(), distinct.len()), (512, 512));
        let is_member = |user: &String| user[1..].parse::<usize>().is_ok_and(|n| n < 600);
        assert!(distinct.iter().all(is_member), "members only");
        distinct
    };
    assert_ne!(list(), list(), "another 512 each time");
}

// proves: rtm-4.5-messages, rtm-5.3-large
#[test]
fn messages_and_changes_of_attributes_reach_all_600_members() {
    let (mut server, members) = with_members(600);
    let send = Call::SendToChannel(SendToChannel {
        channel: "big".into(),
        message: text(5),
        history: false,
    });
    assert_eq!(server.outcome(members[0], send), 0);
    let write = Call::WriteChannelAttributes(WriteChannelAttributes {
        channel: "big".into(),
        how: AttributeWrite::Set as i32,
        attributes: vec![Attribute {
            key: "k".into(),
            value: "v".into(),
            ..Attribute::default()
        }],
        notify: true,
    });
    assert_eq!(server.outcome(members[0], write), 0);
    for (at, member) in members.iter().enumerate() {
        let got = server.take(*member);
        let messages = got
            .iter()
            .filter(|kind| matches!(kind, Kind::ChannelMessage(_)));
        let changes = got
            .iter()
            .filter(|kind| matches!(kind, Kind::ChannelAttributes(_)));
        let expected = (usize::from(at > 0), 1);
        assert_eq!((messages.count(), changes.count()), expected, "member {at}");
    }
}
