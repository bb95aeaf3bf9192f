//! The committer answers everything, in order, and is bounded.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use common::{append, inbox, read};
use tidings_hub::Ticket;
use tidings_hub::ids::HubId;
use tidings_hub::store_ops::{StoreAnswer, StoreOp};
use tidings_store::{
    Access, AnswerSink, Bounds, Committer, EmbeddedEngine, Engine, Health, MemoryEngine,
    QUEUE_BYTES_MAX, QUEUE_OPERATIONS_MAX,
    embedded::{DiskReserve, Options},
};
use tidings_wire::names::AppId;

type Answers = (HubId, Vec<(Ticket, StoreAnswer)>);

fn sink() -> (impl AnswerSink, Receiver<Answers>) {
    let (sender, receiver) = channel();
    let sink = move |hub: HubId, answers: Vec<_>| {
        let _ = sender.send((hub, answers));
    };
    (sink, receiver)
}

fn numbered(ops: impl IntoIterator<Item = StoreOp>) -> Vec<(Ticket, StoreOp)> {
    (0..).map(Ticket).zip(ops).collect()
}

/// An engine that waits for a word before each group.
struct Gated {
    inner: MemoryEngine,
    gate: Receiver<()>,
}

impl Engine for Gated {
    fn apply(&mut self, ops: &[StoreOp], answers: &mut Vec<StoreAnswer>) {
        let _ = self.gate.recv();
        self.inner.apply(ops, answers);
    }

    fn set_bounds(&mut self, _: Arc<Bounds>) {}

    fn stored_bytes(&mut self, _: &AppId) -> u64 {
        0
    }

    fn health(&self) -> Health {
        self.inner.health()
    }
}

fn gated() -> (Gated, Sender<()>) {
    let (open, gate) = channel();
    (
        Gated {
            inner: MemoryEngine::new(),
            gate,
        },
        open,
    )
}

#[test]
fn every_hub_gets_its_own_answers_in_its_order() {
    let (sink, answers) = sink();
    let committer = Committer::open(MemoryEngine::new(), sink).unwrap();
    let threads: Vec<_> = (0..3_u16)
        .map(|hub| {
            let submitter = committer.submitter();
            std::thread::spawn(move || {
                for ticket in 0..500 {
                    let mut refused = Vec::new();
                    let op = append(u64::from(hub), &ticket.to_string());
                    submitter.submit(HubId::local(hub), [(Ticket(ticket), op)], &mut refused);
                    assert!(refused.is_empty());
                }
            })
        })
        .collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    committer.close();
    let mut next = [0; 3];
    for (hub, answers) in answers {
        for (ticket, answer) in answers {
            let next = &mut next[hub.index()];
            assert_eq!(
                (ticket, answer),
                (
                    Ticket(*next),
                    StoreAnswer::InboxAppended { inbox: *next + 1 }
                )
            );
            *next += 1;
        }
    }
    assert_eq!(
        next, [500; 3],
        "closing answers everything that was submitted"
    );
}

#[test]
fn a_full_queue_refuses_at_once_and_takes_more_when_it_is_empty() {
    let (sink, answers) = sink();
    let (engine, open) = gated();
    let committer = Committer::open(engine, sink).unwrap();
    let submitter = committer.submitter();
    let mut refused = Vec::new();
    submitter.submit(HubId::local(0), numbered([read(1)]), &mut refused);
    while submitter.status().queued_operations > 0 {
        std::thread::yield_now();
    }
    // The first group is under way; now the queue fills.
    let many = (0..QUEUE_OPERATIONS_MAX + 2).map(|_| read(1));
    submitter.submit(HubId::local(0), numbered(many), &mut refused);
    let tickets: Vec<_> = refused
        .iter()
        .map(|(ticket, _)| ticket.0 as usize)
        .collect();
    assert_eq!(tickets, [QUEUE_OPERATIONS_MAX, QUEUE_OPERATIONS_MAX + 1]);
    assert!(
        matches!(&refused[0].1, StoreAnswer::Failed { reason } if reason.contains("4096 operations"))
    );
    let status = submitter.status();
    assert_eq!(
        (status.queued_operations, status.refused),
        (QUEUE_OPERATIONS_MAX, 2)
    );
    drop(open);
    let mut count = 0;
    while count < QUEUE_OPERATIONS_MAX + 1 {
        count += answers
            .recv_timeout(Duration::from_secs(20))
            .unwrap()
            .1
            .len();
    }
    refused.clear();
    submitter.submit(HubId::local(0), numbered([read(1)]), &mut refused);
    assert!(refused.is_empty());
    assert_eq!(
        answers
            .recv_timeout(Duration::from_secs(20))
            .unwrap()
            .1
            .len(),
        1
    );
}

