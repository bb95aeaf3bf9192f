//! Which crate may know which: the table of the layout, held against `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// What each crate may depend on: of ours, and of the crates that are watched.
const ALLOWED: &[(&str, &[&str])] = &[
    ("tidings-wire", &[]),
    ("tidings-fault", &[]),
    ("tidings-token", &[]),
    (
        "tidings-hub",
        &["tidings-fault", "tidings-wire", "tidings-token"],
    ),
    ("tidings-legacy", &["tidings-wire", "tidings-token"]),
    ("tidings-client-core", &["tidings-fault", "tidings-wire"]),
    ("tidings-models", &[]),
    (
        "tidings-bus",
        &["tidings-hub", "tidings-fault", "tidings-wire"],
    ),
    (
        "tidings-store",
        &["tidings-hub", "tidings-fault", "tidings-wire"],
    ),
    (
        "tidings-cell",
        &[
            "tidings-bus",
            "tidings-hub",
            "tidings-legacy",
            "tidings-token",
            "tidings-wire",
        ],
    ),
    (
        "tidings-server",
        &[
            "tidings-cell",
            "tidings-hub",
            "tidings-bus",
            "tidings-store",
            "tidings-legacy",
            "tidings-wire",
            "tidings-token",
            "tokio",
            "mio",
        ],
    ),
    (
        "tidings-client",
        &["tidings-client-core", "tidings-wire", "tokio"],
    ),
    ("tidings-scenario", &["tidings-wire"]),
    (
        "tidings-sim",
        &[
            "tidings-cell",
            "tidings-hub",
            "tidings-bus",
            "tidings-store",
            "tidings-legacy",
            "tidings-client-core",
            "tidings-fault",
            "tidings-scenario",
            "tidings-token",
            "tidings-wire",
        ],
    ),
    (
        "tidings",
        &[
            "tidings-server",
            "tidings-client",
            "tidings-store",
            "tidings-hub",
            "tidings-wire",
            "tidings-token",
            "tokio",
        ],
    ),
    (
        "tidings-proof",
        &[
            "tidings-client",
            "tidings-scenario",
            "tidings-token",
            "tidings-wire",
            "tokio",
        ],
    ),
    (
        "tidings-fuzz",
        &[
            "tidings-bus",
            "tidings-cell",
            "tidings-client-core",
            "tidings-hub",
            "tidings-legacy",
            "tidings-store",
            "tidings-token",
            "tidings-wire",
        ],
    ),
    (
        "tidings-load",
        &["tidings-token", "tidings-wire", "mio", "tokio"],
    ),
    (
        "tidings-bench",
        &["tidings-cell", "tidings-hub", "tidings-bus", "tidings-wire"],
    ),
    ("xtask", &[]),
    ("xtask-codegen", &[]),
    ("xtask-tidy", &[]),
];

/// Foreign crates that only the crates named above may depend on.
const WATCHED: &[&str] = &["tokio", "mio", "async-nats"];

/// Fails when a crate knows one that it must not know.
pub(crate) fn check() -> Result<()> {
    let output = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()))
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .current_dir(crate::setup::root())
        .output()
        .context("running cargo metadata")?;
    let metadata: Value =
        serde_json::from_slice(&output.stdout).context("reading cargo metadata")?;
    let violations = violations(&metadata);
    if !violations.is_empty() {
        bail!(
            "crates know what they must not know:\n  {}",
            violations.join("\n  ")
        );
    }
    Ok(())
}

fn violations(metadata: &Value) -> Vec<String> {
    let allowed: BTreeMap<&str, BTreeSet<&str>> = ALLOWED
        .iter()
        .map(|(name, may)| (*name, may.iter().copied().collect()))
        .collect();
    let mut found = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(may) = allowed.get(name) else {
            found.push(format!(
                "{name} is not in the table of tools/xtask/src/layers.rs"
            ));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let of = dependency["name"].as_str().unwrap_or_default();
            // A test may know more: what it needs to be a test.
            let is_for_use = dependency["kind"].is_null();
            let is_watched = allowed.contains_key(of) || WATCHED.contains(&of);
            if is_for_use && is_watched && !may.contains(of) {
                found.push(format!("{name} must not depend on {of}"));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_keeps_its_layers() {
        check().expect("the layers are kept");
    }

    #[test]
    fn a_forbidden_dependency_is_found() {
        let metadata = serde_json::json!({ "packages": [
            { "name": "tidings-hub", "dependencies": [
                { "name": "tokio", "kind": null },
                { "name": "tidings-server", "kind": null },
                { "name": "tidings-sim", "kind": "dev" },
                { "name": "bytes", "kind": null },
            ] },
            { "name": "tidings-new", "dependencies": [] },
        ] });
        assert_eq!(
            violations(&metadata),
            [
                "tidings-hub must not depend on tokio",
                "tidings-hub must not depend on tidings-server",
                "tidings-new is not in the table of tools/xtask/src/layers.rs",
            ]
        );
    }
}
