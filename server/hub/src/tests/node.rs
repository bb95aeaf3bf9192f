//! A node for tests: hubs that meet on a bus without delay and keep messages in a store without a
//! disk.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use tidings_wire::codes::CloseCode;
use tidings_wire::frame::decode_server;
use tidings_wire::names::AppId;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{
    ClientFrame, ClientMessage, Login, Message, Request, Resume, SendToPeer, Welcome,
    client_message, message, request,
};

use crate::bus_ops::{BusInput, BusOp, Publication, Topic};
use crate::config::{App, Apps, HubConfig};
use crate::hub::Hub;
use crate::ids::{ConnectionId, HubId, UserKey};
use crate::io::{Effect, Input, Ticket};
use crate::life::resume::REFUSAL_MS;
use crate::moderation::HeldMessage;
use crate::outside::OutsideAnswer;
use crate::store_ops::{
    AttributeEntry, InboxLosses, InvitationName, StoreAnswer, StoreOp, StoredInvitation,
    StoredMessage,
};
use crate::time::Time;
use crate::used::UsedRates;

/// Something that has not happened yet.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "few of them wait in a test")]
pub(crate) enum Pending {
    Input(usize, Input),
    Bus(usize, BusOp),
}

/// What a connection has been given.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) messages: Vec<Kind>,
    pub(crate) closed: Option<CloseCode>,
}

/// Hubs of one node, or of several.
pub(crate) struct Node {
    pub(crate) hubs: Vec<Hub>,
    ids: Vec<HubId>,
    /// Nodes, from and to, between which nothing arrives.
    pub(crate) cuts: BTreeSet<(u16, u16)>,
    /// Publications that were lost there, by topic, node and hub to which they were to go.
    missed: Vec<(Topic, u16, usize, u64)>,
    /// Nodes that do not answer any more.
    pub(crate) dead: BTreeSet<u16>,
    pub(crate) now: Time,
    pub(crate) seen: BTreeMap<ConnectionId, Seen>,
    pub(crate) store_ops: Vec<StoreOp>,
    /// What was answered to calls from outside.
    pub(crate) answers: Vec<(Ticket, OutsideAnswer)>,
    /// Messages that hubs hold, as their backends are asked.
    pub(crate) held: Vec<(Ticket, HeldMessage)>,
    /// So many reads of inboxes fail.
    pub(crate) reads_failing: usize,
    /// What is given to the hubs waits here while this is set.
    used: UsedRates,
    pub(crate) is_held: bool,
    pub(crate) queue: VecDeque<Pending>,
    /// What was published on presence topics.
    pub(crate) presence: Vec<BusOp>,
    topics: Vec<(Topic, usize)>,
    inboxes: BTreeMap<UserKey, Vec<StoredMessage>>,
    inbox_numbers: u64,
    invitations: BTreeMap<InvitationName, StoredInvitation>,
    /// By owner; every write replaces all of them.
    attributes: BTreeMap<String, Vec<AttributeEntry>>,
    owners: BTreeMap<ConnectionId, usize>,
    cseqs: BTreeMap<ConnectionId, u64>,
    connections: u64,
}

fn config(id: HubId, apps: Arc<Apps>, seed: u8) -> HubConfig {
    HubConfig {
        id,
        seed: [id.hub as u8 + 10 * id.node as u8 + seed; 32],
        apps,
        server: "test".into(),
        drain_window_ms: 0,
        epoch_base: (id.node > 0).then_some(u64::from(seed) << 20),
    }
}

impl Node {
    pub(crate) fn new(hubs: u16) -> Self {
        let mut app = App::default();
        app.settings.rate_limits = false;
        let mut apps = Apps::default();
        let id = AppId::parse(&"a".repeat(32)).expect("an app id");
        apps.listed.insert(id, app);
        Self::with_apps(hubs, apps)
    }

    pub(crate) fn with_apps(hubs: u16, apps: Apps) -> Self {
        Self::with_ids((0..hubs).map(HubId::local).collect(), apps)
    }

