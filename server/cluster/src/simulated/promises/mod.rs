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

mod holes;
mod questions;
mod strangers;

/// A run with this seed. The error says what was seen instead.
pub type Run = fn(u64) -> Result<(), String>;

/// Every promise: the check that it belongs to, what is promised, and the run.
pub const ALL: &[(&str, &str, Run)] = &[
    (
        "gap.explicit",
        "a hole is told before what follows it",
        holes::hole,
    ),
    (
        "gap.explicit",
        "a lost tail is told by the mark",
        holes::tail,
    ),
    (
        "gap.explicit",
        "a mark that is lost, too, is told again",
        holes::lost_mark,
    ),
    (
        "gap.explicit",
        "what an interruption took is told",
        holes::interruption,
    ),
    (
        "gap.explicit",
        "a run that begins in a hole is told",
        holes::lost_beginning,
    ),
    (
        "gap.explicit",
        "whoever has its answer misses nothing",
        holes::settled,
    ),
    (
        "gap.no_false_alarm",
        "a quiet cluster has no holes",
        holes::no_false_alarm,
    ),
    (
        "once.server_replay",
        "a repeat is not delivered",
        strangers::repeat,
    ),
    (
        "nodes.authentic",
        "a change on the way is noticed",
        strangers::changed_on_the_way,
    ),
    (
        "nodes.authentic",
        "another topic's envelope is refused",
        strangers::wrong_subject,
    ),
    (
        "nodes.authentic",
        "another cluster is not heard",
        strangers::other_cluster,
    ),
    (
        "nodes.nobody_is_true",
        "silence is not nobody",
        questions::silence,
    ),
    (
        "nodes.nobody_is_true",
        "nobody is said at once",
        questions::nobody,
    ),
    (
        "nodes.nobody_is_true",
        "whoever is told that it is there is found",
        questions::found,
    ),
    (
        "nodes.ask_complete",
        "the answers' sum counts all nodes",
        questions::sum,
    ),
    (
        "nodes.ask_complete",
        "two that begin at once find each other",
        questions::at_once,
    ),
    (
        "nodes.ask_complete",
        "a lost node is not waited for",
        questions::lost_node,
    ),
    (
        "nodes.one_clock",
        "a clock is never far behind another",
        questions::one_clock,
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
