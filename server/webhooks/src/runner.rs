//! Delivers the events of one subscription, one after the other.
//!
//! Order: an event is begun when the one before it is delivered or given up. The cursor moves after
//! that, so an event can arrive twice after a crash, with the same `noticeId`, and never is left
//! out.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use serde_json::Value;
use tidings_spans::{Kind, Span, TraceContext};

use crate::body;
use crate::call::{Answer, Call, CallError, Caller, Line};
use crate::contexts::Contexts;
use crate::delivery::{Attempt, Delivery, State, Verdict};
use crate::figures::CallCounts;
use crate::guard::Target;
use crate::hook::{self, Hook, Kept};
use crate::sign;
use crate::slots::{Slots, Standing};
use crate::sources::{Clock, Event, EventSource, GAP, Records, Table};
use crate::subscription::Subscription;
use crate::throttle::Throttle;

/// Events that are read at once, and wait in memory.
const READ_MAX: usize = 32;
/// A busy subscription writes down where it is this often; a crash repeats what is newer.
const WRITE_MS: u64 = 500;
/// Records that are written or deleted together.
const WRITES_MAX: usize = 128;
/// The pause after the store did not answer.
const FAULT_PAUSE_MS: u64 = 1_000;

/// What all subscriptions share.
pub(crate) struct Shared {
    pub(crate) records: Arc<dyn Records>,
    pub(crate) events: Arc<dyn EventSource>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) caller: Caller,
    pub(crate) slots: Slots,
    pub(crate) throttle: Throttle,
    /// How long a target may take to answer.
    pub(crate) timeout: Duration,
    pub(crate) counts: CallCounts,
    /// The pause after the first attempt that fails.
    pub(crate) first_pause: Duration,
    /// Held while settings of a subscription change, on disk and in memory.
    pub(crate) managing: tokio::sync::Mutex<()>,
    /// What the calls of backends have brought along that have sent messages.
    pub(crate) contexts: Contexts,
}

/// The outcome of one attempt.
pub(crate) struct Tried {
    pub(crate) attempt: Attempt,
    /// How long the target asks to be left alone.
    pub(crate) asked: Option<Duration>,
}

impl Shared {
    /// Calls the target of a subscription once.
    pub(crate) async fn attempt(
        &self,
        config: &Subscription,
        event: &Event,
        line: &mut Option<Line>,
        standing: Standing,
    ) -> Tried {
        let slot = self.slots.take(&config.app, standing).await;
        let now_ms = self.clock.now_ms();
        let begun = Instant::now();
        let cause = self.contexts.of(event);
        let mut span = tidings_spans::begin("webhook.delivery", Kind::Producer, cause.as_ref());
        let outcome = match self.caller.rules.target(&config.url) {
            Ok(target) => {
                let cause = span.context();
                self.call(config, (&target, cause), event, line, now_ms)
                    .await
            }
            Err(refusal) => Err(CallError::Refused(refusal)),
        };
        if span.is_recording() {
            tell(&mut span, config, event, &outcome);
        }
        drop(span);
        drop(slot);
        let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let attempt = Attempt::new(now_ms, took, &outcome);
        self.counts.note_call(&config.app, attempt.verdict());
        Tried {
            attempt,
            asked: outcome.ok().and_then(|answer| answer.retry_after),
        }
    }

    async fn call(
        &self,
        config: &Subscription,
        (target, cause): (&Target, Option<TraceContext>),
        event: &Event,
        line: &mut Option<Line>,
        now_ms: u64,
    ) -> Result<Answer, CallError> {
        let body = body::notice(&config.app, &config.id, event, now_ms);
        let mut secrets = config.secrets.iter().map(|secret| secret.text.as_str());
        let secret = secrets.next().unwrap_or_default();
        let mut headers = sign::headers(secret, secrets.next(), now_ms / 1_000, &body);
        headers.extend(cause.map(|cause| (TraceContext::HEADER, cause.to_string())));
        let call = Call {
            target,
            headers: &headers,
            body: body.into(),
            deadline: Instant::now() + self.timeout,
        };
        self.caller
            .post(line, &call, self.slots.name(&config.app))
            .await
    }

    /// Writes down where a subscription is. Returns whether that worked.
    pub(crate) async fn write(&self, hook: &Hook) -> bool {
        let changes = hook.take_changes();
        if changes.is_empty() {
            return true;
        }
        let written = self.records.write(changes).await;
        if let Err(fault) = &written {
            // The next write has the newest state; these deliveries are missing from the list.
            hook.state().touch();
            tracing::warn!(app = hook.app, webhook = hook.id, error = %fault, "a webhook's cursor was not written");
        }
        written.is_ok()
    }