    /// Nodes from 1 on, with so many hubs each: a hub's place is counted over all of them.
    pub(crate) fn cluster(nodes: u16, hubs: u16) -> Self {
        let alone = Self::new(1);
        let apps = (*alone.hubs[0].kernel.config.apps).clone();
        let of = |node| (0..hubs).map(move |hub| HubId { node, hub });
        Self::with_ids((1..=nodes).flat_map(of).collect(), apps)
    }

    fn with_ids(ids: Vec<HubId>, apps: Apps) -> Self {
        let apps = Arc::new(apps);
        let hub = |id: &HubId| Hub::new(config(*id, Arc::clone(&apps), 1));
        Self {
            hubs: ids.iter().map(hub).collect(),
            ids,
            cuts: BTreeSet::new(),
            missed: Vec::new(),
            dead: BTreeSet::new(),
            now: Time {
                mono_ms: 1_000,
                unix_ms: 1_700_000_000_000,
            },
            seen: BTreeMap::new(),
            store_ops: Vec::new(),
            answers: Vec::new(),
            held: Vec::new(),
            reads_failing: 0,
            is_held: false,
            used: UsedRates::new((1, 2)),
            queue: VecDeque::new(),
            presence: Vec::new(),
            topics: Vec::new(),
            inboxes: BTreeMap::new(),
            inbox_numbers: 0,
            invitations: BTreeMap::new(),
            attributes: BTreeMap::new(),
            owners: BTreeMap::new(),
            cseqs: BTreeMap::new(),
            connections: 0,
        }
    }

    /// The process ends and another one begins: only the store is left.
    pub(crate) fn reincarnate(&mut self) {
        self.topics.clear();
        self.used = UsedRates::new((1, 2));
        for hub in &mut self.hubs {
            let id = hub.kernel.config.id;
            *hub = Hub::new(config(id, Arc::clone(&hub.kernel.config.apps), 100));
        }
        self.now.mono_ms = 500;
        self.now.unix_ms += 3_000;
    }

    fn place(&self, id: HubId) -> Option<usize> {
        self.ids.iter().position(|of| *of == id)
    }

    /// Whether what one hub says reaches another.
    fn reaches(&self, from: usize, to: usize) -> bool {
        let (from, to) = (self.ids[from].node, self.ids[to].node);
        !self.cuts.contains(&(from, to)) && !self.dead.contains(&from) && !self.dead.contains(&to)
    }

    /// Everything arrives again, and what was lost shows.
    pub(crate) fn heal(&mut self) {
        self.cuts.clear();
        for (topic, node, to, count) in std::mem::take(&mut self.missed) {
            let is_subscribed = self.topics.contains(&(topic.clone(), to));
            if is_subscribed {
                let from = HubId { node, hub: 0 };
                let input = BusInput::Missed { topic, from, count };
                self.give(to, Input::Bus(input));
            }
        }
    }

    /// A node dies, and the others find that out.
    pub(crate) fn lose(&mut self, node: u16) {
        self.dead.insert(node);
        self.missed.retain(|(_, of, ..)| *of != node);
        let ids = self.ids.clone();
        self.topics.retain(|(_, hub)| ids[*hub].node != node);
        for (at, id) in ids.iter().enumerate() {
            if id.node != node {
                self.give(at, Input::Bus(BusInput::NodeLost { node }));
            }
        }
    }

    /// A process with the number of a lost node begins.
    pub(crate) fn start_anew(&mut self, node: u16) {
        self.dead.remove(&node);
        for (hub, id) in self.hubs.iter_mut().zip(&self.ids) {
            if id.node == node {
                *hub = Hub::new(config(*id, Arc::clone(&hub.kernel.config.apps), 100));
            }
        }
    }

    /// A resumed session's calls count on from here.
    pub(crate) fn count_on(&mut self, connection: ConnectionId, cseq: u64) {
        self.cseqs.insert(connection, cseq);
    }

    pub(crate) fn give(&mut self, hub: usize, input: Input) {
        self.queue.push_back(Pending::Input(hub, input));
        if !self.is_held {
            self.settle();
        }
    }

    /// Lets everything happen that is under way.
    pub(crate) fn settle(&mut self) {
        while self.step() {}
    }

