//! A hub's connection to NATS, in the hub's own loop: one socket, and the next one when it breaks.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;

use mio::event::Event as Readiness;
use mio::{Registry, Token};
use tidings_bus::Router;
use tidings_cluster::{ClusterRouter, LinkEvent, LinkOp};
use tidings_hub::ids::HubId;
use tidings_nats::outbox::QUEUE_BYTES_MAX;
use tidings_nats::{Connection, Event, Options, PublishError, Up};

use super::place::ClusterPlace;
use super::report::LinkReport;
use super::resolved::Resolved;
use super::servers::{PAUSE_MS_SOON, Servers};
use super::stream::Stream;
use crate::mailbox::Mailbox;

/// What a link's socket is in its hub's loop.
pub(crate) const LINK: Token = Token(usize::MAX - 2);

/// How long a hub listens for the cluster's clock before it takes its first connection, in
/// milliseconds: each node tells it four times a second.
const CLOCK_WAIT_MS: u64 = 600;

/// When all servers were away, what waits goes out so much later than the subscriptions: by then
/// the other hubs are back and have subscribed, too. Without that, their nodes would miss it, and
/// requests would find nobody. Costs that much delay after such an outage.
const HOLD_MS: u64 = 2 * PAUSE_MS_SOON;

/// Reads per turn, each of at most the loop's buffer: more is read in the next, so that NATS cannot
/// starve the clients.
const READS_PER_TURN: usize = 16;

/// Bytes given to the socket at once.
const WRITE_BYTES: usize = 256 * 1024;

/// A hub's bus and its connection to NATS; the latter only in a cluster.
pub(crate) fn connect(
    router: Router,
    place: Option<Arc<ClusterPlace>>,
    hub: HubId,
    mailbox: Arc<Mailbox>,
) -> (ClusterRouter, Option<Box<Link>>) {
    let Some(place) = place else {
        return (ClusterRouter::alone(router), None);
    };
    let bus = ClusterRouter::in_cluster(router, place.config.clone());
    (bus, Some(Box::new(Link::new(place, hub, mailbox))))
}

#[derive(Debug)]
pub(super) enum Socket {
    /// The next attempt is made at this time.
    Waiting { until_ms: u64 },
    /// A thread resolves the server's name.
    Resolving { due_ms: u64 },
    /// TCP is being connected.
    Connecting { stream: Stream, due_ms: u64 },
    /// TLS is being spoken before anything else.
    Securing { stream: Stream, due_ms: u64 },
    /// NATS is spoken; INFO in clear is to come until `info_due_ms`, if that is needed.
    Open {
        stream: Stream,
        info_due_ms: Option<u64>,
    },
}

/// A hub's connection to NATS. Its hub's thread calls [`Link::turn`] once per turn, gives the bus
/// what [`Link::next_event`] has, hands in the bus's operations with [`Link::send`], and has them
/// written with [`Link::write`].
#[derive(Debug)]
pub(crate) struct Link {
    pub(super) place: Arc<ClusterPlace>,
    pub(super) hub: HubId,
    /// The hub's own, for what is found by other threads.
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) servers: Servers,
    pub(super) nats: Connection,
    pub(super) socket: Socket,
    /// Counts attempts: what a thread has found for an earlier one comes too late.
    pub(super) attempt: u64,
    /// A thread resolves a name. There is one at a time, however long the system takes.
    pub(super) is_resolving: bool,
    /// Addresses of the present server that are still to be tried, last first.
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) is_readable: bool,
    pub(super) is_writable: bool,
    /// When the connection came up, while there is one.
    pub(super) up_ms: Option<u64>,
    /// What the bus is to hear. Bound: what is read in a turn.
    pub(super) heard: VecDeque<LinkEvent>,
    /// The bus has heard that too much waits.
    pub(super) is_full: bool,
    pub(super) report: LinkReport,
    pub(super) told_ms: Option<u64>,
    /// What the hub knows of the cluster's clock: how far it is ahead, in milliseconds.
    pub(super) clock_ahead_ms: u64,
}

