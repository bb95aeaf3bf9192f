//! Which crate may depend on which: the table of the layout, compared with `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::setup::{cargo_program, root};

/// What each crate may depend on: our crates, and the watched foreign ones.
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
        "tidings-cluster",
        &[
            "tidings-bus",
            "tidings-hub",
            "tidings-fault",
            "tidings-wire",
        ],
    ),
    ("tidings-spans", &[]),
    (
        "tidings-webhooks",
        &["tidings-spans", "tidings-wire", "tokio"],
    ),
    (
        "tidings-api",
        &[
            "tidings-hub",
            "tidings-spans",
            "tidings-store",
            "tidings-token",
            "tidings-webhooks",
            "tidings-wire",
            "tokio",
        ],
    ),
    ("tidings-oidc", &["tidings-api", "tidings-wire", "tokio"]),
    (
        "tidings-server",
        &[
            "tidings-api",
            "tidings-oidc",
            "tidings-cell",
            "tidings-cluster",
            "tidings-hub",
            "tidings-bus",
            "tidings-spans",
            "tidings-store",
            "tidings-legacy",
            "tidings-webhooks",
            "tidings-wire",
            "tidings-token",
            "tokio",
            "mio",
        ],
    ),
    (
        "tidings-client",
        &[
            "tidings-client-core",
            "tidings-token",
            "tidings-wire",
            "tokio",
        ],
    ),
    ("tidings-scenario", &["tidings-client-core"]),
    (
        "tidings-sim",
        &[
            "tidings-cell",
            "tidings-cluster",
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
            "tidings-api",
            "tidings-server",
            "tidings-client",
            "tidings-spans",
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
            "tidings-api",
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

/// Crates without clock, sockets, threads and random source: their decisions follow from their
/// inputs. Each has a `clippy.toml` that bans the standard library's.
const PURE: &[&str] = &[
    "tidings-wire",
    "tidings-token",
    "tidings-hub",
    "tidings-legacy",
    "tidings-bus",
    "tidings-cell",
    "tidings-cluster",
    "tidings-client-core",
    "tidings-scenario",
    "tidings-sim",
    "tidings-models",
];

/// Foreign crates that bring I/O, time or randomness into a pure crate.
const WORLDLY: &[&str] = &[
    "async-nats",
    "axum",
    "getrandom",
    "hyper",
    "hyper-util",
    "libc",
    "mio",
    "rustix",
    "rustls",
    "socket2",
    "tokio",
    "tokio-rustls",
    "tokio-websockets",
];

/// What the `clippy.toml` of a pure crate must ban.
const BANNED: [&str; 4] = [
    "std::time::Instant::now",
    "std::time::SystemTime::now",
    "std::thread::spawn",
    "std::thread::sleep",
];

const MAP: &str = "ARCHITECTURE.md";
const BEGIN: &str = "<!-- crates: made by `cargo xtask layers`; do not edit -->\n";
const END: &str = "<!-- end of crates -->\n";

/// Fails when a crate depends on one that it must not, or the map shows another table.
pub(crate) fn check() -> Result<()> {
    let metadata = metadata()?;
    let mut found = violations(&metadata);
    found.extend(impurities());
    let map = read(MAP)?;
    if with_table(&map, &metadata)? != map {
        found.push(format!(
            "the table in {MAP} is stale: run `cargo xtask layers`"
        ));
    }
    found.extend(unmapped(&map, &metadata));
    if !found.is_empty() {
        bail!("the layers are not kept:\n  {}", found.join("\n  "));
    }
    Ok(())
}

/// Writes the table of the crates into the map.
pub(crate) fn write() -> Result<()> {
    let map = with_table(&read(MAP)?, &metadata()?)?;
    std::fs::write(root().join(MAP), map).with_context(|| format!("writing {MAP}"))
}

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(root().join(path)).with_context(|| format!("reading {path}"))
}

fn metadata() -> Result<Value> {
    let output = Command::new(cargo_program())
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .current_dir(root())
        .output()
        .context("running cargo metadata")?;
    serde_json::from_slice(&output.stdout).context("reading cargo metadata")
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
                "{name} is not in the table of tools/xtask/src/layers.rs: add a row with what it may depend on"
            ));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let of = dependency["name"].as_str().unwrap_or_default();
            // A test may depend on more, where it needs that.
            let is_for_use = dependency["kind"].is_null();
            let is_watched = allowed.contains_key(of)
                || WATCHED.contains(&of)
                || PURE.contains(&name) && WORLDLY.contains(&of);
            if is_for_use && is_watched && !may.contains(of) {
                found.push(format!("{name} must not depend on {of}"));
            }
        }
    }
    found
}

