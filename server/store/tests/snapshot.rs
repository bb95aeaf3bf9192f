//! A backup of a store that is written to meanwhile: the store as it was at one moment.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;

use common::{LIMIT, append, apply, inbox};
use tidings_hub::store_ops::StoreAnswer;
use tidings_store::embedded::{DiskReserve, Options};
use tidings_store::{EmbeddedEngine, Engine as _};

fn options() -> Options {
    Options {
        disk_reserve: DiskReserve::Bytes(0),
        // Small, so that tables are written and merged while snapshots are read.
        memtable_bytes_max: 1 << 20,
        ..Options::default()
    }
}

/// Users whose inboxes get a message in each group: all of a group or none.
const USERS: u64 = 5;

#[test]
fn a_backup_under_load_has_every_group_that_was_acknowledged_before_and_none_in_part() {
    let folder = tempfile::tempdir().unwrap();
    let mut engine = EmbeddedEngine::open(&folder.path().join("store"), &options()).unwrap();
    let snapshots = engine.snapshots();
    let acknowledged = Arc::new(AtomicU64::new(0));
    // The writer does not run away from the reader: there would be more and more to read.
    let (allow, allowed) = channel::<u64>();
    let (tell, told) = channel();
    let writer = std::thread::spawn({
        let acknowledged = acknowledged.clone();
        move || {
            let padding = "x".repeat(8_000);
            let mut limit = 0;
            for group in 1.. {
                while group > limit {
                    let Ok(more) = allowed.recv() else {
                        return;
                    };
                    limit = more;
                }
                let ops: Vec<_> = (0..USERS)
                    .map(|user| append(user, &format!("{group}:{padding}")))
                    .collect();
                let answers = apply(&mut engine, &ops);
                assert!(
                    !answers
                        .iter()
                        .any(|answer| matches!(answer, StoreAnswer::Failed { .. }))
                );
                acknowledged.store(group, Ordering::Release);
                // Nobody listens for the last.
                let _ = tell.send(group);
            }
        }
    });
    for round in 0..2_u64 {
        allow.send(60 * (round + 1)).unwrap();
        while told.recv_timeout(LIMIT).unwrap() < 60 * round + 20 {}
        let before = acknowledged.load(Ordering::Acquire);
        let snapshot = snapshots.take().unwrap();
        let after = acknowledged.load(Ordering::Acquire);
        assert!(snapshot.verify().unwrap().is_sound());
        let mut backup = Vec::new();
        let records = snapshot.backup(&mut backup).unwrap();
        // Read twice it is the same, whatever was written meanwhile.
        let mut again = Vec::new();
        snapshot.backup(&mut again).unwrap();
        assert!(backup == again, "a snapshot changes");
        drop(snapshot);
        let restored = folder.path().join(format!("restored-{round}"));
        assert_eq!(
            EmbeddedEngine::restore(&restored, &mut &backup[..]).unwrap(),
            records
        );
        let mut engine = EmbeddedEngine::open(&restored, &options()).unwrap();
        assert!(engine.verify().unwrap().is_sound());
        let counts: Vec<_> = (0..USERS)
            .map(|user| inbox(&mut engine, user).0.len() as u64)
            .collect();
        assert!(
            counts.iter().all(|count| *count == counts[0]),
            "a group is there in part: {counts:?}"
        );
        // One group may have been committed and not yet counted.
        assert!(
            (before..=after + 1).contains(&counts[0]),
            "{} groups, with {before} acknowledged before and {after} after",
            counts[0]
        );
    }
    drop(allow);
    writer.join().unwrap();
    // The engine has ended with its thread.
    assert!(snapshots.take().is_err());
}

#[test]
fn a_snapshot_outlives_its_engine() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let mut engine = EmbeddedEngine::open(&path, &options()).unwrap();
    apply(&mut engine, &[append(1, "kept")]);
    let snapshot = engine.snapshots().take().unwrap();
    assert!(engine.health().damaged_records == 0);
    drop(engine);
    let mut backup = Vec::new();
    let records = snapshot.backup(&mut backup).unwrap();
    assert!(records > 0);
    drop(snapshot);
    // And lets the directory go.
    let mut engine = EmbeddedEngine::open(&path, &options()).unwrap();
    assert_eq!(inbox(&mut engine, 1).0, [(1, "kept".to_owned())]);
}
