//! The contents of the packages, laid out where cargo-deb looks for them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::{VERSION, empty, output, run_paths};
use crate::setup::{root, target};

/// The shells, and the names under which they look for a program's completions.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "tidings"),
    ("zsh", "_tidings"),
    ("fish", "tidings.fish"),
];

/// Lays the program and its files out in a folder that stands in for cargo's target folder: its
/// `release/` contains the files that the manifest of the program names. Returns the folder.
pub(super) fn lay_out(program: &Path, name: &str) -> Result<PathBuf> {
    let stage = target().join(name);
    empty(&stage)?;
    let release = stage.join("release");
    fs::create_dir_all(release.join("completions"))?;
    fs::copy(program, release.join("tidings"))
        .with_context(|| format!("copying {}", program.display()))?;
    let program = program.to_string_lossy();
    let man = release.join("man");
    output(
        &program,
        &["reference", "man", "--to", &man.to_string_lossy()],
    )?;
    let mut pages = vec![PathBuf::from("-n9")];
    for entry in fs::read_dir(&man)? {
        pages.push(entry?.path());
    }
    let pages: Vec<&Path> = pages.iter().map(PathBuf::as_path).collect();
    run_paths("gzip", &pages)?;
    for (shell, name) in COMPLETIONS {
        let made = Command::new(&*program)
            .args(["reference", "completions", shell])
            .output()?;
        ensure!(made.status.success(), "no completions for {shell}");
        fs::write(release.join("completions").join(name), made.stdout)?;
    }
    let changes = release.join("changelog");
    fs::copy(root().join("CHANGELOG.md"), &changes)?;
    let debian = release.join("changelog.Debian");
    fs::write(&debian, debian_changelog()?)?;
    run_paths("gzip", &[Path::new("-n9"), &changes, &debian])?;
    Ok(stage)
}

/// The changelog of the Debian package, which has no changes of its own.
fn debian_changelog() -> Result<String> {
    let date = output("git", &["log", "-1", "--format=%cD"])?;
    Ok(format!(
        "tidings ({VERSION}-1) unstable; urgency=medium\n\n  * Tidings {VERSION}; what is new is told in changelog.gz.\n\n \
         -- {}  {date}\n",
        super::debian::maintainer()?
    ))
}
