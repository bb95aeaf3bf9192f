//! A hub's thread: one loop, one turn at a time.
//!
//! A turn: wait until something is ready or due; take what the inbox has; accept, read and decode;
//! give it all to the hub and carry out its effects; post what other hubs and the store are to
//! have; write every connection that has something to be written, once. Nothing blocks but the
//! wait; locks are taken by logins, by ends of sessions and by turns that took long, never by a
//! message.

use std::collections::{BTreeSet, VecDeque};
use std::hash::RandomState;
use std::io;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mio::net::TcpListener;
use mio::{Events, Poll, Token};
use tidings_bus::{Homes, Router};
use tidings_cell::Cell;
use tidings_cluster::ClusterRouter;
use tidings_hub::admission::{Admission, LAG_MS};
use tidings_hub::ids::{ConnectionId, HubId};
use tidings_hub::store_ops::{StoreAnswer, StoreOp};
use tidings_hub::used::UsedRates;
use tidings_hub::{Hub, HubConfig, Input, Pressure, Snapshot, Ticket, Time};
use tidings_store::Submitter;
use tidings_webhooks::Webhooks;
use tidings_wire::codes::CloseCode;
use tidings_wire::limits::REPLAY_BYTES_MAX;
use tidings_wire::names::AppId;

use crate::clock::Clock;
use crate::cluster::{ClusterPlace, LINK, Link, Membership, connect};
use crate::config::Limits;
use crate::connection::{Returned, Stage};
use crate::connections::Connections;
use crate::deadlines::Deadlines;
use crate::gate::Gate;
use crate::http::HttpDoor;
use crate::legacy::LegacyDoor;
use crate::mailbox::{Envelope, Inbox, Mailbox};
use crate::memory::Intake;
use crate::origins::{Origins, has_own_rules};
use crate::outgoing::TurnLog;
use crate::outside::Outside;
use crate::readiness::Readiness;
use crate::report::HubReport;
use crate::security::SecurityLog;
use crate::times::Times;

/// Readiness events taken per turn; more are taken in the next.
const EVENTS_PER_TURN: usize = 1024;

/// Batches taken from the inbox per turn, so that a flood from other hubs cannot starve the
/// sockets.
const BATCHES_PER_TURN: usize = 256;

/// From so many connections to be written on, a turn looks for more to write to them first.
const GATHERED_CONNECTIONS: usize = 64;

/// How often a turn does so: what it reads is bounded each time.
const GATHERINGS_PER_TURN: usize = 4;

/// A turn that has taken so long already does not, in milliseconds: those who wait to be written
/// have waited enough.
const GATHERING_MS: u64 = 5;

/// The buffer that all connections of a hub are read into.
const READ_BUFFER_BYTES: usize = 64 * 1024;

/// Connections whose time is over and that are dropped per turn; the others are in the next.
const LOSSES_PER_TURN: usize = 32;

/// The loop looks around at least this often, in milliseconds: a safety net, nothing depends on it.
const IDLE_WAIT_MS: u64 = 1_000;

/// How long the loop waits for other hubs to catch up before it looks again, in milliseconds.
const PAUSE_MS: u64 = 2;

pub(crate) const LISTENER: Token = Token(usize::MAX);
pub(crate) const WAKER: Token = Token(usize::MAX - 1);

