//! Installs the Debian package in a system of its own and does there what an administrator would
//! do: `packaging/trial`.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::{empty, find};
use crate::setup::{root, target};

/// The trial's exit code where the machine does not permit namespaces, mounts and a control group.
const NOT_HERE: i32 = 125;

/// Runs the trial: `old` stands for the previous package, `new` is the one under test, with the
/// archive beside it.
pub(super) fn run(old: &Path, new: &Path) -> Result<()> {
    let given = target().join("package-trial");
    empty(&given)?;
    fs::copy(old, given.join("old.deb"))?;
    fs::copy(new, given.join("new.deb"))?;
    let folder = new.parent().context("a package lies in a folder")?;
    let archive = find(folder, "tidings-", ".tar.gz")?;
    let name = archive.file_name().context("an archive has a name")?;
    fs::copy(&archive, given.join(name))?;
    fs::write(given.join("archive-commands"), archive_commands()?)?;
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

/// The guide's instructions for other Linux systems.
fn archive_commands() -> Result<String> {
    let page = fs::read_to_string(root().join("site/guide/running.md"))
        .context("reading site/guide/running.md")?;
    let block = page
        .split_once("<!-- archive -->\n```sh\n")
        .and_then(|(_, rest)| rest.split_once("```"));
    let (commands, _) = block.context("running.md has no block that is marked `archive`")?;
    Ok(commands.to_owned())
}
