//! Message tracing: what this hub has noted of messages that somebody follows.
//!
//! A message is followed if a trace of its app fits it; each hub decides that by itself, because
//! all are told of the same traces. Off, tracing costs each place that would note something a look
//! at [`Traces::is_on`].
//!
//! Nothing of it is in a snapshot: traces and what was noted end with the process.

mod hooks;

use std::collections::{BTreeMap, VecDeque};

use tidings_wire::limits::{
    TRACE_BYTES_MAX, TRACE_KEPT_MS, TRACE_LONGEST_MS, TRACE_STEPS_MAX, TRACE_WAITS_MAX,
    TRACED_APPS_MAX, TRACES_PER_APP_MAX,
};
use tidings_wire::names::{AppId, ChannelName, UserId};

use crate::ids::{ConnectionId, MessageId, SessionKey};
use crate::kernel::maps::{NumberMap, number_map};
use crate::traces::{StepKind, Trace, TraceId, TraceStep, TracedEntry, TracedMessage, TracedTo};

/// How often it is looked for traces that are over, in milliseconds.
const SWEEP_MS: u64 = 60_000;

/// What a step, and a message without steps, cost beside their texts. Bytes, about.
const STEP_BYTES: usize = 128;
const MESSAGE_BYTES: usize = 256;

/// The traces of a hub, and what was noted.
#[derive(Debug)]
pub(crate) struct Traces {
    /// Some app has a trace, or steps that are kept.
    pub(crate) is_on: bool,
    /// Bound: `TRACED_APPS_MAX`; one more has no traces.
    apps: BTreeMap<AppId, AppTraces>,
    /// Frames of followed messages in the hands of clients, by session, in the outbox's order.
    /// Bound: `TRACE_WAITS_MAX`; of further ones no confirmation is noted.
    waits: BTreeMap<SessionKey, VecDeque<Wait>>,
    wait_count: usize,
    /// Frames of followed messages that were queued for connections, in this order. Bound:
    /// `TRACE_WAITS_MAX`; of further ones it is not noted when they are written.
    writes: Vec<Write>,
    /// Store operations with followed messages. Bound: the operations under way.
    stores: NumberMap<Storing>,
    /// Callers outside who are about to send something that is followed. Bound: the open calls.
    attempts: NumberMap<(UserId, TracedTo)>,
    /// When it is looked next for what is over, in Unix milliseconds.
    sweep_ms: u64,
}

/// What is followed of one app, and what was noted.
#[derive(Debug, Default)]
struct AppTraces {
    /// Those that are on, and those that have ended, until `TRACE_KEPT_MS` after their ends. Bound:
    /// twice `TRACES_PER_APP_MAX`; the one that has ended first goes.
    traces: Vec<Trace>,
    messages: BTreeMap<MessageId, Noted>,
    /// In the order in which they were seen first. Bound: `TRACE_BYTES_MAX`; the oldest go.
    order: VecDeque<MessageId>,
    bytes: usize,
}

/// What was noted of a message.
#[derive(Debug)]
struct Noted {
    entry: TracedEntry,
    /// What has happened, in order. Bound: `TRACE_STEPS_MAX`.
    steps: Vec<TraceStep>,
    /// Confirmations beyond that bound, and when the last one came.
    further: Option<(u64, u32)>,
    bytes: usize,
    /// Clients and store operations that are waited for.
    waiting: usize,
    is_answered: bool,
    /// Members of its channel that a trace follows. Bound: the traces of an app.
    receivers: Vec<UserId>,
}

/// A frame of which it is noted when it is written.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) connection: ConnectionId,
    pub(super) app: AppId,
    pub(super) id: MessageId,
    /// For whom; `None` = one of many, who are counted.
    pub(super) user: Option<UserId>,
}

/// A frame of which the confirmation is noted.
#[derive(Debug)]
struct Wait {
    sseq: u64,
    app: AppId,
    id: MessageId,
}

/// A message that is being stored.
#[derive(Debug)]
struct Storing {
    app: AppId,
    id: MessageId,
    /// What it is stored in.
    place: &'static str,
}

impl Traces {
    pub(crate) fn new() -> Self {
        Self {
            is_on: false,
            apps: BTreeMap::new(),
            waits: BTreeMap::new(),
            wait_count: 0,
            writes: Vec::new(),
            stores: number_map(),
            attempts: number_map(),
            sweep_ms: 0,
        }
    }

