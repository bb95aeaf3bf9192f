//! Every scenario file with the JavaScript SDK (in Node) against the real program, in real time.
//!
//! Needs the built SDK: `npm ci && npm run build` in `clients/js/rtm`. Which scenarios run is
//! decided as for the Rust SDK: those of up to 15 s, all with `TIDINGS_SCENARIOS=all`, or those
//! with the given word in their name.

#![allow(unreachable_pub, reason = "modules of a test")]

mod driver;
mod proxy;
#[path = "../scenarios/server.rs"]
mod server;
mod translate;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tidings_scenario::files;

/// Scenarios at once: most of their time is waiting.
const AT_ONCE: usize = 12;
// proves: rtm-8-one-suite
#[test]
fn every_scenario_is_kept_by_the_javascript_sdk_and_the_program() {
    let sdk = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../clients/js/rtm/dist/index.mjs");
    assert!(
        sdk.exists(),
        "build the SDK first: npm ci && npm run build in clients/js/rtm"
    );
    let word = std::env::var("TIDINGS_SCENARIOS").unwrap_or_default();
    let wanted = files::wanted(&word).expect("well-formed scenarios");
    let queue = Arc::new(Mutex::new(wanted));
    let count = queue.lock().expect("no thread has panicked").len();
    assert!(count > 0, "no scenario has the wanted name");
    let threads: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let queue = Arc::clone(&queue);
            std::thread::spawn(move || {
                let mut failures = Vec::new();
                loop {
                    let next = queue.lock().expect("no thread has panicked").pop();
                    let Some((name, scenario)) = next else {
                        return failures;
                    };
                    failures.extend(driver::run(&scenario, &name).err());
                }
            })
        })
        .collect();
    let failures: Vec<String> = threads
        .into_iter()
        .flat_map(|thread| thread.join().expect("a runner panicked"))
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {count} scenarios were not kept:\n\n{}",
        failures.len(),
        failures.join("\n")
    );
}
