//! Runs every proof and writes the results into docs/proven/reliability.md.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::{faults, proofs, setup};

const PAGE: &str = "docs/proven/reliability.md";
const BEGIN: &str = "<!-- figures: made by `cargo xtask reliability`; do not edit -->\n";
const END: &str = "<!-- end of figures -->\n";

/// How much of each proof is run.
struct Amounts {
    seeds: &'static str,
    kills: &'static str,
    soak_minutes: &'static str,
    stopped_minutes: &'static str,
    stop_seconds: &'static str,
    fuzz_seconds: &'static str,
    faults: &'static [&'static str],
}

/// About five minutes, when everything is built.
const QUICK: Amounts = Amounts {
    seeds: "300",
    kills: "10",
    soak_minutes: "0.5",
    stopped_minutes: "0.5",
    stop_seconds: "5",
    fuzz_seconds: "3",
    faults: &["--count", "10", "--seed", "1"],
};

/// About two and a half hours.
const FULL: Amounts = Amounts {
    seeds: "10000",
    kills: "200",
    soak_minutes: "60",
    stopped_minutes: "20",
    stop_seconds: "40",
    fuzz_seconds: "120",
    faults: &["--all"],
};

/// A proof: what it shows, the arguments of cargo, variables, and which lines of its output are its
/// result.
pub(crate) struct Proof {
    what: &'static str,
    args: Vec<&'static str>,
    variables: Vec<(&'static str, &'static str)>,
    /// The result is the lines that contain this.
    result: &'static [&'static str],
}

/// Runs all proofs. Every result is written, even that of a failing proof, which fails the task at
/// the end.
pub(crate) fn run(quick: bool) -> Result<()> {
    let amounts = if quick { QUICK } else { FULL };
    setup::cargo(&["build", "--quiet", "--package", "tidings"])?;
    setup::sdk()?;
    let packages = proofs::install_suite()?;
    let mut rows = String::from("| What | Result | Command |\n| --- | --- | --- |\n");
    let mut failed = vec![];
    let mut proofs = list(&amounts);
    proofs.push(Proof {
        what: "WebSocket conformance: Autobahn cases of groups 1 to 7 and 10, server's codec and Rust SDK",
        args: vec!["run", "--quiet", "--package", "tidings-proof", "--", "autobahn", "--packages", packages.leak()],
        variables: vec![],
        result: &["server: ", "client: "],
    });
    for proof in proofs {
        let began = Instant::now();
        let (is_good, result) = perform(&proof)?;
        if !is_good {
            failed.push(proof.what);
        }
        let verdict = if is_good { "" } else { "**FAILED** " };
        let (what, seconds) = (proof.what, began.elapsed().as_secs());
        let command = command_of(&proof);
        rows += &format!("| {what} | {verdict}{result} ({seconds} s) | `{command}` |\n");
    }
    write(&rows, quick)?;
    match failed.as_slice() {
        [] => Ok(()),
        failed => bail!("these have failed; see {PAGE}:\n  {}", failed.join("\n  ")),
    }
}

fn list(amounts: &Amounts) -> Vec<Proof> {
    let mut faults = faults::PROGRAM.to_vec();
    faults.extend(amounts.faults);
    let stopped = Proof {
        what: "The same, and the server's process is stopped again and again",
        ..Proof::soak(
            "1",
            &[
                "--minutes",
                amounts.stopped_minutes,
                "--groups",
                "2",
                "--pause-seconds",
                amounts.stop_seconds,
                "--pause-every-seconds",
                "10",
            ],
        )
    };
    vec![
        Proof::simulation("1", amounts.seeds),
        Proof::kills(amounts.kills, None),
        Proof::soak("1", &["--minutes", amounts.soak_minutes]),
        stopped,
        Proof::fuzz(&["--seconds", amounts.fuzz_seconds]),
        Proof {
            what: "Deliberate faults, each to be found by a named check",
            args: faults,
            variables: vec![],
            result: &[" faults, ", "| nothing |"],
        },
    ]
}

impl Proof {
    pub(crate) fn simulation(from: &'static str, count: &'static str) -> Self {
        let program = ["run", "--release", "--quiet", "--package", "tidings-sim"];
        Self {
            what: "Simulation: random calls under random faults, each seed twice with equal traces",
            args: [&program[..], &["--", "--from", from, "--count", count]].concat(),
            variables: vec![],
            result: &["seeds, ", "simulated: "],
        }
    }

