//! Users on a cluster of three nodes and three NATS servers, all real processes, whose clients come
//! back on another node each time. What is done to nodes and NATS besides is told to
//! `tidings-proof nodes`, which runs for as long as it is to.

use std::time::Duration;

use tidings_proof::cluster::Cluster;
use tidings_proof::program;
use tidings_proof::soak::{Settings, run_on};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_doubled_or_disordered_while_sessions_move_between_nodes() {
    program::build();
    let mut cluster = Cluster::start(3).await.expect("a cluster");
    let settings = Settings {
        stores: false,
        is_mixed: false,
        ..Settings::new(Duration::from_secs(20), 1)
    };
    let report = run_on(&settings, &mut cluster, &[]).await;
    let report = report.expect("processes and clients start");
    println!("{report}");
    let verdict = &report.verdict;
    let broken = (verdict.lost, verdict.doubled, verdict.disordered);
    assert_eq!(broken, (0, 0, 0), "lost, doubled, out of order");
    assert_eq!(verdict.aborted, 0, "clients that gave up");
}
