//! Project tasks: set-up, the running demo, every test. `cargo xtask help` lists them.

mod cluster;
mod cluster_files;
mod coverage;
mod fairness;
mod faults;
mod figures;
mod instructions;
mod layers;
mod long;
mod nats;
mod package;
mod performance;
mod proofs;
mod python;
mod reliability;
mod rust_tests;
mod security_list;
mod setup;
mod sim;
mod supply;
mod tests;
mod tools;
mod up;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Project tasks of Tidings
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    arg_required_else_help = true
)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Set everything up, then run the server with the demo
    Up {
        /// Options of `tidings serve`, for example `--listen 127.0.0.1:7401`
        #[arg(
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "OPTION"
        )]
        serve: Vec<String>,
    },
    /// Set everything up, then run three NATS servers and three nodes of a cluster with the demo
    Cluster {
        /// Instead, check packaging/cluster and a cluster of the test build; part of `test`
        #[arg(long)]
        check: bool,
        /// Port of the first node; the others have the next two
        #[arg(long, value_name = "PORT", default_value_t = 7401, value_parser = clap::value_parser!(u16).range(1..=65_533))]
        first_port: u16,
        /// Options of `tidings serve`, for all nodes
        #[arg(
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "OPTION"
        )]
        serve: Vec<String>,
    },
    /// Install the NATS server of the tests, and print where it is
    Nats,
    /// Set everything up, then run every test
    Test,
    /// Build only what the program serves: SDKs, demo, guide
    Web,
    /// Run the quick part of `test`: generated code, pages, format, lints, layers, Rust tests
    Check,
    /// Check citations and links, and that the code does not grow untidy; part of `check`
    Tidy {
        /// Write improved measures into tools/tidy/tidy.toml
        #[arg(long)]
        update: bool,
        /// List every place that counts for this measure; `all` lists all measures
        #[arg(long, value_name = "MEASURE")]
        list: Option<String>,
    },
    /// Build the release: Debian packages, archive, packages for JavaScript, Python and Rust, bills
    /// of materials, checksums
    Package {
        /// Instead, package the test build, inspect the packages, install and use them (as root)
        #[arg(long)]
        check: bool,
    },
    /// Test the packages for backends, of Node and Python, against the test build; part of `test`
    Backends,
    /// Compare the figures in README, guide and CHANGELOG with the code (docs/figures.toml); part
    /// of `check`
    Figures,
    /// Check licences, sources and known vulnerabilities of all dependencies; part of `check`
    ///
    /// Vulnerabilities are looked up where the variable `TIDINGS_ADVISORY_DB` names a clone of the
    /// RustSec advisory database.
    Supply,
    /// Measure side by side with other servers, and write docs/proven/performance.md
    #[command(after_help = "All options: cargo run -p tidings-load -- series --help")]
    Performance {
        /// Options of `tidings-load series`; `--quick` takes a few minutes
        #[arg(
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "OPTION"
        )]
        series: Vec<String>,
    },
    /// Measure what watching a server costs (metrics, console, JSON logs), and write
    /// docs/proven/performance-watched.md
    #[command(after_help = "All options: cargo run -p tidings-load -- watched --help")]
    PerformanceWatched {
        /// Options of `tidings-load watched`, for example `--pairs N`
        #[arg(
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "OPTION"
        )]
        load: Vec<String>,
    },
    /// Measure the server-side API side by side with other servers, and write
    /// docs/proven/performance-api.md
    #[command(after_help = "All options: cargo run -p tidings-load -- calls-page --help")]
    PerformanceApi {
        /// Options of `tidings-load calls-page`, for example `--rounds N`
        #[arg(
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "OPTION"
        )]
        load: Vec<String>,
    },
    /// Attack the program in every known way, measure what users of another app notice, and write
    /// docs/proven/fairness.md
    #[command(after_help = "All options: cargo run -p tidings-load -- fairness --help")]
    Fairness {
        /// Options of `tidings-load fairness`, for example `--only NAME`, `--seconds N`, `--list`
        #[arg(
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "OPTION"
        )]
        load: Vec<String>,
    },
    /// Compare bytes per session and allocations per operation with the committed figures; part of
    /// `check`
    Ratchet {
        /// Commit to what is found
        #[arg(long)]
        update: bool,
    },
    /// Count the instructions of a hub's operations with callgrind and compare with the committed
    /// figures
    ///
    /// Part of `test` where valgrind is installed.
    Instructions {
        /// Commit to what is found
        #[arg(long)]
        update: bool,
        /// Count at 100,000 users as well
        #[arg(long)]
        all: bool,
    },
    /// Run seeds of the simulator, or replay one
    Sim(sim::Sim),
    /// Write docs/proven/checks.md: every check of the contract, and what makes it fail
    Checks,
    /// Switch deliberate faults on and see that a check finds each
    Faults(sim::Faults),
    /// Run every proof and write the figures of docs/proven/reliability.md (about two and a half
    /// hours)
    Reliability {
        /// Prove less, in about five minutes
        #[arg(long)]
        quick: bool,
    },
    /// Run the proofs in slices with fresh seeds, each a line of docs/proven/reliability-ledger.tsv
    ///
    /// Can be stopped, and continues where it was. Without `--minutes`, adds up what was run since
    /// the core changed.
    Long {
        /// Start new slices for this long; the last one is finished
        #[arg(long)]
        minutes: Option<f64>,
    },
    /// Run SDK clients and the program over broken networks
    #[command(after_help = "All options: cargo run -p tidings-proof -- soak --help")]
    Soak {
        /// Options of `tidings-proof soak`, for example `--minutes N`, `--seed S`
        #[arg(
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "OPTION"
        )]
        proof: Vec<String>,
    },
    /// Cut the program's power under load, on a disk that forgets what was not synced
    ///
    /// Needs /dev/fuse, and `unshare` to mount it.
    Power {
        /// How many times
        #[arg(long, default_value_t = 20)]
        cycles: u32,
        /// Decides what the disk forgets
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Send hostile bytes to every decoder
    #[command(after_help = "All options: cargo run -p tidings-fuzz -- --help")]
    Fuzz {
        /// Options of `tidings-fuzz`, for example `--seconds N` (for each), `--target T`, `--seed
        /// S`
        #[arg(
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "OPTION"
        )]
        fuzz: Vec<String>,
    },
    /// Run the Autobahn cases against the server's WebSocket codec and the Rust SDK
    Autobahn,
    /// Build the reference of the JavaScript SDK (site/reference/dist)
    Reference,
    /// Generate code and pages from proto/
    Codegen {
        /// Only compare, and fail when something is stale
        #[arg(long)]
        check: bool,
    },
    /// Write the table of crates in ARCHITECTURE.md
    Layers,
    /// Generate the conformance list, docs/proven/conformance.md
    Coverage {
        /// Only compare, and fail when it is stale
        #[arg(long)]
        check: bool,
    },
}