    /// Turns a subscription off and says why.
    async fn turn_off(&self, hook: &Hook, reason: &str) {
        let _managing = self.managing.lock().await;
        let mut config = (*hook.config()).clone();
        config.is_enabled = false;
        config.off_reason = Some(reason.to_owned());
        let key = hook::hook_key(&hook.app, &hook.id);
        if hook.is_ended() {
            return;
        }
        let change = hook::json(Table::Webhooks, key, &config);
        if let Err(fault) = self.records.write(vec![change]).await {
            // After a restart the target is called once more, and says so again.
            tracing::warn!(app = hook.app, webhook = hook.id, error = %fault, "a webhook's end was not written");
        }
        tracing::info!(
            app = hook.app,
            webhook = hook.id,
            reason,
            "a webhook was turned off"
        );
        hook.set_config(config);
    }
}

/// Notes on a span what was delivered, and what has become of it.
fn tell(
    span: &mut Span,
    config: &Subscription,
    event: &Event,
    outcome: &Result<Answer, CallError>,
) {
    span.set("tidings.app", config.app.clone());
    span.set("tidings.webhook", config.id.clone());
    span.set("tidings.event", event.kind.clone());
    if let Some(id) = event.detail.get("id").and_then(Value::as_str)
        && event.kind.starts_with("message.")
    {
        span.set("tidings.message", id.to_owned());
    }
    match outcome {
        Ok(answer) => {
            span.set("http.response.status_code", i64::from(answer.status));
            if !(200..300).contains(&answer.status) {
                span.fail(format!("the target answered {}", answer.status));
            }
        }
        Err(error) => span.fail(error.to_string()),
    }
}

/// Delivers until the subscription ends.
pub(crate) async fn run(shared: Arc<Shared>, hook: Arc<Hook>) {
    let mut runner = Runner {
        shared,
        hook,
        queue: VecDeque::new(),
        line: None,
        reserved: None,
        written_ms: 0,
    };
    while !runner.hook.is_ended() {
        runner.step().await;
    }
}

struct Runner {
    shared: Arc<Shared>,
    hook: Arc<Hook>,
    /// Read and not done with. Bound: [`READ_MAX`].
    queue: VecDeque<Event>,
    line: Option<Line>,
    /// When the next delivery may be made, by the app's rate.
    reserved: Option<u64>,
    written_ms: u64,
}

impl Runner {
    /// Takes one event a step further, or waits.
    async fn step(&mut self) {
        let config = self.hook.config();
        if !config.is_enabled {
            self.line = None;
            self.queue.clear();
            self.shared.write(&self.hook).await;
            self.hook.wake.notified().await;
            return;
        }
        let Some(event) = self.queue.front().cloned() else {
            return self.refill().await;
        };
        if !config.wants(&event) {
            self.queue.pop_front();
            self.hook.state().pass(&event);
            return;
        }
        let now_ms = self.shared.clock.now_ms();
        let (given_up_ms, next_ms) = {
            let state = self.hook.state();
            let next_ms = state
                .progress
                .failing
                .as_ref()
                .map_or(0, |failing| failing.next_ms);
            (state.given_up_ms(&event), next_ms)
        };
        if given_up_ms.is_some_and(|at_ms| at_ms <= now_ms) {
            return self.give_up(&event).await;
        }
        if next_ms > now_ms {
            self.shared.write(&self.hook).await;
            return self
                .pause(given_up_ms.map_or(next_ms, |at_ms| at_ms.min(next_ms)))
                .await;
        }
        let due_ms = self.due_ms(now_ms);
        if due_ms > now_ms {
            self.hook.state().throttled(due_ms - now_ms);
            return self.pause(due_ms).await;
        }
        self.reserved = None;
        self.deliver(&config, &event).await;
        if self.shared.clock.now_ms().saturating_sub(self.written_ms) >= WRITE_MS {
            self.written_ms = self.shared.clock.now_ms();
            self.shared.write(&self.hook).await;
        }
    }

    fn due_ms(&mut self, now_ms: u64) -> u64 {
        let reserve = || self.shared.throttle.reserve(&self.hook.app, now_ms);
        *self.reserved.get_or_insert_with(reserve)
    }

