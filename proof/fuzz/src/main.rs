//! Fuzzes for a limited time: `cargo xtask fuzz --seconds N [--target T]` calls this.

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Parser;
use tidings_fuzz::{run, targets};

#[derive(Debug, Parser)]
#[command(about = "Hostile bytes for every decoder")]
struct Arguments {
    /// How long each target is fuzzed.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Fuzz this target only.
    #[arg(long)]
    target: Option<String>,
    /// Seed of the inputs; random unless given.
    #[arg(long)]
    seed: Option<u64>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let seed = arguments
        .seed
        .unwrap_or_else(|| since.map_or(1, |since| since.as_secs()));
    let chosen = |name: &str| {
        arguments
            .target
            .as_deref()
            .is_none_or(|target| target == name)
    };
    let targets: Vec<_> = targets::all()
        .into_iter()
        .filter(|target| chosen(target.name))
        .collect();
    if targets.is_empty() {
        let names: Vec<_> = targets::all().iter().map(|target| target.name).collect();
        eprintln!(
            "error: there is no such target; there are {}",
            names.join(", ")
        );
        return ExitCode::from(2);
    }
    // A panic is reported with the input that caused it.
    std::panic::set_hook(Box::new(|_| {}));
    println!("seed {seed}");
    let (mut is_good, mut inputs, count) = (true, 0, targets.len());
    for target in targets {
        let report = run::fuzz(&target, Duration::from_secs(arguments.seconds), seed);
        println!("{report}");
        inputs += report.inputs;
        if let Some(failure) = report.failure {
            is_good = false;
            let folder = run::regressions(&target);
            let file = folder.join(format!("found-{seed}"));
            let kept = std::fs::create_dir_all(&folder)
                .and_then(|()| std::fs::write(&file, failure.input));
            match kept {
                Ok(()) => println!("  kept as {}", file.display()),
                Err(error) => eprintln!("error: {} was not written: {error}", file.display()),
            }
        }
    }
    println!("{count} targets, {inputs} inputs in all");
    if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
