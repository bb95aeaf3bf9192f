//! What a process has cost, according to the operating system.

use std::fs;

use anyhow::{Context as _, Result};

/// CPU and memory of the processes of a server.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    /// Time on a CPU, user and system, of all threads, in nanoseconds.
    pub(crate) cpu_ns: u64,
    /// Resident memory, in bytes.
    pub(crate) resident_bytes: u64,
}

/// Reads the current cost of processes, added up.
///
/// # Errors
/// If a process has ended.
pub(crate) fn cost(pids: &[u32]) -> Result<Cost> {
    let mut sum = Cost::default();
    for pid in pids {
        let gone = || format!("process {pid} of the server has ended");
        for thread in fs::read_dir(format!("/proc/{pid}/task")).with_context(gone)? {
            // A thread may end between the two calls.
            let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else {
                continue;
            };
            let ran = text
                .split_whitespace()
                .next()
                .and_then(|field| field.parse::<u64>().ok());
            sum.cpu_ns += ran.unwrap_or_default();
        }
        let status = fs::read_to_string(format!("/proc/{pid}/status")).with_context(gone)?;
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.split_whitespace().next())
            .and_then(|field| field.parse::<u64>().ok())
            .unwrap_or_default();
        sum.resident_bytes += kib * 1024;
    }
    Ok(sum)
}

/// Processes whose parent, or parent's parent, is this one: servers that fork.
pub(crate) fn family(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    let mut at = 0;
    while at < all.len() {
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", all[at]));
        for child in children.unwrap_or_default().split_whitespace() {
            if let Ok(child) = child.parse() {
                all.push(child);
            }
        }
        at += 1;
    }
    all
}
