//! The whole series: every scenario of the report, one comparison after the other, into one file of
//! JSON lines.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::compare::{self, Medians};
use crate::hub;
use crate::machine::Machine;
use crate::many;
use crate::scenario::{Name, Size};
use crate::servers::{self, Programs};

/// Deliveries a second where the rate is fixed.
const PACED_RATE: u64 = 20_000;

/// What one run takes besides measuring, in seconds: start, logins, joins, warming up. Measured.
const RUN_OVERHEAD_S: f64 = 3.0;

/// Shortest measuring of what is idle, in seconds: one heartbeat of each client.
const HEARTBEAT_S: u64 = 10;

/// Seconds that a run over several processes takes besides measuring, for tens of thousands of
/// logins. Measured.
const MANY_OVERHEAD_S: f64 = 25.0;

/// The options of every scenario of several servers.
const SERVERS: [&str; 4] = ["floor", "uws", "nats", "tidings"];

/// Further options of the first fan-out.
const MORE_SERVERS: [&str; 7] = [
    "floor-16",
    "ws",
    "socketio",
    "centrifuge",
    "sockudo",
    "nchan",
    "mosquitto",
];

/// Shortest measuring of a mixed day, in seconds: by then users have come and gone.
const DAY_S: u64 = 8;

/// Operations a second of a mixed day.
const DAY_RATE: u64 = 4_000;

/// Clients of the login storm, over several processes of our server.
const STORM: usize = 50_000;

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
    /// Clients of the runs over several processes of our server; 0 leaves them out
    #[arg(long, default_value_t = 102_000)]
    scale: usize,
    /// The bench of the hub without sockets
    #[arg(long, default_value = "target/release/tidings-bench")]
    bench: PathBuf,
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
    /// Over several processes of our server, each with a generator of its own; one round.
    is_many: bool,
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
            is_many: false,
        }
    }

    /// Seconds of measuring, where a run measures for this long.
    fn seconds(&self, seconds: u64) -> u64 {
        match self.scenario {
            Name::Idle | Name::Scale => seconds.max(HEARTBEAT_S),
            Name::Day => seconds.max(DAY_S),
            _ => seconds,
        }
    }

    /// The approximate length of a round, in seconds.
    fn round_s(&self, seconds: u64) -> f64 {
        let seconds = self.seconds(seconds) as f64;
        if self.is_many {
            MANY_OVERHEAD_S + seconds
        } else {
            self.servers.len() as f64 * (RUN_OVERHEAD_S + seconds)
        }
    }

    fn size(&self, seconds: u64, rate: u64) -> Size {
        Size {
            clients: self.clients,
            members: self.members,
            bytes: self.bytes,
            seconds: self.seconds(seconds),
            rate,
            window: self.window,
            first: 0,
        }
    }

    fn measure(&self, rounds: usize, programs: &Programs, size: &Size) -> Result<Medians> {
        if self.is_many {
            let report = many::measure(self.scenario, programs, size)?;
            return Ok(vec![("tidings".to_owned(), report.0)]);
        }
        compare::measure(self.scenario, &self.servers, rounds, programs, size)
    }

    /// Rooms with this many members; small rooms come in tens, so that a server has enough to do.
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

/// The steps, the most informative first: later ones get fewer rounds when time runs out.
fn steps(quick: bool, scale: usize) -> Vec<Step> {
    let own = &["tidings"];
    let all: Vec<&str> = [&SERVERS[..], &MORE_SERVERS[..]].concat();
    let with = |more: &[&'static str]| [&SERVERS[..], more].concat();
    let known = with(&["centrifuge", "sockudo"]);
    let paced = with(&["centrifuge", "sockudo", "nchan"]);
    let paced = if quick { &paced } else { &all };
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
            ..Step::new(Name::Pairs, &with(&["centrifuge"]))
        },
        Step::fanout(100, 128, &known),
        Step::fanout(5000, 128, &with(&["centrifuge"])),
        Step::fanout(1000, 1024, &with(&["centrifuge"])),
    ];
    if !quick {
        steps.push(Step::fanout(100, 1024, &SERVERS));
        steps.push(Step::fanout(5000, 1024, &SERVERS));
    }
    let clients = |scenario, servers: &[&'static str], clients| Step {
        clients,
        ..Step::new(scenario, servers)
    };
    let idle = with(&["tidings-tls", "centrifuge", "sockudo", "nchan"]);
    let idle = if quick { &idle[..5] } else { &idle[..] };
    steps.extend([
        clients(Name::Login, &with(&["tidings-tls", "centrifuge"]), 5000),
        clients(Name::Idle, idle, 9000),
        Step {
            window: 128,
            ..clients(Name::Offline, own, 2000)
        },
        clients(Name::Join, own, 5000),
        clients(Name::Presence, own, 1000),
        clients(Name::Attributes, own, 1000),
        Step {
            members: 250,
            ..clients(Name::Day, own, 5000)
        },
    ]);
    let many = |scenario, clients| Step {
        clients,
        is_many: true,
        ..Step::new(scenario, own)
    };
    if scale > 0 {
        steps.push(many(Name::Storm, scale.min(STORM)));
        steps.push(many(Name::Scale, scale));
    }
    steps
}

