//! Long runs in slices: each takes fresh seeds and adds a line to a ledger, so that a run can be
//! stopped at any time and continues where it was.

use std::fs;
use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::proofs;
use crate::reliability::{Proof, perform, said_by};
use crate::setup;

const LEDGER: &str = "docs/proven/reliability-ledger.tsv";

const HEAD: &str = "date\tcommit\tproof\tseed\tamount\tseconds\tverdict\tresult\n";

/// What the figures of a ledger depend on: a change here invalidates them.
const CORE: &[&str] = &[
    "server/bus",
    "clients/rust",
    "clients/rust-core",
    "server/hub",
    "server/legacy",
    "server/server",
    "server/store",
    "server/wire",
];

/// The first fresh seed: lower ones are those of the gate and of runs by hand.
const FIRST_SEED: u64 = 1_000_000;

/// The slices, in turn.
const TURN: &[Slice] = &[
    Slice::Simulation,
    Slice::Simulation,
    Slice::Kills,
    Slice::Simulation,
    Slice::Simulation,
    Slice::Fuzz,
    Slice::Simulation,
    Slice::Simulation,
    Slice::Soak,
];

#[derive(Debug, Clone, Copy)]
enum Slice {
    /// 1,000 seeds, the better part of a minute.
    Simulation,
    /// 50 kills, about a minute.
    Kills,
    /// 5 s for each target.
    Fuzz,
    /// 10 minutes of the soak.
    Soak,
}

impl Slice {
    fn name(self) -> &'static str {
        match self {
            Self::Simulation => "simulation",
            Self::Kills => "kills",
            Self::Fuzz => "fuzz",
            Self::Soak => "soak",
        }
    }

    /// The amount: seeds, kills, seconds per target, minutes.
    fn amount(self) -> u64 {
        match self {
            Self::Simulation => 1_000,
            Self::Kills => 50,
            Self::Fuzz => 5,
            Self::Soak => 10,
        }
    }

    fn proof(self, seed: u64) -> Proof {
        let seed: &'static str = seed.to_string().leak();
        let amount: &'static str = self.amount().to_string().leak();
        match self {
            Self::Simulation => Proof::simulation(seed, amount),
            Self::Kills => Proof::kills(amount, Some(seed)),
            Self::Fuzz => Proof::fuzz(&["--seconds", amount, "--seed", seed]),
            Self::Soak => Proof::soak(seed, &["--minutes", amount]),
        }
    }
}

/// Runs slices for some minutes, finishing the last one; without minutes, adds up previous slices.
pub(crate) fn run(minutes: Option<f64>) -> Result<()> {
    let Some(minutes) = minutes else {
        return tell();
    };
    setup::cargo(&["build", "--quiet", "--package", "tidings"])?;
    setup::sdk()?;
    proofs::install_suite()?;
    let path = setup::root().join(LEDGER);
    let mut ledger = fs::read_to_string(&path).unwrap_or_else(|_| HEAD.into());
    let until = Instant::now() + Duration::from_secs_f64(minutes.max(0.0) * 60.0);
    let mut has_failed = false;
    while Instant::now() < until {
        let slices = ledger.lines().count() - 1;
        let slice = TURN[slices % TURN.len()];
        let seed = next_seed(&ledger, slice);
        let began = Instant::now();
        let (is_good, result) = perform(&slice.proof(seed))?;
        has_failed |= !is_good;
        let line = format!(
            "{}\t{}\t{}\t{seed}\t{}\t{}\t{}\t{}\n",
            said_by("date", &["-u", "+%FT%TZ"])?,
            said_by("git", &["rev-parse", "--short", "HEAD"])?,
            slice.name(),
            slice.amount(),
            began.elapsed().as_secs(),
            if is_good { "ok" } else { "FAILED" },
            result.replace('\t', " "),
        );
        ledger += &line;
        // Written in one piece: a run that is stopped leaves no partial line.
        let next = path.with_extension("new");
        let written =
            fs::File::create(&next).and_then(|mut file| file.write_all(ledger.as_bytes()));
        written
            .and_then(|()| fs::rename(&next, &path))
            .with_context(|| format!("writing {LEDGER}"))?;
    }
    tell()?;
    if has_failed {
        bail!("a slice has failed; {LEDGER} has its seed");
    }
    Ok(())
}

