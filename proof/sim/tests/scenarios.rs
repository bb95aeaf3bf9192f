//! Every scenario file, in virtual time, with 1, 2 and 4 hubs, each seed twice with equal traces.

use tidings_scenario::files;
use tidings_sim::scenario::run;

// proves: rtm-8-one-suite
#[test]
fn every_scenario_is_kept_with_1_2_and_4_hubs() {
    let mut failures = Vec::new();
    let files = files::all().expect("well-formed scenarios");
    assert!(!files.is_empty(), "no scenario was found");
    for (name, scenario) in files {
        for hubs in [1, 2, 4] {
            for seed in 1..=3 {
                let first = run(&scenario, &name, seed, hubs);
                let second = run(&scenario, &name, seed, hubs);
                assert_eq!(
                    first, second,
                    "sim.deterministic: {name}, seed {seed}, {hubs} hubs"
                );
                if let Err(failure) = first {
                    failures.push(failure);
                }
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures.join("\n")
    );
}
