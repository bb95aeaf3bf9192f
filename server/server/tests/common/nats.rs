//! A real nats-server of a test's own, on a free port of the loopback.

#![allow(dead_code, reason = "each test file uses its part")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use nats_program::program;

#[path = "nats_program.rs"]
mod nats_program;

/// Long enough for a slow machine; nothing waits for it unless it fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running nats-server; it ends with its test.
pub(crate) struct Nats {
    child: Option<Child>,
    directory: tempfile::TempDir,
    /// What it has said, and who is told that there is more.
    log: Arc<(Mutex<String>, Condvar)>,
    pub(crate) port: u16,
}

impl Nats {
    /// Starts one with these lines in its configuration.
    pub(crate) fn start(config: &str) -> Self {
        Self::start_in(tempfile::tempdir().expect("a directory"), config)
    }

    /// The same, where the configuration names files of a directory.
    pub(crate) fn start_in(directory: tempfile::TempDir, config: &str) -> Self {
        std::fs::write(directory.path().join("extra.conf"), config).expect("a file");
        let mut nats = Self {
            child: None,
            directory,
            log: Arc::default(),
            port: 0,
        };
        nats.run();
        nats
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Its process, for signals.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Kills it, as a power cut would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it runs");
            child.wait().expect("it ends");
        }
    }

    /// Starts it again, on the port it had.
    pub(crate) fn run(&mut self) {
        self.kill();
        let at = self.directory.path();
        let port = if self.port == 0 {
            "-1".to_owned()
        } else {
            self.port.to_string()
        };
        let config = format!("listen: \"127.0.0.1:{port}\"\ninclude \"extra.conf\"\n");
        std::fs::write(at.join("nats.conf"), config).expect("a file");
        let mut child = Command::new(program())
            .arg("-c")
            .arg(at.join("nats.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("nats-server can be started");
        let lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        self.child = Some(child);
        let (told, port) = channel();
        let log = self.log.clone();
        // Ends with the server.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Some((_, address)) = line.split_once("client connections on ") {
                    let port = address
                        .rsplit_once(':')
                        .and_then(|(_, port)| port.parse().ok());
                    let _ = told.send(port.unwrap_or(0));
                }
                let mut text = log.0.lock().expect("nobody panics with it");
                text.push_str(&line);
                text.push('\n');
                log.1.notify_all();
            }
        });
        let port = port.recv_timeout(PATIENCE);
        self.port = port.unwrap_or_else(|_| panic!("nats-server does not start: {}", self.log()));
    }

    /// What it has said.
    pub(crate) fn log(&self) -> String {
        self.log.0.lock().expect("nobody panics with it").clone()
    }

    /// Waits for a line with this in it; returns what follows there.
    pub(crate) fn told(&self, part: &str) -> String {
        let find = |text: &str| {
            let line = text.lines().find_map(|line| line.split_once(part));
            line.map(|(_, rest)| rest.trim().to_owned())
        };
        let text = self.log.0.lock().expect("nobody panics with it");
        let waited = self
            .log
            .1
            .wait_timeout_while(text, PATIENCE, |text| find(text).is_none());
        let (text, _) = waited.expect("nobody panics with it");
        find(&text).unwrap_or_else(|| panic!("nats-server does not say {part:?}: {text}"))
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.kill();
    }
}
