//! docs/internals/security-list.md names the test of each control: every test and every file that
//! it names must exist.

use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::reliability::said_by;
use crate::setup::root;

const PAGE: &str = "docs/internals/security-list.md";

/// Fails when the page names something that does not exist, or a control without a proof that does
/// not say so.
pub(crate) fn check() -> Result<()> {
    let page =
        std::fs::read_to_string(root().join(PAGE)).with_context(|| format!("reading {PAGE}"))?;
    // Uncommitted files count too.
    let listed = said_by(
        "git",
        &["ls-files", "--cached", "--others", "--exclude-standard"],
    )?;
    let files: Vec<&str> = listed.lines().collect();
    let mut code = String::new();
    for file in files.iter().filter(|file| file.ends_with(".rs")) {
        code += &std::fs::read_to_string(root().join(file)).unwrap_or_default();
    }
    let wrong = wrong(&page, &files, &code);
    if !wrong.is_empty() {
        bail!("{PAGE} is not true:\n  {}", wrong.join("\n  "));
    }
    Ok(())
}

/// What is wrong with the page, given the project's files and its code.
fn wrong(page: &str, files: &[&str], code: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let rows = page.lines().filter(|line| line.starts_with("| "));
    for row in rows.filter(|row| !row.starts_with("| Line |") && !row.starts_with("| --- |")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [line, place, proof] = cells[..] else {
            wrong.push(format!("not three cells: {row}"));
            continue;
        };
        if !proof.contains('`') && !proof.contains("by reading") {
            wrong.push(format!("no proof: {line}"));
        }
        for named in [place, proof].iter().flat_map(|cell| quoted(cell)) {
            let is_there = match () {
                () if is_path(named) => files.iter().any(|file| is_at(file, named)),
                () if is_test(named) => code.contains(&format!("fn {named}(")),
                () => true,
            };
            if !is_there {
                wrong.push(format!("{line}: there is no {named}"));
            }
        }
    }
    wrong
}

/// The texts between backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

fn is_path(named: &str) -> bool {
    !named.contains(' ') && (named.contains('/') || named.ends_with(".rs"))
}

/// Whether a file or folder is meant: only the end of its path is given, as space in a table is
/// short; `*` matches anything.
fn is_at(file: &str, named: &str) -> bool {
    let named = named.trim_end_matches('/');
    if let Some((begin, end)) = named.split_once('*') {
        return file.contains(begin) && file.ends_with(end);
    }
    let folders = Path::new(file).ancestors().filter_map(Path::to_str);
    folders
        .filter(|path| !path.is_empty())
        .any(|path| path == named || path.ends_with(&format!("/{named}")))
}

/// Names of tests are sentences.
fn is_test(named: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    named.chars().all(is_plain) && named.matches('_').count() >= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_names_what_there_is() {
        check().expect("the list is true");
    }

    #[test]
    fn what_is_named_and_not_there_is_found() {
        let page = "| Line | Where | Proof |\n| --- | --- | --- |\n\
                    | A | `a/src/b.rs` | `tests/c.rs`: `somebody_is_let_in` |\n\
                    | B | `a/src` | `tests/d.rs`, `nobody_is_let_in` |\n\
                    | C | `a/src` | none |\n\
                    | D | `a/src` | by reading |\n\
                    | E | `a/src` | `cargo xtask supply`, `tests/c*.rs` |\n";
        let files = ["crates/a/src/b.rs", "crates/a/tests/c.rs"];
        let found = wrong(page, &files, "fn somebody_is_let_in() {}");
        assert_eq!(
            found,
            [
                "B: there is no tests/d.rs",
                "B: there is no nobody_is_let_in",
                "no proof: C",
            ]
        );
    }
}
