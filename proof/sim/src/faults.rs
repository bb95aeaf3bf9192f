//! The deliberate faults: which check finds each, and in which runs.
//!
//! Each is a switch in the product's crates ([`tidings_fault`]), compiled only with the feature
//! `faults`. A check that no fault makes fail proves nothing; a fault that no check finds shows
//! what the checks lack.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::chaos::{self, ChaosConfig};
use crate::checks::Violation;
use crate::{everything, live, probes};

use tidings_fault::Fault::{self, *};

use Profile::{Chaos, Everything, Kills, Live, Probes};

/// Number of seeds of one profile within which a fault must be found. Source: reliability contract
/// 7.2.
pub const SEEDS_MAX: u64 = 200;

/// The runs in which a fault can be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Random clients under random faults: [`chaos`].
    Chaos,
    /// The same, using only seeds that kill the server.
    Kills,
    /// Two users and a model of everything they do: [`everything`].
    Everything,
    /// The path between nodes, one promise each: [`live`].
    Live,
    /// Short runs, one promise each: [`probes`].
    Probes,
}

impl Profile {
    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chaos => "chaos",
            Self::Kills => "kills",
            Self::Everything => "everything",
            Self::Live => "live",
            Self::Probes => "probes",
        }
    }

    /// Runs one seed; returns the broken promises, and the trace on request.
    pub fn run(self, seed: u64, is_traced: bool) -> (Vec<Violation>, Vec<String>) {
        let run = || self.run_once(seed, is_traced);
        // A fault may cause a panic, which counts as a finding too.
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
            Self::Live => {
                let report = live::run(seed);
                (report.trace_hash, report.violations, report.trace)
            }
            Self::Probes => {
                let report = probes::run(seed, is_traced);
                (report.trace_hash, report.violations, report.trace)
            }
        }
    }
}

/// A deliberate fault, and the check that must find it.
#[derive(Debug, Clone, Copy)]
pub struct FaultCase {
    /// The fault's switch.
    pub fault: Fault,
    /// The check that finds it, by its name in the contract.
    pub check: &'static str,
    /// The runs in which it can be found.
    pub profile: Profile,
}

/// The finding of a fault.
#[derive(Debug, Clone)]
pub struct Catch {
    /// The seed that showed the fault.
    pub seed: u64,
    /// The broken promise.
    pub violation: Violation,
    /// Whether no other check fails with this seed.
    pub is_alone: bool,
}

impl FaultCase {
    /// Runs seeds in this thread until the fault's check fails.
    #[cfg(feature = "faults")]
    pub fn hunt(&self, seeds_max: u64) -> Option<Catch> {
        tidings_fault::choose(Some(self.fault));
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
        tidings_fault::choose(None);
        caught
    }
}

const fn case(fault: Fault, check: &'static str, profile: Profile) -> FaultCase {
    FaultCase {
        fault,
        check,
        profile,
    }
}

