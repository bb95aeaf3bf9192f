//! Citations of the specification lead somewhere.
//!
//! A citation is the name of a file in `spec/` and a section or rule: `rtm 2.1`, `contract DEL-4`,
//! `signaling 4.2, 4.6 and 10`. `protocol 2.3` is a section of `docs/internals/protocol.md`,
//! `decision 0012` a page of `docs/decisions`. Rules (`DEL-4`) and clauses (`rtm-4.5-count`) may
//! stand alone. Scenarios name rules and sections in their first line: `# DEL-1, RTM-6.4  …`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use regex::Regex;

use crate::files::{File, Sources};

/// Names in citations, and the pages they mean.
const PAGES: [(&str, &str); 8] = [
    ("contract", "spec/contract.md"),
    ("rtm", "spec/rtm.md"),
    ("rtm2", "spec/rtm2.md"),
    ("signaling", "spec/signaling.md"),
    ("tokens", "spec/tokens.md"),
    ("rest", "spec/rest.md"),
    ("cluster", "spec/cluster.md"),
    ("protocol", "docs/internals/protocol.md"),
];

const CLAUSES: &str = "spec/clauses.toml";

/// What can be cited.
#[derive(Debug, Default)]
struct Targets {
    /// Section numbers, by the page's name in citations.
    sections: BTreeMap<String, BTreeSet<String>>,
    /// `DEL-4`, by the families that there are.
    rules: BTreeSet<String>,
    /// Ids of clauses, such as `rtm-4.5-count`.
    clauses: BTreeSet<String>,
    /// Numbers of decisions, such as `0012`.
    decisions: BTreeSet<String>,
    /// Names of scenario files, which look like clauses.
    scenarios: BTreeSet<String>,
}

/// The patterns, compiled once.
struct Patterns {
    citation: Regex,
    more: Regex,
    rule: Regex,
    clause: Regex,
    decision: Regex,
    section: Regex,
    old_name: Regex,
}

impl Patterns {
    fn new() -> Result<Self> {
        let names = PAGES.map(|(name, _)| name).join("|");
        let item = r"(?:[A-Z]{3}-\d+|[1-9]\d?(?:\.\d+)*|0(?:\.\d+)+)";
        let make = |text: &str| Regex::new(text).context("a pattern of this program");
        Ok(Self {
            citation: make(&format!(
                r"(?:^|[^\w./-])((?i:contract)|{names})(?:\]\([a-z2]+\.md\))? ({item})"
            ))?,
            more: make(&format!(r"^(?:, | and | or | to |, and )({item})"))?,
            rule: make(r"\b(DEL|OFF|PRE|INV|OVL|CRA|SEC|NAT)-(\d+)\b")?,
            clause: make(r"\brtm-\d+(?:\.\d+)*-[a-z0-9]+(?:[.-][a-z0-9]+)*")?,
            decision: make(r"\b[Dd]ecisions? (?:records? )?(\d{4})\b")?,
            section: make(r"\b[Ss]ections? (\d+(?:\.\d+)+)\b")?,
            old_name: make(r"\b(?:signaling-wire|rtm-v1|rtm-v2|rest-v1)(?: \d|\.md)")?,
        })
    }
}

/// Every citation without a target, with its place and what to do.
///
/// # Errors
/// A file of the specification is missing.
pub(crate) fn problems(sources: &Sources) -> Result<Vec<String>> {
    let targets = targets(sources)?;
    let patterns = Patterns::new()?;
    let mut problems = Vec::new();
    for file in &sources.files {
        // Tests of these checks hold citations that lead nowhere; history may cite what was.
        let is_sample = ["tools/tidy/", "tools/xtask/src/coverage/"];
        if is_sample.iter().any(|folder| file.path.starts_with(folder))
            || file.path == "CHANGELOG.md"
        {
            continue;
        }
        for (at, line) in file.text.lines().enumerate() {
            for missing in missing(&patterns, &targets, file, at, line) {
                problems.push(format!("{}:{}: {missing}", file.path, at + 1));
            }
        }
    }
    Ok(problems)
}

