//! Every scenario file with the Rust SDK against the real program, in real time.
//!
//! Scenarios that take longer than 15 s run only with `TIDINGS_SCENARIOS=all`; the simulator runs
//! them in virtual time anyway. `TIDINGS_SCENARIOS=<word>` runs those with the word in their name.

#![allow(unreachable_pub, reason = "modules of a test")]

mod invitations;
mod runner;
mod server;

use std::sync::Arc;

use tidings_scenario::files;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Scenarios at once: most of their time is waiting.
const AT_ONCE: usize = 16;
// proves: rtm-8-one-suite
#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_is_kept_by_the_rust_sdk_and_the_program() {
    let wanted = std::env::var("TIDINGS_SCENARIOS").unwrap_or_default();
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let mut runs = JoinSet::new();
    for (file, scenario) in files::wanted(&wanted).expect("well-formed scenarios") {
        let turns = turns.clone();
        runs.spawn(async move {
            let _turn = turns.acquire_owned().await;
            runner::run(&scenario, &file).await
        });
    }
    assert!(!runs.is_empty(), "no scenario has {wanted:?} in its name");
    let count = runs.len();
    let results = runs.join_all().await;
    let failures: Vec<_> = results.into_iter().filter_map(Result::err).collect();
    assert!(
        failures.is_empty(),
        "{} of {count} scenarios were not kept:\n\n{}",
        failures.len(),
        failures.join("\n")
    );
}
