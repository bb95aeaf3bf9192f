//! The whole series: every scenario of the report, one comparison after the other, into one file of JSON lines.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::compare::{self, Medians};
use crate::machine::Machine;
use crate::scenario::{Name, Size};
use crate::servers::Programs;

/// What one run costs beside its measuring, in seconds: start, logins, joins, warming up. Measured.
const RUN_OVERHEAD_S: f64 = 3.0;

/// What every scenario of several servers is done with.
const SERVERS: [&str; 4] = ["floor", "uws", "nats", "tidings"];

/// What fan-outs are done with besides.
const MORE_SERVERS: [&str; 3] = ["floor-16", "ws", "socketio"];

/// Settings of a series.
#[derive(Debug, clap::Args)]
pub(crate) struct Settings {
    /// Where to write the figures; an older file is replaced
    #[arg(long, default_value = "target/performance.jsonl")]
    json: PathBuf,
    /// Less: fewer sizes, a second of measuring, fewer rounds as time runs out
    #[arg(long)]
    quick: bool,
    /// Minutes after which no step begins a second round (6 with --quick)
    #[arg(long)]
    minutes: Option<f64>,
    /// Rounds of each step at most (5; 3 with --quick)
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds of measuring per run (5; 1 with --quick)
    #[arg(long)]
    seconds: Option<u64>,
    #[command(flatten)]
    programs: Programs,
}

/// One comparison of the series.
#[derive(Debug, Clone, PartialEq)]
struct Step {
    scenario: Name,
    servers: Vec<&'static str>,
    clients: usize,
    members: usize,
    bytes: usize,
    window: usize,
    /// Paced at half of what the slower of floor and Tidings carried in the first fan-out.
    is_half_load: bool,
}

