//! The container, as far as it can be tested without an engine: its last stage is built and run by
//! hand.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use super::empty;
use crate::setup::{root, target};

/// The trial's exit code where the machine does not permit namespaces and mounts.
const NOT_HERE: i32 = 125;

/// Does what the last stage of `packaging/Containerfile` says in a copy-on-write view of this
/// machine, and starts its program: `packaging/trial/container.sh`.
pub(super) fn check(program: &Path) -> Result<()> {
    let text = fs::read_to_string(root().join("packaging/Containerfile"))
        .context("reading packaging/Containerfile")?;
    let stage = last_stage(&text);
    let given = target().join("package-container");
    empty(&given)?;
    let mut make = String::from("set -eu\n");
    for (name, rest) in &stage {
        match name.as_str() {
            "RUN" => make.push_str(&format!("{rest}\n")),
            "COPY" => make.push_str(&copy(rest, &given, program)?),
            _ => {}
        }
    }
    fs::write(given.join("make"), make)?;
    let variables: Vec<&str> = words(&stage, "ENV")
        .flat_map(str::split_whitespace)
        .collect();
    fs::write(given.join("variables"), variables.join("\n") + "\n")?;
    fs::write(given.join("user"), only(&stage, "USER")?)?;
    fs::write(given.join("volume"), only(&stage, "VOLUME")?)?;
    fs::write(given.join("entry"), list(only(&stage, "ENTRYPOINT")?)?)?;
    fs::write(given.join("command"), list(only(&stage, "CMD")?)?)?;
    let (_, health) = only(&stage, "HEALTHCHECK")?
        .split_once("CMD ")
        .context("HEALTHCHECK has no CMD")?;
    fs::write(given.join("health"), list(health)?)?;

    let output = Command::new("sh")
        .arg(root().join("packaging/trial/container.sh"))
        .arg(&given)
        .output()
        .context("running packaging/trial/container.sh")?;
    let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(0) => println!("the container's last stage, made and run:\n{told}"),
        Some(NOT_HERE) => println!("the container is not tried here: {told}"),
        _ => bail!(
            "the container failed its trial ({}):\n{told}",
            output.status
        ),
    }
    Ok(())
}

/// The instructions after the last `FROM`: the name of each, and the rest with its lines joined.
fn last_stage(text: &str) -> Vec<(String, String)> {
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    let joined = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let mut stage = Vec::new();
    for line in joined.lines().filter(|line| !line.trim().is_empty()) {
        let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
        if name == "FROM" {
            stage.clear();
        } else {
            stage.push((name.to_owned(), rest.trim().to_owned()));
        }
    }
    stage
}

/// What follows an instruction that must occur exactly once.
fn only<'a>(stage: &'a [(String, String)], name: &'a str) -> Result<&'a str> {
    let found: Vec<&str> = words(stage, name).collect();
    ensure!(
        found.len() == 1,
        "the last stage has {} {name}, not one",
        found.len()
    );
    Ok(found[0])
}

fn words<'a>(stage: &'a [(String, String)], name: &'a str) -> impl Iterator<Item = &'a str> {
    stage
        .iter()
        .filter(move |(found, _)| found == name)
        .map(|(_, rest)| rest.as_str())
}

/// The words of a command written as a JSON list, one per line.
fn list(text: &str) -> Result<String> {
    let words: Vec<String> =
        serde_json::from_str(text).with_context(|| format!("{text} is no JSON list"))?;
    Ok(words.join("\n") + "\n")
}

/// The effect of `COPY`, as a line of shell. From the build stage it takes only the program.
fn copy(rest: &str, given: &Path, program: &Path) -> Result<String> {
    let mut from: Vec<&str> = rest.split_whitespace().collect();
    let to = from.pop().context("COPY says where to")?;
    let mut lines = String::new();
    for from in from {
        if from.starts_with("--") {
            ensure!(from == "--from=build", "COPY {from} is not understood here");
            continue;
        }
        let source = match from.strip_prefix("/src/target/release/tidings") {
            Some("") => program.to_path_buf(),
            _ => root().join(from),
        };
        let name = source.file_name().context("a file has a name")?;
        fs::copy(&source, given.join(name)).with_context(|| format!("COPY {from}"))?;
        let name = name.to_string_lossy();
        let to = if to.ends_with('/') {
            format!("{to}{name}")
        } else {
            to.to_owned()
        };
        lines.push_str(&format!("install -D -m 0755 /given/{name} {to}\n"));
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::{last_stage, list};

    #[test]
    fn the_last_stage_is_read_with_its_lines_joined() {
        let text = "FROM a AS build\nRUN one\n\nFROM b\n# a remark\nENV A=1 \\\n    B=2\nCMD [\"serve\", \"--x\"]\n";
        let stage = last_stage(text);
        let told: Vec<String> = stage.iter().map(|(a, b)| format!("{a} {b}")).collect();
        assert_eq!(told, ["ENV A=1      B=2", "CMD [\"serve\", \"--x\"]"]);
        assert_eq!(list(&stage[1].1).expect("a list"), "serve\n--x\n");
    }
}
