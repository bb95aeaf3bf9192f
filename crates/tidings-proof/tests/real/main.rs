//! The short editions of the proofs with real processes, for every test run.

use std::process::Command;
use std::sync::Once;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tidings_proof::soak::{self, Settings};

/// Builds the program that the proofs start.
fn build() {
    static BUILT: Once = Once::new();
    BUILT.call_once(|| {
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package", "tidings"])
            .status()
            .expect("cargo starts");
        assert!(status.success(), "the program does not build");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_behind_broken_networks_get_everything_once_and_in_order() {
    build();
    // Other faults in every run; the failure says which.
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let seed = now.expect("it is after 1970").as_secs();
    let settings = Settings::new(Duration::from_secs(10), seed);
    let report = soak::run(&settings).await.expect("the run can be made");
    println!("seed {seed}: {report}");
    assert!(report.is_good(), "seed {seed}: {report}");
    assert!(report.verdict.promised > 300, "too little load: {report}");
    assert!(report.tally.cuts() > 30, "too few cuts: {report}");
}
