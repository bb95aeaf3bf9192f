//! The files that are looked at: all text files that git knows or would add.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// Made by programs or taken from elsewhere: not measured, and not searched for citations.
const FOREIGN: [&str; 8] = [
    "/generated/",
    "package-lock.json",
    "Cargo.lock",
    "/tests/seeds/",
    "/regressions/",
    "docs/proven/conformance.md",
    "/tests/vectors.json",
    "proto/vectors.json",
];

/// Endings of text files.
const TEXT: [&str; 14] = [
    "rs", "ts", "mts", "cts", "tsx", "mjs", "cjs", "js", "md", "toml", "proto", "txt", "service",
    "html",
];

/// One file that is looked at.
#[derive(Debug)]
pub(crate) struct File {
    /// From the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    /// The ending of its name.
    pub(crate) fn ending(&self) -> &str {
        self.path.rsplit('.').next().unwrap_or_default()
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.ending() == "rs"
    }

    pub(crate) fn is_script(&self) -> bool {
        matches!(
            self.ending(),
            "ts" | "mts" | "cts" | "tsx" | "mjs" | "cjs" | "js"
        )
    }

    /// Whether it is a test as a whole, by its place or its name.
    pub(crate) fn is_test(&self) -> bool {
        ["/tests/", "/test/", "/tests.rs"]
            .iter()
            .any(|part| self.path.contains(part))
            || self.path.starts_with("proof/")
            || self.path.contains(".test.")
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// In the order of their paths.
    pub(crate) files: Vec<File>,
    /// Every path that git knows, of files that are not text, too.
    pub(crate) paths: BTreeSet<String>,
    /// Those that the last commit or the working tree changes: shown first.
    pub(crate) changed: BTreeSet<String>,
}

impl Sources {
    /// Reads them.
    ///
    /// # Errors
    /// Git is missing, or a file cannot be read.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let listed = git(
            root,
            &["ls-files", "--cached", "--others", "--exclude-standard"],
        )?;
        let mut sources = Self::default();
        // A file that was deleted and is still in the index is not there.
        let paths = listed.lines().filter(|path| root.join(path).exists());
        sources.paths = paths.map(str::to_owned).collect();
        for path in &sources.paths {
            let foreign = FOREIGN.iter().any(|part| path.contains(part));
            let ending = path.rsplit('.').next().unwrap_or_default();
            if foreign || !TEXT.contains(&ending) || root.join(path).is_symlink() {
                continue;
            }
            let text = std::fs::read_to_string(root.join(path))
                .with_context(|| format!("reading {path}"))?;
            let path = path.clone();
            sources.files.push(File { path, text });
        }
        for range in ["HEAD", "HEAD~1"] {
            let changed = git(root, &["diff", "--name-only", range]).unwrap_or_default();
            sources.changed.extend(changed.lines().map(str::to_owned));
        }
        Ok(sources)
    }

    /// The file at a path.
    pub(crate) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }
}

fn git(root: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(root)
        .output()
        .context("running git")?;
    if !output.status.success() {
        bail!("git {} ended with {}", arguments.join(" "), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
