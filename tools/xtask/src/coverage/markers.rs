//! What tests claim to prove.
//!
//! - In a scenario: lines `# proves: ID, ID`.
//! - In Rust: lines `// proves: ID, ID` directly above a test, among its comments and attributes. A
//!   case of a contract suite (`src/contract/`), which every implementation runs, is a test as
//!   well.
//! - In TypeScript and JavaScript: the same directly above an `it(…)` or `test(…)`.
//!
//! A marker anywhere else is a problem: it would claim a proof that does not exist.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Folders that contain tests.
const FOLDERS: [&str; 4] = ["proof", "server", "clients", "site"];
/// Folders that are skipped.
const SKIPPED: [&str; 4] = ["node_modules", "target", "dist", "build"];

/// One test that proves something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proof {
    /// From the root, with `/`.
    pub(super) path: String,
    /// The test's name; a scenario's sentence.
    pub(super) name: String,
}

/// All markers that were found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Clause and test.
    pub(super) proofs: Vec<(String, Proof)>,
    pub(super) problems: Vec<String>,
}

/// Reads every file that may contain a test.
pub(super) fn collect(root: &Path) -> Result<Found> {
    let mut files = Vec::new();
    for folder in FOLDERS {
        walk(&root.join(folder), &mut files)?;
    }
    files.sort();
    let mut found = Found::default();
    for file in files {
        let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let path = file.strip_prefix(root).unwrap_or(&file);
        read(
            &path.to_string_lossy().replace('\\', "/"),
            &text,
            &mut found,
        );
    }
    Ok(found)
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            if !SKIPPED.contains(&name.as_ref()) && !path.is_symlink() {
                walk(&path, files)?;
            }
        } else if [".rs", ".ts", ".mjs", ".txt"]
            .iter()
            .any(|end| name.ends_with(end))
        {
            files.push(path);
        }
    }
    Ok(())
}

/// Reads one file's markers.
fn read(path: &str, text: &str, found: &mut Found) {
    if path.ends_with(".txt") {
        return read_scenario(path, text, found);
    }
    let is_rust = path.ends_with(".rs");
    let is_contract = path.contains("/src/contract/");
    let mut lines = text.lines().enumerate().peekable();
    while let Some((at, line)) = lines.next() {
        let Some(ids) = marker(line, "// proves:") else {
            continue;
        };
        let mut clauses: Vec<&str> = ids.collect();
        // The rest of the markers belong to the same test.
        while let Some(more) = lines
            .peek()
            .and_then(|(_, line)| marker(line, "// proves:"))
        {
            clauses.extend(more);
            lines.next();
        }
        let below = lines.clone().map(|(_, line)| line.trim());
        let name = match (is_rust, is_contract) {
            (true, true) => contract_case(below),
            (true, false) => rust_test(below),
            (false, _) => script_test(below),
        };
        match name {
            Some(name) => {
                let proof = Proof {
                    path: path.to_owned(),
                    name,
                };
                let claimed = clauses.into_iter().map(|id| (id.to_owned(), proof.clone()));
                found.proofs.extend(claimed);
            }
            None => {
                let problem = format!("{path}:{}: the marker is not above a test", at + 1);
                found.problems.push(problem);
            }
        }
    }
}

fn read_scenario(path: &str, text: &str, found: &mut Found) {
    // "# CLAUSE, …  sentence": a file without such a line is not a scenario.
    let heading = text.lines().next().unwrap_or_default();
    let sentence = heading
        .strip_prefix("# ")
        .and_then(|rest| rest.split_once("  "));
    for ids in text.lines().filter_map(|line| marker(line, "# proves:")) {
        let Some((_, sentence)) = sentence else {
            found.problems.push(format!("{path} is no scenario"));
            return;
        };
        let proof = Proof {
            path: path.to_owned(),
            name: sentence.trim().to_owned(),
        };
        found
            .proofs
            .extend(ids.map(|id| (id.to_owned(), proof.clone())));
    }
}

fn marker<'a>(line: &'a str, prefix: &str) -> Option<impl Iterator<Item = &'a str> + use<'a>> {
    let ids = line.trim().strip_prefix(prefix)?;
    Some(ids.split(',').map(str::trim).filter(|id| !id.is_empty()))
}

