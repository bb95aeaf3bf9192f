//! What opening a store refuses, and what a full disk does.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;

use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::{append, apply, confirm, inbox};
use tidings_hub::store_ops::StoreAnswer;
use tidings_store::embedded::{DiskReserve, FORMAT_VERSION, OpenError, Options, Space};
use tidings_store::{Access, EmbeddedEngine, Engine, MemoryEngine};

fn open(path: &Path) -> Result<EmbeddedEngine, OpenError> {
    // How full this machine's disk is says nothing about the store.
    let options = Options {
        disk_reserve: DiskReserve::Bytes(0),
        ..Options::default()
    };
    EmbeddedEngine::open(path, &options)
}

fn refusal(path: &Path) -> OpenError {
    open(path).err().expect("it is refused")
}

#[test]
fn a_store_that_is_open_is_locked_and_free_again_when_closed() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path()).unwrap();
    let error = refusal(directory.path());
    let own = std::process::id().to_string();
    assert!(
        matches!(&error, OpenError::Locked { holder: Some(id), .. } if *id == own),
        "{error}"
    );
    assert!(error.to_string().contains(&own), "{error}");
    drop(engine);
    open(directory.path()).unwrap();
}

#[test]
fn a_newer_store_is_refused_with_both_versions() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()).unwrap());
    let format = directory.path().join("FORMAT");
    assert_eq!(
        fs::read_to_string(&format).unwrap(),
        format!("tidings-store {FORMAT_VERSION}\n")
    );
    fs::write(&format, "tidings-store 99\n").unwrap();
    let error = refusal(directory.path());
    assert!(
        matches!(
            error,
            OpenError::Newer {
                found: 99,
                known: FORMAT_VERSION,
                ..
            }
        ),
        "{error}"
    );
    assert!(
        error.to_string().contains("99") && error.to_string().contains("up to 1"),
        "{error}"
    );
    assert_eq!(fs::read_to_string(&format).unwrap(), "tidings-store 99\n");
}

#[test]
fn what_is_not_a_store_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("db")).unwrap();
    let error = refusal(directory.path());
    assert!(matches!(error, OpenError::NotAStore { .. }), "{error}");
    fs::write(directory.path().join("FORMAT"), "something else").unwrap();
    let error = refusal(directory.path());
    assert!(error.to_string().contains("something else"), "{error}");
}

#[test]
fn a_directory_that_cannot_be_made_is_named_with_a_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let error = refusal(&file.join("store"));
    assert!(error.to_string().contains("file/store"), "{error}");
    assert!(error.source().is_some() && !error.hint().is_empty());
}

#[test]
fn below_the_reserve_only_deletions_are_accepted_until_there_is_space_again() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        disk_reserve: DiskReserve::Bytes(1000),
        ..Options::default()
    };
    let mut engine = EmbeddedEngine::open(directory.path(), &options).unwrap();
    let free = Arc::new(AtomicU64::new(1000));
    let probe = |free: &Arc<AtomicU64>| {
        let free = Arc::clone(free);
        move || {
            Ok(Space {
                free_bytes: free.load(Ordering::Relaxed),
                total_bytes: 1 << 30,
            })
        }
    };
    engine.set_space_probe(probe(&free));
    apply(&mut engine, &[append(1, "a"), append(1, "b")]);
    free.store(999, Ordering::Relaxed);
    engine.set_space_probe(probe(&free));
    let answers = apply(&mut engine, &[append(1, "c"), confirm(1, 1)]);
    assert!(
        matches!(&answers[0], StoreAnswer::Failed { reason } if reason.contains("999") && reason.contains("1000")),
        "{answers:?}"
    );
    assert_eq!(answers[1], StoreAnswer::Done);
    assert_eq!(
        engine.health().access,
        Access::NoSpace {
            free_bytes: 999,
            reserve_bytes: 1000
        }
    );
    assert_eq!(inbox(&mut engine, 1).0, [(2, "b".to_owned())]);
    free.store(1000, Ordering::Relaxed);
    engine.set_space_probe(probe(&free));
    assert_eq!(
        apply(&mut engine, &[append(1, "d")]),
        [StoreAnswer::InboxAppended { inbox: 3 }]
    );
    assert_eq!(engine.health().access, Access::Full);
}

#[test]
fn free_space_is_looked_at_once_a_second_at_most() {
    let directory = tempfile::tempdir().unwrap();
    let mut engine = open(directory.path()).unwrap();
    let looks = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&looks);
    engine.set_space_probe(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        Ok(Space {
            free_bytes: u64::MAX,
            total_bytes: u64::MAX,
        })
    });
    let start = std::time::Instant::now();
    for _ in 0..50 {
        apply(&mut engine, &[append(1, "a")]);
    }
    assert!(looks.load(Ordering::Relaxed) <= 1 + start.elapsed().as_secs());
}

#[test]
fn after_a_failed_commit_nothing_of_the_group_is_seen_and_reads_go_on() {
    let mut engine = MemoryEngine::new();
    apply(&mut engine, &[append(1, "kept")]);
    engine.fail_next_commit("input/output error");
    let answers = apply(
        &mut engine,
        &[append(1, "lost"), common::read(1), append(2, "lost")],
    );
    let is_failed = |answer: &StoreAnswer| matches!(answer, StoreAnswer::Failed { reason } if reason.contains("input/output error"));
    assert!(
        is_failed(&answers[0]) && is_failed(&answers[2]),
        "{answers:?}"
    );
    let StoreAnswer::InboxPage { messages, .. } = &answers[1] else {
        panic!("{answers:?}");
    };
    assert_eq!(
        messages.len(),
        1,
        "a read of the group does not see what failed"
    );
    // It stays so, although the next commit would work.
    assert!(
        apply(&mut engine, &[append(1, "x"), confirm(1, 1)])
            .iter()
            .all(is_failed)
    );
    assert_eq!(inbox(&mut engine, 1).0, [(1, "kept".to_owned())]);
    let mut engine = engine.reopen();
    assert_eq!(
        apply(&mut engine, &[append(1, "y")]),
        [StoreAnswer::InboxAppended { inbox: 2 }]
    );
    assert_eq!(inbox(&mut engine, 1).0.len(), 2);
}

#[test]
fn a_dump_has_a_line_for_every_record_and_no_body() {
    let directory = tempfile::tempdir().unwrap();
    let mut engine = open(directory.path()).unwrap();
    apply(&mut engine, &[append(1, "a secret"), append(2, "b")]);
    let mut dump = Vec::new();
    engine.dump(&mut dump).unwrap();
    let dump = String::from_utf8(dump).unwrap();
    let report = engine.verify().unwrap();
    assert!(report.is_sound(), "{report:?}");
    // Besides messages and heads: the ceiling of the numbers, what the app uses, and that this is
    // known.
    assert_eq!((report.records, report.messages, report.inboxes), (7, 2, 2));
    assert_eq!(dump.lines().count(), 7);
    assert!(
        dump.lines()
            .all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok())
    );
    assert!(
        dump.contains("\"user\":\"user-1\"") && !dump.contains("secret"),
        "{dump}"
    );
}
