//! The program itself, in a process of its own with a directory of its own.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Lines};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::Failure;
use crate::cluster::NATS_VARIABLE;

/// The app of all proofs: it has no certificate, so nobody needs a token.
pub const APP: &str = "0123456789abcdef0123456789abcdef";

/// What the program prints before its address when it listens.
const READY: &str = "tidings is ready: http://";

/// Where Debian keeps the library that gives a process a wall clock of its own.
const CLOCK_LIBRARIES: [&str; 2] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
];

/// In the program's directory: how far its wall clock is ahead.
const CLOCK_FILE: &str = "clock";

/// A running server, killed when dropped.
#[derive(Debug)]
pub struct Program {
    address: SocketAddr,
    directory: TempDir,
    arguments: Vec<String>,
    process: Child,
}

/// How long the program may take to end by itself: the contract's 30 s (4.5), and some for the
/// machine.
const END_MAX: Duration = Duration::from_secs(35);

/// A signal that is sent to the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Stops it where it stands: no instruction is executed until `Continue`.
    Stop,
    /// Lets it go on.
    Continue,
    /// Asks it to end, after a drain.
    Terminate,
}

impl Program {
    /// Starts it on a free port of this machine, with its data in a directory of its own.
    /// `arguments` go to `tidings serve`.
    ///
    /// # Errors
    /// [`Failure`] when it cannot be started or ends before it listens.
    pub fn start(arguments: &[&str]) -> Result<Self, Failure> {
        let directory = TempDir::new().map_err(Failure::of("no temporary directory"))?;
        let mut all = vec!["--disk-reserve", "0"];
        all.extend(arguments);
        Self::start_by(Command::new(program()?), directory, any_port(), &all)
    }

    /// As [`Program::start`], on a port that is known before: `arguments` may name it.
    ///
    /// # Errors
    /// As [`Program::start`].
    pub fn start_on(listen: SocketAddr, arguments: &[&str]) -> Result<Self, Failure> {
        let directory = TempDir::new().map_err(Failure::of("no temporary directory"))?;
        let mut all = vec!["--disk-reserve", "0"];
        all.extend(arguments);
        Self::start_by(Command::new(program()?), directory, listen, &all)
    }

    /// As [`Program::start`], with its data on a disk of its own of so many MiB, in memory.
    ///
    /// # Errors
    /// As [`Program::start`]; also when this system lets nobody mount a file system of their own.
    pub fn start_on_small_disk(mib: u32, arguments: &[&str]) -> Result<Self, Failure> {
        // In a mount name space of its own, which goes with the process.
        let script =
            format!("mkdir -p \"$0\" && mount -t tmpfs -o size={mib}m tmpfs \"$0\" && exec \"$@\"");
        let directory = TempDir::new().map_err(Failure::of("no temporary directory"))?;
        let data = directory.path().join("data");
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", &script]);
        command.arg(&data).arg(program()?);
        Self::start_by(command, directory, any_port(), arguments)
    }

    /// As [`Program::start`], by a wall clock of its own, which [`Program::set_clock`] moves; its
    /// monotonic clock is the machine's. The library libfaketime stands between them.
    ///
    /// # Errors
    /// As [`Program::start`]; also when the library is not installed (Debian: `libfaketime`).
    pub fn start_by_own_clock(arguments: &[&str]) -> Result<Self, Failure> {
        let library = CLOCK_LIBRARIES.iter().find(|path| Path::new(path).exists());
        let library = library.ok_or_else(|| Failure::new("libfaketime is not installed"))?;
        let directory = TempDir::new().map_err(Failure::of("no temporary directory"))?;
        let mut command = Command::new(program()?);
        command
            .env("LD_PRELOAD", library)
            .env("FAKETIME_TIMESTAMP_FILE", directory.path().join(CLOCK_FILE))
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("NO_FAKE_STAT", "1");
        write_clock(directory.path(), 0)?;
        Self::start_by(command, directory, any_port(), arguments)
    }