    /// Lets one thing happen; false when nothing is under way.
    pub(crate) fn step(&mut self) -> bool {
        match self.queue.pop_front() {
            Some(Pending::Input(hub, _)) if self.dead.contains(&self.ids[hub].node) => {}
            Some(Pending::Input(hub, input)) => {
                let mut effects = Vec::new();
                if let Some(recalled) = self.used.before(&input, self.now.mono_ms) {
                    self.hubs[hub].handle(self.now, recalled, &mut effects);
                }
                self.hubs[hub].handle(self.now, input, &mut effects);
                for effect in effects {
                    self.carry_out(hub, effect);
                }
            }
            Some(Pending::Bus(from, op)) => self.route(from, op),
            None => return false,
        }
        true
    }

    fn see(&mut self, connection: ConnectionId, frame: &[u8]) {
        let head = if frame[1] & 0x7f == 126 { 4 } else { 2 };
        let frame = decode_server(&frame[head..]).expect("a frame");
        let kinds = frame.messages.into_iter().filter_map(|m| m.kind);
        self.seen
            .entry(connection)
            .or_default()
            .messages
            .extend(kinds);
    }

    fn carry_out(&mut self, hub: usize, effect: Effect) {
        match effect {
            Effect::Send { connection, frame } => self.see(connection, &frame),
            Effect::SendAll { connections, frame } => {
                for connection in connections {
                    self.see(connection, &frame);
                }
            }
            Effect::Answer { ticket, answer } => self.answers.push((ticket, answer)),
            Effect::Moderate { ticket, question } => self.held.push((ticket, *question)),
            Effect::Close { connection, code } => {
                self.seen.entry(connection).or_default().closed = Some(code);
            }
            Effect::HandOver {
                connection,
                to,
                wish,
                opened_ms,
            } => {
                let to = self.place(to).expect("a hub that there is");
                let from = self.ids[hub].node;
                assert_eq!(self.ids[to].node, from, "a connection stays on its node");
                self.owners.insert(connection, to);
                let input = Input::HandedOver {
                    connection,
                    wish,
                    opened_ms,
                };
                self.queue.push_back(Pending::Input(to, input));
            }
            Effect::Used { user, word } => self.used.note(user, word, self.now.mono_ms),
            Effect::Bus(op) => self.queue.push_back(Pending::Bus(hub, op)),
            Effect::Store { ticket, op } => {
                let answer = self.answer_store(&op);
                self.store_ops.push(op);
                let input = Input::Store { ticket, answer };
                self.queue.push_back(Pending::Input(hub, input));
            }
        }
    }

    fn route(&mut self, from: usize, op: BusOp) {
        let from_hub = self.ids[from];
        if let BusOp::Publish { topic, .. } = &op
            && matches!(topic, Topic::Presence(_))
        {
            self.presence.push(op.clone());
        }
        match op {
            BusOp::Subscribe(topic) => {
                if !self.topics.contains(&(topic.clone(), from)) {
                    self.topics.push((topic, from));
                }
            }
            BusOp::Unsubscribe(topic) => {
                self.topics.retain(|entry| *entry != (topic.clone(), from))
            }
            BusOp::Publish { topic, message } => {
                self.keep(from_hub, &topic, &message);
                for to in self.subscribers(&topic) {
                    if !self.reaches(from, to) {
                        self.miss(&topic, from_hub.node, to);
                        continue;
                    }
                    let input = BusInput::Published {
                        topic: topic.clone(),
                        from: from_hub,
                        message: Arc::clone(&message),
                    };
                    self.queue.push_back(Pending::Input(to, Input::Bus(input)));
                }
            }
            BusOp::Ask {
                topic,
                mut ask,
                question,
            } => {
                let mut asked = self.subscribers(&topic);
                asked.retain(|to| *to != from);
                ask.asked = u16::try_from(asked.len()).expect("few hubs");
                if asked.is_empty() {
                    let input = Input::Bus(BusInput::Nobody { ask });
                    self.queue.push_back(Pending::Input(from, input));
                }
                for to in asked {
                    if !self.reaches(from, to) {
                        // Silence.
                        continue;
                    }
                    let input = BusInput::Asked {
                        topic: topic.clone(),
                        from: from_hub,
                        ask,
                        question: Arc::clone(&question),
                    };
                    self.queue.push_back(Pending::Input(to, Input::Bus(input)));
                }
            }
            BusOp::Answer { to, ask, answer } => {
                let input = BusInput::Answered {
                    ask,
                    from: from_hub,
                    answer,
                };
                let to = self.place(to).expect("a hub that there is");
                if self.reaches(from, to) {
                    self.queue.push_back(Pending::Input(to, Input::Bus(input)));
                }
            }
        }
    }

