//! Compares the figures in pages for readers with the code that decides them: `docs/figures.toml`.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::setup::{NODE_MAJOR_MIN, PYTHON_MIN, root};

const OPEN: &str = "<!-- value: ";
const CLOSE: &str = "<!-- end -->";
const WORDS: [&str; 13] = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve",
];

#[derive(Deserialize)]
struct Figures {
    claims: Vec<Claim>,
    /// Figures of generated pages, by the names that claims have for them.
    measured: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
struct Claim {
    says: String,
    is: String,
}

/// Where figures come from.
struct Sources {
    limits: toml::Table,
    manifest: toml::Table,
}

/// Fails when a page states a figure other than the code's, or packages that are released together
/// differ in version.
pub(crate) fn check() -> Result<()> {
    let sources = Sources {
        limits: read("proto/limits.toml")?,
        manifest: read("Cargo.toml")?,
    };
    let mut figures: Figures =
        toml::from_str(&fs::read_to_string(root().join("docs/figures.toml"))?)
            .context("reading docs/figures.toml")?;
    for claim in &mut figures.claims {
        let name = claim.is.strip_prefix("measured ");
        if let Some(place) = name.and_then(|name| figures.measured.get(name)) {
            claim.is = format!("measured {}", place.join("; "));
        }
    }
    let mut wrong = Vec::new();
    for (name, text) in pages()? {
        wrong.extend(marked(&name, &text, &sources)?);
        for claim in &figures.claims {
            wrong.extend(claimed(&name, &text, claim, &sources)?);
        }
    }
    wrong.extend(versions(&sources)?);
    if !wrong.is_empty() {
        bail!(
            "pages and code differ:\n  {}\n\nmend the page, or the sentence in docs/figures.toml",
            wrong.join("\n  ")
        );
    }
    Ok(())
}

fn read(path: &str) -> Result<toml::Table> {
    let text = fs::read_to_string(root().join(path)).with_context(|| format!("reading {path}"))?;
    toml::from_str(&text).with_context(|| format!("reading {path}"))
}

/// The pages for readers, except those generated from code: names and texts.
fn pages() -> Result<Vec<(String, String)>> {
    let mut names = vec![PathBuf::from("README.md")];
    for entry in fs::read_dir(root().join("site/guide"))? {
        let name = entry?.file_name();
        if name.to_string_lossy().ends_with(".md") {
            names.push(PathBuf::from("site/guide").join(name));
        }
    }
    names.sort();
    let mut pages = Vec::new();
    for name in names {
        let text = fs::read_to_string(root().join(&name))?;
        pages.push((name.display().to_string(), text));
    }
    // Entries about older versions keep their figures.
    let changes = fs::read_to_string(root().join("CHANGELOG.md"))?;
    let newest = changes.split("\n## ").nth(1).unwrap_or_default();
    pages.push(("CHANGELOG.md".into(), newest.to_owned()));
    Ok(pages)
}

/// Figures between marks.
fn marked(name: &str, text: &str, sources: &Sources) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(OPEN) {
        let (what, after) = after
            .split_once(" -->")
            .with_context(|| format!("{name}: a mark of a figure does not end"))?;
        let (stated, after) = after
            .split_once(CLOSE)
            .with_context(|| format!("{name}: no {CLOSE} after the mark of {what}"))?;
        let actual = sources.value(what)?;
        if stated != actual {
            wrong.push(format!(
                "{name} says {stated} for {what}, which is {actual}"
            ));
        }
        rest = after;
    }
    Ok(wrong)
}

/// Figures in sentences.
fn claimed(name: &str, text: &str, claim: &Claim, sources: &Sources) -> Result<Vec<String>> {
    let (before, after) = claim
        .says
        .split_once("{}")
        .with_context(|| format!("no {{}} in {:?} of docs/figures.toml", claim.says))?;
    let actual = sources.value(&claim.is)?;
    let plain = without_marks(text).to_lowercase();
    let (before, after) = (before.to_lowercase(), after.to_lowercase());
    let mut wrong = Vec::new();
    for (at, _) in plain.match_indices(if before.is_empty() { &after } else { &before }) {
        let stated = if before.is_empty() {
            plain[..at]
                .rsplit(|c: char| !is_part(c))
                .next()
                .unwrap_or_default()
        } else {
            let rest = &plain[at + before.len()..];
            let stated = rest.split(|c: char| !is_part(c)).next().unwrap_or_default();
            if !rest[stated.len()..].starts_with(&after) {
                continue;
            }
            stated
        };
        match number(stated) {
            Some(stated) if stated != actual => wrong.push(format!(
                "{name} says {:?}, but {} is {actual}",
                claim.says.replace("{}", &stated),
                claim.is
            )),
            _ => {}
        }
    }
    Ok(wrong)
}

fn is_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == ',' || c == '.'
}

