//! The series of measurements, and the document that is made from it.

use anyhow::Result;

use crate::setup::{cargo, run};

const PROGRAM: &str = "target/release/tidings-load";

/// Installs the other servers, builds ours, measures, and writes `docs/proven/performance.md`.
pub(crate) fn run_series(arguments: &[String]) -> Result<()> {
    run("tools/load/peers", "sh", &["install.sh"])?;
    cargo(&[
        "build",
        "--release",
        "--package",
        "tidings",
        "--package",
        "tidings-load",
        "--package",
        "tidings-bench",
    ])?;
    let mut series = vec!["series"];
    series.extend(arguments.iter().map(String::as_str));
    run(".", PROGRAM, &series)?;
    run(".", PROGRAM, &["report"])
}