fn targets(sources: &Sources) -> Result<Targets> {
    let mut targets = Targets::default();
    let text = |path: &str| {
        let file = sources.file(path).with_context(|| format!("no {path}"))?;
        Ok::<_, anyhow::Error>(file.text.as_str())
    };
    for (name, path) in PAGES {
        let sections = headings(text(path)?).collect();
        targets.sections.insert(name.to_owned(), sections);
    }
    let rule = Regex::new(r"^\s*\* \*\*([A-Z]{3}-\d+)\*\*")?;
    for line in text("spec/contract.md")?.lines() {
        targets
            .rules
            .extend(rule.captures(line).map(|found| found[1].to_owned()));
    }
    let clause = Regex::new(r#"\bid = "(rtm-[^"]+)""#)?;
    for found in clause.captures_iter(text(CLAUSES)?) {
        targets.clauses.insert(found[1].to_owned());
    }
    for path in &sources.paths {
        if let Some(name) = path.strip_prefix("docs/decisions/") {
            targets.decisions.extend(name.get(..4).map(str::to_owned));
        }
        if let Some(name) = path.strip_prefix("proof/scenarios/") {
            targets
                .scenarios
                .insert(name.trim_end_matches(".txt").to_owned());
        }
    }
    Ok(targets)
}

/// The numbers of headings: `## 1. …`, `### 1.2 …`.
fn headings(page: &str) -> impl Iterator<Item = String> {
    page.lines().filter_map(|line| {
        let heading = line.trim_start_matches('#');
        let number = heading.split_whitespace().next()?.trim_end_matches('.');
        let is_number = number.starts_with(|first: char| first.is_ascii_digit());
        (heading.len() < line.len() && is_number).then(|| number.to_owned())
    })
}

/// What a line cites that is not there.
fn missing(
    patterns: &Patterns,
    targets: &Targets,
    file: &File,
    at: usize,
    line: &str,
) -> Vec<String> {
    let mut missing = Vec::new();
    missing.extend(missing_sections(patterns, targets, line));
    for found in patterns.rule.captures_iter(line) {
        if !targets.rules.contains(&found[0]) {
            let rule = &found[0];
            missing.push(format!("there is no rule {rule} in spec/contract.md"));
        }
    }
    for found in patterns.clause.captures_iter(line) {
        // A scenario's file name looks like one.
        let clause = found[0].trim_end_matches(".txt");
        if !targets.clauses.contains(clause) && !targets.scenarios.contains(clause) {
            missing.push(format!("there is no clause {clause} in {CLAUSES}"));
        }
    }
    for found in patterns.decision.captures_iter(line) {
        if !targets.decisions.contains(&found[1]) {
            missing.push(format!("there is no docs/decisions/{}-….md", &found[1]));
        }
    }
    if let Some(old) = patterns.old_name.find(line) {
        let old = old.as_str();
        missing.push(format!(
            "{old:?} is an old name: write `signaling 7.2`, `rtm 2.1` and so on (spec/README.md)"
        ));
    }
    if let Some((name, _)) = PAGES.iter().find(|(_, page)| *page == file.path) {
        for found in patterns.section.captures_iter(line) {
            if !targets.has(name, &found[1]) {
                missing.push(format!("this page has no section {}", &found[1]));
            }
        }
    }
    if at == 0 && file.path.starts_with("proof/scenarios/") {
        missing.extend(scenario_head(targets, line));
    }
    missing
}

/// Sections and rules of pages that a line cites and that are not there.
fn missing_sections(patterns: &Patterns, targets: &Targets, line: &str) -> Vec<String> {
    let mut missing = Vec::new();
    for found in patterns.citation.captures_iter(line) {
        let name = found[1].to_lowercase();
        let end = found.get(2).map_or(0, |item| item.end());
        let first = found[2].to_owned();
        let mut rest = &line[end..];
        if is_quantity(rest) {
            continue;
        }
        let mut items = vec![first];
        while let Some(more) = patterns.more.captures(rest) {
            let whole = more.get(0).map_or("", |whole| whole.as_str()).len();
            // "contract 4.1, 64 bytes": the second number is not a section.
            if is_quantity(&rest[whole..]) || !more[1].contains(['.', '-']) && whole > 6 {
                break;
            }
            items.push(more[1].to_owned());
            rest = &rest[whole..];
        }
        for item in items {
            if !targets.has(&name, &item) {
                let page = PAGES.iter().find(|(known, _)| *known == name);
                let page = page.map_or("spec/", |(_, page)| page);
                missing.push(format!(
                    "\"{name} {item}\" is not in {page}: cite a section or rule that is there"
                ));
            }
        }
    }
    missing
}

/// Whether a number is one of something: "rest 5 ms", "tokens 2.x".
fn is_quantity(after: &str) -> bool {
    const UNITS: [&str; 9] = [
        " ms", " s ", " KB", " KiB", " MB", " bytes", " days", " per", " times",
    ];
    UNITS.iter().any(|unit| after.starts_with(unit)) || after.starts_with(".x")
}

impl Targets {
    fn has(&self, page: &str, item: &str) -> bool {
        if item.contains('-') {
            return page == "contract" && self.rules.contains(item);
        }
        self.sections
            .get(page)
            .is_some_and(|known| known.contains(item))
    }
}

/// The ids before the sentence of a scenario's first line.
fn scenario_head(targets: &Targets, line: &str) -> Vec<String> {
    let Some((ids, _)) = line
        .strip_prefix("# ")
        .and_then(|rest| rest.split_once("  "))
    else {
        return Vec::new();
    };
    let is_there = |id: &str| match id.split_once('-') {
        Some(("RTM", section)) => targets.has("rtm", section),
        Some(("SIG", section)) => targets.has("signaling", section),
        _ => targets.rules.contains(id),
    };
    ids.split(", ")
        .filter(|id| !is_there(id))
        .map(|id| format!("the scenario cites {id}, which is in no page of spec/"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(files: &[(&str, &str)]) -> Sources {
        let mut sources = Sources::default();
        let pages = PAGES.map(|(_, path)| (path, "# P\n## 2. Two\n### 2.1 Part\n"));
        let contract = ("spec/contract.md", "## 4. Load\n* **DEL-4** text\n");
        let clauses = (CLAUSES, "{ id = \"rtm-2.1-size\", is = \"x\" }\n");
        let all = pages
            .iter()
            .filter(|(path, _)| *path != contract.0)
            .chain([&contract, &clauses])
            .chain(files);
        for (path, text) in all {
            let (path, text) = ((*path).to_owned(), (*text).to_owned());
            sources.paths.insert(path.clone());
            sources.files.push(File { path, text });
        }
        sources
            .paths
            .insert("docs/decisions/0012-budgets.md".into());
        sources.paths.insert("proof/scenarios/rtm-2.1-b.txt".into());
        sources
    }

    fn found(path: &str, text: &str) -> Vec<String> {
        problems(&sample(&[(path, text)])).expect("a specification")
    }

    #[test]
    fn what_exists_may_be_cited() {
        for line in [
            "// Source: rtm 2.1.",
            "// (contract DEL-4)",
            "//! Contract 4 and DEL-4.",
            "// signaling 2, 2.1 and 2",
            "// see protocol 2.1",
            "// proves: rtm-2.1-size",
            "// as in rtm-2.1-b.txt",
            "[tokens 2.1](tokens.md), [decision 0012](x)",
            "// the rest 5 ms later; RTM 1.x; tokens 006 and 007; contract 4, 64 bytes",
        ] {
            assert_eq!(found("a.rs", line), [""; 0], "{line}");
        }
        let scenario = "# DEL-4, RTM-2.1  a sentence\n";
        assert_eq!(found("proof/scenarios/a.txt", scenario), [""; 0]);
    }

    #[test]
    fn what_does_not_exist_is_named_with_its_place() {
        for (path, text, place) in [
            ("a.rs", "\n// Source: rtm 2.2.", "a.rs:2: \"rtm 2.2\""),
            ("a.ts", "// contract DEL-5", "a.ts:1: \"contract DEL-5\""),
            (
                "a.rs",
                "// signaling 2 and 3.1",
                "a.rs:1: \"signaling 3.1\"",
            ),
            ("a.md", "OFF-1 says", "a.md:1: there is no rule OFF-1"),
            ("a.rs", "// proves: rtm-2.1-no", "a.rs:1: there is no claus"),
            ("a.md", "decision 0013", "a.md:1: there is no docs/decisio"),
            ("a.rs", "// signaling-wire 2.1", "a.rs:1: \"signaling-wire"),
            (
                "proof/scenarios/x.txt",
                "# RTM-9.1  a sentence",
                "proof/scenarios/x.txt:1: the scenario cites RTM-9.1",
            ),
        ] {
            let found = found(path, text);
            let named = found.first().is_some_and(|line| line.starts_with(place));
            assert!(named, "{text}: {found:?}");
        }
    }
}
