//! Channels of one hub, with other hubs played by the test.

use std::sync::Arc;

use tidings_wire::codes::Outcome;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{GetMembers, Join, Leave, reply, request};

use crate::bus_ops::{
    Answer, AskId, BusInput, BusOp, MemberSnapshot, Publication, Question, Topic,
};
use crate::channels::lists::MEMBERS_LISTED_MAX;
use crate::ids::{HubId, SessionId};
use crate::io::Input;
use crate::rig::{Rig, channel, user};

fn joined(name: &str, epoch: u64, seq: u64) -> Publication {
    Publication::Joined {
        seq,
        epoch,
        user: user(name),
        session: SessionId([1; 16]),
    }
}

fn snapshot(seq: u64, names: &[&str]) -> Publication {
    let members = names.iter();
    Publication::Snapshot(Box::new(MemberSnapshot {
        origin: HubId::local(1),
        epoch: 1,
        seq,
        members: members
            .map(|name| (user(name), SessionId([1; 16])))
            .collect(),
    }))
}

/// Snapshots that the hub has asked hub 1 for since the last call.
fn take_resyncs(rig: &mut Rig) -> usize {
    let wanted = Publication::Resync {
        origin: HubId::local(1),
    };
    let asked = std::mem::take(&mut rig.bus);
    let asked = asked.iter();
    asked
        .filter(|op| matches!(op, BusOp::Publish { message, .. } if **message == wanted))
        .count()
}

fn members(rig: &Rig) -> usize {
    rig.hub.channels.known[&channel("room")].members.len()
}

