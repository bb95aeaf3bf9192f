//! What was lost shows before what is said later, and who was away looks again.

use std::sync::Arc;

use tidings_bus::contract::Wired as _;
use tidings_cluster::simulated::{Cluster, Plan};
use tidings_hub::bus_ops::{AskId, BusInput, BusOp, Publication, Question, Topic};
use tidings_hub::ids::{HubId, UserKey};
use tidings_wire::names::{AppId, UserId};

const HERE: HubId = HubId { node: 0, hub: 0 };
const THERE: HubId = HubId { node: 1, hub: 0 };

fn bob() -> Topic {
    Topic::User(UserKey {
        app: AppId::parse("0123456789abcdef0123456789abcdef").expect("an app id"),
        user: UserId::parse("bob").expect("a user id"),
    })
}

fn grew() -> BusOp {
    let (topic, message) = (bob(), Arc::new(Publication::InboxGrew));
    BusOp::Publish { topic, message }
}

fn ask(question: Question) -> BusOp {
    BusOp::Ask {
        topic: bob(),
        ask: AskId::new(1),
        question: Arc::new(question),
    }
}

#[test]
fn a_lost_publication_shows_before_the_next_question() {
    let mut cluster = Cluster::new(Plan::new(&[1, 1], 1));
    cluster.apply(THERE, BusOp::Subscribe(bob()));
    cluster.pass(2_000);
    cluster.apply(HERE, grew());
    cluster.pass(2_000);
    cluster.take(THERE);
    cluster.nats.set_route(0, 1, false);
    cluster.apply(HERE, grew());
    cluster.pass(100);
    cluster.nats.set_route(0, 1, true);
    cluster.pass(100);
    cluster.apply(HERE, ask(Question::Presence));
    cluster.pass(100);
    let told = cluster.take(THERE);
    let missed = told
        .iter()
        .position(|it| matches!(it, BusInput::Missed { count: 1, .. }));
    let asked = told
        .iter()
        .position(|it| matches!(it, BusInput::Asked { .. }));
    assert!(missed.is_some() && missed < asked, "{told:?}");
}

#[test]
fn a_node_whose_connection_was_away_looks_at_whom_it_knew() {
    let mut cluster = Cluster::new(Plan::new(&[1, 1], 1));
    cluster.apply(HERE, BusOp::Subscribe(bob()));
    cluster.apply(THERE, BusOp::Subscribe(bob()));
    cluster.pass(7_000);
    cluster.take(HERE);
    let link = cluster.link(HERE);
    cluster.nats.cut(link);
    cluster.pass(500);
    cluster.nats.reconnect(link, 0);
    cluster.pass(7_000);
    let looks = |it: &BusInput| matches!(it, BusInput::Missed { count: 0, .. });
    let told = cluster.take(HERE);
    assert!(told.iter().any(looks), "{told:?}");
}

#[test]
fn members_are_not_absent_because_nats_does_not_reach_their_node() {
    let mut cluster = Cluster::new(Plan::new(&[1, 1], 1));
    cluster.apply(HERE, BusOp::Subscribe(bob()));
    cluster.apply(THERE, BusOp::Subscribe(bob()));
    cluster.pass(7_000);
    cluster.nats.set_route(0, 1, false);
    cluster.pass(100);
    cluster.take(HERE);
    cluster.apply(HERE, ask(Question::Progress));
    cluster.pass(500);
    let told = cluster.take(HERE);
    let nobody = |it: &BusInput| matches!(it, BusInput::Nobody { .. });
    assert!(!told.iter().any(nobody), "it is interested: {told:?}");
    // Who has left is believed to have.
    cluster.nats.set_route(0, 1, true);
    cluster.pass(2_000);
    cluster.apply(THERE, BusOp::Unsubscribe(bob()));
    cluster.pass(2_000);
    cluster.take(HERE);
    cluster.apply(HERE, ask(Question::Progress));
    cluster.pass(500);
    let told = cluster.take(HERE);
    assert!(told.iter().any(nobody), "it has said so: {told:?}");
}
