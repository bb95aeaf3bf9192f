//! Proofs with real processes: the program `tidings-proof` runs them.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::setup::{self, cargo};

/// The Autobahn cases for Python 3, from PyPI. A version's files never change there.
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

/// Installs the conformance suite when it is not there yet. Returns where it is.
pub(crate) fn install_suite() -> Result<String> {
    let packages = setup::root()
        .join("target/autobahn")
        .join(SUITE.replace("==", "-"));
    if !packages.join("kosoku/__init__.py").exists() {
        setup::python()?;
        // Into a directory of its own: that needs no virtual environment, whose module many systems leave out.
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
    // The proofs start the program that lies next to their own.
    cargo(&["build", "--quiet", "--package", "tidings"])?;
    let mut command = vec!["run", "--quiet", "--package", "tidings-proof", "--", proof];
    command.extend(args.iter().map(String::as_str));
    cargo(&command)
}
