//! The thread that holds this node's lease.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::StreamExt as _;
use tidings_cluster::nodes::{Effect, Input, Isolation, Lease, Nodes, OverBy};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{sleep, timeout};

use super::bucket::{Bucket, REQUEST, Shown, Unopened, shown};
use super::error::ClusterError;
use super::membership::{Membership, NodeReport};
use super::settings::ClusterSettings;
use crate::commands::Command;
use crate::mailbox::{Envelope, Mailbox};
use crate::mailboxes::tell;

/// How long a node waits until it tries again to reach NATS at its start, or to watch the bucket.
const RETRY: Duration = Duration::from_millis(500);

/// How soon a node that waits says that it waits for something else now.
const SAY_NEWS: Duration = Duration::from_secs(5);

/// How often a node that waits says so, if nothing changes.
const SAY_AGAIN: Duration = Duration::from_secs(30);

/// A node's place in its cluster.
pub(crate) struct Joined {
    pub(crate) node: u16,
    pub(crate) incarnation: u64,
    /// How long subscriptions take to settle, in milliseconds.
    pub(crate) settle_ms: u64,
    pub(crate) lessee: Lessee,
}

/// The thread that holds the lease.
#[derive(Debug)]
pub(crate) struct Lessee {
    orders: UnboundedSender<Event>,
    thread: JoinHandle<()>,
    membership: Arc<Membership>,
}

impl Lessee {
    /// Tells the other nodes that this one drains.
    pub(crate) fn drain(&self) {
        self.membership.note_draining();
        let _ = self.orders.send(Event::Draining);
    }

    /// Gives the lease back and ends the thread; takes a few seconds at most.
    pub(crate) fn leave(self) {
        let _ = self.orders.send(Event::Leave);
        if self.thread.join().is_err() {
            tracing::error!("the thread of the node's lease panicked");
        }
    }

    /// Whether the node's incarnation has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.membership.is_over()
    }
}

/// What the thread is told. Bound: answers of one request, what a few nodes write each second, and
/// a few words of this process.
#[derive(Debug)]
enum Event {
    Input(Input),
    Asked { number: u16, incarnation: u64 },
    Draining,
    Leave,
}

/// Takes a number in the cluster. Returns when it has one, however long that takes; says in the log
/// and to [`Membership`] what it waits for.
///
/// # Errors
/// [`ClusterError`], if somebody must change something first.
pub(crate) fn join(
    settings: &ClusterSettings,
    hubs: u16,
    membership: &Arc<Membership>,
    mailboxes: &[Arc<Mailbox>],
    control: Sender<Command>,
) -> Result<Joined, ClusterError> {
    let (events, received) = unbounded_channel();
    let (joined, is_joined) = channel();
    let started = SystemTime::now().duration_since(UNIX_EPOCH);
    let own = Lease {
        name: settings.node_name.clone(),
        advertise: settings.advertise.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        hubs,
        started_s: started.map_or(0, |since| since.as_secs()),
        ..Lease::default()
    };
    let holder = Holder {
        nodes: Nodes::new(own),
        events: events.clone(),
        membership: membership.clone(),
        mailboxes: mailboxes.to_vec(),
        control,
        joined: Some(joined),
        settle_ms: settings.interest_settle_ms,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| ClusterError::System(error.to_string()))?;
    let settings = settings.clone();
    let thread = Builder::new()
        .name("cluster".into())
        .spawn(move || runtime.block_on(holder.run(&settings, received)))
        .map_err(|error| ClusterError::System(error.to_string()))?;
    let granted = is_joined
        .recv()
        .map_err(|_| ClusterError::System("the thread of the node's lease panicked".into()))??;
    Ok(Joined {
        node: granted.node,
        incarnation: granted.incarnation,
        settle_ms: granted.settle_ms,
        lessee: Lessee {
            orders: events,
            thread,
            membership: membership.clone(),
        },
    })
}

#[derive(Debug)]
struct Granted {
    node: u16,
    incarnation: u64,
    settle_ms: u64,
}

struct Holder {
    nodes: Nodes,
    events: UnboundedSender<Event>,
    membership: Arc<Membership>,
    mailboxes: Vec<Arc<Mailbox>>,
    control: Sender<Command>,
    /// Who waits for the number, until there is one.
    joined: Option<Sender<Result<Granted, ClusterError>>>,
    settle_ms: u64,
}

