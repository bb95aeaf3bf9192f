//! The protocol keeps its properties in every order of events, and every deliberate fault is found.

use stateright::{Checker, HasDiscoveries, Model};
use tidings_models::invitation::{Fault, Invitation, never_stuck};

fn model(fault: Fault) -> Invitation {
    Invitation {
        fault,
        crashes_max: 1,
    }
}

#[test]
fn the_protocol_keeps_its_properties() {
    let checker = Invitation {
        fault: Fault::None,
        crashes_max: 2,
    }
    .checker()
    .threads(2)
    .spawn_bfs()
    .join();
    checker.assert_properties();
    println!("{} states", checker.unique_state_count());
}

#[test]
fn nobody_waits_for_ever() {
    let states = never_stuck(&model(Fault::None)).expect("a way out of every state");
    println!("{states} states");
    assert!(
        states > 1_000,
        "{states} states are too few to show something"
    );
}

#[test]
fn without_deadlines_somebody_waits_for_ever() {
    assert!(never_stuck(&model(Fault::NoDeadline)).is_err());
}

/// The named check finds the fault; returns in how many steps.
fn found(fault: Fault, check: &'static str) {
    let wanted = HasDiscoveries::AnyOf([check].into());
    let checker = model(fault)
        .checker()
        .finish_when(wanted)
        .spawn_bfs()
        .join();
    let path = checker
        .discovery(check)
        .unwrap_or_else(|| panic!("{check} does not find {fault:?}"));
    let steps = path.into_actions().len();
    println!("{fault:?}: {check} in {steps} steps");
}

#[test]
fn every_fault_is_found() {
    found(Fault::ToldBeforeDurable, "invite.durable_before_told");
    found(Fault::ToldBeforeDurable, "invite.agreement");
    found(Fault::ClientTimerDecides, "invite.agreement");
    found(Fault::BlindWrite, "invite.agreement");
    found(Fault::RingsTwice, "invite.no_ring_after_end");
    found(Fault::NoGate, "invite.agreement");
    found(Fault::CancelAfterConfirm, "invite.agreement");
}
