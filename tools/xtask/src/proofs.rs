//! Proofs with real processes, run by the program `tidings-proof`.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::setup::{self, cargo};

/// The Autobahn cases for Python 3, from PyPI, where a version's files never change.
const SUITE: &str = "kosoku==0.1.0";

/// SDK clients over broken networks. `args`: `--minutes N --seed S`.
pub(crate) fn soak(args: &[String]) -> Result<()> {
    setup::sdk()?;
    run("soak", args)
}

/// WebSocket conformance of the server's codec and the Rust SDK.
pub(crate) fn autobahn() -> Result<()> {
    run("autobahn", &["--packages".into(), install_suite()?])
}

/// Installs the conformance suite if it is missing. Returns its folder.
pub(crate) fn install_suite() -> Result<String> {
    let packages = setup::target()
        .join("autobahn")
        .join(SUITE.replace("==", "-"));
    if !packages.join("kosoku/__init__.py").exists() {
        setup::python()?;
        // Into a directory of its own: a virtual environment would need a module that many systems
        // lack.
        let status = Command::new("python3")
            .args(["-m", "pip", "install", "--quiet"])
            .args(["--disable-pip-version-check", "--no-deps"])
            .args(["--only-binary", ":all:", "--target"])
            .arg(&packages)
            .arg(SUITE)
            .env("PIP_ROOT_USER_ACTION", "ignore")
            .status()
            .context("python3 cannot be started; the WebSocket conformance suite needs it")?;
        if !status.success() {
            bail!(
                "{SUITE} was not installed; python3 3.10 or later with pip, and PyPI, must be there"
            );
        }
    }
    Ok(packages.to_string_lossy().into_owned())
}

/// Power losses: the kills of the program under load, with its data on a disk that forgets unsynced
/// writes. The seed decides what the disk forgets.
pub(crate) fn power(cycles: u32, seed: u64) -> Result<()> {
    if let Some(lack) = power_lacks() {
        bail!("power cannot be lost here: {lack}");
    }
    lose_power(&cycles.to_string(), &seed.to_string())
}

/// A short version of it, where the machine permits that.
pub(crate) fn power_gate() -> Result<()> {
    match power_lacks() {
        Some(lack) => {
            println!("loss of power is not tested here: {lack}");
            Ok(())
        }
        None => lose_power("3", "1"),
    }
}

/// The test that kills the program under load, for cargo.
pub(crate) const KILL_UNDER_LOAD: &[&str] = &[
    "test",
    "--quiet",
    "--package",
    "tidings-proof",
    "--test",
    "kill_under_load",
    "--",
    "--nocapture",
];

/// What this machine lacks for mounting a private file system.
fn power_lacks() -> Option<String> {
    let device = std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/fuse");
    if let Err(error) = device {
        return Some(format!("/dev/fuse cannot be opened: {error}"));
    }
    let mount = Command::new("unshare")
        .args(OWN_MOUNTS)
        .args(["mount", "-t", "tmpfs", "tmpfs", "/tmp"])
        .output();
    match mount {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(format!("unshare does not run: {error}")),
    }
}

/// The mounts end with the process, so nothing is left behind, however it ends.
const OWN_MOUNTS: [&str; 2] = ["--map-root-user", "--mount"];

fn lose_power(cycles: &str, seed: &str) -> Result<()> {
    cargo(&["build", "--quiet", "--package", "tidings"])?;
    let proof = ["--package", "tidings-proof", "--features", "power"];
    cargo(&[&["build", "--quiet"], &proof[..]].concat())?;
    let program = setup::target().join("debug/tidings-proof");
    let program = program.to_string_lossy();
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let head = [&program, "power", "--seed", seed, "--", &cargo];
    let args = [&OWN_MOUNTS[..], &head, KILL_UNDER_LOAD].concat();
    let cycles = [("TIDINGS_KILL_CYCLES", cycles)];
    setup::run_with(".", "unshare", &args, &cycles)
}

/// Hostile bytes for every decoder. `args`: `--seconds N --target T --seed S`.
pub(crate) fn fuzz(args: &[String]) -> Result<()> {
    let mut command = vec![
        "run",
        "--quiet",
        "--profile",
        "fuzz",
        "--package",
        "tidings-fuzz",
        "--",
    ];
    command.extend(args.iter().map(String::as_str));
    cargo(&command)
}

fn run(proof: &str, args: &[String]) -> Result<()> {
    // The proofs start the program in their own folder.
    cargo(&["build", "--quiet", "--package", "tidings"])?;
    let mut command = vec!["run", "--quiet", "--package", "tidings-proof", "--", proof];
    command.extend(args.iter().map(String::as_str));
    cargo(&command)
}
