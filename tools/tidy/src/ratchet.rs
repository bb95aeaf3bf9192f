//! Holds the measures against the committed ones: they may only get better, and what got better
//! is committed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::measures::{Better, Measure};

const FILE: &str = "tools/tidy/tidy.toml";
/// Places that are shown of a measure that got worse.
const SHOWN: usize = 20;

const HEAD: &str = "\
# What is tolerated, and may only get better. `cargo xtask tidy` compares; `cargo xtask tidy --update`
# writes what got better; `cargo xtask tidy --list NAME` shows the places. `assertions_per_1000` may
# only rise, everything else may only fall. A measure that has to get worse is changed here by hand,
# and the commit says why.

";

/// What differs: a problem for each measure that got worse, and, without `update`, for each that
/// got better.
///
/// # Errors
/// The file cannot be read or written.
pub(crate) fn hold(root: &Path, found: &[Measure], update: bool) -> Result<Vec<String>> {
    let path = root.join(FILE);
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let committed: BTreeMap<String, f64> = toml::from_str(&text).context(FILE)?;
    let (problems, next) = compare(&committed, found, update);
    let next = render(&next);
    if update && next != text {
        std::fs::write(&path, next).with_context(|| format!("writing {FILE}"))?;
    }
    Ok(problems)
}

/// The problems, and what the file should hold.
fn compare(
    committed: &BTreeMap<String, f64>,
    found: &[Measure],
    update: bool,
) -> (Vec<String>, BTreeMap<String, f64>) {
    let mut problems = Vec::new();
    let mut next = BTreeMap::new();
    for measure in found {
        let (name, value) = (&measure.name, measure.value);
        let Some(&was) = committed.get(name) else {
            next.insert(name.clone(), value);
            // A crate without a circle has no line.
            let has_line = !name.starts_with("circle ") || value > 0.0;
            if has_line && !update {
                problems.push(format!(
                    "{name} is {value} and not in {FILE}: run `cargo xtask tidy --update`"
                ));
            }
            continue;
        };
        let is_worse = match measure.better {
            Better::Lower => value > was,
            Better::Higher => value < was,
        };
        next.insert(name.clone(), if is_worse { was } else { value });
        let is_better = !is_worse && (value - was).abs() > f64::EPSILON;
        if is_worse {
            problems.push(worse(measure, was));
        } else if is_better && !update {
            problems.push(format!(
                "{name} is {value}, better than {was}: run `cargo xtask tidy --update` and commit {FILE}"
            ));
        }
    }
    let gone = committed.keys().filter(|name| !next.contains_key(*name));
    for name in gone.filter(|_| !update) {
        problems.push(format!(
            "{name} is in {FILE} and measured no more: run `cargo xtask tidy --update`"
        ));
    }
    (problems, next)
}

fn worse(measure: &Measure, was: f64) -> String {
    let (name, value, remedy) = (&measure.name, measure.value, measure.remedy);
    let mut text = format!("{name} is {value}, worse than {was}: {remedy}");
    for place in measure.places.iter().take(SHOWN) {
        let _ = write!(text, "\n      {place}");
    }
    let rest = measure.places.len().saturating_sub(SHOWN);
    if rest > 0 {
        let _ = write!(
            text,
            "\n      and {rest} more: `cargo xtask tidy --list {name}`; those in files changed last come first"
        );
    }
    text
}

fn render(values: &BTreeMap<String, f64>) -> String {
    let mut text = HEAD.to_owned();
    // No circle is not worth a line.
    let shown = values
        .iter()
        .filter(|(name, value)| !name.starts_with("circle ") || **value > 0.0);
    for (name, value) in shown {
        // TOML keeps a float apart from an integer; the file is easier to read with integers.
        let _ = if value.fract() == 0.0 && !name.starts_with("assertions") {
            writeln!(text, "\"{name}\" = {value:.0}")
        } else {
            writeln!(text, "\"{name}\" = {value:.1}")
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measure(name: &str, value: f64, better: Better) -> Measure {
        Measure {
            name: name.into(),
            value,
            better,
            remedy: "do this",
            places: vec!["a.rs:7 f".into()],
        }
    }

    fn held(was: f64, is: f64, better: Better, update: bool) -> (Vec<String>, f64) {
        let committed = BTreeMap::from([("m".to_owned(), was)]);
        let (problems, next) = compare(&committed, &[measure("m", is, better)], update);
        (problems, next["m"])
    }

    #[test]
    fn what_got_worse_fails_with_place_and_remedy_and_is_never_written() {
        for update in [false, true] {
            let (problems, next) = held(1.0, 2.0, Better::Lower, update);
            assert_eq!(problems, ["m is 2, worse than 1: do this\n      a.rs:7 f"]);
            assert!((next - 1.0).abs() < f64::EPSILON);
            assert_eq!(held(2.0, 1.0, Better::Higher, update).0.len(), 1);
        }
    }

    #[test]
    fn what_got_better_asks_for_an_update_which_writes_it() {
        let (problems, _) = held(2.0, 1.0, Better::Lower, false);
        assert!(problems[0].contains("better than 2: run `cargo xtask tidy --update`"));
        assert_eq!(held(2.0, 1.0, Better::Lower, true), (vec![], 1.0));
        assert_eq!(held(1.0, 2.5, Better::Higher, true), (vec![], 2.5));
        assert_eq!(held(1.0, 1.0, Better::Lower, false), (vec![], 1.0));
    }

    #[test]
    fn a_rise_in_the_working_tree_fails_and_a_fall_is_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join(FILE);
        std::fs::create_dir_all(file.parent().expect("a parent")).expect("folders");
        let mut measures = [measure("sleeps", 3.0, Better::Lower)];
        let problems = hold(folder.path(), &measures, true).expect("written");
        assert_eq!(problems, [""; 0]);
        assert!(
            std::fs::read_to_string(&file)
                .expect("a file")
                .ends_with("\"sleeps\" = 3\n")
        );
        measures[0].value = 4.0;
        assert_eq!(hold(folder.path(), &measures, true).expect("read").len(), 1);
        measures[0].value = 2.0;
        assert_eq!(
            hold(folder.path(), &measures, false).expect("read").len(),
            1
        );
        assert_eq!(hold(folder.path(), &measures, true).expect("read").len(), 0);
        assert!(
            std::fs::read_to_string(&file)
                .expect("a file")
                .ends_with("\"sleeps\" = 2\n")
        );
    }
}
