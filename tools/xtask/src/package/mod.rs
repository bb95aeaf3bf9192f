//! Packages: the Debian packages, the archive, the packages for JavaScript, Python and Rust, the
//! bills of materials, and their checksums.
//!
//! Building one commit twice gives identical files: times are the commit's, owners are root, names
//! are sorted.

mod container;
mod crates;
mod debian;
mod install;
mod sbom;
mod stage;
mod trial;
mod unit;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::python;
use crate::setup::{self, cargo, root, run, run_with, target};

/// The version of everything that is released together.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How strongly the Debian packages are compressed.
#[derive(Clone, Copy)]
enum Effort {
    /// Fast, for a trial.
    Fast,
    /// Small, for a release.
    Best,
}

/// Builds everything for a release and leaves the files in `target/package`.
pub(crate) fn package() -> Result<()> {
    setup::packaging()?;
    setup::web()?;
    cargo(&["build", "--release", "--locked", "--package", "tidings"])?;
    let out = target().join("package");
    empty(&out)?;
    let stage = stage::lay_out(&target().join("release/tidings"), "package-stage")?;
    let package = debian::make(&stage, &out, Effort::Best, None)?;
    archive(&package, &out)?;
    for entry in fs::read_dir(root().join("clients/js/pack"))? {
        let path = entry?.path();
        let name = path.file_name().context("a packed file has a name")?;
        fs::copy(&path, out.join(name))?;
    }
    crates::pack(&out)?;
    sbom::make(&out)?;
    checksums(&out)?;
    debian::lint(&package)?;
    println!("\nthe packages are in {}", out.display());
    Ok(())
}

/// Packages the test build, inspects the packages, and installs them where the machine permits
/// that.
pub(crate) fn check() -> Result<()> {
    setup::packaging()?;
    unit::check()?;
    let out = target().join("package-check");
    empty(&out)?;
    let program = target().join("debug/tidings");
    let stage = stage::lay_out(&program, "package-stage")?;
    let package = debian::make(&stage, &out, Effort::Fast, None)?;
    debian::lint(&package)?;
    archive(&package, &out)?;
    crates::pack(&out)?;
    sbom::make(&out)?;
    checksums(&out)?;
    run(
        &out.to_string_lossy(),
        "sha256sum",
        &["--check", "--quiet", "SHA256SUMS"],
    )?;
    // In another folder, at another time.
    let again = stage::lay_out(&program, "package-stage-again")?;
    let second = debian::make(&again, &out.join("again"), Effort::Fast, None)?;
    ensure!(
        sha256(&package)? == sha256(&second)?,
        "the Debian package differs when it is made again: {} and {}",
        package.display(),
        second.display()
    );
    let old = debian::make(&stage, &out.join("old"), Effort::Fast, Some("0.1.0-1"))?;
    trial::run(&old, &package)?;
    container::check(&program)?;
    crates::check(&out)?;
    python::check(&root().join("clients/js/pack"))?;
    install::check()
}

/// Packs what the Debian package installs, for every other Linux.
fn archive(package: &Path, out: &Path) -> Result<()> {
    let tree = out.join("tree");
    empty(&tree)?;
    run_paths("dpkg-deb", &[Path::new("-x"), package, &tree])?;
    fs::remove_dir_all(tree.join("usr/share/lintian"))?;
    for licence in ["LICENSE-APACHE", "LICENSE-MIT"] {
        fs::copy(
            root().join(licence),
            tree.join("usr/share/doc/tidings").join(licence),
        )?;
    }
    let host = output("rustc", &["--print", "host-tuple"])?;
    run_with(
        ".",
        "tar",
        &[
            "--create",
            "--sort=name",
            "--owner=0",
            "--group=0",
            "--numeric-owner",
            &format!("--mtime=@{}", commit_time()?),
            "--use-compress-program=gzip -n6",
            &format!("--file={}/tidings-{VERSION}-{host}.tar.gz", out.display()),
            &format!("--directory={}", tree.display()),
            ".",
        ],
        &[],
    )?;
    Ok(fs::remove_dir_all(tree)?)
}

fn checksums(out: &Path) -> Result<()> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(out)? {
        let path = entry?.path();
        if path.is_file() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            lines.push(format!("{}  {name}\n", sha256(&path)?));
        }
    }
    lines.sort();
    fs::write(out.join("SHA256SUMS"), lines.concat())?;
    Ok(())
}

fn sha256(path: &Path) -> Result<String> {
    let line = output("sha256sum", &[&path.to_string_lossy()])?;
    Ok(line.split(' ').next().unwrap_or_default().to_owned())
}

/// Seconds since 1970 at which the present commit was made.
fn commit_time() -> Result<String> {
    output("git", &["log", "-1", "--format=%ct"])
}

/// Makes an empty directory, whatever was there before.
fn empty(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))
}

fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .output()
        .with_context(|| format!("running {program}; is it installed?"))?;
    if !output.status.success() {
        bail!(
            "{program} {} failed: {}{}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn run_paths(program: &str, arguments: &[&Path]) -> Result<()> {
    let arguments: Vec<_> = arguments
        .iter()
        .map(|path| path.to_string_lossy())
        .collect();
    let arguments: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
    run(".", program, &arguments)
}

/// The only file of a directory whose name starts and ends so.
fn find(folder: &Path, begin: &str, end: &str) -> Result<PathBuf> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(begin) && name.ends_with(end) {
            return Ok(path);
        }
    }
    bail!("{} has no {begin}*{end}", folder.display())
}
