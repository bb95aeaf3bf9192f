//! Installs the Debian package in a system of its own and does there what an administrator does: `packaging/trial`.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::empty;
use crate::setup::{root, target};

/// The trial's exit code where the machine does not let one have namespaces, mounts and a control group.
const NOT_HERE: i32 = 125;

/// Runs the trial: `old` counts as the package before, `new` is the one to try.
pub(super) fn run(old: &Path, new: &Path) -> Result<()> {
    let given = target().join("package-trial");
    empty(&given)?;
    fs::copy(old, given.join("old.deb"))?;
    fs::copy(new, given.join("new.deb"))?;
    let status = Command::new("sh")
        .arg(root().join("packaging/trial/run.sh"))
        .arg(&given)
        .status()
        .context("running packaging/trial/run.sh")?;
    let told = |name: &str| fs::read_to_string(given.join(name)).unwrap_or_default();
    match status.code() {
        Some(0) => {
            println!(
                "the Debian package, installed and used:\n{}",
                told("output")
            );
            Ok(())
        }
        Some(NOT_HERE) => {
            println!(
                "the Debian package is not installed here: {}",
                told("output")
            );
            Ok(())
        }
        _ => bail!(
            "the Debian package failed its trial ({status}):\n{}{}",
            told("boot"),
            told("output")
        ),
    }
}
