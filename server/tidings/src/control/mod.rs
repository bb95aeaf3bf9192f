//! The control socket: how commands reach the server that runs on a data directory.
//!
//! `control.sock` is in the data directory, so that it is found wherever the data are, and so that
//! whoever may write the data may use it: it is accessible to its owner only (mode 0600), and the
//! server also asks the system which user has connected.
//!
//! One connection carries one request, a line of JSON with the version of the protocol, and one
//! answer, also a line of JSON. The answer to [`Request::Backup`] is followed by the records of the
//! store, in the format of a backup, which marks its own end. A server that does not know a version
//! or a request says so.
//!
//! Bounds: a line of [`LINE_BYTES_MAX`], [`CONNECTIONS_MAX`] at a time, [`WAIT`] for a line and for
//! each piece written.

mod client;
mod health;
mod keys;
mod listener;
mod numbers;

use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;
use std::{fs, io};

use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use tidings_server::KeySetReport;
use tidings_store::embedded::VerifyReport;

pub(crate) use self::client::{Reached, ask, backup, reach};
pub(crate) use self::health::Health;
pub(crate) use self::keys::{KeyAnswer, KeyLine, KeyRequest};
pub(crate) use self::listener::{Control, Office};
pub(crate) use self::numbers::Numbers;
use crate::local_key::LocalDoor;

/// Name of the socket within the data directory.
pub(crate) const FILE: &str = "control.sock";

/// Version of the protocol.
pub(crate) const VERSION: u32 = 1;

/// Longest request or answer, in bytes.
const LINE_BYTES_MAX: u64 = 256 * 1024;

/// Most connections at a time.
const CONNECTIONS_MAX: usize = 16;

/// Longest wait for the peer.
const WAIT: Duration = Duration::from_secs(10);

/// The requests to a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub(crate) enum Request {
    /// Asks for the server's state.
    Status,
    /// Makes the server reload apps and TLS certificate.
    Reload {
        /// What was changed, for the security log.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        because: Option<Change>,
    },
    /// Asks how the server is, for somebody who looks for what is wrong.
    Health,
    /// Asks for the records of the store as they are now.
    Backup,
    /// Makes the server check every record of the store as it is now.
    Verify,
    /// Asks something of the keys of the API.
    Key {
        /// What is asked of them.
        key: KeyRequest,
    },
    /// Asks where the API is, and for a key to it.
    Door,
}

/// A change made by an operator.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Change {
    /// The command: `app ban` and so on.
    pub(crate) command: String,
    /// The app's id.
    pub(crate) app: String,
    /// The details: users or names of settings. Never a certificate.
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

/// The answer to a request.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) version: u32,
    /// What went wrong; all other fields are empty then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    /// How to fix it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
    /// The answer to [`Request::Status`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<Status>,
    /// The answer to [`Request::Health`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) health: Option<Health>,
    /// Number of apps served now; answers [`Request::Reload`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) apps: Option<usize>,
    /// The answer to [`Request::Verify`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) verified: Option<serde_json::Value>,
    /// The answer to [`Request::Key`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) keys: Option<KeyAnswer>,
    /// The answer to [`Request::Door`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) door: Option<LocalDoor>,
}

/// A server's state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// Version of the program.
    pub(crate) program: String,
    pub(crate) pid: u32,
    /// Time since its start.
    pub(crate) uptime_s: u64,
    pub(crate) listen: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) admin_listen: Option<String>,
    pub(crate) hubs: u16,
    pub(crate) tls: bool,
    /// Number of listed apps.
    pub(crate) apps: usize,
    /// Whether every app id is accepted.
    pub(crate) dev: bool,
    /// What the store accepts: `everything`, `deletions`, `nothing`.
    pub(crate) store: String,
    /// Why, if it is not everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) store_reason: Option<String>,
    pub(crate) memory_bytes: Option<u64>,
    /// The key sets of apps for JSON Web Tokens.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) key_sets: Vec<KeySetState>,
    /// Current figures and counts of past events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) numbers: Option<Numbers>,
}

/// The state of an app's key set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeySetState {
    pub(crate) app: String,
    /// The file or the address.
    pub(crate) place: String,
    /// How many keys are in force.
    pub(crate) keys: usize,
    /// How long ago they were loaded, in seconds; `None` = never.
    pub(crate) loaded_ago_s: Option<u64>,
    /// Why the last attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

impl From<KeySetReport> for KeySetState {
    fn from(report: KeySetReport) -> Self {
        Self {
            app: report.app.as_str().to_owned(),
            place: report.place,
            keys: report.keys,
            loaded_ago_s: report.loaded_ago_s,
            error: report.error,
        }
    }
}

/// The result of a check of the store, as JSON. Problems that do not fit into a line are only
/// counted.
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

/// Binds the socket in a directory whose path may be too long for the address of a socket.
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

/// A socket's address has at most 107 bytes; relative to the directory's descriptor, every path is
/// short.
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
