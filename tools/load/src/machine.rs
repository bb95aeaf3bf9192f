//! The machine of a series, read from the system: no names of hosts or users.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::servers::Programs;

/// The machine and the programs of a series.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory_mib: u64,
    pub(crate) kernel: String,
    /// Largest number of files that a process may open.
    pub(crate) open_files_max: u64,
    /// Versions of the servers by their names.
    pub(crate) versions: BTreeMap<String, String>,
}

impl Machine {
    /// Reads it from `/proc`, and asks the programs.
    pub(crate) fn read(programs: &Programs) -> Self {
        let Programs { tidings, peers, .. } = programs;
        let file = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let bun = peers.join("node_modules/.bin/bun");
        let said = [
            ("tidings", said(tidings, "--version")),
            (
                "uws",
                said(&bun, "--version").map(|text| format!("Bun {text}")),
            ),
            ("nats", said(Path::new("nats-server"), "--version")),
            ("mosquitto", said(Path::new("mosquitto"), "-h")),
            ("sockudo", said(&programs.built("sockudo"), "--version")),
            ("nchan", debian("libnginx-mod-nchan")),
            (
                "centrifuge",
                debian("golang-github-centrifugal-centrifuge-dev"),
            ),
            ("ws", package(peers, "ws")),
            ("socketio", package(peers, "socket.io")),
            ("node", said(Path::new("node"), "--version")),
        ];
        Self {
            cpu: cpu().unwrap_or_else(|| "unknown".into()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: field(&file("/proc/meminfo"), "MemTotal")
                .and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok())
                .map_or(0, |kib| kib / 1024),
            // What follows the dash names a build, not a kernel.
            kernel: file("/proc/sys/kernel/osrelease")
                .split('-')
                .next()
                .unwrap_or_default()
                .trim()
                .to_owned(),
            open_files_max: rlimit::Resource::NOFILE.get().map_or(0, |(_, hard)| hard),
            versions: said
                .into_iter()
                .filter_map(|(name, version)| Some((name.to_owned(), version?)))
                .collect(),
        }
    }
}

/// The processor, as it calls itself.
pub(crate) fn cpu() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    field(&text, "model name")
}

/// The value of the first line `name : value`.
fn field(text: &str, name: &str) -> Option<String> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim().to_owned())
}

/// The first line that a program prints.
fn said(program: &Path, argument: &str) -> Option<String> {
    let output = Command::new(program).arg(argument).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    Some(text.lines().next()?.trim().to_owned())
}

/// The version of an installed package of Debian.
fn debian(package: &str) -> Option<String> {
    let output = Command::new("dpkg-query")
        .args(["--show", "--showformat", "${Version}", package])
        .output()
        .ok()?;
    let version = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !version.is_empty()).then(|| format!("{package} {version}"))
}

fn package(peers: &Path, name: &str) -> Option<String> {
    let path = peers.join("node_modules").join(name).join("package.json");
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    Some(format!("{name} {}", json.get("version")?.as_str()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_names() {
        let text = "processor\t: 0\nmodel name\t: Some CPU: fast\nMemTotal:  2048 kB\n";
        assert_eq!(field(text, "model name").as_deref(), Some("Some CPU: fast"));
        assert_eq!(field(text, "MemTotal").as_deref(), Some("2048 kB"));
        assert_eq!(field(text, "model"), None);
    }
}
