//! The stream of events after kills: read from the disk, since nobody reads it while it is written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tidings_proof::program::build;

/// Every login has one logout after it, every join one leave, numbers have no hole, and the orders
/// of each user rise. Returns how many logins there were.
pub(crate) fn check(data: &Path, problems: &mut Vec<String>) -> usize {
    let dump = Command::new(build())
        .args(["store", "dump", "--data-dir"])
        .arg(data)
        .output()
        .expect("the program starts");
    assert!(
        dump.status.success(),
        "{}",
        String::from_utf8_lossy(&dump.stderr)
    );
    let text = String::from_utf8(dump.stdout).expect("lines of JSON");
    let lines = text.lines();
    let lines = lines.map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
    let events: Vec<Value> = lines.filter(|line| line["kind"] == "event").collect();
    let (mut open, mut members) = (BTreeSet::new(), BTreeSet::new());
    let mut orders: BTreeMap<String, u64> = BTreeMap::new();
    let (mut logins, mut number) = (0, 0);
    for event in &events {
        number += 1;
        let (user, session) = (event["user"].to_string(), event["session"].to_string());
        let membership = (session.clone(), event["channel"].to_string());
        let is_right = match event["type"].as_str() {
            Some("user.login") => {
                logins += 1;
                open.insert(session)
            }
            Some("user.logout") => open.remove(&session),
            Some("channel.join") => open.contains(&session) && members.insert(membership),
            Some("channel.leave") => members.remove(&membership),
            _ => true,
        };
        let order = event["user_order"].as_u64().unwrap_or(0);
        let before = orders.insert(user, order).unwrap_or(0);
        let rises = event["user"].is_null() || order > before;
        if !is_right || !rises || event["number"] != number {
            problems.push(format!("event {number} is out of turn: {event}"));
        }
    }
    problems.extend(
        open.iter()
            .map(|session| format!("login {session} has no logout")),
    );
    problems.extend(
        members
            .iter()
            .map(|of| format!("{of:?} was joined and not left")),
    );
    logins
}
