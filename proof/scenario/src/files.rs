//! The scenarios of the project, which every runner has to keep.

use std::fs;
use std::io;
use std::path::Path;

use crate::{Scenario, parse};

/// Longest run that is always made in real time, in milliseconds.
const SHORT_MS: u64 = 15_000;

/// Every scenario with the name of its file, in the order of the names.
///
/// # Errors
/// The folder or a file cannot be read, or a scenario is not well-formed: the text names its file.
pub fn all() -> io::Result<Vec<(String, Scenario)>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "txt") {
            continue;
        }
        let name = path.file_name().unwrap_or_default();
        let name = name.to_string_lossy().into_owned();
        let text = fs::read_to_string(&path)?;
        let scenario =
            parse(&text).map_err(|error| io::Error::other(format!("{name}: {error}")))?;
        found.push((name, scenario));
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

/// Those of [`all`] that a runner in real time takes: the short ones if `word` is empty, every one
/// if it is `all`, else those with the word in their file's name.
///
/// # Errors
/// As [`all`].
pub fn wanted(word: &str) -> io::Result<Vec<(String, Scenario)>> {
    let mut found = all()?;
    found.retain(|(name, scenario)| match word {
        "" => scenario.duration_ms() <= SHORT_MS,
        "all" => true,
        word => name.contains(word),
    });
    Ok(found)
}
