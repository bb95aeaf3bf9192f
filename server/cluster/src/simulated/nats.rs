//! A simulated NATS for tests and the simulator: servers that learn of each other's subscriptions
//! late, and connections that are slow, lose messages or end.
//!
//! What it keeps to is what core NATS gives: what one connection publishes arrives at another one
//! in its order, unless it is lost; a request without any subscriber that its server knows of is
//! answered at once; nothing is said of other losses. Everything follows from the seed and from
//! what is called when.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use super::traffic::{Event, Lane, Word, is_counted, names};
use crate::link::{LinkEvent, LinkOp};

/// Bytes that wait for a lost connection before it is full.
const QUEUE_BYTES_MAX: usize = 1 << 20;

/// Messages that wait for a slow connection before its server ends it.
const SLOW_MAX: usize = 20_000;

/// A connection, by its place in the order of their making.
pub type Link = usize;

/// Times of a simulated NATS, each from the first to the second number, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// Between a connection and its server, one way.
    pub way_ms: (u64, u64),
    /// Between two servers.
    pub route_ms: (u64, u64),
}

#[derive(Debug)]
struct Connection {
    server: usize,
    is_up: bool,
    /// Its side has been told that it is up: what has waited is sent when it has said what follows.
    has_heard: bool,
    life: u64,
    subjects: BTreeMap<u64, String>,
    /// What waits for the connection.
    queue: Vec<LinkOp>,
    queue_bytes: usize,
    is_full: bool,
    /// Of 1,000 messages to it, how many are lost.
    loss: u64,
    /// Nothing arrives before this time.
    slow_until_ms: u64,
    waiting: usize,
    inbox: VecDeque<LinkEvent>,
}

#[derive(Debug, Default)]
struct Server {
    /// Its own connections' subscriptions, by subject.
    local: BTreeMap<String, Vec<(Link, u64)>>,
    /// Other servers with subscriptions, by subject.
    remote: BTreeMap<String, BTreeSet<usize>>,
}

/// The servers and everybody's connections.
#[derive(Debug)]
pub struct Nats {
    now_ms: u64,
    times: Times,
    payload_max: usize,
    /// What was published, if it is to be noted.
    tapped: Option<Vec<(String, Bytes)>>,
    random: u64,
    sequence: u64,
    servers: Vec<Server>,
    /// Routes that are cut.
    cuts: BTreeSet<(usize, usize)>,
    /// Counts the lives of each route.
    routes: BTreeMap<(usize, usize), u64>,
    links: Vec<Connection>,
    events: BTreeMap<(u64, u64), Event>,
    lanes: BTreeMap<Lane, u64>,
    in_flight: usize,
}

impl Nats {
    /// Servers that know each other.
    ///
    /// # Panics
    /// If there are none.
    pub fn new(servers: usize, times: Times, seed: u64) -> Self {
        assert!(servers > 0, "there is a server");
        Self {
            now_ms: 0,
            times,
            payload_max: 1 << 20,
            tapped: None,
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            sequence: 0,
            servers: (0..servers).map(|_| Server::default()).collect(),
            cuts: BTreeSet::new(),
            routes: BTreeMap::new(),
            links: Vec::new(),
            events: BTreeMap::new(),
            lanes: BTreeMap::new(),
            in_flight: 0,
        }
    }

    /// The same with servers that take payloads of at most so many bytes.
    #[must_use]
    pub fn with_payload_max(mut self, bytes: usize) -> Self {
        self.payload_max = bytes;
        self
    }

    /// A new connection to a server; its `Up` is there at once.
    pub fn connect(&mut self, server: usize) -> Link {
        self.links.push(Connection {
            server,
            is_up: false,
            has_heard: false,
            life: 0,
            subjects: BTreeMap::new(),
            queue: Vec::new(),
            queue_bytes: 0,
            is_full: false,
            loss: 0,
            slow_until_ms: 0,
            waiting: 0,
            inbox: VecDeque::new(),
        });
        let link = self.links.len() - 1;
        self.reconnect(link, server);
        link
    }

    /// Connects a lost connection again. What has waited is sent after what its side says when it
    /// hears of that.
    pub fn reconnect(&mut self, link: Link, server: usize) {
        let servers = self.servers.len();
        let max_payload = self.payload_max;
        let connection = &mut self.links[link];
        if connection.is_up {
            return;
        }
        connection.server = server;
        connection.is_up = true;
        connection.has_heard = false;
        connection.life += 1;
        connection.waiting = 0;
        connection.inbox.push_back(LinkEvent::Up {
            max_payload,
            servers,
        });
        if std::mem::take(&mut connection.is_full) {
            connection.inbox.push_back(LinkEvent::Room);
        }
    }

    /// Sends what has waited for a connection whose side has said what follows from that.
    fn flush(&mut self, link: Link) {
        let connection = &mut self.links[link];
        if connection.is_up && connection.has_heard && !connection.queue.is_empty() {
            connection.queue_bytes = 0;
            for op in std::mem::take(&mut connection.queue) {
                self.send(link, op);
            }
        }
    }

