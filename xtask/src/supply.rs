//! What we build from: the licence and the source of every crate, held against `deny.toml`.

use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Fails when a dependency comes from elsewhere than crates.io, or under no licence that `deny.toml` allows, or is one
/// that it bans.
///
/// Known vulnerabilities are not looked up: that needs a copy of the advisory database (`cargo deny check advisories`).
pub(crate) fn check() -> Result<()> {
    let text = std::fs::read_to_string(crate::setup::root().join("deny.toml"))
        .context("reading deny.toml")?;
    let rules: toml::Value = toml::from_str(&text).context("reading deny.toml")?;
    let output = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()))
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(crate::setup::root())
        .output()
        .context("running cargo metadata")?;
    let metadata: Value =
        serde_json::from_slice(&output.stdout).context("reading cargo metadata")?;
    let licences = words(&rules["licenses"]["allow"], None);
    let banned = words(&rules["bans"]["deny"], Some("crate"));
    let found = violations(&metadata, &licences, &banned);
    if !found.is_empty() {
        bail!(
            "dependencies that deny.toml does not allow:\n  {}",
            found.join("\n  ")
        );
    }
    Ok(())
}

/// The texts of a list, or of one key of the tables in it.
fn words<'a>(list: &'a toml::Value, key: Option<&str>) -> Vec<&'a str> {
    let items = list.as_array().into_iter().flatten();
    items
        .filter_map(|item| match key {
            Some(key) => item.get(key)?.as_str(),
            None => item.as_str(),
        })
        .collect()
}

fn violations(metadata: &Value, licences: &[&str], banned: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(source) = package["source"].as_str() else {
            continue;
        };
        if source != CRATES_IO {
            found.push(format!("{name} comes from {source}"));
        }
        if banned.contains(&name) {
            found.push(format!("{name} is banned"));
        }
        let licence = package["license"].as_str().unwrap_or_default();
        if !is_allowed(licence, licences) {
            found.push(format!("{name} is under {licence:?}"));
        }
    }
    found
}

/// Whether a licence expression can be met with allowed licences alone. A group in brackets binds first; `AND` binds
/// more tightly than `OR`; `/` is the old way to write `OR`.
fn is_allowed(expression: &str, allowed: &[&str]) -> bool {
    let mut text = expression.replace('/', " OR ");
    while let Some(open) = text.rfind('(') {
        let Some(length) = text[open..].find(')') else {
            return false;
        };
        let verdict = if is_met(&text[open + 1..open + length], allowed) {
            "+"
        } else {
            "-"
        };
        text.replace_range(open..=open + length, verdict);
    }
    is_met(&text, allowed)
}

fn is_met(flat: &str, allowed: &[&str]) -> bool {
    flat.split(" OR ").any(|all| {
        all.split(" AND ").all(|one| {
            let one = one.trim();
            one == "+" || allowed.contains(&one)
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{CRATES_IO, is_allowed, violations};

    #[test]
    fn expressions_are_read_as_they_are_meant() {
        let allowed = ["MIT", "Unicode-3.0"];
        for good in [
            "MIT",
            "MIT/Apache-2.0",
            "GPL-2.0-only OR MIT",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
        ] {
            assert!(is_allowed(good, &allowed), "{good}");
        }
        for bad in [
            "",
            "GPL-3.0-only",
            "MIT AND GPL-3.0-only",
            "(MIT OR Apache-2.0) AND ISC",
            "(MIT",
        ] {
            assert!(!is_allowed(bad, &allowed), "{bad}");
        }
    }

    #[test]
    fn what_is_not_allowed_is_named() {
        let metadata = json!({ "packages": [
            { "name": "ours", "source": null },
            { "name": "good", "source": CRATES_IO, "license": "MIT" },
            { "name": "fork", "source": "git+https://example.com/x", "license": "MIT" },
            { "name": "viral", "source": CRATES_IO, "license": "GPL-3.0-only" },
            { "name": "bad", "source": CRATES_IO, "license": "MIT" },
        ]});
        let found = violations(&metadata, &["MIT"], &["bad"]);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].contains("fork comes from git+"), "{found:?}");
        assert!(found[1].contains("viral is under"), "{found:?}");
        assert!(found[2].contains("bad is banned"), "{found:?}");
    }
}
