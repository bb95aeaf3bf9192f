//! The deliberate faults: what each breaks, and how long the simulator may look for it.
//!
//! Each is a switch in the product's crates ([`tidings_mutant`]), compiled only with the feature `mutants`. A check
//! that no fault makes fail proves nothing; a fault that no check finds shows what the checks lack.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::chaos::{self, ChaosConfig};
use crate::checks::Violation;
use crate::{everything, probes};

use Profile::{Chaos, Everything, Kills, Probes};

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
    /// The check that finds it, by its name in the contract.
    pub check: &'static str,
    /// Where it is looked for.
    pub profile: Profile,
}

/// What has found a fault.
#[derive(Debug, Clone)]
pub struct Catch {
    /// The seed of the profile.
    pub seed: u64,
    /// The broken promise.
    pub violation: Violation,
    /// No other check fails with this seed.
    pub is_alone: bool,
}

impl Mutant {
    /// Runs seeds in this thread until the mutant's check fails.
    #[cfg(feature = "mutants")]
    pub fn hunt(&self, seeds_max: u64) -> Option<Catch> {
        tidings_mutant::choose(Some(self.number));
        let caught = (1..=seeds_max).find_map(|seed| {
            let violations = self.profile.run(seed, false).0;
            let is_alone = violations.iter().all(|found| found.check == self.check);
            let found = violations
                .into_iter()
                .find(|found| found.check == self.check)?;
            Some(Catch {
                seed,
                violation: found,
                is_alone,
            })
        });
        tidings_mutant::choose(None);
        caught
    }
}

const fn mutant(number: u32, what: &'static str, check: &'static str, profile: Profile) -> Mutant {
    Mutant {
        number,
        what,
        check,
        profile,
    }
}

