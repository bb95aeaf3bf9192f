//! A cluster on this machine: three NATS servers, three nodes, the demo on each.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::setup::{root, target};
use crate::{cluster_files, nats, up};

/// NATS servers, and nodes.
const EACH: usize = 3;

/// How long everything may take until it runs.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long nodes may take to end.
const DRAIN: Duration = Duration::from_secs(40);

/// How often something is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Builds everything and runs the cluster until Ctrl-C.
pub(crate) fn run(first_port: u16, args: &[String]) -> Result<()> {
    let program = up::build_all()?;
    let folder = root().join(".tidings-cluster");
    let ports = (0..3).map(|at| first_port + at).collect::<Vec<_>>();
    let mut cluster = Cluster::start(&program, &folder, &ports, args)?;
    println!("\n  three nodes of one cluster; open the demo of two of them in two tabs:");
    for port in &ports {
        println!("  demo   http://127.0.0.1:{port}/demo");
    }
    println!(
        "\n  state  {} cluster status --config {}\
         \n  data   {}   (delete it to begin anew)\
         \n  stop   Ctrl-C\n",
        program.display(),
        cluster.settings(0).display(),
        folder.display()
    );
    let told = count_signals()?;
    while told.load(Ordering::Relaxed) == 0 {
        cluster.look()?;
        std::thread::sleep(LOOK);
    }
    println!("ending; a second Ctrl-C ends at once");
    cluster.end(&told)
}