    /// Makes the wall clock of a program that has its own go so many seconds ahead of the
    /// machine's.
    ///
    /// # Errors
    /// [`Failure`] when its directory cannot be written.
    pub fn set_clock(&self, ahead_s: i64) -> Result<(), Failure> {
        write_clock(self.directory.path(), ahead_s)
    }

    fn start_by(
        command: Command,
        directory: TempDir,
        listen: SocketAddr,
        arguments: &[&str],
    ) -> Result<Self, Failure> {
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        let (process, address) = spawn(command, directory.path(), listen, &arguments)?;
        Ok(Self {
            address,
            directory,
            arguments,
            process,
        })
    }

    /// Asks it to end and waits until it has.
    ///
    /// # Errors
    /// [`Failure`] when it does not end in time or not by itself.
    pub fn end(&mut self) -> Result<(), Failure> {
        self.signal(Signal::Terminate)?;
        let began = Instant::now();
        let status = loop {
            let ended = self.process.try_wait();
            if let Some(status) = ended.map_err(Failure::of("no process to wait for"))? {
                break status;
            }
            if began.elapsed() > END_MAX {
                return Err(Failure::new("the server does not end after SIGTERM"));
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        if !status.success() {
            let log = self.log();
            let text = format!("the server ended with {status}:\n{log}");
            return Err(Failure::new(text));
        }
        Ok(())
    }

    /// Ends it as [`Program::end`] does, and starts the next process on the same data and the same
    /// port. Not for one on a disk of its own, which ends with the process.
    ///
    /// # Errors
    /// As [`Program::end`]; also when the next one does not start.
    pub fn restart(&mut self) -> Result<(), Failure> {
        self.end()?;
        self.start_again()
    }

    /// Kills it where it stands and starts the next process, as [`Program::restart`] does.
    ///
    /// # Errors
    /// [`Failure`] when it cannot be killed, or when the next one does not start.
    pub fn crash(&mut self) -> Result<(), Failure> {
        (self.process.kill()).map_err(Failure::of("the server is not there"))?;
        (self.process.wait()).map_err(Failure::of("no process to wait for"))?;
        self.start_again()
    }

    fn start_again(&mut self) -> Result<(), Failure> {
        let command = Command::new(program()?);
        let (process, _) = spawn(
            command,
            self.directory.path(),
            self.address,
            &self.arguments,
        )?;
        self.process = process;
        Ok(())
    }

    /// Its data directory, as it sees it: also on a disk of its own.
    pub fn data(&self) -> PathBuf {
        let data = self.directory.path().join("data");
        let inner = data.strip_prefix("/").unwrap_or(&data);
        Path::new("/proc")
            .join(self.process.id().to_string())
            .join("root")
            .join(inner)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Most memory that it has used so far, in bytes.
    pub fn memory_peak(&self) -> Option<u64> {
        self.memory("VmHWM:")
    }

    /// What it has in memory of files, its own text above all, in bytes: the system takes that back
    /// by itself.
    pub fn memory_of_files(&self) -> Option<u64> {
        self.memory("RssFile:")
    }

    /// Memory that it uses now, in bytes.
    pub fn memory_used(&self) -> Option<u64> {
        self.memory("VmRSS:")
    }

    fn memory(&self, name: &str) -> Option<u64> {
        let path = format!("/proc/{}/status", self.process.id());
        let text = std::fs::read_to_string(path).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib * 1024)
    }

    /// What it has written to its log, warnings and errors only.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// [`Failure`] when the process is gone.
    pub fn signal(&self, signal: Signal) -> Result<(), Failure> {
        let name = match signal {
            Signal::Stop => "STOP",
            Signal::Continue => "CONT",
            Signal::Terminate => "TERM",
        };
        let command = format!("kill -{name} {}", self.process.id());
        // By the shell, which has it built in: there is no safe call in std.
        let status = Command::new("sh").args(["-c", &command]).status();
        let status = status.map_err(Failure::of("no shell"))?;
        if status.success() {
            Ok(())
        } else {
            Err(Failure::new(format!("`{command}` failed: {status}")))
        }
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// Nobody may read half of it: it takes the place of the one before.
fn write_clock(directory: &Path, ahead_s: i64) -> Result<(), Failure> {
    let next = directory.join("clock.next");
    std::fs::write(&next, format!("{ahead_s:+}\n"))
        .map_err(Failure::of("no file for the clock"))?;
    std::fs::rename(next, directory.join(CLOCK_FILE)).map_err(Failure::of("no file for the clock"))
}

/// Starts a process and waits until it listens.
fn spawn(
    mut command: Command,
    directory: &Path,
    listen: SocketAddr,
    arguments: &[String],
) -> Result<(Child, SocketAddr), Failure> {
    let log = directory.join("log");
    let log_file = File::options().create(true).append(true).open(&log);
    let mut process = command
        // Not a setting of the program's.
        .env_remove(NATS_VARIABLE)
        .args(["serve", "--hubs", "2", "--log", "warn", "--app", APP])
        .args(["--listen", &listen.to_string(), "--data-dir"])
        .arg(directory.join("data"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log_file.map_err(Failure::of("no log file"))?)
        .spawn()
        .map_err(Failure::of("the program does not start"))?;
    let output = process.stdout.take().expect("its output is piped");
    let mut lines = BufReader::new(output).lines();
    let Some(address) = wait_for_address(&mut lines) else {
        let _ = process.kill();
        let _ = process.wait();
        let log = std::fs::read_to_string(log).unwrap_or_default();
        return Err(Failure::new(format!("the server does not listen:\n{log}")));
    };
    // Whatever else it says must not fill the pipe.
    std::thread::spawn(move || lines.for_each(drop));
    Ok((process, address))
}

fn wait_for_address(lines: &mut Lines<BufReader<ChildStdout>>) -> Option<SocketAddr> {
    loop {
        let line = lines.next()?.ok()?;
        if let Some(rest) = line.strip_prefix(READY) {
            return rest.split('/').next()?.parse().ok();
        }
    }
}

/// The program of this workspace: `TIDINGS_BIN`, or the one that was built next to the running
/// executable.
fn program() -> Result<PathBuf, Failure> {
    if let Some(path) = std::env::var_os("TIDINGS_BIN") {
        return Ok(path.into());
    }
    beside_this()
}

/// Runs one of the program's other commands, and waits for it.
///
/// # Errors
/// [`Failure`] when it fails, with what it says.
pub fn call(arguments: &[String]) -> Result<(), Failure> {
    let output = Command::new(program()?)
        .env_remove(NATS_VARIABLE)
        .args(arguments)
        .output()
        .map_err(Failure::of("the program does not start"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Failure::new(format!(
        "tidings {}: {said}",
        arguments.join(" ")
    )))
}

/// Builds the program of this workspace, once in a process of tests, and returns where it is. In
/// any case the one that was built, whatever `TIDINGS_BIN` says.
///
/// # Panics
/// If it does not build: there is nothing to be tested then.
pub fn build() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let status = Command::new(env!("CARGO"))
            // They belong to this test, not to the build: with them, build scripts would run again.
            .env_remove("CARGO_MANIFEST_DIR")
            .env_remove("CARGO_PKG_NAME")
            .args(["build", "--quiet", "--package", "tidings"])
            .status()
            .expect("cargo starts");
        assert!(status.success(), "the program does not build");
        beside_this().expect("it was built beside the tests")
    })
}

/// The program that was built next to the running executable.
fn beside_this() -> Result<PathBuf, Failure> {
    let own = std::env::current_exe().map_err(Failure::of("no path of this process"))?;
    // target/<profile>/<this>, or target/<profile>/deps/<this test>
    let found = own
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("tidings"));
    let mut found = found.filter(|path| path.is_file());
    found.next().ok_or_else(|| {
        Failure::new("there is no program; build it with `cargo build --package tidings`")
    })
}
