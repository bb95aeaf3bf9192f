//! Every scenario of the repository is well-formed.

use std::fs;
use std::path::PathBuf;

#[test]
fn every_file_parses_and_names_a_clause() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../proof/scenarios");
    let mut files: Vec<_> = fs::read_dir(&folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    assert!(files.len() >= 25, "{} scenarios", files.len());
    for path in files {
        let text = fs::read_to_string(&path).expect("UTF-8");
        let scenario = tidings_scenario::parse(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for clause in scenario.clauses {
            let (family, number) = clause.split_once('-').unwrap_or(("", ""));
            let is_known =
                ["DEL", "INV", "OFF", "PRE", "RTM"].contains(&family) && !number.is_empty();
            assert!(is_known, "{}: clause {clause:?}", path.display());
        }
    }
}
