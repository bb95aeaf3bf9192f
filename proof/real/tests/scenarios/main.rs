//! Every scenario file with the Rust SDK against the real program, in real time.
//!
//! Scenarios that take longer than 15 s run only with `TIDINGS_SCENARIOS=all`; the simulator runs
//! them in virtual time anyway. `TIDINGS_SCENARIOS=<word>` runs those with the word in their name.

#![allow(unreachable_pub, reason = "modules of a test")]

mod invitations;
mod runner;
mod server;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Scenarios at once: most of their time is waiting.
const AT_ONCE: usize = 16;
/// Longest run by default.
const SHORT_MS: u64 = 15_000;

fn files() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../proof/scenarios");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    files
}

// proves: rtm-8-one-suite
#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_is_kept_by_the_rust_sdk_and_the_program() {
    let wanted = std::env::var("TIDINGS_SCENARIOS").unwrap_or_default();
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let mut runs = JoinSet::new();
    for path in files() {
        let file = path
            .file_name()
            .expect("a file")
            .to_string_lossy()
            .into_owned();
        let text = std::fs::read_to_string(&path).expect("UTF-8");
        let scenario =
            tidings_scenario::parse(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        let is_wanted = match wanted.as_str() {
            "" => scenario.duration_ms() <= SHORT_MS,
            "all" => true,
            word => file.contains(word),
        };
        if is_wanted {
            let turns = turns.clone();
            runs.spawn(async move {
                let _turn = turns.acquire_owned().await;
                runner::run(&scenario, &file).await
            });
        }
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
