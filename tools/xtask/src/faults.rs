//! The deliberate faults that prove the simulator's checks.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};

use crate::setup;
use crate::sim::Faults;

/// Faults drawn in one test run.
const COUNT: u64 = 10;

/// Built apart from the simulator: a binary of its own, with the feature that enables the switches.
pub(crate) const PROGRAM: &[&str] = &[
    "run",
    "--release",
    "--quiet",
    "--package",
    "tidings-sim",
    "--features",
    "faults",
    "--bin",
    "tidings-faults",
    "--",
];

const INTRODUCTION: &str = "\
# Deliberate faults

Made by `cargo xtask faults --all`; do not edit. Each fault is one line of the product's code, switched on in a test build
only (`tidings_fault::fault!`). The simulator runs at most 200 seeds of the named profile with it, until the named check of the
reliability contract fails; the table shows with which seed, and whether other checks fail with that seed, too. One run:
`cargo xtask sim --fault NAME --seed S --trace`. Which check has which fault: [checks.md](checks.md).

Not here: faults of a cluster's leases and of its log (fencing between nodes, JetStream settings); those of the
order of events in an invitation's record, which the model has (`proof/models`); torn writes and damaged files, which the
tests of `tidings-store` make.

";

/// Runs the selected faults.
pub(crate) fn some(words: &[String]) -> Result<()> {
    let mut command = PROGRAM.to_vec();
    command.extend(words.iter().map(String::as_str));
    setup::cargo(&command)
}

/// Runs all, and writes the table.
pub(crate) fn all() -> Result<()> {
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
    let path = setup::root().join("docs/proven/faults.md");
    std::fs::write(&path, format!("{INTRODUCTION}{table}"))
        .with_context(|| format!("{} cannot be written", path.display()))
}

const CHECKS: &str = "\
# The checks

Made by `cargo xtask checks`; do not edit. Every check of the delivery contract's list: where it is evaluated (S simulator, R real
program or store, U unit or property test, M model) and what makes it fail: a [deliberate fault](faults.md), or a test that makes
the fault itself. A test fails when a check has neither.

";

/// Writes the list of checks.
pub(crate) fn checks() -> Result<()> {
    let output = Command::new("cargo")
        .current_dir(setup::root())
        .args([
            "run",
            "--quiet",
            "--package",
            "tidings-sim",
            "--",
            "--checks",
        ])
        .output()
        .context("cargo cannot be started")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    let table = String::from_utf8_lossy(&output.stdout);
    let path = setup::root().join("docs/proven/checks.md");
    std::fs::write(&path, format!("{CHECKS}{table}"))
        .with_context(|| format!("{} cannot be written", path.display()))
}

/// Draws some of them at random, and prints the seed.
pub(crate) fn draw() -> Result<()> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let seed = since.map_or(1, |since| since.as_secs());
    Faults::draw(COUNT, seed).run()
}
