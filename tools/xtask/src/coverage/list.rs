//! The clauses and the deviations, as files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;

const CLAUSES: &str = "spec/clauses.toml";
const DEVIATIONS: &str = "spec/deviations.toml";

/// All clauses, by section, in the specification's order.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct List {
    pub(super) section: Vec<Section>,
}

/// A section of the specification.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Section {
    /// Its number there.
    pub(super) id: String,
    pub(super) title: String,
    /// The main file that its clauses are about, relative to the root.
    pub(super) code: String,
    pub(super) clauses: Vec<Clause>,
}

/// One true statement about the product.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Clause {
    /// Stable id: `rtm-SECTION-WORD`.
    pub(super) id: String,
    /// The statement, in one sentence.
    pub(super) is: String,
    /// The main file, if it is not the section's.
    pub(super) code: Option<String>,
    /// The clause that makes the same statement; proofs of either count for both.
    pub(super) same: Option<String>,
}

/// What differs from a clause, or is missing, and why; by clause.
#[derive(Debug)]
pub(super) struct Deviations {
    pub(super) reasons: BTreeMap<String, String>,
}

impl List {
    pub(super) fn read(root: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(root.join(CLAUSES)).context(CLAUSES)?;
        Self::parse(&text)
    }

    pub(super) fn parse(text: &str) -> Result<Self> {
        toml::from_str(text).context(CLAUSES)
    }

    pub(super) fn clauses(&self) -> impl Iterator<Item = &Clause> {
        self.section.iter().flat_map(|section| &section.clauses)
    }

    /// Ids that do not belong to their section or are not unique, sections without a clause,
    /// missing files.
    pub(super) fn problems(&self, root: &Path) -> Vec<String> {
        let mut problems = Vec::new();
        let mut ids = BTreeSet::new();
        for section in &self.section {
            if section.clauses.is_empty() {
                problems.push(format!("section {} has no clause", section.id));
            }
            let prefix = format!("rtm-{}-", section.id);
            let files = section
                .clauses
                .iter()
                .filter_map(|clause| clause.code.as_ref());
            for file in files.chain([&section.code]) {
                if !root.join(file).is_file() {
                    problems.push(format!("section {}: no file {file}", section.id));
                }
            }
            for clause in &section.clauses {
                if !clause.id.starts_with(&prefix) {
                    problems.push(format!("{} does not begin with {prefix}", clause.id));
                }
                if !ids.insert(&clause.id) {
                    problems.push(format!("{} is there twice", clause.id));
                }
            }
        }
        let said: BTreeSet<&str> = self
            .clauses()
            .filter(|clause| clause.same.is_none())
            .map(|clause| clause.id.as_str())
            .collect();
        for clause in self.clauses() {
            if let Some(same) = clause.same.as_deref().filter(|same| !said.contains(same)) {
                problems.push(format!(
                    "{} is the same as {same}, which says nothing itself",
                    clause.id
                ));
            }
        }
        problems
    }

    /// Sections of the specification that the list lacks. Its section 0 explains its notation.
    pub(super) fn missing_sections(&self, spec: &str) -> Vec<String> {
        let have: BTreeSet<&str> = self.section.iter().map(|s| s.id.as_str()).collect();
        let is_there = |number: &&str| {
            // A section with subsections counts as listed when one of those is.
            have.contains(number) || have.iter().any(|id| id.starts_with(&format!("{number}.")))
        };
        sections(spec)
            .filter(|number| *number != "0" && !is_there(number))
            .map(|number| format!("section {number} of the specification has no clause"))
            .collect()
    }
}

/// The numbers of a specification's headings: `## 1. …`, `### 1.2 …`.
fn sections(spec: &str) -> impl Iterator<Item = &str> {
    spec.lines().filter_map(|line| {
        let heading = line.strip_prefix("## ").or(line.strip_prefix("### "))?;
        let number = heading.split_whitespace().next()?.trim_end_matches('.');
        let is_number = number.starts_with(|first: char| first.is_ascii_digit());
        is_number.then_some(number)
    })
}

impl Deviations {
    pub(super) fn read(root: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(root.join(DEVIATIONS)).context(DEVIATIONS)?;
        Self::parse(&text)
    }

    pub(super) fn parse(text: &str) -> Result<Self> {
        let reasons = toml::from_str(text).context(DEVIATIONS)?;
        Ok(Self { reasons })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_are_found_and_a_missing_section_is_named() {
        let spec = "# T\n## 0. Marks\n## 1. One\n### 1.1 A\ntext\n### 1.2 B\n## 2. Two\n";
        assert_eq!(
            sections(spec).collect::<Vec<_>>(),
            ["0", "1", "1.1", "1.2", "2"]
        );
        let list =
            List::parse("[[section]]\nid = \"1.1\"\ntitle = \"A\"\ncode = \"a\"\nclauses = []\n")
                .expect("a list");
        assert_eq!(
            list.missing_sections(spec),
            [
                "section 1.2 of the specification has no clause",
                "section 2 of the specification has no clause",
            ]
        );
    }

    #[test]
    fn wrong_ids_and_files_are_named() {
        let list = List::parse(
            "[[section]]\nid = \"1.1\"\ntitle = \"A\"\ncode = \"no-such-file\"\nclauses = [\n\
             { id = \"rtm-1.1-a\", is = \"x\" }, { id = \"rtm-1.1-a\", is = \"x\" }, { id = \"rtm-2-a\", is = \"x\", same = \"rtm-1.1-b\" }]\n\
             [[section]]\nid = \"1.2\"\ntitle = \"B\"\ncode = \"Cargo.toml\"\nclauses = []\n",
        )
        .expect("a list");
        assert_eq!(
            list.problems(&crate::setup::root()),
            [
                "section 1.1: no file no-such-file",
                "rtm-1.1-a is there twice",
                "rtm-2-a does not begin with rtm-1.1-",
                "section 1.2 has no clause",
                "rtm-2-a is the same as rtm-1.1-b, which says nothing itself",
            ]
        );
    }
}
