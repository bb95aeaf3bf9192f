//! The contract suite: what every bus must do, whatever carries it.
//!
//! An implementation is wrapped as [`Wired`] and given to [`run`], which panics at the first breach and says
//! which clause of [`tidings_hub::bus_ops`] it breaks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use tidings_hub::bus_ops::{Answer, AskId, BusInput, BusOp, Keep, Publication, Question, Topic};
use tidings_hub::ids::{ChannelKey, HubId, SessionId, UserKey};
use tidings_hub::store_ops::{HistoryLimits, HistoryMessage};
use tidings_wire::names::{AppId, ChannelName, UserId};

/// A bus with its hubs, as the suite drives it.
pub trait Wired {
    /// Hub `from` does something.
    fn apply(&mut self, from: HubId, op: BusOp);

    /// Lets something that is under way go on. False when nothing is under way.
    fn step(&mut self) -> bool;

    /// What the hub has been given since the last call, in order.
    fn take(&mut self, hub: HubId) -> Vec<BusInput>;
}

/// Runs the suite; `make` wires a fresh bus with the given number of hubs.
///
/// # Panics
/// If the bus breaks the contract.
pub fn run<B: Wired>(mut make: impl FnMut(u16) -> B) {
    for hubs in [1, 2, 4] {
        publications_come_back_to_a_subscribed_publisher(&mut make(hubs), hubs);
        nobody_hears_what_it_has_not_subscribed_to(&mut make(hubs), hubs);
        a_subscription_is_in_force_at_once(&mut make(hubs), hubs);
        a_repeated_subscription_counts_once(&mut make(hubs), hubs);
        the_asker_is_not_asked(&mut make(hubs), hubs);
        every_other_subscriber_is_asked_and_may_answer(&mut make(hubs), hubs);
        subscribers_see_one_order(&mut make(hubs), hubs);
        one_hub_keeps_a_history_in_the_order_that_subscribers_see(&mut make(hubs), hubs);
    }
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

/// Topics of all kinds, enough of them that every hub is the home of some.
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
                Topic::Presence(user(n)),
                Topic::Channel(channel),
            ]
        })
        .collect()
}

fn message(cseq: u64) -> Arc<Publication> {
    Arc::new(Publication::Message {
        sender: SessionId([0; 16]),
        cseq,
        server_ts: 0,
        frame: Bytes::new(),
        keep: None,
    })
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
        message: message(cseq),
    }
}

fn published(topic: &Topic, from: u16, cseq: u64) -> BusInput {
    BusInput::Published {
        topic: topic.clone(),
        from: HubId(from),
        message: message(cseq),
    }
}

fn ask(topic: &Topic, id: u64) -> BusOp {
    BusOp::Ask {
        topic: topic.clone(),
        ask: AskId::new(id),
        question: Arc::new(Question::Presence),
    }
}

fn asked(topic: &Topic, from: u16, id: u64, asked: u16) -> BusInput {
    BusInput::Asked {
        topic: topic.clone(),
        from: HubId(from),
        ask: AskId { number: id, asked },
        question: Arc::new(Question::Presence),
    }
}

fn publications_come_back_to_a_subscribed_publisher<B: Wired>(bus: &mut B, hubs: u16) {
    for topic in topics() {
        let publisher = hubs - 1;
        bus.apply(HubId(publisher), BusOp::Subscribe(topic.clone()));
        bus.apply(HubId(publisher), publish(&topic, 1));
        bus.apply(HubId(publisher), publish(&topic, 2));
        settle(bus);
        let expected = [
            published(&topic, publisher, 1),
            published(&topic, publisher, 2),
        ];
        assert_eq!(
            bus.take(HubId(publisher)),
            expected,
            "a publisher gets its own back"
        );
    }
}

fn nobody_hears_what_it_has_not_subscribed_to<B: Wired>(bus: &mut B, hubs: u16) {
    for topic in topics() {
        bus.apply(HubId(0), BusOp::Subscribe(topic.clone()));
        settle(bus);
        bus.apply(HubId(0), BusOp::Unsubscribe(topic.clone()));
        settle(bus);
        for hub in 0..hubs {
            bus.apply(HubId(hub), publish(&topic, 1));
        }
        settle(bus);
        for hub in 0..hubs {
            assert_eq!(bus.take(HubId(hub)), [], "{topic:?} has no subscriber");
        }
    }
}

fn a_subscription_is_in_force_at_once<B: Wired>(bus: &mut B, hubs: u16) {
    for topic in topics() {
        for hub in 0..hubs {
            // No settling between: the bus keeps the order of one hub by itself.
            bus.apply(HubId(hub), BusOp::Subscribe(topic.clone()));
            bus.apply(HubId(hub), publish(&topic, 1));
            bus.apply(HubId(hub), BusOp::Unsubscribe(topic.clone()));
            bus.apply(HubId(hub), publish(&topic, 2));
            settle(bus);
            let got = bus.take(HubId(hub));
            assert_eq!(
                got,
                [published(&topic, hub, 1)],
                "subscribe, publish, unsubscribe, publish"
            );
        }
    }
}

fn a_repeated_subscription_counts_once<B: Wired>(bus: &mut B, _hubs: u16) {
    let topic = &topics()[0];
    bus.apply(HubId(0), BusOp::Subscribe(topic.clone()));
    bus.apply(HubId(0), BusOp::Subscribe(topic.clone()));
    bus.apply(HubId(0), publish(topic, 1));
    bus.apply(HubId(0), BusOp::Unsubscribe(topic.clone()));
    bus.apply(HubId(0), publish(topic, 2));
    settle(bus);
    assert_eq!(bus.take(HubId(0)), [published(topic, 0, 1)]);
}

