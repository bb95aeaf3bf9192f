//! Proves the simulator's checks: switches the deliberate faults on, one after the other, and
//! searches for a seed with which a check fails. `tidings-faults [--all | --count N --seed S]
//! [--table]`, or `--fault NAME --seed S --trace`.

use std::process::ExitCode;

use tidings_sim::faults::{ALL, Catch, FaultCase, SEEDS_MAX};
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
    if let Some(at) = args.iter().position(|arg| arg == "--fault") {
        let wanted = args.get(at + 1).map_or("", String::as_str);
        let case = ALL.iter().find(|case| case.fault.name() == wanted);
        return match case {
            Some(case) if is_given("--trace") => replay(case, seed),
            Some(case) => report(&[(*case, case.hunt(SEEDS_MAX))], false),
            None => {
                println!("there is no fault {wanted:?}; docs/proven/faults.md has all names");
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
            "{} of {} faults, drawn with seed {seed}",
            chosen.len(),
            ALL.len()
        );
    }
    let found: Vec<_> = chosen
        .iter()
        .map(|case| (*case, case.hunt(SEEDS_MAX)))
        .collect();
    report(&found, is_given("--table"))
}

fn replay(case: &FaultCase, seed: u64) -> ExitCode {
    tidings_fault::choose(Some(case.fault));
    let (violations, trace) = case.profile.run(seed, true);
    trace.iter().for_each(|line| println!("{line}"));
    for violation in &violations {
        println!("{}: {}", violation.check, violation.text);
    }
    ExitCode::SUCCESS
}

fn report(found: &[(FaultCase, Option<Catch>)], is_table: bool) -> ExitCode {
    if is_table {
        println!(
            "| Fault | What is broken | Caught by | By others, too | Profile | Seed |\n\
             | --- | --- | --- | --- | --- | ---: |"
        );
    }
    let mut survivors = 0;
    for (case, caught) in found {
        let (name, what, check) = (case.fault.name(), case.fault.what(), case.check);
        let profile = case.profile.name();
        match caught {
            Some(Catch { seed, is_alone, .. }) if is_table => {
                let others = if *is_alone { "no" } else { "yes" };
                println!("| {name} | {what} | `{check}` | {others} | {profile} | {seed} |");
            }
            None if is_table => println!("| {name} | {what} | nothing | | {profile} | |"),
            Some(Catch {
                seed, violation, ..
            }) => {
                let text = &violation.text;
                println!(
                    "{name} ({what}): caught by {check} in {profile}, seed {seed}: {text:.160}"
                );
            }
            None => println!("{name} ({what}): SURVIVES {check} in {SEEDS_MAX} seeds of {profile}"),
        }
        survivors += usize::from(caught.is_none());
    }
    if !is_table {
        println!("{} faults, {survivors} not caught", found.len());
    }
    if survivors == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