/// Every fault with its check, in the order of declaration.
pub const ALL: &[FaultCase] = &[
    case(ResumeForgetsLastRequest, "once.client_retry", Probes),
    case(ResumeSkipsARequest, "call.always_answered", Everything),
    case(ReplyIsLostWhileAway, "once.reply_cache_hit", Probes),
    case(ReplayBeginsLate, "resume.contiguous", Probes),
    case(ReplayBeginsEarly, "once.server_replay", Chaos),
    case(DroppedFramesLeaveNoGap, "gap.explicit", Probes),
    case(LostSessionLeavesNoGap, "gap.explicit", Everything),
    case(StoredIsAnsweredEarly, "crash.acked_survive", Probes),
    case(EveryMessageIsStored, "inbox.only_if_asked", Chaos),
    case(LiveOvertakesStored, "inbox.no_overtake", Probes),
    case(
        StoredIsDeletedUnconfirmed,
        "inbox.deleted_only_if_confirmed",
        Probes,
    ),
    case(ClientTakesRepeats, "inbox.dedup", Chaos),
    case(WrittenCountsAsReceived, "ack.truthful", Chaos),
    case(DroppedMessageStays, "ack.truthful", Chaos),
    case(GraceIsCutShort, "presence.no_flap_on_resume", Everything),
    case(GoneUserStaysMember, "presence.no_ghost", Everything),
    case(LogoutStaysMember, "presence.no_ghost", Everything),
    case(
        SecondLoginEndsPresence,
        "presence.no_flap_on_resume",
        Probes,
    ),
    case(FirstLoginStaysInService, "session.single_owner", Chaos),
    case(LeaverStaysSubscribed, "ack.truthful", Everything),
    case(OwnHubSeesMessageEarly, "order.total_channel", Probes),
    case(RouterForgetsThirdHub, "presence.no_ghost", Chaos),
    case(
        DelayedCountIsNeverSent,
        "presence.snapshot_equals_events",
        Everything,
    ),
    case(AttributesInOrderOfArrival, "order.total_channel", Chaos),
    case(MergeBeginsFromNothing, "ack.truthful", Everything),
    case(AttributesOutliveSession, "attr.no_lost_update", Everything),
    case(AttributesAreNotRestored, "attr.no_lost_update", Everything),
    case(AcceptanceIsNotAgreed, "invite.agreement", Chaos),
    case(CancellationIsNotSent, "invite.never_stuck", Probes),
    case(EveryOfferRings, "invite.no_ring_after_end", Chaos),
    case(InvitationExpiresEarly, "invite.timer_not_early", Chaos),
    case(ConfirmedIsCanceled, "invite.agreement", Chaos),
    case(InvitationNeverExpires, "invite.never_stuck", Chaos),
    case(ChannelsAreNotRestored, "presence.no_ghost", Everything),
    case(
        ArrivalsInAHoleAreNotTold,
        "presence.snapshot_equals_events",
        Chaos,
    ),
    case(
        MembersGetNoTimeToReturn,
        "presence.no_flap_on_resume",
        Everything,
    ),
    case(LaterMessageOvertakesStoring, "order.per_sender", Everything),
    case(CallNeverTimesOut, "call.always_answered", Chaos),
    case(ConnectedWithoutConnecting, "state.legal", Chaos),
    case(ResumeWindowIsHalved, "gap.no_false_alarm", Everything),
    case(KeptIsAnsweredEarly, "ack.durable", Kills),
    case(SessionIdsAreUnseeded, "sim.deterministic", Chaos),
    case(OverflowIsNotCounted, "gap.explicit", Probes),
    case(UserKeyLacksApp, "tenant.isolated", Probes),
    case(RatesAreNotLimited, "limit.enforced", Probes),
    case(LeaversAreNotTold, "presence.no_ghost", Everything),
    case(
        JoinersAreNotTold,
        "order.membership_brackets_messages",
        Chaos,
    ),
    case(OldRepeatsAreForgotten, "once.client_retry", Probes),
    case(RequestIsMarkedAtItsAnswer, "once.client_retry", Probes),
    case(StoredPageBeginsLate, "inbox.contiguous", Probes),
    case(OlderConnectionStays, "session.single_connection", Probes),
    case(
        RequestBeforeLoginIsExecuted,
        "auth.no_action_before_login",
        Probes,
    ),
    case(EveryTokenIsGood, "auth.vectors", Probes),
    case(SessionOutlivesToken, "auth.expired_is_out", Probes),
    case(ResumeSecretIsNotCompared, "auth.resume_secret", Probes),
    case(SenderNeedNotBeMember, "authz.member_only", Probes),
    case(HistoryReaderNeedNotBeMember, "authz.replay", Probes),
    case(AnyoneMayAccept, "authz.self_only", Probes),
    case(ChecksumsAreNotCompared, "store.checksum", Probes),
    case(FullDiskIsForEver, "disk.full_recovers", Probes),
    case(DiskErrorIsSuccess, "ack.durable", Probes),
    case(GroupIsWrittenInHalves, "crash.atomic", Probes),
    case(ConfirmedStaysInInbox, "crash.no_resurrection", Probes),
    case(OutboxHasNoBound, "queue.bounded", Probes),
    case(WaitingCallsHaveNoBound, "queue.bounded", Probes),
    case(FullOutboxEndsFanOut, "slow.isolated", Probes),
    case(UsersShareRates, "limit.fair", Probes),
    case(BackoffGrowsHundredfold, "storm.recovers", Probes),
    case(CompleteClientCannotResume, "resume.contiguous", Probes),
    case(GapComesLate, "gap.explicit", Probes),
    case(StampsGoBack, "clock.monotone_ts", Probes),
    case(JumpedClockExpiresMessages, "clock.no_mass_expiry", Probes),
    case(HubPanics, "no.panic", Chaos),
    case(JoinIsToldTwice, "presence.alternates", Chaos),
    case(UnansweredIsSentAgain, "once.effect_and_mark", Probes),
    case(EndedInvitationIsKept, "invite.one_terminal", Chaos),
    case(LongAbsenceIsServerLoss, "gap.explicit", Probes),
    case(StampIgnoresEarlierOnes, "clock.monotone_ts", Probes),
    case(SessionNeverEnds, "gap.explicit", Probes),
    case(InboxNumbersAreNotCompared, "inbox.dedup", Probes),
    case(
        MembersAreNotAskedAgain,
        "presence.snapshot_equals_events",
        Chaos,
    ),
    case(
        ResyncIsNotAnswered,
        "presence.snapshot_equals_events",
        Probes,
    ),
    case(
        SnapshotChangesAreNotTold,
        "presence.snapshot_equals_events",
        Probes,
    ),
    case(ReplayLeavesOutReplies, "once.reply_cache_hit", Probes),
    case(GraceBeginsAtNotice, "presence.no_ghost", Probes),
    case(SecondLoginForgetsAttributes, "attr.no_lost_update", Probes),
    case(ConfirmedRepliesCountAsOwed, "queue.bounded", Probes),
    case(WaitingForLoginIsForgotten, "call.always_answered", Probes),
    case(LastConfirmedStoredStays, "inbox.dedup", Chaos),
    case(ConfirmedWhileStoringIsKept, "inbox.dedup", Probes),
    case(LiveConfirmationLeavesStored, "inbox.dedup", Chaos),
    case(NewLoginIsNotToldOfStored, "ack.truthful", Probes),
    case(CountsAreSentAtEveryChange, "limit.enforced", Probes),
    case(RevisionDoesNotRise, "attr.no_lost_update", Everything),
    case(KeptIsAppendedTwice, "once.client_retry", Chaos),
    case(StoreKeyLacksApp, "tenant.isolated", Probes),
    case(RenewalKeepsOldEnd, "auth.expired_is_out", Probes),
    case(
        WatchedChangesAreNotTold,
        "presence.snapshot_equals_events",
        Probes,
    ),
    case(CallerIsNotToldOfCalleesEnd, "invite.agreement", Probes),
    case(WatchOutlivesSession, "queue.bounded", Everything),
    case(UnconfirmedIsNotGivenBack, "ack.truthful", Everything),
    case(ReturnedUserMissesStored, "ack.truthful", Chaos),
    case(ReplacedLoginIsNotTold, "session.single_owner", Probes),
    case(ReplacingLoginMissesUnconfirmed, "ack.truthful", Probes),
    case(FlooderIsNotSentAway, "limit.enforced", Probes),
    case(HubKeepsItsMemory, "memory.bounded", Probes),
    case(SessionsHaveNoCommonBound, "queue.bounded", Probes),
    case(LoginsIgnoreShortMemory, "memory.bounded", Probes),
    case(LatestAbsenceIsDroppedFirst, "queue.bounded", Probes),
    case(
        InvitationIsToldBeforeDurable,
        "invite.durable_before_told",
        Chaos,
    ),
    case(InvitationsAreNotReadAtStart, "invite.never_stuck", Kills),
    case(RestartExtendsDeadlines, "invite.never_stuck", Kills),
    case(MessagesAreAskedForOutOfOrder, "order.per_sender", Probes),
    case(LoginResetsRates, "limit.enforced", Probes),
    case(FlooderMayReturnAtOnce, "limit.enforced", Probes),
    case(SnapshotForgetsLastFrame, "drain.no_loss", Probes),
    case(SnapshotForgetsLastRequest, "drain.no_loss", Probes),
    case(SnapshotForgetsMemberships, "drain.no_loss", Probes),
    case(LogoutIsNoEvent, "event.one_logout", Chaos),
    case(CrashLeavesLoginsOpen, "event.one_logout", Kills),
    case(KnownLoginIsNews, "event.one_logout", Chaos),
    case(EventOrderStandsStill, "event.order", Chaos),
    case(TakenEventStaysQueued, "event.once", Chaos),
    case(MacIsNotChecked, "nodes.authentic", Live),
    case(TopicIsNotCompared, "nodes.authentic", Live),
    case(HoleIsNotTold, "gap.explicit", Live),
    case(MarkIsForgotten, "gap.explicit", Live),
    case(HelloIsForgotten, "nodes.ask_complete", Live),
    case(HelloIsNotAnswered, "nodes.ask_complete", Live),
    case(LostNodesInterestIsKept, "nodes.ask_complete", Live),
    case(ClockIsNotMerged, "nodes.one_clock", Live),
    case(SilenceIsNobody, "nodes.nobody_is_true", Live),
    case(SettledTooEarly, "nodes.nobody_is_true", Live),
    case(RepeatedIsDelivered, "once.server_replay", Live),
    case(RunIsForgotten, "gap.explicit", Live),
    case(AnswerSumIsIgnored, "nodes.ask_complete", Live),
    case(LostHeartbeatIsIgnored, "gap.explicit", Live),
];
