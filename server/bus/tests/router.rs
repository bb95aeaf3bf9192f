//! The in-memory router passes the bus contract, also when what crosses between hubs is delayed at random.

use std::collections::VecDeque;

use tidings_bus::contract::{self, Wired};
use tidings_bus::{Homes, Shard};
use tidings_hub::bus_ops::{BusInput, BusOp, Topic};
use tidings_hub::ids::{HubId, UserKey};
use tidings_wire::names::{AppId, UserId};

/// What crosses from one hub to another.
enum Crossing {
    Route(BusOp),
    Deliver(BusInput),
}

/// The shards of one node with a first-in-first-out link per ordered pair of hubs; which link moves next is
/// drawn at random.
struct Node {
    homes: Homes,
    shards: Vec<Shard>,
    /// By sender, then receiver.
    links: Vec<Vec<VecDeque<Crossing>>>,
    given: Vec<Vec<BusInput>>,
    random: u64,
}

impl Node {
    fn new(hubs: u16, seed: u64) -> Self {
        let homes = Homes::new(hubs, (seed, 42));
        let link = || (0..hubs).map(|_| VecDeque::new()).collect();
        Self {
            homes,
            shards: (0..hubs).map(|hub| Shard::new(HubId(hub), homes)).collect(),
            links: (0..hubs).map(|_| link()).collect(),
            given: (0..hubs).map(|_| Vec::new()).collect(),
            random: seed | 1,
        }
    }

    fn send(&mut self, from: HubId, to: HubId, crossing: Crossing) {
        self.links[usize::from(from.0)][usize::from(to.0)].push_back(crossing);
    }

    fn route(&mut self, from: HubId, at: HubId, op: BusOp) {
        let mut deliveries = Vec::new();
        self.shards[usize::from(at.0)]
            .route(from, op, &mut |to, input| deliveries.push((to, input)));
        for (to, input) in deliveries {
            self.send(at, to, Crossing::Deliver(input));
        }
    }

    fn draw(&mut self, below: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from(self.random >> 33).expect("31 bits") % below
    }
}

impl Wired for Node {
    fn apply(&mut self, from: HubId, op: BusOp) {
        let at = self.homes.destination(&op);
        if at == from {
            self.route(from, at, op);
        } else {
            self.send(from, at, Crossing::Route(op));
        }
    }

    fn step(&mut self) -> bool {
        let busy: Vec<(usize, usize)> = (0..self.links.len())
            .flat_map(|from| (0..self.links.len()).map(move |to| (from, to)))
            .filter(|(from, to)| !self.links[*from][*to].is_empty())
            .collect();
        if busy.is_empty() {
            return false;
        }
        let (from, to) = busy[self.draw(busy.len())];
        let crossing = self.links[from][to].pop_front().expect("the link is busy");
        let hub = |n: usize| HubId(u16::try_from(n).expect("few hubs"));
        match crossing {
            Crossing::Route(op) => self.route(hub(from), hub(to), op),
            Crossing::Deliver(input) => self.given[to].push(input),
        }
        true
    }

    fn take(&mut self, hub: HubId) -> Vec<BusInput> {
        std::mem::take(&mut self.given[usize::from(hub.0)])
    }
}

#[test]
fn router_keeps_the_contract_under_random_delays() {
    for seed in 1..=20 {
        contract::run(|hubs| Node::new(hubs, seed));
    }
}

fn user_topic(n: usize) -> Topic {
    Topic::User(UserKey {
        app: AppId::parse("0123456789abcdef0123456789abcdef").expect("an app id"),
        user: UserId::parse(&format!("u{n}")).expect("a user id"),
    })
}

#[test]
fn topics_are_spread_over_all_hubs() {
    let homes = Homes::new(4, (3, 4));
    let mut counts = [0; 4];
    for n in 0..4_000 {
        counts[usize::from(homes.home(&user_topic(n)).0)] += 1;
    }
    assert!(
        counts.iter().all(|count| (800..1_200).contains(count)),
        "{counts:?}"
    );
}

#[test]
fn a_topic_is_forgotten_with_its_last_subscriber() {
    let homes = Homes::new(1, (1, 2));
    let mut shard = Shard::new(HubId(0), homes);
    let silent = &mut |_, _| panic!("nothing is delivered");
    shard.route(HubId(0), BusOp::Subscribe(user_topic(1)), silent);
    assert_eq!(shard.topics(), 1);
    shard.route(HubId(0), BusOp::Unsubscribe(user_topic(1)), silent);
    shard.route(HubId(0), BusOp::Unsubscribe(user_topic(2)), silent);
    assert_eq!(shard.topics(), 0);
}

#[test]
fn the_contract_finds_a_bus_that_never_says_nobody() {
    /// Answers asks of nobody with silence.
    struct Deaf(Node);
    impl Wired for Deaf {
        fn apply(&mut self, from: HubId, op: BusOp) {
            self.0.apply(from, op);
        }
        fn step(&mut self) -> bool {
            self.0.step()
        }
        fn take(&mut self, hub: HubId) -> Vec<BusInput> {
            let mut given = self.0.take(hub);
            given.retain(|input| !matches!(input, BusInput::Nobody { .. }));
            given
        }
    }
    let verdict = std::panic::catch_unwind(|| contract::run(|hubs| Deaf(Node::new(hubs, 1))));
    assert!(
        verdict.is_err(),
        "a bus that never says Nobody passes the suite"
    );
}
