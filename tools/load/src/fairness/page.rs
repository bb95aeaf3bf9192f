//! The results of the attacks, line by line and as a page.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::attacks::ATTACKS;
use super::{Figures, Outcome, memory};

/// Empties the file of results.
///
/// # Errors
/// If it cannot be written.
pub(super) fn begin(json: &Path) -> Result<()> {
    if let Some(folder) = json.parent() {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    fs::write(json, "").with_context(|| format!("writing {}", json.display()))
}

/// A line of the file of results.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Line {
    Attack(Box<Outcome>),
    /// What a connection of a kind costs before its login, in bytes.
    Memory {
        kind: String,
        bytes: u64,
    },
}

/// Appends a result; the last one with a name counts for the page.
///
/// # Errors
/// If it cannot be written.
pub(super) fn keep(json: &Path, result: &Line) -> Result<()> {
    let file = OpenOptions::new().create(true).append(true).open(json);
    let mut file = file.with_context(|| format!("writing {}", json.display()))?;
    writeln!(file, "{}", serde_json::to_string(result)?)?;
    Ok(())
}

/// One line for the terminal.
pub(super) fn line(outcome: &Outcome) -> String {
    let Outcome {
        name,
        attacked,
        control,
        ..
    } = outcome;
    let mut line = format!(
        "{name:24} p50/p99 {} | control {} | logins {}/{} (control {}/{}) | health {}/{} | files {}/{} | MB {} | {} | {}",
        times(attacked),
        times(control),
        attacked.in_time,
        attacked.logins,
        control.in_time,
        control.logins,
        attacked.healthy,
        attacked.health,
        attacked.uploaded,
        attacked.uploads,
        memory_of(outcome),
        deeds(outcome),
        verdict(outcome),
    );
    if let Some(why) = common(&attacked.not_in_time) {
        let _ = write!(line, " [logins: {why}]");
    }
    line
}

/// Writes the page of the results.
///
/// # Errors
/// If they cannot be read, or the page cannot be written.
pub(super) fn write(page: &Path, json: &Path, commit: &str) -> Result<()> {
    let text = fs::read_to_string(json).with_context(|| format!("reading {}", json.display()))?;
    let mut outcomes = Vec::new();
    let mut costs = BTreeMap::new();
    for line in text.lines() {
        match serde_json::from_str(line).context("reading a result")? {
            Line::Attack(outcome) => {
                outcomes.retain(|other: &Outcome| other.name != outcome.name);
                outcomes.push(*outcome);
            }
            Line::Memory { kind, bytes } => drop(costs.insert(kind, bytes)),
        }
    }
    let text = of(&outcomes, &costs, commit);
    fs::write(page, text).with_context(|| format!("writing {}", page.display()))
}

const HEAD: &str = "\
# Fairness: whose trouble is an attack?

<!-- Made by `cargo xtask fairness`; do not edit. -->

Nobody's traffic may be anybody else's trouble (contract SEC-1, `limit.fair`, `slow.isolated`). This page is a measurement
of it, made by `cargo xtask fairness`, which repeats it.

**How it is measured.** Two processes of the program run side by side, each with one hub and two apps, and nothing else set
but a trusted proxy, so that clients count by the addresses that it states. In each, a pair of users of one app writes 40
messages a second, one person logs in each 20 ms from an address of their own, a load balancer asks for `/healthz` ten
times a second, and four people a second upload a small file. Attackers go at the one process and then at the other, for as long each as the table's head says. The
figures under *attacked* are those of the victims of the process that is being attacked, those under *control* are of the
other process's at the same time: the same machine, the same load, no attack. The servers have one half of the cores and the generators the
other, as if they were two machines; attackers yield to the victims' clients, which take the times.

**What is promised.** The victims' p99 is at most twice the control's, or the control's and 2 ms, whichever is more; 99 % of
the logins are in within 100 ms; 99 % of the health checks and of the uploads are good within a second; no victim's connection ends. Where the
machine, busy with the generators, did not manage 99 % at the control either, as many as there are asked for.
An attack that seems to do harm is measured twice more, and the measurement in the middle counts (3 ×): the machine has other
work too.
Time is from the send call to the receiver's event.

