//! NATS servers for tests: the real program, on loopback and free ports.

#![allow(dead_code, reason = "each test file uses its part")]

use std::fmt::Write as _;
use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::nats_program::program;
use tidings_server::{ClusterKey, ClusterSettings, Durability, NatsLogin};

/// Free ports, as many as are asked for; somebody else may take them before they are used.
pub(crate) fn free_ports(count: usize) -> Vec<u16> {
    let listeners: Vec<_> = (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0").expect("a port"))
        .collect();
    let port = |listener: &TcpListener| listener.local_addr().expect("an address").port();
    listeners.iter().map(port).collect()
}

/// A NATS server that ends with its test.
pub(crate) struct Nats {
    pub(crate) port: u16,
    config: PathBuf,
    folder: tempfile::TempDir,
    child: Option<Child>,
}

impl Nats {
    /// A server alone with JetStream.
    pub(crate) fn alone() -> Self {
        Self::with("jetstream { store_dir: STORE }")
    }

    /// A server alone with these lines of configuration, in which STORE is a folder.
    pub(crate) fn with(lines: &str) -> Self {
        let port = free_ports(1)[0];
        let mut nats = Self::stopped(port, lines);
        nats.start();
        nats
    }

    /// A server that is not started yet.
    pub(crate) fn stopped(port: u16, lines: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = folder.path().join("store");
        let lines = lines.replace("STORE", &format!("{:?}", store.display().to_string()));
        let config = folder.path().join("nats.conf");
        let text = format!("listen: 127.0.0.1:{port}\n{lines}\n");
        std::fs::write(&config, text).expect("a file");
        Self {
            port,
            config,
            folder,
            child: None,
        }
    }

    /// Three servers that are one NATS cluster.
    pub(crate) fn three() -> Vec<Self> {
        let ports = free_ports(6);
        let (clients, routes) = ports.split_at(3);
        let mut urls = String::new();
        for port in routes {
            let _ = write!(urls, "nats://127.0.0.1:{port} ");
        }
        let mut servers: Vec<Self> = (0..3)
            .map(|at| {
                let lines = format!(
                    "server_name: n{at}\njetstream {{ store_dir: STORE, sync_interval: always }}\n\
                     cluster {{ name: C, listen: \"127.0.0.1:{}\", routes: [{}] }}",
                    routes[at],
                    urls.trim().replace(' ', ", ")
                );
                Self::stopped(clients[at], &lines)
            })
            .collect();
        for server in &mut servers {
            server.start();
        }
        servers
    }

    /// Starts it, and waits until it accepts connections.
    pub(crate) fn start(&mut self) {
        let log = File::create(self.folder.path().join("log")).expect("a log");
        let child = Command::new(program())
            .arg("--config")
            .arg(&self.config)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("nats-server starts");
        self.child = Some(child);
        super::until("nats-server accepts connections", || {
            TcpStream::connect(self.address()).is_ok()
        });
    }

    /// Kills it; its data stay.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// What it has said.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Settings of a node of the cluster "test" at these servers.
pub(crate) fn settings(name: &str, servers: &[&Nats]) -> ClusterSettings {
    let servers = servers.iter();
    let servers = servers.map(|nats| format!("nats://{}", nats.address()).parse());
    ClusterSettings {
        name: "test".into(),
        servers: servers.collect::<Result<_, _>>().expect("addresses"),
        login: NatsLogin::Nobody,
        tls_ca: None,
        key: ClusterKey([7; 32]),
        advertise: format!("ws://{name}.example"),
        interest_settle_ms: 5,
        node_name: name.into(),
        durability: Durability::Relaxed,
    }
}