    /// Whether confirmations are waited for.
    pub(crate) fn has_waits(&self) -> bool {
        !self.waits.is_empty()
    }

    /// Connections with frames of which it is not known yet that they are written.
    pub(crate) fn unwritten(&self) -> impl Iterator<Item = ConnectionId> {
        self.writes.iter().map(|write| write.connection)
    }

    /// Notes later when a frame is written.
    fn wait_for_write(&mut self, write: Write) {
        // What is resumed after the last trace's end is waited for, but not noted any more.
        if self.is_on && self.writes.len() < TRACE_WAITS_MAX {
            self.writes.push(write);
        }
    }

    /// Takes the frames of connections for which `is_meant` says so.
    fn take_writes(&mut self, is_meant: impl Fn(&Write) -> bool) -> Vec<Write> {
        let (taken, left) = std::mem::take(&mut self.writes)
            .into_iter()
            .partition(|write| is_meant(write));
        self.writes = left;
        taken
    }

    /// Follows messages from now on. Returns whether there was room for it.
    pub(crate) fn begin(&mut self, app: &AppId, mut trace: Trace, now_ms: u64) -> bool {
        self.sweep(now_ms);
        trace.until_ms = trace.until_ms.min(now_ms + TRACE_LONGEST_MS);
        if !self.apps.contains_key(app) && self.apps.len() >= TRACED_APPS_MAX {
            // Room for it where nothing is on any more.
            let is_over =
                |traces: &AppTraces| traces.traces.iter().all(|trace| trace.until_ms <= now_ms);
            let mut over = self.apps.iter().filter(|(_, traces)| is_over(traces));
            let Some(gone) = over.next().map(|(app, _)| app.clone()) else {
                return false;
            };
            self.apps.remove(&gone);
        }
        let traces = &mut self.apps.entry(app.clone()).or_default().traces;
        let on = traces.iter().filter(|trace| trace.until_ms > now_ms);
        let has_room = on.count() < TRACES_PER_APP_MAX;
        if has_room {
            while traces.len() >= 2 * TRACES_PER_APP_MAX {
                let first = (0..traces.len()).min_by_key(|at| traces[*at].until_ms);
                traces.remove(first.unwrap_or(0));
            }
            traces.push(trace);
        }
        debug_assert!(
            traces.len() <= 2 * TRACES_PER_APP_MAX,
            "more traces than may be"
        );
        self.is_on = true;
        has_room
    }

    /// The traces of an app that are on.
    pub(crate) fn list(&self, app: &AppId, now_ms: u64) -> Vec<Trace> {
        let traces = self.apps.get(app).map(|traces| &traces.traces[..]);
        let on = traces.unwrap_or_default().iter();
        on.filter(|trace| trace.until_ms > now_ms)
            .cloned()
            .collect()
    }

    /// Ends a trace. What was noted stays as long as if it had ended by itself.
    pub(crate) fn end(&mut self, app: &AppId, id: TraceId, now_ms: u64) -> bool {
        let traces = self.apps.get_mut(app).map(|traces| &mut traces.traces);
        let mut on = traces.into_iter().flatten();
        let found = on.find(|trace| trace.id == id && trace.until_ms > now_ms);
        found.is_some_and(|trace| {
            trace.until_ms = now_ms;
            true
        })
    }

    /// The newest messages of an app, the newest first.
    pub(crate) fn messages(
        &self,
        app: &AppId,
        user: Option<&UserId>,
        channel: Option<&ChannelName>,
        limit: usize,
    ) -> Vec<TracedEntry> {
        let Some(traces) = self.apps.get(app) else {
            return Vec::new();
        };
        let newest = traces.order.iter().rev();
        let noted = newest.filter_map(|id| traces.messages.get(id));
        let fitting = noted.filter(|noted| {
            let is_given = user.is_some_and(|user| noted.receivers.contains(user));
            noted.entry.fits(user.filter(|_| !is_given), channel)
        });
        let entries = fitting.map(|noted| noted.entry.clone());
        entries.take(limit).collect()
    }

    /// What was noted of a message.
    pub(crate) fn message(&self, app: &AppId, id: MessageId) -> Option<TracedMessage> {
        let noted = self.apps.get(app)?.messages.get(&id)?;
        let mut steps = noted.steps.clone();
        if let Some((at_ms, members)) = noted.further {
            steps.push(TraceStep {
                at_ms,
                kind: StepKind::Confirmed,
                user: None,
                members: Some(members),
                detail: "further clients, of which the last one then".into(),
            });
        }
        Some(TracedMessage {
            entry: noted.entry.clone(),
            steps,
            is_waiting: noted.waiting > 0,
            is_answered: noted.is_answered,
        })
    }

