//! Proves the simulator's checks: switches the deliberate faults on, one after the other, and looks for a seed in which
//! a check fails. `tidings-mutants [--all | --count N --seed S] [--table]`, or `--mutant N --seed S --trace`.

use std::process::ExitCode;

use tidings_sim::mutants::{ALL, Catch, Mutant, SEEDS_MAX};
use tidings_sim::random::Random;

fn main() -> ExitCode {
    // A fault that ends in a panic is reported as a finding.
    std::panic::set_hook(Box::new(|_| {}));
    let args: Vec<String> = std::env::args().collect();
    let is_given = |name: &str| args.iter().any(|arg| arg == name);
    let number = |name: &str| {
        let at = args.iter().position(|arg| arg == name)?;
        args.get(at + 1)?.parse::<u64>().ok()
    };
    let seed = number("--seed").unwrap_or(1);
    if let Some(wanted) = number("--mutant") {
        let mutant = ALL.iter().find(|mutant| u64::from(mutant.number) == wanted);
        return match mutant {
            Some(mutant) if is_given("--trace") => replay(mutant, seed),
            Some(mutant) => report(&[(*mutant, mutant.hunt(SEEDS_MAX))], false),
            None => {
                let last = ALL.last().map_or(0, |mutant| mutant.number);
                println!(
                    "there is no mutant {wanted}; the last is {last}, docs/mutants.md has all"
                );
                ExitCode::FAILURE
            }
        };
    }
    let mut chosen = ALL.to_vec();
    if !is_given("--all") {
        let count = number("--count").unwrap_or(10);
        let mut random = Random::new(seed);
        while chosen.len() as u64 > count {
            let at = random.between(0, chosen.len() as u64 - 1);
            chosen.remove(usize::try_from(at).unwrap_or(0));
        }
        println!(
            "{} of {} mutants, drawn with seed {seed}",
            chosen.len(),
            ALL.len()
        );
    }
    let found: Vec<_> = chosen
        .iter()
        .map(|mutant| (*mutant, mutant.hunt(SEEDS_MAX)))
        .collect();
    report(&found, is_given("--table"))
}

fn replay(mutant: &Mutant, seed: u64) -> ExitCode {
    tidings_mutant::choose(Some(mutant.number));
    let (violations, trace) = mutant.profile.run(seed, true);
    trace.iter().for_each(|line| println!("{line}"));
    for violation in &violations {
        println!("{}: {}", violation.check, violation.text);
    }
    ExitCode::SUCCESS
}

fn report(found: &[(Mutant, Option<Catch>)], is_table: bool) -> ExitCode {
    if is_table {
        println!(
            "| Mutant | What is broken | Caught by | By others, too | Profile | Seed |\n\
             | ---: | --- | --- | --- | --- | ---: |"
        );
    }
    let mut survivors = 0;
    for (mutant, caught) in found {
        let (number, what, check) = (mutant.number, mutant.what, mutant.check);
        let profile = mutant.profile.name();
        match caught {
            Some(Catch { seed, is_alone, .. }) if is_table => {
                let others = if *is_alone { "no" } else { "yes" };
                println!("| {number} | {what} | `{check}` | {others} | {profile} | {seed} |");
            }
            None if is_table => println!("| {number} | {what} | nothing | | {profile} | |"),
            Some(Catch {
                seed, violation, ..
            }) => {
                let text = &violation.text;
                println!(
                    "mutant {number} ({what}): caught by {check} in {profile}, seed {seed}: {text:.160}"
                );
            }
            None => println!(
                "mutant {number} ({what}): SURVIVES {check} in {SEEDS_MAX} seeds of {profile}"
            ),
        }
        survivors += usize::from(caught.is_none());
    }
    if !is_table {
        println!("{} mutants, {survivors} not caught", found.len());
    }
    if survivors == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
