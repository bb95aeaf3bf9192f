//! Two processes of the real program with the same settings: each is attacked in turn while the
//! other is the control.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;
use tokio_rustls::TlsConnector;

use super::door::{CERTIFICATE, Door, OPEN_APP, SAFE_APP};
use crate::wire;

/// What the program prints before its address once it listens.
const READY: &str = "tidings is ready: ";

/// How often a server's memory is read.
const WATCH_EVERY: Duration = Duration::from_millis(20);

/// How clients reach the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    Plain,
    Tls,
}

/// A running server, killed when dropped.
pub(crate) struct Server {
    process: Child,
    pub(crate) door: Door,
    /// Its data and its certificate.
    _folder: TempDir,
}

impl Server {
    /// Starts the program with one hub and two apps, behind a proxy that states its clients'
    /// addresses.
    ///
    /// # Errors
    /// If it does not start, or ends before it listens.
    pub(crate) fn start(program: &Path, over: Wire, more: &[String]) -> Result<Self> {
        let folder = TempDir::new().context("making a folder for a server")?;
        let mut command = Command::new(program);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--hubs", "1"])
            .args(["--log", "error", "--disk-reserve", "0"])
            .args(["--trusted-proxy", "127.0.0.1"])
            .args(["--app", OPEN_APP])
            .args(["--app", &format!("{SAFE_APP}:{CERTIFICATE}")])
            .arg("--data-dir")
            .arg(folder.path().join("data"))
            .args(more);
        let (mut tls, mut h2) = (None, None);
        if over == Wire::Tls {
            let (certificate, key) = (
                folder.path().join("certificate.pem"),
                folder.path().join("key.pem"),
            );
            let pair = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
            std::fs::write(&certificate, pair.cert.pem())?;
            std::fs::write(&key, pair.signing_key.serialize_pem())?;
            command.arg("--tls-cert").arg(&certificate);
            command.arg("--tls-key").arg(key);
            let trust = wire::trust(&certificate)?;
            let mut with_h2 = (*trust).clone();
            with_h2.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
            (tls, h2) = (
                Some(TlsConnector::from(trust)),
                Some(TlsConnector::from(Arc::new(with_h2))),
            );
        }
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .with_context(|| format!("starting {}; is it built?", program.display()))?;
        let output = process.stdout.take().context("its output is piped")?;
        let mut lines = BufReader::new(output).lines();
        let found = lines.by_ref().find_map(|line| address_in(&line.ok()?));
        let Some(address) = found else {
            let _ = process.kill();
            bail!(
                "the server ended with {} instead of listening",
                process.wait()?
            );
        };
        // Its other output must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self {
            process,
            door: Door { address, tls, h2 },
            _folder: folder,
        })
    }

    /// Memory in use, in bytes; 0 when the process has ended.
    pub(crate) fn memory(&self) -> u64 {
        memory_of(self.process.id())
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// Watches its memory until told to stop.
    pub(crate) fn watch(&self) -> Watch {
        let (pid, most, is_over) = (
            self.process.id(),
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (its_most, its_end) = (most.clone(), is_over.clone());
        let thread = std::thread::spawn(move || {
            while !its_end.load(Ordering::Relaxed) {
                its_most.fetch_max(memory_of(pid), Ordering::Relaxed);
                std::thread::sleep(WATCH_EVERY);
            }
        });
        Watch {
            most,
            is_over,
            thread,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended on its own.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The repeated reading of a server's memory.
pub(crate) struct Watch {
    most: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Watch {
    /// Ends it; returns the most memory used, in bytes.
    pub(crate) fn stop(self) -> u64 {
        self.is_over.store(true, Ordering::Relaxed);
        let _ = self.thread.join();
        self.most.load(Ordering::Relaxed)
    }
}

fn address_in(line: &str) -> Option<SocketAddr> {
    let url = line.strip_prefix(READY)?;
    let (_, rest) = url.split_once("://")?;
    rest.split('/').next()?.trim().parse().ok()
}

fn memory_of(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// The program that was built with this test: target/PROFILE/deps/THIS, target/PROFILE/tidings.
#[cfg(test)]
pub(super) fn built_program() -> std::path::PathBuf {
    let own = std::env::current_exe().expect("a path of this process");
    let folder = own
        .ancestors()
        .nth(2)
        .expect("it is in a folder of its profile");
    let program = folder.join("tidings");
    assert!(
        program.is_file(),
        "there is no {}; `cargo build -p tidings` makes it",
        program.display()
    );
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_what_the_program_prints() {
        let found = address_in("tidings is ready: https://127.0.0.1:7400/");
        assert_eq!(found, "127.0.0.1:7400".parse().ok());
        assert_eq!(address_in("hubs: 2"), None);
    }

    #[test]
    fn memory_of_a_process_is_read() {
        assert!(memory_of(std::process::id()) > 100_000);
    }
}
