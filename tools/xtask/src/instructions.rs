//! Instructions that a hub's operations execute, counted by callgrind: no clock, no noise.
//!
//! Two things are checked: at 1,000 users an operation takes no more than the committed figure, and
//! with more users it takes no more than at 1,000. The committed figures belong to one version of
//! the compiler: with another they are printed but not enforced.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use crate::setup::{cargo, root};

const PROGRAM: &str = "target/release/tidings-bench";
const FIGURES: &str = "tools/bench/instructions.toml";

/// The function whose instructions count.
const MEASURED: &str = "tidings_bench::work::measured";

/// How much worse than the committed figure counts as worse, as a fraction. On one machine the
/// counts differ by less than a hundredth; the C library chooses its copying functions by the
/// processor.
const WORSE_MAX: f64 = 0.1;

/// How fast the cost of one operation may rise with the number of users: 0 = not at all, 1 = in
/// proportion.
const EXPONENT_MAX: f64 = 0.05;

/// Users of the committed figures.
const USERS: usize = 1_000;

/// Numbers of users for which growth is checked, in the gate and by hand.
const MORE_USERS: [usize; 2] = [10_000, 100_000];

#[derive(Debug, Serialize, Deserialize)]
struct Figures {
    /// The compiler's version.
    rustc: String,
    /// Instructions of one operation, by its name, at 1,000 users.
    instructions: BTreeMap<String, f64>,
}

/// In the gate: as `run`, where callgrind is installed.
pub(crate) fn gate() -> Result<()> {
    match Command::new("valgrind").arg("--version").output() {
        Ok(_) => run(false, false),
        Err(_) => {
            println!("instructions are not counted: valgrind is not installed");
            Ok(())
        }
    }
}

/// Counts, and compares with the committed figures; `update` writes the counts instead, `all` also
/// counts at 100,000 users.
pub(crate) fn run(update: bool, all: bool) -> Result<()> {
    cargo(&["build", "--release", "--package", "tidings-bench"])?;
    let found = count(USERS)?;
    let mut problems = Vec::new();
    let more = if all { 2 } else { 1 };
    let mut columns = vec![found.clone()];
    for users in &MORE_USERS[..more] {
        let grown = count(*users)?;
        problems.extend(risen(&found, &grown, *users));
        columns.push(grown);
    }
    print(&columns);
    let path = root().join(FIGURES);
    let rustc = version()?;
    if update {
        let instructions = found;
        let text = toml::to_string(&Figures {
            rustc,
            instructions,
        })?;
        let head = "# Written and held by `cargo xtask instructions`, with --update and without.\n";
        std::fs::write(&path, format!("{head}{text}"))?;
    } else {
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("reading {}", path.display()))?;
        let committed: Figures = toml::from_str(&text)?;
        if committed.rustc == rustc {
            problems.extend(worse(&found, &committed.instructions));
        } else {
            println!("not compared: {} has counted before", committed.rustc);
        }
    }
    if !problems.is_empty() {
        bail!(
            "operations of the hub cost more; if that is meant: cargo xtask instructions --update\n  {}",
            problems.join("\n  ")
        );
    }
    Ok(())
}

/// Instructions of one operation, by its name.
fn count(users: usize) -> Result<BTreeMap<String, f64>> {
    let folder = root().join("target/instructions");
    // Dumps of an earlier run must not be mistaken for this one's.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder)?;
    let dump = folder.join("dump");
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", dump.display()))
        .arg(format!("--dump-before={MEASURED}"))
        .arg(format!("--dump-after={MEASURED}"))
        .arg(root().join(PROGRAM))
        .args(["count", "--users", &users.to_string()])
        // A quarter of the users: growth by doubling is spread over them.
        .args(["--times", &(users / 4).to_string()])
        .output()
        .context("running valgrind; install the package of that name")?;
    if !output.status.success() {
        bail!("valgrind: {}", String::from_utf8_lossy(&output.stderr));
    }
    let text = String::from_utf8(output.stdout)?;
    let mut found = BTreeMap::new();
    for (at, line) in text.lines().enumerate() {
        let (name, units) = line.split_once(' ').context("a line of the bench")?;
        // One dump before each operation and one after it: the second has the operation's
        // instructions.
        let total = total(&dump, 2 * (at + 1))?;
        found.insert(name.to_owned(), (total / units.parse::<f64>()?).round());
    }
    Ok(found)
}

fn total(dump: &Path, number: usize) -> Result<f64> {
    let path = PathBuf::from(format!("{}.{number}", dump.display()));
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    let total = total.with_context(|| format!("no total in {}", path.display()))?;
    Ok(total.trim().parse()?)
}

fn version() -> Result<String> {
    let output = Command::new("rustc").arg("--version").output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// What grows with the users.
fn risen(
    before: &BTreeMap<String, f64>,
    after: &BTreeMap<String, f64>,
    users: usize,
) -> Vec<String> {
    let steps = (users as f64 / USERS as f64).ln();
    let mut found = Vec::new();
    for (name, before) in before {
        let after = after.get(name).copied().unwrap_or_default();
        let exponent = (after / before).ln() / steps;
        if exponent > EXPONENT_MAX {
            found.push(format!(
                "{name}: {before} instructions at {USERS} users, {after} at {users}: exponent {exponent:.2}"
            ));
        }
    }
    found
}

/// What is worse than committed, or has no committed figure.
fn worse(found: &BTreeMap<String, f64>, committed: &BTreeMap<String, f64>) -> Vec<String> {
    let mut worse = Vec::new();
    for (name, found) in found {
        let committed = committed.get(name).copied().unwrap_or_default();
        if *found > committed * (1.0 + WORSE_MAX) {
            worse.push(format!(
                "{name}: {found} instructions instead of {committed}"
            ));
        }
    }
    worse
}

fn print(columns: &[BTreeMap<String, f64>]) {
    let heads = [USERS].into_iter().chain(MORE_USERS).take(columns.len());
    print!("{:<22}", "instructions at users");
    heads.for_each(|users| print!("{users:>10}"));
    println!();
    for name in columns[0].keys() {
        print!("{name:<22}");
        for column in columns {
            print!("{:>10}", column.get(name).copied().unwrap_or_default());
        }
        println!();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(figure: f64) -> BTreeMap<String, f64> {
        [("join".to_owned(), figure)].into()
    }

    #[test]
    fn a_tenth_is_borne_and_no_more() {
        assert!(worse(&of(109.0), &of(100.0)).is_empty());
        assert_eq!(worse(&of(111.0), &of(100.0)).len(), 1);
        assert_eq!(worse(&of(1.0), &BTreeMap::new()).len(), 1);
    }

    #[test]
    fn a_cost_that_grows_with_the_users_is_found() {
        assert!(risen(&of(100.0), &of(110.0), 10_000).is_empty());
        assert_eq!(risen(&of(100.0), &of(140.0), 10_000).len(), 1);
    }
}
