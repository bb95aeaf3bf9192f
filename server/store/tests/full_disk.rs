//! A store whose disk was full goes on by itself when there is space, with everything that it
//! acknowledged.
//!
//! A file system of 200 MB in memory is mounted for it, which only root may: where the tests run as
//! somebody else, this one fails and says so.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};

use common::{LIMIT, append, apply, confirm, inbox, read, until};
use tidings_hub::Ticket;
use tidings_hub::ids::HubId;
use tidings_hub::store_ops::StoreAnswer;
use tidings_store::embedded::{DiskReserve, Options};
use tidings_store::{Access, AnswerSink, Committer, EmbeddedEngine, Engine, Health};

/// A small file system; gone with its value.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mount = ["-t", "tmpfs", "-o", "size=200m", "tmpfs"];
        let mounted = Command::new("mount")
            .args(mount)
            .arg(folder.path())
            .status();
        assert!(
            mounted.is_ok_and(|status| status.success()),
            "this test mounts a small file system in memory, which needs root: run it as root, in a container for \
             example"
        );
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all space that is left; it comes back when the file is removed.
    fn fill(&self) {
        let mut file = File::create(self.path().join("other")).unwrap();
        for size in [1 << 20, 4096, 512, 1] {
            while file.write_all(&vec![1; size]).is_ok() {}
        }
    }

    fn free(&self) {
        fs::remove_file(self.path().join("other")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

fn options() -> Options {
    Options {
        disk_reserve: DiskReserve::Bytes(20_000_000),
        ..Options::default()
    }
}

fn is_done(answers: &[StoreAnswer]) -> bool {
    let failed = |answer: &StoreAnswer| matches!(answer, StoreAnswer::Failed { .. });
    !answers.iter().any(failed)
}

/// Deletes on a full disk until that fails. Returns how many messages of each user are left by what
/// was answered.
fn delete_until_it_fails(engine: &mut EmbeddedEngine, users: u64, each: u64) -> Vec<u64> {
    let mut confirmed = vec![0; users as usize];
    for number in 1..=each {
        for (user, done) in (0..).zip(&mut confirmed) {
            if is_done(&apply(engine, &[confirm(user, number)])) {
                *done = number
            } else {
                return confirmed;
            }
        }
    }
    panic!("no write failed, so the disk was not full");
}

#[test]
fn a_store_that_stopped_at_a_full_disk_goes_on_when_there_is_space() {
    let disk = SmallDisk::mount();
    let path = disk.path().join("store");
    let mut engine = EmbeddedEngine::open(&path, &options()).unwrap();
    let body = "x".repeat(30_000);
    let (users, each) = (10, 150);
    for _ in 0..each {
        let ops: Vec<_> = (0..users).map(|user| append(user, &body)).collect();
        assert!(is_done(&apply(&mut engine, &ops)));
    }
    disk.fill();
    let confirmed = delete_until_it_fails(&mut engine, users, each);
    let Access::ReadOnly { reason } = engine.health().access else {
        panic!("{:?}", engine.health());
    };
    assert!(reason.contains("recovers on its own"), "{reason}");
    for user in 0..users {
        assert!(is_done(&apply(&mut engine, &[read(user)])), "reads go on");
    }
    // Nothing is tried while there is no space.
    engine.tend();
    assert!(matches!(engine.health().access, Access::ReadOnly { .. }));
    disk.free();
    until("it is written to again", || {
        engine.tend();
        engine.health().access == Access::Full
    });
    assert!(is_done(&apply(&mut engine, &[append(99, "again")])));
    let check = |engine: &mut EmbeddedEngine| {
        assert!(engine.verify().unwrap().is_sound());
        for (user, confirmed) in (0..).zip(&confirmed) {
            let (messages, losses) = inbox(engine, user);
            assert_eq!((losses.damaged, losses.overflowed), (0, 0));
            let first = messages[0].0;
            // Whether the very write that failed is there, nobody was told.
            assert!(
                first == confirmed + 1 || first == confirmed + 2,
                "user {user} has messages from {first} on, and confirmed {confirmed}"
            );
            assert_eq!(messages.last().unwrap().0, each);
            assert!(messages.iter().all(|(_, text)| *text == body));
        }
        assert_eq!(inbox(engine, 99).0, [(1, "again".to_owned())]);
    };
    check(&mut engine);
    drop(engine);
    check(&mut EmbeddedEngine::open(&path, &options()).unwrap());
}

/// Hands on what the store's thread says.
struct Sink(std::sync::mpsc::Sender<Said>);

enum Said {
    Answers(Vec<(Ticket, StoreAnswer)>),
    Health(Health),
}

impl AnswerSink for Sink {
    fn answers(&self, _: HubId, answers: Vec<(Ticket, StoreAnswer)>) {
        let _ = self.0.send(Said::Answers(answers));
    }

    fn health(&self, health: &Health) {
        let _ = self.0.send(Said::Health(health.clone()));
    }
}

fn next_health(said: &Receiver<Said>) -> Access {
    loop {
        if let Said::Health(health) = said.recv_timeout(LIMIT).unwrap() {
            return health.access;
        }
    }
}

#[test]
fn a_store_with_nothing_to_do_finds_out_and_says_so() {
    let disk = SmallDisk::mount();
    let engine = EmbeddedEngine::open(&disk.path().join("store"), &options()).unwrap();
    let (sender, said) = channel();
    let committer = Committer::open(engine, Sink(sender)).unwrap();
    assert_eq!(next_health(&said), Access::Full);
    let submitter = committer.submitter();
    let submit = |number: u64, op| {
        let mut refused = Vec::new();
        submitter.submit(HubId::local(0), [(Ticket(number), op)], &mut refused);
        assert!(refused.is_empty());
        loop {
            match said.recv_timeout(LIMIT).unwrap() {
                Said::Answers(answers) => return answers,
                Said::Health(_) => {}
            }
        }
    };
    let kept = 3_000;
    for number in 0..kept {
        submit(number, append(number, "x"));
    }
    disk.fill();
    // Deletions are let through whatever the reserve is, so that in the end one of them meets the
    // full disk.
    let failed = (0..kept).any(|number| {
        let (_, answer) = submit(number, confirm(number, 1)).pop().unwrap();
        matches!(answer, StoreAnswer::Failed { .. })
    });
    assert!(failed);
    assert!(matches!(
        submitter.status().health.access,
        Access::ReadOnly { .. }
    ));
    disk.free();
    // Nobody hands anything in any more.
    loop {
        if next_health(&said) == Access::Full {
            break;
        }
    }
    assert_eq!(submitter.status().health.access, Access::Full);
}
