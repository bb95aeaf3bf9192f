//! The promises of the path between nodes, each shown by a short run without hubs: what
//! [`tidings_cluster::simulated::promises`] lists.

use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;
use tidings_cluster::simulated::promises;

use crate::checks::Violation;

/// The outcome of a run.
#[derive(Debug)]
pub struct Report {
    /// Hash of what was seen: equal for equal seeds.
    pub trace_hash: u64,
    /// A line per promise.
    pub trace: Vec<String>,
    /// Promises that were broken.
    pub violations: Vec<Violation>,
}

/// Runs all of them with one seed.
pub fn run(seed: u64) -> Report {
    let (mut trace, mut violations) = (Vec::new(), Vec::new());
    for (check, what, run) in promises::ALL {
        let line = match run(seed) {
            Ok(()) => format!("{what}: kept"),
            Err(seen) => {
                let text = format!("{what}: {seen}");
                violations.push(Violation {
                    check,
                    text: text.clone(),
                });
                text
            }
        };
        trace.push(line);
    }
    let mut hash = SipHasher13::new();
    for line in &trace {
        hash.write(line.as_bytes());
    }
    Report {
        trace_hash: hash.finish(),
        trace,
        violations,
    }
}