";

fn of(outcomes: &[Outcome], costs: &BTreeMap<String, u64>, commit: &str) -> String {
    let seconds = outcomes.first().map_or(0, |outcome| outcome.seconds);
    let is_bad = |outcome: &&Outcome| !outcome.faults().is_empty();
    let bad = outcomes.iter().filter(is_bad).count();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let cpu = crate::machine::cpu().unwrap_or_else(|| "unknown".into());
    let mut text = HEAD.to_owned();
    let _ = writeln!(
        text,
        "**{} of {} attacks were nobody else's trouble.** {cores} cores, {cpu}; {seconds} s at each process{}.\n",
        outcomes.len() - bad,
        outcomes.len(),
        match commit {
            "" => String::new(),
            commit => format!("; commit {commit}"),
        }
    );
    if outcomes.iter().any(|outcome| outcome.is_development) {
        text += "**Measured with a development build, which is not optimized, on a machine that was compiling meanwhile: what \
                 counts is the ratio to the control. `cargo xtask fairness` measures a release build.**\n\n";
    }
    text += "| Attack | Who does what | p50 / p99 ms, attacked | control | Logins in 100 ms, attacked | control | \
             Healthy | Files | Memory MB before / during / after | What the attackers got done | Verdict |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n";
    for attack in ATTACKS {
        let mut found = outcomes.iter();
        let Some(outcome) = found.find(|outcome| outcome.name == attack.name) else {
            continue;
        };
        let Outcome {
            attacked, control, ..
        } = outcome;
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            attack.name,
            attack.what,
            times(attacked),
            times(control),
            share(attacked.in_time, attacked.logins),
            share(control.in_time, control.logins),
            share(attacked.healthy, attacked.health),
            share(attacked.uploaded, attacked.uploads),
            memory_of(outcome),
            deeds(outcome),
            verdict(outcome),
        );
    }
    text += &memories(costs);
    text += "\n`cargo xtask fairness --only NAME` repeats one attack, `--list` shows them, `--seconds N` makes it longer.\n\
             A short edition without times, which counts what the server takes of a flood and whom it lets in, is part of \
             `cargo xtask test`: `server/server/tests/fairness.rs`.\n";
    text
}

/// The table of what strangers cost; empty when nothing was measured.
fn memories(costs: &BTreeMap<String, u64>) -> String {
    if costs.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "\n## Memory of a connection before its login\n\n\
         The growth of the process (resident memory) with {} connections of a kind, for each of them. A test \
         asserts what each may cost. What the kernel keeps in its socket buffers is not in it.\n\n\
         | Kind | Bytes | Allowed |\n| --- | --- | --- |\n",
        memory::COUNT,
    );
    for kind in memory::KINDS {
        if let Some(bytes) = costs.get(kind.what) {
            let most = kind.bytes_max();
            let mark = if *bytes > most { " **too much**" } else { "" };
            let _ = writeln!(text, "| {} | {bytes}{mark} | {most} |", kind.what);
        }
    }
    text
}

fn times(figures: &Figures) -> String {
    format!("{:.1} / {:.1}", figures.p50_ms, figures.p99_ms)
}

fn share(part: usize, whole: usize) -> String {
    match whole {
        0 => "none".into(),
        whole if part == whole => "100 %".into(),
        // Rounded down: 99.96 % is not all.
        whole => format!("{}.{} %", part * 100 / whole, part * 1000 / whole % 10),
    }
}

fn memory_of(outcome: &Outcome) -> String {
    let mb = |bytes: u64| bytes.div_ceil(1_000_000);
    format!(
        "{} / {} / {}",
        mb(outcome.memory_before),
        mb(outcome.memory_during),
        mb(outcome.memory_after)
    )
}

