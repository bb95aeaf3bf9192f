//! Options of the simulator and of its deliberate faults, checked before anything is compiled.

use anyhow::Result;
use clap::Args;

use crate::{faults, setup};

/// Which seeds to run, and how.
#[derive(Debug, Default, Args)]
pub(crate) struct Sim {
    /// Run one seed
    #[arg(long, conflicts_with_all = ["from", "count"])]
    seed: Option<u64>,
    /// First of several seeds
    #[arg(long)]
    from: Option<u64>,
    /// How many seeds
    #[arg(long, requires = "from")]
    count: Option<u64>,
    /// Print everything that happens in the seed
    #[arg(long)]
    trace: bool,
    /// Make a failing seed as small as possible
    #[arg(long, requires = "seed")]
    shrink: bool,
    /// Run the probes of the seed: short worlds for single rules
    #[arg(long, requires = "seed")]
    probes: bool,
    /// Print the hash of every trace: two builds that print the same lines behave alike
    #[arg(long, requires = "from")]
    hashes: bool,
    /// Fail also when a situation that has to occur did not
    #[arg(long)]
    gate: bool,
    /// Worlds of so many nodes, 2 to 5, and the promises of the path between them
    #[arg(long, conflicts_with_all = ["probes", "hashes", "hubs", "gate"])]
    nodes: Option<u16>,
    /// Number of hubs, instead of what the seed draws
    #[arg(long)]
    hubs: Option<u16>,
    /// Number of users at most
    #[arg(long)]
    users: Option<u64>,
    /// Length of the run in simulated milliseconds
    #[arg(long)]
    ms: Option<u64>,
    /// Kinds of faults to switch off, separated by commas
    #[arg(long, value_name = "KIND,…")]
    off: Option<String>,
    /// Steps to leave out, for example 3-7,12
    #[arg(long, value_name = "STEP-STEP,…")]
    skip: Option<String>,
    /// Run with a deliberate fault switched on
    #[arg(long, value_name = "NAME")]
    fault: Option<String>,
}

/// Which deliberate faults to switch on.
#[derive(Debug, Default, Args)]
pub(crate) struct Faults {
    /// All of them, and write docs/proven/faults.md
    #[arg(long, conflicts_with_all = ["count", "fault"])]
    all: bool,
    /// How many, drawn at random; 10 if not given
    #[arg(long)]
    count: Option<u64>,
    /// Decides which are drawn, or which seed a fault is replayed with
    #[arg(long)]
    seed: Option<u64>,
    /// Only this one
    #[arg(long, value_name = "NAME")]
    fault: Option<String>,
    /// With `--fault`: print everything that happens in the seed
    #[arg(long, requires = "fault")]
    trace: bool,
}

/// Words of a command line.
#[derive(Default)]
struct Words(Vec<String>);

impl Words {
    fn flag(&mut self, name: &str, is_given: bool) {
        self.0.extend(is_given.then(|| name.to_owned()));
    }

    fn option<T: ToString>(&mut self, name: &str, value: Option<T>) {
        if let Some(value) = value {
            self.0.extend([name.to_owned(), value.to_string()]);
        }
    }
}

impl Sim {
    /// The run of the gate.
    pub(crate) fn gate(count: u64) -> Self {
        Self {
            from: Some(1),
            count: Some(count),
            gate: true,
            ..Self::default()
        }
    }

    /// The run of the gate with several nodes, with every fault.
    pub(crate) fn gate_of_nodes(nodes: u16, count: u64) -> Self {
        Self {
            from: Some(1),
            count: Some(count),
            nodes: Some(nodes),
            ..Self::default()
        }
    }

    /// Runs the simulator with them.
    pub(crate) fn run(self) -> Result<()> {
        if self.fault.is_some() {
            let (fault, seed, trace) = (self.fault, self.seed, self.trace);
            return Faults {
                fault,
                seed,
                trace,
                ..Faults::default()
            }
            .run();
        }
        let simulator = [
            "run",
            "--release",
            "--quiet",
            "--package",
            "tidings-sim",
            "--",
        ];
        let words = self.words();
        let words = words.iter().map(String::as_str);
        setup::cargo(&simulator.into_iter().chain(words).collect::<Vec<_>>())
    }

    fn words(self) -> Vec<String> {
        let mut words = Words::default();
        words.option("--seed", self.seed);
        words.option("--from", self.from);
        words.option("--count", self.count);
        words.flag("--trace", self.trace);
        words.flag("--shrink", self.shrink);
        words.flag("--probes", self.probes);
        words.flag("--hashes", self.hashes);
        words.flag("--gate", self.gate);
        words.option("--nodes", self.nodes);
        words.option("--hubs", self.hubs);
        words.option("--users", self.users);
        words.option("--ms", self.ms);
        words.option("--off", self.off);
        words.option("--skip", self.skip);
        words.0
    }
}

impl Faults {
    /// Some, drawn at random: `seed` decides which.
    pub(crate) fn draw(count: u64, seed: u64) -> Self {
        let (count, seed) = (Some(count), Some(seed));
        Self {
            count,
            seed,
            ..Self::default()
        }
    }

    /// Runs them; all of them write the table.
    pub(crate) fn run(self) -> Result<()> {
        if self.all {
            return faults::all();
        }
        let mut words = Words::default();
        words.option("--count", self.count);
        words.option("--seed", self.seed);
        words.option("--fault", self.fault);
        words.flag("--trace", self.trace);
        faults::some(&words.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_simulator_gets_the_words_that_were_given() {
        assert_eq!(Sim::gate(7).words().join(" "), "--from 1 --count 7 --gate");
        let sim = Sim {
            seed: Some(5),
            trace: true,
            off: Some("cuts,kills".into()),
            ..Sim::default()
        };
        assert_eq!(sim.words().join(" "), "--seed 5 --trace --off cuts,kills");
    }
}
