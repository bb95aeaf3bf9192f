//! The control socket: how commands reach the server that runs on a data directory.
//!
//! `control.sock` lies in the data directory, so that it is found where the data are, and whoever may write these may
//! use it: it is its owner's alone (mode 0600), and the server asks the system who has connected besides.
//!
//! One connection carries one request, a line of JSON with the version of the protocol, and its answer, a line of JSON
//! as well. The answer to [`Request::Backup`] is followed by the records of the store, in the form of its backups,
//! which say themselves where they end. A server that does not know a version or a request says so.
//!
//! Bounds: a line of [`LINE_BYTES_MAX`], [`CONNECTIONS_MAX`] at a time, [`WAIT`] for a line and for each piece that is
//! written.

mod client;
mod listener;
mod numbers;

use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;
use std::{fs, io};

use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use tidings_store::embedded::VerifyReport;

pub(crate) use self::client::{Reached, ask, backup, reach};
pub(crate) use self::listener::{Control, Office};
pub(crate) use self::numbers::Numbers;

/// Name of the socket in the data directory.
pub(crate) const FILE: &str = "control.sock";

/// Version of the protocol.
pub(crate) const VERSION: u32 = 1;

/// Longest request or answer, in bytes.
const LINE_BYTES_MAX: u64 = 256 * 1024;

/// Connections at a time.
const CONNECTIONS_MAX: usize = 16;

/// Longest wait for the other side.
const WAIT: Duration = Duration::from_secs(10);

/// What can be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub(crate) enum Request {
    /// How the server is.
    Status,
    /// To read apps and TLS certificate again.
    Reload {
        /// What was changed, for the security log.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        because: Option<Change>,
    },
    /// The records of the store as they are now.
    Backup,
    /// To check every record of the store as it is now.
    Verify,
}

/// What an operator has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Change {
    /// The command: `app ban` and so on.
    pub(crate) command: String,
    /// The app's id.
    pub(crate) app: String,
    /// What of it, in words: users, names of settings. Never a certificate.
    #[serde(default)]
    pub(crate) detail: String,
}

/// A request with its version.
#[derive(Debug, Serialize, Deserialize)]
struct Envelope {
    version: u32,
    #[serde(flatten)]
    request: Request,
}

/// What is answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) version: u32,
    /// What went wrong; then the rest is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
    /// The answer to [`Request::Status`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<Status>,
    /// Apps that are served now; answers [`Request::Reload`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) apps: Option<usize>,
    /// The answer to [`Request::Verify`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) verified: Option<serde_json::Value>,
}

/// How a server is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// Of the program.
    pub(crate) program: String,
    pub(crate) pid: u32,
    /// Since its start.
    pub(crate) uptime_s: u64,
    pub(crate) listen: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) admin_listen: Option<String>,
    pub(crate) hubs: u16,
    pub(crate) tls: bool,
    /// Apps that are listed.
    pub(crate) apps: usize,
    /// Whether every app id is accepted.
    pub(crate) dev: bool,
    /// What the store accepts: `everything`, `deletions`, `nothing`.
    pub(crate) store: String,
    /// Why, if it is not everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) store_reason: Option<String>,
    pub(crate) memory_bytes: Option<u64>,
    /// What there is and what has happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) numbers: Option<Numbers>,
}

/// What a check of the store has found, as JSON. Problems that no line could hold are counted only.
pub(crate) fn report_json(report: &VerifyReport) -> serde_json::Value {
    const PROBLEMS_MAX: usize = 100;
    const PROBLEM_CHARS_MAX: usize = 300;
    let problems = report.problems.iter().take(PROBLEMS_MAX);
    let problems = problems.map(|text| text.chars().take(PROBLEM_CHARS_MAX).collect::<String>());
    serde_json::json!({
        "records": report.records,
        "inboxes": report.inboxes,
        "messages": report.messages,
        "histories": report.histories,
        "history_messages": report.history_messages,
        "invitations": report.invitations,
        "attribute_owners": report.attribute_owners,
        "problems": problems.collect::<Vec<_>>(),
        "problem_count": report.problem_count,
    })
}

/// Binds the socket in a directory whose path may be longer than the name of a socket can be.
fn bind(data_dir: &Path) -> io::Result<UnixListener> {
    let path = data_dir.join(FILE);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = by_short_path(data_dir, |path| UnixListener::bind(path))?;
    let owner_only = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&path, owner_only)?;
    Ok(listener)
}

fn connect(data_dir: &Path) -> io::Result<UnixStream> {
    by_short_path(data_dir, |path| UnixStream::connect(path))
}

/// The name of a socket has at most 107 bytes; by the directory's descriptor every path is short.
fn by_short_path<T>(data_dir: &Path, act: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    const SOCKET_PATH_BYTES_MAX: usize = 107;
    let path = data_dir.join(FILE);
    if path.as_os_str().len() <= SOCKET_PATH_BYTES_MAX {
        return act(&path);
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(data_dir, flags, Mode::empty())?;
    let number = std::os::fd::AsRawFd::as_raw_fd(&directory);
    act(Path::new(&format!("/proc/self/fd/{number}/{FILE}")))
}
