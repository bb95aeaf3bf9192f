//! Servers side by side: each is started, loaded and stopped, round after round, so that what else happens on the
//! machine happens to all of them. Figures are medians over the rounds.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::json;

use crate::scenario::{Name, Report, Size};
use crate::servers::{Programs, driver, start};
use clap::ValueEnum as _;

/// Settings of a comparison.
#[derive(Debug, clap::Args)]
pub(crate) struct Settings {
    /// What is done
    #[arg(value_enum)]
    scenario: Name,
    /// Servers, in the order of the table
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "floor,uws,ws,socketio,nats,mosquitto,tidings"
    )]
    servers: Vec<String>,
    /// Rounds; the figures are their medians
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Where to append the figures, one line of JSON per server
    #[arg(long)]
    json: Option<PathBuf>,
    #[command(flatten)]
    programs: Programs,
    #[command(flatten)]
    size: Size,
}

/// Carries it out and prints the table.
pub(crate) fn run(settings: &Settings) -> Result<()> {
    let mut found: BTreeMap<&str, Vec<Report>> = BTreeMap::new();
    for round in 1..=settings.rounds {
        for name in &settings.servers {
            match once(name, settings) {
                Ok(report) => {
                    eprintln!("round {round} {name}: {}", serde_json::to_string(&report)?);
                    found.entry(name).or_default().push(report);
                }
                Err(error) => eprintln!("round {round} {name}: {error:#}"),
            }
        }
    }
    let medians: Vec<(&str, BTreeMap<String, f64>)> = settings
        .servers
        .iter()
        .filter_map(|name| Some((name.as_str(), medians(found.get(name.as_str())?))))
        .collect();
    if medians.is_empty() {
        bail!("no server could be loaded");
    }
    print(&medians);
    if let Some(path) = &settings.json {
        let mut file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(path)?;
        for (server, figures) in &medians {
            let line = json!({
                "scenario": settings.scenario, "server": server, "size": settings.size,
                "rounds": settings.rounds, "figures": figures,
            });
            writeln!(file, "{line}")?;
        }
    }
    Ok(())
}

/// One round of one server. The generator is a process of its own: nothing of an earlier run is left in it.
fn once(name: &str, settings: &Settings) -> Result<Report> {
    let server = start(name, &settings.programs)?;
    let size = &settings.size;
    let scenario = settings
        .scenario
        .to_possible_value()
        .context("a scenario has a name")?;
    let output = Command::new(std::env::current_exe()?)
        .args(["run", scenario.get_name(), "--driver", driver(name)])
        .args([
            "--server",
            &server.address.to_string(),
            "--pid",
            &server.pid().to_string(),
        ])
        .args([
            "--clients",
            &size.clients.to_string(),
            "--members",
            &size.members.to_string(),
        ])
        .args([
            "--bytes",
            &size.bytes.to_string(),
            "--seconds",
            &size.seconds.to_string(),
        ])
        .args([
            "--rate",
            &size.rate.to_string(),
            "--window",
            &size.window.to_string(),
        ])
        .stderr(Stdio::piped())
        .output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn medians(reports: &[Report]) -> BTreeMap<String, f64> {
    let mut values: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for report in reports {
        for (name, value) in &report.0 {
            values.entry(name.clone()).or_default().push(*value);
        }
    }
    values
        .into_iter()
        .map(|(name, mut values)| {
            values.sort_by(f64::total_cmp);
            (name, values[values.len() / 2])
        })
        .collect()
}

fn print(medians: &[(&str, BTreeMap<String, f64>)]) {
    let names: Vec<&String> = medians
        .iter()
        .flat_map(|(_, figures)| figures.keys())
        .collect();
    let mut names: Vec<&String> = names.into_iter().collect();
    names.sort();
    names.dedup();
    println!(
        "| figure | {} |",
        medians
            .iter()
            .map(|(server, _)| *server)
            .collect::<Vec<_>>()
            .join(" | ")
    );
    println!("| --- |{}", " ---: |".repeat(medians.len()));
    for name in names {
        let cells: Vec<String> = medians
            .iter()
            .map(|(_, figures)| {
                figures
                    .get(name)
                    .map_or(String::new(), |value| digits(*value))
            })
            .collect();
        println!("| {name} | {} |", cells.join(" | "));
    }
}

/// Three significant digits for small values, whole numbers for large ones.
fn digits(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        0.0 => "0".into(),
        _ => format!("{value:.3}"),
    }
}