    /// Ends a connection: what is on its way over it is lost.
    pub fn cut(&mut self, link: Link) {
        let connection = &mut self.links[link];
        if !connection.is_up {
            return;
        }
        connection.is_up = false;
        connection.life += 1;
        connection.inbox.push_back(LinkEvent::Down);
        let server = connection.server;
        for (sid, subject) in std::mem::take(&mut connection.subjects) {
            self.drop_subscription(server, link, sid, &subject);
        }
    }

    /// Whether the connection is there.
    pub fn is_up(&self, link: Link) -> bool {
        self.links[link].is_up
    }

    /// Nothing arrives over this connection for so long; if too much waits, its server ends it.
    pub fn slow(&mut self, link: Link, for_ms: u64) {
        self.links[link].slow_until_ms = self.now_ms + for_ms;
    }

    /// From now on so many of 1,000 messages to this connection are lost.
    pub fn lose(&mut self, link: Link, of_1000: u64) {
        self.links[link].loss = of_1000;
    }

    /// Notes what is published from now on, and returns what was.
    pub fn tap(&mut self) -> Vec<(String, Bytes)> {
        self.tapped.replace(Vec::new()).unwrap_or_default()
    }

    /// Cuts the route between two servers, or makes it again.
    pub fn set_route(&mut self, a: usize, b: usize, is_there: bool) {
        for between in [(a, b), (b, a)] {
            if is_there != self.cuts.contains(&between) {
                continue;
            }
            *self.routes.entry(between).or_default() += 1;
            let (from, to) = between;
            if is_there {
                self.cuts.remove(&between);
                let subjects: Vec<String> = self.servers[from].local.keys().cloned().collect();
                for subject in subjects {
                    self.route(from, to, Word::Subscribed(subject));
                }
            } else {
                self.cuts.insert(between);
                // Servers forget what a server wants that is out of reach.
                self.servers[to].remote.retain(|_, wanted| {
                    wanted.remove(&from);
                    !wanted.is_empty()
                });
            }
        }
    }

    /// A connection's own side does something.
    pub fn apply(&mut self, link: Link, op: LinkOp) {
        let connection = &mut self.links[link];
        if connection.is_up && connection.has_heard {
            return self.send(link, op);
        }
        let LinkOp::Publish { payload, .. } = &op else {
            return;
        };
        if connection.queue_bytes + payload.len() > QUEUE_BYTES_MAX {
            if !std::mem::replace(&mut connection.is_full, true) {
                connection.inbox.push_back(LinkEvent::Full);
            }
            return;
        }
        connection.queue_bytes += payload.len();
        connection.queue.push(op);
    }

    /// What has arrived over the connection, in order.
    pub fn take(&mut self, link: Link) -> Option<LinkEvent> {
        self.flush(link);
        let event = self.links[link].inbox.pop_front();
        if matches!(event, Some(LinkEvent::Up { .. })) {
            self.links[link].has_heard = true;
        }
        event
    }

    /// When something arrives somewhere.
    pub fn due(&self) -> Option<u64> {
        self.events.keys().next().map(|(at_ms, _)| *at_ms)
    }

    /// How much is on its way, without what is for all nodes.
    pub fn in_flight(&self) -> usize {
        self.in_flight
            + self
                .links
                .iter()
                .map(|link| link.inbox.len())
                .sum::<usize>()
    }

    /// Lets everything arrive that does until then.
    pub fn advance(&mut self, now_ms: u64) {
        for link in 0..self.links.len() {
            self.flush(link);
        }
        while let Some(at) = self.events.keys().next().copied()
            && at.0 <= now_ms
        {
            self.now_ms = self.now_ms.max(at.0);
            let event = self.events.remove(&at).expect("it was there");
            self.in_flight -= usize::from(is_counted(&event));
            self.arrive(event);
        }
        self.now_ms = self.now_ms.max(now_ms);
    }

