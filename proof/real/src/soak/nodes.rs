//! The same users on a cluster: nodes are killed, stopped, cut off and restarted, NATS servers too.
//!
//! Stored messages stay on the node that took them, so nobody writes to users who are away.

use std::time::Duration;

use tokio::time::Instant;

use super::{Begun, Report, Settings, wait_out};
use crate::cluster::Cluster;
use crate::program::Signal;
use crate::random::Random;
use crate::{Failure, pace};

/// Something that is done to a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// A node is killed and, after its lease is over, started again.
    KillNode,
    /// A node ends in order, and is started again: a rolling restart.
    RestartNode,
    /// A node's process is stopped for so many seconds.
    PauseNode(u64),
    /// A node is cut off from all NATS servers for so many seconds.
    IsolateNode(u64),
    /// A NATS server is killed and started again.
    KillNats,
}

impl Act {
    /// Whether users of the node may have lost what was under way: they are told of a gap.
    fn excuses_gaps(self) -> bool {
        match self {
            Self::RestartNode => false,
            Self::KillNode | Self::PauseNode(_) | Self::IsolateNode(_) | Self::KillNats => true,
        }
    }
}

/// Runs it on a cluster, and does these things to it, spread over the run; the seed says to whom.
///
/// # Errors
/// [`Failure`] when a process or a client cannot be started. Broken promises are in the report.
pub async fn run_on(
    settings: &Settings,
    cluster: &mut Cluster,
    acts: &[Act],
) -> Result<Report, Failure> {
    let begun = Begun::begin(settings, &cluster.clients()).await?;
    let mut chance = Random::new(settings.seed, 77);
    let steps = u32::try_from(acts.len())
        .unwrap_or(u32::MAX)
        .saturating_add(1);
    for act in acts {
        let next = Instant::now() + settings.duration / steps;
        wait_out(&begun.run, &begun.parties, next).await;
        if act.excuses_gaps() {
            begun.run.judge(|judge| {
                for party in &begun.parties {
                    judge.excuse(&party.name);
                }
            });
        }
        let at = chance.between(0, cluster.places() as u64 - 1) as usize;
        println!("{act:?} {at}");
        carry_out(*act, at, cluster).await?;
    }
    let end = Instant::now() + settings.duration / steps;
    wait_out(&begun.run, &begun.parties, end).await;
    let mut report = begun.end().await?;
    report.log = cluster.log();
    Ok(report)
}

/// After it the cluster is whole again.
async fn carry_out(act: Act, at: usize, cluster: &mut Cluster) -> Result<(), Failure> {
    match act {
        Act::KillNode => {
            cluster.kill_node(at);
            pace(Duration::from_secs(8)).await;
            cluster.start_node(at).await
        }
        Act::RestartNode => {
            cluster.end_node(at)?;
            cluster.start_node(at).await
        }
        Act::PauseNode(seconds) => {
            cluster.signal_node(at, Signal::Stop)?;
            cluster.hide_node(at);
            pace(Duration::from_secs(seconds)).await;
            cluster.signal_node(at, Signal::Continue)?;
            revive(at, cluster).await
        }
        Act::IsolateNode(seconds) => {
            cluster.isolate_node(at, true);
            pace(Duration::from_secs(seconds)).await;
            cluster.isolate_node(at, false);
            revive(at, cluster).await
        }
        Act::KillNats => {
            let at = at % cluster.nats.addresses().len();
            cluster.nats.kill(at);
            pace(Duration::from_secs(5)).await;
            cluster.nats.start_again(at).await
        }
    }
}

/// A node that was away for longer than its lease ends by itself; as a supervisor would, starts it
/// again.
async fn revive(at: usize, cluster: &mut Cluster) -> Result<(), Failure> {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(12) {
        if !cluster.is_running(at) {
            cluster.kill_node(at);
            return cluster.start_node(at).await;
        }
        pace(Duration::from_millis(100)).await;
    }
    cluster.tell_clients();
    Ok(())
}