fn main() -> ExitCode {
    match perform(Arguments::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(task: Task) -> Result<()> {
    match task {
        Task::Up { serve } => up::up(&serve),
        Task::Cluster { check: true, .. } => cluster::gate(),
        Task::Cluster {
            first_port, serve, ..
        } => cluster::run(first_port, &serve),
        Task::Nats => {
            println!("{}", nats::server()?.display());
            Ok(())
        }
        Task::Test => tests::all(),
        Task::Web => setup::web(),
        Task::Backends => tests::backends(),
        Task::Check => tests::check(),
        Task::Tidy { update, list } => tests::tidy(update, list.as_deref()),
        Task::Package { check: true } => package::check(),
        Task::Package { check: false } => package::package(),
        Task::Figures => figures::check(),
        Task::Supply => supply::check(),
        Task::Performance { series } => performance::run_series(&series),
        Task::PerformanceWatched { load } => performance::run_watched(&load),
        Task::PerformanceApi { load } => performance::run_calls(&load),
        Task::Fairness { load } => fairness::run(&load),
        Task::Ratchet { update } => tests::ratchet(update),
        Task::Instructions { update, all } => instructions::run(update, all),
        Task::Sim(sim) => sim.run(),
        Task::Checks => faults::checks(),
        Task::Faults(faults) => faults.run(),
        Task::Reliability { quick } => reliability::run(quick),
        Task::Long { minutes } => long::run(minutes),
        Task::Soak { proof } => proofs::soak(&proof),
        Task::Power { cycles, seed } => proofs::power(cycles, seed),
        Task::Fuzz { fuzz } => proofs::fuzz(&fuzz),
        Task::Autobahn => proofs::autobahn(),
        Task::Reference => tests::reference(),
        Task::Codegen { check } => tests::codegen(check),
        Task::Layers => layers::write(),
        Task::Coverage { check } => coverage::run(check),
    }
}

#[cfg(test)]
mod main_tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn every_task_and_every_option_has_a_help_text() {
        let command = Arguments::command();
        command.clone().debug_assert();
        for task in command.get_subcommands() {
            assert!(task.get_about().is_some(), "{}", task.get_name());
            for option in task.get_arguments() {
                let name = option.get_id().as_str();
                let is_own = name != "help";
                assert!(
                    !is_own || option.get_help().is_some(),
                    "{} {name}",
                    task.get_name()
                );
            }
        }
    }

    #[test]
    fn what_a_task_does_not_know_is_refused_before_anything_runs() {
        for words in [
            "xtask sim --sed 5",
            "xtask sim --seed five",
            "xtask faults --fault",
            "xtask power --cycles many",
            "xtask long 5",
            "xtask codegen --chek",
            "xtask no-such-task",
        ] {
            assert!(
                Arguments::try_parse_from(words.split(' ')).is_err(),
                "{words}"
            );
        }
        for words in [
            "xtask up --listen 127.0.0.1:7401",
            "xtask sim --seed 5 --trace",
            "xtask sim --from 1 --count 300 --gate",
            "xtask sim --fault StampsGoBack --seed 3 --trace",
            "xtask faults --all",
            "xtask soak --minutes 9 --seed 5 --groups 3",
        ] {
            assert!(
                Arguments::try_parse_from(words.split(' ')).is_ok(),
                "{words}"
            );
        }
    }
}