    /// A message to be kept goes to where the topic is at home.
    fn keep(&mut self, from_hub: HubId, topic: &Topic, message: &Arc<Publication>) {
        if matches!(**message, Publication::Message { keep: Some(_), .. }) {
            // Every topic is at home on the last hub of the node.
            let input = Input::Bus(BusInput::Keep {
                topic: topic.clone(),
                from: from_hub,
                message: Arc::clone(message),
            });
            let is_of_node = |id: &HubId| id.node == from_hub.node;
            let home = self.ids.iter().rposition(is_of_node).expect("a hub");
            self.queue.push_back(Pending::Input(home, input));
        }
    }

    fn miss(&mut self, topic: &Topic, node: u16, to: usize) {
        let of = |(of, from, at, _): &&mut (Topic, u16, usize, u64)| {
            of == topic && *from == node && *at == to
        };
        match self.missed.iter_mut().find(of) {
            Some((.., count)) => *count += 1,
            None => self.missed.push((topic.clone(), node, to, 1)),
        }
    }

    fn subscribers(&self, topic: &Topic) -> Vec<usize> {
        let matching = self.topics.iter().filter(|(of, _)| of == topic);
        matching.map(|(_, hub)| *hub).collect()
    }

    fn answer_store(&mut self, op: &StoreOp) -> StoreAnswer {
        match op {
            StoreOp::InboxAppend { user, message, .. } => {
                self.inbox_numbers += 1;
                let message = StoredMessage {
                    inbox: self.inbox_numbers,
                    ..message.clone()
                };
                self.inboxes.entry(user.clone()).or_default().push(message);
                StoreAnswer::InboxAppended {
                    inbox: self.inbox_numbers,
                }
            }
            StoreOp::InboxRead { .. } if self.reads_failing > 0 => {
                self.reads_failing -= 1;
                StoreAnswer::Failed {
                    reason: "as the test wants it".into(),
                }
            }
            StoreOp::InboxRead {
                user,
                after,
                count_max,
                ..
            } => {
                let inbox = self.inboxes.entry(user.clone()).or_default();
                let mut messages: Vec<_> =
                    inbox.iter().filter(|m| m.inbox > *after).cloned().collect();
                let has_more = messages.len() > *count_max;
                messages.truncate(*count_max);
                StoreAnswer::InboxPage {
                    messages,
                    has_more,
                    losses: InboxLosses::default(),
                }
            }
            StoreOp::InboxConfirm { user, up_to, .. } => {
                let inbox = self.inboxes.entry(user.clone()).or_default();
                inbox.retain(|m| m.inbox > *up_to);
                StoreAnswer::Done
            }
            StoreOp::InboxRemove { user, id } => {
                let inbox = self.inboxes.entry(user.clone()).or_default();
                inbox.retain(|m| m.id != *id);
                StoreAnswer::Done
            }
            StoreOp::AttributesWrite { entries, .. } => {
                let key = format!("{:?}", op.key());
                let entries = entries.clone();
                self.attributes.insert(key, entries.clone());
                StoreAnswer::AttributesWritten {
                    revision: self.store_ops.len() as u64,
                    entries,
                }
            }
            StoreOp::AttributesRead { .. } => {
                let entries = self.attributes.get(&format!("{:?}", op.key())).cloned();
                StoreAnswer::Attributes(entries.unwrap_or_default())
            }
            StoreOp::HistoryAppend { .. } => StoreAnswer::HistoryAppended { position: 1 },
            StoreOp::HistoryRead { .. } => StoreAnswer::HistoryPage {
                messages: Vec::new(),
                next: 0,
            },
            StoreOp::AttributeOwners { .. } => StoreAnswer::AttributeOwners {
                owners: Vec::new(),
                has_more: false,
            },
            StoreOp::InvitationPut {
                caller,
                id,
                revision,
                body,
            } => {
                let stored = StoredInvitation {
                    revision: revision + 1,
                    body: body.clone(),
                };
                self.invitations.insert((caller.clone(), *id), stored);
                StoreAnswer::Done
            }
            StoreOp::InvitationRead { caller, id } => {
                let stored = self.invitations.get(&(caller.clone(), *id));
                StoreAnswer::Invitation(stored.cloned())
            }
            StoreOp::InvitationList { .. } => StoreAnswer::Invitations {
                found: self.invitations.clone().into_iter().collect(),
                has_more: false,
            },
            _ => StoreAnswer::Done,
        }
    }

