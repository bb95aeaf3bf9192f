//! Runs a command with a disk that forgets, and lets it say when the power fails.
//!
//! The command finds the disk in `TIDINGS_POWER_DISK` and a Unix socket in `TIDINGS_POWER_CONTROL`.
//! Over the socket it writes a line and gets one back: `hold` lets every call of the disk wait, so
//! that a program can be killed at that moment; `lose` forgets; `on` lets the disk work again.

use std::fmt;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use fuser::{Config, MountOption};
use tempfile::TempDir;

use super::disk::Forgotten;
use super::fuse::SharedDisk;
use crate::Failure;
use crate::random::Random;

/// What came of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Losses of power.
    pub losses: u64,
    /// What they have taken together.
    pub forgotten: Forgotten,
    /// Whether the command has succeeded.
    pub is_good: bool,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Forgotten {
            writes,
            torn,
            names,
        } = self.forgotten;
        write!(
            f,
            "{} losses of power took {writes} writes and {names} changes of names that were not synced, and tore \
             {torn} writes",
            self.losses
        )
    }
}

/// Runs `command` with such a disk.
///
/// # Errors
/// [`Failure`] when no file system can be mounted or the command does not start. That the command
/// fails is in the report.
pub fn run(command: &[String], seed: u64) -> Result<Report, Failure> {
    let [program, arguments @ ..] = command else {
        return Err(Failure::new("no command to run"));
    };
    let directory = TempDir::new().map_err(Failure::of("no temporary directory"))?;
    let mount = directory.path().join("disk");
    std::fs::create_dir(&mount).map_err(Failure::of("no directory for the disk"))?;
    let disk = SharedDisk::new();
    let mut settings = Config::default();
    settings.mount_options = vec![MountOption::FSName("tidings-power".into())];
    let mounted = fuser::spawn_mount(disk.clone(), &mount, &settings).map_err(Failure::of(
        "the disk cannot be mounted; this needs /dev/fuse and the right to mount",
    ))?;
    let socket = directory.path().join("control");
    let listener = UnixListener::bind(&socket).map_err(Failure::of("no socket"))?;
    let report = Arc::new(Mutex::new(Report::default()));
    let controlled = Arc::clone(&report);
    let random = Random::new(seed, 0);
    std::thread::spawn(move || serve(&listener, &disk, random, &controlled));
    let status = Command::new(program)
        .args(arguments)
        .env("TIDINGS_POWER_DISK", &mount)
        .env("TIDINGS_POWER_CONTROL", &socket)
        .status();
    let unmounted = mounted.umount_and_join();
    let status = status.map_err(Failure::of(format!("{program} does not start")))?;
    unmounted.map_err(Failure::of("the disk is not given back"))?;
    let mut report = *report.lock().unwrap_or_else(PoisonError::into_inner);
    report.is_good = status.success();
    Ok(report)
}

/// Serves one connection after the other, to the end of the process.
fn serve(listener: &UnixListener, disk: &SharedDisk, mut random: Random, report: &Mutex<Report>) {
    for connection in listener.incoming().map_while(Result::ok) {
        // Whoever goes away in the middle has failed.
        let _ = obey(connection, disk, &mut random, report);
    }
}

fn obey(
    connection: UnixStream,
    disk: &SharedDisk,
    random: &mut Random,
    report: &Mutex<Report>,
) -> std::io::Result<()> {
    let mut answers = connection.try_clone()?;
    for line in BufReader::new(connection).lines() {
        match line?.as_str() {
            "hold" => disk.hold(),
            "lose" => {
                let forgotten = disk.lose_power(random);
                let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
                report.losses += 1;
                report.forgotten.writes += forgotten.writes;
                report.forgotten.torn += forgotten.torn;
                report.forgotten.names += forgotten.names;
            }
            "on" => disk.switch_on(),
            other => {
                writeln!(answers, "no command {other:?}")?;
                continue;
            }
        }
        writeln!(answers, "done")?;
    }
    Ok(())
}
