//! The program as `cargo install` leaves it: with its pages and packages.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::{VERSION, empty};
use crate::setup::{cargo, target};

/// Longest wait for an answer of the program.
const PATIENCE: Duration = Duration::from_secs(10);

/// Follows the guide, with a test build, and starts the result.
pub(super) fn check() -> Result<()> {
    let to = target().join("package-install");
    empty(&to)?;
    let root = to.to_string_lossy();
    // The guide's command, for an existing build.
    let words = "install --debug --quiet --locked --path server/tidings --root";
    let words: Vec<&str> = words.split(' ').chain([&*root]).collect();
    cargo(&words)?;
    let mut server = Running::start(&to.join("bin/tidings"), &to.join("data"))?;
    let address = server.address()?;
    let package = format!("/sdk/tidings-rtm-{VERSION}.tgz");
    let wheel = format!("/sdk/tidings_server-{VERSION}-py3-none-any.whl");
    for path in ["/demo/", "/docs/", "/docs/running", &package, &wheel] {
        let answer = get(&address, path)?;
        ensure!(
            answer.starts_with("HTTP/1.1 200 "),
            "the installed program answers at {path}: {answer}"
        );
    }
    println!("the program that cargo installs has its pages and packages");
    Ok(())
}

/// A server that is stopped when the check ends.
struct Running(Child);

impl Running {
    fn start(program: &Path, data: &Path) -> Result<Self> {
        let data = data.to_string_lossy();
        let words = "serve --dev --listen 127.0.0.1:0 --disk-reserve 0 --data-dir";
        let child = Command::new(program)
            .args(words.split(' ').chain([&*data]))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("running {}", program.display()))?;
        Ok(Self(child))
    }

    /// Where it listens, as it says itself.
    fn address(&mut self) -> Result<String> {
        let output = self.0.stdout.take().context("it has an output")?;
        for line in BufReader::new(output).lines() {
            let line = line?;
            if let Some(address) = line.strip_prefix("tidings is ready: http://") {
                let address = address.split('/').next().unwrap_or_default();
                return Ok(address.to_owned());
            }
        }
        anyhow::bail!("the installed program ended before it was ready")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The beginning of an answer.
fn get(address: &str, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut head = Vec::new();
    stream.take(256).read_to_end(&mut head)?;
    Ok(String::from_utf8_lossy(&head).into_owned())
}
