//! The contract suite: what every bus must do, whatever transport it uses.
//!
//! It has two levels. [`within_a_node`] holds the bus between hubs of one process to everything
//! that [`tidings_hub::bus_ops`] says. [`between_nodes`] holds a bus over a network to what a
//! network can provide: it orders what one hub sends to one topic, but two nodes may see two
//! senders in different orders; a subscription takes effect once it has settled; the number of hubs
//! asked is known only for the answering node. Network loss is outside this suite: it shows as
//! silence, never as `Nobody`.
//!
//! An implementation is wrapped as [`Wired`]. The suite panics at the first breach and names the
//! broken clause.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use tidings_hub::bus_ops::{
    Answer, AskId, BusInput, BusOp, InvitationWord, Keep, LoginStamp, Publication, Question, Topic,
};
use tidings_hub::ids::{ChannelKey, HubId, InvitationId, SessionId, UserKey};
use tidings_hub::store_ops::{HistoryLimits, HistoryMessage};
use tidings_wire::names::{AppId, ChannelName, UserId};
use tidings_wire::proto::PresenceState;

/// A bus and its hubs, as driven by the suite.
pub trait Wired {
    /// Hub `from` submits an operation.
    fn apply(&mut self, from: HubId, op: BusOp);

    /// Advances something in transit. `false` = nothing is in transit.
    fn step(&mut self) -> bool;

    /// What the hub has received since the last call, in order.
    fn take(&mut self, hub: HubId) -> Vec<BusInput>;
}

/// Checks the whole contract between the hubs of one node. `make` wires a fresh bus with the given
/// number of hubs, named `HubId::local(0)`, `HubId::local(1)` and so on.
///
/// # Panics
/// If the bus breaks the contract.
pub fn within_a_node<B: Wired>(mut make: impl FnMut(u16) -> B) {
    for count in [1, 2, 4] {
        let hubs: Vec<HubId> = (0..count).map(HubId::local).collect();
        run_common(&hubs, || make(count), Level::Node);
        a_subscription_is_in_force_at_once(&mut make(count), &hubs);
        subscribers_see_one_order(&mut make(count), &hubs, |_| 0);
        one_hub_keeps_a_history_in_the_order_that_subscribers_see(&mut make(count), &hubs);
    }
}

/// Checks what a network can provide between nodes. `make` gets a list of hub counts and wires a
/// fresh bus with one node for each, numbered from 0.
///
/// # Panics
/// If the bus breaks the contract.
pub fn between_nodes<B: Wired>(mut make: impl FnMut(&[u16]) -> B) {
    for counts in [&[1, 1][..], &[2, 1], &[1, 2, 3]] {
        let names = |(node, count): (u16, &u16)| {
            let hub = move |hub| HubId { node, hub };
            (0..*count).map(hub).collect::<Vec<_>>()
        };
        let hubs: Vec<HubId> = (0..).zip(counts).flat_map(names).collect();
        run_common(&hubs, || make(counts), Level::Cluster);
        subscribers_see_one_order(&mut make(counts), &hubs, |hub| hub.node);
    }
}

/// How much the suite demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Node,
    Cluster,
}

impl Level {
    /// Between nodes, a subscription counts once every node has received it.
    fn settle_subscriptions<B: Wired>(self, bus: &mut B) {
        if self == Self::Cluster {
            settle(bus);
        }
    }
}

fn run_common<B: Wired>(hubs: &[HubId], mut make: impl FnMut() -> B, level: Level) {
    publications_come_back_to_a_subscribed_publisher(&mut make(), hubs, level);
    nobody_hears_what_it_has_not_subscribed_to(&mut make(), hubs);
    a_repeated_subscription_counts_once(&mut make(), hubs, level);
    the_asker_is_not_asked(&mut make(), hubs, level);
    every_other_subscriber_is_asked_and_may_answer(&mut make(), hubs, level);
}

fn settle<B: Wired>(bus: &mut B) {
    for _ in 0..1_000_000 {
        if !bus.step() {
            return;
        }
    }
    panic!("the bus does not come to rest");
}

fn app() -> AppId {
    AppId::parse("0123456789abcdef0123456789abcdef").expect("an app id")
}

