//! Runs seeds: `tidings-sim [--seed N | --from N --count N] [--trace] [--shrink] [--gate]`, the
//! probes of a seed: `tidings-sim --probes --seed N [--trace]`, the table of the checks:
//! `tidings-sim --checks`. `--hashes` with `--from` and `--count` prints the hash of every trace:
//! two builds that print the same lines behave alike.
//!
//! `--nodes N` runs worlds of several nodes, and the promises of the path between them.
//!
//! A single seed can be reduced with `--hubs`, `--users`, `--ms`, `--off KIND,…`, `--skip
//! STEP-STEP,…`; `--shrink` does it automatically.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use tidings_sim::chaos::{ChaosConfig, FAULTS, Fault, run};
use tidings_sim::checks::Violation;
use tidings_sim::sometimes::{SITUATIONS, Sometimes};
use tidings_sim::{catalogue, everything, live, options, probes, shrink};

/// One seed in this many also runs the probes.
const PROBED: u64 = 50;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let is_given = |name: &str| args.iter().any(|arg| arg == name);
    let number = |name: &str| {
        let at = args.iter().position(|arg| arg == name)?;
        args.get(at + 1)?.parse::<u64>().ok()
    };
    if is_given("--checks") {
        print!("{}", catalogue::table());
        return ExitCode::SUCCESS;
    }
    let config = match options::parse(&args) {
        Ok(config) => config,
        Err(text) => {
            println!("{text}");
            return ExitCode::FAILURE;
        }
    };
    if is_given("--probes") {
        let mut sums = Sums::default();
        sums.probe(config.seed, config.is_traced);
        return sums.report(false);
    }
    if is_given("--shrink") {
        return make_small(&config);
    }
    if is_given("--seed") {
        let mut sums = Sums::default();
        sums.run(&config);
        return sums.report(false);
    }
    let from = number("--from").unwrap_or(1);
    if is_given("--hashes") {
        print_hashes(from, number("--count").unwrap_or(1));
        return ExitCode::SUCCESS;
    }
    let count = number("--count").unwrap_or(1);
    let nodes = u16::try_from(config.nodes.len()).unwrap_or(0);
    let off = args.iter().position(|arg| arg == "--off");
    let off = off.and_then(|at| args.get(at + 1)).cloned();
    let off = off.unwrap_or_default();
    run_many(from, count, nodes, &off).report(is_given("--gate"))
}

/// Prints a line per seed: the hash of its trace in every profile.
fn print_hashes(from: u64, count: u64) {
    for seed in from..from + count {
        let chaos = run(&ChaosConfig::for_seed(seed)).trace_hash;
        let everything = everything::run(seed, false).trace_hash;
        let probes = if seed.is_multiple_of(PROBED) {
            probes::run(seed, false).trace_hash
        } else {
            0
        };
        println!("{seed} {chaos:016x} {everything:016x} {probes:016x}");
    }
}

/// Runs seeds on two threads; each seed is a world of its own. With several nodes, what is listed in
/// `off` is off in all.
fn run_many(from: u64, count: u64, nodes: u16, off: &str) -> Sums {
    let next = AtomicU64::new(from);
    let work = || {
        let mut sums = Sums::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= from + count {
                return sums;
            }
            if nodes > 0 {
                let mut config = ChaosConfig::for_nodes(seed, nodes);
                for name in off.split(',') {
                    options::switch_off(&mut config, name);
                }
                sums.run(&config);
                sums.try_live(seed);
                continue;
            }
            sums.run(&ChaosConfig::for_seed(seed));
            if seed.is_multiple_of(PROBED) {
                sums.probe(seed, false);
            }
        }
    };
    let mut sums = Sums::default();
    thread::scope(|scope| {
        let threads = [scope.spawn(work), scope.spawn(work)];
        for thread in threads {
            match thread.join() {
                Ok(other) => sums.add(other),
                Err(_) => sums.failed += 1,
            }
        }
    });
    sums
}

fn make_small(config: &ChaosConfig) -> ExitCode {
    let Some(small) = shrink::shrink(config) else {
        println!(
            "seed {} does not fail: there is nothing to make small",
            config.seed
        );
        return ExitCode::FAILURE;
    };
    for violation in run(&small.config).violations {
        println!("{}: {}", violation.check, violation.text);
    }
    println!(
        "{} fails in {} steps ({} runs to find out)\nreplay: cargo xtask sim {} --trace",
        small.check,
        small.steps,
        small.runs,
        options::words(&small.config)
    );
    ExitCode::FAILURE
}