impl Holder {
    async fn run(mut self, settings: &ClusterSettings, mut events: UnboundedReceiver<Event>) {
        let bucket = match open(settings, &self.membership).await {
            Ok(bucket) => bucket,
            Err(error) => {
                // Nobody is there to be told only if the process ends.
                let _ = self.joined.take().map(|joined| joined.send(Err(error)));
                return;
            }
        };
        if !bucket.is_clustered {
            self.settle_ms = 0;
            tracing::warn!(
                "the cluster has one NATS server: when that is away, so is the cluster; three \
                 carry it safely"
            );
        }
        self.give(Input::Tick, &bucket);
        while !self.is_over() {
            let event = match self.nodes.deadline() {
                None => events.recv().await,
                Some(due_ms) => {
                    let wait = Duration::from_millis(due_ms.saturating_sub(now_ms()));
                    timeout(wait, events.recv())
                        .await
                        .unwrap_or(Some(Event::Input(Input::Tick)))
                }
            };
            // It never ends: this thread has a sender itself.
            let Some(event) = event else { return };
            match event {
                Event::Input(input) => self.give(input, &bucket),
                Event::Asked {
                    number,
                    incarnation,
                } => self.take_wish(number, incarnation),
                Event::Draining => self.give(Input::Draining, &bucket),
                Event::Leave => return self.leave(&bucket).await,
            }
        }
        // Order: the node's end begins only now that nothing else is said about the others.
        let _ = self.control.send(Command::Over);
    }

    fn is_over(&self) -> bool {
        self.membership.is_over()
    }

    fn give(&mut self, input: Input, bucket: &Bucket) {
        if matches!(input, Input::Failed) && self.nodes.number().is_some() {
            self.membership.count_failed_renewal();
        }
        let mut effects = Vec::new();
        self.nodes.handle(input, now_ms(), &mut effects);
        for effect in effects {
            self.carry_out(effect, bucket);
        }
    }

    fn carry_out(&mut self, effect: Effect, bucket: &Bucket) {
        match effect {
            Effect::Create { .. } | Effect::Renew { .. } | Effect::Read { .. } => {
                let (bucket, events) = (bucket.clone(), self.events.clone());
                tokio::spawn(async move {
                    // A request on a connection that is down would be sent when it is up again,
                    // long after it was given up.
                    let answer = if bucket.is_connected() {
                        timeout(REQUEST, bucket.carry_out(effect)).await
                    } else {
                        Ok(Input::Failed)
                    };
                    let _ = events.send(Event::Input(answer.unwrap_or(Input::Failed)));
                });
            }
            // Only a node that leaves does that, and it waits for it.
            Effect::Delete { .. } => {}
            Effect::Granted { node, incarnation } => self.note_granted(node, incarnation, bucket),
            Effect::Full => {
                self.membership
                    .note_waiting(Some("all of its numbers are taken".into()));
                tracing::warn!(
                    "the cluster has as many nodes as it can have; waiting for a number"
                );
            }
            Effect::Changed => self.note_others(),
            Effect::NodeLost { node, incarnation } => {
                self.membership.count_lost_node();
                tracing::info!(node, incarnation, "a node of the cluster has ended");
                tell(&self.mailboxes, || Envelope::NodeLost { node, incarnation });
            }
            Effect::SameName { node } => tracing::warn!(
                node,
                name = self.nodes.own().name,
                "another node has the same name; give each one of its own with --cluster-node-name"
            ),
            Effect::Isolation(isolation) => self.note_isolation(isolation),
            Effect::Over(by) => self.note_over(by),
        }
    }

    fn note_granted(&mut self, node: u16, incarnation: u64, bucket: &Bucket) {
        self.membership.note_waiting(None);
        tracing::info!(node, incarnation, "the node has its place in the cluster");
        let granted = Granted {
            node,
            incarnation,
            settle_ms: self.settle_ms,
        };
        let _ = self.joined.take().map(|joined| joined.send(Ok(granted)));
        tokio::spawn(watch(bucket.clone(), self.events.clone()));
    }

