//! The loop: mutate, run, watch.

use std::collections::BTreeSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::mutate::{Random, mutate};
use crate::target::{Answer, Target};

/// Longest time for one input, in an optimised build. Source: contract 7.4.
const TIME_MAX: Duration = Duration::from_millis(50);
/// How many times slower an unoptimised build may be.
const DEBUG_FACTOR: u32 = 8;
/// Most inputs kept because of their answers.
const CORPUS_MAX: usize = 4_000;
/// Attempts at reducing a failing input.
const SHRINK_MAX: usize = 2_000;

/// The outcome of a run.
#[derive(Debug, Clone)]
pub struct Report {
    /// The target's name.
    pub target: &'static str,
    /// Number of inputs run.
    pub inputs: u64,
    /// Different answers seen.
    pub answers: usize,
    /// The first failure.
    pub failure: Option<Failure>,
}

/// An input that violates a promise.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The input, reduced as far as possible.
    pub input: Vec<u8>,
    /// What went wrong.
    pub what: String,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            target,
            inputs,
            answers,
            failure,
        } = self;
        write!(f, "{target}: {inputs} inputs, {answers} answers")?;
        match failure {
            Some(Failure { input, what }) => {
                let shown = &input[..input.len().min(400)];
                write!(
                    f,
                    "; FAILED with {} bytes: {what}\n  {}",
                    input.len(),
                    shown.escape_ascii()
                )
            }
            None => write!(f, ", no failure"),
        }
    }
}

/// Fuzzes a target for a limited time; the seed determines the inputs. Stops at the first failure.
pub fn fuzz(target: &Target, time: Duration, seed: u64) -> Report {
    let began = Instant::now();
    let mut random = Random::new(seed);
    let mut corpus = (target.seeds)();
    assert!(!corpus.is_empty(), "{} has no seeds", target.name);
    let mut report = Report {
        target: target.name,
        inputs: 0,
        answers: 0,
        failure: None,
    };
    let mut seen: BTreeSet<Answer> = BTreeSet::new();
    let mut at = 0;
    while began.elapsed() < time {
        // First the seeds, unchanged.
        let input = match corpus.get(at).filter(|_| report.inputs == at as u64) {
            Some(seed) => {
                at += 1;
                seed.clone()
            }
            None => {
                let (one, other) = (random.below(corpus.len()), random.below(corpus.len()));
                mutate(&mut random, &corpus[one], &corpus[other], target.bytes_max)
            }
        };
        report.inputs += 1;
        match check(target, &input) {
            Ok(answer) => {
                if seen.insert(answer) && corpus.len() < CORPUS_MAX {
                    corpus.push(input);
                }
            }
            Err(_) => {
                report.failure = Some(shrink(target, input, &mut random));
                break;
            }
        }
    }
    report.answers = seen.len();
    report
}

/// Gives one input to a target.
///
/// # Errors
/// What went wrong.
pub fn check(target: &Target, input: &[u8]) -> Result<Answer, String> {
    let mut took = Duration::MAX;
    // A machine that is busy with something else for a while is no finding.
    for _ in 0..3 {
        let began = Instant::now();
        let mut ran = None;
        let memory = allocation_counter::measure(|| {
            ran = Some(catch_unwind(AssertUnwindSafe(|| (target.run)(input))));
        });
        took = took.min(began.elapsed());
        let answer = match ran {
            Some(Ok(answer)) => answer,
            Some(Err(panic)) => return Err(format!("panic: {}", message(&*panic))),
            None => return Err("it was not run".into()),
        };
        if let Some(memory_max) = target.memory_max.map(|of| of(input.len()))
            && memory.bytes_max > memory_max
        {
            let (used, len) = (memory.bytes_max, input.len());
            return Err(format!(
                "{used} bytes of memory for {len}; at most {memory_max}"
            ));
        }
        if took <= time_max() {
            return Ok(answer);
        }
    }
    Err(format!("it takes {took:?}"))
}

fn time_max() -> Duration {
    if cfg!(debug_assertions) {
        TIME_MAX * DEBUG_FACTOR
    } else {
        TIME_MAX
    }
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
    text.unwrap_or_else(|| "without words".into())
}

/// Removes pieces as long as the target still fails.
fn shrink(target: &Target, mut input: Vec<u8>, random: &mut Random) -> Failure {
    let mut what = check(target, &input)
        .err()
        .unwrap_or_else(|| "only sometimes".into());
    for _ in 0..SHRINK_MAX {
        let at = random.below(input.len());
        let len = 1 + random.below(1 + input.len() / 2);
        let mut smaller = input.clone();
        drop(smaller.drain(at..(at + len).min(input.len())));
        if let Err(again) = check(target, &smaller) {
            (input, what) = (smaller, again);
        }
    }
    Failure { input, what }
}

/// The folder with the findings of a target.
pub fn regressions(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("regressions")
        .join(target.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(run: fn(&[u8]) -> Answer) -> Target {
        Target {
            name: "test",
            run,
            seeds: || vec![b"abcdefgh".to_vec()],
            bytes_max: 100,
            memory_max: Some(|_| 1_000),
        }
    }

    #[test]
    fn panics_memory_and_slowness_are_found_and_inputs_made_small() {
        let panics = target(|input| {
            assert!(!input.contains(&b'!'), "a bang");
            Answer::of(0)
        });
        let report = fuzz(&panics, Duration::from_secs(10), 1);
        let failure = report.failure.expect("a bang is found");
        assert_eq!(
            (failure.input.as_slice(), failure.what.contains("a bang")),
            (b"!".as_slice(), true)
        );

        let takes_memory = target(|input| Answer::of(vec![1_u8; input.len() * 20].len()));
        let failure = fuzz(&takes_memory, Duration::from_secs(10), 1).failure;
        assert!(failure.is_some_and(|failure| failure.what.contains("bytes of memory")));

        let is_slow = target(|input| {
            if input.len() > 20 {
                std::thread::sleep(time_max() + Duration::from_millis(1));
            }
            Answer::of(0)
        });
        assert!(check(&is_slow, &[0; 21]).is_err());
        assert!(check(&is_slow, &[0; 20]).is_ok());
    }
}
