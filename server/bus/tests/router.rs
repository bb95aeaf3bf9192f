//! The in-memory router passes the bus contract, also when what crosses between hubs is delayed at
//! random.

use std::collections::VecDeque;

use tidings_bus::contract::{self, Wired};
use tidings_bus::{Bus, Crossing, Homes, Outlet, Router, Shard};
use tidings_hub::bus_ops::{BusInput, BusOp, Topic};
use tidings_hub::ids::{HubId, UserKey};
use tidings_wire::names::{AppId, UserId};

/// The routers of one node with a first-in-first-out link per ordered pair of hubs; which link
/// moves next is drawn at random.
struct Node {
    routers: Vec<Router>,
    /// By sender, then receiver.
    links: Vec<Vec<VecDeque<Crossing>>>,
    given: Vec<Vec<BusInput>>,
    random: u64,
}

/// What one hub's router has for its hub and for others.
#[derive(Default)]
struct Out {
    delivered: Vec<BusInput>,
    posted: Vec<(HubId, Crossing)>,
}

impl Outlet for Out {
    fn deliver(&mut self, input: BusInput) {
        self.delivered.push(input);
    }

    fn post(&mut self, to: HubId, crossing: Crossing) {
        self.posted.push((to, crossing));
    }
}

impl Node {
    fn new(hubs: u16, seed: u64) -> Self {
        Self::of(hubs, seed, |router| router)
    }

    fn of(hubs: u16, seed: u64, set: impl Fn(Router) -> Router) -> Self {
        let homes = Homes::new(hubs, (seed, 42));
        let link = || (0..hubs).map(|_| VecDeque::new()).collect();
        let router = |hub| set(Router::new(HubId::local(hub), homes));
        Self {
            routers: (0..hubs).map(router).collect(),
            links: (0..hubs).map(|_| link()).collect(),
            given: (0..hubs).map(|_| Vec::new()).collect(),
            random: seed | 1,
        }
    }

    fn carry(&mut self, at: usize, out: Out) {
        self.given[at].extend(out.delivered);
        for (to, crossing) in out.posted {
            self.links[at][to.index()].push_back(crossing);
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
        let mut out = Out::default();
        self.routers[from.index()].apply(op, &mut out);
        self.carry(from.index(), out);
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
        let mut out = Out::default();
        self.routers[to].take(crossing, &mut out);
        self.carry(to, out);
        true
    }

    fn take(&mut self, hub: HubId) -> Vec<BusInput> {
        std::mem::take(&mut self.given[hub.index()])
    }
}

#[test]
fn router_keeps_the_contract_under_random_delays() {
    for seed in 1..=20 {
        contract::within_a_node(|hubs| Node::new(hubs, seed));
    }
}

#[test]
fn a_router_that_posts_to_itself_keeps_the_contract_too() {
    for seed in 1..=5 {
        contract::within_a_node(|hubs| Node::of(hubs, seed, Router::posting_to_itself));
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
        counts[homes.home(&user_topic(n)).index()] += 1;
    }
    assert!(
        counts.iter().all(|count| (800..1_200).contains(count)),
        "{counts:?}"
    );
}

#[test]
fn a_topic_is_forgotten_with_its_last_subscriber() {
    let homes = Homes::new(1, (1, 2));
    let mut shard = Shard::new(HubId::local(0), homes);
    let silent = &mut |_, _| panic!("nothing is delivered");
    shard.route(HubId::local(0), BusOp::Subscribe(user_topic(1)), silent);
    assert_eq!(shard.topics(), 1);
    shard.route(HubId::local(0), BusOp::Unsubscribe(user_topic(1)), silent);
    shard.route(HubId::local(0), BusOp::Unsubscribe(user_topic(2)), silent);
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
    let verdict =
        std::panic::catch_unwind(|| contract::within_a_node(|hubs| Deaf(Node::new(hubs, 1))));
    assert!(
        verdict.is_err(),
        "a bus that never says Nobody passes the suite"
    );
}

#[test]
fn hubs_of_another_node_have_its_number_in_their_names() {
    let homes = Homes::new(2, (1, 2)).on_node(7);
    let from = HubId { node: 7, hub: 1 };
    let topic = (0..)
        .map(user_topic)
        .find(|topic| homes.home(topic) == from);
    let topic = topic.expect("a topic of this hub");
    let mut router = Router::new(from, homes);
    let mut out = Out::default();
    router.apply(BusOp::Subscribe(topic.clone()), &mut out);
    let message = std::sync::Arc::new(tidings_hub::bus_ops::Publication::InboxGrew);
    let publish = BusOp::Publish {
        topic: topic.clone(),
        message: message.clone(),
    };
    router.apply(publish, &mut out);
    let published = BusInput::Published {
        topic,
        from,
        message,
    };
    assert_eq!(out.delivered, [published]);
    assert!(out.posted.is_empty());
}