/// The lowest seed that no slice of this kind has used.
fn next_seed(ledger: &str, slice: Slice) -> u64 {
    let lines = ledger.lines().filter_map(Line::read);
    let ends = lines
        .filter(|line| line.proof == slice.name())
        .map(|line| line.seed + slice.amount());
    ends.max().unwrap_or(FIRST_SEED)
}

/// Adds up the slices since the core last changed.
fn tell() -> Result<()> {
    let ledger = fs::read_to_string(setup::root().join(LEDGER))
        .with_context(|| format!("{LEDGER} is not there yet; `--minutes N` begins it"))?;
    let change = [&["log", "-1", "--format=%h", "--"], CORE].concat();
    let core = said_by("git", &change)?;
    let since = said_by("git", &["log", "--format=%h", &format!("{core}^..HEAD")])?;
    let lines: Vec<Line> = ledger
        .lines()
        .filter_map(Line::read)
        .filter(|line| since.lines().any(|commit| commit == line.commit))
        .collect();
    println!("since the core changed with {core}:");
    for (slice, unit) in [
        (Slice::Simulation, "seeds"),
        (Slice::Kills, "kills"),
        (Slice::Fuzz, "seconds for each target"),
        (Slice::Soak, "minutes"),
    ] {
        let of_it = lines.iter().filter(|line| line.proof == slice.name());
        let (mut amount, mut failed, mut hours, mut faults) = (0, 0, 0.0, 0.0);
        for line in of_it {
            amount += line.amount;
            failed += u64::from(line.verdict != "ok");
            hours += number_before(line.result, " hours");
            faults += number_before(line.result, " faults");
        }
        print!("{}: {amount} {unit}, {failed} slices failed", slice.name());
        if hours > 0.0 {
            println!(", {hours:.0} simulated hours, {faults:.0} faults");
        } else {
            println!();
        }
    }
    Ok(())
}

/// A line of the ledger.
struct Line<'a> {
    commit: &'a str,
    proof: &'a str,
    seed: u64,
    amount: u64,
    verdict: &'a str,
    result: &'a str,
}

impl<'a> Line<'a> {
    /// `None` for the header, and for any line of another form.
    fn read(text: &'a str) -> Option<Self> {
        let fields: Vec<&str> = text.split('\t').collect();
        let [_, commit, proof, seed, amount, _, verdict, result] = fields[..] else {
            return None;
        };
        Some(Self {
            commit,
            proof,
            seed: seed.parse().ok()?,
            amount: amount.parse().ok()?,
            verdict,
            result,
        })
    }
}

/// The number in front of a word, 0 if there is none.
fn number_before(text: &str, word: &str) -> f64 {
    let number = text
        .split_once(word)
        .and_then(|(before, _)| before.rsplit(' ').next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "2026-11-23T00:00:00Z\tabc\tsimulation\t1000000\t1000\t40\tok\t1000 seeds, 0 failed; simulated: 33.5 hours, 21000 faults\n";

    #[test]
    fn a_run_goes_on_with_the_seed_after_the_last() {
        assert_eq!(next_seed(HEAD, Slice::Simulation), FIRST_SEED);
        let ledger = format!("{HEAD}{LINE}");
        assert_eq!(next_seed(&ledger, Slice::Simulation), FIRST_SEED + 1_000);
        assert_eq!(next_seed(&ledger, Slice::Soak), FIRST_SEED);
    }

    #[test]
    fn figures_are_read_from_results() {
        let line = Line::read(LINE.trim_end()).expect("a line");
        assert_eq!(number_before(line.result, " hours"), 33.5);
        assert_eq!(number_before(line.result, " faults"), 21_000.0);
        assert_eq!(number_before("nothing", " hours"), 0.0);
    }
}
