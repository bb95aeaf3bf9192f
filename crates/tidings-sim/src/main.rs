//! Runs seeds: `tidings-sim [--seed N | --from N --count N] [--trace]`.

use std::process::ExitCode;

use tidings_sim::catalogue;
use tidings_sim::chaos::{ChaosConfig, run};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let number = |name: &str| {
        let at = args.iter().position(|arg| arg == name)?;
        args.get(at + 1)?.parse::<u64>().ok()
    };
    let from = number("--seed").or(number("--from")).unwrap_or(1);
    let count = number("--count").unwrap_or(1);
    if args.iter().any(|arg| arg == "--checks") {
        print!("{}", catalogue::table());
        return ExitCode::SUCCESS;
    }
    let is_traced = args.iter().any(|arg| arg == "--trace");
    let (mut failed, mut faults, mut received, mut calls, mut gaps) = (0_u64, 0, 0, 0, 0);
    let (mut accepted, mut seconds) = (0, 0);
    for seed in from..from + count {
        let config = ChaosConfig {
            is_traced,
            ..ChaosConfig::for_seed(seed)
        };
        let report = run(&config);
        if run(&config).trace_hash != report.trace_hash {
            println!("seed {seed}: sim.deterministic: two runs differ");
            failed += 1;
        }
        if is_traced {
            report.trace.iter().for_each(|line| println!("{line}"));
        }
        for violation in &report.violations {
            println!("seed {seed}: {}: {}", violation.check, violation.text);
        }
        failed += u64::from(!report.violations.is_empty());
        faults += report.faults;
        received += report.received as u64;
        calls += report.calls;
        accepted += report.accepted;
        gaps += report.gaps;
        seconds += report.seconds;
    }
    println!(
        "{count} seeds, {failed} failed; {calls} calls, {received} messages received, {accepted} invitations accepted, {faults} faults, {seconds} second logins, {gaps} gaps"
    );
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
