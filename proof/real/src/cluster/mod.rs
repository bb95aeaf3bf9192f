//! A cluster of real processes: NATS servers and nodes, each of which can be killed, stopped, cut
//! off and started again.
//!
//! Everything listens on loopback. Each node reaches NATS over a network of its own
//! ([`crate::proxy`]), so that it can be cut off from all NATS servers while it and they go on.

mod nats;

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use self::nats::free_port;
pub use self::nats::{NATS_VARIABLE, Nats};
use crate::Failure;
use crate::program::{self, Program, Signal};
use crate::proxy::{Proxy, Targets, Weather};

/// Longest wait until a node that was started serves clients: it first takes a lease.
const READY_MAX: Duration = Duration::from_secs(30);

/// NATS servers with nodes on them.
#[derive(Debug)]
pub struct Cluster {
    /// The NATS servers.
    pub nats: Nats,
    /// The nodes that run, each with its place; `None` = it was killed.
    nodes: Vec<Option<Node>>,
    /// Where clients are: the nodes that run.
    clients: Targets,
    key: TempDir,
}

/// A node, and its way to NATS.
#[derive(Debug)]
pub struct Node {
    /// The process, with a data directory of its own.
    pub program: Program,
    /// One for each NATS server.
    links: Vec<Proxy>,
    /// Where each of the links goes.
    targets: Vec<(Targets, SocketAddr)>,
}

impl Cluster {
    /// Starts three NATS servers and so many nodes.
    ///
    /// # Errors
    /// [`Failure`] when a process cannot be started or is not ready in time.
    pub async fn start(nodes: usize) -> Result<Self, Failure> {
        let nats = Nats::start(3).await?;
        let key = TempDir::new().map_err(Failure::of("no temporary directory"))?;
        let mut cluster = Self {
            nats,
            nodes: vec![],
            clients: Targets::default(),
            key,
        };
        let hex: String = (0..32).map(|byte| format!("{byte:02x}")).collect();
        let path = cluster.key.path().join("cluster.key");
        std::fs::write(&path, hex).map_err(Failure::of("no file for the key"))?;
        let servers = cluster.nats.addresses();
        let mut init = vec!["cluster".to_owned(), "init".to_owned()];
        init.extend(identity(&path, &servers));
        // JetStream elects its leader first.
        let began = Instant::now();
        while let Err(failure) = tokio::task::block_in_place(|| program::call(&init)) {
            if began.elapsed() > READY_MAX {
                return Err(failure);
            }
        }
        cluster.nodes.resize_with(nodes, || None);
        for at in 0..nodes {
            cluster.start_node(at).await?;
        }
        Ok(cluster)
    }

    /// Where clients connect: to any of the nodes that run.
    pub fn clients(&self) -> Targets {
        self.clients.clone()
    }

    /// A node that runs, by its place from 0.
    pub fn node(&mut self, at: usize) -> Option<&mut Node> {
        self.nodes.get_mut(at)?.as_mut()
    }

    /// How many places for nodes there are.
    pub fn places(&self) -> usize {
        self.nodes.len()
    }

    /// Starts a node in a place that has none.
    ///
    /// # Errors
    /// [`Failure`] when it is not ready in time.
    pub async fn start_node(&mut self, at: usize) -> Result<(), Failure> {
        let mut links = vec![];
        let mut targets = vec![];
        for address in self.nats.addresses() {
            let target = Targets::from(address);
            links.push(Proxy::start(target.clone(), Weather::GUSTS, 0).await?);
            targets.push((target, address));
        }
        let key = self.key.path().join("cluster.key");
        let servers: Vec<SocketAddr> = links.iter().map(Proxy::address).collect();
        let listen = free_port()?;
        let mut arguments = identity(&key, &servers);
        arguments.extend([
            "--cluster-advertise".into(),
            format!("ws://{listen}"),
            "--cluster-durability".into(),
            "relaxed".into(),
            "--cluster-node-name".into(),
            format!("node-{at}"),
        ]);
        let began = Instant::now();
        let program = tokio::task::block_in_place(|| {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            Program::start_on(listen, &arguments)
        })?;
        if began.elapsed() > READY_MAX {
            return Err(Failure::new(format!(
                "node {at} took {:?} to start",
                began.elapsed()
            )));
        }
        self.nodes[at] = Some(Node {
            program,
            links,
            targets,
        });
        self.tell_clients();
        Ok(())
    }

    /// Kills a node where it stands. Its clients go elsewhere.
    pub fn kill_node(&mut self, at: usize) {
        self.nodes[at] = None;
        self.tell_clients();
    }

    /// Ends a node in order, and waits for it.
    ///
    /// # Errors
    /// [`Failure`] when it does not end in time, or not by itself.
    pub fn end_node(&mut self, at: usize) -> Result<(), Failure> {
        let Some(mut node) = self.nodes[at].take() else {
            return Ok(());
        };
        // As a load balancer that looks at /readyz.
        self.tell_clients();
        tokio::task::block_in_place(|| node.program.end())
    }

    /// Stops a node's process, or lets it go on.
    ///
    /// # Errors
    /// [`Failure`] when the process is gone.
    pub fn signal_node(&self, at: usize, signal: Signal) -> Result<(), Failure> {
        match &self.nodes[at] {
            Some(node) => node.program.signal(signal),
            None => Ok(()),
        }
    }

    /// Whether a node's process runs, stopped or not.
    pub fn is_running(&mut self, at: usize) -> bool {
        let node = self.nodes[at].as_mut();
        node.is_some_and(|node| node.program.is_running())
    }

    /// Cuts a node off from all NATS servers, or gives it its way back.
    pub fn isolate_node(&self, at: usize, is_isolated: bool) {
        let Some(node) = &self.nodes[at] else {
            return;
        };
        for (target, address) in &node.targets {
            target.set(if is_isolated { vec![] } else { vec![*address] });
        }
        for link in &node.links {
            link.cut();
        }
    }

    /// Lets clients connect to every node that runs.
    pub fn tell_clients(&self) {
        let nodes = self.nodes.iter().flatten();
        self.clients
            .set(nodes.map(|node| node.program.address()).collect());
    }

    /// Lets clients connect to every node that runs but this one.
    pub fn hide_node(&self, at: usize) {
        let nodes = self.nodes.iter().enumerate();
        let others = nodes.filter(|(place, _)| *place != at);
        let addresses = others.filter_map(|(_, node)| Some(node.as_ref()?.program.address()));
        self.clients.set(addresses.collect());
    }

    /// What the nodes that run have written to their logs.
    pub fn log(&self) -> String {
        let logs = self.nodes.iter().enumerate();
        let logs = logs
            .filter_map(|(at, node)| Some(format!("node {at}:\n{}", node.as_ref()?.program.log())));
        logs.collect()
    }
}

/// The arguments that say which cluster is meant.
fn identity(key: &Path, servers: &[SocketAddr]) -> Vec<String> {
    let mut arguments = vec![
        "--cluster-name".to_owned(),
        "proof".to_owned(),
        "--cluster-key-file".to_owned(),
        key.to_string_lossy().into_owned(),
    ];
    for server in servers {
        arguments.push("--cluster-nats".into());
        arguments.push(format!("nats://{server}"));
    }
    arguments
}
