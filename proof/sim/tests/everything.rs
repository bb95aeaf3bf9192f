//! Two users with 20 channels each, all features at once, for ten simulated minutes under faults: a
//! few seeds in every test run. More: `cargo run --release -p tidings-sim --example everything --
//! --from 1 --count 1000`.

use tidings_sim::everything::run;

/// Seeds of one run; every fifth kills the server.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=10;

// proves: rtm-10-everything, rtm-3.1-no-repeats
#[test]
fn every_answer_and_event_is_as_the_model_has_it() {
    for seed in SEEDS {
        let report = run(seed, false);
        assert!(
            report.violations.is_empty(),
            "seed {seed}: {:#?}",
            report.violations
        );
        assert!(
            report.calls > 100 && report.faults > 0,
            "seed {seed}: {report:?}"
        );
        assert_eq!(
            run(seed, false).trace_hash,
            report.trace_hash,
            "seed {seed} is not repeatable"
        );
    }
}
