//! The Debian package, built by cargo-deb: the manifest of `server/tidings` lists its contents.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::{Effort, commit_time, find, output};
use crate::setup::root;
use crate::tools;

/// Makes the package and the one with its debug symbols. Returns the first.
///
/// `stage` was laid out by [`super::stage::lay_out`]; `version` replaces the program's own.
pub(super) fn make(
    stage: &Path,
    out: &Path,
    effort: Effort,
    version: Option<&str>,
) -> Result<PathBuf> {
    fs::create_dir_all(out)?;
    let mut command = Command::new(tools::compiled(&tools::CARGO_DEB)?);
    command
        .args(["--package", "tidings", "--no-build", "--dbgsym", "--quiet"])
        .args(["--compress-system", "--maintainer", &maintainer()?])
        .arg("--output")
        // A trailing slash marks a folder.
        .arg(out.join(""))
        .current_dir(root())
        .env("CARGO_TARGET_DIR", stage)
        .env("SOURCE_DATE_EPOCH", commit_time()?);
    if let Effort::Fast = effort {
        command.arg("--fast");
    }
    if let Some(version) = version {
        command.args(["--deb-version", version]);
    }
    let made = command.output().context("running cargo-deb")?;
    if !made.status.success() {
        bail!(
            "cargo-deb {}: {}",
            made.status,
            String::from_utf8_lossy(&made.stderr)
        );
    }
    // A name as usual: apt-get installs no file with another extension.
    let symbols = find(out, "tidings-dbgsym_", ".ddeb")?;
    fs::rename(&symbols, symbols.with_extension("deb"))?;
    find(out, "tidings_", ".deb")
}

/// The package's maintainer: the builder, if Debian's variables name one, otherwise the project.
pub(super) fn maintainer() -> Result<String> {
    if let (Ok(name), Ok(address)) = (std::env::var("DEBFULLNAME"), std::env::var("DEBEMAIL")) {
        return Ok(format!("{name} <{address}>"));
    }
    let text = fs::read_to_string(root().join("server/tidings/Cargo.toml"))?;
    let manifest: toml::Value = toml::from_str(&text)?;
    let maintainer = manifest["package"]["metadata"]["deb"]["maintainer"].as_str();
    Ok(maintainer
        .context("the manifest names no maintainer")?
        .to_owned())
}

/// Fails on anything that lintian reports and `lintian-overrides` does not explain.
pub(super) fn lint(package: &Path) -> Result<()> {
    output(
        "lintian",
        &[
            "--allow-root",
            "--fail-on",
            "error,warning",
            &package.to_string_lossy(),
        ],
    )?;
    Ok(())
}
