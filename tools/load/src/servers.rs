//! Servers that are started for a comparison, and stopped by their process ids.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::launch;
use crate::scenario::{Name as Scenario, Size};

/// Name of the certificate in the folder of a server that uses TLS.
pub(crate) const CERTIFICATE: &str = "certificate.pem";

/// A running server; it is stopped when this is dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    /// Folder of the settings and data of this run.
    folder: Folder,
}

impl Server {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The generator that loads this server, a process of its own, so that nothing of an earlier
    /// run remains in it.
    pub(crate) fn generator(&self, name: &str, scenario: Scenario, size: &Size) -> Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["run", &scenario.word(), "--driver", driver(name)])
            .args(["--server", &self.address.to_string()])
            .args(["--pid", &self.pid().to_string()])
            .args(size.arguments());
        let certificate = self.folder.0.join(CERTIFICATE);
        if certificate.exists() {
            command.arg("--tls").arg(certificate);
        }
        Ok(command)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for pid in crate::measure::family(self.child.id()).into_iter().skip(1) {
            let _ = Command::new("kill").arg(pid.to_string()).status();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder that is removed with its server.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self> {
        let name = format!("tidings-load-{}-{}", std::process::id(), free_port()?);
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Where the programs of the comparison are.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Programs {
    /// Our own server
    #[arg(long, default_value = "target/release/tidings")]
    pub(crate) tidings: PathBuf,
    /// The folder of the small servers, after `npm ci`
    #[arg(long, default_value = "tools/load/peers")]
    pub(crate) peers: PathBuf,
    /// The folder of the servers that `peers/install.sh` builds
    #[arg(long, default_value_os_t = built())]
    built: PathBuf,
    /// Hubs of our server, or threads of a server that is told how many
    #[arg(long, default_value_t = 1)]
    pub(crate) threads: u16,
}

impl Programs {
    pub(crate) fn built(&self, name: &str) -> PathBuf {
        self.built.join("bin").join(name)
    }
}

/// Where `peers/install.sh` builds: a folder of caches, not the source tree.
fn built() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    cache.unwrap_or_else(home).join("tidings-peers")
}

/// Starts a server by its name: `tidings`, `tidings-tls`, `tidings-logging` (each event, as JSON),
/// `floor`, `floor-16` (frames per write),
/// `uws`, `ws`, `socketio`, `nats`, `mosquitto`, `sockudo`, `nchan`, `centrifuge`.
pub(crate) fn start(name: &str, programs: &Programs) -> Result<Server> {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
    let folder = Folder::new()?;
    let mut command = launch::command(name, programs, address, &folder.0)?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| {
            format!("starting {name} ({command:?}); is it installed? See peers/README.md")
        })?;
    // The output of servers that report readiness is read, so that their pipe does not fill up.
    if let Some(stdout) = child.stdout.take() {
        std::thread::spawn(move || BufReader::new(stdout).lines().for_each(drop));
    }
    let mut server = Server {
        child,
        address,
        folder,
    };
    let began = Instant::now();
    while TcpStream::connect(address).is_err() {
        if let Some(status) = server.child.try_wait()? {
            bail!("{name} ended with {status} instead of listening");
        }
        if began.elapsed() > Duration::from_secs(10) {
            bail!("{name} does not listen on {address} after 10 s");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    // The probe's connection is gone, and the start is complete.
    std::thread::sleep(Duration::from_millis(500));
    Ok(server)
}

/// The driver for a server of this name.
pub(crate) fn driver(name: &str) -> &str {
    name.split('-').next().unwrap_or(name)
}

pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