impl Link {
    pub(crate) fn new(place: Arc<ClusterPlace>, hub: HubId, mailbox: Arc<Mailbox>) -> Self {
        let options = Options {
            name: format!("tidings node {} hub {}", hub.node, hub.hub),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            credentials: place.credentials.clone(),
        };
        Self {
            servers: Servers::new(&place.servers),
            nats: Connection::new(Arc::new(options)),
            place,
            hub,
            mailbox,
            socket: Socket::Waiting { until_ms: 0 },
            attempt: 0,
            is_resolving: false,
            addresses: Vec::new(),
            is_readable: false,
            is_writable: false,
            up_ms: None,
            heard: VecDeque::new(),
            is_full: false,
            report: LinkReport::default(),
            told_ms: None,
            clock_ahead_ms: 0,
        }
    }

    // ------------------------------------------------------------ what the loop calls

    pub(crate) fn note_readiness(&mut self, event: &Readiness) {
        self.is_readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        self.is_writable |= event.is_writable() || event.is_write_closed() || event.is_error();
    }

    /// Whether it has more to do than waiting.
    pub(crate) fn has_work(&self) -> bool {
        self.is_readable && matches!(self.socket, Socket::Open { .. } | Socket::Securing { .. })
    }

    /// When [`Link::turn`] has something to do at the latest, in monotonic milliseconds.
    pub(crate) fn deadline(&self) -> Option<u64> {
        match &self.socket {
            Socket::Waiting { until_ms } => Some(*until_ms),
            Socket::Resolving { due_ms }
            | Socket::Connecting { due_ms, .. }
            | Socket::Securing { due_ms, .. } => Some(*due_ms),
            Socket::Open { info_due_ms, .. } => {
                let due = [*info_due_ms, self.nats.deadline()];
                due.into_iter().flatten().min()
            }
        }
    }

    /// Connects, reads and does what is due. With `is_paused`, nothing is read: what the hubs
    /// cannot take stays in the kernel's buffers, then at the NATS server, which bounds it.
    pub(crate) fn turn(
        &mut self,
        now_ms: u64,
        registry: &Registry,
        buffer: &mut [u8],
        is_paused: bool,
    ) {
        match &self.socket {
            Socket::Waiting { until_ms } if now_ms >= *until_ms => self.begin(now_ms, registry),
            Socket::Resolving { due_ms } if now_ms >= *due_ms => {
                self.lose(now_ms, registry, "its name was not resolved in 2 s", None);
            }
            Socket::Connecting { stream, due_ms } => {
                let is_late = now_ms >= *due_ms;
                if self.is_writable || is_late {
                    match stream.connected() {
                        Ok(Some(())) => self.open(now_ms, registry),
                        Ok(None) if is_late => {
                            let timeout = io::Error::from(ErrorKind::TimedOut);
                            self.try_next_address(now_ms, registry, &timeout);
                        }
                        Ok(None) => self.is_writable = false,
                        Err(error) => self.try_next_address(now_ms, registry, &error),
                    }
                }
            }
            _ => {}
        }
        if is_paused {
            self.nats.paused(now_ms);
        } else {
            self.read(now_ms, registry, buffer);
        }
        self.expire(now_ms, registry);
    }

    /// What the bus is to hear next.
    pub(crate) fn next_event(&mut self) -> Option<LinkEvent> {
        self.heard.pop_front()
    }

    /// Takes how far the cluster's clock is ahead; whether the hub does not know that yet.
    pub(crate) fn note_clock(&mut self, ahead_ms: u64) -> bool {
        std::mem::replace(&mut self.clock_ahead_ms, ahead_ms) != ahead_ms
    }

    /// Whether the hub has had time to hear the clock of the cluster. Before, the stamps of its
    /// logins would be older than those of nodes that have run for long: whoever logs in would lose
    /// against a session that it has left.
    pub(crate) fn has_clock(&self, now_ms: u64) -> bool {
        let is_heard = |up_ms: u64| now_ms >= up_ms + CLOCK_WAIT_MS;
        self.up_ms.is_some_and(is_heard)
    }

