//! The conformance list: which clause of the RTM 1.x behaviour is proven by which test.
//!
//! The clauses are in `spec/clauses.toml`, known differences in `deviations.toml` beside it. A test
//! says what it proves in a comment (`proves: ID, …`); `docs/proven/conformance.md` is generated
//! from all of them.
//!
//! Reading order: [`list`] (clauses and deviations), [`markers`] (what tests claim), [`page`] (the
//! table).

mod list;
mod markers;
mod page;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use list::{Deviations, List};
use markers::Proof;

/// The page, from the repository's root.
const PAGE: &str = "docs/proven/conformance.md";
/// The document whose sections the clauses state one by one.
const SPEC: &str = "spec/rtm.md";

/// Writes the page, or only compares it.
pub(crate) fn run(only_compare: bool) -> Result<()> {
    let root = crate::setup::root();
    let (list, deviations) = (List::read(&root)?, Deviations::read(&root)?);
    let markers::Found {
        proofs,
        mut problems,
    } = markers::collect(&root)?;
    problems.extend(list.problems(&root));
    let spec = std::fs::read_to_string(root.join(SPEC)).context(SPEC)?;
    problems.extend(list.missing_sections(&spec));
    let proofs = by_clause(proofs);
    problems.extend(judge(&list, &deviations, &proofs));
    let page = page::render(&list, &deviations, &proofs);
    let summary = page::summary(&list, &deviations, &proofs);
    if only_compare {
        let have = std::fs::read_to_string(root.join(PAGE)).unwrap_or_default();
        if have != page {
            problems.push(format!("{PAGE} is stale: run `cargo xtask coverage`"));
        }
    } else {
        write(&root.join(PAGE), &page)?;
    }
    println!("{summary}");
    if problems.is_empty() {
        return Ok(());
    }
    bail!(
        "{} problems of the conformance list:\n  {}",
        problems.len(),
        problems.join("\n  ")
    )
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

/// The proofs of each clause, in the order of their files.
type Proofs = BTreeMap<String, Vec<Proof>>;

fn by_clause(proofs: Vec<(String, Proof)>) -> Proofs {
    let mut found = Proofs::new();
    for (clause, proof) in proofs {
        found.entry(clause).or_default().push(proof);
    }
    found
}

/// Problems of the list.
fn judge(list: &List, deviations: &Deviations, proofs: &Proofs) -> Vec<String> {
    let mut problems = Vec::new();
    let known: BTreeSet<&str> = list.clauses().map(|clause| clause.id.as_str()).collect();
    for (clause, proofs) in proofs {
        if !known.contains(clause.as_str()) {
            let places: Vec<&str> = proofs.iter().map(|proof| proof.path.as_str()).collect();
            problems.push(format!(
                "no clause {clause}, named in {}",
                places.join(", ")
            ));
        }
    }
    for clause in deviations.reasons.keys() {
        if !known.contains(clause.as_str()) {
            problems.push(format!("no clause {clause}, named in deviations.toml"));
        }
    }
    for clause in list.clauses() {
        let is_settled =
            proofs.contains_key(&clause.id) || deviations.reasons.contains_key(&clause.id);
        if !is_settled && clause.same.is_none() {
            problems.push(format!("{} has neither a proof nor a deviation", clause.id));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(clauses: &str) -> List {
        List::parse(&format!(
            "[[section]]\nid = \"1.1\"\ntitle = \"T\"\ncode = \"a\"\nclauses = [{clauses}]\n"
        ))
        .expect("a list")
    }

    #[test]
    fn a_clause_wants_a_proof_or_a_deviation_and_a_marker_a_clause() {
        let list = list(r#"{ id = "rtm-1.1-a", is = "A" }, { id = "rtm-1.1-b", is = "B" }"#);
        let proof = |path: &str| Proof {
            path: path.into(),
            name: "n".into(),
        };
        let deviations = Deviations::parse("\"rtm-1.1-b\" = \"not wanted\"").expect("deviations");
        let proofs = by_clause(vec![("rtm-1.1-a".into(), proof("x.rs"))]);
        assert_eq!(judge(&list, &deviations, &proofs), [""; 0]);
        let proofs = by_clause(vec![("rtm-1.1-c".into(), proof("y.rs"))]);
        assert_eq!(
            judge(&list, &deviations, &proofs),
            [
                "no clause rtm-1.1-c, named in y.rs",
                "rtm-1.1-a has neither a proof nor a deviation",
            ]
        );
    }
}
