//! Servers that are started for a comparison, and stopped by the id of their process.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use serde_json::json;

use crate::drivers::sockudo::{KEY, SECRET};
use crate::scenario::{Name as Scenario, Size};

/// Name of the certificate in the folder of a server that speaks TLS.
const CERTIFICATE: &str = "certificate.pem";

/// A server that runs; it is stopped when this is dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    /// Settings and data of this run.
    folder: Folder,
}

impl Server {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The generator that loads this server, a process of its own: nothing of an earlier run is left in it.
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
    /// The folder of the servers that `peers/install.sh` builds
    #[arg(long, default_value_os_t = built())]
    built: PathBuf,
    /// Hubs of our server, or threads of a server that is told how many
    #[arg(long, default_value_t = 1)]
    threads: u16,
}

impl Programs {
    fn built(&self, name: &str) -> PathBuf {
        self.built.join("bin").join(name)
    }
}

/// Where `peers/install.sh` builds: a folder of caches, not the source tree.
fn built() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    cache.unwrap_or_else(home).join("tidings-peers")
}

/// Starts a server by its name: `tidings`, `tidings-tls`, `floor`, `floor-16` (frames per write), `uws`, `ws`, `socketio`, `nats`,
/// `mosquitto`, `sockudo`, `nchan`, `centrifuge`.
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
        folder,
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
        "tidings" | "tidings-tls" => {
            let mut command = Command::new(&programs.tidings);
            command
                .args(["serve", "--dev", "--log", "error", "--listen"])
                .arg(address.to_string())
                .args(["--hubs", &programs.threads.to_string()])
                .args(["--disk-reserve", "0"])
                .arg("--data-dir")
                .arg(folder.join("data"));
            if name == "tidings-tls" {
                let key = folder.join("key.pem");
                let pair = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
                std::fs::write(folder.join(CERTIFICATE), pair.cert.pem())?;
                std::fs::write(&key, pair.signing_key.serialize_pem())?;
                command
                    .arg("--tls-cert")
                    .arg(folder.join(CERTIFICATE))
                    .arg("--tls-key")
                    .arg(key);
            }
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
        "sockudo" => {
            let config = folder.join("sockudo.json");
            std::fs::write(&config, sockudo_config(address).to_string())?;
            let mut command = Command::new(programs.built("sockudo"));
            command.arg("--config").arg(config);
            command.env("TOKIO_WORKER_THREADS", programs.threads.to_string());
            command
        }
        "centrifuge" => {
            let mut command = Command::new(programs.built("centrifuge"));
            command.arg(&port);
            command.env("GOMAXPROCS", programs.threads.to_string());
            command
        }
        "nchan" => {
            let config = folder.join("nginx.conf");
            std::fs::write(&config, nchan_config(address, folder, programs.threads))?;
            let mut command = Command::new("nginx");
            command
                .arg("-p")
                .arg(folder)
                .arg("-e")
                .arg(folder.join("error.log"));
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

fn sockudo_config(address: SocketAddr) -> serde_json::Value {
    let limits =
        json!({ "max_connections": 1_000_000, "max_client_events_per_second": 10_000_000 });
    let features = json!({ "enable_client_messages": true });
    let app = json!({
        "id": "load", "key": KEY, "secret": SECRET, "enabled": true,
        "policy": { "limits": limits, "features": features },
    });
    json!({
        "host": address.ip(), "port": address.port(),
        "app_manager": { "driver": "memory", "array": { "apps": [app] } },
        "metrics": { "enabled": false },
        "rate_limiter": { "enabled": false },
        "http_api": { "accept_traffic": { "enabled": false } },
        "websocket": { "max_messages": 1_000_000, "max_bytes": 1 << 30, "max_backpressure": 1 << 30 },
    })
}

fn nchan_config(address: SocketAddr, folder: &Path, threads: u16) -> String {
    let folder = folder.display();
    format!(
        "load_module /usr/lib/nginx/modules/ngx_nchan_module.so;\n\
         daemon off;\nworker_processes {threads};\nworker_rlimit_nofile 20000;\npid {folder}/pid;\n\
         events {{ worker_connections 19000; }}\n\
         http {{\n access_log off;\n error_log {folder}/error.log crit;\n nchan_shared_memory_size 512m;\n\
         client_body_temp_path {folder}/body;\n proxy_temp_path {folder}/proxy;\n fastcgi_temp_path {folder}/fastcgi;\n\
         uwsgi_temp_path {folder}/uwsgi;\n scgi_temp_path {folder}/scgi;\n\
         server {{\n  listen {address} backlog=4096;\n\
         location ~ ^/room/(\\d+)$ {{\n nchan_pubsub websocket;\n nchan_channel_id $1;\n\
         nchan_message_buffer_length 1000;\n nchan_message_timeout 10s;\n nchan_subscriber_first_message newest;\n }}\n }}\n}}\n"
    )
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