#[test]
fn the_queue_is_bounded_in_bytes_too() {
    let (sink, _answers) = sink();
    let (engine, open) = gated();
    let committer = Committer::open(engine, sink).unwrap();
    let submitter = committer.submitter();
    let mut refused = Vec::new();
    submitter.submit(HubId::local(0), numbered([read(1)]), &mut refused);
    while submitter.status().queued_operations > 0 {
        std::thread::yield_now();
    }
    let huge = "x".repeat(QUEUE_BYTES_MAX + 1);
    let ops = [append(1, &huge), append(1, "small")];
    submitter.submit(HubId::local(0), numbered(ops), &mut refused);
    let tickets: Vec<_> = refused.iter().map(|(ticket, _)| *ticket).collect();
    assert_eq!(
        tickets,
        [Ticket(1)],
        "one of any size is taken into an empty queue"
    );
    drop(open);
}

#[test]
fn after_closing_everything_is_refused() {
    let (sink, answers) = sink();
    let committer = Committer::open(MemoryEngine::new(), sink).unwrap();
    let submitter = committer.submitter();
    committer.close();
    let mut refused = Vec::new();
    submitter.submit(HubId::local(0), numbered([read(1)]), &mut refused);
    assert!(
        matches!(&refused[..], [(Ticket(0), StoreAnswer::Failed { reason })] if reason.contains("shutting down"))
    );
    assert!(answers.recv().is_err());
}

#[test]
fn an_engine_that_panics_fails_its_group_and_all_that_follow() {
    struct Broken;
    impl Engine for Broken {
        fn apply(&mut self, _ops: &[StoreOp], answers: &mut Vec<StoreAnswer>) {
            answers.push(StoreAnswer::Done);
            panic!("on purpose");
        }
        fn set_bounds(&mut self, _: Arc<Bounds>) {}

        fn stored_bytes(&mut self, _: &AppId) -> u64 {
            0
        }

        fn health(&self) -> Health {
            Health::default()
        }
    }
    let (sink, answers) = sink();
    let committer = Committer::open(Broken, sink).unwrap();
    let submitter = committer.submitter();
    for _ in 0..2 {
        let mut refused = Vec::new();
        submitter.submit(
            HubId::local(3),
            numbered([append(1, "a"), read(1)]),
            &mut refused,
        );
        let (hub, answers) = answers.recv_timeout(Duration::from_secs(20)).unwrap();
        assert_eq!((hub, answers.len()), (HubId::local(3), 2));
        assert!(
            answers
                .iter()
                .all(|(_, answer)| matches!(answer, StoreAnswer::Failed { .. }))
        );
    }
    assert!(matches!(
        submitter.status().health.access,
        Access::ReadOnly { .. }
    ));
}

#[test]
fn a_closed_store_holds_what_was_submitted_before() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        disk_reserve: DiskReserve::Bytes(0),
        ..Options::default()
    };
    let (sink, _answers) = sink();
    let committer = Committer::open(
        EmbeddedEngine::open(directory.path(), &options).unwrap(),
        sink,
    )
    .unwrap();
    let mut refused = Vec::new();
    let ops = (0..100).map(|number| append(1, &number.to_string()));
    committer
        .submitter()
        .submit(HubId::local(0), numbered(ops), &mut refused);
    committer.close();
    let mut engine = EmbeddedEngine::open(directory.path(), &options).unwrap();
    assert_eq!(inbox(&mut engine, 1).0.len(), 100 - refused.len());
    assert!(refused.is_empty());
}