    /// Whether some trace follows a message with this stamp.
    fn follows(&self, app: &AppId, from: &UserId, to: &TracedTo, stamp_ms: u64) -> bool {
        let traces = self.apps.get(app).map(|traces| &traces.traces[..]);
        let mut traces = traces.unwrap_or_default().iter();
        traces.any(|trace| trace.follows(from, to, stamp_ms))
    }

    /// Whether some trace may follow messages to this channel, whoever sends them.
    fn may_follow(&self, app: &AppId, channel: &ChannelName, stamp_ms: u64) -> bool {
        let traces = self.apps.get(app).map(|traces| &traces.traces[..]);
        let mut traces = traces.unwrap_or_default().iter();
        traces.any(|trace| {
            stamp_ms < trace.until_ms && trace.channel.as_ref().is_none_or(|of| of == channel)
        })
    }

    /// Users who are followed by themselves, and for that whatever they are given of a channel.
    fn receivers(&self, app: &AppId, channel: &ChannelName, stamp_ms: u64) -> Vec<UserId> {
        let traces = self.apps.get(app).map(|traces| &traces.traces[..]);
        let traces = traces.unwrap_or_default().iter();
        let mut users: Vec<UserId> = traces
            .filter_map(|trace| trace.receiver(channel, stamp_ms).cloned())
            .collect();
        users.sort();
        users.dedup();
        debug_assert!(
            users.len() <= 2 * TRACES_PER_APP_MAX,
            "more users are followed than there may be traces"
        );
        users
    }

    /// Begins to note something of a message, unless that was begun.
    fn open(&mut self, app: &AppId, entry: TracedEntry) {
        let Some(traces) = self.apps.get_mut(app) else {
            debug_assert!(false, "a message is followed in an app without traces");
            return;
        };
        let id = entry.id;
        debug_assert!(entry.at_ms > 0, "a message was seen at no time");
        if traces.messages.contains_key(&id) {
            return;
        }
        traces.bytes += MESSAGE_BYTES;
        let noted = Noted {
            entry,
            steps: Vec::new(),
            further: None,
            bytes: MESSAGE_BYTES,
            waiting: 0,
            is_answered: false,
            receivers: Vec::new(),
        };
        traces.messages.insert(id, noted);
        traces.order.push_back(id);
        traces.keep_bound();
    }

    /// Notes a step of a message, if that is followed.
    fn note(&mut self, app: &AppId, id: MessageId, step: TraceStep) {
        let Some(traces) = self.apps.get_mut(app) else {
            return;
        };
        let Some(noted) = traces.messages.get_mut(&id) else {
            return;
        };
        debug_assert!(step.at_ms > 0, "a step at no time");
        debug_assert!(
            noted
                .steps
                .last()
                .is_none_or(|last| last.at_ms <= step.at_ms),
            "steps are noted as they happen"
        );
        if noted.steps.len() >= TRACE_STEPS_MAX {
            if step.kind == StepKind::Confirmed {
                let (at_ms, count) = noted.further.get_or_insert((0, 0));
                (*at_ms, *count) = (step.at_ms, *count + 1);
            }
            return;
        }
        let name = step.user.as_ref().map_or(0, |user| user.as_str().len());
        let bytes = STEP_BYTES + name + step.detail.len();
        noted.bytes += bytes;
        traces.bytes += bytes;
        noted.steps.push(step);
        traces.keep_bound();
    }

    fn noted(&mut self, app: &AppId, id: MessageId) -> Option<&mut Noted> {
        self.apps.get_mut(app)?.messages.get_mut(&id)
    }

    /// Waits for a session's confirmation of a frame. Returns whether there was room for that.
    fn wait_for(&mut self, key: SessionKey, sseq: u64, app: &AppId, id: MessageId) -> bool {
        if self.wait_count >= TRACE_WAITS_MAX {
            return false;
        }
        let Some(noted) = self.noted(app, id) else {
            return true;
        };
        noted.waiting += 1;
        self.wait_count += 1;
        let wait = Wait {
            sseq,
            app: app.clone(),
            id,
        };
        let waits = self.waits.entry(key).or_default();
        debug_assert!(sseq > 0, "frames are counted from 1");
        debug_assert!(
            waits.back().is_none_or(|last| last.sseq < sseq),
            "frames are waited for in the outbox's order"
        );
        waits.push_back(wait);
        true
    }