/// Topics of all kinds, enough that every hub is the home of some.
fn topics() -> Vec<Topic> {
    let user = |n: usize| UserKey {
        app: app(),
        user: UserId::parse(&format!("user-{n}")).expect("a user id"),
    };
    (0..8)
        .flat_map(|n| {
            let channel = ChannelName::parse(&format!("channel-{n}")).expect("a channel name");
            let channel = ChannelKey {
                app: app(),
                channel,
            };
            [
                Topic::User(user(n)),
                Topic::Calls(user(n)),
                Topic::Presence(user(n)),
                Topic::Channel(channel),
            ]
        })
        .collect()
}

/// A publication that fits this kind of topic, with a number of its own.
fn numbered(topic: &Topic, number: u64) -> Arc<Publication> {
    Arc::new(match topic {
        Topic::User(_) | Topic::Calls(_) => {
            let id = InvitationId([0; 16]);
            let revision = number;
            Publication::Invitation(InvitationWord::TakenOver { id, revision })
        }
        Topic::Presence(_) => Publication::Presence {
            state: PresenceState::Online,
            stamp: LoginStamp {
                mono_ms: 0,
                hub: HubId::local(0),
                count: number,
            },
        },
        Topic::Channel(_) => Publication::Message {
            sender: SessionId([0; 16]),
            cseq: number,
            server_ts: 0,
            frame: Bytes::new(),
            keep: None,
        },
    })
}

fn number_of(publication: &Publication) -> u64 {
    match publication {
        Publication::Invitation(InvitationWord::TakenOver { revision, .. }) => *revision,
        Publication::Presence { stamp, .. } => stamp.count,
        Publication::Message { cseq, .. } => *cseq,
        other => panic!("another publication than was published: {other:?}"),
    }
}

/// A question that fits this kind of topic, if there is one.
fn question(topic: &Topic) -> Option<Question> {
    match topic {
        Topic::User(_) => Some(Question::Presence),
        Topic::Channel(_) => Some(Question::Count),
        Topic::Calls(_) | Topic::Presence(_) => None,
    }
}

/// Topics to which questions can be sent.
fn asked_topics() -> impl Iterator<Item = Topic> {
    topics()
        .into_iter()
        .filter(|topic| question(topic).is_some())
}

fn message_to_keep(cseq: u64) -> Arc<Publication> {
    let keep = Keep {
        ask: AskId::new(cseq),
        message: HistoryMessage {
            position: 0,
            from: "ann".into(),
            body: Bytes::new(),
            server_ts: 0,
        },
        limits: HistoryLimits {
            messages_max: 1,
            age_ms: 1,
        },
    };
    Arc::new(Publication::Message {
        sender: SessionId([0; 16]),
        cseq,
        server_ts: 0,
        frame: Bytes::new(),
        keep: Some(Box::new(keep)),
    })
}

fn publish(topic: &Topic, cseq: u64) -> BusOp {
    BusOp::Publish {
        topic: topic.clone(),
        message: numbered(topic, cseq),
    }
}

fn published(topic: &Topic, from: HubId, cseq: u64) -> BusInput {
    BusInput::Published {
        topic: topic.clone(),
        from,
        message: numbered(topic, cseq),
    }
}

fn ask(topic: &Topic, id: u64) -> BusOp {
    BusOp::Ask {
        topic: topic.clone(),
        ask: AskId::new(id),
        question: Arc::new(question(topic).expect("something is asked of it")),
    }
}

fn publications_come_back_to_a_subscribed_publisher<B: Wired>(
    bus: &mut B,
    hubs: &[HubId],
    level: Level,
) {
    for topic in topics() {
        let publisher = *hubs.last().expect("there is a hub");
        bus.apply(publisher, BusOp::Subscribe(topic.clone()));
        level.settle_subscriptions(bus);
        bus.apply(publisher, publish(&topic, 1));
        bus.apply(publisher, publish(&topic, 2));
        settle(bus);
        let expected = [
            published(&topic, publisher, 1),
            published(&topic, publisher, 2),
        ];
        let got = bus.take(publisher);
        assert_eq!(got, expected, "a publisher gets its own back");
    }
}

