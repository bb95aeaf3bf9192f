//! What was found is put to its target again, and every target is fuzzed for a moment with a fixed
//! seed.

use std::time::Duration;

use tidings_fuzz::{run, targets};

/// For each target. The long runs are `cargo xtask fuzz`.
const MOMENT: Duration = Duration::from_millis(900);

#[test]
fn what_was_found_once_is_not_found_again() {
    let mut inputs = 0;
    for target in targets::all() {
        let Ok(files) = std::fs::read_dir(run::regressions(&target)) else {
            continue;
        };
        for file in files {
            let path = file.expect("the directory can be read").path();
            let input = std::fs::read(&path).expect("the file can be read");
            let checked = run::check(&target, &input);
            assert!(checked.is_ok(), "{}: {checked:?}", path.display());
            inputs += 1;
        }
    }
    println!("{inputs} inputs");
}

#[test]
fn every_target_stands_a_moment_of_hostile_bytes() {
    for target in targets::all() {
        let report = run::fuzz(&target, MOMENT, 20_261_123);
        println!("{report}");
        assert!(report.failure.is_none(), "{report}");
        assert!(report.inputs > 20 && report.answers > 1, "{report}");
    }
}
