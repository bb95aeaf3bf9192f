//! Runs seeds of the profile "two users, 20 channels each, all features at once": `cargo run
//! --release -p tidings-sim --example everything -- [--seed N | --from N --count N] [--trace]`.

use std::process::ExitCode;

use tidings_sim::everything::run;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let number = |name: &str| {
        let at = args.iter().position(|arg| arg == name)?;
        args.get(at + 1)?.parse::<u64>().ok()
    };
    let from = number("--seed").or(number("--from")).unwrap_or(1);
    let count = number("--count").unwrap_or(1);
    let is_traced = args.iter().any(|arg| arg == "--trace");
    let (mut failed, mut calls, mut events, mut faults) = (0, 0, 0, 0);
    for seed in from..from + count {
        let report = run(seed, is_traced);
        report.trace.iter().for_each(|line| println!("{line}"));
        for violation in &report.violations {
            println!("seed {seed}: {}: {}", violation.check, violation.text);
        }
        failed += u64::from(!report.violations.is_empty());
        calls += report.calls;
        events += report.events;
        faults += report.faults;
    }
    println!(
        "{count} seeds, {failed} failed; {calls} calls, {events} events, {faults} turns with a fault"
    );
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