fn nobody_hears_what_it_has_not_subscribed_to<B: Wired>(bus: &mut B, hubs: &[HubId]) {
    for topic in topics() {
        bus.apply(hubs[0], BusOp::Subscribe(topic.clone()));
        settle(bus);
        bus.apply(hubs[0], BusOp::Unsubscribe(topic.clone()));
        settle(bus);
        for hub in hubs {
            bus.apply(*hub, publish(&topic, 1));
        }
        settle(bus);
        for hub in hubs {
            assert_eq!(bus.take(*hub), [], "{topic:?} has no subscriber");
        }
    }
}

fn a_subscription_is_in_force_at_once<B: Wired>(bus: &mut B, hubs: &[HubId]) {
    for topic in topics() {
        for hub in hubs {
            // Nothing settles in between: the bus keeps one hub's order on its own.
            bus.apply(*hub, BusOp::Subscribe(topic.clone()));
            bus.apply(*hub, publish(&topic, 1));
            bus.apply(*hub, BusOp::Unsubscribe(topic.clone()));
            bus.apply(*hub, publish(&topic, 2));
            settle(bus);
            let got = bus.take(*hub);
            assert_eq!(
                got,
                [published(&topic, *hub, 1)],
                "subscribe, publish, unsubscribe, publish"
            );
        }
    }
}

fn a_repeated_subscription_counts_once<B: Wired>(bus: &mut B, hubs: &[HubId], level: Level) {
    let (topic, hub) = (&topics()[0], hubs[0]);
    bus.apply(hub, BusOp::Subscribe(topic.clone()));
    bus.apply(hub, BusOp::Subscribe(topic.clone()));
    level.settle_subscriptions(bus);
    bus.apply(hub, publish(topic, 1));
    level.settle_subscriptions(bus);
    bus.apply(hub, BusOp::Unsubscribe(topic.clone()));
    level.settle_subscriptions(bus);
    bus.apply(hub, publish(topic, 2));
    settle(bus);
    assert_eq!(bus.take(hub), [published(topic, hub, 1)]);
}

fn the_asker_is_not_asked<B: Wired>(bus: &mut B, hubs: &[HubId], level: Level) {
    for topic in asked_topics() {
        for hub in hubs {
            bus.apply(*hub, BusOp::Subscribe(topic.clone()));
            level.settle_subscriptions(bus);
            bus.apply(*hub, ask(&topic, 5));
            settle(bus);
            let nobody = BusInput::Nobody { ask: AskId::new(5) };
            assert_eq!(bus.take(*hub), [nobody], "no subscriber but the asker");
            bus.apply(*hub, BusOp::Unsubscribe(topic.clone()));
            settle(bus);
        }
    }
}

fn every_other_subscriber_is_asked_and_may_answer<B: Wired>(
    bus: &mut B,
    hubs: &[HubId],
    level: Level,
) {
    for topic in asked_topics() {
        for hub in hubs {
            bus.apply(*hub, BusOp::Subscribe(topic.clone()));
        }
        settle(bus);
        for asker in hubs.iter().filter(|_| hubs.len() > 1) {
            bus.apply(*asker, ask(&topic, 9));
            settle(bus);
            let mut expected = BTreeSet::new();
            for hub in hubs.iter().filter(|hub| *hub != asker) {
                let (to, ask) = take_question(bus, *hub, *asker, &topic);
                if level == Level::Node {
                    let others = u16::try_from(hubs.len() - 1).expect("few hubs");
                    assert_eq!(ask.asked, others, "the bus says how many were asked");
                }
                let answer = Answer::Count(hub.number());
                bus.apply(*hub, BusOp::Answer { to, ask, answer });
                expected.insert(*hub);
            }
            settle(bus);
            let answered: BTreeSet<HubId> = bus.take(*asker).into_iter().map(answerer).collect();
            assert_eq!(answered, expected, "everybody's answer arrives");
        }
    }
}

/// The question that was asked, and where its answer goes: to the asker, or to a hub of its node
/// that passes it on.
fn take_question<B: Wired>(
    bus: &mut B,
    hub: HubId,
    asker: HubId,
    wanted: &Topic,
) -> (HubId, AskId) {
    match &bus.take(hub)[..] {
        [
            BusInput::Asked {
                topic,
                from,
                ask,
                question,
            },
        ] => {
            assert_eq!(
                (topic, from.node),
                (wanted, asker.node),
                "where and by whom"
            );
            if hub.node == asker.node {
                assert_eq!((*from, ask.number), (asker, 9), "an ask keeps its number");
            }
            assert_eq!(Some(&**question), self::question(topic).as_ref());
            assert!(ask.asked > 0, "a subscriber counts itself");
            (*from, *ask)
        }
        other => panic!("{hub:?} was not asked once: {other:?}"),
    }
}

