//! `tidings cluster`: makes a cluster, looks at it, and has its nodes drain.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use tidings_server::{
    ClusterError, ClusterKey, ClusterNode, ClusterReport, ClusterSettings, cluster_status,
    drain_node, init_cluster,
};

use crate::failure::Failure;
use crate::output;
use crate::settings::Settings;
use crate::settings::values::Span;
use crate::words::counted;

#[derive(Subcommand)]
pub(crate) enum ClusterCommand {
    /// Make what the nodes of a cluster need at NATS, and the cluster's key if there is none yet
    Init(ClusterArguments),
    /// Show the nodes of a cluster and the NATS servers that join them
    Status(ClusterStatusArguments),
    /// Have a node send its clients to the others and let nobody in
    Drain(DrainArguments),
    /// Make a key for a cluster: its nodes share it
    Key(ClusterKeyArguments),
}

/// Which cluster, as the settings of one of its nodes say.
#[derive(Args)]
pub(crate) struct ClusterReach {
    /// TOML file with the settings of a node
    #[arg(long, env = "TIDINGS_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,

    /// Name of the cluster
    #[arg(long, env = "TIDINGS_CLUSTER_NAME", value_name = "NAME")]
    cluster_name: Option<String>,

    /// NATS server that joins the nodes; repeat for each server
    #[arg(
        long,
        env = "TIDINGS_CLUSTER_NATS",
        value_name = "URL",
        value_delimiter = ',',
        hide_env_values = true
    )]
    cluster_nats: Option<Vec<String>>,

    /// File with the credentials for NATS
    #[arg(long, env = "TIDINGS_CLUSTER_CREDENTIALS", value_name = "FILE")]
    cluster_credentials: Option<PathBuf>,

    /// PEM file with the authorities that vouch for the NATS servers [default: the public ones]
    #[arg(long, env = "TIDINGS_CLUSTER_CA", value_name = "FILE")]
    cluster_ca: Option<PathBuf>,

    /// File with the key of the cluster
    #[arg(long, env = "TIDINGS_CLUSTER_KEY_FILE", value_name = "FILE")]
    cluster_key_file: Option<PathBuf>,
}

#[derive(Args)]
#[command(
    after_help = "Run it once, with the settings of a node, before the first node starts. Run again, it
changes nothing that is as it must be.

Example:
  tidings cluster init --config /etc/tidings/tidings.toml"
)]
pub(crate) struct ClusterArguments {
    #[command(flatten)]
    reach: ClusterReach,
}

#[derive(Args)]
#[command(after_help = "Example:
  tidings cluster status --config /etc/tidings/tidings.toml")]
pub(crate) struct ClusterStatusArguments {
    /// Print everything as one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    reach: ClusterReach,
}

#[derive(Args)]
#[command(
    after_help = "The node goes on running, empty and not ready, until it is stopped: then update it, or its
machine, and start it again.

Examples:
  tidings cluster drain chat-2 --config /etc/tidings/tidings.toml
  tidings cluster drain 1 --config /etc/tidings/tidings.toml"
)]
pub(crate) struct DrainArguments {
    /// The node's number, or its name if no other has it; `cluster status` shows both
    #[arg(value_name = "NODE")]
    node: String,

    /// How long to wait until the node has begun; a number without a unit is seconds
    #[arg(long, value_name = "TIME", default_value = "10s")]
    wait: Span,

    #[command(flatten)]
    reach: ClusterReach,
}

#[derive(Args)]
#[command(after_help = "Example:
  tidings cluster key --to /etc/tidings/cluster.key
      Then copy the file to each node of the cluster.")]
pub(crate) struct ClusterKeyArguments {
    /// File to write it to, which must not exist [default: the standard output]
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

/// Runs the sub-command.
pub(crate) fn run(command: ClusterCommand) -> Result<(), Failure> {
    match command {
        ClusterCommand::Init(arguments) => init(arguments.reach),
        ClusterCommand::Status(arguments) => status(arguments),
        ClusterCommand::Drain(arguments) => drain(arguments),
        ClusterCommand::Key(arguments) => key(arguments.to.as_deref()),
    }
}

impl ClusterReach {
    fn settings(self) -> Result<Settings, Failure> {
        let given = Settings::of_cluster(
            self.cluster_name,
            self.cluster_nats,
            self.cluster_credentials,
            self.cluster_ca,
            self.cluster_key_file,
        );
        match &self.config {
            Some(path) => Ok(given.or(Settings::read(path)?)),
            None => Ok(given),
        }
    }