    fn draw(&mut self, (from, to): (u64, u64)) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        from + (self.random >> 33) % (to - from + 1)
    }

    fn push(&mut self, lane: Lane, delay_ms: u64, event: Event) {
        let earliest = self.lanes.get(&lane).copied().unwrap_or_default();
        let at_ms = (self.now_ms + delay_ms).max(earliest);
        self.lanes.insert(lane, at_ms);
        self.sequence += 1;
        self.in_flight += usize::from(is_counted(&event));
        self.events.insert((at_ms, self.sequence), event);
    }

    fn send(&mut self, link: Link, op: LinkOp) {
        let life = self.links[link].life;
        let delay_ms = self.draw(self.times.way_ms);
        let event = Event::ToServer { link, life, op };
        self.push(Lane::ToServer(link), delay_ms, event);
    }

    fn tell(&mut self, link: Link, event: LinkEvent) {
        let is_message = matches!(event, LinkEvent::Message { .. });
        let loss = self.links[link].loss;
        if is_message && loss > 0 && self.draw((0, 999)) < loss {
            return;
        }
        let connection = &mut self.links[link];
        connection.waiting += 1;
        if connection.waiting > SLOW_MAX {
            return self.cut(link);
        }
        let life = connection.life;
        let slow_ms = connection.slow_until_ms.saturating_sub(self.now_ms);
        let delay_ms = self.draw(self.times.way_ms).max(slow_ms);
        let event = Event::ToClient { link, life, event };
        self.push(Lane::ToClient(link), delay_ms, event);
    }

    fn route(&mut self, from: usize, to: usize, word: Word) {
        if self.cuts.contains(&(from, to)) {
            return;
        }
        let between = (from, to);
        let life = self.routes.get(&between).copied().unwrap_or_default();
        let delay_ms = self.draw(self.times.route_ms);
        let event = Event::Route {
            between,
            life,
            word,
        };
        self.push(Lane::Route(from, to), delay_ms, event);
    }

    fn arrive(&mut self, event: Event) {
        match event {
            Event::ToServer { link, life, op } if self.links[link].life == life => {
                self.serve(link, op);
            }
            Event::ToClient { link, life, event } if self.links[link].life == life => {
                let connection = &mut self.links[link];
                connection.waiting -= 1;
                connection.inbox.push_back(event);
            }
            Event::Route {
                between,
                life,
                word,
            } if self.routes.get(&between).copied().unwrap_or_default() == life => {
                self.hear_route(between, word);
            }
            _ => {}
        }
    }

    fn serve(&mut self, link: Link, op: LinkOp) {
        let server = self.links[link].server;
        match op {
            LinkOp::Subscribe { sid, subject } => {
                self.links[link].subjects.insert(sid, subject.clone());
                let of = self.servers[server]
                    .local
                    .entry(subject.clone())
                    .or_default();
                of.push((link, sid));
                if of.len() == 1 {
                    self.spread(server, &Word::Subscribed(subject));
                }
            }
            LinkOp::Unsubscribe { sid } => {
                if let Some(subject) = self.links[link].subjects.remove(&sid) {
                    self.drop_subscription(server, link, sid, &subject);
                }
            }
            LinkOp::Publish {
                subject,
                reply,
                payload,
            } => self.publish(link, subject, reply, payload.into()),
            LinkOp::Ping => self.tell(link, LinkEvent::Pong),
        }
    }

    fn publish(&mut self, link: Link, subject: String, reply: Option<String>, payload: Bytes) {
        let server = self.links[link].server;
        assert!(payload.len() <= self.payload_max, "too long for the server");
        if let Some(tapped) = &mut self.tapped {
            tapped.push((subject.clone(), payload.clone()));
        }
        let mut is_heard = self.deliver(server, Some(link), &subject, &payload);
        let mut servers = BTreeSet::new();
        for name in names(&subject) {
            let of = self.servers[server].remote.get(&name);
            servers.extend(of.into_iter().flatten().copied());
        }
        for to in servers {
            is_heard = true;
            let (subject, payload) = (subject.clone(), payload.clone());
            self.route(server, to, Word::Message { subject, payload });
        }
        if let (false, Some(reply)) = (is_heard, reply) {
            let subject = reply.into();
            self.tell(link, LinkEvent::NoResponders { subject });
        }
    }

    /// Gives a message to the server's own connections but its sender's.
    fn deliver(
        &mut self,
        server: usize,
        sender: Option<Link>,
        subject: &str,
        payload: &Bytes,
    ) -> bool {
        let mut to = Vec::new();
        for name in names(subject) {
            let of = self.servers[server].local.get(&name);
            to.extend(of.into_iter().flatten().copied());
        }
        to.retain(|(link, _)| Some(*link) != sender);
        for (link, sid) in &to {
            let event = LinkEvent::Message {
                sid: *sid,
                subject: Bytes::copy_from_slice(subject.as_bytes()),
                reply: None,
                payload: payload.clone(),
            };
            self.tell(*link, event);
        }
        !to.is_empty()
    }

    fn drop_subscription(&mut self, server: usize, link: Link, sid: u64, subject: &str) {
        let local = &mut self.servers[server].local;
        if let Some(of) = local.get_mut(subject) {
            of.retain(|it| *it != (link, sid));
            if of.is_empty() {
                local.remove(subject);
                self.spread(server, &Word::Unsubscribed(subject.to_owned()));
            }
        }
    }

    fn spread(&mut self, server: usize, word: &Word) {
        for to in (0..self.servers.len()).filter(|to| *to != server) {
            self.route(server, to, word.clone());
        }
    }

    fn hear_route(&mut self, (from, to): (usize, usize), word: Word) {
        let remote = &mut self.servers[to].remote;
        match word {
            Word::Subscribed(subject) => {
                remote.entry(subject).or_default().insert(from);
            }
            Word::Unsubscribed(subject) => {
                if let Some(wanted) = remote.get_mut(&subject) {
                    wanted.remove(&from);
                    if wanted.is_empty() {
                        remote.remove(&subject);
                    }
                }
            }
            Word::Message { subject, payload } => {
                self.deliver(to, None, &subject, &payload);
            }
        }
    }
}
