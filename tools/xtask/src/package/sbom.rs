//! Bills of materials in CycloneDX format: the components of the program and the JavaScript
//! packages.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::{VERSION, commit_time, output};
use crate::setup::root;
use crate::tools;

/// Parts built with npm: the folder, the name of its bill, and what does not belong to it.
const NPM: [(&str, &str, &[&str]); 6] = [
    ("clients/js/rtm", "tidings-rtm", &["--omit", "dev"]),
    (
        "clients/js/signaling",
        "tidings-signaling",
        &["--omit", "dev"],
    ),
    ("clients/js/react", "tidings-react", &["--omit", "dev"]),
    ("clients/js/server", "tidings-server", &["--omit", "dev"]),
    // The pages contain parts of their build dependencies.
    ("site/demo", "tidings-demo", &[]),
    ("site/guide", "tidings-guide", &[]),
];

/// Writes the bills of materials into a folder.
pub(super) fn make(out: &Path) -> Result<()> {
    rust(&out.join(format!("tidings-{VERSION}.cdx.json")))?;
    for (folder, name, omitted) in NPM {
        let text = npm(folder, omitted)?;
        fs::write(out.join(format!("{name}-{VERSION}.cdx.json")), text)?;
    }
    Ok(())
}

/// The program, for the system that it was built on.
fn rust(to: &Path) -> Result<()> {
    let name = "bill-of-materials";
    let made = Command::new(tools::compiled(&tools::CARGO_CYCLONEDX)?)
        .args(["cyclonedx", "--format", "json", "--spec-version", "1.5"])
        .args(["--target", &output("rustc", &["--print", "host-tuple"])?])
        .args(["--override-filename", name, "--manifest-path"])
        .arg(root().join("server/tidings/Cargo.toml"))
        .env("SOURCE_DATE_EPOCH", commit_time()?)
        .output()
        .context("running cargo-cyclonedx")?;
    if !made.status.success() {
        bail!(
            "cargo-cyclonedx {}: {}",
            made.status,
            String::from_utf8_lossy(&made.stderr)
        );
    }
    // It writes one beside each of our manifests; the program's lists everything.
    let bill = fs::read_to_string(root().join(format!("server/tidings/{name}.json")))?;
    // The location of the checkout is private, and would differ from build to build.
    fs::write(to, bill.replace(&*root().to_string_lossy(), "/tidings"))?;
    for folder in ["server", "clients", "proof", "tools"] {
        for entry in fs::read_dir(root().join(folder))? {
            let file = entry?.path().join(format!("{name}.json"));
            if file.exists() {
                fs::remove_file(file)?;
            }
        }
    }
    Ok(())
}

/// What npm has installed for a folder according to its lock file, without anything that differs
/// from call to call.
fn npm(folder: &str, omitted: &[&str]) -> Result<String> {
    let made = Command::new("npm")
        .args(["sbom", "--sbom-format", "cyclonedx"])
        .args(omitted)
        .current_dir(root().join(folder))
        .output()
        .context("running npm")?;
    if !made.status.success() {
        bail!(
            "npm sbom in {folder} {}: {}",
            made.status,
            String::from_utf8_lossy(&made.stderr)
        );
    }
    let mut bill: Value = serde_json::from_slice(&made.stdout)?;
    let date = output(
        "git",
        &[
            "log",
            "-1",
            "--date=format:%Y-%m-%dT%H:%M:%SZ",
            "--format=%cd",
        ],
    )?;
    ensure!(
        bill["metadata"]["component"]["version"] == VERSION,
        "{folder}/package.json and its lock file are not of version {VERSION}: {}",
        bill["metadata"]["component"]["version"]
    );
    bill["metadata"]["timestamp"] = date.into();
    if let Some(fields) = bill.as_object_mut() {
        fields.remove("serialNumber");
    }
    Ok(serde_json::to_string_pretty(&bill)? + "\n")
}
