//! The measures of the code, each with the places that make it up.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use crate::files::{File, Sources};
use crate::modules::Crate;
use crate::rust::{self, Parsed};
use crate::text::{self, Sleeps};

/// Lines of a file without its tests.
const FILE_LINES: usize = 500;
/// Lines of a function.
const FUNCTION_LINES: usize = 70;

/// The structs that everything hangs on: crate and name.
const STRUCTS: [(&str, &str); 4] = [
    ("server/hub", "Hub"),
    ("server/hub", "Session"),
    ("server/server", "Worker"),
    ("clients/rust-core", "Core"),
];

/// The pure crates whose invariants are to be asserted.
const ASSERTED: [&str; 2] = ["server/hub", "clients/rust-core"];

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    Lower,
    Higher,
}

/// One measure of the code.
#[derive(Debug)]
pub(crate) struct Measure {
    /// As in the file: `functions_over_70`, `circle server/hub`.
    pub(crate) name: String,
    /// In tenths where it is a rate.
    pub(crate) value: f64,
    pub(crate) better: Better,
    /// What to do about a place.
    pub(crate) remedy: &'static str,
    /// `path:line what`, those in changed files first.
    pub(crate) places: Vec<String>,
}

/// Takes them all.
///
/// # Errors
/// A file is not Rust.
pub(crate) fn take(sources: &Sources) -> Result<Vec<Measure>> {
    let sleeps = Sleeps::new()?;
    let mut counts = Counts::default();
    let mut crates: BTreeMap<String, Crate> = BTreeMap::new();
    let mut fields: BTreeMap<(String, String), Vec<(usize, String)>> = BTreeMap::new();
    let mut asserted: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for file in &sources.files {
        if !file.is_rust() && !file.is_script() {
            continue;
        }
        let mut parsed = None;
        if file.is_rust() {
            let tree = rust::syntax(file)?;
            if let Some((of, below)) = source_of(&file.path) {
                crates.entry(of.clone()).or_default().add(below, &tree);
            }
            parsed = Some(rust::look(&tree));
        }
        counts.add(file, parsed.as_ref(), &sleeps);
        if let (Some((of, _)), Some(parsed)) = (source_of(&file.path), &parsed) {
            for item in &parsed.structs {
                let place = format!("{}:{}", file.path, item.line);
                let key = (of.clone(), item.what.clone());
                fields.entry(key).or_default().push((item.size, place));
            }
            let lines = file.text.lines().count() - parsed.test_lines();
            let (assertions, all) = asserted.entry(of).or_default();
            *assertions += parsed.assertions;
            *all += lines;
        }
    }
    let mut measures = counts.measures(sources);
    for (of, made) in crates {
        let circle = made.largest_circle();
        measures.push(Measure {
            name: format!("circle {of}"),
            value: to_number(circle.len()),
            better: Better::Lower,
            remedy: "these modules need each other: move what they share into a module that needs none of them",
            places: vec![format!("{of}/src: {}", circle.join(", "))],
        });
    }
    for (of, name) in STRUCTS {
        let found = fields.get(&(of.to_owned(), name.to_owned()));
        let largest = found.and_then(|found| found.iter().max());
        let Some((size, place)) = largest else {
            bail!("{of} has no struct {name}: mend the list in tools/tidy/src/measures.rs");
        };
        measures.push(Measure {
            name: format!("fields {of} {name}"),
            value: to_number(*size),
            better: Better::Lower,
            remedy: "give what belongs together a struct of its own",
            places: vec![format!("{place} {name} has {size} fields")],
        });
    }
    for of in ASSERTED {
        let (assertions, lines) = asserted.get(of).copied().unwrap_or_default();
        let rate = to_number(assertions * 10_000 / lines.max(1)) / 10.0;
        measures.push(Measure {
            name: format!("assertions_per_1000 {of}"),
            value: rate,
            better: Better::Higher,
            remedy: "assert what must hold at this place",
            places: vec![format!("{of}: {assertions} assertions in {lines} lines")],
        });
    }
    Ok(measures)
}

/// Prints the places of a measure, or of all.
///
/// # Errors
/// There is no such measure.
pub(crate) fn list(measures: &[Measure], wanted: &str) -> Result<()> {
    let mut found = measures
        .iter()
        .filter(|measure| wanted == "all" || measure.name == wanted)
        .peekable();
    if found.peek().is_none() {
        let names: Vec<&str> = measures.iter().map(|each| each.name.as_str()).collect();
        bail!("no measure {wanted:?}; there are: {}", names.join(", "));
    }
    for measure in found {
        println!("{} = {}", measure.name, measure.value);
        for place in &measure.places {
            println!("  {place}");
        }
    }
    Ok(())
}

