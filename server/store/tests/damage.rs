//! What a crash or a bad disk leaves behind is cut, counted or refused, and never served.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{append, apply, inbox};
use tidings_hub::store_ops::{InboxLosses, StoreAnswer};
use tidings_store::embedded::{DiskReserve, OpenError, Options};
use tidings_store::{EmbeddedEngine, Engine, MemoryEngine};

fn open(path: &Path) -> Result<EmbeddedEngine, OpenError> {
    // How full this machine's disk is says nothing about the store.
    let options = Options {
        disk_reserve: DiskReserve::Bytes(0),
        ..Options::default()
    };
    EmbeddedEngine::open(path, &options)
}

fn journal(path: &Path) -> PathBuf {
    let mut journals: Vec<_> = fs::read_dir(path.join("db"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "jnl"))
        .collect();
    journals.sort();
    journals.pop().unwrap()
}

fn written(journal: &Path) -> usize {
    let bytes = fs::read(journal).unwrap();
    bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1
}

/// A store with groups of two messages to user 1, and where each group ends in the journal.
fn filled(path: &Path, groups: usize) -> Vec<usize> {
    let mut engine = open(path).unwrap();
    let mut ends = vec![];
    for group in 0..groups {
        let body = format!("{group}");
        apply(&mut engine, &[append(1, &body), append(1, &body)]);
        ends.push(written(&journal(path)));
    }
    ends
}

fn patch(journal: &Path, at: usize, bytes: &[u8]) {
    let mut content = fs::read(journal).unwrap();
    content[at..at + bytes.len()].copy_from_slice(bytes);
    fs::write(journal, content).unwrap();
}

#[test]
fn a_torn_last_group_is_cut_wherever_it_was_torn() {
    let directory = tempfile::tempdir().unwrap();
    let origin = directory.path().join("origin");
    let ends = filled(&origin, 3);
    let copy_of = fs::read(journal(&origin)).unwrap();
    let whole = ends[2] - ends[1];
    for torn in (1..whole).step_by(whole / 16) {
        // Cut short, with the zeros of the preallocated journal behind.
        let short = [&copy_of[..ends[1] + torn], vec![0; 4096].as_slice()].concat();
        // Or with a hole, as when a later page reached the disk and an earlier did not.
        let mut holed = copy_of[..ends[2]].to_vec();
        let hole = ends[1] + torn..ends[2].min(ends[1] + torn + 40);
        holed[hole].fill(0);
        for content in [short, holed] {
            fs::write(journal(&origin), &content).unwrap();
            let mut engine = open(&origin).unwrap();
            let bodies: Vec<_> = inbox(&mut engine, 1)
                .0
                .into_iter()
                .map(|(_, body)| body)
                .collect();
            assert_eq!(bodies, ["0", "0", "1", "1"], "torn at {torn} of {whole}");
            // The store goes on from there, and a second start finds nothing to mend.
            apply(&mut engine, &[append(1, "new")]);
            drop(engine);
            let mut engine = open(&origin).unwrap();
            assert_eq!(inbox(&mut engine, 1).0.last(), Some(&(5, "new".to_owned())));
            assert!(engine.verify().unwrap().is_sound());
            drop(engine);
            assert!(origin.join("torn").exists(), "what was cut is kept");
        }
    }
}

#[test]
fn a_journal_that_is_damaged_before_its_end_is_refused_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let ends = filled(&path, 3);
    let journal = journal(&path);
    patch(&journal, ends[0] + 60, b"damage");
    let before = fs::read(&journal).unwrap();
    let error = open(&path)
        .err()
        .expect("what was acknowledged would be lost");
    assert!(
        matches!(&error, OpenError::JournalDamaged { offset, .. } if *offset == ends[0] as u64),
        "{error}"
    );
    assert!(error.hint().contains("backup"));
    assert!(
        fs::read(&journal).unwrap() == before,
        "a failed start changes no file"
    );
}

