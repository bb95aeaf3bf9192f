//! The in-memory router between the hubs of one process.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use siphasher::sip::SipHasher13;
use smallvec::SmallVec;
use tidings_fault::fault;
use tidings_hub::bus_ops::{AskId, BusInput, BusOp, Publication, Question, Topic};
use tidings_hub::counts::Tally;
use tidings_hub::ids::HubId;

use crate::door::{Bus, Crossing, Outlet};

/// Numbers of a topic's subscribers, in the order in which they subscribed; up to eight without an
/// allocation. All of them are hubs of the shard's node.
type Subscribers = SmallVec<[u16; 8]>;

/// Determines the home of each topic.
///
/// All hubs of a node hold equal copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Homes {
    node: u16,
    hubs: u16,
    key: (u64, u64),
}

impl Homes {
    /// Spreads topics over `hubs` hubs, numbered from 0.
    ///
    /// `key` comes from the node's random seed, so that nobody can choose names that all land on
    /// one hub.
    ///
    /// # Panics
    /// If `hubs` is 0.
    pub fn new(hubs: u16, key: (u64, u64)) -> Self {
        assert!(hubs > 0, "a node has at least one hub");
        let node = 0;
        Self { node, hubs, key }
    }

    /// The same for the hubs of a node of a cluster.
    #[must_use]
    pub fn on_node(self, node: u16) -> Self {
        Self { node, ..self }
    }

    fn hub(&self, hub: u16) -> HubId {
        let node = self.node;
        HubId { node, hub }
    }

    /// How many hubs there are.
    pub fn hubs(&self) -> u16 {
        self.hubs
    }

    /// The hub whose shard knows the topic's subscribers.
    pub fn home(&self, topic: &Topic) -> HubId {
        if self.hubs == 1 {
            return self.hub(0);
        }
        let mut hasher = SipHasher13::new_with_keys(self.key.0, self.key.1);
        topic.hash(&mut hasher);
        let home = hasher.finish() % u64::from(self.hubs);
        self.hub(u16::try_from(home).expect("a remainder of a u16 fits"))
    }

    /// The hub whose shard handles the operation: the topic's home, or the addressee of an answer.
    pub fn destination(&self, op: &BusOp) -> HubId {
        match op {
            BusOp::Subscribe(topic) | BusOp::Unsubscribe(topic) => self.home(topic),
            BusOp::Publish { topic, .. } | BusOp::Ask { topic, .. } => self.home(topic),
            BusOp::Answer { to, .. } => *to,
        }
    }
}

/// One hub's part of the router: the subscribers of the topics whose home it is.
///
/// Order: what one hub sends to another, operations and deliveries alike, must arrive in the order
/// in which it was sent; nothing is assumed about different senders.
#[derive(Debug)]
pub struct Shard {
    hub: HubId,
    homes: Homes,
    /// Bound: one entry per user, channel and watched user that any hub of the node is interested
    /// in. The hubs bound these, and an entry is removed with its last subscriber.
    topics: HashMap<Topic, Subscribers, SeededState>,
    /// How many of the topics are channels, by app.
    channels: Tally<u64>,
    /// The latest stamp of a message that this shard has routed, in Unix milliseconds.
    latest_ts: u64,
}

impl Shard {
    /// The shard of one hub, without subscribers.
    pub fn new(hub: HubId, homes: Homes) -> Self {
        // Not the key of the homes: under that one, the hashes of this shard's topics share some
        // bits.
        let state = SeededState(homes.key.1, !homes.key.0);
        Self {
            hub,
            homes,
            topics: HashMap::with_hasher(state),
            channels: Tally::default(),
            latest_ts: 0,
        }
    }

