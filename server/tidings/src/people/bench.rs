//! `tidings bench`: a bounded load on a server of one's own.
//!
//! Messages are sent by the clock, not when the last was answered, and a latency counts from when
//! its message was due: a server that stands still for a second is seen to do so.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clap::{Args, ValueEnum};
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tidings_client::{Client, ClientEvent, Events, Message, SendOptions};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::live::{block_on, client_at, endpoint_of, token_for};
use super::print;
use super::reach::{AppDoor, AppReach};
use super::shown::shown;
use crate::failure::Failure;
use crate::output;
use crate::settings::values::Span;

/// Messages of one user in a second that its rate allows (180 in 3 s), with some to spare.
const USER_RATE_MAX: u32 = 50;

/// Deliveries in a second that one core of this program can take in.
const DELIVERY_RATE_MAX: u64 = 50_000;

/// Longest run.
const TIME_MAX: Duration = Duration::from_secs(600);

/// Logins at a time.
const LOGINS: usize = 16;

/// Messages without an answer at a time; more wait, and are late.
const OPEN_MAX: usize = 10_000;

/// How long the last deliveries may take.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// Longest latency that is told apart, in microseconds.
const LATENCY_US_MAX: u64 = 60_000_000;

/// How long a client's token is good, in seconds: longer than any run.
const TOKEN_S: u32 = 1_200;

/// Who writes to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Pattern {
    // All clients are in one channel, and everybody gets every message.
    Channel,
    // Clients are in pairs, and one writes to the other.
    Pairs,
}

#[derive(Args)]
#[command(
    after_help = "Clients log in as users bench-… of the app, and log out at the end. The key
must reach the app: this is for a server of your own. One core of this machine
makes the load; the report says if that was too little.

Examples:
  tidings bench
  tidings bench --clients 200 --rate 50 --time 30s
      Each message goes to 199 members: 9,950 deliveries in a second.
  tidings bench --pattern pairs --clients 100 --rate 2000 --json"
)]
pub(crate) struct BenchArguments {
    /// Clients, 2 to 1000
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u32).range(2..=1_000))]
    clients: u32,

    /// Messages in a second, of all clients together, 1 to 10000
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,

    /// How long to send, at most 10m; a number without a unit is seconds
    #[arg(long, value_name = "TIME", default_value = "10s")]
    time: Span,

    /// Bytes of a message, 40 to 32768
    #[arg(long, value_name = "BYTES", default_value_t = 100, value_parser = clap::value_parser!(u32).range(40..=32_768))]
    size: u32,

    /// All clients in one channel, or in pairs of which one writes to the other
    #[arg(long, value_enum, value_name = "PATTERN", default_value_t = Pattern::Channel)]
    pattern: Pattern,

    /// Where clients reach the server, such as wss://chat.example.org [default: where the API is]
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,

    /// Print the report as one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    reach: AppReach,
}