    fn note_others(&self) {
        let others = self.nodes.living();
        let others =
            others.map(|(node, living)| NodeReport::new(node, living.incarnation, &living.lease));
        self.membership.note_others(others.collect());
    }

    fn note_isolation(&self, isolation: Isolation) {
        self.membership.note_isolation(isolation);
        match isolation {
            Isolation::None => tracing::info!("the node has renewed its lease again"),
            Isolation::Silent => tracing::warn!(
                "the node could not renew its lease for 5 s; it says nothing about users of \
                 other nodes"
            ),
            Isolation::Closed => tracing::error!(
                "the node could not renew its lease for 10 s; its clients are sent elsewhere"
            ),
        }
        tell(&self.mailboxes, || Envelope::Isolation(isolation));
    }

    fn note_over(&self, by: OverBy) {
        match by {
            OverBy::Expired => tracing::error!("the node's lease has expired; it starts again"),
            OverBy::Replaced { incarnation } => tracing::error!(
                incarnation,
                "another node has this one's number by now; it starts again"
            ),
        }
        self.membership.note_over();
        tell(&self.mailboxes, || Envelope::Isolation(Isolation::Closed));
    }

    /// Somebody asks a node to drain.
    fn take_wish(&self, number: u16, incarnation: u64) {
        let own = self.nodes.own();
        let is_ours = self.nodes.number() == Some(number) && own.incarnation == incarnation;
        if is_ours && !own.draining {
            tracing::info!("an operator has asked this node to drain");
            let _ = self.control.send(Command::Empty);
        }
    }

    async fn leave(&mut self, bucket: &Bucket) {
        let mut effects = Vec::new();
        self.nodes.handle(Input::Leave, now_ms(), &mut effects);
        for effect in effects {
            let is_delete = matches!(effect, Effect::Delete { .. });
            if is_delete && bucket.is_connected() {
                // If it does not get through, the lease expires.
                let _ = timeout(REQUEST, bucket.carry_out(effect)).await;
            }
        }
    }
}

/// Opens the bucket; waits while NATS is away.
async fn open(settings: &ClusterSettings, membership: &Membership) -> Result<Bucket, ClusterError> {
    let mut said = None;
    loop {
        let why = match Bucket::open(settings).await {
            Ok(bucket) => return Ok(bucket),
            Err(Unopened::For(error)) => return Err(error),
            Err(Unopened::Away(why)) => why,
        };
        let is_news = membership.note_waiting(Some(format!("NATS is away: {why}")));
        let pause = if is_news { SAY_NEWS } else { SAY_AGAIN };
        if said.is_none_or(|said: Instant| said.elapsed() >= pause) {
            said = Some(Instant::now());
            tracing::warn!(
                reason = why,
                "waiting for NATS; the server starts when it is there"
            );
        }
        sleep(RETRY).await;
    }
}

/// Watches the bucket for ever.
async fn watch(bucket: Bucket, events: UnboundedSender<Event>) {
    loop {
        match bucket.watch().await {
            Ok(mut keys) => {
                let mut is_settled = false;
                if events.send(Event::Input(Input::WatchBegan)).is_err() {
                    return;
                }
                while let Some(Ok(entry)) = keys.next().await {
                    let event = match shown(&entry) {
                        Some(Shown::Node(input)) => Some(Event::Input(input)),
                        Some(Shown::Drain {
                            number,
                            incarnation,
                        }) => Some(Event::Asked {
                            number,
                            incarnation,
                        }),
                        None => None,
                    };
                    let settled = (entry.seen_current && !is_settled)
                        .then_some(Event::Input(Input::WatchSettled));
                    is_settled |= settled.is_some();
                    for event in event.into_iter().chain(settled) {
                        if events.send(event).is_err() {
                            return;
                        }
                    }
                }
                tracing::debug!("the watch of the cluster's bucket has ended; it begins again");
            }
            Err(error) => tracing::debug!(%error, "the cluster's bucket cannot be watched"),
        }
        sleep(RETRY).await;
    }
}

/// Milliseconds since the machine has booted, time in which it slept included: a lease expires
/// meanwhile.
fn now_ms() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    seconds * 1_000 + u64::try_from(now.tv_nsec).unwrap_or_default() / 1_000_000
}
