//! What can be counted in lines: wide ones, sleeps in tests, comments that say nothing.

use anyhow::Result;
use regex::Regex;

use crate::files::File;
use crate::rust::Parsed;

/// Longest line, in characters.
const COLUMNS: usize = 100;
/// A doc comment of fewer words says no more than the name of what it stands on.
const DOC_WORDS: usize = 3;

/// Numbers of the lines that are too wide.
pub(crate) fn wide(file: &File) -> Vec<usize> {
    let lines = file.text.lines().enumerate();
    lines
        .filter(|(_, line)| line.chars().count() > COLUMNS)
        .map(|(at, _)| at + 1)
        .collect()
}

/// Functions of a test that may sleep, and say why: one that looks again and again until something
/// holds, within a limit, of which nothing tells; and a deliberate pace, of a load or of bytes that
/// are delayed, which waits for nothing.
const MAY_SLEEP: [&str; 2] = ["until", "pace"];

/// How sleeps look.
pub(crate) struct Sleeps {
    rust: Regex,
    script: Regex,
}

impl Sleeps {
    /// Compiles the patterns.
    ///
    /// # Errors
    /// Never, unless this program is wrong.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            rust: Regex::new(r"\b(?:thread|time)::sleep\(|(?:^|[^\w.:])sleep\(")?,
            script: Regex::new(
                r"\bawait (?:\w+\.)?(?:sleep|pause|delay|wait)\(\d|setTimeout\((?:resolve|done|r|ok|then)\b|waitForTimeout\(",
            )?,
        })
    }

    /// Numbers of the lines of a test that wait for a time.
    pub(crate) fn find(&self, file: &File, parsed: Option<&Parsed>) -> Vec<usize> {
        let pattern = if file.is_rust() {
            &self.rust
        } else {
            &self.script
        };
        let lines = file
            .text
            .lines()
            .enumerate()
            .map(|(at, line)| (at + 1, line));
        let is_test = |at| file.is_test() || parsed.is_some_and(|parsed| parsed.is_test_line(at));
        let may = |at| parsed.is_some_and(|parsed| parsed.is_within(&MAY_SLEEP, at));
        lines
            .filter(|(at, line)| is_test(*at) && !line.trim_start().starts_with("//"))
            .filter(|(_, line)| pattern.is_match(line) && !line.contains("fn sleep("))
            .map(|(at, _)| at)
            .filter(|at| !may(*at))
            .collect()
    }
}

/// First lines of doc comments that say too little.
pub(crate) fn empty_docs(file: &File) -> Vec<usize> {
    let mut found = Vec::new();
    let mut open: Option<(usize, usize)> = None;
    for (at, line) in file.text.lines().enumerate() {
        let line = line.trim();
        let rust = line.strip_prefix("///").or(line.strip_prefix("//!"));
        let words = |text: &str| text.split_whitespace().filter(|word| is_word(word)).count();
        if let Some(text) = rust.filter(|_| file.is_rust()) {
            let (start, count) = open.unwrap_or((at + 1, 0));
            open = Some((start, count + words(text)));
            continue;
        }
        if let Some((start, count)) = open.take()
            && count < DOC_WORDS
        {
            found.push(start);
        }
        let script = line
            .strip_prefix("/**")
            .and_then(|rest| rest.strip_suffix("*/"));
        if file.is_script() && script.is_some_and(|text| words(text) < DOC_WORDS) {
            found.push(at + 1);
        }
    }
    found
}

/// Whether it has a letter or digit: "…" and "=" are no words.
fn is_word(text: &str) -> bool {
    text.chars().any(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rust;

    fn file(path: &str, text: &str) -> File {
        let (path, text) = (path.to_owned(), text.to_owned());
        File { path, text }
    }

    #[test]
    fn wide_lines_are_counted_in_characters() {
        let line = "é".repeat(100);
        let text = format!("{line}\n{line}x\n");
        assert_eq!(wide(&file("a.rs", &text)), [2]);
    }

    #[test]
    fn sleeps_of_tests_are_found() {
        let sleeps = Sleeps::new().expect("patterns");
        let rust = "std::thread::sleep(x);\ntokio::time::sleep(x).await;\nsleep(x);\n// sleep(x)\nself.sleep(x);\n";
        assert_eq!(sleeps.find(&file("a/tests/b.rs", rust), None), [1, 2, 3]);
        assert_eq!(sleeps.find(&file("a/src/b.rs", rust), None), [0; 0]);
        let helpers = "fn until() {\n    thread::sleep(x);\n}\nfn test() {\n    thread::sleep(x);\n}\nfn pace() {\n    thread::sleep(x);\n}\n";
        let parsed = rust::look(&syn::parse_file(helpers).expect("Rust"));
        let helpers = file("a/tests/b.rs", helpers);
        assert_eq!(sleeps.find(&helpers, Some(&parsed)), [5]);
        let script = "await pause(50);\nawait new Promise((resolve) => setTimeout(resolve, 5));\nawait wait(() => ok);\n";
        assert_eq!(sleeps.find(&file("a.test.ts", script), None), [1, 2]);
    }

    #[test]
    fn docs_of_one_or_two_words_are_found() {
        let rust = "/// What.\nfn a() {}\n/// What it is.\nfn b() {}\n/// Two\n/// more words.\nfn c() {}\n/// The end.";
        assert_eq!(empty_docs(&file("a.rs", &format!("{rust}\n\n"))), [1, 8]);
        let script = "/** Which. */\n/** Which one it is. */\n";
        assert_eq!(empty_docs(&file("a.ts", script)), [1]);
    }
}
