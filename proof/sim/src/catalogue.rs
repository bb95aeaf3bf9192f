//! Every check of the delivery contract's list: where it is evaluated, and what shows that it can
//! fail.
//!
//! `docs/proven/checks.md` is generated from it; a test compares it with the contract's list, with
//! the deliberate faults and with the tests that it names.

use crate::faults::ALL;

/// Where a check is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Evaluated by the simulator.
    Simulator,
    /// Evaluated with the real program, or with a real store.
    Real,
    /// Evaluated by a unit or property test.
    Unit,
    /// Evaluated by a model whose every state is explored.
    Model,
}

/// A test: its file from the root of the repository, and its function.
pub type Test = (&'static str, &'static str);

/// The status of a check.
#[derive(Debug, Clone, Copy)]
pub enum Standing {
    /// It is evaluated; its deliberate faults are those of [`crate::faults`] that name it.
    Faults(&'static [Place]),
    /// It is evaluated by the named test, which makes the fault itself.
    Planted(&'static [Place], Test, &'static str),
    /// Its subject does not exist yet.
    Later(&'static str),
    /// It should be evaluated and is not, or nothing shows that it can fail; the reason.
    Open(&'static str),
}

/// A check of the contract.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// Its name in the contract.
    pub name: &'static str,
    /// The status of the check.
    pub standing: Standing,
}

use Place::{Model, Real, Simulator, Unit};
use Standing::{Faults, Later, Open, Planted};

const fn check(name: &'static str, standing: Standing) -> Check {
    Check { name, standing }
}

const S: &[Place] = &[Simulator];
const SR: &[Place] = &[Simulator, Real];
const SRM: &[Place] = &[Simulator, Real, Model];
const R: &[Place] = &[Real];
const SU: &[Place] = &[Simulator, Unit];
const U: &[Place] = &[Unit];

const CLUSTER: &str = "with the cluster: there is one node";
const RTM2: &str = "with the RTM 2.x API";
const DAMAGE: &str = "server/store/tests/damage.rs";
const STRANGERS: &str = "server/server/tests/strangers.rs";

/// All checks, in the contract's order.
pub const CHECKS: &[Check] = &[
    check("order.per_sender", Faults(SR)),
    check("order.total_channel", Faults(SR)),
    check("order.membership_brackets_messages", Faults(S)),
    check("once.client_retry", Faults(SRM)),
    check("once.reply_cache_hit", Faults(S)),
    check("once.effect_and_mark", Faults(SR)),
    check(
        "once.app_key",
        Later("with the REST API: no request has such a key yet"),
    ),
    check("once.server_replay", Faults(SR)),
    check("resume.contiguous", Faults(S)),
    check("gap.explicit", Faults(SR)),
    check("gap.no_false_alarm", Faults(SR)),
    check("ack.truthful", Faults(S)),
    check("ack.durable", Faults(SR)),
    check("inbox.only_if_asked", Faults(S)),
    check("inbox.contiguous", Faults(S)),
    check("inbox.no_overtake", Faults(S)),
    check("inbox.deleted_only_if_confirmed", Faults(S)),
    check("inbox.dedup", Faults(S)),
    check("session.single_connection", Faults(S)),
    check("session.single_owner", Faults(S)),
    check("presence.alternates", Faults(S)),
    check("presence.no_ghost", Faults(S)),
    check("presence.one_caretaker", Later(CLUSTER)),
    check("presence.fenced", Later(CLUSTER)),
    check("presence.no_flap_on_resume", Faults(SR)),
    check("presence.snapshot_equals_events", Faults(S)),
    check("lock.single_holder", Later(RTM2)),
    check("lock.fencing_rises", Later(RTM2)),
    check("attr.cas", Later(RTM2)),
    check("attr.no_lost_update", Faults(SR)),
    check("invite.one_terminal", Faults(SRM)),
    check("invite.agreement", Faults(SRM)),
    check("invite.durable_before_told", Faults(&[Simulator, Model])),
    check("invite.never_stuck", Faults(SRM)),
    check("invite.no_ring_after_end", Faults(SRM)),
    check("invite.timer_not_early", Faults(S)),
    check("call.always_answered", Faults(SR)),
    check("state.legal", Faults(S)),
    check("event.one_logout", Faults(S)),
    check("event.once", Faults(S)),
    check("event.order", Faults(S)),
    check("queue.bounded", Faults(S)),
    check("memory.bounded", Faults(SR)),
    check("slow.isolated", Faults(SR)),
    check("limit.enforced", Faults(S)),
    check("limit.fair", Faults(S)),
    check("storm.recovers", Faults(SR)),
    check("drain.no_loss", Faults(SR)),
    check("crash.acked_survive", Faults(SR)),
    check("crash.atomic", Faults(SR)),
    check("crash.no_resurrection", Faults(SR)),
    check(
        "crash.idempotent_recovery",
        Planted(
            SR,
            (DAMAGE, "a_torn_last_group_is_cut_wherever_it_was_torn"),
            "the last write is torn at every sixteenth of its length, and the store is opened twice",
        ),
    ),
    check("store.checksum", Faults(SR)),
    check("disk.full_recovers", Faults(SR)),
    check("clock.monotone_ts", Faults(S)),
    check("clock.no_mass_expiry", Faults(&[Simulator, Unit])),
    check("auth.no_action_before_login", Faults(SR)),
    check("auth.vectors", Faults(&[Unit, Simulator])),
    check("auth.expired_is_out", Faults(S)),
    check("auth.resume_secret", Faults(S)),
    check(
        "auth.origin",
        Planted(
            R,
            (STRANGERS, "a_page_of_a_foreign_origin_may_not_connect"),
            "a page of another origin, of a longer and of a shorter name",
        ),
    ),
    check(
        "auth.timing",
        Open("needs an idle machine and hours; all secrets are compared in constant time"),
    ),
    check("authz.self_only", Faults(S)),
    check("authz.member_only", Faults(S)),
    check("authz.replay", Faults(S)),
    check("rest.authz", Later("with the REST API")),
    check("tenant.isolated", Faults(SR)),
    check(
        "dos.slow_handshake",
        Planted(
            R,
            (STRANGERS, "silent_and_slow_strangers_are_dropped_in_time"),
            "strangers that say nothing, and heads that come byte by byte",
        ),
    ),
    check(
        "dos.preauth_memory",
        Planted(
            R,
            (STRANGERS, "frames_are_bounded_before_and_after_login"),
            "frames over the bound of a stranger",
        ),
    ),
    check(
        "secrets.not_in_clear",
        Later("with the admin API: certificates are in the operator's own file"),
    ),
    check(
        "secrets.not_in_logs",
        Planted(
            R,
            (
                "proof/real/tests/security/main.rs",
                "no_payload_token_or_certificate_is_logged_at_trace",
            ),
            "marked messages, tokens and certificates, logged at the finest level",
        ),
    ),
    check("console.xss", Later("with the console")),
    check("nats.settings_verified", Later(CLUSTER)),
    check("nodes.authentic", Faults(SU)),
    check("nodes.nobody_is_true", Faults(SU)),
    check("nodes.ask_complete", Faults(SU)),
    check("nodes.one_clock", Faults(SU)),
    check(
        "legacy.order",
        Planted(
            R,
            (
                "server/server/tests/legacy/builds.rs",
                "the_builds_1_4_lose_and_repeat_nothing_over_a_reconnect",
            ),
            "connections of every build that are cut",
        ),
    ),
    check(
        "legacy.inbox",
        Planted(
            R,
            (
                "server/server/tests/legacy/builds.rs",
                "the_builds_from_1_2_1_lose_and_repeat_nothing",
            ),
            "notifications of which every build sees some twice",
        ),
    ),
    check("sim.deterministic", Faults(S)),
    check("no.panic", Faults(&[Simulator, Real, Unit])),
];

/// The table in `docs/proven/checks.md`.
pub fn table() -> String {
    let mut lines = vec![
        "| Check | Where | What makes it fail |".to_owned(),
        "| --- | --- | --- |".to_owned(),
    ];
    for check in CHECKS {
        let (places, proof) = match check.standing {
            Faults(places) => {
                let own = ALL.iter().filter(|case| case.check == check.name);
                let own: Vec<String> = own
                    .map(|case| format!("{}: {}", case.fault.name(), case.fault.what()))
                    .collect();
                (places, own.join("; "))
            }
            Planted(places, (_, test), what) => (places, format!("{what} (`{test}`)")),
            Later(why) => (U.get(..0).unwrap_or_default(), format!("later, {why}")),
            Open(why) => (U.get(..0).unwrap_or_default(), format!("**open**: {why}")),
        };
        let letters: Vec<&str> = places
            .iter()
            .map(|place| match place {
                Simulator => "S",
                Real => "R",
                Unit => "U",
                Model => "M",
            })
            .collect();
        let (name, letters) = (check.name, letters.join(" "));
        lines.push(format!("| `{name}` | {letters} | {proof} |"));
    }
    lines.push(String::new());
    lines.join("\n")
}