#[test]
fn one_snapshot_is_asked_for_however_many_changes_need_it() {
    let mut rig = Rig::with_users(&["alice"]);
    rig.join(0, "room");
    rig.publish_from(1, "room", joined("u1", 1, 1));
    for seq in 3..=1_000 {
        rig.publish_from(1, "room", joined(&format!("u{seq}"), 1, seq));
    }
    assert_eq!(take_resyncs(&mut rig), 1);
    // The snapshot was made before the last changes had their place, and comes after them.
    rig.publish_from(1, "room", snapshot(2, &["u1", "u2"]));
    assert_eq!(take_resyncs(&mut rig), 1);
    let names: Vec<String> = (1..=1_000).map(|n| format!("u{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    rig.publish_from(1, "room", snapshot(1_000, &names));
    assert_eq!(take_resyncs(&mut rig), 0);
    assert_eq!(members(&rig), 1_001);
    rig.publish_from(1, "room", joined("last", 1, 1_001));
    assert_eq!(members(&rig), 1_002);
}

fn join() -> request::Call {
    let channel = "room".into();
    request::Call::Join(Join { channel })
}

fn leave() -> request::Call {
    let channel = "room".into();
    request::Call::Leave(Leave { channel })
}

fn get_members() -> request::Call {
    let channel = "room".into();
    request::Call::GetMembers(GetMembers { channel })
}

#[test]
fn what_was_under_way_from_an_earlier_interest_makes_no_ghost() {
    let mut rig = Rig::with_users(&["alice"]);
    rig.join(0, "room");
    rig.request(0, leave());
    rig.echo();
    assert!(rig.hub.channels.known.is_empty());
    rig.request(0, join());
    // Hub 1 has had a member meanwhile, which has left while nobody here listened: only its coming
    // was still on its way.
    rig.publish_from(1, "room", joined("ghost", 1, 1));
    rig.nobody();
    rig.publish_from(1, "room", joined("ghost", 1, 1));
    rig.echo();
    assert_eq!(members(&rig), 1);
    rig.publish_from(1, "room", joined("bob", 2, 1));
    assert_eq!(members(&rig), 2);
}

#[test]
fn a_member_list_that_is_asked_for_behind_a_join_has_its_caller_in_it() {
    let mut rig = Rig::with_users(&["alice", "bob"]);
    rig.join(0, "room");
    // The channel is known here already: bob's join is on its way when he asks.
    rig.request(1, join());
    let list = rig.request(1, get_members());
    assert_eq!(rig.reply_to(1, list), None);
    rig.echo();
    match rig.reply_to(1, list) {
        Some(reply::Result::Users(users)) => assert_eq!(users.user_ids, ["alice", "bob"]),
        other => panic!("not a list of members: {other:?}"),
    }
}

#[test]
fn a_member_list_between_a_join_and_a_leave_is_answered() {
    let mut rig = Rig::with_users(&["alice"]);
    let joined = rig.request(0, join());
    let list = rig.request(0, get_members());
    let left = rig.request(0, leave());
    rig.echo();
    rig.nobody();
    let sent = rig.take_sent(0);
    let replies = sent.iter().filter_map(|kind| match kind {
        Kind::Reply(reply) => Some(reply.cseq),
        _ => None,
    });
    assert_eq!(replies.collect::<Vec<_>>(), [joined, list, left]);
    // After the leave there is nothing to be listed.
    let late = rig.request(0, get_members());
    match rig.reply_to(0, late) {
        Some(reply::Result::Error(error)) => {
            assert_eq!(error.outcome, Outcome::NotInChannel as u32);
        }
        other => panic!("not an error: {other:?}"),
    }
}

#[test]
fn hubs_that_become_interested_together_do_not_wait_for_each_other() {
    let mut rig = Rig::with_users(&["alice"]);
    rig.request(0, join());
    let asked = rig.has_asked(|_, question| *question == Question::Members);
    assert!(asked, "its own question is open");
    rig.echo();
    let ask = AskId {
        number: 5,
        asked: 1,
    };
    rig.give(Input::Bus(BusInput::Asked {
        topic: Topic::Channel(channel("room")),
        from: HubId::local(1),
        ask,
        question: Arc::new(Question::Members),
    }));
    let known = rig.bus.iter().find_map(|op| match op {
        BusOp::Answer {
            answer: Answer::Members(known),
            ..
        } => Some(known),
        _ => None,
    });
    let known = known.expect("an answer at once");
    assert_eq!(known.len(), 1);
    assert_eq!(known[0].members.len(), 1, "alice is told of");
}

#[test]
fn above_512_members_a_join_costs_the_hub_nothing_per_member() {
    use tidings_wire::limits::{MEMBER_COUNT_LARGE_MS, MEMBER_EVENTS_MAX};
    let names: Vec<String> = (0..40).map(|n| format!("local{n}")).collect();
    let mut rig = Rig::with_users(&names.iter().map(String::as_str).collect::<Vec<_>>());
    for connection in 0..40 {
        rig.join(connection, "room");
    }
    let remote = MEMBER_EVENTS_MAX as u64;
    for seq in 1..=remote {
        rig.publish_from(1, "room", joined(&format!("u{seq}"), 1, seq));
    }
    rig.wait(2 * MEMBER_COUNT_LARGE_MS);
    (0..40).for_each(|connection| drop(rig.take_sent(connection)));
    // A thousand joins within the time in which the count is told once.
    for seq in remote + 1..=remote + 1_000 {
        rig.publish_from(1, "room", joined(&format!("u{seq}"), 1, seq));
    }
    let frames = |rig: &mut Rig| -> Vec<usize> {
        (0..40)
            .map(|connection| rig.take_sent(connection).len())
            .collect()
    };
    assert_eq!(frames(&mut rig), [1; 40], "the count, at once");
    rig.wait(MEMBER_COUNT_LARGE_MS - 1);
    assert_eq!(frames(&mut rig), [0; 40]);
    rig.wait(1);
    assert_eq!(frames(&mut rig), [1; 40], "the last count");
    assert_eq!(members(&rig), 1_552);
}

/// The user ids of a member list, and how many more there are than a list may have.
fn listed(reply: Option<reply::Result>) -> Vec<String> {
    match reply {
        Some(reply::Result::Users(list)) => list.user_ids,
        other => panic!("answered {other:?}"),
    }
}

#[test]
fn a_list_of_all_members_ends_at_its_bound_wherever_they_are() {
    let all: Vec<String> = (0..MEMBERS_LISTED_MAX + 50)
        .map(|n| format!("u{n}"))
        .collect();
    let names: Vec<&str> = all.iter().map(String::as_str).collect();
    let mut rig = Rig::with_users(&["alice"]);
    let lists_all = crate::config::Traits {
        lists_all_members: true,
        is_paced: true,
        ..Default::default()
    };
    // Two of them: what one has listed has to be paid off before it lists more.
    let [lena, mia] = ["lena", "mia"].map(|name| rig.admit(name, lists_all));
    let ask = |rig: &mut Rig, connection: u64, name: &str| {
        let channel = name.to_owned();
        rig.request(
            connection,
            request::Call::GetMembers(GetMembers { channel }),
        )
    };
    // A channel with members here.
    rig.join(0, "room");
    rig.publish_from(1, "room", snapshot(1, &names));
    let cseq = ask(&mut rig, lena, "room");
    let users = listed(rig.reply_to(lena, cseq));
    assert_eq!(users.len(), MEMBERS_LISTED_MAX);
    assert_eq!(users.last(), all.last(), "the latest are listed");
    // One with members on other hubs only.
    rig.take_asks();
    let cseq = ask(&mut rig, mia, "elsewhere");
    let asks = rig.take_asks();
    let Publication::Snapshot(known) = snapshot(1, &names) else {
        unreachable!("made a line above");
    };
    rig.give(Input::Bus(BusInput::Answered {
        ask: AskId {
            asked: 1,
            ..*asks.last().expect("the other hubs are asked")
        },
        from: HubId::local(1),
        answer: Answer::Members(vec![*known]),
    }));
    let users = listed(rig.reply_to(mia, cseq));
    assert_eq!(users.len(), MEMBERS_LISTED_MAX);
    assert_eq!(
        users
            .iter()
            .collect::<std::collections::BTreeSet<_>>()
            .len(),
        users.len()
    );
}
