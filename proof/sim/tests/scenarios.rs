//! Every scenario file, in virtual time, with 1, 2 and 4 hubs, each seed twice with equal traces.

use std::path::PathBuf;

use tidings_scenario::parse;
use tidings_sim::scenario::run;

fn files() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../proof/scenarios");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the scenarios folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    files
}

// proves: rtm-8-one-suite
#[test]
fn every_scenario_is_kept_with_1_2_and_4_hubs() {
    let mut failures = Vec::new();
    let files = files();
    assert!(!files.is_empty(), "no scenario was found");
    for path in files {
        let text = std::fs::read_to_string(&path).expect("a scenario");
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let scenario = parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
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
