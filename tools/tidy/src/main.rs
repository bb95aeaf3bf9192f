//! `cargo xtask tidy`: what no compiler checks.
//!
//! - [`citations`]: a section, rule, clause or decision that a comment or page cites exists.
//! - [`links`]: links between pages, and the paths that maps such as ARCHITECTURE.md name, lead
//!   somewhere.
//! - [`ratchet`]: measures of the code (long files, long functions, circles of modules, …) that
//!   may only get better, held in `tools/tidy/tidy.toml`.
//!
//! Reading order: [`files`] (what is looked at), then the three above; [`rust`], [`modules`] and
//! [`text`] take the measures.

mod citations;
mod files;
mod links;
mod measures;
mod modules;
mod ratchet;
mod rust;
mod text;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Parser;

use files::Sources;

/// Checks citations, links and the measures of the code
#[derive(Debug, Parser)]
struct Arguments {
    /// Write improved measures into tools/tidy/tidy.toml; a measure that got worse still fails
    #[arg(long)]
    update: bool,
    /// List every place that counts for this measure, or for all with `--list all`
    #[arg(long, value_name = "MEASURE")]
    list: Option<String>,
    /// Root of the repository
    #[arg(long, default_value = ".")]
    root: PathBuf,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let sources = Sources::read(&arguments.root)?;
    let found = measures::take(&sources)?;
    if let Some(wanted) = &arguments.list {
        return measures::list(&found, wanted);
    }
    let mut problems = citations::problems(&sources)?;
    problems.extend(links::problems(&sources));
    problems.extend(ratchet::hold(&arguments.root, &found, arguments.update)?);
    if problems.is_empty() {
        return Ok(());
    }
    bail!("not tidy:\n  {}", problems.join("\n  "));
}