fn answerer(input: BusInput) -> HubId {
    match input {
        BusInput::Answered {
            ask: AskId { number: 9, .. },
            from,
            answer: Answer::Count(n),
        } => {
            assert_eq!(n, from.number(), "an answer keeps its sender");
            from
        }
        other => panic!("not an answer: {other:?}"),
    }
}

/// All hubs publish to all topics concurrently: subscribers of a topic that share a node must see
/// one order, and every subscriber must see each publisher's order.
fn subscribers_see_one_order<B: Wired>(bus: &mut B, hubs: &[HubId], place: impl Fn(&HubId) -> u16) {
    const ROUNDS: u64 = 50;
    let topics = topics();
    for topic in &topics {
        for hub in hubs {
            bus.apply(*hub, BusOp::Subscribe(topic.clone()));
        }
    }
    settle(bus);
    for round in 1..=ROUNDS {
        for topic in &topics {
            for hub in hubs {
                bus.apply(*hub, publish(topic, round));
            }
        }
        bus.step();
    }
    settle(bus);
    let mut of_place = BTreeMap::new();
    for hub in hubs {
        let seen = by_topic(bus.take(*hub));
        for topic in &topics {
            let order = &seen[&format!("{topic:?}")];
            let all = ROUNDS * hubs.len() as u64;
            assert_eq!(order.len() as u64, all, "nothing is lost or doubled");
            for publisher in hubs {
                let of = order.iter().filter(|(from, _)| from == publisher);
                let own: Vec<u64> = of.map(|(_, n)| *n).collect();
                assert!(own.is_sorted(), "one publisher's order is kept: {own:?}");
            }
        }
        let first = of_place.entry(place(hub)).or_insert_with(|| seen.clone());
        assert_eq!(&seen, first, "one order for all subscribers of a node");
    }
}

/// All hubs publish messages for the history concurrently: for each topic, exactly one hub receives
/// all of them to keep, in the order in which a subscriber receives them.
fn one_hub_keeps_a_history_in_the_order_that_subscribers_see<B: Wired>(
    bus: &mut B,
    hubs: &[HubId],
) {
    const ROUNDS: u64 = 20;
    let mut topics = topics();
    topics.retain(|topic| matches!(topic, Topic::Channel(_)));
    for topic in &topics {
        bus.apply(hubs[0], BusOp::Subscribe(topic.clone()));
    }
    settle(bus);
    for round in 1..=ROUNDS {
        for topic in &topics {
            for hub in hubs {
                let publish = BusOp::Publish {
                    topic: topic.clone(),
                    message: message_to_keep(round),
                };
                bus.apply(*hub, publish);
            }
        }
        bus.step();
    }
    settle(bus);
    let (mut published, mut kept) = (Vec::new(), BTreeMap::<String, Vec<_>>::new());
    let mut keepers = BTreeMap::new();
    for hub in hubs {
        for input in bus.take(*hub) {
            let BusInput::Keep {
                topic,
                from,
                message,
            } = input
            else {
                published.push(input);
                continue;
            };
            let number = number_of(&message);
            let topic = format!("{topic:?}");
            let keeper = keepers.entry(topic.clone()).or_insert(*hub);
            assert_eq!(keeper, hub, "one hub keeps all of {topic}");
            kept.entry(topic).or_default().push((from, number));
        }
    }
    assert_eq!(kept.len(), topics.len());
    assert_eq!(
        kept,
        by_topic(published),
        "the history's order is the topic's"
    );
}

fn by_topic(inputs: Vec<BusInput>) -> BTreeMap<String, Vec<(HubId, u64)>> {
    let mut orders: BTreeMap<String, Vec<(HubId, u64)>> = BTreeMap::new();
    for input in inputs {
        let BusInput::Published {
            topic,
            from,
            message,
        } = input
        else {
            panic!("not a publication: {input:?}");
        };
        orders
            .entry(format!("{topic:?}"))
            .or_default()
            .push((from, number_of(&message)));
    }
    orders
}
