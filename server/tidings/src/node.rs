//! What the program does for a node of a cluster.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use crate::failure::Failure;
use crate::settings::{Settings, is_open_to_others};

/// Replaces this process by a new one with the same command line: a node that has lost its place in
/// its cluster takes another. Returns only if that fails.
pub(crate) fn start_anew() -> Failure {
    let mut words = std::env::args_os();
    let own = words.next();
    let program = std::env::current_exe().ok().filter(|path| path.exists());
    let program = program.map(PathBuf::into_os_string).or(own);
    let error = Command::new(program.unwrap_or_default()).args(words).exec();
    Failure::new(
        format!(
            "the node has lost its place in the cluster, and cannot start itself again: {error}"
        ),
        "start the server again; systemd and containers do so by themselves",
    )
}

/// Whoever reads the cluster's key can pass for a node.
pub(crate) fn warn_of_open_key(settings: &Settings) {
    if let Some(path) = settings
        .cluster_key_path()
        .filter(|path| is_open_to_others(path))
    {
        tracing::warn!(
            path = %path.display(),
            "others can read the cluster's key, and pass for nodes; chmod 0600"
        );
    }
}
