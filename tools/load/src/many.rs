//! Several servers at once, each with its own generator: one process can only open so many files.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::scenario::{Name, READY, Report, Size};
use crate::servers::{Programs, Server, start};

/// Clients per process: bounded by its limit on open files, and by the ports of one address.
const CLIENTS_PER_PROCESS: usize = 17_000;

/// Distance between the first users of two generators: whole addresses, at least
/// [`CLIENTS_PER_PROCESS`].
const USERS_APART: usize = 20_000;

/// Settings of a run with several processes.
#[derive(Debug, clap::Args)]
pub(crate) struct Settings {
    /// What is done
    #[arg(value_enum)]
    scenario: Name,
    #[command(flatten)]
    programs: Programs,
    #[command(flatten)]
    size: Size,
}

/// A server and its generator, which ends on its own.
struct Pair {
    generator: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    _server: Server,
}

impl Drop for Pair {
    fn drop(&mut self) {
        // It has ended unless another pair has failed.
        let _ = self.generator.kill();
        let _ = self.generator.wait();
    }
}

/// Runs it and prints one line of JSON.
pub(crate) fn run(settings: &Settings) -> Result<()> {
    let report = measure(settings.scenario, &settings.programs, &settings.size)?;
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

/// Distributes the clients of a scenario over as many of our servers as it takes, and adds up the
/// results.
///
/// # Errors
/// If a server does not start, or a generator fails.
pub(crate) fn measure(scenario: Name, programs: &Programs, size: &Size) -> Result<Report> {
    let count = size.clients.div_ceil(CLIENTS_PER_PROCESS).max(2);
    let share = Size {
        clients: size.clients.div_ceil(count),
        ..size.clone()
    };
    let without = available_bytes()?;
    let mut pairs = Vec::new();
    for number in 0..count {
        // Addresses follow from the numbers of users: no two generators share one, nor its ports.
        let share = Size {
            first: number * USERS_APART,
            ..share.clone()
        };
        pairs.push(pair(scenario, programs, &share)?);
    }
    for pair in &mut pairs {
        pair.await_ready()?;
    }
    let with_all = available_bytes()?;
    for pair in &mut pairs {
        writeln!(pair.input, "go").context("telling a generator to begin")?;
    }
    let reports = pairs
        .iter_mut()
        .map(Pair::report)
        .collect::<Result<Vec<Report>>>()?;
    let mut report = sum(&reports);
    report.0.insert("server_processes".into(), count as f64);
    // Generators of a storm have no connections when they are ready.
    if scenario == Name::Scale {
        let taken = without.saturating_sub(with_all) as f64;
        let each = taken / size.clients as f64;
        report.0.insert("machine_bytes_per_connection".into(), each);
    }
    Ok(report)
}

/// Memory of the machine that programs could still have.
fn available_bytes() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").context("reading /proc/meminfo")?;
    let kib = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    Ok(1024 * kib.context("/proc/meminfo does not say what is available")?)
}

impl Pair {
    /// Waits until its clients are ready to start.
    fn await_ready(&mut self) -> Result<()> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        if line.trim() != READY {
            let status = self.generator.wait()?;
            bail!("a generator ended with {status} before it could begin");
        }
        Ok(())
    }

    /// The result of its generator.
    fn report(&mut self) -> Result<Report> {
        let mut text = String::new();
        self.output.read_to_string(&mut text)?;
        let status = self.generator.wait()?;
        if !status.success() {
            bail!("a generator ended with {status}");
        }
        serde_json::from_str(&text).context("what a generator says")
    }
}

fn pair(scenario: Name, programs: &Programs, size: &Size) -> Result<Pair> {
    let server = start("tidings", programs)?;
    let mut generator = server
        .generator("tidings", scenario, size)?
        .arg("--meet")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting a generator")?;
    let (input, output) = (generator.stdin.take(), generator.stdout.take());
    Ok(Pair {
        generator,
        input: input.context("the generator's input is piped")?,
        output: BufReader::new(output.context("the generator's output is piped")?),
        _server: server,
    })
}

/// Combines several reports: counts and rates are added, times are the longest, costs per item are
/// averaged.
fn sum(reports: &[Report]) -> Report {
    let mut all = Report::default();
    let Some(first) = reports.first() else {
        return all;
    };
    for name in first.0.keys() {
        let values = || reports.iter().filter_map(|report| report.0.get(name));
        let value = if name.starts_with("latency") || name.starts_with("seconds") {
            values().copied().fold(0.0, f64::max)
        } else if name.contains("per_connection") || name.starts_with("cpu_us_per") {
            values().sum::<f64>() / reports.len() as f64
        } else {
            values().sum()
        };
        all.0.insert(name.clone(), value);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_added_costs_averaged_and_times_the_longest() {
        let report = |clients, cpu, latency| {
            Report(
                [
                    ("clients".to_owned(), clients),
                    ("cpu_us_per_login".to_owned(), cpu),
                    ("latency_p99_us".to_owned(), latency),
                ]
                .into(),
            )
        };
        let all = sum(&[report(10.0, 30.0, 5.0), report(10.0, 50.0, 9.0)]);
        assert_eq!(all.0, report(20.0, 40.0, 9.0).0);
    }
}
