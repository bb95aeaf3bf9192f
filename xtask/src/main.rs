//! Project tasks: `cargo xtask help` lists them.

mod codegen;

use anyhow::{Result, bail};

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("codegen") => codegen::run(&args.next().unwrap_or_default()),
        other => bail!("unknown task {other:?}: use codegen [--check]"),
    }
}
