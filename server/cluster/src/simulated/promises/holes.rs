//! What is lost between nodes is told, and nothing else is.

use tidings_bus::contract::Wired as _;

use super::*;

/// Everything to B is lost while A publishes these.
fn publish_unheard(
    cluster: &mut Cluster,
    topic: &Topic,
    numbers: std::ops::RangeInclusive<u64>,
    for_ms: u64,
) {
    for hub in [B, HubId { hub: 1, ..B }] {
        let link = cluster.link(hub);
        cluster.nats.lose(link, 1_000);
    }
    for number in numbers {
        publish(cluster, A, topic, number);
    }
    cluster.pass(for_ms);
    for hub in [B, HubId { hub: 1, ..B }] {
        let link = cluster.link(hub);
        cluster.nats.lose(link, 0);
    }
}

pub(super) fn hole(seed: u64) -> Result<(), String> {
    let topic = channel("room");
    let mut cluster = two_in(&topic, seed);
    publish_unheard(&mut cluster, &topic, 2..=4, 20);
    publish(&mut cluster, A, &topic, 5);
    cluster.pass(20);
    let wanted = vec![Seen::Number(1), Seen::Missed(3), Seen::Number(5)];
    expect(seen(&mut cluster, B), wanted)
}

pub(super) fn tail(seed: u64) -> Result<(), String> {
    let topic = channel("room");
    let mut cluster = two_in(&topic, seed);
    publish_unheard(&mut cluster, &topic, 2..=3, 20);
    cluster.pass(1_500);
    expect(
        seen(&mut cluster, B),
        vec![Seen::Number(1), Seen::Missed(2)],
    )
}

pub(super) fn lost_mark(seed: u64) -> Result<(), String> {
    let topic = channel("room");
    let mut cluster = two_in(&topic, seed);
    publish_unheard(&mut cluster, &topic, 2..=3, 1_600);
    cluster.pass(1_000);
    expect(
        seen(&mut cluster, B),
        vec![Seen::Number(1), Seen::Missed(2)],
    )
}

pub(super) fn interruption(seed: u64) -> Result<(), String> {
    let topic = channel("room");
    let mut cluster = two_in(&topic, seed);
    for hub in [B, HubId { hub: 1, ..B }] {
        let link = cluster.link(hub);
        cluster.nats.cut(link);
    }
    publish(&mut cluster, A, &topic, 2);
    cluster.pass(2_000 + seed % 700);
    for hub in [B, HubId { hub: 1, ..B }] {
        let link = cluster.link(hub);
        cluster.nats.reconnect(link, 2);
    }
    cluster.pass(1_000);
    publish(&mut cluster, A, &topic, 3);
    cluster.pass(20);
    let wanted = vec![Seen::Number(1), Seen::Missed(1), Seen::Number(3)];
    expect(seen(&mut cluster, B), wanted)?;
    // What was published without a connection has waited.
    let link = cluster.link(A);
    cluster.nats.cut(link);
    publish(&mut cluster, A, &topic, 4);
    cluster.pass(500);
    cluster.nats.reconnect(link, 0);
    publish(&mut cluster, A, &topic, 5);
    cluster.pass(500);
    expect(
        seen(&mut cluster, B),
        vec![Seen::Number(4), Seen::Number(5)],
    )
}

pub(super) fn lost_beginning(seed: u64) -> Result<(), String> {
    // A is not interested: it counts for a minute or two, and then begins again.
    let topic = user("ben");
    let mut cluster = three(seed);
    join(&mut cluster, B, &topic);
    cluster.pass(2_000);
    publish_unheard(&mut cluster, &topic, 1..=1, 20);
    publish(&mut cluster, A, &topic, 2);
    cluster.pass(125_000);
    publish_unheard(&mut cluster, &topic, 3..=4, 20);
    publish(&mut cluster, A, &topic, 5);
    cluster.pass(20);
    let wanted = vec![
        Seen::Missed(1),
        Seen::Number(2),
        Seen::Missed(2),
        Seen::Number(5),
    ];
    expect(seen(&mut cluster, B), wanted)
}

pub(super) fn settled(seed: u64) -> Result<(), String> {
    let topic = channel("room");
    let mut cluster = three(seed);
    join(&mut cluster, A, &topic);
    cluster.pass(100);
    cluster.take(B);
    join(&mut cluster, B, &topic);
    publish(&mut cluster, A, &topic, 1);
    cluster.pass(20);
    expect(seen(&mut cluster, B), vec![Seen::Number(1)])
}

pub(super) fn no_false_alarm(seed: u64) -> Result<(), String> {
    let (room, ben) = (channel("room"), user("ben"));
    let mut cluster = three(seed);
    join(&mut cluster, B, &ben);
    let mut wanted = Vec::new();
    join(&mut cluster, A, &room);
    for number in 0..200 {
        if number == 50 {
            join(&mut cluster, C, &room);
        }
        if number >= 50 {
            wanted.push(Seen::Number(number));
        }
        publish(&mut cluster, A, &room, number);
        publish(&mut cluster, C, &ben, number);
        cluster.pass(seed % 40 * (number % 3));
        if number % 60 == 59 {
            // C goes and comes back: what was said meanwhile it has not missed.
            cluster.pass(100);
        }
    }
    cluster.pass(50_000 + seed * 17_000);
    publish(&mut cluster, C, &ben, 200);
    publish(&mut cluster, A, &room, 200);
    wanted.push(Seen::Number(200));
    cluster.pass(7_000);
    expect(seen(&mut cluster, C), wanted)?;
    let wanted = (0..=200).map(Seen::Number).collect();
    expect(seen(&mut cluster, B), wanted)?;
    let holes = cluster
        .hubs()
        .into_iter()
        .map(|hub| cluster.counts(hub).holes);
    expect(holes.sum(), 0)
}
