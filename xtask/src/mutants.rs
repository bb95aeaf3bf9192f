//! The deliberate faults that prove the simulator's checks.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};

use crate::setup;

/// Faults drawn in one test run.
const COUNT: &str = "10";

/// Built apart from the simulator: a binary of its own, with the feature that makes the switches.
const PROGRAM: &[&str] = &[
    "run",
    "--release",
    "--quiet",
    "--package",
    "tidings-sim",
    "--features",
    "mutants",
    "--bin",
    "tidings-mutants",
    "--",
];

const INTRODUCTION: &str = "\
# Deliberate faults

Made by `cargo xtask mutants --all`; do not edit. Each fault is one line of the product's code, switched on in a test build
only (`tidings_mutant::mutant!`). The simulator runs at most 200 seeds of the named profile with it; the table shows the first
broken promise that a check reported, under its name in the reliability contract. One run:
`cargo xtask sim --mutant N --seed S --trace`.

Not here, with the reason: faults of the cluster (lease, caretaker, fencing between nodes, JetStream settings), as there is no
cluster yet; a resume with a wrong secret and an old connection left in service, which the simulated clients cannot
show (unit tests of the hub hold the first); faults of the disk (torn writes, fsync errors), which the tests of
`tidings-store` make.

";

/// Runs faults. All of them write the table.
pub(crate) fn run(args: &[String]) -> Result<()> {
    if !args.iter().any(|arg| arg == "--all") {
        let mut command = PROGRAM.to_vec();
        command.extend(args.iter().map(String::as_str));
        return setup::cargo(&command);
    }
    let output = Command::new("cargo")
        .current_dir(setup::root())
        .args(PROGRAM)
        .args(["--all", "--table"])
        .output()
        .context("cargo cannot be started")?;
    let table = String::from_utf8_lossy(&output.stdout);
    print!("{table}{}", String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        bail!("a deliberate fault was caught by nothing; see above");
    }
    let path = setup::root().join("docs/mutants.md");
    std::fs::write(&path, format!("{INTRODUCTION}{table}"))
        .with_context(|| format!("{} cannot be written", path.display()))
}

/// Draws some of them: other ones in every run, and the seed is printed.
pub(crate) fn draw() -> Result<()> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let seed = since.map_or(1, |since| since.as_secs()).to_string();
    run(&["--count".into(), COUNT.into(), "--seed".into(), seed])
}
