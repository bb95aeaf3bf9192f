//! Seeds that once found something, with what it was: each runs in every test run.

use std::fs;
use std::path::PathBuf;

use tidings_sim::chaos::run;
use tidings_sim::options;

/// The value of a line of a stored seed.
fn field<'a>(text: &'a str, name: &str) -> &'a str {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no line {name:?} in {text:?}"))
        .trim()
}

#[test]
fn what_was_found_once_stays_mended() {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/seeds");
    let mut count = 0;
    for entry in fs::read_dir(directory).expect("stored seeds") {
        let path = entry.expect("a stored seed").path();
        if path.extension().is_none_or(|extension| extension != "txt") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a stored seed");
        let (date, found) = (field(&text, "date:"), field(&text, "found:"));
        let words: Vec<String> = field(&text, "run:")
            .split_whitespace()
            .map(Into::into)
            .collect();
        let config = options::parse(&words).expect("the words of a run");
        let report = run(&config);
        assert!(
            report.violations.is_empty(),
            "{} ({date}: {found}): {:?}",
            path.display(),
            report.violations
        );
        count += 1;
    }
    assert!(count >= 23, "{count} stored seeds");
}
