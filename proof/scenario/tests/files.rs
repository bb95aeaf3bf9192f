//! Every scenario of the repository is well-formed.

#[test]
fn every_file_parses_and_names_a_clause() {
    let files = tidings_scenario::files::all().expect("well-formed scenarios");
    assert!(files.len() >= 25, "{} scenarios", files.len());
    for (name, scenario) in files {
        for clause in scenario.clauses {
            let (family, number) = clause.split_once('-').unwrap_or(("", ""));
            let is_known =
                ["DEL", "INV", "OFF", "PRE", "RTM"].contains(&family) && !number.is_empty();
            assert!(is_known, "{name}: clause {clause:?}");
        }
    }
}
