//! The memory that sessions and operations allocate: the same on every machine, so that a ratchet
//! can hold it.
//!
//! `cargo xtask ratchet --update` writes the figures into `allocations.toml`, to be committed with
//! the reason.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tidings_bench::{Desk, Step, Work, log_in, measured, populate};

/// How much worse than the committed figure a figure may be, as a fraction of it.
const WORSE_MAX: f64 = 0.03;

/// Additional slack for an allocation per operation, where the figure itself is close to zero.
const WORSE_ALLOCATIONS: f64 = 0.01;

/// How fast the cost of one operation may rise with the number of users: 0 = not at all, 1 = in
/// proportion.
const EXPONENT_MAX: f64 = 0.05;

/// Number of users for which `bytes_per_session` is measured.
const SESSIONS: usize = 10_000;

/// The committed figures.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Figures {
    /// Bytes of a hub for a session that has joined nothing, including the bus's part.
    bytes_per_session: f64,
    /// Additional bytes for membership of one large channel.
    bytes_per_membership: f64,
    /// Allocations of one operation, by its name, at 1,000 users.
    allocations: BTreeMap<String, f64>,
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("allocations.toml")
}

fn bytes_of(run: impl FnOnce()) -> f64 {
    let info = allocation_counter::measure(run);
    info.bytes_current as f64
}

fn found() -> Figures {
    let mut desk = Desk::new(SESSIONS);
    let sessions = bytes_of(|| {
        for _ in 0..SESSIONS {
            log_in(&mut desk);
        }
    });
    let before: Vec<Step> = Work::Join.prepare(&mut desk, 0, SESSIONS).steps;
    let memberships = bytes_of(|| {
        measured(&mut desk, &before);
        desk.confirm_all();
        desk.step(&Step::Wait(2_000));
        desk.confirm_all();
    });
    assert_eq!(desk.sessions(), SESSIONS);
    assert_eq!(desk.closed(), 0, "a client was sent away");
    Figures {
        bytes_per_session: (sessions / SESSIONS as f64).round(),
        bytes_per_membership: (memberships / SESSIONS as f64).round(),
        allocations: costs(1_000)
            .into_iter()
            .map(|(name, cost)| (name.to_owned(), (cost.allocations * 1e3).round() / 1e3))
            .collect(),
    }
}

/// The allocations of one operation.
#[derive(Debug, Clone, Copy)]
struct Cost {
    allocations: f64,
    bytes: f64,
    sent: f64,
}

/// Every operation at a hub with this many users, done for a quarter as many: growth by doubling is
/// spread over them.
fn costs(users: usize) -> BTreeMap<&'static str, Cost> {
    let mut desk = populate(users);
    let mut costs = BTreeMap::new();
    for work in Work::ALL {
        let prepared = work.prepare(&mut desk, users, users / 4);
        let sent = desk.sent();
        let info = allocation_counter::measure(|| measured(&mut desk, &prepared.steps));
        let units = prepared.units as f64;
        let cost = Cost {
            allocations: info.count_total as f64 / units,
            bytes: info.bytes_total as f64 / units,
            sent: (desk.sent() - sent) as f64 / units,
        };
        costs.insert(work.name(), cost);
        if work != Work::FanOut {
            desk.confirm_all();
        }
    }
    assert_eq!(
        desk.closed(),
        2 + users as u64 / 4 - 1,
        "all that logged out"
    );
    costs
}

#[test]
fn sessions_and_operations_allocate_no_more_than_committed() {
    let found = found();
    if std::env::var_os("TIDINGS_UPDATE_FIGURES").is_some() {
        let text = toml::to_string(&found).expect("figures are plain data");
        let head = "# Written by `cargo xtask ratchet --update`; held by tests/allocations.rs.\n";
        std::fs::write(path(), format!("{head}{text}")).expect("the crate's folder is writable");
        return;
    }
    let text = std::fs::read_to_string(path()).expect("allocations.toml is committed");
    let committed: Figures = toml::from_str(&text).expect("allocations.toml holds figures");
    let mut worse = Vec::new();
    let mut hold = |name: &str, found: f64, committed: f64, slack: f64| {
        if found > committed * (1.0 + WORSE_MAX) + slack {
            worse.push(format!("{name}: {found} instead of {committed}"));
        }
    };
    hold(
        "bytes_per_session",
        found.bytes_per_session,
        committed.bytes_per_session,
        0.0,
    );
    hold(
        "bytes_per_membership",
        found.bytes_per_membership,
        committed.bytes_per_membership,
        0.0,
    );
    for (name, allocations) in &found.allocations {
        let committed = committed.allocations.get(name).copied().unwrap_or_default();
        hold(name, *allocations, committed, WORSE_ALLOCATIONS);
    }
    assert!(
        worse.is_empty(),
        "more than 3 % worse than committed; if that is meant: cargo xtask ratchet --update\n{}",
        worse.join("\n")
    );
}

#[test]
fn no_operation_costs_more_as_the_hub_grows() {
    let (small, large) = (1_000, 16_000);
    let (before, after) = (costs(small), costs(large));
    let decades = (large as f64 / small as f64).ln();
    let mut risen = Vec::new();
    for (name, before) in &before {
        let after = after[name];
        for (what, before, after) in [
            ("allocations", before.allocations, after.allocations),
            ("bytes allocated", before.bytes, after.bytes),
            ("frames sent", before.sent, after.sent),
        ] {
            // A figure close to zero may be slightly higher.
            let exponent = ((after + 1.0) / (before + 1.0)).ln() / decades;
            if exponent > EXPONENT_MAX {
                risen.push(format!(
                    "{name}: {before:.2} {what} each at {small} users, {after:.2} at {large}: exponent {exponent:.2}"
                ));
            }
        }
    }
    assert!(risen.is_empty(), "{}", risen.join("\n"));
}
