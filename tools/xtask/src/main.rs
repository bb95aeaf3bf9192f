//! Project tasks: set-up, the running demo, every test. `cargo xtask help` lists them.

mod coverage;
mod fairness;
mod faults;
mod figures;
mod instructions;
mod layers;
mod long;
mod package;
mod performance;
mod proofs;
mod reliability;
mod security_list;
mod setup;
mod supply;
mod tests;
mod tools;
mod up;

use std::process::ExitCode;

use anyhow::{Result, bail};

const HELP: &str = "\
usage: cargo xtask TASK

  up [ARGS]        set everything up, then run the server with the demo (ARGS go to `tidings serve`)
  test             set everything up, then run every test
  web              only build what the program serves: SDKs, demo, guide
  package          build the release: Debian packages, archive, JavaScript packages, bills of materials, checksums;
                   with --check of the test build, look into them, install and use them
  check            the quick part of it: generated code, conformance list, format, lints, layers, Rust tests
  figures          hold the figures in README, guide and CHANGELOG against the code (docs/figures.toml); part of check
  supply           check licences, sources and known vulnerabilities of all dependencies with cargo-deny; part of
                   check; TIDINGS_ADVISORY_DB names a copy of the advisory database
  performance      measure side by side with other servers, and make docs/proven/performance.md; --quick for a few minutes
                   (ARGS go to `tidings-load series`)
  fairness [ARGS]  attack the program in every way we know, measure what users of another app notice, and make
                   docs/proven/fairness.md: --only NAME, --seconds N, --list
  ratchet          hold bytes per session and allocations per operation against what is committed; part of check;
                   with --update commit to what is found
  instructions     count the instructions of a hub's operations with callgrind and hold them against what is committed;
                   part of test where valgrind is installed; --update as above, --all also at 100,000 users
  sim [ARGS]       replay seeds: --seed N --trace, or --from N --count N; --seed N --shrink makes a failing one small
  checks           write docs/proven/checks.md: every check of the contract, and what makes it fail
  faults [ARGS]    switch deliberate faults on and see that a check finds each: --count N --seed S, or --all, which
                   writes docs/proven/faults.md; or --fault NAME [--seed S --trace]
  reliability      run every proof and write the figures of docs/proven/reliability.md; with --quick in minutes
  long [ARGS]      the proofs in slices with fresh seeds, each a line of docs/proven/reliability-ledger.tsv: --minutes N; can be
                   stopped and goes on where it was; without arguments adds up what was run since the core changed
  soak [ARGS]      SDK clients and the program over broken networks: --minutes N --seed S
  power [ARGS]     the program loses power under load, on a disk that forgets what was not synced: --cycles N --seed S;
                   needs /dev/fuse
  fuzz [ARGS]      hostile bytes for every decoder: --seconds N for each, --target T, --seed S
  autobahn         WebSocket conformance of the server's codec and the Rust SDK, by the Autobahn cases
  reference        make the reference of the JavaScript SDK (site/reference/dist)
  codegen          make code from proto/; with --check only compare
  coverage         make the conformance list (docs/proven/conformance.md); with --check only compare
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match perform(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(args: &[String]) -> Result<()> {
    let rest = args.get(1..).unwrap_or_default();
    match args.first().map(String::as_str) {
        Some("up") => up::up(rest),
        Some("test") => tests::all(),
        Some("web") => setup::web(),
        Some("package") if rest.first().is_some_and(|word| word == "--check") => package::check(),
        Some("package") => package::package(),
        Some("check") => tests::check(),
        Some("figures") => figures::check(),
        Some("supply") => supply::check(),
        Some("performance") => performance::run_series(rest),
        Some("fairness") => fairness::run(rest),
        Some("ratchet") => tests::ratchet(rest),
        Some("instructions") => instructions::run(rest),
        Some("sim") => tests::sim(rest),
        Some("checks") => faults::checks(),
        Some("faults") => faults::run(rest),
        Some("fuzz") => proofs::fuzz(rest),
        Some("autobahn") => proofs::autobahn(),
        Some("reliability") => reliability::run(rest),
        Some("long") => long::run(rest),
        Some("power") => proofs::power(rest),
        Some("soak") => proofs::soak(rest),
        Some("reference") => tests::reference(),
        Some("codegen") => tests::codegen(rest),
        Some("coverage") => coverage::run(rest.first().map_or("", String::as_str)),
        Some("help" | "--help") | None => {
            print!("{HELP}");
            Ok(())
        }
        Some(other) => bail!("unknown task {other:?}\n\n{HELP}"),
    }
}