/// What all hubs of a node share. A message touches nothing in it but `intake`, once per connection
/// that is read.
pub(crate) struct Node {
    pub(crate) clock: Clock,
    pub(crate) gate: Arc<Gate>,
    pub(crate) origins: Origins,
    pub(crate) limits: Limits,
    pub(crate) tls: Option<Arc<rustls::ServerConfig>>,
    pub(crate) http: HttpDoor,
    /// Who asks backends about messages that are held.
    pub(crate) webhooks: Webhooks,
    pub(crate) readiness: Arc<Readiness>,
    /// Whether answers to handshakes name their hub.
    pub(crate) names_hubs: bool,
    pub(crate) legacy: Arc<LegacyDoor>,
    /// The node's place in its cluster; `None` = it is alone.
    pub(crate) membership: Option<Arc<Membership>>,
    /// Which logins are taken. Locked by logins, and by turns that took too long.
    pub(crate) admission: Mutex<Admission>,
    /// What users have used of their rates. Locked by logins and by ends of sessions that have used
    /// any.
    pub(crate) used: Mutex<UsedRates>,
    /// Hashes the names of those who are told to come again.
    pub(crate) names: RandomState,
    /// What may be read before memory is measured again.
    pub(crate) intake: Intake,
    /// Bytes that each hub may keep for its clients.
    pub(crate) replay_bytes_max: usize,
}

/// What a thread is given at its start.
pub(crate) struct WorkerParts {
    pub(crate) node: Arc<Node>,
    pub(crate) poll: Poll,
    pub(crate) listener: TcpListener,
    pub(crate) inbox: Inbox,
    /// Mailboxes of all hubs, in their order.
    pub(crate) peers: Vec<Arc<Mailbox>>,
    pub(crate) homes: Homes,
    /// `None` = the node is in no cluster.
    pub(crate) cluster: Option<Arc<ClusterPlace>>,
    pub(crate) hub: HubConfig,
    pub(crate) store: Submitter,
    /// Told once, when the last connection has gone after a drain.
    pub(crate) drained: Sender<HubId>,
}

/// Who comes in.
pub(crate) struct Door {
    /// `None` once the hub is draining.
    pub(crate) listener: Option<TcpListener>,
    pub(crate) has_unaccepted: bool,
    /// Not before this time, after a failure to accept. Monotonic milliseconds.
    pub(crate) accept_after_ms: u64,
    /// Connections are accepted: the sessions of before are in their places.
    pub(crate) is_open: bool,
    /// They are to be, as soon as what they need is known.
    pub(crate) is_to_open: bool,
    /// The node has lost its cluster: clients are to go elsewhere.
    pub(crate) is_isolated: bool,
    /// Connections made so far: their names count up.
    pub(crate) connections_made: u64,
    /// TLS handshakes, oldest first; some may have ended since. Bound: `tls_handshakes_max`.
    pub(crate) handshakes: VecDeque<ConnectionId>,
    /// Connections that are turned away unless they ask for the server's health, oldest first; some
    /// may be gone.
    pub(crate) probes: VecDeque<ConnectionId>,
    /// Connections that come back from the HTTP thread. Bound: those that it had.
    pub(crate) returned: VecDeque<Returned>,
    /// Until when strangers are served in this turn; `None` = nobody is logged in whom they could
    /// keep waiting.
    pub(crate) strangers_until: Option<Instant>,
    /// An app has a list of origins of its own.
    pub(crate) has_page_rules: bool,
    pub(crate) head_deadlines: Deadlines,
}

/// What is read, and what it costs.
pub(crate) struct Reading {
    pub(crate) buffer: Box<[u8]>,
    /// What the connection that has its turn has been for work so far, in messages.
    pub(crate) work: usize,
    /// Frames that were queued since the intake was last told of them.
    pub(crate) queued: usize,
    /// Connections over their rate of messages, by when they are read again.
    pub(crate) throttled: BTreeSet<(u64, ConnectionId)>,
}

impl Reading {
    fn new() -> Self {
        Self {
            buffer: vec![0; READ_BUFFER_BYTES].into_boxed_slice(),
            work: 0,
            queued: 0,
            throttled: BTreeSet::new(),
        }
    }
}

/// What is written, and who leaves.
pub(crate) struct Writing {
    /// What goes to many in this turn.
    pub(crate) log: TurnLog,
    /// More than this waiting for a client that does not read is too much.
    pub(crate) stall_bytes: usize,
    /// Slots of connections that leave at the end of the turn.
    pub(crate) leaving: Vec<usize>,
    pub(crate) closing_deadlines: Deadlines,
}