fn the_asker_is_not_asked<B: Wired>(bus: &mut B, hubs: u16) {
    for topic in topics() {
        for hub in 0..hubs {
            bus.apply(HubId(hub), BusOp::Subscribe(topic.clone()));
            bus.apply(HubId(hub), ask(&topic, 5));
            settle(bus);
            let nobody = BusInput::Nobody { ask: AskId::new(5) };
            assert_eq!(
                bus.take(HubId(hub)),
                [nobody],
                "no subscriber but the asker"
            );
            bus.apply(HubId(hub), BusOp::Unsubscribe(topic.clone()));
            settle(bus);
        }
    }
}

fn every_other_subscriber_is_asked_and_may_answer<B: Wired>(bus: &mut B, hubs: u16) {
    for topic in topics() {
        for hub in 0..hubs {
            bus.apply(HubId(hub), BusOp::Subscribe(topic.clone()));
        }
        settle(bus);
        for asker in (0..hubs).filter(|_| hubs > 1) {
            bus.apply(HubId(asker), ask(&topic, 9));
            settle(bus);
            let mut expected = BTreeSet::new();
            for hub in (0..hubs).filter(|hub| *hub != asker) {
                assert_eq!(bus.take(HubId(hub)), [asked(&topic, asker, 9, hubs - 1)]);
                let answer = Answer::Count(u32::from(hub));
                bus.apply(
                    HubId(hub),
                    BusOp::Answer {
                        to: HubId(asker),
                        ask: AskId {
                            number: 9,
                            asked: hubs - 1,
                        },
                        answer,
                    },
                );
                expected.insert(hub);
            }
            settle(bus);
            let answered: BTreeSet<u16> = bus
                .take(HubId(asker))
                .into_iter()
                .map(|input| match input {
                    BusInput::Answered {
                        ask: AskId { number: 9, .. },
                        from,
                        answer: Answer::Count(n),
                    } => {
                        assert_eq!(n, u32::from(from.0), "an answer keeps its sender");
                        from.0
                    }
                    other => panic!("not an answer: {other:?}"),
                })
                .collect();
            assert_eq!(answered, expected, "everybody's answer arrives");
        }
    }
}

/// All hubs publish to all topics while what they send is under way: each topic's subscribers must see one
/// order, which keeps the order of every publisher.
fn subscribers_see_one_order<B: Wired>(bus: &mut B, hubs: u16) {
    const ROUNDS: u64 = 50;
    let topics = topics();
    for topic in &topics {
        for hub in 0..hubs {
            bus.apply(HubId(hub), BusOp::Subscribe(topic.clone()));
        }
    }
    settle(bus);
    for round in 1..=ROUNDS {
        for topic in &topics {
            for hub in 0..hubs {
                bus.apply(HubId(hub), publish(topic, round));
            }
        }
        bus.step();
    }
    settle(bus);
    let seen: Vec<_> = (0..hubs)
        .map(|hub| by_topic(bus.take(HubId(hub))))
        .collect();
    for topic in &topics {
        let order = &seen[0][&format!("{topic:?}")];
        assert_eq!(
            order.len() as u64,
            ROUNDS * u64::from(hubs),
            "nothing is lost or doubled"
        );
        for other in &seen[1..] {
            assert_eq!(
                &other[&format!("{topic:?}")],
                order,
                "one order for all subscribers"
            );
        }
        for hub in 0..hubs {
            let own: Vec<u64> = order
                .iter()
                .filter(|(from, _)| *from == HubId(hub))
                .map(|(_, n)| *n)
                .collect();
            assert!(
                own.is_sorted(),
                "the order of one publisher is kept: {own:?}"
            );
        }
    }
}

/// All hubs publish messages for the history while they are under way: of each topic, exactly one hub gets all of
/// them to keep, in the order in which a subscriber gets them.
fn one_hub_keeps_a_history_in_the_order_that_subscribers_see<B: Wired>(bus: &mut B, hubs: u16) {
    const ROUNDS: u64 = 20;
    let topics = topics();
    for topic in &topics {
        bus.apply(HubId(0), BusOp::Subscribe(topic.clone()));
    }
    settle(bus);
    for round in 1..=ROUNDS {
        for topic in &topics {
            for hub in 0..hubs {
                let publish = BusOp::Publish {
                    topic: topic.clone(),
                    message: message_to_keep(round),
                };
                bus.apply(HubId(hub), publish);
            }
        }
        bus.step();
    }
    settle(bus);
    let (mut published, mut kept) = (Vec::new(), BTreeMap::<String, Vec<_>>::new());
    let mut keepers = BTreeMap::new();
    for hub in 0..hubs {
        for input in bus.take(HubId(hub)) {
            let BusInput::Keep {
                topic,
                from,
                message,
            } = input
            else {
                published.push(input);
                continue;
            };
            let Publication::Message { cseq, .. } = &*message else {
                panic!("to be kept: {message:?}");
            };
            let topic = format!("{topic:?}");
            let keeper = keepers.entry(topic.clone()).or_insert(hub);
            assert_eq!(*keeper, hub, "one hub keeps all of {topic}");
            kept.entry(topic).or_default().push((from, *cseq));
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
        let Publication::Message { cseq, .. } = &*message else {
            panic!("another publication than was published: {message:?}");
        };
        orders
            .entry(format!("{topic:?}"))
            .or_default()
            .push((from, *cseq));
    }
    orders
}