/// What the attackers did, in few words.
fn deeds(outcome: &Outcome) -> String {
    let mut ends = outcome.ends.clone();
    ends.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let mut text = format!("{} done", round(outcome.messages));
    if outcome.bytes > 0 {
        let _ = write!(text, ", {} bytes", round(outcome.bytes));
    }
    if outcome.held > 8 {
        let _ = write!(text, ", {} held", outcome.held);
    }
    for (end, count) in ends.iter().take(3) {
        let _ = write!(text, "; {} × {end}", round(*count));
    }
    text
}

fn round(count: u64) -> String {
    match count {
        0..10_000 => count.to_string(),
        10_000..10_000_000 => format!("{} k", count / 1_000),
        _ => format!("{} M", count / 1_000_000),
    }
}

fn verdict(outcome: &Outcome) -> String {
    let verdict = match outcome.faults().as_slice() {
        [] => "kept".into(),
        faults => format!("**not kept**: {}", faults.join("; ")),
    };
    match outcome.times {
        0 | 1 => verdict,
        times => format!("{verdict} ({times} ×)"),
    }
}

/// The most common ends, and how many of each.
fn common(all: &[String]) -> Option<String> {
    let mut counts = BTreeMap::<&str, usize>::new();
    for one in all {
        *counts.entry(one).or_default() += 1;
    }
    let (what, count) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    Some(format!("{count} of {}: {what}", all.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome() -> Outcome {
        let figures = Figures {
            p50_ms: 0.4,
            p99_ms: 1.0,
            messages: 400,
            logins: 500,
            in_time: 495,
            health: 100,
            healthy: 99,
            uploads: 20,
            uploaded: 20,
            ..Figures::default()
        };
        Outcome {
            name: "pings-1".into(),
            seconds: 5,
            attacked: figures.clone(),
            control: figures,
            memory_before: 9_000_000,
            memory_during: 10_000_001,
            memory_after: 9_000_000,
            messages: 12_345,
            bytes: 1,
            held: 1,
            ends: vec![("close 4005".into(), 2)],
            failure: None,
            times: 3,
            is_development: false,
        }
    }

    #[test]
    fn promises_are_kept_up_to_their_bounds_and_not_beyond() {
        let good = outcome();
        assert_eq!(good.faults(), Vec::<String>::new());
        let spoilt = |spoil: fn(&mut Outcome)| {
            let mut bad = outcome();
            spoil(&mut bad);
            bad.faults().len()
        };
        assert_eq!(spoilt(|bad| bad.attacked.p99_ms = 3.0), 0, "2 ms more");
        assert_eq!(spoilt(|bad| bad.attacked.p99_ms = 3.1), 1);
        assert_eq!(spoilt(|bad| bad.control.p99_ms = 0.1), 0, "its 2 ms more");
        assert_eq!(spoilt(|bad| bad.attacked.in_time = 494), 1);
        let busy = |bad: &mut Outcome| (bad.attacked.in_time, bad.control.in_time) = (490, 490);
        assert_eq!(spoilt(busy), 0, "the control's too");
        assert_eq!(spoilt(|bad| bad.attacked.healthy = 98), 1);
        assert_eq!(spoilt(|bad| bad.attacked.uploaded = 19), 1);
        assert_eq!(spoilt(|bad| bad.attacked.cut = vec!["cut".into()]), 1);
        assert_eq!(spoilt(|bad| bad.failure = Some("it ended".into())), 1);
    }

    #[test]
    fn the_page_has_a_row_for_each_result() {
        let costs = BTreeMap::from([("TCP, nothing said".to_owned(), 25_000)]);
        let page = of(&[outcome()], &costs, "abc");
        assert!(
            page.contains("| TCP, nothing said | 25000 **too much** | 24576 |"),
            "{page}"
        );
        assert!(page.contains("**1 of 1 attacks"), "{page}");
        assert!(page.contains("| `pings-1` |"), "{page}");
        assert!(page.contains("| 99.0 % | 99.0 % | 99.0 % | 100 % | 9 / 11 / 9 | 12 k done, 1 bytes; 2 × close 4005 | kept (3 ×) |"), "{page}");
    }
}
