//! The Rust client as crates, for projects outside the checkout.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use super::{VERSION, empty};
use crate::setup::{cargo_program, root, target};

/// The client, and what it is made of.
const CRATES: [&str; 5] = [
    "tidings-fault",
    "tidings-wire",
    "tidings-token",
    "tidings-client-core",
    "tidings-client",
];

/// A program that uses both sides of the client.
const PROGRAM: &str = r#"
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let backend = tidings_client::server::Tidings::builder();
    let backend = backend.endpoint("https://chat.example.org").key("tdk_a_b").app("app").build()?;
    println!("{backend:?} {:?}", tidings_client::Client::builder());
    Ok(())
}
"#;

/// Packs them into a folder.
pub(super) fn pack(out: &Path) -> Result<()> {
    let made = target().join("package-crates");
    let mut words = vec!["package", "--quiet", "--no-verify", "--allow-dirty"];
    words.extend(CRATES.iter().flat_map(|name| ["--package", name]));
    cargo(&root(), &words, &made)?;
    for name in CRATES {
        let file = format!("{name}-{VERSION}.crate");
        fs::copy(made.join("package").join(&file), out.join(&file))
            .with_context(|| format!("copying {file}"))?;
    }
    Ok(())
}

/// Uses them in a project of its own, in place of those of a registry.
pub(super) fn check(out: &Path) -> Result<()> {
    let project = target().join("package-crates-used");
    empty(&project)?;
    let mut manifest = format!(
        "[package]\nname = \"used\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [dependencies.tidings-client]\nversion = \"{VERSION}\"\n\
         features = [\"server\", \"tls\"]\n\n[patch.crates-io]\n"
    );
    for name in CRATES {
        let file = out.join(format!("{name}-{VERSION}.crate"));
        let unpacked = Command::new("tar")
            .arg("--extract")
            .arg("--gzip")
            .arg("--file")
            .arg(&file)
            .arg("--directory")
            .arg(&project)
            .status();
        ensure!(
            unpacked.is_ok_and(|status| status.success()),
            "{} cannot be unpacked",
            file.display()
        );
        manifest += &format!("{name} = {{ path = \"{name}-{VERSION}\" }}\n");
    }
    fs::create_dir(project.join("src"))?;
    fs::write(project.join("Cargo.toml"), manifest)?;
    fs::write(project.join("src/main.rs"), PROGRAM)?;
    // The versions of everything else are those that were tested.
    fs::copy(root().join("Cargo.lock"), project.join("Cargo.lock"))?;
    cargo(
        &project,
        &["check", "--quiet"],
        &target().join("package-crates"),
    )?;
    println!("the Rust client is used from its crates");
    Ok(())
}

fn cargo(folder: &Path, words: &[&str], target: &Path) -> Result<()> {
    println!("> {}: cargo {}", folder.display(), words.join(" "));
    let status = Command::new(cargo_program())
        .args(words)
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", target)
        .env_remove("CARGO_MANIFEST_DIR")
        .env_remove("CARGO_PKG_NAME")
        .status()
        .context("running cargo")?;
    if !status.success() {
        bail!("cargo {} in {} {status}", words.join(" "), folder.display());
    }
    Ok(())
}