    async fn pause(&self, until_ms: u64) {
        tokio::select! {
            () = self.shared.clock.sleep_until(until_ms) => {}
            () = self.hook.wake.notified() => {}
        }
    }

    /// Reads what comes next, or waits for it.
    async fn refill(&mut self) {
        let after = self.hook.state().progress.after.clone();
        let app = self.hook.app.clone();
        let read = self.shared.events.read(app, after.clone(), READ_MAX);
        match read.await {
            Ok(events) if events.is_empty() => {
                self.shared.write(&self.hook).await;
                tokio::select! {
                    () = self.shared.events.wait(self.hook.app.clone(), after) => {}
                    () = self.hook.wake.notified() => {}
                }
            }
            Ok(events) => self.queue.extend(events),
            Err(fault) => {
                tracing::warn!(app = self.hook.app, webhook = self.hook.id, error = %fault, "a webhook's events were not read");
                self.pause(self.shared.clock.now_ms() + FAULT_PAUSE_MS)
                    .await;
            }
        }
    }

    async fn deliver(&mut self, config: &Subscription, event: &Event) {
        let standing = match self.hook.state().progress.failing {
            Some(_) => Standing::Failing,
            None => Standing::Healthy,
        };
        let tried = self
            .shared
            .attempt(config, event, &mut self.line, standing)
            .await;
        let verdict = tried.attempt.verdict();
        let id = body::notice_id(&self.hook.app, event);
        {
            let mut state = self.hook.state();
            let mut delivery = state.delivery(id, event);
            match verdict {
                Verdict::Delivered => {
                    state.succeeded();
                    state.pass(event);
                    if event.kind == GAP {
                        let missing = event.detail.get("missing");
                        state.lost(missing.and_then(|count| count.as_u64()).unwrap_or(0));
                    }
                    delivery.tried(tried.attempt, State::Delivered);
                }
                Verdict::Failed | Verdict::Gone => {
                    let pauses = (self.shared.first_pause, tried.asked);
                    state.failed(&tried.attempt, pauses, self.shared.clock.now_ms());
                    delivery.tried(tried.attempt, State::Retrying);
                }
            }
            state.keep(delivery);
        }
        match verdict {
            Verdict::Delivered => {
                self.queue.pop_front();
            }
            Verdict::Failed => {}
            Verdict::Gone => {
                self.shared
                    .turn_off(&self.hook, "the target is gone (410)")
                    .await;
            }
        }
    }

    /// Makes a dead letter of an event.
    async fn give_up(&mut self, event: &Event) {
        let id = body::notice_id(&self.hook.app, event);
        let delivery = {
            let mut state = self.hook.state();
            let mut delivery = state.delivery(id, event);
            delivery.state = State::Dead;
            delivery.event = Some(event.clone());
            delivery
        };
        if !bury(&self.shared, &self.hook, delivery).await {
            return self
                .pause(self.shared.clock.now_ms() + FAULT_PAUSE_MS)
                .await;
        }
        self.hook.state().pass(event);
        self.queue.pop_front();
    }
}

/// Writes a dead letter, and deletes those that are dropped for it. Returns whether that worked.
async fn bury(shared: &Shared, hook: &Hook, delivery: Delivery) -> bool {
    let key = |n| hook::delivery_key(&hook.app, &hook.id, Kept::Dead, n);
    let letter = hook::json(Table::Deliveries, key(delivery.n), &delivery);
    let bytes = letter.value.as_ref().map_or(0, Vec::len);
    if let Err(fault) = shared.records.write(vec![letter]).await {
        tracing::warn!(app = hook.app, webhook = hook.id, error = %fault, "a dead letter was not written");
        return false;
    }
    shared.counts.note_dead(&hook.app);
    let dropped = {
        let mut state = hook.state();
        let dropped = state.buried(delivery.n, bytes);
        state.keep(Delivery {
            event: None,
            ..delivery
        });
        dropped
    };
    if !dropped.is_empty() {
        let count = dropped.len();
        tracing::warn!(
            app = hook.app,
            webhook = hook.id,
            count,
            "dead letters were dropped"
        );
        for some in dropped.chunks(WRITES_MAX) {
            let gone = some
                .iter()
                .map(|n| hook::deletion(Table::Deliveries, key(*n)));
            if let Err(fault) = shared.records.write(gone.collect()).await {
                tracing::warn!(app = hook.app, webhook = hook.id, error = %fault, "dead letters were not deleted");
            }
        }
    }
    true
}
