//! What the live path promises, with many seeds.

use tidings_cluster::simulated::promises;

#[test]
fn every_promise_is_kept_with_every_seed() {
    let mut broken = Vec::new();
    for (check, what, run) in promises::ALL {
        for seed in 1..=12 {
            if let Err(text) = run(seed) {
                broken.push(format!("{check}: {what}: seed {seed}: {text}"));
                break;
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
