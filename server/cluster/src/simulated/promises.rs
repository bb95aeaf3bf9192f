//! What the live path promises, each shown by a short run: for this crate's tests, and for the
//! simulator, which also runs them with deliberate faults.

use std::sync::Arc;

use bytes::Bytes;
use tidings_bus::contract::Wired as _;
use tidings_hub::bus_ops::{
    Answer, AskId, BusInput, BusOp, InvitationWord, Publication, Question, Topic,
};
use tidings_hub::ids::{ChannelKey, HubId, InvitationId, SessionId, UserKey};
use tidings_wire::names::{AppId, ChannelName, UserId};

use super::{Cluster, Plan};
use crate::config::ClusterConfig;
use crate::link::LinkOp;

/// A run with this seed. The error says what was seen instead.
pub type Run = fn(u64) -> Result<(), String>;

/// Every promise: the check that it belongs to, what is promised, and the run.
pub const ALL: &[(&str, &str, Run)] = &[
    (
        "gap.explicit",
        "a hole is told before what follows it",
        hole,
    ),
    ("gap.explicit", "a lost tail is told by the mark", tail),
    (
        "gap.explicit",
        "a mark that is lost, too, is told again",
        lost_mark,
    ),
    (
        "gap.explicit",
        "what an interruption took is told",
        interruption,
    ),
    (
        "gap.explicit",
        "a run that begins in a hole is told",
        lost_beginning,
    ),
    (
        "gap.explicit",
        "whoever has its answer misses nothing",
        settled,
    ),
    (
        "gap.no_false_alarm",
        "a quiet cluster has no holes",
        no_false_alarm,
    ),
    ("once.server_replay", "a repeat is not delivered", repeat),
    (
        "nodes.authentic",
        "a change on the way is noticed",
        changed_on_the_way,
    ),
    (
        "nodes.authentic",
        "another topic's envelope is refused",
        wrong_subject,
    ),
    (
        "nodes.authentic",
        "another cluster is not heard",
        other_cluster,
    ),
    ("nodes.nobody_is_true", "silence is not nobody", silence),
    ("nodes.nobody_is_true", "nobody is said at once", nobody),
    (
        "nodes.nobody_is_true",
        "whoever is told that it is there is found",
        found,
    ),
    (
        "nodes.ask_complete",
        "the answers' sum counts all nodes",
        sum,
    ),
    (
        "nodes.ask_complete",
        "two that begin at once find each other",
        at_once,
    ),
    (
        "nodes.ask_complete",
        "a lost node is not waited for",
        lost_node,
    ),
    (
        "nodes.one_clock",
        "a clock is never far behind another",
        one_clock,
    ),
];

const A: HubId = HubId { node: 0, hub: 0 };
const B: HubId = HubId { node: 1, hub: 0 };
const C: HubId = HubId { node: 2, hub: 0 };

fn app() -> AppId {
    AppId::parse("0123456789abcdef0123456789abcdef").expect("an app id")
}

fn channel(name: &str) -> Topic {
    let channel = ChannelName::parse(name).expect("a name");
    let app = app();
    Topic::Channel(ChannelKey { app, channel })
}

fn user(name: &str) -> Topic {
    let user = UserId::parse(name).expect("a name");
    let app = app();
    Topic::User(UserKey { app, user })
}

/// A publication for the topic, with a number and a text.
fn publication(topic: &Topic, number: u64, text: &str) -> Arc<Publication> {
    Arc::new(match topic {
        Topic::Channel(_) => Publication::Message {
            sender: SessionId([0; 16]),
            cseq: number,
            server_ts: 0,
            frame: Bytes::copy_from_slice(text.as_bytes()),
            keep: None,
        },
        _ => Publication::Invitation(InvitationWord::TakenOver {
            id: InvitationId([0; 16]),
            revision: number,
        }),
    })
}

/// What a hub has been given on a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Number(u64),
    Missed(u64),
}

fn publish(cluster: &mut Cluster, hub: HubId, topic: &Topic, number: u64) {
    let (topic, message) = (topic.clone(), publication(topic, number, "text"));
    cluster.apply(hub, BusOp::Publish { topic, message });
}

fn seen(cluster: &mut Cluster, hub: HubId) -> Vec<Seen> {
    let inputs = cluster.take(hub).into_iter();
    let seen = inputs.filter_map(|input| match input {
        BusInput::Published { message, .. } => Some(Seen::Number(match &*message {
            Publication::Message { cseq, .. } => *cseq,
            Publication::Invitation(InvitationWord::TakenOver { revision, .. }) => *revision,
            _ => 0,
        })),
        BusInput::Missed { count, .. } => Some(Seen::Missed(count)),
        _ => None,
    });
    seen.collect()
}

fn question(topic: &Topic) -> Arc<Question> {
    Arc::new(match topic {
        Topic::Channel(_) => Question::Count,
        _ => Question::Presence,
    })
}

/// Subscribes, and asks as a hub does that becomes interested; others answer. Returns what the
/// asker got.
fn join(cluster: &mut Cluster, hub: HubId, topic: &Topic) -> Vec<BusInput> {
    cluster.apply(hub, BusOp::Subscribe(topic.clone()));
    ask(cluster, hub, topic, 1_000)
}