    /// Takes an operation of hub `from` whose [`Homes::destination`] is this hub, and passes what
    /// results to `deliver`, with its receiver, in order.
    ///
    /// O(subscribers of the topic).
    pub fn route(&mut self, from: HubId, op: BusOp, deliver: &mut impl FnMut(HubId, BusInput)) {
        debug_assert_eq!(
            self.homes.destination(&op),
            self.hub,
            "an operation went astray"
        );
        match op {
            BusOp::Subscribe(topic) => {
                let subscribers = match self.topics.entry(topic) {
                    Entry::Occupied(entry) => entry.into_mut(),
                    Entry::Vacant(entry) => {
                        if let Topic::Channel(key) = entry.key() {
                            *self.channels.of(&key.app, || true) += 1;
                        }
                        entry.insert(Subscribers::new())
                    }
                };
                let forgets_third = fault!(RouterForgetsThirdHub);
                if forgets_third && subscribers.len() > 1 {
                    return;
                }
                if !subscribers.contains(&from.hub) {
                    subscribers.push(from.hub);
                }
            }
            BusOp::Unsubscribe(topic) => self.unsubscribe(from, &topic),
            BusOp::Publish { topic, message } => self.publish(from, topic, message, deliver),
            BusOp::Ask {
                topic,
                ask,
                question,
            } => {
                if self.ask(from, &topic, (ask, &question), 0, deliver) == 0 {
                    deliver(from, BusInput::Nobody { ask });
                }
            }
            BusOp::Answer { to, ask, answer } => {
                deliver(to, BusInput::Answered { ask, from, answer });
            }
        }
    }

    /// Asks the topic's subscribers but `from`, of which there are `elsewhere` more in other
    /// places, and returns how many were asked here.
    fn ask(
        &self,
        from: HubId,
        topic: &Topic,
        (ask, question): (AskId, &Arc<Question>),
        elsewhere: usize,
        deliver: &mut impl FnMut(HubId, BusInput),
    ) -> usize {
        let others = || self.subscribers(topic).filter(|to| *to != from);
        let here = others().count();
        let asked = u16::try_from(here + elsewhere).unwrap_or(u16::MAX);
        for to in others() {
            let (topic, question) = (topic.clone(), question.clone());
            let ask = AskId { asked, ..ask };
            deliver(
                to,
                BusInput::Asked {
                    topic,
                    from,
                    ask,
                    question,
                },
            );
        }
        here
    }

    fn publish(
        &mut self,
        from: HubId,
        topic: Topic,
        message: Arc<Publication>,
        deliver: &mut impl FnMut(HubId, BusInput),
    ) {
        let message = self.in_order(message);
        let is_kept = matches!(&*message, Publication::Message { keep: Some(_), .. });
        // What came from another node is in the history already, or is kept there.
        if is_kept && from.node == self.hub.node {
            let (topic, message) = (topic.clone(), message.clone());
            let input = BusInput::Keep {
                topic,
                from,
                message,
            };
            if fault!(KeptIsAppendedTwice) {
                deliver(self.hub, input.clone());
            }
            deliver(self.hub, input);
        }
        for to in self.subscribers(&topic) {
            let (topic, message) = (topic.clone(), message.clone());
            deliver(
                to,
                BusInput::Published {
                    topic,
                    from,
                    message,
                },
            );
        }
    }

    /// Raises a stamp that is earlier than a preceding one to that one: the hubs' clocks differ,
    /// and one may have seen a jump that another has not (contract CRA-7).
    fn in_order(&mut self, message: Arc<Publication>) -> Arc<Publication> {
        let ignores_earlier = fault!(StampIgnoresEarlierOnes);
        match message.server_ts() {
            Some(server_ts) if server_ts < self.latest_ts && !ignores_earlier => {
                Arc::new(Arc::unwrap_or_clone(message).raised(self.latest_ts))
            }
            Some(server_ts) => {
                self.latest_ts = self.latest_ts.max(server_ts);
                message
            }
            None => message,
        }
    }

    /// Number of topics with a subscriber.
    pub fn topics(&self) -> usize {
        self.topics.len()
    }

    /// How many of them are channels, by app.
    pub fn channels(&self) -> &Tally<u64> {
        &self.channels
    }

    fn subscribers(&self, topic: &Topic) -> impl Iterator<Item = HubId> {
        let found = self.topics.get(topic);
        let hubs: &[u16] = found.map_or(&[], |subscribers| subscribers);
        hubs.iter().map(|hub| self.homes.hub(*hub))
    }

    fn unsubscribe(&mut self, from: HubId, topic: &Topic) {
        let Some(subscribers) = self.topics.get_mut(topic) else {
            return;
        };
        subscribers.retain(|subscriber| *subscriber != from.hub);
        if subscribers.is_empty() {
            self.topics.remove(topic);
            if let Topic::Channel(key) = topic {
                *self.channels.of(&key.app, || true) -= 1;
            }
        }
    }
}