/// What is counted during a run.
struct Tally {
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
type Shared = Arc<Mutex<Tally>>;

fn locked(tally: &Shared) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tally {
    fn new() -> Result<Self, Failure> {
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

/// What a run is.
struct Plan {
    /// In the names of users and the channel, so that runs do not meet.
    run: String,
    clients: usize,
    rate: u32,
    messages: u64,
    size: usize,
    pattern: Pattern,
}

impl Plan {
    fn of(arguments: &BenchArguments) -> Result<Self, Failure> {
        let time = arguments.time.of(Duration::from_secs(1));
        if time < Duration::from_secs(1) || time > TIME_MAX {
            return Err(Failure::new(
                format!("a run cannot last {}", humantime::format_duration(time)),
                "give --time 1s to 10m",
            ));
        }
        let senders = match arguments.pattern {
            Pattern::Channel => arguments.clients,
            Pattern::Pairs => arguments.clients / 2,
        };
        let least = arguments.rate.div_ceil(USER_RATE_MAX);
        if senders < least {
            let clients = match arguments.pattern {
                Pattern::Channel => least,
                Pattern::Pairs => least * 2,
            };
            return Err(Failure::new(
                format!(
                    "{senders} senders may not send {} messages in a second: a user has a rate",
                    arguments.rate
                ),
                format!("give --clients {clients} or more, or a lower --rate"),
            ));
        }
        let plan = Self {
            run: format!("{:08x}", getrandom::u32().unwrap_or_default()),
            clients: usize::try_from(arguments.clients).unwrap_or(2),
            rate: arguments.rate,
            messages: u64::from(arguments.rate) * time.as_secs(),
            size: usize::try_from(arguments.size).unwrap_or(40),
            pattern: arguments.pattern,
        };
        let deliveries = u64::from(arguments.rate) * plan.receivers();
        if deliveries > DELIVERY_RATE_MAX {
            return Err(Failure::new(
                format!(
                    "{deliveries} deliveries in a second are more than this program can take in"
                ),
                format!(
                    "stay below {DELIVERY_RATE_MAX}: clients times rate; run it on several machines for more"
                ),
            ));
        }
        Ok(plan)
    }

    /// How many clients get one message.
    fn receivers(&self) -> u64 {
        match self.pattern {
            Pattern::Channel => self.clients as u64 - 1,
            Pattern::Pairs => 1,
        }
    }

    fn user(&self, at: usize) -> String {
        format!("bench-{}-{at}", self.run)
    }

    fn channel(&self) -> String {
        format!("bench-{}", self.run)
    }

    /// A message's text: the run, when it was due, and as much as is missing.
    fn text(&self, due_us: u64) -> String {
        let mut text = format!("{} {due_us} ", self.run);
        text.extend(std::iter::repeat_n(
            '.',
            self.size.saturating_sub(text.len()),
        ));
        text
    }

    /// When a message of this run was due.
    fn due_us(&self, message: &Message) -> Option<u64> {
        let Message::Text(text) = message else {
            return None;
        };
        let mut words = text.split(' ');
        (words.next() == Some(&self.run)).then(|| words.next()?.parse().ok())?
    }
}

/// `tidings bench`.
pub(crate) fn run(arguments: &BenchArguments) -> Result<(), Failure> {
    let plan = Arc::new(Plan::of(arguments)?);
    let door = arguments.reach.open()?;
    // Only who may look at the app may load it.
    door.api.get(&door.path(&["channels"]), &[("limit", "1")])?;
    let endpoint = endpoint_of(&door, arguments.endpoint.as_deref());
    let mut tokens = Vec::with_capacity(plan.clients);
    for at in 0..plan.clients {
        let token = token_for(&door, &plan.user(at), TOKEN_S)?;
        let needs_none = token.is_none();
        tokens.push(token);
        if needs_none {
            tokens.resize(plan.clients, None);
            break;
        }
    }
    let server = Server::of(&door);
    let report = block_on(async {
        output::notice(format_args!("logging in {} clients", plan.clients));
        let clients = log_in(&plan, &endpoint, &door.app, tokens).await?;
        let tally = Arc::new(Mutex::new(Tally::new()?));
        let (mut handles, mut readers) = (Vec::new(), JoinSet::new());
        for (client, events) in clients {
            readers.spawn(receive(plan.clone(), events, tally.clone()));
            handles.push(client);
        }
        let report = measure(&plan, &handles, &tally, &server).await;
        let mut leaving = JoinSet::new();
        for client in handles {
            leaving.spawn(async move { client.logout().await });
        }
        let _ = timeout(LAST_WAIT, leaving.join_all()).await;
        report
    })?;
    if arguments.json {
        print::json(&report)
    } else {
        print::line(&described(&plan, &endpoint, &report))
    }
}

async fn log_in(
    plan: &Plan,
    endpoint: &str,
    app: &str,
    tokens: Vec<Option<String>>,
) -> Result<Vec<(Client, Events)>, Failure> {
    let places = Arc::new(Semaphore::new(LOGINS));
    let mut logins = JoinSet::new();
    for (at, token) in tokens.into_iter().enumerate() {
        let (places, user) = (places.clone(), plan.user(at));
        let (endpoint, app) = (endpoint.to_owned(), app.to_owned());
        let channel = (plan.pattern == Pattern::Channel).then(|| plan.channel());
        logins.spawn(async move {
            let _place = places.acquire_owned().await;
            let (client, events) = client_at(&endpoint, &app, &user, token.as_deref()).await?;
            if let Some(channel) = channel {
                client.channel(channel).join().await.map_err(|error| {
                    let what = format!("{user} cannot join the channel: {error}");
                    Failure::new(what, "look at the app's limits with `tidings app show`")
                })?;
            }
            Ok((at, client, events))
        });
    }
    let mut clients = Vec::with_capacity(plan.clients);
    while let Some(login) = logins.join_next().await {
        match login {
            Ok(Ok(login)) => clients.push(login),
            Ok(Err(failure)) => return Err(failure),
            Err(error) => return Err(Failure::new(error.to_string(), "report this")),
        }
    }
    clients.sort_by_key(|(at, ..)| *at);
    let clients = clients.into_iter();
    Ok(clients
        .map(|(_, client, events)| (client, events))
        .collect())
}

async fn receive(plan: Arc<Plan>, mut events: Events, tally: Shared) {
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
async fn measure(
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
        _ = tokio::signal::ctrl_c() => {
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

fn percentiles(of: &Histogram<u64>) -> Value {
    if of.is_empty() {
        return Value::Null;
    }
    json!({
        "p50": of.value_at_quantile(0.5),
        "p90": of.value_at_quantile(0.9),
        "p99": of.value_at_quantile(0.99),
        "max": of.max(),
    })
}

/// The server's process, if it runs on this machine.
struct Server(Option<u64>);

impl Server {
    fn of(door: &AppDoor) -> Self {
        if !door.api.target().is_local {
            return Self(None);
        }
        let nodes = door.api.get("/api/v1/nodes", &[]).unwrap_or_default();
        Self(nodes["items"][0]["pid"].as_u64())
    }

    fn cpu(&self) -> Option<Duration> {
        cpu_in(&format!("/proc/{}/stat", self.0?))
    }
}

fn own_cpu() -> Option<Duration> {
    cpu_in("/proc/self/stat")
}

/// The time that a process has used of all cores.
fn cpu_in(file: &str) -> Option<Duration> {
    let stat = std::fs::read_to_string(file).ok()?;
    // The name in brackets may have spaces; behind it, the 12th and 13th field are what counts.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let ticks = |field: Option<&str>| field?.parse::<u64>().ok();
    let used = ticks(fields.next())? + ticks(fields.next())?;
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Some(Duration::from_millis(used * 1_000 / per_second))
}

/// The report for people.
fn described(plan: &Plan, endpoint: &str, report: &Value) -> String {
    let number = |name: &str| report[name].to_string();
    let place = match plan.pattern {
        Pattern::Channel => "in one channel",
        Pattern::Pairs => "in pairs",
    };
    let mut text = format!(
        "{} clients {place} at {}, {} messages/s of {} bytes for {} s\n\n",
        plan.clients,
        shown(endpoint),
        plan.rate,
        plan.size,
        number("seconds")
    );
    text += &format!(
        "sent       {}, {}/s; {} were refused\n",
        number("sent"),
        number("sent_rate"),
        number("refused")
    );
    for (why, count) in report["refusals"].as_object().into_iter().flatten() {
        text += &format!("           {count} times: {}\n", shown(why));
    }
    text += &format!(
        "delivered  {} of {}, {}/s; {} are missing\n\n",
        number("delivered"),
        number("expected"),
        number("delivered_rate"),
        number("lost")
    );
    text += &format!(
        "{:<10} {:>9} {:>9} {:>9} {:>9}\n",
        "ms", "p50", "p90", "p99", "max"
    );
    for (name, field) in [("answer", "answer_us"), ("delivery", "delivery_us")] {
        text += &format!("{name:<10}");
        for quantile in ["p50", "p90", "p99", "max"] {
            text += &match report[field][quantile].as_f64() {
                Some(us) => format!(" {:>9.2}", us / 1_000.0),
                None => format!(" {:>9}", "-"),
            };
        }
        text.push('\n');
    }
    let share = |name: &str| match report[name].as_f64() {
        Some(percent) => format!("{percent:.0} % of a core"),
        None => "not known: it is not on this machine".into(),
    };
    text += &format!(
        "\nCPU        server {}\n           this program {}",
        share("server_cpu_percent"),
        share("own_cpu_percent")
    );
    let late_ms = report["late_us_max"].as_f64().unwrap_or(0.0) / 1_000.0;
    if late_ms > 20.0 {
        text += &format!(
            "\n\nnote: this program fell behind by up to {late_ms:.0} ms, which is in the figures; give it less to do,\n\
             or more of this machine, to measure the server alone"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(pattern: Pattern) -> Plan {
        Plan {
            run: "0a0b0c0d".into(),
            clients: 10,
            rate: 100,
            messages: 1_000,
            size: 100,
            pattern,
        }
    }

    #[test]
    fn a_message_has_its_size_and_tells_when_it_was_due() {
        let plan = plan(Pattern::Channel);
        let text = plan.text(599_999_999);
        assert_eq!(text.len(), 100);
        assert_eq!(plan.due_us(&Message::Text(text)), Some(599_999_999));
        let other = Message::Text("ffffffff 1 ...".into());
        assert_eq!(plan.due_us(&other), None);
        assert_eq!(
            (plan.receivers(), self::plan(Pattern::Pairs).receivers()),
            (9, 1)
        );
    }

    #[test]
    fn a_process_tells_its_time() {
        assert!(own_cpu().is_some());
        assert_eq!(cpu_in("/proc/0/stat"), None);
    }
}