    // ------------------------------------------------------------ clients

    /// Opens a connection to a hub.
    pub(crate) fn open(&mut self, hub: usize) -> ConnectionId {
        self.connections += 1;
        let connection = ConnectionId(self.connections);
        self.owners.insert(connection, hub);
        self.give(hub, Input::Opened { connection });
        connection
    }

    pub(crate) fn say(
        &mut self,
        connection: ConnectionId,
        confirm: u64,
        kinds: Vec<client_message::Kind>,
    ) {
        let hub = self.owners[&connection];
        let messages = kinds
            .into_iter()
            .map(|kind| ClientMessage { kind: Some(kind) })
            .collect();
        let frame = ClientFrame { messages, confirm };
        self.give(hub, Input::Frame { connection, frame });
    }

    /// Opens a connection and logs in.
    pub(crate) fn login(&mut self, hub: usize, user: &str) -> ConnectionId {
        // Logins of one millisecond are at the same time: either may win.
        self.now.mono_ms += 1;
        let connection = self.open(hub);
        self.log_in(connection, user);
        connection
    }

    /// Logs in on a connection that is open.
    pub(crate) fn log_in(&mut self, connection: ConnectionId, user: &str) {
        let login = Login {
            app_id: "a".repeat(32),
            user_id: user.into(),
            ..Login::default()
        };
        self.say(connection, 0, vec![client_message::Kind::Login(login)]);
    }

    pub(crate) fn welcome(&self, connection: ConnectionId) -> Welcome {
        let messages = self.seen.get(&connection).map(|seen| &seen.messages[..]);
        let found = messages
            .unwrap_or_default()
            .iter()
            .find_map(|kind| match kind {
                Kind::Welcome(welcome) => Some(welcome.clone()),
                _ => None,
            });
        found.expect("a welcome")
    }

    /// Resumes the session that `of` was welcomed to, on a new connection.
    pub(crate) fn resume(
        &mut self,
        hub: usize,
        user: &str,
        of: &Welcome,
        confirm: u64,
    ) -> ConnectionId {
        let connection = self.open(hub);
        self.say_resume(connection, user, of, confirm);
        connection
    }

    /// Resumes over a connection that is open already.
    pub(crate) fn say_resume(
        &mut self,
        connection: ConnectionId,
        user: &str,
        of: &Welcome,
        confirm: u64,
    ) {
        let resume = Resume {
            app_id: "a".repeat(32),
            user_id: user.into(),
            session_id: of.session_id.clone(),
            secret: of.secret.clone(),
            confirm,
            ..Resume::default()
        };
        self.say(connection, 0, vec![client_message::Kind::Resume(resume)]);
        let is_answered = |seen: &Seen| !seen.messages.is_empty() || seen.closed.is_some();
        if !self.is_held && !self.seen.get(&connection).is_some_and(is_answered) {
            // A session that is not known is refused later, whoever was named.
            self.pass(REFUSAL_MS, &[]);
        }
    }

