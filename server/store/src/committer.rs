//! The thread that owns the engine: hubs submit operations, and it carries out all that are waiting
//! as one group.
//!
//! The slower a sync is, the more operations queue up and the larger the next group becomes, so
//! throughput does not depend on how many syncs per second the disk can do.

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use tidings_hub::Ticket;
use tidings_hub::counts::{Histogram, Tally};
use tidings_hub::ids::HubId;
use tidings_hub::store_ops::records::RecordOp;
use tidings_hub::store_ops::{StoreAnswer, StoreOp};
use tidings_wire::names::AppId;

use crate::engine::{Access, Engine, Health};
use crate::feed::{Feed, LostEvents};
use crate::usage::Bounds;

/// Bound: operations that wait. The group being carried out may hold as many again. A longer queue
/// would only delay the answers: a client gives up after seconds.
pub const QUEUE_OPERATIONS_MAX: usize = 4096;

/// Bound: bytes that wait. An empty queue accepts one operation of any size.
pub const QUEUE_BYTES_MAX: usize = 8 << 20;

/// Bound: events that wait to be appended, besides the operations: a crowd that logs in must not
/// push out what somebody waits for. One more is lost, which its app is told.
pub const QUEUE_EVENTS_MAX: usize = 16_384;

/// How often an idle engine that does not accept everything is tended to.
const TEND_INTERVAL: Duration = Duration::from_secs(1);

/// Receives the answers to a hub's operations.
pub trait AnswerSink: Send + 'static {
    /// Takes the answers to operations of one hub, in the order of the operations. Runs on the
    /// store's thread and blocks it: it should pass the answers on and return.
    fn answers(&self, hub: HubId, answers: Vec<(Ticket, StoreAnswer)>);

    /// Takes the engine's health, at the start and whenever what it accepts changes.
    fn health(&self, _health: &Health) {}

    /// Is told of each group that was carried out: how many operations it had, when it began, and
    /// whether the store accepts everything. Runs on the store's thread.
    fn committed(&self, _operations: usize, _began: SystemTime, _is_well: bool) {}
}

impl<F: Fn(HubId, Vec<(Ticket, StoreAnswer)>) + Send + 'static> AnswerSink for F {
    fn answers(&self, hub: HubId, answers: Vec<(Ticket, StoreAnswer)>) {
        self(hub, answers);
    }
}

/// The state of a node's store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// The engine's health.
    pub health: Health,
    /// Operations that wait.
    pub queued_operations: usize,
    /// Approximate bytes of the operations that wait.
    pub queued_bytes: usize,
    /// Groups carried out.
    pub groups: u64,
    /// Operations carried out.
    pub operations: u64,
    /// Operations refused because the queue was full or closing.
    pub refused: u64,
    /// Time spent in groups, in microseconds.
    pub busy_us: u64,
    /// The longest group, in microseconds.
    pub longest_us: u64,
    /// How long groups took.
    pub groups_took: Histogram,
    /// Of the operations that wait, those that append events: they have a bound of their own.
    pub queued_events: usize,
    /// Operations refused because their app has stored as much as its quota allows.
    pub quota_refusals: Tally<u64>,
}

