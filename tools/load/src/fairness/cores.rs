//! Which cores the servers have, and which the generators.
//!
//! An attacker has machines of its own. On one that it shares with the server, the scheduler takes
//! the core from a server that works hard and gives it to the generator, which no server can help.

use anyhow::{Context as _, Result};
use rustix::process::nice;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// How much attackers yield to the victims, whose clients share their cores and take the times.
const YIELD: i32 = 10;

/// The cores of this process, divided. With a single core, both have it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cores {
    servers: CpuSet,
    generators: CpuSet,
}

impl Cores {
    /// Gives the first half to the servers; threads that this one starts from now on get the rest.
    ///
    /// # Errors
    /// If the system does not tell the cores, or does not let them be chosen.
    pub(crate) fn divide() -> Result<Self> {
        let all = sched_getaffinity(None).context("asking for the cores")?;
        let usable: Vec<usize> = (0..CpuSet::MAX_CPU)
            .filter(|&cpu| all.is_set(cpu))
            .collect();
        let (servers, generators) = usable.split_at(usable.len() / 2);
        let cores = if servers.is_empty() {
            Self {
                servers: all,
                generators: all,
            }
        } else {
            Self {
                servers: set(servers),
                generators: set(generators),
            }
        };
        sched_setaffinity(None, &cores.generators).context("choosing the generators' cores")?;
        Ok(cores)
    }

    /// Does what starts a server: what it starts runs on the servers' cores.
    ///
    /// # Errors
    /// As [`Self::divide`], or those of `act`.
    pub(crate) fn for_servers<T>(&self, act: impl FnOnce() -> Result<T>) -> Result<T> {
        sched_setaffinity(None, &self.servers).context("choosing the servers' cores")?;
        let done = act();
        sched_setaffinity(None, &self.generators).context("choosing the generators' cores")?;
        done
    }
}

fn set(cpus: &[usize]) -> CpuSet {
    let mut set = CpuSet::new();
    for &cpu in cpus {
        set.set(cpu);
    }
    set
}

/// Lets the calling thread, one of the attackers', wait for the victims' clients.
pub(crate) fn yield_to_victims() {
    // Denied nowhere: a thread may always lower its own priority.
    let _ = nice(YIELD);
}
