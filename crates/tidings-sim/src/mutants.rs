//! The deliberate faults: what each breaks, and how long the simulator may look for it.
//!
//! Each is a switch in the product's crates ([`tidings_mutant`]), compiled only with the feature `mutants`. A check
//! that no fault makes fail proves nothing; a fault that no check finds shows what the checks lack.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::chaos::{self, ChaosConfig};
use crate::checks::Violation;
use crate::{everything, probes};

/// Seeds of one profile in which a fault must show. Source: reliability contract 7.2.
pub const SEEDS_MAX: u64 = 200;

/// Which runs show a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Random clients under random faults: [`chaos`].
    Chaos,
    /// The same, only seeds that kill the server.
    Kills,
    /// Two users and a model of all that they do: [`everything`].
    Everything,
    /// Short runs, each for one promise: [`probes`].
    Probes,
}

impl Profile {
    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chaos => "chaos",
            Self::Kills => "kills",
            Self::Everything => "everything",
            Self::Probes => "probes",
        }
    }

    /// Runs one seed: the broken promises and the trace, if it is asked for.
    pub fn run(self, seed: u64, is_traced: bool) -> (Vec<Violation>, Vec<String>) {
        let run = || self.run_once(seed, is_traced);
        // A fault may end in a panic, which is a finding too.
        let Ok((hash, mut violations, trace)) = catch_unwind(AssertUnwindSafe(run)) else {
            let check = "no.panic";
            let text = "the run has panicked".to_owned();
            return (vec![Violation { check, text }], Vec::new());
        };
        let is_repeatable = || {
            catch_unwind(AssertUnwindSafe(|| self.run_once(seed, false).0))
                .is_ok_and(|again| again == hash)
        };
        if violations.is_empty() && !is_repeatable() {
            let check = "sim.deterministic";
            let text = "two runs differ".to_owned();
            violations.push(Violation { check, text });
        }
        (violations, trace)
    }

    fn run_once(self, seed: u64, is_traced: bool) -> (u64, Vec<Violation>, Vec<String>) {
        match self {
            Self::Chaos | Self::Kills => {
                let seed = if self == Self::Kills { seed * 5 } else { seed };
                let config = ChaosConfig {
                    is_traced,
                    ..ChaosConfig::for_seed(seed)
                };
                let report = chaos::run(&config);
                (report.trace_hash, report.violations, report.trace)
            }
            Self::Everything => {
                let report = everything::run(seed, is_traced);
                (report.trace_hash, report.violations, report.trace)
            }
            Self::Probes => {
                let report = probes::run(seed, is_traced);
                (report.trace_hash, report.violations, report.trace)
            }
        }
    }
}

/// A deliberate fault.
#[derive(Debug, Clone, Copy)]
pub struct Mutant {
    /// Its number, as in the `mutant!` that it switches.
    pub number: u32,
    /// What is broken.
    pub what: &'static str,
    /// Where it is looked for.
    pub profile: Profile,
}

/// What has found a fault.
#[derive(Debug, Clone)]
pub struct Catch {
    /// The seed of the profile.
    pub seed: u64,
    /// The first broken promise.
    pub violation: Violation,
}

impl Mutant {
    /// Runs seeds in this thread until a check fails.
    #[cfg(feature = "mutants")]
    pub fn hunt(&self, seeds_max: u64) -> Option<Catch> {
        tidings_mutant::choose(Some(self.number));
        let caught = (1..=seeds_max).find_map(|seed| {
            let violation = self.profile.run(seed, false).0.into_iter().next()?;
            Some(Catch { seed, violation })
        });
        tidings_mutant::choose(None);
        caught
    }
}

