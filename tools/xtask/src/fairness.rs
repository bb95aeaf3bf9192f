//! Measures how attacks affect users of another app, and writes the page about it.

use anyhow::Result;

use crate::reliability::said_by;
use crate::setup::{cargo, root, web};

/// Builds the program with its pages, attacks it, and writes `docs/proven/fairness.md`.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let begins = |word: &str| arguments.iter().any(|argument| argument == word);
    if !begins("--list") && !begins("--report") {
        // Some attacks request the largest file that the program serves.
        if !root().join("clients/js/pack").exists() {
            web()?;
        }
        cargo(&["build", "--release", "--package", "tidings"])?;
    }
    let commit = said_by("git", &["rev-parse", "--short", "HEAD"])?;
    let load = ["run", "--release", "--quiet", "--package", "tidings-load"];
    let mut command = [&load[..], &["--", "fairness", "--commit", &commit]].concat();
    command.extend(arguments.iter().map(String::as_str));
    cargo(&command)
}
