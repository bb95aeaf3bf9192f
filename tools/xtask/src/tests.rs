//! Every test, in the order in which failures are cheapest.

use std::fs;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::reliability::said_by;
use crate::setup::{self, cargo, root, run, run_with};
use crate::sim::Sim;
use crate::{
    cluster, coverage, faults, figures, instructions, layers, nats, package, proofs, python,
    rust_tests, security_list, supply,
};

/// Seeds of the simulator in one run. More find more and cost about 40 ms each.
const SEEDS: u64 = 1000;

/// Seeds of worlds of two and of three nodes in one run.
const NODES_SEEDS: u64 = 16;

/// GiB that a run from nothing writes, measured on a fresh clone and rounded up.
const DISK_GIB: u64 = 12;

/// A step: its name, and what it does.
type Step = (&'static str, fn() -> Result<()>);

/// Runs everything. Prints at the end how long each step took.
pub(crate) fn all() -> Result<()> {
    check_space()?;
    let steps: &[Step] = &[
        ("web builds", setup::web),
        ("quick checks and Rust tests", check),
        ("instructions of the hub", instructions::gate),
        ("simulation", || Sim::gate(SEEDS).run()),
        ("simulation of clusters", || {
            Sim::gate_of_nodes(2, NODES_SEEDS).run()?;
            Sim::gate_of_nodes(3, NODES_SEEDS).run()
        }),
        ("deliberate faults", faults::draw),
        ("WebSocket conformance", proofs::autobahn),
        ("loss of power", proofs::power_gate),
        ("a cluster on this machine", cluster::gate),
        ("packages", package::check),
        ("JavaScript tests", javascript),
        ("clients for backends", backends),
        ("every call of the API's description", python::ask_api),
        ("browser tests", browser),
        ("ways of loading the SDK", imports),
    ];
    let mut report = Vec::new();
    for (name, step) in steps {
        let began = Instant::now();
        step()?;
        report.push(format!("{:>6.0} s  {name}", began.elapsed().as_secs_f64()));
    }
    println!("\nall tests passed\n{}", report.join("\n"));
    Ok(())
}

/// Fails at once where the disk is too small, rather than minutes later inside the compiler. Where
/// an earlier run has left its output, a run writes over it and needs little more.
fn check_space() -> Result<()> {
    let target = setup::target();
    fs::create_dir_all(&target)?;
    let table = said_by("df", &["-Pk", &target.to_string_lossy()])?;
    let free = table
        .lines()
        .nth(1)
        .and_then(|row| row.split_whitespace().nth(3));
    let free: u64 = free
        .context("`df -Pk` printed no free space")?
        .parse()
        .context("`df -Pk` printed no number")?;
    let built = target.join("debug").exists();
    let free_gib = free / (1024 * 1024);
    if !built && free_gib < DISK_GIB {
        bail!(
            "{free_gib} GiB are free for {}; all tests from nothing write {DISK_GIB} GiB. Free some \
             space, or set CARGO_TARGET_DIR to a folder on a larger disk",
            target.display()
        );
    }
    Ok(())
}

/// Checks generated code, pages, format, lints and layers, and runs the Rust tests.
pub(crate) fn check() -> Result<()> {
    codegen(true)?;
    coverage::run(true)?;
    tidy(false, None)?;
    figures::check()?;
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--quiet",
        "--",
        "--deny",
        "warnings",
    ])?;
    layers::check()?;
    supply::check()?;
    security_list::check()?;
    setup::own_clock()?;
    // The end-to-end tests run the program itself.
    cargo(&["build", "--quiet", "--package", "tidings"])?;
    rust_tests::run()
}

/// Checks code and pages generated from `proto/`.
pub(crate) fn codegen(check: bool) -> Result<()> {
    let mut command = vec!["run", "--quiet", "--package", "xtask-codegen", "--"];
    command.extend(check.then_some("--check"));
    cargo(&command)
}

/// Checks citations, links and measures of the code.
pub(crate) fn tidy(update: bool, list: Option<&str>) -> Result<()> {
    let mut command = vec!["run", "--quiet", "--package", "xtask-tidy", "--"];
    command.extend(update.then_some("--update"));
    command.extend(list.iter().flat_map(|list| ["--list", list]));
    cargo(&command)
}

/// Compares bytes per session and allocations per operation with the committed figures.
pub(crate) fn ratchet(update: bool) -> Result<()> {
    let test = ["test", "--quiet", "--package", "tidings-bench"];
    if update {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        return run_with(".", &cargo, &test, &[("TIDINGS_UPDATE_FIGURES", "1")]);
    }
    cargo(&test)
}

/// Builds the reference of the JavaScript SDK from its typings: `site/reference/dist/index.html`.
/// Fails on a warning, for example when a public item has no comment.
pub(crate) fn reference() -> Result<()> {
    run("site/reference", "npm", &["ci", "--no-fund", "--no-audit"])?;
    run("site/reference", "npm", &["run", "build"])
}

fn javascript() -> Result<()> {
    run("clients/js/rtm", "npm", &["run", "check"])?;
    run("clients/js/rtm", "npm", &["test"])?;
    run("clients/js/signaling", "npm", &["test"])?;
    setup::openssl()?;
    setup::proxies()?;
    setup::languages()?;
    setup::disturbers()?;
    let server = nats::server()?;
    let variables = [(nats::VARIABLE, &*server.to_string_lossy())];
    // Follows the guide's pages to the letter.
    run_with("site/guide", "npm", &["test"], &variables)
}

/// Tests the packages for backends against the real program; its users are of the JavaScript SDK.
pub(crate) fn backends() -> Result<()> {
    setup::sdk()?;
    let folder = "clients/js/server";
    if !root().join(folder).join("node_modules").exists() {
        run(folder, "npm", &["ci", "--no-fund", "--no-audit"])?;
    }
    let program = setup::target().join("debug/tidings");
    let program = program.to_string_lossy();
    run_with(folder, "npm", &["test"], &[("TIDINGS_BIN", &program)])?;
    python::test()
}

fn browser() -> Result<()> {
    setup::chromium()?;
    run("proof/browser", "npm", &["ci", "--no-fund", "--no-audit"])?;
    let program = setup::target().join("debug/tidings");
    run_with(
        "proof/browser",
        "npm",
        &["test"],
        &[("TIDINGS_BIN", &program.to_string_lossy())],
    )
}

/// Tests the packed SDK in every kind of application, against the real program. Runs after the
/// browser tests, whose libraries it uses.
fn imports() -> Result<()> {
    run("proof/packages", "npm", &["ci", "--no-fund", "--no-audit"])?;
    let program = setup::target().join("debug/tidings");
    run_with(
        "proof/packages",
        "npm",
        &["test"],
        &[("TIDINGS_BIN", &program.to_string_lossy())],
    )
}