    fn read(self) -> Result<ClusterSettings, Failure> {
        cluster_of(self.settings()?)
    }
}

/// Commands need less than a node does.
fn cluster_of(settings: Settings) -> Result<ClusterSettings, Failure> {
    let unsaid = || {
        Failure::new(
            "it is not said which cluster is meant",
            "give --config the settings file of a node, or --cluster-name, --cluster-nats and \
             --cluster-key-file",
        )
    };
    if !settings.has_cluster() {
        return Err(unsaid());
    }
    settings.for_command().cluster()?.ok_or_else(unsaid)
}

fn failure(error: &ClusterError) -> Failure {
    Failure::of(error, error.hint())
}

fn init(reach: ClusterReach) -> Result<(), Failure> {
    let settings = reach.settings()?;
    let mut text = String::new();
    if let Some(path) = settings.cluster_key_path()
        && !path.exists()
    {
        write_key(path)?;
        text += &format!(
            "a new key is in {}: copy it to each node of the cluster\n",
            path.display()
        );
    }
    let cluster = cluster_of(settings)?;
    let made = init_cluster(&cluster).map_err(|error| failure(&error))?;
    let state = if made.is_new {
        "is made"
    } else {
        "is as it must be"
    };
    text += &format!(
        "cluster {} {state}: bucket {} on {}\n",
        cluster.name,
        made.bucket,
        counted(made.copies, "NATS server", "NATS servers"),
    );
    if made.copies == 1 {
        text += "with one NATS server, the cluster is away when that is; three carry it safely\n";
    }
    output::write(&text)
}

fn status(arguments: ClusterStatusArguments) -> Result<(), Failure> {
    let cluster = arguments.reach.read()?;
    let report = cluster_status(&cluster).map_err(|error| failure(&error))?;
    if arguments.json {
        output::write_json(&report)
    } else {
        output::write(&described(&report))
    }
}

fn described(report: &ClusterReport) -> String {
    let leader = report.leader.as_deref().unwrap_or("none at the moment");
    let mut text = format!(
        "cluster  {}, {}\nleases   on {}, led by {leader}\n",
        report.name,
        counted(report.nodes.len(), "node", "nodes"),
        counted(report.copies, "NATS server", "NATS servers"),
    );
    for server in &report.nats {
        text += &format!(
            "nats     {}  {}  {}\n",
            server.url, server.state, server.version
        );
    }
    if report.nodes.is_empty() {
        return text;
    }
    let head = [
        "NODE",
        "NAME",
        "STATE",
        "AGE",
        "HUBS",
        "VERSION",
        "INCARNATION",
        "ADDRESS",
    ];
    let rows = report.nodes.iter().map(row);
    let rows: Vec<[String; 8]> = [head.map(str::to_owned)].into_iter().chain(rows).collect();
    text.push('\n');
    for row in &rows {
        let cells = row.iter().enumerate().map(|(at, cell)| {
            let width = rows.iter().map(|row| row[at].chars().count()).max();
            format!("{cell:<width$}", width = width.unwrap_or(0))
        });
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}

fn row(node: &ClusterNode) -> [String; 8] {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_s = now.map_or(0, |now| now.as_secs());
    let age = Duration::from_secs(now_s.saturating_sub(node.started_s));
    [
        node.node.to_string(),
        node.name.clone(),
        if node.draining { "draining" } else { "live" }.to_owned(),
        humantime::format_duration(age).to_string(),
        node.hubs.to_string(),
        node.version.clone(),
        node.incarnation.to_string(),
        node.advertise.clone(),
    ]
}

fn drain(arguments: DrainArguments) -> Result<(), Failure> {
    let cluster = arguments.reach.read()?;
    let wait = arguments.wait.of(Duration::from_secs(1));
    let node = drain_node(&cluster, &arguments.node, wait).map_err(|error| failure(&error))?;
    output::write(&format!(
        "node {} ({}) sends its clients away; it is empty when its metric tidings_sessions is 0\n",
        node.node, node.name
    ))
}

fn key(to: Option<&Path>) -> Result<(), Failure> {
    match to {
        Some(path) => {
            write_key(path)?;
            output::write(&format!(
                "the key is in {}: copy it to each node of the cluster\n",
                path.display()
            ))
        }
        None => output::write(&format!("{}\n", new_key()?.to_hex())),
    }
}

fn new_key() -> Result<ClusterKey, Failure> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| {
        Failure::new(
            format!("the system gives no random numbers: {error}"),
            "try again; a machine that has just booted may need a moment",
        )
    })?;
    Ok(ClusterKey(bytes))
}

fn write_key(path: &Path) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| {
        let key = new_key().map_err(|failure| std::io::Error::other(failure.to_string()))?;
        writeln!(file, "{}", key.to_hex())?;
        file.sync_all()
    });
    written.map_err(|error| {
        Failure::new(
            format!("cannot write a key to {}: {error}", path.display()),
            "name a file that does not exist, in a directory that you may write to",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_stand_in_columns() {
        let node = |node, name: &str, draining| ClusterNode {
            node,
            name: name.into(),
            incarnation: 40,
            advertise: "wss://a.example".into(),
            version: "0.2.0".into(),
            draining,
            hubs: 2,
            started_s: u64::MAX,
        };
        let report = ClusterReport {
            name: "prod".into(),
            nodes: vec![node(0, "chat-1", false), node(10, "c", true)],
            nats: Vec::new(),
            copies: 3,
            leader: Some("n1".into()),
        };
        let text = described(&report);
        let expected = "cluster  prod, 2 nodes\nleases   on 3 NATS servers, led by n1\n\n\
            NODE  NAME    STATE     AGE  HUBS  VERSION  INCARNATION  ADDRESS\n\
            0     chat-1  live      0s   2     0.2.0    40           wss://a.example\n\
            10    c       draining  0s   2     0.2.0    40           wss://a.example\n";
        assert_eq!(text, expected);
    }
}