/// The outcome of all seeds.
#[derive(Debug, Default)]
struct Sums {
    seeds: u64,
    failed: u64,
    calls: u64,
    received: usize,
    accepted: usize,
    faults: u64,
    seconds: u64,
    restarts: u64,
    pauses: u64,
    gaps: u64,
    simulated_ms: u64,
    by_kind: BTreeMap<Fault, u64>,
    sometimes: Sometimes,
}

impl Sums {
    fn run(&mut self, config: &ChaosConfig) {
        let report = run(config);
        self.seeds += 1;
        report.trace.iter().for_each(|line| println!("{line}"));
        let mut violations = report.violations;
        if run(config).trace_hash != report.trace_hash {
            let check = "sim.deterministic";
            let text = "two runs differ".to_owned();
            violations.push(Violation { check, text });
        }
        let command = format!("cargo xtask sim {}", options::words(config));
        let replay = format!("{command} --trace; make it small: {command} --shrink");
        self.note(&violations, &replay);
        self.calls += report.calls;
        self.received += report.received;
        self.accepted += report.accepted;
        self.faults += report.faults;
        self.seconds += report.seconds;
        self.restarts += report.restarts;
        self.pauses += report.pauses;
        self.gaps += report.gaps;
        self.simulated_ms += report.simulated_ms;
        for (fault, count) in report.by_kind {
            *self.by_kind.entry(fault).or_default() += count;
        }
        self.sometimes.add(&report.sometimes);
    }

    fn probe(&mut self, seed: u64, is_traced: bool) {
        let report = probes::run(seed, is_traced);
        report.trace.iter().for_each(|line| println!("{line}"));
        let replay = format!("cargo xtask sim --probes --seed {seed} --trace");
        self.note(&report.violations, &replay);
        self.sometimes.add(&report.sometimes);
    }

    /// The promises of the path between nodes.
    fn try_live(&mut self, seed: u64) {
        let report = live::run(seed);
        let replay = "cargo test -p tidings-cluster --test promises";
        self.note(&report.violations, replay);
    }

    fn note(&mut self, violations: &[Violation], replay: &str) {
        for violation in violations {
            println!("{}: {}", violation.check, violation.text);
        }
        if !violations.is_empty() {
            println!("replay: {replay}");
            self.failed += 1;
        }
    }

    fn add(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.failed += other.failed;
        self.calls += other.calls;
        self.received += other.received;
        self.accepted += other.accepted;
        self.faults += other.faults;
        self.seconds += other.seconds;
        self.restarts += other.restarts;
        self.pauses += other.pauses;
        self.gaps += other.gaps;
        self.simulated_ms += other.simulated_ms;
        for (fault, count) in other.by_kind {
            *self.by_kind.entry(fault).or_default() += count;
        }
        self.sometimes.add(&other.sometimes);
    }

    /// Prints the outcome. In the gate, a situation that never occurred is a failure.
    fn report(&self, is_gate: bool) -> ExitCode {
        let kinds = FAULTS.iter().map(|(fault, name)| {
            let count = self.by_kind.get(fault).copied().unwrap_or(0);
            format!("{name} {count}")
        });
        println!(
            "{} seeds, {} failed; {} calls, {} messages received, {} invitations accepted, {} cuts and kills, \
             {} second logins, {} planned restarts, {} pauses, {} gaps\nfaults: {}",
            self.seeds,
            self.failed,
            self.calls,
            self.received,
            self.accepted,
            self.faults,
            self.seconds,
            self.restarts,
            self.pauses,
            self.gaps,
            kinds.collect::<Vec<_>>().join(", ")
        );
        println!(
            "simulated: {:.1} hours, {} faults",
            self.simulated_ms as f64 / 3.6e6,
            self.faults + self.restarts + self.pauses + self.by_kind.values().sum::<u64>()
        );
        let mut missed = 0;
        for situation in SITUATIONS.iter().filter(|_| is_gate) {
            let count = self.sometimes.count(situation);
            println!("{count:>8}  {situation}");
            missed += u64::from(count == 0);
        }
        if missed > 0 {
            println!("{missed} situations were never met: the tests have gone soft");
        }
        match self.failed + missed {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        }
    }
}
