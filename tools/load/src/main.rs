//! Load: what clients by the thousand do, and what it costs a server.
//!
//! One program has the generator (`run`), the floor (`floor`: a server that only moves frames) and
//! the comparison (`compare`: servers side by side, medians of several runs; `series` and `report`:
//! all of them, as a document). CPU and memory of the server are read from the operating system;
//! every message has a number and a time, so loss, doubles and disorder are counted and latency is
//! measured from the moment at which a message was due.
//!
//! Reading order: `scenario` (what is done), `engine` and `link` (connections), `drivers`
//! (protocols), `measure`.

mod calls;
mod compare;
mod drivers;
mod engine;
mod fairness;
mod floor;
mod hub;
mod launch;
mod link;
mod machine;
mod many;
mod measure;
mod report;
mod scenario;
mod series;
mod servers;
mod stamp;
mod watched;
mod wire;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::engine::Engine;
use crate::link::Target;
use crate::scenario::{Name, Report, Run, Size};

/// Load for messaging servers, and what it costs them.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Load a running server; one line of JSON is the result
    Run(RunArguments),
    /// Serve as the floor: move frames and nothing else
    Floor(floor::Settings),
    /// Start servers one after the other, load each, and compare
    Compare(compare::Settings),
    /// Call servers over HTTP, as backends do, one server after the other, and compare
    Calls(calls::Settings),
    /// Make all comparisons of calls, and the page about them
    CallsPage(calls::page::Settings),
    /// Load several servers of ours at the same time, each with a generator of its own
    Many(many::Settings),
    /// Compare in every scenario of the report
    Series(series::Settings),
    /// Make the document and its plots from the figures of a series
    Report(report::Settings),
    /// Compare what paced fan-out costs our server while it is watched with what it costs alone
    Watched(watched::Settings),
    /// Attack our server from one app, or as a stranger, and measure what users of another app
    /// notice
    Fairness(fairness::Settings),
}

/// One scenario against one server.
#[derive(clap::Args)]
struct RunArguments {
    /// What is done
    #[arg(value_enum)]
    scenario: Name,
    /// Address of the server
    #[arg(long, default_value = "127.0.0.1:7400")]
    server: SocketAddr,
    /// What the server speaks
    #[arg(long, default_value = "tidings")]
    driver: String,
    /// Process of the server, to read its CPU and memory; repeat it for several
    #[arg(long)]
    pid: Vec<u32>,
    /// PEM file of the server's certificate, which is believed; without it there is no TLS
    #[arg(long)]
    tls: Option<PathBuf>,
    /// Say `ready` when it could begin, and wait for a line of input: for generators that begin
    /// together
    #[arg(long)]
    meet: bool,
    #[command(flatten)]
    size: Size,
}

fn main() -> Result<()> {
    // Each connection is an open file.
    rlimit::increase_nofile_limit(rlimit::INFINITY)?;
    match Cli::parse().command {
        Command::Run(arguments) => {
            let report = load(&arguments)?;
            println!("{}", serde_json::to_string(&report)?);
            Ok(())
        }
        Command::Floor(settings) => floor::serve(&settings),
        Command::Compare(settings) => compare::run(&settings),
        Command::Calls(settings) => calls::run(&settings),
        Command::CallsPage(settings) => calls::page::run(&settings),
        Command::Many(settings) => many::run(&settings),
        Command::Series(settings) => series::run(&settings),
        Command::Report(settings) => report::run(&settings),
        Command::Watched(settings) => watched::run(&settings),
        Command::Fairness(settings) => fairness::run(&settings),
    }
}

fn load(arguments: &RunArguments) -> Result<Report> {
    let driver = drivers::of_name(
        &arguments.driver,
        arguments.size.first,
        arguments.size.members,
    )?;
    let target = Target {
        address: arguments.server,
        protocol: driver.protocol(),
        trust: arguments.tls.as_deref().map(wire::trust).transpose()?,
    };
    let engine = Engine::new(target, driver, arguments.size.first)?;
    let pids: Vec<u32> = arguments
        .pid
        .iter()
        .flat_map(|pid| measure::family(*pid))
        .collect();
    scenario::run(
        arguments.scenario,
        &mut Run {
            engine,
            size: &arguments.size,
            pids: &pids,
            meets: arguments.meet,
        },
    )
}
