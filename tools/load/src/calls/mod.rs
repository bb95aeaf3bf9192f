//! What backends do: calls over HTTP, on connections that are kept, to servers side by side.
//!
//! Each connection makes one call after the other. Without `--rate` the next call follows the
//! answer; with it, calls are due at fixed times and latency counts from there.
//!
//! Reading order: here (what is done and reported), `target` (each server's requests), `company`
//! (clients, readers of events and webhooks beside the calls), `connection` (bytes).

mod company;
pub(crate) mod connection;
pub(crate) mod page;
mod target;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use hdrhistogram::Histogram;
use serde_json::json;
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use crate::measure::cost;
use crate::servers::{Programs, start};
use company::Company;
use connection::Connection;
use target::Target;

/// Nothing is measured before: connections are opened, code and caches are warm.
const WARM_UP: Duration = Duration::from_secs(1);

/// Longest wait for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Call {
    /// A message to a channel
    Publish,
    /// As many messages to channels as a body holds, in one call
    Batch,
    /// A peer message that the receiver's client confirms
    Confirmed,
    /// Batches in an app whose messages are events, which a reader of the stream gets; the latency
    /// reported is that of the events
    Events,
}

impl Call {
    fn is_batch(self) -> bool {
        matches!(self, Self::Batch | Self::Events)
    }
}

/// Settings of the measurement.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Settings {
    /// What is called
    #[arg(value_enum)]
    call: Call,
    /// Servers, in the order of the table
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "tidings,sockudo,centrifuge"
    )]
    servers: Vec<String>,
    /// Rounds; the figures are their medians
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Connections that are kept
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Calls a second, over all connections; without it, as many as are answered
    #[arg(long)]
    rate: Option<u64>,
    /// Bytes of a message
    #[arg(long, default_value_t = 128)]
    bytes: usize,
    /// Messages of a batch
    #[arg(long, default_value_t = 300)]
    batch: usize,
    /// Seconds of measuring, after a second of warming up
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Beside the calls, another app has a webhook whose target takes connections and never answers
    #[arg(long)]
    hanging_webhook: bool,
    #[command(flatten)]
    programs: Programs,
}

/// Names of figures, and their values.
type Figures = BTreeMap<&'static str, f64>;

/// Loads the servers in turn, round after round, and prints the medians, a line of JSON each.
///
/// # Errors
/// If no server could be loaded.
pub(crate) fn run(settings: &Settings) -> Result<()> {
    for (name, figures) in measure(settings)? {
        println!("{}", json!({ "server": name, "figures": figures }));
    }
    Ok(())
}

/// Loads the servers in turn, round after round; returns their medians, in the order of the
/// servers.
fn measure(settings: &Settings) -> Result<Vec<(String, Figures)>> {
    let mut found: BTreeMap<&str, Vec<Figures>> = BTreeMap::new();
    for round in 1..=settings.rounds {
        for name in &settings.servers {
            match once(settings, name) {
                Ok(figures) => {
                    eprintln!("round {round} {name}: {figures:?}");
                    found.entry(name).or_default().push(figures);
                }
                Err(error) => eprintln!("round {round} {name}: {error:#}"),
            }
        }
    }
    if found.is_empty() {
        bail!("no server could be loaded");
    }
    let names = settings.servers.iter();
    let medians = names.filter_map(|name| {
        let rounds = found.get(name.as_str())?;
        let figures = rounds[0].keys();
        let figures = figures.map(|figure| (*figure, median(rounds, figure)));
        Some((name.clone(), figures.collect()))
    });
    Ok(medians.collect())
}

fn median(rounds: &[Figures], figure: &str) -> f64 {
    let mut values: Vec<f64> = rounds
        .iter()
        .filter_map(|round| round.get(figure).copied())
        .collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn once(settings: &Settings, name: &str) -> Result<Figures> {
    let server = start(name, &settings.programs)?;
    let target = Target::of(name, settings.call, settings.bytes, settings.batch)?;
    // One thread: the generator's own cost is the same for every server.
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(load(settings, &target, server.address, server.pid()))
}

/// When a run begins, is measured, and ends.
#[derive(Debug, Clone, Copy)]
struct Times {
    begin: Instant,
    from: Instant,
    until: Instant,
    /// Between two calls of one connection; `None` = none.
    pause: Option<Duration>,
}

async fn load(
    settings: &Settings,
    target: &Target,
    address: SocketAddr,
    pid: u32,
) -> Result<Figures> {
    let company = Company::gather(settings, address).await?;
    let begin = Instant::now();
    let from = begin + WARM_UP;
    company.measure(from..from + Duration::from_secs(settings.seconds));
    let pause = settings
        .rate
        .map(|rate| Duration::from_secs_f64(settings.connections as f64 / rate.max(1) as f64));
    let until = from + Duration::from_secs(settings.seconds);
    let times = Times {
        begin,
        from,
        until,
        pause,
    };
    let mut callers = JoinSet::new();
    for at in 0..settings.connections {
        let request = target.request(at);
        let share = at as f64 / settings.connections as f64;
        callers.spawn(call_again_and_again(address, request, times, share));
    }
    tokio::time::sleep_until(from.into()).await;
    let before = cost(&[pid])?;
    tokio::time::sleep_until(until.into()).await;
    let after = cost(&[pid])?;
    let mut all = Histogram::<u64>::new(3)?;
    while let Some(seen) = callers.join_next().await {
        all.add(seen??)?;
    }
    let calls = all.len() as f64;
    if calls == 0.0 {
        bail!("no call was answered");
    }
    if let Some(events) = company.end()? {
        all = events;
    }
    let seconds = settings.seconds as f64;
    let cpu_us = (after.cpu_ns - before.cpu_ns) as f64 / 1e3;
    let ms = |quantile| all.value_at_quantile(quantile) as f64 / 1e6;
    let messages = target.messages_per_call as f64;
    Ok(Figures::from([
        ("calls_per_s", calls / seconds),
        ("messages_per_s", calls * messages / seconds),
        ("cpu_us_per_call", cpu_us / calls),
        ("cpu_us_per_message", cpu_us / calls / messages),
        ("latency_p50_ms", ms(0.5)),
        ("latency_p99_ms", ms(0.99)),
    ]))
}

/// One connection's calls; returns how long those took that were answered while it is measured.
async fn call_again_and_again(
    address: SocketAddr,
    request: Vec<u8>,
    times: Times,
    share: f64,
) -> Result<Histogram<u64>> {
    let mut seen = Histogram::new(3)?;
    let mut connection = Connection::open(address).await?;
    // Connections take turns within a pause.
    let mut due = times.begin + times.pause.unwrap_or_default().mul_f64(share);
    loop {
        match times.pause {
            Some(pause) => {
                tokio::time::sleep_until(due.into()).await;
                due += pause;
            }
            None => due = Instant::now(),
        }
        let since = times.pause.map_or(due, |pause| due - pause);
        if Instant::now() >= times.until {
            return Ok(seen);
        }
        let answer = tokio::time::timeout(ANSWER_MAX, connection.call(&request));
        let answer = answer.await.context("no answer within 10 s")??;
        if answer.status != 200 {
            bail!("status {}: {}", answer.status, answer.body);
        }
        let now = Instant::now();
        if now >= times.from && now < times.until {
            seen.record(u64::try_from((now - since).as_nanos())?)?;
        }
    }
}