#[test]
fn a_damaged_record_is_counted_and_never_served() {
    let records = {
        let mut engine = MemoryEngine::new();
        let ops: Vec<_> = (0..6)
            .map(|number| append(1, &format!("{number}")))
            .collect();
        apply(&mut engine, &ops);
        engine
    };
    // In key order: the head of the inbox, six messages, the ceiling of numbers, the bytes of the
    // app, and that they are counted.
    assert_eq!(records.record_count(), 10);
    for damaged in 1..7 {
        let mut engine = records.clone();
        assert!(engine.damage_record(damaged));
        let losses = InboxLosses {
            damaged: 1,
            ..InboxLosses::default()
        };
        let expected: Vec<_> = (0..6)
            .filter(|number| *number + 1 != damaged)
            .map(|number| (number as u64 + 1, format!("{number}")))
            .collect();
        assert_eq!(inbox(&mut engine, 1), (expected.clone(), losses));
        assert_eq!(
            inbox(&mut engine, 1),
            (expected, losses),
            "it is counted once"
        );
        assert_eq!(engine.health().damaged_records, 1);
        apply(&mut engine, &[append(1, "new")]);
        assert_eq!(inbox(&mut engine, 1).0.last(), Some(&(7, "new".to_owned())));
    }
}

#[test]
fn an_inbox_with_a_damaged_head_keeps_its_messages_and_never_reuses_a_number() {
    let mut engine = MemoryEngine::new();
    apply(
        &mut engine,
        &[append(1, "a"), append(1, "b"), append(1, "c")],
    );
    apply(&mut engine, &[common::confirm(1, 1)]);
    let mut engine = engine.reopen();
    assert!(engine.damage_record(0));
    let (messages, losses) = inbox(&mut engine, 1);
    assert_eq!(messages, [(2, "b".to_owned()), (3, "c".to_owned())]);
    assert_eq!(
        losses,
        InboxLosses {
            damaged: 1,
            ..InboxLosses::default()
        }
    );
    apply(&mut engine, &[append(1, "d")]);
    let (messages, _) = inbox(&mut engine, 1);
    assert!(messages[2].0 > 3, "{messages:?}");
}

#[test]
fn a_flipped_bit_anywhere_in_a_table_is_never_served_and_never_a_panic() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    // Small tables, so that everything goes through them and little is in the journal.
    let options = Options {
        memtable_bytes_max: 64 << 10,
        disk_reserve: DiskReserve::Bytes(0),
        ..Options::default()
    };
    {
        let mut engine = EmbeddedEngine::open(&path, &options).unwrap();
        for group in 0..200 {
            let ops: Vec<_> = (0..10)
                .map(|_| append(1, &format!("{group:0200}")))
                .collect();
            apply(&mut engine, &ops);
        }
        // The tables are written in the background.
        let wait = std::time::Instant::now();
        while tables(&path).is_empty() && wait.elapsed().as_secs() < 20 {
            std::thread::yield_now();
        }
    }
    let mut met = 0;
    for round in 0..12 {
        let copy = directory.path().join(format!("copy{round}"));
        copy_all(&path, &copy);
        let table = tables(&copy)
            .into_iter()
            .max_by_key(|table| fs::metadata(table).unwrap().len());
        let table = table.expect("a table was written");
        let mut bytes = fs::read(&table).unwrap();
        let place = bytes.len() * round / 12;
        bytes[place] ^= 4;
        fs::write(&table, &bytes).unwrap();
        // A flip in what is read at the start is an error of the start.
        let Ok(mut engine) = open(&copy) else {
            continue;
        };
        let answer = apply(&mut engine, &[common::read(1)]).pop().unwrap();
        let StoreAnswer::InboxPage {
            messages, losses, ..
        } = answer
        else {
            panic!("flipped at {place}: {answer:?}");
        };
        for message in &messages {
            let group = (message.inbox - 1) / 10;
            assert_eq!(message.body, format!("{group:0200}"), "flipped at {place}");
        }
        assert_eq!(
            messages.len() as u64 + losses.damaged,
            2000,
            "flipped at {place}"
        );
        met += u64::from(losses.damaged > 0);
    }
    assert!(met > 0, "no flip hit a message");
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from)
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        let target = to.join(entry.file_name().unwrap());
        if entry.is_dir() {
            copy_all(&entry, &target);
        } else {
            fs::copy(&entry, &target).unwrap();
        }
    }
}

fn tables(path: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    let mut directories = vec![path.join("db").join("keyspaces")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path())
        {
            if entry.is_dir() {
                directories.push(entry);
            } else if entry
                .parent()
                .is_some_and(|parent| parent.ends_with("tables"))
            {
                found.push(entry);
            }
        }
    }
    found.retain(|table| !table.starts_with(path.join("db/keyspaces/0")));
    found
}
