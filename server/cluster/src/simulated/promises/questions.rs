//! Questions over nodes, and the clock that all share.

use tidings_bus::contract::Wired as _;

use super::*;

pub(super) fn silence(seed: u64) -> Result<(), String> {
    let topic = user("ben");
    let mut cluster = three(seed);
    join(&mut cluster, B, &topic);
    let link = cluster.link(A);
    cluster.nats.cut(link);
    cluster.pass(1);
    let got = ask(&mut cluster, A, &topic, 700);
    expect(got, Vec::new())?;
    // Back in time, it is asked after all.
    cluster.nats.reconnect(link, 0);
    cluster.take(A);
    for _ in 0..50 {
        cluster.pass(1);
        answer_all(&mut cluster);
    }
    expect(answers(&cluster.take(A)), 1)
}

pub(super) fn nobody(seed: u64) -> Result<(), String> {
    let topic = user("ben");
    let mut cluster = three(seed);
    let is_nobody = |got: &[BusInput]| matches!(got, [BusInput::Nobody { .. }]);
    let got = ask(&mut cluster, A, &topic, 40);
    expect(is_nobody(&got), true)?;
    // Whoever leaves while it is asked is nobody, too, as soon as NATS knows.
    join(&mut cluster, B, &topic);
    cluster.pass(3_000);
    cluster.apply(B, BusOp::Unsubscribe(topic.clone()));
    let got = ask(&mut cluster, A, &topic, 500);
    expect(is_nobody(&got), true)
}

pub(super) fn found(seed: u64) -> Result<(), String> {
    let mut cluster = three(seed);
    for number in 0..10 {
        let topic = user(&format!("user-{number}"));
        join(&mut cluster, B, &topic);
        let got = ask(&mut cluster, C, &topic, 500);
        expect(answers(&got), 1)?;
    }
    Ok(())
}

pub(super) fn sum(seed: u64) -> Result<(), String> {
    let topic = channel("room");
    let mut cluster = three(seed);
    let second = HubId { hub: 1, ..B };
    let order = [[B, second, A, C], [A, B, C, second], [C, A, second, B]];
    let order = order[usize::try_from(seed % 3).unwrap_or_default()];
    for hub in order {
        join(&mut cluster, hub, &topic);
        cluster.pass(20);
    }
    for asker in order {
        let got = ask(&mut cluster, asker, &topic, 500);
        expect((greatest(&got), answers(&got)), (3, 3))?;
    }
    // One who is not in the channel hears of all, also where another hub of its node is.
    cluster.apply(second, BusOp::Unsubscribe(topic.clone()));
    cluster.pass(50);
    let got = ask(&mut cluster, second, &topic, 500);
    expect((greatest(&got), answers(&got)), (3, 3))?;
    cluster.apply(second, BusOp::Subscribe(topic.clone()));
    cluster.pass(50);
    cluster.apply(A, BusOp::Unsubscribe(topic.clone()));
    cluster.pass(50);
    let got = ask(&mut cluster, A, &topic, 500);
    expect((greatest(&got), answers(&got)), (3, 3))
}

pub(super) fn at_once(seed: u64) -> Result<(), String> {
    let topic = channel("room");
    let mut cluster = three(seed);
    for hub in [A, B, C] {
        cluster.apply(hub, BusOp::Subscribe(topic.clone()));
        cluster.pass(seed % 3);
    }
    cluster.pass(1_500);
    for asker in [A, B, C] {
        let got = ask(&mut cluster, asker, &topic, 500);
        expect((greatest(&got), answers(&got)), (2, 2))?;
    }
    Ok(())
}

pub(super) fn lost_node(seed: u64) -> Result<(), String> {
    let topic = channel("room");
    let mut cluster = three(seed);
    for hub in [A, B, C] {
        join(&mut cluster, hub, &topic);
    }
    cluster.pass(20);
    cluster.kill(2);
    cluster.pass(6_000);
    cluster.tell_lost(2, 3);
    let lost = cluster.take(A).into_iter();
    let lost = lost.filter(|input| matches!(input, BusInput::NodeLost { node: 2 }));
    expect(lost.count(), 1)?;
    let got = ask(&mut cluster, A, &topic, 500);
    expect((greatest(&got), answers(&got)), (1, 1))?;
    // Its number is used again.
    cluster.start(2);
    cluster.pass(100);
    join(&mut cluster, C, &topic);
    let got = ask(&mut cluster, A, &topic, 500);
    expect((greatest(&got), answers(&got)), (2, 2))?;
    publish(&mut cluster, C, &topic, 1);
    cluster.pass(20);
    expect(seen(&mut cluster, A), vec![Seen::Number(1)])
}

pub(super) fn one_clock(seed: u64) -> Result<(), String> {
    let cluster = three(seed);
    let clocks = cluster
        .hubs()
        .into_iter()
        .map(|hub| cluster.shared_clock_ms(hub));
    let clocks: Vec<u64> = clocks.collect();
    let (first, last) = (clocks.iter().min(), clocks.iter().max());
    let apart = last.zip(first).map_or(0, |(last, first)| last - first);
    // A heartbeat, and its way.
    expect(apart <= 300, true).map_err(|_| format!("{apart} ms apart"))
}