impl Step {
    fn new(scenario: Name, servers: &[&'static str]) -> Self {
        Self {
            scenario,
            servers: servers.to_vec(),
            clients: 1000,
            members: 1000,
            bytes: 128,
            window: 64,
            is_half_load: false,
        }
    }

    /// Rooms of that many members; small rooms come ten at a time, so that a server has enough to do.
    fn fanout(members: usize, bytes: usize, servers: &[&'static str]) -> Self {
        Self {
            clients: members.max(1000),
            members,
            bytes,
            window: if members < 1000 { 128 } else { 64 },
            ..Self::new(Name::Fanout, servers)
        }
    }
}

/// The steps, the most telling first: later ones get fewer rounds when time runs out.
fn steps(quick: bool) -> Vec<Step> {
    let own = &["tidings"];
    let all: Vec<&str> = [&SERVERS[..], &MORE_SERVERS[..]].concat();
    let paced = if quick { &SERVERS[..] } else { &all[..] };
    let mut steps = vec![
        Step::fanout(1000, 128, &all),
        Step {
            is_half_load: true,
            ..Step::new(Name::FanoutPaced, &SERVERS)
        },
        Step::new(Name::FanoutPaced, paced),
        Step {
            clients: 4000,
            window: 256,
            ..Step::new(Name::Pairs, &SERVERS)
        },
        Step::fanout(100, 128, &SERVERS),
        Step::fanout(5000, 128, &SERVERS),
        Step::fanout(1000, 1024, &SERVERS),
    ];
    if !quick {
        steps.push(Step::fanout(100, 1024, &SERVERS));
        steps.push(Step::fanout(5000, 1024, &SERVERS));
    }
    let clients = |scenario, servers: &[&'static str], clients| Step {
        clients,
        ..Step::new(scenario, servers)
    };
    steps.extend([
        clients(Name::Login, &SERVERS, 5000),
        clients(Name::Idle, &SERVERS, 9000),
        Step {
            window: 2000,
            ..clients(Name::Offline, own, 2000)
        },
        clients(Name::Join, own, 5000),
        clients(Name::Presence, own, 1000),
        clients(Name::Attributes, own, 1000),
    ]);
    steps
}

/// Carries the series out.
///
/// # Errors
/// The file cannot be written. A server that cannot be loaded is left out, and said so.
pub(crate) fn run(settings: &Settings) -> Result<()> {
    let (rounds, seconds) = if settings.quick { (3, 1) } else { (5, 5) };
    let rounds = settings.rounds.unwrap_or(rounds);
    let seconds = settings.seconds.unwrap_or(seconds);
    let minutes = settings
        .minutes
        .unwrap_or(if settings.quick { 6.0 } else { f64::INFINITY });
    let machine = Machine::read(&settings.programs.tidings, &settings.programs.peers);
    if let Some(folder) = settings.json.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = std::fs::File::create(&settings.json)
        .with_context(|| format!("writing {}", settings.json.display()))?;
    writeln!(file, "{}", json!({ "machine": machine }))?;
    let steps = steps(settings.quick);
    let (began, mut half_rate) = (Instant::now(), None);
    for (number, step) in steps.iter().enumerate() {
        let left_s = minutes * 60.0 - began.elapsed().as_secs_f64();
        let runs = steps[number..].iter().map(|step| step.servers.len()).sum();
        let rounds = rounds_within(left_s, runs, seconds, rounds);
        let Some(rate) = (if step.is_half_load {
            half_rate
        } else {
            Some(20_000)
        }) else {
            eprintln!("no half load: floor or Tidings could not be measured");
            continue;
        };
        let size = Size {
            clients: step.clients,
            members: step.members,
            bytes: step.bytes,
            seconds,
            rate,
            window: step.window,
            first: 0,
        };
        let name = step.scenario.word();
        eprintln!(
            "\n[{}/{}, {:.0} s] {name}, {} clients, {} members, {} bytes, {rounds} rounds",
            number + 1,
            steps.len(),
            began.elapsed().as_secs_f64(),
            step.clients,
            step.members,
            step.bytes
        );
        let medians = match compare::measure(
            step.scenario,
            &step.servers,
            rounds,
            &settings.programs,
            &size,
        ) {
            Ok(medians) => medians,
            Err(error) => {
                eprintln!("{name} is left out: {error:#}");
                continue;
            }
        };
        compare::print(&medians);
        compare::write(&mut file, step.scenario, &size, rounds, &medians)?;
        if step.scenario == Name::Fanout && half_rate.is_none() {
            half_rate = half_of_slower(&medians);
        }
    }
    let took = Duration::from_secs(began.elapsed().as_secs());
    eprintln!(
        "\n{} steps in {took:?}, figures in {}",
        steps.len(),
        settings.json.display()
    );
    Ok(())
}

/// Rounds that this step may have so that all runs that are left, one round each, still fit in their share.
fn rounds_within(left_s: f64, runs_left: usize, seconds: u64, rounds_max: usize) -> usize {
    let one_round_s = runs_left as f64 * (RUN_OVERHEAD_S + seconds as f64);
    // A small float becomes 0, an infinite one the largest number.
    ((left_s / one_round_s).round() as usize).clamp(1, rounds_max.max(1))
}

/// Half of what the slower of floor and Tidings carried, in deliveries a second.
fn half_of_slower(medians: &Medians) -> Option<u64> {
    let of = |name: &str| {
        let (_, figures) = medians.iter().find(|(server, _)| server == name)?;
        figures.get("deliveries_per_s").copied()
    };
    Some((of("floor")?.min(of("tidings")?) / 2.0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_fit_into_the_time_that_is_left() {
        assert_eq!(rounds_within(f64::INFINITY, 50, 5, 5), 5);
        assert_eq!(rounds_within(360.0, 45, 1, 3), 2);
        assert_eq!(rounds_within(-5.0, 3, 1, 3), 1);
        assert_eq!(rounds_within(1e6, 3, 1, 0), 1);
    }

    #[test]
    fn a_quick_series_has_all_scenarios_and_one_round_fits_into_six_minutes() {
        let steps = steps(true);
        let runs: usize = steps.iter().map(|step| step.servers.len()).sum();
        assert!(runs as f64 * (RUN_OVERHEAD_S + 1.0) < 360.0, "{runs} runs");
        for scenario in <Name as clap::ValueEnum>::value_variants() {
            assert!(
                steps.iter().any(|step| step.scenario == *scenario),
                "{scenario:?}"
            );
        }
    }

    #[test]
    fn half_load_is_half_of_the_slower() {
        let figures = |value| [("deliveries_per_s".to_owned(), value)].into();
        let medians = vec![
            ("floor".to_owned(), figures(300.0)),
            ("tidings".to_owned(), figures(200.0)),
        ];
        assert_eq!(half_of_slower(&medians), Some(100));
        assert_eq!(half_of_slower(&medians[..1].to_vec()), None);
    }
}