/// The crate of a file, and its path below `src`.
fn source_of(path: &str) -> Option<(String, &str)> {
    let (of, below) = path.split_once("/src/")?;
    let is_test = below.contains("tests/") || below.ends_with("tests.rs");
    // A program beside the library is a crate of its own.
    (!is_test && !below.starts_with("bin/")).then(|| (of.to_owned(), below))
}

#[expect(clippy::cast_precision_loss, reason = "counts of lines")]
fn to_number(count: usize) -> f64 {
    count as f64
}

/// What is counted over all files.
#[derive(Default)]
struct Counts {
    files: Vec<String>,
    functions: Vec<String>,
    wide: Vec<String>,
    sleeps: Vec<String>,
    docs: Vec<String>,
    matches: Vec<String>,
    longest_file: (usize, String),
    longest_function: (usize, String),
}

impl Counts {
    fn add(&mut self, file: &File, parsed: Option<&Parsed>, sleeps: &Sleeps) {
        let path = &file.path;
        let lines = file.text.lines().count() - parsed.map_or(0, Parsed::test_lines);
        if lines > FILE_LINES {
            self.files.push(format!("{path}:1 {lines} lines"));
        }
        if lines > self.longest_file.0 {
            self.longest_file = (lines, format!("{path}:1 {lines} lines"));
        }
        for function in parsed.iter().flat_map(|parsed| &parsed.functions) {
            let (line, name, size) = (function.line, &function.what, function.size);
            let place = format!("{path}:{line} {name} has {size} lines");
            if size > FUNCTION_LINES {
                self.functions.push(place.clone());
            }
            if size > self.longest_function.0 {
                self.longest_function = (size, place);
            }
        }
        for found in parsed.iter().flat_map(|parsed| &parsed.boolean_matches) {
            self.matches
                .push(format!("{path}:{} {}", found.line, found.what));
        }
        let places = |lines: Vec<usize>| lines.into_iter().map(move |at| format!("{path}:{at}"));
        self.wide.extend(places(text::wide(file)));
        self.sleeps.extend(places(sleeps.find(file, parsed)));
        self.docs.extend(places(text::empty_docs(file)));
    }

    fn measures(self, sources: &Sources) -> Vec<Measure> {
        let count = |name: &str, remedy, mut places: Vec<String>| {
            let is_changed = |place: &String| {
                let path = place.split(':').next().unwrap_or_default();
                sources.changed.contains(path)
            };
            places.sort_by_key(|place| !is_changed(place));
            Measure {
                name: name.to_owned(),
                value: to_number(places.len()),
                better: Better::Lower,
                remedy,
                places,
            }
        };
        let longest = |name: &str, remedy, (value, place): (usize, String)| Measure {
            name: name.to_owned(),
            value: to_number(value),
            better: Better::Lower,
            remedy,
            places: vec![place],
        };
        let split = "split it: a file is one idea";
        let shorten = "take a step out of it that has a name";
        vec![
            count("files_over_500_lines", split, self.files),
            longest("longest_file", split, self.longest_file),
            count("functions_over_70_lines", shorten, self.functions),
            longest("longest_function", shorten, self.longest_function),
            count(
                "lines_over_100_columns",
                "break the line; rustfmt does not break comments",
                self.wide,
            ),
            count(
                "sleeps_in_tests",
                "wait for a condition with a limit, or move the clock",
                self.sleeps,
            ),
            count(
                "docs_under_3_words",
                "say what the name does not: unit, range, bound, failure, source",
                self.docs,
            ),
            count("matches_on_booleans", "write if and else", self.matches),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crate_of_a_file_is_known() {
        let of = |path| source_of(path).map(|(of, below)| format!("{of} {below}"));
        assert_eq!(
            of("server/hub/src/a/b.rs").as_deref(),
            Some("server/hub a/b.rs")
        );
        assert_eq!(of("server/hub/src/a/tests.rs"), None);
        assert_eq!(of("server/hub/tests/a.rs"), None);
        assert_eq!(of("proof/sim/src/bin/x.rs"), None);
    }
}
