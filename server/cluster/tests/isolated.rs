//! A node that could not renew its lease answers nothing about others that may be wrong.

use std::sync::Arc;

use tidings_bus::contract::Wired as _;
use tidings_cluster::simulated::{Cluster, Plan};
use tidings_hub::bus_ops::{AskId, BusInput, BusOp, Question, Topic};
use tidings_hub::ids::{HubId, UserKey};
use tidings_wire::names::{AppId, UserId};

const ASKER: HubId = HubId { node: 0, hub: 0 };

fn bob() -> Topic {
    Topic::User(UserKey {
        app: AppId::parse("0123456789abcdef0123456789abcdef").expect("an app id"),
        user: UserId::parse("bob").expect("a user id"),
    })
}

/// What a hub of the first node is told when it asks whether bob is there.
fn told(cluster: &mut Cluster, number: u64) -> Vec<BusInput> {
    let ask = BusOp::Ask {
        topic: bob(),
        ask: AskId::new(number),
        question: Arc::new(Question::Presence),
    };
    cluster.take(ASKER);
    cluster.apply(ASKER, ask);
    cluster.pass(500);
    cluster.take(ASKER)
}

#[test]
fn a_node_that_may_be_cut_off_never_says_that_nobody_is_there() {
    let mut cluster = Cluster::new(Plan::new(&[1, 1], 1));
    cluster.apply(HubId { node: 1, hub: 0 }, BusOp::Subscribe(bob()));
    cluster.pass(500);
    cluster.nats.set_route(0, 1, false);
    cluster.pass(500);
    // Its server is there and knows of nobody: without the lease it would be believed.
    let nobody = |told: &[BusInput]| told.iter().any(|it| matches!(it, BusInput::Nobody { .. }));
    assert!(nobody(&told(&mut cluster, 1)), "NATS says so");
    cluster.isolate(0, true);
    let silent = told(&mut cluster, 2);
    assert!(silent.is_empty(), "{silent:?}");
    cluster.isolate(0, false);
    assert!(nobody(&told(&mut cluster, 3)));
}
