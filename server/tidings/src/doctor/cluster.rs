//! Whether a node could join its cluster.

use std::path::Path;

use tidings_server::{ClusterReport, ClusterSettings, ServerConfig, cluster_status};

use super::Findings;
use crate::settings::is_open_to_others;
use crate::words::counted;

/// Looks at what a node of a cluster needs; at nothing, if the server is alone.
pub(super) fn look(findings: &mut Findings, config: &ServerConfig, key_file: Option<&Path>) {
    let Some(cluster) = &config.cluster else {
        return;
    };
    if let Some(path) = key_file {
        look_at_key(findings, path);
    }
    let what = format!("cluster {}", cluster.name);
    match cluster_status(cluster) {
        Ok(report) => look_at_nodes(findings, &what, cluster, &report),
        Err(error) => findings.bad(&what, &error.to_string(), &error.hint()),
    }
    if config.admin_listen.is_none() {
        findings.doubtful(
            "health",
            "while this node waits for NATS, nothing says so: there is no --admin-listen",
            "give --admin-listen 127.0.0.1:7401, and have balancers ask /readyz there",
        );
    }
    findings.doubtful(
        "durability",
        "relaxed: stored messages, histories and attributes stay on the node that took them",
        "take it as it is, or run one server until a later version stores for the whole cluster",
    );
}

fn look_at_key(findings: &mut Findings, path: &Path) {
    let what = format!("key of the cluster {}", path.display());
    if is_open_to_others(path) {
        findings.doubtful(
            &what,
            "other users of this machine can read it",
            &format!("chmod 0600 {}", path.display()),
        );
    } else {
        findings.good(&what, "nobody else can read it");
    }
}

fn look_at_nodes(
    findings: &mut Findings,
    what: &str,
    cluster: &ClusterSettings,
    report: &ClusterReport,
) {
    let nodes = counted(report.nodes.len(), "node lives", "nodes live");
    let found = format!(
        "{nodes}, leases on {}",
        counted(report.copies, "NATS server", "NATS servers")
    );
    if report.copies == 1 {
        findings.doubtful(
            what,
            &format!("{found}: when it is away, so is the cluster"),
            "run three NATS servers as one NATS cluster, then `tidings cluster init` again",
        );
    } else {
        findings.good(what, &found);
    }
    let away = report
        .nats
        .iter()
        .filter(|server| server.version.is_empty());
    for server in away {
        findings.doubtful(
            &format!("NATS server {}", server.url),
            &server.state,
            "start it, or take it out of --cluster-nats",
        );
    }
    let same = report
        .nodes
        .iter()
        .filter(|node| node.name == cluster.node_name);
    let same = same.count();
    if same > 1 {
        findings.doubtful(
            "node name",
            &format!("{same} nodes that live are called {}", cluster.node_name),
            "give each node a --cluster-node-name of its own",
        );
    }
}