/// A number as digits, whether it is written so, with separators, or as a word.
fn number(text: &str) -> Option<String> {
    if let Some(value) = WORDS.iter().position(|word| *word == text) {
        return Some(value.to_string());
    }
    let digits = text.replace(',', "");
    digits.parse::<f64>().is_ok().then_some(digits)
}

fn without_marks(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(OPEN) {
        out.push_str(before);
        rest = after.split_once(" -->").map_or("", |(_, after)| after);
    }
    out.push_str(rest);
    out.replace(CLOSE, "")
}

/// Everything released together has one version, and the changelog starts with it.
fn versions(sources: &Sources) -> Result<Vec<String>> {
    let version = sources.value("version")?;
    let mut wrong = Vec::new();
    for package in ["core", "rtm", "signaling", "react", "server"] {
        let path = format!("clients/js/{package}/package.json");
        let manifest: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(root().join(&path))?)?;
        let stated = manifest["version"].as_str().unwrap_or("none");
        if stated != version {
            wrong.push(format!(
                "{path} is of version {stated}, Cargo.toml of {version}"
            ));
        }
    }
    let python = "clients/python/src/tidings_server/_policy.py";
    if !fs::read_to_string(root().join(python))?.contains(&format!("VERSION = {version:?}")) {
        wrong.push(format!(
            "{python} is not of version {version}, as Cargo.toml is"
        ));
    }
    let changes = fs::read_to_string(root().join("CHANGELOG.md"))?;
    let newest = changes.lines().find_map(|line| line.strip_prefix("## "));
    let newest = newest.unwrap_or("nothing");
    if newest.split(' ').next() != Some(version.as_str()) {
        wrong.push(format!(
            "CHANGELOG.md begins with {newest}, Cargo.toml is of {version}"
        ));
    }
    Ok(wrong)
}

impl Sources {
    /// A value by its name, in the unit that stands before it.
    fn value(&self, what: &str) -> Result<String> {
        let package = &self.manifest["workspace"]["package"];
        match what {
            "version" => return text(&package["version"]),
            "rust" => return text(&package["rust-version"]),
            "node" => return Ok(NODE_MAJOR_MIN.to_string()),
            "python" => return Ok(PYTHON_MIN.to_owned()),
            _ => {}
        }
        if let Some(measured) = what.strip_prefix("measured ") {
            return measured_value(measured, |page| {
                let path = root().join(format!("docs/proven/{page}.md"));
                fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
            });
        }
        let (unit, name) = what.split_once(' ').unwrap_or(("", what));
        let row =
            |table: &str, key: &str| self.limits.get(table)?.get(name)?.get(key)?.as_integer();
        let value = row("limits", "value")
            .or_else(|| row("rates", "calls"))
            .with_context(|| format!("proto/limits.toml has no {name}"))?;
        let per_second = if name.ends_with("_ms") { 1000 } else { 1 };
        let divisor = match unit {
            "" => 1,
            "seconds" => per_second,
            "minutes" => per_second * 60,
            "hours" => per_second * 3_600,
            "days" => per_second * 86_400,
            "KiB" => 1024,
            "MiB" => 1024 * 1024,
            other => bail!("{other:?} of {what:?} is no unit"),
        };
        if value % divisor != 0 {
            bail!("{name} is {value}, which is no whole number of {unit}");
        }
        Ok((value / divisor).to_string())
    }
}

/// A figure of a generated page: `FORM; PAGE; HEADING; ROW; COLUMN`, where the row is named by its
/// first cell.
fn measured_value(what: &str, page: impl Fn(&str) -> Result<String>) -> Result<String> {
    let parts: Vec<&str> = what.split("; ").collect();
    let [form, name, heading, row, column] = parts[..] else {
        bail!("{what:?} is not: form; page; heading; row; column");
    };
    let text = page(name)?;
    let section = text
        .split("\n## ")
        .find(|section| section.lines().next() == Some(heading))
        .with_context(|| format!("docs/proven/{name}.md has no section {heading:?}"))?;
    let cells = |line: &str| -> Vec<String> {
        let line = line.trim_matches('|');
        line.split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let mut titles = Vec::new();
    for line in section.lines().filter(|line| line.starts_with('|')) {
        let cells = cells(line);
        if cells.iter().any(|cell| cell == column) {
            titles = cells;
        } else if cells.first().is_some_and(|first| first == row) {
            let at = titles.iter().position(|title| title == column);
            let cell = at.and_then(|at| cells.get(at));
            let cell = cell.with_context(|| format!("{what:?} is in no column"))?;
            // What follows in brackets is a comparison.
            let number = cell.split(' ').next().unwrap_or_default();
            let value: f64 = number.replace(',', "").parse().with_context(|| {
                format!("docs/proven/{name}.md has {cell:?}, which is no number, for {what:?}")
            })?;
            return shown(form, value);
        }
    }
    bail!("docs/proven/{name}.md has no {column:?} of {row:?} in {heading:?}")
}

/// A measured figure as a page for readers has it.
fn shown(form: &str, value: f64) -> Result<String> {
    match form {
        "KB" => Ok(format!("{:.1}", value / 1_000.0)),
        "2 digits" => {
            let digits = value.abs().log10().floor();
            let unit = 10_f64.powf(digits - 1.0);
            let rounded = (value / unit).round() * unit;
            let decimals = if digits < 1.0 { 1.0 - digits } else { 0.0 };
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a small number from 0"
            )]
            Ok(format!("{rounded:.0$}", decimals as usize))
        }
        "whole" => {
            let digits = format!("{value:.0}");
            let mut grouped = String::new();
            for (at, digit) in digits.chars().enumerate() {
                if at > 0 && (digits.len() - at).is_multiple_of(3) {
                    grouped.push(',');
                }
                grouped.push(digit);
            }
            Ok(grouped)
        }
        other => bail!("{other:?} is no form of a measured figure: KB, 2 digits, whole"),
    }
}

