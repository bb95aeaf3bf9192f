//! Every line that the server's code logs: its level, its text and the names of its fields, as the
//! guide's page on logs lists them. `UPDATE_EXPECTED=1` rewrites the list there.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// The fields that a line may have. The guide's page says what each means.
const FIELDS: &[&str] = &[
    "action",
    "address",
    "app",
    "apps",
    "backtrace",
    "ban",
    "by",
    "certificate",
    "command",
    "connection",
    "connections",
    "count",
    "detail",
    "endpoint",
    "error",
    "event",
    "expires_s",
    "files",
    "free_bytes",
    "hint",
    "hub",
    "hubs",
    "incarnation",
    "keys",
    "lag_ms",
    "location",
    "max_bytes",
    "missing",
    "name",
    "node",
    "path",
    "place",
    "pressure",
    "rate",
    "reason",
    "record",
    "records",
    "reserve_bytes",
    "sample",
    "server",
    "sessions",
    "signal",
    "source",
    "spans",
    "thread",
    "took_ms",
    "took_us",
    "uid",
    "unused",
    "used_bytes",
    "version",
    "webhook",
];

const BEGIN: &str = "<!-- log lines: made by `UPDATE_EXPECTED=1 cargo test -p tidings --test cli log_lines`; do not edit -->\n";
const END: &str = "<!-- end of log lines -->\n";

/// A line of the log, as the code has it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    level: &'static str,
    message: String,
    fields: Vec<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            found.push(path);
        }
    }
}

/// The arguments of a macro, from behind its opening parenthesis.
fn arguments(source: &str) -> Vec<String> {
    let mut arguments = vec![String::new()];
    let (mut depth, mut in_text, mut is_escaped) = (0, false, false);
    for char in source.chars() {
        let last = arguments.last_mut().expect("one at least");
        if in_text {
            in_text = is_escaped || char != '"';
            is_escaped = !is_escaped && char == '\\';
            last.push(char);
            continue;
        }
        match char {
            '"' => in_text = true,
            '(' | '[' | '{' => depth += 1,
            ')' if depth == 0 => break,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                arguments.push(String::new());
                continue;
            }
            _ => {}
        }
        last.push(char);
    }
    let trimmed = arguments.iter().map(|argument| argument.trim().to_owned());
    trimmed.filter(|argument| !argument.is_empty()).collect()
}

/// A text that goes on behind a backslash at the end of its line, in one piece.
fn joined(text: &str) -> String {
    let mut lines = text.split("\\\n");
    let first = lines.next().unwrap_or_default().to_owned();
    lines.fold(first, |all, line| all + line.trim_start())
}

fn lines_of(source: &str) -> Vec<Line> {
    let mut found = Vec::new();
    // What tests log is nobody's.
    let source = source.split("#[cfg(test)]\nmod tests {").next();
    let source = source.unwrap_or_default();
    for level in ["error", "warn", "info", "debug", "trace"] {
        for (at, opening) in source.match_indices(&format!("tracing::{level}!(")) {
            let mut line = Line {
                level,
                message: String::new(),
                fields: Vec::new(),
            };
            for argument in arguments(&source[at + opening.len()..]) {
                if let Some(text) = argument.strip_prefix('"') {
                    line.message = joined(text.trim_end_matches('"'));
                    break;
                }
                if !argument.starts_with("target:") {
                    let name = argument.split('=').next().unwrap_or_default();
                    let name = name.trim().trim_start_matches(['%', '?']);
                    line.fields.push(name.to_owned());
                }
            }
            found.push(line);
        }
    }
    found
}

#[test]
fn every_line_has_known_fields_and_stands_in_the_guide() {
    let mut files = Vec::new();
    for folder in fs::read_dir(root().join("server")).expect("a folder") {
        let sources_of = folder.expect("an entry").path().join("src");
        if sources_of.is_dir() {
            sources(&sources_of, &mut files);
        }
    }
    let mut lines = BTreeSet::new();
    for file in &files {
        let source = fs::read_to_string(file).expect("a source");
        for line in lines_of(&source) {
            let place = file.display();
            assert!(!line.message.is_empty(), "{place}: a line without a text");
            for field in &line.fields {
                let is_known = FIELDS.contains(&field.as_str());
                assert!(is_known, "{place}: nobody knows the field {field}");
            }
            lines.insert(line);
        }
    }
    assert!(lines.len() > 60, "only {} lines are found", lines.len());
    let mut table = String::from("| Level | Text | Fields |\n| --- | --- | --- |\n");
    for level in ["error", "warn", "info"] {
        for line in lines.iter().filter(|line| line.level == level) {
            // A text that is made where it is logged.
            let message = line.message.replace("{}", "…").replace("{text}", "…");
            let fields: Vec<_> = (line.fields.iter())
                .map(|field| format!("`{field}`"))
                .collect();
            let _ = writeln!(table, "| {level} | {message} | {} |", fields.join(" "));
        }
    }
    let path = root().join("site/guide/logs.md");
    let page = fs::read_to_string(&path).expect("the page");
    let (head, rest) = page.split_once(BEGIN).expect("the list begins");
    let (listed, tail) = rest.split_once(END).expect("the list ends");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        let page = format!("{head}{BEGIN}{table}{END}{tail}");
        return fs::write(&path, page).expect("the page is written");
    }
    assert_eq!(listed, table, "site/guide/logs.md lists other lines");
    for field in FIELDS {
        let row = format!("`{field}`");
        assert!(head.contains(&row), "the page does not explain {field}");
    }
}
