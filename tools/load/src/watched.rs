//! What it costs to watch a server: paced fan-out with everything on that an operator looks at, and
//! without, in turns.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::calls::connection::Connection;
use crate::drivers::tidings::APP;
use crate::launch::API_KEY;
use crate::machine::Machine;
use crate::scenario::Report;
use crate::servers::{Programs, Server, start};

/// How often `/metrics` is scraped.
const SCRAPE: Duration = Duration::from_secs(5);

/// How often an open console asks for the server's figures and its nodes.
const CONSOLE: Duration = Duration::from_secs(2);

/// The most that watching may cost: this many times the cost without.
const WANTED: f64 = 1.02;

/// Settings of the comparison.
#[derive(Debug, clap::Args)]
pub(crate) struct Settings {
    /// Pairs of runs, one watched and one alone; which comes first changes from pair to pair
    #[arg(long, default_value_t = 9)]
    pairs: usize,
    /// Seconds of measuring in each run
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Deliveries a second
    #[arg(long, default_value_t = 20_000)]
    rate: u64,
    /// The page that is made
    #[arg(long, default_value = "docs/proven/performance-watched.md")]
    page: PathBuf,
    /// The commit that the page names
    #[arg(long, default_value = "")]
    commit: String,
    #[command(flatten)]
    programs: Programs,
}

/// Measures and writes the page.
///
/// # Errors
/// A server does not start, a run fails or is left unwatched, or the page cannot be written.
pub(crate) fn run(settings: &Settings) -> Result<()> {
    let alone = start("tidings", &settings.programs)?;
    let logging = start("tidings-logging", &settings.programs)?;
    let (_warm_alone, _warm_watched) = (load(&alone, settings)?, watched(&logging, settings)?);
    let mut pairs = Vec::new();
    for at in 0..settings.pairs {
        let pair = if at % 2 == 0 {
            let cost = load(&alone, settings)?;
            (cost, watched(&logging, settings)?)
        } else {
            let cost = watched(&logging, settings)?;
            (load(&alone, settings)?, cost)
        };
        eprintln!(
            "alone {:.3} µs, watched {:.3} µs per delivery",
            pair.0, pair.1
        );
        pairs.push(pair);
    }
    std::fs::write(&settings.page, page(settings, &pairs))?;
    Ok(())
}

/// Paced fan-out against the server; returns microseconds of its CPU per delivery.
fn load(server: &Server, settings: &Settings) -> Result<f64> {
    let out = Command::new(std::env::current_exe()?)
        .args(["run", "fanout-paced", "--server"])
        .arg(server.address.to_string())
        .args(["--pid", &server.pid().to_string()])
        .args(["--seconds", &settings.seconds.to_string()])
        .args(["--rate", &settings.rate.to_string()])
        .stderr(Stdio::inherit())
        .output()?;
    if !out.status.success() {
        bail!("the generator ended with {}", out.status);
    }
    let report: Report = serde_json::from_slice(&out.stdout)?;
    if report.0.get("lost") != Some(&0.0) {
        bail!("deliveries were lost: {report:?}");
    }
    let cost = report.0.get("cpu_us_per_delivery");
    cost.copied().context("the generator tells no cost")
}

/// The same while the server is watched in every way.
fn watched(server: &Server, settings: &Settings) -> Result<f64> {
    let address = server.address;
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let mut watchers = JoinSet::new();
    let handle = runtime.handle();
    watchers.spawn_on(ask(address, SCRAPE, &["/metrics"]), handle);
    let console = ask(address, CONSOLE, &["/api/v1/stats", "/api/v1/nodes"]);
    watchers.spawn_on(console, handle);
    watchers.spawn_on(read_events(address), handle);
    let cost = load(server, settings)?;
    match watchers.try_join_next() {
        Some(ended) => bail!("the server was not watched to the end: {:?}", ended?),
        None => Ok(cost),
    }
}

/// Asks for these paths again and again. Returns when an answer is none.
async fn ask(address: SocketAddr, every: Duration, paths: &[&str]) -> Result<()> {
    let mut connection = Connection::open(address).await?;
    let mut due = interval(every);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        for path in paths {
            let answer = connection.call(&get(path)).await?;
            if answer.status != 200 {
                bail!("{path}: {} {}", answer.status, answer.body);
            }
        }
    }
}

/// Reads the stream of an app's events, as an open console does. Returns when it ends.
async fn read_events(address: SocketAddr) -> Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    let path = format!("/api/v1/apps/{APP}/events/stream");
    stream.write_all(&get(&path)).await?;
    let mut buffer = vec![0; 64 * 1024];
    let mut begin = Vec::new();
    loop {
        let read = stream.read(&mut buffer).await?;
        if begin.len() < 12 {
            begin.extend_from_slice(&buffer[..read]);
        }
        if read == 0 || begin.len() >= 12 && !begin.starts_with(b"HTTP/1.1 200") {
            let said = String::from_utf8_lossy(&begin)
                .chars()
                .take(300)
                .collect::<String>();
            bail!("the stream of events ended: {said}");
        }
    }
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {API_KEY}\r\n\r\n")
        .into_bytes()
}

fn page(settings: &Settings, pairs: &[(f64, f64)]) -> String {
    let machine = Machine::read(&settings.programs);
    let ratio = median(pairs.iter().map(|(alone, watched)| watched / alone));
    let alone = median(pairs.iter().map(|pair| pair.0));
    let watched = median(pairs.iter().map(|pair| pair.1));
    let verdict = if ratio <= WANTED { "met" } else { "**missed**" };
    let mut text = format!(
        "# What watching costs\n\n\
         Made by `cargo xtask performance-watched`; not edited by hand. Figures of one machine in \
         one run, of commit {}: {}, {} cores, which the server shares with the generator and the \
         watchers. {} hubs, 1,000 members, {} deliveries a second, {} pairs of runs of {} s.\n\n\
         *Watched*: `/metrics` is scraped every {} s, a console asks for figures and nodes every \
         {} s and reads the stream of events, and the server logs as JSON at `info`. *Alone*: \
         nothing of that.\n\n\
         | what | goal | found | |\n| --- | --- | ---: | --- |\n\
         | CPU per delivery, watched / alone (median of the pairs) | at most {WANTED} | \
         {ratio:.3} | {verdict} |\n\n\
         Medians: {alone:.2} µs per delivery alone, {watched:.2} µs watched.\n\n\
         | alone, µs | watched, µs | ratio |\n| ---: | ---: | ---: |\n",
        settings.commit,
        machine.cpu,
        machine.cores,
        settings.programs.threads,
        settings.rate,
        pairs.len(),
        settings.seconds,
        SCRAPE.as_secs(),
        CONSOLE.as_secs(),
    );
    for (alone, watched) in pairs {
        text.push_str(&format!(
            "| {alone:.2} | {watched:.2} | {:.3} |\n",
            watched / alone
        ));
    }
    text
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = figures.collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}