/// Pure crates whose lints do not enforce it.
fn impurities() -> Vec<String> {
    let Ok(metadata) = metadata() else {
        return vec!["cargo metadata does not run".into()];
    };
    let pure = packages(&metadata).filter(|(name, _)| PURE.contains(&name.as_str()));
    pure.flat_map(|(_, folder)| {
        let path = format!("{folder}/clippy.toml");
        let lints = read(&path).unwrap_or_default();
        missing_bans(&path, &lints)
    })
    .collect()
}

fn missing_bans(path: &str, lints: &str) -> Vec<String> {
    let missing = BANNED.iter().filter(|banned| {
        let quoted = format!("path = \"{banned}\"");
        !lints.contains(&quoted)
    });
    missing
        .map(|banned| format!("{path} does not ban {banned}, and the crate is pure"))
        .collect()
}

/// Name and folder of each crate, by name.
fn packages(metadata: &Value) -> impl Iterator<Item = (String, String)> {
    let root = root().to_string_lossy().into_owned();
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let packages: BTreeMap<String, String> = packages
        .filter_map(|package| {
            let manifest = package["manifest_path"].as_str()?;
            let folder = manifest.strip_prefix(&root)?.strip_suffix("/Cargo.toml")?;
            let name = package["name"].as_str()?.to_owned();
            Some((name, folder.trim_start_matches('/').to_owned()))
        })
        .collect();
    packages.into_iter()
}

/// The map with the table as it should be.
fn with_table(map: &str, metadata: &Value) -> Result<String> {
    let place = map.split_once(BEGIN).and_then(|(head, rest)| {
        let (_, tail) = rest.split_once(END)?;
        Some((head, tail))
    });
    let (head, tail) = place.with_context(|| format!("{MAP} has no marks for the table"))?;
    let folders: BTreeMap<String, String> = packages(metadata).collect();
    let mut table =
        String::from("| Crate | Folder | Pure | May depend on |\n| --- | --- | --- | --- |\n");
    for (name, may) in ALLOWED {
        let folder = folders.get(*name).map_or("", String::as_str);
        let pure = if PURE.contains(name) { "yes" } else { "" };
        let may = may.iter().map(|of| format!("`{of}`"));
        let may = may.collect::<Vec<_>>().join(", ");
        let _ = writeln!(table, "| `{name}` | `{folder}` | {pure} | {may} |");
    }
    Ok(format!("{head}{BEGIN}{table}{END}{tail}"))
}

/// Crates that the code map does not describe.
fn unmapped(map: &str, metadata: &Value) -> Vec<String> {
    // The generated table names every folder; descriptions are elsewhere.
    let described = map.split(BEGIN).next().unwrap_or_default();
    packages(metadata)
        .filter(|(_, folder)| !described.contains(&format!("`{folder}`")))
        .map(|(name, folder)| {
            format!("{MAP} says nothing of {folder} ({name}): add it to the code map")
        })
        .collect()
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
                { "name": "libc", "kind": null },
            ] },
            { "name": "tidings-server", "dependencies": [{ "name": "rustls", "kind": null }] },
            { "name": "tidings-new", "dependencies": [] },
        ] });
        assert_eq!(
            violations(&metadata),
            [
                "tidings-hub must not depend on tokio",
                "tidings-hub must not depend on tidings-server",
                "tidings-hub must not depend on libc",
                "tidings-new is not in the table of tools/xtask/src/layers.rs: add a row with what it may depend on",
            ]
        );
    }

    #[test]
    fn a_pure_crate_bans_clocks_and_threads() {
        let full = BANNED
            .map(|banned| format!("{{ path = \"{banned}\" }}"))
            .join("\n");
        assert_eq!(missing_bans("a/clippy.toml", &full), [""; 0]);
        let short = full.replace("std::thread::sleep", "std::thread::park");
        assert_eq!(
            missing_bans("a/clippy.toml", &short),
            ["a/clippy.toml does not ban std::thread::sleep, and the crate is pure"]
        );
    }

    #[test]
    fn a_crate_that_the_map_does_not_describe_is_named() {
        let metadata = metadata().expect("metadata");
        let map = format!("`server/hub`\n{BEGIN}`server/wire`{END}");
        let found = unmapped(&map, &metadata);
        assert!(
            found
                .iter()
                .any(|line| line.contains("nothing of server/wire "))
        );
        assert!(!found.iter().any(|line| line.contains("server/hub")));
    }
}
