//! Servers that are started for a comparison, and stopped by the id of their process.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// A server that runs; it is stopped when this is dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    /// Settings and data of this run.
    _folder: Folder,
}

impl Server {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
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

/// A folder that goes with its server.
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
    #[arg(long, default_value = "crates/tidings-load/peers")]
    pub(crate) peers: PathBuf,
    /// Hubs of our server, or threads of a server that is told how many
    #[arg(long, default_value_t = 1)]
    threads: u16,
}

/// Starts a server by its name: `tidings`, `floor`, `floor-16` (frames per write), `uws`, `ws`, `socketio`, `nats`,
/// `mosquitto`.
pub(crate) fn start(name: &str, programs: &Programs) -> Result<Server> {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
    let folder = Folder::new()?;
    let mut command = command(name, programs, address, &folder.0)?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| {
            format!("starting {name} ({command:?}); is it installed? See peers/README.md")
        })?;
    // Servers that say when they are ready are read, so that their pipe does not fill up.
    if let Some(stdout) = child.stdout.take() {
        std::thread::spawn(move || BufReader::new(stdout).lines().for_each(drop));
    }
    let server = Server {
        child,
        address,
        _folder: folder,
    };
    let began = Instant::now();
    while TcpStream::connect(address).is_err() {
        if began.elapsed() > Duration::from_secs(10) {
            bail!("{name} does not listen on {address} after 10 s");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    // The probe's connection is gone, and what a start costs is over.
    std::thread::sleep(Duration::from_millis(500));
    Ok(server)
}

/// The driver that speaks to a server of this name.
pub(crate) fn driver(name: &str) -> &str {
    name.split('-').next().unwrap_or(name)
}

fn command(name: &str, programs: &Programs, address: SocketAddr, folder: &Path) -> Result<Command> {
    let port = address.port().to_string();
    let script = |runtime: &str, file: &str| {
        let mut command = Command::new(runtime);
        command.arg(programs.peers.join(file)).arg(&port);
        command
    };
    Ok(match name {
        "tidings" => {
            let mut command = Command::new(&programs.tidings);
            command
                .args(["serve", "--dev", "--log", "error", "--listen"])
                .arg(address.to_string())
                .args(["--hubs", &programs.threads.to_string()])
                .args(["--disk-reserve", "0"])
                .arg("--data-dir")
                .arg(folder.join("data"));
            command
        }
        "uws" => {
            let bun = programs.peers.join("node_modules/.bin/bun");
            let mut command = Command::new(bun);
            command.arg(programs.peers.join("uws.mjs")).arg(&port);
            command
        }
        "ws" => script("node", "ws.mjs"),
        "socketio" => script("node", "socketio.mjs"),
        "nats" => {
            let config = folder.join("nats.conf");
            let text = format!(
                "listen: 127.0.0.1:{}\nmax_connections: 100000\nmax_pending: 256MB\nwrite_deadline: \"60s\"\n\
                 ping_interval: \"30s\"\nwebsocket {{ listen: \"{address}\", no_tls: true, compression: false }}\n",
                free_port()?
            );
            std::fs::write(&config, text)?;
            let mut command = Command::new("nats-server");
            command.arg("--config").arg(config);
            command.env("GOMAXPROCS", programs.threads.to_string());
            command
        }
        "mosquitto" => {
            let config = folder.join("mosquitto.conf");
            let text = format!(
                "listener {port}\nbind_interface lo\nprotocol websockets\nallow_anonymous true\nmax_queued_messages 0\n\
                 set_tcp_nodelay true\nlog_type none\n"
            );
            std::fs::write(&config, text)?;
            let mut command = Command::new("mosquitto");
            command.arg("-c").arg(config);
            command
        }
        name => {
            let frames = match name.split_once('-') {
                None if name == "floor" => "1",
                Some(("floor", frames)) => frames,
                _ => bail!("there is no server {name:?}"),
            };
            let mut command = Command::new(std::env::current_exe()?);
            command
                .args(["floor", "--frames-per-write", frames, "--listen"])
                .arg(address.to_string());
            command
        }
    })
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