/// Asks and lets others answer, until the asker has its answer or so much time has passed.
fn ask(cluster: &mut Cluster, hub: HubId, topic: &Topic, for_ms: u64) -> Vec<BusInput> {
    let (topic, ask, question) = (topic.clone(), AskId::new(9), question(topic));
    cluster.apply(
        hub,
        BusOp::Ask {
            topic,
            ask,
            question,
        },
    );
    let mut got = Vec::new();
    for _ in 0..for_ms {
        let is_of_ask =
            |input: &BusInput| matches!(input, BusInput::Nobody { .. } | BusInput::Answered { .. });
        let given = cluster.take_if(hub, is_of_ask);
        got.extend(given);
        if is_answered(&got) {
            break;
        }
        answer_all(cluster);
        cluster.pass(1);
    }
    got
}

/// Every hub answers what it is asked.
fn answer_all(cluster: &mut Cluster) {
    let is_asked = |input: &BusInput| matches!(input, BusInput::Asked { .. });
    for hub in cluster.hubs() {
        for input in cluster.take_if(hub, is_asked) {
            if let BusInput::Asked { from, ask, .. } = input {
                let (to, answer) = (from, Answer::Count(1));
                cluster.apply(hub, BusOp::Answer { to, ask, answer });
            }
        }
    }
}

/// Whether nobody was there, or as many have answered as the greatest sum says.
fn is_answered(got: &[BusInput]) -> bool {
    let is_nobody = |input: &BusInput| matches!(input, BusInput::Nobody { .. });
    got.iter().any(is_nobody) || answers(got) >= greatest(got).max(1)
}

fn greatest(got: &[BusInput]) -> usize {
    let asked = got.iter().map(|input| match input {
        BusInput::Answered { ask, .. } => usize::from(ask.asked),
        _ => 0,
    });
    asked.max().unwrap_or_default()
}

fn answers(got: &[BusInput]) -> usize {
    let is_answer = |input: &&BusInput| matches!(input, BusInput::Answered { .. });
    got.iter().filter(is_answer).count()
}

/// Three nodes, of which the second has two hubs.
fn three(seed: u64) -> Cluster {
    let mut cluster = Cluster::new(Plan::new(&[1, 2, 1], seed));
    cluster.pass(3_000);
    cluster
}

/// A cluster in which A and B are in one channel and have seen its first message.
fn two_in(topic: &Topic, seed: u64) -> Cluster {
    let mut cluster = three(seed);
    join(&mut cluster, A, topic);
    join(&mut cluster, B, topic);
    // All hellos have been said.
    cluster.pass(6_000);
    publish(&mut cluster, A, topic, 1);
    cluster.pass(2_000);
    cluster
}

fn expect<T: PartialEq + std::fmt::Debug>(got: T, wanted: T) -> Result<(), String> {
    if got == wanted {
        Ok(())
    } else {
        Err(format!("{got:?} instead of {wanted:?}"))
    }
}

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

fn hole(seed: u64) -> Result<(), String> {
    let topic = channel("room");
    let mut cluster = two_in(&topic, seed);
    publish_unheard(&mut cluster, &topic, 2..=4, 20);
    publish(&mut cluster, A, &topic, 5);
    cluster.pass(20);
    let wanted = vec![Seen::Number(1), Seen::Missed(3), Seen::Number(5)];
    expect(seen(&mut cluster, B), wanted)
}

fn tail(seed: u64) -> Result<(), String> {
    let topic = channel("room");
    let mut cluster = two_in(&topic, seed);
    publish_unheard(&mut cluster, &topic, 2..=3, 20);
    cluster.pass(1_500);
    expect(
        seen(&mut cluster, B),
        vec![Seen::Number(1), Seen::Missed(2)],
    )
}

fn lost_mark(seed: u64) -> Result<(), String> {
    let topic = channel("room");
    let mut cluster = two_in(&topic, seed);
    publish_unheard(&mut cluster, &topic, 2..=3, 1_600);
    cluster.pass(1_000);
    expect(
        seen(&mut cluster, B),
        vec![Seen::Number(1), Seen::Missed(2)],
    )
}

fn interruption(seed: u64) -> Result<(), String> {
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

fn lost_beginning(seed: u64) -> Result<(), String> {
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

fn settled(seed: u64) -> Result<(), String> {
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

fn no_false_alarm(seed: u64) -> Result<(), String> {
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

fn repeat(seed: u64) -> Result<(), String> {
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

fn changed_on_the_way(seed: u64) -> Result<(), String> {
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

fn wrong_subject(seed: u64) -> Result<(), String> {
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
        match subject.contains(".t.") {
            true => (hall.clone(), payload.to_vec()),
            false => (subject, payload.to_vec()),
        }
    });
    expect(dropped(&cluster) > before, true)
}

fn other_cluster(seed: u64) -> Result<(), String> {
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

fn silence(seed: u64) -> Result<(), String> {
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

fn nobody(seed: u64) -> Result<(), String> {
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

fn found(seed: u64) -> Result<(), String> {
    let mut cluster = three(seed);
    for number in 0..10 {
        let topic = user(&format!("user-{number}"));
        join(&mut cluster, B, &topic);
        let got = ask(&mut cluster, C, &topic, 500);
        expect(answers(&got), 1)?;
    }
    Ok(())
}

fn sum(seed: u64) -> Result<(), String> {
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

fn at_once(seed: u64) -> Result<(), String> {
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

fn lost_node(seed: u64) -> Result<(), String> {
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

fn one_clock(seed: u64) -> Result<(), String> {
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
