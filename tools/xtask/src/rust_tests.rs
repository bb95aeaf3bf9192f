//! The Rust tests of the workspace: built once, then their programs run two at a time, since most
//! of them wait for sockets and clocks rather than for a processor.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::nats;
use crate::setup::{cargo, cargo_program, root};

/// Programs that run at a time. More would make tests late that wait with a limit.
const LANES: usize = 2;

/// Targets whose tests measure how long one client makes another wait: each runs by itself.
const ALONE: [&str; 2] = ["budgets", "fairness"];

/// A program with tests.
#[derive(Debug, PartialEq, Eq)]
struct Program {
    /// Package and target, as `cargo test -p PACKAGE --test TARGET` takes them.
    name: String,
    target: String,
    executable: PathBuf,
    /// The package's folder, in which its tests run.
    folder: PathBuf,
}

/// Builds and runs all of them, and the examples in documentation.
///
/// # Errors
/// If something does not build, or a test fails: its program's whole output is printed.
pub(crate) fn run() -> Result<()> {
    let server = nats::server()?;
    let (mut alone, together): (Vec<Program>, Vec<Program>) = build()?
        .into_iter()
        .partition(|program| ALONE.contains(&program.target.as_str()));
    if alone.len() != ALONE.len() {
        bail!("{ALONE:?} are to run alone, but the build made {alone:?} of them");
    }
    run_in_lanes(together, LANES, &server)?;
    run_in_lanes(std::mem::take(&mut alone), 1, &server)?;
    cargo(&["test", "--workspace", "--quiet", "--doc"])
}

fn build() -> Result<Vec<Program>> {
    let command = [
        "test",
        "--workspace",
        "--no-run",
        "--quiet",
        "--message-format=json-render-diagnostics",
    ];
    println!("> .: cargo {}", command.join(" "));
    let built = Command::new(cargo_program())
        .args(command)
        .env_remove("CARGO_MANIFEST_DIR")
        .env_remove("CARGO_PKG_NAME")
        .current_dir(root())
        .stderr(Stdio::inherit())
        .output()
        .context("running cargo")?;
    if !built.status.success() {
        bail!("the tests do not build: cargo ended with {}", built.status);
    }
    let messages = String::from_utf8(built.stdout).context("cargo's messages")?;
    let mut programs = Vec::new();
    for message in messages.lines() {
        let message = serde_json::from_str(message).context("a message of cargo's")?;
        programs.extend(program(&message));
    }
    Ok(programs)
}

/// The program with tests that a message of cargo's tells of.
fn program(message: &Value) -> Option<Program> {
    let is_test = message["profile"]["test"] == Value::Bool(true);
    let executable = message["executable"].as_str().filter(|_| is_test)?;
    let folder = Path::new(message["manifest_path"].as_str()?).parent()?;
    let target = message["target"]["name"].as_str()?;
    let package = folder.file_name()?.to_string_lossy();
    Some(Program {
        name: format!("{package} {target}"),
        target: target.into(),
        executable: executable.into(),
        folder: folder.into(),
    })
}

fn run_in_lanes(programs: Vec<Program>, lanes: usize, server: &Path) -> Result<()> {
    let waiting = Mutex::new(VecDeque::from(programs));
    let failed = Mutex::new(Vec::new());
    let next = || waiting.lock().ok()?.pop_front();
    std::thread::scope(|scope| {
        for _ in 0..lanes {
            scope.spawn(|| {
                while let Some(program) = next() {
                    if let Err(error) = program.run(server)
                        && let Ok(mut failed) = failed.lock()
                    {
                        failed.push(format!("{error:#}"));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_default();
    if failed.is_empty() {
        return Ok(());
    }
    bail!(
        "{} of the test programs failed:\n{}",
        failed.len(),
        failed.join("\n")
    )
}

impl Program {
    /// `server` = the NATS server of those tests that need one.
    fn run(&self, server: &Path) -> Result<()> {
        let began = Instant::now();
        let ran = Command::new(&self.executable)
            .env("CARGO_MANIFEST_DIR", &self.folder)
            .env(nats::VARIABLE, server)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("running {}", self.executable.display()))?;
        let took_s = began.elapsed().as_secs_f64();
        if ran.status.success() {
            println!("{took_s:>6.1} s  {}", self.name);
            return Ok(());
        }
        println!(
            "{}{}",
            String::from_utf8_lossy(&ran.stdout),
            String::from_utf8_lossy(&ran.stderr)
        );
        bail!("{} after {took_s:.1} s: {}", self.name, ran.status)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message(is_test: bool, executable: Value) -> Value {
        json!({
            "reason": "compiler-artifact",
            "manifest_path": "/p/server/hub/Cargo.toml",
            "target": { "name": "limits", "kind": ["test"] },
            "profile": { "test": is_test },
            "executable": executable,
        })
    }

    #[test]
    fn programs_with_tests_are_found_and_others_are_not() {
        let found = program(&message(true, json!("/t/limits-1"))).expect("it has tests");
        assert_eq!(found.name, "hub limits");
        assert_eq!(found.folder, Path::new("/p/server/hub"));
        assert_eq!(program(&message(false, json!("/t/limits-1"))), None);
        assert_eq!(program(&message(true, Value::Null)), None);
        assert_eq!(program(&json!({ "reason": "build-finished" })), None);
    }

    #[test]
    fn one_that_fails_is_named_and_the_others_run() {
        let of = |executable: &str| Program {
            name: format!("of {executable}"),
            target: executable.into(),
            executable: executable.into(),
            folder: std::env::temp_dir(),
        };
        let programs = vec![of("/bin/true"), of("/bin/false"), of("/bin/true")];
        let error = run_in_lanes(programs, 2, Path::new("none")).expect_err("one of them fails");
        let text = format!("{error:#}");
        assert!(
            text.contains("1 of the test programs") && text.contains("of /bin/false"),
            "{text}"
        );
        assert!(run_in_lanes(vec![of("/bin/true")], 1, Path::new("none")).is_ok());
    }
}