    /// Takes what the bus wants done, in its order.
    pub(crate) fn send(&mut self, now_ms: u64, ops: Vec<LinkOp>) {
        for op in ops {
            let done = match op {
                LinkOp::Subscribe { sid, subject } => self
                    .nats
                    .subscribe(sid, &subject)
                    .map_err(PublishError::Subject),
                LinkOp::Unsubscribe { sid } => {
                    self.nats.unsubscribe(sid);
                    Ok(())
                }
                LinkOp::Publish {
                    subject,
                    reply,
                    payload,
                } => self
                    .nats
                    .publish(now_ms, &subject, reply.as_deref(), &payload),
                LinkOp::Ping => {
                    self.nats.ping(now_ms);
                    Ok(())
                }
            };
            if let Err(error) = done {
                self.note_unsent(&error);
            }
        }
    }

    /// Writes what the socket takes.
    pub(crate) fn write(&mut self, now_ms: u64, registry: &Registry) {
        let Self { nats, socket, .. } = self;
        let Socket::Open { stream, .. } = socket else {
            return;
        };
        if !self.is_writable {
            return;
        }
        let mut failed = stream.flush().err();
        while failed.is_none() {
            let output = nats.output();
            if output.is_empty() {
                break;
            }
            match stream.write(&output[..output.len().min(WRITE_BYTES)]) {
                Ok(count) => nats.wrote(now_ms, count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.is_writable = false;
                    break;
                }
                Err(error) => failed = Some(error),
            }
        }
        if let Some(error) = failed {
            self.fail(now_ms, registry, &error);
        }
        if self.is_full && self.nats.queued() <= QUEUE_BYTES_MAX / 2 {
            self.is_full = false;
            self.heard.push_back(LinkEvent::Room);
        }
    }

    /// Takes what a thread has found for a server's name.
    pub(crate) fn resolved(&mut self, now_ms: u64, registry: &Registry, resolved: Resolved) {
        self.is_resolving = false;
        let is_waited_for = matches!(self.socket, Socket::Resolving { .. });
        if !is_waited_for || resolved.attempt != self.attempt {
            return;
        }
        match resolved.found {
            Ok(found) if !found.is_empty() => self.connect_to(now_ms, registry, found),
            Ok(_) => self.lose(now_ms, registry, "its name has no address", None),
            Err(error) => {
                // Where it led before, it may still lead: the name's server may be what is away.
                let known = self.servers.current().map(|it| it.addresses.clone());
                match known.filter(|known| !known.is_empty()) {
                    Some(known) => self.connect_to(now_ms, registry, known),
                    None => {
                        let why = format!("its name cannot be resolved: {error}");
                        let hint = "check the name in --cluster-nats, and this machine's DNS";
                        self.lose(now_ms, registry, &why, Some(hint));
                    }
                }
            }
        }
    }

    /// How many servers it may try.
    #[cfg(test)]
    pub(crate) fn knows_servers(&self) -> usize {
        self.servers.count()
    }

    pub(crate) fn report(&self) -> LinkReport {
        LinkReport {
            is_up: self.nats.is_up(),
            queued: self.nats.queued(),
            ..self.report.clone()
        }
    }

    // ------------------------------------------------------------ to read

