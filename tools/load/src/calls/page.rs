//! All comparisons of calls, and the page about them: `docs/proven/performance-api.md`.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Result;

use super::{Call, Figures, measure};
use crate::machine::Machine;
use crate::servers::Programs;

/// Settings of the page.
#[derive(Debug, clap::Args)]
pub(crate) struct Settings {
    /// Rounds; the figures are their medians
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of measuring, each time
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// The page that is made
    #[arg(long, default_value = "docs/proven/performance-api.md")]
    page: PathBuf,
    /// The commit that the page names
    #[arg(long, default_value = "")]
    commit: String,
    #[command(flatten)]
    programs: Programs,
}

/// A comparison: what is done, by whom, how.
struct Comparison {
    title: &'static str,
    /// What a reader has to know about it.
    about: &'static str,
    call: Call,
    servers: &'static [&'static str],
    connections: usize,
    rate: Option<u64>,
    batch: usize,
    hanging_webhook: bool,
}

/// What must hold of the figures.
struct Goal {
    what: &'static str,
    wanted: &'static str,
    /// The figure, and whether it is good enough; `None` = not measured.
    found: fn(&Found) -> Option<(String, bool)>,
}

/// The figures of all comparisons, in their order.
struct Found(Vec<Vec<(String, Figures)>>);

const TIDINGS: &[&str] = &["tidings"];

const PUBLISH: usize = 0;
const BATCH: usize = 2;
const CONFIRMED: usize = 3;
const EVENTS: usize = 4;
const BESIDE_NONE: usize = 5;
const BESIDE_HANGING: usize = 6;

const COMPARISONS: [Comparison; 7] = [
    Comparison {
        title: "Publish to channels, as fast as answers come",
        about: "One message of 128 bytes a call, on 64 connections that are kept; sockudo closes its \
                connection after each answer.",
        call: Call::Publish,
        servers: &["tidings", "sockudo", "centrifuge"],
        connections: 64,
        rate: None,
        batch: 1,
        hanging_webhook: false,
    },
    Comparison {
        title: "Publish to channels, 4,000 calls a second",
        about: "The same at a rate that all keep up with.",
        call: Call::Publish,
        servers: &["tidings", "sockudo", "centrifuge"],
        connections: 64,
        rate: Some(4_000),
        batch: 1,
        hanging_webhook: false,
    },
    Comparison {
        title: "Batches to channels, as fast as answers come",
        about: "300 messages of 128 bytes a call, 64 connections.",
        call: Call::Batch,
        servers: &["tidings", "sockudo"],
        connections: 64,
        rate: None,
        batch: 300,
        hanging_webhook: false,
    },
    Comparison {
        title: "Peer messages that the receiver's client confirms, 2,000 calls a second",
        about: "`wait: true`, on the hosted paths `wait_for_ack`; 64 receivers are logged in. Latency \
                counts from when a call was due.",
        call: Call::Confirmed,
        servers: TIDINGS,
        connections: 64,
        rate: Some(2_000),
        batch: 1,
        hanging_webhook: false,
    },
    Comparison {
        title: "Events, 10,000 a second",
        about: "Batches of 100 messages in an app whose messages are events. Latency is from the \
                server's time in an event, which is written to disk first, to the reader of the stream.",
        call: Call::Events,
        servers: TIDINGS,
        connections: 8,
        rate: Some(100),
        batch: 100,
        hanging_webhook: false,
    },
    Comparison {
        title: "Publish, 2,000 calls a second, undisturbed",
        about: "To compare the next one with.",
        call: Call::Publish,
        servers: TIDINGS,
        connections: 64,
        rate: Some(2_000),
        batch: 1,
        hanging_webhook: false,
    },
    Comparison {
        title: "Publish, 2,000 calls a second, beside another app's webhook that hangs",
        about: "The other app has 1,000 events a second for a target that takes connections and never \
                answers.",
        call: Call::Publish,
        servers: TIDINGS,
        connections: 64,
        rate: Some(2_000),
        batch: 1,
        hanging_webhook: true,
    },
];

