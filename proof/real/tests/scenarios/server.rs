//! The program itself, in a process of its own with a directory of its own.
//!
//! Under `cargo xtask power` its data are on a disk that forgets what was not synced, whenever the
//! program is killed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;
use tidings_proof::program::build;
use tidings_scenario::{Permission, TokenKind};
use tidings_token::{NewAccess007, Service, build_007};

pub const APP: &str = "0123456789abcdef0123456789abcdef";
const CERTIFICATE: &str = "fedcba9876543210fedcba9876543210";

/// How long a start may take, the build's slowest machine included.
const START_MAX: Duration = Duration::from_secs(20);

/// A running server, killed when dropped.
pub struct Server {
    address: SocketAddr,
    directory: TempDir,
    has_certificate: bool,
    process: Child,
    /// Told when the process is ready.
    ready: Receiver<()>,
}

impl Server {
    pub fn start(has_certificate: bool) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let address = free_address();
        let (process, ready) = spawn(address, directory.path(), has_certificate);
        let server = Self {
            address,
            directory,
            has_certificate,
            process,
            ready,
        };
        server.wait_until_ready();
        server
    }

    #[allow(dead_code, reason = "one of the two users of this file asks for it")]
    pub fn endpoint(&self) -> String {
        format!("ws://{}", self.address)
    }

    #[allow(dead_code, reason = "one of the two users of this file asks for it")]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    #[allow(dead_code, reason = "only some users of this file look into it")]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Kills the process and starts it again with its data. Does not wait until it is ready.
    #[allow(dead_code, reason = "only some users of this file ask for it")]
    pub fn restart(&mut self) {
        self.stop();
        let (process, ready) = spawn(self.address, self.directory.path(), self.has_certificate);
        self.process = process;
        self.ready = ready;
    }

    /// Asks the process to end, waits until it has, and tells where its data are.
    #[allow(dead_code, reason = "only some users of this file ask for it")]
    pub fn end(&mut self) -> PathBuf {
        let pid = self.process.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(
            asked.is_ok_and(|status| status.success()),
            "no such process"
        );
        self.process.wait().expect("the process ends");
        data(self.directory.path())
    }

    /// A token of the wanted kind; none for an app without a certificate.
    pub fn token(&self, kind: &TokenKind, user_id: &str) -> Option<String> {
        if !self.has_certificate {
            return None;
        }
        match kind {
            TokenKind::Valid => Some(issue(user_id, 3_600, &[])),
            TokenKind::Lasting(seconds) => Some(issue(user_id, *seconds, &[])),
            TokenKind::Foreign => Some(issue("somebody-else", 3_600, &[])),
            TokenKind::Damaged => Some("007damaged".to_owned()),
            TokenKind::No => None,
            TokenKind::Limited(list) => Some(issue(user_id, 3_600, list)),
            TokenKind::Expired => Some(expired(user_id)),
        }
    }

    /// Returns when the server takes connections. To be called at most once after each start.
    pub fn wait_until_ready(&self) {
        let ready = self.ready.recv_timeout(START_MAX);
        ready.unwrap_or_else(|error| panic!("the server does not listen: {error}"));
    }

    fn stop(&mut self) {
        let Some(control) = std::env::var_os("TIDINGS_POWER_CONTROL") else {
            // It may have ended on its own: then the scenario fails.
            let _ = self.process.kill();
            let _ = self.process.wait();
            return;
        };
        let mut power = UnixStream::connect(control).expect("the disk's control");
        // Held, so that it cannot answer from a disk that has forgotten; its end waits for calls
        // under way.
        order(&mut power, "hold");
        let _ = self.process.kill();
        order(&mut power, "lose");
        let _ = self.process.wait();
        order(&mut power, "on");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Tells the disk something and waits until it is done.
fn order(power: &mut UnixStream, what: &str) {
    writeln!(power, "{what}").expect("the disk's control hears");
    let mut answer = String::new();
    let mut answers = BufReader::new(power);
    answers.read_line(&mut answer).expect("it answers");
    assert_eq!(answer, "done\n");
}

/// Where a server with this directory keeps its data. The disk that forgets has one server at a
/// time.
fn data(directory: &Path) -> PathBuf {
    match std::env::var_os("TIDINGS_POWER_DISK") {
        Some(disk) => Path::new(&disk).join("data"),
        None => directory.join("data"),
    }
}

/// A loopback address of its own for each server, so that its port stays free until it listens and
/// while it is stopped: on a shared address, another server or a client's connection can be given
/// the port in between, and two scenarios meet on one server.
fn free_address() -> SocketAddr {
    static STARTED: AtomicU32 = AtomicU32::new(0);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let number = STARTED.fetch_add(1, Ordering::Relaxed) % 254 + 1;
    let own = Ipv4Addr::new(127, high | 1, low, u8::try_from(number).expect("below 255"));
    let listener = TcpListener::bind((own, 0)).expect("a free port");
    listener.local_addr().expect("it is bound")
}

/// Starts the program. The receiver is told when it is ready.
fn spawn(address: SocketAddr, directory: &Path, has_certificate: bool) -> (Child, Receiver<()>) {
    let app = if has_certificate {
        format!("{APP}:{CERTIFICATE}")
    } else {
        APP.to_owned()
    };
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(directory.join("log"))
        .expect("a log file");
    let mut process = Command::new(build())
        .args(["serve", "--hubs", "2", "--log", "warn", "--app", &app])
        .args(["--disk-reserve", "0"])
        .args(["--listen", &address.to_string()])
        .arg("--data-dir")
        .arg(data(directory))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .expect("the program starts");
    let output = process.stdout.take().expect("its output is piped");
    let (sender, ready) = mpsc::channel();
    // Reads on to the end, so that whatever else the program says does not fill the pipe.
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if line.starts_with("tidings is ready") {
                // Nobody waits for a restart.
                let _ = sender.send(());
            }
        }
    });
    (process, ready)
}

/// A token that ended an hour ago.
fn expired(user_id: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_s = now.expect("it is after 1970").as_secs();
    let token = NewAccess007 {
        app_id: APP,
        certificate: CERTIFICATE,
        issued_at_unix_s: u32::try_from(now_s - 3_660).expect("it is before 2106"),
        lifetime_s: 60,
        salt: 1,
        services: &[Service::rtm(user_id, 0)],
    };
    build_007(&token).expect("all of it is in order")
}

fn issue(user_id: &str, seconds: u32, permits: &[Permission]) -> String {
    let option = |permission: &Permission| {
        let verb = if permission.writes { "write" } else { "read" };
        let what = if permission.is_channel {
            "channel"
        } else {
            "user"
        };
        format!("--{verb}-{what}={}", permission.name)
    };
    let output = Command::new(build())
        .args([
            "token",
            "issue",
            "--app",
            &format!("{APP}:{CERTIFICATE}"),
            "--user",
            user_id,
        ])
        .args(["--lifetime", &seconds.to_string()])
        .args(permits.iter().map(option))
        .output()
        .expect("the program starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout)
        .expect("a token is text")
        .trim()
        .to_owned()
}
