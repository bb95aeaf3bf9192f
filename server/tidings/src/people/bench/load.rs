//! The load itself, and what is counted of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tidings_client::{Client, ClientEvent, Events, SendOptions};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::plan::{Pattern, Plan};
use super::report::{Server, own_cpu, percentiles};
use crate::failure::Failure;
use crate::output;
use crate::people::interrupt::interrupted;

/// Messages without an answer at a time; more wait, and are late.
const OPEN_MAX: usize = 10_000;

/// How long the last deliveries may take.
pub(super) const LAST_WAIT: Duration = Duration::from_secs(5);

/// Longest latency that is told apart, in microseconds.
const LATENCY_US_MAX: u64 = 60_000_000;

/// What is counted during a run.
pub(super) struct Tally {
    /// When the run began; latencies are counted in its microseconds.
    begun: Instant,
    answers: Histogram<u64>,
    deliveries: Histogram<u64>,
    delivered: u64,
    answered: u64,
    /// Refusals by their text.
    refused: BTreeMap<String, u64>,
    latest_us: u64,
}

/// The tally, shared by all clients.
pub(super) type Shared = Arc<Mutex<Tally>>;

fn locked(tally: &Shared) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tally {
    pub(super) fn new() -> Result<Self, Failure> {
        let histogram = || {
            Histogram::new_with_bounds(1, LATENCY_US_MAX, 3)
                .map_err(|error| Failure::new(format!("cannot count: {error}"), "report this"))
        };
        Ok(Self {
            begun: Instant::now(),
            answers: histogram()?,
            deliveries: histogram()?,
            delivered: 0,
            answered: 0,
            refused: BTreeMap::new(),
            latest_us: 0,
        })
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn note_delivery(&mut self, due_us: u64) {
        let took_us = self.now_us().saturating_sub(due_us);
        self.deliveries.saturating_record(took_us);
        self.delivered += 1;
    }

    fn note_answer(&mut self, due_us: u64, answer: Result<(), String>) {
        let took_us = self.now_us().saturating_sub(due_us);
        match answer {
            Ok(()) => {
                self.answers.saturating_record(took_us);
                self.answered += 1;
            }
            // Bound: there are few kinds of refusals.
            Err(error) => *self.refused.entry(error).or_default() += 1,
        }
    }
}

pub(super) async fn receive(plan: Arc<Plan>, mut events: Events, tally: Shared) {
    while let Some(event) = events.next().await {
        let (ClientEvent::ChannelMessage { message, .. }
        | ClientEvent::PeerMessage { message, .. }) = event
        else {
            continue;
        };
        if let Some(due_us) = plan.due_us(&message) {
            locked(&tally).note_delivery(due_us);
        }
    }
}

/// Sends by the clock, waits for what is on its way, and reports.
pub(super) async fn measure(
    plan: &Arc<Plan>,
    clients: &[Client],
    tally: &Shared,
    server: &Server,
) -> Result<Value, Failure> {
    let (server_before, own_before) = (server.cpu(), own_cpu());
    let begun = Instant::now();
    locked(tally).begun = begun;
    let sent = tokio::select! {
        sent = send_all(plan, clients, tally, begun) => sent,
        () = interrupted() => {
            output::notice("stopped early; what was measured so far:");
            locked(tally).answered
        }
    };
    let sending = begun.elapsed();
    let (server_after, own_after) = (server.cpu(), own_cpu());
    wait_for_last(plan, tally).await;
    let tally = locked(tally);
    let refused: u64 = tally.refused.values().sum();
    let expected = tally.answered * plan.receivers();
    let seconds = sending.as_secs_f64().max(0.001);
    let share = |before: Option<Duration>, after: Option<Duration>| {
        let used = after?.checked_sub(before?)?;
        Some((used.as_secs_f64() / seconds * 100.0).round())
    };
    // Counts of a run are far below 2^53.
    #[allow(clippy::cast_precision_loss)]
    let per_second = |count: u64| (count as f64 / seconds * 10.0).round() / 10.0;
    Ok(json!({
        "clients": plan.clients,
        "seconds": (seconds * 1_000.0).round() / 1_000.0,
        "sent": sent,
        "sent_rate": per_second(sent),
        "answered": tally.answered,
        "refused": refused,
        "refusals": tally.refused,
        "expected": expected,
        "delivered": tally.delivered,
        "delivered_rate": per_second(tally.delivered),
        "lost": expected.saturating_sub(tally.delivered),
        "answer_us": percentiles(&tally.answers),
        "delivery_us": percentiles(&tally.deliveries),
        "late_us_max": tally.latest_us,
        "server_cpu_percent": share(server_before, server_after),
        "own_cpu_percent": share(own_before, own_after),
    }))
}

async fn send_all(plan: &Arc<Plan>, clients: &[Client], tally: &Shared, begun: Instant) -> u64 {
    let open = Arc::new(Semaphore::new(OPEN_MAX));
    let mut sending = JoinSet::new();
    let senders = match plan.pattern {
        Pattern::Channel => clients.len(),
        Pattern::Pairs => clients.len() / 2,
    };
    let mut sender = 0;
    for number in 0..plan.messages {
        let due_us = number * 1_000_000 / u64::from(plan.rate);
        sleep_until(begun + Duration::from_micros(due_us)).await;
        let Ok(place) = open.clone().acquire_owned().await else {
            break;
        };
        {
            let mut tally = locked(tally);
            tally.latest_us = tally.latest_us.max(tally.now_us().saturating_sub(due_us));
        }
        let (plan, tally) = (plan.clone(), tally.clone());
        let (client, to) = match plan.pattern {
            Pattern::Channel => (clients[sender].clone(), None),
            Pattern::Pairs => {
                let to = plan.user(2 * sender + 1);
                (clients[2 * sender].clone(), Some(to))
            }
        };
        sender = (sender + 1) % senders;
        sending.spawn(async move {
            let _place = place;
            let text = plan.text(due_us);
            let answer = match to {
                Some(user) => {
                    let sent = client.send_to_peer(&user, text, SendOptions::new()).await;
                    sent.map(drop).map_err(|error| error.to_string())
                }
                None => {
                    let sent = client.channel(plan.channel()).send(text).await;
                    sent.map_err(|error| error.to_string())
                }
            };
            locked(&tally).note_answer(due_us, answer);
        });
        while sending.try_join_next().is_some() {}
    }
    let _ = timeout(LAST_WAIT, sending.join_all()).await;
    plan.messages
}

/// Waits until everything that was answered is delivered, or nothing comes any more.
async fn wait_for_last(plan: &Plan, tally: &Shared) {
    const LOOK_EVERY: Duration = Duration::from_millis(20);
    let until = Instant::now() + LAST_WAIT;
    while Instant::now() < until {
        let is_done = {
            let tally = locked(tally);
            tally.delivered >= tally.answered * plan.receivers()
        };
        if is_done {
            break;
        }
        sleep(LOOK_EVERY).await;
    }
}
