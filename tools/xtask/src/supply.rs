//! The supply chain, checked against `deny.toml` by cargo-deny: licences, sources, banned crates,
//! known vulnerabilities.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::setup::{self, root, target};
use crate::tools;

/// Names a copy of the advisory database, <https://github.com/RustSec/advisory-db>.
const DATABASE: &str = "TIDINGS_ADVISORY_DB";
/// A copy beside the checkout, used where the variable is not set; seen from the project.
const DATABASE_BESIDE: &str = "../shared/data/advisory-db";
/// What cargo-deny calls its clone of that address: the name, and cargo's own hash of the address.
const CLONE: &str = "advisory-db-3157b0e258782691";

/// Fails when a dependency comes from elsewhere than crates.io, has a licence that `deny.toml` does
/// not allow, is banned there, or has a known vulnerability.
///
/// Vulnerabilities need a copy of the advisory database. Without one, the task says so and checks
/// the rest.
pub(crate) fn check() -> Result<()> {
    let program = tools::cargo_deny()?;
    deny(
        &program,
        &root().join("deny.toml"),
        &["licenses", "bans", "sources"],
    )?;
    let Some(database) = database()? else {
        println!(
            "known vulnerabilities were not looked up: {DATABASE} names no copy of \
             https://github.com/RustSec/advisory-db"
        );
        return Ok(());
    };
    let newest = newest_advisory(&database)?;
    let rules = with_database(&database)?;
    deny(&program, &rules, &["advisories"])?;
    println!("no dependency has a vulnerability that was known on {newest}");
    Ok(())
}

fn deny(program: &Path, rules: &Path, checks: &[&str]) -> Result<()> {
    // Offline: the answer depends only on the repository and the given database.
    let checked = Command::new(program)
        .args(["--offline", "--locked", "--log-level", "error", "--config"])
        .arg(rules)
        .args(["check", "--hide-inclusion-graph"])
        .args(checks)
        .current_dir(root())
        .env("CARGO", setup::cargo_program())
        .output()
        .context("running cargo-deny")?;
    if !checked.status.success() {
        bail!(
            "dependencies that deny.toml does not allow ({}):\n{}",
            checks.join(", "),
            String::from_utf8_lossy(&checked.stderr)
        );
    }
    Ok(())
}

/// The copy of the advisory database, if there is one. A path in the variable must exist.
fn database() -> Result<Option<PathBuf>> {
    let named = std::env::var_os(DATABASE).map(PathBuf::from);
    let folder = named
        .clone()
        .unwrap_or_else(|| root().join(DATABASE_BESIDE));
    match (folder.join("crates").is_dir(), named) {
        (true, _) => Ok(Some(folder)),
        (false, None) => Ok(None),
        (false, Some(named)) => bail!(
            "{DATABASE} is {}, which has no folder `crates`; name a copy of \
             https://github.com/RustSec/advisory-db",
            named.display()
        ),
    }
}

/// The date of the latest advisory, as written there.
fn newest_advisory(database: &Path) -> Result<String> {
    let mut newest = String::new();
    for folder in fs::read_dir(database.join("crates"))? {
        for file in fs::read_dir(folder?.path())? {
            let text = fs::read_to_string(file?.path())?;
            let dates = text
                .lines()
                .filter_map(|line| line.strip_prefix("date = \""));
            for date in dates.filter_map(|rest| rest.split('"').next()) {
                if date > newest.as_str() {
                    date.clone_into(&mut newest);
                }
            }
        }
    }
    Ok(newest)
}

/// Copies the database in the form that cargo-deny expects, a git repository with a particular
/// name, and returns the rules that point there.
fn with_database(database: &Path) -> Result<PathBuf> {
    let all = target().join("advisories");
    let clone = all.join(CLONE);
    if all.exists() {
        fs::remove_dir_all(&all)?;
    }
    fs::create_dir_all(&clone)?;
    copy(&database.join("crates"), &clone.join("crates"))?;
    let identity = ["-c", "user.name=xtask", "-c", "user.email=xtask@localhost"];
    for command in [
        &["init", "--quiet"][..],
        &["add", "--all"],
        &["commit", "--quiet", "--no-gpg-sign", "--message", "copy"],
    ] {
        let done = Command::new("git")
            .args(identity)
            .args(command)
            .current_dir(&clone)
            .output()
            .context("running git")?;
        if !done.status.success() {
            bail!(
                "git {}: {}",
                command.join(" "),
                String::from_utf8_lossy(&done.stderr)
            );
        }
    }
    let text = fs::read_to_string(root().join("deny.toml")).context("reading deny.toml")?;
    let mut rules: toml::Table = toml::from_str(&text).context("reading deny.toml")?;
    let advisories = rules
        .entry("advisories")
        .or_insert_with(|| toml::Table::new().into())
        .as_table_mut()
        .context("advisories in deny.toml is no table")?;
    advisories.insert("db-path".into(), all.to_string_lossy().into_owned().into());
    let path = all.join("deny.toml");
    fs::write(&path, toml::to_string(&rules)?)?;
    Ok(path)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::newest_advisory;

    #[test]
    fn the_date_of_a_database_is_that_of_its_latest_advisory() {
        let database = tempfile::tempdir().expect("a folder");
        for (name, date) in [
            ("old", "2024-02-29"),
            ("new", "2026-08-20"),
            ("mid", "2025-12-31"),
        ] {
            let folder = database.path().join("crates").join(name);
            fs::create_dir_all(&folder).expect("a folder");
            let text =
                format!("```toml\n[advisory]\npackage = \"{name}\"\ndate = \"{date}\"\n```\n");
            fs::write(folder.join("RUSTSEC.md"), text).expect("a file");
        }
        assert_eq!(
            newest_advisory(database.path()).expect("a date"),
            "2026-08-20"
        );
    }
}