const GOALS: [Goal; 6] = [
    Goal {
        what: "publish, 64 connections: calls answered",
        wanted: "≥ 20000/s",
        found: |found| {
            let rate = found.of(PUBLISH, "tidings", "calls_per_s")?;
            Some((format!("{rate:.0}/s"), rate >= 20_000.0))
        },
    },
    Goal {
        what: "publish, 64 connections: CPU per call, against sockudo",
        wanted: "≤ 0.5×",
        found: |found| {
            let ours = found.of(PUBLISH, "tidings", "cpu_us_per_call")?;
            let times = ours / found.of(PUBLISH, "sockudo", "cpu_us_per_call")?;
            Some((format!("{times:.2}×"), times <= 0.5))
        },
    },
    Goal {
        what: "batches: messages accepted",
        wanted: "≥ 100000/s",
        found: |found| {
            let rate = found.of(BATCH, "tidings", "messages_per_s")?;
            Some((format!("{rate:.0}/s"), rate >= 100_000.0))
        },
    },
    Goal {
        what: "peer messages that are confirmed, 2,000 calls a second: p99",
        wanted: "< 10 ms",
        found: |found| below(found, CONFIRMED, 10.0),
    },
    Goal {
        what: "stream of events, 10,000 events a second: p99",
        wanted: "< 100 ms",
        found: |found| below(found, EVENTS, 100.0),
    },
    Goal {
        what: "publish beside a webhook that hangs: p99, against without",
        wanted: "≤ 2×, or 2 ms more",
        found: |found| {
            let without = found.of(BESIDE_NONE, "tidings", "latency_p99_ms")?;
            let beside = found.of(BESIDE_HANGING, "tidings", "latency_p99_ms")?;
            let is_kept = beside <= (2.0 * without).max(without + 2.0);
            Some((format!("{beside:.2} ms, {without:.2} ms"), is_kept))
        },
    },
];

fn below(found: &Found, comparison: usize, most_ms: f64) -> Option<(String, bool)> {
    let p99 = found.of(comparison, "tidings", "latency_p99_ms")?;
    Some((format!("{p99:.2} ms"), p99 < most_ms))
}

impl Found {
    fn of(&self, comparison: usize, server: &str, figure: &str) -> Option<f64> {
        let servers = self.0.get(comparison)?;
        let (_, figures) = servers.iter().find(|(name, _)| name == server)?;
        figures.get(figure).copied()
    }
}

/// Makes all comparisons and writes the page.
///
/// # Errors
/// If a comparison found no server, or the page cannot be written.
pub(crate) fn run(settings: &Settings) -> Result<()> {
    let mut found = Vec::new();
    for comparison in &COMPARISONS {
        eprintln!("{}", comparison.title);
        found.push(measure(&comparison.settings(settings))?);
    }
    let text = page(settings, &Found(found));
    std::fs::write(&settings.page, text)?;
    Ok(())
}

impl Comparison {
    fn settings(&self, of: &Settings) -> super::Settings {
        super::Settings {
            call: self.call,
            servers: self.servers.iter().map(|name| (*name).into()).collect(),
            rounds: of.rounds,
            connections: self.connections,
            rate: self.rate,
            bytes: 128,
            batch: self.batch,
            seconds: of.seconds,
            hanging_webhook: self.hanging_webhook,
            programs: of.programs.clone(),
        }
    }
}

fn page(settings: &Settings, found: &Found) -> String {
    let machine = Machine::read(&settings.programs);
    let mut text = format!(
        "# Performance of the server-side API\n\n\
         Made by `cargo xtask performance-api`; not edited by hand. Figures of one machine in one run, of \
         commit {}: {}, {} cores, which the servers share with the callers. Medians of {} rounds of {} s.\n\n\
         | what | goal | found | |\n| --- | --- | ---: | --- |\n",
        settings.commit, machine.cpu, machine.cores, settings.rounds, settings.seconds,
    );
    for goal in &GOALS {
        let (value, verdict) = match (goal.found)(found) {
            Some((value, true)) => (value, "met"),
            Some((value, false)) => (value, "**missed**"),
            None => ("–".into(), "not measured"),
        };
        let _ = writeln!(
            text,
            "| {} | {} | {value} | {verdict} |",
            goal.what, goal.wanted
        );
    }
    for (comparison, servers) in COMPARISONS.iter().zip(&found.0) {
        let _ = write!(
            text,
            "\n## {}\n\n{}\n\n\
             | server | calls/s | messages/s | CPU per call, µs | CPU per message, µs | p50, ms | p99, ms |\n\
             | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n",
            comparison.title, comparison.about,
        );
        for (name, figures) in servers {
            let value = |figure: &str| figures.get(figure).copied().unwrap_or(f64::NAN);
            let _ = writeln!(
                text,
                "| {name} | {:.0} | {:.0} | {:.1} | {:.2} | {:.2} | {:.2} |",
                value("calls_per_s"),
                value("messages_per_s"),
                value("cpu_us_per_call"),
                value("cpu_us_per_message"),
                value("latency_p50_ms"),
                value("latency_p99_ms"),
            );
        }
    }
    text
}