    pub(crate) fn kills(cycles: &'static str, seed: Option<&'static str>) -> Self {
        let mut variables = vec![("TIDINGS_KILL_CYCLES", cycles)];
        variables.extend(seed.map(|seed| ("TIDINGS_KILL_SEED", seed)));
        Self {
            what: "`kill -9` of the program under load",
            args: proofs::KILL_UNDER_LOAD.to_vec(),
            variables,
            result: &[" kills in "],
        }
    }

    pub(crate) fn soak(seed: &'static str, more: &[&'static str]) -> Self {
        let program = ["run", "--quiet", "--package", "tidings-proof"];
        Self {
            what: "Soak: clients of the Rust and the JavaScript SDK, mixed, over networks that break by seed",
            args: [&program[..], &["--", "soak", "--seed", seed], more].concat(),
            variables: vec![],
            result: &[" restarts: ", " messages sent, "],
        }
    }

    pub(crate) fn fuzz(args: &[&'static str]) -> Self {
        let program = [
            "run",
            "--quiet",
            "--profile",
            "fuzz",
            "--package",
            "tidings-fuzz",
        ];
        Self {
            what: "Hostile bytes for every decoder and the machines behind them",
            args: [&program[..], &["--"], args].concat(),
            variables: vec![],
            result: &[" inputs in all"],
        }
    }
}

/// Runs a proof and shows its output. Returns whether it succeeded, and its result in one line.
pub(crate) fn perform(proof: &Proof) -> Result<(bool, String)> {
    println!("> {}", command_of(proof));
    let mut process = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()))
        .args(&proof.args)
        .env_remove("CARGO_MANIFEST_DIR")
        .env_remove("CARGO_PKG_NAME")
        .envs(proof.variables.iter().copied())
        .current_dir(setup::root())
        .stdout(Stdio::piped())
        .spawn()
        .context("cargo cannot be started")?;
    let output = process.stdout.take().context("its output is piped")?;
    let mut results = vec![];
    for line in BufReader::new(output).lines() {
        let line = line.context("reading what a proof says")?;
        println!("{line}");
        if proof.result.iter().any(|part| line.contains(part)) {
            results.push(line.trim_start_matches('.').trim().replace('|', "/"));
        }
    }
    let status = process.wait().context("waiting for a proof")?;
    let result = match results.as_slice() {
        [] if status.success() => "done".into(),
        [] => format!("no result: {status}"),
        results => results.join("; "),
    };
    Ok((status.success(), result))
}

fn command_of(proof: &Proof) -> String {
    let variables = proof
        .variables
        .iter()
        .map(|(name, value)| format!("{name}={value} "));
    let root = setup::root().to_string_lossy().into_owned() + "/";
    let args = proof.args.join(" ").replace(&root, "");
    format!("{}cargo {args}", variables.collect::<String>())
}

/// Replaces the figures of the page.
fn write(rows: &str, quick: bool) -> Result<()> {
    let path = setup::root().join(PAGE);
    let page = std::fs::read_to_string(&path).with_context(|| format!("reading {PAGE}"))?;
    let (before, rest) = page
        .split_once(BEGIN)
        .context("the page has no place for figures")?;
    let (_, after) = rest
        .split_once(END)
        .context("the page's figures have no end")?;
    let (date, commit) = (
        said_by("date", &["-u", "+%-d %B %Y"])?,
        said_by("git", &["rev-parse", "--short", "HEAD"])?,
    );
    let made = ["cargo xtask reliability"]
        .into_iter()
        .chain(quick.then_some("--quick"));
    let made = made.collect::<Vec<_>>().join(" ");
    let head = format!("Of {date}, commit {commit}, by `{made}`.\n\n");
    let page = format!("{before}{BEGIN}{head}{rows}{END}{after}");
    std::fs::write(&path, page).with_context(|| format!("writing {PAGE}"))
}

pub(crate) fn said_by(program: &str, args: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(args)
        .current_dir(setup::root())
        .output()
        .with_context(|| format!("running {program}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
