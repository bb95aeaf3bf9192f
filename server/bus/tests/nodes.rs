//! A bus between nodes passes the suite's second level and not its first: what crosses from node to
//! node is bytes, and takes its time, so that nodes see two senders in different orders and hear
//! late of a subscription.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tidings_bus::Crossing;
use tidings_bus::contract::{self, Wired};
use tidings_hub::bus_ops::{AskId, BusInput, BusOp, Question, Topic};
use tidings_hub::ids::HubId;

/// A broker on each node, which knows the subscribers of its own hubs and how many every other node
/// has.
struct Mesh {
    /// Local subscribers by topic, of each node.
    subscribers: Vec<BTreeMap<String, Vec<HubId>>>,
    /// Links between nodes, by sender and receiver; what is on its way are bytes.
    links: BTreeMap<(u16, u16), VecDeque<Vec<u8>>>,
    /// What each node has heard of the subscribers of others.
    heard: BTreeMap<(u16, u16), BTreeMap<String, u16>>,
    given: BTreeMap<HubId, Vec<BusInput>>,
    random: u64,
}

impl Mesh {
    fn new(counts: &[u16], seed: u64) -> Self {
        Self {
            subscribers: counts.iter().map(|_| BTreeMap::new()).collect(),
            links: BTreeMap::new(),
            heard: BTreeMap::new(),
            given: BTreeMap::new(),
            random: seed | 1,
        }
    }

    fn nodes(&self) -> u16 {
        u16::try_from(self.subscribers.len()).expect("few nodes")
    }

    fn give(&mut self, to: HubId, input: BusInput) {
        self.given.entry(to).or_default().push(input);
    }

    /// Sends to the brokers of all other nodes.
    fn spread(&mut self, from: HubId, op: &BusOp) {
        for node in (0..self.nodes()).filter(|node| *node != from.node) {
            let op = op.clone();
            let bytes = Crossing::Route { from, op }.encode();
            self.links
                .entry((from.node, node))
                .or_default()
                .push_back(bytes);
        }
    }

    fn local(&self, node: u16, topic: &Topic) -> Vec<HubId> {
        let of_node = &self.subscribers[usize::from(node)];
        let found = of_node.get(&format!("{topic:?}"));
        found.cloned().unwrap_or_default()
    }

    /// An operation at the broker of a node: of its own hub, or of another node's.
    fn route(&mut self, node: u16, from: HubId, op: BusOp) {
        let is_own = from.node == node;
        match op {
            BusOp::Subscribe(topic) => self.note_interest(node, from, &topic, true),
            BusOp::Unsubscribe(topic) => self.note_interest(node, from, &topic, false),
            BusOp::Publish { topic, message } => {
                for to in self.local(node, &topic) {
                    let input = BusInput::Published {
                        topic: topic.clone(),
                        from,
                        message: message.clone(),
                    };
                    self.give(to, input);
                }
            }
            BusOp::Ask {
                topic,
                ask,
                question,
            } => {
                let asked = self.ask(node, from, (&topic, ask), &question);
                let elsewhere = self.heard.iter().filter(|((at, _), _)| *at == node);
                let name = format!("{topic:?}");
                let known = elsewhere.filter_map(|(_, of)| of.get(&name)).sum::<u16>();
                if is_own && asked == 0 && known == 0 {
                    self.give(from, BusInput::Nobody { ask });
                }
            }
            BusOp::Answer { to, ask, answer } if to.node == node => {
                self.give(to, BusInput::Answered { ask, from, answer });
            }
            BusOp::Answer { .. } => {}
        }
    }

    fn ask(
        &mut self,
        node: u16,
        from: HubId,
        (topic, ask): (&Topic, AskId),
        question: &Arc<Question>,
    ) -> usize {
        let mut others = self.local(node, topic);
        others.retain(|to| *to != from);
        let asked = u16::try_from(others.len()).expect("few hubs");
        for to in &others {
            let input = BusInput::Asked {
                topic: topic.clone(),
                from,
                ask: AskId { asked, ..ask },
                question: question.clone(),
            };
            self.give(*to, input);
        }
        others.len()
    }

    fn note_interest(&mut self, node: u16, from: HubId, topic: &Topic, is_there: bool) {
        let name = format!("{topic:?}");
        if from.node == node {
            let hubs = self.subscribers[usize::from(node)].entry(name).or_default();
            hubs.retain(|hub| *hub != from);
            hubs.extend(is_there.then_some(from));
            return;
        }
        // One broker tells another of its hubs one by one.
        let known = self.heard.entry((node, from.node)).or_default();
        let count = known.entry(name).or_default();
        *count = if is_there {
            *count + 1
        } else {
            count.saturating_sub(1)
        };
    }

    fn draw(&mut self, below: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from(self.random >> 33).expect("31 bits") % below
    }
}

impl Wired for Mesh {
    fn apply(&mut self, from: HubId, op: BusOp) {
        // Repeats are not told: others count.
        let is_news = match &op {
            BusOp::Subscribe(topic) => !self.local(from.node, topic).contains(&from),
            BusOp::Unsubscribe(topic) => self.local(from.node, topic).contains(&from),
            _ => true,
        };
        if is_news {
            self.spread(from, &op);
        }
        self.route(from.node, from, op);
    }

    fn step(&mut self) -> bool {
        let is_busy = |link: &&VecDeque<Vec<u8>>| !link.is_empty();
        let busy: Vec<(u16, u16)> = self
            .links
            .iter()
            .filter(|(_, link)| is_busy(link))
            .map(|(between, _)| *between)
            .collect();
        if busy.is_empty() {
            return false;
        }
        let between = busy[self.draw(busy.len())];
        let link = self.links.get_mut(&between).expect("it is busy");
        let bytes = link.pop_front().expect("it is busy");
        match Crossing::decode(&bytes).expect("what another node has written") {
            Crossing::Route { from, op } => self.route(between.1, from, op),
            Crossing::Deliver(_) => unreachable!("brokers send operations"),
        }
        true
    }

    fn take(&mut self, hub: HubId) -> Vec<BusInput> {
        self.given.remove(&hub).unwrap_or_default()
    }
}

#[test]
fn a_bus_of_bytes_between_nodes_keeps_what_a_network_can_give() {
    for seed in 1..=10 {
        contract::between_nodes(|counts| Mesh::new(counts, seed));
    }
}

#[test]
fn what_a_network_cannot_give_is_asked_for_within_a_node_only() {
    // Its hubs are all of node 0: only there is it one bus. Made of two nodes under one name it
    // breaks the first level.
    struct Torn(Mesh);
    fn torn(hub: HubId) -> HubId {
        HubId {
            node: hub.hub % 2,
            hub: hub.hub,
        }
    }
    impl Wired for Torn {
        fn apply(&mut self, from: HubId, op: BusOp) {
            self.0.apply(torn(from), op);
        }
        fn step(&mut self) -> bool {
            self.0.step()
        }
        fn take(&mut self, hub: HubId) -> Vec<BusInput> {
            let whole = |mut input: BusInput| {
                if let BusInput::Published { from, .. } | BusInput::Answered { from, .. } =
                    &mut input
                {
                    from.node = 0;
                }
                input
            };
            let given = self.0.take(torn(hub)).into_iter();
            given.map(whole).collect()
        }
    }
    let verdict = std::panic::catch_unwind(|| {
        contract::within_a_node(|_| Torn(Mesh::new(&[4, 4], 3)));
    });
    assert!(
        verdict.is_err(),
        "a network passes for the bus within a node"
    );
}
