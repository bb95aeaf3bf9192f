//! Attributes: the order of what members are told, and what a sweep may delete.

use tidings_wire::frame::encode_server;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{Attribute, ChannelAttributes, PresenceState};

use crate::bus_ops::{Answer, AskId, BusInput, LoginStamp, Publication};
use crate::ids::HubId;
use crate::io::Input;
use crate::rig::{Rig, channel, user};
use crate::store_ops::{AttributeOwner, StoreAnswer, StoreOp};

fn publication(revision: u64) -> Publication {
    let attribute = Attribute {
        key: "k".into(),
        value: revision.to_string(),
        ..Attribute::default()
    };
    let frame = encode_server(Kind::ChannelAttributes(ChannelAttributes {
        channel: "room".into(),
        attributes: vec![attribute],
        ..Default::default()
    }));
    Publication::Attributes {
        revision,
        frame,
        others: crate::bus_ops::ForOthers::Same,
    }
}

/// The values that a member was told, in order.
fn told(rig: &mut Rig) -> Vec<String> {
    let sent = rig.take_sent(0).into_iter();
    sent.filter_map(|kind| match kind {
        Kind::ChannelAttributes(mut told) => Some(told.attributes.remove(0).value),
        _ => None,
    })
    .collect()
}

#[test]
fn a_member_ends_with_the_latest_state_whichever_hub_publishes_last() {
    let mut rig = Rig::with_users(&["alice"]);
    rig.join(0, "room");
    rig.publish_from(1, "room", publication(7));
    rig.publish_from(2, "room", publication(9));
    // Hub 1 wrote before hub 2 and publishes after it.
    rig.publish_from(1, "room", publication(8));
    rig.publish_from(1, "room", publication(10));
    assert_eq!(told(&mut rig), ["7", "9", "10"]);
}

/// The sweep finds attributes of a user and a channel, long untouched; returns the questions.
fn sweep(rig: &mut Rig) -> Vec<AskId> {
    rig.store.clear();
    rig.bus.clear();
    rig.wait(60_000);
    let listed = rig.store.iter();
    let listed = listed.filter(|(_, op)| matches!(op, StoreOp::AttributeOwners { .. }));
    let ticket = listed.last().expect("a sweep has begun").0;
    rig.store.clear();
    rig.bus.clear();
    let owners = vec![
        AttributeOwner::User(user("bob")),
        AttributeOwner::Channel(channel("room")),
    ];
    let answer = StoreAnswer::AttributeOwners {
        owners,
        has_more: false,
    };
    rig.give(Input::Store { ticket, answer });
    rig.take_asks()
}

fn dropped(rig: &Rig) -> usize {
    let ops = rig.store.iter();
    ops.filter(|(_, op)| matches!(op, StoreOp::AttributesDrop { .. }))
        .count()
}

#[test]
fn silence_of_the_hubs_deletes_no_attributes() {
    let mut rig = Rig::with_users(&[]);
    let asks = sweep(&mut rig);
    assert_eq!(asks.len(), 2);
    // One of two hubs says that it has nobody; the other says nothing.
    for (ask, answer) in asks.into_iter().zip([
        Answer::Presence {
            state: PresenceState::Offline,
            stamp: LoginStamp {
                mono_ms: 0,
                hub: HubId::local(1),
                count: 0,
            },
        },
        Answer::Count(0),
    ]) {
        let ask = AskId { asked: 2, ..ask };
        let from = HubId::local(1);
        rig.give(Input::Bus(BusInput::Answered { ask, from, answer }));
    }
    rig.wait(5_000);
    assert_eq!(dropped(&rig), 0);

    let mut rig = Rig::with_users(&[]);
    assert_eq!(sweep(&mut rig).len(), 2);
    rig.wait(5_000);
    assert_eq!(dropped(&rig), 0);
}

#[test]
fn attributes_go_when_nobody_is_subscribed() {
    let mut rig = Rig::with_users(&[]);
    for ask in sweep(&mut rig) {
        rig.give(Input::Bus(BusInput::Nobody { ask }));
    }
    assert_eq!(dropped(&rig), 2);
}

#[test]
fn what_users_of_before_a_restart_have_left_goes_with_the_first_sweep() {
    let mut rig = Rig::with_users(&[]);
    rig.give(Input::Tick);
    let started_ts = rig.now_ms;
    rig.wait(60_000);
    let listed = rig.store.iter().find_map(|(_, op)| match op {
        StoreOp::AttributeOwners { touched_before, .. } => Some(*touched_before),
        _ => None,
    });
    assert_eq!(listed, Some(started_ts));
    for ask in sweep(&mut rig) {
        rig.give(Input::Bus(BusInput::Nobody { ask }));
    }
    let of_user = rig.store.iter().find_map(|(_, op)| match op {
        StoreOp::AttributesDrop {
            owner: AttributeOwner::User(_),
            unless_touched_after,
        } => Some(*unless_touched_after),
        _ => None,
    });
    assert_eq!(of_user, Some(started_ts - 1));
}

#[test]
fn the_wait_for_left_attributes_counts_from_the_last_visible_member() {
    let mut rig = Rig::with_users(&["alice"]);
    rig.join(0, "room");
    rig.store.clear();
    // The connection is lost: after the grace she is gone, her session is kept for a resume.
    let connection = crate::ids::ConnectionId(0);
    rig.give(Input::Closed { connection });
    rig.wait(tidings_wire::limits::PRESENCE_GRACE_MS + 1_000);
    rig.echo();
    let touches = rig.store.iter();
    let touches = touches.filter(|(_, op)| matches!(op, StoreOp::AttributesTouch { .. }));
    assert_eq!(touches.count(), 1);
    assert!(
        rig.hub.channels.known.contains_key(&channel("room")),
        "her session can come back"
    );
}
