//! Seeds that have found something, with what it was: each is run in every test run.

use tidings_sim::chaos::{ChaosConfig, run};

/// (seed, what it found)
const SEEDS: &[(u64, &str)] = &[
    (
        6,
        "a message that its sender was told had been dropped arrived after a resume",
    ),
    (
        95,
        "a member seen to leave was back after a hole and nobody was told",
    ),
    (
        225,
        "a channel of which only leavers were known was not compared after a hole",
    ),
    (
        250,
        "members were told to have left on the word of a list from before a second restart",
    ),
    (
        1380,
        "a member that joined and left inside a hole was told to leave twice",
    ),
    (1605, "the same with another order of list and leaving"),
    (
        13,
        "messages that a replaced session gave back came after later ones in the new session",
    ),
    (41, "the same with two second logins in a row"),
    (74, "the same with another order of answers"),
    (
        111,
        "a message that was only written at a resume was said not to arrive",
    ),
    (1391, "a first login that failed was never repeated"),
    (1920, "a user known to be out was told to leave"),
];

#[test]
fn what_was_found_once_stays_mended() {
    for (seed, found) in SEEDS {
        let report = run(&ChaosConfig::for_seed(*seed));
        assert!(
            report.violations.is_empty(),
            "seed {seed} ({found}): {:?}",
            report.violations
        );
    }
}