/// All of them, by number.
pub const ALL: &[Mutant] = &[
    mutant(
        1,
        "the number of the last executed request is forgotten at a resume, so that it is executed again",
        "once.client_retry",
        Probes,
    ),
    mutant(
        2,
        "a resume reports one request more than was executed, so that one is never sent",
        "call.always_answered",
        Everything,
    ),
    mutant(
        3,
        "a reply is not kept while its session has no connection",
        "once.reply_cache_hit",
        Probes,
    ),
    mutant(
        4,
        "the replay of a resume begins one frame too late",
        "resume.contiguous",
        Probes,
    ),
    mutant(
        5,
        "the replay of a resume begins one frame too early",
        "once.server_replay",
        Chaos,
    ),
    mutant(
        6,
        "frames that the outbox has dropped are skipped without a gap",
        "gap.explicit",
        Probes,
    ),
    mutant(
        7,
        "a lost session is not told as a gap",
        "gap.explicit",
        Everything,
    ),
    mutant(
        8,
        "a peer message is answered as stored before it is durable",
        "crash.acked_survive",
        Probes,
    ),
    mutant(
        9,
        "every peer message is stored, asked for or not",
        "inbox.only_if_asked",
        Chaos,
    ),
    mutant(
        10,
        "live messages do not wait behind stored ones",
        "inbox.no_overtake",
        Probes,
    ),
    mutant(
        11,
        "stored messages are deleted when they are handed over, not when they are confirmed",
        "inbox.deleted_only_if_confirmed",
        Probes,
    ),
    mutant(
        12,
        "the client does not know messages again",
        "inbox.dedup",
        Chaos,
    ),
    mutant(
        13,
        "a peer message counts as received when it is written",
        "ack.truthful",
        Chaos,
    ),
    mutant(
        14,
        "a message that its sender was told is dropped stays in the outbox",
        "ack.truthful",
        Chaos,
    ),
    mutant(
        15,
        "the user is gone after a quarter of the grace",
        "presence.no_flap_on_resume",
        Everything,
    ),
    mutant(
        16,
        "a user who is gone stays a member",
        "presence.no_ghost",
        Everything,
    ),
    mutant(
        17,
        "a user who has logged out stays a member",
        "presence.no_ghost",
        Everything,
    ),
    mutant(
        18,
        "a second login tells that the user is off line and drops its attributes",
        "presence.no_flap_on_resume",
        Probes,
    ),
    mutant(
        19,
        "a second login leaves the first in service",
        "session.single_owner",
        Chaos,
    ),
    mutant(
        20,
        "whoever has left a channel still gets its messages",
        "ack.truthful",
        Everything,
    ),
    mutant(
        21,
        "members on the sender's hub see a message before it has its place in the order",
        "order.total_channel",
        Probes,
    ),
    mutant(
        22,
        "the router forgets the third hub of a topic",
        "presence.no_ghost",
        Chaos,
    ),
    mutant(
        23,
        "a member count that has to wait is never told",
        "presence.snapshot_equals_events",
        Everything,
    ),
    mutant(
        24,
        "attributes are told in the order of arrival, not of the store",
        "order.total_channel",
        Chaos,
    ),
    mutant(
        25,
        "a merge of attributes begins from nothing",
        "ack.truthful",
        Everything,
    ),
    mutant(
        26,
        "a user's attributes stay when its session ends",
        "attr.no_lost_update",
        Everything,
    ),
    mutant(
        27,
        "the client does not bring its attributes back in a new session",
        "attr.no_lost_update",
        Everything,
    ),
    mutant(
        28,
        "an acceptance is recorded without asking the caller's client",
        "invite.agreement",
        Chaos,
    ),
    mutant(
        29,
        "the callee is not told of a cancellation",
        "invite.never_stuck",
        Probes,
    ),
    mutant(
        30,
        "an invitation rings each time it is offered, and the client does not know it again",
        "invite.no_ring_after_end",
        Chaos,
    ),
    mutant(
        31,
        "an invitation expires after half its time",
        "invite.timer_not_early",
        Chaos,
    ),
    mutant(
        32,
        "the caller's client cancels what it has confirmed",
        "invite.agreement",
        Chaos,
    ),
    mutant(
        33,
        "an invitation has no deadline",
        "invite.never_stuck",
        Chaos,
    ),
    mutant(
        34,
        "the client does not join its channels again in a new session",
        "presence.no_ghost",
        Everything,
    ),
    mutant(
        35,
        "the client does not tell who has come during a hole",
        "presence.snapshot_equals_events",
        Chaos,
    ),
    mutant(
        36,
        "the client gives members no time to come back after a restart",
        "presence.no_flap_on_resume",
        Everything,
    ),
    mutant(
        37,
        "a later message to the same peer does not wait for the storing of an earlier one",
        "order.per_sender",
        Everything,
    ),
    mutant(
        38,
        "a call of the client has no time limit",
        "call.always_answered",
        Chaos,
    ),
    mutant(
        39,
        "the client is connected without having been connecting",
        "state.legal",
        Chaos,
    ),
    mutant(
        40,
        "a session is over after half the resume window",
        "gap.no_false_alarm",
        Everything,
    ),
    mutant(
        41,
        "a kept channel message is answered before it is in the history",
        "ack.durable",
        Kills,
    ),
    mutant(
        42,
        "session ids do not come from the seed",
        "sim.deterministic",
        Chaos,
    ),
    mutant(
        43,
        "what an inbox drops for want of room is not counted",
        "gap.explicit",
        Probes,
    ),
    mutant(
        44,
        "the app is left out of a user's key",
        "tenant.isolated",
        Probes,
    ),
    mutant(45, "rates are not limited", "limit.enforced", Probes),
    mutant(
        46,
        "leaving members are not told",
        "presence.no_ghost",
        Everything,
    ),
    mutant(
        47,
        "joining members are not told",
        "order.membership_brackets_messages",
        Chaos,
    ),
    mutant(
        48,
        "of requests that come again, only the last two are known",
        "once.client_retry",
        Probes,
    ),
    mutant(
        49,
        "a request's number is kept when it is answered, not when it is executed",
        "once.client_retry",
        Probes,
    ),
    mutant(
        50,
        "a page of stored messages begins one message too late",
        "inbox.contiguous",
        Probes,
    ),
    mutant(
        51,
        "a session's older connection stays in service",
        "session.single_connection",
        Probes,
    ),
    mutant(
        52,
        "a request is executed before a login, for whoever is there",
        "auth.no_action_before_login",
        Probes,
    ),
    mutant(53, "every token is good", "auth.vectors", Probes),
    mutant(
        54,
        "a session outlives its token",
        "auth.expired_is_out",
        Probes,
    ),
    mutant(
        55,
        "the secret of a resume is not compared",
        "auth.resume_secret",
        Probes,
    ),
    mutant(
        56,
        "a sender need not be a member",
        "authz.member_only",
        Probes,
    ),
    mutant(
        57,
        "a reader of a channel's history need not be a member",
        "authz.replay",
        Probes,
    ),
    mutant(
        58,
        "whoever knows its id accepts an invitation",
        "authz.self_only",
        Probes,
    ),
    mutant(59, "checksums are not compared", "store.checksum", Probes),
    mutant(
        60,
        "a store that had no space takes nothing any more",
        "disk.full_recovers",
        Probes,
    ),
    mutant(
        61,
        "an error of the disk is answered as success",
        "ack.durable",
        Probes,
    ),
    mutant(
        62,
        "a group is written in two halves",
        "crash.atomic",
        Probes,
    ),
    mutant(
        63,
        "what was confirmed stays in the inbox",
        "crash.no_resurrection",
        Probes,
    ),
    mutant(64, "an outbox has no bound", "queue.bounded", Probes),
    mutant(
        65,
        "the calls that wait in a client have no bound",
        "queue.bounded",
        Probes,
    ),
    mutant(
        66,
        "a fan-out ends at a member whose outbox is full",
        "slow.isolated",
        Probes,
    ),
    mutant(67, "all users share the rates of one", "limit.fair", Probes),
    mutant(
        68,
        "a client's waits between attempts grow to the hundredfold",
        "storm.recovers",
        Probes,
    ),
    mutant(
        69,
        "a client that has everything cannot resume (`<` for `<=`)",
        "resume.contiguous",
        Probes,
    ),
    mutant(
        70,
        "a gap comes after the event behind it",
        "gap.explicit",
        Probes,
    ),
    mutant(
        71,
        "stamps go back with the wall clock",
        "clock.monotone_ts",
        Probes,
    ),
    mutant(
        72,
        "what is too old by a clock that has jumped is deleted",
        "clock.no_mass_expiry",
        Probes,
    ),
    mutant(73, "the hub panics", "no.panic", Chaos),
    mutant(74, "a joining is told twice", "presence.alternates", Chaos),
    mutant(
        75,
        "a client sends what was not answered again in a new session",
        "once.effect_and_mark",
        Probes,
    ),
    mutant(
        76,
        "a client does not forget an invitation that has ended",
        "invite.one_terminal",
        Chaos,
    ),
    mutant(
        92,
        "a client that was away beyond the window says that the server was lost",
        "gap.explicit",
        Probes,
    ),
    mutant(
        95,
        "a message keeps the stamp of its sender's hub, whatever came before it",
        "clock.monotone_ts",
        Probes,
    ),
    mutant(
        101,
        "a session never ends after its resume window",
        "gap.explicit",
        Probes,
    ),
    mutant(
        102,
        "the client compares the ids of messages only, not the numbers of the inbox",
        "inbox.dedup",
        Probes,
    ),
    mutant(
        103,
        "the client does not ask who is there in a new session",
        "presence.snapshot_equals_events",
        Chaos,
    ),
    mutant(
        104,
        "a hub does not answer who asks for its members",
        "presence.snapshot_equals_events",
        Probes,
    ),
    mutant(
        105,
        "what has changed in a snapshot of members is not told",
        "presence.snapshot_equals_events",
        Probes,
    ),
    mutant(
        106,
        "a replay leaves out replies",
        "once.reply_cache_hit",
        Probes,
    ),
    mutant(
        107,
        "the grace begins when the loss is noticed",
        "presence.no_ghost",
        Probes,
    ),
    mutant(
        108,
        "a second login forgets that there are attributes to end with it",
        "attr.no_lost_update",
        Probes,
    ),
    mutant(
        111,
        "confirmed replies count as unconfirmed",
        "queue.bounded",
        Probes,
    ),
    mutant(
        115,
        "messages that wait for a login in progress are forgotten",
        "call.always_answered",
        Probes,
    ),
    mutant(
        116,
        "the last stored message that was confirmed stays",
        "inbox.dedup",
        Chaos,
    ),
    mutant(
        119,
        "what was confirmed while the store was keeping it is kept",
        "inbox.dedup",
        Probes,
    ),
    mutant(
        120,
        "the confirmation of the live form leaves the stored one",
        "inbox.dedup",
        Chaos,
    ),
    mutant(
        122,
        "a receiver who has logged in meanwhile is not told of what was stored",
        "ack.truthful",
        Probes,
    ),
    mutant(
        126,
        "counts of members are told at every change",
        "limit.enforced",
        Probes,
    ),
    mutant(
        127,
        "the revision of attributes does not rise",
        "attr.no_lost_update",
        Everything,
    ),
    mutant(
        128,
        "a kept channel message is appended twice",
        "once.client_retry",
        Chaos,
    ),
    mutant(
        130,
        "the app is left out of the store's keys",
        "tenant.isolated",
        Probes,
    ),
    mutant(
        131,
        "a renewed token leaves the end of the old one",
        "auth.expired_is_out",
        Probes,
    ),
    mutant(
        137,
        "what has changed of watched users during a hole is not told",
        "presence.snapshot_equals_events",
        Probes,
    ),
    mutant(
        140,
        "the caller is not told that the callee's session is over",
        "invite.agreement",
        Probes,
    ),
    mutant(
        141,
        "what a session watches outlives it",
        "queue.bounded",
        Everything,
    ),
    mutant(
        143,
        "what a gone user has not confirmed is not given back",
        "ack.truthful",
        Everything,
    ),
    mutant(
        145,
        "a user who is back is not given what was stored meanwhile",
        "ack.truthful",
        Chaos,
    ),
    mutant(
        155,
        "a login that was replaced is not told so",
        "session.single_owner",
        Probes,
    ),
    mutant(
        156,
        "a login that replaces another does not get what that had not confirmed",
        "ack.truthful",
        Probes,
    ),
    mutant(
        201,
        "a client that stays far above its rates is never sent away",
        "limit.enforced",
        Probes,
    ),
    mutant(
        202,
        "a hub that is told to free memory keeps everything",
        "memory.bounded",
        Probes,
    ),
    mutant(
        203,
        "all sessions together have no bound, only each for itself",
        "queue.bounded",
        Probes,
    ),
    mutant(
        204,
        "logins are let in although memory is short",
        "memory.bounded",
        Probes,
    ),
    mutant(
        205,
        "who has been away for the shortest time loses its buffer first",
        "queue.bounded",
        Probes,
    ),
    mutant(
        211,
        "an invitation is told before its record is durable",
        "invite.durable_before_told",
        Chaos,
    ),
    mutant(
        212,
        "invitations are not read after a restart",
        "invite.never_stuck",
        Kills,
    ),
    mutant(
        213,
        "a restart begins the deadlines of invitations anew",
        "invite.never_stuck",
        Kills,
    ),
    mutant(
        214,
        "what follows a message is asked for before that one has been found at a session",
        "order.per_sender",
        Probes,
    ),
    mutant(
        215,
        "a login begins the rates of its user anew",
        "limit.enforced",
        Probes,
    ),
    mutant(
        216,
        "who was sent away for its rates may come back at once",
        "limit.enforced",
        Probes,
    ),
    mutant(
        301,
        "a snapshot forgets the last frame that was not confirmed",
        "drain.no_loss",
        Probes,
    ),
    mutant(
        302,
        "a snapshot forgets the last request that was executed",
        "drain.no_loss",
        Probes,
    ),
    mutant(
        303,
        "a snapshot forgets memberships",
        "drain.no_loss",
        Probes,
    ),
];
