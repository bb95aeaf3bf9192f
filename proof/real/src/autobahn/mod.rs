//! WebSocket conformance: the cases of the Autobahn test suite, groups 1 to 7 and 10, put to the
//! server's codec and to the Rust SDK's WebSocket library. The suite runs as the Python package
//! `kosoku`.

mod echo_client;
mod echo_server;

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::Failure;

const RUNNER: &str = include_str!("runner.py");
/// Cases of the eight groups.
const CASES: usize = 247;

/// What the suite says of one side.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdicts {
    /// Cases by verdict.
    pub counts: BTreeMap<String, usize>,
    /// Cases that failed: number, verdict, verdict on the closing handshake.
    pub failed: Vec<String>,
}

impl Verdicts {
    /// Whether every case was run and none failed.
    pub fn is_good(&self) -> bool {
        self.failed.is_empty() && self.counts.values().sum::<usize>() == CASES
    }

    fn read(lines: impl Iterator<Item = String>) -> Self {
        let mut verdicts = Self::default();
        for line in lines {
            let mut words = line.split('\t').skip(1);
            let (behavior, close) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
            *verdicts.counts.entry(behavior.to_owned()).or_default() += 1;
            let is_good = ["OK", "NON-STRICT", "INFORMATIONAL"].contains(&behavior)
                && ["OK", "INFORMATIONAL"].contains(&close);
            if !is_good {
                verdicts.failed.push(line);
            }
        }
        verdicts
    }
}

impl fmt::Display for Verdicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts: Vec<String> = (self.counts.iter())
            .map(|(verdict, count)| format!("{count} {verdict}"))
            .collect();
        write!(f, "{}, {} failed", counts.join(", "), self.failed.len())?;
        for failed in &self.failed {
            write!(f, "\n  {failed}")?;
        }
        Ok(())
    }
}

/// Tests the server's side. `packages` is the directory into which the suite was installed.
///
/// # Errors
/// [`Failure`] when the suite cannot be run.
pub fn test_server(packages: &Path) -> Result<Verdicts, Failure> {
    let address = echo_server::start().map_err(Failure::of("no port for the echo server"))?;
    let (mut suite, output) = start(packages, &["server", &address.to_string()])?;
    let verdicts = Verdicts::read(output.lines().map_while(Result::ok));
    end(&mut suite)?;
    Ok(verdicts)
}

/// Tests the client's side, as [`test_server`] does.
///
/// # Errors
/// [`Failure`] when the suite cannot be run.
pub async fn test_client(packages: &Path) -> Result<Verdicts, Failure> {
    let (mut suite, output) = start(packages, &["client"])?;
    let mut lines = output.lines().map_while(Result::ok);
    let port = lines.next().and_then(|line| line.parse().ok());
    let port = port.ok_or_else(|| Failure::new("the suite does not say its port"))?;
    let ran = echo_client::run(port).await;
    ran.map_err(|error| Failure::new(format!("the echo client cannot reach the suite: {error}")))?;
    let verdicts = Verdicts::read(lines);
    end(&mut suite)?;
    Ok(verdicts)
}

fn start(packages: &Path, arguments: &[&str]) -> Result<(Child, BufReader<ChildStdout>), Failure> {
    let mut suite = Command::new("python3")
        .args(["-c", RUNNER])
        .args(arguments)
        .env("PYTHONPATH", packages)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(Failure::of("python3 does not start"))?;
    let output = suite.stdout.take().expect("its output is piped");
    Ok((suite, BufReader::new(output)))
}

fn end(suite: &mut Child) -> Result<(), Failure> {
    let status = suite
        .wait()
        .map_err(Failure::of("the suite cannot be waited for"))?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure::new(format!("the suite has failed: {status}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_fails_by_its_verdict_or_by_its_close() {
        let lines = ["1.1.1\tOK\tOK", "1.1.2\tFAILED\tOK", "1.1.3\tOK\tUNCLEAN"];
        let verdicts = Verdicts::read(lines.iter().map(ToString::to_string));
        assert_eq!(verdicts.failed, [lines[1], lines[2]]);
        assert_eq!(verdicts.counts["OK"], 2);
        assert!(!verdicts.is_good());
    }
}