/// All of them, by number.
pub const ALL: &[Mutant] = &[
    Mutant {
        number: 1,
        what: "the number of the last executed request is forgotten at a resume, so that it is executed again",
        profile: Profile::Everything,
    },
    Mutant {
        number: 2,
        what: "a resume reports one request more than was executed, so that one is never sent",
        profile: Profile::Everything,
    },
    Mutant {
        number: 3,
        what: "a reply is not kept while its session has no connection",
        profile: Profile::Everything,
    },
    Mutant {
        number: 4,
        what: "the replay of a resume begins one frame too late",
        profile: Profile::Everything,
    },
    Mutant {
        number: 5,
        what: "the replay of a resume begins one frame too early",
        profile: Profile::Everything,
    },
    Mutant {
        number: 6,
        what: "frames that the outbox has dropped are skipped without a gap",
        profile: Profile::Probes,
    },
    Mutant {
        number: 7,
        what: "a lost session is not told as a gap",
        profile: Profile::Everything,
    },
    Mutant {
        number: 8,
        what: "a peer message is answered as stored before it is durable",
        profile: Profile::Probes,
    },
    Mutant {
        number: 9,
        what: "every peer message is stored, asked for or not",
        profile: Profile::Chaos,
    },
    Mutant {
        number: 10,
        what: "live messages do not wait behind stored ones",
        profile: Profile::Chaos,
    },
    Mutant {
        number: 11,
        what: "stored messages are deleted when they are handed over, not when they are confirmed",
        profile: Profile::Chaos,
    },
    Mutant {
        number: 12,
        what: "the client does not know messages again",
        profile: Profile::Chaos,
    },
    Mutant {
        number: 13,
        what: "a peer message counts as received when it is written",
        profile: Profile::Chaos,
    },
    Mutant {
        number: 14,
        what: "a message that its sender was told is dropped stays in the outbox",
        profile: Profile::Chaos,
    },
    Mutant {
        number: 15,
        what: "the user is gone after a quarter of the grace",
        profile: Profile::Everything,
    },
    Mutant {
        number: 16,
        what: "a user who is gone stays a member",
        profile: Profile::Everything,
    },
    Mutant {
        number: 17,
        what: "a user who has logged out stays a member",
        profile: Profile::Everything,
    },
    Mutant {
        number: 18,
        what: "a second login tells that the user is off line and drops its attributes",
        profile: Profile::Probes,
    },
    Mutant {
        number: 19,
        what: "a second login leaves the first in service",
        profile: Profile::Chaos,
    },
    Mutant {
        number: 20,
        what: "whoever has left a channel still gets its messages",
        profile: Profile::Everything,
    },
    Mutant {
        number: 21,
        what: "members on the sender's hub see a message before it has its place in the order",
        profile: Profile::Chaos,
    },
    Mutant {
        number: 22,
        what: "the router forgets the third hub of a topic",
        profile: Profile::Chaos,
    },
    Mutant {
        number: 23,
        what: "a member count that has to wait is never told",
        profile: Profile::Everything,
    },
    Mutant {
        number: 24,
        what: "attributes are told in the order of arrival, not of the store",
        profile: Profile::Chaos,
    },
    Mutant {
        number: 25,
        what: "a merge of attributes begins from nothing",
        profile: Profile::Everything,
    },
    Mutant {
        number: 26,
        what: "a user's attributes stay when its session ends",
        profile: Profile::Everything,
    },
    Mutant {
        number: 27,
        what: "the client does not bring its attributes back in a new session",
        profile: Profile::Everything,
    },
    Mutant {
        number: 28,
        what: "an acceptance is recorded without asking the caller's client",
        profile: Profile::Chaos,
    },
    Mutant {
        number: 29,
        what: "the callee is not told of a cancellation",
        profile: Profile::Chaos,
    },
    Mutant {
        number: 30,
        what: "an invitation rings each time it is offered, and the client does not know it again",
        profile: Profile::Chaos,
    },
    Mutant {
        number: 31,
        what: "an invitation expires after half its time",
        profile: Profile::Chaos,
    },
    Mutant {
        number: 32,
        what: "the caller's client cancels what it has confirmed",
        profile: Profile::Chaos,
    },
    Mutant {
        number: 33,
        what: "an invitation has no deadline",
        profile: Profile::Chaos,
    },
    Mutant {
        number: 34,
        what: "the client does not join its channels again in a new session",
        profile: Profile::Everything,
    },
    Mutant {
        number: 35,
        what: "the client does not tell who has come during a hole",
        profile: Profile::Chaos,
    },
    Mutant {
        number: 36,
        what: "the client gives members no time to come back after a restart",
        profile: Profile::Everything,
    },
    Mutant {
        number: 37,
        what: "a later message to the same peer does not wait for the storing of an earlier one",
        profile: Profile::Everything,
    },
    Mutant {
        number: 38,
        what: "a call of the client has no time limit",
        profile: Profile::Chaos,
    },
    Mutant {
        number: 39,
        what: "the client is connected without having been connecting",
        profile: Profile::Chaos,
    },
    Mutant {
        number: 40,
        what: "a session is over after half the resume window",
        profile: Profile::Everything,
    },
    Mutant {
        number: 41,
        what: "a kept channel message is answered before it is in the history",
        profile: Profile::Kills,
    },
    Mutant {
        number: 42,
        what: "session ids do not come from the seed",
        profile: Profile::Chaos,
    },
    Mutant {
        number: 43,
        what: "what an inbox drops for want of room is not counted",
        profile: Profile::Probes,
    },
    Mutant {
        number: 44,
        what: "the app is left out of a user's key",
        profile: Profile::Probes,
    },
    Mutant {
        number: 45,
        what: "rates are not limited",
        profile: Profile::Probes,
    },
    Mutant {
        number: 46,
        what: "leaving members are not told",
        profile: Profile::Everything,
    },
];