/// The name of the test that these lines begin with: comments and attributes, one of them `test`,
/// then the function.
fn rust_test<'a>(lines: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut is_test = false;
    for line in lines {
        if line.starts_with("#[") {
            let attribute = line.trim_start_matches("#[");
            is_test |= attribute.starts_with("test]") || attribute.starts_with("tokio::test");
        } else if !line.starts_with("//") {
            let (_, name) = line.split_once("fn ")?;
            let end = name.find(['(', '<'])?;
            return is_test.then(|| name[..end].to_owned());
        }
    }
    None
}

/// A case of a contract suite: a public function that takes a subject.
fn contract_case<'a>(mut lines: impl Iterator<Item = &'a str>) -> Option<String> {
    let line = lines.find(|line| !line.starts_with("//"))?;
    let (name, arguments) = line.strip_prefix("pub fn ")?.split_once('(')?;
    arguments.contains("dyn Subject").then(|| name.to_owned())
}

/// The same in a script: comments, then `it('name'`, `it.each(…)('name'` or `test(…`; the name may
/// be on a later line.
fn script_test<'a>(lines: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut lines = lines.skip_while(|line| line.starts_with("//") || line.starts_with('*'));
    let first = lines.next()?;
    let is_test = ["it(", "it.each(", "test(", "test.each("]
        .iter()
        .any(|call| first.starts_with(call));
    if !is_test {
        return None;
    }
    let is_table = first.contains(".each(");
    let text: String = [first]
        .into_iter()
        .chain(lines.take(80))
        .collect::<Vec<_>>()
        .join("\n");
    // The title of table-driven tests follows the table.
    let rest = if is_table {
        &text[text.find(")(")? + 2..]
    } else {
        text.split_once('(')?.1
    };
    let rest = rest.trim_start();
    let quote = rest
        .chars()
        .next()
        .filter(|first| "'`\"".contains(*first))?;
    let name = &rest[1..];
    Some(name[..name.find(quote)?].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claimed(path: &str, text: &str) -> (Vec<String>, usize) {
        let mut found = Found::default();
        read(path, text, &mut found);
        let lines = found.proofs.iter();
        let lines = lines.map(|(clause, proof)| format!("{clause} by {}", proof.name));
        (lines.collect(), found.problems.len())
    }

    #[test]
    fn markers_of_each_language_name_their_test() {
        let rust =
            "// proves: a, b\n// proves: c\n/// Docs.\n#[test]\n#[cfg(unix)]\nfn it_holds() {\n";
        assert_eq!(
            claimed("x.rs", rust).0,
            ["a by it_holds", "b by it_holds", "c by it_holds"]
        );
        let rust = "    // proves: a\n    #[tokio::test(flavor = \"x\")]\n    async fn waits() {\n";
        assert_eq!(claimed("x.rs", rust).0, ["a by waits"]);
        let script = "  // proves: a\n  it('holds', async () => {\n";
        assert_eq!(claimed("x.ts", script).0, ["a by holds"]);
        let script = "// proves: a\nit.each(codes)('code %i: %s', () => {\n";
        assert_eq!(claimed("x.ts", script).0, ["a by code %i: %s"]);
        let script = "// proves: a\nit.each([\n  [1],\n])('%i', () => {\n";
        assert_eq!(claimed("x.ts", script).0, ["a by %i"]);
        let scenario = "# RTM-1  it holds\n# proves: a, b\nalice logs in\n";
        assert_eq!(
            claimed("x.txt", scenario).0,
            ["a by it holds", "b by it holds"]
        );
    }

    #[test]
    fn a_marker_that_is_above_no_test_is_a_problem() {
        for (path, text) in [
            ("x.rs", "// proves: a\nfn helper() {\n"),
            ("x.rs", "// proves: a\nlet x = 5;\n#[test]\nfn t() {}\n"),
            ("x.ts", "// proves: a\ndescribe('x', () => {\n"),
            ("x.ts", "// proves: a\n"),
            ("x.txt", "nothing\n# proves: a\n"),
        ] {
            assert_eq!(claimed(path, text), (vec![], 1), "{text}");
        }
    }
}