    pub(crate) fn call(&mut self, connection: ConnectionId, call: request::Call) -> u64 {
        let cseq = self.cseqs.entry(connection).or_default();
        *cseq += 1;
        let cseq = *cseq;
        let request = Request {
            cseq,
            call: Some(call),
        };
        self.say(connection, 0, vec![client_message::Kind::Request(request)]);
        cseq
    }

    /// Sends a text to a peer; returns the call's number.
    pub(crate) fn send(
        &mut self,
        connection: ConnectionId,
        to: &str,
        text: &str,
        offline: bool,
    ) -> u64 {
        let body = message::Body::Text(text.to_owned().into());
        let call = SendToPeer {
            peer_id: to.into(),
            message: Some(Message {
                body: Some(body),
                ..Default::default()
            }),
            offline,
            history: false,
        };
        self.call(connection, request::Call::SendToPeer(call))
    }

    pub(crate) fn close(&mut self, connection: ConnectionId) {
        let hub = self.owners[&connection];
        self.give(hub, Input::Closed { connection });
    }

    /// Texts of peer messages that a connection was sent.
    pub(crate) fn texts(&self, connection: ConnectionId) -> Vec<String> {
        let messages = self.seen.get(&connection).map(|seen| &seen.messages[..]);
        let texts = messages
            .unwrap_or_default()
            .iter()
            .filter_map(|kind| match kind {
                Kind::PeerMessage(peer) => match peer.message.as_ref()?.body.as_ref()? {
                    message::Body::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
                    _ => None,
                },
                _ => None,
            });
        texts.collect()
    }

    /// The reply to a call, once it has come.
    pub(crate) fn reply(
        &self,
        connection: ConnectionId,
        cseq: u64,
    ) -> Option<tidings_wire::proto::reply::Result> {
        let messages = self.seen.get(&connection).map(|seen| &seen.messages[..]);
        messages
            .unwrap_or_default()
            .iter()
            .find_map(|kind| match kind {
                Kind::Reply(reply) if reply.cseq == cseq => reply.result.clone(),
                _ => None,
            })
    }

    /// Why a login or a resume was refused.
    pub(crate) fn refused(&self, connection: ConnectionId) -> Option<u32> {
        let messages = self.seen.get(&connection).map(|seen| &seen.messages[..]);
        (messages.unwrap_or_default().iter()).find_map(|kind| match kind {
            Kind::Refused(refused) => Some(refused.error.as_ref()?.outcome),
            _ => None,
        })
    }

    /// The secret that a resume over this connection was answered with.
    pub(crate) fn resumed_secret(&self, connection: ConnectionId) -> Option<Bytes> {
        let messages = self.seen.get(&connection).map(|seen| &seen.messages[..]);
        (messages.unwrap_or_default().iter()).find_map(|kind| match kind {
            Kind::Resumed(resumed) => Some(resumed.secret.clone()),
            _ => None,
        })
    }

    pub(crate) fn closed(&self, connection: ConnectionId) -> Option<CloseCode> {
        self.seen.get(&connection).and_then(|seen| seen.closed)
    }

    /// The numbers that a connection was given, skipped ones too.
    pub(crate) fn numbered(&self, connection: ConnectionId) -> u64 {
        let count = |kind: &Kind| match kind {
            Kind::Welcome(_) | Kind::Resumed(_) | Kind::Refused(_) | Kind::Ping(_) => 0,
            Kind::Skip(skip) => skip.count,
            _ => 1,
        };
        self.seen[&connection].messages.iter().map(count).sum()
    }

    /// Lets time pass; `alive` are heard all the while.
    pub(crate) fn pass(&mut self, ms: u64, alive: &[ConnectionId]) {
        let until = self.now.mono_ms + ms;
        while self.now.mono_ms < until {
            let step = (until - self.now.mono_ms).min(500);
            self.now.mono_ms += step;
            self.now.unix_ms += step;
            for connection in alive {
                let hub = self.owners[connection];
                self.give(
                    hub,
                    Input::Heard {
                        connection: *connection,
                    },
                );
            }
            for hub in 0..self.hubs.len() {
                // A dead one's clock stands still.
                self.give(hub, Input::Tick);
            }
        }
    }
}
