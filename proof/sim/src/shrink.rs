//! Reduces a failing run: fewer kinds of faults, hubs and users, a shorter time, fewer steps.

use crate::chaos::{ChaosConfig, run};
use crate::options;

/// Most runs spent. A run takes about 20 ms.
const RUNS_MAX: u32 = 600;

/// The reduced run.
#[derive(Debug)]
pub struct Shrunk {
    /// The reduced run's parameters.
    pub config: ChaosConfig,
    /// The check that fails in both runs.
    pub check: &'static str,
    /// Number of runs spent.
    pub runs: u32,
    /// Number of steps that are still taken.
    pub steps: u64,
}

struct Shrinker {
    best: ChaosConfig,
    check: &'static str,
    runs: u32,
}

impl Shrinker {
    /// Accepts the candidate if it fails in the same way.
    fn take(&mut self, candidate: ChaosConfig) -> bool {
        if self.runs >= RUNS_MAX {
            return false;
        }
        self.runs += 1;
        let fails = fails(&candidate, self.check);
        if fails {
            self.best = candidate;
        }
        fails
    }

    fn fewer_kinds(&mut self) {
        for name in options::names() {
            let mut candidate = self.best.clone();
            if options::is_on(&candidate, name) && options::switch_off(&mut candidate, name) {
                self.take(candidate);
            }
        }
    }

    fn fewer_of_each(&mut self) {
        for hubs in 1..self.best.hubs {
            if self.take(ChaosConfig {
                hubs,
                ..self.best.clone()
            }) {
                break;
            }
        }
        for users_max in 2..self.best.users_max {
            if self.take(ChaosConfig {
                users_max,
                ..self.best.clone()
            }) {
                break;
            }
        }
    }

    fn shorter(&mut self) {
        let mut cut_ms = self.best.duration_ms / 2;
        while cut_ms > 500 {
            let duration_ms = self.best.duration_ms.saturating_sub(cut_ms);
            let is_shorter = self.take(ChaosConfig {
                duration_ms,
                ..self.best.clone()
            });
            if !is_shorter {
                cut_ms /= 2;
            }
        }
    }

    /// Skips ranges of steps, long ones first.
    fn fewer_steps(&mut self) {
        let steps = run(&self.best).steps;
        let mut length = steps.div_ceil(2);
        while length > 0 && self.runs < RUNS_MAX {
            let mut first = 1;
            while first <= steps {
                let mut candidate = self.best.clone();
                candidate
                    .skipped
                    .extend(first..(first + length).min(steps + 1));
                if candidate.skipped != self.best.skipped {
                    self.take(candidate);
                }
                first += length;
            }
            length /= 2;
        }
    }
}

fn fails(config: &ChaosConfig, check: &str) -> bool {
    (run(config).violations.iter()).any(|violation| violation.check == check)
}

/// Reduces a run. `None` if it does not fail.
pub fn shrink(config: &ChaosConfig) -> Option<Shrunk> {
    let first = ChaosConfig {
        is_traced: false,
        ..config.clone()
    };
    let check = run(&first).violations.first()?.check;
    let mut shrinker = Shrinker {
        best: first,
        check,
        runs: 1,
    };
    shrinker.fewer_kinds();
    shrinker.shorter();
    shrinker.fewer_of_each();
    shrinker.fewer_steps();
    shrinker.fewer_kinds();
    let steps = run(&shrinker.best).steps;
    let skipped = shrinker.best.skipped.iter().filter(|step| **step <= steps);
    Some(Shrunk {
        steps: steps - skipped.count() as u64,
        check,
        runs: shrinker.runs,
        config: shrinker.best,
    })
}