    /// Takes the frames of a session for which `is_meant` says so.
    fn take_waits(&mut self, key: SessionKey, is_meant: impl Fn(u64) -> bool) -> Vec<Wait> {
        let Some(waits) = self.waits.get_mut(&key) else {
            return Vec::new();
        };
        let (taken, left): (VecDeque<_>, VecDeque<_>) = std::mem::take(waits)
            .into_iter()
            .partition(|wait| is_meant(wait.sseq));
        if left.is_empty() {
            self.waits.remove(&key);
        } else {
            *waits = left;
        }
        debug_assert!(
            self.wait_count >= taken.len(),
            "frames are taken that were not counted"
        );
        self.wait_count -= taken.len();
        for wait in &taken {
            if let Some(noted) = self.noted(&wait.app, wait.id) {
                // It may have gone for others, and have come again, since it was waited for.
                noted.waiting = noted.waiting.saturating_sub(1);
            }
        }
        taken.into()
    }

    /// Forgets what is over.
    fn sweep(&mut self, now_ms: u64) {
        if now_ms < self.sweep_ms {
            return;
        }
        self.sweep_ms = now_ms + SWEEP_MS;
        self.apps.retain(|_, traces| {
            let is_kept = |trace: &Trace| now_ms < trace.until_ms.saturating_add(TRACE_KEPT_MS);
            traces.traces.retain(is_kept);
            !traces.traces.is_empty()
        });
        self.is_on = !self.apps.is_empty();
        if !self.is_on {
            // Nobody looks for these any more.
            self.stores.clear();
            self.attempts.clear();
            self.writes.clear();
        }
    }
}

impl AppTraces {
    /// Lets the oldest messages go until the rest is within the bound.
    fn keep_bound(&mut self) {
        while self.bytes > TRACE_BYTES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            let gone = self.messages.remove(&oldest);
            debug_assert!(gone.is_some(), "a place without a message");
            self.bytes -= gone.map_or(0, |noted| noted.bytes);
        }
    }
}

impl Traces {
    /// Asserts what holds between two inputs. Cost: O(everything that was noted).
    pub(crate) fn assert_consistent(&self) {
        assert_eq!(
            self.is_on,
            !self.apps.is_empty(),
            "traces that nobody looks at"
        );
        assert!(self.apps.len() <= TRACED_APPS_MAX, "too many apps");
        for traces in self.apps.values() {
            let bytes: usize = traces.messages.values().map(|noted| noted.bytes).sum();
            assert_eq!(bytes, traces.bytes, "steps are not counted");
            assert!(bytes <= TRACE_BYTES_MAX, "too many steps are kept");
            assert_eq!(
                traces.messages.len(),
                traces.order.len(),
                "a message without a place"
            );
            assert!(
                traces.traces.len() <= 2 * TRACES_PER_APP_MAX,
                "too many traces"
            );
        }
        for traces in self.apps.values() {
            let has_place = |id: &MessageId| traces.messages.contains_key(id);
            assert!(traces.order.iter().all(has_place), "a place for nothing");
            for noted in traces.messages.values() {
                assert!(noted.steps.len() <= TRACE_STEPS_MAX, "too many steps");
                let is_full = noted.steps.len() == TRACE_STEPS_MAX;
                assert!(
                    noted.further.is_none() || is_full,
                    "confirmations are counted that have room"
                );
                assert!(
                    noted.steps.is_sorted_by_key(|step| step.at_ms),
                    "steps are noted as they happen"
                );
            }
        }
        for waits in self.waits.values() {
            assert!(
                waits
                    .iter()
                    .is_sorted_by(|one, other| one.sseq < other.sseq),
                "frames are waited for in the outbox's order"
            );
        }
        assert!(
            self.is_on
                || self.stores.is_empty() && self.attempts.is_empty() && self.writes.is_empty(),
            "something is looked for that nobody finds"
        );
        let writes = self.writes.len();
        assert!(writes <= TRACE_WAITS_MAX, "too many writes are followed");
        let waits = self.waits.values().map(VecDeque::len).sum::<usize>();
        assert_eq!(waits, self.wait_count, "frames are not counted");
        assert!(waits <= TRACE_WAITS_MAX, "too many frames are followed");
        assert!(
            self.waits.values().all(|waits| !waits.is_empty()),
            "a session is looked at for nothing"
        );
    }
}
