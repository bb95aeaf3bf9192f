//! What comes twice, changed, or from somebody else.

use tidings_bus::contract::Wired as _;

use super::*;
use crate::config::ClusterConfig;
use crate::link::LinkOp;

pub(super) fn repeat(seed: u64) -> Result<(), String> {
    let topic = channel("room");
    let mut cluster = two_in(&topic, seed);
    seen(&mut cluster, B);
    cluster.nats.tap();
    publish(&mut cluster, A, &topic, 2);
    cluster.pass(20);
    replay(&mut cluster, |subject, payload| (subject, payload.to_vec()));
    expect(seen(&mut cluster, B), vec![Seen::Number(2)])
}

/// Somebody who can reach NATS publishes what was published there once more, changed.
fn replay(cluster: &mut Cluster, change: impl Fn(String, &[u8]) -> (String, Vec<u8>)) {
    let stranger = cluster.nats.connect(2);
    // It is up.
    cluster.nats.take(stranger);
    for (subject, payload) in cluster.nats.tap() {
        let (subject, payload) = change(subject, &payload);
        let reply = None;
        let op = LinkOp::Publish {
            subject,
            reply,
            payload,
        };
        cluster.nats.apply(stranger, op);
    }
    cluster.pass(20);
}

pub(super) fn changed_on_the_way(seed: u64) -> Result<(), String> {
    let topic = channel("room");
    let mut cluster = two_in(&topic, seed);
    seen(&mut cluster, B);
    cluster.nats.tap();
    // It is long enough that some byte of its text is hit.
    let message = publication(&topic, 2, &"x".repeat(400));
    let mark = message.clone();
    let of = topic.clone();
    cluster.apply(A, BusOp::Publish { topic: of, message });
    cluster.pass(20);
    let given = cluster.take(B);
    let before = cluster.counts(cluster.home(B, &topic)).dropped_mac;
    replay(&mut cluster, |subject, payload| {
        let mut payload = payload.to_vec();
        // Its number, so that it is no repeat, or else its text.
        let text = payload.windows(9).position(|bytes| bytes == b"xxxxxxxxx");
        let at = text.map_or(payload.len() / 2, |text| text + 5);
        payload[at] = b'y';
        (subject, payload)
    });
    let given = given.into_iter().chain(cluster.take(B));
    for input in given {
        if let BusInput::Published { message, .. } = input {
            expect(message, mark.clone())?;
        }
    }
    let after = cluster.counts(cluster.home(B, &topic)).dropped_mac;
    expect(after > before, true)
}

pub(super) fn wrong_subject(seed: u64) -> Result<(), String> {
    let (room, hall) = (channel("room"), channel("hall"));
    let mut cluster = two_in(&room, seed);
    join(&mut cluster, B, &hall);
    cluster.pass(20);
    cluster.nats.tap();
    publish(&mut cluster, A, &hall, 7);
    cluster.pass(20);
    let subject = cluster.nats.tap().into_iter().map(|(subject, _)| subject);
    let hall = subject.into_iter().find(|subject| subject.contains(".t."));
    let Some(hall) = hall else {
        return Err("nothing was published".to_owned());
    };
    publish(&mut cluster, A, &room, 2);
    cluster.pass(20);
    let dropped = |cluster: &Cluster| {
        let of = |hub: &HubId| cluster.counts(*hub).dropped_topic;
        cluster.hubs().iter().map(of).sum::<u64>()
    };
    let before = dropped(&cluster);
    replay(&mut cluster, |subject, payload| {
        let subject = if subject.contains(".t.") {
            hall.clone()
        } else {
            subject
        };
        (subject, payload.to_vec())
    });
    expect(dropped(&cluster) > before, true)
}

pub(super) fn other_cluster(seed: u64) -> Result<(), String> {
    let topic = channel("room");
    let mut cluster = two_in(&topic, seed);
    seen(&mut cluster, B);
    // Both use one NATS and one name; their keys differ.
    cluster.start_with(ClusterConfig {
        prefix: "tidings.test".to_owned(),
        key: [8; 32],
        node: 4,
        incarnation: 99,
        settle_ms: 5,
    });
    let stranger = HubId { node: 4, hub: 0 };
    let got = join(&mut cluster, stranger, &topic);
    expect(answers(&got), 0)?;
    publish(&mut cluster, stranger, &topic, 66);
    cluster.pass(2_000);
    expect(seen(&mut cluster, B), Vec::new())?;
    let counts = cluster.counts(A);
    expect(counts.dropped_mac > 0, true)?;
    expect(cluster.counts(stranger).dropped_mac > 0, true)
}