/// The in-memory bus as one hub of a node sees it: its own shard, and a way to the other hubs'
/// shards.
#[derive(Debug)]
pub struct Router {
    hub: HubId,
    homes: Homes,
    shard: Shard,
    posts_to_itself: bool,
}

impl Router {
    /// The bus of one hub, without subscribers.
    pub fn new(hub: HubId, homes: Homes) -> Self {
        Self {
            hub,
            homes,
            shard: Shard::new(hub, homes),
            posts_to_itself: false,
        }
    }

    /// The same bus, except that it also posts crossings to its own hub: for a simulator that lets
    /// other things happen between an operation and its results.
    #[must_use]
    pub fn posting_to_itself(mut self) -> Self {
        self.posts_to_itself = true;
        self
    }

    /// Whose bus it is.
    pub fn hub(&self) -> HubId {
        self.hub
    }

    /// The hub to which an operation of this bus's own hub is posted before anything else happens;
    /// `None` = it is handled here.
    pub fn posted_to(&self, op: &BusOp) -> Option<HubId> {
        let at = self.homes.destination(op);
        (at != self.hub || self.posts_to_itself).then_some(at)
    }

    /// The topics with a subscriber that this hub is home to, in no particular order.
    pub fn subscribed(&self) -> impl Iterator<Item = &Topic> {
        self.shard.topics.keys()
    }

    /// The hubs of this node that are subscribed to a topic that this hub is home to.
    pub fn subscribers(&self, topic: &Topic) -> impl Iterator<Item = HubId> {
        self.shard.subscribers(topic)
    }

    /// The publication with the stamp that it has in this shard's order, for the other nodes:
    /// routed here next, it keeps that.
    pub fn in_order(&mut self, message: Arc<Publication>) -> Arc<Publication> {
        self.shard.in_order(message)
    }

    /// Gives a hub of this node an input.
    pub fn give(&self, to: HubId, input: BusInput, out: &mut impl Outlet) {
        if to == self.hub && !self.posts_to_itself {
            out.deliver(input);
        } else {
            out.post(to, Crossing::Deliver(input));
        }
    }

    /// Asks the subscribers here but `from`, telling them that there are `elsewhere` more, and
    /// returns how many they are.
    pub fn ask(
        &self,
        from: HubId,
        topic: &Topic,
        asked: (AskId, &Arc<Question>),
        elsewhere: usize,
        out: &mut impl Outlet,
    ) -> usize {
        let deliver = &mut |to, input| self.give(to, input, out);
        self.shard.ask(from, topic, asked, elsewhere, deliver)
    }

    /// Takes an operation whose [`Homes::destination`] is this hub, of a hub of this node or of
    /// another one, into the order of its topic.
    pub fn route(&mut self, from: HubId, op: BusOp, out: &mut impl Outlet) {
        let (hub, posts_to_itself) = (self.hub, self.posts_to_itself);
        self.shard.route(from, op, &mut |to, input| {
            if to == hub && !posts_to_itself {
                out.deliver(input);
            } else {
                out.post(to, Crossing::Deliver(input));
            }
        });
    }
}

impl Bus for Router {
    fn apply(&mut self, op: BusOp, out: &mut impl Outlet) {
        if let BusOp::Answer { to, ask, answer } = op {
            let from = self.hub;
            // An answer belongs to no topic's order.
            return self.give(to, BusInput::Answered { ask, from, answer }, out);
        }
        let at = self.homes.destination(&op);
        if at == self.hub && !self.posts_to_itself {
            self.route(self.hub, op, out);
        } else {
            let from = self.hub;
            out.post(at, Crossing::Route { from, op });
        }
    }

    fn take(&mut self, crossing: Crossing, out: &mut impl Outlet) {
        match crossing {
            Crossing::Route { from, op } => self.route(from, op, out),
            Crossing::Deliver(input) => out.deliver(input),
        }
    }

    fn topics(&self) -> usize {
        self.shard.topics()
    }

    fn channels(&self) -> &Tally<u64> {
        self.shard.channels()
    }
}

/// Hashes names chosen by users, with a key that they do not know.
#[derive(Debug, Clone, Copy)]
struct SeededState(u64, u64);

impl BuildHasher for SeededState {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
    }
}