fn text(value: &toml::Value) -> Result<String> {
    Ok(value.as_str().context("a version is a text")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Claim, Sources, claimed, marked, measured_value, shown};

    fn sources() -> Sources {
        let limits = "[limits]\nwindow_ms = { value = 120000 }\nsize_bytes = { value = 32768 }\n[rates]\ncall = { calls = 5 }";
        let manifest = "[workspace.package]\nversion = \"1.2.3\"\nrust-version = \"1.95\"";
        Sources {
            limits: toml::from_str(limits).expect("a table"),
            manifest: toml::from_str(manifest).expect("a table"),
        }
    }

    #[test]
    fn values_are_told_in_the_unit_that_is_asked_for() {
        let sources = sources();
        for (what, value) in [
            ("window_ms", "120000"),
            ("seconds window_ms", "120"),
            ("minutes window_ms", "2"),
            ("KiB size_bytes", "32"),
            ("call", "5"),
            ("version", "1.2.3"),
        ] {
            assert_eq!(sources.value(what).expect("a value"), value, "{what}");
        }
        for what in ["nothing", "hours window_ms", "parsec window_ms"] {
            assert!(sources.value(what).is_err(), "{what}");
        }
    }

    #[test]
    fn a_sentence_with_another_number_is_found() {
        let check = |says: &str, is: &str, text: &str| {
            let claim = Claim {
                says: says.into(),
                is: is.into(),
            };
            claimed("page", text, &claim, &sources())
                .expect("a claim")
                .len()
        };
        let window = |text: &str| check("within {} minutes", "minutes window_ms", text);
        assert_eq!(window("Resumes within 2 minutes. Within two minutes."), 0);
        assert_eq!(window("Resumes within 3 minutes. WITHIN five minutes."), 2);
        assert_eq!(window("within some minutes, within 3 hours"), 0);
        assert_eq!(
            window("within <!-- value: minutes window_ms -->3<!-- end --> minutes"),
            1
        );
        assert_eq!(
            check(
                "{} bytes",
                "size_bytes",
                "takes 32,768 bytes or 40000 bytes"
            ),
            1
        );
    }

    #[test]
    fn a_figure_of_a_generated_page_is_found_by_heading_row_and_column() {
        let page = "# P\n\n## One\n\n| server | CPU, µs | bytes |\n| --- | ---: | ---: |\n\
                    | other | 9 | 1 |\n| **Tidings** | 46.5 (0.5×) | 1990 |\n\n## Two\n\n\
                    | server | bytes |\n| --- | --- |\n| **Tidings** | 11518 |\n";
        let read = |what: &str| measured_value(what, |_| Ok(page.to_owned()));
        for (what, value) in [
            ("2 digits; p; One; **Tidings**; CPU, µs", "47"),
            ("KB; p; One; **Tidings**; bytes", "2.0"),
            ("whole; p; Two; **Tidings**; bytes", "11,518"),
        ] {
            assert_eq!(read(what).expect(what), value);
        }
        for what in [
            "KB; p; One; **Tidings**",
            "KB; p; Three; **Tidings**; bytes",
            "KB; p; One; nobody; bytes",
            "KB; p; One; **Tidings**; words",
            "miles; p; One; **Tidings**; bytes",
        ] {
            assert!(read(what).is_err(), "{what}");
        }
        for (value, text) in [(0.265, "0.27"), (7.2, "7.2"), (12.26, "12"), (227.0, "230")] {
            assert_eq!(shown("2 digits", value).expect("a form"), text);
        }
    }

    #[test]
    fn a_mark_with_another_number_is_found() {
        let check = |text: &str| marked("page", text, &sources());
        assert!(
            check("<!-- value: call -->5<!-- end -->")
                .expect("marks")
                .is_empty()
        );
        assert_eq!(
            check("a <!-- value: call -->6<!-- end -->")
                .expect("marks")
                .len(),
            1
        );
        assert!(check("<!-- value: call -->5").is_err());
        assert!(check("<!-- value: cal -->5<!-- end -->").is_err());
    }
}