/// Owns an engine on a thread of its own.
///
/// Dropping it carries out what was submitted, as [`Self::close`] does.
pub struct Committer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Committer {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system cannot start a thread.
    pub fn open(engine: impl Engine + Send + 'static, sink: impl AnswerSink) -> io::Result<Self> {
        let mut queue = Queue::default();
        queue.status.health = engine.health();
        let shared = Arc::new(Shared {
            queue: Mutex::new(queue),
            feed: Arc::default(),
            changed: Condvar::new(),
        });
        let theirs = Arc::clone(&shared);
        let thread = Builder::new()
            .name("store".into())
            .spawn(move || run(engine, &sink, &theirs))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// A submitter for one more hub.
    pub fn submitter(&self) -> Submitter {
        Submitter {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Sets how many bytes each app may store; applies from the next group on.
    pub fn set_bounds(&self, bounds: Bounds) {
        self.shared.lock().bounds = Some(Arc::new(bounds));
    }

    /// Refuses further operations, carries out and answers those already submitted, and closes the
    /// engine.
    pub fn close(mut self) {
        self.finish();
    }

    fn finish(&mut self) {
        self.shared.lock().is_closing = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // The thread panics only if the sink does, and has reported that by then.
            let _ = thread.join();
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Submits operations. Cheap to clone.
#[derive(Clone)]
pub struct Submitter {
    shared: Arc<Shared>,
}

impl Submitter {
    /// Submits operations of a hub. They are carried out in this order, after everything submitted
    /// earlier.
    ///
    /// Operations that no longer fit are not carried out; `refused` gets them, answered `Failed`.
    pub fn submit(
        &self,
        hub: HubId,
        operations: impl IntoIterator<Item = (Ticket, StoreOp)>,
        refused: &mut Vec<(Ticket, StoreAnswer)>,
    ) {
        let mut queue = self.shared.lock();
        for (ticket, op) in operations {
            if let Err(reason) = queue.push(op, Owner::Hub(hub, ticket)) {
                refused.push((ticket, StoreAnswer::Failed { reason }));
            }
        }
        let has_work = !queue.ops.is_empty();
        drop(queue);
        if has_work {
            self.shared.changed.notify_one();
        }
    }

    /// Submits one operation of somebody who is no hub. `answer` is called once, on the store's
    /// thread, which it blocks: it should pass the answer on and return. If the queue is full or
    /// closing, it is called at once, on this thread, with `Failed`; if the store's thread ends
    /// without an answer, it is dropped.
    pub fn submit_one(&self, op: StoreOp, answer: impl FnOnce(StoreAnswer) + Send + 'static) {
        let mut queue = self.shared.lock();
        if let Some(reason) = queue.refusal(&op) {
            queue.note_refused(&op);
            drop(queue);
            return answer(StoreAnswer::Failed { reason });
        }
        queue.accept(op, Owner::Caller(Box::new(answer)));
        drop(queue);
        self.shared.changed.notify_one();
    }

    pub(crate) fn feed(&self) -> &Arc<Feed> {
        &self.shared.feed
    }

    /// The store's state.
    pub fn status(&self) -> Status {
        let queue = self.shared.lock();
        Status {
            queued_operations: queue.ops.len(),
            queued_events: queue.events,
            ..queue.status.clone()
        }
    }
}

/// Who gets an answer.
enum Owner {
    /// Nobody: the store itself has asked.
    Store,
    Hub(HubId, Ticket),
    Caller(Box<dyn FnOnce(StoreAnswer) + Send>),
}

struct Shared {
    queue: Mutex<Queue>,
    /// Whom new events are told to.
    feed: Arc<Feed>,
    /// There is work, or the committer is closing.
    changed: Condvar,
}

impl Shared {
    /// No code can panic while it holds the lock, so a poisoned one is as good.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
struct Queue {
    /// Who gets the answer of each operation: as long as `ops`.
    owners: Vec<Owner>,
    ops: Vec<StoreOp>,
    /// How many of them append events.
    events: usize,
    /// Events that could not be written, to be told to their apps.
    lost: LostEvents,
    is_closing: bool,
    status: Status,
    /// Newly queued operations, not yet given to the engine.
    bounds: Option<Arc<Bounds>>,
}

impl Queue {
    /// Queues an operation, or returns why it does not fit.
    fn push(&mut self, op: StoreOp, owner: Owner) -> Result<(), String> {
        if let Some(reason) = self.refusal(&op) {
            self.note_refused(&op);
            return Err(reason);
        }
        self.accept(op, owner);
        Ok(())
    }

    fn accept(&mut self, op: StoreOp, owner: Owner) {
        if matches!(op, StoreOp::EventAppend(_)) {
            self.events += 1;
        } else {
            self.status.queued_bytes += op_bytes(&op);
        }
        self.owners.push(owner);
        self.ops.push(op);
    }

    fn note_refused(&mut self, op: &StoreOp) {
        self.status.refused += 1;
        self.lost.note(op);
    }

    fn refusal(&self, op: &StoreOp) -> Option<String> {
        let bytes = op_bytes(op);
        let (operations, queued_bytes) = (self.ops.len() - self.events, self.status.queued_bytes);
        if self.is_closing {
            Some("the store is shutting down; try again when the server is back".into())
        } else if matches!(op, StoreOp::EventAppend(_)) {
            (self.events >= QUEUE_EVENTS_MAX).then(|| {
                format!(
                    "the disk does not keep up: {} events are waiting",
                    self.events
                )
            })
        } else if operations >= QUEUE_OPERATIONS_MAX
            || (operations > 0 && queued_bytes + bytes > QUEUE_BYTES_MAX)
        {
            Some(format!(
                "the disk does not keep up: {operations} operations of {queued_bytes} bytes are waiting; \
                 try again later"
            ))
        } else {
            None
        }
    }
}

/// Approximate bytes of an operation while it waits.
fn op_bytes(op: &StoreOp) -> usize {
    size_of::<StoreOp>()
        + match op {
            StoreOp::InboxAppend { message, .. } => message.body.len() + message.from.len(),
            StoreOp::HistoryAppend { message, .. } => message.body.len() + message.from.len(),
            StoreOp::AttributesWrite { entries, .. } => entries
                .iter()
                .map(|entry| entry.key.len() + entry.value.len() + entry.updated_by.len())
                .sum(),
            StoreOp::Record(op) => match &**op {
                RecordOp::Write(writes) => writes
                    .iter()
                    .map(|write| write.key.len() + write.value.as_ref().map_or(0, |v| v.len()))
                    .sum(),
                _ => 0,
            },
            _ => 0,
        }
}

/// The group being carried out; its memory is reused for the next.
#[derive(Default)]
struct Group {
    owners: Vec<Owner>,
    ops: Vec<StoreOp>,
    answers: Vec<StoreAnswer>,
    bounds: Option<Arc<Bounds>>,
    /// Operations of it that were refused for their app's quota.
    over_quota: BTreeMap<AppId, u64>,
}

fn run(engine: impl Engine, sink: &impl AnswerSink, shared: &Shared) {
    // Runs on a panic of the sink as well: nobody may wait for answers that will not come.
    let _closing = CloseOnExit(shared);
    let mut told = engine.health().access;
    sink.health(&engine.health());
    let mut engine = Some(engine);
    let mut group = Group::default();
    let mut is_well = told == Access::Full;
    while take_group(shared, &mut group, is_well) {
        let (start, began) = (Instant::now(), SystemTime::now());
        let health = carry_out(&mut engine, &mut group);
        is_well = health.access == Access::Full;
        let lost = LostEvents::of_group(&group.ops, &group.answers);
        shared.feed.publish(&group.answers);
        let spent_us = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        {
            let queue = &mut shared.lock();
            queue.lost.add(lost);
            let status = &mut queue.status;
            status.groups += u64::from(!group.ops.is_empty());
            status.operations += group.ops.len() as u64;
            status.busy_us += spent_us;
            status.longest_us = status.longest_us.max(spent_us);
            if !group.ops.is_empty() {
                status.groups_took.note(spent_us, 1);
            }
            status.health = health.clone();
            for (app, refused) in std::mem::take(&mut group.over_quota) {
                // Only listed apps have quotas.
                *status.quota_refusals.of(&app, || true) += refused;
            }
        }
        // After the status: whoever is told may ask for it.
        if std::mem::discriminant(&health.access) != std::mem::discriminant(&told) {
            told = health.access.clone();
            sink.health(&health);
        }
        if !group.ops.is_empty() {
            sink.committed(group.ops.len(), began, is_well);
        }
        hand_out(&mut group, sink);
    }
}

/// Waits for operations and takes all there are. While the engine does not accept everything, waits
/// [`TEND_INTERVAL`] at most, and takes none when that has passed. `false` = there will be none.
fn take_group(shared: &Shared, group: &mut Group, is_well: bool) -> bool {
    let mut queue = shared.lock();
    let deadline = Instant::now() + TEND_INTERVAL;
    let tells_losses = |queue: &Queue| is_well && !queue.lost.is_empty();
    while queue.ops.is_empty() && !tells_losses(&queue) {
        if queue.is_closing {
            return false;
        }
        let changed = &shared.changed;
        queue = if is_well {
            changed.wait(queue).unwrap_or_else(PoisonError::into_inner)
        } else {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = changed.wait_timeout(queue, left);
            waited.unwrap_or_else(PoisonError::into_inner).0
        };
    }
    group.owners.clear();
    group.ops.clear();
    if tells_losses(&queue) {
        for op in std::mem::take(&mut queue.lost).into_ops() {
            queue.owners.push(Owner::Store);
            queue.ops.push(op);
        }
    }
    queue.events = 0;
    std::mem::swap(&mut group.owners, &mut queue.owners);
    std::mem::swap(&mut group.ops, &mut queue.ops);
    queue.status.queued_bytes = 0;
    group.bounds = queue.bounds.take();
    true
}

/// Answers every operation of the group, and reports the engine's health.
fn carry_out<E: Engine>(engine: &mut Option<E>, group: &mut Group) -> Health {
    const REASON: &str = "the store has stopped because of a fault in the program; \
                          restart the server and report its log";
    group.answers.clear();
    if let Some(working) = engine {
        // The engine is not used again after a panic, so its state does not matter.
        let applied = catch_unwind(AssertUnwindSafe(|| {
            if let Some(bounds) = group.bounds.take() {
                working.set_bounds(bounds);
            }
            if group.ops.is_empty() {
                working.tend()
            } else {
                working.apply(&group.ops, &mut group.answers)
            }
            group.over_quota = working.take_quota_refusals();
            working.health()
        }));
        match applied {
            Ok(health) if group.answers.len() == group.ops.len() => return health,
            _ => drop(catch_unwind(AssertUnwindSafe(|| engine.take()))),
        }
    }
    group.answers.clear();
    let failed = || StoreAnswer::Failed {
        reason: REASON.into(),
    };
    group.answers.resize_with(group.ops.len(), failed);
    let access = Access::ReadOnly {
        reason: REASON.into(),
    };
    Health {
        access,
        ..Health::default()
    }
}

/// Gives each hub its answers in one call, and everybody else theirs.
fn hand_out(group: &mut Group, sink: &impl AnswerSink) {
    let mut hubs: Vec<(HubId, Vec<(Ticket, StoreAnswer)>)> = Vec::new();
    let most = group.owners.len();
    for (owner, answer) in group.owners.drain(..).zip(group.answers.drain(..)) {
        let (hub, ticket) = match owner {
            Owner::Store => continue,
            // Nobody waits for it; that it has failed is told.
            Owner::Hub(_, Ticket::NOBODY) if !matches!(answer, StoreAnswer::Failed { .. }) => {
                continue;
            }
            Owner::Hub(hub, ticket) => (hub, ticket),
            Owner::Caller(take) => {
                take(answer);
                continue;
            }
        };
        match hubs.iter_mut().find(|(known, _)| *known == hub) {
            Some((_, answers)) => answers.push((ticket, answer)),
            None => {
                let mut answers = Vec::with_capacity(most);
                answers.push((ticket, answer));
                hubs.push((hub, answers));
            }
        }
    }
    for (hub, answers) in hubs {
        sink.answers(hub, answers);
    }
}

struct CloseOnExit<'a>(&'a Shared);

impl Drop for CloseOnExit<'_> {
    fn drop(&mut self) {
        self.0.lock().is_closing = true;
    }
}