/// What comes from, and goes to, other hubs, other nodes and the store.
pub(crate) struct Mail {
    inbox: Inbox,
    pub(crate) peers: Vec<Arc<Mailbox>>,
    /// What is to be posted to each hub at the end of the turn.
    pub(crate) outboxes: Vec<Vec<Envelope>>,
    /// The connection to NATS; `None` = the node is in no cluster. Boxed: most have none.
    pub(crate) link: Option<Box<Link>>,
    store: Submitter,
    /// What is to be handed in at the end of the turn.
    pub(crate) store_ops: Vec<(Ticket, StoreOp)>,
}

/// Who wants to know how the thread is, and how it ends.
struct Life {
    /// Told once, when the last connection has gone after a drain.
    drained: Option<Sender<HubId>>,
    /// Who wants to know how the hub is.
    reports: Vec<Sender<HubReport>>,
    /// The longest turn so far, in milliseconds.
    longest_turn_ms: u64,
    times: Times,
    is_stopped: bool,
}

/// A hub's thread: its cell, its sockets, and what goes in and out.
pub(crate) struct Worker {
    pub(crate) node: Arc<Node>,
    pub(crate) id: HubId,
    pub(crate) cell: Cell<ClusterRouter>,
    /// The time of this turn.
    pub(crate) now: Time,
    pub(crate) poll: Poll,
    pub(crate) connections: Connections,
    pub(crate) security: SecurityLog,
    pub(crate) door: Door,
    pub(crate) reading: Reading,
    pub(crate) writing: Writing,
    pub(crate) mail: Mail,
    pub(crate) outside: Outside,
    life: Life,
}

impl Worker {
    pub(crate) fn new(parts: WorkerParts) -> Self {
        let WorkerParts {
            node,
            poll,
            listener,
            inbox,
            peers,
            homes,
            cluster,
            hub,
            store,
            drained,
        } = parts;
        let id = hub.id;
        let has_page_rules = has_own_rules(&hub.apps);
        let hub = Hub::new(hub).with_replay_bytes_max(node.replay_bytes_max);
        let mailbox = inbox.mailbox();
        let (bus, link) = connect(Router::new(id, homes), cluster, id, mailbox);
        let door = Door {
            listener: Some(listener),
            has_unaccepted: true,
            accept_after_ms: 0,
            is_open: false,
            is_to_open: false,
            is_isolated: false,
            connections_made: 0,
            handshakes: VecDeque::new(),
            probes: VecDeque::new(),
            returned: VecDeque::new(),
            strangers_until: None,
            has_page_rules,
            head_deadlines: Deadlines::new(node.limits.request_head_wait_ms),
        };
        Self {
            id,
            cell: Cell::new(hub, bus),
            now: node.clock.now(),
            poll,
            connections: Connections::default(),
            security: SecurityLog::new(id.hub),
            door,
            reading: Reading::new(),
            writing: Writing {
                log: TurnLog::default(),
                stall_bytes: REPLAY_BYTES_MAX,
                leaving: Vec::new(),
                closing_deadlines: Deadlines::new(node.limits.close_wait_ms),
            },
            mail: Mail {
                inbox,
                outboxes: peers.iter().map(|_| Vec::new()).collect(),
                peers,
                link,
                store,
                store_ops: Vec::new(),
            },
            outside: Outside::default(),
            life: Life {
                drained: Some(drained),
                reports: Vec::new(),
                longest_turn_ms: 0,
                times: Times::default(),
                is_stopped: false,
            },
            node,
        }
    }

    /// Runs until it is told to stop; returns what is left of its sessions.
    ///
    /// # Errors
    /// The system's wait fails: nothing more can be served.
    pub(crate) fn run(&mut self) -> io::Result<Snapshot> {
        let mut events = Events::with_capacity(EVENTS_PER_TURN);
        // The hub sets its first timers.
        self.give(Input::Tick);
        while !self.life.is_stopped {
            self.turn(&mut events)?;
        }
        Ok(self.cell.snapshot())
    }