    fn read(&mut self, now_ms: u64, registry: &Registry, buffer: &mut [u8]) {
        let mut reads = 0;
        while self.is_readable && reads < READS_PER_TURN {
            reads += 1;
            let (Socket::Open { stream, .. } | Socket::Securing { stream, .. }) = &mut self.socket
            else {
                return;
            };
            let was_handshaking = stream.is_handshaking();
            let read = stream.read(buffer);
            let is_secured = was_handshaking && !stream.is_handshaking();
            match read {
                Ok(0) => {
                    let why = "it closed the connection";
                    return self.lose(now_ms, registry, why, None);
                }
                Ok(count) => self.receive(now_ms, registry, &buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock && is_secured => {
                    self.secured(now_ms);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.is_readable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return self.fail(now_ms, registry, &error),
            }
        }
    }

    fn receive(&mut self, now_ms: u64, registry: &Registry, bytes: &[u8]) {
        let mut events = Vec::new();
        self.nats
            .receive(now_ms, bytes, &mut |event| events.push(event));
        self.take_all(now_ms, registry, events);
    }

    /// Notices who has taken too long.
    fn expire(&mut self, now_ms: u64, registry: &Registry) {
        match &mut self.socket {
            Socket::Securing { due_ms, .. } if now_ms >= *due_ms => {
                self.turn_tls_around(false);
                let why = "it did not complete the TLS handshake in 5 s";
                self.lose(now_ms, registry, why, None);
            }
            Socket::Open { info_due_ms, .. } => {
                if !self.nats.awaits_info() {
                    *info_due_ms = None;
                }
                if info_due_ms.is_some_and(|due_ms| now_ms >= due_ms) {
                    // A server with `handshake_first` waits for TLS, as we wait for its INFO.
                    self.turn_tls_around(true);
                    let why = "it said nothing in 2 s; the next attempt begins with TLS";
                    return self.lose(now_ms, registry, why, None);
                }
                let mut events = Vec::new();
                self.nats.tick(now_ms, &mut |event| events.push(event));
                self.take_all(now_ms, registry, events);
            }
            _ => {}
        }
    }

    fn take_all(&mut self, now_ms: u64, registry: &Registry, events: Vec<Event>) {
        for event in events {
            match event {
                Event::StartTls => self.start_tls(now_ms, registry),
                Event::Up(up) => self.come_up(now_ms, &up),
                Event::Servers(told) => self.servers.learn(&told),
                Event::Message(message) => self.heard.push_back(LinkEvent::Message {
                    sid: message.sid,
                    subject: message.subject,
                    reply: message.reply,
                    payload: message.payload,
                }),
                Event::NoResponders { subject } => {
                    self.heard.push_back(LinkEvent::NoResponders { subject });
                }
                Event::Pong => self.heard.push_back(LinkEvent::Pong),
                Event::TooLarge { .. } => self.report.passed_over += 1,
                Event::Complaint(words) => {
                    self.report.complaints += 1;
                    let hint = "let the NATS user publish and subscribe to the cluster's subjects \
                        (`tidings.<name>.>`), and raise `max_subscriptions` if there is one";
                    self.tell(now_ms, &format!("it complains: {words}"), Some(hint));
                }
                Event::Refused(refusal) => {
                    let why = format!("it refuses this node: {refusal}");
                    self.lose(now_ms, registry, &why, Some(refusal.hint()));
                }
                Event::Gone(gone) => self.lose(now_ms, registry, &gone.to_string(), None),
            }
        }
    }

    fn come_up(&mut self, now_ms: u64, up: &Up) {
        self.up_ms = Some(now_ms);
        if self.servers.come_up() && self.report.ups > 0 {
            self.nats.hold(now_ms + HOLD_MS);
        }
        self.servers.learn(&up.info.connect_urls);
        self.report.ups += 1;
        self.report.unsent += up.dropped as u64;
        self.report.trouble = None;
        self.report.hint = None;
        self.told_ms = None;
        self.heard.push_back(LinkEvent::Up {
            max_payload: up.payload_max,
            servers: up.servers(),
        });
        let server = self.report.server.as_deref().unwrap_or_default();
        tracing::info!(
            hub = self.hub.hub,
            server,
            name = up.info.server_name,
            version = up.info.version,
            "connected to NATS"
        );
    }

    fn note_unsent(&mut self, error: &PublishError) {
        self.report.unsent += 1;
        match error {
            PublishError::Full(_) => {
                if !self.is_full {
                    self.is_full = true;
                    self.heard.push_back(LinkEvent::Full);
                    tracing::warn!(hub = self.hub.hub, %error, "publications are dropped");
                }
            }
            PublishError::TooLarge { .. } | PublishError::Subject(_) => {
                tracing::error!(hub = self.hub.hub, %error, "a publication is dropped");
            }
        }
    }
}

impl Socket {
    pub(super) fn end(self, registry: &Registry) {
        match self {
            Self::Waiting { .. } | Self::Resolving { .. } => {}
            Self::Connecting { stream, .. }
            | Self::Securing { stream, .. }
            | Self::Open { stream, .. } => stream.end(registry),
        }
    }
}