/// Runs the series.
///
/// # Errors
/// If the file cannot be written. A server that cannot be loaded is left out, with a message.
pub(crate) fn run(settings: &Settings) -> Result<()> {
    let (rounds, seconds) = if settings.quick { (3, 1) } else { (5, 5) };
    let rounds = settings.rounds.unwrap_or(rounds);
    let seconds = settings.seconds.unwrap_or(seconds);
    let minutes = settings
        .minutes
        .unwrap_or(if settings.quick { 6.0 } else { f64::INFINITY });
    let mut file = begin(settings)?;
    let mut steps = steps(settings.quick, settings.scale);
    let absent = absent(&steps, &settings.programs);
    writeln!(file, "{}", json!({ "absent": absent }))?;
    for step in &mut steps {
        step.servers.retain(|server| !absent.contains(server));
    }
    let (began, mut half_rate) = (Instant::now(), None);
    for (number, step) in steps.iter().enumerate() {
        let left_s = minutes * 60.0 - began.elapsed().as_secs_f64();
        let one_round_s = steps[number..].iter().map(|step| step.round_s(seconds));
        let rounds = if step.is_many {
            1
        } else {
            rounds_within(left_s, one_round_s.sum(), rounds)
        };
        let rate = match step.scenario {
            Name::Day => Some(DAY_RATE),
            _ if step.is_half_load => half_rate,
            _ => Some(PACED_RATE),
        };
        let Some(rate) = rate else {
            eprintln!("no half load: floor or Tidings could not be measured");
            continue;
        };
        let size = step.size(seconds, rate);
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
        let medians = match step.measure(rounds, &settings.programs, &size) {
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

/// Servers that cannot be started here.
fn absent(steps: &[Step], programs: &Programs) -> Vec<&'static str> {
    let servers: BTreeSet<&str> = steps
        .iter()
        .flat_map(|step| &step.servers)
        .copied()
        .collect();
    let is_absent = |server: &&str| match servers::start(server, programs) {
        Ok(_) => false,
        Err(error) => {
            eprintln!("{server} is left out: {error:#}");
            true
        }
    };
    servers.into_iter().filter(is_absent).collect()
}

/// The file of the series, with the machine and the hub without sockets.
fn begin(settings: &Settings) -> Result<File> {
    let machine = Machine::read(&settings.programs);
    if let Some(folder) = settings.json.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = File::create(&settings.json)
        .with_context(|| format!("writing {}", settings.json.display()))?;
    writeln!(file, "{}", json!({ "machine": machine }))?;
    match hub::measure(&settings.bench) {
        Ok(hub) => writeln!(file, "{}", json!({ "hub": hub }))?,
        Err(error) => eprintln!("the hub alone is left out: {error:#}"),
    }
    Ok(file)
}

/// The rounds that this step may have so that all remaining runs, one round each, still fit in
/// their share.
fn rounds_within(left_s: f64, one_round_s: f64, rounds_max: usize) -> usize {
    // A small float becomes 0, an infinite one the largest integer.
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
        assert_eq!(rounds_within(f64::INFINITY, 400.0, 5), 5);
        assert_eq!(rounds_within(360.0, 180.0, 3), 2);
        assert_eq!(rounds_within(-5.0, 12.0, 3), 1);
        assert_eq!(rounds_within(1e6, 12.0, 0), 1);
    }

    #[test]
    fn a_quick_series_has_all_scenarios_and_one_round_fits_into_six_minutes() {
        let steps = steps(true, 102_000);
        let one_round_s: f64 = steps.iter().map(|step| step.round_s(1)).sum();
        assert!(one_round_s < 360.0, "{one_round_s} s");
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
