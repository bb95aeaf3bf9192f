//! The page generated from the list.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::list::{Clause, Deviations, List};
use super::markers::Proof;

const HEAD: &str = "\
# Conformance

What an application written for the RTM 1.x web SDK may rely on, clause by clause, with the tests that prove it.
This page is made by `cargo xtask coverage` from [the clauses](../../spec/clauses.toml), [the deviations](../../spec/deviations.toml) and what the tests say that they prove (`proves: …` above each).
Scenarios (`proof/scenarios/`) are run against the simulator, the Rust SDK and the JavaScript SDK with the real program.

";

/// The whole page.
pub(super) fn render(
    list: &List,
    deviations: &Deviations,
    proofs: &BTreeMap<String, Vec<Proof>>,
) -> String {
    let mut page = HEAD.to_owned();
    let _ = writeln!(page, "{}\n", summary(list, deviations, proofs));
    for section in &list.section {
        let _ = writeln!(page, "## {} {}\n", section.id, section.title);
        page.push_str("| Clause | What holds | Proof | Code |\n| --- | --- | --- | --- |\n");
        for clause in &section.clauses {
            let none = Vec::new();
            let proofs = proofs.get(&clause.id).unwrap_or(&none);
            let deviation = deviations.reasons.get(&clause.id).map(String::as_str);
            let file = clause.code.as_ref().unwrap_or(&section.code);
            row(&mut page, clause, proofs, deviation, file);
        }
        page.push('\n');
    }
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}

fn row(page: &mut String, clause: &Clause, proofs: &[Proof], deviation: Option<&str>, file: &str) {
    let mut cells: Vec<String> = proofs
        .iter()
        .map(|proof| {
            let name = cell(&proof.name);
            format!("[{}: {name}](../../{})", proof.path, proof.path)
        })
        .collect();
    cells.extend(clause.same.as_ref().map(|same| format!("as `{same}`")));
    cells.extend(deviation.map(|reason| format!("**Deviation**: {}", cell(reason))));
    let (id, is, proof) = (&clause.id, cell(&clause.is), cells.join("<br>"));
    let _ = writeln!(page, "| `{id}` | {is} | {proof} | [{file}](../../{file}) |");
}

/// Text escaped for a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// One line: how many of what.
pub(super) fn summary(
    list: &List,
    deviations: &Deviations,
    proofs: &BTreeMap<String, Vec<Proof>>,
) -> String {
    // A clause that repeats another one shares its proofs and deviation.
    let said_by = |clause: &Clause| clause.same.clone().unwrap_or_else(|| clause.id.clone());
    let all: Vec<String> = list.clauses().map(said_by).collect();
    let proven = all.iter().filter(|id| proofs.contains_key(*id)).count();
    let differ: Vec<&String> = all
        .iter()
        .filter(|id| deviations.reasons.contains_key(*id))
        .collect();
    // Proven, except for the deviation.
    let both = differ.iter().filter(|id| proofs.contains_key(**id)).count();
    format!(
        "{} clauses: {proven} proven, {} with a deviation, {both} of these proven in part.",
        all.len(),
        differ.len(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_clause_proofs_and_file() {
        let list = List::parse(
            "[[section]]\nid = \"1.1\"\ntitle = \"T\"\ncode = \"a.rs\"\nclauses = [{ id = \"rtm-1.1-a\", is = \"x | y\" }]\n",
        )
        .expect("a list");
        let deviations = Deviations::parse("").expect("none");
        let proof = Proof {
            path: "p.rs".into(),
            name: "n".into(),
        };
        let proofs = BTreeMap::from([("rtm-1.1-a".to_owned(), vec![proof])]);
        let page = render(&list, &deviations, &proofs);
        let expected = "| `rtm-1.1-a` | x \\| y | [p.rs: n](../../p.rs) | [a.rs](../../a.rs) |\n";
        assert!(page.ends_with(expected), "{page}");
        assert!(
            page.contains("1 clauses: 1 proven, 0 with a deviation, 0 of these proven in part."),
            "{page}"
        );
    }
}
