//! Servers side by side: each is started, loaded and stopped, round after round, so that
//! disturbances of the machine affect all of them alike. Figures are medians over the rounds.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use serde_json::json;

use crate::scenario::{Name, Report, Size};
use crate::servers::{Programs, start};

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

/// Servers in the order of the table, with each one's figures.
pub(crate) type Medians = Vec<(String, BTreeMap<String, f64>)>;

/// Counts of broken promises: here the worst round counts, not the median.
const FAULTS: [&str; 4] = ["lost", "doubled", "disordered", "refused"];

/// Runs the comparison and prints the table.
pub(crate) fn run(settings: &Settings) -> Result<()> {
    let servers: Vec<&str> = settings.servers.iter().map(String::as_str).collect();
    let (scenario, size) = (settings.scenario, &settings.size);
    let medians = measure(
        scenario,
        &servers,
        settings.rounds,
        &settings.programs,
        size,
    )?;
    print(&medians);
    if let Some(path) = &settings.json {
        let mut file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(path)
            .with_context(|| format!("writing {}", path.display()))?;
        write(&mut file, scenario, size, settings.rounds, &medians)?;
    }
    Ok(())
}

/// Loads each server in turn, round after round.
///
/// # Errors
/// If no server could be loaded in any round.
pub(crate) fn measure(
    scenario: Name,
    servers: &[&str],
    rounds: usize,
    programs: &Programs,
    size: &Size,
) -> Result<Medians> {
    let mut found: BTreeMap<&str, Vec<Report>> = BTreeMap::new();
    for round in 1..=rounds {
        for name in servers {
            match once(name, scenario, programs, size) {
                Ok(report) => {
                    eprintln!("round {round} {name}: {}", serde_json::to_string(&report)?);
                    found.entry(name).or_default().push(report);
                }
                Err(error) => eprintln!("round {round} {name}: {error:#}"),
            }
        }
    }
    if found.is_empty() {
        bail!("no server could be loaded");
    }
    Ok(servers
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), medians(found.get(name)?))))
        .collect())
}

/// Writes a line of JSON per server.
pub(crate) fn write(
    file: &mut std::fs::File,
    scenario: Name,
    size: &Size,
    rounds: usize,
    medians: &Medians,
) -> Result<()> {
    for (server, figures) in medians {
        let line = json!({
            "scenario": scenario, "server": server, "size": size,
            "rounds": rounds, "figures": figures,
        });
        writeln!(file, "{line}")?;
    }
    Ok(())
}

/// Runs one round of one server. The generator is a process of its own, so that nothing of an
/// earlier run remains in it.
fn once(name: &str, scenario: Name, programs: &Programs, size: &Size) -> Result<Report> {
    let server = start(name, programs)?;
    let output = server
        .generator(name, scenario, size)?
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
            let at = if FAULTS.contains(&name.as_str()) {
                values.len() - 1
            } else {
                values.len() / 2
            };
            let value = values[at];
            (name, value)
        })
        .collect()
}

/// Prints servers side by side.
pub(crate) fn print(medians: &Medians) {
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
            .map(|(server, _)| server.as_str())
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
pub(crate) fn digits(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        0.0 => "0".into(),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_medians_and_faults_the_worst() {
        let report = |cpu: f64, lost: f64| {
            Report([("cpu".to_owned(), cpu), ("lost".to_owned(), lost)].into())
        };
        let found = medians(&[report(3.0, 0.0), report(1.0, 7.0), report(2.0, 0.0)]);
        assert_eq!(found["cpu"], 2.0);
        assert_eq!(found["lost"], 7.0);
    }

    #[test]
    fn values_have_three_digits() {
        let texts = [1234.5, 56.78, 3.456, 0.1234, 0.0].map(digits);
        assert_eq!(texts, ["1234", "56.8", "3.46", "0.123", "0"]);
    }
}
