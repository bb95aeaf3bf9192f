//! A store whose process is killed keeps everything that it acknowledged, and nothing in part.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]
//!
//! The killed process is this test program itself, started again with an environment variable.

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{append, apply, confirm, inbox};
use tidings_hub::store_ops::{StoreAnswer, StoreOp};
use tidings_store::embedded::{DiskReserve, Options};
use tidings_store::{Access, EmbeddedEngine, Engine};

const DIRECTORY: &str = "TIDINGS_STORE_TEST_DIRECTORY";
const USERS: u64 = 7;
/// Appends of one operation group; each group goes to one user and carries its own number.
const GROUP: u64 = 5;

fn open(path: &Path) -> EmbeddedEngine {
    let options = Options {
        disk_reserve: DiskReserve::Bytes(0),
        ..Options::default()
    };
    EmbeddedEngine::open(path, &options).unwrap()
}

/// Appends groups and says so after each acknowledgement, until it is killed or refused.
#[test]
fn child() {
    let Some(path) = std::env::var_os(DIRECTORY).map(PathBuf::from) else {
        return;
    };
    let mut engine = open(&path);
    // The number of the next group of each user follows from what is stored.
    let mut next: Vec<u64> = (0..USERS).map(|of| next_group(&mut engine, of)).collect();
    for step in 0.. {
        let to = step % USERS;
        let group = &mut next[to as usize];
        let padding = "x".repeat((step % 97) as usize * 20);
        let mut ops: Vec<StoreOp> = (0..GROUP)
            .map(|_| append(to, &format!("{group}:{padding}")))
            .collect();
        // Every group confirms what lies ten groups back, so that deletions are under test too.
        let confirmed = group.saturating_sub(10) * GROUP;
        ops.push(confirm(to, confirmed));
        let answers = apply(&mut engine, &ops);
        if let Some(StoreAnswer::Failed { reason }) = answers.first() {
            say(&format!("failed {reason}"));
            // The store is read-only now: reads go on, nothing of the group is seen.
            assert!(matches!(engine.health().access, Access::ReadOnly { .. }));
            assert_eq!(next_group(&mut engine, to), *group);
            say("readable");
            return;
        }
        assert!(
            !answers
                .iter()
                .any(|answer| matches!(answer, StoreAnswer::Failed { .. }))
        );
        say(&format!("ack {to} {group}"));
        *group += 1;
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

fn next_group(engine: &mut EmbeddedEngine, of: u64) -> u64 {
    let (messages, _) = inbox(engine, of);
    messages.last().map_or(0, |(_, body)| group_of(body) + 1)
}

fn group_of(body: &str) -> u64 {
    body.split(':').next().unwrap().parse().unwrap()
}

fn start(path: &Path, wrapper: &[&str]) -> Child {
    let this = std::env::current_exe().unwrap();
    let mut command = match wrapper {
        [] => Command::new(this),
        [program, arguments @ ..] => {
            let mut command = Command::new(program);
            command.args(arguments).arg(this);
            command
        }
    };
    command.args(["--exact", "child", "--nocapture"]);
    command
        .env(DIRECTORY, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The time that a process is left to live: it is killed wherever it is then.
fn pace(life: Duration) {
    std::thread::sleep(life);
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_there_in_part() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let mut acknowledged: BTreeMap<u64, u64> = BTreeMap::new();
    let seed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .subsec_nanos();
    for round in 0..10_u32 {
        let mut child = start(&path, &[]);
        let out = BufReader::new(child.stdout.take().unwrap());
        let after = Duration::from_micros(u64::from(seed.wrapping_mul(round * 7919 + 1) % 400_000));
        let killer = std::thread::spawn(move || {
            pace(after);
            child.kill().unwrap();
            child.wait().unwrap();
        });
        for line in out.lines().map_while(Result::ok) {
            let mut words = line.split(' ').skip_while(|word| *word != "ack").skip(1);
            if let (Some(to), Some(group)) = (words.next(), words.next()) {
                acknowledged.insert(to.parse().unwrap(), group.parse().unwrap());
            }
        }
        killer.join().unwrap();
        check(
            &path,
            &mut acknowledged,
            &format!("round {round}, killed after {after:?}"),
        );
    }
    assert!(
        !acknowledged.is_empty(),
        "no round came to an acknowledgement"
    );
}

/// Compares what is stored with what was acknowledged. What is found counts as acknowledged from
/// then on: the next child goes on after it, and it may not vanish.
fn check(path: &Path, acknowledged: &mut BTreeMap<u64, u64>, when: &str) {
    let mut engine = open(path);
    let report = engine.verify().unwrap();
    assert!(report.is_sound(), "{when}: {report:?}");
    for of in 0..USERS {
        let (messages, losses) = inbox(&mut engine, of);
        assert_eq!(losses.damaged, 0, "{when}");
        let stored = messages.last().map(|(_, body)| group_of(body));
        let Some(last) = acknowledged.get(&of).copied() else {
            assert!(stored <= Some(0), "{when}: at most the first group");
            acknowledged.extend(stored.map(|group| (of, group)));
            continue;
        };
        assert!(
            stored >= Some(last),
            "{when}: group {last} of {of} was acknowledged, {stored:?} is there"
        );
        assert!(
            stored <= Some(last + 1),
            "{when}: at most one group more than acknowledged"
        );
        for (number, body) in &messages {
            assert_eq!(
                (number - 1) / GROUP,
                group_of(body),
                "{when}: numbers follow the groups"
            );
        }
        let (first, end) = (messages[0].0, messages[messages.len() - 1].0);
        assert_eq!(
            end - first + 1,
            messages.len() as u64,
            "{when}: no message of {of} is missing"
        );
        assert_eq!(end % GROUP, 0, "{when}: the last group of {of} is whole");
        let confirmed = last.saturating_sub(10) * GROUP;
        assert!(first > confirmed, "{when}: what was confirmed is gone");
        acknowledged.extend(stored.map(|group| (of, group)));
    }
}

/// The limit on the size of files lets a write to the journal fail as a broken disk does.
#[cfg(unix)]
#[test]
fn after_a_write_error_the_store_is_read_only_and_still_holds_what_it_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    // The journal is 64 MiB long from the start; the limit, in blocks of 512 bytes, lies a little
    // above. The signal of the limit is ignored, so that the write is an error.
    let script = "trap '' XFSZ; ulimit -f $(( (65 << 20) / 512 )); exec \"$@\"";
    let mut child = start(&path, &["sh", "-c", script, "sh"]);
    let lines: Vec<String> = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
        .collect();
    assert!(child.wait().unwrap().success(), "{:?}", lines.last());
    let failed = lines
        .iter()
        .find(|line| line.contains("failed "))
        .expect("a write fails in the end");
    assert!(
        failed.contains("read-only") && failed.contains("restart"),
        "{failed}"
    );
    assert!(lines.iter().any(|line| line == "readable"), "reads go on");
    let mut acknowledged = BTreeMap::new();
    for line in &lines {
        let mut words = line.split(' ').skip_while(|word| *word != "ack").skip(1);
        if let (Some(to), Some(group)) = (words.next(), words.next()) {
            acknowledged.insert(to.parse().unwrap(), group.parse().unwrap());
        }
    }
    check(&path, &mut acknowledged, "after the write error");
}