    fn turn(&mut self, events: &mut Events) -> io::Result<()> {
        let ended_ms = self.node.clock.now().mono_ms;
        self.note_lag(ended_ms);
        match self.poll.poll(events, Some(self.wait(ended_ms))) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => other?,
        }
        self.now = self.node.clock.now();
        let began = Instant::now();
        self.node.readiness.beat(self.id.index(), self.now.mono_ms);
        self.security.begin_turn(self.now.mono_ms);
        self.begin_strangers();
        self.note_readiness(events);
        self.take_inbox();
        self.hear_link();
        // Whoever floods this node is paused while a hub is behind: what a hub cannot take stays in
        // the kernel's buffers, then with the clients.
        if !self.is_paused() {
            self.accept();
            self.read();
        }
        // Order: what clients have said is heard before anybody is found silent.
        tidings_cell::tick_hub(self);
        self.expire();
        self.gather(events)?;
        self.send_link();
        // Order: other hubs and the store begin their part while this one writes.
        self.post_all();
        self.flush();
        if self.cell.hub().has_traced_writes() {
            self.tell_written();
        }
        self.send_link();
        self.post_all();
        self.life
            .times
            .note(began.elapsed(), self.cell.hub().counts());
        self.report();
        Ok(())
    }

    /// Before many connections are written, takes what has arrived meanwhile: it goes out with the
    /// same writes. One look costs less than a hundredth of what it may save.
    fn gather(&mut self, events: &mut Events) -> io::Result<()> {
        for _ in 0..GATHERINGS_PER_TURN {
            if self.connections.dirty() < GATHERED_CONNECTIONS || self.is_paused() {
                break;
            }
            if self.node.clock.now().mono_ms >= self.now.mono_ms + GATHERING_MS {
                break;
            }
            match self.poll.poll(events, Some(Duration::ZERO)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => other?,
            }
            if events.is_empty() && self.connections.readable() == 0 {
                break;
            }
            self.note_readiness(events);
            self.take_inbox();
            self.read();
        }
        Ok(())
    }

    /// A turn that took long made everybody wait: fewer logins are to come.
    fn note_lag(&mut self, now_ms: u64) {
        let lag_ms = now_ms - self.now.mono_ms;
        self.life.longest_turn_ms = self.life.longest_turn_ms.max(lag_ms);
        if lag_ms > LAG_MS {
            let admission = self.node.admission.lock();
            let mut admission = admission.unwrap_or_else(PoisonError::into_inner);
            admission.note_lag(lag_ms, now_ms);
            tracing::debug!(
                hub = self.id.hub,
                lag_ms,
                rate = admission.rate(),
                "a turn took long"
            );
        }
    }

    /// How long the loop may sleep.
    fn wait(&self, now_ms: u64) -> Duration {
        let work_waits = self.connections.readable() > 0
            || self.can_accept(now_ms)
            || !self.door.returned.is_empty()
            || self.has_link_work();
        let most_ms = match (work_waits, self.is_paused()) {
            (true, false) => 0,
            (true, true) => PAUSE_MS,
            (false, _) if self.is_inbox_left() || self.connections.dirty() > 0 => 0,
            (false, _) => IDLE_WAIT_MS,
        };
        let due = [
            self.cell.hub_deadline(),
            self.door.head_deadlines.next(),
            self.writing.closing_deadlines.next(),
            self.cell.translators_deadline(),
            self.reading.throttled.first().map(|(due_ms, _)| *due_ms),
            self.link_deadline(),
        ];
        let due_ms = due.into_iter().flatten().min();
        let until_due = due_ms.map_or(most_ms, |due_ms| due_ms.saturating_sub(now_ms));
        Duration::from_millis(until_due.min(most_ms))
    }

    fn is_inbox_left(&self) -> bool {
        !self.mail.inbox.is_empty()
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.node.intake.left() == 0 || self.mail.peers.iter().any(|peer| peer.is_full())
    }

    fn note_readiness(&mut self, events: &Events) {
        for event in events {
            match event.token() {
                LISTENER => self.door.has_unaccepted = true,
                WAKER => {}
                LINK => {
                    if let Some(link) = &mut self.mail.link {
                        link.note_readiness(event);
                    }
                }
                Token(slot) => {
                    let Some(connection) = self.connections.get(slot) else {
                        continue;
                    };
                    connection.flags.is_read_closed |= event.is_read_closed() || event.is_error();
                    if event.is_writable() && connection.flags.is_blocked {
                        connection.flags.is_blocked = false;
                        self.connections.mark_dirty(slot);
                    }
                    if event.is_readable() || event.is_read_closed() || event.is_error() {
                        self.connections.mark_readable(slot);
                    }
                }
            }
        }
    }

    fn take_inbox(&mut self) {
        self.mail.inbox.open();
        for _ in 0..BATCHES_PER_TURN {
            let Some(batch) = self.mail.inbox.take() else {
                return;
            };
            for envelope in batch {
                self.take_envelope(envelope);
            }
            // What other hubs have read for clients of this one is queued here: they are to stop.
            self.take_intake(0);
            if self.node.intake.left() == 0 {
                return;
            }
        }
    }

    fn take_envelope(&mut self, envelope: Envelope) {
        match envelope {
            Envelope::Bus(crossing) => tidings_cell::take(self, crossing),
            Envelope::GiveUp(connection) => self.lose_stranger(connection),
            Envelope::HandOver(handover) => self.take_over(*handover),
            Envelope::Returned(returned) => self.door.returned.push_back(*returned),
            Envelope::Stored { ticket, answer } => self.give(Input::Store { ticket, answer }),
            Envelope::Outside(asked) => self.ask(*asked),
            Envelope::Moderation(rules) => self.give(Input::Moderation(rules)),
            Envelope::Moderated { ticket, verdict } => {
                self.give(Input::Moderated { ticket, verdict });
            }
            Envelope::Apps(apps) => {
                self.door.has_page_rules = has_own_rules(&apps);
                let has_rates = |app: &AppId| apps.settings(app).rate_limits;
                self.connections.lanes.update(has_rates);
                self.give(Input::Apps(apps));
                self.end_barred();
            }
            Envelope::Resolved(resolved) => self.take_resolved(*resolved),
            Envelope::Memory(pressure) => self.take_pressure(pressure),
            Envelope::NodeLost { node, incarnation } => self.lose_node(node, incarnation),
            Envelope::Isolation(isolation) => self.note_isolation(isolation),
            Envelope::Drain => self.drain(),
            Envelope::Settle => self.give(Input::Settle),
            Envelope::Restore(snapshot) => self.give(Input::Restore(snapshot)),
            Envelope::Load { hubs, boot } => self.give(Input::Load { hubs, boot }),
            Envelope::Open => self.open_door(),
            Envelope::Report(to) => self.life.reports.push(to),
            Envelope::Stop => self.life.is_stopped = true,
        }
    }

    /// Memory is short, or is no longer: less, or as much as ever, may wait for a client that does
    /// not read.
    fn take_pressure(&mut self, pressure: Pressure) {
        self.writing.stall_bytes = match pressure {
            Pressure::None => REPLAY_BYTES_MAX,
            Pressure::High { .. } => REPLAY_BYTES_MAX / 4,
            Pressure::Critical { .. } => REPLAY_BYTES_MAX / 16,
        };
        self.give(Input::Memory(pressure));
    }

    /// Gives the hub an input and carries out what comes of it.
    pub(crate) fn give(&mut self, input: Input) {
        tidings_cell::give(self, input);
    }

    /// Sends away who leaves and posts what other hubs and the store are to have.
    fn post_all(&mut self) {
        loop {
            self.send_leaving();
            let mut refused = Vec::new();
            if !self.mail.store_ops.is_empty() {
                self.mail
                    .store
                    .submit(self.id, self.mail.store_ops.drain(..), &mut refused);
            }
            if refused.is_empty() {
                break;
            }
            self.give_refused(refused);
        }
        for (outbox, peer) in self.mail.outboxes.iter_mut().zip(&self.mail.peers) {
            if !outbox.is_empty() {
                peer.post(std::mem::take(outbox));
            }
        }
    }

    fn give_refused(&mut self, refused: Vec<(Ticket, StoreAnswer)>) {
        for (ticket, answer) in refused {
            self.give(Input::Store { ticket, answer });
        }
    }

    fn expire(&mut self) {
        let now_ms = self.now.mono_ms;
        tidings_cell::tick_translators(self);
        self.end_throttles();
        let mut lost = 0;
        while lost < LOSSES_PER_TURN
            && let Some(id) = self.door.head_deadlines.pop(now_ms)
        {
            let Some(slot) = self.connections.slot(id) else {
                continue;
            };
            let Some(connection) = self.connections.get(slot) else {
                continue;
            };
            if matches!(&connection.stage, Stage::Head(head) if head.due_ms <= now_ms) {
                lost += 1;
                self.lose(slot);
            }
        }
        while lost < LOSSES_PER_TURN
            && let Some(id) = self.writing.closing_deadlines.pop(now_ms)
        {
            let Some(slot) = self.connections.slot(id) else {
                continue;
            };
            let Some(connection) = self.connections.get(slot) else {
                continue;
            };
            if matches!(connection.stage, Stage::Closing(_)) {
                lost += 1;
                self.lose(slot);
            }
        }
    }

    fn drain(&mut self) {
        if let Some(mut listener) = self.door.listener.take() {
            // The listener is dropped either way, which takes it out of the kernel's list.
            let _ = self.poll.registry().deregister(&mut listener);
        }
        self.name_elsewhere();
        self.give(Input::Drain);
        for slot in self.connections.slots() {
            match self
                .connections
                .get(slot)
                .map(|connection| &connection.stage)
            {
                Some(Stage::Head(_)) => self.refuse(slot, &crate::head::Refusal::Draining),
                // The hub sends those away that it serves, each in its time.
                Some(Stage::Fresh(_)) => {
                    if let Some(id) = self.connections.get(slot).map(|it| it.id) {
                        tidings_cell::end(self, id, CloseCode::GoingAway);
                    }
                }
                _ => {}
            }
        }
        tracing::debug!(
            hub = self.id.hub,
            connections = self.connections.len(),
            "draining"
        );
    }

    fn hub_report(&self) -> HubReport {
        HubReport {
            cell: self.cell.report(),
            connections: self.connections.len(),
            connections_made: self.door.connections_made,
            longest_turn_ms: self.life.longest_turn_ms,
            turns: self.life.times.turns,
            requests: self.life.times.requests(self.cell.hub().counts()),
            messages: self.life.times.messages(self.cell.hub().counts()),
            inbox_length: self.mail.inbox.length(),
            open_calls: self.outside.open(),
            doors: self.security.counts().clone(),
            link: self.mail.link.as_ref().map(|link| link.report()),
            live: self.cell.bus().counts().copied(),
        }
    }

    fn report(&mut self) {
        for to in std::mem::take(&mut self.life.reports) {
            // Nobody listens when the time for it is over.
            let _ = to.send(self.hub_report());
        }
        if self.door.listener.is_none()
            && self.connections.len() == 0
            && self.door.returned.is_empty()
            && let Some(drained) = self.life.drained.take()
        {
            // Nobody listens when the drain's time is over.
            let _ = drained.send(self.id);
        }
    }
}
