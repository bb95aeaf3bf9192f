//! The list of checks is complete: every check of the contract is evaluated, and something shows
//! that it can fail.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use tidings_fault::Fault;
use tidings_sim::catalogue::{CHECKS, Standing, table};
use tidings_sim::faults::ALL;

/// The names in section 8 of the delivery contract.
const CONTRACT: &str = "
    order.per_sender order.total_channel order.membership_brackets_messages
    once.client_retry once.reply_cache_hit once.effect_and_mark once.app_key once.server_replay
    resume.contiguous gap.explicit gap.no_false_alarm ack.truthful ack.durable
    inbox.only_if_asked inbox.contiguous inbox.no_overtake inbox.deleted_only_if_confirmed inbox.dedup
    session.single_connection session.single_owner
    presence.alternates presence.no_ghost presence.one_caretaker presence.fenced presence.no_flap_on_resume
    presence.snapshot_equals_events lock.single_holder lock.fencing_rises attr.cas attr.no_lost_update
    invite.one_terminal invite.agreement invite.durable_before_told invite.never_stuck invite.no_ring_after_end
    invite.timer_not_early call.always_answered state.legal
    event.one_logout event.once event.order
    queue.bounded memory.bounded slow.isolated limit.enforced limit.fair storm.recovers drain.no_loss
    crash.acked_survive crash.atomic crash.no_resurrection crash.idempotent_recovery store.checksum
    disk.full_recovers clock.monotone_ts clock.no_mass_expiry
    auth.no_action_before_login auth.vectors auth.expired_is_out auth.resume_secret auth.origin auth.timing
    authz.self_only authz.member_only authz.replay rest.authz tenant.isolated
    dos.slow_handshake dos.preauth_memory secrets.not_in_clear secrets.not_in_logs console.xss
    nats.settings_verified nodes.authentic nodes.nobody_is_true nodes.ask_complete nodes.one_clock
    legacy.order legacy.inbox sim.deterministic no.panic";

/// Checks that should be evaluated and are not. May only fall.
const OPEN_MAX: usize = 1;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn every_check_of_the_contract_is_in_the_list_once() {
    let listed: Vec<&str> = CHECKS.iter().map(|check| check.name).collect();
    let contract: Vec<&str> = CONTRACT.split_whitespace().collect();
    assert_eq!(listed, contract);
}

#[test]
fn every_check_has_something_that_makes_it_fail() {
    let mut open = 0;
    for check in CHECKS {
        let name = check.name;
        match check.standing {
            Standing::Faults(places) => {
                assert!(!places.is_empty(), "{name} is evaluated nowhere");
                let has_fault = ALL.iter().any(|case| case.check == name);
                assert!(has_fault, "no deliberate fault is for {name}");
            }
            Standing::Planted(places, (path, test), _) => {
                assert!(!places.is_empty(), "{name} is evaluated nowhere");
                let source = fs::read_to_string(root().join(path))
                    .unwrap_or_else(|error| panic!("{name}: {path}: {error}"));
                assert!(
                    source.contains(&format!("fn {test}(")),
                    "{name}: {path} has no {test}"
                );
            }
            Standing::Later(why) => assert!(!why.is_empty(), "{name} waits for nothing"),
            Standing::Open(_) => open += 1,
        }
    }
    assert!(
        open <= OPEN_MAX,
        "{open} checks are open, at most {OPEN_MAX} may be"
    );
}

#[test]
fn every_fault_names_a_check_and_has_its_switch() {
    let names: BTreeSet<&str> = CHECKS.iter().map(|check| check.name).collect();
    let mut sources = String::new();
    for package in [
        "server/hub",
        "server/bus",
        "server/cluster",
        "server/store",
        "clients/rust-core",
    ] {
        let mut directories = vec![root().join(format!("{package}/src"))];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(&directory).expect("a directory of sources") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    directories.push(path);
                } else {
                    sources.push_str(&fs::read_to_string(path).expect("a source"));
                }
            }
        }
    }
    let mut proven = BTreeSet::new();
    for case in ALL {
        let name = case.fault.name();
        assert!(proven.insert(case.fault), "{name} has two checks");
        assert!(
            names.contains(case.check),
            "{name}: {} is no check",
            case.check
        );
        let switch = format!("fault!({name})");
        assert!(sources.contains(&switch), "{name} has no switch");
    }
    for fault in Fault::ALL {
        assert!(proven.contains(fault), "{} has no check", fault.name());
    }
    assert!(ALL.len() >= 40, "the contract asks for 40 faults");
}

#[test]
fn the_page_is_up_to_date() {
    let page =
        fs::read_to_string(root().join("docs/proven/checks.md")).expect("docs/proven/checks.md");
    assert!(
        page.contains(&table()),
        "docs/proven/checks.md is old: run `cargo xtask checks`"
    );
}
