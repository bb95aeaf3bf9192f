//! The series of measurements, and the document that is made from it.

use anyhow::Result;

use crate::reliability::said_by;
use crate::setup::{cargo, run};

const PROGRAM: &str = "target/release/tidings-load";

/// Installs the other servers, builds ours, measures, and writes `docs/proven/performance.md`.
pub(crate) fn run_series(arguments: &[String]) -> Result<()> {
    prepare()?;
    let mut series = vec!["series"];
    series.extend(arguments.iter().map(String::as_str));
    run(".", PROGRAM, &series)?;
    run(".", PROGRAM, &["report"])
}

/// The same for calls of backends, which `docs/proven/performance-api.md` is about.
pub(crate) fn run_calls(arguments: &[String]) -> Result<()> {
    prepare()?;
    let commit = said_by("git", &["rev-parse", "--short", "HEAD"])?;
    let mut command = vec!["calls-page", "--commit", &commit];
    command.extend(arguments.iter().map(String::as_str));
    run(".", PROGRAM, &command)
}

/// What it costs to watch a server, which `docs/proven/performance-watched.md` is about.
pub(crate) fn run_watched(arguments: &[String]) -> Result<()> {
    cargo(&[
        "build",
        "--release",
        "--package",
        "tidings",
        "--package",
        "tidings-load",
    ])?;
    let commit = said_by("git", &["rev-parse", "--short", "HEAD"])?;
    let mut command = vec!["watched", "--threads", "2", "--commit", &commit];
    command.extend(arguments.iter().map(String::as_str));
    run(".", PROGRAM, &command)
}

/// Installs the other servers and builds ours with what loads them.
fn prepare() -> Result<()> {
    run("tools/load/peers", "sh", &["install.sh"])?;
    let packages = ["tidings", "tidings-load", "tidings-bench"];
    let packages = packages.iter().flat_map(|package| ["--package", package]);
    cargo(
        &["build", "--release"]
            .into_iter()
            .chain(packages)
            .collect::<Vec<_>>(),
    )
}
