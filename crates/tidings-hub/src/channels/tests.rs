//! Channels of one hub, with other hubs played by the test.


use super::*;
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
        origin: HubId(1),
        epoch: 1,
        seq,
        members: members
            .map(|name| (user(name), SessionId([1; 16])))
            .collect(),
    }))
}

/// Snapshots that the hub has asked hub 1 for since the last call.
fn take_resyncs(rig: &mut Rig) -> usize {
    let wanted = Publication::Resync { origin: HubId(1) };
    let asked = std::mem::take(&mut rig.bus);
    let asked = asked.iter();
    asked
        .filter(|op| matches!(op, BusOp::Publish { message, .. } if **message == wanted))
        .count()
}

fn members(rig: &Rig) -> usize {
    rig.hub.channels[&channel("room")].members.len()
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
