//! Users on a cluster of three nodes and three NATS servers, all real processes, while things are
//! done to them. `cargo xtask long` runs the same for hours.

use std::time::Duration;

use tidings_proof::cluster::Cluster;
use tidings_proof::program;
use tidings_proof::soak::{Act, Report, Settings, run_on};

async fn soak(duration: Duration, seed: u64, acts: &[Act]) -> Report {
    program::build();
    let mut cluster = Cluster::start(3).await.expect("a cluster");
    let mut settings = Settings::new(duration, seed);
    settings.stores = false;
    settings.is_mixed = std::env::var_os("TIDINGS_MIXED").is_some();
    let report = run_on(&settings, &mut cluster, acts).await;
    let report = report.expect("processes and clients start");
    println!("{report}");
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn users_of_three_nodes_miss_nothing_over_cut_connections() {
    let report = soak(Duration::from_secs(20), 1, &[]).await;
    assert!(report.is_good());
}

#[tokio::test(flavor = "multi_thread")]
async fn users_miss_nothing_over_a_rolling_restart() {
    let report = soak(Duration::from_secs(30), 2, &[Act::RestartNode; 2]).await;
    assert!(report.is_good());
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_told_of_what_is_lost_with_a_node() {
    let acts = [Act::KillNode, Act::KillNats, Act::IsolateNode(15)];
    let report = soak(Duration::from_secs(60), 3, &acts).await;
    assert!(report.is_good());
}
