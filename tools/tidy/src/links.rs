//! Links between pages lead somewhere, and maps name what there is.

use std::path::{Component, Path, PathBuf};

use regex::Regex;

use crate::files::Sources;

/// Pages whose paths in backticks are checked as well: they tell a reader where things are.
const MAPS: [&str; 6] = [
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "GLOSSARY.md",
    "README.md",
    "SECURITY.md",
    "spec/README.md",
];

/// Folders that paths in maps begin with.
const TOP: [&str; 9] = [
    "clients",
    "docs",
    "packaging",
    "proof",
    "proto",
    "server",
    "site",
    "spec",
    "tools",
];

/// Every link and path without a target, with its place.
pub(crate) fn problems(sources: &Sources) -> Vec<String> {
    let (Ok(link), Ok(quoted)) = (
        Regex::new(r"\]\(([^)\s#]+)(?:#[^)]*)?\)"),
        Regex::new(r"`([A-Za-z0-9_][A-Za-z0-9_./-]*)`"),
    ) else {
        return vec!["a pattern of this program is wrong".into()];
    };
    let is_there = |path: &str| {
        let path = path.trim_end_matches('/');
        let folder = format!("{path}/");
        sources.paths.contains(path)
            || sources
                .paths
                .range(folder.clone()..)
                .next()
                .is_some_and(|next| next.starts_with(&folder))
    };
    let mut problems = Vec::new();
    let pages = sources.files.iter().filter(|file| {
        // The guide's links are its builder's to check.
        file.ending() == "md" && !file.path.starts_with("site/guide/")
    });
    for file in pages {
        let folder = Path::new(&file.path)
            .parent()
            .unwrap_or_else(|| Path::new(""));
        let is_map = MAPS.contains(&file.path.as_str());
        for (at, line) in file.text.lines().enumerate() {
            let place = format!("{}:{}", file.path, at + 1);
            for found in link.captures_iter(line) {
                let to = &found[1];
                if to.contains("://") || to.starts_with("mailto:") || to.starts_with('/') {
                    continue;
                }
                match within(&folder.join(to)) {
                    Some(path) if path.is_empty() || is_there(&path) => {}
                    _ => problems.push(format!("{place}: the link to {to} leads nowhere")),
                }
            }
            if !is_map {
                continue;
            }
            for found in quoted.captures_iter(line) {
                let path = &found[1];
                let top = path.split('/').next().unwrap_or_default();
                if path.contains('/') && TOP.contains(&top) && !is_there(path) {
                    problems.push(format!("{place}: there is no {path}"));
                }
            }
        }
    }
    problems
}

/// A path without `..`, if it stays in the repository.
fn within(path: &Path) -> Option<String> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                if !plain.pop() {
                    return None;
                }
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    Some(plain.to_string_lossy().replace('\\', "/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::File;

    fn found(path: &str, text: &str) -> Vec<String> {
        let mut sources = Sources::default();
        sources.paths.extend(
            ["README.md", "docs/a.md", "docs/b/c.md", "server/hub/x.rs"].map(str::to_owned),
        );
        let (path, text) = (path.to_owned(), text.to_owned());
        sources.files.push(File { path, text });
        problems(&sources)
    }

    #[test]
    fn links_and_paths_that_are_there_pass() {
        let text = "[a](a.md) [b](b/c.md#part) [up](../README.md) [x](https://example.com) [f](b/)";
        assert_eq!(found("docs/page.md", text), [""; 0]);
        let text = "`server/hub` `server/hub/x.rs` `tools` `a/b` [d](docs/)";
        assert_eq!(found("ARCHITECTURE.md", text), [""; 0]);
    }

    #[test]
    fn links_and_paths_that_are_not_there_are_named() {
        assert_eq!(
            found("docs/page.md", "\n[a](no.md)"),
            ["docs/page.md:2: the link to no.md leads nowhere"]
        );
        assert_eq!(
            found("docs/page.md", "[a](../../out.md)"),
            ["docs/page.md:1: the link to ../../out.md leads nowhere"]
        );
        assert_eq!(
            found("ARCHITECTURE.md", "see `server/hub/y.rs`"),
            ["ARCHITECTURE.md:1: there is no server/hub/y.rs"]
        );
    }
}