/// Counts how often this task was asked to end.
fn count_signals() -> Result<Arc<AtomicUsize>> {
    let told = Arc::new(AtomicUsize::new(0));
    let count = told.clone();
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    std::thread::spawn(move || {
        for _ in signals.forever() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    Ok(told)
}

/// Checks the files for clusters; starts one of the test build, looks whether it is one, and ends
/// it.
pub(crate) fn gate() -> Result<()> {
    cluster_files::check()?;
    let program = target().join("debug/tidings");
    let folder = target().join("cluster-gate");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let ports = free_ports(EACH)?;
    let mut cluster = Cluster::start(&program, &folder, &ports, &[])?;
    let status = cluster.status()?;
    let living = status["nodes"].as_array().map_or(0, Vec::len);
    if living != EACH || status["copies"] != EACH {
        bail!("the cluster is not one of {EACH} nodes and {EACH} NATS servers: {status}");
    }
    cluster.pause_last()?;
    cluster.end(&AtomicUsize::new(1))
}

struct Cluster {
    program: PathBuf,
    folder: PathBuf,
    nats: Vec<Part>,
    nodes: Vec<Part>,
}

/// A running program, its output in a file. Killed when it is dropped.
struct Part {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Cluster {
    fn start(program: &Path, folder: &Path, ports: &[u16], args: &[String]) -> Result<Self> {
        let server = nats::server()?;
        fs::create_dir_all(folder)?;
        let mut cluster = Self {
            program: program.to_owned(),
            folder: folder.to_owned(),
            nats: Vec::new(),
            nodes: Vec::new(),
        };
        let clients = cluster.start_nats(&server)?;
        for (at, port) in ports.iter().enumerate() {
            cluster.write_settings(at, *port, &clients)?;
        }
        cluster.init()?;
        for (at, port) in ports.iter().enumerate() {
            let mut command = Command::new(program);
            command.args(["serve", "--dev", "--config"]);
            command.arg(cluster.settings(at)).args(args);
            cluster
                .nodes
                .push(cluster.part(&format!("node-{}", at + 1), command)?);
            cluster.wait_for(*port)?;
        }
        Ok(cluster)
    }

    /// Returns the ports for clients.
    fn start_nats(&mut self, server: &Path) -> Result<Vec<u16>> {
        let ports = free_ports(2 * EACH)?;
        let (clients, routes) = ports.split_at(EACH);
        let urls: Vec<_> = routes
            .iter()
            .map(|port| format!("nats://127.0.0.1:{port}"))
            .collect();
        for at in 0..EACH {
            let name = format!("nats-{}", at + 1);
            let config = self.folder.join(format!("{name}.conf"));
            let store = self.folder.join(&name);
            let text = format!(
                "server_name: {name}\nlisten: \"127.0.0.1:{}\"\n\
                 jetstream {{ store_dir: {:?}, sync_interval: always }}\n\
                 cluster {{ name: local, listen: \"127.0.0.1:{}\", routes: [{}] }}\n",
                clients[at],
                store.display().to_string(),
                routes[at],
                urls.join(", ")
            );
            fs::write(&config, text)?;
            let mut command = Command::new(server);
            command.arg("--config").arg(&config);
            self.nats.push(self.part(&name, command)?);
        }
        Ok(clients.to_vec())
    }

    /// The settings file of a node.
    fn settings(&self, at: usize) -> PathBuf {
        self.folder.join(format!("node-{}.toml", at + 1))
    }

    fn write_settings(&self, at: usize, port: u16, nats: &[u16]) -> Result<()> {
        let urls: Vec<_> = nats
            .iter()
            .map(|port| format!("\"nats://127.0.0.1:{port}\""))
            .collect();
        let name = format!("node-{}", at + 1);
        let text = format!(
            "listen = \"127.0.0.1:{port}\"\ndata-dir = {:?}\ndisk-reserve = \"256MiB\"\n\n\
             [cluster]\nname = \"local\"\nnats = [{}]\nkey-file = {:?}\n\
             advertise = \"ws://127.0.0.1:{port}\"\nnode-name = \"{name}\"\ndurability = \
             \"relaxed\"\n",
            self.folder.join(&name).display().to_string(),
            urls.join(", "),
            self.folder.join("cluster.key").display().to_string(),
        );
        fs::write(self.settings(at), text).context("writing a node's settings")
    }

    /// Makes what the nodes need at NATS, as soon as NATS is ready for that.
    fn init(&mut self) -> Result<()> {
        let began = Instant::now();
        loop {
            let output = Command::new(&self.program)
                .args(["cluster", "init", "--config"])
                .arg(self.settings(0))
                .output()
                .with_context(|| format!("running {}", self.program.display()))?;
            if output.status.success() {
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                bail!(
                    "the cluster is not made: {}",
                    String::from_utf8_lossy(&output.stderr)
                );
            }
            self.look()?;
            std::thread::sleep(LOOK);
        }
    }

    fn status(&self) -> Result<serde_json::Value> {
        let output = Command::new(&self.program)
            .args(["cluster", "status", "--json", "--config"])
            .arg(self.settings(0))
            .output()?;
        serde_json::from_slice(&output.stdout).with_context(|| {
            format!(
                "the cluster's state cannot be read: {}",
                String::from_utf8_lossy(&output.stderr)
            )
        })
    }

    /// Pauses the last node until its lease is over, and lets it go on: it has to start again by
    /// itself, in the same process, as another incarnation.
    fn pause_last(&mut self) -> Result<()> {
        let last = self.nodes.len() - 1;
        let name = self.nodes[last].name.clone();
        let before = self.incarnation(&name)?.context("the last node lives")?;
        self.nodes[last].signal("-STOP");
        self.until("the node that is paused is lost", |cluster| {
            Ok(cluster.incarnation(&name)?.is_none())
        })?;
        self.nodes[last].signal("-CONT");
        self.until("the node has started again", |cluster| {
            let again = cluster.incarnation(&name)?;
            Ok(again.is_some_and(|again| again > before))
        })?;
        self.look()
    }

    /// The incarnation of a node; `None` = it does not live.
    fn incarnation(&self, name: &str) -> Result<Option<u64>> {
        let status = self.status()?;
        let mut nodes = status["nodes"].as_array().into_iter().flatten();
        let node = nodes.find(|node| node["name"] == name);
        Ok(node.and_then(|node| node["incarnation"].as_u64()))
    }

    fn until(&self, what: &str, holds: impl Fn(&Self) -> Result<bool>) -> Result<()> {
        let began = Instant::now();
        while !holds(self)? {
            if began.elapsed() > PATIENCE {
                bail!("not within {} s: {what}", PATIENCE.as_secs());
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Waits until a node is ready.
    fn wait_for(&mut self, port: u16) -> Result<()> {
        let began = Instant::now();
        while !is_ready(port) {
            self.look()?;
            if began.elapsed() > PATIENCE {
                bail!(
                    "the node at port {port} is not ready; its log is in {}",
                    self.folder.display()
                );
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Starts a program in a process group of its own: Ctrl-C is for us.
    fn part(&self, name: &str, mut command: Command) -> Result<Part> {
        let log = self.folder.join(format!("{name}.log"));
        let output = File::create(&log)?;
        let child = command
            .env_remove("CARGO_MANIFEST_DIR")
            .env_remove("CARGO_PKG_NAME")
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        Ok(Part {
            name: name.to_owned(),
            child,
            log,
        })
    }

    /// Fails if a part has ended.
    fn look(&mut self) -> Result<()> {
        for part in self.nats.iter_mut().chain(&mut self.nodes) {
            if let Some(status) = part.child.try_wait()? {
                let said = fs::read_to_string(&part.log).unwrap_or_default();
                let lines: Vec<_> = said.lines().collect();
                let last = lines[lines.len().saturating_sub(20)..].join("\n");
                bail!(
                    "{} has ended with {status}; it said last:\n{last}",
                    part.name
                );
            }
        }
        Ok(())
    }

    /// Ends the nodes, then NATS, which they need to say that they leave.
    fn end(mut self, told: &AtomicUsize) -> Result<()> {
        for part in &self.nodes {
            part.terminate();
        }
        let began = Instant::now();
        for part in &mut self.nodes {
            let status = loop {
                match part.child.try_wait()? {
                    Some(status) => break status,
                    None if began.elapsed() > DRAIN => bail!("{} does not end", part.name),
                    // All of them are killed.
                    None if told.load(Ordering::Relaxed) > 1 => return Ok(()),
                    None => std::thread::sleep(LOOK),
                }
            };
            if !status.success() {
                let said = fs::read_to_string(&part.log).unwrap_or_default();
                bail!("{} has ended with {status}; it said:\n{said}", part.name);
            }
        }
        Ok(())
    }
}

impl Part {
    fn terminate(&self) {
        self.signal("-TERM");
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let _ = Command::new("kill").args([signal, &id]).status();
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_ready(port: u16) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream
            .write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        Ok::<_, std::io::Error>(head.ends_with(b" 200"))
    };
    ask().unwrap_or(false)
}

fn free_ports(count: usize) -> Result<Vec<u16>> {
    let open = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let listeners = (0..count).map(|_| open()).collect::<Result<Vec<_>, _>>()?;
    let port = |listener: &TcpListener| Ok(listener.local_addr()?.port());
    listeners.iter().map(port).collect()
}
