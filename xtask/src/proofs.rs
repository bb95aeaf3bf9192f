//! Proofs with real processes: the program `tidings-proof` runs them.

use anyhow::Result;

use crate::setup::cargo;

/// SDK clients over broken networks. `args`: `--minutes N --seed S`.
pub(crate) fn soak(args: &[String]) -> Result<()> {
    run("soak", args)
}

fn run(proof: &str, args: &[String]) -> Result<()> {
    // The proofs start the program that lies next to their own.
    cargo(&["build", "--quiet", "--package", "tidings"])?;
    let mut command = vec!["run", "--quiet", "--package", "tidings-proof", "--", proof];
    command.extend(args.iter().map(String::as_str));
    cargo(&command)
}
