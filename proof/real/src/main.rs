//! Runs a proof: `cargo xtask soak` and its kin call this.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use tidings_proof::cluster::Cluster;
use tidings_proof::proxy::Weather;
use tidings_proof::soak::{self, Act, Pauses, Settings};
use tidings_proof::{Failure, autobahn};

#[derive(Debug, Parser)]
#[command(about = "Proofs with real processes")]
struct Arguments {
    #[command(subcommand)]
    proof: Proof,
}

#[derive(Debug, Subcommand)]
enum Proof {
    /// SDK clients write to each other over broken networks.
    Soak {
        /// How long there are faults, in minutes.
        #[arg(long, default_value_t = 60.0)]
        minutes: f64,
        /// Decides the faults and what is written.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Groups of seven users.
        #[arg(long, default_value_t = 4)]
        groups: u32,
        /// Users are away for longer than the resume window, too: then gaps are told.
        #[arg(long)]
        long_outages: bool,
        /// The server's process is stopped for so many seconds, again and again.
        #[arg(long)]
        pause_seconds: Option<u64>,
        /// From one stop to the next.
        #[arg(long, default_value_t = 60, requires = "pause_seconds")]
        pause_every_seconds: u64,
    },
    /// The same on three nodes and three NATS servers, of which nodes are restarted, killed and cut
    /// off, and NATS servers killed. Clients of the Rust SDK only; nobody writes to users who are
    /// away. The variable TIDINGS_NATS_SERVER names nats-server.
    Nodes {
        /// How long there are faults, in minutes.
        #[arg(long, default_value_t = 5.0)]
        minutes: f64,
        /// Decides the faults and what is written.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Nodes are only restarted in order.
        #[arg(long)]
        only_restarts: bool,
    },
    /// Runs a command with a disk that forgets what was not synced; it is told where by variables.
    #[cfg(feature = "power")]
    Power {
        /// Decides what is forgotten.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// The command and its arguments.
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// WebSocket conformance of the server's codec and of the Rust SDK.
    Autobahn {
        /// The directory into which the package `kosoku` was installed.
        #[arg(long)]
        packages: PathBuf,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse().proof).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(2)
        }
    }
}

async fn run(proof: Proof) -> Result<bool, Failure> {
    match proof {
        Proof::Soak {
            minutes,
            seed,
            groups,
            long_outages,
            pause_seconds,
            pause_every_seconds,
        } => {
            let duration = Duration::try_from_secs_f64(minutes * 60.0);
            let duration = duration.map_err(|error| Failure::new(format!("--minutes: {error}")))?;
            let mut settings = Settings::new(duration, seed);
            settings.groups = groups;
            if long_outages {
                settings.weather = Weather::HURRICANE;
            }
            settings.pauses = pause_seconds.map(|seconds| Pauses {
                every: Duration::from_secs(pause_every_seconds),
                length: Duration::from_secs(seconds),
            });
            let report = soak::run(&settings).await?;
            println!("seed {seed}: {report}");
            Ok(report.is_good())
        }
        Proof::Nodes {
            minutes,
            seed,
            only_restarts,
        } => run_nodes(minutes, seed, only_restarts).await,
        #[cfg(feature = "power")]
        Proof::Power { seed, command } => {
            let run = move || tidings_proof::power::run(&command, seed);
            let report = tokio::task::spawn_blocking(run).await;
            let report = report.map_err(|error| Failure::new(error.to_string()))??;
            println!("seed {seed}: {report}");
            Ok(report.is_good)
        }
        Proof::Autobahn { packages } => {
            let server = autobahn::test_server(&packages)?;
            println!("server: {server}");
            let client = autobahn::test_client(&packages).await?;
            println!("client: {client}");
            Ok(server.is_good() && client.is_good())
        }
    }
}

/// One thing is done to the cluster each half minute.
async fn run_nodes(minutes: f64, seed: u64, only_restarts: bool) -> Result<bool, Failure> {
    let duration = Duration::try_from_secs_f64(minutes * 60.0);
    let duration = duration.map_err(|error| Failure::new(format!("--minutes: {error}")))?;
    let settings = Settings {
        stores: false,
        is_mixed: false,
        ..Settings::new(duration, seed)
    };
    let all = [
        Act::RestartNode,
        Act::KillNode,
        Act::KillNats,
        Act::IsolateNode(15),
        Act::PauseNode(20),
    ];
    let acts = if only_restarts { &all[..1] } else { &all[..] };
    let count = usize::try_from(duration.as_secs() / 30).unwrap_or(usize::MAX);
    let acts: Vec<Act> = acts.iter().copied().cycle().take(count.max(1)).collect();
    let mut cluster = Cluster::start(3).await?;
    let report = soak::run_on(&settings, &mut cluster, &acts).await?;
    println!("seed {seed}: {report}");
    Ok(report.is_good())
}
