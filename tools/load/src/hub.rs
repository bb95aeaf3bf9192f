//! The hub without sockets: the results of its own bench.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

/// What `tidings-bench hub` has measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Hub {
    /// Deliveries that one second of CPU time carries, to 1,000 members who confirm them.
    pub(crate) deliveries_per_s: f64,
    /// CPU time of one operation in nanoseconds, by its name, then by the users of the hub: powers
    /// of ten, so that their texts are in order. (A number as a key does not survive an untagged
    /// enum of serde's.)
    pub(crate) ns: BTreeMap<String, BTreeMap<String, f64>>,
}

/// Runs the bench.
///
/// # Errors
/// If it is not built, or fails.
pub(crate) fn measure(bench: &Path) -> Result<Hub> {
    let output = Command::new(bench)
        .args(["hub", "--json"])
        .output()
        .with_context(|| format!("running {}; is it built?", bench.display()))?;
    if !output.status.success() {
        bail!("{} ended with {}", bench.display(), output.status);
    }
    serde_json::from_slice(&output.stdout).context("what the bench says")
}
